//! Restoring a state: the build directory, the outputs and the shell state, as they were.
//!
//! The manifest is read and checked first ([`manifest::read`]), so that what cannot be restored is refused before
//! anything is written; then the layer streams by, and every member must be what the manifest says. No
//! symlink is followed and no file replaced, whatever the archive holds.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, chmodat, fchmod, ftruncate, futimens, linkat, mkdirat, mknodat, openat,
    statat, symlinkat, utimensat,
};
use rustix::io::Errno;

use super::entry::{Entry, Kind, Mtime, split_parent};
use super::error::{Error, Result, as_path};
use super::sparse::Map;
use super::tree::{self, Cursor, timestamps};
use super::{format, info, manifest, pax};

const RESTORE: &str = "restore";

/// A clock this far behind is waited for; more is a fault to report.
const WAIT: Duration = Duration::from_secs(10);

/// Content is written in pieces of this many bytes.
const BUFFER: usize = 1 << 18;

/// What to restore, and where to.
#[derive(Debug, Clone)]
pub struct Request {
    /// The state directory.
    pub from: PathBuf,
    /// The build directory: exists, and is the one the state was made in.
    pub build_dir: PathBuf,
    /// Where the shell state's file goes; its directory exists.
    pub shell: PathBuf,
    /// Name and path of each output the build has; need not be the paths saved from.
    pub outputs: Vec<(String, PathBuf)>,
    /// Name and staged prefix of each output, which must be those of the state; empty: not compared.
    pub staged: Vec<(String, PathBuf)>,
}

/// Restores a state. `notice` gets a sentence for everything that could not be kept exactly (such as setuid
/// bits where the sandbox forbids them) and for waiting.
///
/// # Errors
/// An unknown format, another build directory, other staged prefixes, an output nobody named, files that are in the way, a clock
/// far behind the one of the machine that saved, a damaged state, what the file system says. Once writing has
/// begun, what is restored by then stays.
pub fn restore(request: &Request, notice: &mut dyn FnMut(&str)) -> Result<()> {
    let info = info::read(RESTORE, &request.from)?;
    if Path::new(&info.build_dir) != request.build_dir {
        return Err(Error::OtherBuildDir {
            path: request.from.clone(),
            made_at: info.build_dir,
            runs_at: request.build_dir.display().to_string(),
        });
    }
    compare_outputs(request, &info.outputs)?;
    let entries = manifest::read(RESTORE, &request.from)?;
    wait_for_clock(&request.from, info.newest.into(), notice)?;
    let mut restorer = Restorer { places: places(request, &entries)?, notice, buffer: vec![0; BUFFER] };
    restorer.layer(&request.from.join(format::LAYER), &entries)?;
    restorer.directories(&entries)
}

/// What a state holds names its staged prefixes: in a chain with others it would be neither found nor relocated.
fn compare_outputs(request: &Request, made_with: &BTreeMap<String, String>) -> Result<()> {
    let told: BTreeMap<String, String> =
        request.staged.iter().map(|(name, path)| (name.clone(), path.display().to_string())).collect();
    if told.is_empty() || told == *made_with {
        return Ok(());
    }
    let list = |outputs: &BTreeMap<String, String>| {
        let words: Vec<String> = outputs.iter().map(|(name, prefix)| format!("{name}={prefix}")).collect();
        if words.is_empty() { "none named".to_owned() } else { words.join(" ") }
    };
    Err(Error::Refused {
        operation: RESTORE,
        path: request.from.clone(),
        what: format!("its outputs were staged at {}, and this stage's are {}", list(made_with), list(&told)),
        todo: "continue from a state of a package with the same name and outputs; without a pin, build that state again",
    })
}

fn wait_for_clock(state: &Path, newest: Mtime, notice: &mut dyn FnMut(&str)) -> Result<()> {
    let Ok(secs) = u64::try_from(newest.secs) else {
        return Ok(());
    };
    let newest = Duration::new(secs, newest.nanos.min(999_999_999));
    let ahead = |newest: Duration| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        newest.saturating_sub(now)
    };
    if ahead(newest) > WAIT {
        let ahead = ahead(newest);
        let seconds = ahead.as_secs() + u64::from(ahead.subsec_nanos() > 0);
        return Err(Error::Clock { path: state.into(), seconds });
    }
    // Past it, not at it: make takes equal times as up to date, and the next file must be newer.
    let past = newest + Duration::from_millis(1);
    // A wait that nobody notices is not worth a line in a log.
    if ahead(past) > Duration::from_millis(100) {
        let seconds = ahead(past).as_secs_f64();
        notice(&format!("the state is {seconds:.1} s ahead of this machine's clock; waiting that long"));
    }
    while !ahead(past).is_zero() {
        thread::sleep(ahead(past));
    }
    Ok(())
}

