//! Kills at random moments: `build`, `roots prune`, `roots gc` and `cache push`, as a user runs them, with a store of their own.
//! After each no root is broken, no state lost, and the same command has the very result that it has undisturbed.
//!
//! `PHASESPLIT_KILLS` says how many (`make test-kills`: 200), `PHASESPLIT_KILLS_SEED` gives the same choices again; the
//! moments are as exact as the machine's timers. Each kind of command is killed once before chance chooses, and one that ended
//! before its kill is tried again, sooner: how fast the machine is, and how much else it does, decides nothing.

mod aim;
mod chance;
mod kill;
mod look;
mod planted;
mod reference;
mod rounds;
mod world;

#[path = "../support/http.rs"]
mod http;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::SystemTime;

use chance::Chance;
use http::{Act, Server};
use reference::Reference;
use rounds::{Kind, Rounds};
use world::World;

fn number(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok().filter(|value| !value.is_empty())?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} is no number: {value}")))
}

#[test]
fn kills_at_random_moments_break_nothing() {
    let wanted = number("PHASESPLIT_KILLS").unwrap_or(20);
    let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let seed = number("PHASESPLIT_KILLS_SEED").unwrap_or(clock);
    println!("{wanted} kills, PHASESPLIT_KILLS_SEED={seed}");

    let mut rounds = Rounds::new(Chance::new(seed));
    let (mut kills, mut missed) = (BTreeMap::new(), 0);
    let mut first = vec![Kind::Build, Kind::Prune, Kind::Gc, Kind::Push];
    let mut wrong = Vec::new();
    while kills.values().sum::<u64>() < wanted && wrong.len() < 5 {
        let kind = rounds.choose(&first);
        let round = rounds.next(kind);
        if round.killed {
            first.retain(|kind| *kind != round.kind);
            *kills.entry((round.kind, round.whom, round.beside)).or_insert(0_u64) += 1;
        } else {
            missed += 1;
        }
        if !round.wrong.is_empty() {
            wrong.push(format!("{}\n  {}", round.words, round.wrong.join("\n  ")));
            println!("WRONG: {}", round.wrong.join("\n  "));
        }
    }
    let mut report = String::new();
    for ((kind, whom, beside), count) in &kills {
        let beside = beside.map_or_else(String::new, |beside| format!(", {beside} beside"));
        let _ = writeln!(report, "{count:4} {kind:?}, {whom:?}{beside}");
    }
    let total: u64 = kills.values().sum();
    println!("{report}{total} kills in all, {missed} commands ended before; the doctor mended {:?}", rounds.mended());
    let bad = wrong.len();
    assert!(
        bad == 0,
        "of {total} kills (PHASESPLIT_KILLS_SEED={seed}) {bad} left something wrong:\n{}",
        wrong.join("\n")
    );
    assert!(wanted < 4 || first.is_empty(), "{first:?} were not killed");
    rounds.planted();
}

/// As when a push was killed and what it started goes on, or when several machines push what they have in common.
#[test]
fn pushes_at_once_all_succeed() {
    let world = World::new();
    let caches = world.path("caches");
    let server = Server::new(&caches, |_, _| Act::Serve);
    let output = support::succeed(&mut world.build());
    let reference = Reference::of(&world, &output);
    for round in 0..4 {
        let cache = caches.join(round.to_string());
        std::fs::create_dir_all(&cache).expect("made");
        let info = format!("StoreDir: {}\n", world.path("store").display());
        std::fs::write(cache.join("nix-cache-info"), info).expect("written");
        let url = format!("{}/{round}", server.url);
        let words = ["cache", "push", "pkg.nix", "--pkgs", "host", "--with-outputs", "--to", &url];
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| support::succeed(&mut world.phasesplit(&words)));
            }
        });
        assert_eq!(look::cache_lacks(&cache, &reference.paths), Vec::<String>::new());
        assert_eq!(look::cache_damaged(&world, &cache), Vec::<String>::new());
    }
}
