//! Another machine's store as the cache: what is there is told and judged, a push sends what is missing, a pull brings it back,
//! and each trouble with ssh has its word.

use std::process::Output;

use serde_json::Value;

use crate::cached::{Project, STAGES, answers, expected, outcomes};
use crate::other_machine::Machine;
use crate::support::{self, salt, succeed, text};

/// A user whose cache is the other machine's store.
struct User {
    project: Project,
    url: String,
    key: String,
    ssh: String,
}

impl User {
    /// `phasesplit` with these words, and Nix's options behind them.
    fn run(&self, words: &[&str], key: &str) -> Output {
        let mut command = self.project.command();
        command.env("NIX_SSHOPTS", &self.ssh).args(words);
        command.args(["--", "--option", "trusted-public-keys", key]).output().expect("phasesplit runs")
    }

    fn cache(&self, words: &[&str], key: &str) -> Output {
        self.run(&[&["cache", words[0], "pkg.nix", "--pkgs", "host", "--json"], &words[1..]].concat(), key)
    }

    /// What is told of each stage, and of the cache.
    fn status(&self) -> (Option<i32>, Value) {
        let output = self.cache(&["status", "--substituter", &self.url], &self.key);
        let status = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(&output.stderr)));
        (output.status.code(), status)
    }

    fn push(&self, options: &[&str]) -> (Option<i32>, Vec<(String, String)>, String) {
        let output = self.cache(&[&["push", "--to", &self.url], options].concat(), &self.key);
        (output.status.code(), outcomes(&output), text(&output.stderr))
    }

    fn pull(&self, url: &str, options: &[&str]) -> (Option<i32>, Vec<(String, String)>, String) {
        let output = self.cache(&[&["pull", "--from", url], options].concat(), &self.key);
        (output.status.code(), outcomes(&output), text(&output.stderr))
    }
}

/// The stages whose paths were moved, in that order, by what was said of each.
fn moved<'a>(talk: &str, verb: &str, paths: &'a [(String, String)]) -> Vec<&'a str> {
    let lines = talk.lines().filter_map(|line| line.strip_prefix(verb)?.strip_prefix(' '));
    let stage = |path: &str| paths.iter().find(|(_, known)| known == path.trim()).map(|(stage, _)| stage.as_str());
    lines.map(|path| stage(path).unwrap_or("something else")).collect()
}

