//! `--break NAME`: the stage to build up to, and the phases to run by hand behind it.
//!
//! A state lies at the end of each stage but the last. Behind a phase in the middle of a stage there is none: the shell then
//! stands on the state before that stage, and runs the stage's phases up to that one.

use std::fmt::Write as _;
use std::path::Path;

use crate::nix::chain::{Chain, UNSPLIT};
use crate::nix::drv;
use crate::source::stage_arguments::StageArguments;
use crate::state::info;

/// Where a build stops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BreakPoint {
    /// The stage whose state the shell stands on.
    pub stage: String,
    /// The phase of the next stage behind which it stands; where absent the stage's end is the point.
    pub phase: Option<String>,
}

/// A name that is no point to stop at.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("--break {name}: {reason}")]
pub struct NoBreakPoint {
    name: String,
    reason: String,
    /// What to do about it.
    pub help: String,
}

/// A stage and its phases in order, as far as they are known before it runs.
struct Phases<'a> {
    stage: &'a str,
    phases: Vec<String>,
}

/// Finds the stage or phase of this name.
///
/// # Errors
/// None has it, or no state lies before it.
pub fn find(chain: &Chain, name: &str) -> Result<BreakPoint, NoBreakPoint> {
    let stages: Vec<Phases<'_>> =
        chain.stages.iter().map(|stage| Phases { stage: &stage.stage, phases: phases(chain, stage) }).collect();
    of(&stages, name).map_err(|(reason, help)| NoBreakPoint { name: name.to_owned(), reason, help })
}

/// The phases of a stage: what ran where its state is there, for hooks add phases that nothing else tells of; else those
/// that its derivation names.
fn phases(chain: &Chain, stage: &crate::nix::chain::Stage) -> Vec<String> {
    let is_last = chain.stages.last().is_some_and(|last| last.stage == stage.stage);
    let named = named(&stage.drv_path);
    if !is_last && let Ok(info) = info::read("look at", Path::new(stage.path())) {
        let ran: Vec<String> = info.phases.into_iter().map(|phase| phase.name).collect();
        // A phase that is switched off is no other's place.
        if named.iter().all(|phase| ran.contains(phase)) {
            return ran;
        }
    }
    named
}

fn named(drv: &str) -> Vec<String> {
    let Ok(drv) = drv::read(drv) else { return Vec::new() };
    let Some(arguments) = StageArguments::read(&drv) else { return Vec::new() };
    let range: Vec<usize> = arguments.words("range").into_iter().filter_map(|word| word.parse().ok()).collect();
    let (&[first, last], Some(entries)) = (&range[..], arguments.option("entries")) else { return Vec::new() };
    let mut phases: Vec<String> = Vec::new();
    for phase in entries.split(',').skip(first).take(last + 1 - first.min(last)).flat_map(str::split_whitespace) {
        if !phases.iter().any(|known| known == phase) {
            phases.push(phase.to_owned());
        }
    }
    phases
}

fn of(stages: &[Phases<'_>], name: &str) -> Result<BreakPoint, (String, String)> {
    let last = stages.len() - 1;
    if stages[0].stage == UNSPLIT {
        return Err(("the package is not split".to_owned(), "name a package that can be split".to_owned()));
    }
    let behind = |index: usize| BreakPoint { stage: stages[index].stage.to_owned(), phase: None };
    if let Some(index) = stages.iter().position(|stage| stage.stage == name) {
        if index < last {
            return Ok(behind(index));
        }
        let help = format!("name the stage before it, or a phase of it: {}", stages[last].phases.join(", "));
        return Err((format!("{name} leaves the package, not a state to stand on"), help));
    }
    // A phase that is cut ends in the last stage that has a part of it.
    let Some(index) = stages.iter().rposition(|stage| stage.phases.iter().any(|phase| phase == name)) else {
        return Err(("it is neither a stage nor a phase of this package".to_owned(), known(stages)));
    };
    if index < last && stages[index].phases.last().is_some_and(|phase| phase == name) {
        return Ok(behind(index));
    }
    let Some(before) = index.checked_sub(1) else {
        let reason = format!("it is not the last phase of {}, and no state lies before that stage", stages[0].stage);
        let end = stages[0].phases.last().cloned().unwrap_or_default();
        return Err((reason, format!("stop behind {end}, or let a stage end there (--stages, --merge)")));
    };
    Ok(BreakPoint { phase: Some(name.to_owned()), ..behind(before) })
}

/// All stages and phases.
fn known(stages: &[Phases<'_>]) -> String {
    let mut text = "the stages, each with its phases, are".to_owned();
    for Phases { stage, phases } in stages {
        let _ = write!(text, " {stage} ({}),", phases.join(" "));
    }
    text.pop();
    text + "; a phase that a hook adds is known once its stage was built"
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    fn found(name: &str) -> Result<(String, Option<String>), (String, String)> {
        let stages: Vec<Phases<'_>> = [
            ("unpack", "prePhase unpackPhase"),
            ("build-1", "patchPhase configurePhase buildPhase"),
            ("build", "buildPhase wrapPhase checkPhase"),
            ("finish", "fixupPhase distPhase"),
        ]
        .map(|(stage, phases)| Phases { stage, phases: phases.split(' ').map(str::to_owned).collect() })
        .into();
        of(&stages, name).map(|point| (point.stage, point.phase))
    }

    #[test]
    fn a_stage_or_the_phase_that_ends_it_is_its_state() {
        for (name, stage) in
            [("unpack", "unpack"), ("unpackPhase", "unpack"), ("build", "build"), ("checkPhase", "build")]
        {
            assert_eq!(found(name), Ok((stage.to_owned(), None)), "{name}");
        }
    }

    #[test]
    fn a_phase_in_the_middle_is_run_behind_the_state_before() {
        for (name, stage) in [
            ("patchPhase", "unpack"),
            ("configurePhase", "unpack"),
            ("buildPhase", "build-1"),
            ("wrapPhase", "build-1"),
            ("fixupPhase", "build"),
            ("distPhase", "build"),
        ] {
            assert_eq!(found(name), Ok((stage.to_owned(), Some(name.to_owned()))), "{name}");
        }
    }

    #[test]
    fn what_is_no_point_is_told_with_those_that_are() {
        assert!(found("finish").unwrap_err().1.ends_with("a phase of it: fixupPhase, distPhase"));
        assert!(found("prePhase").unwrap_err().0.contains("no state lies before that stage"));
        let (reason, help) = found("biuld").unwrap_err();
        assert_eq!(reason, "it is neither a stage nor a phase of this package");
        assert!(help.contains("unpack (prePhase unpackPhase), build-1 (patchPhase"), "{help}");
    }
}
