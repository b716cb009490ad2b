//! What `verify --deep` found: for people, and as JSON.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use super::Held;
use super::differ::Place;
use crate::command::build::warnings::shown;

/// Findings, and lines of a log, that people are shown; `--json` has all.
const SHOWN: usize = 20;
const LINES: usize = 8;
/// Of more names than this a stage is given all.
const NAMES: usize = 8;

/// How a name was found out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Proof {
    /// The word that stood in its place is there.
    #[default]
    Text,
    /// It differs with the name and not without it.
    Trial,
    /// The stage fails with it.
    Failure,
}

/// Something that a stage makes otherwise where it has what is held back from it.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// The stage.
    pub stage: String,
    /// The file, or the part of the shell; none where the stage fails.
    pub place: Option<String>,
    /// What became of it.
    pub change: Option<&'static str>,
    /// How the names were found out.
    pub proof: Proof,
    /// The attributes; where there are several and the proof is not their text, one or some of these.
    pub attributes: Vec<String>,
    /// The late inputs, likewise.
    pub inputs: Vec<String>,
    /// How the stage failed.
    pub message: String,
    /// The last lines of the log of a stage that failed.
    pub log: Vec<String>,
}

impl Finding {
    /// Whether this is among what it names.
    pub(super) fn has(&self, held: &Held) -> bool {
        match held {
            Held::Name(name) => self.attributes.contains(name),
            Held::Input(name) => self.inputs.contains(name),
        }
    }

    /// Its names, as a person reads them.
    fn names(&self) -> String {
        let inputs = self.inputs.iter().map(|name| format!("the input {name}"));
        let all: Vec<String> = self.attributes.iter().cloned().chain(inputs).collect();
        let some = all[..all.len().min(NAMES)].join(", ");
        let some = if all.len() > NAMES { format!("{some} and {} more", all.len() - NAMES) } else { some };
        match self.proof {
            Proof::Trial | Proof::Failure if all.len() > 1 => format!("one or some of {some}"),
            _ => some,
        }
    }

    /// The lines to add, for a package file and for a command line.
    fn lines(&self) -> Vec<String> {
        let stage = &self.stage;
        if self.attributes.len() > NAMES {
            return vec![format!("`--reads-all {stage}`, or  readsAll = \"{stage}\";")];
        }
        let attributes =
            self.attributes.iter().map(|name| format!("`--scope {name}={stage}`, or  scope.{name} = \"{stage}\";"));
        let inputs =
            self.inputs.iter().map(|name| format!("`--late {stage}={name}`, or  lateInputs.{stage} = [ \"{name}\" ];"));
        attributes.chain(inputs).collect()
    }
}

/// A difference between two plain runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Excused {
    /// The stage.
    pub stage: String,
    /// The file, or the part of the shell.
    pub place: String,
}

/// The whole.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// The stages that something may be held back from.
    pub stages: Vec<String>,
    /// How many runs were compared.
    pub runs: usize,
    /// What depends on something that is held back, in the order of the chain.
    pub findings: Vec<Finding>,
    /// What is not the same twice.
    pub excused: Vec<Excused>,
}

impl Report {
    /// Whether a stage was found to depend on what is held back from it.
    pub fn is_different(&self) -> bool {
        !self.findings.is_empty()
    }

    /// Whether there is a finding about this place.
    pub(super) fn has(&self, stage: &str, place: &Place) -> bool {
        let place = place.to_string();
        self.findings.iter().any(|finding| finding.stage == stage && finding.place.as_deref() == Some(&place))
    }

    /// What to do about the findings: each name goes to the first stage that was found to depend on it.
    pub fn advice(&self) -> Vec<String> {
        let mut said = BTreeSet::new();
        let mut advice = Vec::new();
        for finding in &self.findings {
            let names = finding.attributes.iter().chain(&finding.inputs);
            if names.filter(|name| said.insert((*name).clone())).count() > 0 {
                let one = if finding.attributes.len() + finding.inputs.len() > 1 && finding.proof != Proof::Text {
                    "one or some of "
                } else {
                    ""
                };
                advice.push(format!("add {one}{}", finding.lines().join("; ")));
            }
        }
        advice
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (stages, runs) = (self.stages.join(", "), self.runs);
        if self.stages.is_empty() {
            return writeln!(f, "deep: nothing is held back from any stage");
        }
        if self.findings.is_empty() {
            writeln!(f, "deep: no stage depends on what is held back from it: {stages}; {runs} runs compared")?;
        } else {
            writeln!(f, "deep: a stage depends on what is held back from it ({stages}; {runs} runs compared):")?;
        }
        for finding in self.findings.iter().take(SHOWN) {
            let (stage, names) = (&finding.stage, finding.names());
            match (&finding.place, finding.change) {
                (Some(place), Some(change)) if finding.proof == Proof::Text => {
                    writeln!(f, "  stage {stage}: {place} ({change}) has the value of {names} in it")?;
                }
                (Some(place), Some(change)) => {
                    writeln!(f, "  stage {stage}: {place} ({change}) depends on {names}")?;
                }
                _ => {
                    writeln!(f, "  stage {stage} fails with {names}: {}", shown(&finding.message))?;
                    for line in &finding.log[finding.log.len().saturating_sub(LINES)..] {
                        writeln!(f, "    > {}", shown(line))?;
                    }
                }
            }
        }
        if self.findings.len() > SHOWN {
            writeln!(f, "  … and {} more (--json has all)", self.findings.len() - SHOWN)?;
        }
        if !self.excused.is_empty() {
            let places: Vec<String> =
                self.excused.iter().take(SHOWN).map(|one| format!("{} ({})", one.place, one.stage)).collect();
            let more = self.excused.len() - places.len();
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            writeln!(f, "  excused, because two plain runs differ there too: {}{more}", places.join(", "))?;
        }
        Ok(())
    }
}
