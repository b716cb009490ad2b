//! `phasesplit cache pull`: the states that are missing here, from caches. Builds nothing.

use std::collections::BTreeSet;
use std::ffi::OsString;

use clap::Args;

use super::chains::{self, Package};
use super::found::{self, Found};
use super::outcome::{self, Outcome, Row};
use super::refusal::Refusal;
use super::{CacheArgs, transfer_options};
use crate::cache::failure::Failure;
use crate::cache::{Answer, place};
use crate::gcroot::{Roots, package_key};
use crate::nix::chain::Stage;
use crate::nix::events::Event;
use crate::nix::{Nix, fetch, store};
use crate::report::progress::Progress;
use crate::status::Status;

/// The arguments of `phasesplit cache pull`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Ends with 1 where a stage is not to be had: no cache has it, or it is unsigned, signed by a key that is not trusted, or
corrupt; with 4 where a cache does not tell or fetching fails; with 0 where all is here in the end.")]
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
    source: Result<&'a str, String>,
}

/// Runs `phasesplit cache pull`.
pub fn run(arguments: &PullArgs) -> Result<Status, Refusal> {
    let packages = chains::evaluate(&arguments.cache)?;
    chains::check_stages(&arguments.only, &packages)?;
    let found = found::ask(&arguments.cache, &arguments.from, &packages)?;
    let all_told = found.warn();
    let is_wanted = |stage: &Stage| arguments.only.is_empty() || arguments.only.contains(&stage.stage);
    let mut rows = Vec::new();
    let mut wanted = Vec::new();
    for package in &packages {
        for stage in package.chain.stages.iter().filter(|stage| is_wanted(stage)) {
            if package.is_here(stage) {
                rows.push(row(package, stage, Outcome::There, String::new()));
            } else {
                wanted.push(Wanted { package, stage, source: source(&found, stage) });
            }
        }
    }
    let paths: Vec<&str> = wanted.iter().filter(|wanted| wanted.source.is_ok()).flat_map(missing).collect();
    let failure = fetch_all(arguments, &paths)?;
    let lacking: BTreeSet<String> = store::invalid_paths(&Nix::default(), &paths)?.into_iter().collect();
    let roots = Roots::of_user().ok();
    for wanted in &wanted {
        let (outcome, note) = match &wanted.source {
            Err(why) => (Outcome::NotToBeHad, why.clone()),
            Ok(_) if missing(wanted).any(|path| lacking.contains(path)) => {
                (Outcome::Failed, failure.as_ref().map(ToString::to_string).unwrap_or_default())
            }
            Ok(url) => {
                keep(roots.as_ref(), wanted);
                (Outcome::Pulled, format!("from {}", place::short(url)))
            }
        };
        rows.push(row(wanted.package, wanted.stage, outcome, note));
    }
    outcome::write(&rows, arguments.json)?;
    if let Some(failure) = failure.filter(|_| !lacking.is_empty()) {
        return Ok(Refusal::cache("not all could be fetched", &failure).tell());
    }
    let is_complete = rows.iter().all(|row| row.outcome != Outcome::NotToBeHad);
    Ok(match (is_complete, all_told) {
        (true, _) => Status::Success,
        (false, true) => Status::Input,
        (false, false) => Status::Environment,
    })
}

fn row(package: &Package, stage: &Stage, outcome: Outcome, note: String) -> Row {
    Row {
        package: package.chain.name.clone(),
        stage: stage.stage.clone(),
        path: stage.path().to_owned(),
        outcome,
        note,
    }
}

/// The outputs of a stage that are not here.
fn missing<'a>(wanted: &Wanted<'a>) -> impl Iterator<Item = &'a str> {
    let package = wanted.package;
    wanted.stage.outputs.values().filter(|path| package.missing.contains(*path)).map(String::as_str)
}

/// The first cache that Nix takes a stage from; where there is none, what is wrong with what each has.
fn source<'a>(found: &'a Found, stage: &Stage) -> Result<&'a str, String> {
    let mut why = Vec::new();
    for (at, (answer, (url, _))) in found.of_stage(stage).iter().zip(&found.caches).enumerate() {
        match answer {
            answer if found.is_usable(at, answer) => return Ok(url),
            Answer::Missing => {}
            Answer::Untold(failure) => why.push(format!("{}: {}", place::short(url), failure.word())),
            Answer::There(held) => why.push(format!("{}: {}", place::short(url), held.verdict.told())),
        }
    }
    Err(if why.is_empty() { "no cache has it".to_owned() } else { why.join("; ") })
}

/// Has Nix fetch the paths; what it says where it fails.
fn fetch_all(arguments: &PullArgs, paths: &[&str]) -> Result<Option<Failure>, Refusal> {
    if paths.is_empty() {
        return Ok(None);
    }
    let mut options = transfer_options(&arguments.cache);
    if !arguments.from.is_empty() {
        options.extend(["--option", "substituters"].map(OsString::from));
        options.push(arguments.from.join(" ").into());
    }
    let progress = Progress::new();
    progress.status(format!("fetching {} paths", paths.len()));
    let transfer = fetch::fetch_all(paths, &options, |event| match event {
        Event::FetchStarted { path, from, .. } if !from.is_empty() => {
            let line = format!("fetching {path} from {from}");
            progress.status(line.clone());
            progress.step(&line);
        }
        Event::Message { level: 1, text } => progress.line(text),
        _ => {}
    })?;
    progress.finish();
    Ok((!transfer.succeeded).then(|| Failure::of_nix(&transfer.said)))
}

/// Keeps a state from the garbage collector, as if it had been built here. It is as good without: that fails is told.
fn keep(roots: Option<&Roots>, wanted: &Wanted<'_>) {
    let Some(roots) = roots.filter(|_| !wanted.package.is_result(wanted.stage)) else { return };
    let key = package_key(&wanted.package.chain.name, &wanted.package.identity);
    let link = roots.of_stage(&key, &wanted.stage.stage);
    if let Err(error) = roots.register(&Nix::default(), &link, wanted.stage.path()) {
        anstream::eprintln!("warning: {} is not protected from garbage collection: {error}", wanted.stage.path());
    }
}
