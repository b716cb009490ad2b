//! How a failed operation on Nix is told, and whose fault it is: the same for every command.

use crate::diagnostic::Problem;
use crate::nix::{Cause, NixError};
use crate::status::Status;

/// The problem, and what stands below it: Nix's own words, or the command line.
pub fn told(error: &NixError) -> (Problem, String) {
    // Nix's message on an expression has lines and carets of its own: it stands as it is, below ours.
    if let Cause::Evaluation { detail } = &error.cause {
        let mut problem = Problem::new("nix/evaluation", error.operation.clone());
        if detail.contains("stdin") {
            let help = "the lines of «stdin» are those that `phasesplit gen` writes with the same arguments";
            problem = problem.help(help);
        }
        return (problem, format!("Nix says: {detail}\n"));
    }
    let mut problem = Problem::new("nix/failed", error.to_string());
    if let Some(help) = error.help() {
        problem = problem.help(help);
    }
    let command = &error.command;
    (problem, if command.is_empty() { String::new() } else { format!("the command was: {command}\n") })
}

/// How the command ends.
pub fn status(error: &NixError) -> Status {
    match error.cause {
        Cause::Option { .. } => Status::Usage,
        Cause::Evaluation { .. } => Status::Input,
        _ => Status::Environment,
    }
}

/// The first line of what went wrong, for a sentence.
pub fn first_line(error: &NixError) -> String {
    let text = match &error.cause {
        Cause::Evaluation { detail } => detail.clone(),
        cause => cause.to_string(),
    };
    text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("it does not say why").to_owned()
}
