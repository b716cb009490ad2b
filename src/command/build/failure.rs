//! The report of a failed build: what failed, its last lines, what is safe, and how to go on.

use std::fmt;

use serde::Serialize;

use super::kept::Kept;
use super::refused::RefusedState;
use crate::nix::watch::TAIL;

/// A build that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// The stage, or nothing where it was no stage but something the package needs.
    pub stage: Option<String>,
    /// The phase the stage was in, where the builder told.
    pub phase: Option<String>,
    /// The builder it ran on, where that is another machine.
    pub machine: Option<String>,
    /// Nix's words about the connection to that builder, where it broke: the stage itself may be well.
    pub lost: Option<String>,
    /// The derivation.
    pub drv: String,
    /// Nix's words: `builder for '…' failed with exit code 2`.
    pub message: String,
    /// The last lines of the build's log.
    pub log_tail: Vec<String>,
    /// The last state before it that is in the store and was not refused.
    pub safe: Option<SafeState>,
    /// The state that the stage should have continued from and could not.
    pub refused: Option<RefusedState>,
    /// What the stage left, where that was asked for.
    pub kept: Kept,
    /// The command that opens a shell there, where one does.
    pub shell: Option<Shell>,
    /// What else may be the cause, where it is known to be a common one.
    pub hint: Option<String>,
}

/// A command that opens a shell where a stage failed, or as near as one comes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shell {
    /// The command, as bash reads it.
    pub command: String,
    /// Whether it is the very point of the failure; else the shell is that before the stage.
    pub at_failure: bool,
}

/// A state that a failed build left behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SafeState {
    /// The stage that it is the state of.
    pub stage: String,
    /// Its store path.
    pub path: String,
}

/// Whether a build's last lines say that it could not continue from a state. The words are those of `phasesplit_restore` in
/// `nix-lib/runtime/90-stage.sh`.
pub fn refuses<'a>(tail: impl IntoIterator<Item = &'a String>, state: &str) -> bool {
    let words =
        [format!("the state {state} could not be restored"), format!("the shell state in {state} is not whole")];
    tail.into_iter().any(|line| words.iter().any(|words| line.contains(words)))
}

/// Whether a build's last lines say that a state's time has not come. The words are those of `Error::Clock` in the engine.
pub fn is_ahead<'a>(tail: impl IntoIterator<Item = &'a String>) -> bool {
    tail.into_iter().any(|line| line.contains("seconds ahead of this machine's clock"))
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_what(f)?;
        if !self.log_tail.is_empty() {
            writeln!(f, "  its last lines:")?;
            for line in &self.log_tail {
                writeln!(f, "    > {line}")?;
            }
        }
        writeln!(f, "  full log:  nix-store --read-log {}", self.drv)?;
        self.write_kept(f)?;
        match (&self.refused, &self.safe, &self.stage) {
            (Some(refused), _, _) => {
                writeln!(f, "  refused:   the state after {}: {} (the log says why)", refused.stage, refused.path)?;
                if refused.ahead {
                    writeln!(
                        f,
                        "  go on:     set the clocks of the machines that build; run this again when the state's time has \
                         come, or have it made again (there, too, where it was made):"
                    )?;
                } else {
                    writeln!(
                        f,
                        "  go on:     build with the sandbox setting it was made with, or have it made again:"
                    )?;
                }
                write!(f, "             {}", refused.command)?;
            }
            (None, safe, Some(_)) if self.lost.is_some() => {
                if let Some(safe) = safe {
                    writeln!(f, "  safe:      the state after {}: {}", safe.stage, safe.path)?;
                }
                let after =
                    safe.as_ref().map_or(String::new(), |safe| format!("it continues after {}, and ", safe.stage));
                write!(
                    f,
                    "  go on:     run the same command again: {after}Nix passes over a builder that does not answer"
                )?;
            }
            (None, Some(safe), _) => {
                writeln!(f, "  safe:      the state after {}: {}", safe.stage, safe.path)?;
                write!(f, "  go on:     mend it and run the same command again: it continues after {}", safe.stage)?;
            }
            (None, None, Some(_)) => {
                write!(f, "  go on:     mend it and run the same command again; no state was made yet")?;
            }
            (None, None, None) => write!(f, "  go on:     mend that derivation first; no stage was affected by it")?,
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n  perhaps:   {hint}")?;
        }
        Ok(())
    }
}

impl Failure {
    fn write_what(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (Some(machine), Some(lost)) = (&self.machine, &self.lost) {
            match (&self.stage, &self.phase) {
                (Some(stage), Some(phase)) => write!(f, "stage {stage} was cut off in {phase}")?,
                (Some(stage), None) => write!(f, "stage {stage} was cut off")?,
                (None, _) => write!(f, "something the package needs was cut off")?,
            }
            return writeln!(f, ": the builder {machine} was lost: {lost}");
        }
        match (&self.stage, &self.phase) {
            (Some(stage), Some(phase)) => write!(f, "{phase} failed, in stage {stage}")?,
            (Some(stage), None) => write!(f, "stage {stage} failed")?,
            (None, _) => write!(f, "something the package needs could not be built")?,
        }
        if let Some(machine) = &self.machine {
            write!(f, ", on {machine}")?;
        }
        writeln!(f, ": {}", self.message)
    }

