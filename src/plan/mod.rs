//! Which stages the chain has, and what belongs to each: from what reading the package told to the entries of `split.nix`.
//!
//! Pure. It must not know Nix syntax or how the file is written; the Nix side (`nix-lib/split.nix`) evaluates the package
//! and leaves out a stage that has nothing to run. Here such a stage stays in the list: the list is part of every stage's
//! derivation, so taking it out, and putting it back when a first patch is added, would build all of them again.

mod cuts;
mod overrides;
mod reading;

pub use cuts::{NoSuchPhase, Until, cut_stages};
pub use overrides::{OverrideError, Overrides, Pin, Trust, UnknownTrust};

use crate::phase::{CutPhase, PhaseLists, Runs, Scopes, Stage, Switches, UNPACK_ATTRIBUTES, cut};

/// One attribute of the package, as far as its text tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// Its name.
    pub name: String,
    /// Whether its value is non-empty in the shell (`true`, `1`, `"x"`, `[ x ]`); `None` where only evaluation tells.
    pub set: Option<bool>,
    /// Its value as words, where that is a literal: what a list of phases is read from.
    pub words: Option<Vec<String>>,
}

/// What is known of a package without evaluating it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Its literal attributes, in the order of the text.
    pub attributes: Vec<Attribute>,
    /// Whether these are all that the derivation gets: a plain `mkDerivation` of a literal attribute set. Builders on top
    /// of it set attributes of their own (`doCheck = true`), so they are never complete.
    pub complete: bool,
}

/// What the user asked of the stages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// Keep these stages only (`--stages`); the phases of the others fall to the next.
    pub stages: Option<Vec<Stage>>,
    /// Groups of stages to run as one (`--merge a+b`), each under the name of its last.
    pub merge: Vec<Vec<Stage>>,
}

/// An entry of the chain in `split.nix`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The stage.
    pub stage: Stage,
    /// The number of this part of it, from 1, where it is cut; the last part has none.
    pub part: Option<usize>,
    /// Its phases, in order.
    pub phases: Vec<String>,
    /// The attributes that it is the first to get, in the order of the text.
    pub attributes: Vec<String>,
    /// Nothing of it runs, as far as reading tells for sure: it will be left out when the package is evaluated.
    pub idle: bool,
    /// Where it ends inside its last phase; `None` at the end.
    pub until: Option<Until>,
}

impl Entry {
    /// Its name in the chain: the stage's, with the number of the part.
    pub fn name(&self) -> String {
        match self.part {
            None => self.stage.to_string(),
            Some(part) => format!("{}-{part}", self.stage),
        }
    }
}

/// Why a wish cannot be met.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WishError {
    /// Only neighbours can become one stage.
    #[error("{} cannot be merged: {between} runs between them", join(.group))]
    Apart {
        /// The stages to merge.
        group: Vec<Stage>,
        /// A stage that runs between two of them.
        between: Stage,
    },
    /// finish is apart from all others.
    #[error(
        "{} cannot be merged: finish begins by moving the outputs to their real paths, so all that installs must be over",
        join(.group)
    )]
    Finish {
        /// The stages to merge.
        group: Vec<Stage>,
    },
}

impl WishError {
    /// What to do about it.
    pub fn help(&self) -> String {
        match self {
            Self::Apart { group, between } => {
                let mut whole: Vec<Stage> = group.iter().copied().chain([*between]).collect();
                whole.sort_unstable();
                format!("name the stages between as well: --merge {}", join(&whole))
            }
            Self::Finish { .. } => "merge stages before finish only".to_owned(),
        }
    }
}

fn join(stages: &[Stage]) -> String {
    stages.iter().map(|stage| stage.name()).collect::<Vec<_>>().join("+")
}

