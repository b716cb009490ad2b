//! `phasesplit plan`: what belongs to each stage of a package and why, and which states are there already.
//!
//! Builds nothing. The result (a table, JSON or a graph) goes to standard output, talk to standard error. The parts:
//! [`report`] says it, [`graph`] draws it.

pub mod graph;
pub mod report;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::Path;

use clap::{Args, ValueEnum};

use super::build::run::BuildError;
use super::build::{explain, provide, status_of};
use super::cache::found::{self, Asking, Found};
use super::r#gen::{self, GenRequest, Generated};
use super::{colour, objects, size};
use crate::cache::Patience;
use crate::cache::failure::Failure;
use crate::cli::PackageArgs;
use crate::diagnostic;
use crate::gcroot::Roots;
use crate::gcroot::record::Record;
use crate::nix::chain::{self, Chain, Stage, StagePlan};
use crate::nix::{Nix, store};
use crate::phase::script;
use crate::plan::Entry;
use crate::state::info;
use crate::status::Status;
use report::{CacheRow, Moved, Pin, ReadsAll, RefusedRow, Report, Row};

/// The arguments of `phasesplit plan`.
#[derive(Args, Clone, Debug)]
pub struct PlanArgs {
    /// The package.
    #[command(flatten)]
    pub package: PackageArgs,

    /// Write the plan as JSON
    #[arg(long, conflicts_with = "graph")]
    pub json: bool,

    /// Write the chain as a graph: what each stage is the first to get, and where its state is
    #[arg(long, value_name = "dot|mermaid", value_enum, hide_possible_values = true)]
    pub graph: Option<Form>,

    /// Ask no binary cache
    #[arg(long)]
    pub offline: bool,

    /// Options for Nix, such as `--option substituters URL` or `--argstr NAME VALUE`
    #[arg(last = true, value_name = "NIX OPTIONS")]
    pub nix_options: Vec<OsString>,
}

/// The languages for graphs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// Graphviz.
    Dot,
    /// Mermaid, as in Markdown on many forges.
    Mermaid,
}

/// Runs `phasesplit plan`.
pub fn run(arguments: &PlanArgs) -> Status {
    let mut request = GenRequest::of(&arguments.package);
    request.nix_options.clone_from(&arguments.nix_options);
    let generated = match objects::fill(&mut request, &arguments.package).and_then(|()| r#gen::generate(&request)) {
        Ok(generated) => generated,
        Err(error) => {
            anstream::eprint!("{}", error.render(colour()));
            return error.status;
        }
    };
    r#gen::warn(&generated);
    let report = match look(arguments, &generated) {
        Ok(report) => report,
        Err(error) => {
            anstream::eprint!("{}", explain(&error));
            return status_of(&error);
        }
    };
    match write(arguments, &report) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            anstream::eprintln!("error: cannot write to standard output: {error}");
            Status::Environment
        }
        _ => Status::Success,
    }
}

fn write(arguments: &PlanArgs, report: &Report) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match arguments.graph {
        _ if arguments.json => {
            serde_json::to_writer_pretty(&mut out, report)?;
            writeln!(out)
        }
        Some(Form::Dot) => out.write_all(graph::dot(report).as_bytes()),
        Some(Form::Mermaid) => out.write_all(graph::mermaid(report).as_bytes()),
        None => out.write_all(report.table().as_bytes()),
    }
}

/// Evaluates the split package and looks for its states.
fn look(arguments: &PlanArgs, generated: &Generated) -> Result<Report, BuildError> {
    // What is not protected from the garbage collector does not matter here: nothing is built.
    let roots = Roots::of_user().ok();
    provide(&objects::wanted(generated, &arguments.package), roots.as_ref())?;
    let nix = Nix::new(arguments.nix_options.iter().cloned());
    let (chain, warnings) = chain::evaluate(&nix.clone().in_directory(&generated.directory), &generated.text)?;
    for line in warnings.lines().filter(|line| !line.trim().is_empty()) {
        anstream::eprintln!("{line}");
    }
    let paths: Vec<&str> = chain.stages.iter().flat_map(outputs).collect();
    let missing: BTreeSet<String> = store::invalid_paths(&nix, &paths)?.into_iter().collect();
    let caches = ask_caches(arguments, &chain, &missing);
    if let Some(found) = &caches {
        found.warn();
    }
    // A help, never the truth: one that cannot be read is `build`'s to complain of.
    let record = roots.and_then(|roots| roots.last_record(&generated.identity).ok().flatten());
    Ok(report(&Seen { generated, chain: &chain, missing: &missing, record: record.as_ref() }, caches.as_ref()))
}

fn outputs(stage: &Stage) -> impl Iterator<Item = &str> {
    stage.outputs.values().map(String::as_str)
}

