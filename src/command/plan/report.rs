//! What a plan says: the table, and the JSON of `--json`.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use crate::cache::place;
use crate::report::human;
use crate::report::table::{self, Column};

/// The whole. Its JSON is an interface: fields may be added, none is renamed or removed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The package's `name`.
    pub package: String,
    /// How boldly attributes are held back: `strict`, `contract` or `text`; `null` for a package that is not split.
    pub trust: Option<String>,
    /// Where the attributes were read to plan the chain: `evaluation`, `text` or `drv`.
    pub attributes: &'static str,
    /// The same for a person.
    #[serde(skip)]
    pub read: String,
    /// The stage that continues from an older state, or `null`.
    pub pinned: Option<Pin>,
    /// The stages that run, in order.
    pub stages: Vec<Row>,
    /// Stages in split.nix that have nothing to run now.
    pub left_out: Vec<String>,
    /// Whether binary caches were to be asked: not with `--offline`, or where Nix does not tell which there are.
    pub asked: bool,
    /// The binary caches that were asked; none where all states are here.
    pub caches: Vec<CacheRow>,
    /// Attributes that the table and the graphs do not show.
    #[serde(skip)]
    pub hidden: BTreeSet<String>,
}

/// A pinned stage.
#[derive(Debug, Serialize)]
pub struct Pin {
    /// The stage.
    pub stage: String,
    /// The store path of its state.
    pub state: String,
}

/// A stage.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// The stage's name.
    pub stage: String,
    /// Its phases, in order, as split.nix lists them; hooks may add more at build time.
    pub phases: Vec<String>,
    /// The attributes that it is the first to get, sorted.
    pub attributes: Vec<String>,
    /// The inputs that it is the first to get, where they are late.
    pub inputs: Vec<String>,
    /// Of its attributes, those that the table of scopes gives to a later stage.
    pub moved: Vec<Moved>,
    /// Whether its state (of finish, every output) is in the store.
    pub here: bool,
    /// The URLs of the binary caches that have it; only asked where it is not here.
    pub caches: Vec<String>,
    /// Of these, those that Nix would not take it from.
    pub refused: Vec<RefusedRow>,
    /// The bytes of its state (of finish, of the outputs), where it is here.
    pub bytes: Option<u64>,
    /// How long its phases ran when its state was made, in seconds, where that is here; of finish, the whole stage, where the
    /// last build is recorded.
    pub seconds: Option<f64>,
    /// The store path of its state (of finish, of the first output), whether there or not.
    pub path: String,
    /// Its derivation.
    pub drv: String,
}

/// An attribute that a stage gets before the one that the table of scopes says.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Moved {
    /// The attribute.
    pub attribute: String,
    /// The stage that the table says.
    pub from: String,
    /// Why: the attribute whose text mentions it, or `the hook of NAME`, `scope`, `a builder script`, `readsAll`.
    pub by: String,
    /// Where that attribute's text does not name it, but may read any variable: why, and the line of the text.
    pub reads_all: Option<ReadsAll>,
}

/// A place in a script that may read any variable.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct ReadsAll {
    /// Why, as the end of a sentence.
    pub reason: String,
    /// The line of the script, from 1.
    pub line: usize,
}

/// A binary cache that has a state, and Nix would not take it.
#[derive(Debug, Serialize)]
pub struct RefusedRow {
    /// Its URL.
    pub url: String,
    /// Why: `unsigned`, `wrong key (NAME)`, `corrupt (WHY)`.
    pub why: String,
}

/// A binary cache that was asked.
#[derive(Debug, Serialize)]
pub struct CacheRow {
    /// Its URL.
    pub url: String,
    /// Why it did not tell, or `null`.
    pub error: Option<String>,
}

impl Report {
    /// The table, with what there is to say below it.
    pub fn table(&self) -> String {
        let columns = [
            Column::Text("stage"),
            Column::Words("phases"),
            Column::Words("first gets"),
            Column::Words("cached"),
            Column::Number("size"),
            Column::Number("last time"),
        ];
        let rows = self.stages.iter().map(|row| {
            vec![
                row.stage.clone(),
                row.phases.join(" "),
                self.first_gets(row).join(" "),
                self.cached(row),
                row.bytes.map_or_else(|| "-".to_owned(), human::size),
                row.seconds.map_or_else(|| "-".to_owned(), |s| human::seconds(Duration::from_secs_f64(s))),
            ]
        });
        let mut text = table::render(&columns, rows);
        text.push_str(&self.moved());
        if !self.left_out.is_empty() {
            let _ = writeln!(text, "nothing to run: {}", self.left_out.join(", "));
        }
        if let Some(pin) = &self.pinned {
            let _ = writeln!(text, "pinned: {} continues from {}, whatever changed since", pin.stage, pin.state);
        }
        if let Some(trust) = &self.trust {
            let _ = writeln!(text, "trust: {trust}");
        }
        let _ = writeln!(text, "attributes: {}", self.read);
        text
    }

