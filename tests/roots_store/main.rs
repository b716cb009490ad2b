//! The roots in a Nix store of the test's own: which paths stay, which go, and what is left when the program is killed.
//!
//! The states are small derivations that Nix really builds; a store of its own lets a test collect garbage. What changes the
//! store or the roots runs in another process: `phasesplit`, or this very program as [`child`], so that it can be killed.

mod machines;
mod many;
mod not_ours;
#[path = "../support/mod.rs"]
mod support;
mod world;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Command;

use phasesplit::gcroot::Roots;
use phasesplit::gcroot::register::NewState;
use phasesplit::nix::Nix;
use pretty_assertions::assert_eq;
use support::{succeed, text};
use world::{KEY, PACKAGE, State, World};

/// What `info.json` of a state here takes.
const INFO: u64 = 3;

/// What this program does as another process; nothing by itself.
#[test]
#[ignore = "a part of the other tests"]
fn child() {
    let Ok(work) = std::env::var("ROOTS_CHILD") else { return };
    let mut lines = work.lines();
    let kind = lines.next().expect("work");
    let states: Vec<(&str, &str, &str)> = lines
        .filter_map(|line| {
            let mut words = line.split(' ');
            Some((words.next()?, words.next()?, words.next()?))
        })
        .collect();
    let roots = Roots::of_user().expect("a home");
    let nix = Nix::default();
    let used: Vec<&str> = states.iter().map(|state| state.1).collect();
    let running = roots.begin(&used);
    if kind == "wait" {
        println!("begun");
        std::thread::sleep(std::time::Duration::from_mins(2));
    }
    for (stage, path, drv) in states {
        let state = NewState { package: PACKAGE, key: KEY, stage, path, drv };
        if let Err(error) = roots.keep_state(&nix, &state) {
            println!("not kept: {error}");
        }
    }
    drop(running);
}

fn paths(states: &[&State]) -> BTreeSet<String> {
    states.iter().map(|state| state.path.clone()).collect()
}

#[test]
fn what_a_policy_gives_up_is_deleted_and_nothing_else() {
    let world = World::new();
    let states = world.states(
        "p-1.0",
        &[
            ("unpack", 1000, None),
            ("build", 20_000, Some(0)),
            ("install", 300, Some(1)),
            ("build", 40_000, Some(0)),
            ("install", 500, Some(3)),
        ],
    );
    let [unpack, build1, install1, build2, install2] = &states[..] else { panic!("five") };
    world.keep(&states.iter().collect::<Vec<_>>());
    for state in [build1, install1] {
        world.used(state, 20);
    }
    // Garbage of somebody else, and a state that nobody gave up.
    fs::write(world.path("garbage"), "x").expect("written");
    let garbage = text(&succeed(world.nix("nix-store").args(["--add", "garbage"])).stdout).trim().to_owned();
    let stray = world.states("stray-2", &[("build", 10, None)]).remove(0);

    let list = world.json(&["list", "--json"]);
    let parent = build1.path.len() as u64;
    let of = |state: &State| {
        let roots = list.as_array().expect("a list").iter();
        let root = roots.clone().find(|root| root["path"] == state.path.as_str()).expect("listed");
        (root["bytes"].as_u64().expect("bytes"), root["frees"].as_u64().expect("frees"))
    };
    let unpack_length = unpack.path.len() as u64;
    assert_eq!(of(unpack), (1000 + INFO, 0), "others keep it");
    assert_eq!(of(build1), (20_000 + INFO + unpack_length, 0));
    assert_eq!(of(install1), (300 + INFO + parent, 300 + INFO + parent));
    let inputs = blake3_of(&build1.drv);
    let root =
        list.as_array().expect("a list").iter().find(|root| root["path"] == build1.path.as_str()).expect("listed");
    assert_eq!((root["inputs"].as_str(), root["drv"].as_str()), (Some(inputs.as_str()), Some(build1.drv.as_str())));
    assert!(states.iter().all(|state| world.known().contains(&state.path)), "Nix knows the roots");
    assert!(states.iter().all(|state| world.known().contains(&state.drv)), "and those of their derivations");

    let before = world.valid();
    let dry = world.json(&["prune", "--older-than", "14d", "--dry-run", "--json"]);
    assert_eq!(dry["givenUp"].as_array().expect("a list").len(), 2);
    assert_eq!(world.rooted(), paths(&[unpack, build1, install1, build2, install2]), "only said");
    let done = world.json(&["prune", "--older-than", "14d", "--json"]);
    assert_eq!((&done["givenUp"][0]["why"], &done["frees"]), (&"old".into(), &dry["frees"]));
    assert_eq!(done["frees"].as_u64(), Some(20_300 + 2 * INFO + parent + unpack_length));
    assert_eq!(world.rooted(), paths(&[unpack, build2, install2]));
    assert_eq!(world.valid(), before, "nothing is deleted yet");

    let deleted = world.json(&["gc", "--json"]);
    assert_eq!(deleted["bytes"], done["frees"]);
    let gone: BTreeSet<String> = before.difference(&world.valid()).cloned().collect();
    assert_eq!(gone, paths(&[build1, install1]));
    assert!(world.valid().contains(&garbage) && world.valid().contains(&stray.path));
    assert_eq!(world.json(&["gc", "--json"])["deleted"], serde_json::json!([]), "it is done");
    assert_eq!(world.json(&["doctor", "--json"]), serde_json::json!([]));

    // By number, by stage, by name.
    world.keep(&[install2]);
    world.roots(&["prune", "--keep-stage", "build", "--keep-last", "0"]);
    assert_eq!(world.rooted(), paths(&[build2]));
    assert_eq!(world.json(&["gc", "--dry-run", "--json"])["deleted"], serde_json::json!([install2.path]), "only that");
    let collected = world.json(&["gc", "--json"]);
    assert_eq!(collected["deleted"], serde_json::json!([install2.path]), "build keeps unpack");
    assert_eq!(collected["stillUsed"], serde_json::json!([unpack.path]));
    world.roots(&["rm", "p@build"]);
    assert_eq!(world.rooted(), BTreeSet::new());
    let deleted = world.json(&["gc", "--json"]);
    let mut expected = [unpack, build2].map(|state| state.path.clone());
    expected.sort();
    assert_eq!(deleted["deleted"], serde_json::json!(expected));
}

