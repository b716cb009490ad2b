//! Store paths as an archive.
//!
//! What is written is what a NAR would say, whatever the file system says besides: a file is executable or not, times are
//! 1, files are not hard links of each other (a store that was optimised has such), owners are root. So the bytes are the
//! same from every store that has these paths.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use super::interpreter;
use super::tree::WHITEOUT;
use crate::state::entry::{Entry, Kind, Mtime, split_parent};
use crate::state::error::{Error, Result, as_path};
use crate::state::pax;

const OPERATION: &str = "make an image of";
const WRITE: &str = "write the image";

/// The time of everything in a store, and so in an image of it.
pub const TIME: Mtime = Mtime { secs: 1, nanos: 0 };

/// Bytes of a file that are read at once.
const AT_ONCE: usize = 1 << 17;

/// Programs outside of the store that files name as what starts them, each with the number of these files and the first.
pub type Outside = BTreeMap<Vec<u8>, (u64, Vec<u8>)>;

/// Writes the archive of some store paths, and tells what starts their programs. Errors of `out` name `target`.
///
/// # Errors
/// What cannot be read, what has no place in an image, those of `out`.
pub fn write<W: Write>(paths: &[&Path], out: W, target: &Path) -> Result<(W, Outside)> {
    let tar = pax::Writer::new(out);
    let mut archive = Archive { tar, target, outside: Outside::new(), buffer: vec![0; AT_ONCE] };
    let mut above = BTreeSet::new();
    for path in paths {
        above.extend(path.ancestors().skip(1).filter(|above| above.parent().is_some()));
    }
    for directory in above {
        archive.member(directory, Kind::Directory, 0o755, 0, Vec::new())?;
    }
    for path in paths {
        let store = path.parent().unwrap_or(Path::new("/"));
        archive.tree(store, path)?;
    }
    Ok((archive.tar.finish().map_err(|source| Error::io(WRITE, target, source))?, archive.outside))
}

struct Archive<'a, W: Write> {
    tar: pax::Writer<W>,
    target: &'a Path,
    outside: Outside,
    buffer: Vec<u8>,
}

impl<W: Write> Archive<'_, W> {
    /// A file, or a directory with all in it, in the order of names.
    fn tree(&mut self, store: &Path, top: &Path) -> Result<()> {
        let mut todo = vec![top.to_owned()];
        while let Some(path) = todo.pop() {
            let io = |source: io::Error| Error::io(OPERATION, &path, source);
            if split_parent(path.as_os_str().as_bytes()).1.starts_with(WHITEOUT) {
                let what = "a name that begins with .wh. means in an image that a file is gone";
                return Err(refused(&path, what, "leave the path out of the image, or name the file otherwise"));
            }
            let metadata = fs::symlink_metadata(&path).map_err(io)?;
            let kind = metadata.file_type();
            if kind.is_dir() {
                self.member(&path, Kind::Directory, 0o555, 0, Vec::new())?;
                let names: io::Result<Vec<OsString>> =
                    fs::read_dir(&path).map_err(io)?.map(|entry| entry.map(|entry| entry.file_name())).collect();
                let mut names = names.map_err(io)?;
                names.sort_unstable_by(|one, other| other.cmp(one));
                todo.extend(names.iter().map(|name| path.join(name)));
            } else if kind.is_symlink() {
                let target = fs::read_link(&path).map_err(io)?.into_os_string().into_vec();
                self.member(&path, Kind::Symlink, 0o777, 0, target)?;
            } else if kind.is_file() {
                let is_executable = metadata.permissions().mode() & 0o100 != 0;
                self.file(store, &path, is_executable, metadata.len())?;
            } else {
                let what = "it is no file, directory or symlink";
                return Err(refused(&path, what, "ask `nix-store --verify-path` whether the path is sound"));
            }
        }
        Ok(())
    }

    fn file(&mut self, store: &Path, path: &Path, is_executable: bool, size: u64) -> Result<()> {
        let io = |source: io::Error| Error::io(OPERATION, path, source);
        let no_link = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or_default();
        let mut file = File::options().read(true).custom_flags(no_link).open(path).map_err(io)?;
        if let Some(program) = interpreter::of(&file, is_executable).map_err(io)?
            && !as_path(&program).starts_with(store)
        {
            let first = path.as_os_str().as_bytes().to_vec();
            self.outside.entry(program).or_insert((0, first)).0 += 1;
        }
        self.member(path, Kind::File, if is_executable { 0o555 } else { 0o444 }, size, Vec::new())?;
        let mut left = size;
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(AT_ONCE);
            let read = match file.read(&mut self.buffer[..most]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read.map_err(io)?,
            };
            if read == 0 {
                return Err(refused(path, "it became shorter while it was read", "the store must not change"));
            }
            self.tar.write_all(&self.buffer[..read]).map_err(|source| Error::io(WRITE, self.target, source))?;
            left -= read as u64;
        }
        Ok(())
    }

    fn member(&mut self, path: &Path, kind: Kind, mode: u32, size: u64, link: Vec<u8>) -> Result<()> {
        let entry = Entry { path: in_image(path.as_os_str()), kind, mode, size, mtime: TIME, link, hash: None };
        self.tar.member(&entry, size).map_err(|source| Error::io(WRITE, self.target, source))
    }
}

/// The path in an archive of an absolute path.
fn in_image(path: &OsStr) -> Vec<u8> {
    path.as_bytes().strip_prefix(b"/").unwrap_or(path.as_bytes()).to_vec()
}

fn refused(path: &Path, what: &str, todo: &'static str) -> Error {
    Error::Refused { operation: OPERATION, path: path.to_owned(), what: what.to_owned(), todo }
}
