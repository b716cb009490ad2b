//! A build on another machine: what a failed stage left there comes back with `--keep-failed`, and the shell stands in it.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::keep_failed::{package, report};
use crate::other_machine::{Machine, NAME};
use crate::support::{self, Project, phasesplit, salt, text};

/// `phasesplit` as a user runs it whose Nix builds over there alone, by this protocol.
fn builds_on(machine: &Machine, project: &Project, protocol: &str) -> Command {
    let mut command = phasesplit(project.path());
    let builders = format!("builders = {protocol}://root@127.0.0.1 x86_64-linux - 1 1 - - -");
    command
        .env("NIX_CONFIG", format!("{}\nmax-jobs = 0\n{builders}\n", support::nix_config()))
        .env("NIX_SSHOPTS", machine.ssh())
        .env("XDG_STATE_HOME", project.path().join("state"));
    command
}

fn failed_there_and_looked_at_here(protocol: &str) {
    let Some(machine) = Machine::start() else { return };
    let project = Project::new(&package(
        &salt(),
        r#"outputs = [ "out" "doc" ];
        buildPhase = "cp /machine where";
        installPhase = "mkdir -p $out/bin $doc; cp where $out/bin/where; half=done; echo about to fail; exit 4";"#,
    ));
    let run = |words: &[&str]| {
        let mut command = builds_on(&machine, &project, protocol);
        command.args(words).output().expect("phasesplit runs")
    };

    let build = ["build", "pkg.nix", "--pkgs", "host", "--no-link", "--json"];
    let output = run(&[&build[..], &["--keep-failed"]].concat());
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}\n{}", machine.log());
    let report = report(&output);
    let failure = &report["failure"];
    assert_eq!(failure["stage"], "install", "{said}");
    let kept = failure["kept"]["path"].as_str().unwrap_or_else(|| panic!("not kept:\n{said}"));
    assert!(said.contains("about to fail") && said.contains("exit code 4"), "{said}");
    let on = format!("{protocol}://root@127.0.0.1");
    assert_eq!((failure["machine"].as_str(), &failure["lost"]), (Some(on.as_str()), &Value::Null), "{failure}");
    assert!(said.contains(&format!("stage install: started on {on}\n")), "{said}");
    assert!(Path::new(kept).join("info.json").is_file(), "it came back");
    assert!(machine.has(kept), "it was made over there:\n{}", machine.log());
    assert!(!machine.has("/nix/store/00000000000000000000000000000000-nothing"), "that question can be answered no");
    for row in report["stages"].as_array().expect("rows") {
        if let Some(path) = row["path"].as_str().filter(|_| row["outcome"] == "built") {
            assert!(machine.has(path), "{row}");
        }
        let ran = ["built", "failed"].iter().any(|outcome| row["outcome"] == *outcome);
        assert_eq!(row["machine"].as_str(), ran.then_some(format!("{protocol}://root@127.0.0.1").as_str()), "{row}");
    }

    let point = "pkg.nix@install";
    let options = ["--pkgs", "host", "--failed"];
    let state = |word: &str, words: &[&str]| {
        let output = run(&[&["state", word, point], &options[..], words].concat());
        assert!(output.status.success(), "state {word}: {}", text(&output.stderr));
        text(&output.stdout)
    };
    let names = state("ls", &["--names"]);
    for name in ["where", "outputs/out/bin/where", "outputs/doc"] {
        assert!(names.lines().any(|line| line.ends_with(name)), "no {name} in\n{names}");
    }
    assert!(state("log", &[]).contains("about to fail"));
    let info: Value = serde_json::from_str(&state("info", &["--json"])).expect("JSON");
    assert_eq!(info["path"], kept);

    let script = "cat where; echo; echo \"$half\"; phases; rm -r \"$out\" \"$doc\"
        installPhase='mkdir -p $out; cp where $out/mended'; runPhase installPhase; cat \"$out/mended\"";
    let output = run(&[&["shell", point], &options[..], &["--", script]].concat());
    let said = text(&output.stdout);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(said.starts_with(&format!("{NAME}\ndone\n")), "{said}");
    assert!(said.contains("failed installPhase\n") && said.ends_with(NAME), "{said}");
    // The very same failure is not made twice.
    let again = run(&[&build[..], &["--keep-failed"]].concat());
    let again = crate::keep_failed::report(&again);
    assert_eq!(again["failure"]["kept"]["path"], *kept);
    assert_eq!(again["failure"]["kept"]["reused"], true);
}

#[test]
fn what_failed_there_is_looked_at_here() {
    failed_there_and_looked_at_here("ssh-ng");
}

#[test]
fn by_the_older_protocol() {
    failed_there_and_looked_at_here("ssh");
}
