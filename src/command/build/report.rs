//! What a build came to, stage by stage: the table, and the JSON of `--json`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use super::failure::Failure;
use super::push::Pushed;
use super::warnings::{self, Warning};
use crate::report::human;
use crate::report::table::{self, Column};

/// What became of a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It was built now.
    Built,
    /// Its state came from a cache.
    Fetched,
    /// Its state was in the store, or another build made it meanwhile.
    Reused,
    /// Its state is the one that `--pin` names, whatever it would be now.
    Pinned,
    /// Its state is not in the store, and a later one is.
    NotNeeded,
    /// Its build failed.
    Failed,
    /// A stage before it failed.
    NotReached,
}

impl Outcome {
    /// Whether the stage's state is in the store now.
    pub fn has_state(self) -> bool {
        matches!(self, Self::Built | Self::Fetched | Self::Reused | Self::Pinned)
    }

    fn word(self) -> &'static str {
        match self {
            Self::Built => "built",
            Self::Fetched => "fetched",
            Self::Reused => "reused",
            Self::Pinned => "pinned",
            Self::NotNeeded => "not needed",
            Self::Failed => "failed",
            Self::NotReached => "not reached",
        }
    }
}

/// One row.
#[derive(Debug, Clone, Serialize)]
pub struct StageReport {
    /// The stage's name.
    pub stage: String,
    /// What became of it.
    pub outcome: Outcome,
    /// How long it was built, where it was.
    pub seconds: Option<f64>,
    /// The builder it ran on, as Nix's `builders` names it; none where it was not built now, or here.
    pub machine: Option<String>,
    /// The size of its state (of the output, for finish) in bytes, where it is there.
    pub bytes: Option<u64>,
    /// The store path of its state, whether there or not.
    pub path: String,
    /// Its derivation.
    pub drv: String,
}

impl StageReport {
    /// What stands for the machine where no other is.
    fn here(&self) -> &'static str {
        if self.seconds.is_some() { "here" } else { "-" }
    }
}

/// The state that a build continued from, whatever changed since it was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pinned {
    /// The stage that it is the state of.
    pub stage: String,
    /// Its store path.
    pub state: String,
}

/// The whole.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The package's `name`.
    pub package: String,
    /// The last stage that was asked for.
    pub until: String,
    /// The stages up to it, in order; behind a pin, from the pinned one on.
    pub stages: Vec<StageReport>,
    /// Output name to store path, of the last stage; empty where it is not there.
    pub outputs: BTreeMap<String, String>,
    /// What the stages warned of, those that ran now and those whose states were there.
    pub warnings: Vec<Warning>,
    /// The link to it, where one was made.
    pub link: Option<PathBuf>,
    /// From evaluation to the end.
    pub seconds: f64,
    /// The pin, where there was one: the result may then not be what its package says.
    pub pinned: Option<Pinned>,
    /// What was pushed, where that was asked for.
    pub pushed: Option<Pushed>,
    /// Why it is not there.
    pub failure: Option<Failure>,
    /// The same where no derivation is at fault, in words: Nix ended the build.
    pub stopped: Option<String>,
}

