//! `phasesplit shell`: a shell at a point of a build.
//!
//! Nothing is built in it and nothing of the store can be changed: the state is restored into a directory of the session,
//! which goes when the session ends. The parts: [`point`] finds the state and the derivation whose environment is loaded,
//! [`closure`] what that derivation needs, [`entry`] what Nix would start its builder with, [`session`] owns the directory,
//! [`start`] the sandbox and the terminal, [`diff`] tells what the session changed.

mod changed;
mod closure;
mod diff;
mod entry;
mod graph;
mod last;
mod plain;
mod point;
mod serve;
mod session;
pub mod settings;
mod start;
mod structured;

use std::io;
use std::path::PathBuf;

use clap::Args;

use super::build::break_point::BreakPoint;
use super::build::run::{BuildError, Wish};
use super::build::{self, Prepared};
use super::refusal::Refusal;
use super::{Outcome, colour, nix_error};
use crate::cli::PackageArgs;
use crate::diagnostic::{self, Problem, Sources};
use crate::nix::NixError;
use crate::nix::chain::Chain;
use crate::phase::Stage;
use crate::sandbox::SandboxError;
use crate::status::Status;

/// The arguments of `phasesplit shell`.
#[derive(Args, Clone, Debug, Default)]
#[allow(clippy::struct_excessive_bools, reason = "they are options of a command line")]
#[command(
    mut_arg("package", |arg| arg.index(1).value_name("PKG[@STAGE]").required_unless_present("diff")
        .help("The package and the stage to stand behind: pkg.nix@build is the state after build; with --diff, a session")),
    after_long_help = HELP
)]
pub struct ShellArgs {
    /// The package.
    #[command(flatten)]
    pub package: PackageArgs,

    /// Stand behind this stage; the same as @STAGE behind the package
    #[arg(long, value_name = "STAGE")]
    pub at: Option<String>,

    /// Load what this later stage gets, and so all stages up to it
    ///
    /// Without it the environment is that of the next stage. A stage gets an attribute no earlier than it needs it: to run
    /// phases of several stages by hand, name the last of them.
    #[arg(long, value_name = "STAGE")]
    pub to: Option<String>,

    /// Stand where a phase of this stage failed, with the stage's own environment
    ///
    /// What a failed stage leaves is kept by `phasesplit build --keep-failed`; where it is not there, the stage is run once
    /// more.
    #[arg(long, conflicts_with = "to")]
    pub failed: bool,

    /// No sandbox: restore into a plain directory, with the machine around it
    ///
    /// The paths are then not those of the build: what recorded the build directory (cmake) or installs into $out does not
    /// work there.
    #[arg(long)]
    pub no_sandbox: bool,

    /// Do the work in DIR, and leave it there: build/ holds the build directory, store/ what was installed
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,

    /// Show what a session changed in the source, as a patch for `patch -p1`
    ///
    /// PKG is then the directory of a session that was kept with --keep; without one the session is meant that is in
    /// progress, or else the last one that has ended. In a session `phasesplit-diff` does the same.
    #[arg(long, conflicts_with_all = ["at", "to", "failed", "no_sandbox", "keep", "command"])]
    pub diff: bool,

    /// With --diff: all files of the build directory, not only those that came with the source
    #[arg(long, requires = "diff")]
    pub all: bool,

    /// Continue from this stage's last state, as the build with the same option did
    #[arg(long, value_name = "STAGE")]
    pub pin: Option<Stage>,

    /// What Nix is told.
    #[command(flatten)]
    pub nix: settings::NixSettings,

    /// Run this instead of a shell for the terminal: one word as text for the shell, several as a command and its arguments
    ///
    /// It runs under `set -e` as a build does; its exit code is that of phasesplit.
    #[arg(index = 2, last = true, value_name = "CMD")]
    pub command: Vec<String>,
}

const HELP: &str = "\
In the shell:
  runPhase PHASE    runs a phase as the build would, up to the first command that fails
  genericBuild      runs all phases of the environment that is loaded
  phases            which phases have run and which come; --names: only the names of those that come
  phasesplit-diff   what was changed in the source since the shell began, as a patch; --all: in all files

