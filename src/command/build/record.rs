//! What stays of a build: the roots of its states, from the moment each is there, and the record of it, so that `explain` and
//! `--pin` know what was there before.

use std::path::Path;

use super::pin::PinnedState;
use super::report::{Outcome, StageReport};
use super::run::{Input, Wish};
pub(super) use crate::gcroot::record::RecordedFailure;
use crate::gcroot::record::{self, Record, RecordedStage};
use crate::gcroot::register::NewState;
use crate::gcroot::running::Running;
use crate::gcroot::{RootError, Roots};
use crate::nix::Nix;
use crate::nix::chain::{Chain, Stage};
use crate::nix::watch::Watch;
use crate::report::human;
use crate::report::progress::Progress;

/// A build that is over.
pub(super) struct Made<'a> {
    pub(super) input: &'a Input,
    pub(super) wish: &'a Wish,
    pub(super) chain: &'a Chain,
    pub(super) rows: &'a [StageReport],
    pub(super) succeeded: bool,
    /// What the stage that failed left, where it was kept.
    pub(super) failed: Option<RecordedFailure>,
}

/// Keeps what a build makes from the garbage collector, each state as soon as it is there.
///
/// The build is as good without: what cannot be kept is told once and passed over.
pub(super) struct Keeper<'a> {
    nix: &'a Nix,
    roots: &'a Roots,
    chain: &'a Chain,
    key: &'a str,
    progress: &'a Progress,
    /// No policy gives up what the build uses while this is there.
    _running: Option<Running>,
}

impl<'a> Keeper<'a> {
    /// Says which states the build uses, before it does.
    pub(super) fn begin(
        nix: &'a Nix,
        roots: &'a Roots,
        chain: &'a Chain,
        key: &'a str,
        pin: Option<&PinnedState>,
        progress: &'a Progress,
    ) -> Self {
        let paths: Vec<&str> =
            chain.stages.iter().map(Stage::path).chain(pin.map(|pinned| pinned.state.as_str())).collect();
        // `roots gc` may be deleting, and that may wait for a collection of Nix's own.
        progress.status("waiting for `phasesplit roots`");
        let running = roots.begin(&paths).inspect_err(|error| {
            progress.line(&format!("warning: `phasesplit roots prune` does not see this build: {error}"));
        });
        Self { nix, roots, chain, key, progress, _running: running.ok() }
    }

    /// Keeps the state of a stage that has just ended. Where that fails, the end of the build tells.
    pub(super) fn see(&self, watch: &Watch) {
        let Some((drv, _)) = watch.just_ended() else { return };
        if watch.build(drv).is_none_or(|build| build.failure.is_some()) {
            return;
        }
        if let Some(stage) = self.chain.stages.iter().find(|stage| stage.drv_path == drv)
            && Path::new(stage.path()).exists()
        {
            let _ = self.roots.keep_state(self.nix, &self.state(&stage.stage, stage.path(), drv));
        }
    }

    /// Keeps and records what was built, and applies the user's policies.
    pub(super) fn end(self, made: &Made<'_>) {
        self.record(made);
        match self.roots.prune_after_build() {
            Ok(None) => {}
            Ok(Some(pruned)) => {
                for error in &pruned.failed {
                    self.progress.line(&format!("warning: a state could not be given up: {error}"));
                }
                if !pruned.given_up.is_empty() {
                    let (count, size) = (pruned.given_up.len(), human::size(pruned.frees));
                    let line =
                        format!("older states were given up: {count}; `phasesplit roots gc` deletes them ({size})");
                    self.progress.line(&line);
                }
            }
            Err(error) => self.progress.line(&format!("warning: no state was given up: {error}")),
        }
    }

    fn record(&self, made: &Made<'_>) {
        let identity = &made.input.identity;
        // The newest of all its versions: what a failed build of a new one did not reach is still the old one's.
        let before = self.roots.last_record(identity).unwrap_or_else(|error| {
            self.progress.line(&format!("warning: {error}; this build is recorded without it"));
            None
        });
        let record = made.record(before.as_ref());
        // The roots first: a record should name nothing that is gone.
        if let Err(error) = self.keep_all(made) {
            self.progress.line(&format!("warning: the states are not protected from garbage collection: {error}"));
        }
        for stage in made.rows.iter().filter(|row| row.outcome.has_state()) {
            self.roots.forget_failed(self.key, &stage.stage);
        }
        if let Err(error) = self.roots.write_record(&record, identity) {
            self.progress.line(&format!("warning: the next build cannot be explained: {error}"));
        }
    }

    fn keep_all(&self, made: &Made<'_>) -> Result<(), RootError> {
        for row in made.rows {
            if row.outcome.has_state() {
                self.roots.keep_state(self.nix, &self.state(&row.stage, &row.path, &row.drv))?;
            } else if made.succeeded && row.outcome == Outcome::NotNeeded {
                self.roots.keep_derivation(self.nix, self.key, &row.stage, &row.drv)?;
            }
        }
        Ok(())
    }

    fn state<'b>(&'b self, stage: &'b str, path: &'b str, drv: &'b str) -> NewState<'b> {
        NewState { package: &self.chain.name, key: self.key, stage, path, drv }
    }
}