fn blake3_of(path: &str) -> String {
    blake3::hash(&fs::read(path).expect("read")).to_hex().to_string()
}

#[test]
fn what_is_used_or_added_or_not_ours_stays() {
    let world = World::new();
    let states = world.states(
        "p-1.0",
        &[("unpack", 10, None), ("build", 20, Some(0)), ("install", 30, Some(1)), ("check", 40, Some(1))],
    );
    let [unpack, build, install, check] = &states[..] else { panic!("four") };
    world.keep(&[unpack, build, install]);
    for state in [unpack, build, install] {
        world.used(state, 100);
    }
    let all = ["prune", "--max-size", "0"];
    let directory = world.path("state/phasesplit/roots/packages").join(KEY);

    // A build uses the build state, which keeps unpack.
    let mut running = world.child("wait", &[build]);
    let mut running = running.stdout(std::process::Stdio::piped()).spawn().expect("started");
    world.wait_for_build();
    let output = world.roots(&all);
    assert!(text(&output.stderr).contains("are left: the rest is protected"), "{}", text(&output.stderr));
    assert_eq!(world.rooted(), paths(&[unpack, build]));
    let refused = world.phasesplit(&["roots", "rm", "p@build"]).output().expect("runs");
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("a running build uses"), "{}", text(&refused.stderr));
    // Killed, it uses nothing.
    running.kill().expect("killed");
    running.wait().expect("over");
    assert_eq!(world.json(&["doctor", "--json"])[0]["problem"], "dead-build");

    // What the user added, and what lies there that is not ours.
    fs::create_dir_all(&directory).expect("there");
    let added = text(&world.roots(&["add", &check.path]).stdout);
    assert_eq!(fs::read_link(added.trim()).expect("a link"), Path::new(&check.path));
    let foreign = directory.join("mine");
    symlink("/etc/passwd", &foreign).expect("linked");
    let other = directory.join("build@other");
    symlink(&install.path, &other).expect("linked");
    fs::write(directory.join("notes.txt"), "mine").expect("written");
    let output = world.roots(&all);
    assert!(text(&output.stderr).contains("are left: the rest is protected"), "{}", text(&output.stderr));
    assert_eq!(world.rooted(), paths(&[unpack, build, check]), "what check continues from costs nothing more");
    let findings = world.json(&["doctor", "--fix", "--json"]);
    let problems: Vec<&str> = findings
        .as_array()
        .expect("a list")
        .iter()
        .map(|finding| finding["problem"].as_str().expect("a word"))
        .collect();
    assert_eq!(problems, ["foreign", "foreign", "foreign"]);
    let deleted = world.json(&["gc", "--json"]);
    assert_eq!(deleted["deleted"], serde_json::json!([install.path]));
    assert!(foreign.is_symlink() && other.is_symlink() && directory.join("notes.txt").is_file());

    // What somebody else keeps in Nix's own ways stays, and so does what Nix fails to delete.
    world.roots(&["rm", &check.path]);
    succeed(world.nix("nix-store").args(["--add-root", "result", "--indirect", "--realise", &check.path]));
    let stays = world.phasesplit(&["roots", "gc"]).output().expect("runs");
    assert_eq!((stays.status.code(), text(&stays.stdout).as_str()), (Some(0), ""));
    assert!(text(&stays.stderr).contains("stays: something else uses it"), "{}", text(&stays.stderr));
    assert_eq!(fs::read_link(world.path("result")).expect("a link"), Path::new(&check.path));
    fs::remove_file(world.path("result")).expect("removed");
    fs::create_dir(world.path("bin")).expect("made");
    let broken = "#!/bin/sh\ncase \"$*\" in *--delete*) echo 'error: the disk is on fire' >&2; exit 1 ;; esac\n\
                  PATH=${PATH#*:}; exec nix-store \"$@\"\n";
    fs::write(world.path("bin/nix-store"), broken).expect("written");
    fs::set_permissions(world.path("bin/nix-store"), fs::Permissions::from_mode(0o755)).expect("set");
    let search = format!("{}:{}", world.path("bin").display(), std::env::var("PATH").expect("a PATH"));
    let failed = world.phasesplit(&["roots", "gc"]).env("PATH", search).output().expect("runs");
    assert_eq!(failed.status.code(), Some(4));
    assert!(text(&failed.stderr).contains("the disk is on fire"), "{}", text(&failed.stderr));
    world.roots(&["add", &check.path]);

    // Nix itself comes by: what is rooted stays, and what was given up is gone without us.
    succeed(world.nix("nix-store").arg("--gc"));
    assert!(Path::new(&check.path).exists() && Path::new(&build.path).exists());
    world.roots(&["rm", &check.path]);
    succeed(world.nix("nix-store").arg("--gc"));
    assert!(!Path::new(&check.path).exists() && Path::new(&build.path).exists());
    assert_eq!(world.json(&["gc", "--json"])["deleted"], serde_json::json!([]));
}

