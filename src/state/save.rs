//! Saving a state: build directory, staged outputs and shell state into a new state directory.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, chmodat, fstat, openat, readlinkat, statat};

use super::entry::{Entry, Kind, Mtime, join, split_parent};
use super::error::{Error, Result};
use super::info::{Bytes, Counts, Info, Phase};
use super::sparse::Map;
use super::tree::{self, Cursor};
use super::{format, frames, info, manifest, pax};

const SAVE: &str = "save";

/// Content is read in pieces of this many bytes.
const BUFFER: usize = 1 << 18;

/// What to save, and where.
#[derive(Debug, Clone)]
pub struct Request {
    /// The state directory to make; may exist if it is empty.
    pub to: PathBuf,
    /// The build directory, absolute.
    pub build_dir: PathBuf,
    /// The shell state's file.
    pub shell: PathBuf,
    /// Name and staged prefix of each output; those that do not exist (yet) are not saved.
    pub outputs: Vec<(String, PathBuf)>,
    /// The state this one continues from: its mark of a pin is passed on.
    pub parent: Option<PathBuf>,
    /// The pinned state that this stage or one before it continues from.
    pub pinned: Option<String>,
    /// The package's name.
    pub package: String,
    /// The stage that ends here.
    pub stage: String,
    /// The phases that ran.
    pub phases: Vec<Phase>,
    /// More names at the top of the build directory to leave out, beside [`format::is_nix_file`].
    pub exclude: Vec<Vec<u8>>,
}

/// Saves a state. The same tree gives the same layer and manifest, byte for byte.
///
/// Files that their owner cannot read are made readable for the moment of reading.
///
/// # Errors
/// A target that is not empty; a device; a file that changes while it is read; what the file system says. Nothing
/// that looks like a state is left behind then.
pub fn save(request: &Request) -> Result<Info> {
    let build_dir = text(&request.build_dir)?;
    let pinned = match (&request.pinned, &request.parent) {
        (None, Some(parent)) => info::read(SAVE, parent)?.pinned,
        (pinned, _) => pinned.clone(),
    };
    make_target(&request.to)?;
    let result = write(request, build_dir, pinned);
    if result.is_err() {
        for name in [format::LAYER, format::MANIFEST, format::INFO] {
            // The first error is the one to report; what cannot be removed is harmless without info.json.
            let _ = fs::remove_file(temporary(&request.to, name));
        }
    }
    result
}

fn text(build_dir: &Path) -> Result<String> {
    match build_dir.to_str() {
        Some(text) if build_dir.is_absolute() => Ok(text.to_owned()),
        _ => Err(Error::Refused {
            operation: SAVE,
            path: build_dir.into(),
            what: "the build directory must be an absolute path in UTF-8".into(),
            todo: "give it as the build sees it, such as /build",
        }),
    }
}

fn make_target(to: &Path) -> Result<()> {
    match fs::create_dir(to) {
        Ok(()) => return Ok(()),
        Err(source) if source.kind() == io::ErrorKind::AlreadyExists => {}
        Err(source) => return Err(Error::io(SAVE, to, source)),
    }
    let mut names = fs::read_dir(to).map_err(|source| Error::io(SAVE, to, source))?;
    if names.next().is_some() {
        return Err(Error::Refused {
            operation: SAVE,
            path: to.into(),
            what: "it is not empty".into(),
            todo: "name a directory that does not exist yet",
        });
    }
    Ok(())
}

fn temporary(state: &Path, name: &str) -> PathBuf {
    state.join(format!(".{name}.tmp"))
}

