//! Python's RECORD in a comparison: it holds hashes of files, and a file that mentions the package's own path has another hash in
//! every result, split or not.
//!
//! Owns the rule: rows may differ in the digest alone, and only where the file they name mentions its own package on both sides.
//! (Whether the digest is right cannot be asked: stdenv strips and patches files after Python wrote it.)

use super::content::Pair;
use super::context::{Context, Side};
use crate::state::relocate::record::{fields, is_record, named_file};
use std::path::Path;

/// Whether two files are RECORDs that say the same but for digests of files that mention their own package.
pub fn same(context: &Context, pair: &Pair) -> bool {
    let Some([a_path, b_path]) = pair.paths.filter(|[a_path, _]| is_record(a_path)) else { return false };
    let (Ok(one), Ok(other)) = (std::str::from_utf8(pair.a), std::str::from_utf8(pair.b)) else { return false };
    let mentions = |side, record: &Path, row: &str| {
        fields(row)
            .and_then(|(name, _)| named_file(record, name))
            .and_then(|file| std::fs::read(file).ok())
            .is_some_and(|bytes| context.mentions_own(side, &bytes))
    };
    one.lines().count() == other.lines().count()
        && one.lines().zip(other.lines()).all(|(row, twin)| {
            row == twin
                || is_excused(row, twin) && mentions(Side::First, a_path, row) && mentions(Side::Second, b_path, twin)
        })
}

/// Whether two rows differ in the digest alone.
fn is_excused(row: &str, twin: &str) -> bool {
    let size = |row: &str| row.rsplit(',').next().map(str::to_owned);
    matches!((fields(row), fields(twin)), (Some((name, _)), Some((same, _))) if name == same) && size(row) == size(twin)
}