#[test]
fn what_a_running_build_uses_is_neither_given_up_nor_deleted_though_it_has_no_root() {
    let world = World::new();
    let states = world.states("p-1.0", CHAIN);
    let [unpack, build, ..] = &states[..] else { panic!("states") };
    world.keep(&[unpack, build]);
    world.roots(&["rm", "p@build"]);
    let begin = || {
        let mut running = world.child("wait", &[build]);
        let running = running.stdout(std::process::Stdio::null()).spawn().expect("started");
        world.wait_for_build();
        running
    };
    let mut running = begin();
    world.roots(&["prune", "--keep-last", "0"]);
    assert_eq!(world.rooted(), paths(&[unpack]), "the build continues from what continues from it");
    let refused = world.phasesplit(&["roots", "rm", "p@unpack"]).output().expect("runs");
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(world.json(&["gc", "--dry-run", "--json"])["deleted"], serde_json::json!([]));
    let collected = world.json(&["gc", "--json"]);
    assert_eq!(collected["deleted"], serde_json::json!([]));
    assert_eq!(collected["stillUsed"], serde_json::json!([build.path]));
    assert!(Path::new(&build.path).exists());
    running.kill().expect("killed");
    running.wait().expect("over");
    // A build does not begin while they are deleted: its states are there, or seen to be gone.
    assert_eq!(world.json(&["gc", "--json"])["deleted"], serde_json::json!([build.path]));
    // No state of this name can be, so it cannot be meant.
    for option in ["--stage", "--keep-stage"] {
        let refused =
            world.phasesplit(&["roots", "prune", "--keep-last", "0", option, "biuld"]).output().expect("runs");
        assert_eq!(refused.status.code(), Some(2));
        assert!(text(&refused.stderr).contains("`biuld` is no stage"), "{}", text(&refused.stderr));
    }
    assert_eq!(text(&world.roots(&["list", "--package", "q"]).stdout), "nothing of these is rooted\n");
}

