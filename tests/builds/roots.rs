//! What `build` keeps: each state from the moment it is there, also when the build is killed, and older ones as the policy says.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::reuse::edited;
use crate::support::{Gate, Project, phasesplit, salt, succeed, text};

fn command(project: &Project, words: &[&str]) -> Command {
    let mut command = phasesplit(project.path());
    command
        .env("XDG_STATE_HOME", project.path().join("state"))
        .env("XDG_CONFIG_HOME", project.path().join("config"))
        .args(words);
    command
}

fn build(project: &Project) -> Command {
    command(project, &["build", "pkg.nix", "--pkgs", "host", "--no-link"])
}

/// A build that says nothing, and that the gate holds up.
fn start(project: &Project, gate: &Gate) -> Child {
    let mut command = build(project);
    gate.shown_to(&mut command).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("started")
}

/// The states that are rooted: stage and path.
fn states(project: &Project) -> Vec<(String, String)> {
    let output = succeed(&mut command(project, &["roots", "list", "--json"]));
    let roots: Vec<Value> = serde_json::from_slice(&output.stdout).expect("JSON");
    let word = |root: &Value, key: &str| root[key].as_str().expect("a word").to_owned();
    let states = roots.iter().filter(|root| root["kind"] == "state");
    states.map(|root| (word(root, "stage"), word(root, "path"))).collect()
}

#[test]
fn a_state_is_kept_while_the_next_stage_runs_and_when_all_is_killed() {
    let gate = Gate::new();
    let project = Project::new(&edited(&salt(), &format!("installPhase = \"{}; exit 3\";", Gate::WAIT)));
    let mut running = start(&project, &gate);
    let stages = || states(&project).into_iter().map(|(stage, _)| stage).collect::<BTreeSet<_>>();
    while !stages().contains("check") {
        assert!(running.try_wait().expect("asked").is_none(), "it is over, kept are {:?}", stages());
        std::thread::sleep(Duration::from_millis(200));
    }
    let in_use = succeed(&mut command(&project, &["roots", "list"]));
    assert!(text(&in_use.stdout).contains("in use"), "{}", text(&in_use.stdout));
    let kept: Vec<String> = states(&project).into_iter().map(|(_, path)| path).collect();
    let nothing = succeed(&mut command(&project, &["roots", "prune", "--max-size", "0", "--json"]));
    let nothing: Value = serde_json::from_slice(&nothing.stdout).expect("JSON");
    assert_eq!(nothing["givenUp"], serde_json::json!([]), "a running build uses them");

    running.kill().expect("killed");
    running.wait().expect("over");
    for path in &kept {
        let roots = succeed(crate::support::command("nix-store", project.path()).args(["--query", "--roots", path]));
        assert!(text(&roots.stdout).contains("state/phasesplit/roots/packages/"), "{path}: {}", text(&roots.stdout));
    }
    project.write(&edited(&salt(), ""));
    let given_up = succeed(&mut command(&project, &["roots", "prune", "--keep-last", "0", "--json"]));
    let given_up: Value = serde_json::from_slice(&given_up.stdout).expect("JSON");
    assert_eq!(given_up["givenUp"].as_array().expect("a list").len(), kept.len());
}

#[test]
fn older_states_stay_as_the_policy_says() {
    let salt = salt();
    let project = Project::new("");
    let edit = |text: &str| {
        project.write(&edited(&salt, &format!("postInstall = \"echo {text} >$out/installed\";")));
        text_of(&mut build(&project))
    };
    std::fs::create_dir_all(project.path().join("config/phasesplit")).expect("made");
    let config = project.path().join("config/phasesplit/config.toml");
    std::fs::write(&config, "[[roots.policy]]\nkeep-last = 2\n").expect("written");
    let installs = || states(&project).into_iter().filter(|(stage, _)| stage == "install").map(|(_, path)| path);
    edit("one");
    let first: BTreeSet<String> = installs().collect();
    edit("two");
    let both: BTreeSet<String> = installs().collect();
    assert!(both.len() == 2 && both.is_superset(&first));
    let others = states(&project).len() - 2;
    // The first again: it is used, so the second is the older one then.
    std::thread::sleep(Duration::from_millis(1100));
    edit("one");
    assert_eq!(installs().collect::<BTreeSet<_>>(), both);
    std::thread::sleep(Duration::from_millis(1100));
    let said = edit("three");
    assert!(said.contains("older states were given up: 1; `phasesplit roots gc` deletes them"), "{said}");
    let now: BTreeSet<String> = installs().collect();
    assert!(now.len() == 2 && now.is_superset(&first) && !now.is_superset(&both));
    assert_eq!(states(&project).len() - 2, others, "the other stages are the same states");
    let deleted = text(&succeed(&mut command(&project, &["roots", "gc"])).stdout);
    let second: Vec<&String> = both.difference(&first).collect();
    assert_eq!(deleted.lines().collect::<Vec<_>>(), second);

    std::fs::write(&config, "[roots]\nafter-build = false\n").expect("written");
    for name in ["four", "five", "six"] {
        edit(name);
    }
    assert_eq!(installs().count(), 5);
    std::fs::write(&config, "[[roots.policy]]\nkeep-lest = 2\n").expect("written");
    let said = edit("seven");
    assert!(said.contains("warning: no state was given up: ") && said.contains("keep-lest"), "{said}");
    let refused = command(&project, &["roots", "prune"]).output().expect("runs");
    assert_eq!(refused.status.code(), Some(1));
}

