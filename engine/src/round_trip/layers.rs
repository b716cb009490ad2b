//! What a layer holds, what a chain refuses, and when a chain ends.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;

use super::super::frames;
use super::super::listing::{self, Notes, Stamp};
use super::super::manifest::{self, Layer, Manifest};
use super::super::spill::Scratch;
use super::*;

/// A tree with a bit of everything, saved as `one` and restored from it.
fn scene() -> Scene {
    let scene = Scene::new();
    for directory in ["src/deep", "gone/deep", "moved"] {
        fs::create_dir_all(scene.at("build").join(directory)).unwrap();
    }
    for file in ["src/a", "src/b", "src/deep/c", "gone/deep/d", "moved/e", "becomes-directory", "becomes-link"] {
        fs::write(scene.at("build").join(file), format!("content of {file}").repeat(20)).unwrap();
    }
    fs::write(scene.at("build/src/long"), vec![7; 5 << 20]).unwrap();
    fs::hard_link(scene.at("build/src/b"), scene.at("build/src/b2")).unwrap();
    symlink("a", scene.at("build/src/link")).unwrap();
    fs::create_dir(scene.at("build/becomes-file")).unwrap();
    fs::create_dir(scene.at("store/out")).unwrap();
    scene.save_to("one").unwrap();
    scene.restore_from("one").unwrap();
    scene
}

fn read(scene: &Scene, state: &str) -> Manifest {
    manifest::read("list", &scene.at(state)).unwrap()
}

/// Puts another manifest into a state.
fn rewrite(scene: &Scene, state: &str, change: impl FnOnce(&mut Manifest)) {
    let mut manifest = read(scene, state);
    change(&mut manifest);
    let mut out = frames::Writer::new(File::create(scene.at(state).join(format::MANIFEST)).unwrap());
    manifest::write(&mut out, &manifest).unwrap();
    out.finish().unwrap();
}

/// Paths of the members of a layer.
fn members(scene: &Scene, state: &str) -> Vec<String> {
    let layer = File::open(scene.at(state).join(format::LAYER)).unwrap();
    let mut archive = super::super::pax::Reader::new(zstd::Decoder::new(layer).unwrap());
    std::iter::from_fn(|| archive.next_member().unwrap())
        .map(|(entry, _)| String::from_utf8(entry.path).unwrap())
        .collect()
}

/// Saves the tree of the moment on `one` and restores it again.
fn survives(scene: &Scene) -> Vec<String> {
    let before = scene.described();
    scene.save_on("two", "one", true).unwrap();
    scene.save_on("blind", "one", false).unwrap();
    scene.assert_same("two", "blind");
    scene.restore_from("two").unwrap();
    assert_eq!(scene.described(), before);
    members(scene, "two")
}

#[test]
fn an_untouched_tree_stores_nothing() {
    let scene = scene();
    assert!(survives(&scene).is_empty());
    let (one, two) = (read(&scene, "one"), read(&scene, "two"));
    assert_eq!(one.records, two.records);
    assert_eq!(two.layers, [one.layers[0], Layer::default()]);
    let parent = fs::read_to_string(scene.at("two/parent")).unwrap();
    assert_eq!(parent, format!("{}\n", scene.at("one").display()));
    assert!(!scene.at("one/parent").exists());
}

#[test]
fn what_the_listing_shows_to_be_unchanged_is_not_read() {
    let scene = scene();
    let file = scene.at("build/src/a");
    fs::write(&file, "other content").unwrap();
    let before = read(&scene, "one");
    let index = manifest::position(&before.records, b"build/src/a").unwrap();
    // A listing that lies, which no restore writes: the save believes it, and so cannot have read the file.
    let stamp = Stamp::of(&rustix::fs::stat(&file).unwrap());
    let mut notes = Notes::new(&Scratch::system());
    notes.add(u32::try_from(index).unwrap(), &stamp).unwrap();
    listing::write("restore", &scene.at("listing"), &scene.at("one"), &[notes]).unwrap();
    scene.save_on("two", "one", true).unwrap();
    assert_eq!(read(&scene, "two").records[index].entry.hash, before.records[index].entry.hash);
    // Without it the file is read.
    scene.save_on("blind", "one", false).unwrap();
    assert_ne!(read(&scene, "blind").records[index].entry.hash, before.records[index].entry.hash);
}

#[test]
fn a_change_that_keeps_size_and_mtime_is_seen() {
    let scene = scene();
    let file = scene.at("build/src/a");
    let old = file.metadata().unwrap();
    fs::write(&file, fs::read_to_string(&file).unwrap().to_uppercase()).unwrap();
    stamp(&file, old.mtime(), u32::try_from(old.mtime_nsec()).unwrap());
    assert_eq!(old.len(), file.metadata().unwrap().len());
    assert_eq!(survives(&scene), ["build/src/a"]);
}

