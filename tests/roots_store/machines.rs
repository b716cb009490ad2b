//! Two machines that share a store and a state directory, as far as one machine can show it: each has its own name and its own
//! mounts. Locks are seen by both, as a network file system passes them on.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::CHAIN;
use crate::support::{succeed, text};
use crate::world::{State, World};

/// The same command on a machine of this name.
fn on(machine: &str, command: &Command) -> Command {
    on_with(machine, "hostname \"$0\"; exec \"$@\"", command)
}

/// The same, with what bash does there.
fn on_with(machine: &str, script: &str, command: &Command) -> Command {
    let mut there = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        there.arg("--map-root-user");
    }
    there.args(["--uts", "--mount", "bash", "-euc", script, machine]);
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
    two_at_once(&World::new(), 5, &on);
}

/// The state directory mounted twice with sshfs, which passes no lock on: neither machine sees the other's.
#[test]
fn two_machines_that_do_not_see_each_others_locks_lose_nothing_that_is_rooted() {
    const SERVER: &str = "/usr/lib/openssh/sftp-server";
    let world = World::new();
    let is_here = |file: &str| Path::new(file).exists();
    if !is_here(SERVER) || !is_here("/dev/fuse") || !["/usr/bin/sshfs", "/bin/sshfs"].iter().any(|file| is_here(file)) {
        return eprintln!("skipped: it needs sshfs, {SERVER} and /dev/fuse");
    }
    fs::create_dir(world.path("state")).expect("made");
    // In place of ssh: the server itself, here.
    fs::write(world.path("ssh"), format!("#!/bin/sh\nexec {SERVER}\n")).expect("written");
    fs::set_permissions(world.path("ssh"), fs::Permissions::from_mode(0o755)).expect("set");
    let mounts = Mounts(["one", "two"].map(|machine| world.path(machine)));
    for mount in &mounts.0 {
        fs::create_dir(mount).expect("made");
        let source = format!("here:{}", world.path("state").display());
        // Links into the store are absolute, and what another machine does should be seen at once.
        let ssh = format!("ssh_command={},dir_cache=no,no_contain_symlinks", world.path("ssh").display());
        // Before 3.7.4 it knows no such option, and refuses no link.
        let older = ssh.replace(",no_contain_symlinks", "");
        let is_mounted = [ssh, older].iter().any(|options| {
            let mut sshfs = Command::new("sshfs");
            sshfs.arg(&source).arg(mount).args(["-o", options]).stderr(Stdio::null());
            sshfs.status().is_ok_and(|status| status.success())
        });
        if !is_mounted {
            return eprintln!("skipped: sshfs cannot mount here");
        }
    }
    let script = format!(
        "mount --bind {}/\"$0\" {}; {}",
        world.path("").display(),
        world.path("state").display(),
        "hostname \"$0\"; exec \"$@\""
    );
    two_at_once(&world, 2, &|machine, command| on_with(machine, &script, command));

    // What one wrote, the other reads; and a build that runs on one is known to the other.
    let there = |machine: &str, command: &Command| on_with(machine, &script, command);
    let states = world.states("p-1.0", CHAIN);
    succeed(&mut there("one", &world.child("keep", &states.iter().collect::<Vec<_>>())));
    let mut running = there("one", &world.child("wait", &[&states[1]])).stdout(Stdio::null()).spawn().expect("started");
    world.wait_for_build();
    succeed(&mut there("two", &world.phasesplit(&["roots", "prune", "--keep-last", "0"])));
    assert!(world.rooted().is_superset(&paths(&states[..2])), "its state, and the one that this continues from");
    running.kill().expect("killed");
    running.wait().expect("over");
}

/// File systems that go with the test.
struct Mounts([PathBuf; 2]);

impl Drop for Mounts {
    fn drop(&mut self) {
        for mount in &self.0 {
            let _ = Command::new("fusermount3").arg("-uz").arg(mount).stderr(Stdio::null()).status();
        }
    }
}

/// Builds, policies and collections on both at once.
fn two_at_once(world: &World, rounds: usize, there: &(dyn Fn(&str, &Command) -> Command + Sync)) {
    let states = world.states("p-1.0", CHAIN);
    let all: Vec<&State> = states.iter().collect();
    world.keep(&all);
    world.roots(&["add", &states[0].path]);
    succeed(world.nix("nix-instantiate").args(["states.nix", "--add-root", "drv", "--indirect"]));
    let drvs: Vec<&str> = states.iter().map(|state| state.drv.as_str()).collect();
    std::thread::scope(|scope| {
        for machine in ["one", "two"] {
            let (all, drvs) = (&all, &drvs);
            scope.spawn(move || {
                for _ in 0..rounds {
                    succeed(world.nix("nix-store").arg("--realise").args(drvs));
                    succeed(&mut there(machine, &world.child("keep", all)));
                    succeed(&mut there(machine, &world.phasesplit(&["roots", "prune", "--keep-last", "0"])));
                    succeed(&mut there(machine, &world.phasesplit(&["roots", "gc"])));
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
