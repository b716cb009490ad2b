//! The two results: builds the split package, the unsplit one, and the unsplit one once more.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::command::build::run::{self, BuildError, Input, Wish};
use crate::command::build::warnings;
use crate::command::build::{explain, status_of};
use crate::gcroot::Roots;
use crate::nix::build::{Ended, Target, build_all};
use crate::nix::chain::{self, Chain, Stage};
use crate::nix::events::Event;
use crate::nix::watch::Watch;
use crate::nix::{Nix, NixError, Tool, sandbox, store};
use crate::report::human;
use crate::report::progress::Progress;
use crate::source::drv;
use crate::status::Status;

/// Output names and their paths.
pub type Outputs = Vec<(String, PathBuf)>;

/// Both results, in the store.
#[derive(Debug)]
pub struct Sides {
    /// The package's `name`.
    pub package: String,
    /// The outputs of the split package.
    pub split: Outputs,
    /// The outputs of the unsplit package.
    pub unsplit: Outputs,
    /// The staged prefixes that stages before finish saw.
    pub staged: Outputs,
    /// The stages.
    pub stages: Vec<Stage>,
    /// The unsplit package's derivation.
    unsplit_stage: Stage,
    nix: Nix,
}

/// What building the unsplit package again came to.
#[derive(Debug)]
pub enum Check {
    /// Nix found every output the same, byte by byte.
    Agrees,
    /// These outputs differ: what they were this time.
    Differs(Outputs),
}

/// A failure that has been told.
fn told(error: &BuildError) -> Status {
    anstream::eprint!("{}", explain(error));
    status_of(error)
}

impl Sides {
    /// Builds both, each output of them. What goes wrong is told on standard error.
    pub fn build(input: &Input, options: &[OsString], roots: Option<&Roots>) -> Result<Self, Status> {
        // The split package as `build` makes it: its progress, its roots, its report of a failure.
        let wish = Wish { nix_options: options.to_vec(), ..Wish::default() };
        let report = run::run(input, &wish, roots).map_err(|error| told(&error))?;
        if let Some(failure) = &report.failure {
            anstream::eprint!("{}", report.table());
            anstream::eprintln!("error: {}: {failure}", report.package);
            return Err(Status::Build);
        }
        anstream::eprint!("{}", warnings::text(&report.warnings));
        let mut all = if input.host { sandbox::toolchain_options() } else { Vec::new() };
        all.extend(options.iter().cloned());
        let nix = Nix::new(all);
        let evaluated = chain::evaluate(&nix.clone().in_directory(&input.directory), &input.split);
        let (Chain { name, stages, unsplit, .. }, _) = evaluated.map_err(|error| told(&error.into()))?;
        let Some(finish) = stages.last() else { return Err(Status::Environment) };
        let sides = Self {
            package: name,
            split: outputs(finish),
            unsplit: outputs(&unsplit),
            staged: staged(finish),
            stages: stages.clone(),
            unsplit_stage: unsplit,
            nix,
        };
        // Of the split package more outputs may be wanted than the one that stands for it.
        sides.realise(finish, "split")?;
        sides.realise(&sides.unsplit_stage, "unsplit")?;
        Ok(sides)
    }

    fn realise(&self, stage: &Stage, label: &str) -> Result<(), Status> {
        let paths: Vec<&str> = stage.outputs.values().map(String::as_str).collect();
        let missing = store::invalid_paths(&self.nix, &paths).map_err(|error| told(&error.into()))?;
        if missing.is_empty() {
            return Ok(());
        }
        let (ended, watch) = self.run_build(&self.nix, stage, label)?;
        if ended.status.success() { Ok(()) } else { Err(self.failed(&ended, &watch, label)) }
    }

