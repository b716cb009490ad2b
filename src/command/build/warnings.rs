//! What the stages of a build warned of: those that ran now, and those whose states were there, which show no log.
//!
//! A stage before finish has its warnings in its state (`info.json`); finish has them only in its log. The text comes from a
//! build and may hold anything: it is bounded here, and shown with its control characters escaped.

use std::fmt::Write as _;
use std::path::Path;

use serde::Serialize;

use super::report::{Outcome, StageReport};
use crate::command::state::output;
use crate::nix::chain::Chain;
use crate::nix::watch::{self, Watch};
use crate::nix::{Nix, Tool};
use crate::state::chain as layers;
use crate::state::info::{self, Info};

/// The most warnings that a report has, and the most characters of each.
const MOST: usize = 200;
const LENGTH: usize = 2000;
/// The most warnings that a person is shown.
const SHOWN: usize = 20;
/// The operation that errors of reading a state name.
const LOOK: &str = "look at";

/// A warning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// The stage that gave it.
    pub stage: String,
    /// Its text, as the stage wrote it; the end is cut off where it is too long.
    pub text: String,
}

impl Warning {
    /// A warning with its text cut to the length that a report has.
    pub fn new(stage: &str, text: &str) -> Self {
        let end = text.char_indices().nth(LENGTH).map(|(end, _)| end);
        let text = end.map_or_else(|| text.to_owned(), |end| format!("{}…", &text[..end]));
        Self { stage: stage.to_owned(), text }
    }
}

/// One warning as a person reads it: one line, without control characters.
pub fn shown(text: &str) -> String {
    output::lines(text.as_bytes()).replace(['\n', '\t'], " ")
}

/// The warnings of all stages, in the order of the chain, each once.
pub(super) fn collect(nix: &Nix, chain: &Chain, rows: &[StageReport], watch: &Watch) -> Vec<Warning> {
    let mut found = Vec::new();
    for row in rows {
        let is_last = chain.stages.last().is_some_and(|last| last.drv_path == row.drv);
        if row.outcome == Outcome::Pinned {
            found.extend(of_pinned(Path::new(&row.path)));
        } else if let Some(info) = of_state(row).filter(|_| !is_last) {
            found.extend(of_info(&row.stage, &info));
        } else if let Some(build) = watch.build(&row.drv) {
            found.extend(build.warnings.iter().map(|text| Warning::new(&row.stage, text)));
        } else if is_last && row.outcome == Outcome::Reused {
            found.extend(of_log(nix, row));
        }
    }
    let mut kept: Vec<Warning> = Vec::new();
    for warning in found {
        if kept.len() < MOST && !kept.contains(&warning) {
            kept.push(warning);
        }
    }
    kept
}

fn of_state(row: &StageReport) -> Option<Info> {
    row.outcome.has_state().then(|| info::read(LOOK, Path::new(&row.path)).ok()).flatten()
}

fn of_info(stage: &str, info: &Info) -> Vec<Warning> {
    info.warnings.iter().take(MOST).map(|text| Warning::new(stage, text)).collect()
}

/// The warnings of a pinned state and of the states before it, which have no rows.
fn of_pinned(state: &Path) -> Vec<Warning> {
    let Ok(info) = info::read(LOOK, state) else { return Vec::new() };
    let states = layers::find(LOOK, state, info.layers).unwrap_or_else(|_| vec![state.to_owned()]);
    let infos = states.iter().filter_map(|state| info::read(LOOK, state).ok());
    infos.flat_map(|info| of_info(&info.stage, &info)).collect()
}

/// The warnings in the log that Nix keeps of a build; none where it keeps none.
fn of_log(nix: &Nix, row: &StageReport) -> Vec<Warning> {
    let answer = nix.run(Tool::Store, "cannot get the log", ["--read-log", row.drv.as_str()], b"");
    let log = answer.map(|answer| String::from_utf8_lossy(&answer.stdout).into_owned()).unwrap_or_default();
    log.lines().filter_map(watch::warning_in).take(MOST).map(|text| Warning::new(&row.stage, text)).collect()
}

/// The lines for standard error.
pub(in crate::command) fn text(warnings: &[Warning]) -> String {
    let mut lines = String::new();
    for Warning { stage, text } in warnings.iter().take(SHOWN) {
        let _ = writeln!(lines, "warning: stage {}: {}", shown(stage), shown(text));
    }
    if warnings.len() > SHOWN {
        let _ = writeln!(lines, "warning: {} more (--json has them)", warnings.len() - SHOWN);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_one_line_and_no_command_of_the_terminal() {
        let warning = Warning::new("build", "left:\n\u{1b}[2Jwarning: stage check: \u{9b}x \\ é");
        assert_eq!(text(&[warning]), "warning: stage build: left: \\u{1b}[2Jwarning: stage check: \\u{9b}x \\ é\n");
    }

    #[test]
    fn length_and_count_have_bounds() {
        assert_eq!(Warning::new("build", &"é".repeat(LENGTH)).text, "é".repeat(LENGTH));
        assert_eq!(Warning::new("build", &"é".repeat(LENGTH + 1)).text, format!("{}…", "é".repeat(LENGTH)));
        let many: Vec<Warning> = (0..SHOWN + 3).map(|at| Warning::new("build", &at.to_string())).collect();
        let said = text(&many);
        assert_eq!(said.lines().count(), SHOWN + 1);
        assert!(said.ends_with("warning: 3 more (--json has them)\n"), "{said}");
    }
}
