//! Without a sandbox every stage runs at one stable path, under a lock, and leaves nothing behind.

use crate::reuse::edited;
use crate::support::{Project, command, package, phasesplit, salt, succeed, text};
use std::path::Path;
use std::process::Command;

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
    let name = format!("name={package}-phase-configure");
    for _ in 0..200 {
        for process in std::fs::read_dir("/proc").expect("/proc").flatten() {
            let words = std::fs::read(process.path().join("environ")).unwrap_or_default();
            let words: Vec<_> = words.split(|byte| *byte == 0).collect();
            let is_inside = |word: &&[u8]| word.starts_with(b"_phasesplit_inside=");
            if words.iter().any(is_inside) && words.contains(&name.as_bytes()) {
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

/// The commands in the report are those that a person copies: they are run as they stand.
#[test]
fn a_state_that_was_refused_is_not_called_safe_and_goes_as_the_report_says() {
    let salt = salt();
    let project = Project::new(&edited(&salt, ""));
    let settle = |command: &mut Command| {
        command
            .env("XDG_STATE_HOME", project.path().join("state"))
            .env("XDG_CONFIG_HOME", project.path().join("config"));
    };
    let build = |options: &[&str]| {
        let mut command = phasesplit(project.path());
        settle(&mut command);
        command.args(["build", "pkg.nix", "--pkgs", "host"]).args(options).output().expect("phasesplit runs")
    };
    // All stages are rooted, and a link keeps the one that the edit below continues from.
    assert_eq!(build(&["--no-link"]).status.code(), Some(0));
    assert_eq!(build(&["--until", "check"]).status.code(), Some(0));
    let state = std::fs::read_link(project.path().join("result")).expect("a link");
    project.write(&edited(&salt, "postInstall = \"echo edited >$out/installed\";"));
    let output = build(&["--", "--option", "sandbox", "false"]);
    assert_eq!(output.status.code(), Some(3));
    let said = text(&output.stderr);
    assert!(said.contains(&format!("  refused:   the state after check: {}", state.display())), "{said}");
    assert!(!said.contains("  safe: "), "{said}");

    let commands = said.lines().skip_while(|line| !line.ends_with("or have it made again:")).nth(1).expect("commands");
    let commands = commands.trim();
    let path = state.display();
    assert!(commands.starts_with("rm result; phasesplit roots rm /nix/store/"), "{commands}");
    assert!(commands.contains(&path.to_string()) && commands.contains("-phase-install"), "{commands}");
    assert!(commands.ends_with("; phasesplit roots gc"), "{commands}");
    let mut bash = command("bash", project.path());
    settle(&mut bash);
    let directory = Path::new(env!("CARGO_BIN_EXE_phasesplit")).parent().expect("a directory");
    let search = format!("{}:{}", directory.display(), std::env::var("PATH").expect("a path"));
    let done = succeed(bash.env("PATH", search).args(["-euc", commands]));
    assert!(!state.exists(), "{commands}:\n{}{}", text(&done.stdout), text(&done.stderr));
    let again = succeed_json(&build(&["--json"]));
    assert_eq!(again, [("build", "reused"), ("check", "built"), ("install", "built"), ("finish", "built")].map(owned));
}

/// The last four stages of a build that succeeded, and what became of each.
fn succeed_json(output: &std::process::Output) -> Vec<(String, String)> {
    assert!(output.status.success(), "{}", text(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let stages = report["stages"].as_array().expect("stages");
    let word = |value: &serde_json::Value| value.as_str().expect("a word").to_owned();
    stages[stages.len() - 4..].iter().map(|stage| (word(&stage["stage"]), word(&stage["outcome"]))).collect()
}

fn owned((stage, outcome): (&str, &str)) -> (String, String) {
    (stage.to_owned(), outcome.to_owned())
}