#[test]
fn only_what_is_new_is_stored() {
    let scene = scene();
    let at = |name: &str| scene.at("build").join(name);
    // Modes and times: nothing of the content.
    chmod(&at("src/a"), 0o400);
    stamp(&at("src/long"), 5, 5);
    // Renames, of a directory and of a file, and copies.
    fs::rename(at("moved"), at("renamed")).unwrap();
    fs::rename(at("src/deep/c"), at("c")).unwrap();
    fs::copy(at("src/long"), scene.at("store/out/long")).unwrap();
    fs::copy(at("src/long"), scene.at("store/out/long too")).unwrap();
    // Another name, before the old one, of a file in the older layer; one name less of another.
    fs::hard_link(at("src/a"), at("Another")).unwrap();
    fs::remove_file(at("src/b")).unwrap();
    // Deletions, and other kinds in their place.
    fs::remove_dir_all(at("gone")).unwrap();
    for file in ["becomes-directory", "becomes-link"] {
        fs::remove_file(at(file)).unwrap();
    }
    fs::create_dir(at("becomes-directory")).unwrap();
    fs::write(at("becomes-directory/inner"), "inner").unwrap();
    symlink("elsewhere", at("becomes-link")).unwrap();
    fs::remove_dir(at("becomes-file")).unwrap();
    fs::write(at("becomes-file"), "a file now").unwrap();
    fs::remove_file(at("src/link")).unwrap();
    let expected = [
        "build",
        "build/becomes-directory",
        "build/becomes-directory/inner",
        "build/becomes-file",
        "build/becomes-link",
        "build/renamed",
        "build/src",
        "build/src/a",
        "build/src/deep",
        "outputs/out",
    ];
    // `renamed` has its old mtime, but no directory has a content to come from elsewhere; `src/a` is a link to `Another`.
    assert_eq!(survives(&scene), expected);
    let two = read(&scene, "two");
    let of = |path: &[u8]| manifest::find(&two.records, path).unwrap();
    for (path, origin) in [
        (&b"build/Another"[..], &b"build/src/a"[..]),
        (b"build/c", b"build/src/deep/c"),
        (b"build/renamed/e", b"build/moved/e"),
        (b"build/src/b2", b"build/src/b"),
        (b"outputs/out/long", b"build/src/long"),
        (b"outputs/out/long too", b"build/src/long"),
    ] {
        assert_eq!((of(path).layer, of(path).origin()), (0, origin), "{}", String::from_utf8_lossy(path));
    }
    assert_eq!(of(b"build/becomes-file").layer, 1);
    // The next layer finds all of it where it is.
    scene.save_on("three", "two", true).unwrap();
    assert!(members(&scene, "three").is_empty());
    scene.restore_from("three").unwrap();
}

#[test]
fn a_chain_ends_where_it_is_long_enough() {
    let scene = scene();
    let mut last = "one".to_owned();
    for index in 1..=format::LAYERS {
        let name = format!("state {index}");
        fs::write(scene.at("build/src/a"), &name).unwrap();
        let info = scene.save_on(&name, &last, false).unwrap();
        assert_eq!(info.layers, index % format::LAYERS + 1, "{index}");
        last = name;
    }
    assert!(!scene.at(&last).join(format::PARENT).exists());
    assert!(members(&scene, &last).len() > 10);
    let before = scene.described();
    scene.restore_from(&last).unwrap();
    assert_eq!(scene.described(), before);
}

#[test]
fn a_chain_ends_where_more_of_it_is_dead_than_alive() {
    let scene = scene();
    fs::remove_file(scene.at("build/src/long")).unwrap();
    assert_eq!(scene.save_on("two", "one", true).unwrap().layers, 2);
    scene.restore_from("two").unwrap();
    assert_eq!(scene.save_on("three", "two", true).unwrap().layers, 1);
    scene.save_to("whole").unwrap();
    scene.assert_same("three", "whole");
}

#[test]
fn a_parent_that_is_not_there_is_named() {
    let scene = scene();
    scene.save_on("two", "one", true).unwrap();
    fs::rename(scene.at("one"), scene.at("elsewhere")).unwrap();
    let named = format!("it builds on the state {}, which is not there", scene.at("one").display());
    let message = scene.restore_from("two").unwrap_err().to_string();
    assert!(message.contains(&named), "{message}");
    assert_eq!(fs::read_dir(scene.at("build")).unwrap().count(), 0, "refused too late");
    let message = scene.save_on("three", "two", false).unwrap_err().to_string();
    assert!(message.contains(&named), "{message}");
    let request = super::super::restore::shell_state(&scene.at("two")).unwrap_err().to_string();
    assert!(request.contains(&named), "{request}");
}

