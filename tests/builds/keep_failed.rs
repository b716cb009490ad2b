//! `phasesplit build --keep-failed`: what a failed stage leaves is kept, whole and marked, and nothing continues from it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use phasesplit::nix::drv;
use phasesplit::source::stage_arguments::StageArguments;
use serde_json::{Value, json};

use crate::support::{self, Project, phasesplit, salt, succeed, text};

/// A package of the host set that installs one file, with these attributes.
pub fn package(salt: &str, attributes: &str) -> String {
    format!(
        r#"{{ stdenv }}:
stdenv.mkDerivation ({{
  name = "failing";
  salt = "{salt}";
  dontUnpack = true;
  buildPhase = "echo built >built";
  installPhase = "mkdir -p $out; cp built $out/file";
}} // {{ {attributes} }})
"#
    )
}

pub fn command(project: &Project, words: &[&str]) -> Command {
    let mut command = phasesplit(project.path());
    command.env("XDG_STATE_HOME", project.path().join("state")).args(words);
    command
}

pub fn build(project: &Project, options: &[&str]) -> Output {
    let words = ["build", "pkg.nix", "--pkgs", "host", "--no-link", "--json"];
    command(project, &words).args(options).output().expect("phasesplit runs")
}

pub fn report(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(&output.stderr)))
}

/// Stage and outcome of each row.
pub fn rows(report: &Value) -> Vec<(&str, &str)> {
    let rows = report["stages"].as_array().expect("stages").iter();
    rows.map(|row| (row["stage"].as_str().expect("a name"), row["outcome"].as_str().expect("a word"))).collect()
}

/// A build that fails, and what it kept: the state, and its `info.json`.
pub struct Kept {
    pub report: Value,
    pub said: String,
    pub path: PathBuf,
    pub info: Value,
}

pub fn kept(project: &Project, options: &[&str]) -> Kept {
    let output = build(project, &[&["--keep-failed"], options].concat());
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    let report = report(&output);
    let path = PathBuf::from(report["failure"]["kept"]["path"].as_str().unwrap_or_else(|| panic!("not kept:\n{said}")));
    let info = std::fs::read(path.join("info.json")).expect("info.json");
    Kept { report, said, info: serde_json::from_slice(&info).expect("JSON"), path }
}

/// Restores a kept state in a sandbox like the builder's: the directory of what was there (`build`, `outputs`, `shell`).
pub fn restored(project: &Project, kept: &Kept, options: &str) -> Result<PathBuf, String> {
    let stage = drv::read(kept.report["failure"]["kept"]["drv"].as_str().expect("a path")).expect("read");
    let engine = StageArguments::read(&stage).expect("a stage").option("engine").expect("named").to_owned();
    let names = kept.info["outputs"].as_object().expect("outputs").keys();
    let outputs: Vec<String> = names.map(|name| format!("--output {name}=/build/.phasesplit/{name}")).collect();
    let text_of = format!(
        r#"derivation {{
  name = "looked"; system = builtins.currentSystem; builder = "/bin/bash"; PATH = "/usr/bin:/bin"; salt = "{salt}";
  state = builtins.storePath "{state}"; engine = builtins.storePath "{engine}";
  args = [ "-ec" ''
    mkdir .phasesplit $out $out/outputs
    $engine restore {options} --from $state --build-dir /build --shell .phasesplit/shell {outputs}
    mv .phasesplit/shell $out/shell; find .phasesplit -mindepth 1 -maxdepth 1 -exec mv {{}} $out/outputs/ ';'
    rmdir .phasesplit; cp -r . $out/build; exit 0'' ];
}}"#,
        salt = salt(),
        state = kept.path.display(),
        outputs = outputs.join(" "),
    );
    std::fs::write(project.path().join("look.nix"), text_of).expect("written");
    let output = support::command("nix-build", project.path())
        .args(["look.nix", "--no-out-link"])
        .output()
        .expect("nix-build starts");
    if output.status.success() { Ok(text(&output.stdout).trim().into()) } else { Err(text(&output.stderr)) }
}

fn read(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.as_ref().display()))
}

/// The failure of a package with these attributes is this one, and leaves these files with this content.
fn fails(attributes: &str, stage: &str, failed: (&str, u8), log: &str, files: &[(&str, &str)]) {
    fails_with(attributes, &[], stage, failed, log, files);
}

