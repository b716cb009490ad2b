//! The generator of readers: packages that read, or set, an attribute of a later stage.
//!
//! A *way* is a text (`text`) at a place (`place`). A *case* is a way, in a stage, with or without structured attributes, for an
//! attribute that is held back from the stage at a level of trust. The package is built before and after an edit of the
//! attribute, split and unsplit. Each way has a *harmless twin*, which reads another attribute, or whose text is a comment:
//! phasesplit must build it and reuse the stages before the attribute's scope.
//!
//! `settings` names the variables that choose among the cases. Attribute and level of a case are drawn by the seed.

mod language;
mod package;
mod place;
mod run;
mod text;

pub use run::run;

use crate::{oracle::STAGES, settings::Settings};
use place::Place;
use std::{collections::BTreeSet, path::Path};
use text::{Effect, Text, with_name};

/// What the results call the package.
pub const PACKAGE: &str = "readers";

/// The stages in which something is read, in order.
const READING: &[&str] = &["unpack", "patch", "configure", "build", "check", "install"];

/// Attributes by their scope, each with the lowest level that holds it back.
const NAMES: &[(&str, &str, &str)] = &[
    ("prePatch", "patch", "strict"),
    ("patchFlags", "patch", "contract"),
    ("postConfigure", "configure", "strict"),
    ("configureFlags", "configure", "contract"),
    ("cmakeFlags", "configure", "contract"),
    ("postBuild", "build", "strict"),
    ("buildFlags", "build", "contract"),
    ("ldflags", "build", "contract"),
    ("postCheck", "check", "strict"),
    ("checkFlags", "check", "contract"),
    ("postInstall", "install", "strict"),
    ("installFlags", "install", "contract"),
    ("nativeBuildInputs", "install", "text"),
    ("preFixup", "finish", "strict"),
    ("installCheckFlags", "finish", "contract"),
    ("stripDebugList", "finish", "contract"),
    ("releaseChannel", "finish", "text"),
];

const LEVELS: &[&str] = &["strict", "contract", "text"];

/// An attribute that every stage gets: what a harmless twin reads.
const FREE: &str = "OWN_WORDS";

/// One package, its edit, and the level of trust.
#[derive(Debug, Clone)]
pub struct Case {
    /// `readers/place/text/stage/form`, and `/twin`.
    pub id: String,
    pub level: &'static str,
    place: Place,
    text: &'static Text,
    stage: &'static str,
    is_structured: bool,
    is_twin: bool,
    /// The attribute that is edited, and its scope.
    name: &'static str,
    scope: &'static str,
    seed: u64,
}

impl Case {
    /// Whether phasesplit must let it pass.
    pub fn is_harmless(&self) -> bool {
        self.is_twin || self.text.effect == Effect::Nothing
    }

    /// What the results call it: the attribute is drawn, so it is said.
    pub fn title(&self) -> String {
        format!("{}:{}", self.id, self.name)
    }

