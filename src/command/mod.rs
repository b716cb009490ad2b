//! The commands: the only place where reading a package and running Nix meet, and the only one that reads and writes
//! the user's files. One file for each subcommand; each returns how it ended.

mod at_stage;
pub mod build;
pub mod cache;
mod cuts;
mod drv;
pub mod expansion;
pub mod explain;
pub mod r#gen;
mod header;
pub mod image;
mod nix_error;
mod objects;
pub mod oci;
mod output;
pub mod pkgs;
mod place;
pub mod plan;
mod reading;
mod refusal;
pub mod roots;
pub mod shell;
mod size;
pub mod state;
mod subject;
pub mod verify;

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;

use crate::cli::{Cli, Command};
use crate::sandbox;
use crate::status::Status;

/// How a command ends: its own way, or as what ran in its shell.
pub enum Outcome {
    /// Its own.
    Status(Status),
    /// The exit code of the shell.
    Code(u8),
}

/// Runs a command line.
pub fn run(cli: Cli) -> ExitCode {
    let status = match cli.command {
        Command::Gen(arguments) => r#gen::run(&arguments),
        Command::Build(arguments) => return build::run(&arguments).into(),
        Command::Plan(arguments) => plan::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Verify(arguments) => verify::run(&arguments),
        Command::Cache { command } => cache::run(&command),
        Command::Roots { command } => roots::run(&command),
        Command::State { command } => state::run(&command),
        Command::Oci(arguments) => oci::run(&arguments),
        Command::Image(arguments) => image::run(&arguments),
        Command::Shell(arguments) => return shell::run(&arguments).into(),
        Command::SandboxInside { words } => return sandbox::inside(&words).into(),
    };
    status.into()
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Status(status) => status.into(),
            Outcome::Code(code) => code.into(),
        }
    }
}

/// Whether talk on standard error may have colours (`NO_COLOR`, <https://no-color.org>).
fn colour() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
