//! `phasesplit cache`: which stage of which package is in which binary cache, and getting states there and from there.
//!
//! Nothing is built. The parts: [`chains`] evaluates the packages, [`found`] joins their stages with what [`crate::cache`]
//! was told, [`report`] and [`outcome`] say it, [`moves`] what is going on; [`status`], [`push`] and [`pull`] are the
//! subcommands, [`sending`] is what `push` has in common with `build --push`, [`sources`] what a chain was made from,
//! [`pinned`] what may not be passed on, and why it may not be.

mod chains;
pub(super) mod found;
mod moves;
pub(super) mod outcome;
pub(super) mod pinned;
mod pull;
mod push;
mod report;
pub(super) mod sending;
mod sources;
mod status;

use std::ffi::OsString;
use std::time::Duration;

use clap::{Args, Subcommand};

use crate::cache::Patience;
use crate::cache::failure::Failure;
use crate::cli::PackageArgs;
use crate::command::refusal::Refusal;
use crate::diagnostic::Problem;
use crate::status::Status;
use found::Asking;

/// The subcommands of `phasesplit cache`.
#[derive(Subcommand, Clone, Debug)]
pub enum CacheCommand {
    /// Tell which stage of which package is in which binary cache, and who signed it
    Status(status::StatusArgs),
    /// Copy the states of packages to a binary cache or another store
    Push(push::PushArgs),
    /// Fetch the states of packages that are missing here, and build nothing
    Pull(pull::PullArgs),
}

/// Which packages, and how caches are asked.
#[derive(Args, Clone, Debug)]
pub struct CacheArgs {
    /// The package.
    #[command(flatten)]
    pub package: PackageArgs,

    /// More packages, split in the same way
    #[arg(value_name = "PKG", conflicts_with = "expression")]
    pub more: Vec<String>,

    /// Give up on an answer of a binary cache after so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub timeout: u32,

    /// Ask a binary cache so many times more where that fails in passing, after growing pauses
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(0..=10))]
    pub retries: u32,

    /// Options for Nix, such as `--option trusted-public-keys KEY` or `--argstr NAME VALUE`
    #[arg(last = true, value_name = "NIX OPTIONS")]
    pub nix_options: Vec<OsString>,
}

impl CacheArgs {
    fn asking(&self) -> Asking<'_> {
        let patience = Patience { answer: Duration::from_secs(self.timeout.into()), retries: self.retries };
        Asking { patience, nix_options: &self.nix_options }
    }
}

/// Runs `phasesplit cache`.
pub fn run(command: &CacheCommand) -> Status {
    let ended = match command {
        CacheCommand::Status(arguments) => status::run(arguments),
        CacheCommand::Push(arguments) => push::run(arguments),
        CacheCommand::Pull(arguments) => pull::run(arguments),
    };
    ended.unwrap_or_else(|refusal| refusal.tell())
}

/// What a cache, or Nix with it, failed at.
pub fn failed(operation: &str, failure: &Failure) -> Refusal {
    let problem = Problem::new("cache/failed", format!("{operation}: {failure}"));
    Refusal::environment(match failure.help() {
        Some(help) => problem.help(help),
        None => problem,
    })
}

/// The options for Nix where it moves paths: the user's own, with the same patience before them.
pub fn transfer_options(how: &Asking<'_>) -> Vec<OsString> {
    let mut options = Vec::new();
    let mut set = |name: &str, value: u64| {
        options.extend(["--option".into(), name.into(), value.to_string().into()]);
    };
    let seconds = how.patience.answer.as_secs();
    set("connect-timeout", seconds.min(10));
    set("stalled-download-timeout", seconds);
    set("download-attempts", u64::from(how.patience.retries) + 1);
    options.extend(how.nix_options.iter().cloned());
    options
}
