//! `phasesplit state log`: the end of the log that a failed stage left in its state; of a sound one the log that Nix keeps.

use std::io::Write as _;

use clap::Args;

use super::output::Guarded;
use super::subject::{self, NixArgs, StateArgs};
use crate::command::refusal::Refusal;
use crate::diagnostic::Problem;
use crate::inspect::State;
use crate::nix::error::strip_ansi;
use crate::nix::{Nix, Tool};
use crate::state::error::Shown;

/// The arguments of `phasesplit state log`.
#[derive(Args, Clone, Debug)]
#[command(after_help = subject::HELP)]
pub struct LogArgs {
    /// Which state.
    #[command(flatten)]
    pub state: StateArgs,

    /// What Nix is told.
    #[command(flatten)]
    pub nix: NixArgs,
}

/// Runs it.
pub fn run(arguments: &LogArgs) -> Result<(), Refusal> {
    let state = subject::find(&arguments.state, &arguments.nix)?;
    let log = match &state.info.failed {
        Some(failed) => failed.log.clone(),
        None => of_nix(&state)?,
    };
    let mut out = Guarded::standard();
    let log = strip_ansi(&log);
    out.write_all(log.as_bytes())?;
    if !log.ends_with('\n') {
        out.write_all(b"\n")?;
    }
    Ok(out.finish()?)
}

/// The log of the build that made a state: Nix has it where the state was built here.
fn of_nix(state: &State) -> Result<String, Refusal> {
    let path = state.path.as_os_str();
    let answer = Nix::default().run(Tool::Store, "cannot get the log", ["--read-log".as_ref(), path], b"");
    answer.map(|answer| String::from_utf8_lossy(&answer.stdout).into_owned()).map_err(|_| {
        let what = format!("{}: this stage did not fail, and Nix has no log of it", Shown(&state.path));
        let help = "a log stays where the state was built, until it is collected; --failed finds a failed state";
        Refusal::input(Problem::new("state/log", what).help(help))
    })
}
