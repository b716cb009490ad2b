//! The search: every place where bytes equal a part of a store path that holds some of its hash.
//!
//! Owns speed. Decides nothing: whether a run is a mention of the path or a coincidence is `judge`'s to say.
//!
//! A run of at least [`MIN_RUN`] bytes contains four bytes that begin at a multiple of five, so it is enough to look
//! there, in a bitmap of the four-byte parts of all paths; only what the bitmap lets through is compared.

use super::prefix::{HASH_LEN, StorePath};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::Range;

/// The shortest run that is told from coincidence: what an 8-byte immediate holds.
pub const MIN_RUN: usize = 8;

const GRAM: usize = 4;
/// Of so many places in a row, the four bytes at one are in every run.
const STEP: usize = MIN_RUN - GRAM + 1;
const FILTER_BITS: u32 = 18;
/// Words of the bitmap: 32 KiB, which stay in the nearest cache. An array, so that no access needs a check of its length.
const FILTER: usize = 1 << (FILTER_BITS - 6);
/// In a run of at least so many bytes, four have a whole four before or behind them.
const LONG: usize = 3 * GRAM;

/// Bytes `at..at + len` of what was searched equal bytes `start..start + len` of a path, and no longer run around them does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Run {
    /// Offset in what was searched.
    pub at: usize,
    /// Which of the finder's paths.
    pub path: usize,
    /// Offset in that path.
    pub start: usize,
    /// Length in bytes.
    pub len: usize,
}

impl Run {
    /// Offset behind the run.
    #[must_use]
    pub fn end(&self) -> usize {
        self.at + self.len
    }

    /// Cuts the run to the bytes `range` of what was searched; nothing if none are left.
    #[must_use]
    pub fn clip(&self, range: &Range<usize>) -> Option<Self> {
        let at = self.at.max(range.start);
        let end = self.end().min(range.end);
        (at < end).then(|| Self { at, start: self.start + (at - self.at), len: end - at, path: self.path })
    }

    /// Which characters of the hash (0..32) the run holds.
    #[must_use]
    pub fn hash_part(&self, path: &StorePath) -> Range<usize> {
        let hash = path.hash_range();
        let from = self.start.clamp(hash.start, hash.end) - hash.start;
        let to = (self.start + self.len).clamp(hash.start, hash.end) - hash.start;
        from..to
    }

    /// Whether the run holds the whole hash.
    #[must_use]
    pub fn is_full(&self, path: &StorePath) -> bool {
        self.hash_part(path).len() == HASH_LEN
    }

    /// Where in what was searched character `index` of the hash lies. `index` must be in [`Self::hash_part`].
    #[must_use]
    pub fn hash_offset(&self, path: &StorePath, index: usize) -> usize {
        self.at + (path.hash_range().start + index - self.start)
    }
}

/// What a run is a part of: a path, or the same in another encoding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// All of it.
    pub bytes: Vec<u8>,
    /// Where its hash is: a run holds some of that.
    pub hash: Range<usize>,
    /// The shortest run that counts, at least [`MIN_RUN`].
    pub least: usize,
}

impl Text {
    fn plain(path: &StorePath) -> Self {
        Self { bytes: path.bytes().to_vec(), hash: path.hash_range(), least: MIN_RUN }
    }

    /// How much of the hash `bytes[start..start + len]` holds, in bytes.
    fn held(&self, start: usize, len: usize) -> usize {
        (start + len).min(self.hash.end).saturating_sub(start.max(self.hash.start))
    }
}

/// Finds runs of several paths in one pass.
#[derive(Debug, Clone)]
pub struct Finder {
    paths: Vec<StorePath>,
    texts: Vec<Text>,
    filter: Filter,
    /// The grams of texts whose runs may be short.
    short: Filter,
    /// The grams of the others, and what is before and behind them.
    near: Filter,
    grams: Grams,
    longest: usize,
}

/// Grams, of which it may know more than were added.
#[derive(Debug, Clone)]
struct Filter(Box<[u64; FILTER]>);

impl Filter {
    /// Made on the heap, where there is room for it.
    fn empty() -> Self {
        let words = vec![0; FILTER].into_boxed_slice().try_into();
        Self(words.unwrap_or_else(|_| unreachable!("it has that length")))
    }

