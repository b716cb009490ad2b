//! Store paths computed here against those that the real `nix-store --add` gives.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use phasesplit::nix::{Nix, Tool, store, store_path};

fn computed(object: &Path) -> String {
    let name = object.file_name().and_then(OsStr::to_str).expect("a name in UTF-8");
    let sha256 = store_path::nar_sha256(object).expect("the object can be read");
    store_path::of_nar(&store_path::store_dir(), name, sha256).expect("the name is valid")
}

fn assert_same(object: &Path) {
    let added = store::add(&Nix::default(), "cannot add a test object", object).expect("Nix adds it");
    assert_eq!(computed(object), added);
}

#[test]
fn a_plain_and_an_executable_file() {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let file = scratch.path().join("phasesplit-test-file");
    fs::write(&file, "some text\n").expect("written");
    assert_same(&file);
    let plain = computed(&file);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("made executable");
    assert_same(&file);
    assert_ne!(plain, computed(&file));
}

#[test]
fn a_directory_with_odd_names_and_links() {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let tree = scratch.path().join("phasesplit-test-tree");
    fs::create_dir_all(tree.join("empty")).expect("made");
    for name in [&b"a"[..], b"A", b"-dash", b"new\nline", b"\xff\xfe not utf-8", b"\xc3\xa9"] {
        fs::write(tree.join(OsStr::from_bytes(name)), name).expect("written");
    }
    symlink(OsStr::from_bytes(b"nowhere/\xff"), tree.join("dangling")).expect("linked");
    let script = tree.join("script");
    fs::write(&script, "#!/bin/sh\n").expect("written");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o744)).expect("made executable");
    assert_same(&tree);
}

#[test]
fn the_embedded_objects_lie_where_they_are_said_to() {
    let nix = Nix::default();
    let host = phasesplit::nix::engine::host_set().expect("embedded");
    let path = host.store_path().expect("computed");
    assert_eq!(host.ensure(&nix).expect("added"), path);
    assert!(Path::new(&path).join("default.nix").is_file());

    let engine = phasesplit::nix::engine::engine().expect("embedded, or beside the test program");
    let path = engine.ensure(&nix).expect("added");
    assert_eq!(engine.store_path().expect("computed"), path);
    let mode = fs::metadata(&path).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o555, "one executable file");
}

#[test]
fn invalid_paths_are_told_from_valid_ones() {
    let nix = Nix::default();
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let file = scratch.path().join("phasesplit-test-valid");
    fs::write(&file, "valid").expect("written");
    let valid = store::add(&nix, "cannot add a test object", &file).expect("Nix adds it");
    let absent = format!("{}/{}-phasesplit-test-absent", store_path::store_dir(), "0".repeat(32));
    assert_eq!(store::invalid_paths(&nix, &[&valid, &absent]).expect("answered"), [absent]);
}

#[test]
fn a_failed_command_is_shown_with_its_command_line() {
    let error = Nix::default()
        .run(Tool::Store, "cannot do the impossible", ["--no-such-operation"], b"")
        .expect_err("Nix refuses");
    assert_eq!(error.command, "nix-store --no-such-operation");
    assert!(error.to_string().starts_with("cannot do the impossible: "), "{error}");
}
