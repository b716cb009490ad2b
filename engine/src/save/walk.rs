//! The walk of a save: every tree in the archive's order, each inode once. One thread looks what there is, ahead of the
//! one that gives it to the store. Knows no archive.

use std::borrow::Cow;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, chmodat, openat, readlinkat, statat};

use super::super::entry::{Entry, Kind, join, split_parent};
use super::super::error::{Error, Result};
use super::super::index::{Index, Key};
use super::super::sorter::{self, Sorter};
use super::super::spill::{Scratch, Spill};
use super::super::tree::{self, Cursor};
use super::super::{format, git_index};
use super::SAVE;
use super::store::Store;

/// So many entries go from thread to thread at once,
const BATCH: usize = 256;

/// or fewer, with so many bytes of paths,
const PATHS: usize = 1 << 16;

/// and so many batches may wait: together they take about 16 MB.
const AHEAD: usize = 128;

/// Bytes of names still to be looked at that stay in memory.
const NAMES: usize = 4 << 20;

/// The trees of a save.
pub struct Walk<'a> {
    /// The build directory, without
    pub build_dir: &'a Path,
    /// these names at its top.
    pub exclude: &'a [Vec<u8>],
    /// Name and staged prefix of each output; those that do not exist are left out.
    pub outputs: &'a [(String, PathBuf)],
    /// Archive path and place of directories outside it; those that do not exist are left out,
    pub outside: &'a [(String, PathBuf)],
    /// and these archive paths in them.
    pub foreign: &'a [Vec<u8>],
    /// Device and inode of the state directory, which must not be saved into itself.
    pub target: (u64, u64),
    /// For what is too long for memory.
    pub scratch: &'a Scratch,
}

/// One tree to save: paths below `base` in the file system, others in the archive.
struct Root<'a> {
    base: &'a Path,
    fd: OwnedFd,
    /// The one name in the base to save; else all of them
    only: Option<Vec<u8>>,
    /// but these.
    exclude: Cow<'a, [Vec<u8>]>,
    /// In front of the archive path,
    prefix: Vec<u8>,
    /// where this is in front of the path below the base.
    cut: Vec<u8>,
}

impl Root<'_> {
    fn archived(&self, below: &[u8]) -> Vec<u8> {
        [&self.prefix, &below[self.cut.len()..]].concat()
    }

    fn below(&self, archived: &[u8]) -> Vec<u8> {
        [&self.cut, &archived[self.prefix.len()..]].concat()
    }
}

/// Where in the archive the first name of each inode with several names went: the index of its record.
struct Links(Index);

impl Links {
    fn key(stat: &Stat) -> Key {
        let mut key = Key::default();
        let (device, inode) = key.split_at_mut(8);
        device.copy_from_slice(&stat.st_dev.to_le_bytes());
        inode.copy_from_slice(&stat.st_ino.to_le_bytes());
        key
    }
}

/// What was made readable for a while, to be undone in reverse: path, its length, mode.
struct Relaxed(Spill);

impl Relaxed {
    fn push(&mut self, path: &[u8], mode: u32) -> io::Result<()> {
        self.0.append(path)?;
        self.0.append(&sorter::length(path)?)?;
        self.0.append(&mode.to_le_bytes())
    }

    fn pop(&mut self) -> io::Result<Option<(Vec<u8>, u32)>> {
        let Some(end) = self.0.len().checked_sub(8) else { return Ok(None) };
        let len = u32::from_le_bytes(self.0.array(end)?);
        let mode = u32::from_le_bytes(self.0.array(end + 4)?);
        let start = end - u64::from(len);
        let mut path = Vec::new();
        self.0.read_to(start, len as usize, &mut path)?;
        self.0.set_len(start);
        Ok(Some((path, mode)))
    }
}

/// The names still to be looked at in the directories on the way to the current one, each directory's after those of the
/// one above.
struct Names(Spill);

impl Names {
    /// Adds those of a directory, given in no order; `path` is how long its path is.
    fn open(&mut self, path: usize, names: Sorter) -> io::Result<Open> {
        let start = self.0.len();
        names.each(|name| {
            self.0.append(&sorter::length(name)?)?;
            self.0.append(name)
        })?;
        Ok(Open { path, start, next: start, end: self.0.len() })
    }

