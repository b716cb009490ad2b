//! `--keep-failed`: when a stage failed, has it run once more by the derivation that keeps what it leaves.
//!
//! The stage's own derivation cannot keep it: if it could, asking for it would change every state of the chain. So the
//! split package has a second one for each stage (`failed` in `nix-lib/split.nix`), with the same attributes and the same
//! state to continue from.

use std::ffi::OsString;
use std::path::Path;
use std::time::Instant;

use serde::Serialize;

use super::record::RecordedFailure;
use super::run::{Input, Wish, show};
use crate::command::header;
use crate::gcroot::Roots;
use crate::nix::build::{Target, build};
use crate::nix::chain::{self, Chain, UNSPLIT};
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
    /// The commands that look into it.
    pub look: Vec<String>,
}

/// A failed stage, and what is needed to run it once more.
pub(super) struct Again<'a> {
    pub(super) nix: &'a Nix,
    pub(super) input: &'a Input,
    pub(super) wish: &'a Wish,
    pub(super) chain: &'a Chain,
    pub(super) stage: &'a str,
}

impl Again<'_> {
    /// Runs it, and roots what it left. That it cannot be kept is no other failure than the stage's own.
    pub(super) fn keep(&self, roots: Option<(&Roots, &str)>, progress: &Progress) -> (Kept, Option<RecordedFailure>) {
        progress.status(format!("{}: stage {} once more, to keep what it leaves", self.chain.name, self.stage));
        match self.run(progress) {
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

    fn run(&self, progress: &Progress) -> Result<Kept, NixError> {
        if self.stage == UNSPLIT {
            return Ok(Kept::Not { reason: "the package is not split, and only stages can be kept".to_owned() });
        }
        let evaluating = self.nix.clone().in_directory(&self.input.directory);
        let again = chain::evaluate_failed(&evaluating, &self.input.split, &nix_string(self.stage))?;
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
                "it succeeded when it ran once more: it does not fail every time. Run the same command again"
            };
            return Ok(Kept::Not { reason: reason.to_owned() });
        };
        Ok(Kept::State(KeptState {
            look: commands(
                &self.input.words,
                self.stage,
                again.path(),
                self.wish.pin.is_some(),
                &self.wish.nix_options,
            ),
            path: again.path().to_owned(),
            drv: again.drv_path,
            phase: failed.phase,
            exit_code: failed.exit_code,
            log: failed.log,
            reused,
        }))
    }
}

/// The commands that look into a failed state, by the package's name where that leads to this very state.
fn commands(words: &[String], stage: &str, path: &str, pinned: bool, nix_options: &[OsString]) -> Vec<String> {
    let command = |name: &str, words: &[String]| format!("phasesplit {name} {}", header::line(words));
    if words.is_empty() || pinned {
        // Only its path leads to it, and a shell needs the stage's derivation as well.
        return vec![command("state ls", &[path.to_owned()])];
    }
    let mut words = words.to_vec();
    if words[0] == "-E" {
        words.extend(["--at".to_owned(), stage.to_owned()]);
    } else {
        words[0] = format!("{}@{stage}", words[0]);
    }
    words.push("--failed".to_owned());
    let options: Vec<String> = nix_options.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let behind = if options.is_empty() { Vec::new() } else { [vec!["--".to_owned()], options.clone()].concat() };
    let mut commands = vec![command("state ls", &[&words[..], &behind].concat())];
    // To a shell, what follows `--` is the command to run; of Nix's options it takes the settings.
    if options.chunks(3).all(|option| option.len() == 3 && option[0] == "--option") {
        words.extend(options);
        commands.push(command("shell", &words));
    }
    commands
}

fn root(nix: &Nix, roots: &Roots, package: &str, stage: &str, kept: &KeptState, progress: &Progress) {
    let registered = roots
        .register(nix, &roots.of_failed(package, stage), &kept.path)
        .and_then(|()| roots.register_derivation(nix, &roots.of_failed_derivation(package, stage), &kept.drv));
    if let Err(error) = registered {
        progress.line(&format!("warning: {} is not protected from garbage collection: {error}", kept.path));
    }
}

#[cfg(test)]
mod tests {
    use pretty_assertions::assert_eq;

    use super::commands;

    fn of(words: &str, pinned: bool, nix_options: &str) -> Vec<String> {
        let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
        let options: Vec<_> = nix_options.split_whitespace().map(Into::into).collect();
        commands(&words, "install", "/nix/store/0-failed", pinned, &options)
    }

    #[test]
    fn each_command_gets_nix_options_as_it_takes_them() {
        assert_eq!(
            of("pkg.nix -A a", false, ""),
            ["phasesplit state ls pkg.nix@install -A a --failed", "phasesplit shell pkg.nix@install -A a --failed"]
        );
        assert_eq!(
            of("pkg.nix", false, "--option cores 1"),
            [
                "phasesplit state ls pkg.nix@install --failed -- --option cores 1",
                "phasesplit shell pkg.nix@install --failed --option cores 1"
            ]
        );
        assert_eq!(
            of("pkg.nix", false, "--argstr a b"),
            ["phasesplit state ls pkg.nix@install --failed -- --argstr a b"]
        );
    }

    #[test]
    fn a_state_that_no_name_leads_to_is_named_by_its_path() {
        assert_eq!(of("pkg.nix", true, ""), ["phasesplit state ls /nix/store/0-failed"]);
        assert_eq!(of("", false, ""), ["phasesplit state ls /nix/store/0-failed"]);
    }
}
