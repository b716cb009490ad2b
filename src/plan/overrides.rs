//! What the user says about scopes: it goes into `split.nix` as arguments of `split`, and wins over the table.
//!
//! The Nix side that reads these arguments is `nix-lib/split.nix`. It must not know the command line.

use std::fmt;
use std::str::FromStr;

use super::Entry;
use crate::phase::{InputNames, Scopes, Stage};

/// How boldly attributes are held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Phase and hook scripts alone.
    Strict,
    /// What the table of scopes names: stdenv's contract.
    Contract,
    /// Also the package's own attributes, and inputs that are known to be wanted late.
    Text,
}

impl Trust {
    /// All levels, the most careful first.
    pub const ALL: [Self; 3] = [Self::Strict, Self::Contract, Self::Text];

    /// The word for it, in `split.nix` and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::Contract => "contract",
            Self::Text => "text",
        }
    }
}

impl fmt::Display for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A word that is no level of trust.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is no level of trust; the levels are {}", Trust::ALL.map(Trust::name).join(", "))]
pub struct UnknownTrust {
    /// The word as given.
    pub name: String,
}

impl FromStr for Trust {
    type Err = UnknownTrust;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|trust| trust.name() == name).ok_or_else(|| UnknownTrust { name: name.to_owned() })
    }
}

/// A stage that continues from a state it had, whatever changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// The stage.
    pub stage: Stage,
    /// The store path of its state.
    pub state: String,
}

/// The user's word on scopes. What is empty is not written into `split.nix`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `--trust`.
    pub trust: Option<Trust>,
    /// `--scope`: attribute, and the first stage that gets it.
    pub scope: Vec<(String, Stage)>,
    /// `--late`: stage, and the names of inputs that it is the first to get.
    pub late_inputs: Vec<(Stage, Vec<String>)>,
    /// `--reads-all`: the stage that gets every attribute at the latest.
    pub reads_all: Option<Stage>,
    /// `build --pin`.
    pub pin: Option<Pin>,
}

/// Why the user's word cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OverrideError {
    /// No entry of the chain is this stage or runs its phase.
    #[error("{option} names {stage}, which this chain does not have; its stages are {}", .known.join(", "))]
    NoSuchStage {
        /// `--scope FOO=check`.
        option: String,
        /// The stage.
        stage: Stage,
        /// The stages there are.
        known: Vec<String>,
    },
    /// The package has no such attribute.
    #[error("--scope {name}={stage}: the package has no attribute {name}; it has {}", .known.join(", "))]
    NoSuchAttribute {
        /// The name.
        name: String,
        /// The stage.
        stage: Stage,
        /// The attributes there are.
        known: Vec<String>,
    },
    /// The package has no such input.
    #[error("--late {stage}={name}: the package has no input {name}; {}", inputs(.known))]
    NoSuchInput {
        /// The name.
        name: String,
        /// The stage.
        stage: Stage,
        /// The inputs there are.
        known: Vec<String>,
    },
    /// Two stages for one thing.
    #[error("{what} is given to {} and to {}", .stages[0], .stages[1])]
    Twice {
        /// `attribute FOO`, `input makeWrapper`.
        what: String,
        /// The two.
        stages: [Stage; 2],
    },
}

fn inputs(known: &[String]) -> String {
    if known.is_empty() { "it has none".to_owned() } else { format!("it has {}", known.join(", ")) }
}

impl Overrides {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Each stage with all inputs that are late for it, in the order of the stages.
    pub fn late_by_stage(&self) -> Vec<(Stage, Vec<&str>)> {
        Stage::ALL
            .into_iter()
            .map(|stage| {
                let mut names: Vec<&str> = Vec::new();
                for name in self.late().filter(|(at, _)| *at == stage).map(|(_, name)| name) {
                    if !names.contains(&name) {
                        names.push(name);
                    }
                }
                (stage, names)
            })
            .filter(|(_, names)| !names.is_empty())
            .collect()
    }

    fn late(&self) -> impl Iterator<Item = (Stage, &str)> {
        self.late_inputs.iter().flat_map(|(stage, names)| names.iter().map(|name| (*stage, name.as_str())))
    }

    /// Checks that a chain can follow it.
    ///
    /// # Errors
    /// Where a stage is not in the chain, or an attribute or input is given to two.
    pub fn check(&self, chain: &[Entry]) -> Result<(), OverrideError> {
        let scopes = self.scope.iter().map(|(name, stage)| (format!("--scope {name}={stage}"), *stage));
        let late =
            self.late_inputs.iter().map(|(stage, names)| (format!("--late {stage}={}", names.join(",")), *stage));
        let all = self.reads_all.iter().map(|stage| (format!("--reads-all {stage}"), *stage));
        let pin = self.pin.iter().map(|pin| (format!("--pin {}", pin.stage), pin.stage));
        for (option, stage) in scopes.chain(late).chain(all).chain(pin) {
            // As `stageIndex` of nix-lib/split.nix finds it.
            let boundary = format!("{stage}Phase");
            if !chain.iter().any(|entry| entry.stage == stage || entry.phases.contains(&boundary)) {
                let known = chain.iter().map(Entry::name).collect();
                return Err(OverrideError::NoSuchStage { option, stage, known });
            }
        }
        once("attribute", self.scope.iter().map(|(name, stage)| (*stage, name.as_str())))?;
        once("input", self.late())
    }

