//! Evaluates a generated split package, builds it, roots its states, and reports.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::break_point::NoBreakPoint;
use super::failure::{self, Failure, SafeState, Shell};
use super::kept::{Again, Kept};
use super::look::Named;
use super::pin::{self, PinError, PinnedState};
use super::push::{Push, Pusher};
use super::record;
use super::refused::RefusedState;
use super::report::{Outcome, Pinned, Report, StageReport};
use super::warnings;
use crate::command::size;
use crate::gcroot::{self, Roots};
use crate::nix::build::{Ended, Target, build};
use crate::nix::chain::{self, Chain, Stage};
use crate::nix::events::Event;
use crate::nix::sandbox;
use crate::nix::store;
use crate::nix::watch::{Build, Watch};
use crate::nix::{Cause, Nix, NixError, Tool};
use crate::report::human;
use crate::report::progress::Progress;

/// Where a build can go wrong before a phase fails.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Nix, or the evaluation.
    #[error(transparent)]
    Nix(#[from] NixError),
    /// `--until` names a stage that the package does not have.
    #[error("{package} has no stage `{stage}`; its stages are {known}")]
    NoSuchStage {
        /// The package's `name`.
        package: String,
        /// What was asked for.
        stage: String,
        /// What there is, with commas.
        known: String,
    },
    /// `--break` names no point to stop at.
    #[error(transparent)]
    Break(#[from] NoBreakPoint),
    /// `--pin` names a state that cannot be continued from.
    #[error(transparent)]
    Pin(#[from] PinError),
    /// Nix ended the build, and no derivation is at fault.
    #[error("{}", .0.error)]
    Stopped(Box<Stopped>),
}

/// A build that Nix ended early: a binary cache failed, say, or no builder took a stage.
#[derive(Debug)]
pub struct Stopped {
    /// Why.
    pub error: NixError,
    /// What came of it until then, which is kept, and pushed where that was asked for.
    pub report: Report,
}

/// A split package to build.
#[derive(Debug, Clone)]
pub struct Input {
    /// The text of `split.nix`.
    pub split: String,
    /// The directory its relative paths start in.
    pub directory: PathBuf,
    /// What tells this package from others, the same for each build of it: roots are kept by it.
    pub identity: Vec<u8>,
    /// What names it on a command line, and how it is split; empty where nothing does.
    pub words: Vec<String>,
    /// Whether it is built with the host package set, which needs the machine's toolchain.
    pub host: bool,
}

/// What is wanted of the build.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// The stage to stop after; finish where absent.
    pub until: Option<String>,
    /// The state to continue from, which the text of the split package names too.
    pub pin: Option<PinnedState>,
    /// The link to make, in the current directory.
    pub link: Option<PathBuf>,
    /// Whether what a failing stage leaves is to be kept.
    pub keep_failed: bool,
    /// Where states are pushed to while they are built.
    pub push: Option<Push>,
    /// Nix's own options.
    pub nix_options: Vec<OsString>,
}

impl Wish {
    /// The build, as its command line named it.
    pub(in crate::command) fn named<'a>(&'a self, input: &'a Input) -> Named<'a> {
        let pin = self.pin.as_ref().map(|pin| pin.stage.as_str());
        Named { words: &input.words, pin, nix_options: &self.nix_options }
    }
}

/// Builds, and reports; a failing phase is a report with `failure`, not an error.
///
/// # Errors
/// Where it does not come to building: no Nix, a bad expression, an unknown stage; and where Nix ends the build and no
/// derivation is at fault.
pub fn run(input: &Input, wish: &Wish, roots: Option<&Roots>) -> Result<Report, BuildError> {
    let start = Instant::now();
    run_chain(input, wish, &evaluate(input, &wish.nix_options)?, roots, start)
}

/// Nix's options for a package: the user's behind those that its package set needs.
pub(in crate::command) fn options(input: &Input, nix_options: &[OsString]) -> Vec<OsString> {
    let mut options = if input.host { sandbox::toolchain_options() } else { Vec::new() };
    options.extend_from_slice(nix_options);
    options
}

/// Evaluates a split package; Nix's warnings are told.
///
/// # Errors
/// Nix's.
pub(in crate::command) fn evaluate(input: &Input, nix_options: &[OsString]) -> Result<Chain, NixError> {
    let progress = Progress::new();
    progress.status("evaluating");
    let nix = Nix::new(options(input, nix_options)).in_directory(&input.directory);
    let (chain, warnings) = chain::evaluate(&nix, &input.split)?;
    for line in warnings.lines().filter(|line| !line.trim().is_empty()) {
        progress.line(line);
    }
    Ok(chain)
}

/// Builds a chain that was evaluated, as [`run`] does.
///
/// # Errors
/// As [`run`].
pub(in crate::command) fn run_chain(
    input: &Input,
    wish: &Wish,
    chain: &Chain,
    roots: Option<&Roots>,
    start: Instant,
) -> Result<Report, BuildError> {
    let progress = Progress::new();
    let nix = Nix::new(options(input, &wish.nix_options));
    if let Some(pinned) = &wish.pin {
        pin::check(pinned, chain)?;
    }
    let stages = wanted_stages(chain, wish)?;
    let Some(target) = stages.last() else {
        let package = chain.name.clone();
        return Err(BuildError::NoSuchStage { package, stage: String::new(), known: String::new() });
    };

    let package = gcroot::package_key(&chain.name, &input.identity);
    // Before it is asked what is there: `roots gc` may be about to delete it.
    let keeper = roots.map(|roots| record::Keeper::begin(&nix, roots, chain, &package, wish.pin.as_ref(), &progress));
    let paths: Vec<&str> = stages.iter().map(Stage::path).collect();
    let missing = store::invalid_paths(&nix, &paths)?;
    let was_there = |stage: &Stage| !missing.iter().any(|path| path == stage.path());

    let pushing = wish.push.as_ref();
    let mut pusher = pushing.map(|push| Pusher::begin(push, chain, &wish.nix_options, stages)).transpose()?;
    let mut watch = Watch::default();
    // A link is what keeps the result and what the user looks at: it is made even for a ready one.
    let ended = if wish.link.is_none() && was_there(target) {
        Ok(true)
    } else {
        let target = Target { drv: &target.drv_path, output: &target.output_name };
        let ended = build(&nix, target, wish.link.as_deref(), |event| {
            watch.take(&event, start.elapsed());
            show(&progress, chain, &watch, &event);
            if let Some(keeper) = &keeper {
                keeper.see(&watch);
            }
            if let Some(pusher) = &mut pusher {
                pusher.see(&watch);
            }
        });
        ended.and_then(|ended| judged(&nix, chain, stages, &mut watch, ended))
    };
    // Whatever ended it: from here on nothing keeps what it made from being kept, and pushed.
    let succeeded = matches!(ended, Ok(true));

    // What another build made while this one waited for it; and of a build that did not succeed, what was being fetched may
    // not be there, nor what Nix gave up as it was being built.
    let is_unseen = |stage: &&Stage| !was_there(stage) && (!succeeded || watch.build(&stage.drv_path).is_none());
    let unseen: Vec<&str> = stages.iter().filter(is_unseen).map(Stage::path).collect();
    let (ended, absent) = match store::invalid_paths(&nix, &unseen) {
        Ok(absent) => (ended, absent),
        Err(error) => (ended.and(Err(error)), unseen.iter().map(|path| (*path).to_owned()).collect()),
    };
    let is_there = |stage: &Stage| !absent.iter().any(|path| path == stage.path());
    let built = stages.iter().map(|stage| row(stage, &watch, (was_there(stage), is_there(stage)), succeeded));
    let rows: Vec<StageReport> = wish.pin.iter().map(pinned_row).chain(built).collect();
    let rooted = roots.map(|roots| (roots, package.as_str()));
    let warnings = warnings::collect(&nix, chain, &rows, &watch);
    let mut failure = (!succeeded).then(|| failure(&watch, &rows, input.host, roots, wish.link.as_deref())).flatten();
    let mut failed = None;
    if let Some(failure) = &mut failure
        && let Some(stage) = failure.stage.clone()
        && failure.lost.is_none()
        && wish.keep_failed
    {
        let again = Again { nix: &nix, input, wish, chain, stage: &stage };
        (failure.kept, failed) = again.keep(rooted, &progress);
    }
    if let Some(failure) = &mut failure {
        failure.shell = shell(failure, wish.named(input));
    }
    if let Some(keeper) = keeper {
        progress.status("registering roots");
        keeper.end(&record::Made { input, wish, chain, rows: &rows, succeeded, failed });
    }
    let sent = pusher.map(|pusher| pusher.end(&progress));
    progress.finish();
    let report = Report {
        package: chain.name.clone(),
        until: target.stage.clone(),
        stages: rows,
        outputs: if succeeded { target.outputs.clone() } else { std::collections::BTreeMap::new() },
        warnings,
        link: wish.link.clone().filter(|_| succeeded),
        seconds: start.elapsed().as_secs_f64(),
        pinned: wish.pin.as_ref().map(|pin| Pinned { stage: pin.stage.clone(), state: pin.state.clone() }),
        pushed: sent,
        failure,
        stopped: ended.as_ref().err().map(ToString::to_string),
    };
    match ended {
        Ok(_) => Ok(report),
        Err(error) => Err(BuildError::Stopped(Box::new(Stopped { error, report }))),
    }
}

/// Whether a build succeeded; where it did not and no derivation is at fault, Nix's words.
fn judged(nix: &Nix, chain: &Chain, stages: &[Stage], watch: &mut Watch, ended: Ended) -> Result<bool, NixError> {
    if ended.status.success() {
        return Ok(true);
    }
    if watch.failed().next().is_some() {
        return Ok(false);
    }
    let cause = nix.cause_of(Tool::Build, watch.transcript(), ended.status);
    // What Nix gave up for another reason ended as well.
    if matches!(cause, Cause::Failed { .. })
        && let Some(stage) = refused(nix, stages, watch)?
    {
        watch.refuse(&stage.drv_path);
        return Ok(false);
    }
    Err(NixError { operation: format!("cannot build {}", chain.name), command: ended.command, cause })
}

/// The stage whose phases succeeded and whose outputs Nix refused: for what they refer to, say.
fn refused<'a>(nix: &Nix, stages: &'a [Stage], watch: &Watch) -> Result<Option<&'a Stage>, NixError> {
    let ended =
        stages.iter().rev().find(|stage| watch.build(&stage.drv_path).is_some_and(|build| build.ended.is_some()));
    let Some(stage) = ended else { return Ok(None) };
    let is_there = store::invalid_paths(nix, &[stage.path()])?.is_empty();
    Ok(Some(stage).filter(|_| !is_there))
}

