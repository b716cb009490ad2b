//! `phasesplit state ls`: what is in a state.

use std::ffi::OsString;
use std::io::{self, Write};
use std::ops::Range;

use clap::Args;
use serde_json::Value;

use super::output;
use super::subject::{self, NixArgs, StateArgs};
use crate::command::refusal::Refusal;
use crate::inspect::select;
use crate::state::entry::{Kind, split_parent};
use crate::state::list;
use crate::state::manifest::Record;

/// The arguments of `phasesplit state ls`.
#[derive(Args, Clone, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "they are options of a command line")]
#[command(after_help = subject::HELP)]
pub struct LsArgs {
    /// Which state.
    #[command(flatten)]
    pub state: StateArgs,

    /// Only this entry and what is below it, as build/src, outputs/out/bin, or an absolute path as the build saw it
    #[arg(value_name = "PATH")]
    pub paths: Vec<OsString>,

    /// Type, mode, size and time before each path (the default)
    #[arg(short, long, conflicts_with_all = ["tree", "json", "names"])]
    pub long: bool,

    /// Only the paths
    #[arg(short = '1', long, conflicts_with_all = ["tree", "json"])]
    pub names: bool,

    /// Show the directories as a tree
    #[arg(long, conflicts_with = "json")]
    pub tree: bool,

    /// Write JSON
    ///
    /// Paths that are no UTF-8 are also there in hexadecimal, as pathBytes.
    #[arg(long)]
    pub json: bool,

    /// Leave out what lies deeper than N levels below each PATH
    #[arg(short, long, value_name = "N")]
    pub depth: Option<usize>,

    /// What Nix is told.
    #[command(flatten)]
    pub nix: NixArgs,
}

/// Runs it.
pub fn run(arguments: &LsArgs) -> Result<(), Refusal> {
    let state = subject::find(&arguments.state, &arguments.nix)?;
    let mut chosen: Vec<&Record> = Vec::new();
    let mut ranges: Vec<Range<usize>> =
        arguments.paths.iter().map(|path| select::below(&state, path)).collect::<Result<_, _>>()?;
    if ranges.is_empty() {
        ranges.push(0..state.records().len());
    }
    for range in ranges {
        // Of the whole tree the top is not an entry.
        let top = if arguments.paths.is_empty() { 0 } else { levels(&state.records()[range.start]) };
        let most = arguments.depth.map_or(usize::MAX, |depth| top.saturating_add(depth));
        chosen.extend(state.records()[range].iter().filter(|record| levels(record) <= most));
    }
    if arguments.json {
        let entries: Vec<Value> = chosen.iter().map(|record| Value::Object(output::entry(&record.entry))).collect();
        return Ok(output::json(&entries)?);
    }
    let mut out = output::standard();
    if arguments.tree {
        tree(&mut out, &chosen)?;
    } else if arguments.names {
        chosen.iter().try_for_each(|record| writeln!(out, "{}", output::shown(&record.entry.path)))?;
    } else {
        let width = chosen.iter().map(|record| record.entry.size.to_string().len()).max().unwrap_or(0);
        chosen.iter().try_for_each(|record| writeln!(out, "{}", list::line(&record.entry, width)))?;
    }
    Ok(out.flush()?)
}

fn levels(record: &Record) -> usize {
    record.entry.path.split(|byte| *byte == b'/').count()
}

/// Each entry below the last one that is above it, two blanks further in.
fn tree(out: &mut impl Write, records: &[&Record]) -> io::Result<()> {
    let mut above: Vec<&[u8]> = Vec::new();
    for record in records {
        let entry = &record.entry;
        while above
            .last()
            .is_some_and(|directory| !entry.path.strip_prefix(*directory).is_some_and(|rest| rest.starts_with(b"/")))
        {
            above.pop();
        }
        let name = if above.is_empty() { &entry.path[..] } else { split_parent(&entry.path).1 };
        let (mark, target) = match entry.kind {
            Kind::Directory => ("/", String::new()),
            Kind::Symlink => ("", format!(" -> {}", output::shown(&entry.link))),
            Kind::HardLink => ("", format!(" link to {}", output::shown(&entry.link))),
            Kind::Fifo => ("|", String::new()),
            Kind::Socket => ("=", String::new()),
            Kind::File | Kind::Sparse => ("", String::new()),
        };
        writeln!(out, "{:indent$}{}{mark}{target}", "", output::shown(name), indent = 2 * above.len())?;
        if entry.kind == Kind::Directory {
            above.push(&entry.path);
        }
    }
    Ok(())
}
