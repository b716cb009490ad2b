//! What differs, and that a patch makes one tree of the other.

use std::process::Command;

use super::*;
use crate::inspect::diff::{Change, compare};
use crate::inspect::extract::{Wish, extract};
use crate::inspect::patch;

fn told(before: &State, after: &State, times: bool) -> Vec<(&'static str, String)> {
    let comparison = compare(before, after, times);
    let shown = |difference: &crate::inspect::diff::Difference<'_>| {
        (difference.change.word(), String::from_utf8_lossy(difference.path()).into_owned())
    };
    comparison.differences.iter().map(shown).collect()
}

#[test]
fn every_kind_of_change_is_told_apart() {
    let scene = Scene::full();
    let before = scene.save("one", None);
    fs::rename(scene.at("build/long"), scene.at("build/src/deep/long")).unwrap();
    fs::remove_file(scene.at("build/pipe")).unwrap();
    scene.write("build/new", "new");
    scene.write("build/src/deep/b", "c");
    scene.chmod("build/nothing", 0o755);
    fs::remove_file(scene.at("build/src/link")).unwrap();
    symlink("elsewhere", scene.at("build/src/link")).unwrap();
    rustix::fs::utimensat(
        rustix::fs::CWD,
        scene.at("build/holes"),
        &crate::state::tree::timestamps(crate::state::entry::Mtime { secs: 1, nanos: 2 }),
        rustix::fs::AtFlags::empty(),
    )
    .unwrap();
    let after = scene.save("two", Some("one"));
    let expected = [
        ("added", "build/new"),
        ("metadata", "build/nothing"),
        ("removed", "build/pipe"),
        ("changed", "build/src/deep/b"),
        ("renamed", "build/src/deep/long"),
        ("changed", "build/src/link"),
    ];
    assert_eq!(told(&before, &after, false), expected.map(|(word, path)| (word, path.to_owned())));
    let comparison = compare(&before, &after, false);
    assert_eq!(comparison.touched, 1);
    assert_eq!((comparison.total(Change::Renamed).before, comparison.total(Change::Added).after), (3 << 20, 3));
    assert!(told(&before, &after, true).contains(&("metadata", "build/holes".to_owned())));
    assert!(told(&after, &after, true).is_empty());
    // The other way round what came goes.
    assert!(told(&after, &before, false).contains(&("removed", "build/new".to_owned())));
}

/// Extracts both, patches the first with the patch, and compares.
fn assert_patches(scene: &Scene, before: &State, after: &State) {
    let mut text = Vec::new();
    patch::write(before, after, &compare(before, after, false), &mut text).unwrap().unwrap();
    scene.write("the.patch", std::str::from_utf8(&text).unwrap());
    for (state, to) in [(before, "a"), (after, "b")] {
        extract(state, &vec![true; state.records().len()], &scene.at(to), Wish::default()).unwrap();
    }
    let (patch, to) = (scene.at("the.patch"), scene.at("a"));
    let arguments = ["-p1", "--batch", "-d", to.to_str().unwrap(), "-i", patch.to_str().unwrap()];
    let output = Command::new("patch").args(arguments).output().unwrap();
    let shown = String::from_utf8_lossy(&text);
    assert!(output.status.success(), "{output:?}\n{shown}");
    let output =
        Command::new("diff").args(["-r", "--no-dereference"]).args([scene.at("a"), scene.at("b")]).output().unwrap();
    assert!(output.status.success(), "{output:?}\n{shown}");
    let executable = |to: &str| scene.at(to).join("build/src/script").metadata().unwrap().permissions().mode() & 0o111;
    assert_eq!(executable("a"), executable("b"));
}

#[test]
fn a_patch_makes_one_tree_of_the_other() {
    let scene = Scene::new();
    fs::create_dir_all(scene.at("build/src")).unwrap();
    let lines: Vec<String> = (0..200).map(|number| format!("line {number}\n")).collect();
    scene.write("build/src/changed", &lines.concat());
    scene.write("build/src/gone", "gone\n");
    scene.write("build/src/renamed", "this was elsewhere\n");
    scene.write("build/src/no newline", "one\ntwo");
    scene.write("build/src/script", "#!/bin/sh\n");
    scene.write("build/src/same", "same\n");
    scene.write("build/src/emptied", "full\n");
    scene.write("build/src/empty", "");
    symlink("a", scene.at("build/src/link")).unwrap();
    fs::write(scene.at("build/src/binary"), b"\0a").unwrap();
    let before = scene.save("one", None);
    let mut changed = lines.clone();
    changed[3] = "another\n".to_owned();
    changed.remove(150);
    scene.write("build/src/changed", &changed.concat());
    fs::remove_file(scene.at("build/src/gone")).unwrap();
    fs::rename(scene.at("build/src/renamed"), scene.at("build/src/elsewhere")).unwrap();
    scene.write("build/src/no newline", "one\n2");
    scene.chmod("build/src/script", 0o755);
    scene.write("build/src/new \"quoted\"", "new\n");
    scene.write("build/src/ünïcode", "new\n");
    scene.write("build/src/newly-empty", "");
    scene.write("build/src/emptied", "");
    scene.write("build/src/empty", "full\n");
    let after = scene.save("two", Some("one"));
    assert_patches(&scene, &before, &after);
}

#[test]
fn binary_files_are_named() {
    let scene = Scene::new();
    fs::write(scene.at("build/binary"), b"\0a").unwrap();
    let before = scene.save("one", None);
    fs::write(scene.at("build/binary"), b"\0b").unwrap();
    fs::write(scene.at("build/new\n"), b"\0b").unwrap();
    let after = scene.save("two", Some("one"));
    let mut text = Vec::new();
    patch::write(&before, &after, &compare(&before, &after, false), &mut text).unwrap().unwrap();
    let expected = "Binary files a/build/binary and b/build/binary differ\n\
        Binary files \"a/build/new\\012\" and \"b/build/new\\012\" differ\n";
    assert_eq!(String::from_utf8(text).unwrap(), expected);
}
