//! Which state a user means: a directory or store path that is one, or a package's stage.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Deserialize;

use crate::cli::PackageArgs;
use crate::command::at_stage::split;
use crate::command::build::look::Named;
use crate::command::r#gen::{self, GenRequest, Generated};
use crate::command::refusal::Refusal;
use crate::command::{build, objects};
use crate::diagnostic::Problem;
use crate::gcroot::Roots;
use crate::inspect::State;
use crate::nix::chain::{self, Chain};
use crate::nix::events::Event;
use crate::nix::question::{self, Mode};
use crate::nix::{Nix, fetch, store, store_path};
use crate::report::progress::Progress;
use crate::status::Status;

/// Which state: for every subcommand of `phasesplit state`.
#[derive(Args, Clone, Debug)]
pub struct StateArgs {
    /// The package, as PKG or PKG@STAGE, or the store path of a state.
    #[command(flatten)]
    pub package: PackageArgs,

    /// The stage, as in PKG@STAGE; the default is the last one before finish whose state is there
    #[arg(long, value_name = "STAGE")]
    pub at: Option<String>,

    /// The state that the stage left when it failed (phasesplit build --keep-failed)
    #[arg(long)]
    pub failed: bool,
}

/// What Nix is told: behind the other arguments of every subcommand of `phasesplit state`.
#[derive(Args, Clone, Debug)]
pub struct NixArgs {
    /// Options for Nix, such as `--option substituters URL` or `--argstr NAME VALUE`
    #[arg(last = true, value_name = "NIX OPTIONS")]
    pub options: Vec<OsString>,
}

/// What is said of PKG in the help of every subcommand.
pub const HELP: &str = "\
PKG may be followed by @STAGE, as in hello.nix@build, or be the store path of a state. Without @STAGE it is the last state \
before finish that is in the store. A state that only a binary cache has is fetched.";

/// Finds the state that the command line names.
pub fn find(arguments: &StateArgs, nix: &NixArgs) -> Result<State, Refusal> {
    let name = arguments.package.package.clone().or_else(|| arguments.package.expression.clone());
    find_named(arguments, nix, &name.unwrap_or_default())
}

/// Refuses an expression where more follows behind PKG: it would be taken for PKG.
pub fn no_expression(arguments: &StateArgs) -> Result<(), Refusal> {
    if arguments.package.expression.is_none() {
        return Ok(());
    }
    let problem = Problem::new("state/expression", "this subcommand takes no -E: what follows would be taken for PKG");
    let help = "name the state by its store path; `phasesplit state info -E EXPR --at STAGE` tells it";
    Err(Refusal::Problem(Status::Usage, Box::new(problem.help(help))))
}

/// Finds another state of the same command line: `name` stands in the place of PKG, and `@STAGE` alone is another stage of
/// the same package.
pub fn find_other(arguments: &StateArgs, nix: &NixArgs, name: &str) -> Result<State, Refusal> {
    let Some(stage) = name.strip_prefix('@') else { return find_named(arguments, nix, name) };
    let mut arguments = arguments.clone();
    if let Some(package) = &arguments.package.package {
        arguments.package.package = Some(split(package).0.to_owned());
    }
    arguments.at = Some(stage.to_owned());
    find(&arguments, nix)
}

fn find_named(arguments: &StateArgs, nix: &NixArgs, name: &str) -> Result<State, Refusal> {
    let is_expression = arguments.package.expression.is_some();
    if !is_expression && let Some(state) = path(name, nix)? {
        return Ok(State::open(&state)?);
    }
    let mut arguments = arguments.clone();
    if !is_expression {
        let (package, stage) = split(name);
        if stage.is_some() && arguments.at.is_some() {
            let problem = Problem::new("state/stage", format!("`{name}` names a stage, and so does --at"));
            return Err(Refusal::Problem(Status::Usage, Box::new(problem.help("name it once"))));
        }
        arguments.package.package = Some(package.to_owned());
        arguments.at = arguments.at.or(stage.map(str::to_owned));
    }
    Ok(State::open(&of_package(&arguments, &nix.options)?)?)
}

