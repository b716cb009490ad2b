//! `phasesplit build` as a user runs it: exit codes, standard output, links, and what each failure says.

#[path = "support/mod.rs"]
mod support;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use support::{phasesplit, salt, text};

/// A package of a few files that needs no compiler.
fn package(salt: &str, more: &str) -> String {
    format!(
        r#"{{ stdenv }}:
stdenv.mkDerivation {{
  name = "greeting-1";
  src = ./src;
  salt = "{salt}";
  dontConfigure = true;
  buildPhase = ''
    runHook preBuild
    cp text built
    runHook postBuild
  '';
  installPhase = ''
    mkdir -p $out
    cp built $out/text
  '';
  {more}
}}
"#
    )
}

struct Project(tempfile::TempDir);

impl Project {
    fn new(package: &str) -> Self {
        let directory = tempfile::tempdir().expect("a scratch directory");
        fs::create_dir(directory.path().join("src")).expect("made");
        fs::write(directory.path().join("src/text"), "good day\n").expect("written");
        let project = Self(directory);
        project.write(package);
        project
    }

    fn write(&self, package: &str) {
        fs::write(self.path().join("pkg.nix"), package).expect("written");
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn command(&self) -> Command {
        let mut command = phasesplit(self.path());
        command.env("XDG_STATE_HOME", self.path().join("state")).args(["build", "pkg.nix", "--pkgs", "host"]);
        command
    }

    fn build(&self, options: &[&str]) -> Output {
        self.command().args(options).output().expect("phasesplit runs")
    }
}

/// The rows of the table, as (stage, outcome).
fn table(output: &Output) -> Vec<(String, String)> {
    text(&output.stderr)
        .lines()
        .skip_while(|line| !line.starts_with("stage  "))
        .skip(1)
        .take_while(|line| !line.starts_with("greeting-1: "))
        .map(|line| {
            let mut words = line.split("  ").map(str::trim).filter(|word| !word.is_empty());
            (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned())
        })
        .collect()
}

fn pairs<'a>(rows: &[(&'a str, &'a str)]) -> Vec<(String, String)> {
    rows.iter().map(|(stage, outcome)| ((*stage).to_owned(), (*outcome).to_owned())).collect()
}

#[test]
fn the_path_goes_to_standard_output_and_the_table_to_standard_error() {
    let salt = salt();
    let project = Project::new(&package(&salt, ""));
    let output = project.build(&[]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let path = text(&output.stdout);
    assert_eq!(fs::read_link(project.path().join("result")).expect("linked"), Path::new(path.trim_end()));
    assert_eq!(fs::read_to_string(project.path().join("result/text")).expect("installed"), "good day\n");
    let built = pairs(&[("unpack", "built"), ("build", "built"), ("install", "built"), ("finish", "built")]);
    assert_eq!(table(&output), built);
    let talk = text(&output.stderr);
    for (stage, _) in &built {
        assert!(talk.contains(&format!("stage {stage}: done after ")), "{stage} never ended in\n{talk}");
    }

    project.write(&package(&salt, "postInstall = \"true\";"));
    let output = project.build(&["--no-link", "--json"]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON alone");
    assert_eq!(report["package"], "greeting-1");
    assert_eq!(report["link"], serde_json::Value::Null);
    let outcomes: Vec<_> = report["stages"].as_array().expect("rows").iter().map(|row| &row["outcome"]).collect();
    assert_eq!(outcomes, ["reused", "reused", "built", "built"]);
}

#[test]
fn a_failing_phase_ends_with_3_and_says_how_to_go_on() {
    let project = Project::new(&package(&salt(), "preBuild = \"echo about to fail; exit 7\";"));
    let output = project.build(&[]);
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), "");
    let stderr = text(&output.stderr);
    for expected in [
        "stage build: failed after ",
        "error: greeting-1: buildPhase failed, in stage build: ",
        "    > about to fail\n",
        "  full log:  nix-store --read-log /nix/store/",
        "  safe:      the state after unpack: /nix/store/",
        "it continues after unpack\n",
    ] {
        assert!(stderr.contains(expected), "{expected:?} is not in\n{stderr}");
    }
    assert!(!project.path().join("result").exists());
    let log = stderr.lines().find_map(|line| line.trim().strip_prefix("full log:  nix-store ")).expect("a command");
    let full = support::command("nix-store", project.path()).args(log.split(' ')).output().expect("nix-store runs");
    assert!(text(&full.stdout).contains("about to fail"));
}

