//! Python's RECORD in a comparison: it holds hashes of files, and a file that mentions the package's own path has another hash in
//! every result, split or not.
//!
//! Owns the rule: rows may differ in the digest alone, and only where the file they name mentions its own package on both sides.
//! (Whether the digest is right cannot be asked: stdenv strips and patches files after Python wrote it.)

use super::content::Bytes;
use crate::state::relocate::record::{fields, named_file};
use std::path::Path;

/// Whether two RECORDs say the same but for digests of files that mention their own package. The paths are the RECORDs'.
pub fn same(a: Bytes, a_path: &Path, b: Bytes, b_path: &Path) -> bool {
    let (Ok(one), Ok(other)) = (std::str::from_utf8(a.bytes), std::str::from_utf8(b.bytes)) else { return false };
    one.lines().count() == other.lines().count()
        && one.lines().zip(other.lines()).all(|(row, twin)| {
            row == twin || is_excused(row, twin) && mentions_own(a, a_path, row) && mentions_own(b, b_path, twin)
        })
}

/// Whether two rows differ in the digest alone.
fn is_excused(row: &str, twin: &str) -> bool {
    let size = |row: &str| row.rsplit(',').next().map(str::to_owned);
    matches!((fields(row), fields(twin)), (Some((name, _)), Some((same, _))) if name == same) && size(row) == size(twin)
}

fn mentions_own(side: Bytes, record: &Path, row: &str) -> bool {
    fields(row)
        .and_then(|(name, _)| named_file(record, name))
        .and_then(|file| std::fs::read(file).ok())
        .is_some_and(|bytes| !side.finder.find(&bytes).is_empty())
}
