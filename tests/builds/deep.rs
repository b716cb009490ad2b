//! `verify --deep` finds what no search of texts can: a compiled program of an input that reads an attribute which is held
//! back from the stage that runs it.

use std::process::Output;

use crate::support::{Project, phasesplit, salt, text};

/// A package whose build phase runs `build`, with the program `spy N`, which prints the Nth of its variables, and `spy N -q`,
/// which says only that it is there; of the last it prints the file. The names are in a program that was compiled elsewhere, so no search finds them.
fn package(build: &str, more: &str) -> Project {
    Project::new(&format!(
        r#"{{ stdenv, makeWrapper }}:
let
  spy = stdenv.mkDerivation {{
    name = "spy";
    dontUnpack = true;
    buildPhase = ''
      cat >spy.c <<'END'
      #include <stdio.h>
      #include <stdlib.h>
      static const char *names[] = {{ "installFlags", "postInstall", "nativeBuildInputs", "NIX_ATTRS_JSON_FILE" }};
      int main(int argc, char **argv) {{
        const char *value = getenv(names[argv[1][0] - '0']);
        if (argv[1][0] == '3') {{
          FILE *file = fopen(value, "r");
          for (int c; (c = getc(file)) != EOF;) putchar(c);
          return 0;
        }}
        if (argc > 2) {{ if (value && *value) puts("yes"); return 0; }}
        printf("%s\n", value ? value : "none");
        return 0;
      }}
      END
      gcc -o spy spy.c
    '';
    installPhase = "mkdir -p $out/bin; cp spy $out/bin/";
  }};
in
stdenv.mkDerivation {{
  name = "spied-1";
  salt = "{}";
  dontUnpack = true;
  nativeBuildInputs = [ spy makeWrapper ];
  buildPhase = ''
    {build}
  '';
  installFlags = "DESTDIR=/x";
  installPhase = "mkdir -p $out; cp kept $out/; touch $out/tool; chmod +x $out/tool; wrapProgram $out/tool";
  {more}
}}
"#,
        salt()
    ))
}

fn verify(project: &Project, options: &[&str]) -> (Output, serde_json::Value) {
    let output = phasesplit(project.path())
        .env("XDG_STATE_HOME", project.path().join("state"))
        .args(["verify", "pkg.nix", "--pkgs", "host", "--deep", "--json"])
        .args(options)
        .output()
        .expect("phasesplit runs");
    let report = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}\n{}", text(&output.stdout), text(&output.stderr)));
    (output, report)
}

/// Of each finding: stage, place, change, how it was proved, attributes and inputs.
fn findings(report: &serde_json::Value) -> Vec<String> {
    let list = |value: &serde_json::Value| {
        let words = value.as_array().expect("a list").iter().map(|word| word.as_str().expect("a word"));
        words.collect::<Vec<_>>().join(" ")
    };
    let findings = report["deep"]["findings"].as_array().expect("a list").iter();
    let words = findings.map(|finding| {
        let word = |key: &str| finding[key].as_str().unwrap_or("-").to_owned();
        let names = [list(&finding["attributes"]), list(&finding["inputs"])].concat();
        format!("{} {} {} {}: {names}", word("stage"), word("place"), word("change"), word("proof"))
    });
    words.collect()
}

fn excused(report: &serde_json::Value) -> Vec<String> {
    let excused = report["deep"]["excused"].as_array().expect("a list").iter();
    excused.map(|one| one["place"].as_str().expect("a place").to_owned()).collect()
}

#[test]
fn a_clean_package_has_no_finding_and_chance_is_excused() {
    let project = package("echo kept >kept", "");
    let (output, report) = verify(&project, &[]);
    assert_eq!(output.status.code(), Some(0), "{report:#}\n{}", text(&output.stderr));
    assert_eq!((&report["verdict"], findings(&report), excused(&report)), (&"equal".into(), vec![], vec![]));
    assert_eq!(report["deep"]["stages"], serde_json::json!(["configure", "build", "install"]));
    assert_eq!(report["deep"]["runs"], 12, "each in the chain, again, with words, with values");

    // A file and a variable that differ each time, and a file of another name each time.
    let chance = "echo kept >kept; read -r number </proc/sys/kernel/random/uuid; echo $number >dice; mkdir d; \
                  echo $number >d/$number; ln -s $number link";
    let project = package(chance, "");
    let (output, report) = verify(&project, &[]);
    assert_eq!((output.status.code(), findings(&report)), (Some(0), vec![]), "{report:#}");
    let excused = excused(&report);
    for place in ["build/dice", "build/link", "the shell's variable number"] {
        assert!(excused.iter().any(|one| one == place), "{place} is not in {excused:#?}");
    }
    assert_eq!(report["deep"]["runs"], 12, "nothing was left to be found out");
}