#[test]
fn the_command_line_at_fault_ends_with_2() {
    let project = Project::new(&package(&salt(), ""));
    let output = project.build(&["--until", "check"]);
    assert_eq!(output.status.code(), Some(2));
    let stderr = text(&output.stderr);
    assert!(
        stderr.contains("greeting-1 has no stage `check`; its stages are unpack, build, install, finish"),
        "{stderr}"
    );

    let output = project.build(&["--", "--no-such-option"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("unrecognised flag '--no-such-option'"), "{}", text(&output.stderr));
}

#[test]
fn an_expression_at_fault_ends_with_1_and_nixs_words() {
    let project = Project::new(&package(&salt(), "postInstall = throw \"no such luck\";"));
    let output = project.build(&[]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("no such luck"));
}

#[test]
fn without_nix_it_says_what_to_install() {
    let project = Project::new(&package(&salt(), ""));
    let output = project.command().env("PATH", "/no/such/directory").output().expect("phasesplit runs");
    assert_eq!(output.status.code(), Some(4));
    let stderr = text(&output.stderr);
    assert!(stderr.contains("`nix-store` is not installed"), "{stderr}");
    assert!(stderr.contains("apt-get install nix-bin"), "{stderr}");
}

#[test]
fn an_unreachable_daemon_is_named() {
    let project = Project::new(&package(&salt(), ""));
    let socket = project.path().join("no-socket");
    let output =
        project.command().env("NIX_REMOTE", format!("unix://{}", socket.display())).output().expect("phasesplit runs");
    assert_eq!(output.status.code(), Some(4));
    let stderr = text(&output.stderr);
    assert!(stderr.contains("the Nix store cannot be reached"), "{stderr}");
    assert!(stderr.contains("systemctl start nix-daemon"), "{stderr}");
}

/// A program in the place of Nix's, which says `version` of itself and fails otherwise.
fn false_nix(directory: &Path, version: &str, words: &str) {
    use std::os::unix::fs::PermissionsExt;
    for program in ["nix-store", "nix-instantiate", "nix-build"] {
        let path = directory.join(program);
        let script = format!(
            "#!/bin/sh\nif [ \"$1\" = --version ]; then echo '{program} (Nix) {version}'; exit 0; fi\necho \"{words}\" >&2\nexit 1\n"
        );
        fs::write(&path, script).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("executable");
    }
}

#[test]
fn an_old_nix_a_locked_database_and_a_closed_store_are_told_apart() {
    let cases = [
        ("2.3.16", "error: something unheard of", "Nix 2.3.16 is too old; 2.8 or newer is needed"),
        (
            "2.8.0",
            "error: SQLite database '/nix/var/nix/db/db.sqlite' is busy",
            "Nix's database is locked by another process",
        ),
        (
            "2.8.0",
            "error: opening lock file '/nix/var/nix/db/big-lock': Permission denied",
            "no permission to use the Nix store",
        ),
        ("2.8.0", "error: something unheard of", "something unheard of"),
    ];
    for (version, words, expected) in cases {
        let project = Project::new(&package(&salt(), ""));
        false_nix(project.path(), version, words);
        let path = format!("{}:/usr/bin:/bin", project.path().display());
        let output = project.command().env("PATH", path).output().expect("phasesplit runs");
        assert_eq!(output.status.code(), Some(4));
        let stderr = text(&output.stderr);
        assert!(stderr.contains(expected), "{expected:?} is not in\n{stderr}");
        assert!(stderr.contains("the command was: nix-store --add"), "{stderr}");
    }
}
