//! Signals and the terminal: who may have it, and what ends a session early.

use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ExitStatus};

use nix::sys::signal::{SigSet, Signal};
pub use rustix::process::Signal as Sent;
use rustix::process::{Pid, WaitOptions};

/// What asks a session to end.
const ENDING: [Signal; 4] = [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM];

/// How a child ended.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// Its status.
    pub status: ExitStatus,
    /// The number of the signal that asked for its end, if one did.
    pub asked_by: Option<i32>,
}

/// The signals that end a session, held back until [`Signals::wait`] takes them. Children inherit that.
#[derive(Debug)]
pub struct Signals {
    set: SigSet,
}

impl Signals {
    /// Holds them back from here on. The thread must be the only one.
    pub fn hold() -> Self {
        let mut set = SigSet::empty();
        set.add(Signal::SIGCHLD);
        set.extend(ENDING);
        // It fails for a set that is no set.
        let _ = set.thread_block();
        Self { set }
    }

    /// Lets them through while `start` runs: what it starts is to know nothing of this.
    pub fn let_through<T>(&self, start: impl FnOnce() -> T) -> T {
        let _ = self.set.thread_unblock();
        let result = start();
        let _ = self.set.thread_block();
        result
    }

    /// Waits until `child` has ended; when a signal asks for the end, `how` is sent to it. Gives what asked.
    ///
    /// # Errors
    /// What the system says.
    pub fn wait(&self, mut child: Child, how: Sent) -> io::Result<Ended> {
        let mut asked_by = None;
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(Ended { status, asked_by });
            }
            let signal = self.set.wait()?;
            if signal == Signal::SIGCHLD {
                continue;
            }
            asked_by.get_or_insert(signal as i32);
            kill(&child, how);
        }
    }

    /// For process 1 of a namespace: waits for `child`, and takes note of every other process that ends without a parent.
    /// Signals end it all: what is still running goes when process 1 does.
    ///
    /// # Errors
    /// What the system says.
    pub fn wait_reaping(&self, child: &Child) -> io::Result<ExitStatus> {
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        loop {
            while let Some((ended, status)) = rustix::process::wait(WaitOptions::NOHANG)? {
                if Some(ended) == pid {
                    return Ok(ExitStatus::from_raw(status.as_raw()));
                }
            }
            let signal = self.set.wait()?;
            if signal == Signal::SIGTERM {
                return Ok(ExitStatus::from_raw(signal as i32));
            }
        }
    }
}

fn kill(child: &Child, how: Sent) {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // It may have ended in this moment.
        let _ = rustix::process::kill_process(pid, how);
    }
}

/// Makes the group that `child` leads the terminal's, if standard input is one.
pub fn give_to(child: &Child) {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        give(pid);
    }
}

/// Takes the terminal back.
pub fn take() {
    give(rustix::process::getpgrp());
}

fn give(group: Pid) {
    // Who is not in front is stopped when he takes the terminal, unless he holds this signal back.
    let mut stop = SigSet::empty();
    stop.add(Signal::SIGTTOU);
    if stop.thread_block().is_ok() {
        // There may be no terminal, or no longer.
        let _ = rustix::termios::tcsetpgrp(rustix::stdio::stdin(), group);
        let _ = stop.thread_unblock();
    }
}