#[test]
fn a_size_is_kept_to_within_a_hundredth() {
    let world = World::new();
    // Chains of two: 24 small states below larger ones, sizes all different.
    let mut wanted = Vec::new();
    for at in 0..24_u64 {
        wanted.push(("build", 3000 + at * 137 % 991, None));
        wanted.push(("install", 1000 + at * 271 % 769, Some(usize::try_from(at).expect("small") * 2)));
    }
    let states = world.states("p-1.0", &wanted);
    world.keep(&states.iter().collect::<Vec<_>>());
    for (at, state) in states.iter().enumerate() {
        world.used(state, 100 - u64::try_from(at / 2).expect("small"));
    }
    let held = |states: &BTreeSet<String>| -> u64 {
        let output = succeed(world.nix("nix-store").args(["--query", "--requisites"]).args(states));
        let size = |path: &str| phasesplit::nix::store::size_of(Path::new(path)).expect("there");
        text(&output.stdout).lines().map(size).sum()
    };
    let mut before = held(&world.rooted());
    for limit in [90_000_u64, 60_000, 31_000] {
        assert!(before > limit);
        let pruned = world.json(&["prune", "--max-size", &limit.to_string(), "--json"]);
        let rooted = world.rooted();
        let left = held(&rooted);
        assert_eq!(pruned["left"].as_u64(), Some(left));
        assert!(left <= limit, "{left} of {limit}");
        // As near as these states allow: of those that were given up, each would be too much. With many that is a hundredth.
        for root in pruned["givenUp"].as_array().expect("a list") {
            let mut with_it = rooted.clone();
            with_it.insert(root["path"].as_str().expect("a path").to_owned());
            assert!(held(&with_it) > limit, "{root:#} had room");
        }
        assert!(limit < 50_000 || left >= limit - limit / 100, "{left} of {limit}");
        assert_eq!(pruned["frees"].as_u64(), Some(before - left));
        assert_eq!(world.json(&["gc", "--json"])["bytes"].as_u64(), Some(before - left), "what was promised is freed");
        assert!(
            rooted.contains(&states[47].path) && !rooted.contains(&states[1].path),
            "the last one stays, not the first"
        );
        before = left;
    }
    // Smaller than any state: it is said why all of it stays free.
    let none = world.roots(&["prune", "--max-size", "2000", "--dry-run"]);
    let said = text(&none.stderr);
    assert!(said.starts_with("note: 2.0 KiB of the size stay free: the next state, p-1.0@build, needs 3."), "{said}");
    let none = world.json(&["prune", "--max-size", "2000", "--dry-run", "--json"]);
    assert_eq!((none["short"]["free"].as_u64(), &none["left"]), (Some(2000), &0.into()));
}

