//! What a mutation came to.
//!
//! Owns the outcomes, and which message of phasesplit's counts as a refusal.

use crate::{
    build,
    evaluate::{Derivation, Output, Split},
};
use phasesplit::compare::compare_packages;
use serde::Serialize;
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

/// The outcome, with what there is to say of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", content = "detail", rename_all = "kebab-case")]
pub enum Outcome {
    /// Split and unsplit are the same package.
    Equal,
    /// Neither can be built.
    BothFail,
    /// phasesplit says why it will not, and what to do. The unsplit build may succeed.
    Refused(String),
    /// Another result, but phasesplit warned that it cannot prove the attribute unread.
    NotProven(String),
    /// Another result, which no search can be expected to foresee, and `verify --deep` finds.
    Deep(String),
    /// Another result, or a failure that only one of the two has and phasesplit does not explain.
    Unsound(String),
}

impl Outcome {
    /// How bad it is; of two outcomes the worse counts.
    pub fn severity(&self) -> usize {
        match self {
            Self::Equal => 0,
            Self::BothFail => 1,
            Self::Refused(_) => 2,
            Self::NotProven(_) => 3,
            Self::Deep(_) => 4,
            Self::Unsound(_) => 5,
        }
    }
}

/// What a refusal must say: what to do now. One of these.
const REMEDIES: &[&str] =
    &["scope.", "readsAll", "lateInputs", "use the unsplit build", "--merge", "merge the stages", "add "];

/// phasesplit's own message in a log or an error, if it names a remedy.
pub fn refusal(log: &str) -> Option<String> {
    let lines: Vec<&str> = log.lines().collect();
    lines
        .iter()
        .filter_map(|line| line.find("phasesplit: ").map(|at| &line[at..]))
        .find(|line| !line.contains("warning:") && REMEDIES.iter().any(|remedy| line.contains(remedy)))
        .map(str::to_owned)
}

/// Whether all outputs are in the store.
pub fn is_there(derivation: &Derivation, missing: &BTreeSet<String>) -> bool {
    derivation.outputs.iter().all(|output| !missing.contains(&output.path.display().to_string()))
}

fn outputs(derivation: &Derivation) -> Vec<(String, PathBuf)> {
    derivation.outputs.iter().map(|Output { name, path }| (name.clone(), path.clone())).collect()
}

/// Judges what was built. `stages` are the paths of the states, as far as they are there.
pub fn built(split: &Split, unsplit: &Derivation, missing: &BTreeSet<String>, first_failed: Option<&str>) -> Outcome {
    match (is_there(&split.finish, missing), is_there(unsplit, missing)) {
        (true, true) => match compare_packages(&outputs(&split.finish), &outputs(unsplit)) {
            Ok(report) if report.is_equal() => Outcome::Equal,
            Ok(report) => Outcome::Unsound(report.to_string()),
            Err(error) => Outcome::Unsound(error.to_string()),
        },
        (true, false) => {
            Outcome::Unsound(format!("only the unsplit build fails:\n{}", tail(&build::log(&unsplit.drv))))
        }
        (false, unsplit_is_there) => {
            let log = first_failed.map(build::log).unwrap_or_default();
            match refusal(&log) {
                Some(message) => Outcome::Refused(message),
                None if unsplit_is_there => {
                    Outcome::Unsound(format!("only the split build fails, in {first_failed:?}:\n{}", tail(&log)))
                }
                None => Outcome::BothFail,
            }
        }
    }
}

fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}

/// The paths that must be asked for before judging.
pub fn paths<'a>(derivation: &'a Derivation, into: &mut BTreeSet<&'a Path>) {
    into.extend(derivation.outputs.iter().map(|output| output.path.as_path()));
}