/// Two builds of the same package at once: the one that waits for the other has the same states, and keeps them.
#[test]
fn what_another_build_made_meanwhile_is_kept() {
    let gate = Gate::new();
    let project = Project::new(&edited(&salt(), &format!("preConfigure = \"{}\";", Gate::WAIT)));
    let mut first = start(&project, &gate);
    let elsewhere = project.path().join("elsewhere");
    while !states(&project).iter().any(|(stage, _)| stage == "patch") {
        assert!(first.try_wait().expect("asked").is_none(), "it is over before configure");
        std::thread::sleep(Duration::from_millis(50));
    }
    let mut second = build(&project);
    gate.shown_to(second.arg("--json").env("XDG_STATE_HOME", &elsewhere)).stdout(Stdio::piped());
    let second = second.spawn().expect("started");
    // So that it waits for the first one; where it comes later, it finds the states.
    std::thread::sleep(Duration::from_secs(2));
    gate.open();
    assert!(first.wait().expect("over").success());
    let second = second.wait_with_output().expect("over");
    assert!(second.status.success());
    let report: Value = serde_json::from_slice(&second.stdout).expect("JSON");
    let stages = report["stages"].as_array().expect("stages");
    let without = stages.iter().filter(|stage| !matches!(stage["outcome"].as_str(), Some("built" | "reused")));
    assert_eq!(without.count(), 0, "{report:#}");
    let output = succeed(command(&project, &["roots", "list", "--json"]).env("XDG_STATE_HOME", &elsewhere));
    let listed = text(&output.stdout);
    let kept = stages.iter().filter(|stage| stage["stage"] != "finish");
    for path in kept.map(|stage| stage["path"].as_str().expect("a path")) {
        assert!(listed.contains(&format!("\"path\": \"{path}\"")), "{path} is not rooted: {listed}");
    }
}

/// The command, in a place where this directory cannot be written. Whoever may write anywhere needs another view of it.
fn read_only(project: &Project, directory: &Path, words: &[&str]) -> Command {
    let is_root = rustix::process::geteuid().is_root();
    let view = "mount --bind \"$0\" \"$0\" && mount -o remount,ro,bind \"$0\" && exec \"$@\"";
    let mode = "find \"$0\" -type d -exec chmod a-w {} + && exec \"$@\"";
    let mut command = crate::support::command(if is_root { "unshare" } else { "bash" }, project.path());
    if is_root {
        command.args(["--mount", "--propagation", "private", "bash"]);
    }
    command.args(["-euc", if is_root { view } else { mode }]).arg(directory).arg(env!("CARGO_BIN_EXE_phasesplit"));
    command.env("XDG_STATE_HOME", directory).env("XDG_CONFIG_HOME", project.path().join("config")).args(words);
    command
}

/// The text, without what is this run's own.
fn plain(text: &str, project: &Project) -> String {
    let text = text.replace(&project.path().display().to_string(), "HERE");
    let is_hash = |word: &str| word.len() == 12 && word.chars().all(|c| c.is_ascii_hexdigit());
    let key = text.split(['-', '/', ':']).find(|word| is_hash(word)).map(str::to_owned);
    let text = key.map_or(text.clone(), |key| text.replace(&key, "KEY"));
    // The engine's own version is not what this is about.
    match text.split_once("warning: phasesplit-state-").and_then(|(_, rest)| rest.split_once(' ')) {
        Some((_, rest)) => format!("warning: ENGINE {rest}"),
        None => text,
    }
}

