//! Trees side by side.
//!
//! Owns the walk and what is compared about an entry other than a file's bytes.

use super::content::{self, Pair};
use super::context::{Context, Found, Outcome, Side};
use super::what::What;
use super::{Difference, Error, Excuse, Excused, Report, record};
use std::collections::{BTreeMap, HashMap};
use std::fs::{FileType, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// One result's entries, by output and neutral path.
#[derive(Debug)]
pub struct Tree {
    pub entries: BTreeMap<Vec<u8>, Entry>,
}

/// A file, directory or link.
#[derive(Debug, Clone)]
pub struct Entry {
    pub path: PathBuf,
    pub meta: Metadata,
    /// The first of the paths that are this inode; the entry's own if there is no other.
    pub leader: Vec<u8>,
    /// Whether it has another name on each side, after a build-id.
    pub renamed: bool,
}

fn io(operation: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { operation, path, source }
}

impl Tree {
    /// Reads the trees of all outputs, in the order of the context's names: names and metadata, no contents.
    pub fn read<'p>(context: &Context, side: Side, roots: impl Iterator<Item = &'p PathBuf>) -> Result<Self, Error> {
        let mut entries = BTreeMap::new();
        for (name, root) in context.names.iter().zip(roots) {
            let mut todo = vec![(root.clone(), name.as_bytes().to_vec())];
            while let Some((path, neutral_path)) = todo.pop() {
                let meta = path.symlink_metadata().map_err(io("look at", &path))?;
                if meta.is_dir() {
                    for child in std::fs::read_dir(&path).map_err(io("list", &path))? {
                        let child = child.map_err(io("list", &path))?.path();
                        let name = context.neutral(side, child.file_name().unwrap_or_default().as_bytes());
                        let neutral_path = [&neutral_path[..], b"/", &name].concat();
                        todo.push((child, neutral_path));
                    }
                }
                let leader = neutral_path.clone();
                entries.insert(neutral_path, Entry { path, meta, leader, renamed: false });
            }
        }
        Ok(Self { entries })
    }

    /// Finds which paths are the same inode; once the paths are the final ones.
    pub fn link(&mut self) {
        let mut leaders: HashMap<(u64, u64), Vec<u8>> = HashMap::new();
        for (path, entry) in &mut self.entries {
            if !entry.meta.is_dir() && entry.meta.nlink() > 1 {
                let inode = (entry.meta.dev(), entry.meta.ino());
                let leader = leaders.entry(inode).or_insert_with(|| path.clone());
                entry.leader.clone_from(leader);
            }
        }
    }
}

fn kind(of: FileType) -> &'static str {
    if of.is_dir() {
        "directory"
    } else if of.is_symlink() {
        "symlink"
    } else if of.is_file() {
        "file"
    } else if of.is_fifo() {
        "fifo"
    } else if of.is_socket() {
        "socket"
    } else {
        "device"
    }
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Compares everything and adds what it finds to `report`.
pub fn compare(context: &Context, a: &Tree, b: &Tree, report: &mut Report) -> Result<(), Error> {
    // Links to one inode are compared once: (inode, inode) already seen.
    let mut seen = std::collections::HashSet::new();
    for (path, entry) in &a.entries {
        report.compared += 1;
        let outcome = match b.entries.get(path) {
            None => Outcome::of(Found::whole(What::OnlyInFirst)),
            Some(twin) => {
                let inode = |e: &Entry| (e.meta.dev(), e.meta.ino());
                let is_new = entry.meta.is_dir() || seen.insert((inode(entry), inode(twin)));
                entries(context, entry, twin, is_new)?
            }
        };
        add(report, path, outcome);
    }
    for path in b.entries.keys().filter(|path| !a.entries.contains_key(*path)) {
        report.compared += 1;
        add(report, path, Outcome::of(Found::whole(What::OnlyInSecond)));
    }
    report.differences.sort_by(|x, y| x.file.cmp(&y.file));
    Ok(())
}

fn add(report: &mut Report, path: &[u8], outcome: Outcome) {
    let file = shown(path);
    for Found { members, what, shown, places } in outcome.found {
        report.differences.push(Difference { file: file.clone(), members, what, shown, places });
    }
    report.excused.extend(outcome.excused.into_iter().map(|(rule, times)| Excused { file: file.clone(), rule, times }));
}

/// Compares two entries of one name; their contents where `is_new`.
fn entries(context: &Context, entry: &Entry, twin: &Entry, is_new: bool) -> Result<Outcome, Error> {
    let mut outcome = Outcome::default();
    let kinds = (kind(entry.meta.file_type()), kind(twin.meta.file_type()));
    if kinds.0 != kinds.1 {
        return Ok(Outcome::of(Found::whole(What::Kind(kinds.0, kinds.1))));
    }
    if entry.renamed || twin.renamed {
        outcome.excuse(Excuse::DebugName);
    }
    let modes = (entry.meta.mode() & 0o7777, twin.meta.mode() & 0o7777);
    if modes.0 != modes.1 {
        outcome.found.push(Found::whole(What::Mode(modes.0, modes.1)));
    }
    if entry.leader != twin.leader {
        outcome.found.push(Found::whole(What::HardLink(shown(&entry.leader), shown(&twin.leader))));
    }
    if entry.meta.is_symlink() {
        let read = |e: &Entry| std::fs::read_link(&e.path).map_err(io("read the link", &e.path));
        let (one, other) = (read(entry)?, read(twin)?);
        if let Some(rules) = context.same_text(one.as_os_str().as_bytes(), other.as_os_str().as_bytes()) {
            outcome.excuse_all(rules);
        } else {
            let target = |path: &Path| shown(path.as_os_str().as_bytes());
            outcome.found.push(Found::whole(What::Target(target(&one), target(&other))));
        }
    }
    if entry.meta.is_file() && is_new {
        let read = |e: &Entry| std::fs::read(&e.path).map_err(io("read", &e.path));
        let (one, other) = (read(entry)?, read(twin)?);
        let name = entry.path.to_string_lossy();
        let pair = Pair { a: &one, b: &other, name: &name, paths: Some([&entry.path, &twin.path]), depth: 0 };
        let inner = content::compare(context, &pair);
        if !inner.found.is_empty() && record::same(context, &pair) {
            outcome.excuse(Excuse::Record);
        } else {
            outcome.found.extend(inner.found);
            outcome.excused.extend(inner.excused);
        }
    }
    Ok(outcome)
}
