//! `phasesplit state mount`: a state as a read-only file system.

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::subject::{self, NixArgs, StateArgs};
use crate::command::refusal::Refusal;
use crate::diagnostic::Problem;
use crate::inspect::mount;
use crate::state::error::Shown;
use crate::status::Status;

/// What makes a file system of a program.
const DEVICE: &str = "/dev/fuse";

/// The arguments of `phasesplit state mount`.
#[derive(Args, Clone, Debug)]
#[command(after_help = subject::HELP)]
pub struct MountArgs {
    /// Which state.
    #[command(flatten)]
    pub state: StateArgs,

    /// Where to: a directory that exists
    #[arg(value_name = "DIR", required_unless_present = "expression")]
    pub directory: Option<PathBuf>,

    /// What Nix is told.
    #[command(flatten)]
    pub nix: NixArgs,
}

/// Runs it.
pub fn run(arguments: &MountArgs) -> Result<(), Refusal> {
    subject::no_expression(&arguments.state)?;
    let directory = arguments.directory.clone().unwrap_or_default();
    let state = subject::find(&arguments.state, &arguments.nix)?;
    let path = state.path.clone();
    if !Path::new(DEVICE).exists() {
        return Err(refused(&path, &directory, &format!("there is no {DEVICE} on this machine")));
    }
    let why = |error: &io::Error| refused(&path, &directory, &error.to_string());
    let mut session = mount::mount(state, &directory).map_err(|error| why(&error))?;
    // Whoever interrupts the command wants the directory back.
    let mut unmounter = session.unmount_callable();
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(|error| why(&error))?;
    let handle = signals.handle();
    let waiting = std::thread::spawn(move || {
        if signals.forever().next().is_some() && unmounter.unmount().is_err() {
            anstream::eprintln!("warning: the state is still in use; unmount it with `fusermount3 -u`");
        }
    });
    let shown = Shown(&directory);
    anstream::eprintln!(
        "{} is mounted on {shown}; interrupt this command, or run `fusermount3 -u {shown}`, to end",
        Shown(&path)
    );
    let ended = session.run();
    handle.close();
    // It only waited for a signal.
    let _ = waiting.join();
    ended.map_err(|error| why(&error))
}

fn refused(state: &Path, directory: &Path, why: &str) -> Refusal {
    let problem = Problem::new("state/mount", format!("cannot mount on {}: {why}", Shown(directory)));
    let help = format!("`phasesplit state extract {} DIR` takes the files out instead", Shown(state));
    Refusal::Problem(Status::Environment, Box::new(problem.help(help)))
}
