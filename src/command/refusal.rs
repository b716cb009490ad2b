//! Why a command ends without success, and how that is told: the same for every command that can fail in many ways.

use std::io;

use super::build::run::BuildError;
use super::r#gen::GenError;
use super::{build, colour};
use crate::diagnostic::{self, Problem, Sources};
use crate::inspect::select::NoEntry;
use crate::nix::NixError;
use crate::state;
use crate::status::Status;

/// What went wrong.
#[derive(Debug)]
pub enum Refusal {
    /// The package cannot be split.
    Generate(Box<GenError>),
    /// Nix, or the evaluation.
    Nix(Box<BuildError>),
    /// A state.
    State(Box<state::Error>),
    /// Standard output.
    Output(io::Error),
    /// Something else, and whose fault it is.
    Problem(Status, Box<Problem>),
}

impl From<GenError> for Refusal {
    fn from(error: GenError) -> Self {
        Self::Generate(Box::new(error))
    }
}

impl From<NixError> for Refusal {
    fn from(error: NixError) -> Self {
        Self::Nix(Box::new(error.into()))
    }
}

impl From<BuildError> for Refusal {
    fn from(error: BuildError) -> Self {
        Self::Nix(Box::new(error))
    }
}

impl From<state::Error> for Refusal {
    fn from(error: state::Error) -> Self {
        Self::State(Box::new(error))
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl From<NoEntry> for Refusal {
    fn from(error: NoEntry) -> Self {
        Self::input(Problem::new("state/path", error.to_string()).help(error.help()))
    }
}

impl Refusal {
    /// A problem of the command line.
    pub fn usage(problem: Problem) -> Self {
        Self::Problem(Status::Usage, Box::new(problem))
    }

    /// A problem of what the user named.
    pub fn input(problem: Problem) -> Self {
        Self::Problem(Status::Input, Box::new(problem))
    }

    /// A problem of Nix, the store, the file system or another machine.
    pub fn environment(problem: Problem) -> Self {
        Self::Problem(Status::Environment, Box::new(problem))
    }

    /// What went wrong, for a sentence.
    pub fn words(&self) -> String {
        match self {
            Self::Generate(error) => error.render(false),
            Self::Nix(error) => error.to_string(),
            Self::State(error) => error.to_string(),
            Self::Output(error) => error.to_string(),
            Self::Problem(_, problem) => problem.message.clone(),
        }
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
                problem(Status::Environment, &Problem::new("output", what))
            }
            Self::Problem(status, told) => problem(*status, told),
        }
    }
}

/// How a command ended; what went wrong is told.
pub fn ended(result: Result<(), Refusal>) -> Status {
    match result {
        Ok(()) => Status::Success,
        Err(refusal) => refusal.tell(),
    }
}
