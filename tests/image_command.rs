//! `phasesplit image`: the layers of a closure hold what the store does, are the same each time, are made once, and real
//! programs unpack and run them.
//!
//! The closures are made of the store's own functions, so that nothing has to be built but where building is the matter.

#[path = "support/mod.rs"]
mod support;

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use support::{command, phasesplit, salt, succeed, text};

struct Scene(tempfile::TempDir);

impl Scene {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Adds a directory that `make` fills to the store.
    fn add(&self, name: &str, make: impl FnOnce(&Path)) -> String {
        let path = self.at(name);
        fs::create_dir(&path).expect("made");
        make(&path);
        let output = succeed(command("nix-store", self.0.path()).arg("--add").arg(&path));
        text(&output.stdout).trim().to_owned()
    }

    /// A store path with one file that names `references`.
    fn text(&self, name: &str, content: &str, references: &[&str]) -> String {
        let references: Vec<String> =
            references.iter().map(|path| format!("${{builtins.storePath \"{path}\"}}")).collect();
        let expression = format!("builtins.toFile \"{name}\" \"{content} {}\"", references.join(" "));
        let words = ["--eval", "--read-write-mode", "--json", "-E", &expression];
        let output = succeed(command("nix-instantiate", self.0.path()).args(words));
        serde_json::from_slice(&output.stdout).expect("a path")
    }

    fn image(&self, words: &[&str]) -> Output {
        phasesplit(self.0.path()).arg("image").args(words).output().expect("phasesplit runs")
    }

    /// The image of `words`, which must be made; its report.
    fn made(&self, words: &[&str]) -> Value {
        let output = self.image(&[words, &["--json"]].concat());
        assert_eq!(output.status.code(), Some(0), "{words:?}: {}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    fn refused(&self, words: &[&str], code: i32, says: &str) {
        let output = self.image(words);
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{words:?}: {message}");
        assert!(message.contains(says), "{words:?}: {message}");
    }

    /// Runs another program; `None`, and a word about it, where it is not installed.
    fn run(&self, words: &[&str]) -> Option<Output> {
        match Command::new(words[0]).args(&words[1..]).current_dir(self.0.path()).output() {
            Ok(output) => {
                assert!(output.status.success(), "{words:?}: {}", text(&output.stderr));
                Some(output)
            }
            Err(error) => {
                eprintln!("skipped: {} does not run here: {error}", words[0]);
                None
            }
        }
    }

    fn same(&self, one: &str, other: &str) {
        self.run(&["diff", "-r", one, other]).expect("diff runs");
    }
}

/// Store paths that need each other: the package, a library that it needs, and what both need.
fn closure(scene: &Scene, salt: &str) -> [String; 3] {
    let base = scene.text("base", salt, &[]);
    let library = scene.text("library", salt, &[&base]);
    let package = scene.text("package", salt, &[&library, &base]);
    [package, library, base]
}

/// A tree with all that a store path can hold.
fn everything(path: &Path) {
    fs::create_dir_all(path.join("share/empty")).expect("made");
    fs::create_dir(path.join("bin")).expect("made");
    fs::write(path.join("bin/tool"), "#!/bin/sh\necho tool\n").expect("written");
    fs::set_permissions(path.join("bin/tool"), Permissions::from_mode(0o755)).expect("set");
    fs::write(path.join("share/text"), "text\n").expect("written");
    fs::hard_link(path.join("share/text"), path.join("share/again")).expect("linked");
    fs::write(path.join("share/a name\nwith an end of line"), "").expect("written");
    fs::write(path.join(format!("share/{}", "long-".repeat(45))), "long\n").expect("written");
    fs::write(path.join("share/large"), "0123456789abcdef".repeat(200_000)).expect("written");
    symlink("../share/text", path.join("bin/link")).expect("linked");
    symlink("nowhere", path.join("share/broken")).expect("linked");
}

/// Path, kind, mode, owner, time, target and a checksum of a file, or of everything in a directory.
fn listing(root: &Path) -> String {
    let script = "cd \"${1%/*}\" && find \"./${1##*/}\" -printf '%p %y %m %U %G %T@ %l\\n' | sort && \
        find \"./${1##*/}\" -type f -exec sha256sum {} + | sort -k 2";
    let output = succeed(Command::new("bash").args(["-c", script, "-"]).arg(root));
    text(&output.stdout)
}

fn blob(layout: &Path, descriptor: &Value) -> PathBuf {
    let digest = descriptor["digest"].as_str().expect("a digest").strip_prefix("sha256:").expect("of SHA-256");
    let path = layout.join("blobs/sha256").join(digest);
    let content = fs::read(&path).expect("there");
    assert_eq!((Some(content.len() as u64), hash(&content).as_str()), (descriptor["size"].as_u64(), digest));
    path
}

fn hash(bytes: &[u8]) -> String {
    phasesplit::inspect::json::hexadecimal(&Sha256::digest(bytes))
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).expect("read")).expect("JSON")
}

