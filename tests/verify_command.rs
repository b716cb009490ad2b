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
stdenv.mkDerivation ({{
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
}} // {{
  {more}
}})
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
    // The digest is of more than a file, and is made before finish: relocation cannot know it for that of the text.
    let project = package("");
    let text_of = std::fs::read_to_string(project.path().join("pkg.nix")).expect("pkg.nix");
    project.write(&text_of.replace(
        "cp text $out/share/text",
        "cat text text | sha256sum | sed 's/-/text/' >$out/share/digest; cp text $out/share/text",
    ));
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
fn files_that_relocation_cannot_search_are_listed() {
    let project = package(r#"preFixup = "printf '7z\\274\\257\\047\\034\\000\\004' >$out/share/packed";"#);
    let output = verify(&project, &[]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    assert!(
        said.contains("relocation could not search 1 file:\n") && said.contains("/share/packed: a 7z archive"),
        "{said}"
    );
    let report = json(&verify(&project, &["--json"]));
    assert!(report["unsearched"][0]["file"].as_str().is_some_and(|file| file.ends_with("/share/packed")), "{report}");
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
fn of_several_outputs_that_differ_only_what_nix_kept_is_told_apart() {
    let project = package("");
    let plain = std::fs::read_to_string(project.path().join("pkg.nix")).expect("pkg.nix");
    let random = "cat /proc/sys/kernel/random/uuid | tee $out/random >$doc/random; cp text $out/share/text";
    project.write(&plain.replace("cp text $out/share/text", random));
    let output = verify(&project, &["--rebuild", "--json"]);
    let report = json(&output);
    // Nix stops at the first output that differs: of the other nothing is known, and so it is not excused.
    assert_eq!(output.status.code(), Some(1), "{report}");
    let unknown = report["rebuild"]["unknown"].as_array().expect("a list");
    assert_eq!(unknown.len(), 1, "{report}");
    for difference in report["differences"].as_array().expect("a list") {
        let file = difference["file"].as_str().expect("a path");
        let is_unknown = file.starts_with(unknown[0].as_str().expect("an output"));
        assert_eq!(difference["unstable"], !is_unknown, "{report}");
    }
    assert_eq!(report["differences"].as_array().map(Vec::len), Some(2));
}

#[test]
fn what_compilers_make_of_the_path_is_excused_by_name() {
    // As nixpkgs' reproducible-builds.sh and separate-debug-info.sh have it.
    let project = Project::new(&format!(
        r#"{{ stdenv }}:
stdenv.mkDerivation {{
  name = "compiled-1";
  salt = "{}";
  dontUnpack = true;
  dontStrip = true;
  outputs = [ "out" "debug" ];
  buildPhase = ''
    seed=''${{out##*/}}
    printf '%s\n' 'struct one {{ int a; }}; struct two {{ struct one *b; long c; }};' \
      'long twice(struct two *x) {{ return x->c * 2 + x->b->a; }}' >lib.c
    printf '%s\n' '#include <stdio.h>' 'struct two; long twice(struct two *);' \
      "int main(int n, char **v) {{ return n > 9 ? twice(0) : puts(\"$out/share\"); }}" >main.c
    gcc -g -O1 -frandom-seed=''${{seed:0:10}} -c lib.c
    # Two builds may come to ar within the same second; this way their times differ for certain.
    touch -d @$((1600000000 + 0x$(printf '%s' "$out" | md5sum | cut -c 1-6))) lib.o
    ar rcU liblib.a lib.o
    gcc -g -O1 -frandom-seed=''${{seed:0:10}} -Wl,--build-id -o main main.c liblib.a
  '';
  installPhase = ''
    mkdir -p $out/bin $out/lib
    cp main $out/bin
    cp liblib.a $out/lib
  '';
  postFixup = ''
    id=$(readelf -n $out/bin/main | sed -n 's/.*Build ID: //p')
    mkdir -p $debug/lib/debug/.build-id/''${{id:0:2}}
    file=$debug/lib/debug/.build-id/''${{id:0:2}}/''${{id:2}}.debug
    objcopy --only-keep-debug $out/bin/main $file
    objcopy --strip-debug --add-gnu-debuglink=$file $out/bin/main
  '';
}}
"#,
        salt()
    ));
    let output = verify(&project, &["--json"]);
    let report = json(&output);
    assert_eq!(output.status.code(), Some(0), "{report:#}");
    let rules = |file: &str| -> Vec<&str> {
        let all = report["excused"].as_array().expect("a list").iter();
        all.filter(|row| row["file"] == file).filter_map(|row| row["rule"].as_str()).collect()
    };
    assert_eq!(rules("out/bin/main"), ["build-id", "debug-name", "debug-link"], "{report:#}");
    assert!(rules("out/lib/liblib.a").contains(&"ar-time"), "{report:#}");
    let debug = "debug/lib/debug/.build-id/<build-id of out/bin/main>/.debug";
    assert!(rules(debug).contains(&"build-id") && rules(debug).contains(&"debug-name"), "{report:#}");
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

/// What the README admits that the checks of a build cannot see, by how its row begins; a package that does it; the options with
/// which verify finds it; and what is then different.
const BLIND: [(&str, &str, &[&str], &str); 11] = [
    (
        "A compiled program or a script of an *input* reads",
        r#"nativeBuildInputs = [ (derivation {
             name = "spy"; system = stdenv.system; builder = "/bin/sh"; PATH = "/usr/bin:/bin";
             args = [ "-c" "mkdir -p $out/bin; printf '#!/bin/sh\\necho $checkFlags' >$out/bin/spy; chmod +x $out/bin/spy" ];
           }) ];
           checkFlags = "one"; buildPhase = "spy >text";"#,
        &["--deep"],
        "\"build/text\"",
    ),
    (
        "An attribute whose name is one word in lower case (`tags`, `ldflags`)",
        r#"ldflags = "one"; buildPhase = "true"; configurePhase = "python3 ${builtins.toFile "read.py" ''
             import os
             print([os.environ.get(name) for name in ("x", "ldflags")])
           ''} >text";"#,
        &["--deep"],
        "\"build/text\"",
    ),
    (
        "A program makes up the name of a held-back attribute",
        r#"checkFlags = "one"; buildPhase = "bash ${builtins.toFile "read.sh" ''
             n=$(echo Y2hlY2tGbGFncw== | base64 -d)
             printenv $n || echo none
           ''} >text";"#,
        &["--deep"],
        "\"build/text\"",
    ),
    (
        "A file that lists its environment is made, run and removed within one stage, or its name says that it is data",
        r#"checkFlags = "one"; buildPhase = "bash ${builtins.toFile "build.conf" "env | grep ^checkF || echo none"} >text";"#,
        &["--deep"],
        "\"build/text\"",
    ),
    (
        "An attribute changes a stage in a place that differs in every run anyway",
        r#"checkFlags = "EDIT"; buildPhase = "bash ${builtins.toFile "read.sh" ''
             n=$(echo Y2hlY2tGbGFncw== | base64 -d)
             case "$(printenv $n)" in *special*) echo yes ;; *) echo no ;; esac
           ''} >text";"#,
        &[],
        "out/share/text",
    ),
    (
        "A phase of finish puts a digest of a build-directory file that names `$out`",
        r#"preFixup = "sha256sum text | cut -c-64 >$out/share/digest";"#,
        &[],
        "out/share/digest",
    ),
    (
        "A digest that relocation does not follow",
        r#"installPhase = "mkdir -p $out/share $doc; cp text $out/share/; b2sum text | cut -c-128 >$out/share/sums";"#,
        &[],
        "out/share/sums",
    ),
    (
        "The path in a form that relocation does not know",
        r#"buildPhase = "echo text >text; printf %s $out | base32 -w0 >packed"; preFixup = "cp packed $out/share/";"#,
        &[],
        "out/share/packed",
    ),
    (
        "A trap on CHLD or DEBUG writes down what it sees",
        r#"buildPhase = "echo text >text; trap 'echo $BASH_COMMAND >>$NIX_BUILD_TOP/seen' DEBUG";
           preFixup = "trap - DEBUG; cp $NIX_BUILD_TOP/seen $out/share/";"#,
        &[],
        "out/share/seen",
    ),
    (
        "A file that relocation knows by its first bytes and cannot unpack",
        // Encrypted, more or less.
        r#"preFixup = "(printf Salted__; echo $out | tr a-z0-9 b-za1-90) >$out/share/packed";"#,
        &[],
        "out/share/packed",
    ),
    (
        "Files outside the build directory, `/tmp` and `/dev/shm`; processes",
        r#"buildPhase = "echo made >text; mkdir -p /var/tmp; echo made >/var/tmp/of-the-build; exec 9<text";
           preFixup = "cat /var/tmp/of-the-build >$out/share/seen || echo none >$out/share/seen; [ -e /proc/$$/fd/9 ] && echo 9 >>$out/share/seen || true";"#,
        &[],
        "out/share/seen",
    ),
];

