//! Two machines that share a store and a state directory, as far as one machine can show it: each has its own name and its own
//! mounts. Locks are seen by both, as a network file system passes them on.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::CHAIN;
use crate::support::{succeed, text};
use crate::world::{State, World};

/// The same command on a machine of this name.
fn on(machine: &str, command: &Command) -> Command {
    let mut there = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        there.arg("--map-root-user");
    }
    there.args(["--uts", "--mount", "bash", "-euc", "hostname \"$0\"; exec \"$@\"", machine]);
    there.arg(command.get_program()).args(command.get_args()).stdin(Stdio::null());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => there.env(name, value),
            None => there.env_remove(name),
        };
    }
    if let Some(directory) = command.get_current_dir() {
        there.current_dir(directory);
    }
    there
}

fn paths(states: &[State]) -> BTreeSet<String> {
    states.iter().map(|state| state.path.clone()).collect()
}

#[test]
fn a_build_on_another_machine_keeps_its_states_while_it_may_run() {
    let world = World::new();
    let states = world.states("p-1.0", CHAIN);
    world.keep(&states.iter().collect::<Vec<_>>());
    let mut running = on("one", &world.child("wait", &[&states[1]])).stdout(Stdio::piped()).spawn().expect("started");
    world.wait_for_build();
    let prune = |machine: &str| {
        succeed(&mut on(machine, &world.phasesplit(&["roots", "prune", "--keep-last", "0"])));
        world.rooted()
    };
    assert_eq!(prune("two"), paths(&states[..2]), "its state, and the one that this continues from");
    let refused = on("two", &world.phasesplit(&["roots", "rm", "p@build"])).output().expect("runs");
    assert!(text(&refused.stderr).contains("a running build uses"), "{}", text(&refused.stderr));
    running.kill().expect("killed");
    running.wait().expect("over");
    // The other machine cannot know that it was killed; this one can.
    assert_eq!(prune("two"), paths(&states[..2]));
    assert_eq!(prune("one"), BTreeSet::new());
    succeed(&mut world.phasesplit(&["roots", "doctor"]));
}

#[test]
fn two_machines_at_once_lose_nothing_that_is_rooted() {
    let world = World::new();
    let states = world.states("p-1.0", CHAIN);
    let all: Vec<&State> = states.iter().collect();
    world.keep(&all);
    world.roots(&["add", &states[0].path]);
    succeed(world.nix("nix-instantiate").args(["states.nix", "--add-root", "drv", "--indirect"]));
    let drvs: Vec<&str> = states.iter().map(|state| state.drv.as_str()).collect();
    std::thread::scope(|scope| {
        for machine in ["one", "two"] {
            let (world, all, drvs) = (&world, &all, &drvs);
            scope.spawn(move || {
                for _ in 0..5 {
                    succeed(world.nix("nix-store").arg("--realise").args(drvs));
                    succeed(&mut on(machine, &world.child("keep", all)));
                    succeed(&mut on(machine, &world.phasesplit(&["roots", "prune", "--keep-last", "0"])));
                    succeed(&mut on(machine, &world.phasesplit(&["roots", "gc"])));
                    std::thread::sleep(Duration::from_millis(5));
                }
            });
        }
    });
    assert!(Path::new(&states[0].path).exists(), "the user keeps it");
    let list = world.json(&["list", "--json"]);
    for root in list.as_array().expect("a list").iter().filter(|root| root["kind"] != "derivation") {
        assert_eq!(root["dangling"], false, "{root:#}");
    }
    world.json(&["doctor", "--fix", "--json"]);
    assert_eq!(world.json(&["doctor", "--json"]), serde_json::json!([]));
}
