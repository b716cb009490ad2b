//! A staged path in another encoding: UTF-16 and UTF-32, base64.
//!
//! Owns what these make of a path, and the way back. The search is `runs`', in the same pass as for the path itself; text with
//! escapes is `escapes`'. A mention is rewritten where all of the hash is there, else it is refused: what compilers make of wide
//! strings is not put together again.

use super::content::Edit;
use super::digest;
use super::prefix::{HASH_LEN, Mapping, StorePath, is_base32};
use super::runs::{MIN_RUN, Run, Text};
use std::ops::Range;

/// A mention in another encoding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// Offset of the first byte that depends on the hash.
    pub at: usize,
    /// Which mapping.
    pub path: usize,
    /// What the encoding is called.
    pub form: &'static str,
    /// What rewrites it; none where that is not certain.
    pub edits: Option<Vec<Edit>>,
}

/// One path in one encoding.
#[derive(Debug, Clone, Copy)]
enum Form {
    /// Characters of so many bytes; of which byte order does not matter, as the bytes between are zero.
    Wide(usize),
    /// Base64 of characters of `width` bytes that begin at `lead` of a group of three.
    Base64 { lead: usize, width: usize },
    /// A digest of the path, by its place among the literals.
    Digest(usize),
}

/// What is looked for beside the paths themselves.
#[derive(Debug, Clone)]
pub struct Forms {
    mappings: Vec<Mapping>,
    /// The path and the encoding of each of [`Self::texts`].
    all: Vec<(usize, Form)>,
    /// Digests of the paths as text, and what becomes of each.
    literals: Vec<(Vec<u8>, Vec<Vec<u8>>)>,
}

/// The shortest run of UTF-32 that counts (bytes): three characters.
const WIDEST_RUN: usize = 12;
/// Hash characters that are no chance in one run, and in several that lie near each other.
const STRONG: usize = 7;
const TOGETHER: usize = 10;
/// How far apart (bytes) the pieces of one copy lie at most.
const NEAR: usize = 256;
/// What a constant of a pool holds (bytes).
const CONSTANT: usize = 16;
/// Bytes that base64 in lines, or in strings of a program, has between two of its characters at most.
const BREAK: usize = 24;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn sextet(byte: u8) -> Option<u8> {
    Some(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' | b'-' => 62,
        b'/' | b'_' => 63,
        _ => return None,
    })
}

/// `text` in characters of `width` bytes, without the zeros of the last.
fn widened(text: &[u8], width: usize) -> Vec<u8> {
    let mut wide: Vec<u8> =
        text.iter().flat_map(|&byte| std::iter::once(byte).chain(std::iter::repeat_n(0, width - 1))).collect();
    wide.truncate(wide.len() + 1 - width);
    wide
}

/// The sextets of `bytes`, which begin at `lead` of a group of three, that depend on nothing else.
fn sextets(bytes: &[u8], lead: usize) -> Vec<u8> {
    let bits = |at: usize| bytes[at / 8] >> (7 - at % 8) & 1;
    let first = (6 - lead * 8 % 6) % 6;
    let count = (bytes.len() * 8 - first) / 6;
    (0..count).map(|i| (0..6).fold(0, |value, bit| value << 1 | bits(first + 6 * i + bit))).collect()
}

impl Forms {
    /// The encodings of the staged paths of `mappings`.
    #[must_use]
    pub fn new(mappings: Vec<Mapping>) -> Self {
        let mut forms = Vec::new();
        for path in 0..mappings.len() {
            forms.extend([2, 4].map(|width| (path, Form::Wide(width))));
            for width in [1, 2] {
                forms.extend([0, 1, 2].map(|lead| (path, Form::Base64 { lead, width })));
            }
        }
        let mut literals = Vec::new();
        for (path, mapping) in mappings.iter().enumerate() {
            for (old, new) in path_digests(mapping) {
                forms.push((path, Form::Digest(literals.len())));
                literals.push((old, new));
            }
        }
        Self { mappings, all: forms, literals }
    }

