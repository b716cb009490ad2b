//! Without a sandbox every stage runs at one stable path, under a lock, and leaves nothing behind.

use crate::support::{Project, package, phasesplit, salt, text};
use std::path::Path;

/// Where the stages ran, as the log says.
fn stable_directory(log: &str) -> &Path {
    let place = log.lines().find_map(|line| line.split_once("no sandbox: this stage runs in "));
    Path::new(place.expect("the log says where the stages ran").1)
}

#[test]
fn a_chain_without_a_sandbox() {
    let mut project = Project::new(&package("reuse", &format!("salt = \"{}\";", salt())));
    project.settings = "sandbox = false".to_owned();
    project.generate(&[]);
    let (built, log) = project.build("phases.finish");
    assert_eq!(built, ["unpack", "patch", "configure", "build", "check", "install", "finish"]);
    assert!(!stable_directory(&log).exists(), "the stable directory is removed");
    project.assert_equal();
}

#[test]
fn a_state_made_elsewhere_is_refused() {
    let mut project = Project::new(&package("reuse", &format!("salt = \"{}\";", salt())));
    project.generate(&[]);
    project.build("phases.build");
    project.settings = "sandbox = false".to_owned();
    let log = project.build_fails("phases.finish");
    assert!(log.contains("/build"), "says where the state was made:\n{log}");
}

#[test]
fn a_killed_build_whose_stage_lives_on_is_waited_for() {
    let package = |seconds: u32| {
        format!(
            r#"{{ stdenv }}: stdenv.mkDerivation {{
  name = "survivor-{name}";
  salt = "{seconds}";
  dontUnpack = true;
  configurePhase = "sleep {seconds}";
  installPhase = "mkdir $out";
}}
"#,
            name = std::process::id()
        )
    };
    // With build users Nix ends what a killed builder leaves, and the directory then belongs to another user, which is
    // refused as well: the case here is that of a store without them.
    let settings = "sandbox = false\nbuild-users-group =";
    let mut killed = Project::new(&package(6));
    settings.clone_into(&mut killed.settings);
    killed.generate(&[]);
    let mut next = Project::new(&package(0));
    settings.clone_into(&mut next.settings);
    next.generate(&[]);

    let build = std::thread::spawn(move || killed.build_fails("phases.configure"));
    let outer = wait_for_outer(&format!("survivor-{}", std::process::id()));
    assert!(std::process::Command::new("kill").args(["-9", &outer]).status().expect("kill runs").success());
    let log = next.build_fails("phases.configure");
    assert!(log.contains("of an earlier build that was killed, still works in"), "{log}");
    build.join().expect("the killed build failed");
    next.build("phases.finish");
}

/// The id of the process around a stage of this package, once the stage inside runs.
fn wait_for_outer(package: &str) -> String {
    for _ in 0..200 {
        for process in std::fs::read_dir("/proc").expect("/proc").flatten() {
            let words = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
            let words: Vec<_> = words.split(|byte| *byte == 0).collect();
            if words.contains(&b"--inside".as_slice()) && words.contains(&package.as_bytes()) {
                let status = std::fs::read_to_string(process.path().join("status")).unwrap_or_default();
                if let Some(parent) =
                    status.lines().find_map(|line| line.strip_prefix("PPid:")).filter(|id| id.trim() != "1")
                {
                    return parent.trim().to_owned();
                }
            }
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("no stage of {package} started");
}

#[test]
fn a_state_that_was_refused_is_not_called_safe() {
    let project = Project::new(&package("reuse", &format!("salt = \"{}\";", salt())));
    let build = |options: &[&str]| {
        let mut command = phasesplit(project.path());
        command.env("XDG_STATE_HOME", project.path().join("state"));
        command
            .args(["build", "pkg.nix", "--pkgs", "host", "--no-link"])
            .args(options)
            .output()
            .expect("phasesplit runs")
    };
    assert_eq!(build(&["--until", "build"]).status.code(), Some(0));
    let output = build(&["--", "--option", "sandbox", "false"]);
    assert_eq!(output.status.code(), Some(3));
    let said = text(&output.stderr);
    assert!(said.contains("  refused:   the state after build: /nix/store/"), "{said}");
    assert!(!said.contains("  safe: "), "{said}");
    assert!(said.contains("/roots/packages/") && said.contains("; nix-store --delete /nix/store/"), "{said}");
}
