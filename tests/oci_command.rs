//! `phasesplit oci`: the image has a layer for each state, is the same each time, and real programs unpack it to the tree.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use phasesplit::state::info::Phase;
use phasesplit::state::save;
use serde_json::Value;

struct Scene(tempfile::TempDir);

impl Scene {
    /// A state `one`, and `two` on top of it, with a file that is gone, one that moved, and one that is a directory now.
    fn new() -> Self {
        let scene = Self(tempfile::tempdir().expect("a directory"));
        fs::create_dir_all(scene.at("build/gone/deep")).expect("made");
        for name in ["build/gone/deep/x", "build/goes", "build/stays", "build/turns", "build/moves"] {
            fs::write(scene.at(name), format!("{name}\n")).expect("written");
        }
        fs::hard_link(scene.at("build/stays"), scene.at("build/linked")).expect("linked");
        fs::write(
            scene.at("shell"),
            "A=\"1 2\"\nbuiltin declare -gx A\nphasesplit_stand /build ''\nbuiltin umask 0022\n_phasesplit_whole=1\n",
        )
        .expect("written");
        scene.save("one", None);
        fs::remove_dir_all(scene.at("build/gone")).expect("removed");
        fs::remove_file(scene.at("build/goes")).expect("removed");
        fs::remove_file(scene.at("build/turns")).expect("removed");
        fs::create_dir(scene.at("build/turns")).expect("made");
        fs::write(scene.at("build/turns/into"), "a directory\n").expect("written");
        fs::rename(scene.at("build/moves"), scene.at("build/moved")).expect("renamed");
        fs::set_permissions(scene.at("build/stays"), fs::Permissions::from_mode(0o755)).expect("set");
        fs::create_dir_all(scene.at("store/out/bin")).expect("made");
        symlink("../lib", scene.at("store/out/bin/link")).expect("linked");
        let sparse = fs::File::create(scene.at("store/out/holes")).expect("made");
        sparse.set_len(1 << 20).expect("longer");
        std::os::unix::fs::FileExt::write_all_at(&sparse, b"middle", 500_000).expect("written");
        drop(sparse);
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
            outputs: vec![("out".to_owned(), self.at("store/out"))],
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

    fn oci(&self, to: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_phasesplit"));
        let output = command.current_dir(self.0.path()).args(["oci", "two", to]).output().expect("phasesplit runs");
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        output
    }

    /// Runs another program; `None` where it is not installed.
    fn run(&self, words: &[&str]) -> Option<Output> {
        let output = Command::new(words[0]).args(&words[1..]).current_dir(self.0.path()).output().ok()?;
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        Some(output)
    }

    /// Asserts that the tree at `root` is what the second state holds, times and links included.
    fn assert_tree(&self, root: &Path) {
        let place = |name: &str| root.join(self.at(name).strip_prefix("/").expect("absolute"));
        for name in ["build", "store/out"] {
            assert_eq!(listing(&place(name)), listing(&self.at(name)), "{name}");
        }
        assert_eq!(
            fs::read(root.join(".phasesplit/shell")).expect("there"),
            fs::read(self.at("shell")).expect("there")
        );
    }
}

/// Path, kind, mode, mtime, links and a checksum of everything; what lies in a directory does not change its time here,
/// since some programs set it before they are done.
fn listing(root: &Path) -> String {
    let script = "cd \"$1\" && find . ! -type d -printf '%p %y %m %T@ %l %n\\n' | sort && \
        find . -type d -printf '%p %m\\n' | sort && find . -type f -exec sha256sum {} + | sort -k 2";
    let output = Command::new("bash").args(["-c", script, "-"]).arg(root).output().expect("bash runs");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

fn blob(layout: &Path, descriptor: &Value) -> PathBuf {
    let digest = descriptor["digest"].as_str().expect("a digest").strip_prefix("sha256:").expect("of SHA-256");
    let path = layout.join("blobs/sha256").join(digest);
    assert_eq!(Some(fs::metadata(&path).expect("there").len()), descriptor["size"].as_u64());
    path
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).expect("read")).expect("JSON")
}