    /// Adds the next name of a directory to the end of `path`; false where there is none.
    fn next(&mut self, directory: &mut Open, path: &mut Vec<u8>) -> io::Result<bool> {
        if directory.next == directory.end {
            self.0.set_len(directory.start);
            return Ok(false);
        }
        let len = u32::from_le_bytes(self.0.array(directory.next)?);
        self.0.read_to(directory.next + 4, len as usize, path)?;
        directory.next += 4 + u64::from(len);
        Ok(true)
    }
}

/// A directory in the middle of being looked through.
struct Open {
    /// The length of its path.
    path: usize,
    /// Where its names are,
    start: u64,
    next: u64,
    end: u64,
}

/// What is seen of a file without opening it.
struct Seen {
    /// In the archive.
    path: Vec<u8>,
    stat: Stat,
    /// A symlink's.
    target: Vec<u8>,
}

/// A batch, or why there are no more.
type Message = Result<Vec<Seen>>;

impl Walk<'_> {
    /// Walks all trees, the first one already while `store` is being made.
    ///
    /// # Errors
    /// A device, a file that changes, what the file system says; those of the store.
    pub fn run<'s>(
        &self,
        store: impl FnOnce() -> Result<Store<'s>>,
        shell: impl FnOnce() -> Result<Vec<u8>>,
    ) -> Result<Store<'s>> {
        let (build, stat) = self.build_root()?;
        let mut links = Links(Index::new(self.scratch));
        let begun = || {
            let mut store = store()?;
            store.add(entry(format::BUILD.to_vec(), Kind::Directory, &stat))?;
            Ok(store)
        };
        let mut store = self.tree(&build, begun, &mut links)?;
        let mut outputs: Vec<_> = self.outputs.iter().collect();
        outputs.sort();
        for (name, path) in outputs {
            if let Some(root) = output_root(name, path)? {
                store = self.tree(&root, || Ok(store), &mut links)?;
            }
        }
        store.shell(&shell()?)?;
        let mut outside: Vec<_> = self.outside.iter().collect();
        outside.sort();
        for (name, path) in outside {
            if let Some(root) = self.outside_root(name.as_bytes(), path)? {
                store = self.tree(&root, || Ok(store), &mut links)?;
            }
        }
        Ok(store)
    }

    fn build_root(&self) -> Result<(Root<'_>, Stat)> {
        let base = self.build_dir;
        let io = |source| Error::io(SAVE, base, source);
        let fd = tree::open_base(base).map_err(io)?;
        let stat = statat(&fd, ".", AtFlags::empty()).map_err(|errno| io(errno.into()))?;
        let (prefix, cut) = (join(format::BUILD, b""), Vec::new());
        Ok((Root { base, fd, only: None, exclude: self.exclude.into(), prefix, cut }, stat))
    }

    /// The tree of a directory outside, if it exists.
    fn outside_root<'a>(&'a self, name: &[u8], base: &'a Path) -> Result<Option<Root<'a>>> {
        let prefix = join(name, b"");
        let exclude: Vec<_> = self.foreign.iter().filter_map(|path| path.strip_prefix(&prefix[..])).collect();
        let exclude = exclude.into_iter().map(<[u8]>::to_vec).collect();
        match tree::open_base(base) {
            Ok(fd) => Ok(Some(Root { base, fd, only: None, exclude: Cow::Owned(exclude), prefix, cut: Vec::new() })),
            Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::io(SAVE, base, source)),
        }
    }

    fn tree<'s>(&self, root: &Root, store: impl FnOnce() -> Result<Store<'s>>, links: &mut Links) -> Result<Store<'s>> {
        let io = |source| Error::io(SAVE, root.base, source);
        let cursor = || Ok(Cursor::new(root.fd.try_clone().map_err(io)?));
        let mut relaxed = Relaxed(Spill::new(self.scratch, NAMES));
        let (mut looking, mut giving, mut undoing) = (cursor()?, cursor()?, cursor()?);
        let (sender, receiver) = sync_channel(AHEAD);
        let given = thread::scope(|scope| {
            let relaxed = &mut relaxed;
            let (target, scratch) = (self.target, self.scratch);
            let look = Look { root, target, sender, batch: Vec::new(), bytes: 0, relaxed, scratch };
            let look = move || look.all(&mut looking);
            thread::Builder::new().name("walk".into()).spawn_scoped(scope, look).map_err(io)?;
            give(root, receiver, &mut giving, store()?, links)
        });
        let mut undone = Ok(());
        while let Some((path, mode)) = relaxed.pop().map_err(io)? {
            let (parent, name) = split_parent(&path);
            let result = undoing
                .enter(parent)
                .and_then(|fd| Ok(chmodat(fd, name, Mode::from_raw_mode(mode), AtFlags::empty())?))
                .map_err(|source| Error::io(SAVE, tree::shown(root.base, &path), source));
            undone = undone.and(result);
        }
        given.and_then(|store| undone.map(|()| store))
    }
}