fn fails_with(
    attributes: &str,
    options: &[&str],
    stage: &str,
    (phase, code): (&str, u8),
    log: &str,
    files: &[(&str, &str)],
) {
    let project = Project::new(&package(&salt(), attributes));
    let kept = kept(&project, options);
    assert_eq!(kept.report["failure"]["stage"], stage, "{}", kept.said);
    assert_eq!(kept.info["stage"], stage);
    let failed = &kept.info["failed"];
    assert_eq!((&failed["phase"], &failed["exitCode"]), (&json!(phase), &json!(code)), "{attributes}");
    assert!(failed["log"].as_str().expect("a log").contains(log), "{failed}");
    let there = restored(&project, &kept, "--accept-failed").expect("restored");
    for (file, content) in files {
        assert!(read(there.join(file)).contains(content), "{file} of {attributes}: {}", read(there.join(file)));
    }
    let references =
        succeed(support::command("nix-store", project.path()).args(["-q", "--references"]).arg(&kept.path));
    let parent = std::fs::read_to_string(kept.path.join("parent")).unwrap_or_default();
    assert_eq!(text(&references.stdout), parent, "it keeps its parent and nothing else");
}

#[test]
fn in_unpack() {
    fails(
        r#"dontUnpack = false; unpackPhase = "mkdir src; echo x >src/file; echo unpacking; exit 5"; sourceRoot = "src";"#,
        "unpack",
        ("unpackPhase", 5),
        "unpacking\n",
        &[("build/src/file", "x\n")],
    );
}

#[test]
fn in_build_with_the_shell_of_the_moment() {
    fails(
        r#"buildPhase = ''
          declare -gA table=([key]="a value")
          helper() { inner=inside; false; }
          trap 'echo usr1' USR1
          mkdir deep; cd deep; echo half >made
          echo "to stdout of $stdenv"; echo to stderr >&2
          shopt -s extglob
          before=helper
          helper
          echo never
        '';"#,
        "build",
        ("buildPhase", 1),
        "to stderr\n",
        &[
            ("build/deep/made", "half\n"),
            ("shell", "table=([key]=\"a value\" )"),
            ("shell", "helper ()"),
            ("shell", "inner=\"inside\""),
            ("shell", "phasesplit_stand /build/deep "),
            ("shell", "builtin trap -- 'echo usr1' SIGUSR1\n"),
            ("shell", "shopt -s extglob\n"),
        ],
    );
}