/// Manifest and configuration of an image, each blob checked against its descriptor and each layer against its identity.
fn sound(layout: &Path, name: &str) -> (Value, Value) {
    let index = json(&layout.join("index.json"));
    let named = |image: &&Value| image["annotations"]["org.opencontainers.image.ref.name"] == name;
    let image = index["manifests"].as_array().expect("images").iter().find(named).expect("the image").clone();
    let manifest = json(&blob(layout, &image));
    let config = json(&blob(layout, &manifest["config"]));
    let layers = manifest["layers"].as_array().expect("layers");
    let ids = config["rootfs"]["diff_ids"].as_array().expect("identities");
    assert_eq!((layers.len(), layers.len()), (ids.len(), config["history"].as_array().expect("history").len()));
    for (layer, id) in layers.iter().zip(ids) {
        let packed = fs::read(blob(layout, layer)).expect("read");
        let mut plain = Vec::new();
        match layer["mediaType"].as_str().expect("a type").rsplit('.').next() {
            Some("tar+gzip") => flate2::read::MultiGzDecoder::new(&packed[..]).read_to_end(&mut plain),
            Some("tar+zstd") => zstd::Decoder::new(&packed[..]).expect("made").read_to_end(&mut plain),
            _ => (&packed[..]).read_to_end(&mut plain),
        }
        .expect("unpacked");
        assert_eq!(*id, format!("sha256:{}", hash(&plain)));
    }
    (manifest, config)
}

fn reused(report: &Value) -> Vec<bool> {
    report["layers"].as_array().expect("layers").iter().map(|layer| layer["reused"] == true).collect()
}

/// Each file of a layout, and when it was made.
fn files(layout: &Path) -> BTreeSet<(String, u64, i64)> {
    let entries = fs::read_dir(layout.join("blobs/sha256")).expect("read").chain(fs::read_dir(layout).expect("read"));
    entries
        .map(|entry| {
            let (entry, name) = entry.map(|entry| (entry.metadata().expect("there"), entry.file_name())).expect("read");
            (name.to_string_lossy().into_owned(), entry.ino(), entry.mtime_nsec())
        })
        .collect()
}

#[test]
fn a_layer_for_each_path_is_the_same_each_time_and_made_once() {
    let scene = Scene::new();
    let [package, library, base] = closure(&scene, &salt());
    let report = scene.made(&[&package, "one"]);
    let paths: Vec<&Value> = report["layers"].as_array().expect("layers").iter().map(|layer| &layer["paths"]).collect();
    let expected = [vec![&base], vec![&library], vec![&package], vec![]];
    assert_eq!(paths, expected.map(|paths| serde_json::json!(paths)).iter().collect::<Vec<_>>());
    scene.made(&[&package, "two"]);
    scene.same("one", "two");
    let (manifest, config) = sound(&scene.at("one"), "latest");
    assert_eq!(
        config["config"],
        serde_json::json!({}),
        "no program, so nothing to run and nowhere to look for programs"
    );
    assert_eq!(config["created"], "1970-01-01T00:00:01.000000000Z");
    assert_eq!(config["history"][1]["created_by"], library);
    assert_eq!(manifest["mediaType"], "application/vnd.oci.image.manifest.v1+json");

    let before = files(&scene.at("one"));
    assert_eq!(reused(&scene.made(&[&package, "one"])), [true; 4]);
    let blobs = |files: &BTreeSet<(String, u64, i64)>| -> Vec<(String, u64, i64)> {
        files.iter().filter(|(name, ..)| name.len() == 64).cloned().collect()
    };
    assert_eq!(blobs(&files(&scene.at("one"))), blobs(&before), "nothing was written again");
    scene.same("one", "two");

    // Another version of the package: what it needs is not written again, and both images are whole.
    let next = scene.text("package", "another version", &[&library, &base]);
    assert_eq!(reused(&scene.made(&[&next, "one", "--tag", "next"])), [true, true, false, true]);
    sound(&scene.at("one"), "latest");
    sound(&scene.at("one"), "next");
    scene.made(&[&next, "three", "--tag", "next"]);
    let digest = |layout: &str| json(&scene.at(layout).join("index.json"))["manifests"][0]["digest"].clone();
    let index = json(&scene.at("one").join("index.json"));
    assert_eq!(index["manifests"][1]["digest"], digest("three"), "what was lent is what would have been made");
    // A name is that of one image.
    scene.made(&[&next, "one"]);
    let index = json(&scene.at("one").join("index.json"));
    let images = index["manifests"].as_array().expect("images");
    assert_eq!((images.len(), &images[0]["digest"], &images[1]["digest"]), (2, &digest("three"), &digest("three")));
}

