//! Which runs are mentions of a staged prefix, and whether they account for all of its hash.
//!
//! Owns the rules; pure. Two kinds of mention can be rewritten: the full hash, and a *piece*, a part of the path with some of the
//! hash that a compiler made out of a string constant. A piece is known by its length and by where it lies:
//!
//! - in x86 code it is the immediate of a `movabs`, no more and no less;
//! - among constants it begins and ends at a multiple of eight, or where the path does: pools are aligned, and a byte
//!   beyond the boundary belongs to the neighbour even if it happens to fit;
//! - elsewhere (text wrapped at a margin, formats of other tools) it is all of the run;
//! - behind `-frandom-seed=` it is the first ten characters of the hash, wherever that is written.
//!
//! A piece with few characters of the hash may belong to another store path. It is taken only if it does not read
//! as one, and if the rest of our path is near (see [`Judge::weak_is_ours`]).
//!
//! Then the count: pieces that together lack a character of the hash prove that it lies in something smaller that no search can
//! tell from coincidence. That is a [`Doubt`], and the file must be refused.

use super::constants::{Constant, Constants};
use super::layout::{Kind, Layout};
use super::prefix::{HASH_LEN, StorePath, is_base32};
use super::runs::{MIN_RUN, Run};
use super::x86;
use std::collections::BTreeMap;
use std::ops::Range;

/// Hash characters from which a run cannot be chance: 2^-30 for each other store path in the file.
pub const STRONG: usize = 6;
/// Hash characters from which a lone run is taken for ours (2^-15): it is then refused for what it lacks.
const SUSPECT: usize = 3;
/// How far apart (bytes) pieces of one copy can lie where nothing but distance tells.
const NEAR: usize = 256;
/// How near (bytes) a full occurrence must lie for its bytes to count as a row of constants.
const BESIDE: usize = 64;

/// The option before a seed.
const SEED: &[u8] = b"-frandom-seed=";

/// A mention that cannot be rewritten with certainty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubt {
    /// Offset of the bytes that prove it.
    pub at: usize,
    /// Which path.
    pub path: usize,
    /// What is wrong.
    pub what: What,
}

/// What is wrong with a mention.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// The pieces lack these characters of the hash (0..32).
    Gap(Vec<Range<usize>>),
    /// An instruction holds four bytes of the path.
    Short,
    /// An instruction holds eight bytes of the path in reversed order.
    Reversed,
    /// A constant begins with the end of the path, in fewer than [`MIN_RUN`] bytes: the package's name is very short.
    Tail,
    /// Code holds a part of the path that is not one instruction's constant, or a constant lies out of line.
    OutOfLine,
    /// The same bytes belong to two staged prefixes.
    Shared,
}

/// The outcome for one file, or one member of an archive.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Runs with the full hash.
    pub full: Vec<Run>,
    /// Pieces, cut to what is certain.
    pub pieces: Vec<Run>,
    /// Reasons to refuse.
    pub doubts: Vec<Doubt>,
}

impl Verdict {
    /// Whether nothing of any path was found.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.full.is_empty() && self.pieces.is_empty() && self.doubts.is_empty()
    }
}

/// The rules applied to one file's bytes.
pub struct Judge<'a> {
    bytes: &'a [u8],
    layout: &'a Layout,
    paths: &'a [StorePath],
}

/// A set of hash characters, bit `i` for character `i`.
type Mask = u32;

fn mask(part: &Range<usize>) -> Mask {
    part.clone().fold(0, |mask, i| mask | 1 << i)
}

fn missing(mask: Mask) -> Vec<Range<usize>> {
    let mut gaps: Vec<Range<usize>> = Vec::new();
    for i in (0..HASH_LEN).filter(|i| mask & (1 << i) == 0) {
        match gaps.last_mut() {
            Some(gap) if gap.end == i => gap.end += 1,
            _ => gaps.push(i..i + 1),
        }
    }
    gaps
}

