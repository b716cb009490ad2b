//! `phasesplit cache pull`: the states that are missing here, from caches. Builds nothing.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;

use clap::Args;

use super::chains::{self, Package};
use super::found::{self, Found};
use super::moves::Moves;
use super::outcome::{self, Outcome, Row};
use super::{CacheArgs, failed, transfer_options};
use crate::cache::failure::Failure;
use crate::cache::{Answer, place};
use crate::command::refusal::Refusal;
use crate::gcroot::register::NewState;
use crate::gcroot::{Roots, package_key};
use crate::nix::chain::Stage;
use crate::nix::{Nix, fetch, store};
use crate::report::progress::Progress;
use crate::status::Status;

/// The arguments of `phasesplit cache pull`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Ends with 1 where a cache has a stage only unsigned, signed by a key that is not trusted, or corrupt, and where no cache has
a stage of --only, or any stage at all; with 4 where fetching fails, or a stage is not to be had and a cache does not tell;
else with 0.")]
pub struct PullArgs {
    /// Which packages, and how caches are asked.
    #[command(flatten)]
    pub cache: CacheArgs,

    /// Fetch from this cache instead of the configured ones; may be repeated
    #[arg(long, value_name = "URL")]
    pub from: Vec<String>,

    /// Fetch only these stages; finish is the package itself
    #[arg(long, value_name = "STAGE,…", value_delimiter = ',')]
    pub only: Vec<String>,

    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// A stage that is not here.
struct Wanted<'a> {
    package: &'a Package,
    stage: &'a Stage,
    /// The URL of the first cache that it can be had from, or why there is none.
    source: Result<&'a str, NotToBeHad>,
}

/// Why there is no cache that a stage can be had from.
struct NotToBeHad {
    why: String,
    /// Whether a cache has it, and Nix would not take it.
    refused: bool,
}

/// Runs `phasesplit cache pull`.
pub fn run(arguments: &PullArgs) -> Result<Status, Refusal> {
    let packages = chains::evaluate(&arguments.cache)?;
    chains::check_stages(&arguments.only, &packages)?;
    let found = found::ask_for(&arguments.cache, &arguments.from, &packages)?;
    let all_told = found.warn();
    let is_wanted = |stage: &Stage| arguments.only.is_empty() || arguments.only.contains(&stage.stage);
    let mut rows = Vec::new();
    let mut wanted = Vec::new();
    for package in &packages {
        for stage in package.chain.stages.iter().filter(|stage| is_wanted(stage)) {
            if package.is_here(stage) {
                rows.push(Row::new(&package.chain.name, stage, Outcome::There, String::new()));
            } else {
                wanted.push(Wanted { package, stage, source: source(&found, stage) });
            }
        }
    }
    let paths: Vec<&str> = wanted.iter().filter(|wanted| wanted.source.is_ok()).flat_map(missing).collect();
    // The links that keep the states until phasesplit's own do; they go with this directory.
    let meanwhile = tempfile::tempdir()?;
    let failure = fetch_all(arguments, &paths, &meanwhile.path().join("fetched"))?;
    let lacking: BTreeSet<String> = store::invalid_paths(&Nix::default(), &paths)?.into_iter().collect();
    let roots = Roots::of_user().ok();
    for wanted in &wanted {
        let (outcome, note) = match &wanted.source {
            Err(lacking) => (Outcome::NotToBeHad, lacking.why.clone()),
            Ok(_) if missing(wanted).any(|path| lacking.contains(path)) => {
                (Outcome::Failed, failure.as_ref().map(ToString::to_string).unwrap_or_default())
            }
            Ok(url) => {
                keep(roots.as_ref(), wanted);
                (Outcome::Pulled, format!("from {}", place::short(url)))
            }
        };
        rows.push(Row::new(&wanted.package.chain.name, wanted.stage, outcome, note));
    }
    outcome::write(&rows, arguments.json)?;
    if let Some(failure) = failure.filter(|_| !lacking.is_empty()) {
        return Ok(failed("not all could be fetched", &failure).tell());
    }
    let is_refused = wanted.iter().any(|wanted| matches!(wanted.source, Err(NotToBeHad { refused: true, .. })));
    let is_empty = !rows.iter().any(|row| matches!(row.outcome, Outcome::Pulled | Outcome::There));
    let is_lacking = rows.iter().any(|row| row.outcome == Outcome::NotToBeHad);
    Ok(match (is_refused || is_empty || is_lacking && !arguments.only.is_empty(), all_told) {
        (false, true) => Status::Success,
        (true, true) => Status::Input,
        (false, false) if !is_lacking => Status::Success,
        (_, false) => Status::Environment,
    })
}

/// The outputs of a stage that are not here.
fn missing<'a>(wanted: &Wanted<'a>) -> impl Iterator<Item = &'a str> {
    let package = wanted.package;
    wanted.stage.outputs.values().filter(|path| package.missing.contains(*path)).map(String::as_str)
}

/// The first cache that Nix takes a stage from; where there is none, what is wrong with what each has.
fn source<'a>(found: &'a Found, stage: &Stage) -> Result<&'a str, NotToBeHad> {
    let mut why = Vec::new();
    let mut refused = false;
    for (at, (answer, (url, _))) in found.of_stage(stage).iter().zip(&found.caches).enumerate() {
        match answer {
            answer if found.is_usable(at, answer) => return Ok(url),
            Answer::Missing => {}
            Answer::Untold(failure) => why.push(format!("{}: {}", place::short(url), failure.word())),
            Answer::There(held) => {
                refused = true;
                why.push(format!("{}: {}", place::short(url), held.verdict.told()));
            }
        }
    }
    Err(NotToBeHad { why: if why.is_empty() { "no cache has it".to_owned() } else { why.join("; ") }, refused })
}

/// Has Nix fetch the paths; what it says where it fails.
fn fetch_all(arguments: &PullArgs, paths: &[&str], root: &Path) -> Result<Option<Failure>, Refusal> {
    if paths.is_empty() {
        return Ok(None);
    }
    let mut options = transfer_options(&arguments.cache.asking());
    if !arguments.from.is_empty() {
        options.extend(["--option", "substituters"].map(OsString::from));
        options.push(arguments.from.join(" ").into());
    }
    let progress = Progress::new();
    progress.status(format!("fetching {} paths", paths.len()));
    let mut moves = Moves::new(&progress, "fetching");
    let transfer = fetch::fetch_all(paths, &options, Some(root), |event| moves.tell(event))?;
    progress.finish();
    Ok((!transfer.succeeded).then(|| Failure::of_nix(&transfer.said)))
}

/// Keeps a state from the garbage collector, as if it had been built here. It is as good without: that fails is told.
fn keep(roots: Option<&Roots>, wanted: &Wanted<'_>) {
    let Some(roots) = roots.filter(|_| !wanted.package.is_result(wanted.stage)) else { return };
    let key = package_key(&wanted.package.chain.name, &wanted.package.identity);
    let Stage { stage, drv_path, .. } = wanted.stage;
    let state =
        NewState { package: &wanted.package.chain.name, key: &key, stage, path: wanted.stage.path(), drv: drv_path };
    if let Err(error) = roots.keep_state(&Nix::default(), &state) {
        anstream::eprintln!("warning: {} is not protected from garbage collection: {error}", wanted.stage.path());
    }
}