Examples:
  phasesplit shell pkg.nix@build                      look around after the build; runPhase installPhase
  phasesplit shell pkg.nix@install --failed           where installPhase failed
  phasesplit shell pkg.nix@unpack --to install        go through all phases by hand
  phasesplit shell pkg.nix@configure -- make -n       run one command and leave
  phasesplit shell --diff >fix.patch                  what the last session changed in the source
  phasesplit shell .#hello@build --keep here          keep what is made; later: phasesplit shell --diff here

Exit codes: that of the shell or CMD; 128 and the signal's number where a signal ended the session; those of phasesplit where
it did not come to a shell.";

/// Why there is no shell.
#[derive(Debug, thiserror::Error)]
enum ShellError {
    /// The point is none of the package's.
    #[error("{message}")]
    Point { message: String, help: String },
    /// It did not build, and the table says so.
    #[error("the state could not be built")]
    Unbuilt,
    /// Nix.
    #[error(transparent)]
    Nix(#[from] NixError),
    #[error(transparent)]
    Build(#[from] BuildError),
    /// A derivation that cannot be read.
    #[error("{}", .0.message)]
    Derivation(Problem),
    #[error(transparent)]
    State(#[from] crate::state::Error),
    /// The shell in a state, or where it should be.
    #[error("the shell in the state cannot be used")]
    Shell(Box<Refusal>),
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    #[error("cannot {operation}: {source}")]
    Io { operation: String, source: io::Error },
}

impl ShellError {
    fn io(operation: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let operation = operation.into();
        move |source| Self::Io { operation, source }
    }
}

/// Runs `phasesplit shell`.
pub fn run(arguments: &ShellArgs) -> Outcome {
    let result = if arguments.diff {
        diff::run(arguments).map(|()| Outcome::Status(Status::Success))
    } else {
        let settings = arguments.nix.words();
        let point = match point::named(arguments) {
            Ok(point) => point,
            Err(error) => return Outcome::Status(refused(&error)),
        };
        match build::prepare(&point.package, &settings, arguments.pin) {
            Ok(prepared) => start::run(arguments, &point, &prepared, &settings).map(Outcome::Code),
            Err(status) => return Outcome::Status(status),
        }
    };
    result.unwrap_or_else(|error| Outcome::Status(refused(&error)))
}

/// Opens the shell at a break point of a build that came there.
pub(super) fn at_break(
    arguments: &ShellArgs,
    prepared: &Prepared,
    wish: &Wish,
    chain: &Chain,
    at: &BreakPoint,
) -> Outcome {
    let opened = start::at_break(arguments, prepared, wish, chain, at).map(Outcome::Code);
    opened.unwrap_or_else(|error| Outcome::Status(refused(&error)))
}

fn refused(error: &ShellError) -> Status {
    let (problem, words, status) = match error {
        ShellError::Unbuilt => return Status::Build,
        ShellError::Build(error) => {
            anstream::eprint!("{}", build::explain(error));
            return build::status_of(error);
        }
        ShellError::Shell(failure) => return failure.tell(),
        ShellError::Nix(error) => {
            let (problem, words) = nix_error::told(error);
            (problem, words, nix_error::status(error))
        }
        ShellError::Point { message, help } => {
            (Problem::new("shell/point", message).help(help), String::new(), Status::Usage)
        }
        ShellError::Derivation(problem) => (problem.clone(), String::new(), Status::Input),
        ShellError::State(_) => (Problem::new("shell/state", error.to_string()), String::new(), Status::Environment),
        ShellError::Sandbox(sandbox) => {
            let cause = std::error::Error::source(sandbox).map_or(String::new(), |cause| format!(": {cause}"));
            let problem = Problem::new("shell/sandbox", format!("{sandbox}{cause}"));
            let problem = match sandbox.help() {
                Some(help) => problem.help(help),
                None => problem,
            };
            (problem, String::new(), Status::Environment)
        }
        ShellError::Io { .. } => (Problem::new("shell/io", error.to_string()), String::new(), Status::Environment),
    };
    anstream::eprint!("{}{words}", diagnostic::render(&[problem], Sources::new(&[]), colour()));
    status
}
