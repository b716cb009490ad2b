//! Without a sandbox every stage runs at one stable path, under a lock, and leaves nothing behind.

use crate::support::{Project, package, salt};
use std::path::Path;

fn staged_leftovers() -> Vec<String> {
    let mut found: Vec<String> = std::fs::read_dir("/tmp")
        .expect("/tmp")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with("phasesplit-") && Path::new(name).extension().is_none())
        .collect();
    found.sort();
    found
}

#[test]
fn a_chain_without_a_sandbox() {
    let mut project = Project::new(&package("reuse", &format!("salt = \"{}\";", salt())));
    project.settings = "sandbox = false".to_owned();
    project.generate(&[]);
    let before = staged_leftovers();
    let (built, log) = project.build("phases.finish");
    assert_eq!(built, ["unpack", "patch", "configure", "build", "check", "install", "finish"]);
    assert!(log.contains("no sandbox: this stage runs in"), "{log}");
    project.assert_equal();
    assert_eq!(staged_leftovers(), before, "the stable directory is removed");
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
