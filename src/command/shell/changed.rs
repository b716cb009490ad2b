//! What a session changed: the build directory against the state it was restored from, as a patch.
//!
//! The directory is another program's to change while this reads it, and a hostile one's to plant links in: no symlink is
//! followed, and what is not a file when it is opened is none.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Mode, OFlags, ResolveFlags};
use similar::{Algorithm, TextDiff};

use super::session::About;
use crate::inspect::State;
use crate::inspect::content::Spool;
use crate::state::entry::Kind;
use crate::state::error::{Error, Result, Shown, as_path};
use crate::state::manifest::{self, Record};
use crate::state::{format, tree};

const OPERATION: &str = "compare";

/// A longer file is taken for binary: nobody reads such a patch.
const MOST: u64 = 16 << 20;

/// After this long a file's patch is written as it is then: right, but not the shortest.
const PATIENCE: Duration = Duration::from_secs(5);

/// A patch and what it leaves out.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Patch {
    /// For `patch -p1` in the source's top directory.
    pub text: Vec<u8>,
    /// Files that no patch can hold, or that lie outside the source's directory.
    pub named: Vec<String>,
}

/// Compares a session's build directory with its state: files that came with the source, or `all`.
///
/// # Errors
/// A state that is gone or damaged; what the file system says of the build directory.
pub fn patch(about: &About, all: bool) -> Result<Patch> {
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
        let after = base.content(below)?;
        if !is_same(named, after.as_ref()) {
            found.insert(below.to_vec(), Pair { before: Some(before), after });
        }
    }
    if all {
        for below in base.files()? {
            let is_new = manifest::find(records, &[b"build/", &below[..]].concat()).is_none();
            if let Some(after) = base.content(&below)?.filter(|_| is_new) {
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
    Text(Vec<u8>),
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
        Some(Content::Text(text)) => {
            text.len() as u64 == record.entry.size && record.entry.hash == Some(*blake3::hash(text).as_bytes())
        }
        Some(Content::Link(link)) => record.entry.kind == Kind::Symlink && record.entry.link == *link,
        // Too large to be read: its size is all that is looked at.
        Some(Content::Binary) => record.entry.size > MOST || record.entry.kind == Kind::Sparse,
        Some(Content::InLayer(_)) | None => false,
    }
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
        Ok(Some(Content::Text(text)))
    }

    /// All names below it but those of directories and of what Nix and the runtime put there.
    fn files(&self) -> Result<Vec<Vec<u8>>> {
        let fresh = tree::open_base(&self.path).map_err(|source| Error::io(OPERATION, &self.path, source))?;
        let mut cursor = tree::Cursor::new(fresh);
        let mut files = Vec::new();
        let mut todo = vec![Vec::new()];
        while let Some(directory) = todo.pop() {
            let fail = |source: io::Error| Error::io(OPERATION, tree::shown(&self.path, &directory), source);
            let names = cursor.enter(&directory).and_then(|at| tree::names(at, b".")).map_err(fail)?;
            for name in names {
                if directory.is_empty() && format::is_nix_file(&name) {
                    continue;
                }
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
            let text = spool.content(&state.records()[index], index);
            *content = Content::Text(text.map_err(|source| Error::reading(OPERATION, &state.path, source))?);
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
        let texts = (text(pair.before.as_ref()), text(pair.after.as_ref()));
        let (Some(below), (Some(before), Some(after))) = (below, texts) else {
            patch.named.push(shown);
            continue;
        };
        // A phase did that, and does it again in the next build.
        if !all && is_interpreter(&before, &after) {
            continue;
        }
        let name = |side: &str, is_there: bool| {
            if is_there { format!("{side}/{}", String::from_utf8_lossy(below)) } else { "/dev/null".to_owned() }
        };
        // A name that cannot stand in a patch.
        if below.iter().any(u8::is_ascii_control) || std::str::from_utf8(below).is_err() {
            patch.named.push(shown);
            continue;
        }
        let diff =
            TextDiff::configure().algorithm(Algorithm::Myers).timeout(PATIENCE).diff_lines(&before[..], &after[..]);
        let (old, new) = (name("a", pair.before.is_some()), name("b", pair.after.is_some()));
        // Writing to memory does not fail.
        let _ = diff.unified_diff().context_radius(3).header(&old, &new).to_writer(&mut patch.text);
    }
    patch
}

/// Whether two scripts differ in nothing but the interpreter they name: what stdenv's phases do to the source.
fn is_interpreter(before: &[u8], after: &[u8]) -> bool {
    let rest = |text: &[u8]| {
        let end = text.iter().position(|byte| *byte == b'\n').unwrap_or(text.len());
        text.starts_with(b"#!").then(|| text[end..].to_vec())
    };
    rest(before).is_some_and(|before| rest(after) == Some(before))
}

/// The text of a side, empty where there is no file; `None` for what a patch cannot hold.
fn text(content: Option<&Content>) -> Option<Vec<u8>> {
    match content {
        None => Some(Vec::new()),
        Some(Content::Text(text)) if !text.contains(&0) => Some(text.clone()),
        Some(_) => None,
    }
}
