//! A chain whose stages are built on one machine and on another, by turns.

use std::fs;
use std::path::PathBuf;

use phasesplit::compare::compare_packages;

use crate::machine::{Built, Machine, Machines, System};
use crate::support::salt;

pub const STAGES: [&str; 7] = ["unpack", "patch", "configure", "build", "check", "install", "finish"];

/// Writes the package with every phase into root's home, as `pkg.nix`.
pub fn write_package(machine: &Machine, salt: &str, edit: &str) {
    let package = format!(
        "{{ callPackage }}: (callPackage /srv/packages/packages/reuse.nix {{ salt = \"{salt}\"; }}).overrideAttrs (old: {{ {edit} }})\n"
    );
    machine.write("root/pkg.nix", &package);
}

/// Nix's configuration of a client that builds nothing itself and has these builders.
pub fn builders(names: &[&str]) -> String {
    let lines: Vec<String> =
        names.iter().map(|name| format!("ssh-ng://root@{name} x86_64-linux - 1 1 - - -")).collect();
    format!("max-jobs = 0\nbuilders = {}\n", lines.join(" ; "))
}

/// The result in a machine's store, for a comparison.
pub fn outputs(machine: &Machine, built: &Built) -> Vec<(String, PathBuf)> {
    let outputs = built.report["outputs"].as_object().expect("outputs");
    let path = |path: &serde_json::Value| machine.in_store(path.as_str().expect("a path"));
    outputs.iter().map(|(name, at)| (name.clone(), path(at))).collect()
}

#[test]
fn a_chain_by_turns_on_two_machines_is_the_chain_of_one() {
    let wanted = [("client", System::Here), ("alone", System::Here), ("one", System::Trixie), ("two", System::Sid)];
    let Some(machines) = Machines::start(&wanted) else { return };
    let (client, alone) = (machines.get("client"), machines.get("alone"));
    let salt = salt();
    write_package(client, &salt, "");
    write_package(alone, &salt, "");

    let mut by_turns: Vec<(String, String)> = Vec::new();
    let mut last = None;
    for (at, stage) in STAGES.iter().enumerate() {
        let name = ["one", "two"][at % 2];
        let built = client.build_with(&builders(&[name]), &["pkg.nix", "--until", stage]).good();
        assert_eq!(built.built(), [(*stage, format!("ssh-ng://root@{name}").as_str())], "{}", built.talk);
        let started = format!("stage {stage}: started on ssh-ng://root@{name}\n");
        assert_eq!(built.talk.matches(&started).count(), 1, "{}", built.talk);
        assert_eq!(built.talk.matches(&format!("stage {stage}: started")).count(), 1, "{}", built.talk);
        assert_eq!(built.talk.matches(&format!("stage {stage}: done")).count(), 1, "{}", built.talk);
        by_turns.push((name.to_owned(), built.path(stage).to_owned()));
        last = Some(built);
    }
    let last = last.expect("stages");
    // Where each was built is what the machines themselves say, too.
    let names = |at: usize| -> Vec<String> {
        let stages = STAGES.iter().skip(at).step_by(2);
        let mut names: Vec<String> = stages
            .map(|stage| if *stage == "finish" { "reuse-1.0".to_owned() } else { format!("reuse-1.0-phase-{stage}") })
            .collect();
        names.sort();
        names
    };
    assert_eq!(machines.get("one").logs(), names(0));
    assert_eq!(machines.get("two").logs(), names(1));

    let here = alone.build(&["pkg.nix"]).good();
    assert_eq!(here.built(), STAGES.map(|stage| (stage, "here")));
    assert_eq!(here.paths(), by_turns.iter().map(|(_, path)| path.as_str()).collect::<Vec<_>>());
    let (spread, whole) = (outputs(client, &last), outputs(alone, &here));
    let report = compare_packages(&spread, &whole).expect("both can be read");
    assert!(report.is_equal() && report.to_string().contains("equal"), "{report}");
    let hash = |machine: &Machine| machine.run(&["nix-store", "--query", "--hash", last.path("finish")]);
    assert_eq!(hash(client), hash(alone), "the same bytes");

    let file = whole[0].1.join("installed");
    fs::write(&file, "planted\n").expect("written");
    let report = compare_packages(&spread, &whole).expect("both can be read");
    assert!(!report.is_equal() && report.to_string().contains("installed"), "{report}");
}