impl Made<'_> {
    /// What is recorded: of each stage of the chain the last that there is of it, from now or from before.
    fn record(&self, before: Option<&Record>) -> Record {
        let old = before.map(|record| record.stages.as_slice()).unwrap_or_default();
        // A chain behind a pin begins behind it: what was known of the stages up to there is still what they are.
        let until_pin = self.wish.pin.as_ref().and_then(|pin| old.iter().position(|stage| stage.stage == pin.stage));
        let kept = old[..until_pin.map_or(0, |at| at + 1)].iter().cloned();
        let stages = self.chain.stages.iter().filter_map(|stage| {
            let old = old.iter().find(|old| old.stage == stage.stage);
            self.known(&stage.stage, old).or_else(|| old.cloned())
        });
        Record {
            format: record::FORMAT,
            package: self.chain.name.clone(),
            identity: String::from_utf8_lossy(&self.input.identity).replace('\0', " -A "),
            split: blake3::hash(self.input.split.as_bytes()).to_hex().to_string(),
            time: record::now(),
            stages: kept.chain(stages).collect(),
            failed: self.failures(before.filter(|record| record.package == self.chain.name)),
        }
    }

    /// What stages left that failed, in this build or in one before, and have not succeeded since.
    fn failures(&self, before: Option<&Record>) -> Vec<RecordedFailure> {
        let has_state = |stage: &str| self.rows.iter().any(|row| row.stage == stage && row.outcome.has_state());
        let is_new = |stage: &str| self.failed.as_ref().is_some_and(|new| new.stage == stage);
        let old = before.map(|record| record.failed.as_slice()).unwrap_or_default();
        let old = old.iter().filter(|old| !has_state(&old.stage) && !is_new(&old.stage));
        old.chain(&self.failed).cloned().collect()
    }

    /// A stage as this build has it. Of a result that came from a cache, the stages before it were made by what this chain
    /// says, elsewhere.
    fn known(&self, stage: &str, old: Option<&RecordedStage>) -> Option<RecordedStage> {
        let is_known =
            |row: &&StageReport| row.outcome.has_state() || self.succeeded && row.outcome == Outcome::NotNeeded;
        let row = self.rows.iter().filter(is_known).find(|row| row.stage == stage)?;
        let same = old.filter(|old| old.path == row.path);
        Some(RecordedStage {
            stage: row.stage.clone(),
            drv: row.drv.clone(),
            path: row.path.clone(),
            seconds: row.seconds.or_else(|| same.and_then(|old| old.seconds)),
            pinned: self.wish.pin.as_ref().map(|pin| pin.state.clone()),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    use super::*;

    fn row(stage: &str, outcome: Outcome, edit: &str) -> StageReport {
        StageReport {
            stage: stage.to_owned(),
            outcome,
            seconds: (outcome == Outcome::Built).then_some(2.0),
            machine: None,
            bytes: None,
            path: format!("/s/{stage}{edit}"),
            drv: format!("/s/{stage}{edit}.drv"),
        }
    }

    fn chain(stages: &[&str]) -> Chain {
        let stage = |name: &&str| Stage {
            stage: (*name).to_owned(),
            drv_path: String::new(),
            output_name: "out".to_owned(),
            outputs: BTreeMap::new(),
        };
        Chain {
            name: "p-1".to_owned(),
            stages: stages.iter().map(stage).collect(),
            unsplit: stage(&"unsplit"),
            phasesplit: None,
        }
    }

    fn made(input: &Input, chain: &Chain, rows: &[StageReport], succeeded: bool, before: Option<&Record>) -> Record {
        Made { input, wish: &Wish::default(), chain, rows, succeeded, failed: None }.record(before)
    }

    fn paths(record: &Record) -> Vec<(&str, Option<f64>)> {
        record.stages.iter().map(|stage| (stage.path.as_str(), stage.seconds)).collect()
    }

    #[test]
    fn a_failed_build_leaves_what_was_known_of_the_stages_it_did_not_reach() {
        use Outcome::{Built, Failed, NotReached, Reused};
        let input = Input {
            split: String::new(),
            directory: PathBuf::new(),
            identity: b"/p.nix\0a".to_vec(),
            words: Vec::new(),
            host: false,
        };
        let chain = chain(&["unpack", "build", "finish"]);
        let rows = [row("unpack", Built, "1"), row("build", Built, "1"), row("finish", Built, "1")];
        let first = made(&input, &chain, &rows, true, None);
        assert_eq!(first.identity, "/p.nix -A a");
        let rows = [row("unpack", Reused, "1"), row("build", Built, "2"), row("finish", Failed, "2")];
        let second = made(&input, &chain, &rows, false, Some(&first));
        assert_eq!(paths(&second), [("/s/unpack1", Some(2.0)), ("/s/build2", Some(2.0)), ("/s/finish1", Some(2.0))]);
        let rows = [row("unpack", Failed, "3"), row("build", NotReached, "3"), row("finish", NotReached, "3")];
        assert_eq!(made(&input, &chain, &rows, false, None).stages, []);
        assert_eq!(paths(&made(&input, &chain, &rows, false, Some(&first))), paths(&first));
    }

    #[test]
    fn what_a_finished_build_did_not_need_is_what_its_chain_says() {
        let input = Input {
            split: String::new(),
            directory: PathBuf::new(),
            identity: Vec::new(),
            words: Vec::new(),
            host: false,
        };
        let rows = [row("unpack", Outcome::NotNeeded, "1"), row("finish", Outcome::Fetched, "1")];
        let record = made(&input, &chain(&["unpack", "finish"]), &rows, true, None);
        assert_eq!(paths(&record), [("/s/unpack1", None), ("/s/finish1", None)]);
        // A chain that has lost a stage forgets it, one that was built up to a stage keeps the others.
        let rows = [row("unpack", Outcome::Built, "2")];
        let next = made(&input, &chain(&["unpack", "finish"]), &rows, true, Some(&record));
        assert_eq!(paths(&next), [("/s/unpack2", Some(2.0)), ("/s/finish1", None)]);
        assert_eq!(paths(&made(&input, &chain(&["unpack"]), &rows, true, Some(&next))), [("/s/unpack2", Some(2.0))]);
    }
}
