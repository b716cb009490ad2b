//! `phasesplit state` on states that Nix built: found by package and stage, listed, read, taken out and compared.

use std::fs;
use std::process::{Command, Output};

use serde_json::Value;

use crate::reuse::edited;
use crate::support::{Project, phasesplit, salt, succeed, text};

/// `phasesplit state WORD PKG WORDS…` on the project's package.
fn state(project: &Project, words: &[&str]) -> Command {
    let mut command = phasesplit(project.path());
    command.env("XDG_STATE_HOME", project.path().join("state")).arg("state").args(words).args(["--pkgs", "host"]);
    command
}

fn said(project: &Project, words: &[&str]) -> String {
    text(&succeed(&mut state(project, words)).stdout)
}

fn ends(project: &Project, words: &[&str], code: i32) -> Output {
    let output = state(project, words).output().expect("phasesplit runs");
    assert_eq!(output.status.code(), Some(code), "{words:?}: {}", text(&output.stderr));
    output
}

fn build(project: &Project, options: &[&str]) {
    let mut command = phasesplit(project.path());
    command.env("XDG_STATE_HOME", project.path().join("state"));
    succeed(command.args(["build", "pkg.nix", "--pkgs", "host", "--no-link"]).args(options));
}

fn path_of(project: &Project, name: &str) -> String {
    let info: Value = serde_json::from_str(&said(project, &["info", "--json", name])).expect("JSON");
    info["path"].as_str().expect("a path").to_owned()
}

#[test]
fn the_states_of_a_package_are_found_and_looked_into() {
    let salt = salt();
    let project = Project::new(&edited(&salt, ""));
    // Nothing is built yet: the command that builds it is told, and nothing is built for it.
    let output = ends(&project, &["ls", "pkg.nix@build"], 1);
    let message = text(&output.stderr);
    assert!(
        message.contains("the state of build of reuse-1.0 is neither in the store nor in a binary cache"),
        "{message}"
    );
    assert!(message.contains("build it with `phasesplit build pkg.nix --pkgs host --until build`"), "{message}");
    assert!(text(&ends(&project, &["ls", "pkg.nix"], 1).stderr).contains("no state of reuse-1.0 is in the store"));
    let message = text(&ends(&project, &["ls", "pkg.nix@biuld"], 2).stderr);
    assert!(
        message.contains("has no stage `biuld`") && message.contains("unpack, patch, configure, build"),
        "{message}"
    );

    build(&project, &["--until", "build"]);
    assert_eq!(path_of(&project, "pkg.nix"), path_of(&project, "pkg.nix@build"));
    build(&project, &[]);
    assert_eq!(path_of(&project, "pkg.nix"), path_of(&project, "pkg.nix@install"));
    let message = text(&ends(&project, &["ls", "pkg.nix@finish"], 2).stderr);
    assert!(message.contains("the last stage leaves no state: its outputs are the package"), "{message}");

    let names = said(&project, &["ls", "--names", "pkg.nix@build"]);
    let greet = names.lines().find(|line| line.ends_with("/greet")).expect("greet was built").to_owned();
    let source = format!("{}/greet.c", greet.trim_end_matches("/greet"));
    assert!(said(&project, &["cat", "pkg.nix@build", &source]).contains("int main"));
    // By its store path, and by the path that the build saw.
    let path = path_of(&project, "pkg.nix@build");
    assert_eq!(said(&project, &["ls", "--names", &path, &format!("/{source}")]), format!("{source}\n"));

    said(&project, &["extract", "pkg.nix@build", "to"]);
    let program = project.path().join("to").join(&greet);
    assert!(text(&succeed(&mut Command::new(program)).stdout).contains("greeting: hello"));

    let diff = text(&ends(&project, &["diff", "pkg.nix@build", "@install"], 1).stdout);
    assert!(diff.contains("outputs/out/bin/greet") && diff.contains("added"), "{diff}");
    assert!(!diff.contains("removed"), "{diff}");
    assert_eq!(said(&project, &["diff", "pkg.nix@build", &path]), "the states are equal\n");

    let shell = said(&project, &["vars", "pkg.nix@configure"]);
    assert!(shell.lines().any(|line| line.starts_with("directory  /build/")), "{shell}");
    let shell = said(&project, &["vars", "pkg.nix@unpack", "@configure"]);
    assert!(shell.contains("variable"), "{shell}");
    assert!(said(&project, &["du", "pkg.nix@install"]).lines().any(|line| line.starts_with("unpack ")));
}

