//! `--pin STAGE`: which state that is, and whether the package can continue from it.
//!
//! A pin says that what changed before its stage does not matter. It cannot say that of what a state is made of: a state
//! holds its package's staged prefixes, and a build tree that certain phases have been through. Where these are others
//! the pin is refused. (What a failed stage left is not recorded as its state; where one was put there, it is refused too.)

use std::collections::BTreeMap;

use crate::gcroot::Roots;
use crate::gcroot::record::RecordError;
use crate::nix::chain::Chain;
use crate::nix::{Nix, NixError, drv, store};
use crate::phase::Stage;
use crate::source::stage_arguments::StageArguments;
use crate::state::info::{self, Info};
use crate::status::Status;

/// A stage's last state, to continue from.
#[derive(Clone, Debug)]
pub struct PinnedState {
    /// The stage.
    pub stage: String,
    /// The store path of its state.
    pub state: String,
    /// The derivation that it was made by.
    pub drv: String,
    /// What the state says of itself.
    info: Info,
}

/// Why a pin is refused.
#[derive(Debug, thiserror::Error)]
pub enum PinError {
    /// The result itself cannot be continued from.
    #[error("--pin finish: the result of finish is the package, there is nothing to continue with")]
    Finish,
    /// Without a home there are no records.
    #[error(
        "--pin {stage}: it cannot be told which state that is: neither XDG_STATE_HOME nor HOME is an absolute path"
    )]
    NoHome {
        /// The stage.
        stage: String,
    },
    /// The record cannot be read.
    #[error("--pin {stage}: {source}")]
    Record {
        /// The stage.
        stage: String,
        /// Why not.
        #[source]
        source: RecordError,
    },
    /// There is no such state.
    #[error("--pin {stage}: no {stage} state of this package was built yet{}", .known)]
    NeverBuilt {
        /// The stage.
        stage: String,
        /// The stages that were, for the end of the sentence.
        known: String,
    },
    /// It was there.
    #[error("--pin {stage}: its last state {state} is no longer in the store")]
    Gone {
        /// The stage.
        stage: String,
        /// The state.
        state: String,
    },
    /// It, or what it was made by, cannot be read.
    #[error("--pin {stage}: its last state cannot be used: {reason}")]
    Unreadable {
        /// The stage.
        stage: String,
        /// Why not.
        reason: String,
    },
    /// It is a state of something else.
    #[error("--pin {stage}: the state {state} does not fit: {reason}")]
    Differs {
        /// The stage.
        stage: String,
        /// The state.
        state: String,
        /// What is another.
        reason: String,
    },
    /// There is nothing left to build.
    #[error("--until {until} with --pin {stage}: behind the pinned stage there are {known}")]
    Until {
        /// `--until`.
        until: String,
        /// The pinned stage.
        stage: String,
        /// The stages behind it.
        known: String,
    },
    /// Nix could not be asked.
    #[error(transparent)]
    Nix(#[from] NixError),
}

impl PinError {
    /// What to do about it.
    pub fn help(&self) -> Option<String> {
        Some(match self {
            Self::Finish => "pin a stage before it, such as install".to_owned(),
            Self::NoHome { .. } => "set HOME".to_owned(),
            Self::Record { source, .. } => return source.help(),
            Self::NeverBuilt { stage, .. } | Self::Gone { stage, .. } => {
                format!("build it first: the same command with `--until {stage}` in place of the pin")
            }
            Self::Unreadable { .. } | Self::Differs { .. } => {
                "build once without --pin; the next pin finds that state".to_owned()
            }
            Self::Until { .. } => "leave --until away, or name one of them".to_owned(),
            Self::Nix(error) => return error.help(),
        })
    }

    /// How the command ends.
    pub fn status(&self) -> Status {
        match self {
            Self::Finish | Self::Until { .. } => Status::Usage,
            Self::NoHome { .. } | Self::Nix(_) => Status::Environment,
            Self::Record { .. }
            | Self::NeverBuilt { .. }
            | Self::Gone { .. }
            | Self::Unreadable { .. }
            | Self::Differs { .. } => Status::Input,
        }
    }
}