/// The tree of an output, if it exists.
fn output_root<'a>(name: &str, path: &'a Path) -> Result<Option<Root<'a>>> {
    let (Some(base), Some(last)) = (path.parent(), path.file_name()) else {
        return Err(Error::Refused {
            operation: SAVE,
            path: path.into(),
            what: format!("it cannot be the output {name}"),
            todo: "give the path of a file or directory",
        });
    };
    let io = |source| Error::io(SAVE, path, source);
    match fs::symlink_metadata(path) {
        Ok(_) => {}
        Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(io(source)),
    }
    let fd = tree::open_base(base).map_err(io)?;
    let cut = last.as_encoded_bytes().to_vec();
    let prefix = join(format::OUTPUTS, name.as_bytes());
    Ok(Some(Root { base, fd, only: Some(cut.clone()), exclude: Cow::Borrowed(&[]), prefix, cut }))
}

/// Sees what there is: the thread that is ahead.
struct Look<'a> {
    root: &'a Root<'a>,
    target: (u64, u64),
    sender: SyncSender<Message>,
    batch: Vec<Seen>,
    /// Bytes of the paths in it.
    bytes: usize,
    relaxed: &'a mut Relaxed,
    scratch: &'a Scratch,
}

impl Look<'_> {
    fn all(mut self, cursor: &mut Cursor) {
        let looked = self.tree(cursor);
        // The other thread is gone only if it has an error to tell of itself.
        let _ = self.sender.send(Ok(std::mem::take(&mut self.batch)));
        if let Err(error) = looked {
            let _ = self.sender.send(Err(error));
        }
    }

    fn tree(&mut self, cursor: &mut Cursor) -> Result<()> {
        let mut names = Names(Spill::new(self.scratch, NAMES));
        let top = self.top().and_then(|top| names.open(0, top));
        let mut stack = vec![top.map_err(|source| Error::io(SAVE, self.root.base, source))?];
        let mut path = Vec::new();
        while let Some(directory) = stack.last_mut() {
            path.truncate(directory.path);
            if directory.path > 0 {
                path.push(b'/');
            }
            let above = path.len();
            let next = names.next(directory, &mut path);
            if !next.map_err(|source| Error::io(SAVE, tree::shown(self.root.base, &path), source))? {
                stack.pop();
                continue;
            }
            let io = |source: io::Error| Error::io(SAVE, tree::shown(self.root.base, &path), source);
            let fd = cursor.enter(&path[..directory.path]).map_err(io)?;
            let name = &path[above..];
            let stat = statat(fd, name, AtFlags::SYMLINK_NOFOLLOW).map_err(|errno| io(errno.into()))?;
            let mut seen = Seen { path: self.root.archived(&path), stat, target: Vec::new() };
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => {
                    if (stat.st_dev, stat.st_ino) == self.target {
                        return Err(Error::Refused {
                            operation: SAVE,
                            path: tree::shown(self.root.base, &path),
                            what: "the state would contain itself".into(),
                            todo: "save to a directory outside the build directory",
                        });
                    }
                    let list = self.list(fd, name, &stat, &path).and_then(|list| names.open(path.len(), list));
                    stack.push(list.map_err(io)?);
                }
                FileType::Symlink => {
                    let target = readlinkat(fd, name, Vec::new()).map_err(|errno| io(errno.into()))?;
                    seen.target = target.into_bytes();
                }
                _ => {}
            }
            self.bytes += seen.path.len() + seen.target.len();
            self.batch.push(seen);
            if self.batch.len() == BATCH || self.bytes >= PATHS {
                let batch = std::mem::replace(&mut self.batch, Vec::with_capacity(BATCH));
                self.bytes = 0;
                if self.sender.send(Ok(batch)).is_err() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// The names to begin with.
    fn top(&self) -> io::Result<Sorter> {
        let Root { fd, only, exclude, .. } = self.root;
        let mut names = Sorter::new(<[u8] as Ord>::cmp, self.scratch);
        match only {
            Some(name) => names.push(name)?,
            None => tree::each_name(fd, b".", |name| {
                if exclude.iter().any(|other| other == name) { Ok(()) } else { names.push(name) }
            })?,
        }
        Ok(names)
    }

    /// The names in a directory that its owner may have closed to everyone.
    fn list(&mut self, parent: impl AsFd, name: &[u8], stat: &Stat, path: &[u8]) -> io::Result<Sorter> {
        let mode = stat.st_mode & 0o7777;
        // Only root goes where no bit lets it.
        if mode & 0o500 != 0o500 && !rustix::process::geteuid().is_root() {
            chmodat(&parent, name, Mode::from_raw_mode(mode | 0o500), AtFlags::empty())?;
            self.relaxed.push(path, mode)?;
        }
        let mut names = Sorter::new(<[u8] as Ord>::cmp, self.scratch);
        tree::each_name(parent, name, |name| names.push(name))?;
        Ok(names)
    }
}

/// Gives to the store what the other thread has seen. Takes the receiver, so that an error ends that thread as well.
fn give<'s>(
    root: &Root,
    seen: Receiver<Message>,
    cursor: &mut Cursor,
    mut store: Store<'s>,
    links: &mut Links,
) -> Result<Store<'s>> {
    for batch in seen {
        for Seen { path, stat, target } in batch? {
            let below = root.below(&path);
            let shown = || tree::shown(root.base, &below);
            let file_type = FileType::from_raw_mode(stat.st_mode);
            if stat.st_nlink > 1 && file_type != FileType::Directory {
                let io = |source| Error::io(SAVE, shown(), source);
                let inode = Links::key(&stat);
                if let Some(first) = links.0.get(&inode).map_err(io)? {
                    let link = store.path_of(first)?;
                    store.add(Entry { link, ..entry(path, Kind::HardLink, &stat) })?;
                    continue;
                }
                // Records are counted by 32 bits; adding one more fails.
                links.0.insert(inode, u32::try_from(store.len()).unwrap_or(u32::MAX)).map_err(io)?;
            }
            match file_type {
                FileType::Directory => store.add(entry(path, Kind::Directory, &stat))?,
                FileType::RegularFile => {
                    if let Some(content) = git_index(root, cursor, &below, &stat) {
                        store.content(
                            Entry { size: content.len() as u64, ..entry(path, Kind::File, &stat) },
                            &content,
                        )?;
                        continue;
                    }
                    let open = || {
                        let (parent, name) = split_parent(&below);
                        open(cursor.enter(parent)?, name, &stat)
                    };
                    store.file(entry(path, Kind::File, &stat), &stat, open, shown)?;
                }
                FileType::Symlink => {
                    store.add(Entry { link: target, ..entry(path, Kind::Symlink, &stat) })?;
                }
                FileType::Fifo => store.add(entry(path, Kind::Fifo, &stat))?,
                FileType::Socket => store.add(entry(path, Kind::Socket, &stat))?,
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
    }
    Ok(store)
}

/// What is stored of a file that is git's index ([`git_index`]); nothing where it is none, or cannot be read.
fn git_index(root: &Root, cursor: &mut Cursor, below: &[u8], stat: &Stat) -> Option<Vec<u8>> {
    let size = u64::try_from(stat.st_size).ok()?;
    if !git_index::may_be(below) || stat.st_nlink > 1 || size > git_index::LIMIT {
        return None;
    }
    let (parent, name) = split_parent(below);
    let file = open(cursor.enter(parent).ok()?, name, stat).ok()?;
    let mut content = Vec::new();
    file.take(size + 1).read_to_end(&mut content).ok()?;
    if content.len() as u64 != size {
        return None;
    }
    let worktree = git_index::worktree_of(below, root.base, cursor)?;
    git_index::mark(&mut content, |path| git_index::stat_of(&worktree, path, cursor)).then_some(content)
}

/// `stat` as an entry without content.
fn entry(path: Vec<u8>, kind: Kind, stat: &Stat) -> Entry {
    let mode = stat.st_mode & 0o7777;
    Entry { path, kind, mode, size: 0, mtime: tree::mtime(stat), link: Vec::new(), hash: None }
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
