//! States that nobody saved: `phasesplit oci` refuses each by the name of what is wrong, and leaves neither a layout nor
//! anything else. The states are those of the state engine's own table (`engine/tests/state_hostile.rs`), one of each kind.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use phasesplit::state::entry::{Entry, Kind, Mtime};
use phasesplit::state::info::Phase;
use phasesplit::state::manifest::{self, Manifest, Record};
use phasesplit::state::{format, pax, save};

struct Scene(tempfile::TempDir);

impl Scene {
    /// A state `one`, and `two` on top of it, which changed `build/b`.
    fn new() -> Self {
        let scene = Self(tempfile::tempdir().expect("a directory"));
        for directory in ["build/dir", "canary", "temporary"] {
            fs::create_dir_all(scene.at(directory)).expect("made");
        }
        fs::write(scene.at("build/b"), "first").expect("written");
        fs::write(scene.at("build/dir/f"), "f").expect("written");
        std::os::unix::fs::symlink("../canary", scene.at("build/a")).expect("linked");
        fs::write(scene.at("shell"), "phasesplit_stand /build ''\nbuiltin umask 0022\n_phasesplit_whole=1\n")
            .expect("written");
        scene.save("one", None);
        fs::write(scene.at("build/b"), "second").expect("written");
        scene.save("two", Some("one"));
        scene
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn save(&self, name: &str, parent: Option<&str>) {
        let request = save::Request {
            to: self.at(name),
            build_dir: self.at("build"),
            shell: self.at("shell"),
            outputs: Vec::new(),
            parent: parent.map(|parent| self.at(parent)),
            listing: None,
            pinned: None,
            package: "p-1".to_owned(),
            stage: name.to_owned(),
            phases: vec![Phase { name: format!("{name}Phase"), seconds: 1.0 }],
            exclude: Vec::new(),
            ..save::Request::default()
        };
        save::save(&request).expect("saved");
    }

    fn manifest(&self, change: impl FnOnce(&mut Manifest)) {
        let mut read = manifest::read("read", &self.at("two")).expect("sound");
        change(&mut read);
        let mut bytes = Vec::new();
        manifest::write(&mut bytes, &read).expect("written");
        self.put(format::MANIFEST, &zstd::encode_all(&bytes[..], 1).expect("packed"));
    }

    /// Puts another archive into `two`: `change` gets its members, each with its content.
    fn members(&self, change: impl FnOnce(&mut Vec<(Entry, Vec<u8>)>)) {
        let packed = fs::File::open(self.at("two").join(format::LAYER)).expect("opened");
        let mut tar = pax::Reader::new(zstd::Decoder::new(packed).expect("made"));
        let mut members = Vec::new();
        while let Some((entry, _)) = tar.next_member().expect("sound") {
            let mut data = Vec::new();
            tar.read_to_end(&mut data).expect("read");
            members.push((entry, data));
        }
        change(&mut members);
        let mut tar = Vec::new();
        let mut writer = pax::Writer::new(&mut tar);
        for (entry, data) in members {
            writer.member(&entry, data.len() as u64).expect("begun");
            writer.write_all(&data).expect("written");
        }
        writer.finish().expect("ended");
        self.archive(&tar);
    }

    /// Puts other bytes into the place of the archive of `two`.
    fn bytes(&self, change: impl FnOnce(&mut Vec<u8>)) {
        let packed = fs::read(self.at("two").join(format::LAYER)).expect("read");
        let mut tar = zstd::decode_all(&packed[..]).expect("unpacked");
        change(&mut tar);
        self.archive(&tar);
    }

    fn archive(&self, tar: &[u8]) {
        self.put(format::LAYER, &zstd::encode_all(tar, 1).expect("packed"));
    }

    fn put(&self, file: &str, content: &[u8]) {
        fs::write(self.at("two").join(file), content).expect("written");
    }

    fn oci(&self, to: &str) -> Output {
        let mut command = Command::new("timeout");
        let command = command.current_dir(self.0.path()).env("TMPDIR", self.at("temporary"));
        command.args(["60", env!("CARGO_BIN_EXE_phasesplit"), "oci", "two", to]).output().expect("phasesplit runs")
    }

    /// That nothing is there but what this file made.
    fn assert_untouched(&self, what: &str) {
        assert_eq!(names(self.0.path()), ["build", "canary", "one", "shell", "temporary", "two"], "{what}");
        assert!(names(&self.at("canary")).is_empty() && names(&self.at("temporary")).is_empty(), "{what}");
    }
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("read");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("read").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn record<'a>(manifest: &'a mut Manifest, path: &str) -> &'a mut Record {
    manifest.records.iter_mut().find(|record| record.entry.path == path.as_bytes()).expect("it is there")
}

