//! How much a store path holds.

use std::path::Path;

use crate::nix::store;

/// Bytes of several store paths; what is not there, or cannot be read, does not count. `None` where none of them is there.
pub fn of_all<'a>(paths: impl IntoIterator<Item = &'a str>) -> Option<u64> {
    paths.into_iter().filter_map(|path| store::size_of(Path::new(path)).ok()).reduce(u64::saturating_add)
}
