//! Faults on purpose: each change of the state directory passes here, so that a test can kill the program between any two of
//! them or fill the disk at any one.
//!
//! `PHASESPLIT_FAULT=kill:N` kills it at the Nth step, `full:N` lets every write from the Nth step on fail. Only in a debug
//! build; a release does not look.

use std::io;
#[cfg(debug_assertions)]
use std::sync::atomic::{AtomicU64, Ordering};

/// What the program is about to do.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Something that needs room on the disk.
    Write,
    /// Something that does not.
    Other,
}

/// Passes, or does not come back.
#[cfg(debug_assertions)]
pub fn at(step: Step) -> io::Result<()> {
    static STEPS: AtomicU64 = AtomicU64::new(0);
    let Ok(wish) = std::env::var("PHASESPLIT_FAULT") else { return Ok(()) };
    let Some((kind, number)) = wish.split_once(':') else { return Ok(()) };
    let number: u64 = number.parse().unwrap_or(u64::MAX);
    let now = STEPS.fetch_add(1, Ordering::SeqCst) + 1;
    match kind {
        "kill" if now == number => {
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
            // The signal is on its way to this very process.
            loop {
                std::thread::park();
            }
        }
        "full" if now >= number && step == Step::Write => Err(rustix::io::Errno::NOSPC.into()),
        _ => Ok(()),
    }
}

/// Passes.
#[cfg(not(debug_assertions))]
#[allow(clippy::unnecessary_wraps)] // as its other half
pub fn at(_: Step) -> io::Result<()> {
    Ok(())
}
