//! What must fail does, and says why.

use crate::support::{Project, package, phasesplit, salt, text};

#[test]
fn a_held_back_attribute_that_a_hook_reads_early_fails() {
    // The hook's function is not in the package, so nix-lib cannot see that it reads installFlags while building.
    let project = Project::new(&format!(
        r#"{{ stdenv, makeSetupHook }}:
stdenv.mkDerivation {{
  name = "early-reader";
  salt = "{}";
  dontUnpack = true;
  nativeBuildInputs = [
    (makeSetupHook {{ name = "early-hook"; }} (builtins.toFile "early-hook.sh" "readEarly() {{ echo $installFlags >early; }}\npreBuildHooks+=(readEarly)\n"))
  ];
  buildPhase = "runHook preBuild";
  installFlags = [ "x" ];
  installPhase = "mkdir -p $out; cp early $out/";
}}
"#,
        salt()
    ));
    project.generate(&[]);
    let log = project.build_fails("phases.finish");
    assert!(
        log.contains("installFlags was held back") && log.contains("readEarly") && log.contains("scope.installFlags"),
        "{log}"
    );
}

#[test]
fn a_failing_phase_names_its_stage_and_the_safe_state() {
    let salt = salt();
    let project = Project::new(&format!(
        "{{ callPackage }}: (callPackage ({}) {{ }}).overrideAttrs (old: {{ installPhase = \"echo about to fail; false\"; }})\n",
        package("reuse", &format!("salt = \"{salt}\";"))
    ));
    let output = phasesplit(project.path()).args(["build", "pkg.nix", "--pkgs", "host"]).output().expect("it runs");
    let talk = text(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{talk}");
    for part in ["install", "about to fail", "nix-store", "-phase-check"] {
        assert!(talk.contains(part), "`{part}` is missing from:\n{talk}");
    }
}
