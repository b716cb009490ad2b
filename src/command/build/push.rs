//! `build --push`: each state goes to a cache as soon as it is there, while the next stage is built.
//!
//! One thread sends, at a lower priority, all that has come meanwhile at once. What it could not send is tried once more at
//! the end, and then the cache is asked: it is believed, not Nix. A push that fails leaves the build what it is.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::iter;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};

use serde::Serialize;

use super::run::BuildError;
use crate::cache::Patience;
use crate::cache::failure::Failure;
use crate::command::cache::found::{self, Asking, Found};
use crate::command::cache::outcome::{self, Outcome, Row};
use crate::command::cache::sending::{SendArgs, Target};
use crate::command::cache::{failed, pinned, transfer_options};
use crate::command::refusal::Refusal;
use crate::nix::chain::{Chain, Stage};
use crate::nix::watch::Watch;
use crate::nix::{Nix, NixError, store};
use crate::report::progress::Progress;
use crate::status::Status;

/// How much the processor prefers the build to what is sent: a cache packs with much of it.
const NICENESS: i32 = 10;

/// What is to be pushed, and where to.
#[derive(Clone, Debug)]
pub struct Push {
    /// The cache.
    pub target: Target,
    /// Which stages.
    pub send: SendArgs,
}

/// What became of it. Its JSON is an interface: fields may be added, none is renamed or removed.
#[derive(Debug, Serialize)]
pub struct Pushed {
    /// The cache.
    pub to: String,
    /// The stages that were to be pushed, as in `phasesplit cache push --json`.
    pub stages: Vec<Row>,
    /// Why not all of them were.
    #[serde(skip)]
    refusals: Vec<Refusal>,
}

/// The outputs of a stage.
type State = Vec<String>;

/// Sends states while a build makes them.
pub(super) struct Pusher<'a> {
    push: &'a Push,
    nix_options: &'a [OsString],
    package: &'a str,
    stages: Vec<&'a Stage>,
    /// The paths that were handed over.
    sent: Vec<&'a str>,
    sender: Sender<State>,
    worker: JoinHandle<Worked>,
}

/// What the thread comes back with.
struct Worked {
    before: Option<Found>,
    refusals: Vec<Refusal>,
}

impl<'a> Pusher<'a> {
    /// Begins with the stages that are in the store already; `until` are those that are built.
    ///
    /// # Errors
    /// Where a stage is named that the package does not have, or the store cannot be asked.
    pub(super) fn begin(
        push: &'a Push,
        chain: &'a Chain,
        nix_options: &'a [OsString],
        until: &[Stage],
    ) -> Result<Self, BuildError> {
        let names = || chain.stages.iter().map(|stage| stage.stage.as_str());
        if let Some(unknown) = push.send.only.iter().find(|only| names().all(|name| name != *only)) {
            let known = names().collect::<Vec<_>>().join(", ");
            return Err(BuildError::NoSuchStage { package: chain.name.clone(), stage: unknown.clone(), known });
        }
        let last = chain.stages.last().map(|stage| stage.stage.as_str());
        let is_asked =
            |stage: &Stage| !push.send.only.is_empty() || until.iter().any(|built| built.stage == stage.stage);
        let is_wanted = |stage: &&Stage| is_asked(stage) && push.send.wants(stage, Some(stage.stage.as_str()) == last);
        let stages: Vec<&Stage> = chain.stages.iter().filter(is_wanted).collect();
        let (sender, receiver) = mpsc::channel();
        let (target, options) = (push.target.clone(), nix_options.to_vec());
        let wanted: Vec<Stage> = stages.iter().map(|stage| (*stage).clone()).collect();
        let worker = thread::spawn(move || work(&target, &wanted, &options, &receiver));
        let mut pusher = Self { push, nix_options, package: &chain.name, stages, sent: Vec::new(), sender, worker };
        let here = pusher.here()?;
        pusher.hand_over(&here);
        Ok(pusher)
    }

    /// Sends the state of a stage that has just ended.
    pub(super) fn see(&mut self, watch: &Watch) {
        let Some((drv, _)) = watch.just_ended() else { return };
        if watch.build(drv).is_some_and(|build| build.failure.is_none()) {
            let ended: Vec<&Stage> = self.stages.iter().copied().filter(|stage| stage.drv_path == drv).collect();
            self.hand_over(&ended);
        }
    }