#[test]
fn a_file_that_has_its_value_names_the_attribute() {
    let build = "echo kept >kept; export SEEN=\"$(spy 0)\"; echo kept; spy 0 | tee -a kept >early; ln -s \"$(spy 1)\" link; cp kept \
                 \"named-$(spy 1 | head -c 40)\"; chmod 700 early";
    let project = package(build, "postInstall = \"true\";");
    let (output, report) = verify(&project, &[]);
    assert_eq!(output.status.code(), Some(1), "{report:#}");
    let found = findings(&report);
    for expected in [
        "build build/early changed text: installFlags",
        "build build/kept changed text: installFlags",
        "build build/link changed text: postInstall",
        "build the shell's variable SEEN changed text: installFlags",
    ] {
        assert!(found.iter().any(|one| one == expected), "`{expected}` is not in {found:#?}");
    }
    assert!(
        found.iter().any(|one| one.starts_with("build build/named-zcanaryz") && one.contains("postInstall")),
        "{found:#?}"
    );
    assert!(found.iter().all(|one| one.starts_with("build ")), "{found:#?}");
    let advice = report["advice"].to_string();
    assert!(advice.contains("`--scope installFlags=build`, or  scope.installFlags = \\\"build\\\";"), "{advice}");

    // What it says to add is enough.
    let (output, report) = verify(&project, &["--scope", "installFlags=build", "--scope", "postInstall=build"]);
    assert_eq!((output.status.code(), findings(&report)), (Some(0), vec![]), "{report:#}");
}

#[test]
fn a_condition_is_found_by_trial_and_a_failure_with_its_log() {
    let build = "echo kept >kept; touch other; if [ -n \"$(spy 0 -q)\" ]; then echo x >f; chmod 711 other; fi";
    let project = package(build, "");
    let (output, report) = verify(&project, &[]);
    assert_eq!(output.status.code(), Some(1), "{report:#}");
    assert_eq!(report["verdict"], "reads-held-back");
    assert_eq!(
        findings(&report),
        ["build build/f added trial: installFlags", "build build/other metadata trial: installFlags"],
        "{report:#}"
    );

    // It fails with the one, and what the other does is found all the same.
    let build = "echo kept >kept; if [ -n \"$(spy 1 -q)\" ]; then echo 'not with that'; exit 7; fi; spy 0 >early";
    let project = package(build, "");
    let (output, report) = verify(&project, &[]);
    assert_eq!(output.status.code(), Some(1), "{report:#}");
    assert_eq!(
        findings(&report),
        ["build - - failure: postInstall", "build build/early changed text: installFlags"],
        "{report:#}"
    );
    let failure = &report["deep"]["findings"][0];
    assert!(failure["log"].to_string().contains("not with that"), "{failure:#}");
    assert!(failure["message"].as_str().is_some_and(|words| words.starts_with("buildPhase: ")), "{failure:#}");
}

#[test]
fn a_late_input_and_structured_attributes() {
    let project = package("echo kept >kept; spy 2 >inputs", "");
    let (output, report) = verify(&project, &["--trust", "text"]);
    assert_eq!(output.status.code(), Some(1), "{report:#}");
    assert_eq!(findings(&report), ["build build/inputs changed trial: make-wrapper-hook"], "{report:#}");
    let (output, report) = verify(&project, &["--trust", "text", "--late", "build=make-wrapper-hook"]);
    assert_eq!((output.status.code(), findings(&report)), (Some(0), vec![]), "{report:#}");

    // A program that gets at the file of attributes: each of them is in what it made.
    let project = package("echo kept >kept; spy 3 >all", "__structuredAttrs = true;");
    let (output, report) = verify(&project, &[]);
    assert_eq!(output.status.code(), Some(1), "{report:#}");
    let finding = &report["deep"]["findings"][0];
    assert_eq!(finding["place"], "build/all", "{report:#}");
    let names = finding["attributes"].as_array().expect("a list");
    assert!(names.contains(&"installFlags".into()) && names.len() > 50, "{finding:#}");
    assert!(report["advice"].to_string().contains("--reads-all build"), "{report:#}");
}
