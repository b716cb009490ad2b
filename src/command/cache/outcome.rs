//! What `push` and `pull` did with each stage: the table, and the JSON of `--json`.

use std::io::{self, Write as _};

use serde::Serialize;

use crate::nix::chain::Stage;
use crate::report::table::{self, Column};

/// A stage. Its JSON is an interface: fields may be added, none is renamed or removed.
#[derive(Debug, Serialize)]
pub struct Row {
    /// The package's `name`.
    pub package: String,
    /// The stage's name; empty for a path that was named itself.
    pub stage: String,
    /// The store path of its state; of finish, the output that stands for the package.
    pub path: String,
    /// What was done.
    pub outcome: Outcome,
    /// More about it, for a person.
    pub note: String,
}

/// The note of a stage that cannot be pushed.
pub const NOT_HERE: &str = "it was not built, or is no longer in the store";

impl Row {
    /// Of a stage.
    pub fn new(package: &str, stage: &Stage, outcome: Outcome, note: String) -> Self {
        Self { package: package.to_owned(), stage: stage.stage.clone(), path: stage.path().to_owned(), outcome, note }
    }
}

/// What was done with a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It was copied to the cache.
    Pushed,
    /// It was fetched from a cache.
    Pulled,
    /// It was where it should be before.
    There,
    /// It is not in the store, so it cannot be pushed.
    NotHere,
    /// No cache has it, or none that Nix takes it from.
    NotToBeHad,
    /// Nix, or the cache, failed.
    Failed,
}

impl Outcome {
    /// The word for a person.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pushed => "pushed",
            Self::Pulled => "pulled",
            Self::There => "there already",
            Self::NotHere => "not here",
            Self::NotToBeHad => "not to be had",
            Self::Failed => "failed",
        }
    }
}

/// Writes the rows to standard output.
pub fn write(rows: &[Row], json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if json {
        serde_json::to_writer_pretty(&mut out, rows)?;
        return writeln!(out);
    }
    let columns = [Column::Text("package"), Column::Text("stage"), Column::Text("outcome"), Column::Words("note")];
    let cells = rows
        .iter()
        .map(|row| vec![row.package.clone(), row.stage.clone(), row.outcome.word().to_owned(), row.note.clone()]);
    out.write_all(table::render(&columns, cells).as_bytes())
}
