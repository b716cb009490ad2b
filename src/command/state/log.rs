//! `phasesplit state log`: the end of the log that a failed stage left in its state.

use std::io::Write as _;

use clap::Args;

use super::failure::Failure;
use super::output::Guarded;
use super::subject::{self, NixArgs, StateArgs};
use crate::diagnostic::Problem;
use crate::nix::error::strip_ansi;
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
pub fn run(arguments: &LogArgs) -> Result<(), Failure> {
    let state = subject::find(&arguments.state, &arguments.nix)?;
    let Some(failed) = &state.info.failed else {
        let what = format!("{}: this stage did not fail, so its state has no log", Shown(&state.path));
        let help = "`nix-store --read-log` with the stage's .drv shows Nix's own; --failed finds a failed state";
        return Err(Failure::input(Problem::new("state/log", what).help(help)));
    };
    let mut out = Guarded::standard();
    let log = strip_ansi(&failed.log);
    out.write_all(log.as_bytes())?;
    if !log.ends_with('\n') {
        out.write_all(b"\n")?;
    }
    Ok(out.finish()?)
}
