//! Why a subcommand of `phasesplit cache` ends without success, and how that is told.

use std::io;

use crate::cache::failure::Failure;
use crate::command::build::run::BuildError;
use crate::command::r#gen::GenError;
use crate::command::{build, colour};
use crate::diagnostic::{self, Problem, Sources};
use crate::nix::NixError;
use crate::status::Status;

/// What went wrong.
pub enum Refusal {
    /// The package cannot be split.
    Generate(Box<GenError>),
    /// Nix, or the evaluation.
    Nix(Box<BuildError>),
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

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
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

    /// What a cache, or Nix with it, failed at.
    pub fn cache(operation: &str, failure: &Failure) -> Self {
        let problem = Problem::new("cache/failed", format!("{operation}: {failure}"));
        let problem = match failure.help() {
            Some(help) => problem.help(help),
            None => problem,
        };
        Self::Problem(Status::Environment, Box::new(problem))
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
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => Status::Success,
            Self::Output(error) => {
                let what = format!("cannot write to standard output: {error}");
                problem(Status::Environment, &Problem::new("cache/output", what))
            }
            Self::Problem(status, told) => problem(*status, told),
        }
    }
}
