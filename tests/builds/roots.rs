//! What `build` keeps: each state from the moment it is there, also when the build is killed, and older ones as the policy says.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::reuse::edited;
use crate::support::{Project, phasesplit, salt, succeed, text};

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
    let project = Project::new(&edited(&salt(), "installPhase = \"sleep 120; exit 3\";"));
    let mut running = build(&project).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("started");
    let start = Instant::now();
    let stages = || states(&project).into_iter().map(|(stage, _)| stage).collect::<BTreeSet<_>>();
    while !stages().contains("check") {
        assert!(start.elapsed() < Duration::from_secs(110), "kept are {:?}", stages());
        assert!(running.try_wait().expect("asked").is_none(), "it is over");
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

fn text_of(command: &mut Command) -> String {
    text(&succeed(command).stderr)
}
