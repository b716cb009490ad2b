//! A Nix store and a user's directories of the test's own, and small states that Nix really builds.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::{self, succeed, text};

pub const DAY: u64 = 86_400;

/// Each state has the files that make it one, and names the one before it.
const STATES: &str = r#"
let
  mk = { name, stage, bytes, parent ? "" }: derivation {
    name = "${name}-phase-${stage}";
    system = builtins.currentSystem;
    builder = "/bin/bash";
    inherit parent;
    args = [ "-c" ''
      export PATH=/bin:/usr/bin
      mkdir "$out"
      echo '{}' > "$out/info.json"
      head -c ${toString bytes} /dev/zero > "$out/layer.tar.zst"
      if [ -n "$parent" ]; then printf %s "$parent" > "$out/parent"; fi
      exit 0
    '' ];
  };
in
"#;

/// A store and a user's state directory.
pub struct World {
    scratch: tempfile::TempDir,
}

/// A state that is built.
#[derive(Clone, Debug)]
pub struct State {
    pub stage: String,
    pub path: String,
    pub drv: String,
}

impl World {
    pub fn new() -> Self {
        Self { scratch: tempfile::tempdir().expect("a directory") }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    fn settle(&self, command: &mut Command) {
        command
            .env("NIX_STORE_DIR", self.path("store"))
            .env("NIX_STATE_DIR", self.path("nix"))
            .env("NIX_LOG_DIR", self.path("log"))
            .env("NIX_CONF_DIR", self.path("conf"))
            .env("NIX_CONFIG", "sandbox = false\nsubstituters =\nbuild-users-group =\n")
            .env_remove("NIX_REMOTE")
            .env("HOME", self.path("home"))
            .env("XDG_STATE_HOME", self.path("state"))
            .env("XDG_CONFIG_HOME", self.path("config"))
            .env("PHASESPLIT_STATE", "/bin/true");
    }

    pub fn nix(&self, program: &str) -> Command {
        let mut command = support::command(program, self.scratch.path());
        self.settle(&mut command);
        command
    }

    pub fn phasesplit(&self, words: &[&str]) -> Command {
        let mut command = support::phasesplit(self.scratch.path());
        self.settle(&mut command);
        command.args(words);
        command
    }

    pub fn roots(&self, words: &[&str]) -> Output {
        succeed(self.phasesplit(&["roots"]).args(words))
    }

    pub fn json(&self, words: &[&str]) -> Value {
        // What the doctor finds is told by its exit code too.
        let output = if words[0] == "doctor" {
            self.phasesplit(&["roots"]).args(words).output().expect("runs")
        } else {
            self.roots(words)
        };
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(&output.stderr)))
    }

    /// Builds states: stage, bytes, and which of those before it in the list it continues from.
    pub fn states(&self, name: &str, states: &[(&str, u64, Option<usize>)]) -> Vec<State> {
        let mut text = STATES.to_owned();
        text.push_str("let\n");
        for (at, (stage, bytes, parent)) in states.iter().enumerate() {
            let parent = parent.map_or(String::new(), |parent| format!("parent = s{parent};"));
            // Two states of one stage differ by their size.
            let _ =
                writeln!(text, "s{at} = mk {{ name = \"{name}\"; stage = \"{stage}\"; bytes = {bytes}; {parent} }};");
        }
        let list: Vec<String> = (0..states.len()).map(|at| format!("s{at}")).collect();
        let _ = writeln!(text, "in [ {} ]", list.join(" "));
        fs::write(self.path("states.nix"), text).expect("written");
        let lines = |output: Output| -> Vec<String> {
            String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
        };
        let drvs = lines(succeed(self.nix("nix-instantiate").arg("states.nix")));
        let paths = lines(succeed(self.nix("nix-store").arg("--realise").args(&drvs)));
        let states = states.iter().zip(drvs.into_iter().zip(paths));
        states.map(|((stage, ..), (drv, path))| State { stage: (*stage).to_owned(), path, drv }).collect()
    }

    /// A command that does in another process what [`child`] is told.
    pub fn child(&self, work: &str, state: &[&State]) -> Command {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        self.settle(&mut command);
        let words: Vec<String> = state.iter().map(|s| format!("{} {} {}", s.stage, s.path, s.drv)).collect();
        command
            .args(["--ignored", "--exact", "child", "--nocapture"])
            .env("ROOTS_CHILD", format!("{work}\n{}", words.join("\n")))
            .stdin(std::process::Stdio::null());
        command
    }

    /// Keeps states as a build does.
    pub fn keep(&self, states: &[&State]) {
        succeed(&mut self.child("keep", states));
    }

    /// Waits until a build says that it runs.
    pub fn wait_for_build(&self) {
        let is_begun = |entry: std::io::Result<fs::DirEntry>| {
            entry.is_ok_and(|entry| entry.file_name().to_string_lossy().starts_with("build-"))
        };
        while !fs::read_dir(self.path("state/phasesplit/running")).is_ok_and(|mut entries| entries.any(is_begun)) {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    /// A state's link.
    pub fn link(&self, state: &State) -> PathBuf {
        let hash = &state.path.rsplit('/').next().expect("a name")[..32];
        self.path("state/phasesplit/roots/packages").join(KEY).join(format!("{}@{hash}", state.stage))
    }

    /// What the index has of a state.
    pub fn index(&self, state: &State) -> PathBuf {
        let link = self.link(state);
        let name = format!("{}.json", link.file_name().expect("a name").display());
        self.path("state/phasesplit/packages").join(KEY).join("states").join(name)
    }

    /// Changes what the index says of when a state was used.
    pub fn used(&self, state: &State, days_ago: u64) {
        let file = self.index(state);
        let mut about: Value = serde_json::from_slice(&fs::read(&file).expect("there")).expect("JSON");
        about["lastUsed"] = (phasesplit::gcroot::record::now() - days_ago * DAY).into();
        fs::write(file, about.to_string()).expect("written");
    }

    /// The states of phasesplit that are rooted, by what `roots list` says.
    pub fn rooted(&self) -> BTreeSet<String> {
        let list = self.json(&["list", "--json"]);
        let states = list.as_array().expect("a list").iter();
        let states = states.filter(|root| root["kind"] == "state" || root["kind"] == "added");
        states.map(|root| root["path"].as_str().expect("a path").to_owned()).collect()
    }

    /// What is noted as given up.
    pub fn noted(&self) -> BTreeSet<String> {
        let notes = fs::read_dir(self.path("state/phasesplit/given-up")).into_iter().flatten().flatten();
        notes.filter_map(|note| Some(fs::read_to_string(note.path()).ok()?.trim_end().to_owned())).collect()
    }

    /// All valid paths of the store.
    pub fn valid(&self) -> BTreeSet<String> {
        let output = succeed(self.nix("nix-store").args(["--query", "--requisites"]).args(self.all()));
        text(&output.stdout).lines().map(str::to_owned).collect()
    }

    pub fn all(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("store")).expect("a store").flatten();
        let paths: Vec<String> = entries
            .filter(|entry| {
                let name = entry.file_name();
                let name = name.to_string_lossy();
                !name.starts_with('.') && !name.ends_with(".lock") && !name.ends_with(".chroot")
            })
            .map(|entry| entry.path().display().to_string())
            .collect();
        let output = succeed(self.nix("nix-store").args(["--check-validity", "--print-invalid"]).args(&paths));
        let invalid = text(&output.stdout);
        paths.into_iter().filter(|path| !invalid.lines().any(|line| line == path)).collect()
    }

    /// The links that Nix takes for roots.
    pub fn known(&self) -> BTreeSet<String> {
        let output = succeed(self.nix("nix-store").args(["--gc", "--print-roots"]));
        let lines = text(&output.stdout);
        lines.lines().filter_map(|line| Some(line.split_once(" -> ")?.1.trim_matches('\'').to_owned())).collect()
    }
}

pub const PACKAGE: &str = "p-1.0";
pub const KEY: &str = "p-1.0-0123456789ab";
