//! A build directory, states of it, and a place that nobody may touch: for the tests that harm states and machines.

#![allow(dead_code, reason = "each test program takes what it needs")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use phasesplit_state::manifest::{self, Manifest};
use phasesplit_state::{format, pax};

/// What a tree holds: by path, mode, mtime and content, a link's target, or what else it is.
pub type Tree = BTreeMap<PathBuf, (u32, i64, i64, Vec<u8>)>;

/// A build directory `build`, an output `store/out`, a shell state `shell`, and `canary`, which is nobody's.
pub struct Scene {
    /// Removed at the end.
    pub root: tempfile::TempDir,
}

/// Bytes of the content of `build/a` that do not shrink: damage to it is damage to the archive.
const NOISE: usize = 3000;

impl Scene {
    /// The tree of the first state.
    pub fn new() -> Self {
        Self::new_in(&std::env::temp_dir())
    }

    pub fn new_in(directory: &Path) -> Self {
        let scene = Self { root: tempfile::tempdir_in(directory).unwrap() };
        fs::set_permissions(scene.root.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for name in ["build/dir", "store/out", "canary"] {
            fs::create_dir_all(scene.at(name)).unwrap();
        }
        fs::write(scene.at("canary/bird"), "alive").unwrap();
        fs::write(scene.at("shell"), "x=1\n").unwrap();
        fs::write(scene.at("build/a"), noise(NOISE)).unwrap();
        fs::write(scene.at("build/b"), "first").unwrap();
        fs::write(scene.at("build/dir/f"), "file").unwrap();
        fs::hard_link(scene.at("build/dir/f"), scene.at("build/dir/g")).unwrap();
        symlink("dir", scene.at("build/l")).unwrap();
        fs::write(scene.at("store/out/o"), "output").unwrap();
        scene
    }

    /// With the state `one` of the first tree, and on it `two`, in which `build/b` has changed.
    pub fn saved() -> Self {
        let scene = Self::new();
        done(&scene.save("one", None));
        fs::write(scene.at("build/b"), "second").unwrap();
        done(&scene.save("two", Some("one")));
        scene.clear();
        scene
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub fn path(&self, name: &str) -> String {
        self.at(name).to_str().unwrap().to_owned()
    }

    /// The engine's `save` of the tree as it is.
    pub fn save_command(&self, to: &str, parent: Option<&str>) -> Command {
        let mut command = engine();
        command.args(["save", "--package=p", "--stage=s", "--to", &self.path(to)]);
        command.args(["--build-dir", &self.path("build"), "--shell", &self.path("shell")]);
        command.arg(format!("--output=out={}", self.path("store/out")));
        if let Some(parent) = parent {
            command.args(["--parent", &self.path(parent)]);
        }
        command
    }

    pub fn save(&self, to: &str, parent: Option<&str>) -> Output {
        self.save_command(to, parent).output().unwrap()
    }

    pub fn restore_command(&self, from: &str) -> Command {
        let mut command = engine();
        command.args(["restore", "--from", &self.path(from), "--build-dir", &self.path("build")]);
        command.args(["--shell", &self.path("shell")]);
        command.arg(format!("--output=out={}", self.path("store/out")));
        command
    }

    /// Removes the tree, so that it can be restored.
    pub fn clear(&self) {
        for name in ["build", "store"] {
            for entry in fs::read_dir(self.at(name)).unwrap() {
                let path = entry.unwrap().path();
                if path.symlink_metadata().unwrap().is_dir() {
                    fs::remove_dir_all(path).unwrap();
                } else {
                    fs::remove_file(path).unwrap();
                }
            }
        }
        _ = fs::remove_file(self.at("shell"));
    }

    /// All that a restore makes.
    pub fn described(&self) -> Tree {
        let mut tree = Tree::new();
        for name in ["build", "store/out", "shell"] {
            describe(&self.at(name), &mut tree);
        }
        // Who makes it decides its mode and mtime.
        tree.remove(&self.at("shell")).into_iter().for_each(|(.., content)| {
            tree.insert("shell".into(), (0, 0, 0, content));
        });
        tree
    }

    /// That nothing was written but where a restore writes.
    #[track_caller]
    pub fn assert_untouched(&self, what: &str) {
        assert_eq!(fs::read_to_string(self.at("canary/bird")).unwrap(), "alive", "{what}");
        assert_eq!(names(&self.at("canary")), ["bird"], "{what}");
        let known = ["build", "canary", "one", "shell", "store", "three", "two"];
        let other: Vec<_> = names(self.root.path()).into_iter().filter(|name| !known.contains(&&name[..])).collect();
        assert!(other.is_empty(), "{what}: {other:?}");
        assert!(names(&self.at("store")).iter().all(|name| name == "out"), "{what}");
    }

    /// Puts another manifest into a state.
    pub fn manifest(&self, state: &str, change: impl FnOnce(&mut Manifest)) {
        let mut manifest = manifest::read("list", &self.at(state)).unwrap();
        change(&mut manifest);
        let mut bytes = Vec::new();
        manifest::write(&mut bytes, &manifest).unwrap();
        self.put(state, format::MANIFEST, &zstd::encode_all(&bytes[..], 1).unwrap());
    }

    /// Puts another archive into a state: `change` gets its members, headers and all.
    pub fn layer(&self, state: &str, change: impl FnOnce(&mut Vec<Vec<u8>>)) {
        let file = fs::File::open(self.at(state).join(format::LAYER)).unwrap();
        let mut members = members(&zstd::decode_all(file).unwrap());
        change(&mut members);
        let archive = [members.concat(), vec![0; 1024]].concat();
        self.put(state, format::LAYER, &zstd::encode_all(&archive[..], 1).unwrap());
    }

    pub fn put(&self, state: &str, file: &str, content: &[u8]) {
        fs::write(self.at(state).join(file), content).unwrap();
    }
}

/// Bytes that do not shrink.
pub fn noise(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().finalize_xof().fill(&mut bytes);
    bytes
}

pub fn engine() -> Command {
    // Unset where the tests of another package take what they need of this.
    Command::new(option_env!("CARGO_BIN_EXE_phasesplit-state").unwrap_or("phasesplit-state"))
}

#[track_caller]
pub fn done(output: &Output) {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), &*errors), (Some(0), ""));
}

