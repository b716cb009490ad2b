//! What the tests of binary caches share: a small package, its states in a cache, and what is said of them.
#![allow(dead_code, missing_docs, clippy::missing_panics_doc)] // each test binary uses its part

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::{self, phasesplit, salt, succeed, text};

pub const STAGES: [&str; 4] = ["configure", "build", "install", "finish"];

/// A small package with a chain of four, in a directory of its own.
pub struct Project {
    directory: tempfile::TempDir,
}

impl Project {
    pub fn new() -> Self {
        let project = Self { directory: tempfile::tempdir().expect("a directory") };
        project.write("pkg.nix", &salt());
        project
    }

    /// Writes the package; `more` are further attributes.
    pub fn write_with(&self, file: &str, salt: &str, more: &str) {
        let package = format!(
            r#"{{ stdenv }}:
stdenv.mkDerivation {{
  name = "cached-1";
  salt = "{salt}";
  outputs = [ "out" "doc" ];
  dontUnpack = true;
  preConfigure = "echo $salt";
  buildPhase = "runHook preBuild; head -c 100000 /dev/urandom > built";
  installPhase = "runHook preInstall; mkdir $out $doc; cp built $out; echo $salt > $doc/salt";
  {more}
}}
"#
        );
        fs::write(self.path().join(file), package).expect("the package");
    }

    pub fn write(&self, file: &str, salt: &str) {
        self.write_with(file, salt, "");
    }

    /// With its states built, and pushed as `options` say.
    pub fn pushed(options: &[&str]) -> Self {
        let project = Self::new();
        project.build();
        project.key("k-1");
        succeed(project.cache("push", "pkg.nix").args(["--to", &project.url(), "--compression", "zstd"]).args(options));
        project
    }

    pub fn build(&self) -> Output {
        succeed(self.command().args(["build", "pkg.nix", "--pkgs", "host", "--no-link", "--json"]))
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    pub fn store(&self) -> PathBuf {
        self.path().join("cache")
    }

    pub fn url(&self) -> String {
        format!("file://{}", self.store().display())
    }

    pub fn command(&self) -> Command {
        let mut command = phasesplit(self.path());
        for name in ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "no_proxy"] {
            command.env_remove(name);
        }
        command.env("XDG_STATE_HOME", self.path().join("state")).env("XDG_CACHE_HOME", self.path().join("xdg-cache"));
        command
    }

    pub fn cache(&self, subcommand: &str, package: &str) -> Command {
        let mut command = self.command();
        command.args(["cache", subcommand, package, "--pkgs", "host"]);
        command
    }

    /// Makes a pair of keys and gives the public one.
    pub fn key(&self, name: &str) -> String {
        let (secret, public) = (self.path().join(format!("{name}.sec")), self.path().join(format!("{name}.pub")));
        if !secret.exists() {
            let mut command = support::command("nix-store", self.path());
            succeed(command.args(["--generate-binary-cache-key", name]).args([&secret, &public]));
        }
        fs::read_to_string(public).expect("the public key").trim().to_owned()
    }

    /// What `status` says of caches: how it ended, its JSON and its talk.
    pub fn status(&self, urls: &[&str], options: &[&str], key: &str) -> (Option<i32>, Value, String) {
        let mut command = self.cache("status", "pkg.nix");
        command.arg("--json").args(urls.iter().flat_map(|url| ["--substituter", url])).args(options);
        let output = command.args(["--", "--option", "trusted-public-keys", key]).output().expect("phasesplit runs");
        let talk = text(&output.stderr);
        let json = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {talk}"));
        (output.status.code(), json, talk)
    }

    /// Pulls with `key` trusted: how it ended, the outcome of each stage, and the talk.
    pub fn pull(&self, url: &str, options: &[&str], key: &str) -> (Option<i32>, Vec<(String, String)>, String) {
        let mut command = self.cache("pull", "pkg.nix");
        command.args(["--json", "--from", url]).args(options);
        let output = command.args(["--", "--option", "trusted-public-keys", key]).output().expect("phasesplit runs");
        (output.status.code(), outcomes(&output), text(&output.stderr))
    }

    /// Takes everything of the package out of the store, with its roots.
    pub fn forget(&self) {
        let (_, status, _) = self.status(&[&self.url()], &[], "");
        let outputs = status["packages"][0]["stages"].as_array().expect("stages").iter();
        let outputs = outputs.flat_map(|stage| stage["outputs"].as_object().expect("outputs").values());
        let there = outputs.filter_map(Value::as_str).filter(|path| Path::new(path).exists());
        let _ = fs::remove_dir_all(self.path().join("state"));
        succeed(support::command("nix-store", self.path()).args(["--delete", "--ignore-liveness"]).args(there));
    }

    /// The record of a stage in the cache.
    pub fn record(&self, stage: &str) -> PathBuf {
        let (_, status, _) = self.status(&[&self.url()], &[], "");
        let at = STAGES.iter().position(|name| *name == stage).expect("a stage");
        let path = status["packages"][0]["stages"][at]["path"].as_str().expect("a path");
        let base = path.rsplit('/').next().expect("a name");
        self.store().join(format!("{}.narinfo", &base[..32]))
    }
}

/// What a cache is said to have of each stage.
pub fn answers(status: &Value, cache: usize) -> Vec<&str> {
    let stages = status["packages"][0]["stages"].as_array().expect("stages");
    assert_eq!(stages.iter().map(|stage| stage["stage"].as_str().expect("a name")).collect::<Vec<_>>(), STAGES);
    stages.iter().map(|stage| stage["caches"][cache]["answer"].as_str().expect("a word")).collect()
}

pub fn outcomes(output: &Output) -> Vec<(String, String)> {
    let rows: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let word = |row: &Value, key: &str| row[key].as_str().expect("a word").to_owned();
    rows.iter().map(|row| (word(row, "stage"), word(row, "outcome"))).collect()
}

pub fn expected(rows: &[(&str, &str)]) -> Vec<(String, String)> {
    rows.iter().map(|(stage, outcome)| ((*stage).to_owned(), (*outcome).to_owned())).collect()
}
