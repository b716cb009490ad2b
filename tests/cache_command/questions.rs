//! How a web server is asked: over how many connections, and where it says that what it has lies elsewhere.

use std::time::Duration;

use phasesplit::cache::judge::Judge;
use phasesplit::cache::{self, Answer, Patience};

use crate::http::{Act, Server};

#[test]
fn a_cache_that_is_far_away_is_asked_more_at_once() {
    let empty = tempfile::tempdir().expect("a directory");
    std::fs::write(empty.path().join("nix-cache-info"), "StoreDir: /nix/store\n").expect("written");
    let server = Server::new(empty.path(), |path, _| match path {
        "/nix-cache-info" => Act::Serve,
        _ => Act::Late(Duration::from_millis(30)),
    });
    let paths: Vec<String> = (0..300).map(|n| format!("/nix/store/{n:032}-far")).collect();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    let judge = Judge::new("/nix/store", []).expect("no key is a wrong one");
    let answers = cache::ask(std::slice::from_ref(&server.url), &paths, &judge, Patience::default(), &[]);
    assert_eq!(answers, [Ok(vec![Answer::Missing; paths.len()])]);
    // More than a near one gets, and many questions over each: one that is not free at once is not waited for.
    let connections = server.connections();
    assert!((48..paths.len()).contains(&connections), "{connections} connections");
    assert_eq!(server.requests().len(), paths.len() + 1);
}

#[test]
fn a_cache_that_has_moved_is_followed() {
    let directory = tempfile::tempdir().expect("a directory");
    let moved = directory.path().join("moved");
    std::fs::create_dir(&moved).expect("made");
    std::fs::write(moved.join("nix-cache-info"), "StoreDir: /nix/store\n").expect("written");
    std::fs::write(moved.join("a.narinfo"), "no record").expect("written");
    let server = Server::new(directory.path(), |path, _| match path {
        path if path.starts_with("/moved/") => Act::Serve,
        _ => Act::Moved,
    });
    let judge = Judge::new("/nix/store", []).expect("no key is a wrong one");
    let urls = [server.url.clone()];
    let answers = cache::ask(&urls, &["/nix/store/a-x", "/nix/store/b-y"], &judge, Patience::default(), &[]);
    let [Ok(answers)] = &answers[..] else { panic!("{answers:?}") };
    assert!(matches!(&answers[0], Answer::There(held) if held.verdict.word() == "corrupt"), "{answers:?}");
    assert_eq!(answers[1], Answer::Missing);
}