/// A state that is named by its path; one that is not in the store is fetched.
fn path(name: &str, nix: &NixArgs) -> Result<Option<PathBuf>, Refusal> {
    let path = Path::new(name);
    if path.is_dir() && (State::is_at(path) || is_store_object(path)) {
        return Ok(Some(path.to_owned()));
    }
    if path.exists() || !is_store_object(path) || split(name).1.is_some() {
        return Ok(None);
    }
    if fetched(name, &nix.options)? {
        return Ok(Some(path.to_owned()));
    }
    let problem = Problem::new("state/gone", format!("{name} is neither in the store nor in a binary cache"));
    Err(Refusal::input(problem.help("name the package and the stage: then the command that builds it is told")))
}

fn is_store_object(path: &Path) -> bool {
    path.parent() == Some(Path::new(&store_path::store_dir())) && path.extension().is_none_or(|last| last != "drv")
}

/// Has a path in the store that a cache has; says so while it does.
fn fetched(path: &str, options: &[OsString]) -> Result<bool, Refusal> {
    let progress = Progress::new();
    progress.status(format!("looking for {path}"));
    let there = fetch::fetch(path, options, |event| {
        if let Event::FetchStarted { path, from, .. } = event {
            progress.status(format!("fetching {path} from {from}"));
            progress.step(&format!("fetching {path} from {from}"));
        }
    })?;
    progress.finish();
    Ok(there)
}

/// The state of a package's stage.
fn of_package(arguments: &StateArgs, options: &[OsString]) -> Result<PathBuf, Refusal> {
    let mut request = GenRequest::of(&arguments.package);
    options.clone_into(&mut request.nix_options);
    objects::fill(&mut request, &arguments.package)?;
    let generated = r#gen::generate(&request)?;
    r#gen::warn(&generated);
    build::provide(&objects::wanted(&generated, &arguments.package), Roots::of_user().ok().as_ref())?;
    let nix = Nix::new(options.iter().cloned()).in_directory(&generated.directory);
    let (chain, warnings) = chain::evaluate(&nix, &generated.text)?;
    anstream::eprint!("{warnings}");
    if arguments.failed {
        return failed(arguments, &nix, options, &generated, &chain);
    }
    let candidates: Vec<&chain::Stage> = match &arguments.at {
        Some(stage) => vec![stage_named(&chain, stage)?],
        None => chain.stages.iter().rev().filter(|stage| !is_result(&chain, &stage.stage)).collect(),
    };
    let paths: Vec<&str> = candidates.iter().map(|stage| stage.path()).collect();
    let missing = store::invalid_paths(&nix, &paths)?;
    if let Some(path) = paths.iter().find(|path| !missing.iter().any(|missing| missing == *path)) {
        return Ok((*path).into());
    }
    for path in paths {
        if fetched(path, options)? {
            return Ok(path.into());
        }
    }
    let what = match &arguments.at {
        Some(stage) => format!("the state of {stage} of {} is neither in the store nor in a binary cache", chain.name),
        None => format!("no state of {} is in the store or in a binary cache", chain.name),
    };
    Err(Refusal::input(Problem::new("state/not-built", what).help(advice(arguments, options, &generated, &chain, &[]))))
}

/// Whether a stage is the last, whose outputs are the package.
fn is_result(chain: &Chain, stage: &str) -> bool {
    chain.stages.last().is_some_and(|last| last.stage == stage)
}