    /// Builds the unsplit package again and has Nix compare: it keeps what differs as `<path>.check` and stops at the first
    /// output that does.
    pub fn build_again(&self) -> Result<Check, Status> {
        let nix = self.nix.clone().with(["--check".into(), "--keep-failed".into()]);
        let (ended, watch) = self.run_build(&nix, &self.unsplit_stage, "unsplit again")?;
        if ended.status.success() {
            return Ok(Check::Agrees);
        }
        // Seen on 2.8: «derivation '…' may not be deterministic: output '…' differs from '….check'».
        let words = format!("{}\n{}", watch.transcript(), watch.errors().join("\n"));
        let copies: Outputs = self
            .unsplit
            .iter()
            .map(|(name, path)| (name.clone(), PathBuf::from(format!("{}.check", path.display()))))
            .filter(|(_, copy)| words.contains(&format!("{}", copy.display())) && copy.symlink_metadata().is_ok())
            .collect();
        if copies.is_empty() { Err(self.failed(&ended, &watch, "unsplit again")) } else { Ok(Check::Differs(copies)) }
    }

    /// Frees the copies that a check left, where this user may: Nix's garbage collection takes them otherwise.
    pub fn forget(&self, copies: &Outputs) {
        let args = ["--delete".as_ref()].into_iter().chain(copies.iter().map(|(_, path)| path.as_os_str()));
        if let Err(error) = self.nix.run(Tool::Store, "cannot delete the copy to compare with", args, b"") {
            anstream::eprintln!("note: {error}; the next garbage collection takes it");
        }
    }

    /// The unsplit package's `.drv`.
    pub fn unsplit_drv(&self) -> &str {
        &self.unsplit_stage.drv_path
    }

    fn run_build(&self, nix: &Nix, stage: &Stage, label: &str) -> Result<(Ended, Watch), Status> {
        let progress = Progress::new();
        progress.status(format!("{}: {label}", self.package));
        progress.step(&format!("{label}: started"));
        let (start, mut watch) = (Instant::now(), Watch::default());
        let targets: Vec<Target> = stage.outputs.keys().map(|output| Target { drv: &stage.drv_path, output }).collect();
        let ended = build_all(nix, &targets, None, |event| {
            watch.take(&event, start.elapsed());
            if let Event::Phase { phase, .. } = &event {
                progress.status(format!("{}: {label}, {phase}", self.package));
            }
        });
        let word = if ended.as_ref().is_ok_and(|ended| ended.status.success()) { "done" } else { "ended" };
        progress.step(&format!("{label}: {word} after {}", human::seconds(start.elapsed())));
        progress.finish();
        Ok((ended.map_err(|error| told(&error.into()))?, watch))
    }

    /// Tells why a build failed.
    fn failed(&self, ended: &Ended, watch: &Watch, label: &str) -> Status {
        let Some((drv, failed)) = watch.failed().next() else {
            let cause = self.nix.cause_of(Tool::Build, watch.transcript(), ended.status);
            let operation = format!("cannot build {} ({label})", self.package);
            return told(&NixError { operation, command: ended.command.clone(), cause }.into());
        };
        let message = failed.failure.as_deref().unwrap_or("its build failed");
        anstream::eprintln!("error: {}, {label}: {message}", self.package);
        for line in &failed.tail {
            anstream::eprintln!("    > {line}");
        }
        anstream::eprintln!("  full log:  nix-store --read-log {drv}");
        Status::Build
    }
}

fn outputs(stage: &Stage) -> Outputs {
    stage.outputs.iter().map(|(name, path)| (name.clone(), PathBuf::from(path))).collect()
}

/// The staged prefixes, as the last stage is told them (`--outputs "out=PATH dev=PATH"`, nix-lib/split.nix).
fn staged(finish: &Stage) -> Outputs {
    let Some(drv) = std::fs::read(&finish.drv_path).ok().and_then(|bytes| drv::parse(&bytes, &finish.drv_path).ok())
    else {
        return Vec::new();
    };
    let value = drv.args.iter().skip_while(|argument| *argument != "--outputs").nth(1);
    let pairs = value.map(String::as_str).unwrap_or_default().split_whitespace();
    pairs
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, path)| (name.to_owned(), Path::new(path).to_owned()))
        .collect()
}