#[test]
fn two_versions_of_a_stage_are_compared_and_the_patch_makes_one_of_the_other() {
    let salt = salt();
    let project = Project::new(&edited(&salt, ""));
    build(&project, &["--until", "build"]);
    let before = path_of(&project, "pkg.nix@build");
    project.write(&edited(&salt, "configureFlags = [ \"--with-greeting=edited\" ]; postBuild = \"echo new >new\";"));
    // The old state is told of, as long as it is there.
    let message = text(&ends(&project, &["ls", "pkg.nix@build"], 1).stderr);
    assert!(message.contains(&format!("what the last build left is {before}")), "{message}");
    build(&project, &["--until", "build"]);
    let after = path_of(&project, "pkg.nix@build");
    let output = ends(&project, &["diff", "--json", &before, "pkg.nix@build"], 1);
    let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let changes: Vec<(String, &str)> = json["differences"]
        .as_array()
        .expect("differences")
        .iter()
        .map(|difference| {
            let side = difference.get("after").filter(|side| !side.is_null()).unwrap_or(&difference["before"]);
            let path = side["path"].as_str().expect("a path").rsplit('/').next().expect("a name");
            (path.to_owned(), difference["change"].as_str().expect("a word"))
        })
        .collect();
    let expected = [("config.mk", "changed"), ("greet", "changed"), ("new", "added"), ("shell", "changed")];
    assert_eq!(changes, expected.map(|(path, change)| (path.to_owned(), change)));

    let patch = ends(&project, &["diff", "--patch", &before, &after], 1).stdout;
    fs::write(project.path().join("the.patch"), &patch).expect("written");
    said(&project, &["extract", &before, "a"]);
    said(&project, &["extract", &after, "b"]);
    succeed(
        Command::new("patch").args(["-p1", "--batch", "-d", "a", "-i", "../the.patch"]).current_dir(project.path()),
    );
    let output = Command::new("diff").args(["-rq", "a", "b"]).current_dir(project.path()).output().expect("diff runs");
    let left = text(&output.stdout);
    assert!(left.lines().all(|line| line.contains("/greet differ")) && left.lines().count() == 1, "{left}");
    assert!(text(&patch).contains("Binary files a/"), "the program is named");
}

#[test]
fn a_state_that_only_a_cache_has_is_fetched() {
    let salt = salt();
    let project = Project::new(&edited(&salt, ""));
    build(&project, &["--until", "configure"]);
    let path = path_of(&project, "pkg.nix@configure");
    let cache = format!("file://{}", project.path().join("cache").display());
    let nix = || crate::support::command("nix", project.path());
    let words = ["--extra-experimental-features", "nix-command", "copy", "--to", &cache, &path];
    succeed(nix().args(words));
    fs::remove_dir_all(project.path().join("state/phasesplit/roots/packages")).expect("removed");
    let store = || crate::support::command("nix-store", project.path());
    succeed(store().args(["--delete", &path]));
    assert!(!std::path::Path::new(&path).exists());

    let options = ["--", "--option", "substituters", &cache, "--option", "require-sigs", "false"];
    let fetched = |name: &str| {
        let mut command = phasesplit(project.path());
        let words = ["state", "ls", "--names", name, "--pkgs", "host"];
        let output = command.args(words).args(options).output().expect("phasesplit runs");
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let said = text(&output.stderr);
        assert!(said.contains(&format!("fetching {path} from {cache}")), "{said}");
        assert!(text(&output.stdout).contains("/config.mk\n"));
    };
    fetched("pkg.nix@configure");
    succeed(store().args(["--delete", &path]));
    fetched(&path);
}
