//! Hostile states: each is refused with its entry named, by all that reads it, and leaves nothing behind.

use rustix::fs::{FileType, Mode};

use super::*;
use crate::inspect::content::Spool;
use crate::inspect::diff::compare;
use crate::inspect::extract::{Wish, extract};
use crate::inspect::patch;
use crate::state::entry::{Entry, Kind, Mtime};
use crate::state::manifest::{Layer, Record};
use crate::state::pax;

/// Asserts that opening the state is refused, and that the message has these words.
fn assert_not_opened(scene: &Scene, words: &str) {
    let message = State::open(&scene.at("one")).unwrap_err().to_string();
    assert!(message.contains(words), "{message}");
}

/// Asserts that the manifest passes and that reading content is refused by all that does.
fn assert_not_read(scene: &Scene, words: &str) {
    let state = scene.open("one");
    let all = vec![true; state.records().len()];
    let extracted = extract(&state, &all, &scene.at("x"), Wish::default()).unwrap_err().to_string();
    assert!(extracted.contains(words), "{extracted}");
    let left: Vec<_> = fs::read_dir(scene.at(".")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name == "x" || name.as_bytes().starts_with(b".phasesplit")), "{left:?}");
    assert!(Spool::fill(&state, &all).is_err());
    let empty = Scene::new().save("empty", None);
    let mut out = Vec::new();
    assert!(patch::write(&empty, &state, &compare(&empty, &state, false), &mut out).is_err());
    assert!(out.is_empty(), "half a patch");
}

fn entry(path: &[u8], kind: Kind, link: &[u8]) -> Entry {
    let mtime = Mtime::default();
    Entry { path: path.to_vec(), kind, mode: 0o755, size: 0, mtime, link: link.to_vec(), hash: None }
}

/// A state whose layer has these members, and whose manifest says the same.
fn forge(scene: &Scene, members: &[(Entry, &[u8])]) {
    scene.save("one", None);
    let file = fs::File::create(scene.at("one").join(format::LAYER)).unwrap();
    let mut archive = pax::Writer::new(frames::Writer::new(file));
    let mut records = Vec::new();
    for (entry, data) in members {
        archive.member(entry, data.len() as u64).unwrap();
        std::io::Write::write_all(&mut archive, data).unwrap();
        let hash = entry.is_file().then(|| *blake3::hash(data).as_bytes());
        let entry = Entry { hash, ..entry.clone() };
        records.push(Record { entry, data: data.len() as u64, layer: 0, origin: Vec::new() });
    }
    archive.finish().unwrap().finish().unwrap();
    let data = members.iter().map(|(_, data)| data.len() as u64).sum();
    scene.rewrite("one", |manifest| {
        *manifest = Manifest { layers: vec![Layer { members: members.len() as u64, data }], records };
    });
}

fn file(path: &[u8], size: u64) -> Entry {
    Entry { size, ..entry(path, Kind::File, b"") }
}

#[test]
fn paths_that_leave_the_tree() {
    let build = || (entry(b"build", Kind::Directory, b""), &b""[..]);
    for path in [&b"build/../../evil"[..], b"/etc/evil", b"build//x", b"elsewhere/x"] {
        let scene = Scene::new();
        forge(&scene, &[build(), (file(path, 1), b"x")]);
        assert_not_opened(&scene, "the state is damaged");
    }
    // Through a symlink, and twice.
    let scene = Scene::new();
    forge(&scene, &[build(), (entry(b"build/l", Kind::Symlink, b"/tmp"), b""), (file(b"build/l/x", 1), b"x")]);
    assert_not_opened(&scene, "build/l/x: it does not lie in a directory of the state");
    let scene = Scene::new();
    forge(&scene, &[build(), (file(b"build/a", 1), b"x"), (file(b"build/a", 1), b"y")]);
    assert_not_opened(&scene, "build/a: it is there twice");
}

