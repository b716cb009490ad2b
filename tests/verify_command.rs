//! `phasesplit verify` as a user runs it, on real builds: equal packages, ones that are not deterministic by themselves, and one
//! that splitting changes.

#[path = "support/mod.rs"]
mod support;

use std::process::Output;

use support::{Project, phasesplit, salt, text};

/// A package that installs `text` and whatever `more` adds.
fn package(more: &str) -> Project {
    Project::new(&format!(
        r#"{{ stdenv }}:
stdenv.mkDerivation {{
  name = "verified-1";
  salt = "{}";
  dontUnpack = true;
  outputs = [ "out" "doc" ];
  buildPhase = ''
    echo "installed in $out" >text
  '';
  installPhase = ''
    mkdir -p $out/share $doc
    cp text $out/share/text
    echo manual >$doc/manual
  '';
  {more}
}}
"#,
        salt()
    ))
}

fn verify(project: &Project, options: &[&str]) -> Output {
    phasesplit(project.path())
        .env("XDG_STATE_HOME", project.path().join("state"))
        .args(["verify", "pkg.nix", "--pkgs", "host"])
        .args(options)
        .output()
        .expect("phasesplit runs")
}

fn json(output: &Output) -> serde_json::Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}\n{}", text(&output.stdout), text(&output.stderr)))
}

#[test]
fn equal_results_end_with_0() {
    let project = package("");
    let output = verify(&project, &[]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    assert!(said.starts_with("verified-1: split and unsplit are equal: "), "{said}");

    let output = verify(&project, &["--json", "--rebuild"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let report = json(&output);
    assert_eq!(report["verdict"], "equal");
    assert_eq!(report["differences"], serde_json::json!([]));
    assert_eq!(report["rebuild"]["agrees"], true);
    assert_ne!(report["split"]["out"], report["unsplit"]["out"]);
    assert!(report["split"]["doc"].as_str().is_some_and(|path| path.ends_with("-verified-1-doc")), "{report}");
    assert!(report["compared"].as_u64().is_some_and(|count| count >= 4), "{report}");
}

#[test]
fn a_package_that_splitting_changes_ends_with_1_and_the_diff() {
    // The digest is of a text that names $out, and is made before finish: relocation mends the text, not its digest.
    let project = package("");
    let text_of = std::fs::read_to_string(project.path().join("pkg.nix")).expect("pkg.nix");
    project.write(
        &text_of.replace("cp text $out/share/text", "sha256sum text >$out/share/digest; cp text $out/share/text"),
    );
    let output = verify(&project, &[]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    for expected in [
        "verified-1: split and unsplit are not the same package: 1 difference in ",
        "  out/share/digest: ",
        "    --- split   /nix/store/",
        "    +++ unsplit /nix/store/",
        "    @@ -1,1 +1,1 @@",
        "what to do:",
        "out/share/digest looks like a digest",
        "staged prefix",
        "postFixup",
        "phasesplit verify --rebuild",
        "use the unsplit build, which is whole: /nix/store/",
    ] {
        assert!(said.contains(expected), "{expected:?} is not in\n{said}");
    }
    assert_eq!(
        said.lines().filter(|line| line.trim_start().starts_with('-') && line.contains("  text")).count(),
        1,
        "{said}"
    );

    let output = verify(&project, &["--json", "--rebuild"]);
    assert_eq!(output.status.code(), Some(1));
    let report = json(&output);
    assert_eq!(report["verdict"], "different");
    assert_eq!(report["differences"][0]["file"], "out/share/digest");
    assert_eq!(report["differences"][0]["unstable"], false);
    assert_eq!(report["rebuild"]["agrees"], true);
}

#[test]
fn a_package_that_differs_from_itself_is_not_blamed_on_splitting() {
    let project = package("");
    let plain = std::fs::read_to_string(project.path().join("pkg.nix")).expect("pkg.nix");
    let random = plain.replace(
        "cp text $out/share/text",
        "cp text $out/share/text; { echo first; cat /proc/sys/kernel/random/uuid; echo last; } >$out/share/random",
    );
    project.write(&random);
    let output = verify(&project, &[]);
    assert_eq!(output.status.code(), Some(1), "without --rebuild there is no telling: {}", text(&output.stderr));

    let output = verify(&project, &["--rebuild"]);
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}\n{}", text(&output.stderr));
    for expected in [
        "the package is not deterministic by itself",
        "1 difference, where two unsplit builds differ as well",
        "out/share/random",
    ] {
        assert!(said.contains(expected), "{expected:?} is not in\n{said}");
    }
    let unsplit = json(&verify(&project, &["--json"]))["unsplit"]["out"].as_str().expect("a path").to_owned();
    assert!(!std::path::Path::new(&format!("{unsplit}.check")).exists(), "the copy is freed");

    // A difference that splitting makes, on the line beside the one that is never the same.
    project.write(&random.replace("echo last", "sha256sum text"));
    let output = verify(&project, &["--rebuild", "--json"]);
    let report = json(&output);
    assert_eq!(output.status.code(), Some(1), "{report}");
    assert_eq!(report["verdict"], "different");
    assert_eq!(report["differences"][0]["unstable"], false);
}

#[test]
fn a_failing_build_ends_with_3() {
    let project = package("preFixup = \"echo not in a split build; test -e /no/such/file\";");
    let output = verify(&project, &[]);
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), "");
    assert!(text(&output.stderr).contains("not in a split build"), "{}", text(&output.stderr));
}

#[test]
fn the_exit_code_for_a_difference_is_in_the_help() {
    let project = package("");
    let output = phasesplit(project.path()).args(["verify", "--help"]).output().expect("phasesplit runs");
    let help = text(&output.stdout);
    assert!(help.contains("1  there is a real difference"), "{help}");
    assert!(help.contains("--rebuild") && help.contains("--json"), "{help}");
}
