//! `phasesplit explain` on the edits of [`crate::reuse`]: exactly the stages that these build, each with its cause; and what
//! else can make a stage run again.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::reuse::{EDITS, edited};
use crate::support::{self, Project, phasesplit, root, salt, succeed, text};

/// A stage, and its causes in words.
type StageCauses = (&'static str, &'static [&'static str]);

/// What the first stage that changed says; of the others that changed, those that say something of their own.
const CAUSES: &[(&str, &[StageCauses])] = &[
    ("installPhase", &[("install", &["installPhase was added"])]),
    ("postInstall", &[("install", &["postInstall changed"])]),
    ("preFixup", &[("finish", &["preFixup changed: \"true\" → \"echo edited\""])]),
    ("postFixup", &[("finish", &["postFixup changed: \"true\" → \"echo edited\""])]),
    ("installCheckPhase", &[("finish", &["installCheckPhase changed"])]),
    ("checkPhase", &[("check", &["checkPhase was added"])]),
    ("doCheck", &[("install", &["doCheck changed: \"1\" → \"\"", "it continues from build, no longer from check"])]),
    ("buildFlags", &[("build", &["buildFlags changed: \"all\" → \"greet\""])]),
    (
        "configureFlags",
        &[("configure", &["configureFlags changed: \"--with-greeting=hello\" → \"--with-greeting=edited\""])],
    ),
    ("a patch added", &[("patch", &["patches changed: \"\" → \"greet.patch\""])]),
    ("meta", &[]),
    ("an unknown attribute", &[("unpack", &["UNKNOWN was added"])]),
    ("src", &[("unpack", &["src changed: \"reuse-source\" → \"edited-source\""])]),
];

/// `phasesplit COMMAND pkg.nix`, with records and roots of the project's own.
fn command(project: &Project, command: &str) -> Command {
    let mut program = phasesplit(project.path());
    program.env("XDG_STATE_HOME", project.path().join("state")).args([command, "pkg.nix", "--pkgs", "host"]);
    program
}

fn explained(project: &Project, options: &[&str]) -> Value {
    let output = succeed(command(project, "explain").arg("--json").args(options));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn build(project: &Project) {
    succeed(command(project, "build").arg("--no-link"));
}

/// The stages of which `key` is `value`.
fn stages<'a>(report: &'a Value, key: &str, value: &str) -> Vec<&'a str> {
    let stages = report["stages"].as_array().expect("stages").iter();
    stages.filter(|stage| stage[key] == value).map(|stage| stage["stage"].as_str().expect("a name")).collect()
}

/// Stage and texts of its causes, of the stages that have any.
fn causes(report: &Value) -> Vec<(&str, Vec<&str>)> {
    let stages = report["stages"].as_array().expect("stages").iter();
    stages
        .map(|stage| {
            let texts: Vec<&str> = stage["causes"]
                .as_array()
                .expect("causes")
                .iter()
                .map(|cause| cause["text"].as_str().expect("text"))
                .collect();
            (stage["stage"].as_str().expect("a name"), texts)
        })
        .filter(|(_, texts)| !texts.is_empty())
        .collect()
}

#[test]
fn an_edit_is_explained_by_exactly_its_stages_and_its_cause() {
    let salt = salt();
    let project = Project::new(&edited(&salt, ""));
    let output = command(&project, "explain").output().expect("phasesplit runs");
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("there is no record of a build of this package"), "{}", text(&output.stderr));

    build(&project);
    let report = explained(&project, &[]);
    assert_eq!(stages(&report, "verdict", "reused").len(), 7, "{report:#}");
    assert_eq!(stages(&report, "change", "same").len(), 7, "{report:#}");

    let source = root().join("tests/nix/packages/reuse-source").display().to_string();
    assert_eq!(EDITS.len(), CAUSES.len());
    for ((name, edit, built), (same_name, expected)) in EDITS.iter().zip(CAUSES) {
        assert_eq!(name, same_name);
        project.write(&edited(&salt, &edit.replace("SOURCE", &source)));
        let report = explained(&project, &[]);
        assert_eq!(stages(&report, "verdict", "runs"), *built, "{name}");
        assert_eq!(stages(&report, "change", "changed"), *built, "{name}");
        let expected: Vec<(&str, Vec<&str>)> = expected.iter().map(|(stage, texts)| (*stage, texts.to_vec())).collect();
        assert_eq!(causes(&report), expected, "{name}");
    }
    // The text for people: the table, and what a line cannot show as a diff.
    project.write(&edited(&salt, "postInstall = \"echo edited >$out/installed\\n\";"));
    let output = succeed(&mut command(&project, "explain"));
    let said = text(&output.stdout);
    for line in [
        "build      reused\n",
        "install    runs again   postInstall changed\n",
        "finish     runs again   only because install before it is another\n",
        "    -echo installed >$out/installed\n    +echo edited >$out/installed\n",
        "2 of 7 stages would run again\n",
    ] {
        assert!(said.contains(line), "{line:?} is not in\n{said}");
    }
}

