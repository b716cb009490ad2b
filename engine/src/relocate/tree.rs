//! Trees of files: what is in them, and changing them without a trace but the hash.
//!
//! Owns the file system side: each inode is read and written once, so hard links stay; modes, times (to the nanosecond) and holes
//! are as before. All is outcome before anything is written: a refusal leaves the tree as it was.

use super::content::{Edit, Examined, Examiner, Finding};
use super::error::Error;
use super::prefix::replace_full;
use super::{files, follow};
use rustix::fs::{AtFlags, CWD, FallocateFlags, Timespec, Timestamps, fallocate};
use rustix::io::Errno;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata, Permissions};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// A file, directory or link of a tree.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) path: PathBuf,
    pub(super) meta: Metadata,
    /// Whether it is what the caller named; its own name is not part of the tree.
    root: bool,
}

/// The change to one file's content.
#[derive(Debug)]
struct FileChange {
    path: PathBuf,
    meta: Metadata,
    edits: Vec<Edit>,
    replacement: Option<Vec<u8>>,
    /// Whether the file must stay where it is: it has other names, or the caller named it.
    stays: bool,
}

impl FileChange {
    /// No change.
    fn of(entry: &Entry) -> Self {
        Self {
            path: entry.path.clone(),
            meta: entry.meta.clone(),
            edits: Vec::new(),
            replacement: None,
            stays: entry.root || entry.meta.nlink() > 1,
        }
    }
}

/// The change to one entry of a directory.
#[derive(Debug, Default)]
struct EntryChange {
    target: Option<OsString>,
    name: Option<OsString>,
}

/// What is to be done to some trees, and what was found in them.
#[derive(Debug, Default)]
pub struct Plan {
    files: BTreeMap<PathBuf, FileChange>,
    /// By directory, then by name.
    entries: BTreeMap<PathBuf, BTreeMap<OsString, EntryChange>>,
    /// Metadata of the directories in `entries`.
    directories: HashMap<PathBuf, Metadata>,
    inodes: HashMap<PathBuf, (u64, u64)>,
    /// Mentions that can be rewritten, by file.
    pub mentions: Vec<(PathBuf, Vec<Finding>)>,
    /// Reasons to refuse, by file.
    pub refusals: Vec<(PathBuf, Vec<Finding>)>,
    /// What is named and no reason to refuse, by file.
    pub harmless: Vec<(PathBuf, Vec<Finding>)>,
}

fn walk(path: &Path, root: bool, into: &mut Vec<Entry>) -> Result<(), Error> {
    let meta = path.symlink_metadata().map_err(Error::io("look at", path))?;
    let mut todo = vec![Entry { path: path.to_owned(), meta, root }];
    while let Some(entry) = todo.pop() {
        if entry.meta.is_dir() {
            for child in std::fs::read_dir(&entry.path).map_err(Error::io("list", &entry.path))? {
                let child = child.map_err(Error::io("list", &entry.path))?;
                let path = child.path();
                let meta = child.metadata().map_err(Error::io("look at", &path))?;
                todo.push(Entry { path, meta, root: false });
            }
        }
        into.push(entry);
    }
    Ok(())
}

/// Examines everything under `paths`; changes nothing. `follows`: digests of what changes are brought up to date too.
///
/// # Errors
/// What cannot be read.
pub fn plan(examiner: &Examiner, paths: &[PathBuf], follows: bool) -> Result<Plan, Error> {
    let mut entries = Vec::new();
    for path in paths {
        walk(path, true, &mut entries)?;
    }
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    entries.dedup_by(|a, b| {
        let same = a.path == b.path;
        b.root |= same && a.root;
        same
    });
    let mut plan = Plan::default();
    let mut seen = HashSet::new();
    let mut files = Vec::new();
    for entry in &entries {
        if entry.meta.is_file() && entry.path.extension() == Some(OsStr::new("br")) {
            // Nothing but the name tells it.
            plan.harmless.push((entry.path.clone(), vec![Finding::opaque("brotli data")]));
        }
        if entry.meta.is_file() && seen.insert((entry.meta.dev(), entry.meta.ino())) {
            files.push(entry);
        }
    }
    for (index, outcome) in files::examine(examiner, &files)? {
        plan.set(files[index], outcome);
    }
    let known = if follows { &follow::follow(examiner, &mut plan, &files, &entries)? } else { examiner };
    for entry in &entries {
        let changed = plan_entry(known, entry, &mut plan)?;
        if changed && let Some(parent) = entry.path.parent() {
            // The directory that holds a tree (the store) is not ours: its mode and times are nobody's promise.
            if !entry.root {
                let meta = parent.symlink_metadata().map_err(Error::io("look at", parent))?;
                plan.directories.insert(parent.to_owned(), meta);
            }
            let inode = (entry.meta.dev(), entry.meta.ino());
            plan.inodes.insert(entry.path.clone(), inode);
        }
    }
    plan.mentions.sort_by(|a, b| a.0.cmp(&b.0));
    plan.refusals.sort_by(|a, b| a.0.cmp(&b.0));
    plan.harmless.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(plan)
}

