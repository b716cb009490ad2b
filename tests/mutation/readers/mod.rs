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

use crate::{attribute::is_script, oracle::STAGES, settings::Settings};
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
            (
                with_name(self.text.content, name),
                self.text.beside.map(|(file, content)| (file, with_name(content, name))),
            )
        };
        if !self.is_twin {
            return put(self.name);
        }
        if self.text.is_literal() {
            return put(FREE);
        }
        let how = self.text.language.how();
        let (content, beside) = put(self.name);
        let comments: String = content.lines().map(|line| [how.comment, line, "\n"].concat()).collect();
        (comments + how.empty, beside)
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
            let program = text.language.how().program;
            if !settings.wants_way(&[&way, place.name(), text.name]) {
                continue;
            }
            if !Path::new("/usr/bin").join(program).exists() {
                skipped.insert(format!("{way} ({program} is not in /usr/bin)"));
                continue;
            }
            for is_structured in [false, true] {
                if is_structured || !text.structured_only {
                    Way { place: *place, text, is_structured, settings }.add(&mut all);
                }
            }
        }
    }
    (all, skipped)
}

/// A text at a place, with or without structured attributes.
#[derive(Clone, Copy)]
struct Way<'a> {
    place: Place,
    text: &'static Text,
    is_structured: bool,
    settings: &'a Settings,
}

impl Way<'_> {
    fn add(self, all: &mut Vec<Case>) {
        let stages: Vec<&'static str> = READING.iter().copied().filter(|stage| self.place.exists_in(stage)).collect();
        let wanted = |stage: &&&'static str| self.settings.wants_stage(stage);
        for stage in stages.iter().filter(wanted).filter(|stage| self.is_drawn(stage, &stages)) {
            self.add_in(stage, false, all);
        }
        // What is harmless already needs no twin, and of the others one stage is enough.
        let stages: Vec<_> = stages.iter().filter(wanted).copied().collect();
        if self.text.effect != Effect::Nothing && !stages.is_empty() && self.is_drawn("", &[""]) {
            let stage = pick(&stages, self.number(&format!("twin {} {}", self.place.name(), self.form())));
            self.add_in(stage, true, all);
        }
    }

    const fn form(self) -> &'static str {
        if self.is_structured { "structured" } else { "plain" }
    }

    /// A number for something about this text, the same in each run with this seed.
    fn number(self, what: &str) -> u64 {
        let word = format!("{} {} {what}", self.settings.seed, self.text.name);
        let hash = blake3::hash(word.as_bytes());
        u64::from_le_bytes(hash.as_bytes()[..8].try_into().expect("eight bytes"))
    }

    /// Whether a run that is not asked for the whole product tries this way in this stage. It tries every text in every stage
    /// and form once; where the text is, is drawn. A program that cannot read anything, because attributes are structured, is
    /// tried in one stage; the rarer places in one form.
    fn is_drawn(self, stage: &str, stages: &[&str]) -> bool {
        if self.settings.is_whole || !self.settings.ways.is_empty() {
            return true;
        }
        if Place::FREQUENT.contains(&self.place) && self.text.is_shell() {
            let places: Vec<Place> = Place::FREQUENT
                .iter()
                .copied()
                .filter(|place| place.texts().any(|text| text.name == self.text.name))
                .collect();
            return pick(&places, self.number(&format!("place {stage} {}", self.form()))) == self.place;
        }
        if self.text.structured_only {
            return true;
        }
        if self.place == Place::Source {
            return !self.is_structured || pick(stages, self.number("stage")) == stage;
        }
        self.is_structured == self.number(&format!("form {stage} {}", self.place.name())).is_multiple_of(3)
    }

    fn add_in(self, stage: &'static str, is_twin: bool, all: &mut Vec<Case>) {
        let Self { place, text, is_structured, settings } = self;
        let twin = if is_twin { "/twin" } else { "" };
        let id = format!("{PACKAGE}/{}/{}/{stage}/{}{twin}", place.name(), text.name, self.form());
        let seed = self.number(&id);
        let names = |level: &str| -> Vec<(&'static str, &'static str)> {
            let is_held_back = |scope: &str, lowest: &str| {
                rank(STAGES, scope) > rank(STAGES, stage) && rank(LEVELS, lowest) <= rank(LEVELS, level)
            };
            let suits = |name: &str| {
                settings.wants_attribute(name)
                    && (name != "nativeBuildInputs" || text.effect == Effect::Reads)
                    && (place != Place::BuilderWraps || !is_script(name))
            };
            let names = NAMES.iter().filter(|(name, scope, lowest)| is_held_back(scope, lowest) && suits(name));
            names.map(|(name, scope, _)| (*name, *scope)).collect()
        };
        let mut levels: Vec<(&'static str, Vec<_>)> =
            LEVELS.iter().filter(|level| settings.wants_level(level)).map(|level| (*level, names(level))).collect();
        levels.retain(|(_, names)| !names.is_empty());
        // One level is drawn; levels that were asked for are all tried.
        if settings.levels.is_empty() && !levels.is_empty() {
            let drawn = usize::try_from(seed % 3).expect("a small number") % levels.len();
            levels = vec![levels.swap_remove(drawn)];
        }
        for (level, names) in levels {
            let (name, scope) = pick(&names, seed / 7);
            all.push(Case { id: id.clone(), level, place, text, stage, is_structured, is_twin, name, scope, seed });
        }
    }
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

/// The readers in files of the source that the engine's search says nothing of, tried without a build: each text with each name.
pub fn unseen(engine: &Path) -> Vec<String> {
    let mut unseen = Vec::new();
    let texts: Vec<&Text> = Place::Source.texts().collect();
    let reads = |text: &&&Text| matches!(text.effect, Effect::Reads | Effect::Exists);
    for text in texts.iter().filter(reads) {
        for (name, scope, _) in NAMES {
            let put = |content: &str| with_name(content, name);
            let beside = text.beside.map(|(file, content)| (file, put(content)));
            let at = place::At { stage: "unpack", name, scope };
            let files = place::put(Place::Source, text, &put(text.content), beside, &at).source;
            let scratch = tempfile::tempdir().expect("a directory");
            let tree = scratch.path().join("tree");
            std::fs::create_dir(&tree).expect("a tree");
            for (file, content) in files {
                std::fs::write(tree.join(file), content).expect("a file");
            }
            std::fs::write(scratch.path().join("names"), name).expect("names");
            let mut command = std::process::Command::new(engine);
            command.arg("mentions").arg("--build-dir").arg(&tree).arg("--names").arg(scratch.path().join("names"));
            command.args(["--all"]).args(text.structured_only.then_some("--attributes"));
            let said = command.output().expect("the engine runs");
            assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
            let said = String::from_utf8_lossy(&said.stdout).into_owned();
            let keys: Vec<&str> = said.split('\0').step_by(2).collect();
            let has = |key: &str| keys.contains(&key);
            let is_seen = has(name)
                || has("/all")
                || has("/computed") && has(&format!("/named/{name}"))
                || keys.iter().any(|key| key.starts_with("/unproven/"));
            if !is_seen && !text.is_hidden(name) {
                unseen.push(format!("{}:{name}", text.name));
            }
        }
    }
    unseen
}
