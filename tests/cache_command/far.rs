//! How many connections a cache gets.

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
