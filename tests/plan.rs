//! `phasesplit plan` as a user runs it: what it tells of a package before and after a build, and of binary caches.

#[path = "support/mod.rs"]
mod support;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use support::{nix_config, phasesplit, salt, succeed, text};

struct Project {
    directory: tempfile::TempDir,
    salt: String,
}

impl Project {
    fn new() -> Self {
        let project = Self { directory: tempfile::tempdir().expect("a directory"), salt: salt() };
        project.write("true");
        project
    }

    fn write(&self, install: &str) {
        let package = format!(
            r#"{{ stdenv }}:
stdenv.mkDerivation {{
  name = "planned-1";
  salt = "{}";
  dontUnpack = true;
  makeFlags = [ "-j1" ];
  preConfigure = "echo $makeFlags";
  buildPhase = "echo built > built";
  installPhase = "cp built $out; {install}";
}}
"#,
            self.salt
        );
        fs::write(self.path().join("pkg.nix"), package).expect("pkg.nix");
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    /// With these lines of configuration behind the tests' own.
    fn command(&self, command: &str, settings: &str) -> Command {
        let mut program = phasesplit(self.path());
        program
            .env("XDG_STATE_HOME", self.path().join("state"))
            .env("NIX_CONFIG", format!("{}\n{settings}", nix_config()))
            .args([command, "pkg.nix", "--pkgs", "host"]);
        program
    }

    fn plan(&self, options: &[&str]) -> Output {
        succeed(self.command("plan", "").args(options))
    }

    fn json(&self, settings: &str) -> (Value, String) {
        let output = succeed(self.command("plan", settings).arg("--json"));
        (serde_json::from_slice(&output.stdout).expect("JSON alone"), text(&output.stderr))
    }
}

/// (stage, here, caches) of each row.
fn states(plan: &Value) -> Vec<(String, bool, usize)> {
    let rows = plan["stages"].as_array().expect("rows");
    rows.iter()
        .map(|row| {
            let caches = row["caches"].as_array().expect("a list").len();
            (row["stage"].as_str().expect("a name").to_owned(), row["here"].as_bool().expect("a bool"), caches)
        })
        .collect()
}

fn expected(rows: &[(&str, bool, usize)]) -> Vec<(String, bool, usize)> {
    rows.iter().map(|(stage, here, caches)| ((*stage).to_owned(), *here, *caches)).collect()
}

#[test]
fn a_plan_before_and_after_a_build() {
    let project = Project::new();
    let before = project.plan(&[]);
    let table = text(&before.stdout);
    let lines: Vec<String> = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    for line in [
        "stage phases first gets cached size last time",
        "build buildPhase buildPhase no - -",
        "install installPhase installPhase no - -",
        "makeFlags: in configure, not build: preConfigure mentions it",
        "nothing to run: unpack, patch, check",
        "trust: contract",
        "attributes: read by evaluation",
    ] {
        assert!(lines.iter().any(|found| found == line), "no line `{line}` in\n{table}");
    }
    assert!(table.lines().all(|line| line.chars().count() <= 100), "{table}");

    succeed(project.command("build", "").arg("--no-link"));
    let (plan, _) = project.json("");
    assert_eq!(
        states(&plan),
        expected(&[("configure", true, 0), ("build", true, 0), ("install", true, 0), ("finish", true, 0)])
    );
    assert_eq!(plan["attributes"], "evaluation");
    assert_eq!(plan["trust"], "contract");
    assert_eq!(plan["leftOut"], serde_json::json!(["unpack", "patch", "check"]));
    let build = &plan["stages"][1];
    assert!(build["bytes"].as_u64().expect("a size") > 0 && build["seconds"].as_f64().expect("a time") >= 0.0);
    assert!(plan["stages"][3]["seconds"].as_f64().expect("recorded") > 0.0, "{plan}");
    assert_eq!(build["phases"], serde_json::json!(["buildPhase"]));
    let moved =
        serde_json::json!([{ "attribute": "makeFlags", "from": "build", "by": "preConfigure", "readsAll": null }]);
    assert_eq!(plan["stages"][0]["moved"], moved);

    project.write("echo more");
    let (plan, _) = project.json("");
    assert_eq!(
        states(&plan),
        expected(&[("configure", true, 0), ("build", true, 0), ("install", false, 0), ("finish", false, 0)])
    );
    assert_eq!(plan["stages"][2]["bytes"], Value::Null);
    assert_eq!(plan["stages"][3]["seconds"], Value::Null, "what was recorded is another");
    let dot = text(&project.plan(&["--graph", "dot"]).stdout);
    assert!(dot.contains("\"build\" [label=\"build\\nbuildPhase\\n(here)\", style=filled"), "{dot}");
    assert!(dot.contains("\"build\" -> \"install\";\n"), "{dot}");
    let mermaid = text(&project.plan(&["--graph", "mermaid"]).stdout);
    assert!(
        mermaid.starts_with("flowchart LR\n") && mermaid.contains("install<br/>installPhase<br/>(no)"),
        "{mermaid}"
    );
}

#[test]
fn binary_caches_are_asked_for_what_is_missing() {
    let project = Project::new();
    succeed(project.command("build", "").args(["--no-link", "--until", "build"]));
    let (plan, _) = project.json("");
    let state = plan["stages"][1]["path"].as_str().expect("a path").to_owned();
    let cache = project.path().join("cache");
    let url = format!("file://{}", cache.display());
    let nix = |args: &[&str]| {
        let features = ["--extra-experimental-features", "nix-command"];
        succeed(support::command("nix", project.path()).args(features).args(args));
    };
    nix(&["copy", "--no-check-sigs", "--to", &url, &state]);
    // The roots keep it: they go first.
    fs::remove_dir_all(project.path().join("state")).expect("roots");
    succeed(support::command("nix-store", project.path()).args(["--delete", "--ignore-liveness", &state]));

    let gone = format!("file://{}/gone", project.path().display());
    let (plan, talk) = project.json(&format!("substituters = {url} {gone}"));
    assert_eq!(
        states(&plan),
        expected(&[("configure", true, 0), ("build", false, 1), ("install", false, 0), ("finish", false, 0)])
    );
    assert_eq!(plan["stages"][1]["caches"], serde_json::json!([url]));
    // Nix would build it all the same, and the plan says why.
    assert_eq!(plan["stages"][1]["refused"], serde_json::json!([{ "url": url, "why": "unsigned" }]));
    assert!(
        talk.contains(&format!("warning: the binary cache {gone} does not tell what it has: no cache: there is no")),
        "{talk}"
    );
    assert!(!project.path().join("gone").exists(), "a question made a cache");

    let offline = succeed(project.command("plan", &format!("substituters = {url}")).arg("--offline"));
    let table = text(&offline.stdout);
    assert_eq!(table.matches("not here").count(), 3, "{table}");
    let told = succeed(project.command("plan", "").args(["--", "--option", "substituters", &url]));
    assert!(text(&told.stdout).contains("in cache: unsigned "), "{}", text(&told.stdout));
    let options = ["--", "--option", "substituters", &url, "--option", "require-sigs", "false"];
    let told = succeed(project.command("plan", "").args(options));
    assert!(text(&told.stdout).contains("in cache "), "{}", text(&told.stdout));
}

#[test]
fn a_script_that_reads_everything_is_named_with_its_line() {
    let project = Project::new();
    let package = fs::read_to_string(project.path().join("pkg.nix")).expect("pkg.nix");
    let all = "preConfigure = \"true\\nenv | sort\\n\";";
    fs::write(project.path().join("pkg.nix"), package.replace("preConfigure = \"echo $makeFlags\";", all))
        .expect("written");
    let table = text(&project.plan(&["--offline"]).stdout);
    assert!(
        table.contains("  buildPhase makeFlags: in configure, not build: preConfigure reads everything: "),
        "{table}"
    );
    assert!(table.contains(" (line 2)\n"), "{table}");
}

#[test]
fn an_unreachable_cache_is_a_warning() {
    let project = Project::new();
    // The port of a protocol that nobody serves.
    let (plan, talk) = project.json("substituters = http://127.0.0.1:9");
    assert!(states(&plan).iter().all(|(_, here, caches)| !here && *caches == 0));
    assert!(talk.contains("warning: the binary cache http://127.0.0.1:9 does not tell what it has: "), "{talk}");
    assert!(plan["caches"][0]["error"].is_string());
}

#[test]
fn what_nix_cannot_evaluate_is_told_in_its_words() {
    let project = Project::new();
    fs::write(project.path().join("pkg.nix"), "{ stdenv }: stdenv.mkDerivation { name = throw \"not today\"; }\n")
        .expect("pkg.nix");
    let output = project.command("plan", "").output().expect("phasesplit runs");
    let talk = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{talk}");
    assert!(talk.contains("Nix says: not today\n"), "{talk}");
}