fn wanted_stages<'a>(chain: &'a Chain, wish: &Wish) -> Result<&'a [Stage], BuildError> {
    let Some(until) = wish.until.as_deref() else {
        return Ok(&chain.stages);
    };
    if let Some(at) = chain.stages.iter().position(|stage| stage.stage == until) {
        return Ok(&chain.stages[..=at]);
    }
    let known = chain.stages.iter().map(|stage| stage.stage.as_str()).collect::<Vec<_>>().join(", ");
    Err(match &wish.pin {
        Some(pin) => PinError::Until { until: until.to_owned(), stage: pin.stage.clone(), known }.into(),
        None => BuildError::NoSuchStage { package: chain.name.clone(), stage: until.to_owned(), known },
    })
}

/// The pinned stage's row; those before it have none: they are not looked at.
fn pinned_row(pin: &PinnedState) -> StageReport {
    StageReport {
        stage: pin.stage.clone(),
        outcome: Outcome::Pinned,
        seconds: None,
        machine: None,
        bytes: size::of_all([pin.state.as_str()]),
        path: pin.state.clone(),
        drv: pin.drv.clone(),
    }
}

/// What became of a stage, whose state was there before the build or not, and may be there now.
fn row(stage: &Stage, watch: &Watch, (was_there, is_there): (bool, bool), succeeded: bool) -> StageReport {
    let ran = watch.build(&stage.drv_path);
    let outcome = match ran {
        Some(build) if build.failure.is_some() => Outcome::Failed,
        Some(build) if build.ended.is_some() && is_there => Outcome::Built,
        None if was_there => Outcome::Reused,
        None if is_there && watch.fetched_from(stage.path()).is_some() => Outcome::Fetched,
        // By another build.
        None if is_there => Outcome::Reused,
        None if succeeded => Outcome::NotNeeded,
        Some(_) | None => Outcome::NotReached,
    };
    StageReport {
        stage: stage.stage.clone(),
        outcome,
        seconds: ran.and_then(|b| b.ended.map(|end| end.saturating_sub(b.started).as_secs_f64())),
        machine: ran.map(|build| build.machine.clone()).filter(|machine| !machine.is_empty()),
        bytes: outcome.has_state().then(|| stage_size(stage)).flatten(),
        path: stage.path().to_owned(),
        drv: stage.drv_path.clone(),
    }
}

