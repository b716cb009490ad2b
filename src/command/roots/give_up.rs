//! `phasesplit roots prune` and `gc`.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use super::list::marks;
use super::{Trouble, write_json};
use crate::gcroot::config::{Age, Config, Size};
use crate::gcroot::given_up::{Pruned, Short};
use crate::gcroot::list::Root;
use crate::gcroot::names::StageName;
use crate::gcroot::policy::{Policy, Why};
use crate::gcroot::{Roots, record};
use crate::nix::Nix;
use crate::report::human;
use crate::report::table::{self, Column};
use crate::status::Status;

/// The arguments of `phasesplit roots prune`.
#[derive(Args, Clone, Debug)]
pub struct PruneArgs {
    /// Keep so many states of each stage of each package: those used last
    #[arg(long, value_name = "N")]
    pub keep_last: Option<usize>,

    /// Keep all states of this stage; may be repeated
    #[arg(long, value_name = "STAGE")]
    pub keep_stage: Vec<StageName>,

    /// Give up what was not used for so long: 90min, 12h, 14d, 2w
    #[arg(long, value_name = "AGE")]
    pub older_than: Option<Age>,

    /// Give up what was not used for longest until the states take no more than this: 500M, 20G
    ///
    /// Counted are the lengths of the files of each state and of the layers below it, each once.
    #[arg(long, value_name = "SIZE")]
    pub max_size: Option<Size>,

    /// Look only at this package, with or without version; may be repeated
    #[arg(long, value_name = "NAME")]
    pub package: Vec<String>,

    /// Look only at this stage; may be repeated
    #[arg(long, value_name = "STAGE")]
    pub stage: Vec<StageName>,

    /// Only say what would be given up
    #[arg(long)]
    pub dry_run: bool,

    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// The arguments of `phasesplit roots gc`.
#[derive(Args, Clone, Debug)]
pub struct GcArgs {
    /// Only say what would be deleted
    #[arg(long)]
    pub dry_run: bool,

    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// What `prune --json` says.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PruneReport<'a> {
    dry_run: bool,
    given_up: Vec<GivenUp<'a>>,
    frees: u64,
    left: u64,
    /// What is left where that is more than the size: the rest is protected.
    #[serde(skip_serializing_if = "Option::is_none")]
    over: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    short: Option<ShortReport<'a>>,
}

/// Where more than a hundredth of the size stays free: the state that was used last of those without room, and its need.
#[derive(Serialize)]
struct ShortReport<'a> {
    free: u64,
    next: &'a str,
    needs: u64,
}

#[derive(Serialize)]
struct GivenUp<'a> {
    why: Why,
    #[serde(flatten)]
    root: &'a Root,
}

/// What `gc --json` says.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GcReport {
    dry_run: bool,
    deleted: Vec<String>,
    bytes: u64,
    still_used: Vec<String>,
}

impl PruneArgs {
    fn policies(&self) -> Result<Vec<Policy>, Trouble> {
        let policy = Policy {
            keep_last: self.keep_last,
            older_than: self.older_than.map(|age| age.0),
            max_size: self.max_size.map(|size| size.0),
            keep_stages: self.keep_stage.iter().map(|stage| stage.0.clone()).collect(),
            packages: self.package.clone(),
            stages: self.stage.iter().map(|stage| stage.0.clone()).collect(),
        };
        if !policy.is_empty() {
            return Ok(vec![policy]);
        }
        if self.package.is_empty() && self.stage.is_empty() {
            return Ok(Config::of_user().map_err(crate::gcroot::RootError::from)?.policies);
        }
        Err(Trouble::Input(
            "--package and --stage say where to look, and nothing says what to give up: add --keep-last, --older-than or \
             --max-size, or use `phasesplit roots rm`"
                .to_owned(),
        ))
    }
}

/// Runs `phasesplit roots prune`.
pub(super) fn prune(roots: &Roots, arguments: &PruneArgs) -> Result<Status, Trouble> {
    let policies = arguments.policies()?;
    let pruned = roots.prune(&policies, arguments.dry_run)?;
    if arguments.json {
        let given_up = pruned.given_up.iter().map(|(root, why)| GivenUp { why: *why, root }).collect();
        let (frees, left, over) = (pruned.frees, pruned.left, pruned.over);
        let short = pruned.short.as_ref();
        let short = short.map(|short| ShortReport { free: short.free, next: &short.next.path, needs: short.needs });
        write_json(&PruneReport { dry_run: arguments.dry_run, given_up, frees, left, over, short })?;
    } else {
        write!(io::stdout().lock(), "{}", text(&pruned, arguments.dry_run, record::now()))?;
    }
    for error in &pruned.failed {
        anstream::eprintln!("error: {error}");
    }
    if let Some(short) = &pruned.short {
        anstream::eprintln!("note: {}", why_short(short));
    }
    if let Some(left) = pruned.over {
        let left = human::size(left);
        anstream::eprintln!(
            "warning: {left} are left: the rest is protected by --keep options, `roots add` or a running build"
        );
    }
    Ok(if pruned.failed.is_empty() { Status::Success } else { Status::Environment })
}

