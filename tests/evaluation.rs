//! What evaluation adds to `phasesplit gen`, and that it changes no derivation. Needs Nix and no build.

#[path = "support/mod.rs"]
mod support;

use std::fs;
use std::path::Path;
use std::process::Output;

use support::{command, phasesplit, root, succeed, text};

struct Case(tempfile::TempDir);

impl Case {
    fn new(package: &str) -> Self {
        let case = Self(tempfile::tempdir().expect("a directory"));
        case.write(package);
        case
    }

    fn write(&self, package: &str) {
        fs::write(self.path().join("pkg.nix"), package).expect("pkg.nix");
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn generate(&self, options: &[&str]) -> Output {
        phasesplit(self.path())
            .env("XDG_STATE_HOME", self.path().join("state"))
            .args(["gen", "pkg.nix", "--pkgs", "host"])
            .args(options)
            .output()
            .expect("phasesplit runs")
    }

    /// The derivation of the last stage, on which all others hang.
    fn finish(&self, options: &[&str], how: &str) -> String {
        let output = self.generate(options);
        let talk = text(&output.stderr);
        assert!(output.status.success() && talk.contains(&format!("attributes: {how}")), "{talk}");
        fs::write(self.path().join("split.nix"), &output.stdout).expect("split.nix");
        let drv = succeed(command("nix-instantiate", self.path()).args(["split.nix", "-A", "phases.finish"]));
        text(&drv.stdout).trim().to_owned()
    }
}

const EVALUATED: &str = "read by evaluation";
const ASKED: &str = "from the text alone (--no-eval)";

#[test]
fn evaluation_changes_no_derivation() {
    let packages = root().join("tests/nix/host/packages");
    for name in ["autotools", "cargo-project", "hook-phases", "makefile", "python-project", "three-outputs"] {
        let text = fs::read_to_string(packages.join(format!("{name}.nix"))).expect("a package");
        let case = Case::new(&text);
        assert_eq!(case.finish(&[], EVALUATED), case.finish(&["--no-eval"], ASKED), "{name}");
    }
    for name in ["uses-library", "meson-project"] {
        let packages = packages.display();
        let case = Case::new(&format!(
            "{{ callPackage }}: callPackage {packages}/{name}.nix {{\n  \
             three-outputs = callPackage {packages}/three-outputs.nix {{ }};\n}}\n"
        ));
        assert_eq!(case.finish(&[], EVALUATED), case.finish(&["--no-eval"], ASKED), "{name}");
    }
}

/// The comparison above would see a difference: a phase that only evaluation knows of is one.
#[test]
fn what_a_builder_adds_is_seen() {
    let case = Case::new(
        r#"{ stdenv }:
let
  # As a builder on top of mkDerivation would, where no text shows it.
  added = builtins.fromJSON ''{
    "doCheck": true, "checkFlags": [ "-v" ], "preBuildPhases": [ "generatePhase" ], "generatePhase": "echo"
  }'';
  build = more: stdenv.mkDerivation (more // added);
in
build { name = "added-1"; src = ./.; }
"#,
    );
    let evaluated = case.finish(&[], EVALUATED);
    let split = fs::read_to_string(case.path().join("split.nix")).expect("split.nix");
    let expected = r#"      stage = "build";
      phases = [ "generatePhase" "buildPhase" ];
      attributes = [ "generatePhase" ];
    }
    {
      stage = "check";
      phases = [ "checkPhase" ];
      attributes = [ "checkFlags" "doCheck" ];
    }"#;
    assert!(split.contains(expected), "{split}");
    assert!(split.contains("# attributes: read by evaluation\n"), "{split}");
    assert_ne!(case.finish(&["--no-eval"], ASKED), evaluated);
}

#[test]
fn gen_does_without_an_evaluation_that_fails_and_build_does_not() {
    let case = Case::new("{ stdenv }:\nstdenv.mkDerivation { name = \"x-1\"; preBuild = throw \"not today\"; }\n");
    let output = case.generate(&[]);
    let talk = text(&output.stderr);
    assert!(output.status.success(), "{talk}");
    assert!(talk.contains("warning: Nix cannot evaluate this package: not today\n"), "{talk}");
    assert!(talk.contains("attributes: from the text alone; its evaluation failed\n"), "{talk}");
    let split = text(&output.stdout);
    assert!(split.contains("# attributes: from the text alone; its evaluation failed\n"), "{split}");

    let output = phasesplit(case.path())
        .env("XDG_STATE_HOME", case.path().join("state"))
        .args(["build", "pkg.nix", "--pkgs", "host", "--no-link"])
        .output()
        .expect("phasesplit runs");
    let talk = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{talk}");
    assert!(talk.contains("error[nix/evaluation]: cannot evaluate the package\n"), "{talk}");
    assert!(talk.contains("Nix says: not today\n"), "{talk}");
}

#[test]
fn options_are_checked_against_what_there_is() {
    let case =
        Case::new("{ stdenv, cmake }:\nstdenv.mkDerivation { name = \"x-1\"; nativeBuildInputs = [ cmake ]; }\n");
    for (options, message) in [
        (["--scope", "FOO=install"], "--scope FOO=install: the package has no attribute FOO; it has "),
        (["--late", "install=cmaek"], "--late install=cmaek: the package has no input cmaek; it has cmake"),
    ] {
        let output = case.generate(&options);
        assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
        assert!(text(&output.stderr).contains(message), "{}", text(&output.stderr));
    }
}

fn cut_package(script: &str) -> String {
    format!("{{ stdenv }}:\nstdenv.mkDerivation {{\n  name = \"cut-1\";\n  buildPhase = ''\n{script}  '';\n}}\n")
}

#[test]
fn a_phase_is_cut_at_its_top_level_commands() {
    let case = Case::new(&cut_package("    runHook preBuild\n    make one\n    # phasesplit: cut\n    make two\n"));
    let by_comment = text(&case.generate(&[]).stdout);
    let first = r#"    {
      stage = "build-1";
      phases = [ "buildPhase" ];
      # Ends inside that phase, behind so many bytes of its script.
      until = { phase = "buildPhase"; length = 26; sha256 = ""#;
    assert!(by_comment.contains(first), "{by_comment}");
    assert!(by_comment.contains("      stage = \"build\";\n      phases = [ \"buildPhase\" ];\n"), "{by_comment}");
    let untold = case.generate(&["--no-eval"]);
    assert!(
        text(&untold.stderr).contains("warning: `# phasesplit: cut` counts only where"),
        "{}",
        text(&untold.stderr)
    );

    let chain = |script: &str| {
        case.write(&cut_package(script));
        let output = case.generate(&["--cut", "buildPhase:1"]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        fs::write(case.path().join("split.nix"), &output.stdout).expect("split.nix");
        let drvs = succeed(command("nix-instantiate", case.path()).args(["split.nix", "-A", "chain"]));
        text(&drvs.stdout).lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let (before, after) = (chain("    make one\n    make two\n"), chain("    make one\n    make three\n"));
    let stages: Vec<bool> = before.iter().zip(&after).map(|(one, other)| one == other).collect();
    // unpack, configure, build-1; build, install, finish.
    assert_eq!(stages, [true, true, true, false, false, false], "{before:?}\n{after:?}");

    // The file itself refuses another beginning.
    case.write(&cut_package("    make uno\n    make three\n"));
    let refused = command("nix-instantiate", case.path()).args(["split.nix", "-A", "chain"]).output().expect("Nix");
    let talk = text(&refused.stderr);
    assert!(talk.contains("buildPhase changed before the point where stage build-1 ends"), "{talk}");
}

#[test]
fn what_cannot_be_cut_is_refused_with_the_place() {
    let case =
        Case::new(&cut_package("    for i in 1 2; do\n      make $i\n      # phasesplit: cut\n    done\n    make\n"));
    for (options, status, messages) in [
        (&[][..], 1, &["a cut inside a command", "buildPhase:3:3", "between its top-level commands only"][..]),
        (&["--cut", "installPhase:1"], 2, &["installPhase cannot be cut: the package has no script of that name"]),
        (&["--cut", "unpackPhase:1"], 2, &["unpackPhase cannot be cut: stdenv enters the source only after"]),
        (&["--cut", "buildPhase:1", "--no-eval"], 2, &["its script was not evaluated", "cuts need Nix"]),
    ] {
        let output = case.generate(options);
        let talk = text(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{options:?}: {talk}");
        for message in messages {
            assert!(talk.contains(message), "{options:?}: no `{message}` in\n{talk}");
        }
    }
}
