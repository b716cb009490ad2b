//! What a session changed: the build directory against the state it was restored from, as a patch.
//!
//! The directory is another program's to change while this reads it, and a hostile one's to plant links in: no symlink is
//! followed, and what is not a file when it is opened is none.

use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::session::About;
use crate::inspect::State;
use crate::inspect::content::Spool;
use crate::inspect::patch::{self, Side};
use crate::state::entry::{Kind, Mtime};
use crate::state::error::{Error, Result, Shown, as_path};
use crate::state::manifest::{self, Record};
use crate::state::tree;

const OPERATION: &str = "compare";

/// A longer file is taken for binary: nobody reads such a patch.
const MOST: u64 = 16 << 20;

/// A patch and what it leaves out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Patch {
    /// For `patch -p1` in the source's top directory.
    pub text: Vec<u8>,
    /// The files that it changes.
    pub files: Vec<String>,
    /// Files that no patch can hold, or that lie outside the source's directory.
    pub named: Vec<String>,
}

impl Patch {
    /// Whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty() && self.named.is_empty()
    }
}

/// Which files are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// All of the build directory.
    All,
    /// Those that came with the source.
    Source,
    /// Of those, the ones whose size or time is another than it was.
    SourceByTime,
}

/// Compares a session's build directory with its state.
///
/// # Errors
/// A state that is gone or damaged; what the file system says of the build directory.
pub fn patch(about: &About, which: Which) -> Result<Patch> {
    let all = which == Which::All;
    let state = State::open(&about.state)?;
    let records = state.records();
    let source = source_files(about, &state)?;
    let base = Directory::open(&about.build)?;
    let mut found: BTreeMap<Vec<u8>, Pair> = BTreeMap::new();
    for (index, record) in records.iter().enumerate() {
        let path = &record.entry.path;
        let Some(below) = path.strip_prefix(b"build/") else { continue };
        if !all && source.binary_search(path).is_err() {
            continue;
        }
        let (index, named) = target(records, index, record);
        let before = match named.entry.kind {
            Kind::File if named.entry.size <= MOST => Content::InLayer(index),
            Kind::File | Kind::Sparse => Content::Binary,
            Kind::Symlink => Content::Link(named.entry.link.clone()),
            _ => continue,
        };
        if which == Which::SourceByTime && base.is_untouched(below, named)? {
            continue;
        }
        let after = base.content(below)?;
        if !is_same(named, after.as_ref()) {
            found.insert(below.to_vec(), Pair { before: Some(before), after });
        }
    }
    if all {
        for below in base.files()? {
            let is_known = manifest::find(records, &[b"build/", &below[..]].concat()).is_some()
                || about.nix_files.iter().any(|name| name.as_bytes() == below);
            if is_known {
                continue;
            }
            if let Some(after) = base.content(&below)?.filter(|content| !is_dump(&below, content)) {
                found.insert(below, Pair { before: None, after: Some(after) });
            }
        }
    }
    fill(&mut found, &state)?;
    Ok(written(&found, &root_below_top(about), all))
}

/// What a file held.
#[derive(Debug)]
enum Content {
    /// With the file's mode.
    Text(Vec<u8>, u32),
    Link(Vec<u8>),
    Binary,
    /// Not read yet: the record with this index has it.
    InLayer(usize),
}

#[derive(Debug)]
struct Pair {
    before: Option<Content>,
    after: Option<Content>,
}

/// The archive paths of the source's files, in order of their bytes: what the first state of the chain holds.
fn source_files(about: &About, state: &State) -> Result<Vec<Vec<u8>>> {
    let first = match &about.source {
        Some(source) if source.is_dir() => source.clone(),
        // Collected: the oldest that there is.
        _ => state.chain()?.swap_remove(0),
    };
    let records = manifest::read(OPERATION, &first)?.records;
    let mut paths: Vec<Vec<u8>> = records.into_iter().map(|record| record.entry.path).collect();
    paths.sort_unstable();
    Ok(paths)
}

/// The record that has the content: of a hard link what it names, of anything else itself.
fn target<'a>(records: &'a [Record], index: usize, record: &'a Record) -> (usize, &'a Record) {
    let named =
        (record.entry.kind == Kind::HardLink).then(|| manifest::position(records, &record.entry.link)).flatten();
    named.map_or((index, record), |index| (index, &records[index]))
}

