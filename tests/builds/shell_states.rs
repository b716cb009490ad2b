//! `phasesplit shell` and `phasesplit state` on states that come from elsewhere: a cache's, and those that somebody harmed.

#[path = "../../engine/tests/state_support/mod.rs"]
mod state_support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use phasesplit::state::format;
use state_support::{find, patch};

use crate::support::{self, Project, package, phasesplit, salt, succeed, text};

fn project(attributes: &str) -> Project {
    Project::new(&format!(
        "{{ callPackage, stdenv }}: (callPackage ({}) {{ }}).overrideAttrs (old: {{ {attributes} }})\n",
        package("reuse", &format!("salt = \"{}\";", salt()))
    ))
}

fn run(project: &Project, words: &[&str]) -> Command {
    let sessions = project.path().join("sessions");
    fs::create_dir_all(&sessions).expect("made");
    let mut command = phasesplit(project.path());
    command.env("XDG_STATE_HOME", project.path().join("state")).env("TMPDIR", sessions).args(words);
    command
}

fn left(project: &Project) -> Vec<PathBuf> {
    let entries = fs::read_dir(project.path().join("sessions")).expect("it is there");
    entries.map(|entry| entry.expect("an entry").path()).collect()
}

/// Builds up to a stage; its state, which nothing keeps.
fn state(project: &Project, stage: &str) -> PathBuf {
    let output = succeed(&mut run(project, &["build", "pkg.nix", "--pkgs", "host", "--no-link", "--until", stage]));
    fs::remove_dir_all(project.path().join("state/phasesplit/roots/packages")).expect("removed");
    text(&output.stdout).trim().into()
}

fn delete(project: &Project, path: &Path) {
    succeed(support::command("nix-store", project.path()).arg("--delete").arg(path));
}

#[test]
fn a_state_that_only_a_cache_has() {
    let project = project("");
    let state = state(&project, "build");
    let cache = format!("file://{}", project.path().join("cache").display());
    let mut copy = support::command("nix", project.path());
    succeed(copy.args(["--extra-experimental-features", "nix-command", "copy", "--to", &cache]).arg(&state));
    let log = succeed(&mut run(&project, &["state", "log", "pkg.nix@build", "--pkgs", "host"]));
    assert!(text(&log.stdout).contains("greet.c"), "the log that Nix has: {}", text(&log.stdout));
    delete(&project, &state);

    let words = ["shell", "pkg.nix@build", "--pkgs", "host", "--option", "substituters", &cache];
    let words = [&words[..], &["--option", "require-sigs", "false", "--", "make -q all; echo \"in $PWD\""]].concat();
    let output = succeed(&mut run(&project, &words));
    assert_eq!(text(&output.stdout), "in /build/reuse-source\n");
    let said = text(&output.stderr);
    assert!(said.contains("build      fetched "), "{said}");
    assert!(said.contains("0 built"), "{said}");

    // A state alone says what it holds, not what comes after it.
    let path = state.to_str().expect("UTF-8");
    assert!(text(&succeed(&mut run(&project, &["state", "ls", path])).stdout).contains("greet"));
    let output = run(&project, &["shell", path]).output().expect("it starts");
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).contains("is a state, and does not say what comes after it"),
        "{}",
        text(&output.stderr)
    );
}

/// What Nix writes for a builder beside its environment is there.
#[test]
fn attributes_in_files() {
    for structured in ["", "__structuredAttrs = true;"] {
        let graph = if structured.is_empty() {
            "passAsFile = [ \"long\" ]; exportReferencesGraph = [ \"graph\" stdenv ];"
        } else {
            "exportReferencesGraph.graph = [ stdenv ];"
        };
        let project = project(&format!(
            "{structured} long = \"a long text\"; {graph} configurePhase = ''
               if [[ -n ''${{longPath-}} ]]; then echo \"$(<$longPath)\" >seen; cat ../graph >>seen
               else echo \"$long\" >seen; grep -oE '\"(path|narHash|narSize|closureSize)\":[^,}}]*' $NIX_ATTRS_JSON_FILE >>seen; fi
               sed -i s/greeting:/hi:/ greet.c; : >config.mk'';"
        ));
        let words = ["shell", "pkg.nix@patch", "--pkgs", "host", "--", "runPhase configurePhase >&2; cat seen"];
        let by_hand = text(&succeed(&mut run(&project, &words)).stdout);
        state(&project, "configure");
        let cat = ["state", "cat", "pkg.nix@configure", "build/reuse-source/seen", "--pkgs", "host"];
        assert_eq!(by_hand, text(&succeed(&mut run(&project, &cat)).stdout), "what the builder saw");
        assert!(by_hand.starts_with("a long text\n") && by_hand.lines().count() > 1, "{by_hand}");
    }
}