    /// What the finder looks for, after the paths.
    #[must_use]
    pub fn texts(&self) -> Vec<Text> {
        let text = |&(path, form): &(usize, Form)| {
            let path = &self.mappings[path].staged;
            match form {
                Form::Wide(width) => {
                    let hash = path.hash_range();
                    Text {
                        bytes: widened(path.bytes(), width),
                        hash: hash.start * width..(hash.end - 1) * width + 1,
                        least: if width == 4 { WIDEST_RUN } else { MIN_RUN },
                    }
                }
                Form::Base64 { lead, width } => {
                    let coded = sextets(&widened(path.hash(), width), lead);
                    let bytes: Vec<u8> = coded.into_iter().map(|six| ALPHABET[usize::from(six)]).collect();
                    // Eight characters of base64 may be three of UTF-16, with zeros between.
                    Text { hash: 0..bytes.len(), bytes, least: MIN_RUN * width }
                }
                Form::Digest(index) => {
                    let bytes = self.literals[index].0.clone();
                    // Nothing but all of it counts, so the first of it is enough to find it.
                    Text { hash: 0..1, least: bytes.len(), bytes }
                }
            }
        };
        self.all.iter().map(text).collect()
    }

    /// The mentions that `runs` are, all that were found in `bytes` and are not of the paths themselves.
    #[must_use]
    pub fn mentions(&self, bytes: &[u8], runs: &[Run]) -> Vec<Encoded> {
        let first = self.mappings.len();
        let mut all = Vec::new();
        for (index, &(path, form)) in self.all.iter().enumerate() {
            let own: Vec<Run> = runs.iter().copied().filter(|run| run.path == first + index).collect();
            match form {
                _ if own.is_empty() => {}
                Form::Wide(width) => self.wide(bytes, &own, path, width, &mut all),
                Form::Base64 { lead, width } => self.base64(bytes, &own, path, (lead, width), &mut all),
                Form::Digest(index) => all.extend(own.iter().map(|run| {
                    let new = digest::choose(bytes, run.at..run.end(), &self.literals[index].1);
                    let edits = new.map(|new| vec![Edit { at: run.at, bytes: new.clone() }]);
                    Encoded { at: run.at, path, form: "a digest of the path", edits }
                })),
            }
        }
        all.sort_by_key(|mention| (mention.at, mention.path));
        all.dedup_by_key(|mention| (mention.at, mention.path));
        all
    }

    fn wide(&self, bytes: &[u8], runs: &[Run], path: usize, width: usize, all: &mut Vec<Encoded>) {
        let mapping = &self.mappings[path];
        let form = if width == 2 { "UTF-16 text" } else { "UTF-32 text" };
        let part = |run: &Run| characters(run, &mapping.staged, width);
        let (full, pieces): (Vec<&Run>, Vec<&Run>) = runs.iter().partition(|run| part(run).len() == HASH_LEN);
        for run in &full {
            let start = run.at + mapping.staged.hash_range().start * width - run.start;
            let edits = mapping.real.hash().iter().enumerate();
            let edits = edits.map(|(i, &byte)| Edit { at: start + i * width, bytes: vec![byte] }).collect();
            all.push(Encoded { at: start, path, form, edits: Some(edits) });
        }
        // The last constant of a row overlaps the one before it. With a short name it holds less than a run.
        if !full.is_empty() {
            let from = mapping.staged.hash_range().end - 1;
            let tail = widened(&mapping.staged.bytes()[from..], width);
            for at in memchr::memmem::find_iter(bytes, &tail) {
                let run = Run { at, path, start: from * width, len: tail.len() };
                let is_full = full.iter().any(|full| full.at <= at && at < full.end());
                if !is_full && !is_other_path(bytes, &run, &mapping.staged, width) {
                    all.push(Encoded { at, path, form, edits: None });
                }
            }
        }
        // A piece is what compilers make of a constant. A short one counts beside others, or, if it is all of a constant, where
        // the whole path is: much text in UTF-16 holds four characters of any hash by chance.
        let ours: Vec<&Run> =
            pieces.into_iter().filter(|run| !is_other_path(bytes, run, &mapping.staged, width)).collect();
        for group in ours.chunk_by(|a, b| b.at.saturating_sub(a.end()) <= NEAR) {
            let held = group.iter().fold(0_u32, |mask, run| part(run).fold(mask, |mask, i| mask | 1 << i)).count_ones();
            let together = group.len() > 1 && held as usize >= TOGETHER;
            let is_constant = |run: &Run| !full.is_empty() && run.len >= CONSTANT - width;
            let counted = group.iter().filter(|run| together || part(run).len() >= STRONG || is_constant(run));
            all.extend(counted.map(|run| Encoded { at: run.at, path, form, edits: None }));
        }
    }

