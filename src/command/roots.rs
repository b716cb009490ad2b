//! `phasesplit roots`: what phasesplit keeps from the garbage collector, and how it is given up.

mod doctor;
mod give_up;
mod hand;
mod list;

use std::io::{self, Write as _};

use clap::Subcommand;
use serde::Serialize;

use crate::gcroot::{RootError, Roots};
use crate::status::Status;

/// The subcommands of `phasesplit roots`.
#[derive(Subcommand, Clone, Debug)]
pub enum RootsCommand {
    /// List what is rooted, and what deleting it would free
    List(list::ListArgs),
    /// Keep states: no policy gives them up
    Add(hand::AddArgs),
    /// Give up states by hand
    Rm(hand::RmArgs),
    /// Say that states were used just now
    Touch(hand::TouchArgs),
    /// Give up states by age, number and size
    ///
    /// What a --keep option names is kept, and so is what `roots add` keeps and what a running build uses. Of the rest,
    /// --older-than gives up what was not used for so long, and --max-size what was not used for longest, until the rest
    /// fits; with neither, all of the rest is given up. Without any option the policies of the configuration file are applied.
    Prune(give_up::PruneArgs),
    /// Have Nix delete the states that were given up, and nothing else
    Gc(give_up::GcArgs),
    /// Find links that keep nothing, that are not ours, or that a killed program left half made
    Doctor(doctor::DoctorArgs),
}

/// Runs `phasesplit roots`.
pub fn run(command: &RootsCommand) -> Status {
    let done = Roots::of_user().map_err(Trouble::from).and_then(|roots| match command {
        RootsCommand::List(arguments) => list::run(&roots, arguments),
        RootsCommand::Add(arguments) => hand::add(&roots, arguments),
        RootsCommand::Rm(arguments) => hand::rm(&roots, arguments),
        RootsCommand::Touch(arguments) => hand::touch(&roots, arguments),
        RootsCommand::Prune(arguments) => give_up::prune(&roots, arguments),
        RootsCommand::Gc(arguments) => give_up::gc(&roots, arguments),
        RootsCommand::Doctor(arguments) => doctor::run(&roots, arguments),
    });
    match done {
        Ok(status) => status,
        // Who reads no further has what he wants.
        Err(Trouble::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Status::Success,
        Err(Trouble::Output(error)) => {
            anstream::eprintln!("error: cannot write to standard output: {error}");
            Status::Environment
        }
        Err(Trouble::Roots(error)) => {
            anstream::eprintln!("error: {error}");
            match error {
                RootError::NoState { .. } | RootError::Config(_) => Status::Input,
                _ => Status::Environment,
            }
        }
        Err(Trouble::Input(words)) => {
            anstream::eprintln!("error: {words}");
            Status::Input
        }
    }
}

/// Why a command of `roots` ends early.
enum Trouble {
    Roots(RootError),
    Output(io::Error),
    Input(String),
}

impl From<RootError> for Trouble {
    fn from(error: RootError) -> Self {
        Self::Roots(error)
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

fn write_json(value: &impl Serialize) -> io::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, value)?;
    writeln!(out)
}
