//! Builders whose clocks differ.
//!
//! A container cannot have a clock of its own, so a builder that is ahead is simulated by what it leaves: the time of the
//! newest file that its state names. What a restore does with that is the real thing, on another machine.

use std::fs;
use std::io::Write as _;
use std::process::Stdio;

use phasesplit::compare::compare_packages;
use serde_json::Value;

use crate::chain::{STAGES, builders, outputs, write_package};
use crate::machine::{Machine, Machines, System};
use crate::support::salt;

/// Makes a state in a machine's store one that was saved so many seconds ahead of the clock of now.
fn ahead(machine: &Machine, state: &str, seconds: u64) {
    let file = machine.in_store(state).join("info.json");
    let mut info: Value = serde_json::from_slice(&fs::read(&file).expect("it is there")).expect("JSON");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
    assert!(info["newest"]["seconds"].is_u64(), "{info}");
    info["newest"]["seconds"] = (now + seconds).into();
    fs::write(&file, info.to_string()).expect("written");
    // Nix is told of the new bytes, and takes the path for what it was built as.
    let ask = |what: &str| machine.run(&["nix-store", "--query", what, state]);
    let references = ask("--references");
    let registration = format!("{state}\n{}{}\n{references}", ask("--deriver"), references.lines().count());
    let mut register = machine.command("nix-store");
    let register = register.args(["--register-validity", "--reregister"]).stdin(Stdio::piped());
    let mut register = register.spawn().expect("nsenter runs");
    register.stdin.take().expect("piped").write_all(registration.as_bytes()).expect("written");
    assert!(register.wait().expect("it ends").success());
    machine.assert_whole();
}

#[test]
fn ten_minutes_are_told_and_some_seconds_waited_for() {
    let wanted = [("client", System::Here), ("alone", System::Here), ("one", System::Trixie), ("two", System::Sid)];
    let Some(machines) = Machines::start(&wanted) else { return };
    let (client, alone) = (machines.get("client"), machines.get("alone"));
    let salt = salt();
    write_package(client, &salt, "");
    write_package(alone, &salt, "");
    let configured = client.build_with(&builders(&["one"]), &["pkg.nix", "--until", "configure"]).good();
    let state = configured.path("configure");

    ahead(client, state, 600);
    let refused = client.build_with(&builders(&["two"]), &["pkg.nix"]);
    assert_eq!(refused.code, Some(3), "{}", refused.talk);
    assert_eq!((refused.with("failed"), refused.built()), (vec!["build"], vec![]), "{}", refused.report);
    assert!(refused.talk.contains("seconds ahead of this machine's clock"), "{}", refused.talk);
    assert_eq!(refused.report["failure"]["refused"]["path"], *state, "{}", refused.report);
    let wrong = "with the sandbox setting it was made with";
    assert!(refused.talk.contains("set the clocks") && !refused.talk.contains(wrong), "{}", refused.talk);
    assert!(!client.has(configured.path("configure").replace("configure", "build").as_str()));

    // The other machine has the state as it was: what is registered again does not take its place.
    machines.get("two").run(&["nix-store", "--delete", state]);
    ahead(client, state, 6);
    let late = client.build_with(&builders(&["two"]), &["pkg.nix"]).good();
    assert_eq!(late.built(), STAGES[3..].iter().map(|stage| (*stage, "ssh-ng://root@two")).collect::<Vec<_>>());
    let row = late.report["stages"].as_array().and_then(|rows| rows.iter().find(|row| row["stage"] == "build"));
    let drv = row.and_then(|row| row["drv"].as_str()).expect("a derivation");
    let log = client.run(&["nix-store", "--read-log", drv]);
    assert!(log.contains("ahead of this machine's clock; waiting that long"), "{log}");
    let here = alone.build(&["pkg.nix"]).good();
    let report = compare_packages(&outputs(client, &late), &outputs(alone, &here)).expect("both can be read");
    assert!(report.is_equal(), "{report}");
}
