//! From a failed build to the fix, as a new user goes: the command that the error printed, the fix in the shell, its patch,
//! and the build that goes on.

use std::fs;
use std::process::{Command, Output};

use crate::keep_failed::{report, rows};
use crate::support::{Project, command, phasesplit, root, salt, succeed, text};

/// A project whose package reads ./src, a copy of the small source.
fn project(salt: &str, attributes: &str) -> Project {
    let project = Project::new("");
    succeed(
        Command::new("cp")
            .arg("-r")
            .arg(root().join("tests/nix/packages/reuse-source"))
            .arg(project.path().join("src")),
    );
    write(&project, "pkg.nix", salt, attributes);
    project
}

fn write(project: &Project, name: &str, salt: &str, attributes: &str) {
    let package = format!(
        "{{ stdenv }}: stdenv.mkDerivation {{\n  pname = \"point\"; version = \"1.0\"; src = ./src; salt = \"{salt}\";\n  \
         patches = [ ]; configureFlags = [ \"--with-greeting=hello\" ]; doCheck = true;\n  {attributes}\n}}\n"
    );
    fs::write(project.path().join(name), package).expect("written");
}

fn user(project: &Project, command: &mut Command) -> Output {
    let sessions = project.path().join("sessions");
    fs::create_dir_all(&sessions).expect("made");
    let command = command.env("XDG_STATE_HOME", project.path().join("state")).env("TMPDIR", sessions);
    command.output().expect("it starts")
}

fn run(project: &Project, words: &[&str]) -> Output {
    user(project, phasesplit(project.path()).args(words))
}

/// A line that the user copied, run by bash, with more words behind it.
fn paste(project: &Project, line: &str, more: &str) -> Output {
    let directory = std::path::Path::new(env!("CARGO_BIN_EXE_phasesplit")).parent().expect("a directory");
    let path = format!("{}:{}", directory.display(), std::env::var("PATH").expect("a PATH"));
    user(project, command("bash", project.path()).env("PATH", path).args(["-c", &format!("{line} {more}")]))
}

fn fails(project: &Project, words: &[&str]) -> String {
    let output = run(project, words);
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
    text(&output.stderr)
}

/// The one command that a failed build printed for a shell.
fn printed(said: &str) -> &str {
    let commands: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix("  shell:     ")).collect();
    assert_eq!(commands.len(), 1, "{said}");
    commands[0]
}