impl<'a> Judge<'a> {
    /// A judge of `bytes`, laid out as `layout`, for runs of `paths`.
    #[must_use]
    pub fn new(bytes: &'a [u8], layout: &'a Layout, paths: &'a [StorePath]) -> Self {
        Self { bytes, layout, paths }
    }

    /// Judges `runs`, all that were found in the bytes; `constants` searches the code.
    #[must_use]
    pub fn verdict(&self, runs: &[Run], constants: &Constants) -> Verdict {
        let mut verdict = Verdict::default();
        let (mut weak, mut hidden) = (Vec::new(), Vec::new());
        let is_full = |run: &Run| run.is_full(&self.paths[run.path]);
        verdict.full = runs.iter().copied().filter(is_full).collect();
        for run in runs.iter().filter(|run| !is_full(run)) {
            let path = &self.paths[run.path];
            if self.is_within(run, &verdict.full) {
                hidden.push(*run);
                continue;
            }
            if self.is_seed(run) {
                verdict.pieces.push(*run);
                continue;
            }
            let (piece, lost) = self.cut(run);
            if lost {
                verdict.doubts.push(Doubt { at: run.at, path: run.path, what: What::OutOfLine });
            }
            match piece.map(|piece| (piece, piece.hash_part(path).len())) {
                Some((piece, STRONG..)) => verdict.pieces.push(piece),
                Some((piece, 1..)) if !self.is_other_path(&piece) => weak.push(piece),
                _ => {}
            }
        }
        let strong: Vec<Run> = verdict.full.iter().chain(&verdict.pieces).copied().collect();
        weak.retain(|piece| self.weak_is_ours(piece, &strong));
        verdict.pieces.extend(weak);
        verdict.pieces.sort_unstable();
        self.settle_shared(&mut verdict);
        self.settle_hidden(&hidden, &mut verdict);
        self.count(&mut verdict);
        self.search_code(constants, &mut verdict);
        self.search_tails(&mut verdict);
        verdict.doubts.sort_by_key(|doubt| (doubt.at, doubt.path));
        verdict
    }

    /// Whether a run is the seed that nixpkgs gives to compilers, which repeat it in debug information and in recorded flags.
    ///
    /// The beginning of the hash, up to where a word ends, behind [`SEED`]: all that there is, so nothing of it is hidden.
    /// (nixpkgs, `pkgs/build-support/setup-hooks/reproducible-builds.sh`.)
    #[must_use]
    pub fn is_seed(&self, run: &Run) -> bool {
        let hash = self.paths[run.path].hash_range();
        run.start == hash.start
            && run.start + run.len < hash.end
            && self.bytes[..run.at].ends_with(SEED)
            && !self.bytes.get(run.end()).is_some_and(|&next| is_base32(next))
    }

    /// The part of a run that is a piece by where it lies, and whether what was cut off is too much to be chance.
    fn cut(&self, run: &Run) -> (Option<Run>, bool) {
        let path = &self.paths[run.path];
        let hash_len = |run: Option<&Run>| run.map_or(0, |r| r.hash_part(path).len());
        let kind = self.layout.kind(run.at);
        if matches!(kind, Kind::CodeX86 | Kind::Plain) && x86::is_movabs(self.bytes, run.at) {
            // Chance makes a character fit that is the next instruction's; more of the hash than that would be left as it is.
            let beyond = hash_len(run.clip(&(run.at + MIN_RUN..run.end())).as_ref());
            return (run.clip(&(run.at..run.at + MIN_RUN)), beyond >= SUSPECT);
        }
        let unit = match kind {
            Kind::CodeX86 => return (None, hash_len(Some(run)) >= STRONG),
            Kind::Plain => return (Some(*run), false),
            Kind::Data => 8,
            Kind::Code | Kind::CodeArm64 => 4,
        };
        let mut from = run.at;
        let mut to = run.end();
        if run.start > 0 {
            from += (unit - self.layout.alignment(from) % unit) % unit;
        }
        if run.start + run.len < path.bytes().len() {
            to = to.saturating_sub(self.layout.alignment(to) % unit);
        }
        let before = hash_len(run.clip(&(run.at..from)).as_ref());
        let after = hash_len(run.clip(&(to.max(run.at)..run.end())).as_ref());
        let piece = run.clip(&(from..to)).filter(|p| p.len >= MIN_RUN);
        let lost = match piece {
            Some(_) => before >= SUSPECT || after >= SUSPECT,
            None => hash_len(Some(run)) >= STRONG,
        };
        (piece, lost)
    }

