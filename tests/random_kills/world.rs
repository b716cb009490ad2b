//! A Nix store, a user's directories and a package in four variants, all of the test's own.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::{self, succeed, text};

/// The stages that each variant of the package has, and its number of variants.
pub const STAGES: [&str; 5] = ["configure", "build", "check", "install", "finish"];
pub const VARIANTS: usize = 4;

/// What a policy after each build leaves of each stage at least.
pub const KEEP_LAST: usize = 2;

/// What a command that must succeed writes.
pub fn lines(command: &mut Command) -> Vec<String> {
    text(&succeed(command).stdout).lines().map(str::to_owned).collect()
}

pub struct World {
    scratch: tempfile::TempDir,
}

impl World {
    pub fn new() -> Self {
        let world = Self { scratch: tempfile::tempdir().expect("a directory") };
        for name in ["conf", "home", "work", "config/phasesplit"] {
            fs::create_dir_all(world.path(name)).expect("made");
        }
        let policy = format!("[[roots.policy]]\nkeep-last = {KEEP_LAST}\n");
        fs::write(world.path("config/phasesplit/config.toml"), policy).expect("written");
        for variant in 0..VARIANTS {
            world.write(variant);
        }
        world
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// `work/pkg.nix`: each variant begins to differ one stage earlier than the one before.
    pub fn write(&self, variant: usize) {
        let edit = |from: usize| if variant >= from { format!("variant {variant}") } else { "as ever".to_owned() };
        let text = format!(
            r#"{{ stdenv }}:
stdenv.mkDerivation {{
  name = "kills-1";
  dontUnpack = true;
  preConfigure = "echo '{configure}' > configured; mkdir tree; for i in {{1..200}}; do echo $i > tree/$i; done";
  buildPhase = "echo '{build}' > how; rm tree/7; seq 1 300000 > built";
  doCheck = true;
  checkPhase = "test -s built";
  installPhase = "mkdir $out; cp -r built how configured tree $out; echo '{install}' $out > $out/self";
}}
"#,
            configure = edit(3),
            build = edit(2),
            install = edit(1),
        );
        fs::write(self.path("work/pkg.nix"), text).expect("written");
    }

    fn settle(&self, command: &mut Command) {
        command
            .env("NIX_STORE_DIR", self.path("store"))
            .env("NIX_STATE_DIR", self.path("nix"))
            .env("NIX_LOG_DIR", self.path("log"))
            .env("NIX_CONF_DIR", self.path("conf"))
            .env_remove("NIX_REMOTE")
            .env("HOME", self.path("home"))
            .env("XDG_STATE_HOME", self.path("state"))
            .env("XDG_CONFIG_HOME", self.path("config"))
            .env("XDG_CACHE_HOME", self.path("cache"));
        for name in ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
            command.env_remove(name);
        }
    }

    pub fn nix(&self, program: &str, words: &[&str]) -> Command {
        let mut command = support::command(program, &self.path("work"));
        self.settle(&mut command);
        command.args(words);
        command
    }

    pub fn phasesplit(&self, words: &[&str]) -> Command {
        let mut command = support::phasesplit(&self.path("work"));
        self.settle(&mut command);
        command.args(words);
        command
    }

    /// Builds what [`World::write`] wrote last; the result is what it reports.
    pub fn build(&self) -> Command {
        self.phasesplit(&["build", "pkg.nix", "--pkgs", "host", "--json"])
    }

    pub fn json(&self, words: &[&str]) -> Value {
        let output = self.phasesplit(words).output().expect("runs");
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{words:?}: {error}: {}", text(&output.stderr)))
    }

    /// The states that are rooted: each link, its stage, and where it leads.
    pub fn rooted(&self) -> BTreeMap<String, (String, String)> {
        let list = self.json(&["roots", "list", "--json"]);
        let roots = list.as_array().expect("a list").iter();
        let word = |root: &Value, key: &str| root[key].as_str().expect("a word").to_owned();
        roots
            .filter(|root| matches!(root["kind"].as_str(), Some("state" | "added" | "failed")))
            .map(|root| (word(root, "link"), (word(root, "stage"), word(root, "path"))))
            .collect()
    }

    /// Which of these paths the store says are not valid.
    pub fn invalid<'a>(&self, paths: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
        let paths: Vec<&str> = paths.into_iter().collect();
        if paths.is_empty() {
            return BTreeSet::new();
        }
        lines(self.nix("nix-store", &["--check-validity", "--print-invalid"]).args(paths)).into_iter().collect()
    }

    /// Takes these states, all that continues from them and these results out of the store, as a user would.
    pub fn lose(&self, paths: &[&str], result: &str) {
        let there: Vec<&str> = paths.iter().copied().filter(|path| Path::new(path).exists()).collect();
        let mut all = Vec::new();
        if !there.is_empty() {
            all = lines(self.nix("nix-store", &["--query", "--referrers-closure"]).args(there));
            // A variant that is not rooted now is nothing that `rm` could give up: it is deleted below.
            let rooted = self.rooted();
            let known: Vec<&String> =
                all.iter().filter(|path| rooted.values().any(|(_, kept)| kept == *path)).collect();
            if !known.is_empty() {
                succeed(self.phasesplit(&["roots", "rm"]).args(known));
            }
            succeed(&mut self.phasesplit(&["roots", "gc"]));
        }
        let _ = fs::remove_file(self.path("work/result"));
        all.push(result.to_owned());
        let left: Vec<&String> = all.iter().filter(|path| Path::new(path).exists()).collect();
        if !left.is_empty() {
            succeed(self.nix("nix-store", &["--delete"]).args(left));
        }
    }

    /// The processes that have to do with this world.
    pub fn processes(&self) -> Vec<String> {
        let mark = self.scratch.path().as_os_str().as_encoded_bytes();
        let entries = fs::read_dir("/proc").expect("there").flatten();
        let pids = entries.filter(|entry| {
            entry.file_name().to_string_lossy().parse::<u32>().is_ok_and(|pid| pid != std::process::id())
        });
        pids.filter_map(|entry| {
            let has_mark = |name: &str| {
                fs::read(entry.path().join(name)).is_ok_and(|text| text.windows(mark.len()).any(|part| part == mark))
            };
            (has_mark("environ") || has_mark("cmdline")).then(|| {
                let words = fs::read(entry.path().join("cmdline")).unwrap_or_default();
                format!("{} {}", entry.file_name().to_string_lossy(), text(&words).replace('\0', " "))
            })
        })
        .collect()
    }
}