/// The last state of a package's stage.
///
/// # Errors
/// Where there is none that could be continued from.
pub fn find(nix: &Nix, roots: Option<&Roots>, identity: &[u8], stage: Stage) -> Result<PinnedState, PinError> {
    let named = stage.to_string();
    if stage == Stage::Finish {
        return Err(PinError::Finish);
    }
    let Some(roots) = roots else { return Err(PinError::NoHome { stage: named }) };
    let record = match roots.last_record(identity) {
        Err(source) => return Err(PinError::Record { stage: named, source }),
        Ok(record) => record,
    };
    let stages = record.map(|record| record.stages).unwrap_or_default();
    let Some(found) = stages.iter().find(|recorded| recorded.stage == named) else {
        let known: Vec<&str> =
            stages.iter().map(|recorded| recorded.stage.as_str()).filter(|name| *name != "finish").collect();
        let known = if known.is_empty() { String::new() } else { format!("; there are {}", known.join(", ")) };
        return Err(PinError::NeverBuilt { stage: named, known });
    };
    if !store::invalid_paths(nix, &[&found.path])?.is_empty() {
        return Err(PinError::Gone { stage: named, state: found.path.clone() });
    }
    match info::read("pin", found.path.as_ref()) {
        Err(error) => Err(PinError::Unreadable { stage: named, reason: error.to_string() }),
        Ok(info) => Ok(PinnedState { stage: named, state: found.path.clone(), drv: found.drv.clone(), info }),
    }
}

/// Whether a chain, of which the stages behind the pinned one are left, can continue from the state.
///
/// # Errors
/// What does not fit.
pub fn check(pinned: &PinnedState, chain: &Chain) -> Result<(), PinError> {
    let unreadable = |reason: String| PinError::Unreadable { stage: pinned.stage.clone(), reason };
    let next = chain.stages.first().ok_or_else(|| unreadable("the chain is empty".to_owned()))?;
    let (made, next) = (drv::read(&pinned.drv).map_err(unreadable)?, drv::read(&next.drv_path).map_err(unreadable)?);
    let (Some(made), Some(next)) = (StageArguments::read(&made), StageArguments::read(&next)) else {
        return Err(unreadable("its derivation, or that of the stage behind it, is no stage of a chain".to_owned()));
    };
    match difference(&pinned.info, &pinned.stage, &made, &next) {
        None => Ok(()),
        Some(reason) => Err(PinError::Differs { stage: pinned.stage.clone(), state: pinned.state.clone(), reason }),
    }
}

/// What makes a state another package's: `made` is the stage that left it, `next` the one that would continue.
fn difference(info: &Info, stage: &str, made: &StageArguments<'_>, next: &StageArguments<'_>) -> Option<String> {
    if info.package != next.package() {
        return Some(format!(
            "it is of {}, and the package is called {} now, so that its outputs are staged elsewhere",
            info.package,
            next.package()
        ));
    }
    if let Some(failed) = &info.failed {
        return Some(format!(
            "it is what the stage left when {} failed with exit code {}",
            failed.phase, failed.exit_code
        ));
    }
    if info.stage != stage {
        return Some(format!("it is the state of {}", info.stage));
    }
    let staged: BTreeMap<&str, &str> =
        info.outputs.iter().map(|(name, prefix)| (name.as_str(), prefix.as_str())).collect();
    let now = next.outputs();
    let (names, names_now) = (join(staged.keys()), join(now.keys()));
    if names != names_now {
        return Some(format!("it was made for the outputs {names}, and the package has {names_now} now"));
    }
    if staged != now {
        let (name, prefix) = staged.iter().find(|(name, prefix)| now.get(*name) != Some(*prefix))?;
        let other = now.get(name).unwrap_or(&"nowhere");
        return Some(format!("in it the output {name} is staged at {prefix}, and this chain stages it at {other}"));
    }
    let (before, behind) = (phases_before(made, 1)?, phases_before(next, 0)?);
    (before != behind).then(|| {
        format!("it is the state after {}, and this chain goes on after {}", before.join(" "), behind.join(" "))
    })
}

