//! States that nobody saved: each is refused by name, nothing is written outside, and what was written before the refusal
//! does not pass for a whole tree. The engine runs as in a build, with a bound on its memory.

mod state_support;

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::process::Command;

use phasesplit_state::entry::{Entry, Kind, Mtime};
use phasesplit_state::manifest::{Manifest, Record};
use phasesplit_state::{format, pax, restore};
use state_support::{Scene, done, find, member, mend_checksum, patch, path_of};

/// What a restore may take, in KiB of address space: most of it is the threads' arenas, of which nothing is used.
const MEMORY: &str = "1500000";

struct Case {
    what: &'static str,
    /// What the message must say; among it, where there is one, the entry.
    says: &'static str,
    harm: fn(&Scene),
}

fn case(what: &'static str, says: &'static str, harm: fn(&Scene)) -> Case {
    Case { what, says, harm }
}

fn record<'a>(manifest: &'a mut Manifest, path: &str) -> &'a mut Record {
    manifest.records.iter_mut().find(|record| record.entry.path == path.as_bytes()).unwrap()
}

/// Adds a record like that of `build/b`, where its path belongs.
fn add(manifest: &mut Manifest, path: &str, change: impl FnOnce(&mut Record)) {
    let mut new = record(manifest, "build/b").clone();
    new.entry.path = path.into();
    change(&mut new);
    let order = |other: &Record| phasesplit_state::entry::order(&other.entry.path, path.as_bytes());
    let at = manifest.records.iter().position(|other| order(other).is_ge()).unwrap_or(manifest.records.len());
    manifest.records.insert(at, new);
}

fn file(path: &[u8]) -> Entry {
    let mtime = Mtime { secs: 5, nanos: 0 };
    Entry { path: path.into(), kind: Kind::File, mode: 0o644, size: 6, mtime, link: Vec::new(), hash: None }
}

/// Puts a member in the place of another.
fn replace(scene: &Scene, state: &str, old: &str, new: Vec<u8>) {
    scene.layer(state, |members| *find(members, old) = new);
}

/// A member `build/b` with its extended header replaced: `records` as they stand there.
fn extended(records: &[u8]) -> Vec<u8> {
    let long = vec![b'x'; 200];
    let bytes = member(&file(&long), b"second");
    let mut head = bytes[..512].to_vec();
    head[124..135].copy_from_slice(format!("{:011o}", records.len()).as_bytes());
    mend_checksum(&mut head);
    let mut padded = records.to_vec();
    padded.resize(records.len().next_multiple_of(512), 0);
    [head, padded, member(&file(b"build/b"), b"second")].concat()
}

/// Adds the sparse file `build/z` with this map to the state's own layer and to its manifest.
fn sparse(scene: &Scene, size: u64, map: &str) {
    let mut content = map.as_bytes().to_vec();
    content.resize(content.len().next_multiple_of(512), 0);
    content.extend(b"data!");
    let entry = Entry { kind: Kind::Sparse, size, ..file(b"build/z") };
    let new = member(&entry, &content);
    scene.layer("two", |members| {
        let shell = members.iter().position(|member| path_of(member).starts_with("outputs")).unwrap_or(members.len());
        members.insert(shell, new);
    });
    scene.manifest("two", |m| {
        m.layers[1].members += 1;
        m.layers[1].data += content.len() as u64;
        add(m, "build/z", |record| {
            record.entry = Entry { hash: Some(*blake3::hash(&content).as_bytes()), ..entry };
            record.data = content.len() as u64;
        });
    });
}

/// Compressed zeros.
fn zeros(len: usize) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    let block = vec![0; 1 << 20];
    (0..len >> 20).for_each(|_| encoder.write_all(&block).unwrap());
    encoder.finish().unwrap()
}

const BOMB: usize = 128 << 20;

fn info(scene: &Scene, text: &str) {
    scene.put("two", format::INFO, text.as_bytes());
}

fn change_info(scene: &Scene, change: fn(&mut serde_json::Value)) {
    let path = scene.at("two").join(format::INFO);
    let mut value: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut value);
    fs::write(path, value.to_string()).unwrap();
}

fn parent(scene: &Scene, of: &str, path: &str) {
    scene.put(of, format::PARENT, format!("{path}\n").as_bytes());
}

