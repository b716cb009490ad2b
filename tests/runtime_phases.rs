//! Which phases run in which entry of the chain (`nix-lib/runtime/60-phases.sh`), by running it in bash alone.

use std::path::Path;
use std::process::Command;

/// What each of the entries runs, out of all phases in order.
fn runs(entries: &str, all: &str) -> Vec<String> {
    let count = entries.split(',').count();
    let ranges: Vec<_> = (0..count).map(|index| (index, index)).collect();
    ranges.into_iter().map(|range| runs_in(entries, all, range)).collect()
}

fn runs_in(entries: &str, all: &str, (first, last): (usize, usize)) -> String {
    let script = r#"
        set -u
        source "$1"
        IFS=, read -r -a _phasesplit_entries <<<"$2"
        read -r -a _phasesplit_all <<<"$3"
        _phasesplit_first=$4 _phasesplit_last=$5
        phasesplit_cut_phases
        printf '%s' "${_phasesplit_now[*]}"
    "#;
    let rule = Path::new(env!("CARGO_MANIFEST_DIR")).join("nix-lib/runtime/60-phases.sh");
    let output = Command::new("bash")
        .args(["-c", script, "bash"])
        .arg(rule)
        .args([entries, all, &first.to_string(), &last.to_string()])
        .output()
        .expect("bash runs");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    String::from_utf8(output.stdout).expect("names of phases")
}

#[test]
fn phases_of_hooks_go_with_the_next_named_phase() {
    let all = "unpackPhase aPhase buildPhase bPhase checkPhase installPhase cPhase";
    let expected = ["unpackPhase", "aPhase buildPhase", "bPhase checkPhase installPhase cPhase"];
    assert_eq!(runs("unpackPhase,buildPhase,checkPhase installPhase", all), expected);
    // Never backwards.
    assert_eq!(
        runs("unpackPhase,buildPhase,checkPhase", "checkPhase buildPhase xPhase"),
        ["", "", "checkPhase buildPhase xPhase"]
    );
}

#[test]
fn a_phase_in_several_entries_runs_in_each() {
    let entries = "unpackPhase,buildPhase,buildPhase,buildPhase,installPhase";
    let all = "unpackPhase beforePhase buildPhase afterPhase installPhase endPhase";
    let expected =
        ["unpackPhase", "beforePhase buildPhase", "buildPhase", "buildPhase", "afterPhase installPhase endPhase"];
    assert_eq!(runs(entries, all), expected);
    // The last entry has more phases, and what hooks put between them.
    let entries = "unpackPhase,buildPhase,buildPhase checkPhase,installPhase";
    let all = "unpackPhase beforePhase buildPhase afterPhase checkPhase installPhase";
    assert_eq!(
        runs(entries, all),
        ["unpackPhase", "beforePhase buildPhase", "buildPhase afterPhase checkPhase", "installPhase"]
    );
    // One stage for two of its entries runs it once.
    assert_eq!(runs_in(entries, all, (1, 2)), "beforePhase buildPhase afterPhase checkPhase");
    // A phase that is not in the list leaves its entries empty.
    assert_eq!(runs(entries, "unpackPhase installPhase"), ["unpackPhase", "", "", "installPhase"]);
}