    fn write_kept(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Kept::Not { reason } = &self.kept {
            writeln!(f, "  not kept:  {reason}")?;
        }
        let Kept::State(state) = &self.kept else { return self.write_shell(f) };
        let from = if state.reused { ", from an earlier run of the very same stage" } else { "" };
        writeln!(f, "  kept:      {} ({}, exit code {}{from})", state.path, state.phase, state.exit_code)?;
        // The log above is that of the run before, if there was one.
        if self.log_tail.is_empty() && !state.log.is_empty() {
            writeln!(f, "  its log:")?;
            let lines: Vec<&str> = state.log.lines().collect();
            for line in &lines[lines.len().saturating_sub(TAIL)..] {
                writeln!(f, "    > {line}")?;
            }
        }
        self.write_shell(f)?;
        state.look.iter().try_for_each(|command| writeln!(f, "  look:      {command}"))
    }

    /// The command alone on its line: it is to be copied.
    fn write_shell(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(Shell { command, at_failure }) = &self.shell else { return Ok(()) };
        writeln!(f, "  shell:     {command}")?;
        match (&self.kept, at_failure) {
            (Kept::State(_), true) => Ok(()),
            (_, true) => {
                writeln!(
                    f,
                    "             (where it failed; runs the stage once more, in another derivation, to get there)"
                )
            }
            (_, false) => writeln!(f, "             (before the stage, with its environment)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_is_safe_and_how_to_go_on() {
        let failure = Failure {
            stage: Some("build".to_owned()),
            phase: Some("buildPhase".to_owned()),
            machine: None,
            lost: None,
            drv: "/nix/store/x-phase-build.drv".to_owned(),
            message: "builder failed with exit code 2".to_owned(),
            log_tail: vec!["make: *** [all] Error 1".to_owned()],
            safe: Some(SafeState { stage: "configure".to_owned(), path: "/nix/store/y-phase-configure".to_owned() }),
            refused: None,
            kept: Kept::NotAsked,
            shell: Some(Shell { command: "phasesplit shell pkg.nix@build --failed".to_owned(), at_failure: true }),
            hint: None,
        };
        let expected = "\
buildPhase failed, in stage build: builder failed with exit code 2
  its last lines:
    > make: *** [all] Error 1
  full log:  nix-store --read-log /nix/store/x-phase-build.drv
  shell:     phasesplit shell pkg.nix@build --failed
             (where it failed; runs the stage once more, in another derivation, to get there)
  safe:      the state after configure: /nix/store/y-phase-configure
  go on:     mend it and run the same command again: it continues after configure";
        assert_eq!(failure.to_string(), expected);
    }
    #[test]
    fn a_lost_builder_is_not_a_failed_phase() {
        let mut failure = Failure {
            stage: Some("build".to_owned()),
            phase: Some("buildPhase".to_owned()),
            machine: Some("ssh-ng://one".to_owned()),
            lost: None,
            drv: "/nix/store/x-phase-build.drv".to_owned(),
            message: "builder failed with exit code 1".to_owned(),
            log_tail: Vec::new(),
            safe: Some(SafeState { stage: "configure".to_owned(), path: "/nix/store/y-phase-configure".to_owned() }),
            refused: None,
            kept: Kept::NotAsked,
            shell: None,
            hint: None,
        };
        let first = |failure: &Failure| failure.to_string().lines().next().map(str::to_owned);
        let expected = "buildPhase failed, in stage build, on ssh-ng://one: builder failed with exit code 1";
        assert_eq!(first(&failure).as_deref(), Some(expected));
        failure.lost = Some("unexpected end-of-file".to_owned());
        let expected = "\
stage build was cut off in buildPhase: the builder ssh-ng://one was lost: unexpected end-of-file
  full log:  nix-store --read-log /nix/store/x-phase-build.drv
  safe:      the state after configure: /nix/store/y-phase-configure
  go on:     run the same command again: it continues after configure, and Nix passes over a builder that does not answer";
        assert_eq!(failure.to_string(), expected);
    }

    #[test]
    fn a_refused_state_is_not_called_safe() {
        let line = |words: &str| format!("phasesplit: hello: stage build: {words}");
        let tail = [line("the state /nix/store/y-phase-configure could not be restored (see above; …)")];
        assert!(refuses(&tail, "/nix/store/y-phase-configure"));
        assert!(!refuses(&tail, "/nix/store/z-phase-configure"));
        assert!(refuses(
            &[line("the shell state in /nix/store/z is not whole: it cannot be sourced to its end")],
            "/nix/store/z"
        ));
        let refused = RefusedState {
            stage: "configure".to_owned(),
            path: "/nix/store/y-phase-configure".to_owned(),
            command: "nix-store --delete /nix/store/y-phase-configure".to_owned(),
            ahead: false,
        };
        let mut failure = Failure {
            stage: Some("build".to_owned()),
            phase: None,
            machine: None,
            lost: None,
            drv: "/nix/store/x-phase-build.drv".to_owned(),
            message: "builder failed with exit code 1".to_owned(),
            log_tail: Vec::new(),
            safe: None,
            refused: Some(refused),
            kept: Kept::NotAsked,
            shell: None,
            hint: None,
        };
        let expected = "\
stage build failed: builder failed with exit code 1
  full log:  nix-store --read-log /nix/store/x-phase-build.drv
  refused:   the state after configure: /nix/store/y-phase-configure (the log says why)
  go on:     build with the sandbox setting it was made with, or have it made again:
             nix-store --delete /nix/store/y-phase-configure";
        assert_eq!(failure.to_string(), expected);
        let line =
            "phasesplit-state: restore /nix/store/y: its newest file is 600 seconds ahead of this machine's clock, so";
        assert!(is_ahead(&[line.to_owned()]) && !is_ahead(&tail));
        failure.refused = failure.refused.map(|refused| RefusedState { ahead: true, ..refused });
        let said = failure.to_string();
        assert!(said.contains("go on:     set the clocks") && !said.contains("sandbox"), "{said}");
    }
}