    fn slot(gram: u32) -> usize {
        (gram.wrapping_mul(0x9E37_79B1) >> (32 - FILTER_BITS)) as usize
    }

    fn add(&mut self, gram: u32) {
        let bit = Self::slot(gram);
        self.0[bit / 64] |= 1 << (bit % 64);
    }

    /// 1 if it may have it, else 0.
    fn has(&self, gram: u32) -> u64 {
        let bit = Self::slot(gram);
        self.0[bit / 64] >> (bit % 64) & 1
    }
}

/// Where in which text each gram is.
type Grams = HashMap<u32, Vec<(usize, usize)>, BuildHasherDefault<GramHasher>>;

/// Grams are ours, so nobody can make them collide.
#[derive(Debug, Clone, Copy, Default)]
struct GramHasher(u64);

impl Hasher for GramHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u32(byte.into());
        }
    }

    fn write_u32(&mut self, gram: u32) {
        self.0 = (self.0 ^ u64::from(gram)).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29);
    }
}

fn gram_at(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at + GRAM)?;
    Some(u32::from_le_bytes(four.try_into().ok()?))
}

impl Finder {
    /// A finder for `paths`; runs name them by their index.
    #[must_use]
    pub fn new(paths: Vec<StorePath>) -> Self {
        Self::with(paths, Vec::new())
    }

    /// A finder for `paths` and `more` in the same pass; runs name these by the indices that follow those of the paths.
    #[must_use]
    pub fn with(paths: Vec<StorePath>, more: Vec<Text>) -> Self {
        let [mut filter, mut short, mut near] = [(); 3].map(|()| Filter::empty());
        let mut grams = Grams::default();
        let texts: Vec<Text> = paths.iter().map(Text::plain).chain(more).collect();
        for (index, text) in texts.iter().enumerate() {
            let hash = &text.hash;
            // Windows of MIN_RUN bytes with at least one hash byte start here at the earliest, there at the latest.
            let first = hash.start.saturating_sub(MIN_RUN - 1);
            let last = (hash.end - 1).min(text.bytes.len().saturating_sub(MIN_RUN));
            for position in first..=last + (STEP - 1) {
                if let Some(gram) = gram_at(&text.bytes, position) {
                    filter.add(gram);
                    if text.least < LONG {
                        short.add(gram);
                    }
                    grams.entry(gram).or_default().push((index, position));
                }
            }
            if text.least >= LONG {
                let around = first.saturating_sub(GRAM)..=last + (STEP - 1) + GRAM;
                around.filter_map(|position| gram_at(&text.bytes, position)).for_each(|gram| near.add(gram));
            }
        }
        let longest = texts.iter().map(|text| text.bytes.len()).max().unwrap_or(0);
        Self { paths, texts, filter, short, near, grams, longest }
    }

    /// The paths searched for.
    #[must_use]
    pub fn paths(&self) -> &[StorePath] {
        &self.paths
    }

    /// Length of the longest path: how much two windows of a stream must share for no run to be cut.
    #[must_use]
    pub fn longest(&self) -> usize {
        self.longest
    }

    /// All runs in `bytes[range]`, by offset. They may overlap, where two paths have parts in common.
    #[must_use]
    pub fn find_in(&self, bytes: &[u8], range: Range<usize>) -> Vec<Run> {
        let offset = range.start;
        let mut found = self.find(&bytes[range]);
        for run in &mut found {
            run.at += offset;
        }
        found
    }