    /// The stages that are in the store, with all outputs.
    fn here(&self) -> Result<Vec<&'a Stage>, NixError> {
        let outputs = |stage: &'a Stage| stage.outputs.values().map(String::as_str);
        let paths: Vec<&str> = self.stages.iter().copied().flat_map(outputs).collect();
        let missing = store::invalid_paths(&Nix::default(), &paths)?;
        let is_here = |stage: &&Stage| stage.outputs.values().all(|path| !missing.contains(path));
        Ok(self.stages.iter().copied().filter(is_here).collect())
    }

    fn hand_over(&mut self, stages: &[&'a Stage]) {
        for stage in stages {
            if !self.sent.contains(&stage.path()) {
                self.sent.push(stage.path());
                // A thread that has ended says so at the end.
                let _ = self.sender.send(stage.outputs.values().cloned().collect());
            }
        }
    }

    /// Sends what is left, and looks what the cache has then.
    pub(super) fn end(mut self, progress: &Progress) -> Pushed {
        let here = self.here();
        if let Ok(here) = &here {
            self.hand_over(here);
        }
        progress.status(format!("pushing to {}", self.push.target.to));
        drop(self.sender);
        let ended = Failure::Other("what pushes ended unexpectedly".to_owned());
        let lost = |_| Worked { before: None, refusals: vec![failed("cannot push", &ended)] };
        let Worked { before, mut refusals } = self.worker.join().unwrap_or_else(lost);
        let here = here.unwrap_or_else(|error| {
            refusals.push(error.into());
            Vec::new()
        });
        let is_here = |stage: &&&Stage| here.iter().any(|there| there.drv_path == stage.drv_path);
        let target = &self.push.target;
        let mut stages: Vec<Row> = Vec::new();
        match ask(target, self.nix_options, &here) {
            Ok(after) => {
                stages.extend(here.iter().map(|stage| target.row(self.package, stage, before.as_ref(), &after)));
                // What failed on the way does not matter where all is there in the end.
                if !here.is_empty() && stages.iter().all(|row| row.outcome != Outcome::Failed) {
                    refusals.clear();
                }
            }
            Err(refusal) => refusals.push(refusal),
        }
        let not_here = |stage: &Stage| Row::new(self.package, stage, Outcome::NotHere, outcome::NOT_HERE.to_owned());
        stages.extend(self.stages.iter().filter(|stage| !is_here(stage)).map(|stage| not_here(stage)));
        Pushed { to: target.to.clone(), stages, refusals }
    }
}

/// What the cache has of stages.
fn ask(target: &Target, nix_options: &[OsString], stages: &[&Stage]) -> Result<Found, Refusal> {
    let how = Asking { patience: Patience::default(), nix_options };
    found::ask(
        &how,
        std::slice::from_ref(&target.to),
        target.key.as_deref(),
        stages.iter().flat_map(|stage| stage.outputs.values()),
    )
}

/// The thread: sends what comes until nothing comes any more.
fn work(target: &Target, stages: &[Stage], nix_options: &[OsString], made: &Receiver<State>) -> Worked {
    // On Linux this is the thread's own, and what it starts inherits it. It is as good without.
    let _ = rustix::process::nice(NICENESS);
    // That a directory is no cache yet is no reason to stop: Nix makes it one.
    let before = ask(target, nix_options, &stages.iter().collect::<Vec<_>>()).ok();
    let options = transfer_options(&Asking { patience: Patience::default(), nix_options });
    let send = |paths: &[String]| {
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        target.copy(&paths, &options, |_| {})
    };
    let mut refusals = Vec::new();
    let mut left: Vec<State> = Vec::new();
    while let Ok(first) = made.recv() {
        let (batch, held_back) = divide(iter::once(first).chain(made.try_iter()));
        for (state, why) in held_back {
            match why {
                // Nix ended a stage, and it is not there: not yet, or it was given up.
                Refusal::Nix(_) => left.push(state),
                why => refusals.push(why),
            }
        }
        // It may be better later; what it was is told only where it is not.
        if !batch.is_empty() && send(&batch.concat()).is_err() {
            left.extend(batch);
        }
    }
    // Nix may have refused what a stage made.
    let paths: Vec<&str> = left.iter().flatten().map(String::as_str).collect();
    let missing = store::invalid_paths(&Nix::default(), &paths).unwrap_or_default();
    left.retain(|state| !state.iter().any(|path| missing.contains(path)));
    let (batch, held_back) = divide(left);
    refusals.extend(held_back.into_iter().map(|(_, why)| why));
    if !batch.is_empty() {
        refusals.extend(send(&batch.concat()).err());
    }
    Worked { before, refusals }
}

/// The states that may be passed on, and the others, each with why not.
fn divide(states: impl IntoIterator<Item = State>) -> (Vec<State>, Vec<(State, Refusal)>) {
    let (mut allowed, mut held_back) = (Vec::new(), Vec::new());
    for state in states {
        let outputs: Vec<&str> = state.iter().map(String::as_str).collect();
        match pinned::check(&outputs, &[]) {
            Ok(()) => allowed.push(state),
            Err(why) => held_back.push((state, why)),
        }
    }
    (allowed, held_back)
}

impl Pushed {
    /// What to say behind the table of the build.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for outcome in [Outcome::Pushed, Outcome::There, Outcome::NotHere, Outcome::Failed] {
            let rows: Vec<&Row> = self.stages.iter().filter(|row| row.outcome == outcome).collect();
            if !rows.is_empty() {
                let names: Vec<&str> = rows.iter().map(|row| row.stage.as_str()).collect();
                let _ = writeln!(text, "{}: {}: {}", self.to, outcome.word(), names.join(" "));
            }
        }
        text
    }

    /// Tells why not all is there; how the build ends for it.
    pub fn tell(&self, named: bool) -> Status {
        let told: Vec<Status> = self.refusals.iter().map(Refusal::tell).collect();
        let failed = self.stages.iter().any(|row| row.outcome == Outcome::Failed);
        let lacking = named && self.stages.iter().any(|row| row.outcome == Outcome::NotHere);
        match told.first() {
            Some(status) => *status,
            None if failed => Status::Environment,
            None if lacking => Status::Input,
            None => Status::Success,
        }
    }
}