#[test]
fn above_the_limit_the_least_needed_share_a_layer() {
    let scene = Scene::new();
    let salt = salt();
    let base = scene.text("base", &"large ".repeat(1000), &[]);
    let parts: Vec<String> = (0..6).map(|n| scene.text(&format!("part-{n}"), &salt, &[&base])).collect();
    let references: Vec<&str> = parts.iter().map(String::as_str).collect();
    let package = scene.text("package", &salt, &references);
    let report = scene.made(&[&package, "image", "--max-layers", "4"]);
    let layers = report["layers"].as_array().expect("layers");
    let mut shared = parts;
    shared.sort();
    let expected = [vec![base], shared, vec![package.clone()], vec![]];
    let paths: Vec<&Value> = layers.iter().map(|layer| &layer["paths"]).collect();
    assert_eq!(paths, expected.map(|paths| serde_json::json!(paths)).iter().collect::<Vec<_>>());
    sound(&scene.at("image"), "latest");
    scene.refused(&[&package, "other", "--max-layers", "2"], 2, "2 is not in 3..=127");
    assert!(!scene.at("other").exists());
}

#[test]
fn what_is_there_is_believed_only_as_far_as_was_asked_for() {
    let scene = Scene::new();
    let [package, ..] = closure(&scene, &salt());
    scene.made(&[&package, "sound"]);
    let report = scene.made(&[&package, "image"]);
    let digest = |at: usize| report["layers"][at]["digest"].as_str().expect("a digest")[7..].to_owned();
    let layer = scene.at("image/blobs/sha256").join(digest(1));
    // A layer that is shorter is no layer.
    let whole = fs::read(&layer).expect("read");
    fs::write(&layer, &whole[1..]).expect("written");
    assert_eq!(reused(&scene.made(&[&package, "image"])), [true, false, true, true]);
    scene.same("image", "sound");
    fs::remove_file(&layer).expect("removed");
    assert_eq!(reused(&scene.made(&[&package, "image"])), [true, false, true, true]);
    scene.same("image", "sound");
    // One that is as long is, unless it is to be looked at.
    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 1;
    fs::write(&layer, &damaged).expect("written");
    assert_eq!(reused(&scene.made(&[&package, "image"])), [true; 4]);
    let output = scene.image(&[&package, "image", "--verify"]);
    assert!(text(&output.stderr).contains(&format!("sha256:{} was not what its name says", digest(1))), "{output:?}");
    scene.same("image", "sound");
    // A manifest that is not what its name says lends nothing.
    let index = json(&scene.at("image/index.json"));
    let manifest = scene
        .at("image/blobs/sha256")
        .join(&index["manifests"][0]["digest"].as_str().expect("a digest")["sha256:".len()..]);
    let changed = fs::read_to_string(&manifest).expect("read").replace(&digest(1), &digest(0));
    fs::write(&manifest, changed).expect("written");
    let layers = scene.made(&[&package, "image", "--verify"]);
    assert_eq!(layers["layers"], report_without_reuse(&scene, &package));
    scene.same("image", "sound");
}

/// The layers of a new image, all of them there already.
fn report_without_reuse(scene: &Scene, package: &str) -> Value {
    let mut report = scene.made(&[package, "fresh"]);
    for layer in report["layers"].as_array_mut().expect("layers") {
        layer["reused"] = true.into();
    }
    report["layers"].clone()
}

