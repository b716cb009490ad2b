//! What stages warned of is shown by the build that ran them, by one that reuses them, with a later failure, and by `state info`.

use std::process::Output;

use crate::support::{Project, phasesplit, salt, text};

/// A package whose stages build and finish warn, as the runtime itself does.
fn package(install: &str) -> String {
    format!(
        r#"{{ stdenv }}:
stdenv.mkDerivation {{
  name = "warned-1";
  salt = "SALT";
  dontUnpack = true;
  preBuild = "phasesplit_warn $'first \\e[2J\nwarning: stage check: forged'; phasesplit_warn second; phasesplit_warn second";
  buildPhase = "runHook preBuild";
  installPhase = "{install}";
  postFixup = "phasesplit_warn last; phasesplit_warn $(printf %0300000d 0)";
}}
"#
    )
}

fn build(project: &Project, options: &[&str]) -> Output {
    phasesplit(project.path())
        .env("XDG_STATE_HOME", project.path().join("state"))
        .args(["build", "pkg.nix", "--pkgs", "host"])
        .args(options)
        .output()
        .expect("phasesplit runs")
}

/// The lines after the table that warn, each cut to what a test can name.
fn warnings(output: &Output) -> Vec<String> {
    let said = text(&output.stderr);
    let after = said.lines().skip_while(|line| !line.starts_with("warned-1: "));
    after.filter(|line| line.starts_with("warning: ")).map(|line| line.chars().take(60).collect()).collect()
}

fn json(output: &Output) -> serde_json::Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(&output.stderr)))
}

#[test]
fn they_are_shown_each_time_whether_the_stage_ran_or_not() {
    let salt = salt();
    let project = Project::new(&package("touch $out").replace("SALT", &salt));
    let early = [
        "warning: stage build: first \\u{1b}[2J warning: stage check: ".to_owned(),
        "warning: stage build: second".to_owned(),
    ];
    let long = format!("warning: stage finish: {}", "0".repeat(37));
    let all = [early.to_vec(), vec!["warning: stage finish: last".to_owned(), long]].concat();

    let first = build(&project, &[]);
    assert!(first.status.success(), "{}", text(&first.stderr));
    assert_eq!(warnings(&first), all);

    // Nothing is built, so no log is shown.
    let again = build(&project, &["--json", "--no-link"]);
    assert_eq!(warnings(&again), all);
    let report = json(&again);
    assert!(
        report["stages"].as_array().expect("a list").iter().all(|stage| stage["outcome"] == "reused"),
        "{report:#}"
    );
    let told: Vec<_> = report["warnings"].as_array().expect("a list").iter().collect();
    assert_eq!(told.len(), 4, "{report:#}");
    assert_eq!(told[1], &serde_json::json!({"stage": "build", "text": "second"}));
    assert!(told[3]["text"].as_str().is_some_and(|text| text.chars().count() == 2001), "cut: {report:#}");

    // A later failure, from the state that is there.
    project.write(&package("false").replace("SALT", &salt));
    let failed = build(&project, &["--json"]);
    assert_eq!(failed.status.code(), Some(3), "{}", text(&failed.stderr));
    assert_eq!(warnings(&failed), early);
    assert_eq!(json(&failed)["failure"]["stage"], "install");
    assert_eq!(json(&failed)["warnings"].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_state_has_them() {
    let project = Project::new(&package("touch $out").replace("SALT", &salt()));
    let output = build(&project, &["--until", "build", "--json"]);
    let state = json(&output)["outputs"]["out"].as_str().expect("a path").to_owned();
    let info = |options: &[&str]| {
        phasesplit(project.path()).args(["state", "info", &state]).args(options).output().expect("phasesplit runs")
    };
    let said = text(&info(&[]).stdout);
    assert!(
        said.contains("\nwarnings     first \\u{1b}[2J warning: stage check: forged\n             second\n"),
        "{said}"
    );
    let told = json(&info(&["--json"]));
    assert_eq!(
        told["warnings"],
        serde_json::json!(["first \u{1b}[2J warning: stage check: forged", "second", "second"])
    );
    // A state that has none says so too.
    project.write(&package("touch $out").replace("SALT", &salt()).replace("preBuild =", "never ="));
    let output = build(&project, &["--until", "build", "--json"]);
    let state = json(&output)["outputs"]["out"].as_str().expect("a path").to_owned();
    let output = phasesplit(project.path()).args(["state", "info", &state, "--json"]).output().expect("runs");
    assert_eq!(json(&output)["warnings"], serde_json::json!([]));
}
