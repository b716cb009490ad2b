//! `phasesplit state`: looking into the state that a stage left.
//!
//! One file for each subcommand; [`subject`] finds the state that is meant, [`output`] writes what everything has in common.

mod cat;
mod diff;
mod du;
mod extract;
mod info;
mod log;
mod ls;
mod mount;
pub(super) mod output;
pub(super) mod subject;
pub(super) mod vars;

use clap::Subcommand;

use crate::command::refusal;
use crate::status::Status;

pub use subject::StateArgs;

/// The subcommands of `phasesplit state`.
#[derive(Subcommand, Clone, Debug)]
pub enum StateCommand {
    /// List what is in a state
    Ls(ls::LsArgs),
    /// Write a file of a state to standard output
    Cat(cat::CatArgs),
    /// Take files out of a state
    Extract(extract::ExtractArgs),
    /// Tell what differs between two states
    Diff(diff::DiffArgs),
    /// Show the shell of a state: variables, functions, options, traps, current directory
    Vars(vars::VarsArgs),
    /// Show where the bytes of a state are
    Du(du::DuArgs),
    /// Show what a state is
    Info(info::InfoArgs),
    /// Write the log of a stage; of a failed one its end, which its state holds
    Log(log::LogArgs),
    /// Mount a state read-only, until it is unmounted or this command is interrupted
    Mount(mount::MountArgs),
}

/// Runs `phasesplit state`.
pub fn run(command: &StateCommand) -> Status {
    match command {
        StateCommand::Ls(arguments) => refusal::ended(ls::run(arguments)),
        StateCommand::Cat(arguments) => refusal::ended(cat::run(arguments)),
        StateCommand::Extract(arguments) => refusal::ended(extract::run(arguments)),
        StateCommand::Diff(arguments) => diff::run(arguments),
        StateCommand::Vars(arguments) => refusal::ended(vars::run(arguments)),
        StateCommand::Du(arguments) => refusal::ended(du::run(arguments)),
        StateCommand::Info(arguments) => refusal::ended(info::run(arguments)),
        StateCommand::Log(arguments) => refusal::ended(log::run(arguments)),
        StateCommand::Mount(arguments) => refusal::ended(mount::run(arguments)),
    }
}
