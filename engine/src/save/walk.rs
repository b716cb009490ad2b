//! The walk of a save: every tree in the archive's order, each inode once. Knows no archive.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, chmodat, openat, readlinkat, statat};

use super::super::entry::{Entry, Kind, join, split_parent};
use super::super::error::{Error, Result};
use super::super::format;
use super::super::tree::{self, Cursor};
use super::SAVE;
use super::store::Store;

/// Walks trees and gives what it finds to a [`Store`].
pub struct Walker<'a> {
    /// Takes what is found.
    pub store: Store<'a>,
    /// Device and inode of the state directory, which must not be saved into itself.
    target: (u64, u64),
    /// Where the first name of each inode with several names went.
    links: HashMap<(u64, u64), Vec<u8>>,
}

/// One tree to save: paths below `base` in the file system, others in the archive.
struct Root<'a> {
    base: &'a Path,
    /// In front of the archive path.
    prefix: Vec<u8>,
    /// How many bytes of the path below the base do not go into the archive path.
    cut: usize,
}

impl Root<'_> {
    fn archived(&self, below: &[u8]) -> Vec<u8> {
        [&self.prefix, &below[self.cut..]].concat()
    }
}

/// What was made readable for a while, to be undone in reverse.
type Relaxed = Vec<(Vec<u8>, u32)>;

/// A directory in the middle of being saved.
struct Open {
    path: Vec<u8>,
    names: std::vec::IntoIter<Vec<u8>>,
}

impl<'a> Walker<'a> {
    /// A walker that gives what it finds to `store`; `target` is device and inode of the state directory.
    pub fn new(store: Store<'a>, target: (u64, u64)) -> Self {
        Self { store, target, links: HashMap::new() }
    }

    /// Walks the build directory, but for what is Nix's in it and the names at its top in `exclude`.
    ///
    /// # Errors
    /// A device, a file that changes, what the file system says.
    pub fn build_dir(&mut self, path: &Path, exclude: &[Vec<u8>]) -> Result<()> {
        let io = |source| Error::io(SAVE, path, source);
        let base = tree::open_base(path).map_err(io)?;
        let stat = statat(&base, ".", AtFlags::empty()).map_err(|errno| io(errno.into()))?;
        let mut names = tree::names(&base, b".").map_err(io)?;
        names.retain(|name| !format::is_nix_file(name) && !exclude.contains(name));
        self.store.add(entry(format::BUILD.to_vec(), Kind::Directory, &stat))?;
        self.tree(&Root { base: path, prefix: join(format::BUILD, b""), cut: 0 }, base, names)
    }

    /// Walks the outputs that exist.
    ///
    /// # Errors
    /// As for [`Walker::build_dir`].
    pub fn outputs(&mut self, outputs: &[(String, PathBuf)]) -> Result<()> {
        let mut outputs: Vec<_> = outputs.iter().collect();
        outputs.sort();
        for (name, path) in outputs {
            let (Some(parent), Some(last)) = (path.parent(), path.file_name()) else {
                return Err(Error::Refused {
                    operation: SAVE,
                    path: path.clone(),
                    what: format!("it cannot be the output {name}"),
                    todo: "give the path of a file or directory",
                });
            };
            let io = |source| Error::io(SAVE, path, source);
            match fs::symlink_metadata(path) {
                Ok(_) => {}
                Err(source) if source.kind() == io::ErrorKind::NotFound => continue,
                Err(source) => return Err(io(source)),
            }
            let base = tree::open_base(parent).map_err(io)?;
            let last = last.as_encoded_bytes().to_vec();
            let root = Root { base: parent, prefix: join(format::OUTPUTS, name.as_bytes()), cut: last.len() };
            self.tree(&root, base, vec![last])?;
        }
        Ok(())
    }

    fn tree(&mut self, root: &Root, base: OwnedFd, names: Vec<Vec<u8>>) -> Result<()> {
        let mut cursor = Cursor::new(base);
        let mut relaxed = Relaxed::new();
        let walked = self.walk(root, &mut cursor, names, &mut relaxed);
        let mut undone = Ok(());
        for (path, mode) in relaxed.iter().rev() {
            let (parent, name) = split_parent(path);
            let result = cursor
                .enter(parent)
                .and_then(|fd| Ok(chmodat(fd, name, Mode::from_raw_mode(*mode), AtFlags::empty())?))
                .map_err(|source| Error::io(SAVE, tree::shown(root.base, path), source));
            undone = undone.and(result);
        }
        walked.and(undone)
    }