    /// Checks the names against a package of which all attributes and inputs are known. A name that the table of scopes
    /// has may be set by a phase or a hook instead.
    ///
    /// # Errors
    /// Names what is not there, and what is.
    pub fn check_names(
        &self,
        attributes: &[&str],
        inputs: &[&str],
        scopes: &Scopes,
        names: &InputNames,
    ) -> Result<(), OverrideError> {
        for (name, stage) in &self.scope {
            if !attributes.contains(&name.as_str()) && scopes.source(name).is_none() {
                let known = listed(attributes);
                return Err(OverrideError::NoSuchAttribute { name: name.clone(), stage: *stage, known });
            }
        }
        for (stage, name) in self.late() {
            if !inputs.iter().any(|input| names.is_called(name, input)) {
                let known = listed(inputs);
                return Err(OverrideError::NoSuchInput { name: name.to_owned(), stage, known });
            }
        }
        Ok(())
    }
}

/// `all`, with the rest of a long list counted.
fn listed(all: &[&str]) -> Vec<String> {
    const MOST: usize = 60;
    let mut shown: Vec<String> = all.iter().take(MOST).map(|name| (*name).to_owned()).collect();
    if all.len() > MOST {
        shown.push(format!("and {} more", all.len() - MOST));
    }
    shown
}

fn once<'a>(kind: &str, given: impl Iterator<Item = (Stage, &'a str)>) -> Result<(), OverrideError> {
    let mut seen: Vec<(Stage, &str)> = Vec::new();
    for (stage, name) in given {
        match seen.iter().find(|(_, known)| *known == name) {
            Some((first, _)) if *first != stage => {
                return Err(OverrideError::Twice { what: format!("{kind} {name}"), stages: [*first, stage] });
            }
            _ => seen.push((stage, name)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain() -> Vec<Entry> {
        let entry = |stage, phases: &[&str]| Entry {
            stage,
            part: None,
            phases: phases.iter().map(|phase| (*phase).to_owned()).collect(),
            attributes: Vec::new(),
            idle: false,
            until: None,
        };
        vec![entry(Stage::Build, &["configurePhase", "buildPhase"]), entry(Stage::Finish, &["fixupPhase"])]
    }

    #[test]
    fn a_stage_that_the_chain_lacks_is_refused_with_those_there_are() {
        let scope = |stage| Overrides { scope: vec![("FOO".to_owned(), stage)], ..Overrides::default() };
        assert_eq!(scope(Stage::Configure).check(&chain()), Ok(()));
        assert_eq!(
            scope(Stage::Install).check(&chain()).unwrap_err().to_string(),
            "--scope FOO=install names install, which this chain does not have; its stages are build, finish"
        );
    }

    #[test]
    fn one_thing_has_one_stage() {
        let mut overrides = Overrides {
            scope: vec![("FOO".to_owned(), Stage::Build), ("FOO".to_owned(), Stage::Build)],
            late_inputs: vec![
                (Stage::Build, vec!["a".to_owned()]),
                (Stage::Build, vec!["b".to_owned(), "a".to_owned()]),
            ],
            ..Overrides::default()
        };
        assert_eq!(overrides.check(&chain()), Ok(()));
        assert_eq!(overrides.late_by_stage(), [(Stage::Build, vec!["a", "b"])]);
        overrides.late_inputs.push((Stage::Finish, vec!["a".to_owned()]));
        assert_eq!(overrides.check(&chain()).unwrap_err().to_string(), "input a is given to build and to finish");
    }

    #[test]
    fn names_are_those_of_the_package_or_of_the_table() {
        let scopes = Scopes::builtin().expect("the table parses");
        let scope = |name: &str| Overrides { scope: vec![(name.to_owned(), Stage::Install)], ..Overrides::default() };
        let check = |overrides: Overrides| {
            overrides
                .check_names(&["FOO", "src"], &["cmake"], &scopes, &InputNames::default())
                .map_err(|error| error.to_string())
        };
        assert_eq!(check(scope("FOO")), Ok(()));
        assert_eq!(check(scope("makeFlags")), Ok(()));
        let unknown = "--scope FOOO=install: the package has no attribute FOOO; it has FOO, src";
        assert_eq!(check(scope("FOOO")), Err(unknown.to_owned()));
        let late = Overrides { late_inputs: vec![(Stage::Build, vec!["make".to_owned()])], ..Overrides::default() };
        let unknown = "--late build=make: the package has no input make; it has cmake";
        assert_eq!(check(late), Err(unknown.to_owned()));
    }

    #[test]
    fn levels_of_trust() {
        assert_eq!("text".parse(), Ok(Trust::Text));
        assert_eq!(
            "bold".parse::<Trust>().unwrap_err().to_string(),
            "`bold` is no level of trust; the levels are strict, contract, text"
        );
    }
}