    fn base64(&self, bytes: &[u8], runs: &[Run], path: usize, form: (usize, usize), all: &mut Vec<Encoded>) {
        let (lead, width) = form;
        let mapping = &self.mappings[path];
        let [old, new] = [&mapping.staged, &mapping.real].map(|path| widened(path.hash(), width));
        let known = sextets(&old, lead);
        let mut from = 0;
        let mut last = None;
        for run in runs.iter().filter(|run| run.len >= MIN_RUN) {
            if run.at < from {
                continue;
            }
            let places = places(bytes, run, known.len(), lead * 8 % 6 != 0, (lead + old.len()) % 3 != 0);
            let checked = is_checked(bytes, places.as_ref().map_or(run.at, |places| places[0]), last);
            last = Some((run.at, checked));
            let whole = places.as_ref().filter(|places| {
                let inner = &places[usize::from(lead * 8 % 6 != 0)..][..known.len()];
                !checked && inner.iter().zip(&known).all(|(&at, six)| sextet(bytes[at]) == Some(*six))
            });
            let Some(places) = whole else {
                all.push(Encoded { at: run.at, path, form: "base64", edits: None });
                from = run.end();
                continue;
            };
            // The sextets around hold bits of what is before and after the hash.
            let skew = lead * 8 % 6;
            let mut bits: Vec<u8> = places.iter().filter_map(|&at| sextet(bytes[at])).flat_map(six_bits).collect();
            for (i, bit) in new.iter().flat_map(|byte| (0..8).map(move |bit| byte >> (7 - bit) & 1)).enumerate() {
                bits[skew + i] = bit;
            }
            let coded = bits.chunks(6).map(|six| six.iter().fold(0, |value, bit| value << 1 | bit));
            let edits = coded.zip(places).map(|(six, &at)| Edit { at, bytes: vec![letter(six, bytes[at])] }).collect();
            all.push(Encoded { at: places[0], path, form: "base64", edits: Some(edits) });
            from = places.last().map_or(run.end(), |last| last + 1);
        }
    }
}

/// Digests of the path, of the line with the path, and of its name, in all forms.
fn path_digests(mapping: &Mapping) -> Vec<(Vec<u8>, Vec<Vec<u8>>)> {
    let texts = |path: &StorePath| {
        let bytes = path.bytes();
        [bytes.to_vec(), [bytes, b"\n"].concat(), bytes[path.hash_range().start..].to_vec()]
    };
    let mut all: Vec<(Vec<u8>, Vec<Vec<u8>>)> = Vec::new();
    for (old, new) in texts(&mapping.staged).iter().zip(texts(&mapping.real)) {
        for (old, new) in digest::all(old).iter().zip(digest::all(&new)) {
            for (old, new) in digest::forms(old).into_iter().zip(digest::forms(&new)) {
                // Both alphabets of base64 may write the old one alike, and not the new one.
                match all.last_mut().filter(|last| last.0 == old) {
                    Some(last) if last.1[0] != new => last.1.push(new),
                    Some(_) => {}
                    None => all.push((old, vec![new])),
                }
            }
        }
    }
    all
}