/// The stages that a build, which succeeds, built.
fn built(project: &Project, words: &[&str]) -> Vec<String> {
    let output = run(project, &[words, &["--no-link", "--json"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let report = report(&output);
    rows(&report).into_iter().filter(|(_, outcome)| *outcome == "built").map(|(stage, _)| stage.to_owned()).collect()
}

/// What one does in the shell: the fix, and the phase once more.
const FIX: &str = r#"-- 'sed -i "s|^install: greet|&\n\tmkdir -p \$(PREFIX)/share/doc|" Makefile; runPhase installPhase; ls -d "$out/share/doc"'"#;

#[test]
fn from_a_failed_install_to_the_fix() {
    let salt = salt();
    let broken = "postInstall = \"test -d $out/share/doc\";";
    let project = project(&salt, broken);
    let build = ["build", "pkg.nix", "--pkgs", "host", "--trust", "text"];
    let said = fails(&project, &[&build[..], &["--no-link"]].concat());
    let line = printed(&said);
    assert_eq!(line, "phasesplit shell pkg.nix@install --pkgs host --trust text --failed");

    let session = paste(&project, line, FIX);
    assert!(session.status.success(), "{}", text(&session.stderr));
    assert!(text(&session.stdout).trim_end().ends_with("/share/doc"), "{}", text(&session.stdout));
    let left = text(&session.stderr);
    for words in [
        "installPhase failed with exit code 1\n",
        "changed in the source: src/Makefile\n",
        "  the patch: phasesplit shell --diff\n",
        "build on: phasesplit build pkg.nix --pkgs host --trust text\n",
    ] {
        assert!(left.contains(words), "no `{words}` in\n{left}");
    }

    // The session is over; its patch is not gone.
    let diff = paste(&project, "phasesplit shell --diff", "");
    let patch = text(&diff.stdout);
    let changed: Vec<&str> = patch.lines().filter(|line| line.starts_with(['+', '-'])).collect();
    assert_eq!(changed, ["--- a/Makefile", "+++ b/Makefile", "+\tmkdir -p $(PREFIX)/share/doc"], "{patch}");
    assert!(text(&diff.stderr).contains("of the last session, point-1.0@install"), "{}", text(&diff.stderr));

    // As a patch of the package: all but the source's unpacking. The stages before are those of the broken one.
    fs::write(project.path().join("fix.patch"), &patch).expect("written");
    write(&project, "patched.nix", &salt, &broken.replace("postInstall", "patches = [ ./fix.patch ]; postInstall"));
    let text_of = fs::read_to_string(project.path().join("patched.nix")).expect("read").replace("patches = [ ];", "");
    fs::write(project.path().join("pkg.nix"), text_of).expect("written");
    assert_eq!(built(&project, &build), ["patch", "configure", "build", "check", "install", "finish"]);
    // In the script that failed: nothing before install.
    write(&project, "pkg.nix", &salt, "postInstall = \"mkdir -p $out/share/doc; test -d $out/share/doc\";");
    assert_eq!(built(&project, &build), ["install", "finish"]);
    assert_eq!(built(&project, &build), Vec::<String>::new());
}

#[test]
fn the_command_is_the_same_where_the_state_was_kept() {
    let project = project(&salt(), "postInstall = \"made=1; test -d $out/share/doc\";");
    let said = fails(&project, &["build", "pkg.nix", "--pkgs", "host", "--no-link", "--keep-failed"]);
    assert!(!said.contains("runs the stage once more"), "{said}");
    let session = paste(&project, printed(&said), "-- 'echo made=$made'");
    assert_eq!(text(&session.stdout), "made=1\n", "{}", text(&session.stderr));
    assert!(!text(&session.stderr).contains("started"), "nothing is built: {}", text(&session.stderr));
    assert!(!text(&session.stderr).contains("changed in"), "{}", text(&session.stderr));
    let diff = run(&project, &["shell", "--diff"]);
    assert_eq!(text(&diff.stdout), "");
    assert!(text(&diff.stderr).contains("no file of the source was changed"), "{}", text(&diff.stderr));
}

#[test]
fn the_command_works_wherever_a_phase_fails() {
    for (attributes, options, stage, looks) in [
        ("postUnpack = \"false\";", &[][..], "unpack", "ls src/Makefile"),
        ("postConfigure = \"false\";", &[], "configure", "ls config.mk"),
        ("postBuild = \"false\";", &[], "build", "./greet"),
        ("postCheck = \"false\";", &[], "check", "./greet"),
        ("postFixup = \"value=fixed; false\";", &[], "finish", "ls $out/bin/greet; echo greeting $value"),
        ("buildPhase = \"make\\nfalse\\n\";", &["--cut", "buildPhase:1"], "build", "./greet"),
        ("buildPhase = \"{ make; false; }\\ntrue\\n\";", &["--cut", "buildPhase:1"], "build-1", "./greet"),
    ] {
        let project = project(&salt(), attributes);
        fs::rename(project.path().join("pkg.nix"), project.path().join("my pkg.nix")).expect("renamed");
        let words = ["build", "my pkg.nix", "--pkgs", "host", "--no-link", "--trust", "text"];
        let said = fails(&project, &[&words[..], options, &["--", "--option", "cores", "1", "-v"]].concat());
        let line = printed(&said);
        assert!(line.starts_with(&format!("phasesplit shell 'my pkg.nix@{stage}' --pkgs host")), "{line}");
        assert!(line.ends_with("--failed --option cores 1 --nix=-v"), "{line}");
        let session = paste(&project, line, &format!("-- '{looks}'"));
        assert!(session.status.success(), "{line}: {}", text(&session.stderr));
        assert!(!session.stdout.is_empty(), "{line}");
    }
}

#[test]
fn where_no_phase_fails_the_shell_stands_before_the_stage() {
    // Nix refuses the outputs, and the phases of a second run would succeed.
    let project = project(&salt(), "postInstall = \"echo $src >$out/src\"; allowedReferences = [ ];");
    let words = ["build", "pkg.nix", "--pkgs", "host", "--no-link"];
    for options in [&[][..], &["--keep-failed"]] {
        let said = fails(&project, &[&words[..], options].concat());
        assert_eq!(printed(&said), "phasesplit shell pkg.nix@install --pkgs host");
        assert!(said.contains("(before the stage, with its environment)"), "{said}");
    }
    let session = paste(&project, "phasesplit shell pkg.nix@finish --pkgs host --failed", "-- true");
    assert_eq!(session.status.code(), Some(2));
    let said = text(&session.stderr);
    assert!(said.contains("there is no failed state of the stage finish of point-1.0"), "{said}");
    assert!(said.contains("with its environment: phasesplit shell pkg.nix@install --pkgs host"), "{said}");
}

#[test]
fn a_pin_is_said_again() {
    let salt = salt();
    let project = project(&salt, "");
    let words = ["build", "pkg.nix", "--pkgs", "host", "--no-link"];
    built(&project, &words[..4]);
    write(&project, "pkg.nix", &salt, "postInstall = \"false\"; postBuild = \"true\";");
    let said = fails(&project, &[&words[..], &["--pin", "build"]].concat());
    let line = printed(&said);
    assert_eq!(line, "phasesplit shell pkg.nix@install --pkgs host --pin build --failed");
    let session = paste(&project, line, "-- 'echo in $PWD; echo x >>greet.c; phasesplit-diff'");
    let seen = text(&session.stdout);
    assert!(seen.starts_with("in /build/src\n") && seen.contains("+++ b/greet.c"), "{seen}: {}", text(&session.stderr));
}
