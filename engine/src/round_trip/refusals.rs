//! What a save and a restore refuse, and that damage is noticed.

use super::super::error::Error;
use super::super::info::{self, Time};
use super::*;

#[test]
fn a_device_stops_a_save_and_leaves_no_state() {
    let scene = Scene::new();
    let node = mknodat(CWD, scene.at("build/null"), FileType::CharacterDevice, Mode::RWXU, rustix::fs::makedev(1, 3));
    if node.is_err() {
        eprintln!("skipped: this user may not make devices");
        return;
    }
    let message = scene.save_to("state").unwrap_err().to_string();
    assert!(message.contains("build/null: it is a device"), "{message}");
    assert_eq!(fs::read_dir(scene.at("state")).unwrap().count(), 0);
}

#[test]
fn a_save_needs_an_empty_place_outside_the_tree() {
    let scene = Scene::new();
    let message = scene.save_to("build/inside").unwrap_err().to_string();
    assert!(message.contains("would contain itself"), "{message}");
    scene.save_to("state").unwrap();
    let message = scene.save_to("state").unwrap_err().to_string();
    assert!(message.contains("state: it is not empty; name"), "{message}");
}

#[test]
fn another_build_directory_is_refused() {
    let scene = Scene::new();
    scene.save_to("state").unwrap();
    edit(&scene, |info| info.build_dir = "/elsewhere".into());
    let message = scene.refusal();
    assert!(message.contains("the state was made at /elsewhere, this build runs at "), "{message}");
}

