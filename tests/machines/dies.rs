//! A builder whose power is cut in the middle of a stage.

use crate::chain::{STAGES, builders, outputs};
use crate::machine::{Machine, Machines, System};
use crate::support::salt;

/// A package whose build waits where the machine has `/machine/wait`.
fn write_package(machine: &Machine, salt: &str) {
    let edit = "preBuild = \"if [ -e /machine/wait ]; then sleep 600; fi\";";
    crate::chain::write_package(machine, salt, edit);
}

fn fails_and_goes_on(client: System, builder: System) {
    let wanted = [("client", client), ("alone", System::Here), ("one", builder), ("two", System::Sid)];
    let Some(mut machines) = Machines::start(&wanted) else { return };
    let salt = salt();
    write_package(machines.get("client"), &salt);
    write_package(machines.get("alone"), &salt);
    machines.get("one").configure("extra-sandbox-paths = /machine=/srv/machine");
    machines.get("one").write("srv/machine/wait", "");

    let mut one = machines.take("one");
    let client = machines.get("client");
    let cut = client.build_until(&builders(&["one"]), &["pkg.nix"], "stage build: buildPhase", || one.kill());
    assert_eq!(cut.code, Some(4), "{}", cut.talk);
    assert_eq!(cut.with("built"), STAGES[..3], "{}", cut.report);
    assert_eq!(cut.with("failed"), ["build"], "{}", cut.report);
    assert_eq!(cut.with("not-reached"), STAGES[4..], "{}", cut.report);
    let failure = &cut.report["failure"];
    assert_eq!((&failure["stage"], &failure["safe"]["stage"]), (&"build".into(), &"configure".into()), "{failure}");
    assert_eq!(failure["machine"], "ssh-ng://root@one", "{failure}");
    assert!(cut.talk.contains("the builder ssh-ng://root@one was lost"), "{}", cut.talk);
    for stage in &STAGES[3..] {
        let state = cut.path(stage);
        assert!(!client.has(state) && !client.in_store(state).exists(), "half a state: {state}");
    }
    client.assert_whole();

    // It is still off. Alone it can build nothing.
    let off = client.build_with(&builders(&["one"]), &["pkg.nix"]);
    assert_eq!(off.code, Some(4), "{}", off.talk);
    assert!(off.talk.contains("no builder takes the build: cannot build on 'ssh-ng://root@one'"), "{}", off.talk);
    // And with the other one Nix takes that.
    let again = client.build_with(&builders(&["one", "two"]), &["pkg.nix"]).good();
    assert_eq!(again.with("reused"), STAGES[..3], "{}", again.report);
    assert_eq!(again.built(), STAGES[3..].iter().map(|stage| (*stage, "ssh-ng://root@two")).collect::<Vec<_>>());
    let here = machines.get("alone").build(&["pkg.nix"]).good();
    let report =
        phasesplit::compare::compare_packages(&outputs(client, &again), &outputs(machines.get("alone"), &here));
    let report = report.expect("both can be read");
    assert!(report.is_equal(), "{report}");

    // With its power back it goes on from what it had.
    one.boot();
    assert!(!one.has(again.path("build")), "it never ended that");
    std::fs::remove_file(one.own("srv/machine/wait")).expect("removed");
    write_package(&one, &salt);
    let back = one.build(&["pkg.nix"]).good();
    assert_eq!(back.built(), STAGES[3..].iter().map(|stage| (*stage, "here")).collect::<Vec<_>>());
    one.assert_whole();
}

#[test]
fn a_builder_of_2_26_dies() {
    fails_and_goes_on(System::Here, System::Trixie);
}

#[test]
fn a_builder_of_2_34_dies() {
    fails_and_goes_on(System::Here, System::Sid);
}

#[test]
fn a_client_of_2_26_loses_its_builder() {
    fails_and_goes_on(System::Trixie, System::Sid);
}

#[test]
fn a_client_of_2_34_loses_its_builder() {
    fails_and_goes_on(System::Sid, System::Trixie);
}
