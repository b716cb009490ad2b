//! `--keep-failed`: when a stage failed, has it run once more by the derivation that keeps what it leaves.
//!
//! The stage's own derivation cannot keep it: if it could, asking for it would change every state of the chain. So the
//! split package has a second one for each stage (`failed` in `nix-lib/split.nix`), with the same attributes and the same
//! state to continue from.

use std::path::Path;
use std::time::Instant;

use serde::Serialize;

use super::record::RecordedFailure;
use super::run::{Input, Wish, show};
use crate::gcroot::Roots;
use crate::nix::build::{Target, build};
use crate::nix::chain::{self, Chain, Stage, UNSPLIT};
use crate::nix::watch::Watch;
use crate::nix::{Nix, NixError, store};
use crate::render::escape::nix_string;
use crate::report::progress::Progress;
use crate::state::info;

/// What became of the wish to keep what a failed stage left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Kept {
    /// It was not asked for.
    NotAsked,
    /// It is there.
    State(KeptState),
    /// It is not, and this is why: the end of a sentence.
    Not {
        /// Why.
        reason: String,
    },
}

/// What a failed stage left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeptState {
    /// Its store path.
    pub path: String,
    /// The derivation that kept it.
    pub drv: String,
    /// The phase that failed.
    pub phase: String,
    /// How it ended.
    pub exit_code: u8,
    /// The last lines of its log.
    pub log: String,
    /// Whether it was there from an earlier run of the very same stage.
    pub reused: bool,
    /// The commands that look into it, but for the shell.
    pub look: Vec<String>,
}

/// A failed stage, and what is needed to run it once more.
pub(in crate::command) struct Again<'a> {
    pub(in crate::command) nix: &'a Nix,
    pub(in crate::command) input: &'a Input,
    pub(in crate::command) wish: &'a Wish,
    pub(in crate::command) chain: &'a Chain,
    pub(in crate::command) stage: &'a str,
}

impl Again<'_> {
    /// Runs it, and roots what it left. That it cannot be kept is no other failure than the stage's own.
    pub(in crate::command) fn keep(
        &self,
        roots: Option<(&Roots, &str)>,
        progress: &Progress,
    ) -> (Kept, Option<RecordedFailure>) {
        if self.stage == UNSPLIT {
            let reason = "the package is not split, and only stages can be kept".to_owned();
            return (Kept::Not { reason }, None);
        }
        match self.derivation() {
            Err(error) => (Kept::Not { reason: error.to_string() }, None),
            Ok(again) => self.keep_of(&again, roots, progress),
        }
    }

    /// The same, of the derivation that [`Again::derivation`] gave.
    pub(in crate::command) fn keep_of(
        &self,
        again: &Stage,
        roots: Option<(&Roots, &str)>,
        progress: &Progress,
    ) -> (Kept, Option<RecordedFailure>) {
        progress.status(format!("{}: stage {} once more, to keep what it leaves", self.chain.name, self.stage));
        match self.run(again, progress) {
            Err(error) => (Kept::Not { reason: error.to_string() }, None),
            Ok(Kept::State(state)) => {
                if let Some((roots, package)) = roots {
                    root(self.nix, roots, package, self.stage, &state, progress);
                }
                let recorded = RecordedFailure {
                    stage: self.stage.to_owned(),
                    drv: state.drv.clone(),
                    path: state.path.clone(),
                    phase: state.phase.clone(),
                    exit_code: state.exit_code,
                };
                (Kept::State(state), Some(recorded))
            }
            Ok(kept) => (kept, None),
        }
    }

    /// The derivation that keeps what the stage leaves.
    pub(in crate::command) fn derivation(&self) -> Result<Stage, NixError> {
        let evaluating = self.nix.clone().in_directory(&self.input.directory);
        chain::evaluate_failed(&evaluating, &self.input.split, &nix_string(self.stage))
    }

    fn run(&self, again: &Stage, progress: &Progress) -> Result<Kept, NixError> {
        let reused = store::invalid_paths(self.nix, &[again.path()])?.is_empty();
        if !reused {
            let (start, mut watch) = (Instant::now(), Watch::default());
            let target = Target { drv: &again.drv_path, output: &again.output_name };
            let ended = build(self.nix, target, None, |event| {
                watch.take(&event, start.elapsed());
                show(progress, self.chain, &watch, &event);
            })?;
            if !ended.status.success() {
                let words = watch.build(&again.drv_path).and_then(|build| build.tail.back().cloned());
                let words = words.or_else(|| watch.errors().last().cloned()).unwrap_or_default();
                let reason = format!("it is no phase that fails, so there is nothing to keep: {words}");
                return Ok(Kept::Not { reason });
            }
        }
        let info = match info::read("look at", Path::new(again.path())) {
            Ok(info) => info,
            Err(error) => return Ok(Kept::Not { reason: error.to_string() }),
        };
        let Some(failed) = info.failed else {
            let reason = if self.chain.stages.last().is_some_and(|last| last.stage == self.stage) {
                "its phases succeeded when they ran once more: either they do not fail every time, or Nix refused the outputs \
                 (see the message above)"
            } else {
                "it succeeded when it ran once more: it does not fail every time"
            };
            return Ok(Kept::Not { reason: reason.to_owned() });
        };
        Ok(Kept::State(KeptState {
            look: vec![self.wish.named(self.input).list(self.stage, again.path())],
            path: again.path().to_owned(),
            drv: again.drv_path.clone(),
            phase: failed.phase,
            exit_code: failed.exit_code,
            log: failed.log,
            reused,
        }))
    }
}

fn root(nix: &Nix, roots: &Roots, package: &str, stage: &str, kept: &KeptState, progress: &Progress) {
    let registered = roots
        .register(nix, &roots.of_failed(package, stage), &kept.path)
        .and_then(|()| roots.register_derivation(nix, &roots.of_failed_derivation(package, stage), &kept.drv));
    if let Err(error) = registered {
        progress.line(&format!("warning: {} is not protected from garbage collection: {error}", kept.path));
    }
}
