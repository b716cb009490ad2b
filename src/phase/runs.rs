//! Which phases will not run: `dontX` and `doX`, and a patch phase with nothing to do.

use std::collections::BTreeMap;

use super::Stage;

/// Whether something runs, as far as reading the package can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runs {
    /// It will run.
    Yes,
    /// It will not.
    No,
    /// Only evaluation tells.
    Unknown,
}

/// What is known of the attributes that switch phases on and off.
#[derive(Clone, Debug)]
pub struct Switches {
    /// An attribute's shell value: `Some(true)` not empty, `Some(false)` empty, `None` not known.
    values: BTreeMap<String, Option<bool>>,
    /// What an attribute is that the package does not name: `Some(false)` where all its attributes were seen.
    absent: Option<bool>,
}

impl Switches {
    /// Nothing is set, and nothing more is to come where `complete`.
    pub fn new(complete: bool) -> Self {
        Self { values: BTreeMap::new(), absent: complete.then_some(false) }
    }

    /// Records an attribute: whether its value is non-empty in the shell, `None` where that is not known.
    ///
    /// stdenv asks `[ -n "$dontBuild" ]`: `"0"` and the number 0 are true, `false`, `null`, `""` and `[ ]` are not.
    pub fn set(&mut self, attribute: &str, value: Option<bool>) {
        self.values.insert(attribute.to_owned(), value);
    }

    fn get(&self, attribute: &str) -> Option<bool> {
        self.values.get(attribute).copied().unwrap_or(self.absent)
    }

    /// Whether stdenv's `runPhase` runs this phase. A phase that stdenv has no switch for always runs.
    pub fn phase(&self, phase: &str) -> Runs {
        let (switch, runs_if) = match phase {
            "unpackPhase" => ("dontUnpack", false),
            "patchPhase" => ("dontPatch", false),
            "configurePhase" => ("dontConfigure", false),
            "buildPhase" => ("dontBuild", false),
            "checkPhase" => ("doCheck", true),
            "installPhase" => ("dontInstall", false),
            "fixupPhase" => ("dontFixup", false),
            "installCheckPhase" => ("doInstallCheck", true),
            "distPhase" => ("doDist", true),
            _ => return Runs::Yes,
        };
        match self.get(switch) {
            Some(value) if value == runs_if => Runs::Yes,
            Some(_) => Runs::No,
            None => Runs::Unknown,
        }
    }

    /// Whether a stage has anything to do. The last stage always has: it moves the outputs to their places.
    ///
    /// A patch phase without patches, hooks or a text of its own runs and changes nothing. Hooks of inputs may still add
    /// to it; they then run with the next stage, which is as sound.
    pub fn stage(&self, stage: Stage) -> Runs {
        match stage {
            Stage::Unpack => self.phase("unpackPhase"),
            Stage::Patch => match self.phase("patchPhase") {
                Runs::No => Runs::No,
                runs => {
                    let work = ["patches", "prePatch", "postPatch", "patchPhase"].map(|name| self.get(name));
                    if work.iter().all(|value| *value == Some(false)) {
                        Runs::No
                    } else if work.contains(&Some(true)) {
                        runs
                    } else {
                        Runs::Unknown
                    }
                }
            },
            Stage::Configure => self.phase("configurePhase"),
            Stage::Build => self.phase("buildPhase"),
            Stage::Check => self.phase("checkPhase"),
            Stage::Install => self.phase("installPhase"),
            Stage::Finish => Runs::Yes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn switches(complete: bool, set: &[(&str, Option<bool>)]) -> Switches {
        let mut switches = Switches::new(complete);
        for (name, value) in set {
            switches.set(name, *value);
        }
        switches
    }

    #[test]
    fn what_is_not_set_follows_stdenv() {
        let plain = switches(true, &[]);
        assert_eq!(plain.phase("buildPhase"), Runs::Yes);
        assert_eq!(plain.phase("checkPhase"), Runs::No);
        assert_eq!(plain.phase("installCheckPhase"), Runs::No);
        assert_eq!(plain.phase("autoreconfPhase"), Runs::Yes);
        assert_eq!(plain.stage(Stage::Patch), Runs::No);
        assert_eq!(plain.stage(Stage::Finish), Runs::Yes);
    }

    #[test]
    fn where_attributes_are_hidden_nothing_is_dropped() {
        let hidden = switches(false, &[]);
        for stage in Stage::ALL {
            assert_ne!(hidden.stage(stage), Runs::No, "{stage}");
        }
        assert_eq!(switches(false, &[("dontBuild", Some(true))]).stage(Stage::Build), Runs::No);
    }

    #[test]
    fn the_patch_stage_needs_something_to_do() {
        assert_eq!(switches(true, &[("patches", Some(true))]).stage(Stage::Patch), Runs::Yes);
        assert_eq!(switches(true, &[("patches", Some(false))]).stage(Stage::Patch), Runs::No);
        assert_eq!(switches(true, &[("patches", None)]).stage(Stage::Patch), Runs::Unknown);
        assert_eq!(
            switches(true, &[("postPatch", Some(true)), ("dontPatch", Some(true))]).stage(Stage::Patch),
            Runs::No
        );
    }
}