fn six_bits(six: u8) -> impl Iterator<Item = u8> {
    (0..6).map(move |bit| six >> (5 - bit) & 1)
}

/// The character for `six`, of the alphabet that `old` is from where it tells: where the neighbours' bits stay, 62 and 63 stay.
fn letter(six: u8, old: u8) -> u8 {
    if sextet(old) == Some(six) { old } else { ALPHABET[usize::from(six)] }
}

/// Which characters of the hash a run holds.
fn characters(run: &Run, path: &StorePath, width: usize) -> Range<usize> {
    let hash = path.hash_range();
    let from = run.start.div_ceil(width).clamp(hash.start, hash.end) - hash.start;
    let to = (run.start + run.len).div_ceil(width).clamp(hash.start, hash.end) - hash.start;
    from..to
}

/// Whether a run is the beginning of another store path.
fn is_other_path(bytes: &[u8], run: &Run, path: &StorePath, width: usize) -> bool {
    let Some(start) = (run.at + path.hash_range().start * width).checked_sub(run.start) else { return false };
    let at = |i: usize| bytes.get(start + i * width).copied();
    characters(run, path, width).len() < STRONG
        && (0..HASH_LEN).all(|i| at(i).is_some_and(is_base32))
        && at(HASH_LEN) == Some(b'-')
}

/// The offsets of the characters of base64 that a run is a part of, and of those that share a byte with it before and after.
fn places(bytes: &[u8], run: &Run, len: usize, before: bool, after: bool) -> Option<Vec<usize>> {
    let mut places: Vec<usize> = (run.at..run.end()).collect();
    for _ in 0..run.start + usize::from(before) {
        places.insert(0, previous(bytes, places[0])?);
    }
    while places.len() < len + usize::from(before) + usize::from(after) {
        places.push(next(bytes, *places.last()?)?);
    }
    Some(places)
}

/// Whether the data that base64 at `at` is a part of are of a format with checksums, which would be wrong. `last`: another place
/// before it, and what was found there.
fn is_checked(bytes: &[u8], at: usize, last: Option<(usize, bool)>) -> bool {
    let is_part = |&byte: &u8| sextet(byte).is_some() || matches!(byte, b'\r' | b'\n');
    let from = last.map_or(0, |(place, _)| place.min(at));
    let start = at - bytes[from..at].iter().rev().take_while(|byte| is_part(byte)).count();
    if let Some((place, is_checked)) = last
        && start == place
    {
        return is_checked;
    }
    let first: Vec<u8> = bytes[start..].iter().filter_map(|&byte| sextet(byte)).take(8).flat_map(six_bits).collect();
    let head: Vec<u8> = first.chunks_exact(8).map(|bits| bits.iter().fold(0, |byte, bit| byte << 1 | bit)).collect();
    [&b"\x89PNG"[..], b"PK\x03\x04", b"\x1f\x8b\x08", b"OggS"].iter().any(|magic| head.starts_with(magic))
}

/// Whether a line break is written at `at` as in a string of a program or in JSON.
fn is_escaped_break(bytes: &[u8], at: usize) -> bool {
    matches!(bytes.get(at..at + 2), Some(b"\\n" | b"\\r"))
}

fn next(bytes: &[u8], at: usize) -> Option<usize> {
    let mut at = at + 1;
    let last = at + BREAK;
    while at < last {
        if is_escaped_break(bytes, at) {
            at += 2;
        } else if sextet(*bytes.get(at)?).is_some() {
            return Some(at);
        } else {
            at += 1;
        }
    }
    None
}

fn previous(bytes: &[u8], at: usize) -> Option<usize> {
    let last = at.saturating_sub(BREAK);
    let mut at = at;
    while at > last {
        if at >= 2 && is_escaped_break(bytes, at - 2) {
            at -= 2;
            continue;
        }
        at -= 1;
        if sextet(bytes[at]).is_some() {
            return Some(at);
        }
    }
    None
}