/// Plans the chain.
///
/// # Errors
/// Where the wish names stages that cannot be merged.
pub fn chain(reading: &Reading, wish: &Wish, scopes: &Scopes) -> Result<Vec<Entry>, WishError> {
    let phases = phases(reading);
    let mut switches = Switches::new(reading.complete);
    for attribute in &reading.attributes {
        switches.set(&attribute.name, attribute.set);
    }
    let stages = stages(&switches, &phases, wish)?;
    let keep = |stage: Stage| stages.contains(&stage);
    let pieces = cut(&phases, keep);
    let at_or_after = |from: Stage| stages.iter().copied().find(|stage| *stage >= from).unwrap_or(Stage::Finish);
    let scope = |name: &str| {
        let own = || pieces.iter().find(|piece| piece.phase == name).map(|piece| piece.stage);
        if scopes.source(name).is_some() || UNPACK_ATTRIBUTES.contains(&name) {
            Some(at_or_after(scopes.of(name)))
        } else {
            // The text of a phase of the package's own is read where that phase runs, by runPhase alone.
            own()
        }
    };
    Ok(stages
        .iter()
        .map(|stage| Entry {
            stage: *stage,
            part: None,
            phases: phases_of(&pieces, *stage),
            attributes: reading
                .attributes
                .iter()
                .filter(|attribute| scope(&attribute.name) == Some(*stage))
                .map(|attribute| attribute.name.clone())
                .collect(),
            idle: is_idle(&switches, &pieces, *stage),
            until: None,
        })
        .collect())
}

fn is_idle(switches: &Switches, pieces: &[CutPhase], stage: Stage) -> bool {
    stage != Stage::Finish
        && pieces
            .iter()
            .filter(|piece| piece.stage == stage)
            .all(|piece| Stage::of_phase(&piece.phase).is_some_and(|stage| switches.stage(stage) == Runs::No))
}

fn phases_of(pieces: &[CutPhase], stage: Stage) -> Vec<String> {
    let mut phases: Vec<String> = Vec::new();
    for piece in pieces.iter().filter(|piece| piece.stage == stage) {
        // A phase that is listed twice runs twice; naming it once is enough to say where.
        if !phases.contains(&piece.phase) {
            phases.push(piece.phase.clone());
        }
    }
    phases
}

/// The order of the phases, from the lists whose text is plain. A list that only evaluation knows is left out: the stage
/// runtime gives phases that no entry names to the stage of the next that one does.
fn phases(reading: &Reading) -> Vec<String> {
    let mut lists = PhaseLists::default();
    for attribute in &reading.attributes {
        if let (Some(slot), Some(words)) = (lists.slot(&attribute.name), &attribute.words) {
            slot.clone_from(words);
        }
    }
    lists.expand()
}

