//! The files that Nix put into the build directory before anything ran there: those of `passAsFile`, of structured
//! attributes and of exportReferencesGraph. Nix makes them anew for every stage, so a state leaves out those that are as
//! Nix made them. One that a phase changed, or replaced by a file of its own, is the package's, whatever its name.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::lstat;

use super::error::{Error, Result};
use super::listing::{DIGEST, Stamp};

const NOTE: &str = "note";

/// Notes how the files `names` at the top of `build_dir` are now, in the file `to`.
///
/// # Errors
/// A name that is not there; what the file system says.
pub fn note(build_dir: &Path, names: &[Vec<u8>], to: &Path) -> Result<()> {
    let mut text = Vec::new();
    for name in names {
        let path = build_dir.join(std::ffi::OsStr::from_bytes(name));
        let stat = lstat(&path).map_err(|errno| Error::io(NOTE, &path, errno))?;
        text.extend_from_slice(name);
        text.push(0);
        text.extend_from_slice(&Stamp::of(&stat).digest());
    }
    fs::write(to, text).map_err(|source| Error::io(NOTE, to, source))
}

/// What became of the noted files.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// They are as they were.
    pub untouched: Vec<Vec<u8>>,
    /// They are not there any more.
    pub gone: Vec<Vec<u8>>,
}

/// Compares the files that were noted in `from` with what is there now.
///
/// # Errors
/// A file that [`note`] did not write; what the file system says.
pub fn find(operation: &'static str, build_dir: &Path, from: &Path) -> Result<Found> {
    let text = fs::read(from).map_err(|source| Error::io(operation, from, source))?;
    let damaged = || Error::damaged(operation, from, "it is not a note of Nix's files");
    let mut found = Found::default();
    let mut rest = &text[..];
    while !rest.is_empty() {
        let end = rest.iter().position(|byte| *byte == 0).ok_or_else(damaged)?;
        let (name, after) = (&rest[..end], &rest[end + 1..]);
        let (digest, after) = after.split_at_checked(DIGEST).ok_or_else(damaged)?;
        rest = after;
        let path = build_dir.join(std::ffi::OsStr::from_bytes(name));
        match lstat(&path) {
            Ok(stat) if Stamp::of(&stat).digest() == digest => found.untouched.push(name.to_vec()),
            Ok(_) => {}
            Err(errno) if io::Error::from(errno).kind() == io::ErrorKind::NotFound => found.gone.push(name.to_vec()),
            Err(errno) => return Err(Error::io(operation, &path, errno)),
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_as_it_was_is_untouched() {
        let scratch = tempfile::tempdir().unwrap();
        let top = scratch.path().join("top");
        fs::create_dir(&top).unwrap();
        let names: Vec<Vec<u8>> = ["same", "changed", "replaced", "gone", "mode"].map(Into::into).into();
        for name in ["same", "changed", "replaced", "gone", "mode"] {
            fs::write(top.join(name), "from Nix").unwrap();
        }
        let note_file = scratch.path().join("note");
        note(&top, &names, &note_file).unwrap();
        fs::write(top.join("changed"), "longer than it was").unwrap();
        fs::remove_file(top.join("replaced")).unwrap();
        fs::create_dir(top.join("replaced")).unwrap();
        fs::remove_file(top.join("gone")).unwrap();
        std::fs::set_permissions(top.join("mode"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        fs::write(top.join("new"), "").unwrap();
        let found = find("save", &top, &note_file).unwrap();
        assert_eq!(found, Found { untouched: vec![b"same".to_vec()], gone: vec![b"gone".to_vec()] });
        fs::write(&note_file, "name\0short").unwrap();
        assert!(find("save", &top, &note_file).is_err());
        assert!(note(&top, &[b"missing".to_vec()], &note_file).is_err());
    }
}
