//! What a build came to, stage by stage: the table, and the JSON of `--json`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use super::failure::Failure;
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
    /// Its state was in the store.
    Reused,
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
        matches!(self, Self::Built | Self::Fetched | Self::Reused)
    }

    fn word(self) -> &'static str {
        match self {
            Self::Built => "built",
            Self::Fetched => "fetched",
            Self::Reused => "reused",
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
    /// The size of its state (of the output, for finish) in bytes, where it is there.
    pub bytes: Option<u64>,
    /// The store path of its state, whether there or not.
    pub path: String,
    /// Its derivation.
    pub drv: String,
}

/// The whole.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The package's `name`.
    pub package: String,
    /// The last stage that was asked for.
    pub until: String,
    /// The stages up to it, in order.
    pub stages: Vec<StageReport>,
    /// Output name to store path, of the last stage; empty where it is not there.
    pub outputs: BTreeMap<String, String>,
    /// The link to it, where one was made.
    pub link: Option<PathBuf>,
    /// From evaluation to the end.
    pub seconds: f64,
    /// Why it is not there.
    pub failure: Option<Failure>,
}

impl Report {
    /// The table for standard error, with a closing line.
    pub fn table(&self) -> String {
        let columns = [Column::Text("stage"), Column::Text("outcome"), Column::Number("time"), Column::Number("size")];
        let rows = self.stages.iter().map(|row| {
            vec![
                row.stage.clone(),
                row.outcome.word().to_owned(),
                row.seconds.map_or_else(|| "-".to_owned(), |s| human::seconds(Duration::from_secs_f64(s))),
                row.bytes.map_or_else(|| "-".to_owned(), human::size),
            ]
        });
        let count = |outcome| self.stages.iter().filter(|row| row.outcome == outcome).count();
        let (built, reused) = (count(Outcome::Built), count(Outcome::Reused) + count(Outcome::NotNeeded));
        let fetched = count(Outcome::Fetched);
        let mut closing = format!("{built} built, {reused} reused");
        if fetched > 0 {
            closing = format!("{closing}, {fetched} fetched");
        }
        let total = human::seconds(Duration::from_secs_f64(self.seconds));
        format!("{}{}: {closing}, {total} in all\n", table::render(&columns, rows), self.package)
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
            bytes,
            path: format!("/nix/store/x-{stage}"),
            drv: format!("/nix/store/x-{stage}.drv"),
        }
    }

    #[test]
    fn the_table_of_an_edit() {
        let report = Report {
            package: "hello-2.12".to_owned(),
            until: "finish".to_owned(),
            stages: vec![
                row("unpack", Outcome::NotNeeded, None, None),
                row("build", Outcome::Reused, None, Some(1_500_000)),
                row("install", Outcome::Built, Some(0.44), Some(20)),
            ],
            outputs: BTreeMap::new(),
            link: None,
            seconds: 1.0,
            failure: None,
        };
        let expected = "\
stage    outcome      time     size
unpack   not needed      -        -
build    reused          -  1.4 MiB
install  built       0.4 s     20 B
hello-2.12: 1 built, 2 reused, 1.0 s in all
";
        assert_eq!(report.table(), expected);
    }
}