#[test]
fn verify_finds_what_the_checks_of_a_build_cannot_see() {
    let readme = std::fs::read_to_string(support::root().join("README.md")).expect("README.md");
    let list = readme.split("## What the checks cannot see").nth(1).expect("the list").split("\n## ").next();
    let rows: Vec<&str> = list.expect("its end").lines().filter_map(|line| line.strip_prefix("| ")).skip(1).collect();
    assert_eq!(rows.len(), BLIND.len(), "{rows:#?}");
    for ((begin, attributes, options, place), row) in BLIND.iter().zip(&rows) {
        assert!(row.starts_with(begin), "{row} should begin with {begin}");
        let project = package(&attributes.replace("EDIT", "one"));
        if attributes.contains("EDIT") {
            // The edit reuses what was made before it.
            let output = verify(&project, &[]);
            assert_eq!(output.status.code(), Some(0), "{begin}: {}", text(&output.stdout));
            let expression = std::fs::read_to_string(project.path().join("pkg.nix")).expect("pkg.nix");
            project.write(&expression.replace("\"one\"", "\"special\""));
        }
        let output = verify(&project, &[options, &["--json"][..]].concat());
        assert_eq!(output.status.code(), Some(1), "{begin}: {}{}", text(&output.stdout), text(&output.stderr));
        let report = json(&output);
        let found = [&report["differences"], &report["deep"]["findings"]].map(ToString::to_string).concat();
        assert!(found.contains(place), "{begin}: {report:#}");
    }
}
