//! Stages that end inside a phase (`--cut`, `# phasesplit: cut`), built: the parts of a script make what the whole makes,
//! and an edit behind the cut leaves the part before it alone.

use crate::support::{Project, phasesplit, salt, text};

/// What stands before the cut, and behind it; the second uses what the first left in the shell.
const BEFORE: &str = r#"runHook preBuild
set -e -o pipefail
shopt -s nullglob
greet() {
  # A function that the part behind the cut calls.
  echo "hello $1"
}
seen=([2]=second [5]=fifth)
export EXPORTED="a value"
for i in 1 2 3; do
  if ((i > 1)); then greet "$i"; fi >>early
done
cat >text <<END
a here-document, $i: $(greet document)
END
"#;
const BEHIND: &str = r#"while read -r line; do
  echo "late: $line" >>late
done <early
cat >>late <<'END'
# phasesplit: no cut, but a $line of this text
END
last() { greet last; }
last >>late
echo "$i ${seen[5]} $EXPORTED $- $(shopt -p nullglob) $(set -o | grep pipefail) $(sh -c 'echo $EXPORTED')" >>late
echo no-such-file-* >>late
runHook postBuild
"#;
/// The last top-level command of [`BEFORE`].
const AT: &str = "buildPhase:8";

/// A package with this `buildPhase`, hooks around it, and more attributes.
fn package(salt: &str, script: &str, more: &str) -> String {
    let script = script.replace("''", "'''").replace("${", "''${");
    format!(
        "{{ stdenv, makeSetupHook }}:
stdenv.mkDerivation ({{
  name = \"cut\";
  salt = \"{salt}\";
  dontUnpack = true;
  preBuild = \"echo pre >>early\";
  postBuild = \"echo post >>late\";
  buildPhase = ''
{script}'';
  installPhase = \"mkdir $out; cp early text late $out/\";
}} // {{ {more} }})
"
    )
}

fn marked(salt: &str, before: &str, behind: &str, more: &str) -> String {
    package(salt, &format!("{before}# phasesplit: cut\n{behind}"), more)
}

/// Builds, edits behind the cut, and before it.
fn an_edit_builds_the_rest_alone(options: &[&str], more: &str) {
    let salt = salt();
    let write = |before: &str, behind: &str| match options {
        [] => marked(&salt, before, behind, more),
        _ => package(&salt, &format!("{before}{behind}"), more),
    };
    let project = Project::new(&write(BEFORE, BEHIND));
    project.generate(options);
    let (built, _) = project.build("phases.finish");
    assert_eq!(built, ["configure", "build-1", "build", "install", "finish"]);
    project.assert_equal();

    // The split.nix of before knows where the first part ends.
    let edited = BEHIND.replace("late: ", "edited: ");
    project.write(&write(BEFORE, &edited));
    let (built, _) = project.build("phases.finish");
    assert_eq!(built, ["build", "install", "finish"]);
    project.assert_equal();
    project.generate(options);
    let (built, _) = project.build("phases.finish");
    assert!(built.is_empty(), "generated again, yet built: {built:?}");

    // But not once that part is another.
    let other = BEFORE.replace("hello", "good morning");
    project.write(&write(&other, &edited));
    let log = project.build_fails("phases.finish");
    for part in ["buildPhase changed before the point where stage build-1 ends", "run `phasesplit gen` again"] {
        assert!(log.contains(part), "`{part}` is missing from:\n{log}");
    }
    project.generate(options);
    let (built, _) = project.build("phases.finish");
    assert_eq!(built, ["build-1", "build", "install", "finish"]);
    project.assert_equal();
}

#[test]
fn at_a_comment() {
    an_edit_builds_the_rest_alone(&[], "");
}

#[test]
fn behind_a_command() {
    an_edit_builds_the_rest_alone(&["--cut", AT], "");
}

#[test]
fn with_structured_attributes() {
    an_edit_builds_the_rest_alone(&[], "__structuredAttrs = true; strictDeps = true;");
}

/// The comparison of these tests sees what a part that is lost would make.
#[test]
fn a_part_that_runs_otherwise_is_seen() {
    let salt = salt();
    let project = Project::new(&marked(&salt, BEFORE, BEHIND, ""));
    project.generate(&[]);
    project.build("phases.finish");
    let split = project.outputs("phases.finish");
    project.write(&marked(&salt, BEFORE, &BEHIND.replace("greet last", "greet first"), ""));
    let report = phasesplit::compare::compare_packages(&split, &project.outputs("unsplit")).expect("both can be read");
    assert!(!report.is_equal(), "a planted difference is not seen:\n{report}");
}

#[test]
fn a_part_that_fails_is_the_stage_that_fails() {
    let project = Project::new(&marked(&salt(), BEFORE, &format!("false\n{BEHIND}"), ""));
    project.generate(&[]);
    let (built, _) = project.build("phases.build-1");
    assert_eq!(built, ["configure", "build-1"]);
    let log = project.build_fails("phases.finish");
    assert!(log.contains("-phase-build.drv' failed") && !log.contains("-phase-build-1.drv' failed"), "{log}");
}

#[test]
fn a_cut_inside_a_loop_is_refused_with_its_place() {
    let script = "greet=hello\nfor i in 1 2; do\n  echo $greet >>early\n  # phasesplit: cut\n  echo $i >>late\ndone\ntouch text\n";
    let project = Project::new(&package(&salt(), script, ""));
    let output =
        phasesplit(project.path()).args(["gen", "pkg.nix", "--pkgs", "host"]).output().expect("phasesplit runs");
    let talk = text(&output.stderr);
    assert!(!output.status.success(), "{talk}");
    for part in ["a cut inside a command", "buildPhase:4:3", "inside the command that begins in line 2"] {
        assert!(talk.contains(part), "`{part}` is missing from:\n{talk}");
    }
}

#[test]
fn in_a_phase_of_finish() {
    for more in ["", "__structuredAttrs = true;"] {
        let fixup = format!(
            "fixupPhase = ''\n  echo $out once >>$out/fixed\n  # phasesplit: cut\n  echo $out then >>$out/fixed\n''; {more}"
        );
        let project = Project::new(&package(&salt(), "touch early text late\n", &fixup));
        project.generate(&[]);
        let (built, _) = project.build("phases.finish");
        assert_eq!(built, ["configure", "build", "install", "finish-1", "finish"]);
        project.assert_equal();
    }
}

#[test]
fn a_phase_of_a_hook_runs_once_before_the_first_part() {
    let salt = salt();
    let write = |behind: &str| {
        let more = format!(
            "nativeBuildInputs = [ (makeSetupHook {{ name = \"adds-a-phase\"; }} (builtins.toFile \"hook.sh\" ''
  addedPhase() {{ echo added $((++added)) >>early; }}
  preConfigurePhases+=\" addedPhase\"
'')) ];
  configurePhase = ''
    runHook preConfigure
    echo \"first $added\" >>early
    # phasesplit: cut
    echo \"{behind} $added\" >>early
    runHook postConfigure
  '';
  installPhase = \"mkdir $out; cp early late $out/\";"
        );
        package(&salt, "runHook preBuild\ncp early late\nrunHook postBuild\n", &more)
    };
    let project = Project::new(&write("second"));
    project.generate(&[]);
    let (built, _) = project.build("phases.finish");
    assert_eq!(built, ["configure-1", "configure", "build", "install", "finish"]);
    project.assert_equal();
    project.write(&write("other"));
    let (built, _) = project.build("phases.finish");
    assert_eq!(built, ["configure", "build", "install", "finish"]);
    project.assert_equal();
}