/// Where a part of the archive goes: the archive path `root` is the file `name` below `base`, or `base` itself where
/// `name` is empty.
struct Place {
    root: Vec<u8>,
    name: Vec<u8>,
    base: PathBuf,
    /// For the file being restored.
    cursor: Cursor,
    /// For the file that a hard link names, so that neither search moves the other.
    source: Cursor,
}

impl Place {
    fn new(root: Vec<u8>, base: &Path, name: Vec<u8>) -> Result<Self> {
        let open = || tree::open_base(base).map_err(|source| Error::io(RESTORE, base, source));
        let (cursor, source) = (Cursor::new(open()?), Cursor::new(open()?));
        Ok(Self { root, name, base: base.into(), cursor, source })
    }

    /// At the parent of `path`, which must have one.
    fn file(root: Vec<u8>, path: &Path) -> Result<Self> {
        match (path.parent(), path.file_name()) {
            (Some(parent), Some(name)) => {
                // The parent of a bare name is empty, which is no path to open.
                let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
                Self::new(root, parent, name.as_encoded_bytes().to_vec())
            }
            _ => Err(Error::Refused {
                operation: RESTORE,
                path: path.into(),
                what: "it cannot be the place of a file".into(),
                todo: "give the path of a file",
            }),
        }
    }

    /// The path below the base.
    fn below(&self, archived: &[u8]) -> Vec<u8> {
        let rest = &archived[self.root.len()..];
        if self.name.is_empty() {
            rest.strip_prefix(b"/").unwrap_or(rest).to_vec()
        } else {
            [&self.name, rest].concat()
        }
    }
}

/// The places that the entries need, by archive path of their root.
type Places = BTreeMap<Vec<u8>, Place>;

fn places(request: &Request, entries: &[Entry]) -> Result<Places> {
    let mut places = Places::new();
    let mut add = |place: Place| places.insert(place.root.clone(), place);
    add(Place::new(format::BUILD.to_vec(), &request.build_dir, Vec::new())?);
    add(Place::file(format::SHELL.to_vec(), &request.shell)?);
    for entry in entries {
        let (parent, name) = split_parent(&entry.path);
        if parent != format::OUTPUTS {
            continue;
        }
        let Some((_, path)) = request.outputs.iter().find(|(output, _)| output.as_bytes() == name) else {
            return Err(Error::Refused {
                operation: RESTORE,
                path: request.from.clone(),
                what: format!(
                    "it holds the output {:?}, which this stage does not have",
                    String::from_utf8_lossy(name)
                ),
                todo: "keep `outputs` the same in all stages",
            });
        };
        add(Place::file(entry.path.clone(), path)?);
    }
    Ok(places)
}

/// The archive path of the root that an entry belongs to: `build`, `shell` or `outputs/NAME`.
fn root_of(path: &[u8]) -> &[u8] {
    let mut slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
    let first = slashes.next();
    let end = match first {
        Some(first) if &path[..first] == format::OUTPUTS => slashes.next(),
        first => first,
    };
    &path[..end.unwrap_or(path.len())]
}

struct Restorer<'a> {
    places: Places,
    notice: &'a mut dyn FnMut(&str),
    buffer: Vec<u8>,
}