#[test]
fn an_unknown_format_is_named() {
    let scene = Scene::new();
    scene.save_to("state").unwrap();
    let path = scene.at("state").join(format::INFO);
    fs::write(&path, br#"{ "format": 99, "new": true }"#).unwrap();
    let message = scene.refusal();
    assert!(message.contains("format version 99 is unknown, this engine reads version 3"), "{message}");
    fs::remove_file(path).unwrap();
    let message = scene.restore("state").unwrap_err().to_string();
    assert!(message.contains("it is not a state"), "{message}");
}

#[test]
fn an_output_that_nobody_named_is_refused() {
    let scene = Scene::new();
    fs::write(scene.at("store/out"), b"x").unwrap();
    let mut outputs = vec![("doc".to_owned(), scene.at("store/out"))];
    outputs.push(("out".to_owned(), scene.at("store/out")));
    let request = save::Request {
        to: scene.at("state"),
        build_dir: scene.at("build"),
        shell: scene.at("shell"),
        outputs,
        parent: None,
        listing: None,
        pinned: None,
        warnings: Vec::new(),
        package: "p".into(),
        stage: "build".into(),
        phases: Vec::new(),
        exclude: Vec::new(),
        ..save::Request::default()
    };
    save::save(&request).unwrap();
    let message = scene.refusal();
    assert!(message.contains("it holds the output \"doc\""), "{message}");
    assert!(!scene.at("store/out").exists(), "refused too late");
}

#[test]
fn no_existing_file_is_replaced() {
    for (name, is_link) in [("build/a/file", false), ("build/a", true), ("store/out", true), ("shell", false)] {
        let scene = Scene::new();
        fs::create_dir(scene.at("build/a")).unwrap();
        fs::write(scene.at("build/a/file"), b"saved").unwrap();
        fs::create_dir(scene.at("store/out")).unwrap();
        scene.save_to("state").unwrap();
        for name in ["build", "store", "shell"] {
            fs::rename(scene.at(name), scene.at(&format!("{name}.before"))).unwrap();
        }
        fs::create_dir_all(scene.at(name).parent().unwrap()).unwrap();
        for name in ["build", "store"] {
            fs::create_dir_all(scene.at(name)).unwrap();
        }
        if is_link {
            fs::create_dir(scene.at("victim")).unwrap();
            symlink(scene.at("victim"), scene.at(name)).unwrap();
        } else {
            fs::write(scene.at(name), b"mine").unwrap();
        }
        let message = scene.restore("state").unwrap_err().to_string();
        assert!(message.contains(&format!("{name}: File exists")), "{message}");
        assert!(is_link || fs::read(scene.at(name)).unwrap() == b"mine");
        assert!(!is_link || fs::read_dir(scene.at("victim")).unwrap().count() == 0);
    }
}

#[test]
fn every_damage_is_noticed() {
    let scene = Scene::new();
    for index in 0..20 {
        fs::write(scene.at(&format!("build/{index}")), format!("content {index}").repeat(50)).unwrap();
    }
    scene.save_to("state").unwrap();
    let before = describe(&scene.at("build"));
    for file in [format::LAYER, format::MANIFEST] {
        let path = scene.at("state").join(file);
        let whole = fs::read(&path).unwrap();
        let step = (whole.len() / 60).max(1);
        for at in (0..whole.len()).step_by(step) {
            let mut flipped = whole.clone();
            flipped[at] ^= 0x10;
            for (damage, what) in [(flipped, "flipped"), (whole[..at].to_vec(), "cut")] {
                fs::write(&path, &damage).unwrap();
                let target = Scene::new();
                fs::remove_file(target.at("shell")).unwrap();
                let request = restore::Request {
                    from: scene.at("state"),
                    build_dir: scene.at("build"),
                    shell: target.at("shell"),
                    outputs: Vec::new(),
                    staged: Vec::new(),
                    listing: None,
                    ..restore::Request::default()
                };
                fs::rename(scene.at("build"), scene.at("kept")).unwrap();
                fs::create_dir(scene.at("build")).unwrap();
                let result = restore::restore(&request, &mut |_| ());
                let restored = describe(&scene.at("build"));
                fs::remove_dir_all(scene.at("build")).unwrap();
                fs::rename(scene.at("kept"), scene.at("build")).unwrap();
                match result {
                    Err(Error::Damaged { .. }) => {}
                    // A bit of a frame header that means nothing may flip; then nothing else may differ.
                    Ok(()) => assert!(what == "flipped" && restored == before, "{file} {what} at {at}"),
                    Err(other) => panic!("{file} {what} at {at}: {other}"),
                }
            }
        }
        fs::write(&path, &whole).unwrap();
    }
}

#[test]
fn layer_and_manifest_must_be_of_one_state() {
    let scene = Scene::new();
    fs::write(scene.at("build/file"), b"one").unwrap();
    stamp(&scene.at("build/file"), 5, 5);
    stamp(&scene.at("build"), 5, 5);
    scene.save_to("state").unwrap();
    fs::write(scene.at("build/file"), b"two").unwrap();
    stamp(&scene.at("build/file"), 5, 5);
    scene.save_to("other").unwrap();
    fs::copy(scene.at("other").join(format::LAYER), scene.at("state").join(format::LAYER)).unwrap();
    let message = scene.refusal();
    assert!(message.contains("build/file: the state is damaged: its content is not what"), "{message}");
}

#[test]
fn a_clock_behind_is_waited_for_or_reported() {
    let scene = Scene::new();
    let info = scene.save_to("state").unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    assert!(info.newest.seconds <= now.as_secs().cast_signed());
    let in_seconds = |seconds: u64| Time { seconds: (now.as_secs() + seconds).cast_signed(), nanoseconds: 0 };
    edit(&scene, |info| info.newest = in_seconds(3600));
    let message = scene.refusal();
    assert!(message.contains("seconds ahead of this machine's clock"), "{message}");
    edit(&scene, |info| info.newest = in_seconds(2));
    let notices = scene.restore("state").unwrap();
    assert!(notices.len() == 1 && notices[0].contains("waiting"), "{notices:?}");
    assert!(
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap()
            > now + std::time::Duration::from_secs(1)
    );
}

fn edit(scene: &Scene, change: impl FnOnce(&mut Info)) {
    let state = scene.at("state");
    let mut info = info::read("list", &state).unwrap();
    change(&mut info);
    info::write(&state, &info).unwrap();
}
