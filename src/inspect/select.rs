//! Which entries of a state a path means.
//!
//! Entries are named as in the archive (`build/…`, `outputs/NAME/…`, `shell`, `shm/…`, `tmp/…`), or as the build saw them: below the build
//! directory or a staged prefix.

use std::ffi::OsStr;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;

use super::State;
use crate::state::entry::{self, join};
use crate::state::error::{Shown, as_path};
use crate::state::format;
use crate::state::manifest::Record;

/// A path that no entry has.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the state has no entry `{}`", Shown(as_path(.path)))]
pub struct NoEntry {
    /// As an archive path.
    path: Vec<u8>,
    /// An entry that may be meant.
    near: Option<Vec<u8>>,
}

impl NoEntry {
    /// What the user can do.
    pub fn help(&self) -> String {
        match &self.near {
            Some(near) => format!("do you mean `{}`?", Shown(as_path(near))),
            None => "paths begin with build/, outputs/NAME/, shell, shm/ or tmp/, as `phasesplit state ls` shows them"
                .to_owned(),
        }
    }
}

/// The indices of the entry that `text` names and of all below it.
///
/// # Errors
/// Where there is no such entry.
pub fn below(state: &State, text: &OsStr) -> Result<Range<usize>, NoEntry> {
    let path = archive_path(state, text.as_bytes());
    let found = subtree(state.records(), &path);
    if !found.is_empty() {
        return Ok(found);
    }
    let near = join(format::BUILD, &path);
    let is_there = !subtree(state.records(), &near).is_empty();
    Err(NoEntry { path, near: is_there.then_some(near) })
}

/// The index of the entry that `text` names.
///
/// # Errors
/// Where there is no such entry.
pub fn one(state: &State, text: &OsStr) -> Result<usize, NoEntry> {
    let range = below(state, text)?;
    let path = archive_path(state, text.as_bytes());
    match state.records().get(range.start) {
        Some(record) if record.entry.path == path => Ok(range.start),
        _ => Err(NoEntry { path, near: None }),
    }
}

/// Which entries some paths name, with all below them; every entry for no paths.
///
/// # Errors
/// A path that names none.
pub fn all<'a>(state: &State, paths: impl IntoIterator<Item = &'a OsStr>) -> Result<Vec<bool>, NoEntry> {
    let mut chosen = vec![false; state.records().len()];
    let mut is_named = false;
    for path in paths {
        is_named = true;
        chosen[below(state, path)?].fill(true);
    }
    if !is_named {
        chosen.fill(true);
    }
    Ok(chosen)
}

/// The records of a path and of what is below it: they stand together, since a directory comes right before its entries.
fn subtree(records: &[Record], path: &[u8]) -> Range<usize> {
    if path.is_empty() {
        return 0..records.len();
    }
    let start = records.partition_point(|record| entry::order(&record.entry.path, path).is_lt());
    let is_in = |record: &&Record| {
        let rest = record.entry.path.strip_prefix(path);
        rest.is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
    };
    start..start + records[start..].iter().take_while(is_in).count()
}

/// What a user wrote as a path of the archive; empty for the whole of it.
fn archive_path(state: &State, text: &[u8]) -> Vec<u8> {
    let prefixes = state.info.outputs.iter().map(|(name, prefix)| (prefix, join(format::OUTPUTS, name.as_bytes())));
    let prefixes = prefixes.map(|(prefix, root)| (prefix.as_str(), root));
    // The build directory may lie below the others.
    let build = [(state.info.build_dir.as_str(), format::BUILD.to_vec())];
    let outside = format::OUTSIDE.map(|(root, seen)| (seen, root.to_vec()));
    for (seen, root) in prefixes.chain(build).chain(outside) {
        if let Some(rest) = text.strip_prefix(seen.as_bytes())
            && (rest.is_empty() || rest[0] == b'/')
        {
            return plain(&[&root, rest].concat());
        }
    }
    plain(text)
}

/// Without empty components and `.`: what a shell's completion adds.
fn plain(text: &[u8]) -> Vec<u8> {
    let names = text.split(|byte| *byte == b'/').filter(|name| !matches!(*name, b"" | b"."));
    names.fold(Vec::new(), |path, name| join(&path, name))
}