    /// A line for all attributes that are in a stage for the same reason.
    fn moved(&self) -> String {
        let mut lines: Vec<(String, Vec<&str>)> = Vec::new();
        for row in &self.stages {
            for moved in row.moved.iter().filter(|moved| !self.hidden.contains(&moved.attribute)) {
                let why = format!("in {}, not {}: {}", row.stage, moved.from, moved.because());
                match lines.iter_mut().find(|(known, _)| *known == why) {
                    Some((_, names)) => names.push(&moved.attribute),
                    None => lines.push((why, vec![&moved.attribute])),
                }
            }
        }
        let mut text = String::new();
        if !lines.is_empty() {
            text.push_str("earlier than the table of scopes says:\n");
        }
        for (why, names) in lines {
            let _ = writeln!(text, "  {}: {why}", names.join(" "));
        }
        text
    }

    /// The attributes and late inputs that a person looks for in a stage.
    pub fn first_gets<'a>(&self, row: &'a Row) -> Vec<&'a str> {
        let shown = row.attributes.iter().filter(|name| !self.hidden.contains(*name));
        shown.chain(&row.inputs).map(String::as_str).collect()
    }

    /// Where a state is, in a word or two.
    pub fn cached(&self, row: &Row) -> String {
        if row.here {
            "here".to_owned()
        } else if !row.caches.is_empty() {
            let name = |url: &String| match row.refused.iter().find(|refused| refused.url == *url) {
                Some(refused) => format!("{}: {}", place::short(url), refused.why),
                None => place::short(url).to_owned(),
            };
            let names: Vec<String> = row.caches.iter().map(name).collect();
            format!("in {}", names.join(", "))
        } else if self.asked && self.caches.iter().all(|cache| cache.error.is_none()) {
            "no".to_owned()
        } else {
            "not here".to_owned()
        }
    }
}

impl Moved {
    fn because(&self) -> String {
        match (self.by.as_str(), &self.reads_all) {
            ("scope", _) => "scope says so".to_owned(),
            ("readsAll", _) => "readsAll says so".to_owned(),
            (hook, _) if hook.starts_with("the hook ") => format!("{hook} reads it"),
            (name, Some(all)) => format!("{name} reads everything: {} (line {})", all.reason, all.line),
            (name, None) => format!("{name} mentions it"),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    pub fn row(stage: &str, attributes: &[&str], here: bool) -> Row {
        Row {
            stage: stage.to_owned(),
            phases: vec![format!("{stage}Phase")],
            attributes: attributes.iter().map(|name| (*name).to_owned()).collect(),
            inputs: Vec::new(),
            moved: Vec::new(),
            here,
            caches: Vec::new(),
            refused: Vec::new(),
            bytes: here.then_some(1_500_000),
            seconds: here.then_some(0.44),
            path: format!("/nix/store/x-{stage}"),
            drv: format!("/nix/store/x-{stage}.drv"),
        }
    }

    fn moved(attribute: &str, by: &str, reads_all: Option<ReadsAll>) -> Moved {
        Moved { attribute: attribute.to_owned(), from: "install".to_owned(), by: by.to_owned(), reads_all }
    }

    pub fn report(stages: Vec<Row>) -> Report {
        Report {
            package: "hello-2.12".to_owned(),
            trust: Some("contract".to_owned()),
            attributes: "evaluation",
            read: "read by evaluation".to_owned(),
            pinned: None,
            stages,
            left_out: vec!["patch".to_owned(), "check".to_owned()],
            asked: true,
            caches: Vec::new(),
            hidden: ["stdenv".to_owned()].into(),
        }
    }

    #[test]
    fn the_table_of_a_plan() {
        let mut build = row("build", &["buildFlags", "makeFlags"], false);
        build.moved.push(moved("makeFlags", "preBuild", None));
        build.moved.push(moved("installFlags", "preBuild", None));
        let all = ReadsAll { reason: "`env`".to_owned(), line: 2 };
        build.moved.push(moved("installTargets", "postBuild", Some(all)));
        build.caches = vec!["https://cache.example.org/x?priority=1".into(), "file:///srv/states".into()];
        build.refused.push(RefusedRow { url: "file:///srv/states".to_owned(), why: "unsigned".to_owned() });
        let mut install = row("install", &["postInstall"], false);
        install.inputs.push("makeWrapper".to_owned());
        let expected = "\
stage    phases        first gets               cached                             size  last time
unpack   unpackPhase   src                      here                            1.4 MiB      0.4 s
build    buildPhase    buildFlags makeFlags     in cache.example.org, states:         -          -
                                                unsigned
install  installPhase  postInstall makeWrapper  no                                    -          -
earlier than the table of scopes says:
  makeFlags installFlags: in build, not install: preBuild mentions it
  installTargets: in build, not install: postBuild reads everything: `env` (line 2)
nothing to run: patch, check
trust: contract
attributes: read by evaluation
";
        let report = report(vec![row("unpack", &["src", "stdenv"], true), build, install]);
        assert_eq!(report.table(), expected);
    }

    #[test]
    fn what_no_cache_could_tell_is_not_a_no() {
        let mut report = report(vec![row("build", &[], false)]);
        assert_eq!(report.cached(&report.stages[0]), "no");
        report.caches.push(CacheRow { url: "https://x".into(), error: Some("gone".into()) });
        assert_eq!(report.cached(&report.stages[0]), "not here");
        report.asked = false;
        report.caches.clear();
        assert_eq!(report.cached(&report.stages[0]), "not here");
    }
}