impl Restorer<'_> {
    /// Extracts the layer; everything but the modes and mtimes of directories is final afterwards.
    fn layer(&mut self, path: &Path, entries: &[Entry]) -> Result<()> {
        let reading = |source| Error::reading(RESTORE, path, source);
        let file = File::open(path).map_err(|source| Error::io(RESTORE, path, source))?;
        let decoder = zstd::Decoder::new(file).map_err(reading)?;
        let mut archive = pax::Reader::new(BufReader::with_capacity(BUFFER, decoder));
        for expected in entries {
            let differs = |what: &str| Error::damaged(RESTORE, as_path(&expected.path), what);
            let (member, data) =
                archive.next_member().map_err(reading)?.ok_or_else(|| differs("the archive ends before this entry"))?;
            if member != (Entry { hash: None, ..expected.clone() }) {
                return Err(differs("archive and manifest do not agree about this entry"));
            }
            let hash = self.member(expected, data, &mut archive, path)?;
            if hash != expected.hash {
                return Err(differs("its content is not what the manifest says"));
            }
        }
        match archive.next_member().map_err(reading)? {
            None => Ok(()),
            Some((extra, _)) => {
                Err(Error::damaged(RESTORE, as_path(&extra.path), "the manifest does not know this entry"))
            }
        }
    }

    fn place(&mut self, path: &[u8]) -> Result<&mut Place> {
        // `manifest::read` lets no other root pass, and `places` has made one for each.
        self.places.get_mut(root_of(path)).ok_or_else(|| Error::damaged(RESTORE, as_path(path), "it belongs nowhere"))
    }

    /// Makes one entry, and returns the hash of its content if it has any.
    fn member(&mut self, entry: &Entry, data: u64, archive: &mut impl Read, layer: &Path) -> Result<Option<[u8; 32]>> {
        if entry.path == format::BUILD {
            return Ok(None);
        }
        if entry.kind == Kind::HardLink {
            self.hard_link(entry)?;
            return Ok(None);
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        let place = self.place(&entry.path)?;
        let below = place.below(&entry.path);
        let shown = tree::shown(&place.base, &below);
        let (parent, name) = split_parent(&below);
        let io = |source: io::Error| Error::io(RESTORE, &shown, source);
        let parent = place.cursor.enter(parent).map_err(io)?;
        let mut dropped = false;
        let hash = if entry.is_file() {
            let file = create(parent, name).map_err(io)?;
            let mut content = Content { file: &file, archive, hasher: blake3::Hasher::new(), buffer: &mut buffer };
            content.copy(entry, data).map_err(|failure| match failure {
                Failure::Read(source) => Error::reading(RESTORE, layer, source),
                Failure::Write(source) => io(source),
            })?;
            let hash = *content.hasher.finalize().as_bytes();
            dropped = finish(&file, entry).map_err(io)?;
            Some(hash)
        } else {
            match entry.kind {
                Kind::Directory => directory(parent, name).map_err(io)?,
                _ => dropped = special(parent, name, entry).map_err(io)?,
            }
            None
        };
        self.buffer = buffer;
        if dropped {
            self.dropped(&shown);
        }
        Ok(hash)
    }

    fn dropped(&mut self, path: &Path) {
        let path = super::error::Shown(path);
        (self.notice)(&format!("{path}: its setuid or setgid bit cannot be set here; restored without it"));
    }

    fn hard_link(&mut self, entry: &Entry) -> Result<()> {
        let (from, to) = (root_of(&entry.link).to_vec(), root_of(&entry.path).to_vec());
        let place_of = |path: &[u8], root: &[u8]| {
            let place = self.places.get(root);
            place
                .map(|place| (place.below(path), place.base.clone()))
                .ok_or_else(|| Error::damaged(RESTORE, as_path(path), "it belongs nowhere"))
        };
        let (old, old_base) = place_of(&entry.link, &from)?;
        let (new, base) = place_of(&entry.path, &to)?;
        let io = |source: io::Error| Error::io(RESTORE, tree::shown(&base, &new), source);
        let from_io = |source: io::Error| Error::io(RESTORE, tree::shown(&old_base, &old), source);
        let (old_parent, old_name) = split_parent(&old);
        let (new_parent, new_name) = split_parent(&new);
        let source = self.place(&entry.link)?.source.enter(old_parent).map_err(from_io)?;
        // A descriptor of its own ends the borrow.
        let source = source.try_clone_to_owned().map_err(from_io)?;
        let target = self.place(&entry.path)?.cursor.enter(new_parent).map_err(io)?;
        match linkat(&source, old_name, target, new_name, AtFlags::empty()) {
            Ok(()) => Ok(()),
            // An output and the build directory can lie on different file systems (or mounts) here, though
            // they did not where the state was made.
            Err(Errno::XDEV) => {
                copy(&source, old_name, target, new_name, entry).map_err(io)?;
                let (old, new) = (tree::shown(&old_base, &old), tree::shown(&base, &new));
                let (old, new) = (super::error::Shown(&old), super::error::Shown(&new));
                (self.notice)(&format!("{new}: cannot be a hard link to {old} across file systems; copied"));
                Ok(())
            }
            Err(errno) => Err(io(errno.into())),
        }
    }

    /// Modes and mtimes of directories, deepest first: nothing changes them any more then, and none is closed
    /// before what is in it is done.
    fn directories(&mut self, entries: &[Entry]) -> Result<()> {
        for entry in entries.iter().rev().filter(|entry| entry.kind == Kind::Directory) {
            let place = self.place(&entry.path)?;
            let below = place.below(&entry.path);
            let shown = tree::shown(&place.base, &below);
            let mode = Mode::from_raw_mode(entry.mode);
            let times = timestamps(entry.mtime);
            if below.is_empty() {
                // The build directory is Nix's: where it is another user's, it stays as it is.
                let done = chmodat(CWD, &shown, mode, AtFlags::empty())
                    .and_then(|()| utimensat(CWD, &shown, &times, AtFlags::empty()));
                if let Err(errno) = done {
                    let shown = super::error::Shown(&shown);
                    (self.notice)(&format!("{shown}: cannot set its mode and mtime ({errno}); left as it is"));
                }
                continue;
            }
            let (parent, name) = split_parent(&below);
            let io = |source: io::Error| Error::io(RESTORE, &shown, source);
            let parent = place.cursor.enter(parent).map_err(io)?;
            let dropped = set_mode(entry.mode, |mode| chmodat(parent, name, mode, AtFlags::empty()));
            let dropped = dropped.map_err(io)?;
            utimensat(parent, name, &times, AtFlags::SYMLINK_NOFOLLOW).map_err(|errno| io(errno.into()))?;
            if dropped {
                self.dropped(&shown);
            }
        }
        Ok(())
    }
}