/// Why not all of a size is used.
fn why_short(short: &Short) -> String {
    let (package, stage) = short.next.state().unwrap_or_default();
    let (free, needs) = (human::size(short.free), human::size(short.needs));
    format!("{free} of the size stay free: the next state, {package}@{stage}, needs {needs} ({})", short.next.path)
}

fn text(pruned: &Pruned, dry: bool, now: u64) -> String {
    if pruned.given_up.is_empty() {
        return "nothing is given up\n".to_owned();
    }
    let columns = [
        Column::Text("package"),
        Column::Text("stage"),
        Column::Number("size"),
        Column::Number("used"),
        Column::Text("why"),
        Column::Text("mark"),
        Column::Text("path"),
    ];
    let rows = pruned.given_up.iter().map(|(root, why)| {
        let (package, stage) = root.state().unwrap_or_default();
        let why = match why {
            Why::NotKept => "not to be kept",
            Why::Old => "too old",
            Why::Size => "no room",
        };
        vec![
            package.to_owned(),
            stage.to_owned(),
            human::size(root.bytes.unwrap_or(0)),
            human::ago(Duration::from_secs(now.saturating_sub(root.last_used))),
            why.to_owned(),
            marks(root),
            root.path.clone(),
        ]
    });
    let mut text = table::render(&columns, rows);
    let count = pruned.given_up.len();
    let (states, frees) = (human::count(count, "state"), human::size(pruned.frees));
    let (were, them) = if count == 1 { ("was", "it") } else { ("were", "them") };
    let _ = if dry {
        writeln!(text, "{states} would be given up, and {frees} be free after `phasesplit roots gc`")
    } else {
        writeln!(text, "{states} {were} given up; `phasesplit roots gc` deletes {them}, which frees {frees}")
    };
    text
}

/// Runs `phasesplit roots gc`: a line for each store path.
pub(super) fn gc(roots: &Roots, arguments: &GcArgs) -> Result<Status, Trouble> {
    let mut status = Status::Success;
    let report = if arguments.dry_run {
        let deleted = roots.to_collect()?;
        let bytes = deleted.iter().map(|(_, bytes)| bytes).sum();
        let deleted = deleted.into_iter().map(|(path, _)| path).collect();
        GcReport { dry_run: true, deleted, bytes, still_used: Vec::new() }
    } else {
        let collected = roots.collect(&Nix::default())?;
        for path in &collected.alive {
            anstream::eprintln!(
                "note: {path} stays: something else uses it (`nix-store --query --roots {path}` says what)"
            );
        }
        if !collected.needed.is_empty() {
            let more = human::count(collected.needed.len(), "more state");
            anstream::eprintln!(
                "note: {more} cannot go yet: states that are rooted, or running builds, continue from there"
            );
        }
        for (path, words) in &collected.failed {
            anstream::eprintln!("error: {path} stays: {words}");
            status = Status::Environment;
        }
        let bytes = collected.deleted.iter().map(|(_, bytes)| bytes).sum();
        let deleted = collected.deleted.into_iter().map(|(path, _)| path).collect();
        let still_used = collected.alive.into_iter().chain(collected.needed).collect();
        GcReport { dry_run: false, deleted, bytes, still_used }
    };
    if arguments.json {
        write_json(&report)?;
        return Ok(status);
    }
    let mut out = io::stdout().lock();
    for path in &report.deleted {
        writeln!(out, "{path}")?;
    }
    let would = match report.deleted.len() {
        _ if arguments.dry_run => "would be deleted",
        1 => "was deleted",
        _ => "were deleted",
    };
    let unless = if arguments.dry_run { ", unless something else uses them" } else { "" };
    let (count, size) = (human::count(report.deleted.len(), "state"), human::size(report.bytes));
    anstream::eprintln!("{count} {would}, {size}{unless}");
    Ok(status)
}