fn is_same(record: &Record, after: Option<&Content>) -> bool {
    match after {
        Some(Content::Text(text, _)) => {
            text.len() as u64 == record.entry.size && record.entry.hash == Some(*blake3::hash(text).as_bytes())
        }
        Some(Content::Link(link)) => record.entry.kind == Kind::Symlink && record.entry.link == *link,
        // Too large to be read: its size is all that is looked at.
        Some(Content::Binary) => record.entry.size > MOST || record.entry.kind == Kind::Sparse,
        Some(Content::InLayer(_)) | None => false,
    }
}

/// Whether a file is the dump of its environment that stdenv writes at the top before each phase.
fn is_dump(below: &[u8], content: &Content) -> bool {
    let is_list = |text: &[u8]| [&b"declare -x "[..], b"export "].iter().any(|start| text.starts_with(start));
    below == b"env-vars" && matches!(content, Content::Text(text, _) if is_list(text))
}

/// The session's build directory.
struct Directory {
    path: PathBuf,
    descriptor: std::os::fd::OwnedFd,
}

impl Directory {
    fn open(path: &Path) -> Result<Self> {
        let descriptor = tree::open_base(path).map_err(|source| Error::io(OPERATION, path, source))?;
        Ok(Self { path: path.to_owned(), descriptor })
    }

    /// What is there now; `None` for nothing, or what is neither file nor symlink.
    fn content(&self, below: &[u8]) -> Result<Option<Content>> {
        let fail = |source: io::Error| Error::io(OPERATION, tree::shown(&self.path, below), source);
        let (parent, name) = crate::state::entry::split_parent(below);
        let parent = if parent.is_empty() { b"." } else { parent };
        let within = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let open = |at, path: &[u8], flags| {
            let opened =
                rustix::fs::openat2(at, path, flags | OFlags::CLOEXEC | OFlags::NOFOLLOW, Mode::empty(), within);
            opened.map_err(io::Error::from)
        };
        let directory = match open(&self.descriptor, parent, OFlags::PATH | OFlags::DIRECTORY) {
            Err(error) if is_absent(&error) => return Ok(None),
            directory => directory.map_err(fail)?,
        };
        match rustix::fs::readlinkat(&directory, name, Vec::new()) {
            Ok(link) => return Ok(Some(Content::Link(link.into_bytes()))),
            Err(rustix::io::Errno::INVAL) => {}
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            Err(error) => return Err(fail(error.into())),
        }
        // A named pipe would wait for its other end.
        let file = match open(&directory, name, OFlags::RDONLY | OFlags::NONBLOCK) {
            Err(error) if is_absent(&error) || error.raw_os_error() == Some(rustix::io::Errno::NXIO.raw_os_error()) => {
                return Ok(None);
            }
            file => File::from(file.map_err(fail)?),
        };
        let metadata = file.metadata().map_err(fail)?;
        if !metadata.is_file() {
            return Ok(None);
        }
        if metadata.len() > MOST {
            return Ok(Some(Content::Binary));
        }
        let mut text = Vec::new();
        file.take(MOST).read_to_end(&mut text).map_err(fail)?;
        Ok(Some(Content::Text(text, metadata.mode())))
    }

    /// Whether a file has the size and the time that it was restored with.
    fn is_untouched(&self, below: &[u8], record: &Record) -> Result<bool> {
        match rustix::fs::statat(&self.descriptor, below, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(found) => {
                let size = u64::try_from(found.st_size).unwrap_or_default();
                let time =
                    Mtime { secs: found.st_mtime, nanos: u32::try_from(found.st_mtime_nsec).unwrap_or_default() };
                Ok(record.entry.is_file() && (size, time) == (record.entry.size, record.entry.mtime))
            }
            Err(error) if is_absent(&error.into()) => Ok(false),
            Err(error) => Err(Error::io(OPERATION, tree::shown(&self.path, below), error)),
        }
    }