/// Kills the work at its first step, its second, and so on until it comes to its end; after each the roots must be good, and
/// the same work done again must have the very same end.
fn killed_at_every_step(prepare: &dyn Fn(&World) -> Vec<State>, work: &dyn Fn(&World, &[State]) -> Command) -> u64 {
    let world = World::new();
    let states = prepare(&world);
    succeed(&mut work(&world, &states));
    let expected = stages(&world, &states);
    for step in 1..1000 {
        fs::remove_dir_all(world.path("state")).expect("removed");
        let states = prepare(&world);
        let before = world.rooted();
        let output = work(&world, &states).env("PHASESPLIT_FAULT", format!("kill:{step}")).output().expect("runs");
        let killed = output.status.signal() == Some(9);
        assert!(killed || output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
        // Whatever is rooted is there; what was rooted and is no more is noted as given up, so it is not lost sight of.
        let (after, noted) = (world.rooted(), world.noted());
        for path in &after {
            assert!(Path::new(path).exists(), "step {step}: {path} is rooted and gone");
        }
        for path in before.difference(&after) {
            assert!(noted.contains(path) || !Path::new(path).exists(), "step {step}: {path} is lost");
        }
        let would_go = world.json(&["gc", "--dry-run", "--json"])["deleted"].to_string();
        assert!(!after.iter().any(|path| would_go.contains(path)), "step {step}: it would delete what is rooted");
        // Again, without a fault.
        succeed(&mut work(&world, &states));
        assert_eq!(stages(&world, &states), expected, "step {step}");
        world.json(&["doctor", "--fix", "--json"]);
        assert_eq!(world.json(&["doctor", "--json"]), serde_json::json!([]), "step {step}");
        assert_eq!(stages(&world, &states), expected, "step {step}: mending changed something");
        let known = world.known();
        assert!(world.rooted().iter().all(|path| known.contains(path)), "step {step}: a link that Nix does not know");
        if !killed {
            println!("killed at each of {} steps", step - 1);
            return step;
        }
    }
    panic!("it has no end");
}

/// Which of the states are rooted, which are there.
fn stages(world: &World, states: &[State]) -> Vec<(bool, bool)> {
    let rooted = world.rooted();
    states.iter().map(|state| (rooted.contains(&state.path), Path::new(&state.path).exists())).collect()
}

const CHAIN: &[(&str, u64, Option<usize>)] = &[("unpack", 10, None), ("build", 20, Some(0)), ("build", 30, Some(0))];

#[test]
fn a_build_that_is_killed_at_any_step_leaves_good_roots() {
    let prepare = |world: &World| world.states("p-1.0", CHAIN);
    let steps =
        killed_at_every_step(&prepare, &|world, states| world.child("keep", &states.iter().collect::<Vec<_>>()));
    assert!(steps > 25, "{steps} steps");
}

#[test]
fn a_policy_that_is_killed_at_any_step_loses_no_state() {
    let prepare = |world: &World| {
        let states = world.states("p-1.0", CHAIN);
        world.keep(&states.iter().collect::<Vec<_>>());
        world.used(&states[1], 20);
        states
    };
    let steps = killed_at_every_step(&prepare, &|world, _| world.phasesplit(&["roots", "prune", "--keep-last", "1"]));
    assert!(steps > 10, "{steps} steps");
    let given_up = |world: &World| {
        let states = prepare(world);
        world.roots(&["prune", "--keep-last", "1"]);
        states
    };
    killed_at_every_step(&given_up, &|world, _| world.phasesplit(&["roots", "gc"]));
}

#[test]
fn a_full_disk_and_a_home_that_cannot_be_written_spoil_nothing() {
    let world = World::new();
    let states = world.states("p-1.0", CHAIN);
    let all: Vec<&State> = states.iter().collect();
    world.keep(&all[..2]);
    for step in 1..25 {
        let output = world.child("keep", &all).env("PHASESPLIT_FAULT", format!("full:{step}")).output().expect("runs");
        assert!(output.status.success(), "{}", text(&output.stdout));
        assert!(world.rooted().is_superset(&paths(&all[..2])), "step {step}");
        let output = world
            .phasesplit(&["roots", "prune", "--keep-last", "0"])
            .env("PHASESPLIT_FAULT", "full:1")
            .output()
            .expect("runs");
        assert_eq!(output.status.code(), Some(4));
        assert!(text(&output.stderr).contains("No space left on device"), "{}", text(&output.stderr));
        assert!(world.rooted().is_superset(&paths(&all[..2])), "what cannot be noted is not given up");
    }
    let findings = world.json(&["doctor", "--fix", "--json"]);
    assert!(findings.as_array().expect("a list").iter().all(|finding| finding["problem"] != "foreign"), "{findings:#}");
    assert_eq!(world.json(&["doctor", "--json"]), serde_json::json!([]));

    // A home in which nothing can be made.
    let output = world.child("keep", &all).env("XDG_STATE_HOME", "/proc/none").output().expect("runs");
    assert!(text(&output.stdout).contains("not kept: cannot lock /proc/none"), "{}", text(&output.stdout));
    let listed = succeed(world.phasesplit(&["roots", "list"]).env("XDG_STATE_HOME", "/proc/none"));
    assert_eq!(text(&listed.stdout), "nothing is rooted\n");
}

#[test]
fn builds_policies_and_collections_at_once_lose_nothing_that_is_rooted() {
    let world = World::new();
    let states = world.states("p-1.0", CHAIN);
    let all: Vec<&State> = states.iter().collect();
    world.keep(&all);
    world.roots(&["add", &states[0].path]);
    // What a build brings along: its derivations are there while it runs.
    let drvs: Vec<&str> = states.iter().map(|state| state.drv.as_str()).collect();
    succeed(world.nix("nix-instantiate").args(["states.nix", "--add-root", "drv", "--indirect"]));
    let repeat = |times: usize, make: &dyn Fn() -> Command| {
        for _ in 0..times {
            let output = make().output().expect("runs");
            assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..5 {
                repeat(1, &|| {
                    let mut realise = world.nix("nix-store");
                    realise.arg("--realise").args(&drvs);
                    realise
                });
                repeat(1, &|| world.child("keep", &all));
            }
        });
        scope.spawn(|| repeat(8, &|| world.phasesplit(&["roots", "prune", "--keep-last", "0"])));
        scope.spawn(|| repeat(8, &|| world.phasesplit(&["roots", "gc"])));
        scope.spawn(|| {
            repeat(4, &|| {
                let mut collect = world.nix("nix-store");
                collect.arg("--gc");
                collect
            });
        });
    });
    assert!(Path::new(&states[0].path).exists(), "the user keeps it");
    let list = world.json(&["list", "--json"]);
    for root in list.as_array().expect("a list").iter().filter(|root| root["kind"] != "derivation") {
        assert_eq!(root["dangling"], false, "{root:#}");
    }
    world.json(&["doctor", "--fix", "--json"]);
    assert_eq!(world.json(&["doctor", "--json"]), serde_json::json!([]));
}
