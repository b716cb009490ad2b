//! Differences as a patch that `patch -p1` and `git apply` take: unified diffs with git's extended headers, which also say
//! modes, renames and symlinks. Binary files are only named.
//!
//! Source: git's documentation, "diff-generate-patch"; GNU patch knows these headers since 2.7.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::time::Duration;

use similar::{Algorithm, TextDiff};

use super::content::Spool;
use super::diff::{Change, Comparison, Difference};
use super::{READ, State};
use crate::state::entry::{Entry, Kind};
use crate::state::manifest::{self, Record};
use crate::state::{Error, Result};

/// A longer file is taken for binary: nobody reads such a diff.
const MOST: u64 = 16 << 20;

/// After this long a file's diff is written as it is then: right, but not the shortest.
const PATIENCE: Duration = Duration::from_secs(5);

/// A file before or after: what a patch can say of it.
#[derive(Debug)]
pub struct Side {
    /// Its name behind `a/` and `b/`.
    pub path: Vec<u8>,
    /// As git has it: `100644`, `100755`, `120000`.
    pub mode: u32,
    /// What it holds.
    pub content: Content,
}

/// What a file holds.
#[derive(Debug)]
pub enum Content {
    /// What can be shown in lines; of a symlink its target.
    Text(Vec<u8>),
    /// Anything else.
    Binary,
}

/// The mode of a regular file as git has it.
pub fn file_mode(mode: u32) -> u32 {
    if mode & 0o100 == 0 { 0o100_644 } else { 0o100_755 }
}

/// Writes the patch that makes the second state's tree of the first's.
///
/// # Errors
/// Layers that are not what the manifests say. Errors of `out` are in the inner result.
pub fn write(
    before: &State,
    after: &State,
    comparison: &Comparison<'_>,
    out: &mut dyn Write,
) -> Result<io::Result<()>> {
    let mut old = Contents::new(before, comparison.differences.iter().filter_map(|d| d.before))?;
    let mut new = Contents::new(after, comparison.differences.iter().filter_map(|d| d.after))?;
    for difference in &comparison.differences {
        let side = |contents: &mut Contents<'_>, side: Option<(usize, &Record)>| {
            side.map(|(index, record)| contents.side(index, record)).transpose().map(Option::flatten)
        };
        let sides = (side(&mut old, difference.before)?, side(&mut new, difference.after)?);
        if let Err(error) = one(difference, sides, out) {
            return Ok(Err(error));
        }
    }
    Ok(Ok(()))
}

/// The contents of a state's files.
struct Contents<'a> {
    state: &'a State,
    spool: Spool,
}

impl<'a> Contents<'a> {
    fn new<'b>(state: &'a State, wanted: impl Iterator<Item = (usize, &'b Record)>) -> Result<Self> {
        let mut chosen = vec![false; state.records().len()];
        for (index, _) in wanted {
            let index = named(state, index);
            chosen[index] = state.records()[index].entry.size <= MOST;
        }
        Ok(Self { state, spool: Spool::fill(state, &chosen)? })
    }

    fn side(&mut self, index: usize, record: &Record) -> Result<Option<Side>> {
        let index = named(self.state, index);
        let named = &self.state.records()[index];
        let Entry { kind, mode, size, link, .. } = &named.entry;
        let path = record.entry.path.clone();
        match kind {
            Kind::Symlink => Ok(Some(Side { path, mode: 0o120_000, content: Content::Text(link.clone()) })),
            Kind::File | Kind::Sparse => {
                let mode = file_mode(*mode);
                let mut content = Content::Binary;
                if *size <= MOST {
                    let bytes = self.spool.content(named, index);
                    let bytes = bytes.map_err(|source| Error::reading(READ, &self.state.path, source))?;
                    if !bytes.contains(&0) {
                        content = Content::Text(bytes);
                    }
                }
                Ok(Some(Side { path, mode, content }))
            }
            _ => Ok(None),
        }
    }
}

