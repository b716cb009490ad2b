//! `phasesplit build --pin`: what is built, what is marked, and what is refused.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::reuse::edited;
use crate::support::{self, Project, phasesplit, salt, succeed, text};

fn build(project: &Project, options: &[&str]) -> Output {
    command(project, &["build", "pkg.nix", "--pkgs", "host", "--no-link"])
        .args(options)
        .output()
        .expect("phasesplit runs")
}

fn command(project: &Project, words: &[&str]) -> Command {
    let mut command = phasesplit(project.path());
    command.env("XDG_STATE_HOME", project.path().join("state")).args(words);
    command
}

fn report(output: &Output) -> Value {
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// Stage and outcome of each row.
fn rows(report: &Value) -> Vec<(&str, &str)> {
    let rows = report["stages"].as_array().expect("stages").iter();
    rows.map(|row| (row["stage"].as_str().expect("a name"), row["outcome"].as_str().expect("a word"))).collect()
}

fn row<'a>(report: &'a Value, stage: &str) -> &'a Value {
    report["stages"].as_array().expect("stages").iter().find(|row| row["stage"] == stage).expect("there")
}

/// What `roots list` says of the states: store path, and the state it is pinned to.
fn roots(project: &Project) -> Vec<(String, Value)> {
    let output = succeed(&mut command(project, &["roots", "list", "--json"]));
    let roots: Vec<Value> = serde_json::from_slice(&output.stdout).expect("JSON");
    let states = roots.into_iter().filter(|root| root["kind"] == "state");
    states.map(|root| (root["path"].as_str().expect("a path").to_owned(), root["pinned"].clone())).collect()
}

#[test]
fn a_pin_builds_what_is_behind_it_and_the_result_is_marked() {
    let salt = salt();
    let project = Project::new(&edited(&salt, ""));
    let first = report(&build(&project, &["--json"]));
    let state = row(&first, "build")["path"].as_str().expect("a path").to_owned();
    assert_eq!(first["pinned"], Value::Null);
    assert!(
        phasesplit::nix::drv::read(row(&first, "finish")["drv"].as_str().expect("a path"))
            .is_ok_and(|drv| { phasesplit::nix::drv::is_pinned(&drv).is_none() })
    );

    // Every stage would run again, were it not for the pin.
    project.write(&edited(&salt, "UNKNOWN = \"x\"; doCheck = false; postInstall = \"echo pinned >$out/installed\";"));
    let output = build(&project, &["--json", "--pin", "build"]);
    let second = report(&output);
    assert_eq!(rows(&second), [("build", "pinned"), ("install", "built"), ("finish", "built")]);
    assert_eq!(second["pinned"], json!({"stage": "build", "state": state}));
    assert_eq!(row(&second, "build")["path"], state.as_str());
    let said = text(&output.stderr);
    assert!(
        said.contains(&format!("pinned: it continues from {state}")) && said.contains("phasesplit verify"),
        "{said}"
    );
    let result = second["outputs"]["out"].as_str().expect("a path");
    assert_eq!(std::fs::read_to_string(Path::new(result).join("installed")).expect("installed"), "pinned\n");
    let finish = phasesplit::nix::drv::read(row(&second, "finish")["drv"].as_str().expect("a path")).expect("read");
    assert_eq!(phasesplit::nix::drv::is_pinned(&finish), Some(state.as_str()));

    let pinned = |report: &Value, stage: &str| {
        let path = &row(report, stage)["path"];
        roots(&project).into_iter().find(|(rooted, _)| path == rooted).expect("rooted").1
    };
    assert_eq!((pinned(&second, "build"), pinned(&second, "install")), (Value::Null, json!(state)));
    let listed = text(&succeed(&mut command(&project, &["roots", "list"])).stdout);
    assert!(listed.lines().any(|line| line.contains(" install ") && line.contains(" pinned ")), "{listed}");

    // Its state is still the last one of build, so the next pin continues from it too; without a pin the mark goes.
    let third = report(&build(&project, &["--json", "--pin", "build"]));
    assert_eq!(rows(&third), [("build", "pinned"), ("install", "reused"), ("finish", "reused")]);
    let output = succeed(&mut command(&project, &["explain", "pkg.nix", "--pkgs", "host"]));
    let said = text(&output.stdout);
    assert!(said.contains("unpack     runs again   UNKNOWN was added\n"), "{said}");
    assert!(said.contains("it was pinned, and is not any more"), "{said}");
    let fourth = report(&build(&project, &["--json"]));
    assert_eq!(rows(&fourth).len(), 6);
    assert!(["build", "install"].iter().all(|stage| pinned(&fourth, stage).is_null()));
}

#[test]
fn a_pin_that_does_not_fit_is_refused_with_the_reason() {
    let salt = salt();
    let project = Project::new(&edited(&salt, ""));
    let refused = |options: &[&str], code: i32, words: &str| {
        let output = build(&project, options);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(words), "{words:?} is not in\n{said}");
        assert!(!said.contains("started"), "something was built:\n{said}");
    };
    refused(&["--pin", "build"], 1, "no build state of this package was built yet");
    refused(&["--pin", "finish"], 2, "the result of finish is the package");
    let first = report(&build(&project, &["--json", "--until", "build"]));
    refused(
        &["--pin", "install"],
        1,
        "no install state of this package was built yet; there are unpack, patch, configure, build",
    );
    refused(&["--pin", "build", "--until", "patch"], 2, "behind the pinned stage there are check, install, finish");

    project.write(&edited(&salt, "version = \"2.0\";"));
    refused(&["--pin", "build"], 1, "it is of reuse-1.0, and the package is called reuse-2.0 now");
    project.write(&edited(&salt, "outputs = [ \"out\" \"dev\" ];"));
    refused(&["--pin", "build"], 1, "it was made for the outputs out, and the package has dev out now");
    project.write(&edited(&salt, ""));
    refused(&["--pin", "configure", "--merge", "configure+build"], 1, "this chain goes on after");

    let state = row(&first, "build")["path"].as_str().expect("a path");
    succeed(&mut command(&project, &["roots", "rm", state]));
    // The derivations that were evaluated with it as their pin name it, so they go with it.
    let store = || support::command("nix-store", project.path());
    let with_it = text(&succeed(store().args(["--query", "--referrers-closure", state])).stdout);
    succeed(store().arg("--delete").args(with_it.lines()));
    refused(&["--pin", "build"], 1, &format!("its last state {state} is no longer in the store"));
}
