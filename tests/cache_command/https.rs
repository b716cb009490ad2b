//! A cache behind TLS whose certificate comes from an authority of one's own: with it in `NIX_SSL_CERT_FILE` all works, over
//! HTTP/2 too; without it each command says what is lacking.

use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::cached::{Project, STAGES, answers, expected, outcomes};
use crate::nginx::Nginx;
use crate::support::text;

#[test]
fn a_cache_behind_tls_needs_its_authority() {
    let project = Project::new();
    fs::create_dir(project.store()).expect("made");
    fs::write(project.store().join("nix-cache-info"), "StoreDir: /nix/store\n").expect("written");
    let Some(server) = Nginx::start(&project.store()) else { return };
    project.build();
    let key = project.key("k-1");
    let url = server.url.as_str();
    let run = |authority: Option<&Path>, words: &[&str]| -> (Output, String) {
        let mut command = project.cache(words[0], "pkg.nix");
        command.env_remove("SSL_CERT_FILE").env_remove("NIX_SSL_CERT_FILE");
        if let Some(file) = authority {
            command.env("NIX_SSL_CERT_FILE", file);
        }
        command.args(["--json", "--retries", "0"]).args(&words[1..]);
        let output = command.args(["--", "--option", "trusted-public-keys", &key]).output().expect("phasesplit runs");
        let talk = text(&output.stderr);
        (output, talk)
    };
    let authority = server.authority();
    let with = |words: &[&str]| run(Some(&authority), words);
    let without = |words: &[&str]| run(None, words);
    let distrusted = |(output, talk): (Output, String), what: &str| {
        assert_eq!(output.status.code(), Some(4), "{talk}");
        assert!(talk.contains(&format!("{what}: certificate not trusted: ")), "{talk}");
        assert!(
            talk.contains("help: have NIX_SSL_CERT_FILE name a file with all certificates that are trusted"),
            "{talk}"
        );
        output
    };
    let silent = format!("{url} does not tell what it has");

    let push = ["push", "--to", url, "--key", "k-1.sec", "--compression", "zstd"];
    distrusted(without(&push), &format!("cannot push to {url}"));
    let each = |word| STAGES[..3].iter().map(|stage| (*stage, word)).collect::<Vec<_>>();
    let (output, talk) = with(&push);
    assert_eq!((output.status.code(), outcomes(&output)), (Some(0), expected(&each("pushed"))), "{talk}");
    let (output, talk) = with(&push);
    assert_eq!((output.status.code(), outcomes(&output)), (Some(0), expected(&each("there"))), "{talk}");
    let (output, talk) = with(&["push", "--to", &format!("{url}/read"), "--with-outputs"]);
    assert!(output.status.code() == Some(4) && talk.contains("/read: refused: "), "{talk}");

    let before = server.asked().len();
    let status = ["status", "--substituter", url];
    let (output, talk) = with(&status);
    let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(answers(&told, 0), ["signed", "signed", "signed", "missing"], "{talk}");
    // All over one connection.
    let asked = &server.asked()[before..];
    assert_eq!(asked.len(), 6, "{asked:?}");
    assert!(asked.iter().all(|[protocol, connection, ..]| protocol == "HTTP/2.0" && *connection == asked[0][1]));
    let output = distrusted(without(&status), &silent);
    let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(answers(&told, 0), ["certificate not trusted"; 4]);
    let (_, talk) = run(Some(Path::new("/none")), &status);
    assert!(talk.contains("(the file that NIX_SSL_CERT_FILE names cannot be read)"), "{talk}");

    project.forget();
    let pull = ["pull", "--from", url];
    let output = distrusted(without(&pull), &silent);
    assert_eq!(outcomes(&output), expected(&STAGES.map(|stage| (stage, "not-to-be-had"))));
    let (output, talk) = with(&pull);
    assert_eq!(output.status.code(), Some(0), "{talk}");
    let pulled = outcomes(&output).into_iter().filter(|(_, outcome)| outcome == "pulled").count();
    assert!(pulled == 3 && talk.matches("fetching /nix/store/").count() == 3, "{talk}");
}
