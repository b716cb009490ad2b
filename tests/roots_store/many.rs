//! Thousands of roots: four times as many take about four times as long.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use crate::support::{succeed, text};
use crate::world::World;

/// So many packages with ten states each, as files alone: nothing here asks Nix.
fn world(packages: usize) -> World {
    let world = World::new();
    let store = world.path("store");
    for package in 0..packages {
        let key = format!("p{package}-1.0-{package:012x}");
        let links = world.path("state/phasesplit/roots/packages").join(&key);
        fs::create_dir_all(&links).expect("made");
        let mut below = None;
        for build in 0..10 {
            let hash = format!("{:032}", package * 10 + build);
            let state = store.join(format!("{hash}-p{package}-1.0-phase-build"));
            fs::create_dir_all(&state).expect("made");
            fs::write(state.join("info.json"), "{}").expect("written");
            fs::write(state.join("layer.tar.zst"), "12345").expect("written");
            if let Some(below) = &below {
                fs::write(state.join("parent"), below).expect("written");
            }
            symlink(&state, links.join(format!("build@{hash}"))).expect("linked");
            below = (build % 5 != 4).then(|| state.display().to_string());
        }
    }
    world
}

fn fastest(world: &World, words: &[&str], lines: usize) -> Duration {
    let time = |_| {
        let start = Instant::now();
        let output = succeed(world.phasesplit(&["roots"]).args(words));
        assert_eq!(text(&output.stdout).lines().count(), lines, "{words:?}");
        start.elapsed()
    };
    (0..3).map(time).min().expect("three")
}

#[test]
fn two_thousand_roots_take_no_more_than_their_share() {
    let (some, many) = (world(50), world(200));
    for (words, lines) in [
        // A heading and a sum.
        (&["list"][..], [502, 2002]),
        (&["prune", "--keep-last", "4", "--dry-run"], [302, 1202]),
    ] {
        let (few, all) = (fastest(&some, words, lines[0]), fastest(&many, words, lines[1]));
        println!("{words:?}: {few:?} for 500, {all:?} for 2,000");
        assert!(all < few * 10, "{words:?}: {few:?} for 500, {all:?} for 2,000");
    }
}