/// Puts harm into a state of the store, as somebody who made it elsewhere could have.
fn harmed(state: &Path, harm: impl FnOnce(&state_support::Scene)) {
    let writable = |mode| {
        for file in [format::LAYER, format::MANIFEST] {
            fs::set_permissions(state.join(file), fs::Permissions::from_mode(mode)).expect("ours");
        }
    };
    writable(0o644);
    harm(&state_support::Scene { root: tempfile::tempdir().expect("a directory") });
    writable(0o444);
}

fn refused(output: &Output, says: &str, project: &Project) {
    let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
    assert!(!output.status.success() && said.contains(says), "{says}: {said}");
    assert!(!said.contains("RAN"), "{said}");
    assert_eq!(left(project), Vec::<PathBuf>::new(), "{said}");
    assert!(!fs::exists("/canary").expect("it can be asked"));
}

/// What is done to the state at a path.
type Harm = fn(&state_support::Scene, &str);

#[test]
fn a_hostile_state_opens_no_shell() {
    let harms: [(&str, &str, Harm); 4] = [
        ("an absolute path", "/canary", |scene, state| {
            scene.layer(state, |members| patch(find(members, "build/reuse-source/config.mk"), 0, b"/canary\0"));
        }),
        ("a path that goes up", "../canary", |scene, state| {
            scene.layer(state, |members| patch(find(members, "build/reuse-source/config.mk"), 0, b"build/../canary\0"));
        }),
        ("a device", "it is a device", |scene, state| {
            scene.layer(state, |members| patch(find(members, "build/reuse-source/config.mk"), 156, b"3"));
        }),
        ("a manifest that leaves", "the path leaves its directory", |scene, state| {
            scene.manifest(state, |manifest| {
                manifest.records.last_mut().expect("a record").entry.path = b"build/../../canary".to_vec();
            });
        }),
    ];
    for (what, says, harm) in harms {
        let project = project("");
        let state = state(&project, "configure");
        harmed(&state, |scene| harm(scene, state.to_str().expect("UTF-8")));
        for options in [&[][..], &["--no-sandbox"]] {
            let words = ["shell", "pkg.nix@configure", "--pkgs", "host"];
            let words = [&words[..], options, &["--", "echo RAN"]].concat();
            let output = run(&project, &words).output().expect("it starts");
            eprintln!("{what} {options:?}");
            refused(&output, says, &project);
        }
        delete(&project, &state);
    }
}

/// Outside a sandbox the shell of a state is not sourced before it was read.
#[test]
fn a_hostile_shell_state_does_not_run_outside_a_sandbox() {
    let project = project("");
    let state = state(&project, "configure");
    let canary = project.path().join("canary");
    harmed(&state, |scene| {
        let line = format!("touch {}\n", canary.display());
        let mut content = Vec::new();
        scene.layer(state.to_str().expect("UTF-8"), |members| {
            let old = find(members, "shell");
            let size = std::str::from_utf8(&old[old.len().min(124)..135]).unwrap_or("0").to_owned();
            let size = usize::from_str_radix(size.trim_end_matches('\0'), 8).expect("octal");
            content = old[512..512 + size].to_vec();
            content.splice(0..line.len(), line.bytes());
            old[512..512 + size].copy_from_slice(&content);
        });
        scene.manifest(state.to_str().expect("UTF-8"), |manifest| {
            let record = manifest.records.iter_mut().find(|record| record.entry.path == b"shell").expect("there");
            record.entry.hash = Some(*blake3::hash(&content).as_bytes());
        });
    });
    let words = ["shell", "pkg.nix@configure", "--pkgs", "host", "--no-sandbox", "--", "echo RAN"];
    let output = run(&project, &words).output().expect("it starts");
    refused(&output, "shell: ", &project);
    assert!(!canary.exists(), "{}", text(&output.stderr));
    delete(&project, &state);
}