    /// Whether the bytes around read as a store path with another hash: 32 characters of base32 and a dash, in line with the piece.
    ///
    /// More than 32 are a row of our own constants, of which the last overlaps the one before it.
    fn is_other_path(&self, piece: &Run) -> bool {
        let hash = self.paths[piece.path].hash_range();
        let Some(start) = (piece.at + hash.start).checked_sub(piece.start) else {
            return false;
        };
        let before = start.checked_sub(1).map_or(b'/', |i| self.bytes[i]);
        !is_base32(before)
            && self.bytes.get(start..start + HASH_LEN).is_some_and(|other| other.iter().all(|&b| is_base32(b)))
            && self.bytes.get(start + HASH_LEN) == Some(&b'-')
    }

    /// Whether a piece with few hash characters is ours.
    ///
    /// `/nix/store/q` begins one in 32 of all store paths, so the constant that goes on where it stops must be there too. A piece from
    /// the end of the hash is followed by the package's name, which is rarer: any other mention of the path will do.
    fn weak_is_ours(&self, piece: &Run, strong: &[Run]) -> bool {
        let path = &self.paths[piece.path];
        let inside = |other: &Run| other.at < piece.end() && piece.at < other.end();
        if strong.iter().any(|o| inside(o) && o.is_full(&self.paths[o.path])) {
            return false;
        }
        let part = piece.hash_part(path);
        if part.len() >= SUSPECT {
            return true;
        }
        let mut companions = strong.iter().filter(|other| other.path == piece.path);
        if self.layout.kind(piece.at) == Kind::Plain {
            return companions.any(|other| distance(piece, other) <= NEAR);
        }
        if part.start > 0 {
            return companions.next().is_some();
        }
        let next = piece.start + piece.len;
        companions.any(|other| {
            other.start == next
                || other.start < next
                    && next < other.start + other.len
                    && self.layout.alignment(other.at + next - other.start).is_multiple_of(MIN_RUN)
        })
    }

    /// Bytes claimed by two paths: the path that has no other mention loses; if both have, nothing can satisfy both.
    fn settle_shared(&self, verdict: &mut Verdict) {
        let firm = |path: usize, verdict: &Verdict| {
            verdict.full.iter().any(|r| r.path == path)
                || verdict.pieces.iter().any(|r| r.path == path && r.hash_part(&self.paths[path]).len() >= STRONG)
        };
        let firm: Vec<bool> = (0..self.paths.len()).map(|p| firm(p, verdict)).collect();
        // Characters of the hash that only the loser explains are no chance: it cannot be dropped for the others.
        let lone = |loser: &Run, winner: &Run| {
            let parts = [
                loser.at..winner.at.clamp(loser.at, loser.end()),
                winner.end().clamp(loser.at, loser.end())..loser.end(),
            ];
            let held = |part| loser.clip(&part).map_or(0, |run| run.hash_part(&self.paths[loser.path]).len());
            parts.into_iter().map(held).sum::<usize>() >= SUSPECT
        };
        let mut losers = Vec::new();
        for (i, a) in verdict.pieces.iter().enumerate() {
            let behind = verdict.pieces[i + 1..].iter();
            for b in behind.take_while(|b| b.at < a.end()) {
                if b.path == a.path {
                    continue;
                }
                match (firm[a.path], firm[b.path]) {
                    (true, false) if !lone(b, a) => losers.push(*b),
                    (false, true) if !lone(a, b) => losers.push(*a),
                    _ => verdict.doubts.push(Doubt { at: b.at, path: b.path, what: What::Shared }),
                }
            }
        }
        verdict.pieces.retain(|piece| !losers.contains(piece));
    }

