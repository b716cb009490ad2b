//! The lock of a stable build directory: builds that are not sandboxed share one path and must take turns.

use std::os::fd::{BorrowedFd, RawFd};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::error::{Error, Result};

/// Takes an exclusive `flock` on a descriptor inherited from the caller. The lock belongs to the open file
/// description, which the caller shares: it outlives this process, and ends when the caller closes its descriptor or
/// dies. `name` is what messages call the file. Where another build holds the lock, `notice` says so once, and this
/// waits.
///
/// # Errors
/// `fd` is not open, or its file system knows no locks.
pub fn lock(fd: RawFd, name: &Path, notice: &mut dyn FnMut(&str)) -> Result<()> {
    let io = |errno: Errno| Error::io("lock", name, errno);
    if fd < 0 {
        return Err(io(Errno::BADF));
    }
    // Opening /proc/self/fd/N instead would make a new description, whose lock ends with this process.
    // SAFETY: the descriptor is only passed to flock, during this call, and nothing in this process closes it; where the
    // caller passed none, the kernel answers EBADF.
    #[allow(unsafe_code)]
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    let retried = |operation| loop {
        match flock(fd, operation) {
            Err(Errno::INTR) => {}
            other => return other,
        }
    };
    match retried(FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => {
            let name = super::error::Shown(name);
            notice(&format!("{name}: another build holds this lock; waiting for it to end"));
            retried(FlockOperation::LockExclusive).map_err(io)
        }
        other => other.map_err(io),
    }
}
