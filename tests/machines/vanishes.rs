//! A binary cache that goes away while states are fetched from it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use phasesplit::compare::compare_packages;

use crate::chain::{STAGES, outputs, write_package};
use crate::http::{Act, Server};
use crate::machine::{Machines, System};
use crate::support::salt;

/// How many archives the cache still gives before it goes away.
const ALL: usize = usize::MAX;

fn vanishes(system: System) {
    let wanted = [("maker", System::Here), ("client", system)];
    let Some(machines) = Machines::start(&wanted) else { return };
    let (maker, client) = (machines.get("maker"), machines.get("client"));
    let store = tempfile::tempdir().expect("a directory");
    let left = Arc::new(AtomicUsize::new(ALL));
    let cache = {
        let left = Arc::clone(&left);
        Server::new(store.path(), move |path, _| {
            let gives = |n: usize| if path.contains("/nar/") && n != ALL { n.checked_sub(1) } else { Some(n) };
            match left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, gives) {
                Ok(0) | Err(_) => Act::Cut,
                Ok(_) => Act::Serve,
            }
        })
    };
    let key = maker.key("maker-1");
    let salt = salt();
    write_package(maker, &salt, "");
    write_package(client, &salt, "");
    let made = maker.build(&["pkg.nix"]).good();
    let push = ["phasesplit", "cache", "push", "pkg.nix", "--pkgs", "host", "--key", "/root/maker-1.sec", "--to"];
    maker.run(&[&push[..], &[&cache.url]].concat());

    client.trust(&cache.url, &key);
    client.configure("download-attempts = 1");
    left.store(2, Ordering::SeqCst);
    let cut = client.build(&["pkg.nix"]);
    assert_eq!(cut.code, Some(4), "{}", cut.talk);
    assert!(cut.talk.contains("a binary cache failed") && cut.talk.contains(&cache.url), "{}", cut.talk);
    assert!(cut.talk.contains("run this again"), "{}", cut.talk);
    assert_eq!(client.logs(), [""; 0], "nothing was built");
    client.assert_whole();
    let has = |stage: &str| client.has(made.path(stage));
    assert!(!has("install") && STAGES[..5].iter().filter(|stage| has(stage)).count() <= 2);

    left.store(ALL, Ordering::SeqCst);
    let again = client.build(&["pkg.nix"]).good();
    assert_eq!(again.built(), [("finish", "here")], "{}", again.talk);
    assert_eq!(again.paths(), made.paths());
    client.assert_whole();
    let report = compare_packages(&outputs(client, &again), &outputs(maker, &made)).expect("both can be read");
    assert!(report.is_equal(), "{report}");

    // Away from the start: known from before, and never seen.
    left.store(0, Ordering::SeqCst);
    for url in [cache.url.as_str(), "http://127.0.0.1:9"] {
        write_package(client, &crate::support::salt(), "");
        let without = client.build_with(&format!("substituters = {url}"), &["pkg.nix"]);
        eprintln!("{url}: {}", without.talk);
        let without = without.good();
        assert_eq!(without.built(), STAGES.map(|stage| (stage, "here")), "{}", without.talk);
    }
}

#[test]
fn while_2_8_fetches() {
    vanishes(System::Here);
}

#[test]
fn while_2_26_fetches() {
    vanishes(System::Trixie);
}

#[test]
fn while_2_34_fetches() {
    vanishes(System::Sid);
}
