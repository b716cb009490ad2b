//! One file's contents: taken apart by format, and bytes compared modulo the package's own hashes.
//!
//! Nothing is replaced before bytes are compared, so no coincidence on one side can hide or invent a difference.

use super::context::{Context, DEPTH, Found, Outcome};
use super::formats::{self, elf, pyc};
use super::what::{Places, What};
use super::{Excuse, show, spans, unpacked};
use crate::state::relocate::layout::Layout;
use std::path::Path;

/// Bytes of a difference that are quoted.
const QUOTED: usize = 16;

/// A content as both sides have it.
#[derive(Clone, Copy)]
pub struct Pair<'a> {
    pub a: &'a [u8],
    pub b: &'a [u8],
    /// Its name, or its member's: bytecode is known by it.
    pub name: &'a str,
    /// Where the files lie, if they are files.
    pub paths: Option<[&'a Path; 2]>,
    /// How many archives it lies in.
    pub depth: usize,
}

impl Pair<'_> {
    /// A member of this archive.
    pub fn member<'b>(&self, a: &'b [u8], b: &'b [u8], name: &'b str) -> Pair<'b> {
        Pair { a, b, name, paths: None, depth: self.depth + 1 }
    }

    /// Other bytes of the same file, of no format.
    pub fn part<'b>(a: &'b [u8], b: &'b [u8]) -> Pair<'b> {
        Pair { a, b, name: "", paths: None, depth: DEPTH }
    }
}

/// Compares two contents, unpacked where the raw bytes differ.
pub fn compare(context: &Context, pair: &Pair) -> Outcome {
    if pair.a == pair.b {
        return Outcome::default();
    }
    if pair.depth < DEPTH
        && let Some(outcome) = formats::ARCHIVES.iter().find_map(|format| format(context, pair))
    {
        return outcome;
    }
    if let (Some(a), Some(b)) = (unpacked::of(pair.a), unpacked::of(pair.b)) {
        let mut outcome = Outcome::default();
        outcome.nest("debug sections unpacked", leaf(context, &Pair { a: &a, b: &b, ..*pair }));
        outcome.excuse(Excuse::Packing);
        return outcome;
    }
    leaf(context, pair)
}

/// Compares bytes that have no members.
pub fn leaf(context: &Context, pair: &Pair) -> Outcome {
    let &Pair { a, b, .. } = pair;
    if a.len() != b.len() {
        let (shown, places) = show::sizes(context, a, b);
        let what = What::Size(a.len() as u64, b.len() as u64);
        return Outcome::of(Found { members: Vec::new(), what, shown, places });
    }
    let mut outcome = Outcome::default();
    let mut explained = context.explained(a, b);
    explained.extend(pyc::explained(context, pair));
    let elf = elf::Twins::of(a, b);
    explained.extend(elf.iter().flat_map(|elf| elf.explained(context, pair)));
    let (mut real, used) = spans::subtract(spans::differing(a, b), explained);
    outcome.excuse_all(used);
    if let Some(elf) = &elf
        && let Some(left) = elf.strings(context, pair, &real)
    {
        real = left;
        outcome.excuse(Excuse::StringOrder);
    }
    let Some(first) = real.first() else { return outcome };
    let at = first.start;
    let end = (at + QUOTED).min(a.len());
    let layout = Layout::of(a);
    let (shown, lines) = show::content(context, a, b, at);
    outcome.found.push(Found {
        members: Vec::new(),
        what: What::Content {
            at,
            bytes: spans::count(&real),
            shown: (a[at..end].to_vec(), b[at..end].to_vec()),
            section: layout.region(at).map(|region| region.section.clone()),
            symbol: layout.symbol(at).map(str::to_owned),
        },
        shown,
        places: lines.unwrap_or(Places::Bytes(real)),
    });
    outcome
}
