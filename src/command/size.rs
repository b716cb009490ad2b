//! How much a store path holds.

use std::fs;
use std::io;
use std::path::Path;

/// Bytes of the regular files in a tree; store paths have few levels of directories.
pub fn of_tree(path: &Path) -> io::Result<u64> {
    let mut total = 0;
    let mut todo = vec![path.to_owned()];
    while let Some(path) = todo.pop() {
        let metadata = fs::symlink_metadata(&path)?;
        if metadata.is_file() {
            total += metadata.len();
        } else if metadata.is_dir() {
            for entry in fs::read_dir(&path)? {
                todo.push(entry?.path());
            }
        }
    }
    Ok(total)
}

/// The same of several; what is not there, or cannot be read, does not count. `None` where none of them is there.
pub fn of_all<'a>(paths: impl IntoIterator<Item = &'a str>) -> Option<u64> {
    paths.into_iter().filter_map(|path| of_tree(Path::new(path)).ok()).reduce(u64::saturating_add)
}
