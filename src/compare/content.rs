//! Bytes modulo the package's own hashes.
//!
//! Owns the excuse for a byte that differs: on both sides it is the same character of the same output's hash, in a run that
//! relocation would have to rewrite. Nothing is replaced, so no coincidence on one side can hide or invent a difference.

use super::{Excuse, What};
use crate::state::relocate::layout::Layout;
use crate::state::relocate::packed::{self, GzipMember, Unpacked};
use crate::state::relocate::runs::{Finder, Run};

/// Bytes of a difference that are shown.
const SHOWN: usize = 16;

/// One side's bytes with what finds its own paths.
#[derive(Clone, Copy)]
pub struct Bytes<'a> {
    pub bytes: &'a [u8],
    pub finder: &'a Finder,
}

impl<'a> Bytes<'a> {
    /// Other bytes of the same side.
    pub fn part<'b>(self, bytes: &'b [u8]) -> Bytes<'b>
    where
        'a: 'b,
    {
        Bytes { bytes, finder: self.finder }
    }
}

/// Compares two contents; gzip unpacked. Excuses are added to `excused`.
pub fn compare(a: Bytes, b: Bytes, excused: &mut Vec<Excuse>) -> Option<What> {
    if a.bytes == b.bytes {
        return None;
    }
    if let (Some(one), Some(other)) = (gzip(a.bytes), gzip(b.bytes)) {
        return compare_gzip(a, &one, b, &other, excused);
    }
    if a.bytes.len() != b.bytes.len() {
        return Some(What::Size(a.bytes.len() as u64, b.bytes.len() as u64));
    }
    let differing = differing(a, b);
    let layouts = (Layout::of(a.bytes), Layout::of(b.bytes));
    let is_build_id = |layout: &Layout, at: usize| {
        let region = layout.region(at);
        region.is_some_and(|region| region.section == ".note.gnu.build-id")
    };
    let real: Vec<usize> =
        differing.iter().copied().filter(|&at| !(is_build_id(&layouts.0, at) && is_build_id(&layouts.1, at))).collect();
    if real.len() < differing.len() {
        excused.push(Excuse::BuildId);
    }
    let at = *real.first()?;
    let end = (at + SHOWN).min(a.bytes.len());
    Some(What::Content {
        at,
        bytes: real.len(),
        shown: (a.bytes[at..end].to_vec(), b.bytes[at..end].to_vec()),
        section: layouts.0.region(at).map(|region| region.section.clone()),
        member: None,
    })
}

/// Whether two short texts, such as symlink targets, say the same.
pub fn same_text(a: Bytes, b: Bytes) -> bool {
    a.bytes.len() == b.bytes.len() && differing(a, b).is_empty()
}

/// Offsets of bytes that differ other than in the package's own hashes. Both sides must be equally long.
fn differing(a: Bytes, b: Bytes) -> Vec<usize> {
    let unequal = a.bytes.iter().zip(b.bytes).enumerate();
    let mut unequal: Vec<usize> = unequal.filter(|(_, (one, other))| one != other).map(|(at, _)| at).collect();
    if unequal.is_empty() {
        return unequal;
    }
    let runs = (a.finder.find(a.bytes), b.finder.find(b.bytes));
    unequal.retain(|&at| {
        let one = places(&runs.0, a.finder, at);
        let other = places(&runs.1, b.finder, at);
        !one.iter().any(|place| other.contains(place))
    });
    unequal
}

/// Which characters of which hash the byte at `at` is.
fn places(runs: &[Run], finder: &Finder, at: usize) -> Vec<(usize, usize)> {
    let behind = runs.partition_point(|run| run.at <= at);
    runs[..behind]
        .iter()
        .rev()
        .take_while(|run| run.at + finder.longest() > at)
        .filter(|run| at < run.end())
        .filter_map(|run| {
            let position = run.start + (at - run.at);
            let hash = finder.paths()[run.path].hash_range();
            hash.contains(&position).then(|| (run.path, position - hash.start))
        })
        .collect()
}

/// The members of a gzip file with nothing behind them; none if it is not one.
fn gzip(bytes: &[u8]) -> Option<Vec<(GzipMember, Vec<u8>)>> {
    let mut members = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        match packed::gzip_member(bytes, at, 0, &|_| false)? {
            (member, Unpacked::Whole(content)) => {
                at = member.end();
                members.push((member, content));
            }
            (_, Unpacked::Large(_)) => return None,
        }
    }
    (!members.is_empty()).then_some(members)
}

fn compare_gzip(
    a: Bytes,
    one: &[(GzipMember, Vec<u8>)],
    b: Bytes,
    other: &[(GzipMember, Vec<u8>)],
    excused: &mut Vec<Excuse>,
) -> Option<What> {
    if one.len() != other.len() {
        return Some(What::Gzip);
    }
    for (index, ((member, content), (twin, inside))) in one.iter().zip(other).enumerate() {
        let headers = (a.part(&a.bytes[member.header.clone()]), b.part(&b.bytes[twin.header.clone()]));
        if !same_text(headers.0, headers.1) {
            return Some(What::Gzip);
        }
        let found = compare(a.part(content), b.part(inside), excused);
        if let Some(mut what) = found {
            if let What::Content { member, .. } = &mut what {
                *member = Some(index);
            }
            return Some(what);
        }
    }
    None
}
