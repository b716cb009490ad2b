//! Walking a tree by descriptors: paths of any length, and no symlink ever followed. Knows no archive.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Dir, Mode, OFlags, Stat, Timespec, Timestamps, UTIME_OMIT, openat};

use super::entry::Mtime;

/// How many directories along the current path stay open; the usual limit of a process is 1,024.
const OPEN: usize = 64;

/// A place in a tree, from which the directory of the next file is reached with as few calls as possible.
pub struct Cursor {
    base: OwnedFd,
    path: Vec<u8>,
    /// Where each component of `path` ends.
    ends: Vec<usize>,
    /// The directory of each component; those far from the end of a deep path are closed again.
    open: Vec<Option<OwnedFd>>,
}

impl Cursor {
    /// A cursor at the directory `base`.
    pub fn new(base: OwnedFd) -> Self {
        Self { base, path: Vec::new(), ends: Vec::new(), open: Vec::new() }
    }

    /// Goes to a directory: components joined by `/`, relative to the base, empty for the base itself.
    /// The descriptor is good for `*at` calls only (`O_PATH`), so it needs no right to read.
    ///
    /// # Errors
    /// Those of `openat`; `ENOTDIR` or `ELOOP` where a component is no directory or a symlink.
    pub fn enter(&mut self, path: &[u8]) -> io::Result<BorrowedFd<'_>> {
        let common = self.path.iter().zip(path).take_while(|(old, new)| old == new).count();
        let mut depth = self.ends.partition_point(|end| *end <= common);
        // `a/b` is no directory above `a/bc`, though all its bytes are there.
        let last = depth.checked_sub(1).map(|at| self.ends[at]);
        if last.and_then(|end| path.get(end)).is_some_and(|byte| *byte != b'/') {
            depth -= 1;
        }
        self.ends.truncate(depth);
        self.open.truncate(depth);
        self.path.truncate(self.ends.last().copied().unwrap_or(0));
        // What was closed on a deep path is opened again from the nearest directory still open.
        let from = if self.open.last().is_none_or(Option::is_some) {
            depth
        } else {
            self.open.iter().rposition(Option::is_some).map_or(0, |at| at + 1)
        };
        for at in from..depth {
            let start = if at == 0 { 0 } else { self.ends[at - 1] + 1 };
            let directory = self.child(at, &self.path[start..self.ends[at]])?;
            self.keep(at, directory);
        }
        let mut start = self.path.len() + usize::from(!self.path.is_empty());
        while start < path.len() {
            let end = path[start..].iter().position(|byte| *byte == b'/').map_or(path.len(), |at| start + at);
            let at = self.open.len();
            let directory = self.child(at, &path[start..end])?;
            self.open.push(None);
            self.ends.push(end);
            self.path.extend_from_slice(&path[self.path.len()..end]);
            self.keep(at, directory);
            start = end + 1;
        }
        Ok(self.open.last().and_then(Option::as_ref).unwrap_or(&self.base).as_fd())
    }

    fn child(&self, depth: usize, name: &[u8]) -> io::Result<OwnedFd> {
        let above = depth.checked_sub(1).and_then(|at| self.open[at].as_ref()).unwrap_or(&self.base);
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(openat(above, name, flags, Mode::empty())?)
    }

    fn keep(&mut self, depth: usize, directory: OwnedFd) {
        self.open[depth] = Some(directory);
        if let Some(far) = depth.checked_sub(OPEN) {
            self.open[far] = None;
        }
    }
}

/// Opens the directory a caller named, following links on the way to it.
///
/// # Errors
/// Those of `openat`.
pub fn open_base(path: &Path) -> io::Result<OwnedFd> {
    Ok(openat(CWD, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

/// The names in the directory `name` below `parent`, sorted bytewise.
///
/// # Errors
/// Those of `openat` and `getdents`.
pub fn names(parent: impl AsFd, name: &[u8]) -> io::Result<Vec<Vec<u8>>> {
    let mut names = Vec::new();
    each_name(parent, name, |name| {
        names.push(name.to_vec());
        Ok(())
    })?;
    names.sort_unstable();
    Ok(names)
}

/// Calls `each` with the names in the directory `name` below `parent`, in no order.
///
/// # Errors
/// Those of `openat` and `getdents`, and those of `each`.
pub fn each_name(parent: impl AsFd, name: &[u8], mut each: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    for entry in Dir::new(openat(parent, name, flags, Mode::empty())?)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            each(name)?;
        }
    }
    Ok(())
}

/// The mtime in what the kernel says of a file.
pub fn mtime(stat: &Stat) -> Mtime {
    // The fields' types differ among architectures, and nanoseconds are below a billion.
    #[allow(clippy::cast_possible_truncation, clippy::unnecessary_cast)]
    Mtime { secs: stat.st_mtime as i64, nanos: stat.st_mtime_nsec as u32 }
}

/// For `utimensat`: this mtime, the access time left alone.
pub fn timestamps(mtime: Mtime) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: mtime.secs, tv_nsec: mtime.nanos.into() },
    }
}

/// A path below a base, for messages.
pub fn shown(base: &Path, below: &[u8]) -> PathBuf {
    base.join(OsStr::from_bytes(below))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{AtFlags, mkdirat, statat};

    #[test]
    fn goes_anywhere_in_a_tree_deeper_than_the_limits() {
        let root = tempfile::tempdir().unwrap();
        let mut cursor = Cursor::new(open_base(root.path()).unwrap());
        let depth = 600;
        let mut path = Vec::new();
        for level in 0..depth {
            let above = path.clone();
            path = super::super::entry::join(&path, if level % 2 == 0 { b"a" } else { b"a rather long name" });
            let fd = cursor.enter(&above).unwrap();
            for name in ["a", "a rather long name", "c"] {
                mkdirat(fd, name, Mode::RWXU).unwrap();
            }
        }
        assert!(path.len() > 4096);
        assert!(cursor.open.iter().flatten().count() <= OPEN);
        let ends: Vec<usize> = (0..=path.len()).filter(|&at| at == path.len() || path[at] == b'/').collect();
        for &end in ends.iter().rev().chain(ends.iter().step_by(701)) {
            let fd = cursor.enter(&path[..end]).unwrap();
            let stat = statat(fd, ".", AtFlags::empty()).unwrap();
            let again = statat(&cursor.base, ".", AtFlags::empty()).unwrap();
            assert_ne!(stat.st_ino, again.st_ino);
            if end != path.len() {
                cursor.enter(&super::super::entry::join(&path[..end], b"c")).unwrap();
            }
            assert!(cursor.open.iter().flatten().count() <= OPEN);
        }
        // `remove_dir_all` of the standard library recurses; the tree is too deep for it.
        for &end in ends.iter().rev() {
            let (above, _) = super::super::entry::split_parent(&path[..end]);
            let fd = cursor.enter(above).unwrap();
            for name in ["a", "a rather long name", "c"] {
                rustix::fs::unlinkat(fd, name, AtFlags::REMOVEDIR).unwrap();
            }
        }
    }

    #[test]
    fn follows_no_link() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("real")).unwrap();
        std::os::unix::fs::symlink("real", root.path().join("link")).unwrap();
        let mut cursor = Cursor::new(open_base(root.path()).unwrap());
        assert!(cursor.enter(b"real").is_ok());
        assert!(cursor.enter(b"link").is_err());
        assert!(cursor.enter(b"real/missing").is_err());
        assert!(cursor.enter(b"").is_ok());
    }
}