    /// All names below it but those of directories.
    fn files(&self) -> Result<Vec<Vec<u8>>> {
        let fresh = tree::open_base(&self.path).map_err(|source| Error::io(OPERATION, &self.path, source))?;
        let mut cursor = tree::Cursor::new(fresh);
        let mut files = Vec::new();
        let mut todo = vec![Vec::new()];
        while let Some(directory) = todo.pop() {
            let fail = |source: io::Error| Error::io(OPERATION, tree::shown(&self.path, &directory), source);
            let names = cursor.enter(&directory).and_then(|at| tree::names(at, b".")).map_err(fail)?;
            for name in names {
                let path = crate::state::entry::join(&directory, &name);
                let kind = tree::shown(&self.path, &path).symlink_metadata().map_err(fail)?.file_type();
                if kind.is_dir() { todo.push(path) } else { files.push(path) }
            }
        }
        Ok(files)
    }
}

fn is_absent(error: &io::Error) -> bool {
    use rustix::io::Errno;
    [Errno::NOENT, Errno::NOTDIR, Errno::LOOP].iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// Reads what files held before out of the layers.
fn fill(found: &mut BTreeMap<Vec<u8>, Pair>, state: &State) -> Result<()> {
    let befores = || found.values().filter_map(|pair| pair.before.as_ref());
    let mut wanted = vec![false; state.records().len()];
    for content in befores() {
        if let Content::InLayer(index) = content {
            wanted[*index] = true;
        }
    }
    let mut spool = Spool::fill(state, &wanted)?;
    for content in found.values_mut().filter_map(|pair| pair.before.as_mut()) {
        if let Content::InLayer(index) = *content {
            let record = &state.records()[index];
            let text = spool.content(record, index);
            let text = text.map_err(|source| Error::reading(OPERATION, &state.path, source))?;
            *content = Content::Text(text, record.entry.mode);
        }
    }
    Ok(())
}

/// The source's top directory below the build directory, empty if it is that itself.
fn root_below_top(about: &About) -> Vec<u8> {
    let root = Path::new(&about.source_root);
    let below = root.strip_prefix(&about.top).unwrap_or(root);
    let parts = below.components().filter(|part| !matches!(part, std::path::Component::CurDir));
    if below.is_absolute() { Vec::new() } else { parts.collect::<PathBuf>().as_os_str().as_bytes().to_vec() }
}

fn written(found: &BTreeMap<Vec<u8>, Pair>, root: &[u8], all: bool) -> Patch {
    let mut patch = Patch::default();
    for (path, pair) in found {
        let below = match path.strip_prefix(root) {
            Some(below) if root.is_empty() => Some(below),
            Some(below) => below.strip_prefix(b"/"),
            None => None,
        };
        let shown = Shown(as_path(path)).to_string();
        let sides = below.map(|below| (side(below, pair.before.as_ref()), side(below, pair.after.as_ref())));
        let Some((Ok(before), Ok(after))) = sides else {
            patch.named.push(shown);
            continue;
        };
        // A phase did that, and does it again in the next build.
        if !all && is_interpreter(before.as_ref(), after.as_ref()) {
            continue;
        }
        // Writing to memory does not fail.
        let _ = patch::file(before.as_ref(), after.as_ref(), false, &mut patch.text);
        patch.files.push(shown);
    }
    patch
}

/// Whether two scripts differ in nothing but the interpreter they name: what stdenv's phases do to the source.
fn is_interpreter(before: Option<&Side>, after: Option<&Side>) -> bool {
    let rest = |side: Option<&Side>| match &side?.content {
        patch::Content::Text(text) if text.starts_with(b"#!") => {
            Some(text[text.iter().position(|byte| *byte == b'\n').unwrap_or(text.len())..].to_vec())
        }
        _ => None,
    };
    rest(before).is_some_and(|before| rest(after) == Some(before))
}

/// A side for the patch, none where there is no file; an error for what a patch should not hold.
fn side(below: &[u8], content: Option<&Content>) -> std::result::Result<Option<Side>, ()> {
    match content {
        None => Ok(None),
        Some(Content::Text(text, mode)) if !text.contains(&0) => {
            let (path, mode) = (below.to_vec(), patch::file_mode(*mode));
            Ok(Some(Side { path, mode, content: patch::Content::Text(text.clone()) }))
        }
        Some(_) => Err(()),
    }
}
