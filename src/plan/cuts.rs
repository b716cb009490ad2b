//! Stages that end inside a phase: the entries that a stage becomes when phases of it are cut.
//!
//! Pure. Where a script can be cut, `phase::script` knows; the Nix side is `nix-lib/cut.nix`.

use sha2::{Digest as _, Sha256};

use super::Entry;

/// Where an entry ends inside a phase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Until {
    /// The phase.
    pub phase: String,
    /// How many bytes of its script have run by then, from its beginning.
    pub length: usize,
    /// The SHA-256 of these bytes, lower-case hexadecimal: a script that changed before the cut is refused.
    pub sha256: String,
}

impl Until {
    /// A cut of `script` behind its first `length` bytes.
    pub fn new(phase: &str, script: &str, length: usize) -> Self {
        let begin = script.as_bytes().get(..length).unwrap_or(script.as_bytes());
        let digest = Sha256::digest(begin);
        let sha256 = digest.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
        Self { phase: phase.to_owned(), length: begin.len(), sha256 }
    }
}

/// No entry runs the phase.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no stage runs {phase}; the phases are {}", .known.join(", "))]
pub struct NoSuchPhase {
    /// The phase.
    pub phase: String,
    /// Those that run.
    pub known: Vec<String>,
}

/// Cuts the stages of a chain. Each phase that is cut comes with its cuts in the order of the script; the parts of a stage
/// are numbered, and the last has its name and attributes.
///
/// # Errors
/// Where a phase is in no entry.
pub fn cut_stages(chain: Vec<Entry>, cuts: &[Vec<Until>]) -> Result<Vec<Entry>, NoSuchPhase> {
    let cuts: Vec<&Vec<Until>> = cuts.iter().filter(|cuts| !cuts.is_empty()).collect();
    for cut in &cuts {
        if !chain.iter().any(|entry| entry.phases.contains(&cut[0].phase)) {
            let known = chain.iter().flat_map(|entry| entry.phases.clone()).collect();
            return Err(NoSuchPhase { phase: cut[0].phase.clone(), known });
        }
    }
    Ok(chain.into_iter().flat_map(|entry| parts(entry, &cuts)).collect())
}

fn parts(whole: Entry, cuts: &[&Vec<Until>]) -> Vec<Entry> {
    let mut parts = Vec::new();
    let mut phases = Vec::new();
    for phase in &whole.phases {
        phases.push(phase.clone());
        for until in cuts.iter().filter(|cut| cut[0].phase == *phase).flat_map(|cut| cut.iter()) {
            parts.push(Entry {
                stage: whole.stage,
                part: Some(parts.len() + 1),
                phases: std::mem::replace(&mut phases, vec![phase.clone()]),
                attributes: Vec::new(),
                idle: whole.idle,
                until: Some(until.clone()),
            });
        }
    }
    parts.push(Entry { phases, ..whole });
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phase::Stage;
    use pretty_assertions::assert_eq;

    fn show(chain: &[Entry]) -> String {
        let until =
            |entry: &Entry| entry.until.as_ref().map_or(String::new(), |at| format!(" ..{}@{}", at.phase, at.length));
        let lines = chain.iter().map(|entry| {
            format!("{}[{}]({}){}", entry.name(), entry.phases.join(" "), entry.attributes.join(" "), until(entry))
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    fn chain() -> Vec<Entry> {
        let entry = |stage, phases: &str, attribute: &str| Entry {
            stage,
            part: None,
            phases: phases.split(' ').map(str::to_owned).collect(),
            attributes: vec![attribute.to_owned()],
            idle: false,
            until: None,
        };
        vec![
            entry(Stage::Build, "preparePhase buildPhase morePhase", "buildFlags"),
            entry(Stage::Install, "installPhase", "postInstall"),
        ]
    }

    #[test]
    fn a_stage_becomes_its_parts() {
        let script = "one\ntwo\nthree\n";
        let build = vec![Until::new("buildPhase", script, 4), Until::new("buildPhase", script, 8)];
        let more = vec![Until::new("morePhase", script, 4)];
        let cut = cut_stages(chain(), &[more, build, Vec::new()]).expect("both run");
        assert_eq!(
            show(&cut),
            "build-1[preparePhase buildPhase]() ..buildPhase@4\n\
             build-2[buildPhase]() ..buildPhase@8\n\
             build-3[buildPhase morePhase]() ..morePhase@4\n\
             build[morePhase](buildFlags)\n\
             install[installPhase](postInstall)"
        );
        assert_eq!(cut_stages(chain(), &[]).expect("nothing to cut"), chain());
    }

    #[test]
    fn a_cut_knows_the_bytes_before_it() {
        // printf "one\n" | sha256sum
        let hash = "2c8b08da5ce60398e1f19af0e5dccc744df274b826abe585eaba68c525434806";
        assert_eq!(Until::new("buildPhase", "one\ntwo\n", 4).sha256, hash);
    }

    #[test]
    fn a_phase_that_no_stage_runs() {
        let error = cut_stages(chain(), &[vec![Until::new("checkPhase", "a\nb\n", 2)]]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "no stage runs checkPhase; the phases are preparePhase, buildPhase, morePhase, installPhase"
        );
    }
}