    /// Whether all that a run holds of its hash lies within a full mention of another path, whose hash begins alike.
    fn is_within(&self, run: &Run, full: &[Run]) -> bool {
        let path = &self.paths[run.path];
        let part = run.hash_part(path);
        let from = run.hash_offset(path, part.start);
        full.iter().any(|other| other.path != run.path && other.at <= from && from + part.len() <= other.end())
    }

    /// Bytes of a full mention that fit another path too belong to the path that is there in full, unless the other is also
    /// there in pieces: then a compiler may have made both from the same constant.
    fn settle_hidden(&self, hidden: &[Run], verdict: &mut Verdict) {
        for run in hidden {
            let part = run.hash_part(&self.paths[run.path]);
            let mut pieces = verdict.pieces.iter().filter(|piece| piece.path == run.path && !self.is_seed(piece));
            if part.len() >= SUSPECT && pieces.next().is_some() {
                verdict.doubts.push(Doubt { at: run.at, path: run.path, what: What::Shared });
            }
        }
    }

    /// Adds a doubt for every group of pieces that does not hold all of the hash.
    fn count(&self, verdict: &mut Verdict) {
        for path in 0..self.paths.len() {
            let pieces: Vec<&Run> = verdict.pieces.iter().filter(|r| r.path == path && !self.is_seed(r)).collect();
            if pieces.is_empty() {
                continue;
            }
            let full: Vec<&Run> = verdict.full.iter().filter(|r| r.path == path).collect();
            let doubts = self.count_path(&pieces, &full);
            verdict.doubts.extend(doubts);
        }
    }

    fn count_path(&self, pieces: &[&Run], full: &[&Run]) -> Vec<Doubt> {
        let path = &self.paths[pieces[0].path];
        let held = |run: &Run| mask(&run.hash_part(path));
        let of_kind = |kinds: &[Kind]| -> Vec<&Run> {
            let all = pieces.iter().copied();
            all.filter(|r| kinds.contains(&self.layout.kind(r.at))).collect()
        };
        let pool = of_kind(&[Kind::Data, Kind::Code, Kind::CodeArm64]);
        let code = of_kind(&[Kind::CodeX86]);
        let plain = of_kind(&[Kind::Plain]);

        let mut pool_mask = pool.iter().fold(0, |m, r| m | held(r));
        for run in full {
            let is_pool = matches!(self.layout.kind(run.at), Kind::Data | Kind::Code | Kind::CodeArm64);
            if is_pool && (self.is_row(run, path) || near_any(run, &pool, NEAR)) {
                pool_mask |= held(run);
            }
        }
        let code_mask = code.iter().fold(0, |m, r| m | held(r));

        let mut groups: Vec<(usize, Mask)> = Vec::new();
        if let Some(first) = pool.first() {
            groups.push((first.at, pool_mask | code_mask));
        }
        for group in self.functions(&code) {
            let own = group.iter().fold(0, |m, r| m | held(r));
            groups.push((group[0].at, own | pool_mask));
        }
        for group in by_distance(&plain) {
            let mut own = group.iter().fold(0, |m, r| m | held(r));
            if full.iter().any(|run| near_any(run, &group, BESIDE)) {
                own = Mask::MAX;
            }
            groups.push((group[0].at, own));
        }
        groups
            .into_iter()
            .filter(|(_, mask)| *mask != Mask::MAX)
            .map(|(at, mask)| Doubt { at, path: pieces[0].path, what: What::Gap(missing(mask)) })
            .collect()
    }

