//! One evaluation: a question about the value of a text, answered as JSON.
//!
//! The text goes through standard input, so nothing has to be written beside the package, and its relative paths start in
//! the directory of the [`Nix`] that is asked.

use serde::de::DeserializeOwned;

use super::error::{Cause, NixError};
use super::{Nix, Tool};

/// What an evaluation may do to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Nothing: derivations and copies of files have their store paths, and are not there.
    ReadOnly,
    /// It writes derivations and copies files; nothing is built.
    WithoutBuilds,
    /// As an evaluation for a build: what it imports from a derivation is built.
    Full,
}

impl Mode {
    fn options(self) -> Vec<&'static str> {
        // A download that does not come soon is given up: what is asked without builds can be done without.
        const CAREFUL: [(&str, &str); 3] =
            [("allow-import-from-derivation", "false"), ("download-attempts", "1"), ("connect-timeout", "5")];
        let mut options = Vec::new();
        if self != Self::ReadOnly {
            options.push("--read-write-mode");
        }
        if self != Self::Full {
            options.extend(CAREFUL.iter().flat_map(|(name, value)| ["--option", name, value]));
        }
        options
    }
}

/// Asks `body` about the text's value: an expression that sees the value as `s` (called, where it is a function, with the
/// arguments among `--arg` and `--argstr` that it takes). Gives the answer and Nix's warnings.
///
/// # Errors
/// Nix's own, or [`Cause::Answer`] where the answer is not of the type.
pub fn ask<T: DeserializeOwned>(
    nix: &Nix,
    mode: Mode,
    operation: &str,
    text: &str,
    body: &str,
) -> Result<(T, String), NixError> {
    // `--attr` makes Nix call the function, with `--arg` or without. The text starts on line 1, so that the lines that
    // Nix names are the text's.
    let question = format!(
        "{{ ... }}@args: let f = ({text}\n);
  s = if builtins.isFunction f then f (builtins.intersectAttrs (builtins.functionArgs f) args) else f;
in {{ answer = {body}; }}"
    );
    let args = ["--eval", "--strict", "--json", "--attr", "answer", "-"].into_iter().chain(mode.options());
    let answer = nix.run(Tool::Instantiate, operation, args, question.as_bytes())?;
    // Nix strings hold any byte, and Nix 2.8 writes them as they are.
    let json = String::from_utf8_lossy(&answer.stdout);
    let value = serde_json::from_str(&json).map_err(|error| NixError {
        operation: operation.to_owned(),
        command: String::new(),
        cause: Cause::Answer(error.to_string()),
    })?;
    Ok((value, answer.stderr))
}
