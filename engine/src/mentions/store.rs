//! Files of the store that a build may run though they are not in its tree: a link leads there, or a script names them.

use std::collections::HashSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::Search;

/// A tree of the store is searched to this many files.
const FILES: usize = 20_000;

/// All of the store that one search goes through, in bytes.
const BYTES: u64 = 1 << 29;

/// What has an entry of these names at its top is an input that was built, and no source.
const BUILT: &[&str] = &["bin", "lib", "lib64", "libexec", "nix-support", "include", "sbin"];

/// What of the store one search went through.
#[derive(Debug, Default)]
pub struct Seen {
    paths: HashSet<PathBuf>,
    bytes: u64,
}

/// Whether a path lies in the store, below it.
pub fn is_store_path(path: &[u8]) -> bool {
    let store = std::env::var_os("NIX_STORE").unwrap_or_else(|| "/nix/store".into());
    let store = store.as_encoded_bytes();
    path.strip_prefix(store).is_some_and(|rest| rest.len() > 34 && rest[0] == b'/')
}

/// Searches a file, or a directory that looks like a source.
pub fn search(search: &mut Search, path: &Path) {
    if !search.store.paths.insert(path.to_owned()) {
        return;
    }
    let Ok(meta) = fs::metadata(path) else { return };
    if meta.is_file() {
        file(search, path, meta.len());
    } else if meta.is_dir() && !BUILT.iter().any(|name| path.join(name).exists()) {
        directory(search, path);
    }
}

fn directory(search: &mut Search, top: &Path) {
    let mut pending = vec![top.to_owned()];
    let mut files = 0;
    while let Some(path) = pending.pop() {
        let Ok(entries) = fs::read_dir(&path) else { continue };
        let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        paths.sort_unstable();
        for path in paths {
            let Ok(meta) = fs::symlink_metadata(&path) else { continue };
            if meta.is_dir() {
                pending.push(path);
            } else if meta.is_file() {
                files += 1;
                if files > FILES || search.store.bytes > BYTES {
                    search.found.unproven.push((top.to_owned(), "too large to be searched whole".to_owned()));
                    return;
                }
                file(search, &path, meta.len());
            }
        }
    }
}

fn file(search: &mut Search, path: &Path, length: u64) {
    search.store.bytes += length;
    // What cannot be read cannot be run either.
    if let Ok(mut file) = File::open(path) {
        let _ = search.file(&mut file, path);
    }
}