#[test]
fn a_state_that_was_collected_is_told_as_such() {
    let project = Project::new(&edited(&salt(), ""));
    build(&project);
    let report = explained(&project, &[]);
    // Their roots go, then they do.
    for stage in ["install", "finish"] {
        let of = |report: &Value| -> String {
            let stages = report["stages"].as_array().expect("stages").iter();
            let stage = stages.clone().find(|row| row["stage"] == stage).expect("there");
            stage["path"].as_str().expect("a path").to_owned()
        };
        // A package's outputs have none.
        let mut rm = phasesplit(project.path());
        rm.env("XDG_STATE_HOME", project.path().join("state")).args(["roots", "rm", &of(&report)]);
        let _ = rm.output().expect("phasesplit runs");
        succeed(support::command("nix-store", project.path()).args(["--delete", &of(&report)]));
    }
    let report = explained(&project, &[]);
    assert_eq!(stages(&report, "verdict", "runs"), ["install", "finish"], "{report:#}");
    assert_eq!(stages(&report, "change", "same").len(), 7, "{report:#}");
    let said = text(&succeed(&mut command(&project, "explain")).stdout);
    assert!(said.contains("install    runs again   as it was, but its state is no longer in the store\n"), "{said}");
}

/// A library and a package that uses it, in one file; `library` is its source's text.
fn with_library(library: &str, edit: &str) -> String {
    format!(
        r#"{{ stdenv }}:
let
  library = stdenv.mkDerivation {{
    name = "library-1";
    src = builtins.toFile "library-source" "{library}";
    dontUnpack = true;
    installPhase = "mkdir $out";
  }};
in
stdenv.mkDerivation {{
  name = "user-1";
  dontUnpack = true;
  dontConfigure = true;
  buildInputs = [ library ];
  installPhase = "mkdir $out";
  {edit}
}}
"#
    )
}

/// What explains `after`, compared with `before`, none of which is built.
fn compared(before: &str, after: &str, options: &[&str]) -> Value {
    let project = Project::new(after);
    fs::write(project.path().join("before.nix"), before).expect("written");
    explained(&project, &[&["--against", "before.nix"], options].concat())
}

#[test]
fn an_input_is_explained_down_to_its_source() {
    let report = compared(&with_library("1", ""), &with_library("2", ""), &[]);
    let found = causes(&report);
    assert_eq!(found.len(), 1, "{report:#}");
    let (stage, texts) = &found[0];
    assert_eq!(*stage, "build");
    assert_eq!(texts.len(), 1, "{report:#}");
    let text = texts[0];
    assert!(text.starts_with("buildInputs: library-1 → its src changed: another library-source ("), "{text}");
    assert_eq!(stages(&report, "change", "changed"), ["build", "install", "finish"]);

    // The library is another because of its own attribute, and the user's own edit comes first.
    let before = with_library("1", "");
    let after = before
        .replacen("dontUnpack = true;", "dontUnpack = true; flag = \"x\";", 1)
        .replace("buildInputs", "EXTRA = \"1\"; buildInputs");
    let report = compared(&before, &after, &[]);
    let expected = [("build", vec!["EXTRA was added", "buildInputs: library-1 → its flag was added"])];
    assert_eq!(causes(&report), expected, "{report:#}");
}

