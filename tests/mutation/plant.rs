//! A planted bug: nix-lib without one check, to prove that the mutation test finds such a thing.

use crate::support::{root, succeed};
use std::{fs, process::Command};
use tempfile::TempDir;

/// A copy of nix-lib whose runtime forgets, before it checks what a stage is given, that an earlier stage reads `name`.
pub fn library_without_check_of(name: &str) -> TempDir {
    let directory = tempfile::tempdir().expect("a temporary directory");
    succeed(Command::new("cp").arg("-rT").arg(root().join("nix-lib")).arg(directory.path()));
    // Sourced before the stage runs: the last file starts it.
    fs::write(
        directory.path().join("runtime/89-plant.sh"),
        format!(
            "_planted=$(declare -f phasesplit_check_given)\neval \"planted_check_given${{_planted#phasesplit_check_given}}\"\n\
             phasesplit_check_given() {{ unset -v '_phasesplit_mentioned[{name}]'; planted_check_given \"$@\"; }}\n"
        ),
    )
    .expect("the plant is written");
    let listing = directory.path().join("default.nix");
    let text = fs::read_to_string(&listing).expect("default.nix is read");
    let last = "./runtime/90-stage.sh";
    assert!(text.contains(last), "nix-lib/default.nix lists its runtime's files otherwise: adapt this plant");
    fs::write(&listing, text.replace(last, &format!("./runtime/89-plant.sh {last}"))).expect("default.nix is written");
    directory
}
