//! The states that a state builds on: the file `parent` in each names the one before it.
//!
//! `parent` is the absolute store path of the parent state and a newline, uncompressed, so that Nix finds it and keeps
//! the parent as long as the state. A state whose layer is its whole tree has no such file, and so keeps nothing.

use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use super::error::{Error, Result, Shown};
use super::{file, format, info};

/// The longest path that a kernel takes, and a newline.
const MAX_PATH: u64 = 4097;

/// The states whose layers make up `state`, from the one without a parent to `state` itself.
///
/// # Errors
/// A parent that is missing or no state, and parents that are not `layers` - 1, as the manifest of `state` has it.
pub fn find(operation: &'static str, state: &Path, layers: usize) -> Result<Vec<PathBuf>> {
    let mut chain = vec![state.to_owned()];
    let mut last = state.to_owned();
    while let Some(parent) = parent(operation, &last)? {
        if chain.contains(&parent) {
            let what = format!("its parents go round in a circle: {} comes twice", Shown(&parent));
            return Err(Error::damaged(operation, state, what));
        }
        if !parent.is_dir() {
            return Err(Error::Refused {
                operation,
                path: last,
                what: format!("it builds on the state {}, which is not there", Shown(&parent)),
                todo: "copy the state again with all that it refers to (nix copy does), or delete it and build the stage again",
            });
        }
        if chain.len() == layers {
            break;
        }
        info::read(operation, &parent)?;
        chain.push(parent.clone());
        last = parent;
    }
    if chain.len() != layers || parent(operation, &last)?.is_some() {
        let what = format!("its manifest has {layers} layers, and its parents are not as many");
        return Err(Error::damaged(operation, state, what));
    }
    chain.reverse();
    Ok(chain)
}

/// `state` and all states that it builds on, as far as they are there.
///
/// # Errors
/// A file `parent` that is damaged.
pub fn all(operation: &'static str, state: &Path) -> Result<Vec<PathBuf>> {
    let mut chain = vec![state.to_owned()];
    while let Some(parent) = chain.last().map_or(Ok(None), |last| parent(operation, last))? {
        if chain.contains(&parent) || !parent.is_dir() {
            break;
        }
        chain.push(parent);
    }
    Ok(chain)
}

/// What the file `parent` of a state says, if there is one.
fn parent(operation: &'static str, state: &Path) -> Result<Option<PathBuf>> {
    let path = state.join(format::PARENT);
    let file = match file::open(operation, &path) {
        Ok((file, _)) => file,
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut text = Vec::new();
    file.take(MAX_PATH + 1).read_to_end(&mut text).map_err(|source| Error::io(operation, &path, source))?;
    let is_whole = text.pop() == Some(b'\n') && (text.len() as u64) < MAX_PATH;
    let parent = PathBuf::from(std::ffi::OsString::from_vec(text));
    if is_whole && is_plain(&parent) {
        Ok(Some(parent))
    } else {
        Err(Error::damaged(operation, &path, "it is not one absolute path and a newline"))
    }
}

/// Whether a path can stand in `parent`: absolute, without `..`, on one line.
fn is_plain(path: &Path) -> bool {
    let bytes = path.as_os_str().as_bytes();
    path.is_absolute()
        && !path.components().any(|part| part == Component::ParentDir)
        && !bytes.contains(&b'\n')
        && !bytes.contains(&0)
}

/// The content of the file `parent`.
///
/// # Errors
/// A path that could not be read back.
pub fn encode(operation: &'static str, parent: &Path) -> Result<Vec<u8>> {
    if is_plain(parent) {
        return Ok([parent.as_os_str().as_bytes(), b"\n"].concat());
    }
    Err(Error::Refused {
        operation,
        path: parent.into(),
        what: "a parent must be an absolute path, on one line and without `..`".into(),
        todo: "give the store path of the state before",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn only_one_absolute_path_is_a_parent() {
        let scratch = tempfile::tempdir().unwrap();
        let file = scratch.path().join(format::PARENT);
        assert_eq!(parent("list", scratch.path()).unwrap(), None);
        fs::write(&file, encode("save", Path::new("/nix/store/x-state")).unwrap()).unwrap();
        assert_eq!(parent("list", scratch.path()).unwrap(), Some("/nix/store/x-state".into()));
        let long = format!("/{}\n", "x".repeat(5000));
        for text in ["", "\n", "/x", "x\n", "/x\n/y\n", "/x/../y\n", "/x\0\n", &long] {
            fs::write(&file, text).unwrap();
            let message = parent("list", scratch.path()).unwrap_err().to_string();
            assert!(message.contains("not one absolute path"), "{text:?}: {message}");
        }
        for path in ["x", "/x\ny", "/../x"] {
            assert!(encode("save", Path::new(path)).is_err(), "{path}");
        }
    }
}