/// Examines an entry's name and, of a symlink, the target. True if one of them changes.
fn plan_entry(examiner: &Examiner, entry: &Entry, plan: &mut Plan) -> Result<bool, Error> {
    let mut change = EntryChange::default();
    let name = entry.path.file_name().unwrap_or_default();
    if !entry.root {
        change.name = plan.text(examiner, &entry.path, name, "file name");
    }
    if entry.meta.is_symlink() {
        let target = std::fs::read_link(&entry.path).map_err(Error::io("read the link", &entry.path))?;
        change.target = plan.text(examiner, &entry.path, target.as_os_str(), "symlink target");
    }
    let changed = change.name.is_some() || change.target.is_some();
    if changed && let Some(parent) = entry.path.parent() {
        plan.entries.entry(parent.to_owned()).or_default().insert(name.to_owned(), change);
    }
    Ok(changed)
}

impl Plan {
    fn record(&mut self, path: &Path, outcome: &Examined) {
        if !outcome.mentions.is_empty() {
            self.mentions.push((path.to_owned(), outcome.mentions.clone()));
        }
        if !outcome.refusals.is_empty() {
            self.refusals.push((path.to_owned(), outcome.refusals.clone()));
        }
        if !outcome.harmless.is_empty() {
            self.harmless.push((path.to_owned(), outcome.harmless.clone()));
        }
    }

    fn text(&mut self, examiner: &Examiner, path: &Path, text: &OsStr, what: &str) -> Option<OsString> {
        let mut outcome = examiner.examine_text(text.as_bytes());
        let findings = outcome.mentions.iter_mut().chain(&mut outcome.refusals);
        findings.for_each(|finding| finding.members.push(what.to_owned()));
        self.record(path, &outcome);
        let mut bytes = text.as_bytes().to_vec();
        super::content::apply(&mut bytes, &outcome.edits);
        (!outcome.edits.is_empty()).then(|| OsString::from_vec(bytes))
    }

    /// The files whose content changes.
    pub(super) fn changing(&self) -> BTreeSet<PathBuf> {
        self.files.keys().cloned().collect()
    }

    /// Takes over what was found out about a file, in place of what was known.
    pub(super) fn set(&mut self, entry: &Entry, outcome: Examined) {
        let path = &entry.path;
        for findings in [&mut self.mentions, &mut self.refusals] {
            findings.retain(|(other, _)| other != path);
        }
        self.harmless.retain(|(other, findings)| {
            other != path || findings.iter().any(|finding| *finding == Finding::opaque("brotli data"))
        });
        self.files.remove(path);
        self.record(path, &outcome);
        if !outcome.edits.is_empty() || outcome.replacement.is_some() {
            let change = FileChange { edits: outcome.edits, replacement: outcome.replacement, ..FileChange::of(entry) };
            self.files.insert(path.clone(), change);
        }
    }

    /// Changes a file further.
    pub(super) fn amend(&mut self, entries: &BTreeMap<&Path, &Entry>, path: &Path, edits: Vec<Edit>) {
        let Some(entry) = entries.get(path) else { return };
        let change = self.files.entry(path.to_owned()).or_insert_with(|| FileChange::of(entry));
        if let Some(bytes) = &mut change.replacement {
            if edits.iter().all(|edit| edit.at + edit.bytes.len() <= bytes.len()) {
                super::content::apply(bytes, &edits);
            }
        } else {
            change.edits.retain(|edit| !edits.iter().any(|new| new.at == edit.at));
            change.edits.extend(edits);
        }
    }

    /// Whether a file's bytes are where they were.
    pub(super) fn can_amend(&self, path: &Path) -> bool {
        self.files.get(path).is_none_or(|change| change.replacement.is_none())
    }