fn join<'a>(names: impl Iterator<Item = &'a &'a str>) -> String {
    names.copied().collect::<Vec<_>>().join(" ")
}

/// The boundary phases of the chain before the entries of a stage (`of` 0), or up to the last of these (`of` 1).
fn phases_before<'a>(stage: &StageArguments<'a>, of: usize) -> Option<Vec<&'a str>> {
    let range = stage.words("range");
    let first: usize = range.get(of)?.parse().ok()?;
    let entries = stage.option("entries")?.split(',').take(first + of);
    Some(entries.flat_map(str::split_whitespace).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::drv::Drv;
    use crate::source::stage_arguments::ATTRIBUTE;
    use crate::state::entry::Mtime;

    fn info(package: &str, stage: &str, outputs: &[(&str, &str)]) -> Info {
        Info {
            format: 1,
            engine: String::new(),
            package: package.to_owned(),
            stage: stage.to_owned(),
            build_dir: "/build".to_owned(),
            phases: Vec::new(),
            outputs: outputs.iter().map(|(name, prefix)| ((*name).to_owned(), (*prefix).to_owned())).collect(),
            pinned: None,
            failed: None,
            warnings: Vec::new(),
            removed_nix_files: Vec::new(),
            entries: info::Counts::default(),
            bytes: info::Bytes::default(),
            layers: 1,
            newest: Mtime { secs: 0, nanos: 0 }.into(),
        }
    }

    fn arguments(package: &str, range: &str, entries: &str, outputs: &str) -> Drv {
        let options = format!("package {package}\nrange {range}\nentries {entries}\noutputs {outputs}");
        Drv {
            args: vec!["/s/x-phasesplit-runtime.sh".to_owned()],
            env: [(ATTRIBUTE.to_owned(), options)].into(),
            ..Drv::default()
        }
    }

    #[test]
    fn what_a_state_is_made_of_must_fit() {
        let entries = "unpackPhase,buildPhase,fixupPhase distPhase";
        let state = info("p-1", "build", &[("out", "/s/a")]);
        let made = arguments("p-1", "1 1", entries, "out=/s/a");
        let reason = |package: &str, entries: &str, outputs: &str, stage: &str| {
            let next = arguments(package, "2 2", entries, outputs);
            let (made, next) = (StageArguments::read(&made), StageArguments::read(&next));
            difference(&state, stage, &made.expect("a stage"), &next.expect("a stage"))
        };
        assert_eq!(reason("p-1", entries, "out=/s/a", "build"), None);
        for (package, entries, outputs, stage, expected) in [
            ("p-2", entries, "out=/s/a", "build", "it is of p-1, and the package is called p-2 now"),
            ("p-1", entries, "out=/s/a", "check", "it is the state of build"),
            (
                "p-1",
                entries,
                "dev=/s/b out=/s/a",
                "build",
                "it was made for the outputs out, and the package has dev out now",
            ),
            ("p-1", entries, "out=/s/c", "build", "the output out is staged at /s/a, and this chain stages it at /s/c"),
            (
                "p-1",
                "unpackPhase,buildPhase checkPhase,fixupPhase",
                "out=/s/a",
                "build",
                "it is the state after unpackPhase buildPhase, and this chain goes on after unpackPhase buildPhase checkPhase",
            ),
        ] {
            let found = reason(package, entries, outputs, stage).expect("refused");
            assert!(found.contains(expected), "{found}");
        }
        let failed = info::Failed { phase: "buildPhase".to_owned(), exit_code: 2, log: String::new() };
        let failed = Info { failed: Some(failed), ..state.clone() };
        let made = StageArguments::read(&made).expect("a stage");
        let found = difference(&failed, "build", &made, &made).expect("refused");
        assert!(found.contains("left when buildPhase failed with exit code 2"), "{found}");
    }
}
