//! `phasesplit build --break`: what is built, what is run in the shell, and what is left alone.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use crate::support::{Project, command, package, phasesplit, salt, succeed, text};

/// A package of the host set with every phase.
fn project(name: &str, attributes: &str) -> Project {
    Project::new(&format!(
        "{{ callPackage }}: (callPackage ({}) {{ }}).overrideAttrs (old: {{ pname = \"{name}-{}\"; {attributes} }})\n",
        package("reuse", &format!("salt = \"{}\";", salt())),
        std::process::id(),
    ))
}

fn stop(project: &Project, at: &str, more: &[&str]) -> Command {
    let sessions = project.path().join("sessions");
    fs::create_dir_all(&sessions).expect("made");
    let mut command = phasesplit(project.path());
    command.env("XDG_STATE_HOME", project.path().join("state")).env("TMPDIR", sessions);
    command.args(["build", "pkg.nix", "--pkgs", "host", "--break", at]).args(more);
    command
}

fn run(project: &Project, at: &str, more: &[&str]) -> Output {
    stop(project, at, more).output().expect("it starts")
}

/// The stages whose states are in the store.
fn built(project: &Project) -> BTreeSet<String> {
    project.generate(&[]);
    let there = |stage: &str| {
        let attribute = format!("phases.{stage}.outPath");
        let mut query = command("nix-instantiate", project.path());
        let answer = succeed(query.args(["--eval", "--json", "split.nix", "-A", &attribute]));
        let path: String = serde_json::from_slice(&answer.stdout).expect("a path");
        fs::exists(path).expect("it can be asked")
    };
    project.chain().into_iter().map(|(stage, _)| stage).filter(|stage| there(stage)).collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

/// What ran and what comes, as `phases` tells.
fn phases(output: &Output) -> (Vec<String>, Vec<String>) {
    assert!(output.status.success(), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    let of = |word: &str| {
        let lines = said.lines().filter_map(|line| line.strip_prefix(word)?.split_whitespace().next());
        lines.map(str::to_owned).collect()
    };
    (of("ran "), of("comes "))
}

#[test]
fn behind_a_stage_and_behind_the_phase_that_ends_it() {
    let project = project("stop", "");
    let output = run(&project, "configure", &["--", "phases; test -e config.mk; test ! -e greet; echo \"$PWD\""]);
    let (ran, comes) = phases(&output);
    assert_eq!(ran, ["unpackPhase", "patchPhase", "configurePhase"]);
    assert_eq!(comes, ["buildPhase"]);
    assert_eq!(built(&project), set(&["unpack", "patch", "configure"]));
    let said = text(&output.stderr);
    assert!(said.contains("\nbuild on: phasesplit build pkg.nix --pkgs host\n"), "{said}");
    assert!(!project.path().join("result").is_symlink(), "a state is no result");

    // The same point by the phase's name: nothing is built for it. Nix's options go before the command.
    let output = run(&project, "configurePhase", &["--", "--option", "cores", "1", "--", "echo", "a  b"]);
    assert_eq!(text(&output.stdout), "a  b\n", "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("0 built, 3 reused"), "{}", text(&output.stderr));
    assert_eq!(run(&project, "configure", &["--", "exit 9"]).status.code(), Some(9));
}

#[test]
fn behind_a_phase_in_the_middle_of_a_stage() {
    let own = "preConfigurePhases = [ \"ownPhase\" ]; ownPhase = \"echo own >own; value=own\"; \
               preConfigure = \"test -e own; echo configured >configured\";";
    let project = project("middle", own);
    let look = "phases; cat own; echo value=$value; test ! -e configured; test ! -e config.mk";
    let output = run(&project, "ownPhase", &["--", look]);
    let (ran, comes) = phases(&output);
    assert_eq!(ran, ["unpackPhase", "patchPhase", "ownPhase"]);
    assert_eq!(comes, ["configurePhase"]);
    assert!(text(&output.stdout).ends_with("own\nvalue=own\n"), "{}", text(&output.stdout));
    assert_eq!(built(&project), set(&["unpack", "patch"]), "the stage that holds the phase is not built");

    // Of finish, whose phases run on the real paths.
    let output = run(&project, "fixupPhase", &["--", "phases; $out/bin/greet; echo $out"]);
    let (ran, comes) = phases(&output);
    assert_eq!(ran.last().map(String::as_str), Some("fixupPhase"));
    assert_eq!(comes, ["installCheckPhase", "distPhase"]);
    assert_eq!(built(&project), set(&["unpack", "patch", "configure", "build", "check", "install"]));
    let out = text(&output.stdout).lines().last().expect("a line").to_owned();
    assert!(out.starts_with("/nix/store/") && !fs::exists(&out).expect("it can be asked"), "{out}");
}

#[test]
fn a_phase_that_fails_before_the_point() {
    // In a stage: the build's own report, with the command for a shell there.
    let failing = project("fails", "postBuild = \"false\";");
    let output = run(&failing, "check", &["--", "true"]);
    assert_eq!(output.status.code(), Some(3));
    let said = text(&output.stderr);
    assert!(said.contains("  shell:     phasesplit shell pkg.nix@build --pkgs host --failed\n"), "{said}");
    assert_eq!(built(&failing), set(&["unpack", "patch", "configure"]));
    // By hand: it ends as a build does, at the command that fails.
    let by_hand = project("by-hand", "preFixup = \"echo one; false; echo two\";");
    let output = run(&by_hand, "fixupPhase", &["--", "echo never"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    assert!(said.contains("one\n") && !said.contains("two") && !said.contains("never"), "{said}");
}

#[test]
fn what_is_no_point_or_makes_no_sense() {
    let project = project("wrong", "");
    for (at, more, says) in [
        ("biuld", &[][..], "--break biuld: it is neither a stage nor a phase of this package"),
        ("biuld", &[], "unpack (unpackPhase), patch (patchPhase), configure (configurePhase), build (buildPhase)"),
        ("finish", &[], "a phase of it: fixupPhase, installCheckPhase, distPhase"),
        ("build", &["--until", "build"], "cannot be used with '--until"),
        ("build", &["--json"], "cannot be used with '--json"),
        ("build", &["--out-link", "x"], "cannot be used with '--out-link"),
        ("unpackPhase", &["--stages", "build"], "no state lies before that stage"),
    ] {
        let output = run(&project, at, more);
        assert_eq!(output.status.code(), Some(2), "{at} {more:?}: {}", text(&output.stderr));
        assert!(text(&output.stderr).contains(says), "{at} {more:?}: {}", text(&output.stderr));
    }
    assert_eq!(built(&project), set(&[]));
}

/// A phase is run in the shell of the terminal before it is the user's; one that fails leaves a shell where it failed.
#[test]
fn at_a_terminal() {
    for (attributes, words) in [
        ("", &["[at-terminal@fixupPhase] ", "ran    fixupPhase", "runPhase installCheckPhase runs it"][..]),
        ("preFixup = \"touch half; false\";", &["fixupPhase failed with exit code 1", "half"]),
    ] {
        let project = project("at-terminal", attributes);
        let inner = stop(&project, "fixupPhase", &[]);
        let line: Vec<String> = std::iter::once(inner.get_program())
            .chain(inner.get_args())
            .map(|word| format!("'{}'", word.to_string_lossy()))
            .collect();
        let mut script = Command::new("script");
        script.args(["-qec", &line.join(" "), "/dev/null"]);
        for (name, value) in inner.get_envs() {
            match value {
                Some(value) => script.env(name, value),
                None => script.env_remove(name),
            };
        }
        script.current_dir(project.path()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = script.spawn().expect("script runs");
        child.stdin.take().expect("a pipe").write_all(b"phases; ls\nexit 6\n").expect("written");
        let output = child.wait_with_output().expect("it ends");
        let said = text(&output.stdout).replace('\r', "").replace(&format!("-{}", std::process::id()), "");
        assert_eq!(output.status.code(), Some(6), "{said}");
        for word in words {
            assert!(said.contains(word), "no `{word}` in\n{said}");
        }
    }
}
