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
        fs::write(case.path().join("pkg.nix"), package).expect("pkg.nix");
        case
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