fn stages(switches: &Switches, phases: &[String], wish: &Wish) -> Result<Vec<Stage>, WishError> {
    let mut running: Vec<Stage> = Stage::ALL
        .into_iter()
        .filter(|stage| *stage == Stage::Finish || phases.iter().any(|phase| Stage::of_phase(phase) == Some(*stage)))
        .collect();
    if let Some(wanted) = &wish.stages {
        // Whatever installs must be over before finish, so the last stage before it stays.
        let last = running.iter().rev().nth(1).copied();
        running.retain(|stage| *stage == Stage::Finish || Some(*stage) == last || wanted.contains(stage));
    }
    for group in &wish.merge {
        if group.contains(&Stage::Finish) {
            return Err(WishError::Finish { group: group.clone() });
        }
        let (Some(first), Some(last)) = (group.iter().min(), group.iter().filter(|one| running.contains(one)).max())
        else {
            continue;
        };
        let inside = |stage: &Stage| first < stage && stage < last;
        if let Some(between) =
            running.iter().find(|stage| inside(stage) && !group.contains(stage) && switches.stage(**stage) != Runs::No)
        {
            return Err(WishError::Apart { group: group.clone(), between: *between });
        }
        running.retain(|stage| stage == last || !(group.contains(stage) || inside(stage)));
    }
    Ok(running)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    fn attribute(text: &str) -> Attribute {
        let (name, value) = text.split_once('=').unwrap_or((text, "x"));
        Attribute {
            name: name.to_owned(),
            set: (value != "?").then_some(!value.is_empty()),
            words: (value != "?").then(|| value.split_whitespace().map(str::to_owned).collect()),
        }
    }

    fn show(complete: bool, attributes: &[&str], wish: &Wish) -> Result<String, WishError> {
        let reading = Reading { attributes: attributes.iter().map(|text| attribute(text)).collect(), complete };
        let scopes = Scopes::builtin().expect("the table parses");
        Ok(chain(&reading, wish, &scopes)?
            .iter()
            .map(|entry| {
                let idle = if entry.idle { " idle" } else { "" };
                format!("{}[{}]({}){idle}", entry.stage, entry.phases.join(" "), entry.attributes.join(" "))
            })
            .collect::<Vec<_>>()
            .join("\n"))
    }

    fn plain(attributes: &[&str]) -> String {
        show(true, attributes, &Wish::default()).expect("no wish")
    }

    #[test]
    fn what_is_known_not_to_run_stays_and_is_marked() {
        assert_eq!(
            plain(&["pname", "src", "makeFlags", "postInstall", "preFixup"]),
            "unpack[unpackPhase](src)\n\
             patch[patchPhase]() idle\n\
             configure[configurePhase]()\n\
             build[buildPhase](makeFlags)\n\
             check[checkPhase]() idle\n\
             install[installPhase](postInstall)\n\
             finish[fixupPhase installCheckPhase distPhase](preFixup)"
        );
        assert_eq!(
            show(false, &["doCheck=?"], &Wish::default()).expect("no wish"),
            "unpack[unpackPhase]()\npatch[patchPhase]()\nconfigure[configurePhase]()\nbuild[buildPhase]()\n\
             check[checkPhase](doCheck)\ninstall[installPhase]()\nfinish[fixupPhase installCheckPhase distPhase]()"
        );
    }

    #[test]
    fn an_attribute_of_a_stage_that_is_left_out_goes_to_the_next() {
        assert_eq!(
            plain(&["phases=unpackPhase installPhase", "checkFlags", "patches", "installPhase"]),
            "unpack[unpackPhase]()\ninstall[installPhase](checkFlags patches installPhase)\nfinish[]()"
        );
    }

    #[test]
    fn a_phase_of_the_package_s_own_belongs_to_the_stage_that_runs_it() {
        assert_eq!(
            plain(&[
                "dontUnpack=1",
                "dontConfigure=1",
                "preBuildPhases=generatePhase",
                "generatePhase",
                "postGenerate"
            ]),
            "unpack[unpackPhase](dontUnpack) idle\npatch[patchPhase]() idle\nconfigure[configurePhase](dontConfigure) idle\n\
             build[generatePhase buildPhase](generatePhase)\ncheck[checkPhase]() idle\ninstall[installPhase]()\nfinish[fixupPhase installCheckPhase distPhase]()"
        );
    }

    #[test]
    fn stages_keeps_what_must_come_before_finish() {
        let wish = Wish { stages: Some(vec![Stage::Build]), merge: Vec::new() };
        assert_eq!(
            show(true, &[], &wish).expect("a good wish"),
            "build[unpackPhase patchPhase configurePhase buildPhase]()\ninstall[checkPhase installPhase]()\n\
             finish[fixupPhase installCheckPhase distPhase]()"
        );
    }

    #[test]
    fn merged_stages_take_the_name_of_the_last() {
        let merge = |group: &[Stage]| Wish { stages: None, merge: vec![group.to_vec()] };
        assert_eq!(
            show(true, &["configureFlags"], &merge(&[Stage::Configure, Stage::Build])).expect("a good wish"),
            "unpack[unpackPhase]()\npatch[patchPhase]() idle\nbuild[configurePhase buildPhase](configureFlags)\n\
             check[checkPhase]() idle\ninstall[installPhase]()\nfinish[fixupPhase installCheckPhase distPhase]()"
        );
        // check does not run here, so build and install are neighbours.
        assert!(show(true, &[], &merge(&[Stage::Build, Stage::Install])).is_ok());
        let apart = show(true, &["doCheck"], &merge(&[Stage::Install, Stage::Build])).unwrap_err();
        assert_eq!(apart.to_string(), "install+build cannot be merged: check runs between them");
        assert_eq!(apart.help(), "name the stages between as well: --merge build+check+install");
        let finish = show(true, &[], &merge(&[Stage::Install, Stage::Finish])).unwrap_err();
        assert!(finish.to_string().starts_with("install+finish cannot be merged: finish begins"));
    }
}