fn stage_size(stage: &Stage) -> Option<u64> {
    // Outputs that were not asked for may be absent: what is there counts.
    size::of_all(stage.outputs.values().map(String::as_str))
}

fn failure(
    watch: &Watch,
    rows: &[StageReport],
    host: bool,
    roots: Option<&Roots>,
    link: Option<&Path>,
) -> Option<Failure> {
    // A stage's failure first: what else failed is then beside the point.
    let failed_row = rows.iter().position(|row| row.outcome == Outcome::Failed);
    let drv = match failed_row {
        Some(at) => rows[at].drv.as_str(),
        None => watch.failed().next()?.0,
    };
    let build = watch.build(drv)?;
    let before = failed_row.and_then(|at| rows[..at].iter().rev().find(|row| row.outcome.has_state()));
    // It tried that state and could not: whatever else it is, it is not safe.
    let (refused, safe) = match before {
        Some(row) if failure::refuses(&build.tail, &row.path) => (Some(row), None),
        row => (None, row),
    };
    let message = build.failure.clone().unwrap_or_default();
    Some(Failure {
        stage: failed_row.map(|at| rows[at].stage.clone()),
        phase: build.phase.clone().filter(|_| failed_row.is_some()),
        machine: Some(build.machine.clone()).filter(|machine| !machine.is_empty()),
        lost: build.lost.clone(),
        drv: drv.to_owned(),
        hint: host.then(|| toolchain_hint(&message, &build.tail)).flatten(),
        message,
        log_tail: build.tail.iter().cloned().collect(),
        kept: Kept::NotAsked,
        shell: None,
        safe: safe.map(|row| SafeState { stage: row.stage.clone(), path: row.path.clone() }),
        refused: refused.map(|row| RefusedState {
            ahead: failure::is_ahead(&build.tail),
            ..RefusedState::new(&row.stage, &row.path, roots, link)
        }),
    })
}