pub fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// What is at `path` and below.
pub fn describe(path: &Path, tree: &mut Tree) {
    let Ok(metadata) = path.symlink_metadata() else { return };
    let content = match metadata.file_type() {
        kind if kind.is_file() => fs::read(path).unwrap(),
        kind if kind.is_symlink() => fs::read_link(path).unwrap().as_os_str().as_bytes().to_vec(),
        kind => format!("{kind:?}").into_bytes(),
    };
    tree.insert(path.into(), (metadata.mode(), metadata.mtime(), metadata.mtime_nsec(), content));
    if metadata.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            describe(&entry.unwrap().path(), tree);
        }
    }
}

/// The members of an archive, each with its extended header and its data.
fn members(archive: &[u8]) -> Vec<Vec<u8>> {
    let mut members = Vec::new();
    let (mut start, mut at) = (0, 0);
    while archive[at] != 0 {
        let size = std::str::from_utf8(&archive[at + 124..at + 135]).unwrap();
        let is_extended = archive[at + 156] == b'x';
        at += 512 + usize::from_str_radix(size, 8).unwrap().next_multiple_of(512);
        if !is_extended {
            members.push(archive[start..at].to_vec());
            start = at;
        }
    }
    members
}

/// The path of a member that is no longer than 100 bytes.
pub fn path_of(member: &[u8]) -> String {
    let header = header_at(member);
    let name = member[header..header + 100].split(|byte| *byte == 0).next().unwrap();
    String::from_utf8_lossy(name).trim_end_matches('/').to_owned()
}

/// The member with this path.
pub fn find<'a>(members: &'a mut [Vec<u8>], path: &str) -> &'a mut Vec<u8> {
    members.iter_mut().find(|member| path_of(member) == path).unwrap()
}

/// Where the header proper begins, behind the extended one.
fn header_at(member: &[u8]) -> usize {
    if member[156] != b'x' {
        return 0;
    }
    let size = std::str::from_utf8(&member[124..135]).unwrap();
    512 + usize::from_str_radix(size, 8).unwrap().next_multiple_of(512)
}

/// Writes into a member's header, and puts the checksum right.
pub fn patch(member: &mut [u8], offset: usize, bytes: &[u8]) {
    let at = header_at(member);
    let block = &mut member[at..at + 512];
    block[offset..offset + bytes.len()].copy_from_slice(bytes);
    mend_checksum(block);
}

pub fn mend_checksum(block: &mut [u8]) {
    block[148..156].fill(b' ');
    let sum: u32 = block[..512].iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

/// A member as our writer makes it, with this path and content. The writer checks neither.
pub fn member(entry: &phasesplit_state::entry::Entry, content: &[u8]) -> Vec<u8> {
    let mut archive = pax::Writer::new(Vec::new());
    archive.member(entry, content.len() as u64).unwrap();
    std::io::Write::write_all(&mut archive, content).unwrap();
    let mut bytes = archive.finish().unwrap();
    bytes.truncate(bytes.len() - 1024);
    bytes
}