#[test]
fn a_directory_of_something_else_and_a_failure_leave_all_as_it_was() {
    let scene = Scene::new();
    let [package, ..] = closure(&scene, &salt());
    let hidden = scene.add("hidden", |path| fs::write(path.join(".wh.x"), "a whiteout\n").expect("written"));
    scene.refused(&[&hidden, "new"], 1, ".wh.x: a name that begins with .wh. means in an image that a file is gone");
    assert!(!scene.at("new").exists());
    fs::create_dir(scene.at("empty")).expect("made");
    scene.refused(&[&hidden, "empty"], 1, ".wh.x: a name");
    assert_eq!(fs::read_dir(scene.at("empty")).expect("read").count(), 0);
    scene.made(&[&package, "image"]);
    let before = files(&scene.at("image"));
    scene.refused(&[&hidden, "image", "--add", &package], 1, ".wh.x: a name");
    assert_eq!(files(&scene.at("image")), before);
    fs::create_dir(scene.at("other")).expect("made");
    fs::write(scene.at("other/file"), "mine\n").expect("written");
    scene.refused(&[&package, "other"], 1, "other is not empty, and no image layout");
    scene.refused(&[&package, "other/file"], 1, "other/file is no directory");
    scene.refused(&[&package, "none/image"], 4, "none/image: No such file or directory");
    fs::write(scene.at("image/index.json"), "{}").expect("written");
    scene.refused(&[&package, "image"], 1, "index.json: it is no index of images");
    // What a process that was killed leaves is no image, and taken away by the next one.
    fs::remove_file(scene.at("image/index.json")).expect("removed");
    fs::write(scene.at("image/.phasesplit-image-123"), "half").expect("written");
    scene.made(&[&package, "image"]);
    assert!(!scene.at("image/.phasesplit-image-123").exists());
    sound(&scene.at("image"), "latest");
}

#[test]
fn what_the_command_line_says_is_what_a_container_is_started_with() {
    let scene = Scene::new();
    let tool = scene.add("tool-1.0", everything);
    let (_, config) = {
        scene.made(&[&tool, "image"]);
        sound(&scene.at("image"), "latest")
    };
    assert_eq!(config["config"], serde_json::json!({ "Cmd": ["/bin/tool"], "Env": ["PATH=/bin"] }));
    let options = [
        "--entrypoint=/bin/tool",
        "--entrypoint=--loud",
        "--cmd=-x",
        "-e=A=1",
        "-e=PATH=/opt",
        "--workdir=/tmp",
        "--user=1000:100",
        "--label=a=b",
        "--architecture=riscv64",
        "--created=86400",
        "--tag=1.0",
    ];
    scene.made(&[&[&tool, "image"][..], &options].concat());
    let (_, config) = sound(&scene.at("image"), "1.0");
    let expected = serde_json::json!({
        "Entrypoint": ["/bin/tool", "--loud"],
        "Cmd": ["-x"],
        "Env": ["A=1", "PATH=/opt"],
        "WorkingDir": "/tmp",
        "User": "1000:100",
        "Labels": { "a": "b" },
    });
    assert_eq!(config["config"], expected);
    assert_eq!((&config["architecture"], &config["os"]), (&"riscv64".into(), &"linux".into()));
    assert_eq!(config["created"], "1970-01-02T00:00:00.000000000Z");
    scene.made(&[&tool, "direct", "--no-links"]);
    let (_, config) = sound(&scene.at("direct"), "latest");
    let expected = serde_json::json!({ "Cmd": [format!("{tool}/bin/tool")], "Env": [format!("PATH={tool}/bin")] });
    assert_eq!(config["config"], expected);
    scene.refused(&[&tool, "image", "--tag", "a b"], 2, "a name has letters and digits");
    scene.refused(&[&tool, "image", "--output", "dev"], 2, "--output goes with a package");
    scene.refused(&[&tool, "-", "--json"], 2, "standard output cannot have both");
    scene.refused(&[&tool, "image", "--add", "pkg.nix"], 1, "pkg.nix is no store path and no link to one");
    scene.refused(&["-E", "1", "--", "x"], 2, "takes no -E");
}

