//! Which names a source tree reads from its environment: scripts, makefiles and programs' sources that get at it.
//!
//! Knows text, and no variable in particular. A name counts where a text reads it by one of the shapes of `direct`
//! (`$NAME`, `getenv("NAME")`); where it stands as a word in a file that gets at the environment in any form (`text`), whole
//! or in two halves; where a list of the environment is picked from by a text that it fits (`listing`); and where it stands
//! in another file, if a file of the tree reads variables by names from elsewhere. A list that goes on into something may
//! read every name. Links that lead into the store are followed, and archives are looked into. Not seen are what is inside
//! compiled files, and what programs outside the tree read.

mod direct;
pub mod kind;
pub mod listing;
mod packed;
mod shell_listing;
mod store;
#[cfg(test)]
mod tests;
pub mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, openat, readlinkat, statat};
use rustix::io::Errno;

use super::error::{Error, Result};
use super::tree::{self, Cursor};
use super::{entry, nix_files};
use text::Table;

const MENTIONS: &str = "mentions";

/// Files are read in pieces of this many bytes.
const PIECE: usize = 1 << 20;

/// What of a piece is looked at again with the next one, so that nothing is cut: more than a shape can take.
const OVERLAP: usize = 1 << 10;

/// A file with a NUL in its first bytes is no text. Object files and archives have one there as well.
const HEAD: usize = 1 << 12;

/// So many lists without proof are named.
const UNPROVEN: usize = 5;

/// Where to look, and for what.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The tree.
    pub build_dir: PathBuf,
    /// Files at its top that are not looked at.
    pub exclude: Vec<Vec<u8>>,
    /// Which files Nix put there, as [`nix_files::note`] noted them: what is still as it was is not looked at either.
    pub nix_files: Option<PathBuf>,
    /// Looks only at files that changed (by ctime, which nobody can set back) since this file did; without one, at all.
    pub newer_than: Option<PathBuf>,
    /// The names to look for.
    pub names: BTreeSet<String>,
    /// Whether there is a file of all attributes, which a program may read.
    pub has_attributes: bool,
}

/// What the tree's files do, each with the first file that does it, in the order of their paths below the build directory.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The names that are read.
    pub names: BTreeMap<String, PathBuf>,
    /// Names that stand in files which do not get at the environment themselves.
    pub named: BTreeMap<String, PathBuf>,
    /// The file that reads variables by names which it has from elsewhere.
    pub computed: Option<PathBuf>,
    /// The file that may read every variable, and how.
    pub all: Option<(PathBuf, String)>,
    /// Files that list the variables, without proof of a read, and how.
    pub unproven: Vec<(PathBuf, String)>,
}

impl Found {
    fn add(&mut self, path: &Path, findings: text::Findings) {
        for name in findings.reads {
            self.names.entry(name).or_insert_with(|| path.to_owned());
        }
        for name in findings.named {
            self.named.entry(name).or_insert_with(|| path.to_owned());
        }
        if findings.is_computed && self.computed.is_none() {
            self.computed = Some(path.to_owned());
        }
        if let Some(what) = findings.all
            && self.all.is_none()
        {
            self.all = Some((path.to_owned(), what));
        }
        if let Some(what) = findings.unproven
            && self.unproven.len() < UNPROVEN
        {
            self.unproven.push((path.to_owned(), what));
        }
    }

    /// The answer as the runtime reads it: key and text in turn, each ended by a NUL. Keys that begin with `/` are no names:
    /// `/named/NAME`, `/computed`, `/all`, `/unproven/PATH`.
    pub fn write(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut record = |key: &str, text: &[u8]| out.extend([key.as_bytes(), b"\0", text, b"\0"].concat());
        for (name, path) in &self.names {
            record(name, path.as_os_str().as_bytes());
        }
        for (name, path) in &self.named {
            record(&format!("/named/{name}"), path.as_os_str().as_bytes());
        }
        if let Some(path) = &self.computed {
            record("/computed", path.as_os_str().as_bytes());
        }
        if let Some((path, what)) = &self.all {
            record("/all", &[path.as_os_str().as_bytes(), b" (", what.as_bytes(), b")"].concat());
        }
        for (path, what) in &self.unproven {
            record(&format!("/unproven/{}", path.display()), what.as_bytes());
        }
        out
    }
}

