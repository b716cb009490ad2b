//! The few files that a builder finds besides what is mounted.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, symlink};
use std::path::{Path, PathBuf};

use super::{GID, UID};

/// Writes `/etc` below `root`. The users are those that Nix's builder sees.
pub fn write(root: &Path, home: &Path) -> io::Result<()> {
    let etc = root.join("etc");
    fs::DirBuilder::new().recursive(true).mode(0o755).create(&etc)?;
    let home = home.display();
    let passwd = format!(
        "root:x:0:0:Nix build user:{home}:/noshell\n\
         nixbld:x:{UID}:{GID}:Nix build user:{home}:/noshell\n\
         nobody:x:65534:65534:Nobody:/:/noshell\n"
    );
    fs::write(etc.join("passwd"), passwd)?;
    fs::write(etc.join("group"), format!("root:x:0:\nnixbld:!:{GID}:\nnogroup:x:65534:\n"))?;
    fs::write(etc.join("hosts"), "127.0.0.1 localhost\n::1 localhost\n")
}

/// Makes a place in `store` for each store path: an empty directory or file to mount it on, or the symlink that it is.
///
/// # Errors
/// A store path that is not there; what the file system says.
pub fn store_places(store: &Path, paths: &[PathBuf]) -> io::Result<()> {
    for path in paths {
        let place = store.join(path.file_name().ok_or(io::ErrorKind::InvalidInput)?);
        let kind = fs::symlink_metadata(path)?.file_type();
        if kind.is_symlink() {
            symlink(fs::read_link(path)?, &place)?;
        } else if kind.is_dir() {
            fs::create_dir(&place)?;
        } else {
            File::create_new(&place)?;
        }
    }
    Ok(())
}

/// Removes them again, so that only what was made in the room is left. Nothing else is touched: a directory that is not
/// empty is not one of them.
///
/// # Errors
/// What the file system says.
pub fn clear_store_places(store: &Path, paths: &[PathBuf]) -> io::Result<()> {
    for path in paths {
        let Some(name) = path.file_name() else { continue };
        let place = store.join(name);
        let removed = match fs::symlink_metadata(&place) {
            Ok(metadata) if metadata.is_dir() => fs::remove_dir(&place),
            Ok(_) => fs::remove_file(&place),
            Err(error) => Err(error),
        };
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