#[test]
fn a_program_that_would_not_run_is_warned_of_each_time() {
    let scene = Scene::new();
    let tool = scene.add("tool", everything);
    let says = format!(
        "1 file is started by programs outside of the store, which the image does not have: /bin/sh (for {tool}/bin/tool)"
    );
    for _ in 0..2 {
        let output = scene.image(&[&tool, "image"]);
        assert!(output.status.success() && text(&output.stderr).contains(&says), "{}", text(&output.stderr));
    }
    // With a shell at /bin/sh it runs.
    let shell = scene.add("shell", |path| {
        fs::create_dir(path.join("bin")).expect("made");
        fs::write(path.join("bin/sh"), "no script and no program that names another\n").expect("written");
        fs::set_permissions(path.join("bin/sh"), Permissions::from_mode(0o755)).expect("set");
    });
    let output = scene.image(&[&tool, "image", "--add", &shell]);
    assert!(!text(&output.stderr).contains("outside"), "{}", text(&output.stderr));
}

/// Asserts that the rootfs at `root` has the store paths as the store has them, and nothing else but links and `/tmp`.
fn assert_rootfs(root: &Path, paths: &[&str], links: &[(&str, String)]) {
    for path in paths {
        assert_eq!(listing(&root.join(&path[1..])), listing(Path::new(path)), "{path}");
    }
    assert_eq!(fs::read_dir(root.join("nix/store")).expect("read").count(), paths.len());
    for (link, target) in links {
        assert_eq!(fs::read_link(root.join(link)).expect("a link"), Path::new(target));
    }
    assert_eq!(fs::metadata(root.join("tmp")).expect("there").permissions().mode() & 0o7777, 0o1777);
    let names: BTreeSet<String> = fs::read_dir(root)
        .expect("read")
        .map(|entry| entry.expect("read").file_name().to_string_lossy().into_owned())
        .collect();
    let expected: &[&str] = if links.is_empty() { &["nix", "tmp"] } else { &["bin", "nix", "tmp"] };
    assert_eq!(names, expected.iter().map(|&name| name.to_owned()).collect());
}

