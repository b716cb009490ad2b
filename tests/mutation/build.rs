//! Building many derivations at once, and what became of them.
//!
//! Knows Nix's store commands; nothing of packages or stages.

use crate::support::{command, root, succeed, text};
use std::{collections::BTreeSet, path::Path};

/// Builds all it can; a failure of one does not stop the others. Gives the derivations that were really built (or tried), from Nix's log.
pub fn realise(derivations: &BTreeSet<&str>) -> BTreeSet<String> {
    if derivations.is_empty() {
        return BTreeSet::new();
    }
    let output = command("nix-store", root())
        .args(["--realise", "--keep-going", "--max-jobs", "1", "--timeout", "300"])
        .args(derivations)
        .output()
        .expect("nix-store starts");
    text(&output.stderr)
        .lines()
        .filter_map(|line| Some(line.strip_prefix("building '")?.strip_suffix("'...")?.to_owned()))
        .collect()
}

/// Builds again what is there already; whether both builds agree, or what Nix says.
pub fn check_again(derivation: &str) -> Result<(), String> {
    let output =
        command("nix-store", root()).args(["--realise", "--check", derivation]).output().expect("nix-store starts");
    if output.status.success() { Ok(()) } else { Err(text(&output.stderr)) }
}

/// Which of these store paths are not there.
pub fn missing(paths: &BTreeSet<&Path>) -> BTreeSet<String> {
    if paths.is_empty() {
        return BTreeSet::new();
    }
    let output = succeed(command("nix-store", root()).args(["--check-validity", "--print-invalid"]).args(paths));
    text(&output.stdout).lines().map(str::to_owned).collect()
}

/// What a derivation's last build printed.
pub fn log(derivation: &str) -> String {
    let output = command("nix-store", root()).args(["--read-log", derivation]).output().expect("nix-store starts");
    text(&output.stdout)
}