#[test]
fn structured_attributes_are_explained_key_by_key() {
    let package = |flag: &str| {
        with_library(
            "1",
            &format!("__structuredAttrs = true; env = {{ A = \"1\"; B = \"{flag}\"; }}; deep.list = [ 1 2 ];"),
        )
    };
    let report = compared(&package("1"), &package("2"), &[]);
    assert_eq!(causes(&report)[0].1, ["env.B changed: \"1\" → \"2\""], "{report:#}");
    let report = compared(&package("1"), &package("1").replace("[ 1 2 ]", "[ 1 3 ]"), &[]);
    assert_eq!(causes(&report)[0].1, ["deep.list changed: \"1 2\" → \"1 3\""], "{report:#}");
}

#[test]
fn another_runtime_is_named_and_the_chain_that_is_divided_otherwise() {
    let project = Project::new(&with_library("1", ""));
    let library = project.path().join("nix-lib");
    copy(&root().join("nix-lib"), &library);
    let options = ["gen", "pkg.nix", "--pkgs", "host"];
    let gen_to = |file: &str, more: &[&str]| {
        succeed(phasesplit(project.path()).args(options).args(more).args(["-o", file]));
    };
    gen_to("same.nix", &["--lib", "nix-lib"]);
    let report = explained(&project, &["--against", "same.nix"]);
    assert_eq!(stages(&report, "change", "same").len(), 3, "{report:#}");

    let runtime = library.join("runtime/90-stage.sh");
    let text = fs::read_to_string(&runtime).expect("the runtime");
    fs::write(&runtime, format!("{text}\n# another\n")).expect("written");
    let report = explained(&project, &["--against", "same.nix"]);
    assert_eq!(causes(&report), [("build", vec!["another version of phasesplit's runtime"])], "{report:#}");

    gen_to("merged.nix", &["--merge", "unpack+patch+configure+build"]);
    let report = explained(&project, &["--against", "merged.nix"]);
    let (stage, texts) = &causes(&report)[0];
    assert_eq!(*stage, "build", "{report:#}");
    assert!(texts[0].starts_with("the chain is divided otherwise: "), "{texts:?}");
}

fn copy(from: &Path, to: &Path) {
    succeed(Command::new("cp").arg("-r").args([from, to]));
}

#[test]
fn a_derivation_is_compared_whether_split_or_not() {
    let project = Project::new(&with_library("1", ""));
    project.generate(&[]);
    let drv = |attribute: &str| {
        let mut command = support::command("nix-instantiate", project.path());
        text(&succeed(command.args(["split.nix", "-A", attribute])).stdout).trim().to_owned()
    };
    let (finish, unsplit) = (drv("phases.finish"), drv("unsplit"));
    for against in [&finish, &unsplit] {
        let report = explained(&project, &["--against", against]);
        assert_eq!(stages(&report, "change", "same"), ["build", "install", "finish"], "{report:#}");
    }
    project.write(&with_library("1", "postInstall = \"true\";"));
    for against in [&finish, &unsplit] {
        let report = explained(&project, &["--against", against]);
        assert_eq!(stages(&report, "change", "changed"), ["install", "finish"], "{report:#}");
        assert_eq!(causes(&report), [("install", vec!["postInstall was added"])], "{report:#}");
    }
    let output = command(&project, "explain").args(["--against", "/nix/store/no-such.drv"]).output().expect("runs");
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("/nix/store/no-such.drv is no longer in the store"),
        "{}",
        text(&output.stderr)
    );
}
