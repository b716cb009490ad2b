//! Where files lie, as split.nix may name them: relative to its own directory.

use std::env;
use std::io;
use std::path::{Component, Path, PathBuf};

use crate::render::Location;

/// Why a place cannot be named.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// The file or its directory cannot be looked at.
    #[error("cannot find {path}: {source}")]
    Missing {
        /// As the user named it.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// Nix strings can hold any byte, but the file is text for people too.
    #[error("the path {path:?} is not UTF-8, so it cannot be written into a Nix file")]
    NotUtf8 {
        /// The path.
        path: PathBuf,
    },
}

/// `path` as seen from `directory`, both as the user named them (relative to the current directory).
///
/// Symbolic links on the way are resolved first: `..` in a Nix file goes up in the name, not in the file system. The last
/// component of `path` stays as it is named.
pub fn relative(path: &Path, directory: &Path) -> Result<Location, PlaceError> {
    let from = real(directory)?;
    let to = real_parent(path)?;
    let mut here = from.components().peekable();
    let mut there = to.components().peekable();
    while here.peek().is_some() && here.peek() == there.peek() {
        here.next();
        there.next();
    }
    let up = here.map(|_| Ok("..".to_owned()));
    let down = there.map(|component| {
        component.as_os_str().to_str().map(str::to_owned).ok_or_else(|| PlaceError::NotUtf8 { path: path.to_owned() })
    });
    Ok(Location::Relative(up.chain(down).collect::<Result<_, _>>()?))
}

/// What the user named as an absolute path stays one, anything else is seen from `directory`.
pub fn as_named(path: &Path, directory: &Path) -> Result<Location, PlaceError> {
    if path.is_absolute() {
        let text = path.to_str().ok_or_else(|| PlaceError::NotUtf8 { path: path.to_owned() })?;
        Ok(Location::Absolute(text.to_owned()))
    } else {
        relative(path, directory)
    }
}

fn real(path: &Path) -> Result<PathBuf, PlaceError> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    path.canonicalize().map_err(|source| PlaceError::Missing { path: path.to_owned(), source })
}

fn real_parent(path: &Path) -> Result<PathBuf, PlaceError> {
    // A path that ends in `..` or `.`, or is the root, has no last component to keep.
    match (path.parent(), path.components().next_back()) {
        (Some(parent), Some(Component::Normal(name))) => Ok(real(parent)?.join(name)),
        _ => real(path),
    }
}

/// The current directory's name for messages and for the roots of packages.
pub fn absolute(path: &Path) -> PathBuf {
    real_parent(path).unwrap_or_else(|_| env::current_dir().unwrap_or_default().join(path))
}