    /// Adds a reason to refuse.
    pub(super) fn refuse(&mut self, path: &Path, finding: Finding) {
        if !self.refusals.iter().any(|(other, findings)| other == path && findings.contains(&finding)) {
            self.refusals.push((path.to_owned(), vec![finding]));
        }
    }

    /// Gives a file a new content.
    pub(super) fn replace(&mut self, entry: &Entry, bytes: Vec<u8>) {
        let change = FileChange { replacement: Some(bytes), ..FileChange::of(entry) };
        self.files.insert(entry.path.clone(), change);
    }

    /// What a file is to contain.
    ///
    /// # Errors
    /// What cannot be read.
    pub(super) fn planned(&self, path: &Path) -> Result<Vec<u8>, Error> {
        let bytes = files::contents(path)?;
        let change = self.files.get(path);
        Ok(change.map_or(bytes.clone(), |change| follow::changed(bytes, &change.edits, change.replacement.as_ref())))
    }

    /// How large (bytes) a file is and will be, if it changes.
    pub(super) fn sizes(&self, path: &Path) -> Option<(usize, usize)> {
        let change = self.files.get(path)?;
        let old = usize::try_from(change.meta.len()).ok()?;
        Some((old, change.replacement.as_ref().map_or(old, Vec::len)))
    }

    /// What tells one state of the plan from another.
    pub(super) fn fingerprints(&self) -> BTreeMap<PathBuf, [u8; 32]> {
        let of = |change: &FileChange| {
            let mut hasher = blake3::Hasher::new();
            for edit in &change.edits {
                hasher.update(&edit.at.to_le_bytes());
                hasher.update(&edit.bytes);
            }
            if let Some(bytes) = &change.replacement {
                hasher.update(bytes);
            }
            *hasher.finalize().as_bytes()
        };
        self.files.iter().map(|(path, change)| (path.clone(), of(change))).collect()
    }

    /// Carries the plan out.
    ///
    /// # Errors
    /// What cannot be written, and a new name that is taken already.
    pub fn carry_out(&self) -> Result<(), Error> {
        for change in self.files.values() {
            write_file(change)?;
        }
        let mut moved = HashMap::new();
        // Deepest first: the paths of what is still to be done stay as they were.
        for (directory, changes) in self.entries.iter().rev() {
            let meta = self.directories.get(directory);
            let _open = meta.map(|meta| make_writable(directory, meta, 0o300)).transpose()?;
            for (name, change) in changes {
                self.change_entry(directory, name, change, &mut moved)?;
            }
            if let Some(meta) = meta {
                set_times(directory, meta)?;
            }
        }
        Ok(())
    }

    fn change_entry(
        &self,
        directory: &Path,
        name: &OsStr,
        change: &EntryChange,
        moved: &mut HashMap<(u64, u64), PathBuf>,
    ) -> Result<(), Error> {
        let old = directory.join(name);
        let new = directory.join(change.name.as_deref().unwrap_or(name));
        if new != old && new.symlink_metadata().is_ok() {
            return Err(Error::Taken { old, new });
        }
        let Some(target) = &change.target else {
            return std::fs::rename(&old, &new).map_err(Error::io("rename", &old));
        };
        let meta = old.symlink_metadata().map_err(Error::io("look at", &old))?;
        let inode = self.inodes[&old];
        let fresh = fresh(&old)?;
        if let Some(first) = moved.get(&inode) {
            std::fs::hard_link(first, &fresh).map_err(Error::io("link", &new))?;
        } else {
            std::os::unix::fs::symlink(target, &fresh).map_err(Error::io("write the link", &new))?;
            set_times(&fresh, &meta)?;
            if meta.nlink() > 1 {
                moved.insert(inode, new.clone());
            }
        }
        // First the target, then the name: whoever is killed between two of these leaves what can be relocated again.
        std::fs::rename(&fresh, &old).map_err(Error::io("replace the link", &old))?;
        if new == old {
            return Ok(());
        }
        std::fs::rename(&old, &new).map_err(Error::io("rename", &old))
    }
}

pub(super) fn libc_nofollow() -> i32 {
    i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or(0)
}

/// Adds permission bits for the owner; they are taken away again when the guard is dropped.
pub(super) struct Opened<'a> {
    path: &'a Path,
    mode: Option<u32>,
}

impl Drop for Opened<'_> {
    fn drop(&mut self) {
        if let Some(mode) = self.mode {
            // The bits were set a moment ago by the same owner; if that cannot be undone there is no one to tell.
            let _ = std::fs::set_permissions(self.path, Permissions::from_mode(mode));
        }
    }
}

