//! What differs between two states, from their manifests alone.

use std::collections::HashMap;

use super::State;
use crate::state::entry::{self, Entry, Kind, split_parent};
use crate::state::manifest::{self, Record};

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Change {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// Its content, its target or its kind is another.
    Changed,
    /// Mode, time or what it is a hard link of; what it holds is the same.
    Metadata,
    /// It has another path; what it holds is the same.
    Renamed,
}

impl Change {
    /// All, in the order in which they are told.
    pub const ALL: [Self; 5] = [Self::Added, Self::Removed, Self::Changed, Self::Metadata, Self::Renamed];

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed => "changed",
            Self::Metadata => "metadata",
            Self::Renamed => "renamed",
        }
    }
}

/// An entry that differs. At least one side is there.
#[derive(Clone, Copy, Debug)]
pub struct Difference<'a> {
    /// What became of it.
    pub change: Change,
    /// Its index in the first state.
    pub before: Option<(usize, &'a Record)>,
    /// Its index in the second.
    pub after: Option<(usize, &'a Record)>,
}

impl<'a> Difference<'a> {
    /// Its path, in the second state where it is there.
    pub fn path(&self) -> &'a [u8] {
        self.after.or(self.before).map_or(b"", |(_, record)| &record.entry.path)
    }

    /// Bytes before and after.
    pub fn sizes(&self) -> [Option<u64>; 2] {
        [self.before, self.after].map(|side| side.map(|(_, record)| record.entry.size))
    }
}

/// Two states compared.
#[derive(Debug, Default)]
pub struct Comparison<'a> {
    /// In the order of their paths in the second state.
    pub differences: Vec<Difference<'a>>,
    /// How many entries differ in nothing but their mtime, and so are not among the differences.
    pub touched: usize,
}

/// Compares two states. Times count as differences only with `times`, and those of directories never: they say no more than
/// that an entry came or went.
pub fn compare<'a>(before: &'a State, after: &'a State, times: bool) -> Comparison<'a> {
    let [old, new] = [before, after].map(State::records);
    let mut comparison = Comparison::default();
    let (mut left, mut right) = (0, 0);
    while left < old.len() || right < new.len() {
        let order = match (old.get(left), new.get(right)) {
            (Some(one), Some(other)) => entry::order(&one.entry.path, &other.entry.path),
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, _) => std::cmp::Ordering::Greater,
        };
        let before = order.is_le().then(|| (left, &old[left]));
        let after = order.is_ge().then(|| (right, &new[right]));
        left += usize::from(before.is_some());
        right += usize::from(after.is_some());
        let change = match (before, after) {
            (Some((_, one)), Some((_, other))) => changed(old, one, new, other, times, &mut comparison.touched),
            (Some(_), None) => Some(Change::Removed),
            (None, _) => Some(Change::Added),
        };
        comparison.differences.extend(change.map(|change| Difference { change, before, after }));
    }
    pair_renamed(&mut comparison.differences);
    comparison
}

/// What became of an entry that both have.
fn changed(
    old: &[Record],
    one: &Record,
    new: &[Record],
    other: &Record,
    times: bool,
    touched: &mut usize,
) -> Option<Change> {
    if content(old, one) != content(new, other) {
        return Some(Change::Changed);
    }
    let linked = |entry: &Entry| (entry.kind == Kind::HardLink).then(|| entry.link.clone());
    let (one, other) = (&one.entry, &other.entry);
    // The mode of a symlink means nothing, and its time is that of its making.
    let is_symlink = one.kind == Kind::Symlink;
    if one.mode != other.mode && !is_symlink || linked(one) != linked(other) {
        return Some(Change::Metadata);
    }
    if one.mtime == other.mtime || one.kind == Kind::Directory {
        return None;
    }
    if times {
        return Some(Change::Metadata);
    }
    *touched += 1;
    None
}

/// What an entry is and holds: of a hard link, what it names.
type Content<'a> = (Kind, u64, Option<&'a [u8; 32]>, &'a [u8]);

fn content<'a>(records: &'a [Record], record: &'a Record) -> Content<'a> {
    let named = (record.entry.kind == Kind::HardLink).then(|| manifest::find(records, &record.entry.link)).flatten();
    let entry = &named.unwrap_or(record).entry;
    (entry.kind, entry.size, entry.hash.as_ref(), &entry.link)
}

/// Makes one of an entry that is gone and a new one that holds the same: one of the same name if there is, else the first.
/// Empty files say nothing.
fn pair_renamed(differences: &mut Vec<Difference<'_>>) {
    let key = |record: &Record| {
        let entry = &record.entry;
        entry.hash.filter(|_| entry.size > 0).map(|hash| (entry.kind, entry.size, hash))
    };
    let mut gone: HashMap<_, Vec<usize>> = HashMap::new();
    for (at, difference) in differences.iter().enumerate() {
        if let (Change::Removed, Some((_, record))) = (difference.change, difference.before)
            && let Some(key) = key(record)
        {
            gone.entry(key).or_default().push(at);
        }
    }
    let mut taken = vec![false; differences.len()];
    for at in 0..differences.len() {
        let (Change::Added, Some((_, record))) = (differences[at].change, differences[at].after) else { continue };
        let Some(sources) = key(record).and_then(|key| gone.get_mut(&key)) else { continue };
        let name = split_parent(&record.entry.path).1;
        let named = sources.iter().position(|source| split_parent(differences[*source].path()).1 == name);
        if sources.is_empty() {
            continue;
        }
        let source = sources.remove(named.unwrap_or(0));
        taken[source] = true;
        differences[at].before = differences[source].before;
        differences[at].change = Change::Renamed;
    }
    let mut taken = taken.into_iter();
    differences.retain(|_| !taken.next().unwrap_or(false));
}

/// How many entries of a kind of change there are, and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Total {
    /// Entries.
    pub entries: usize,
    /// Bytes in the first state.
    pub before: u64,
    /// Bytes in the second.
    pub after: u64,
}

impl Comparison<'_> {
    /// The total of a kind of change.
    pub fn total(&self, change: Change) -> Total {
        let mut total = Total::default();
        for difference in self.differences.iter().filter(|difference| difference.change == change) {
            let [before, after] = difference.sizes().map(Option::unwrap_or_default);
            total.entries += 1;
            total.before = total.before.saturating_add(before);
            total.after = total.after.saturating_add(after);
        }
        total
    }
}
