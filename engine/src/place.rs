//! The places a stage works in: what bash cannot do itself before stdenv's setup has given it a PATH.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use super::{Error, Result};

/// Makes a directory that only its owner may enter.
///
/// # Errors
/// Where it exists already, or the system refuses.
pub fn make_directory(path: &Path) -> Result<()> {
    fs::DirBuilder::new().mode(0o700).create(path).map_err(|error| Error::io("mkdir", path, error))
}

/// Makes `path` a symbolic link to `target`.
///
/// # Errors
/// Where `path` exists already, or the system refuses.
pub fn link(target: &Path, path: &Path) -> Result<()> {
    symlink(target, path).map_err(|error| Error::io("link", path, error))
}

/// Removes what an earlier build left at `path`, if anything; links are not followed.
///
/// # Errors
/// [`Error::Refused`] where it belongs to another user: an earlier build under another build user, or not ours at all.
pub fn clear(path: &Path) -> Result<()> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::io("clear", path, error)),
    };
    let me = rustix::process::geteuid();
    if metadata.uid() != me.as_raw() && !me.is_root() {
        return Err(Error::Refused {
            operation: "clear",
            path: path.into(),
            what: format!("another user's build left it (uid {})", metadata.uid()),
            todo: "remove it as that user or as root, then build again",
        });
    }
    if !metadata.is_dir() {
        return fs::remove_file(path).map_err(|error| Error::io("clear", path, error));
    }
    // Root needs no bits; and in a directory of another user's a name may become a link to anything, at any moment.
    if metadata.uid() == me.as_raw() {
        make_writable(path)?;
    }
    fs::remove_dir_all(path).map_err(|error| Error::io("clear", path, error))
}

/// A build leaves read-only directories, and nothing can be removed from those.
fn make_writable(directory: &Path) -> Result<()> {
    let failed = |error| Error::io("clear", directory, error);
    fs::set_permissions(directory, fs::Permissions::from_mode(0o700)).map_err(failed)?;
    for entry in fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_type().map_err(failed)?.is_dir() {
            make_writable(&entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn read_only_trees_are_cleared_and_links_are_not_followed() {
        let scratch = tempfile::tempdir().unwrap();
        let kept = scratch.path().join("kept");
        fs::write(&kept, "").unwrap();
        let tree = scratch.path().join("tree");
        make_directory(&tree).unwrap();
        make_directory(&tree.join("closed")).unwrap();
        fs::write(tree.join("closed/file"), "").unwrap();
        link(&kept, &tree.join("link")).unwrap();
        fs::set_permissions(tree.join("closed"), fs::Permissions::from_mode(0o500)).unwrap();

        clear(&tree).unwrap();
        assert!(!tree.exists());
        assert!(kept.exists());
        clear(&tree).unwrap();

        link(&kept, &tree).unwrap();
        clear(&tree).unwrap();
        assert!(kept.exists());
        assert!(fs::symlink_metadata(&tree).is_err());
    }

    #[test]
    fn a_directory_that_is_there_is_not_taken_over() {
        let scratch = tempfile::tempdir().unwrap();
        let message = make_directory(scratch.path()).unwrap_err().to_string();
        assert!(message.starts_with("mkdir "), "{message}");
    }
}
