//! States made by our own writer, looked into, and hostile ones refused.

mod differences;
mod extraction;
mod hostile;
mod reading;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::State;
use crate::state::manifest::{self, Manifest};
use crate::state::{format, frames, save};

/// A directory with a build directory, a place for outputs, a shell and states.
struct Scene(tempfile::TempDir);

impl Scene {
    fn new() -> Self {
        let scene = Self(tempfile::tempdir().unwrap());
        fs::create_dir(scene.at("build")).unwrap();
        fs::create_dir(scene.at("store")).unwrap();
        scene.write("shell", "a=\"1\"\nphasesplit_stand /build ''\nbuiltin umask 0022\n_phasesplit_whole=1\n");
        scene
    }

    /// One with a bit of everything.
    fn full() -> Self {
        let scene = Self::new();
        for directory in ["build/src/deep", "build/empty", "store/out/bin"] {
            fs::create_dir_all(scene.at(directory)).unwrap();
        }
        scene.write("build/src/a.txt", &"a line\n".repeat(100));
        scene.write("build/src/deep/b", "b");
        scene.write("build/nothing", "");
        scene.write("build/long", &"x".repeat(3 << 20));
        scene.write("store/out/bin/tool", "#!/bin/sh\n");
        scene.chmod("store/out/bin/tool", 0o4755);
        fs::hard_link(scene.at("build/src/a.txt"), scene.at("store/out/again")).unwrap();
        symlink("a.txt", scene.at("build/src/link")).unwrap();
        let sparse = fs::File::create(scene.at("build/holes")).unwrap();
        sparse.set_len(1 << 20).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&sparse, b"middle", 500_000).unwrap();
        drop(sparse);
        let mode = rustix::fs::Mode::from_raw_mode(0o640);
        rustix::fs::mknodat(rustix::fs::CWD, scene.at("build/pipe"), rustix::fs::FileType::Fifo, mode, 0).unwrap();
        scene
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.at(name), text).unwrap();
    }

    fn chmod(&self, name: &str, mode: u32) {
        fs::set_permissions(self.at(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    fn save(&self, name: &str, parent: Option<&str>) -> State {
        let request = save::Request {
            to: self.at(name),
            build_dir: self.at("build"),
            shell: self.at("shell"),
            outputs: vec![("out".to_owned(), self.at("store/out"))],
            parent: parent.map(|parent| self.at(parent)),
            listing: None,
            pinned: None,
            package: "p-1".to_owned(),
            stage: name.to_owned(),
            warnings: Vec::new(),
            phases: Vec::new(),
            exclude: Vec::new(),
            ..save::Request::default()
        };
        save::save(&request).unwrap();
        self.open(name)
    }

    fn open(&self, name: &str) -> State {
        State::open(&self.at(name)).unwrap()
    }

    /// Puts another manifest into a state.
    fn rewrite(&self, name: &str, change: impl FnOnce(&mut Manifest)) {
        let mut manifest = manifest::read("test", &self.at(name)).unwrap();
        change(&mut manifest);
        let mut out = frames::Writer::new(fs::File::create(self.at(name).join(format::MANIFEST)).unwrap());
        manifest::write(&mut out, &manifest).unwrap();
        out.finish().unwrap();
    }
}

fn name(bytes: &[u8]) -> &OsStr {
    OsStr::from_bytes(bytes)
}

/// What `find` and a checksum say of a tree: path, mode, mtime, and what it holds.
fn listing(root: &Path) -> Vec<String> {
    let script = "cd \"$1\" && find . -mindepth 1 -printf '%p %y %m %T@ %l %n\\n' | sort && \
        find . -type f -exec sha256sum {} + | sort -k 2";
    let output = std::process::Command::new("bash").args(["-c", script, "-"]).arg(root).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}
