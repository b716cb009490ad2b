//! Many roots: each is looked at so many times, however many there are. What that takes, `scripts/bench-roots.sh` measures.

use std::fs;
use std::os::unix::fs::symlink;

use crate::support::text;
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

/// How often a command asks the file system for anything, with the lines that it prints; `None` where nobody can count that.
fn questions(world: &World, words: &[&str], lines: usize) -> Option<u64> {
    let counts = world.path("counts");
    let program = world.phasesplit(&["roots"]);
    // Of memory it asks for more with each doubling, which is no question of how many times anything is looked at.
    let mut strace = world.nix("strace");
    strace.args(["-f", "-c", "-e", "trace=%file,%desc", "-o"]).arg(&counts);
    let output = strace.arg(program.get_program()).arg("roots").args(words).output().ok()?;
    let total = fs::read_to_string(counts).ok()?;
    let total = total.lines().find(|line| line.ends_with(" total"))?.split_whitespace().nth(3)?.parse().ok()?;
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout).lines().count(), lines, "{words:?}");
    Some(total)
}

#[test]
fn four_times_the_roots_are_no_more_than_four_times_the_questions() {
    let (some, many) = (world(10), world(40));
    for (words, lines) in [
        // A heading and a sum.
        (&["list"][..], [102, 402]),
        (&["prune", "--keep-last", "4", "--dry-run"], [62, 242]),
        (&["prune", "--max-size", "0", "--dry-run"], [102, 402]),
    ] {
        let Some((few, all)) = questions(&some, words, lines[0]).zip(questions(&many, words, lines[1])) else {
            eprintln!("skipped: strace is missing, or may not count here");
            return;
        };
        println!("{words:?}: {few} for 100, {all} for 400");
        assert!(few > 300, "{words:?}: {few} for 100 roots, which have three files each");
        assert!(all <= few * 4, "{words:?}: {few} for 100, {all} for 400");
    }
}