impl Report {
    /// The table for standard error, with a closing line, and the warnings after it.
    pub fn table(&self) -> String {
        let mut columns =
            vec![Column::Text("stage"), Column::Text("outcome"), Column::Number("time"), Column::Number("size")];
        let somewhere_else = self.stages.iter().any(|row| row.machine.is_some());
        columns.extend(somewhere_else.then_some(Column::Text("machine")));
        let rows = self.stages.iter().map(|row| {
            let mut cells = vec![
                row.stage.clone(),
                row.outcome.word().to_owned(),
                row.seconds.map_or_else(|| "-".to_owned(), |s| human::seconds(Duration::from_secs_f64(s))),
                row.bytes.map_or_else(|| "-".to_owned(), human::size),
            ];
            cells.extend(somewhere_else.then(|| row.machine.clone().unwrap_or_else(|| row.here().to_owned())));
            cells
        });
        let count = |outcome| self.stages.iter().filter(|row| row.outcome == outcome).count();
        let (built, reused) = (count(Outcome::Built), count(Outcome::Reused) + count(Outcome::NotNeeded));
        let fetched = count(Outcome::Fetched);
        let mut closing = format!("{built} built, {reused} reused");
        if fetched > 0 {
            closing = format!("{closing}, {fetched} fetched");
        }
        let total = human::seconds(Duration::from_secs_f64(self.seconds));
        let mut text = format!("{}{}: {closing}, {total} in all\n", table::render(&columns, rows), self.package);
        if let Some(pinned) = &self.pinned {
            let _ = writeln!(
                text,
                "pinned: it continues from {}, the {} state that was there, whatever changed since; next, let \
                 `phasesplit verify` compare it with the unsplit build",
                pinned.state, pinned.stage
            );
        }
        text + &warnings::text(&self.warnings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(stage: &str, outcome: Outcome, seconds: Option<f64>, bytes: Option<u64>) -> StageReport {
        StageReport {
            stage: stage.to_owned(),
            outcome,
            seconds,
            machine: None,
            bytes,
            path: format!("/nix/store/x-{stage}"),
            drv: format!("/nix/store/x-{stage}.drv"),
        }
    }

    #[test]
    fn the_table_of_an_edit() {
        let mut report = Report {
            package: "hello-2.12".to_owned(),
            until: "finish".to_owned(),
            stages: vec![
                row("unpack", Outcome::NotNeeded, None, None),
                row("build", Outcome::Reused, None, Some(1_500_000)),
                row("install", Outcome::Built, Some(0.44), Some(20)),
            ],
            outputs: BTreeMap::new(),
            warnings: Vec::new(),
            link: None,
            seconds: 1.0,
            pinned: None,
            pushed: None,
            failure: None,
            stopped: None,
        };
        report.warnings.push(Warning::new("unpack", "left in /tmp: x"));
        let expected = "\
stage    outcome      time     size
unpack   not needed      -        -
build    reused          -  1.4 MiB
install  built       0.4 s     20 B
hello-2.12: 1 built, 2 reused, 1.0 s in all
warning: stage unpack: left in /tmp: x
";
        assert_eq!(report.table(), expected);
        let json = serde_json::to_value(&report).expect("JSON");
        assert_eq!(json["warnings"], serde_json::json!([{"stage": "unpack", "text": "left in /tmp: x"}]));
    }
    #[test]
    fn the_machines_are_told_where_there_are_others() {
        let mut stages = vec![
            row("build", Outcome::Fetched, None, Some(2048)),
            row("install", Outcome::Built, Some(0.5), Some(20)),
            row("finish", Outcome::Built, Some(0.5), Some(20)),
        ];
        stages[1].machine = Some("ssh-ng://one".to_owned());
        let report = Report {
            package: "hello-2.12".to_owned(),
            until: "finish".to_owned(),
            stages,
            outputs: BTreeMap::new(),
            warnings: Vec::new(),
            link: None,
            seconds: 1.0,
            pinned: None,
            failure: None,
            pushed: None,
            stopped: None,
        };
        let expected = "\
stage    outcome   time     size  machine
build    fetched      -  2.0 KiB  -
install  built    0.5 s     20 B  ssh-ng://one
finish   built    0.5 s     20 B  here
hello-2.12: 2 built, 0 reused, 1 fetched, 1.0 s in all
";
        assert_eq!(report.table(), expected);
        let json = serde_json::to_value(&report).expect("JSON");
        assert_eq!(json["stages"][1]["machine"], "ssh-ng://one");
        assert_eq!(json["stages"][2]["machine"], serde_json::Value::Null);
    }

    #[test]
    fn a_pinned_result_says_so_and_what_to_do() {
        let report = Report {
            package: "hello-2.12".to_owned(),
            until: "finish".to_owned(),
            stages: vec![
                row("build", Outcome::Pinned, None, Some(2048)),
                row("finish", Outcome::Built, Some(0.5), Some(20)),
            ],
            outputs: BTreeMap::new(),
            warnings: Vec::new(),
            link: None,
            seconds: 1.0,
            pinned: Some(Pinned { stage: "build".to_owned(), state: "/nix/store/x-build".to_owned() }),
            pushed: None,
            failure: None,
            stopped: None,
        };
        let expected = "\
stage   outcome   time     size
build   pinned       -  2.0 KiB
finish  built    0.5 s     20 B
hello-2.12: 1 built, 0 reused, 1.0 s in all
pinned: it continues from /nix/store/x-build, the build state that was there, whatever changed since; next, let \
`phasesplit verify` compare it with the unsplit build
";
        assert_eq!(report.table(), expected);
        let json = serde_json::to_value(&report).expect("JSON");
        assert_eq!(json["pinned"], serde_json::json!({"stage": "build", "state": "/nix/store/x-build"}));
    }
}
