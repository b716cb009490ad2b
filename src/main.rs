//! The `phasesplit` command.

use std::process::ExitCode;

use clap::Parser as _;
use phasesplit::{cli, command};

fn main() -> ExitCode {
    command::run(cli::Cli::parse())
}