enum Failure {
    Read(io::Error),
    Write(io::Error),
}

/// The content of one file on its way from the archive to the disk.
struct Content<'a, R> {
    file: &'a File,
    archive: &'a mut R,
    hasher: blake3::Hasher,
    buffer: &'a mut [u8],
}

impl<R: Read> Content<'_, R> {
    fn copy(&mut self, entry: &Entry, data: u64) -> Result<(), Failure> {
        if entry.kind != Kind::Sparse {
            return self.piece(0, data);
        }
        let map = Map::decode(&mut *self.archive, entry.size, |block| {
            self.hasher.update(block);
        });
        let map = map.map_err(Failure::Read)?;
        if map.encode().len() as u64 + map.data() != data {
            let what = "the map of a sparse file does not fit its data";
            return Err(Failure::Read(io::Error::new(io::ErrorKind::InvalidData, what)));
        }
        ftruncate(self.file, entry.size).map_err(|errno| Failure::Write(errno.into()))?;
        map.pieces.iter().try_for_each(|(start, len)| self.piece(*start, *len))
    }

    fn piece(&mut self, start: u64, len: u64) -> Result<(), Failure> {
        let mut at = start;
        let end = start + len;
        while at < end {
            let wanted = usize::try_from(end - at).unwrap_or(BUFFER).min(self.buffer.len());
            let bytes = &mut self.buffer[..wanted];
            self.archive.read_exact(bytes).map_err(Failure::Read)?;
            self.hasher.update(bytes);
            self.file.write_all_at(bytes, at).map_err(Failure::Write)?;
            at += wanted as u64;
        }
        Ok(())
    }
}

fn create(parent: impl AsFd, name: &[u8]) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(parent, name, flags, Mode::RUSR | Mode::WUSR)?.into())
}

/// Sets mode and mtime of a written file. The mode first would be undone: writing clears setuid.
fn finish(file: &File, entry: &Entry) -> io::Result<bool> {
    let dropped = set_mode(entry.mode, |mode| fchmod(file, mode))?;
    futimens(file, &timestamps(entry.mtime))?;
    Ok(dropped)
}

