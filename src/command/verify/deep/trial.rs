//! Runs of a stage with more than it has: built, and read.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Instant;

use super::differ::Opened;
use crate::command::build::run::{Input, options};
use crate::command::build::{explain, status_of};
use crate::nix::build::{Target, build_all};
use crate::nix::chain::Stage;
use crate::nix::deep::{self, Given};
use crate::nix::events::Event;
use crate::nix::watch::Watch;
use crate::nix::{Nix, NixError, Tool, store};
use crate::report::progress::Progress;
use crate::status::Status;

/// What a run came to.
#[derive(Debug)]
pub enum Ran {
    /// Its state.
    State(Box<Opened>),
    /// It failed.
    Failed(Failed),
}

/// A run that failed.
#[derive(Debug, Clone)]
pub struct Failed {
    /// The phase it was in, where the builder said so.
    pub phase: Option<String>,
    /// Nix's words.
    pub message: String,
    /// The last lines of its log.
    pub log: Vec<String>,
}

/// Something to build.
pub struct Run<'a> {
    /// The derivation.
    pub stage: &'a Stage,
    /// What it is, for a person.
    pub label: String,
}

/// The package, and the runs so far.
pub struct Trials<'a> {
    input: &'a Input,
    package: &'a str,
    nix: Nix,
    runs: HashMap<(String, Given), Rc<Ran>>,
    /// How many derivations were built, or were there.
    pub count: usize,
}

/// Reports an error of Nix.
pub fn told(error: NixError) -> Status {
    let error = error.into();
    anstream::eprint!("{}", explain(&error));
    status_of(&error)
}

impl<'a> Trials<'a> {
    /// No runs yet.
    pub fn new(input: &'a Input, package: &'a str, nix_options: &[std::ffi::OsString]) -> Self {
        Self { input, package, nix: Nix::new(options(input, nix_options)), runs: HashMap::new(), count: 0 }
    }

    /// Nix, where relative paths of the package start.
    pub fn evaluator(&self) -> Nix {
        self.nix.clone().in_directory(&self.input.directory)
    }

    /// A stage that is given these alone; the same is run once.
    pub fn given(&mut self, stage: &str, given: Given) -> Result<Rc<Ran>, Status> {
        let key = (stage.to_owned(), given);
        if let Some(ran) = self.runs.get(&key) {
            return Ok(ran.clone());
        }
        let derivation = deep::evaluate_given(&self.evaluator(), &self.input.split, stage, &key.1).map_err(told)?;
        let count = key.1.names.len() + key.1.inputs.len();
        let label = format!("stage {stage} with {count} of what is held back");
        let mut ran = self.all(&[Run { stage: &derivation, label }])?;
        let Some(ran) = ran.pop() else { return Err(Status::Environment) };
        let ran = Rc::new(ran);
        self.runs.insert(key, ran.clone());
        Ok(ran)
    }

    /// Notes a run that was made with others.
    pub fn note(&mut self, stage: &str, given: Given, ran: Ran) -> Rc<Ran> {
        let ran = Rc::new(ran);
        self.runs.insert((stage.to_owned(), given), ran.clone());
        ran
    }

    /// Builds all of these at once, and reads what they left. That one of them fails is a result.
    pub fn all(&mut self, runs: &[Run<'_>]) -> Result<Vec<Ran>, Status> {
        self.count += runs.len();
        let watch = self.build(runs)?;
        let paths: Vec<&str> = runs.iter().map(|run| run.stage.path()).collect();
        let invalid = store::invalid_paths(&self.nix, &paths).map_err(told)?;
        runs.iter().map(|run| self.ran(run, &watch, &invalid)).collect()
    }

    fn ran(&self, run: &Run<'_>, watch: &Watch, invalid: &[String]) -> Result<Ran, Status> {
        if !invalid.iter().any(|path| path == run.stage.path()) {
            return match Opened::at(run.stage.path()) {
                Ok(opened) => Ok(Ran::State(Box::new(opened))),
                Err(refusal) => Err(refusal.tell()),
            };
        }
        let build = watch.build(&run.stage.drv_path).filter(|build| build.failure.is_some() && build.lost.is_none());
        let Some(build) = build else {
            anstream::eprintln!("error: {}, {}: it could not be built: {}", self.package, run.label, words(watch));
            return Err(Status::Environment);
        };
        Ok(Ran::Failed(Failed {
            phase: build.phase.clone(),
            message: build.failure.clone().unwrap_or_default(),
            log: build.tail.iter().cloned().collect(),
        }))
    }

    fn build(&self, runs: &[Run<'_>]) -> Result<Watch, Status> {
        let progress = Progress::new();
        let label = |drv: &str| runs.iter().find(|run| run.stage.drv_path == drv).map(|run| run.label.as_str());
        let (start, mut watch) = (Instant::now(), Watch::default());
        let targets: Vec<Target<'_>> =
            runs.iter().map(|run| Target { drv: &run.stage.drv_path, output: &run.stage.output_name }).collect();
        // Each is asked for on its own: one that fails says nothing of the others.
        let nix = self.nix.clone().with(["--keep-going".into()]);
        progress.status(format!("{}: {}", self.package, runs.first().map_or("", |run| run.label.as_str())));
        let ended = build_all(&nix, &targets, None, |event| {
            watch.take(&event, start.elapsed());
            if let Some((drv, _)) = watch.just_ended()
                && let Some(label) = label(drv)
            {
                let failed = watch.build(drv).is_some_and(|build| build.failure.is_some());
                progress.step(&format!("{label}: {}", if failed { "failed" } else { "done" }));
            }
            if let Event::BuildStarted { drv, .. } = &event
                && let Some(label) = label(drv)
            {
                progress.status(format!("{}: {label}", self.package));
            }
        })
        .map_err(told)?;
        progress.finish();
        if !ended.status.success() && watch.failed().next().is_none() {
            let cause = self.nix.cause_of(Tool::Build, watch.transcript(), ended.status);
            let operation = format!("cannot build the stages of {} to compare with", self.package);
            return Err(told(NixError { operation, command: ended.command, cause }));
        }
        Ok(watch)
    }
}

/// Nix's last words about a build that never began.
fn words(watch: &Watch) -> String {
    watch.errors().last().cloned().unwrap_or_else(|| "Nix does not say why".to_owned())
}
