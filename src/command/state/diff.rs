//! `phasesplit state diff`: what differs between two states.

use std::fmt::Write as _;
use std::io::{self, Write};

use clap::Args;
use serde_json::{Map, Value, json};

use super::output;
use super::subject::{self, NixArgs, StateArgs};
use crate::command::refusal::Refusal;
use crate::inspect::diff::{self, Change, Comparison, Difference};
use crate::inspect::{State, patch};
use crate::report::human;
use crate::report::table::{self, Column};
use crate::state::entry::{Entry, Kind};
use crate::status::Status;

const HELP: &str = "\
A and B may be PKG@STAGE or the store path of a state; B may be @STAGE: another stage of the same package. Two versions of a \
stage are the states of two packages, or the store paths that two builds reported.

Exit codes:
  0  the states are equal
  1  they differ
  2  they could not be compared";

/// The arguments of `phasesplit state diff`.
#[derive(Args, Clone, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "they are options of a command line")]
#[command(after_help = HELP)]
pub struct DiffArgs {
    /// The first state.
    #[command(flatten)]
    pub state: StateArgs,

    /// The second state
    #[arg(value_name = "B", required_unless_present = "expression")]
    pub other: Option<String>,

    /// Write a patch that makes B of A: for text files, `patch -p1` takes it; binary files are only named
    #[arg(long, conflicts_with_all = ["json", "stat"])]
    pub patch: bool,

    /// Only the numbers: entries and bytes of each kind of change
    #[arg(long)]
    pub stat: bool,

    /// Write JSON
    #[arg(long)]
    pub json: bool,

    /// Count an entry that has another mtime as different (directories never do)
    #[arg(long)]
    pub times: bool,

    /// What Nix is told.
    #[command(flatten)]
    pub nix: NixArgs,
}

/// Runs it. Scripts know the exit codes of `diff` and expect them here.
pub fn run(arguments: &DiffArgs) -> Status {
    match compare(arguments) {
        Ok(true) => Status::Success,
        Ok(false) => Status::Input,
        Err(failure) => {
            failure.tell();
            Status::Usage
        }
    }
}

/// Whether they are equal.
fn compare(arguments: &DiffArgs) -> Result<bool, Refusal> {
    subject::no_expression(&arguments.state)?;
    let other = arguments.other.as_deref().unwrap_or_default();
    let before = subject::find(&arguments.state, &arguments.nix)?;
    let after = subject::find_other(&arguments.state, &arguments.nix, other)?;
    let comparison = diff::compare(&before, &after, arguments.times);
    let mut out = output::standard();
    if arguments.patch {
        patch::write(&before, &after, &comparison, &mut out)??;
    } else if arguments.json {
        output::json(&json_of(&before, &after, &comparison, arguments.stat))?;
    } else {
        if !arguments.stat {
            list(&mut out, &comparison)?;
        }
        out.write_all(totals(&comparison).as_bytes())?;
    }
    out.flush()?;
    Ok(comparison.differences.is_empty())
}

/// A line for each difference.
fn list(out: &mut impl Write, comparison: &Comparison<'_>) -> io::Result<()> {
    for difference in &comparison.differences {
        let size = |side: Option<(usize, &crate::state::manifest::Record)>| {
            side.filter(|(_, record)| record.entry.is_file()).map(|(_, record)| human::size(record.entry.size))
        };
        let (before, after) = (size(difference.before), size(difference.after));
        let sizes = match (difference.change, before, after) {
            (Change::Changed, Some(before), Some(after)) if before != after => format!("{before} -> {after}"),
            (_, before, after) => after.or(before).unwrap_or_default(),
        };
        let path = output::shown(difference.path());
        let word = difference.change.word();
        match detail(difference) {
            Some(detail) => writeln!(out, "{word:<8}  {sizes:>22}  {path}  ({detail})")?,
            None => writeln!(out, "{word:<8}  {sizes:>22}  {path}")?,
        }
    }
    Ok(())
}

/// What a person cannot see from the path and the sizes.
fn detail(difference: &Difference<'_>) -> Option<String> {
    let ((_, before), (_, after)) = (difference.before?, difference.after?);
    let (one, other) = (&before.entry, &after.entry);
    let mut details = Vec::new();
    if difference.change == Change::Renamed {
        details.push(format!("was {}", output::shown(&one.path)));
    }
    if word(one) != word(other) {
        details.push(format!("{} -> {}", word(one), word(other)));
    } else if one.link != other.link {
        details.push(format!("-> {}, was {}", output::shown(&other.link), output::shown(&one.link)));
    }
    if one.mode != other.mode && one.kind != Kind::Symlink && other.kind != Kind::Symlink {
        details.push(format!("mode {:04o} -> {:04o}", one.mode, other.mode));
    }
    if details.is_empty() && difference.change == Change::Metadata {
        details.push("mtime".to_owned());
    }
    (!details.is_empty()).then(|| details.join(", "))
}

fn word(entry: &Entry) -> &'static str {
    match entry.kind {
        Kind::File | Kind::Sparse => "file",
        Kind::Directory => "directory",
        Kind::Symlink => "symlink",
        Kind::HardLink => "hard link",
        Kind::Fifo => "pipe",
        Kind::Socket => "socket",
    }
}

/// The table of numbers, or that there are none.
fn totals(comparison: &Comparison<'_>) -> String {
    let mut text = String::new();
    if comparison.differences.is_empty() {
        text += "the states are equal\n";
    } else {
        let columns = [Column::Text(""), Column::Number("entries"), Column::Number("before"), Column::Number("after")];
        let rows = Change::ALL.into_iter().map(|change| (change, comparison.total(change)));
        let rows = rows.filter(|(_, total)| total.entries > 0).map(|(change, total)| {
            let size = |bytes, is_there| if is_there { human::size(bytes) } else { String::new() };
            vec![
                change.word().to_owned(),
                total.entries.to_string(),
                size(total.before, change != Change::Added),
                size(total.after, change != Change::Removed),
            ]
        });
        text += &table::render(&columns, rows);
    }
    if comparison.touched > 0 {
        let _ = writeln!(text, "{} more differ only in their mtime (--times lists them)", comparison.touched);
    }
    text
}

fn json_of(before: &State, after: &State, comparison: &Comparison<'_>, only_numbers: bool) -> Value {
    let mut value = Map::new();
    value.insert("before".to_owned(), before.path.display().to_string().into());
    value.insert("after".to_owned(), after.path.display().to_string().into());
    value.insert("equal".to_owned(), comparison.differences.is_empty().into());
    let totals: Map<String, Value> = Change::ALL
        .into_iter()
        .map(|change| {
            let total = comparison.total(change);
            let numbers = json!({ "entries": total.entries, "bytesBefore": total.before, "bytesAfter": total.after });
            (change.word().to_owned(), numbers)
        })
        .collect();
    value.insert("totals".to_owned(), totals.into());
    value.insert("touched".to_owned(), comparison.touched.into());
    if !only_numbers {
        let differences = comparison.differences.iter().map(|difference| {
            let side = |side: Option<(usize, &crate::state::manifest::Record)>| {
                side.map_or(Value::Null, |(_, record)| Value::Object(output::entry(&record.entry)))
            };
            json!({
                "change": difference.change.word(),
                "before": side(difference.before),
                "after": side(difference.after),
            })
        });
        value.insert("differences".to_owned(), differences.collect::<Vec<_>>().into());
    }
    value.into()
}
