//! `docs/sharing.md`: each of its commands, on the machines that it names.
//!
//! A block of the document is `sh` and where it is run; the one for `everywhere` has the names, in whose place the tests put
//! their own.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;

use crate::machine::{Machine, Machines, System};
use crate::support::{root, text};

/// The blocks of the document: the machines, and the commands.
fn blocks() -> Vec<(Vec<String>, String)> {
    let document = fs::read_to_string(root().join("docs/sharing.md")).expect("the document");
    let mut blocks = Vec::new();
    let mut lines = document.lines();
    while let Some(line) = lines.next() {
        let Some(language) = line.strip_prefix("```") else { continue };
        let mut words = language.split_whitespace().map(str::to_owned);
        assert_eq!(words.next().as_deref(), Some("sh"), "commands only: {line}");
        let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        blocks.push((words.collect(), block.join("\n")));
    }
    blocks
}

/// The names that a block of assignments gives values to.
fn assigned(block: &str) -> Vec<&str> {
    let lines = block.lines().map(|line| line.split('#').next().unwrap_or(line));
    lines.flat_map(str::split_whitespace).map(|word| word.split('=').next().unwrap_or(word)).collect()
}

/// Runs a block as a person types it, with these names; what it said.
fn run(machine: &Machine, names: &BTreeMap<&str, String>, block: &str) -> String {
    let assignments: Vec<String> = names.iter().map(|(name, value)| format!("{name}='{value}'\n")).collect();
    let script = format!("set -euo pipefail\n{}{block}\n", assignments.concat());
    let output = machine.command("bash").args(["-c", &script]).output().expect("nsenter runs");
    let said = text(&output.stdout) + &text(&output.stderr);
    assert!(output.status.success(), "on {}:\n{block}\n---\n{said}", machine.name);
    said
}

#[test]
fn every_command_of_sharing_md_does_what_it_says() {
    let wanted = [("ci", System::Here), ("you", System::Sid), ("one", System::Trixie), ("two", System::Sid)];
    let Some(machines) = Machines::start(&wanted) else { return };
    let mut blocks = blocks().into_iter();
    let (place, first) = blocks.next().expect("blocks");
    assert_eq!((place.join(" ").as_str(), assigned(&first)), ("everywhere", vec!["cache", "one", "two", "key"]));
    let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
    let mut names = BTreeMap::from([
        ("cache", format!("127.0.0.1:{port}")),
        ("one", "one".to_owned()),
        ("two", "two".to_owned()),
        ("key", String::new()),
    ]);

    let mut said: Vec<(String, String, String)> = Vec::new();
    for (places, block) in blocks {
        assert!(!places.is_empty() && !block.trim().is_empty(), "{places:?}: {block}");
        for place in places {
            let told = run(machines.get(&place), &names, &block);
            said.push((place, block.clone(), told));
        }
        // Known from the first step on.
        let public = fs::read_to_string(machines.get("ci").own("root/team.pub")).expect("the public key");
        names.insert("key", public.trim().to_owned());
    }
    let said = |place: &str, words: &str| -> &str {
        let mut found = said.iter().filter(|(at, block, _)| at == place && block.contains(words));
        let (_, _, told) = found.next().unwrap_or_else(|| panic!("no command `{words}` on {place}"));
        assert!(found.next().is_none(), "two commands `{words}` on {place}");
        told
    };

    assert!(said("ci", "--generate-binary-cache-key").contains(&names["key"]) && names["key"].starts_with("team-1:"));
    let versions = said("ci", "nix-store --version");
    assert!(versions.contains(" 2.26.") && versions.contains(" 2.34."), "{versions}");
    // Nothing was built on ci, and each stage on one of the builders.
    let built = said("ci", "phasesplit build pkg.nix --no-link -- ");
    let stages = ["configure", "build", "install", "finish"];
    for stage in stages {
        let row =
            built.lines().find(|line| line.starts_with(&format!("{stage} "))).unwrap_or_else(|| panic!("{built}"));
        assert!(row.contains(" built ") && row.contains(" ssh-ng://root@"), "{row}");
    }
    let logs = |names: &[&str], package: &str| {
        let logs = names.iter().flat_map(|name| machines.get(name).logs());
        let mut logs: Vec<String> = logs.filter(|log| log.starts_with(package)).collect();
        logs.sort();
        logs
    };
    let builders = ["one", "two"];
    assert_eq!(
        logs(&builders, "greet-1"),
        ["greet-1", "greet-1-phase-build", "greet-1-phase-configure", "greet-1-phase-install"]
    );
    let narinfos = fs::read_dir(machines.get("ci").own("srv/cache")).expect("a cache").flatten();
    let narinfos = narinfos.filter(|file| file.path().extension().is_some_and(|extension| extension == "narinfo"));
    for narinfo in narinfos {
        let narinfo = fs::read_to_string(narinfo.path()).expect("text");
        assert!(narinfo.contains("Sig: team-1:") && narinfo.contains("Compression: zstd"), "{narinfo}");
    }
    let status = said("you", "cache status");
    assert!(status.contains(&names["cache"]), "{status}");
    // The edit cost two stages; the one before them was fetched.
    let edited = said("you", "install -D -m 555");
    let row = |stage: &str| edited.lines().find(|line| line.starts_with(&format!("{stage} "))).unwrap_or_default();
    assert!(row("build").contains(" fetched ") && row("configure").contains(" fetched "), "{edited}");
    assert!(row("install").contains(" built ") && row("finish").contains(" built "), "{edited}");
    assert_eq!(logs(&["you"], ""), ["greet-1", "greet-1-phase-install"]);
    let result = fs::read_link(machines.get("you").own("root/result")).expect("the link");
    let greet = machines.get("you").in_store(result.to_str().expect("text")).join("bin/greet");
    assert!(greet.is_file(), "{}", greet.display());
    // By ssh: what the builders made went to one of them, and from there to where nothing was built.
    let pushed = said("ci", "--push \"ssh://root@$one\"");
    let lines: Vec<&str> = pushed.lines().filter(|line| line.starts_with("ssh://root@one: ")).collect();
    let is_told = |stage: &str| lines.iter().any(|line| line.contains(&format!(" {stage}")));
    assert!(stages[..3].iter().all(|stage| is_told(stage)) && !pushed.contains("not here"), "{pushed}");
    assert_eq!(logs(&builders, "greet-2").len(), 4);
    let pulled = said("you", "cache pull");
    let row = |stage: &str| pulled.lines().find(|line| line.contains(&format!(" {stage} "))).unwrap_or_default();
    assert!(["configure", "build"].iter().all(|stage| row(stage).contains(" pulled ")), "{pulled}");
    assert!(row("install").contains(" not to be had "), "it is edited there: {pulled}");
}