#[test]
fn parents_that_are_not_those_of_the_manifest_are_refused() {
    let scene = scene();
    scene.save_on("two", "one", true).unwrap();
    scene.save_on("three", "two", false).unwrap();
    let refusal = |text: &str| {
        let message = scene.restore_from("three").unwrap_err().to_string();
        assert!(message.contains(text), "{message}");
        fs::write(scene.at("shell"), "").unwrap();
    };
    let point = |from: &str, to: &str| {
        fs::write(scene.at(from).join(format::PARENT), format!("{}\n", scene.at(to).display())).unwrap();
    };
    point("one", "three");
    refusal("go round in a circle");
    point("one", "one");
    refusal("go round in a circle");
    scene.save_to("four").unwrap();
    point("one", "four");
    refusal("has 3 layers, and its parents are not as many");
    fs::remove_file(scene.at("one/parent")).unwrap();
    point("three", "one");
    refusal("has 3 layers, and its parents are not as many");
    point("three", "two");
    fs::write(scene.at("one/info.json"), r#"{ "format": 1 }"#).unwrap();
    refusal("one/info.json: format version 1 is unknown, this engine reads version 3");
    fs::write(scene.at("two/parent"), "../one\n").unwrap();
    refusal("not one absolute path and a newline");
}

type Change = fn(&mut Manifest);

#[test]
fn layers_that_are_not_those_of_the_manifest_are_refused() {
    let scene = scene();
    fs::write(scene.at("build/src/a"), "second").unwrap();
    scene.save_on("two", "one", true).unwrap();
    let whole = fs::read(scene.at("two").join(format::MANIFEST)).unwrap();
    let record = |manifest: &Manifest, path: &str| manifest::position(&manifest.records, path.as_bytes()).unwrap();
    let (a, b) = (record(&read(&scene, "two"), "build/src/a"), record(&read(&scene, "two"), "build/src/b"));
    assert_eq!((a, b), (10, 11), "the closures below count on it");
    let cases: [(&str, Change); 10] = [
        // Content that no layer has.
        ("build/src/b: the state is damaged: its layer does not have it", |m| {
            m.records[11].origin = b"build/src/aaa".to_vec();
        }),
        ("build/src/b: the state is damaged: the archive ends before", |m| {
            m.records[11].origin = b"z".to_vec();
        }),
        ("build/src/b: the state is damaged: the archive ends before", |m| m.records[11].layer = 1),
        ("build/src/b: the state is damaged: archive and manifest do not agree", |m| m.records[11].entry.size += 1),
        // Content that is another's.
        ("takes it for another file's content", |m| m.records[11].origin = b"build/src/deep".to_vec()),
        ("takes it for another file's content", |m| m.records[11].origin = b"build/moved/e".to_vec()),
        ("its content is not what the manifest says", |m| m.records[11].entry.hash = Some([0; 32])),
        ("the manifest does not know this entry", |m| _ = m.records.remove(10)),
        ("it holds more than the manifest says", |m| m.layers[0].data -= 1),
        ("it holds less than the manifest says", |m| m.layers[0].members += 1),
    ];
    for (text, change) in cases {
        rewrite(&scene, "two", change);
        let message = scene.restore_from("two").unwrap_err().to_string();
        assert!(message.contains(text), "{text}: {message}");
        fs::write(scene.at("two").join(format::MANIFEST), &whole).unwrap();
        fs::write(scene.at("shell"), "").unwrap();
    }
    // The layer of another state.
    let other = super::layers::scene();
    fs::write(other.at("build/src/b"), "other").unwrap();
    other.save_to("other").unwrap();
    fs::copy(other.at("other").join(format::LAYER), scene.at("one").join(format::LAYER)).unwrap();
    assert!(scene.restore_from("two").is_err());
}

#[test]
fn members_that_nobody_wants_are_checked_too() {
    // A layer that holds a path outside, then one twice; an older one, so that no manifest at hand knows its members.
    for (paths, text) in
        [(["build/../../x", "build/x"], "leaves its directory"), (["build/y", "build/x"], "out of order")]
    {
        let scene = scene();
        fs::write(scene.at("build/src/a"), "second").unwrap();
        scene.save_on("two", "one", true).unwrap();
        let mut archive = super::super::pax::Writer::new(frames::Writer::new(
            File::create(scene.at("one").join(format::LAYER)).unwrap(),
        ));
        for path in paths {
            let entry = super::super::entry::Entry {
                path: path.into(),
                kind: super::super::entry::Kind::Symlink,
                mode: 0o777,
                size: 0,
                mtime: Mtime::default(),
                link: b"/etc".to_vec(),
                hash: None,
            };
            archive.member(&entry, 0).unwrap();
        }
        archive.finish().unwrap().finish().unwrap();
        // Of the older layer only the shell state is wanted.
        rewrite(&scene, "two", |manifest| {
            manifest.records.retain(|r| ["build", "build/src", "shell"].iter().any(|p| r.entry.path == p.as_bytes()));
            manifest.records[..2].iter_mut().for_each(|record| record.layer = 1);
        });
        let message = scene.restore_from("two").unwrap_err().to_string();
        assert!(message.contains(text), "{message}");
        assert!(!scene.root.path().parent().unwrap().join("x").exists());
    }
}

#[test]
fn gnu_tar_lists_a_layer() {
    let scene = scene();
    fs::write(scene.at("build/src/new\nline"), "new").unwrap();
    scene.save_on("two", "one", true).unwrap();
    let layer = scene.at("two").join(format::LAYER);
    let script = "zstd -dcq -- \"$1\" | tar -t";
    let output = Command::new("bash").args(["-c", script, "bash"]).arg(Path::new(&layer)).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "build/src/\nbuild/src/new\\nline\n");
}
