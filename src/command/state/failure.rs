//! Why a subcommand of `phasesplit state` ends without success, and how that is told.

use std::io;
use std::path::Path;

use crate::command::build::run::BuildError;
use crate::command::r#gen::GenError;
use crate::command::{build, colour};
use crate::diagnostic::{self, Problem, Sources};
use crate::inspect::select::NoEntry;
use crate::inspect::shell::NotUnderstood;
use crate::nix::NixError;
use crate::state;
use crate::status::Status;

/// What went wrong.
#[derive(Debug)]
pub enum Failure {
    /// The package cannot be split.
    Generate(Box<GenError>),
    /// Nix, or the evaluation.
    Nix(Box<BuildError>),
    /// The state.
    State(Box<state::Error>),
    /// Standard output.
    Output(io::Error),
    /// Something else, and whose fault it is.
    Problem(Status, Box<Problem>),
}

impl From<GenError> for Failure {
    fn from(error: GenError) -> Self {
        Self::Generate(Box::new(error))
    }
}

impl From<NixError> for Failure {
    fn from(error: NixError) -> Self {
        Self::Nix(Box::new(error.into()))
    }
}

impl From<BuildError> for Failure {
    fn from(error: BuildError) -> Self {
        Self::Nix(Box::new(error))
    }
}

impl From<state::Error> for Failure {
    fn from(error: state::Error) -> Self {
        Self::State(Box::new(error))
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl From<NoEntry> for Failure {
    fn from(error: NoEntry) -> Self {
        Self::input(Problem::new("state/path", error.to_string()).help(error.help()))
    }
}

impl Failure {
    /// A problem of what the user named.
    pub fn input(problem: Problem) -> Self {
        Self::Problem(Status::Input, Box::new(problem))
    }

    /// A shell state that cannot be read.
    pub fn shell(state: &Path, error: &NotUnderstood) -> Self {
        let problem = Problem::new("state/shell", format!("{}: shell: {error}", state::error::Shown(state)));
        Self::input(
            problem
                .help("`phasesplit state cat PKG@STAGE shell` shows it as it is; do not run it if you do not trust it"),
        )
    }

    /// Tells it on standard error; how the command ends.
    pub fn tell(&self) -> Status {
        let problem = |status: Status, problem: &Problem| {
            anstream::eprint!("{}", diagnostic::render(std::slice::from_ref(problem), Sources::new(&[]), colour()));
            status
        };
        match self {
            Self::Generate(error) => {
                anstream::eprint!("{}", error.render(colour()));
                error.status
            }
            Self::Nix(error) => {
                anstream::eprint!("{}", build::explain(error));
                build::status_of(error)
            }
            Self::State(error) => {
                let status = match &**error {
                    state::Error::Io { .. } => Status::Environment,
                    _ => Status::Input,
                };
                problem(status, &Problem::new("state/refused", error.to_string()))
            }
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => Status::Success,
            Self::Output(error) => {
                let what = format!("cannot write to standard output: {error}");
                problem(Status::Environment, &Problem::new("state/output", what))
            }
            Self::Problem(status, told) => problem(*status, told),
        }
    }
}

/// How a subcommand ended; what went wrong is told.
pub fn ended(result: Result<(), Failure>) -> Status {
    match result {
        Ok(()) => Status::Success,
        Err(failure) => failure.tell(),
    }
}