    /// All runs in `bytes`, by offset.
    #[must_use]
    pub fn find(&self, bytes: &[u8]) -> Vec<Run> {
        const BLOCK: usize = 4 * STEP;
        let mut found: Vec<Run> = Vec::new();
        let known = |block: &[u8], i: usize| {
            self.filter.has(u32::from_le_bytes([block[i], block[i + 1], block[i + 2], block[i + 3]]))
        };
        let mut blocks = bytes.chunks_exact(BLOCK);
        let mut at = 0;
        for block in &mut blocks {
            // One branch for twenty bytes: it is almost never taken.
            if known(block, 0) | known(block, STEP) | known(block, 2 * STEP) | known(block, 3 * STEP) != 0 {
                (0..BLOCK)
                    .step_by(STEP)
                    .filter(|&i| known(block, i) != 0)
                    .for_each(|i| self.find_at(bytes, at + i, &mut found));
            }
            at += BLOCK;
        }
        (at..bytes.len()).step_by(STEP).for_each(|at| self.find_at(bytes, at, &mut found));
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Adds the runs that the four bytes at `at` belong to.
    fn find_at(&self, bytes: &[u8], at: usize, found: &mut Vec<Run>) {
        let is_near =
            |at: Option<usize>| at.and_then(|at| gram_at(bytes, at)).is_some_and(|gram| self.near.has(gram) != 0);
        let places = gram_at(bytes, at).filter(|&gram| {
            // Four bytes of UTF-32 are a small number, of which programs are full.
            self.filter.has(gram) != 0
                && (self.short.has(gram) != 0 || is_near(at.checked_sub(GRAM)) || is_near(Some(at + GRAM)))
        });
        for &(path, position) in places.and_then(|gram| self.grams.get(&gram)).into_iter().flatten() {
            let known = found
                .iter()
                .rev()
                .take(2 * self.texts.len())
                .any(|run| run.path == path && run.at + position == at + run.start && at < run.end());
            if !known && let Some(run) = self.extend(bytes, at, path, position) {
                found.push(run);
            }
        }
    }

    fn extend(&self, bytes: &[u8], at: usize, path: usize, position: usize) -> Option<Run> {
        let text = &self.texts[path];
        // Of a text whose runs are long, most that begin like one are told from it by their neighbours.
        let around = |from: Option<usize>, within: Option<usize>| {
            let (from, within) = (from?, within?);
            Some(bytes.get(from..from + GRAM)? == text.bytes.get(within..within + GRAM)?)
        };
        if text.least >= LONG
            && around(at.checked_sub(GRAM), position.checked_sub(GRAM)) != Some(true)
            && around(Some(at + GRAM), Some(position + GRAM)) != Some(true)
        {
            return None;
        }
        let whole = &text.bytes;
        let back = bytes[..at].iter().rev().zip(whole[..position].iter().rev()).take_while(|(a, b)| a == b).count();
        let ahead = bytes[at..].iter().zip(&whole[position..]).take_while(|(a, b)| a == b).count();
        let run = Run { at: at - back, path, start: position - back, len: back + ahead };
        (run.len >= text.least && text.held(run.start, run.len) > 0).then_some(run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const P: &[u8] = b"/nix/store/0123456789abcdfghijklmnpqrsvwxyz-hello-2.10";

    fn finder() -> Finder {
        Finder::new(vec![StorePath::parse(P).unwrap()])
    }

    /// The definition, written as plainly as possible.
    fn naive(bytes: &[u8]) -> Vec<Run> {
        let path = StorePath::parse(P).unwrap();
        let mut runs = Vec::new();
        for at in 0..bytes.len() {
            for start in 0..P.len() {
                if at > 0 && start > 0 && bytes[at - 1] == P[start - 1] {
                    continue;
                }
                let len = bytes[at..].iter().zip(&P[start..]).take_while(|(a, b)| a == b).count();
                let run = Run { at, path: 0, start, len };
                if len >= MIN_RUN && !run.hash_part(&path).is_empty() {
                    runs.push(run);
                }
            }
        }
        runs
    }

    #[test]
    fn every_window_is_found_at_every_alignment() {
        for start in 4..=42 {
            for shift in 0..9 {
                let mut bytes = vec![0xff; shift];
                bytes.extend(&P[start..start + MIN_RUN]);
                bytes.extend([0xff; 3]);
                let want = vec![Run { at: shift, path: 0, start, len: MIN_RUN }];
                assert_eq!(finder().find(&bytes), want, "{start} {shift}");
            }
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(parts in prop::collection::vec(
            prop_oneof![
                (0usize..P.len(), 1usize..P.len()).prop_map(|(a, n)| P[a..(a + n).min(P.len())].to_vec()),
                prop::collection::vec(any::<u8>(), 0..9),
                prop::collection::vec(prop::sample::select(P.to_vec()), 0..9),
            ], 0..8)) {
            let bytes = parts.concat();
            prop_assert_eq!(finder().find(&bytes), naive(&bytes));
        }
    }
}