/// Sets a mode, without setuid and setgid where they are forbidden (Nix's sandbox answers EPERM). Returns whether
/// they had to go.
fn set_mode(mode: u32, set: impl Fn(Mode) -> rustix::io::Result<()>) -> io::Result<bool> {
    match set(Mode::from_raw_mode(mode)) {
        Err(Errno::PERM) if mode & 0o6000 != 0 => {
            set(Mode::from_raw_mode(mode & !0o6000))?;
            Ok(true)
        }
        other => Ok(other.map(|()| false)?),
    }
}

/// Makes a directory, open to us until [`Restorer::directories`]; one that exists serves as well.
fn directory(parent: impl AsFd, name: &[u8]) -> io::Result<()> {
    match mkdirat(&parent, name, Mode::RWXU) {
        Err(Errno::EXIST) => {
            let stat = statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
            if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
                return Err(Errno::EXIST.into());
            }
            Ok(())
        }
        other => Ok(other?),
    }
}

/// Makes a symlink, pipe or socket with its mode and mtime. Returns whether setuid or setgid had to go.
fn special(parent: impl AsFd, name: &[u8], entry: &Entry) -> io::Result<bool> {
    let mut dropped = false;
    if entry.kind == Kind::Symlink {
        symlinkat(&entry.link[..], &parent, name)?;
    } else {
        let file_type = if entry.kind == Kind::Fifo { FileType::Fifo } else { FileType::Socket };
        mknodat(&parent, name, file_type, Mode::RUSR | Mode::WUSR, 0)?;
        dropped = set_mode(entry.mode, |mode| chmodat(&parent, name, mode, AtFlags::empty()))?;
    }
    utimensat(&parent, name, &timestamps(entry.mtime), AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(dropped)
}

/// Stands in for a hard link across file systems: the same file again, holes included.
fn copy(from: impl AsFd, old: &[u8], to: impl AsFd, new: &[u8], entry: &Entry) -> io::Result<()> {
    let stat = statat(&from, old, AtFlags::SYMLINK_NOFOLLOW)?;
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Kind::File,
        FileType::Symlink => Kind::Symlink,
        FileType::Fifo => Kind::Fifo,
        _ => Kind::Socket,
    };
    if kind != Kind::File {
        let link = match kind {
            Kind::Symlink => rustix::fs::readlinkat(&from, old, Vec::new())?.into_bytes(),
            _ => Vec::new(),
        };
        special(to, new, &Entry { kind, link, ..entry.clone() })?;
        return Ok(());
    }
    let chmod = |mode: u32| chmodat(&from, old, Mode::from_raw_mode(mode), AtFlags::empty());
    let mode = stat.st_mode & 0o7777;
    let is_closed = mode & 0o400 == 0;
    if is_closed {
        chmod(mode | 0o400)?;
    }
    let source = openat(&from, old, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty());
    if is_closed {
        chmod(mode)?;
    }
    let source = File::from(source?);
    let target = create(to, new)?;
    let size = source.metadata()?.len();
    ftruncate(&target, size)?;
    let map = Map::of(&source, size)?;
    let mut buffer = vec![0; BUFFER];
    for (start, len) in map.map_or_else(|| vec![(0, size)], |map| map.pieces) {
        let mut at = start;
        while at < start + len {
            let wanted = usize::try_from(start + len - at).unwrap_or(BUFFER).min(BUFFER);
            source.read_exact_at(&mut buffer[..wanted], at)?;
            target.write_all_at(&buffer[..wanted], at)?;
            at += wanted as u64;
        }
    }
    (&target).flush()?;
    finish(&target, entry)?;
    Ok(())
}

/// The shell state of a state directory, without restoring anything else.
///
/// # Errors
/// As for reading any state.
pub fn shell_state(state: &Path) -> Result<Vec<u8>> {
    const OPERATION: &str = "list";
    info::read(OPERATION, state)?;
    let path = state.join(format::LAYER);
    let reading = |source| Error::reading(OPERATION, &path, source);
    let file = fs::File::open(&path).map_err(|source| Error::io(OPERATION, &path, source))?;
    let mut archive = pax::Reader::new(BufReader::new(zstd::Decoder::new(file).map_err(reading)?));
    while let Some((entry, _)) = archive.next_member().map_err(reading)? {
        if entry.path == format::SHELL {
            let mut content = Vec::new();
            archive.read_to_end(&mut content).map_err(reading)?;
            return Ok(content);
        }
    }
    Err(Error::damaged(OPERATION, &path, "it holds no shell state"))
}
