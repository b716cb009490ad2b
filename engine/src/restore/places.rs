//! Where the parts of an archive go in the file system.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::super::entry::split_parent;
use super::super::error::{Error, Result, as_path};
use super::super::format;
use super::super::records::Records;
use super::super::tree::{self, Cursor};
use super::{RESTORE, Request};

/// Where a part of the archive goes: the archive path `root` is the file `name` below `base`, or `base` itself where
/// `name` is empty.
pub struct Place {
    root: Vec<u8>,
    name: Vec<u8>,
    /// The directory that the cursors start from, for messages.
    pub base: PathBuf,
    /// For the file being restored.
    pub cursor: Cursor,
    /// For the file that a hard link names, so that neither search moves the other.
    pub source: Cursor,
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
    pub fn below(&self, archived: &[u8]) -> Vec<u8> {
        let rest = &archived[self.root.len()..];
        if self.name.is_empty() {
            rest.strip_prefix(b"/").unwrap_or(rest).to_vec()
        } else {
            [&self.name, rest].concat()
        }
    }
}

/// The places that the entries of a state need. One thread's: the cursors move.
pub struct Places(BTreeMap<Vec<u8>, Place>);

impl Places {
    /// The archive paths of the roots in a state that not every state has: outputs, and directories outside.
    ///
    /// # Errors
    /// Those of the temporary file.
    pub fn roots(records: &Records) -> io::Result<Vec<Vec<u8>>> {
        let mut roots = Vec::new();
        records.each(|_, record| {
            let parent = split_parent(&record.entry.path).0;
            if parent == format::OUTPUTS {
                roots.push(record.entry.path.clone());
            } else if format::has_no_member(parent) && roots.last().is_none_or(|last| last != parent) {
                roots.push(parent.to_vec());
            }
            Ok(())
        })?;
        Ok(roots)
    }

    /// Opens them, for a state with these roots.
    ///
    /// # Errors
    /// A root that the request does not name; what the file system says.
    pub fn open(request: &Request, roots: &[Vec<u8>]) -> Result<Self> {
        let mut places = BTreeMap::new();
        let mut add = |place: Place| places.insert(place.root.clone(), place);
        add(Place::new(format::BUILD.to_vec(), &request.build_dir, Vec::new())?);
        add(Place::file(format::SHELL.to_vec(), &request.shell)?);
        for path in roots {
            let (parent, name) = split_parent(path);
            if parent.is_empty() {
                let outside = request.outside.iter().find(|(root, _)| root.as_bytes() == path);
                let Some((_, to)) = outside else {
                    return Err(Error::Refused {
                        operation: RESTORE,
                        path: request.from.clone(),
                        what: format!("it holds files of /{}, which have no place here", String::from_utf8_lossy(path)),
                        todo: "restore it where the build has that directory to itself (in a sandbox)",
                    });
                };
                add(Place::new(path.clone(), to, Vec::new())?);
                continue;
            }
            let Some((_, to)) = request.outputs.iter().find(|(output, _)| output.as_bytes() == name) else {
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
            add(Place::file(path.clone(), to)?);
        }
        Ok(Self(places))
    }

    /// The place of an entry.
    ///
    /// # Errors
    /// An entry that belongs nowhere, which reading a manifest does not let pass.
    pub fn of(&mut self, path: &[u8]) -> Result<&mut Place> {
        self.0.get_mut(root_of(path)).ok_or_else(|| Error::damaged(RESTORE, as_path(path), "it belongs nowhere"))
    }
}

/// The archive path of the root that an entry belongs to: `build`, `shell`, `shm`, `tmp` or `outputs/NAME`.
fn root_of(path: &[u8]) -> &[u8] {
    let mut slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
    let first = slashes.next();
    let end = match first {
        Some(first) if &path[..first] == format::OUTPUTS => slashes.next(),
        first => first,
    };
    &path[..end.unwrap_or(path.len())]
}
