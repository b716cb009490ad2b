//! Taking files out.

use std::os::unix::fs::MetadataExt;

use super::*;
use crate::inspect::extract::{Wish, extract};
use crate::inspect::select;

fn everything(state: &State) -> Vec<bool> {
    vec![true; state.records().len()]
}

fn some(state: &State, paths: &[&str]) -> Vec<bool> {
    select::all(state, paths.iter().map(|path| OsStr::new(*path))).unwrap()
}

#[test]
fn what_is_extracted_is_what_was_saved() {
    let scene = Scene::full();
    scene.save("one", None);
    scene.write("build/src/deep/b", "changed");
    fs::rename(scene.at("build/long"), scene.at("build/longer")).unwrap();
    fs::copy(scene.at("build/longer"), scene.at("build/copy")).unwrap();
    fs::remove_file(scene.at("build/pipe")).unwrap();
    let state = scene.save("two", Some("one"));
    let wish = Wish { setuid: true, most: None };
    let done = extract(&state, &everything(&state), &scene.at("x"), wish).unwrap();
    assert_eq!((done.entries, done.dropped), (state.records().len(), 0));
    assert_eq!(listing(&scene.at("x/build")), listing(&scene.at("build")));
    assert_eq!(listing(&scene.at("x/outputs")), listing(&scene.at("store")));
    assert_eq!(fs::read(scene.at("x/shell")).unwrap(), fs::read(scene.at("shell")).unwrap());
    // The holes are holes again.
    assert!(scene.at("x/build/holes").metadata().unwrap().blocks() * 512 < 1 << 20);
    // Without being asked, nothing runs as somebody else.
    let done = extract(&state, &everything(&state), &scene.at("y"), Wish::default()).unwrap();
    assert_eq!(done.dropped, 1);
    assert_eq!(scene.at("y/outputs/out/bin/tool").metadata().unwrap().mode() & 0o7777, 0o755);
    assert_eq!(scene.at("one/..").read_dir().unwrap().count(), 7, "something else was left");
}

#[test]
fn paths_choose_what_is_extracted_with_the_directories_above() {
    let scene = Scene::full();
    let state = scene.save("one", None);
    // The file that the link names is not asked for: its content comes all the same.
    let build = scene.at("build");
    let deep = build.join("src/deep");
    let paths = ["outputs/out/again", "build/src/link", deep.to_str().unwrap()];
    extract(&state, &some(&state, &paths), &scene.at("x"), Wish::default()).unwrap();
    let found: Vec<String> = listing(&scene.at("x"))
        .iter()
        .filter_map(|line| Some(line.strip_prefix("./")?.split(' ').next()?.to_owned()))
        .collect();
    let expected = [
        "build",
        "build/src",
        "build/src/deep",
        "build/src/deep/b",
        "build/src/link",
        "outputs",
        "outputs/out",
        "outputs/out/again",
    ];
    assert_eq!(found, expected);
    assert_eq!(fs::read(scene.at("x/outputs/out/again")).unwrap(), fs::read(scene.at("build/src/a.txt")).unwrap());
    let error = select::below(&state, OsStr::new("src/deep")).unwrap_err();
    assert_eq!(error.help(), "do you mean `build/src/deep`?");
}

#[test]
fn nothing_is_overwritten_and_nothing_is_too_large() {
    let scene = Scene::full();
    let state = scene.save("one", None);
    let refused =
        |to: &str, wish: Wish| extract(&state, &everything(&state), &scene.at(to), wish).unwrap_err().to_string();
    assert!(refused("build", Wish::default()).contains("it is not empty"));
    assert!(refused("shell", Wish::default()).contains("it is no directory"));
    let message = refused("x", Wish { setuid: false, most: Some(1000) });
    assert!(message.contains("and the limit given is 1000; name the paths"), "{message}");
    assert!(!scene.at("x").exists());
    fs::create_dir(scene.at("x")).unwrap();
    extract(&state, &everything(&state), &scene.at("x"), Wish::default()).unwrap();
    assert!(scene.at("x/build/src/a.txt").exists());
}
