//! The commands: the only place where reading a package and running Nix meet, and the only one that reads and writes
//! the user's files. One file for each subcommand; each returns how it ended.

pub mod build;
pub mod cache;
mod cuts;
mod drv;
pub mod expansion;
pub mod explain;
pub mod r#gen;
mod header;
mod nix_error;
mod objects;
pub mod oci;
mod output;
pub mod pkgs;
mod place;
pub mod plan;
mod reading;
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

/// Runs a command line.
pub fn run(cli: Cli) -> ExitCode {
    let status = match cli.command {
        Command::Gen(arguments) => r#gen::run(&arguments),
        Command::Build(arguments) => build::run(&arguments),
        Command::Plan(arguments) => plan::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Verify(arguments) => verify::run(&arguments),
        Command::Cache { command } => cache::run(&command),
        Command::Roots { command } => roots::run(&command),
        Command::State { command } => state::run(&command),
        Command::Oci(arguments) => oci::run(&arguments),
        Command::Shell(arguments) => match shell::run(&arguments) {
            shell::Outcome::Status(status) => status,
            shell::Outcome::Code(code) => return code.into(),
        },
        Command::SandboxInside { words } => return sandbox::inside(&words).into(),
    };
    status.into()
}

/// Whether talk on standard error may have colours (`NO_COLOR`, <https://no-color.org>).
fn colour() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