/// What the files of the tree do. Files that their owner may not read are passed over.
///
/// # Errors
/// What the file system says.
pub fn mentions(request: &Request) -> Result<Found> {
    let io = |source: io::Error| Error::io(MENTIONS, &request.build_dir, source);
    let since = match &request.newer_than {
        Some(stamp) => {
            let stamp = fs::metadata(stamp).map_err(|source| Error::io(MENTIONS, stamp, source))?;
            (stamp.ctime(), stamp.ctime_nsec())
        }
        None => (i64::MIN, 0),
    };
    let nix_files = request.nix_files.as_deref().map(|from| nix_files::find(MENTIONS, &request.build_dir, from));
    let exclude = [&request.exclude[..], &nix_files.transpose()?.unwrap_or_default().untouched].concat();
    let mut search = Search::new(&request.names, request.has_attributes);
    let mut cursor = Cursor::new(tree::open_base(&request.build_dir).map_err(io)?);
    // Paths still to be visited, the next one last.
    let mut pending = vec![Vec::new()];
    while let Some(path) = pending.pop() {
        if search.table.is_empty() {
            break;
        }
        let (parent, name) = entry::split_parent(&path);
        let below = |source: Errno| Error::io(MENTIONS, tree::shown(&request.build_dir, &path), source);
        let parent = cursor.enter(parent).map_err(io)?;
        let name = if name.is_empty() { b"." } else { name };
        let stat = match statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::ACCESS) => continue,
            Err(errno) => return Err(below(errno)),
        };
        let is_new = (stat.st_ctime, stat.st_ctime_nsec.cast_signed()) >= since;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                let mut names = match tree::names(parent, name) {
                    Ok(names) => names,
                    Err(error) if error.kind() == io::ErrorKind::PermissionDenied => continue,
                    Err(error) => return Err(Error::io(MENTIONS, tree::shown(&request.build_dir, &path), error)),
                };
                names.sort_unstable_by(|one, other| other.cmp(one));
                names.retain(|name| !(path.is_empty() && exclude.contains(name)));
                pending.extend(names.into_iter().map(|name| entry::join(&path, &name)));
            }
            FileType::RegularFile if is_new => {
                let Some(file) = open(parent, name).map_err(below)? else { continue };
                let shown = tree::shown(&PathBuf::new(), &path);
                let read = search.file(&mut { file }, &shown);
                read.map_err(|source| Error::io(MENTIONS, tree::shown(&request.build_dir, &path), source))?;
            }
            FileType::Symlink if is_new => {
                if let Ok(target) = readlinkat(parent, name, Vec::new())
                    && store::is_store_path(target.to_bytes())
                {
                    store::search(&mut search, Path::new(std::ffi::OsStr::from_bytes(target.to_bytes())));
                }
            }
            _ => {}
        }
    }
    Ok(search.found)
}

/// What files and directories of the store do that a text names, or that links lead to.
pub fn in_store(names: &BTreeSet<String>, paths: &[PathBuf], has_attributes: bool) -> Found {
    let mut search = Search::new(names, has_attributes);
    if !search.table.is_empty() {
        for path in paths {
            store::search(&mut search, path);
        }
    }
    search.found
}

/// What one text does, whatever its path.
pub fn in_text(names: &BTreeSet<String>, kind: kind::Kind, content: &[u8], has_attributes: bool) -> text::Findings {
    let table = Table::new(names);
    let mut search = text::Search::new(&table, kind, false, has_attributes);
    search.piece(content);
    search.end()
}

/// The file, or nothing where its mode forbids reading.
fn open(parent: impl AsFd, name: &[u8]) -> Result<Option<File>, Errno> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NOATIME | OFlags::CLOEXEC;
    match openat(&parent, name, flags, Mode::empty()) {
        // Not our file: then its atime changes.
        Err(Errno::PERM) => match openat(&parent, name, flags - OFlags::NOATIME, Mode::empty()) {
            Err(Errno::ACCESS) => Ok(None),
            other => Ok(Some(other?.into())),
        },
        Err(Errno::ACCESS) => Ok(None),
        other => Ok(Some(other?.into())),
    }
}

struct Search {
    table: Table,
    has_attributes: bool,
    found: Found,
    buffer: Vec<u8>,
    /// What of the store was searched, and of archives.
    store: store::Seen,
    packed: packed::Seen,
}

impl Search {
    fn new(names: &BTreeSet<String>, has_attributes: bool) -> Self {
        Self {
            table: Table::new(names),
            has_attributes,
            found: Found::default(),
            buffer: Vec::new(),
            store: store::Seen::default(),
            packed: packed::Seen::default(),
        }
    }

    /// Searches a file, if it is text or can be unpacked.
    fn file(&mut self, file: &mut dyn Read, path: &Path) -> io::Result<()> {
        // Its variables are Nix's own.
        if path.extension().is_some_and(|extension| extension == "nix") {
            return Ok(());
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        let mut search = None;
        loop {
            let before = buffer.len();
            let read = file.take(PIECE as u64).read_to_end(&mut buffer)?;
            let head = &buffer[..buffer.len().min(HEAD)];
            if search.is_none() && packed::is_packed(head) {
                return packed::search(self, &buffer, file, path);
            }
            if search.is_none() && memchr::memchr(0, head).is_some() {
                break;
            }
            let search = search.get_or_insert_with(|| {
                text::Search::new(&self.table, kind::of(path, head), kind::is_aside(path), self.has_attributes)
            });
            search.piece(&buffer);
            if read < PIECE || before + read < PIECE {
                break;
            }
            buffer.drain(..buffer.len() - OVERLAP);
        }
        self.buffer = buffer;
        if let Some(search) = search {
            self.found.add(path, search.end());
        }
        Ok(())
    }
}
