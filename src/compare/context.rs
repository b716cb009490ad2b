//! What comparing contents needs to know beside the bytes, and what it finds.

use super::seed::{self, Word};
use super::spans::Explained;
use super::what::{Places, What};
use super::{Excuse, spans};
use crate::state::relocate::prefix::StorePath;
use crate::state::relocate::runs::{Finder, Run};
use memchr::memmem;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::PathBuf;

/// Archives in archives are looked into this deep.
pub const DEPTH: usize = 6;

/// One of the two results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    First,
    Second,
}

/// What is known of the two packages.
pub struct Context {
    /// Names of the outputs, in the order of the finders' paths.
    pub names: Vec<String>,
    /// What finds each side's own paths.
    pub finders: [Finder; 2],
    /// Words that stand for each other.
    pub words: Vec<Word>,
    /// Debug files of both sides that belong together, by their names on both sides.
    pub debug_files: HashMap<[Vec<u8>; 2], Vec<[PathBuf; 2]>>,
}

impl Context {
    pub fn finder(&self, side: Side) -> &Finder {
        &self.finders[side as usize]
    }

    /// `text` of one side with every full mention of an output's hash replaced by `<name of the output>`, and every word that
    /// stands for another by its rule: the same on both sides, if they say the same.
    pub fn neutral(&self, side: Side, text: &[u8]) -> Vec<u8> {
        let finder = self.finder(side);
        let mut marks: Vec<(Range<usize>, String)> = Vec::new();
        for run in finder.find(text) {
            let path = &finder.paths()[run.path];
            if run.is_full(path) {
                marks.push((hash_bytes(&run, path), format!("<{}>", self.names[run.path])));
            }
        }
        for word in &self.words {
            let own = if side == Side::First { &word.first } else { &word.second };
            marks
                .extend(memmem::find_iter(text, own).map(|at| (at..at + own.len(), format!("<{}>", word.rule.name()))));
        }
        marks.sort_by_key(|(range, _)| (range.start, std::cmp::Reverse(range.end)));
        let mut neutral = Vec::new();
        let mut from = 0;
        for (range, mark) in marks {
            if range.start >= from {
                neutral.extend(&text[from..range.start]);
                neutral.extend(mark.bytes());
                from = range.end;
            }
        }
        neutral.extend(&text[from..]);
        neutral
    }

    /// Where two equally long contents may differ: in the package's own hashes, whole or in pieces, and in words that stand for
    /// each other.
    pub fn explained(&self, a: &[u8], b: &[u8]) -> Vec<Explained> {
        let mut explained = self.own_hashes(a, b);
        explained.extend(seed::explained(&self.words, a, b));
        explained
    }

    /// On both sides the same characters of the same output's hash.
    fn own_hashes(&self, a: &[u8], b: &[u8]) -> Vec<Explained> {
        // Two runs show the same characters at an offset when they lie on one diagonal.
        let diagonals = |finder: &Finder, bytes: &[u8]| {
            let mut all: HashMap<(usize, usize), Vec<Range<usize>>> = HashMap::new();
            for run in finder.find(bytes) {
                let path = &finder.paths()[run.path];
                let diagonal = (run.at + path.bytes().len()) - run.start;
                all.entry((run.path, diagonal)).or_default().push(hash_bytes(&run, path));
            }
            all
        };
        let (first, second) = (diagonals(&self.finders[0], a), diagonals(&self.finders[1], b));
        let mut explained = Vec::new();
        for (diagonal, ranges) in &first {
            for twin in second.get(diagonal).into_iter().flatten() {
                for range in ranges {
                    let both = range.start.max(twin.start)..range.end.min(twin.end);
                    if !both.is_empty() {
                        explained.push((both, None));
                    }
                }
            }
        }
        explained
    }

    /// Whether two short texts, such as symlinks' targets, say the same; and by which rules.
    pub fn same_text(&self, a: &[u8], b: &[u8]) -> Option<Vec<Excuse>> {
        if a.len() != b.len() {
            return None;
        }
        let (left, used) = spans::subtract(spans::differing(a, b), self.explained(a, b));
        left.is_empty().then_some(used)
    }

    /// Whether bytes of one side mention its own outputs, whole or in pieces.
    pub fn mentions_own(&self, side: Side, bytes: &[u8]) -> bool {
        !self.finder(side).find(bytes).is_empty()
    }
}

/// The bytes of the hash that a run holds.
fn hash_bytes(run: &Run, path: &StorePath) -> Range<usize> {
    let part = run.hash_part(path);
    let at = run.hash_offset(path, part.start);
    at..at + part.len()
}

/// A real difference in a file's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The way to the member of an archive, outermost first; empty for the file itself.
    pub members: Vec<String>,
    /// What differs.
    pub what: What,
    /// Lines that show it: `-` for the first side, `+` for the second.
    pub shown: Vec<String>,
    /// Where.
    pub places: Places,
}

impl Found {
    pub fn whole(what: What) -> Self {
        Self { members: Vec::new(), what, shown: Vec::new(), places: Places::Whole }
    }
}

/// What comparing two contents came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Real differences.
    pub found: Vec<Found>,
    /// The rules that excused others, and how often.
    pub excused: BTreeMap<Excuse, usize>,
}

impl Outcome {
    pub fn of(found: Found) -> Self {
        Self { found: vec![found], excused: BTreeMap::new() }
    }

    pub fn excuse(&mut self, rule: Excuse) {
        *self.excused.entry(rule).or_default() += 1;
    }

    pub fn excuse_all(&mut self, rules: impl IntoIterator<Item = Excuse>) {
        for rule in rules {
            self.excuse(rule);
        }
    }

    /// Takes over what was found in a member.
    pub fn nest(&mut self, member: &str, inner: Self) {
        for mut found in inner.found {
            found.members.insert(0, member.to_owned());
            self.found.push(found);
        }
        for (rule, times) in inner.excused {
            *self.excused.entry(rule).or_default() += times;
        }
    }
}