#[test]
fn a_home_that_cannot_be_written_costs_the_roots_and_nothing_else() {
    let salt = salt();
    let project = Project::new(&edited(&salt, ""));
    let home = project.path().join("home");
    std::fs::create_dir(&home).expect("made");
    let words = ["build", "pkg.nix", "--pkgs", "host", "--no-link"];
    let warnings = |output: &std::process::Output| -> Vec<String> {
        let said = text(&output.stderr);
        said.lines().filter(|line| line.starts_with("warning: ")).map(|line| plain(line, &project)).collect()
    };
    let empty = succeed(&mut read_only(&project, &home, &words));
    let expected = [
        "warning: ENGINE is not protected from garbage collection: \
         cannot create HERE/home/phasesplit/roots/own: Read-only file system (os error 30)",
        "warning: `phasesplit roots prune` does not see this build: Read-only file system (os error 30)",
        "warning: the states are not protected from garbage collection: \
         cannot lock HERE/home/phasesplit/roots/packages/reuse-1.0-KEY: Read-only file system (os error 30)",
        "warning: the next build cannot be explained: cannot write the build record \
         HERE/home/phasesplit/packages/reuse-1.0-KEY/last.json: Read-only file system (os error 30)",
    ];
    assert_eq!(warnings(&empty), expected);
    assert_eq!(std::fs::read_dir(&home).expect("there").count(), 0);

    // One that was written before, by another version of phasesplit, with another engine.
    let result = succeed(build(&project).env("XDG_STATE_HOME", &home)).stdout;
    assert_eq!(result, empty.stdout);
    for link in std::fs::read_dir(home.join("phasesplit/roots/own")).expect("there").flatten() {
        std::fs::remove_file(link.path()).expect("removed");
    }
    let listed = || text(&succeed(command(&project, &["roots", "list", "--json"]).env("XDG_STATE_HOME", &home)).stdout);
    let before = listed();
    project.write(&edited(&salt, "postInstall = \"echo edited >$out/installed\";"));
    let full = succeed(&mut read_only(&project, &home, &words));
    let told = warnings(&full);
    assert_eq!(told.len(), 4, "{told:#?}");
    assert!(told[0].starts_with("warning: ENGINE is not protected from garbage collection: "), "{told:#?}");
    assert!(told.iter().all(|line| line.contains("Read-only file system")), "{told:#?}");
    assert_eq!(listed(), before);
    for (words, error) in [
        (&["roots", "prune", "--keep-last", "0"][..], "error: cannot lock HERE/home/phasesplit: Read-only file system"),
        (&["roots", "rm", "reuse"], "error: cannot lock HERE/home/phasesplit: Read-only file system"),
        (&["roots", "touch", "reuse"], "error: cannot write HERE/home/phasesplit/packages/reuse-1.0-KEY/states/"),
        (&["roots", "add", "reuse@build"], "error: cannot create HERE/home/phasesplit/roots/added: Read-only file"),
        (&["roots", "doctor", "--fix"], "error: cannot lock HERE/home/phasesplit: Read-only file system"),
    ] {
        let refused = read_only(&project, &home, words).output().expect("runs");
        assert_eq!(refused.status.code(), Some(4), "{words:?}");
        let said = plain(&text(&refused.stderr), &project);
        assert!(said.starts_with(error), "{words:?}: {said}");
    }
    assert_eq!(listed(), before);
}

/// A file system of its own that is full: what cannot be kept is told, and the build is the same.
#[test]
fn a_full_disk_costs_the_roots_and_nothing_else() {
    let project = Project::new(&edited(&salt(), ""));
    let home = project.path().join("home");
    std::fs::create_dir(&home).expect("made");
    let full =
        "mount -t tmpfs -o size=16k tmpfs \"$0\"; head -c 1M /dev/zero >\"$0/filler\" 2>/dev/null || true; exec \"$@\"";
    let mut unshare = crate::support::command("unshare", project.path());
    if !rustix::process::geteuid().is_root() {
        unshare.arg("--map-current-user");
    }
    unshare.args(["--mount", "--propagation", "private", "bash", "-euc", full]).arg(&home);
    unshare.arg(env!("CARGO_BIN_EXE_phasesplit")).args(["build", "pkg.nix", "--pkgs", "host", "--no-link"]);
    unshare.env("XDG_STATE_HOME", &home).env("XDG_CONFIG_HOME", project.path().join("config"));
    let output = succeed(&mut unshare);
    let said = text(&output.stderr);
    let warnings: Vec<&str> = said.lines().filter(|line| line.starts_with("warning: ")).collect();
    assert!(!warnings.is_empty(), "{said}");
    assert!(warnings.iter().all(|line| line.contains("No space left on device")), "{warnings:#?}");
    assert_eq!(succeed(&mut build(&project)).stdout, output.stdout);
}

fn text_of(command: &mut Command) -> String {
    text(&succeed(command).stderr)
}
