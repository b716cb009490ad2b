//! Python's RECORD in a comparison: it holds hashes of files, and a file that mentions the package's own path has another hash in
//! every result, split or not.
//!
//! Owns the rule: rows may differ in the digest alone, and only where the file they name mentions its own package on both sides.
//! (Of installed files it cannot be asked whether the digest is right: stdenv strips and patches them after Python wrote it.)

use super::content::Pair;
use super::context::{Context, Side};
use crate::state::relocate::record::{digest_of, fields, is_record, named_file};
use std::path::Path;

/// Whether two files are RECORDs that say the same but for digests of files that mention their own package.
pub fn same(context: &Context, pair: &Pair) -> bool {
    let Some([a_path, b_path]) = pair.paths.filter(|[a_path, _]| is_record(a_path)) else { return false };
    same_rows(pair, |side, row| {
        let record = if side == Side::First { a_path } else { b_path };
        fields(row)
            .and_then(|(name, _)| named_file(record, name))
            .and_then(|file| std::fs::read(file).ok())
            .is_some_and(|bytes| context.mentions_own(side, &bytes))
    })
}

/// As [`same`], for the RECORD of a wheel; `member` is one of its files on a side. In a wheel every digest must be right.
pub fn same_in_wheel<'a>(context: &Context, pair: &Pair, member: impl Fn(Side, &str) -> Option<&'a [u8]>) -> bool {
    is_record(Path::new(pair.name))
        && same_rows(pair, |side, row| {
            let Some((name, digest)) = fields(row) else { return false };
            member(side, name).is_some_and(|bytes| digest_of(bytes) == digest && context.mentions_own(side, bytes))
        })
}

/// Whether two RECORDs differ in digests alone, and in those only of files of which `mentions` says yes on both sides.
fn same_rows(pair: &Pair, mentions: impl Fn(Side, &str) -> bool) -> bool {
    let (Ok(one), Ok(other)) = (std::str::from_utf8(pair.a), std::str::from_utf8(pair.b)) else { return false };
    one.lines().count() == other.lines().count()
        && one.lines().zip(other.lines()).all(|(row, twin)| {
            row == twin || is_excused(row, twin) && mentions(Side::First, row) && mentions(Side::Second, twin)
        })
}

/// Whether two rows differ in the digest alone.
fn is_excused(row: &str, twin: &str) -> bool {
    let size = |row: &str| row.rsplit(',').next().map(str::to_owned);
    matches!((fields(row), fields(twin)), (Some((name, _)), Some((same, _))) if name == same) && size(row) == size(twin)
}
