//! A bucket as the cache: Nix 2.34 speaks S3 itself, that of Debian 12 does not and says so.
//!
//! The server is moto's. Debian's Nix 2.34 does not log in there, so the bucket `states` is open to all; `closed` is not.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::chain::{STAGES, write_package};
use crate::machine::{Machine, Machines, System};
use crate::support::{salt, text};

/// What makes a bucket open.
const OPEN: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":["arn:aws:s3:::states","arn:aws:s3:::states/*"]}]}"#;

/// A server with the two buckets; it goes with this.
struct Bucket {
    daemon: Child,
    port: u16,
}

impl Drop for Bucket {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

impl Bucket {
    /// Starts it, or says why the test is skipped.
    fn start() -> Option<Self> {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
        let mut command = Command::new("moto_server");
        command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
        let Ok(daemon) = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn() else {
            eprintln!("SKIPPED: there is no moto_server on PATH (python3 -m venv V; V/bin/pip install 'moto[server]')");
            return None;
        };
        let mut bucket = Self { daemon, port };
        for _ in 0..600 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                for (target, body) in [("/closed", ""), ("/states", ""), ("/states?policy", OPEN)] {
                    bucket.put(target, body);
                }
                return Some(bucket);
            }
            if bucket.daemon.try_wait().expect("ours").is_some() {
                eprintln!("SKIPPED: moto_server ends at once: is it whole (pip install 'moto[server]')?");
                return None;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("moto_server does not answer");
    }

    fn put(&self, target: &str, body: &str) {
        let mut server = TcpStream::connect(("127.0.0.1", self.port)).expect("it answers");
        let head = format!("PUT {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n");
        let rest = format!("Content-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
        server.write_all((head + &rest).as_bytes()).expect("sent");
        let mut answer = String::new();
        server.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }

    fn url(&self, name: &str) -> String {
        format!("s3://{name}?endpoint=http://127.0.0.1:{}&region=us-east-1", self.port)
    }
}

/// `phasesplit` there, with a login, and `key` trusted.
fn run(machine: &Machine, words: &[&str], key: &str) -> Output {
    let mut command = machine.command("env");
    command.args(["AWS_ACCESS_KEY_ID=any", "AWS_SECRET_ACCESS_KEY=any", "phasesplit"]).args(words);
    command.args(["--", "--option", "trusted-public-keys", key]).output().expect("nsenter runs")
}

fn cache(machine: &Machine, words: &[&str], key: &str) -> Output {
    run(machine, &[&["cache", words[0], "pkg.nix", "--pkgs", "host", "--json"], &words[1..]].concat(), key)
}

/// How it ended, the word for each stage, and the talk.
fn rows(output: &Output) -> (Option<i32>, Vec<(String, String)>, String) {
    let rows: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let word = |row: &Value, name: &str| row[name].as_str().expect("a word").to_owned();
    let rows = rows.iter().map(|row| (word(row, "stage"), word(row, "outcome"))).collect();
    (output.status.code(), rows, text(&output.stderr))
}

fn all(stages: &[&str], word: &str) -> Vec<(String, String)> {
    stages.iter().map(|stage| ((*stage).to_owned(), word.to_owned())).collect()
}

/// What the cache is said to have of each stage.
fn answers(output: &Output) -> Vec<String> {
    let status: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(&output.stderr)));
    let stages = status["packages"][0]["stages"].as_array().expect("stages").iter();
    stages.map(|stage| stage["caches"][0]["answer"].as_str().expect("a word").to_owned()).collect()
}

#[test]
fn states_go_through_a_bucket() {
    let Some(bucket) = Bucket::start() else { return };
    let wanted = [("maker", System::Sid), ("reader", System::Sid), ("old", System::Here)];
    let Some(machines) = Machines::start(&wanted) else { return };
    let (maker, reader, old) = (machines.get("maker"), machines.get("reader"), machines.get("old"));
    let (key, other) = (maker.key("maker-1"), maker.key("other-1"));
    let salt = salt();
    for machine in [maker, reader, old] {
        write_package(machine, &salt, "");
    }
    let url = bucket.url("states");
    let status = ["status", "--substituter", &url];
    maker.build(&["pkg.nix", "--until", "install"]).good();
    assert_eq!(answers(&cache(maker, &status, &key)), ["missing"; 7]);

    // The key by a path that is not absolute.
    let push = ["push", "--to", &url, "--key", "maker-1.sec", "--compression", "zstd"];
    let (code, told, talk) = rows(&cache(maker, &[&push[..], &["--only", "build"]].concat(), &key));
    assert_eq!((code, told), (Some(0), all(&["build"], "pushed")), "{talk}");
    let (code, told, talk) = rows(&cache(maker, &push, &key));
    let parts = [all(&STAGES[..4], "there"), all(&STAGES[4..6], "pushed")].concat();
    assert_eq!((code, told), (Some(0), parts), "{talk}");
    assert_eq!(talk.matches("copying /nix/store/").count(), 2, "what is there is not sent again: {talk}");
    let signed = ["signed", "signed", "signed", "signed", "signed", "signed", "missing"];
    assert_eq!(answers(&cache(reader, &status, &key)), signed);
    assert_eq!(answers(&cache(reader, &status, &other))[0], "wrong key");

    let pull = ["pull", "--from", &url];
    let (code, told, talk) = rows(&cache(reader, &pull, &other));
    assert_eq!((code, told), (Some(1), all(&STAGES, "not-to-be-had")), "{talk}");
    let (code, told, talk) = rows(&cache(reader, &pull, &key));
    let pulled: Vec<&str> = told.iter().filter(|(_, word)| word == "pulled").map(|(stage, _)| stage.as_str()).collect();
    assert_eq!((code, pulled.len()), (Some(0), 6), "{talk}");
    assert_eq!(reader.logs(), [""; 0], "nothing was built");

    // While it builds: the states that came from there are there, what is behind the edit is sent.
    write_package(reader, &salt, "postInstall = \"echo edited >$out/edited\";");
    let edited = ["build", "pkg.nix", "--pkgs", "host", "--no-link", "--json", "--push", &url];
    let output = run(reader, &edited, &key);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(&output.stderr)));
    let sent = Output { stdout: report["pushed"]["stages"].to_string().into_bytes(), ..output };
    let parts = [all(&STAGES[..5], "there"), all(&["install"], "pushed")].concat();
    assert_eq!(rows(&sent).1, parts, "{}", text(&sent.stderr));
    assert_eq!(reader.logs(), ["reuse-1.0", "reuse-1.0-phase-install"]);

    let trouble = |machine: &Machine, url: &str, word: &str, words: &str| {
        let output = cache(machine, &["status", "--substituter", url], &key);
        let talk = text(&output.stderr);
        assert_eq!((output.status.code(), answers(&output)), (Some(4), vec![word.to_owned(); 7]), "{talk}");
        assert!(talk.contains(&format!("{url} does not tell what it has: {word}: ")) && talk.contains(words), "{talk}");
    };
    let (code, _, talk) = rows(&cache(maker, &["push", "--to", &bucket.url("closed")], &key));
    let words = ["refused: it takes what is sent, and does not tell of it", "Debian's Nix does not log in"];
    assert!(code == Some(4) && words.iter().all(|words| talk.contains(words)), "{talk}");
    trouble(reader, &bucket.url("none"), "no cache", "there is no such bucket");
    let away = url.replace(&format!(":{}&", bucket.port), ":9&");
    trouble(reader, &away, "unreachable", "connect to");
    trouble(old, &url, "no cache", "help: this Nix does not know such stores (Debian 12's has no S3)");
}
