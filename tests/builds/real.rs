//! Real upstream packages (`tests/nix/real`), fetched by hash at test time: split equals unsplit, and an edit of
//! `postInstall` builds two stages, one of `preFixup` one. Where a source cannot be had, the test says so and passes.

use crate::support::{Project, root, salt, succeed, text};
use std::{collections::BTreeMap, process::Command, sync::OnceLock};

/// What fetch.sh says of a package's sources: `Ok`, or why they are not there.
fn sources(package: &str) -> Result<(), String> {
    static FETCHED: OnceLock<BTreeMap<String, Result<(), String>>> = OnceLock::new();
    let all = FETCHED.get_or_init(|| {
        let mut command = Command::new("bash");
        command.arg("tests/nix/real/fetch.sh").current_dir(root()).env("NIX_CONFIG", crate::support::nix_config());
        let output = succeed(&mut command);
        text(&output.stdout)
            .lines()
            .map(|line| {
                let status: serde_json::Value = serde_json::from_str(line).expect("a JSON object a line");
                let state = match status["state"].as_str() {
                    Some("available") => Ok(()),
                    _ => Err(status["reason"].as_str().unwrap_or("no reason given").to_owned()),
                };
                (status["package"].as_str().expect("a name").to_owned(), state)
            })
            .collect()
    });
    all.get(package).cloned().unwrap_or_else(|| Err("fetch.sh does not know it".to_owned()))
}

fn text_of(package: &str, edit: &str) -> String {
    format!(
        "{{ pkgs }}: (import {}/tests/nix/real {{ inherit pkgs; }}).{package}.overrideAttrs (old: {{ {edit} }})\n",
        root().display()
    )
}

/// The package as a project with its sources in the store, or nothing, with a message.
pub(crate) fn project(package: &str) -> Option<Project> {
    if let Err(reason) = sources(package) {
        eprintln!("SKIPPED {package}: its source is not to be had here: {reason}");
        return None;
    }
    let project = Project::new(&text_of(package, ""));
    project.generate(&[]);
    Some(project)
}

/// Equality, then the two edits. Gives the log of the stages built by the first edit.
fn check(package: &str) -> Option<String> {
    let project = project(package)?;
    project.build("phases.finish");
    project.assert_equal();

    let salt = salt();
    project.write(&text_of(package, &format!("postInstall = (old.postInstall or \"\") + \"\\n: {salt}\\n\";")));
    let (built, log) = project.build("phases.finish");
    assert_eq!(built, ["install", "finish"], "{package}: postInstall edited");
    project.write(&text_of(package, &format!("preFixup = (old.preFixup or \"\") + \"\\n: {salt}\\n\";")));
    let (built, _) = project.build("phases.finish");
    assert_eq!(built, ["finish"], "{package}: preFixup edited");
    Some(log)
}

#[test]
fn hello() {
    check("hello");
}

#[test]
fn lua() {
    check("lua");
}

#[test]
fn zlib() {
    check("zlib");
}

#[test]
fn jq_libtool() {
    check("jq");
}

#[test]
fn pkgconf_meson() {
    check("pkgconf");
}

#[test]
fn xz_three_outputs() {
    check("xz");
}

#[test]
fn coverage_python() {
    check("coverage");
}

#[test]
fn hexyl_cargo_compiles_nothing_at_install() {
    let Some(log) = check("hexyl") else { return };
    assert!(!log.contains("Compiling "), "cargo compiled again in install:\n{log}");
}

#[test]
fn ninja_cmake_and_ninja() {
    check("ninja");
}

#[test]
fn ninja_finds_nothing_dirty_at_install() {
    let Some(project) = project("ninja") else { return };
    // The states before install must be there, whichever test runs first.
    project.build("phases.finish");
    let explain = "preInstall = \"echo explain starts; ninja -n -d explain install 2>&1; echo explain ends\";";
    project.write(&text_of(
        "ninja",
        &format!("{explain} postInstall = (old.postInstall or \"\") + \"\\n: {}\\n\";", salt()),
    ));
    let (built, log) = project.build("phases.install");
    assert_eq!(built, ["install"]);
    let explained = log
        .split_once("explain starts")
        .and_then(|(_, rest)| rest.split_once("explain ends"))
        .expect("ninja ran in preInstall")
        .0;
    // The install target itself has no output file and always runs: it is the one step that may be wanted.
    let dirty: Vec<&str> =
        explained.lines().filter(|line| line.contains("dirty") || line.contains("older than")).collect();
    let compiling: Vec<&str> =
        explained.lines().filter(|line| line.contains("Building") || line.contains("Linking")).collect();
    let allowed = |line: &&&str| {
        !line.contains("install.util") && !line.contains("CMakeFiles/install") && !line.contains(" all ")
    };
    assert!(!dirty.iter().any(|line| allowed(&line)), "dirty: {dirty:?}");
    assert!(compiling.is_empty(), "{compiling:?}");
}

fn without_sandbox(package: &str) {
    let Some(mut project) = project(package) else { return };
    "sandbox = false".clone_into(&mut project.settings);
    project.write(&text_of(package, &format!("salt = \"{}\";", salt())));
    project.build("phases.finish");
    project.assert_equal();
}

#[test]
fn hello_without_a_sandbox() {
    without_sandbox("hello");
}

#[test]
fn ninja_without_a_sandbox() {
    without_sandbox("ninja");
}