/// Adds a record like that of `build/b` right before it.
fn add(manifest: &mut Manifest, path: &str) {
    let mut new = record(manifest, "build/b").clone();
    new.entry.path = path.into();
    let at = manifest.records.iter().position(|record| record.entry.path == b"build/b").expect("it is there");
    manifest.records.insert(at, new);
}

fn b(members: &mut [(Entry, Vec<u8>)]) -> &mut (Entry, Vec<u8>) {
    members.iter_mut().find(|(entry, _)| entry.path == b"build/b").expect("it is there")
}

/// A member whose header promises more than follows.
fn promising(size: u64, entry: &Entry) -> Vec<u8> {
    let mut tar = Vec::new();
    let mut writer = pax::Writer::new(&mut tar);
    writer.member(entry, size).expect("begun");
    writer.write_all(b"second").expect("written");
    tar
}

fn file(path: &str) -> Entry {
    let mtime = Mtime { secs: 5, nanos: 0 };
    Entry { path: path.into(), kind: Kind::File, mode: 0o644, size: 6, mtime, link: Vec::new(), hash: None }
}

type Case = (&'static str, &'static str, fn(&Scene));

/// What is done to the state, and what the message must say.
const CASES: [Case; 19] = [
    ("absolute, manifest", "/canary/x: the path leaves its directory", |s| {
        let path = s.at("canary/x").to_str().expect("text").to_owned();
        s.manifest(|m| record(m, "build/b").entry.path = path.into());
    }),
    ("absolute, archive", "/canary/x: the state is damaged: the path leaves its directory", |s| {
        let path = s.at("canary/x").to_str().expect("text").to_owned();
        s.members(|members| b(members).0.path = path.into());
    }),
    ("above, manifest", "build/../canary/x: the path leaves its directory", |s| {
        s.manifest(|m| record(m, "build/b").entry.path = b"build/../canary/x".to_vec());
    }),
    ("above, archive", "build/../canary/x: the state is damaged: the path leaves its directory", |s| {
        s.members(|members| b(members).0.path = b"build/../canary/x".to_vec());
    }),
    ("through a link, manifest", "build/a/x: it does not lie in a directory of the state", |s| {
        s.manifest(|m| add(m, "build/a/x"));
    }),
    ("through a link, archive", "build/a/x: the state is damaged: the manifest does not know this entry", |s| {
        s.members(|members| {
            let at = members.iter().position(|(entry, _)| entry.path == b"build/b").expect("it is there");
            members.insert(at, (file("build/a/x"), b"second".to_vec()));
        });
        s.manifest(|m| {
            m.layers[1].members += 1;
            m.layers[1].data += 6;
        });
    }),
    ("a hard link outside", "build/b: it is a hard link to nothing before it", |s| {
        s.manifest(|m| {
            let b = record(m, "build/b");
            b.entry = Entry { kind: Kind::HardLink, size: 0, link: b"../canary/x".to_vec(), ..file("build/b") };
            b.data = 0;
        });
    }),
    ("a device", "build/b: it is a device", |s| {
        s.bytes(|tar| {
            let at = tar.windows(8).position(|name| name == b"build/b\0").expect("it is there");
            tar[at + 156] = b'3';
            mend_checksum(&mut tar[at..at + 512]);
        });
    }),
    ("twice, manifest", "build/b: it is there twice, or out of order", |s| s.manifest(|m| add(m, "build/b"))),
    ("twice, archive", "build/b: the state is damaged: it is there twice, or out of order", |s| {
        s.members(|members| {
            let at = members.iter().position(|(entry, _)| entry.path == b"build/b").expect("it is there");
            members.insert(at, members[at].clone());
        });
        s.manifest(|m| {
            m.layers[1].members += 1;
            m.layers[1].data += 6;
        });
    }),
    ("2^60, manifest", "build/b: the state is damaged: archive and manifest do not agree", |s| {
        s.manifest(|m| {
            let b = record(m, "build/b");
            (b.entry.size, b.data) = (1 << 60, 1 << 60);
        });
    }),
    ("2^60, archive", "it holds more than the manifest says", |s| s.archive(&promising(1 << 60, &file("build/b")))),
    ("2^60, both", "it ends too early", |s| {
        s.archive(&promising(1 << 60, &Entry { size: 1 << 60, ..file("build/b") }));
        s.manifest(|m| {
            let b = record(m, "build/b");
            b.entry = Entry { size: 1 << 60, hash: b.entry.hash, ..file("build/b") };
            b.data = 1 << 60;
            m.layers[1].data = 1 << 61;
        });
    }),
    ("cut in its middle", "layer.tar.zst: the state is damaged: it ends too early", |s| {
        s.bytes(|tar| {
            let end = tar.windows(6).position(|data| data == b"second").expect("it is there");
            tar.truncate(end + 3);
        });
    }),
    ("other content", "build/b: the state is damaged: its content is not what the manifest says", |s| {
        s.members(|members| b(members).1 = b"SECOND".to_vec());
    }),
    ("a foreign version", "two/info.json: format version 2 is unknown", |s| s.put(format::INFO, br#"{"format": 2}"#)),
    ("its own parent", "its parents go round in a circle", |s| {
        s.put(format::PARENT, format!("{}\n", s.at("two").display()).as_bytes());
    }),
    ("a parent that is not there", "/three, which is not there", |s| {
        s.put(format::PARENT, format!("{}\n", s.at("three").display()).as_bytes());
    }),
    ("a whiteout", "build/.wh.b: a name that begins with .wh. means in an image that a file is gone", |s| {
        s.members(|members| b(members).0.path = b"build/.wh.b".to_vec());
        s.manifest(|m| {
            let at = m.records.iter().position(|record| record.entry.path == b"build/b").expect("it is there");
            let mut b = m.records.remove(at);
            b.entry.path = b"build/.wh.b".to_vec();
            let build = m.records.iter().position(|record| record.entry.path == b"build").expect("it is there");
            m.records.insert(build + 1, b);
        });
    }),
];

/// Of a header that was changed.
fn mend_checksum(header: &mut [u8]) {
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

#[test]
fn what_nobody_saved_is_refused_by_name_and_leaves_nothing() {
    let mut wrong = Vec::new();
    for (what, says, harm) in CASES {
        let scene = Scene::new();
        harm(&scene);
        for to in ["image", "-"] {
            let output = scene.oci(to);
            let message = String::from_utf8_lossy(&output.stderr).into_owned();
            if output.status.code() != Some(1) || !message.contains(says) || !output.stdout.is_empty() {
                wrong.push(format!("{what}, to {to} ({:?}), not `{says}`: {message}", output.status.code()));
            }
            if !scene.at("image").exists() {
                scene.assert_untouched(what);
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What the table changes is what is refused.
#[test]
fn the_scene_itself_is_sound() {
    let scene = Scene::new();
    scene.members(|_| ());
    scene.manifest(|_| ());
    scene.bytes(|_| ());
    let output = scene.oci("image");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(scene.at("image/index.json").exists());
}