/// The command that leads to where a stage failed; before the stage, where no phase of it failed.
fn shell(failure: &Failure, named: Named<'_>) -> Option<Shell> {
    let stage = failure.stage.as_deref().filter(|stage| *stage != chain::UNSPLIT && failure.refused.is_none())?;
    if failure.lost.is_some() {
        return None;
    }
    let of_phase = match &failure.kept {
        Kept::State(_) => true,
        Kept::Not { .. } => false,
        // Nix tells in other words that it refused the outputs.
        Kept::NotAsked => failure.phase.is_some() && failure.message.contains("builder"),
    };
    if of_phase {
        return Some(Shell { command: named.shell(stage, true)?, at_failure: true });
    }
    let before = failure.safe.as_ref().filter(|safe| named.pin != Some(&safe.stage))?;
    Some(Shell { command: named.shell(&before.stage, false)?, at_failure: false })
}

/// A daemon ignores `sandbox-paths` of a user it does not trust, and then says only that the
/// builder does not exist.
fn toolchain_hint<'a>(message: &str, tail: impl IntoIterator<Item = &'a String>) -> Option<String> {
    let unseen = |text: &str| {
        text.contains("No such file or directory") && ["/bin/", "/usr/", "/lib"].iter().any(|path| text.contains(path))
    };
    (unseen(message) || tail.into_iter().any(|line| unseen(line) && line.contains("executing"))).then(|| {
        format!(
            "the build cannot see this machine's toolchain: as root, put `sandbox-paths = {}` into \
             /etc/nix/nix.conf, or your user into `trusted-users`, and restart the daemon",
            sandbox::toolchain_paths().join(" ")
        )
    })
}

/// Shows an event of a build.
pub(super) fn show(progress: &Progress, chain: &Chain, watch: &Watch, event: &Event) {
    // An end is told before what came after it.
    if let Some((drv, took)) = watch.just_ended() {
        let failed = watch.build(drv).is_some_and(|build| build.failure.is_some());
        let word = if failed { "failed" } else { "done" };
        let took = human::seconds(took);
        progress.step(&format!("{}: {word} after {took}", label(chain, drv)));
    }
    match event {
        Event::BuildStarted { .. } => {
            if let Some((drv, build)) = watch.just_started() {
                let label = label(chain, drv);
                let on = on(build);
                progress.status(format!("{}: {label}{on}", chain.name));
                progress.step(&format!("{label}: started{on}"));
            }
        }
        Event::Phase { id, phase } => {
            if let Some(drv) = watch.drv_of(*id) {
                let label = label(chain, drv);
                let on = watch.build(drv).map(on).unwrap_or_default();
                progress.status(format!("{}: {label}, {phase}{on}", chain.name));
                progress.step(&format!("{label}: {phase}"));
            }
        }
        Event::FetchStarted { path, from, .. } => {
            progress.status(format!("{}: fetching {} from {from}", chain.name, base_name(path)));
        }
        Event::Message { level: 1, text } => progress.line(text),
        Event::Stopped { .. } | Event::Message { .. } | Event::LogLine { .. } | Event::Text(_) | Event::Other => {}
    }
}

/// Where a build runs, where that is not here.
fn on(build: &Build) -> String {
    if build.machine.is_empty() { String::new() } else { format!(" on {}", build.machine) }
}

/// `stage build` for a stage, the derivation's name for anything else.
fn label(chain: &Chain, drv: &str) -> String {
    chain
        .stages
        .iter()
        .find(|stage| stage.drv_path == drv)
        .map_or_else(|| base_name(drv).trim_end_matches(".drv").to_owned(), |stage| format!("stage {}", stage.stage))
}

/// A store path's name without directory and hash.
fn base_name(path: &str) -> &str {
    let base = path.rsplit('/').next().unwrap_or(path);
    base.split_once('-').map_or(base, |(_, name)| name)
}
