//! Locks of the state directory: held by a file that is open, so they go with the process, however it ends.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::disk;

/// A lock that is held.
#[derive(Debug)]
#[must_use]
pub struct Lock {
    _file: File,
}

/// Whether others may hold it too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Shared,
    Exclusive,
}

impl Lock {
    /// Waits for the lock of a file, which is made where it is not there. Who holds one does so for as long as a few files take.
    pub(super) fn wait(path: &Path, mode: Mode) -> io::Result<Self> {
        if let Some(directory) = path.parent() {
            disk::make_directory(directory)?;
        }
        let file = File::options().create(true).truncate(false).write(true).read(true).open(path)?;
        let operation = match mode {
            Mode::Shared => FlockOperation::LockShared,
            Mode::Exclusive => FlockOperation::LockExclusive,
        };
        loop {
            match flock(&file, operation) {
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
                Ok(()) => return Ok(Self { _file: file }),
            }
        }
    }
}

/// Takes the lock of a file that nobody else has seen yet.
pub(super) fn hold(file: &File) -> io::Result<()> {
    Ok(flock(file, FlockOperation::NonBlockingLockExclusive)?)
}

/// Whether somebody holds the lock of this file.
pub(super) fn is_held(file: &File) -> io::Result<bool> {
    match flock(file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(false),
        Err(Errno::WOULDBLOCK) => Ok(true),
        Err(error) => Err(error.into()),
    }
}