fn write(request: &Request, build_dir: String, pinned: Option<String>) -> Result<Info> {
    let target = fs::metadata(&request.to).map_err(|source| Error::io(SAVE, &request.to, source))?;
    let create = |name| {
        let path = temporary(&request.to, name);
        File::create_new(&path).map_err(|source| Error::io(SAVE, &path, source))
    };
    let layer = request.to.join(format::LAYER);
    let manifest_path = request.to.join(format::MANIFEST);
    let manifest = manifest::Writer::new(frames::Writer::new(create(format::MANIFEST)?))
        .map_err(|source| Error::io(SAVE, &manifest_path, source))?;
    let mut saver = Saver {
        archive: pax::Writer::new(frames::Writer::new(create(format::LAYER)?)),
        manifest,
        layer: &layer,
        target: (target.dev(), target.ino()),
        links: HashMap::new(),
        counts: Counts::default(),
        content: 0,
        newest: Mtime { secs: i64::MIN, nanos: 0 },
        now: now(),
        buffer: vec![0; BUFFER],
    };
    saver.build_dir(&request.build_dir, &request.exclude)?;
    saver.outputs(&request.outputs)?;
    saver.shell(&request.shell)?;

    let to_layer = |source| Error::io(SAVE, &layer, source);
    let to_manifest = |source| Error::io(SAVE, &manifest_path, source);
    let (_, layer_bytes) = saver.archive.finish().and_then(frames::Writer::finish).map_err(to_layer)?;
    let (_, manifest_bytes) = saver.manifest.finish().and_then(frames::Writer::finish).map_err(to_manifest)?;
    fs::rename(temporary(&request.to, format::LAYER), &layer).map_err(to_layer)?;
    fs::rename(temporary(&request.to, format::MANIFEST), &manifest_path).map_err(to_manifest)?;
    let info = Info {
        format: format::VERSION,
        engine: format::ENGINE.into(),
        package: request.package.clone(),
        stage: request.stage.clone(),
        build_dir,
        phases: request.phases.clone(),
        outputs: request.outputs.iter().map(|(name, path)| (name.clone(), path.display().to_string())).collect(),
        pinned,
        entries: saver.counts,
        bytes: Bytes { content: saver.content, layer: layer_bytes, manifest: manifest_bytes },
        newest: saver.newest.into(),
    };
    info::write(&request.to, &info)?;
    Ok(info)
}

/// The clock that files are stamped with. A clock before 1970 counts as 1970.
fn now() -> Mtime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Mtime { secs: since.as_secs().cast_signed(), nanos: since.subsec_nanos() }
}

struct Saver<'a> {
    archive: pax::Writer<frames::Writer<File>>,
    manifest: manifest::Writer<frames::Writer<File>>,
    layer: &'a Path,
    /// Device and inode of the state directory, which must not be saved into itself.
    target: (u64, u64),
    /// Where the first name of each inode with several names went.
    links: HashMap<(u64, u64), Vec<u8>>,
    counts: Counts,
    content: u64,
    newest: Mtime,
    /// When the save began.
    now: Mtime,
    buffer: Vec<u8>,
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

