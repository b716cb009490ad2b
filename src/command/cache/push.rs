//! `phasesplit cache push`: the states that are here, to a binary cache or another store.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::chains::{self, Package};
use super::found::{self, Found};
use super::moves::Moves;
use super::outcome::{self, Outcome, Row};
use super::refusal::Refusal;
use super::{CacheArgs, pinned, sources, transfer_options};
use crate::cache::failure::Failure;
use crate::cache::judge::Verdict;
use crate::cache::{Answer, place};
use crate::diagnostic::Problem;
use crate::nix::chain::Stage;
use crate::nix::copy;
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

    /// Push only these stages; finish is the package itself
    #[arg(long, value_name = "STAGE,…", value_delimiter = ',')]
    pub only: Vec<String>,

    /// Push the package too, not only its states
    #[arg(long, conflicts_with = "only")]
    pub with_outputs: bool,

    /// Push what fetchers brought too: sources, patches, vendored crates
    ///
    /// Who continues from a state with an edit needs them, and may not be able to fetch them.
    #[arg(long)]
    pub with_sources: bool,

    /// How the cache packs what it gets; Nix's own choice is xz
    #[arg(long, value_name = "none|zstd|xz|gzip|bzip2", value_enum, hide_possible_values = true)]
    pub compression: Option<Compression>,

    /// Sign with the secret key in FILE, as `nix-store --generate-binary-cache-key` writes it
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,

    /// Push this store path too, though it continues from a pinned state; may be repeated
    #[arg(long, value_name = "STORE_PATH")]
    pub pinned: Vec<String>,

    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// How a cache packs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Compression {
    /// Not at all.
    None,
    /// zstd.
    Zstd,
    /// xz.
    Xz,
    /// gzip.
    Gzip,
    /// bzip2.
    Bzip2,
}

impl Compression {
    fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Zstd => "zstd",
            Self::Xz => "xz",
            Self::Gzip => "gzip",
            Self::Bzip2 => "bzip2",
        }
    }
}

/// Runs `phasesplit cache push`.
pub fn run(arguments: &PushArgs) -> Result<Status, Refusal> {
    let target = target(arguments)?;
    let key = arguments.key.as_deref().map(copy::public_key).transpose()?;
    let packages = chains::evaluate(&arguments.cache)?;
    chains::check_stages(&arguments.only, &packages)?;
    let mut rows = Vec::new();
    let mut wanted: Vec<(&Package, &Stage)> = Vec::new();
    for package in &packages {
        for stage in package.chain.stages.iter().filter(|stage| arguments.wants(package, stage)) {
            if package.is_here(stage) {
                wanted.push((package, stage));
            } else {
                let note = "it was not built, or is no longer in the store".to_owned();
                rows.push(row(package, stage, Outcome::NotHere, note));
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
    let ask = || {
        let urls = [arguments.to.clone()];
        found::ask_with(&arguments.cache, &urls, key.as_deref(), &packages)
    };
    // That a directory is no cache yet is no reason to stop: Nix makes it one.
    let before = ask()?;
    copy(arguments, &target, &paths)?;
    let after = ask()?;
    let mut all_there = after.warn();
    for (package, stage) in &wanted {
        let row = pushed(package, stage, &before, &after, key.is_some());
        all_there &= row.outcome != Outcome::Failed;
        rows.push(row);
    }
    for path in &arguments.pinned {
        let (package, stage) = ("pinned".to_owned(), String::new());
        rows.push(Row { package, stage, path: path.clone(), outcome: Outcome::Pushed, note: path.clone() });
    }
    outcome::write(&rows, arguments.json)?;
    let is_lacking = !arguments.only.is_empty() && rows.iter().any(|row| row.outcome == Outcome::NotHere);
    Ok(match (all_there, is_lacking) {
        (false, _) => Status::Environment,
        (true, true) => Status::Input,
        (true, false) => Status::Success,
    })
}

impl PushArgs {
    fn wants(&self, package: &Package, stage: &Stage) -> bool {
        if self.only.is_empty() {
            self.with_outputs || !package.is_result(stage)
        } else {
            self.only.contains(&stage.stage)
        }
    }
}

/// The URL with what the user says of packing and signing.
fn target(arguments: &PushArgs) -> Result<String, Refusal> {
    let mut url = arguments.to.clone();
    let parameters = [
        ("compression", "--compression", arguments.compression.map(|compression| compression.name().to_owned())),
        ("secret-key", "--key", arguments.key.as_ref().map(|file| file.display().to_string())),
    ];
    for (name, option, value) in parameters {
        let Some(value) = value else { continue };
        if !place::is_binary_cache(&url) {
            let problem = Problem::new("cache/option", format!("{option} means nothing to the store {url}"));
            let help = "only binary caches (file, http, https, s3) keep packed and signed copies; sign what another store \
                gets with `nix store sign`";
            return Err(Refusal::usage(problem.help(help)));
        }
        url = place::with_parameter(&url, name, &value);
    }
    Ok(url)
}

fn copy(arguments: &PushArgs, target: &str, paths: &[&str]) -> Result<(), Refusal> {
    let progress = Progress::new();
    progress.status(format!("copying {} paths to {}", paths.len(), place::short(target)));
    let mut moves = Moves::new(&progress, "copying");
    let transfer = copy::copy_to(target, paths, &transfer_options(&arguments.cache), |event| moves.tell(event))?;
    progress.finish();
    if transfer.succeeded {
        return Ok(());
    }
    Err(Refusal::cache(&format!("cannot push to {}", arguments.to), &Failure::of_nix(&transfer.said)))
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

/// What became of a stage: the cache is believed, not Nix.
fn pushed(package: &Package, stage: &Stage, before: &Found, after: &Found, signs: bool) -> Row {
    let was = before.of_stage(stage).into_iter().next().unwrap_or(Answer::Missing);
    let is = after.of_stage(stage).into_iter().next().unwrap_or(Answer::Missing);
    let outcome = match (&was, &is) {
        (_, Answer::Missing | Answer::Untold(_)) => Outcome::Failed,
        (Answer::There(_), Answer::There(_)) => Outcome::There,
        (_, Answer::There(_)) => Outcome::Pushed,
    };
    let note = match &is {
        Answer::Missing => "Nix says that it was copied, but it is not there".to_owned(),
        Answer::Untold(failure) => failure.to_string(),
        Answer::There(held) => {
            let is_lacking = match held.verdict {
                Verdict::Unsigned | Verdict::WrongKey(_) => signs && outcome == Outcome::There,
                Verdict::Corrupt(_) => true,
                Verdict::Signed(_) | Verdict::ContentAddressed | Verdict::Unjudged => false,
            };
            // Signing what somebody else put there would vouch for it.
            let advice = if is_lacking { ": delete it there to push it anew" } else { "" };
            held.verdict.told() + advice
        }
    };
    row(package, stage, outcome, note)
}
