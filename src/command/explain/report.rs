//! What was found, as a table with the diffs below it, and as JSON.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::time::Duration;

use serde::Serialize;

use super::Before;
use super::against::What;
use crate::explain::{self, Cause, Change, StageChange, Verdict};
use crate::gcroot::record;
use crate::nix::chain::Chain;
use crate::report::human;
use crate::report::table::{self, Column};

/// The whole.
#[derive(Serialize)]
pub(super) struct Report {
    /// The package's `name`.
    package: String,
    /// What it is compared with.
    against: What,
    /// The stages in order.
    stages: Vec<StageReport>,
    /// Stages that were there before and are not any more.
    dropped: Vec<String>,
}

/// One stage.
#[derive(Serialize)]
struct StageReport {
    stage: String,
    /// What a build would do with it.
    verdict: Verdict,
    /// The store path of its state.
    path: String,
    /// Whether that is in the store.
    in_store: bool,
    /// What became of it.
    change: &'static str,
    /// Why, where no stage before it has the same cause already.
    causes: Vec<CauseReport>,
    /// The stage before it, where that one's state is another too.
    after: Option<String>,
    /// Why the causes cannot be told.
    unreadable: Option<String>,
}

#[derive(Serialize)]
struct CauseReport {
    /// In words.
    text: String,
    /// Where words cannot show it.
    diff: Option<String>,
    #[serde(flatten)]
    cause: Cause,
}

impl Report {
    pub(super) fn new(chain: &Chain, before: Before, changes: Vec<StageChange>, in_store: &[bool]) -> Self {
        let dropped = before.stages.iter().filter(|old| chain.stages.iter().all(|stage| stage.stage != old.stage));
        let dropped = dropped.map(|old| old.stage.clone()).collect();
        let verdicts = explain::verdicts(in_store);
        let stages = chain.stages.iter().zip(changes).zip(in_store.iter().zip(verdicts));
        let stages = stages.map(|((stage, change), (in_store, verdict))| {
            let (change, causes, after, unreadable) = match change.change {
                Change::Same => ("same", Vec::new(), None, None),
                Change::New => ("new", Vec::new(), None, None),
                Change::Changed { causes, after } => ("changed", causes, after, None),
                Change::Unreadable { reason } => ("changed", Vec::new(), None, Some(reason)),
            };
            let causes =
                causes.into_iter().map(|cause| CauseReport { text: cause.to_string(), diff: cause.diff(), cause });
            StageReport {
                stage: stage.stage.clone(),
                verdict,
                path: stage.path().to_owned(),
                in_store: *in_store,
                change,
                causes: causes.collect(),
                after,
                unreadable,
            }
        });
        Self { package: chain.name.clone(), against: before.what, stages: stages.collect(), dropped }
    }

    /// Writes it to standard output.
    pub(super) fn write(&self, json: bool) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if json {
            serde_json::to_writer_pretty(&mut out, self)?;
            writeln!(out)
        } else {
            write!(out, "{}", self.text())
        }
    }

    fn text(&self) -> String {
        let mut text = format!("{}, compared with {}\n", self.package, self.against.words(record::now()));
        let rows = self.stages.iter().map(|stage| {
            let now = match stage.verdict {
                Verdict::Reused => "reused",
                Verdict::Runs => "runs again",
                Verdict::NotNeeded => "not needed",
            };
            vec![stage.stage.clone(), now.to_owned(), stage.why()]
        });
        text += &table::render(&[Column::Text("stage"), Column::Text("a build now"), Column::Text("why")], rows);
        for stage in &self.dropped {
            let _ = writeln!(text, "{stage} is no stage of the chain any more");
        }
        for stage in &self.stages {
            text += &stage.details();
        }
        let runs = self.stages.iter().filter(|stage| stage.verdict == Verdict::Runs).count();
        let _ = match runs {
            0 => writeln!(text, "nothing would be built"),
            _ => writeln!(text, "{runs} of {} stages would run again", self.stages.len()),
        };
        text
    }
}

impl StageReport {
    /// The first cause, on a line.
    fn why(&self) -> String {
        let follows = || self.after.as_ref().map(|before| format!("only because {before} before it is another"));
        let unreadable =
            || self.unreadable.as_ref().map(|reason| format!("it changed, and it cannot be told why: {reason}"));
        let first = match self.change {
            "same" if !self.in_store => "as it was, but its state is no longer in the store".to_owned(),
            "same" => return String::new(),
            "new" => "it was not built before".to_owned(),
            _ => {
                let cause = self.causes.first().map(|cause| cause.text.clone());
                let cause = cause.or_else(follows).or_else(unreadable);
                cause.unwrap_or_else(|| "it is another, and its derivation does not show why".to_owned())
            }
        };
        let more = match self.causes.len() {
            0 | 1 => String::new(),
            more => format!(" (and {} more)", more - 1),
        };
        let there = if self.in_store { "; built before all the same" } else { "" };
        format!("{first}{more}{there}")
    }

    /// All causes where there are several, and what a line cannot show.
    fn details(&self) -> String {
        let mut text = String::new();
        if self.causes.len() < 2 && self.causes.iter().all(|cause| cause.diff.is_none()) {
            return text;
        }
        let _ = writeln!(text, "\n{}:", self.stage);
        for cause in &self.causes {
            let _ = writeln!(text, "  {}", cause.text);
            for line in cause.diff.iter().flat_map(|diff| diff.lines()) {
                let _ = writeln!(text, "    {}", printable(line));
            }
        }
        text
    }
}

/// Without what a terminal would take for itself.
fn printable(line: &str) -> String {
    let shown = |character: char| match character {
        '\t' => "\t".to_owned(),
        other if other.is_control() => other.escape_default().to_string(),
        other => other.to_string(),
    };
    line.chars().map(shown).collect()
}

impl What {
    fn words(&self, now: u64) -> String {
        match self {
            Self::LastBuild { package, time } => {
                let ago = human::ago(Duration::from_secs(now.saturating_sub(*time)));
                format!("the build of {package}, {ago}")
            }
            Self::Named { name } => name.clone(),
        }
    }
}