impl Saver<'_> {
    fn build_dir(&mut self, path: &Path, exclude: &[Vec<u8>]) -> Result<()> {
        let io = |source| Error::io(SAVE, path, source);
        let base = tree::open_base(path).map_err(io)?;
        let stat = statat(&base, ".", AtFlags::empty()).map_err(|errno| io(errno.into()))?;
        let mut names = tree::names(&base, b".").map_err(io)?;
        names.retain(|name| !format::is_nix_file(name) && !exclude.contains(name));
        self.add(&self.entry(format::BUILD.to_vec(), Kind::Directory, &stat))?;
        self.tree(&Root { base: path, prefix: join(format::BUILD, b""), cut: 0 }, base, names)
    }

    /// Saves the outputs that exist, in the archive's order, and names them.
    fn outputs(&mut self, outputs: &[(String, PathBuf)]) -> Result<()> {
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

    /// The shell state goes in without the mode and mtime of its file, which mean nothing.
    fn shell(&mut self, path: &Path) -> Result<()> {
        let io = |source| Error::io(SAVE, path, source);
        let mut content = Vec::new();
        File::open(path).and_then(|mut file| file.read_to_end(&mut content)).map_err(io)?;
        let mut entry = Entry {
            path: format::SHELL.to_vec(),
            kind: Kind::File,
            mode: 0o644,
            size: content.len() as u64,
            mtime: Mtime::default(),
            link: Vec::new(),
            hash: None,
        };
        entry.hash = Some(*blake3::hash(&content).as_bytes());
        self.counted(&entry);
        self.archive
            .member(&entry, entry.size)
            .and_then(|()| self.archive.write_all(&content))
            .and_then(|()| self.manifest.add(&entry))
            .map_err(|source| Error::io(SAVE, self.layer, source))
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
                    self.add(&Entry { link, ..self.entry(archived, Kind::HardLink, &stat) })?;
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
                    self.add(&self.entry(archived, Kind::Directory, &stat))?;
                    stack.push(Open { path, names: names.into_iter() });
                }
                FileType::RegularFile => {
                    let file = open(fd, &name, &stat).map_err(io)?;
                    self.file(archived, &file, &stat, shown)?;
                }
                FileType::Symlink => {
                    let target = readlinkat(fd, &name[..], Vec::new()).map_err(|errno| io(errno.into()))?;
                    let entry = self.entry(archived, Kind::Symlink, &stat);
                    self.add(&Entry { link: target.into_bytes(), ..entry })?;
                }
                FileType::Fifo => self.add(&self.entry(archived, Kind::Fifo, &stat))?,
                FileType::Socket => self.add(&self.entry(archived, Kind::Socket, &stat))?,
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

    /// `stat` as an entry without content.
    #[allow(clippy::unused_self, reason = "reads better beside `add`")]
    fn entry(&self, path: Vec<u8>, kind: Kind, stat: &Stat) -> Entry {
        let mode = stat.st_mode & 0o7777;
        Entry { path, kind, mode, size: 0, mtime: tree::mtime(stat), link: Vec::new(), hash: None }
    }

    fn counted(&mut self, entry: &Entry) {
        self.counts.add(entry.kind);
        self.content = self.content.saturating_add(entry.size);
        if entry.mtime <= self.now {
            self.newest = self.newest.max(entry.mtime);
        }
    }

    /// Adds an entry that has no content.
    fn add(&mut self, entry: &Entry) -> Result<()> {
        self.counted(entry);
        self.archive
            .member(entry, 0)
            .and_then(|()| self.manifest.add(entry))
            .map_err(|source| Error::io(SAVE, self.layer, source))
    }

    fn file(&mut self, path: Vec<u8>, file: &File, stat: &Stat, shown: impl Fn() -> PathBuf) -> Result<()> {
        let io = |source: io::Error| Error::io(SAVE, shown(), source);
        let changed = || Error::Refused {
            operation: SAVE,
            path: shown(),
            what: "it changed while it was being saved".into(),
            todo: "end the background processes of the phase before it returns",
        };
        let is_same = |file: &File| -> Result<bool> {
            let now = fstat(file).map_err(|errno| io(errno.into()))?;
            let state = |stat: &Stat| (stat.st_dev, stat.st_ino, stat.st_size, tree::mtime(stat));
            Ok(state(&now) == state(stat))
        };
        if !is_same(file)? {
            return Err(changed());
        }
        let size = u64::try_from(stat.st_size).map_err(|_| changed())?;
        // `st_blocks` counts units of 512 bytes.
        let may_have_holes = u64::try_from(stat.st_blocks).is_ok_and(|blocks| blocks.saturating_mul(512) < size);
        let map = if may_have_holes { Map::of(file, size).map_err(io)? } else { None };
        let kind = if map.is_some() { Kind::Sparse } else { Kind::File };
        let mut entry = Entry { size, ..self.entry(path, kind, stat) };
        let head = map.as_ref().map(Map::encode).unwrap_or_default();
        let pieces = map.map_or_else(|| vec![(0, size)], |map| map.pieces);
        let data: u64 = pieces.iter().map(|(_, len)| len).sum();
        let path = self.layer;
        let layer = |source| Error::io(SAVE, path, source);

        self.archive.member(&entry, head.len() as u64 + data).map_err(layer)?;
        self.archive.write_all(&head).map_err(layer)?;
        let mut hasher = blake3::Hasher::new();
        hasher.update(&head);
        for (start, len) in pieces {
            let mut at = start;
            while at < start + len {
                let wanted = usize::try_from(start + len - at).unwrap_or(BUFFER).min(BUFFER);
                let read = file.read_at(&mut self.buffer[..wanted], at).map_err(io)?;
                if read == 0 {
                    return Err(changed());
                }
                let bytes = &self.buffer[..read];
                hasher.update(bytes);
                self.archive.write_all(bytes).map_err(layer)?;
                at += read as u64;
            }
        }
        if !is_same(file)? {
            return Err(changed());
        }
        entry.hash = Some(*hasher.finalize().as_bytes());
        self.counted(&entry);
        self.manifest.add(&entry).map_err(layer)
    }
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