/// The index of what a hard link names, of anything else its own.
fn named(state: &State, index: usize) -> usize {
    let entry = &state.records()[index].entry;
    let target = (entry.kind == Kind::HardLink).then(|| manifest::position(state.records(), &entry.link)).flatten();
    target.unwrap_or(index)
}

/// `None` for a side that is not there, or is nothing that a patch has words for.
fn one(difference: &Difference<'_>, sides: (Option<Side>, Option<Side>), out: &mut dyn Write) -> io::Result<()> {
    match sides {
        (None, None) => Ok(()),
        // A file that becomes a symlink, or the other way, goes and comes: so git has it.
        (Some(old), Some(new)) if old.mode >> 12 != new.mode >> 12 => {
            file(Some(&old), None, false, out)?;
            file(None, Some(&new), false, out)
        }
        (old, new) => file(old.as_ref(), new.as_ref(), difference.change == Change::Renamed, out),
    }
}

/// Writes the part of a patch that one file has; `None` for a side that is not there.
///
/// # Errors
/// Those of `out`.
pub fn file(old: Option<&Side>, new: Option<&Side>, is_renamed: bool, out: &mut dyn Write) -> io::Result<()> {
    let path = |side: Option<&Side>, other: Option<&Side>| side.or(other).map_or(Vec::new(), |side| side.path.clone());
    let a = quoted(&[b"a/", &path(old, new)[..]].concat());
    let b = quoted(&[b"b/", &path(new, old)[..]].concat());
    let text = |side: Option<&Side>| match side.map(|side| &side.content) {
        None => Some(Vec::new()),
        Some(Content::Text(text)) => Some(text.clone()),
        Some(Content::Binary) => None,
    };
    let (text_before, text_after) = match (text(old), text(new)) {
        (Some(before), Some(after)) => (before, after),
        // A name is all that a rename needs.
        _ if is_renamed => (Vec::new(), Vec::new()),
        _ => return writeln!(out, "Binary files {a} and {b} differ"),
    };
    let mut head = format!("diff --git {a} {b}\n");
    match (old, new) {
        (None, Some(new)) => _ = writeln!(head, "new file mode {:o}", new.mode),
        (Some(old), None) => _ = writeln!(head, "deleted file mode {:o}", old.mode),
        (Some(old), Some(new)) if old.mode != new.mode => {
            _ = write!(head, "old mode {:o}\nnew mode {:o}\n", old.mode, new.mode);
        }
        _ => {}
    }
    if is_renamed {
        let (from, to) = (quoted(&path(old, None)), quoted(&path(new, None)));
        _ = write!(head, "similarity index 100%\nrename from {from}\nrename to {to}\n");
    }
    if text_before == text_after {
        // A mode that no patch has words for, a time: nothing to say.
        let says = is_renamed || old.map(|side| side.mode) != new.map(|side| side.mode);
        return if says { out.write_all(head.as_bytes()) } else { Ok(()) };
    }
    out.write_all(head.as_bytes())?;
    let names = (if old.is_some() { &a } else { "/dev/null" }, if new.is_some() { &b } else { "/dev/null" });
    let diff = TextDiff::configure()
        .algorithm(Algorithm::Myers)
        .timeout(PATIENCE)
        .diff_lines(&text_before[..], &text_after[..]);
    diff.unified_diff().context_radius(3).header(names.0, names.1).to_writer(out)
}

/// A path in a header, in quotes where git and patch want it: control characters, quotes, backslashes and what is no
/// ASCII, in octal.
fn quoted(path: &[u8]) -> String {
    let is_plain = |byte: &u8| (b' '..0x7f).contains(byte) && !matches!(byte, b'"' | b'\\');
    if path.iter().all(is_plain) && !path.contains(&b' ') {
        return String::from_utf8_lossy(path).into_owned();
    }
    let mut text = String::from("\"");
    for byte in path {
        match byte {
            b'"' | b'\\' => text.extend(['\\', char::from(*byte)]),
            byte if is_plain(byte) => text.push(char::from(*byte)),
            byte => _ = write!(text, "\\{byte:03o}"),
        }
    }
    text.push('"');
    text
}
