//! Nix's side of an indirect root: the link in its own directory that leads to ours.
//!
//! `gcroots/auto/<SHA-1 of the link's path, in base 32>` points to the link, and that to the store path (`addIndirectRoot` in
//! Nix's `gc.cc`, the same in 2.8, 2.26 and 2.34). A link that Nix does not know keeps nothing. Only reads.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use sha1::{Digest as _, Sha1};

use super::store_path::base32;

/// Whether Nix takes this link for a root; `None` where that cannot be seen from here, as with a store elsewhere.
pub fn knows(link: &Path) -> Option<bool> {
    knows_in(&state_directory().join("gcroots/auto"), link)
}

fn knows_in(directory: &Path, link: &Path) -> Option<bool> {
    let link = plain(link);
    let name = base32(&Sha1::digest(link.as_os_str().as_bytes()));
    match fs::read_link(directory.join(name)) {
        Ok(target) => Some(target == link),
        Err(error) if error.kind() == io::ErrorKind::NotFound => directory.is_dir().then_some(false),
        Err(_) => None,
    }
}

/// Where Nix keeps what it knows of its store, as Nix itself reads it.
fn state_directory() -> PathBuf {
    std::env::var_os("NIX_STATE_DIR")
        .filter(|value| !value.is_empty())
        .map_or_else(|| "/nix/var/nix".into(), PathBuf::from)
}

/// A path as Nix writes it: absolute, without `.`, `..` and double slashes; links in it stay.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).components() {
        match component {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            other => plain.push(AsRef::<OsStr>::as_ref(&other)),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_link_is_known_by_the_name_that_nix_gives_it() {
        let scratch = tempfile::tempdir().expect("a directory");
        let link = Path::new("/home/me/./roots//x/../build");
        assert_eq!(knows_in(&scratch.path().join("none"), link), None);
        assert_eq!(knows_in(scratch.path(), link), Some(false));
        // printf /home/me/roots/build | sha1sum, in Nix's base 32 (`nix-hash --type sha1 --to-base32`).
        let name = base32(&Sha1::digest(b"/home/me/roots/build"));
        symlink("/home/me/roots/build", scratch.path().join(&name)).expect("linked");
        assert_eq!(knows_in(scratch.path(), link), Some(true));
        fs::remove_file(scratch.path().join(&name)).expect("removed");
        symlink("/elsewhere", scratch.path().join(&name)).expect("linked");
        assert_eq!(knows_in(scratch.path(), link), Some(false));
    }
}
