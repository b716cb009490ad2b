//! What a run of the mutation test does.
//!
//! Owns the environment variables:
//! - `PHASESPLIT_MUTATIONS`: `all`, or how many (a sample, by the seed);
//! - `PHASESPLIT_MUTATION_SEED`: any word; the same word gives the same sample;
//! - `PHASESPLIT_MUTATION_PACKAGES`, `…_LEVELS`, `…_ATTRIBUTES`: words; only these. The package `readers` is the generator of
//!   readers (`readers/`); at levels that are named here each of its cases is tried at all of them, else at one drawn by the seed;
//! - `PHASESPLIT_MUTATION_WAYS`, `…_STAGES`: words; of the readers only these: a place (`hook`), a text (`python-tuple`), or
//!   both (`hook/env`), and the stages in which they read. Ways that are named here are tried in every form;
//! - `PHASESPLIT_MUTATION_WHOLE`: a word: readers at all their places and in all forms, several times as many as otherwise;
//! - `PHASESPLIT_MUTATION_SALT`: a word that runs may share, so that a second run builds only what changed;
//! - `PHASESPLIT_MUTATION_RESULTS`: where the JSON lines go (`target/mutation.jsonl`).

use crate::support::{root, salt};
use std::{
    env,
    path::{Path, PathBuf},
};

/// A run's choices.
pub struct Settings {
    /// How many mutations; none: all.
    pub limit: Option<usize>,
    pub seed: String,
    /// Names of packages; empty: all. Likewise below.
    pub packages: Vec<String>,
    pub levels: Vec<String>,
    pub attributes: Vec<String>,
    pub ways: Vec<String>,
    pub stages: Vec<String>,
    /// Tries readers at all places and in all forms, and not in those that are drawn.
    pub is_whole: bool,
    pub salt: String,
    /// Where the JSON lines go, if anywhere.
    pub results: Option<PathBuf>,
    /// A nix-lib other than the program's own (`gen --lib`).
    pub library: Option<PathBuf>,
}

impl Settings {
    pub fn from_environment() -> Self {
        let variable =
            |name: &str| env::var(format!("PHASESPLIT_MUTATION{name}")).ok().filter(|value| !value.is_empty());
        let words = |name: &str| {
            variable(name)
                .unwrap_or_default()
                .split([' ', ','])
                .filter(|word| !word.is_empty())
                .map(str::to_owned)
                .collect()
        };
        Self {
            limit: match variable("S").as_deref() {
                None | Some("all") => None,
                Some(number) => Some(number.parse().expect("PHASESPLIT_MUTATIONS is `all` or a number")),
            },
            seed: variable("_SEED").unwrap_or_else(|| "phasesplit".to_owned()),
            packages: words("_PACKAGES"),
            levels: words("_LEVELS"),
            attributes: words("_ATTRIBUTES"),
            ways: words("_WAYS"),
            stages: words("_STAGES"),
            is_whole: variable("_WHOLE").is_some(),
            salt: variable("_SALT").unwrap_or_else(salt),
            results: Some(variable("_RESULTS").map_or_else(|| root().join("target/mutation.jsonl"), PathBuf::from)),
            library: None,
        }
    }

    pub fn wants_package(&self, name: &str) -> bool {
        is_wanted(&self.packages, &[name])
    }

    pub fn wants_level(&self, name: &str) -> bool {
        is_wanted(&self.levels, &[name])
    }

    pub fn wants_attribute(&self, name: &str) -> bool {
        is_wanted(&self.attributes, &[name])
    }

    pub fn wants_stage(&self, name: &str) -> bool {
        is_wanted(&self.stages, &[name])
    }

    /// Whether a way that has these names is wanted.
    pub fn wants_way(&self, names: &[&str]) -> bool {
        is_wanted(&self.ways, names)
    }

    /// All readers, at one level each.
    pub fn of_readers() -> Self {
        let all = Self::planted(crate::readers::PACKAGE, None);
        Self { levels: Vec::new(), attributes: Vec::new(), ways: Vec::new(), stages: Vec::new(), ..all }
    }

    /// The small run for the test of the test: one package, whose hook reads an attribute early. Of the readers, a hook
    /// that reads it by name.
    pub fn planted(package: &str, library: Option<&Path>) -> Self {
        Self {
            limit: None,
            seed: String::new(),
            packages: vec![package.to_owned()],
            levels: vec!["contract".to_owned()],
            attributes: vec!["installFlags".to_owned()],
            ways: vec!["hook/name".to_owned()],
            stages: vec!["patch".to_owned()],
            is_whole: false,
            salt: salt(),
            results: None,
            library: library.map(Path::to_owned),
        }
    }
}

fn is_wanted(words: &[String], names: &[&str]) -> bool {
    words.is_empty() || names.iter().any(|name| words.iter().any(|word| word == name))
}