    fn walk(&mut self, root: &Root, cursor: &mut Cursor, names: Vec<Vec<u8>>, relaxed: &mut Relaxed) -> Result<()> {
        let mut stack = vec![Open { path: Vec::new(), names: names.into_iter() }];
        while let Some(directory) = stack.last_mut() {
            let Some(name) = directory.names.next() else {
                stack.pop();
                continue;
            };
            let path = join(&directory.path, &name);
            let shown = || tree::shown(root.base, &path);
            let io = |source: io::Error| Error::io(SAVE, shown(), source);
            let fd = cursor.enter(&directory.path).map_err(io)?;
            let stat = statat(fd, &name[..], AtFlags::SYMLINK_NOFOLLOW).map_err(|errno| io(errno.into()))?;
            let archived = root.archived(&path);
            let file_type = FileType::from_raw_mode(stat.st_mode);
            let inode = (stat.st_dev, stat.st_ino);
            if stat.st_nlink > 1 && file_type != FileType::Directory {
                if let Some(first) = self.links.get(&inode) {
                    let link = first.clone();
                    self.store.add(Entry { link, ..entry(archived, Kind::HardLink, &stat) })?;
                    continue;
                }
                self.links.insert(inode, archived.clone());
            }
            match file_type {
                FileType::Directory => {
                    if inode == self.target {
                        return Err(Error::Refused {
                            operation: SAVE,
                            path: shown(),
                            what: "the state would contain itself".into(),
                            todo: "save to a directory outside the build directory",
                        });
                    }
                    let names = list(fd, &name, &stat, &path, relaxed).map_err(io)?;
                    self.store.add(entry(archived, Kind::Directory, &stat))?;
                    stack.push(Open { path, names: names.into_iter() });
                }
                FileType::RegularFile => {
                    let found = entry(archived, Kind::File, &stat);
                    self.store.file(found, &stat, || open(fd, &name, &stat), shown)?;
                }
                FileType::Symlink => {
                    let target = readlinkat(fd, &name[..], Vec::new()).map_err(|errno| io(errno.into()))?;
                    let found = entry(archived, Kind::Symlink, &stat);
                    self.store.add(Entry { link: target.into_bytes(), ..found })?;
                }
                FileType::Fifo => self.store.add(entry(archived, Kind::Fifo, &stat))?,
                FileType::Socket => self.store.add(entry(archived, Kind::Socket, &stat))?,
                _ => {
                    return Err(Error::Refused {
                        operation: SAVE,
                        path: shown(),
                        what: "it is a device, which no state can hold".into(),
                        todo: "remove it at the end of the phase that made it",
                    });
                }
            }
        }
        Ok(())
    }
}

/// `stat` as an entry without content.
fn entry(path: Vec<u8>, kind: Kind, stat: &Stat) -> Entry {
    let mode = stat.st_mode & 0o7777;
    Entry { path, kind, mode, size: 0, mtime: tree::mtime(stat), link: Vec::new(), hash: None }
}

/// The names in a directory that its owner may have closed to everyone.
fn list(parent: impl AsFd, name: &[u8], stat: &Stat, path: &[u8], relaxed: &mut Relaxed) -> io::Result<Vec<Vec<u8>>> {
    let mode = stat.st_mode & 0o7777;
    // Only root goes where no bit lets it.
    if mode & 0o500 != 0o500 && !rustix::process::geteuid().is_root() {
        chmodat(&parent, name, Mode::from_raw_mode(mode | 0o500), AtFlags::empty())?;
        relaxed.push((path.to_vec(), mode));
    }
    tree::names(parent, name)
}

/// Opens a file that its owner may have closed to everyone. Its mode is back before this returns; chmod
/// leaves the mtime alone.
fn open(parent: impl AsFd, name: &[u8], stat: &Stat) -> io::Result<File> {
    // NONBLOCK: should the file have become a pipe meanwhile, the save must not hang.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let open = || openat(&parent, name, flags, Mode::empty());
    let mode = stat.st_mode & 0o7777;
    let opened = match open() {
        Err(rustix::io::Errno::ACCESS) if mode & 0o400 == 0 => {
            let chmod = |mode| chmodat(&parent, name, Mode::from_raw_mode(mode), AtFlags::empty());
            chmod(mode | 0o400)?;
            let opened = open();
            chmod(mode)?;
            opened
        }
        other => other,
    };
    Ok(opened?.into())
}