#[test]
fn umoci_unpacks_the_closure_and_the_program_runs_there() {
    let scene = Scene::new();
    let tool = scene.add("tool", everything);
    let base = scene.text("base", &salt(), &[]);
    let user = scene.text("user", "needs", &[&base]);
    let program = scene.add("greet", |path| {
        fs::create_dir(path.join("bin")).expect("made");
        fs::write(path.join("greet.c"), "#include <stdio.h>\nint main(void) { return puts(\"greeting\") < 0; }\n")
            .expect("written");
        succeed(Command::new("gcc").args(["-static", "-o", "bin/greet", "greet.c"]).current_dir(path));
    });
    let words = [&program, "image", "--add", &tool, "--add", &user];
    let output = scene.image(&[&words[..], &["--max-layers", "3"]].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    if scene.run(&["umoci", "unpack", "--rootless", "--image", "image:latest", "bundle"]).is_none() {
        return;
    }
    let root = scene.at("bundle/rootfs");
    let links = [("bin/greet", format!("{program}/bin/greet")), ("bin/tool", format!("{tool}/bin/tool"))];
    assert!(!root.join("bin/link").is_symlink(), "it leads to no program");
    let paths = [program.as_str(), &tool, &user, &base];
    assert_rootfs(&root, &paths, &links);
    // The comparison would see another time, mode or byte.
    let planted = root.join(&tool[1..]).join("share/text");
    fs::set_permissions(&planted, Permissions::from_mode(0o644)).expect("set");
    assert_ne!(listing(&root.join(&tool[1..])), listing(Path::new(&tool)));
    if rustix::process::geteuid().is_root() {
        let output = succeed(Command::new("chroot").arg(&root).arg("/bin/greet"));
        assert_eq!(text(&output.stdout), "greeting\n");
    }
}

#[test]
fn skopeo_copies_the_image_and_the_archive() {
    let scene = Scene::new();
    let tool = scene.add("tool", everything);
    scene.made(&[&tool, "image", "--tag", "v1"]);
    let output = scene.image(&[&tool, "-", "--tag", "v1"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    fs::write(scene.at("image.tar"), output.stdout).expect("written");
    let copy = |from: &str, to: &str| scene.run(&["skopeo", "--insecure-policy", "copy", "--quiet", from, to]);
    if copy("oci:image:v1", "dir:from-layout").is_none() {
        return;
    }
    copy("oci-archive:image.tar:v1", "dir:from-archive").expect("copied");
    scene.same("from-layout", "from-archive");
    let manifest = json(&scene.at("from-layout/manifest.json"));
    assert_eq!(manifest, sound(&scene.at("image"), "v1").0);
    for layer in manifest["layers"].as_array().expect("layers") {
        let digest = &layer["digest"].as_str().expect("a digest")[7..];
        assert_eq!(hash(&fs::read(scene.at("from-layout").join(digest)).expect("read")), digest);
    }
    // Its own compression of zstd and of none is taken too.
    for compression in ["zstd", "none"] {
        let layout = format!("image-{compression}");
        scene.made(&[&tool, &layout, "--compression", compression]);
        sound(&scene.at(&layout), "latest");
        copy(&format!("oci:{layout}:latest"), &format!("dir:from-{compression}")).expect("copied");
    }
}

#[test]
fn podman_mounts_the_image() {
    let scene = Scene::new();
    let tool = scene.add("tool", everything);
    scene.made(&[&tool, "image"]);
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: podman mounts images for root alone without a user namespace");
        return;
    }
    let (root, run) = (scene.at("storage"), scene.at("run"));
    let podman = |words: &[&str]| {
        let mut all = vec!["podman", "--root", root.to_str().expect("text"), "--runroot", run.to_str().expect("text")];
        // Nothing but copies of files: works in a container too.
        all.extend(["--storage-driver", "vfs", "--events-backend", "file", "--cgroup-manager", "cgroupfs"]);
        scene.run(&[&all[..], words].concat()).map(|output| text(&output.stdout).trim().to_owned())
    };
    let Some(id) = podman(&["pull", "--quiet", "oci:image:latest"]) else { return };
    let mounted = podman(&["image", "mount", &id]).expect("mounted");
    assert_rootfs(Path::new(&mounted), &[&tool], &[("bin/tool", format!("{tool}/bin/tool"))]);
    podman(&["image", "unmount", &id]).expect("unmounted");
}

/// A package with two outputs; the program names its library.
const PACKAGE: &str = "{ stdenv }: stdenv.mkDerivation {
  pname = \"two\"; version = \"1.0\"; outputs = [ \"out\" \"dev\" ]; salt = \"SALT\";
  dontUnpack = true;
  installPhase = ''
    mkdir -p $out/bin $dev/include
    echo 'int main(void) { return 0; }' >two.c
    gcc -static -o $out/bin/two two.c
    echo \"/* $out */\" >$dev/include/two.h
  '';
}
";

#[test]
fn a_package_is_built_first_and_has_the_output_that_is_named() {
    let scene = Scene::new();
    fs::write(scene.at("pkg.nix"), PACKAGE.replace("SALT", &salt())).expect("written");
    let image = |words: &[&str]| {
        let mut command = phasesplit(scene.0.path());
        command.env("XDG_STATE_HOME", scene.at("state")).args(["image", "pkg.nix", "--pkgs", "host"]).args(words);
        command.output().expect("phasesplit runs")
    };
    let output = image(&["image", "--json"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let paths = report["layers"][0]["paths"].as_array().expect("paths").clone();
    let out = paths[0].as_str().expect("a path").to_owned();
    assert!(paths.len() == 1 && out.ends_with("-two-1.0"), "{report}");
    let (_, config) = sound(&scene.at("image"), "latest");
    assert_eq!(config["config"]["Cmd"][0], "/bin/two");
    // The result by its link is the same image.
    symlink(&out, scene.at("result")).expect("linked");
    scene.made(&["result", "linked"]);
    scene.same("image", "linked");
    let output = image(&["image", "--tag", "dev", "--output", "dev", "--json"]);
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let paths: Vec<&Value> = report["layers"].as_array().expect("layers").iter().map(|layer| &layer["paths"]).collect();
    assert!(paths[0][0] == *out && paths[1][0].as_str().is_some_and(|path| path.ends_with("-two-1.0-dev")), "{report}");
    let output = image(&["image", "--output", "man"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("its outputs are dev, out"), "{}", text(&output.stderr));
    // A state is no package.
    let built = succeed(phasesplit(scene.0.path()).env("XDG_STATE_HOME", scene.at("state")).args([
        "build",
        "pkg.nix",
        "--pkgs",
        "host",
        "--no-link",
        "--until",
        "install",
    ]));
    scene.refused(&[text(&built.stdout).trim(), "other"], 1, "is the state of a stage, not a package");
}