    /// The text and the file beside it, with a name put in.
    fn content(&self) -> (String, Option<(&'static str, String)>) {
        let put = |name: &str| {
            (with_name(self.text.text, name), self.text.beside.map(|(file, content)| (file, with_name(content, name))))
        };
        if !self.is_twin {
            return put(self.name);
        }
        if self.text.is_literal() {
            return put(FREE);
        }
        let how = self.text.language.how();
        let (content, beside) = put(self.name);
        let comments: String = content.lines().map(|line| format!("{}{line}\n", how.comment)).collect();
        (comments + how.empty + if how.empty.is_empty() { ":" } else { "" }, beside)
    }
}

/// All cases of a run, and the names of the ways that cannot be tried on this machine.
pub fn cases(settings: &Settings) -> (Vec<Case>, BTreeSet<String>) {
    let mut all = Vec::new();
    let mut skipped = BTreeSet::new();
    if !settings.wants_package(PACKAGE) {
        return (all, skipped);
    }
    for place in Place::ALL {
        for text in place.texts() {
            let way = format!("{}/{}", place.name(), text.name);
            let is_wanted = settings.ways.is_empty()
                || [&way, place.name(), text.name].iter().any(|word| settings.ways.iter().any(|way| way == word));
            if !is_wanted {
                continue;
            }
            let program = text.language.how().program;
            if !Path::new("/usr/bin").join(program).exists() {
                skipped.insert(format!("{way} ({program} is not in /usr/bin)"));
                continue;
            }
            for is_structured in [false, true] {
                if text.structured_only && !is_structured {
                    continue;
                }
                way_cases(&way, *place, text, is_structured, settings, &mut all);
            }
        }
    }
    (all, skipped)
}

fn way_cases(
    way: &str,
    place: Place,
    text: &'static Text,
    is_structured: bool,
    settings: &Settings,
    all: &mut Vec<Case>,
) {
    let stages: Vec<&'static str> = READING
        .iter()
        .copied()
        .filter(|stage| place.exists_in(stage))
        .filter(|stage| settings.stages.is_empty() || settings.stages.iter().any(|word| word == stage))
        .collect();
    let form = if is_structured { "structured" } else { "plain" };
    let mut add = |stage: &'static str, is_twin: bool| {
        let id = format!("{PACKAGE}/{way}/{stage}/{form}{}", if is_twin { "/twin" } else { "" });
        let seed = draw(&format!("{} {id}", settings.seed));
        let levels: Vec<&'static str> = LEVELS.iter().copied().filter(|level| settings.wants_level(level)).collect();
        // One level is drawn; levels that were asked for are all tried.
        let drawn = if settings.levels.is_empty() { vec![pick(&levels, seed)] } else { levels };
        for level in drawn {
            let names: Vec<_> = NAMES
                .iter()
                .filter(|(name, scope, lowest)| {
                    rank(STAGES, scope) > rank(STAGES, stage)
                        && rank(LEVELS, lowest) <= rank(LEVELS, level)
                        && (settings.attributes.is_empty() || settings.attributes.iter().any(|word| word == name))
                        && (*name != "nativeBuildInputs" || text.effect == Effect::Reads)
                })
                .collect();
            if names.is_empty() {
                continue;
            }
            let (name, scope, _) = *pick(&names, seed / 7);
            let id = id.clone();
            all.push(Case { id, level, place, text, stage, is_structured, is_twin, name, scope, seed });
        }
    };
    for stage in &stages {
        add(stage, false);
    }
    // What is harmless already needs no twin, and of the others one stage is enough.
    if text.effect != Effect::Nothing && !stages.is_empty() {
        add(pick(&stages, draw(&format!("{} {way} {form}", settings.seed))), true);
    }
}

fn draw(word: &str) -> u64 {
    let hash = blake3::hash(word.as_bytes());
    u64::from_le_bytes(hash.as_bytes()[..8].try_into().expect("eight bytes"))
}

fn pick<T: Copy>(items: &[T], number: u64) -> T {
    let count = u64::try_from(items.len()).expect("a small number");
    items[usize::try_from(number % count).expect("a small number")]
}

fn rank(list: &[&str], word: &str) -> usize {
    list.iter().position(|item| *item == word).unwrap_or_else(|| panic!("{word} is not in {list:?}"))
}

#[test]
fn there_are_enough_ways() {
    let texts: BTreeSet<&str> = Place::ALL.iter().flat_map(|place| place.texts()).map(|text| text.name).collect();
    assert!(texts.len() >= 60, "{}", texts.len());
    let (all, _) = cases(&Settings::of_readers());
    assert!(all.iter().all(|case| rank(STAGES, case.scope) > rank(STAGES, case.stage)));
    let ids: BTreeSet<_> = all.iter().map(|case| (&case.id, case.level)).collect();
    assert_eq!(ids.len(), all.len());
}
