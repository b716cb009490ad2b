//! The pure tests of the Nix side: `tests/nix/lib` (the splitter) and `tests/nix/host` (the host package set) evaluate to the
//! list of cases that failed. Nothing is built.

#[path = "support/mod.rs"]
mod support;

use support::{command, root, succeed, text};

fn no_case_fails(of: &str) {
    // Read-write: the splitter looks into files that evaluation writes into the store.
    let output = succeed(
        command("nix-instantiate", root())
            .args(["--eval", "--read-write-mode", "--strict", "--json"])
            .arg(format!("tests/nix/{of}")),
    );
    let failed: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).expect("a list");
    assert!(failed.is_empty(), "{}", text(&output.stdout));
}

#[test]
fn the_splitter() {
    no_case_fails("lib");
}

#[test]
fn the_host_package_set() {
    no_case_fails("host");
}
