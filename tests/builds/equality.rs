//! The split result is the unsplit one: for what a shell can hold, for every kind of file, in both attribute forms.

use crate::support::{Project, package, salt};
use std::fs;

fn with(name: &str, edit: &str) -> Project {
    let inner = package(name, "");
    let project = Project::new(&format!(
        "{{ callPackage }}: (callPackage ({inner}) {{ }}).overrideAttrs (old: {{ salt = \"{}\"; {edit} }})\n",
        salt()
    ));
    project.generate(&[]);
    project
}

#[test]
fn shell_state_crosses_stages() {
    let project = with("shell-state", "");
    assert_eq!(project.build("phases.finish").0, ["configure", "build", "install", "finish"]);
    project.assert_equal();
    let (_, out) = &project.outputs("phases.finish")[0];
    let listing = fs::read(out.join("shell")).expect("the listing");
    let listing = String::from_utf8_lossy(&listing);
    for line in [
        "fromAttribute=\"kept and changed\"",
        "declare -i integer=\"42\"",
        "plain text",
        "here from-a-child",
        "trapped usr1",
    ] {
        assert!(listing.contains(line), "the package did not write {line}:\n{listing}");
    }
}

#[test]
fn shell_state_crosses_stages_with_structured_attributes() {
    let project = with("shell-state", "__structuredAttrs = true;");
    project.build("phases.finish");
    project.assert_equal();
}

#[test]
fn file_metadata_crosses_stages() {
    let project = with("file-metadata", "");
    assert_eq!(project.build("phases.finish").0, ["configure", "build", "install", "finish"]);
    project.assert_equal();
}

#[test]
fn the_comparison_finds_a_planted_difference() {
    let project = with("file-metadata", "");
    let split = project.outputs("phases.finish");
    let unsplit = project.outputs("unsplit");
    let copy = tempfile::tempdir().expect("a directory");
    let store = copy.path().join("nix/store");
    fs::create_dir_all(&store).expect("a store of its own");
    let planted: Vec<_> = split
        .iter()
        .map(|(name, path)| {
            let to = store.join(path.file_name().expect("a store path"));
            assert!(std::process::Command::new("cp").arg("-a").arg(path).arg(&to).status().expect("cp runs").success());
            (name.clone(), to)
        })
        .collect();
    let listing = planted.iter().find(|(name, _)| name == "dev").expect("dev").1.join("listing");
    let mut text = fs::read(&listing).expect("the listing");
    text[10] ^= 1;
    let mut permissions = fs::metadata(&listing).expect("its mode").permissions();
    #[allow(clippy::permissions_set_readonly_false)] // a copy of our own
    permissions.set_readonly(false);
    fs::set_permissions(&listing, permissions.clone()).expect("writable");
    fs::write(&listing, text).expect("planted");
    permissions.set_readonly(true);
    fs::set_permissions(&listing, permissions).expect("as it was");
    let report = phasesplit::compare::compare_packages(&planted, &unsplit).expect("both can be read");
    assert!(!report.is_equal(), "one changed byte went unnoticed:\n{report}");
    assert!(report.to_string().contains("listing"), "the report names the file:\n{report}");
}