#[test]
fn with_unset_variables_a_killed_command_and_a_killed_shell() {
    let file = ("build/made", "made\n");
    fails(r#"buildPhase = "echo made >made; set -u; x=$nosuch";"#, "build", ("buildPhase", 1), "nosuch", &[file]);
    let killed = r#"buildPhase = "echo made >made; value=kept; bash -c 'kill -9 \$\$'";"#;
    fails(killed, "build", ("buildPhase", 137), "", &[file, ("shell", "value=\"kept\"")]);
    // Nothing can ask that shell: it is kept as it was when the phase began.
    let killed = r#"configurePhase = "early=1"; buildPhase = "echo made >made; late=1; kill -9 $$";"#;
    fails(killed, "build", ("buildPhase", 137), "", &[file, ("shell", "early=\"1\"")]);
    let own = r#"configurePhase = "early=1"; buildPhase = "echo made >made; trap 'echo mine' EXIT; exit 7";"#;
    fails(own, "build", ("buildPhase", 7), "mine\n", &[file, ("shell", "early=\"1\"")]);
}

#[test]
fn in_install_with_outputs_and_structured_attributes() {
    let files = [("outputs/out/file", "built\n"), ("outputs/dev/where", "/nix/store/"), ("build/built", "built\n")];
    let install = r#"outputs = [ "out" "dev" ];
        installPhase = "mkdir -p $out $dev; cp built $out/file; echo $dev >$dev/where; exit 3";"#;
    fails(install, "install", ("installPhase", 3), "", &files);
    fails(&format!("{install} __structuredAttrs = true;"), "install", ("installPhase", 3), "", &files);
}

#[test]
fn in_finish_whose_outputs_are_relocated() {
    for more in ["", "__structuredAttrs = true;"] {
        let finish = format!(
            r#"outputs = [ "out" "dev" ]; allowedReferences = [ ]; {more}
            installPhase = "mkdir -p $out $dev; echo $dev >$out/where; echo $out >where";
            preFixup = "echo $dev >$out/fixed; cmp $out/where $out/fixed; cmp where $out/where || true; value=x; exit 4";"#
        );
        let salt = salt();
        let project = Project::new(&package(&salt, &finish));
        let kept = kept(&project, &[]);
        assert_eq!((&kept.info["failed"]["phase"], &kept.info["stage"]), (&json!("fixupPhase"), &json!("finish")));
        assert_eq!(kept.info["failed"]["exitCode"], 4, "{}", kept.said);
        let there = restored(&project, &kept, "--accept-failed").expect("restored");
        let dev = kept.info["outputs"]["dev"].as_str().expect("a path");
        assert_eq!(read(there.join("outputs/out/where")).trim(), dev, "relocated");
        assert!(read(there.join("shell")).contains("value=\"x\""));
        // Neither the package's own path nor the one that the stages before had.
        let finish = kept.report["stages"].as_array().expect("rows").last().expect("finish");
        let own = drv::read(finish["drv"].as_str().expect("a path")).expect("read");
        let staged = StageArguments::read(&own).expect("a stage").outputs()["out"].to_owned();
        let out = kept.info["outputs"]["out"].as_str().expect("a path");
        assert!(out.len() == staged.len() && out != staged && finish["path"] != out, "{out}");
        assert_eq!(read(there.join("build/where")).trim(), staged, "the build directory is never rewritten");
    }
    fails(r#"exitHook = "exit 6";"#, "finish", ("after the phases", 6), "", &[("outputs/out/file", "built\n")]);
}

#[test]
fn in_a_part_of_a_cut_phase() {
    fails_with(
        r#"buildPhase = "echo first >first\nvalue=1\necho second >second; exit 9\n";"#,
        &["--cut", "buildPhase:2"],
        "build",
        ("buildPhase", 9),
        "",
        &[("build/first", "first\n"), ("build/second", "second\n"), ("shell", "_phasesplit_whole=1\n")],
    );
    fails_with(
        r#"buildPhase = "echo first >first\nexit 8\necho second >second\n";"#,
        &["--cut", "buildPhase:2"],
        "build-1",
        ("buildPhase", 8),
        "",
        &[("build/first", "first\n")],
    );
}

#[test]
fn a_process_in_the_background_neither_hangs_it_nor_changes_what_is_kept() {
    let start = std::time::Instant::now();
    fails(
        r#"buildPhase = ''
          sleep 3000 &
          while :; do echo more >>growing; done &
          { trap "" TERM HUP; while :; do echo noise; sleep 0.01; done; } &
          sleep 0.2
          echo last words; exit 2
        '';"#,
        "build",
        ("buildPhase", 2),
        "last words\n",
        &[("build/growing", "more\n")],
    );
    assert!(start.elapsed().as_secs() < 2900, "it waited for them");
}

#[test]
fn the_log_is_a_terminal_where_it_was_one_and_nix_sees_the_phases() {
    fails(
        r#"buildPhase = "{ [[ -t 1 && -t 2 ]] && echo a terminal; } || echo no terminal; { [[ -t 1 ]] || [[ ! -e /dev/ptmx ]]; } || exit 99; exit 2";"#,
        "build",
        ("buildPhase", 2),
        "a terminal\n",
        &[],
    );
}

#[test]
fn without_a_sandbox() {
    let project = Project::new(&package(&salt(), r#"installPhase = "mkdir $out; echo x >$out/x; value=1; false";"#));
    let kept = kept(&project, &["--", "--option", "sandbox", "false"]);
    assert_eq!(kept.info["failed"]["phase"], "installPhase");
    let directory = kept.info["buildDir"].as_str().expect("a path");
    assert!(directory.starts_with("/tmp/phasesplit-") && !Path::new(directory).exists(), "{directory}");
    assert!(!Path::new(kept.info["outputs"]["out"].as_str().expect("a path")).exists(), "the staged output is removed");
    let manifest = succeed(Command::new("zstd").arg("-dc").arg(kept.path.join("manifest.zst"))).stdout;
    assert!(text(&manifest).contains("\0outputs/out/x\0"));
    assert!(kept.said.contains("-- --option sandbox false"), "{}", kept.said);
}