fn not_regular(scene: &Scene, name: &str, make: fn(&std::path::Path)) {
    let path = scene.at("two").join(name);
    fs::remove_file(&path).unwrap();
    make(&path);
}

fn link_to_zero(path: &std::path::Path) {
    symlink("/dev/zero", path).unwrap();
}

fn pipe(path: &std::path::Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[allow(clippy::too_many_lines, reason = "a table")]
fn cases() -> Vec<Case> {
    vec![
        // Paths.
        case("absolute, manifest", "/canary/x: the path leaves its directory", |s| {
            let path = s.path("canary/x");
            s.manifest("two", |m| record(m, "build/b").entry.path = path.into());
        }),
        case("absolute, archive", "/canary/x: the state is damaged: the path leaves its directory", |s| {
            replace(s, "two", "build/b", member(&file(s.path("canary/x").as_bytes()), b"second"));
        }),
        case(
            "absolute, archive of the parent",
            "/canary/x: the state is damaged: the path leaves its directory",
            |s| {
                replace(s, "one", "build/b", member(&file(s.path("canary/x").as_bytes()), b"first"));
            },
        ),
        case("above, manifest", "build/../canary/x: the path leaves its directory", |s| {
            s.manifest("two", |m| record(m, "build/b").entry.path = b"build/../canary/x".to_vec());
        }),
        case("above, archive", "build/../canary/x: the state is damaged: the path leaves its directory", |s| {
            replace(s, "two", "build/b", member(&file(b"build/../canary/x"), b"second"));
        }),
        case("above, archive of the parent", "build/../canary/x: the state is damaged: the path leaves", |s| {
            replace(s, "one", "build/b", member(&file(b"build/../canary/x"), b"first"));
        }),
        case("above, origin", "build/b: its content cannot come from another path", |s| {
            s.manifest("two", |m| record(m, "build/b").origin = b"build/../a".to_vec());
        }),
        case("NUL in a path", "build/b\\x00c: the state is damaged: the path leaves its directory", |s| {
            replace(s, "two", "build/b", extended(b"18 path=build/b\0c\n"));
        }),
        case("outside without a place", "it holds files of /tmp, which have no place here", |s| {
            s.manifest("two", |m| add(m, "tmp/x", |_| ()));
        }),
        case("above a directory outside", "tmp: it does not lie in a directory of the state", |s| {
            s.manifest("two", |m| add(m, "tmp", |_| ()));
        }),
        // Through a symlink.
        case("through a link, manifest", "build/l/x: it does not lie in a directory of the state", |s| {
            s.manifest("two", |m| add(m, "build/l/x", |_| ()));
        }),
        case(
            "through a link, archive",
            "build/l/x: the state is damaged: the manifest does not know this entry",
            |s| {
                s.layer("two", |members| members.push(member(&file(b"build/l/x"), b"second")));
                s.manifest("two", |m| {
                    m.layers[1].members += 1;
                    m.layers[1].data += 6;
                });
            },
        ),
        case("through a link of the parent", "build/l: the state is damaged: archive and manifest do not agree", |s| {
            s.manifest("two", |m| {
                let directory = record(m, "build/dir").entry.clone();
                record(m, "build/l").entry = Entry { path: b"build/l".to_vec(), ..directory };
                add(m, "build/l/x", |_| ());
            });
        }),
        case(
            "a link in the place of a directory",
            "build: the state is damaged: archive and manifest do not agree",
            |s| {
                with_directory_in_front(s);
                let link = s.path("canary").into_bytes();
                let entry = Entry { kind: Kind::Symlink, size: 0, link, ..file(b"build") };
                replace(s, "two", "build", member(&entry, b""));
            },
        ),
        // Kinds.
        case("a character device", "build/b: it is a device", |s| {
            s.layer("two", |members| patch(find(members, "build/b"), 156, b"3"));
        }),
        case("a block device", "build/b: it is a device", |s| {
            s.layer("two", |members| patch(find(members, "build/b"), 156, b"4"));
        }),
        case("a device in the parent", "build/l: it is a device", |s| {
            s.layer("one", |members| patch(find(members, "build/l"), 156, b"3"));
        }),
        case("an unknown type", "build/b: it is of the unknown type 0x56", |s| {
            s.layer("two", |members| patch(find(members, "build/b"), 156, b"V"));
        }),
        // Twice.
        case("twice, manifest", "build/b: it is there twice, or out of order", |s| {
            s.manifest("two", |m| add(m, "build/b", |_| ()));
        }),
        case("twice, archive", "build/b: the state is damaged: it is there twice, or out of order", |s| {
            s.layer("two", |members| {
                let again = find(members, "build/b").clone();
                let at = members.iter().position(|member| path_of(member) == "build/b").unwrap();
                members.insert(at, again);
            });
            s.manifest("two", |m| {
                m.layers[1].members += 1;
                m.layers[1].data += 6;
            });
        }),
        // Sizes.
        case("2^60, manifest", "build/b: the state is damaged: archive and manifest do not agree", |s| {
            s.manifest("two", |m| {
                let b = record(m, "build/b");
                (b.entry.size, b.data) = (1 << 60, 1 << 60);
            });
        }),
        case("2^64 - 1, manifest", "build/b: it has an impossible size", |s| {
            s.manifest("two", |m| {
                let b = record(m, "build/b");
                (b.entry.size, b.data) = (u64::MAX, u64::MAX);
            });
        }),
        case("2^60, header", "a number in a header is malformed (after build)", |s| {
            with_directory_in_front(s);
            s.layer("two", |members| patch(find(members, "build/b"), 124, b"\x80\0\0\0\x10\0\0\0\0\0\0\0"));
        }),
        case("2^60, extended header", "it holds more than the manifest says", |s| {
            replace(s, "two", "build/b", extended(b"28 size=1152921504606846976\n"));
        }),
        case("2^60, everywhere", "it ends too early (in build/b)", |s| {
            replace(s, "two", "build/b", extended(b"28 size=1152921504606846976\n"));
            s.manifest("two", |m| {
                let b = record(m, "build/b");
                (b.entry.size, b.data, b.entry.mtime) = (1 << 60, 1 << 60, Mtime { secs: 5, nanos: 0 });
                b.entry.mode = 0o644;
                m.layers[1].data = 1 << 61;
            });
        }),
        case("2^70, extended header", "the pax record \"size\" is unknown, doubled or malformed", |s| {
            replace(s, "two", "build/b", extended(b"31 size=1180591620717411303424\n"));
        }),
        // Bombs.
        case("a bomb behind the archive", "there is more after the end of the archive", |s| {
            let path = s.at("two").join(format::LAYER);
            fs::write(&path, [fs::read(&path).unwrap(), zeros(BOMB)].concat()).unwrap();
        }),
        case("a bomb in a file", "it holds more than the manifest says", |s| {
            let archive = [extended(b"18 size=134217728\n"), Vec::new()].concat();
            let bomb = [zstd::encode_all(&archive[..archive.len() - 512], 1).unwrap(), zeros(BOMB)].concat();
            s.put("two", format::LAYER, &bomb);
        }),
        case("a bomb in the parent", "it holds more than the manifest says", |s| {
            let archive = extended(b"18 size=134217728\n");
            let bomb = [zstd::encode_all(&archive[..archive.len() - 512], 1).unwrap(), zeros(BOMB)].concat();
            s.put("one", format::LAYER, &bomb);
        }),
        case("a bomb for a manifest", "the manifest ends in the middle, or is too large", |s| {
            let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
            encoder.write_all(b"phasesplit-manifest 3\0\0\0\0layer 1 1\0\0\0\0f").unwrap();
            let block = vec![b'a'; 1 << 20];
            (0..128).for_each(|_| encoder.write_all(&block).unwrap());
            s.put("two", format::MANIFEST, &encoder.finish().unwrap());
        }),
        case("a window of 2 GiB", "manifest.zst: the state is damaged", |s| {
            // A frame header that asks for it, and a block that never comes.
            s.put("two", format::MANIFEST, &[0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8, 0x01, 0x00, 0x00]);
        }),
        case("an extended header without end", "a pax header is too large (after build", |s| {
            with_directory_in_front(s);
            let mut huge = extended(b"30 mtime=1700000000.000000001\n");
            huge[124..135].copy_from_slice(b"77777777777");
            mend_checksum(&mut huge[..512]);
            replace(s, "two", "build/b", huge);
        }),
        // Hard links.
        case("a hard link to a later file", "build/b: it is a hard link to nothing before it", |s| {
            hard_link(s, b"build/dir/f");
        }),
        case("a hard link outside", "build/b: it is a hard link to nothing before it", |s| {
            hard_link(s, b"../canary/bird");
        }),
        case("a hard link to a directory", "build/e: it is a hard link to a directory", |s| {
            s.manifest("two", |m| {
                add(m, "build/e", |new| {
                    let entry =
                        Entry { kind: Kind::HardLink, size: 0, link: b"build/dir".to_vec(), ..file(b"build/e") };
                    (new.entry, new.data) = (entry, 0);
                });
            });
        }),
        case(
            "a hard link that the archive has elsewhere",
            "build/dir/g: the state is damaged: archive and manifest",
            |s| {
                let entry =
                    Entry { kind: Kind::HardLink, size: 0, link: b"../canary/bird".to_vec(), ..file(b"build/dir/g") };
                replace(s, "one", "build/dir/g", member(&entry, b""));
            },
        ),
        // Maps of holes.
        case("a map that overflows", "the map of a sparse file is malformed (in build/z)", |s| {
            sparse(s, 100, "2\n0\n5\n18446744073709551615\n5\n");
        }),
        case("a map that wraps around", "the map of a sparse file is malformed (in build/z)", |s| {
            sparse(s, 100, "1\n18446744073709551615\n1\n");
        }),
        case("a map of a number too large", "the map of a sparse file is malformed (in build/z)", |s| {
            sparse(s, 100, "1\n99999999999999999999999\n1\n");
        }),
        case("a map of too many pieces", "the map of a sparse file is malformed (in build/z)", |s| {
            sparse(s, 100, "18446744073709551615\n0\n5\n");
        }),
        case("a map that goes back", "the map of a sparse file is malformed (in build/z)", |s| {
            sparse(s, 100, "2\n50\n2\n10\n90\n");
        }),
        case("a map that is not all", "the map of a sparse file is malformed (in build/z)", |s| {
            sparse(s, 100, "1\n0\n5\n");
        }),
        case("a map of other data", "the map of a sparse file does not fit its data (in build/z)", |s| {
            sparse(s, 100, "1\n0\n100\n");
        }),
        // Extended headers.
        case("an unknown record", "the pax record \"SCHILY.xattr.user.x\" is unknown", |s| {
            replace(s, "two", "build/b", extended(b"25 SCHILY.xattr.user.x=1\n"));
        }),
        case("a record too long", "a pax header is malformed", |s| {
            replace(s, "two", "build/b", extended(b"99999 path=x\n"));
        }),
        case("a record of length 0", "a pax header is malformed", |s| {
            replace(s, "two", "build/b", extended(b"0 path=x\n"));
        }),
        // Chains.
        case("33 layers", "it has more layers than a chain can have", |s| {
            s.manifest("two", |m| m.layers = vec![m.layers[0]; format::LAYERS + 1]);
        }),
        case("fewer parents than layers", "its manifest has 32 layers, and its parents are not as many", |s| {
            s.manifest("two", |m| m.layers = vec![m.layers[0]; format::LAYERS]);
        }),
        case("more parents than layers", "its manifest has 1 layers, and its parents are not as many", |s| {
            s.manifest("two", |m| {
                m.layers.truncate(1);
                m.records.iter_mut().for_each(|record| record.layer = 0);
            });
        }),
        case("a circle", "its parents go round in a circle", |s| parent(s, "one", &s.path("two"))),
        case("its own parent", "its parents go round in a circle", |s| parent(s, "two", &s.path("two"))),
        case("a parent that is not there", "/three, which is not there", |s| parent(s, "two", &s.path("three"))),
        case("a parent that is no state", "there is no info.json in it", |s| parent(s, "two", &s.path("canary"))),
        case("a parent below another", "it is not one absolute path", |s| parent(s, "two", &s.path("canary/../one"))),
        // Versions.
        case("version 1", "format version 1 is unknown, this engine reads version 3", |s| info(s, r#"{"format": 1}"#)),
        case("version 4", "format version 4 is unknown", |s| change_info(s, |info| info["format"] = 4.into())),
        case("version 999", "format version 999 is unknown", |s| change_info(s, |info| info["format"] = 999.into())),
        case("version 2", "format version 2 is unknown, this engine reads version 3", |s| info(s, r#"{"format": 2}"#)),
        case("version 2 in words", "format version \"2\" is unknown", |s| {
            change_info(s, |info| info["format"] = "2".into());
        }),
        case("version 2.5", "format version 2.5 is unknown", |s| change_info(s, |info| info["format"] = 2.5.into())),
        case("version -2", "format version -2 is unknown", |s| change_info(s, |info| info["format"] = (-2).into())),
        case("no version", "missing field `format`", |s| {
            change_info(s, |info| _ = info.as_object_mut().unwrap().remove("format"));
        }),
        case("a parent's version", "one/info.json: format version 2 is unknown", |s| {
            s.put("one", format::INFO, br#"{"format": 2}"#);
        }),
        case("a version to hide behind", "format version \"\\x5cu001b[2J", |s| {
            info(s, "{\"format\": \"\\u001b[2J\\nsafe\"}");
        }),
        case("a version without end", "a…", |s| info(s, &format!("{{\"format\": \"{}\"}}", "a".repeat(1 << 20)))),
        // info.json.
        case("no description", "there is no info.json in it, so it is not a state", |s| {
            fs::remove_file(s.at("two").join(format::INFO)).unwrap();
        }),
        case("a deep description", "recursion limit exceeded", |s| {
            info(s, &format!("{{\"format\": {}", "[".repeat(1 << 20)));
        }),
        case("a description without end", "info.json: the state is damaged: it is too long", |s| {
            info(s, &" ".repeat(5 << 20));
        }),
        case("a description of other types", "invalid type", |s| change_info(s, |info| info["phases"] = "all".into())),
        case("another build directory", "made at /x\\x0aroot: all is well, this build runs at", |s| {
            change_info(s, |info| info["buildDir"] = "/x\nroot: all is well".into());
        }),
        case("a time that cannot be", "seconds ahead of this machine's clock", |s| {
            change_info(s, |info| info["newest"] = serde_json::json!({"seconds": i64::MAX, "nanoseconds": u32::MAX}));
        }),
        // Files of the state.
        case("a link for a layer", "layer.tar.zst: the state is damaged: it is not a regular file", |s| {
            not_regular(s, format::LAYER, link_to_zero);
        }),
        case("a pipe for a layer", "layer.tar.zst: the state is damaged: it is not a regular file", |s| {
            not_regular(s, format::LAYER, pipe);
        }),
        case("a link for a manifest", "manifest.zst: the state is damaged: it is not a regular file", |s| {
            not_regular(s, format::MANIFEST, link_to_zero);
        }),
        case("a link for a description", "info.json: the state is damaged: it is not a regular file", |s| {
            not_regular(s, format::INFO, link_to_zero);
        }),
        case("a pipe for a parent", "parent: the state is damaged: it is not a regular file", |s| {
            not_regular(s, format::PARENT, pipe);
        }),
        case("no shell state", "it holds no shell", |s| {
            s.manifest("two", |m| m.records.retain(|r| r.entry.path != b"shell"));
        }),
        case("no build directory", "it holds no build", |s| {
            s.manifest("two", |m| m.records.retain(|r| !r.entry.path.starts_with(b"build")));
        }),
        case("an output of another name", "it holds the output \"x\", which this stage does not have", |s| {
            s.manifest("two", |m| {
                m.records.retain(|r| r.entry.path != b"outputs/out/o");
                record(m, "outputs/out").entry.path = b"outputs/x".to_vec();
            });
        }),
    ]
}

/// Gives the own layer the build directory, so that a member before `build/b` can be named.
fn with_directory_in_front(scene: &Scene) {
    let directory = member(&Entry { kind: Kind::Directory, size: 0, ..file(b"build") }, b"");
    let mut is_new = false;
    scene.layer("two", |members| {
        if path_of(&members[0]) == "build" {
            members[0] = directory;
        } else {
            is_new = true;
            members.insert(0, directory);
        }
    });
    scene.manifest("two", |m| {
        m.layers[1].members += u64::from(is_new);
        let build = record(m, "build");
        (build.layer, build.entry.mode, build.entry.mtime) = (1, 0o644, Mtime { secs: 5, nanos: 0 });
    });
}

fn hard_link(scene: &Scene, to: &[u8]) {
    scene.manifest("two", |m| {
        let b = record(m, "build/b");
        b.entry = Entry { kind: Kind::HardLink, size: 0, link: to.into(), ..file(b"build/b") };
        b.data = 0;
    });
}

#[test]
fn what_nobody_saved_is_refused() {
    let mut wrong = Vec::new();
    for Case { what, says, harm } in cases() {
        let scene = Scene::saved();
        harm(&scene);
        let restore = scene.restore_command("two");
        let mut bounded = Command::new("bash");
        bounded.args(["-c", "ulimit -v \"$1\" && exec timeout 1000 \"${@:2}\"", "bash", MEMORY]);
        bounded.arg(restore.get_program()).args(restore.get_args());
        let output = bounded.output().unwrap();
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        let is_refused = output.status.code() == Some(1) && message.starts_with("phasesplit-state: restore ");
        let is_line = message.ends_with('\n') && !message.trim_end_matches('\n').contains(char::is_control);
        if !is_refused || !is_line || !message.contains(says) || message.len() > 2000 {
            wrong.push(format!("{what} ({:?}), not `{says}`: {message}", output.status.code()));
        }
        assert!(!scene.at("shell").exists(), "{what}: passes for whole");
        scene.assert_untouched(what);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What the table changes is what is refused: without a change the state is restored.
#[test]
fn the_scene_itself_is_sound() {
    let scene = Scene::saved();
    scene.layer("two", |_| ());
    scene.layer("one", |_| ());
    scene.manifest("two", |_| ());
    done(&scene.restore_command("two").output().unwrap());
    assert_eq!(fs::read_to_string(scene.at("build/b")).unwrap(), "second");
    scene.assert_untouched("sound");
    // And the tools of the table make what can be restored.
    for map in ["1\n95\n5\n", "2\n0\n5\n100\n0\n"] {
        let scene = Scene::saved();
        sparse(&scene, 100, map);
        done(&scene.restore_command("two").output().unwrap());
        assert_eq!(scene.at("build/z").metadata().unwrap().len(), 100);
    }
}

/// Each file of both states, cut at 50 places and with a bit flipped at each.
#[test]
fn what_is_cut_or_changed_is_refused_or_means_the_same() {
    let scene = Scene::saved();
    let restore = || {
        let request = restore::Request {
            from: scene.at("two"),
            build_dir: scene.at("build"),
            shell: scene.at("shell"),
            outputs: vec![("out".into(), scene.at("store/out"))],
            staged: Vec::new(),
            listing: None,
            ..restore::Request::default()
        };
        restore::restore(&request, &mut |_| ())
    };
    restore().unwrap();
    let whole = scene.described();
    assert!(whole.len() > 8, "{whole:?}");
    let (mut refused, mut same) = (0, 0);
    for (state, file) in [
        ("two", format::LAYER),
        ("two", format::MANIFEST),
        ("two", format::PARENT),
        ("two", format::INFO),
        ("one", format::LAYER),
        ("one", format::MANIFEST),
        ("one", format::INFO),
    ] {
        let sound = fs::read(scene.at(state).join(file)).unwrap();
        for step in 0..50 {
            let at = sound.len() * step / 50;
            let mut flipped = sound.clone();
            flipped[at] ^= 1 << (step % 8);
            for (damaged, what) in [(sound[..at].to_vec(), "cut"), (flipped, "changed")] {
                scene.clear();
                scene.put(state, file, &damaged);
                let what = format!("{state}/{file} {what} at {at}");
                if restore().is_ok() {
                    same += 1;
                    assert_eq!(scene.described(), whole, "{what}");
                    // Of the parent only the version and the members are anyone's business.
                    let may_be_other = file == format::INFO || (state, file) == ("one", format::MANIFEST);
                    assert!(may_be_other || what.contains("changed"), "{what}: not noticed");
                } else {
                    refused += 1;
                    assert!(!scene.at("shell").exists(), "{what}: passes for whole");
                }
                scene.assert_untouched(&what);
            }
        }
        scene.put(state, file, &sound);
    }
    println!("{refused} refused, {same} the same");
    assert!(refused > 400, "{refused}");
}

/// The archive's reader names the member, also where no restore is around it.
#[test]
fn a_reader_names_what_it_refuses() {
    let mut device = member(&file(b"build/null"), b"second");
    patch(&mut device, 156, b"3");
    let error = pax::Reader::new(&device[..]).next_member().unwrap_err();
    assert_eq!(error.to_string(), "build/null: it is a device");
}