#[test]
fn an_image_has_a_layer_for_each_state_and_is_the_same_each_time() {
    let scene = Scene::new();
    scene.oci("image");
    scene.oci("again");
    scene.run(&["diff", "-r", "image", "again"]).expect("diff runs");
    let image = scene.at("image");
    assert_eq!(json(&image.join("oci-layout")), serde_json::json!({ "imageLayoutVersion": "1.0.0" }));
    let index = json(&image.join("index.json"));
    let manifest = json(&blob(&image, &index["manifests"][0]));
    let config = json(&blob(&image, &manifest["config"]));
    assert_eq!(config["config"], serde_json::json!({ "Env": ["A=1 2"], "WorkingDir": "/build" }));
    let history: Vec<&Value> =
        config["history"].as_array().expect("history").iter().map(|one| &one["created_by"]).collect();
    assert_eq!(history, ["one: onePhase", "two: twoPhase"]);
    let layers = manifest["layers"].as_array().expect("layers");
    assert_eq!((layers.len(), config["rootfs"]["diff_ids"].as_array().expect("ids").len()), (2, 2));
    let names = |layer: &Value| {
        let path = blob(&image, layer);
        let output = scene.run(&["tar", "-tzf", path.to_str().expect("text")]).expect("tar runs");
        let below = scene.at("").to_str().expect("text").trim_start_matches('/').to_owned();
        let names = String::from_utf8(output.stdout).expect("text");
        names.lines().filter_map(|name| Some(name.strip_prefix(&below)?.to_owned())).collect::<Vec<_>>()
    };
    let expected = [
        "build/",
        "build/.wh.goes",
        "build/.wh.gone",
        "build/.wh.moves",
        "build/linked",
        "build/moved",
        "build/turns/",
        "build/turns/into",
        "store/",
        "store/out/",
        "store/out/bin/",
        "store/out/bin/link",
        "store/out/holes",
        "build/stays",
    ];
    let found: Vec<String> = names(&layers[1]).into_iter().filter(|name| !name.is_empty()).collect();
    assert_eq!(found, expected);
    let refused =
        Command::new(env!("CARGO_BIN_EXE_phasesplit")).current_dir(scene.at("")).args(["oci", "two", "image"]).output();
    let refused = refused.expect("phasesplit runs");
    assert!(
        refused.status.code() == Some(1) && String::from_utf8_lossy(&refused.stderr).contains("image is not empty")
    );
}

#[test]
fn umoci_unpacks_the_tree() {
    let scene = Scene::new();
    scene.oci("image");
    if scene.run(&["umoci", "unpack", "--rootless", "--image", "image:two", "bundle"]).is_none() {
        eprintln!("skipped: umoci is not installed");
        return;
    }
    let root = scene.at("bundle/rootfs");
    scene.assert_tree(&root);
    // The comparison would see a file that came back.
    let build = root.join(scene.at("build").strip_prefix("/").expect("absolute"));
    fs::write(build.join("goes"), "back\n").expect("written");
    assert_ne!(listing(&build), listing(&scene.at("build")));
}

#[test]
fn skopeo_copies_the_archive() {
    let scene = Scene::new();
    let archive = scene.oci("-").stdout;
    fs::write(scene.at("image.tar"), archive).expect("written");
    let policy = ["skopeo", "--insecure-policy", "copy", "--quiet"];
    let copy = |from: &str, to: &str| scene.run(&[&policy[..], &[from, to]].concat());
    if copy("oci-archive:image.tar", "dir:copied").is_none() {
        eprintln!("skopeo is not installed: skipped");
        return;
    }
    scene.oci("image");
    copy("oci:image:two", "dir:from-layout").expect("copied");
    scene.run(&["diff", "-r", "copied", "from-layout"]).expect("diff runs");
    copy("oci-archive:image.tar:two", "oci:layout:again").expect("copied");
    assert!(scene.at("copied/manifest.json").exists() && scene.at("layout/index.json").exists());
    scene.run(&["skopeo", "inspect", "oci:layout:again"]).expect("inspected");
}

#[test]
fn podman_mounts_the_tree() {
    let scene = Scene::new();
    scene.oci("image");
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: podman mounts images for root alone without a user namespace");
        return;
    }
    let (root, run) = (scene.at("storage"), scene.at("run"));
    let podman = |words: &[&str]| {
        let mut all = vec!["podman", "--root", root.to_str().expect("text"), "--runroot", run.to_str().expect("text")];
        // Nothing but copies of files: works in a container too.
        all.extend(["--storage-driver", "vfs", "--events-backend", "file", "--cgroup-manager", "cgroupfs"]);
        let output = scene.run(&[&all[..], words].concat())?;
        Some(String::from_utf8(output.stdout).expect("text").trim().to_owned())
    };
    let Some(id) = podman(&["pull", "--quiet", "oci:image:two"]) else {
        eprintln!("skipped: podman is not installed");
        return;
    };
    let mounted = podman(&["image", "mount", &id]).expect("mounted");
    scene.assert_tree(Path::new(&mounted));
    podman(&["image", "unmount", &id]).expect("unmounted");
}