fn shares_a_store(protocol: &str) {
    let Some(machine) = Machine::start() else { return };
    let project = Project::new();
    let salt = salt();
    project.write("pkg.nix", &salt);
    project.build();
    let key = project.key("k-1");
    let url = format!("{protocol}://root@127.0.0.1");
    let mut user = User { project, url, key, ssh: machine.ssh() };

    let (code, status) = user.status();
    assert_eq!((code, answers(&status, 0)), (Some(0), vec!["missing"; 4]), "{}", machine.log());
    let stages = status["packages"][0]["stages"].as_array().expect("stages").iter();
    let word = |row: &Value, name: &str| row[name].as_str().expect("a word").to_owned();
    let paths: Vec<(String, String)> = stages.map(|row| (word(row, "stage"), word(row, "path"))).collect();
    let there = || paths.iter().map(|(_, path)| machine.has(path)).collect::<Vec<_>>();

    let secret = user.project.path().join("k-1.sec").display().to_string();
    let sign = ["nix", "--extra-experimental-features", "nix-command", "store", "sign", "--key-file", &secret];
    let made: Vec<&str> = paths[..3].iter().map(|(_, path)| path.as_str()).collect();
    let sign = [&sign[..], &made].concat();
    let checks_signatures = protocol == "ssh-ng";
    if checks_signatures {
        let (code, _, talk) = user.push(&[]);
        let words = format!("cannot push to {}: unsigned: ", user.url);
        assert!(code == Some(4) && talk.contains(&words) && talk.contains("nix store sign"), "{code:?} {talk}");
        assert_eq!(there(), [false; 4]);
        machine.configure(&format!("trusted-public-keys = {}", user.key));
        succeed(support::command(sign[0], user.project.path()).args(&sign[1..]));
    }

    // A state brings the one before it, and what is there is not sent again.
    let (code, rows, talk) = user.push(&["--only", "build"]);
    assert_eq!((code, rows), (Some(0), expected(&[("build", "pushed")])), "{talk}");
    assert_eq!(moved(&talk, "copying", &paths), ["configure", "build"], "{talk}");
    assert_eq!(there(), [true, true, false, false]);
    let (code, rows, talk) = user.push(&[]);
    let all = [("configure", "there"), ("build", "there"), ("install", "pushed")];
    assert_eq!((code, rows), (Some(0), expected(&all)), "{talk}");
    assert_eq!(moved(&talk, "copying", &paths), ["install"], "{talk}");
    let have = |word| vec![word, word, word, "missing"];
    if !checks_signatures {
        let (code, rows, talk) = user.push(&[]);
        assert_eq!(
            (code, rows),
            (Some(0), expected(&STAGES[..3].iter().map(|name| (*name, "there")).collect::<Vec<_>>()))
        );
        assert_eq!(moved(&talk, "copying", &paths), [""; 0], "{talk}");
        // Nix takes what nobody signed only from a store that the user trusts.
        assert_eq!(answers(&user.status().1, 0), have("unsigned"));
        user.project.forget();
        let (code, rows, talk) = user.pull(&user.url, &[]);
        assert_eq!((code, rows), (Some(1), expected(&STAGES.map(|stage| (stage, "not-to-be-had")))), "{talk}");
        succeed(&mut machine.command(&sign));
    }
    user.project.forget();
    let (_, status) = user.status();
    assert_eq!(answers(&status, 0), have("signed"));
    assert_eq!(status["packages"][0]["stages"][1]["caches"][0]["keys"], serde_json::json!(["k-1"]));
    let trusted = format!("{}?trusted=1", user.url);
    let output = user.cache(&["pull", "--only", "configure", "--from", &trusted], "");
    assert_eq!(outcomes(&output), expected(&[("configure", "pulled")]), "{}", text(&output.stderr));
    let (code, rows, talk) = user.pull(&user.url, &[]);
    let mut rows = rows;
    rows.sort_by_key(|(stage, _)| STAGES.iter().position(|name| name == stage));
    let parts = [("configure", "there"), ("build", "pulled"), ("install", "pulled"), ("finish", "not-to-be-had")];
    assert_eq!((code, rows), (Some(0), expected(&parts)), "{talk}");
    assert_eq!(moved(&talk, "fetching", &paths), ["build", "install"], "{talk}");
    assert!(!talk.contains("building "), "{talk}");

    if !checks_signatures {
        // While it builds: what is behind the edit is new.
        user.project.write_with("pkg.nix", &salt, "preInstall = \"echo edited\";");
        let build = ["build", "pkg.nix", "--pkgs", "host", "--no-link", "--json", "--push", &user.url];
        let output = user.run(&build, &user.key);
        let report: Value =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(&output.stderr)));
        let rows = Output { stdout: report["pushed"]["stages"].to_string().into_bytes(), ..output };
        assert_eq!(outcomes(&rows), expected(&all), "{}", text(&rows.stderr));
        let install = report["stages"][2]["path"].as_str().expect("a path");
        assert!(machine.has(install) && paths.iter().all(|(_, path)| path != install));
    }

    // It does not know this key; nobody serves that port.
    let troubles = [
        (machine.ssh_to(machine.port, "host"), "refused", "Permission denied (publickey)"),
        (machine.ssh_to(9, "user"), "unreachable", "Connection refused"),
    ];
    for (ssh, error, words) in &troubles {
        user.ssh.clone_from(ssh);
        let (code, status) = user.status();
        assert_eq!((code, answers(&status, 0)), (Some(4), vec![*error; 4]), "{status}");
        let why = status["caches"][0]["why"].as_str().expect("words");
        assert!(why.starts_with(&format!("{error}: ")) && why.contains(words), "{why}");
        let help = "see that `ssh HOST nix-store --version` answers without a question";
        let (code, _, talk) = user.push(&[]);
        let told = talk.contains(&format!("cannot push to {}: {error}: ", user.url)) && talk.contains(words);
        assert!(code == Some(4) && told && talk.contains(help), "{code:?} {talk}");
    }
    if checks_signatures {
        return;
    }
    user.project.write("pkg.nix", &support::salt());
    for (ssh, error, _) in troubles {
        user.ssh = ssh;
        let (code, rows, talk) = user.pull(&user.url, &["--only", "build"]);
        assert_eq!((code, rows), (Some(4), expected(&[("build", "not-to-be-had")])), "{talk}");
        assert!(talk.contains(&format!("{} does not tell what it has: {error}: ", user.url)), "{talk}");
    }
}

#[test]
fn by_ssh_ng() {
    shares_a_store("ssh-ng");
}

#[test]
fn by_ssh() {
    shares_a_store("ssh");
}