pub(super) fn make_writable<'a>(path: &'a Path, meta: &Metadata, bits: u32) -> Result<Opened<'a>, Error> {
    let mode = meta.mode() & 0o7777;
    let needed = mode & bits != bits;
    if needed {
        std::fs::set_permissions(path, Permissions::from_mode(mode | bits))
            .map_err(Error::io("make accessible", path))?;
    }
    Ok(Opened { path, mode: needed.then_some(mode) })
}

fn set_times(path: &Path, meta: &Metadata) -> Result<(), Error> {
    let times = Timestamps {
        last_access: Timespec { tv_sec: meta.atime(), tv_nsec: meta.atime_nsec() },
        last_modification: Timespec { tv_sec: meta.mtime(), tv_nsec: meta.mtime_nsec() },
    };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)
        .map_err(std::io::Error::from)
        .map_err(Error::io("set the times of", path))
}

/// The name beside `path` under which its replacement is made; one that a killed relocation left is removed.
fn fresh(path: &Path) -> Result<PathBuf, Error> {
    let fresh = path.with_file_name(".phasesplit-relocate");
    match std::fs::remove_file(&fresh) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove", &fresh)(error)),
        _ => Ok(fresh),
    }
}

/// Puts a new file in the place of another, so that it has the old content or the new, whenever this ends. Its directory
/// stays as it was.
fn replace_file(path: &Path, meta: &Metadata, bytes: &[u8]) -> Result<(), Error> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    let above = directory.symlink_metadata().map_err(Error::io("look at", directory))?;
    {
        let _open = make_writable(directory, &above, 0o300)?;
        let fresh = fresh(path)?;
        let written = std::fs::write(&fresh, bytes)
            .and_then(|()| std::fs::set_permissions(&fresh, Permissions::from_mode(meta.mode() & 0o7777)))
            .map_err(Error::io("write", path))
            .and_then(|()| set_times(&fresh, meta))
            .and_then(|()| std::fs::rename(&fresh, path).map_err(Error::io("write", path)));
        if written.is_err() {
            // The first error is the one to report.
            let _ = std::fs::remove_file(&fresh);
        }
        written?;
    }
    set_times(directory, &above)
}

fn write_file(change: &FileChange) -> Result<(), Error> {
    let path = &change.path;
    if let (Some(bytes), false) = (&change.replacement, change.stays) {
        return replace_file(path, &change.meta, bytes);
    }
    {
        let _open = make_writable(path, &change.meta, 0o200)?;
        let mut options = File::options();
        options.write(true).custom_flags(libc_nofollow());
        let file = options.open(path).map_err(Error::io("open", path))?;
        write_changes(&file, change).map_err(Error::io("write", path))?;
    }
    // The kernel takes the setuid and setgid bits from a file that is written to.
    if change.meta.mode() & 0o6000 != 0 {
        std::fs::set_permissions(path, Permissions::from_mode(change.meta.mode() & 0o7777))
            .map_err(Error::io("restore the mode of", path))?;
    }
    set_times(path, &change.meta)
}

fn write_changes(file: &File, change: &FileChange) -> std::io::Result<()> {
    if let Some(bytes) = &change.replacement {
        let len = bytes.len() as u64;
        // A full disk is noticed before the old content is gone.
        match fallocate(file, FallocateFlags::KEEP_SIZE, 0, len.max(1)) {
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => {}
            Err(errno) => return Err(errno.into()),
        }
        file.write_all_at(bytes, 0)?;
        return file.set_len(len);
    }
    for edit in &change.edits {
        file.write_all_at(&edit.bytes, edit.at as u64)?;
    }
    Ok(())
}

/// Rewrites the full occurrences in a text file.
///
/// # Errors
/// What cannot be read or written.
pub fn rewrite_text(examiner: &Examiner, path: &Path) -> Result<(), Error> {
    let meta = std::fs::metadata(path).map_err(Error::io("look at", path))?;
    let mut bytes = std::fs::read(path).map_err(Error::io("read", path))?;
    if !replace_full(&mut bytes, examiner.mappings()) {
        return Ok(());
    }
    let target = std::fs::canonicalize(path).map_err(Error::io("look at", path))?;
    write_file(&FileChange { path: target, meta, edits: Vec::new(), replacement: Some(bytes), stays: true })
}
