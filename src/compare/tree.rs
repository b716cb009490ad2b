//! Trees side by side.
//!
//! Owns the walk and what is compared about an entry other than a file's bytes.

use super::content::{self, Bytes};
use super::{Difference, Error, Excuse, Excused, Report, What, record};
use crate::state::relocate::runs::Finder;
use std::collections::{BTreeMap, HashMap};
use std::fs::{FileType, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// One result's entries, by output and neutral path.
pub struct Side<'a> {
    entries: BTreeMap<Vec<u8>, Entry>,
    finder: &'a Finder,
}

struct Entry {
    path: PathBuf,
    meta: Metadata,
    /// The first of the paths that are this inode; the entry's own if there is no other.
    leader: Vec<u8>,
}

fn io(operation: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { operation, path, source }
}

/// `text` with every full mention of an output's hash replaced by `<name of the output>`.
fn neutral(text: &[u8], names: &[&str], finder: &Finder) -> Vec<u8> {
    let mut neutral = Vec::new();
    let mut from = 0;
    for run in finder.find(text) {
        let path = &finder.paths()[run.path];
        if run.is_full(path) {
            let at = run.hash_offset(path, 0);
            neutral.extend(&text[from..at]);
            neutral.extend(format!("<{}>", names[run.path]).bytes());
            from = at + path.hash().len();
        }
    }
    neutral.extend(&text[from..]);
    neutral
}

impl<'a> Side<'a> {
    /// Reads the trees of all outputs: names and metadata, no contents.
    pub fn read<'p>(
        names: &[&str],
        paths: impl Iterator<Item = &'p PathBuf>,
        finder: &'a Finder,
    ) -> Result<Self, Error> {
        let mut entries = BTreeMap::new();
        for (name, root) in names.iter().zip(paths) {
            let mut todo = vec![(root.clone(), name.as_bytes().to_vec())];
            while let Some((path, neutral_path)) = todo.pop() {
                let meta = path.symlink_metadata().map_err(io("look at", &path))?;
                if meta.is_dir() {
                    for child in std::fs::read_dir(&path).map_err(io("list", &path))? {
                        let child = child.map_err(io("list", &path))?.path();
                        let file_name = child.file_name().unwrap_or_default().as_bytes();
                        let name = neutral(file_name, names, finder);
                        let neutral_path = [&neutral_path[..], b"/", &name].concat();
                        todo.push((child, neutral_path));
                    }
                }
                let leader = neutral_path.clone();
                entries.insert(neutral_path, Entry { path, meta, leader });
            }
        }
        let mut leaders: HashMap<(u64, u64), Vec<u8>> = HashMap::new();
        for (path, entry) in &mut entries {
            if !entry.meta.is_dir() && entry.meta.nlink() > 1 {
                let inode = (entry.meta.dev(), entry.meta.ino());
                let leader = leaders.entry(inode).or_insert_with(|| path.clone());
                entry.leader.clone_from(leader);
            }
        }
        Ok(Self { entries, finder })
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
pub fn compare(a: &Side, b: &Side, report: &mut Report) -> Result<(), Error> {
    // Links to one inode are compared once: (inode, inode) already seen.
    let mut seen = std::collections::HashSet::new();
    for (path, entry) in &a.entries {
        report.compared += 1;
        let mut differs = |what| {
            report.differences.push(Difference { file: shown(path), what });
        };
        let Some(twin) = b.entries.get(path) else {
            differs(What::OnlyInFirst);
            continue;
        };
        let kinds = (kind(entry.meta.file_type()), kind(twin.meta.file_type()));
        if kinds.0 != kinds.1 {
            differs(What::Kind(kinds.0, kinds.1));
            continue;
        }
        let modes = (entry.meta.mode() & 0o7777, twin.meta.mode() & 0o7777);
        if modes.0 != modes.1 {
            differs(What::Mode(modes.0, modes.1));
        }
        if entry.leader != twin.leader {
            differs(What::HardLink(shown(&entry.leader), shown(&twin.leader)));
        }
        if entry.meta.is_symlink() {
            let read = |e: &Entry| std::fs::read_link(&e.path).map_err(io("read the link", &e.path));
            let targets = (read(entry)?, read(twin)?);
            let one = bytes(a.finder, targets.0.as_os_str().as_bytes());
            let other = bytes(b.finder, targets.1.as_os_str().as_bytes());
            if !content::same_text(one, other) {
                differs(What::Target(shown(one.bytes), shown(other.bytes)));
            }
        }
        let inode = |e: &Entry| (e.meta.dev(), e.meta.ino());
        if entry.meta.is_file() && seen.insert((inode(entry), inode(twin))) {
            let read = |e: &Entry| std::fs::read(&e.path).map_err(io("read", &e.path));
            let contents = (read(entry)?, read(twin)?);
            let mut excuses = Vec::new();
            let what = content::compare(bytes(a.finder, &contents.0), bytes(b.finder, &contents.1), &mut excuses);
            let is_record = what.is_some()
                && crate::state::relocate::record::is_record(&entry.path)
                && record::same(bytes(a.finder, &contents.0), &entry.path, bytes(b.finder, &contents.1), &twin.path);
            if is_record {
                excuses.push(Excuse::Record);
            } else {
                what.into_iter().for_each(&mut differs);
            }
            let file = shown(path);
            report.excused.extend(excuses.into_iter().map(|rule| Excused { file: file.clone(), rule }));
        }
    }
    for path in b.entries.keys().filter(|path| !a.entries.contains_key(*path)) {
        report.compared += 1;
        report.differences.push(Difference { file: shown(path), what: What::OnlyInSecond });
    }
    report.differences.sort_by(|x, y| x.file.cmp(&y.file));
    Ok(())
}

fn bytes<'a>(finder: &'a Finder, bytes: &'a [u8]) -> Bytes<'a> {
    Bytes { bytes, finder }
}
