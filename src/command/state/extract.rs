//! `phasesplit state extract`: files of a state, into a directory.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use super::subject::{self, NixArgs, StateArgs};
use crate::command::refusal::Refusal;
use crate::inspect::extract::{self, Wish};
use crate::inspect::select;
use crate::report::human;
use crate::state::error::Shown;

/// The arguments of `phasesplit state extract`.
#[derive(Args, Clone, Debug)]
#[command(after_help = subject::HELP)]
pub struct ExtractArgs {
    /// Which state.
    #[command(flatten)]
    pub state: StateArgs,

    /// Where to: a directory that does not exist or is empty. It gets all of it or nothing
    #[arg(value_name = "DIR", required_unless_present = "expression")]
    pub directory: Option<PathBuf>,

    /// Only these entries and what is below them; the default is everything
    #[arg(value_name = "PATH")]
    pub paths: Vec<OsString>,

    /// Keep setuid and setgid bits
    #[arg(long)]
    pub setuid: bool,

    /// Refuse a state with more bytes of content than this; in any case one for which there is no room
    #[arg(long, value_name = "BYTES")]
    pub max_bytes: Option<u64>,

    /// What Nix is told.
    #[command(flatten)]
    pub nix: NixArgs,
}

/// Runs it.
pub fn run(arguments: &ExtractArgs) -> Result<(), Refusal> {
    subject::no_expression(&arguments.state)?;
    let state = subject::find(&arguments.state, &arguments.nix)?;
    let wanted = select::all(&state, arguments.paths.iter().map(OsString::as_os_str))?;
    let directory = arguments.directory.clone().unwrap_or_default();
    let wish = Wish { setuid: arguments.setuid, most: arguments.max_bytes };
    let done = extract::extract(&state, &wanted, &directory, wish)?;
    if done.dropped > 0 {
        anstream::eprintln!("note: {} entries lost their setuid or setgid bit (--setuid keeps them)", done.dropped);
    }
    anstream::eprintln!("{}: {} entries, {}", Shown(&directory), done.entries, human::size(done.bytes));
    Ok(())
}
