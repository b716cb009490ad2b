//! Killing a command at a moment, alone or with all that it started, while something else may happen beside it.

use std::fs::{self, File};
use std::io;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::world::World;

/// Who is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Whom {
    /// phasesplit and all programs that it started.
    Group,
    /// phasesplit alone: what it started goes on for a while.
    Alone,
}

/// What became of the command.
pub struct Killed {
    /// Whether it was killed; else it had ended before.
    pub in_time: bool,
    /// How long it ran.
    pub took: Duration,
    /// What it said until then.
    pub said: String,
}

/// Runs `command` and kills it after `delay`; `beside` is started after its own delay.
pub fn kill(
    world: &World,
    command: &mut Command,
    delay: Duration,
    whom: Whom,
    beside: Option<(Duration, Command)>,
) -> (Killed, Option<Output>) {
    let log = world.path("killed.log");
    let file = || Stdio::from(File::options().create(true).append(true).open(&log).expect("a log"));
    let _ = fs::remove_file(&log);
    // A group of its own, so that nothing else is hit.
    let mut child = command.stdout(file()).stderr(file()).process_group(0).spawn().expect("started");
    let start = Instant::now();
    let wait_until = |moment: Duration| std::thread::sleep(moment.saturating_sub(start.elapsed()));
    let (status, took, beside) = std::thread::scope(|scope| {
        let beside = beside.map(|(moment, mut command)| {
            scope.spawn(move || {
                wait_until(moment);
                command.output().expect("runs")
            })
        });
        // One that ends before is not waited for any longer; its number may then be another's.
        let mut ended = false;
        while !ended && start.elapsed() < delay {
            std::thread::sleep(Duration::from_millis(1).min(delay.saturating_sub(start.elapsed())));
            ended = child.try_wait().expect("asked").is_some();
        }
        let took = start.elapsed();
        match whom {
            _ if ended => {}
            Whom::Alone => drop(child.kill()),
            Whom::Group => {
                let group = Pid::from_raw(i32::try_from(child.id()).expect("a process number"));
                // It has its number until it is waited for.
                let _ = killpg(group, Signal::SIGKILL);
            }
        }
        let status = child.wait().expect("over");
        (status, took, beside.map(|thread| thread.join().expect("it does not panic")))
    });
    let in_time = status.signal() == Some(9);
    (Killed { in_time, took, said: fs::read_to_string(&log).unwrap_or_default() }, beside)
}

/// Waits until nothing of this world runs: Nix's programs end when they notice that nobody listens.
pub fn quiet(world: &World) -> io::Result<()> {
    let start = Instant::now();
    loop {
        let left = world.processes();
        if left.is_empty() {
            return Ok(());
        }
        if start.elapsed() > Duration::from_mins(10) {
            return Err(io::Error::other(format!("still running: {left:#?}")));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