/// What the configured caches have of the stages that are not here; nothing where they are not asked.
fn ask_caches(arguments: &PlanArgs, chain: &Chain, missing: &BTreeSet<String>) -> Option<Found> {
    if arguments.offline {
        return None;
    }
    // A plan is wanted at once.
    let patience = Patience { retries: 1, ..Patience::default() };
    let how = Asking { patience, nix_options: &arguments.nix_options };
    let lacking = chain.stages.iter().flat_map(outputs).filter(|path| missing.contains(*path));
    match found::ask(&how, &[], None, lacking) {
        Ok(found) => Some(found),
        Err(refusal) => {
            anstream::eprintln!("warning: {}: no binary cache is asked", refusal.words());
            None
        }
    }
}

/// What is known of a package, but for what binary caches have.
struct Seen<'a> {
    generated: &'a Generated,
    chain: &'a Chain,
    missing: &'a BTreeSet<String>,
    /// Of its last build.
    record: Option<&'a Record>,
}

fn report(seen: &Seen<'_>, found: Option<&Found>) -> Report {
    let Seen { generated, chain, .. } = *seen;
    let word = chain.phasesplit.as_ref();
    let plan_of = |stage: &Stage| word.and_then(|word| word.plan.iter().find(|plan| plan.stage == stage.stage));
    let stages: Vec<Row> = chain.stages.iter().map(|stage| row(stage, plan_of(stage), found, seen)).collect();
    let is_there = |name: &str| stages.iter().any(|row| row.stage == name);
    Report {
        package: chain.name.clone(),
        trust: word.map(|word| word.trust.clone()),
        attributes: generated.read_from.word(),
        read: generated.read_from.to_string(),
        pinned: word
            .and_then(|word| word.pinned.as_ref())
            .map(|pin| Pin { stage: pin.stage.clone(), state: pin.state.clone() }),
        left_out: generated.chain.iter().map(Entry::name).filter(|name| !is_there(name)).collect(),
        stages,
        asked: found.is_some(),
        caches: found.into_iter().flat_map(Found::troubles).map(cache_row).collect(),
        hidden: hidden(generated),
    }
}

fn cache_row((url, failure): (String, Option<Failure>)) -> CacheRow {
    CacheRow { url, error: failure.map(|failure| failure.to_string()) }
}

/// How long a stage ran when what is here was made. What finish makes says nothing of it: the record of its build does.
fn seconds(stage: &Stage, record: Option<&Record>) -> Option<f64> {
    match info::read("read the state", Path::new(stage.path())) {
        Ok(info) => Some(info.phases.iter().map(|phase| phase.seconds).sum()),
        Err(_) => record?.stage(&stage.stage).filter(|recorded| recorded.path == stage.path())?.seconds,
    }
}

fn row(stage: &Stage, plan: Option<&StagePlan>, found: Option<&Found>, seen: &Seen<'_>) -> Row {
    let here = outputs(stage).all(|path| !seen.missing.contains(path));
    let held = found.filter(|_| !here).map(|found| found.held(stage)).unwrap_or_default();
    let moved = plan.into_iter().flat_map(|plan| &plan.moved);
    Row {
        stage: stage.stage.clone(),
        phases: plan.map(|plan| plan.phases.clone()).unwrap_or_default(),
        attributes: plan.map(|plan| plan.attributes.clone()).unwrap_or_default(),
        inputs: plan.map(|plan| plan.inputs.clone()).unwrap_or_default(),
        moved: moved
            .map(|(name, moved)| Moved {
                attribute: name.clone(),
                from: moved.from.clone(),
                by: moved.by.clone(),
                reads_all: reads_all(seen.generated, &moved.by, name),
            })
            .collect(),
        here,
        caches: held.iter().map(|(url, _)| (*url).to_owned()).collect(),
        refused: held
            .into_iter()
            .filter_map(|(url, why)| Some(RefusedRow { url: url.to_owned(), why: why?.told() }))
            .collect(),
        bytes: here.then(|| size::of_all(outputs(stage))).flatten(),
        seconds: here.then(|| seconds(stage, seen.record)).flatten(),
        path: stage.path().to_owned(),
        drv: stage.drv_path.clone(),
    }
}

/// Why the script `reader` may read any variable, where it does not name the one that was moved for its sake.
fn reads_all(generated: &Generated, reader: &str, moved: &str) -> Option<ReadsAll> {
    let text = generated.attributes.as_ref()?.attributes.get(reader)?.text()?;
    let finding = script::analyse(text).reads_all.filter(|_| !text.contains(moved))?;
    Some(ReadsAll { reason: finding.reason, line: diagnostic::position(text, finding.span.start).line })
}

/// Attributes that a person does not look for: the derivation's own machinery, and what is empty.
fn hidden(generated: &Generated) -> BTreeSet<String> {
    const MACHINERY: [&str; 9] =
        ["args", "builder", "name", "outputs", "stdenv", "system", "__structuredAttrs", "__ignoreNulls", "userHook"];
    let empty = generated.attributes.iter().flat_map(|found| &found.attributes);
    let empty = empty.filter(|(_, value)| value.is_set() == Some(false)).map(|(name, _)| name.clone());
    MACHINERY.into_iter().map(str::to_owned).chain(empty).collect()
}
