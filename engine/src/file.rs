//! The files of a state directory, opened: a state may be a stranger's, so no link is followed and nothing waited for.

use std::fs::File;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;

use super::error::{Error, Result};

/// Opens a file of a state directory. Returns also its length in bytes.
///
/// # Errors
/// [`Error::Io`] where it is not there; [`Error::Damaged`] where it is no regular file.
pub fn open(operation: &'static str, path: &Path) -> Result<(File, u64)> {
    let io = |errno: Errno| Error::io(operation, path, errno);
    let damaged = || Error::damaged(operation, path, "it is not a regular file");
    // NONBLOCK: a pipe without a writer would be waited for.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(match openat(CWD, path, flags, Mode::empty()) {
        Ok(file) => file,
        // A symlink, or a socket.
        Err(Errno::LOOP | Errno::NXIO) => return Err(damaged()),
        Err(errno) => return Err(io(errno)),
    });
    let metadata = file.metadata().map_err(|source| Error::io(operation, path, source))?;
    if metadata.is_file() { Ok((file, metadata.len())) } else { Err(damaged()) }
}
