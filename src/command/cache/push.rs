//! `phasesplit cache push`: the states that are here, to a binary cache or another store.

use clap::Args;

use super::chains::{self, Package};
use super::moves::Moves;
use super::outcome::{self, Outcome, Row};
use super::sending::{SendArgs, Target};
use super::{CacheArgs, found, pinned, sources, transfer_options};
use crate::cache::place;
use crate::command::refusal::Refusal;
use crate::diagnostic::Problem;
use crate::nix::chain::Stage;
use crate::report::progress::Progress;
use crate::status::Status;

/// The arguments of `phasesplit cache push`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
What goes with a state, such as the state before it, is copied too. Ends with 1 where nothing is here to be pushed, or not
all of --only, or a result is pinned; with 4 where the cache does not take it; else with 0.")]
pub struct PushArgs {
    /// Which packages, and how caches are asked.
    #[command(flatten)]
    pub cache: CacheArgs,

    /// Where to: any store that Nix can copy to, by file:, http:, https:, s3: or ssh:
    #[arg(long, value_name = "URL")]
    pub to: String,

    /// What is sent, and how.
    #[command(flatten)]
    pub send: SendArgs,

    /// Push what fetchers brought too: sources, patches, vendored crates
    ///
    /// Who continues from a state with an edit needs them, and may not be able to fetch them.
    #[arg(long)]
    pub with_sources: bool,

    /// Push this store path too, though it continues from a pinned state; may be repeated
    #[arg(long, value_name = "STORE_PATH")]
    pub pinned: Vec<String>,

    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Runs `phasesplit cache push`.
pub fn run(arguments: &PushArgs) -> Result<Status, Refusal> {
    let target = Target::new(&arguments.to, &arguments.send)?;
    let packages = chains::evaluate(&arguments.cache)?;
    chains::check_stages(&arguments.send.only, &packages)?;
    let mut rows = Vec::new();
    let mut wanted: Vec<(&Package, &Stage)> = Vec::new();
    for package in &packages {
        for stage in package.chain.stages.iter().filter(|stage| arguments.send.wants(stage, package.is_result(stage))) {
            if package.is_here(stage) {
                wanted.push((package, stage));
            } else {
                rows.push(Row::new(&package.chain.name, stage, Outcome::NotHere, outcome::NOT_HERE.to_owned()));
            }
        }
    }
    let mut paths: Vec<&str> =
        wanted.iter().flat_map(|(_, stage)| stage.outputs.values()).map(String::as_str).collect();
    paths.extend(arguments.pinned.iter().map(String::as_str));
    if paths.is_empty() {
        outcome::write(&rows, arguments.json)?;
        let problem = Problem::new("cache/nothing", "none of these stages is in the store");
        return Err(Refusal::input(problem.help("build them first: `phasesplit build`")));
    }
    pinned::check(&paths, &arguments.pinned)?;
    let sources = if arguments.with_sources { sources::of(&packages)? } else { Vec::new() };
    paths.extend(sources.iter().map(String::as_str));
    let urls = [arguments.to.clone()];
    let outputs = || wanted.iter().flat_map(|(_, stage)| stage.outputs.values());
    let ask = || found::ask(&arguments.cache.asking(), &urls, target.key.as_deref(), outputs());
    // That a directory is no cache yet is no reason to stop: Nix makes it one.
    let before = ask()?;
    copy(arguments, &target, &paths)?;
    let after = ask()?;
    let mut all_there = after.warn();
    for (package, stage) in &wanted {
        let row = target.row(&package.chain.name, stage, Some(&before), &after);
        all_there &= row.outcome != Outcome::Failed;
        rows.push(row);
    }
    for path in &arguments.pinned {
        let (package, stage) = ("pinned".to_owned(), String::new());
        rows.push(Row { package, stage, path: path.clone(), outcome: Outcome::Pushed, note: path.clone() });
    }
    outcome::write(&rows, arguments.json)?;
    let is_lacking = !arguments.send.only.is_empty() && rows.iter().any(|row| row.outcome == Outcome::NotHere);
    Ok(match (all_there, is_lacking) {
        (false, _) => Status::Environment,
        (true, true) => Status::Input,
        (true, false) => Status::Success,
    })
}

fn copy(arguments: &PushArgs, target: &Target, paths: &[&str]) -> Result<(), Refusal> {
    let progress = Progress::new();
    progress.status(format!("copying {} paths to {}", paths.len(), place::short(&target.to)));
    let mut moves = Moves::new(&progress, "copying");
    target.copy(paths, &transfer_options(&arguments.cache.asking()), |event| moves.tell(event))
}
