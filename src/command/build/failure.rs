//! The report of a failed build: what failed, its last lines, what is safe, and how to go on.

use std::fmt;

use serde::Serialize;

/// A build that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// The stage, or nothing where it was no stage but something the package needs.
    pub stage: Option<String>,
    /// The phase the stage was in, where the builder told.
    pub phase: Option<String>,
    /// The derivation.
    pub drv: String,
    /// Nix's words: `builder for '…' failed with exit code 2`.
    pub message: String,
    /// The last lines of the build's log.
    pub log_tail: Vec<String>,
    /// The last state before it that is in the store.
    pub safe: Option<SafeState>,
    /// What else may be the cause, where it is known to be a common one.
    pub hint: Option<String>,
}

/// A state that a failed build left behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SafeState {
    /// The stage that it is the state of.
    pub stage: String,
    /// Its store path.
    pub path: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.stage, &self.phase) {
            (Some(stage), Some(phase)) => write!(f, "{phase} failed, in stage {stage}")?,
            (Some(stage), None) => write!(f, "stage {stage} failed")?,
            (None, _) => write!(f, "something the package needs could not be built")?,
        }
        writeln!(f, ": {}", self.message)?;
        if !self.log_tail.is_empty() {
            writeln!(f, "  its last lines:")?;
            for line in &self.log_tail {
                writeln!(f, "    > {line}")?;
            }
        }
        writeln!(f, "  full log:  nix-store --read-log {}", self.drv)?;
        match (&self.safe, &self.stage) {
            (Some(safe), _) => {
                writeln!(f, "  safe:      the state after {}: {}", safe.stage, safe.path)?;
                write!(f, "  go on:     mend it and run the same command again: it continues after {}", safe.stage)?;
            }
            (None, Some(_)) => write!(f, "  go on:     mend it and run the same command again; no state was made yet")?,
            (None, None) => write!(f, "  go on:     mend that derivation first; no stage was affected by it")?,
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n  perhaps:   {hint}")?;
        }
        Ok(())
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
            drv: "/nix/store/x-phase-build.drv".to_owned(),
            message: "builder failed with exit code 2".to_owned(),
            log_tail: vec!["make: *** [all] Error 1".to_owned()],
            safe: Some(SafeState { stage: "configure".to_owned(), path: "/nix/store/y-phase-configure".to_owned() }),
            hint: None,
        };
        let expected = "\
buildPhase failed, in stage build: builder failed with exit code 2
  its last lines:
    > make: *** [all] Error 1
  full log:  nix-store --read-log /nix/store/x-phase-build.drv
  safe:      the state after configure: /nix/store/y-phase-configure
  go on:     mend it and run the same command again: it continues after configure";
        assert_eq!(failure.to_string(), expected);
    }
}