#[test]
fn a_symlink_out_of_the_tree_is_only_a_symlink() {
    let scene = Scene::new();
    let members = [
        (entry(b"build", Kind::Directory, b""), &b""[..]),
        (entry(b"build/l", Kind::Symlink, b"../../.."), b""),
        (file(b"build/x", 1), b"x"),
    ];
    forge(&scene, &members);
    let state = scene.open("one");
    extract(&state, &[true; 3], &scene.at("x"), Wish::default()).unwrap();
    assert_eq!(fs::read_link(scene.at("x/build/l")).unwrap(), Path::new("../../.."));
}

#[test]
fn content_that_is_not_what_the_manifest_says() {
    let saved = || {
        let scene = Scene::new();
        scene.write("build/a", "content of a");
        scene.save("one", None);
        scene
    };
    let at = |manifest: &Manifest, path: &[u8]| manifest::position(&manifest.records, path).unwrap();
    let scene = saved();
    scene.rewrite("one", |manifest| {
        let at = at(manifest, b"build/a");
        manifest.records[at].entry.hash = Some([7; 32]);
    });
    assert_not_read(&scene, "build/a: the state is damaged: its content is not what the manifest says");

    let scene = saved();
    scene.rewrite("one", |manifest| manifest.layers[0].data = 1);
    assert_not_read(&scene, "it holds more than the manifest says");

    let scene = saved();
    scene.rewrite("one", |manifest| {
        let at = at(manifest, b"build/a");
        manifest.records.remove(at);
    });
    let state = scene.open("one");
    let all = vec![true; state.records().len()];
    let message = extract(&state, &all, &scene.at("x"), Wish::default()).unwrap_err().to_string();
    assert!(message.contains("build/a: the state is damaged: the manifest does not know this entry"), "{message}");

    // 2^60 bytes: there is no room, before anything is read.
    let scene = saved();
    scene.rewrite("one", |manifest| {
        let at = at(manifest, b"build/a");
        (manifest.records[at].entry.size, manifest.records[at].data) = (1 << 60, 1 << 60);
    });
    let state = scene.open("one");
    let all = vec![true; state.records().len()];
    let message = extract(&state, &all, &scene.at("x"), Wish::default()).unwrap_err().to_string();
    assert!(message.contains("and there is room for"), "{message}");
    assert!(Spool::fill(&state, &all).unwrap_err().to_string().contains("build/a"));
}

#[test]
fn truncated_and_foreign() {
    let scene = Scene::full();
    scene.save("one", None);
    let layer = scene.at("one").join(format::LAYER);
    let bytes = fs::read(&layer).unwrap();
    fs::write(&layer, &bytes[..bytes.len() / 2]).unwrap();
    assert_not_read(&scene, "it ends too early");
    fs::write(scene.at("one").join(format::INFO), br#"{"format": 99}"#).unwrap();
    assert_not_opened(&scene, "format version 99 is unknown");
}

#[test]
fn a_layer_that_is_no_regular_file_is_not_waited_for() {
    let scene = Scene::full();
    scene.save("one", None);
    let layer = scene.at("one").join(format::LAYER);
    let elsewhere = scene.at("elsewhere");
    fs::rename(&layer, &elsewhere).unwrap();
    symlink(&elsewhere, &layer).unwrap();
    assert_not_read(&scene, "it is not a regular file");
    fs::remove_file(&layer).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, &layer, FileType::Fifo, Mode::RUSR, 0).unwrap();
    assert_not_read(&scene, "it is not a regular file");
}

#[test]
fn names_that_are_no_text_are_found_by_their_bytes() {
    let scene = Scene::new();
    fs::write(scene.at("build").join(name(b"\xff\n")), "x").unwrap();
    let state = scene.save("one", None);
    let index = crate::inspect::select::one(&state, name(b"build/\xff\n")).unwrap();
    assert_eq!(state.records()[index].entry.size, 1);
    let error = crate::inspect::select::one(&state, name(b"build/\xfe\x1b")).unwrap_err().to_string();
    assert_eq!(error, "the state has no entry `build/\\xfe\\x1b`");
}