    /// Whether a full occurrence is a row of constants rather than a string: it stops inside the path, at a boundary.
    fn is_row(&self, run: &Run, path: &StorePath) -> bool {
        let stops = run.start + run.len < path.bytes().len();
        (stops && self.layout.alignment(run.end()).is_multiple_of(MIN_RUN))
            || (run.start > 0 && self.layout.alignment(run.at).is_multiple_of(MIN_RUN))
    }

    /// Pieces in code, by function; by distance where the symbols are gone.
    fn functions<'r>(&self, code: &[&'r Run]) -> Vec<Vec<&'r Run>> {
        let mut named: BTreeMap<&str, Vec<&Run>> = BTreeMap::new();
        let mut nameless = Vec::new();
        for run in code {
            match self.layout.symbol(run.at) {
                // A compiler moves unlikely parts of a function out of it: `f` and `f.cold` share constants.
                Some(name) => named.entry(name.split('.').next().unwrap_or(name)).or_default().push(run),
                None => nameless.push(*run),
            }
        }
        named.into_values().chain(by_distance(&nameless)).collect()
    }

    /// Constants too short or turned around, outside of what is already known.
    fn search_code(&self, constants: &Constants, verdict: &mut Verdict) {
        let known: Vec<Run> = verdict.full.iter().chain(&verdict.pieces).copied().collect();
        for region in self.layout.regions() {
            for (at, path, constant) in constants.find(self.bytes, region.range.clone(), region.kind) {
                if known.iter().any(|run| run.at < at + 4 && at < run.end()) {
                    continue;
                }
                verdict.doubts.push(Doubt {
                    at,
                    path,
                    what: match constant {
                        Constant::Short => What::Short,
                        Constant::Reversed => What::Reversed,
                    },
                });
            }
        }
    }

    /// Constants that begin with the last of the hash and a name so short that they are no run.
    ///
    /// The last constant of a copy overlaps the one before it, so it can hide behind a full count.
    fn search_tails(&self, verdict: &mut Verdict) {
        let known: Vec<Run> = verdict.full.iter().chain(&verdict.pieces).copied().collect();
        for (path, store_path) in self.paths.iter().enumerate() {
            let hash = store_path.hash_range();
            let longest = MIN_RUN.saturating_sub(1 + store_path.bytes().len() - hash.end);
            if longest == 0 || known.iter().all(|run| run.path != path) {
                continue;
            }
            let finder = memchr::memmem::Finder::new(&store_path.bytes()[hash.end - 1..]);
            for region in self.layout.regions() {
                if !matches!(region.kind, Kind::Data | Kind::CodeX86) {
                    continue;
                }
                for found in finder.find_iter(&self.bytes[region.range.clone()]) {
                    let at = region.range.start + found;
                    let begins = |&held: &usize| {
                        (at + 1).checked_sub(held).is_some_and(|start| {
                            self.bytes[start..].starts_with(&store_path.bytes()[hash.end - held..])
                                && match region.kind {
                                    Kind::Data => self.layout.alignment(start).is_multiple_of(MIN_RUN),
                                    _ => x86::is_movabs(self.bytes, start),
                                }
                        })
                    };
                    let is_known = known.iter().any(|run| run.at <= at && at < run.end());
                    if !is_known && (1..=longest).any(|held| begins(&held)) {
                        verdict.doubts.push(Doubt { at, path, what: What::Tail });
                    }
                }
            }
        }
    }
}

fn distance(a: &Run, b: &Run) -> usize {
    b.at.saturating_sub(a.end()).max(a.at.saturating_sub(b.end()))
}

fn near_any(run: &Run, others: &[&Run], limit: usize) -> bool {
    others.iter().any(|other| distance(run, other) <= limit)
}

/// Splits runs, ordered by offset, where more than [`NEAR`] bytes lie between two.
fn by_distance<'r>(runs: &[&'r Run]) -> Vec<Vec<&'r Run>> {
    runs.chunk_by(|a, b| distance(a, b) <= NEAR).map(<[&Run]>::to_vec).collect()
}

#[cfg(test)]
mod tests;