fn stage_named<'a>(chain: &'a Chain, name: &str) -> Result<&'a chain::Stage, Refusal> {
    let usage = |problem| Refusal::Problem(Status::Usage, Box::new(problem));
    let known = || {
        let names = chain.stages.iter().map(|stage| stage.stage.as_str()).filter(|stage| !is_result(chain, stage));
        names.collect::<Vec<_>>().join(", ")
    };
    match chain.stages.iter().find(|stage| stage.stage == name) {
        Some(stage) if is_result(chain, name) => {
            let what = format!("the last stage leaves no state: its outputs are the package, {}", stage.path());
            Err(usage(Problem::new("state/finish", what).help(format!("name one of {}", known()))))
        }
        Some(stage) => Ok(stage),
        None => {
            let what = format!("{} has no stage `{name}`", chain.name);
            Err(usage(Problem::new("state/stage", what).help(format!("its stages with states are {}", known()))))
        }
    }
}

/// What a failed stage is in a split package.
#[derive(Deserialize)]
struct FailedStage {
    outputs: BTreeMap<String, String>,
}

/// The state that a failed stage left: of the stage named, else of the last one that has left one.
fn failed(
    arguments: &StateArgs,
    nix: &Nix,
    options: &[OsString],
    generated: &Generated,
    chain: &Chain,
) -> Result<PathBuf, Refusal> {
    const BODY: &str = "builtins.mapAttrs (_: d: { outputs = builtins.listToAttrs (map (o: { name = o; \
        value = builtins.unsafeDiscardStringContext d.${o}.outPath; }) (d.outputs or [ \"out\" ])); }) (s.failed or { })";
    let operation = "cannot evaluate the split package";
    let (failed, _): (BTreeMap<String, FailedStage>, _) =
        question::ask(nix, Mode::Full, operation, &generated.text, BODY)?;
    let stages: Vec<&str> = match &arguments.at {
        Some(stage) => vec![&stage_named(chain, stage)?.stage],
        None => chain.stages.iter().rev().map(|stage| stage.stage.as_str()).collect(),
    };
    let paths: Vec<&str> =
        stages.iter().filter_map(|stage| failed.get(*stage)?.outputs.values().next().map(String::as_str)).collect();
    let missing = store::invalid_paths(nix, &paths)?;
    let is_there = |path: &&str| !missing.iter().any(|missing| missing == path);
    // A state under that name may be a sound one, if the stage did not fail when it was asked for.
    for path in paths.iter().copied().filter(is_there) {
        if arguments.at.is_some() || State::open(Path::new(path)).is_ok_and(|state| state.info.failed.is_some()) {
            return Ok(path.into());
        }
    }
    for path in paths {
        if missing.iter().any(|missing| missing == path) && fetched(path, options)? {
            return Ok(path.into());
        }
    }
    let stage = arguments.at.as_deref().unwrap_or("any stage");
    let what = format!("no failed state of {stage} of {} is in the store or in a binary cache", chain.name);
    let help = advice(arguments, options, generated, chain, &["--keep-failed"]);
    Err(Refusal::input(Problem::new("state/not-failed", what).help(help)))
}

/// The command that builds the state, and the state of the last build where there is one.
fn advice(
    arguments: &StateArgs,
    nix_options: &[OsString],
    generated: &Generated,
    chain: &Chain,
    options: &[&str],
) -> String {
    let last = chain.stages.iter().rev().map(|stage| &stage.stage).find(|stage| !is_result(chain, stage));
    let stage = arguments.at.as_ref().or(last);
    let named = Named { words: &generated.words, pin: None, nix_options };
    let until = stage.iter().flat_map(|stage| ["--until", stage.as_str()]);
    let command = named.build(&until.chain(options.iter().copied()).collect::<Vec<_>>()).unwrap_or_default();
    let before = Roots::of_user().ok().and_then(|roots| roots.last_record(&generated.identity).ok().flatten());
    let before = before.zip(stage).and_then(|(record, stage)| {
        let path = record.stage(stage)?.path.clone();
        Path::new(&path).exists().then_some(path)
    });
    match before {
        Some(path) if options.is_empty() => format!("build it with `{command}`; what the last build left is {path}"),
        _ => format!("build it with `{command}`"),
    }
}
