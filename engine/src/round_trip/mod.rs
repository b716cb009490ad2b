//! Save then restore is the identity: on generated trees, on every kind of entry we could think of, and for the
//! refusals that protect a build. The command line is tested in `tests/state_engine.rs`.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{AtFlags, CWD, FileType, Mode, mknodat, utimensat};

use super::entry::{Mtime, join};
use super::info::Info;
use super::sparse::Map;
use super::tree::{Cursor, open_base, timestamps};
use super::{format, restore, save};

mod generated;
mod layers;
mod refusals;

/// A build directory, an output directory and a shell file, and the same places again to restore into.
struct Scene {
    root: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        for name in ["build", "store", "tmp"] {
            fs::create_dir(root.path().join(name)).unwrap();
        }
        fs::write(root.path().join("shell"), b"declare -- a=$'\\1'\n").unwrap();
        Self { root }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn described(&self) -> [Tree; 3] {
        ["build", "store", "tmp"].map(|name| describe(&self.at(name)))
    }

    fn save_to(&self, name: &str) -> super::Result<Info> {
        self.save(name, None, false)
    }

    /// Saves on a parent, which was restored last if `listing`.
    fn save_on(&self, name: &str, parent: &str, listing: bool) -> super::Result<Info> {
        self.save(name, Some(parent), listing)
    }

    fn save(&self, name: &str, parent: Option<&str>, listing: bool) -> super::Result<Info> {
        save::save(&self.request(name, parent, listing))
    }

    fn request(&self, name: &str, parent: Option<&str>, listing: bool) -> save::Request {
        let outputs = ["out", "dev", "missing"].map(|name| (name.to_owned(), self.at("store").join(name)));
        save::Request {
            to: self.at(name),
            build_dir: self.at("build"),
            shell: self.at("shell"),
            outputs: outputs.to_vec(),
            parent: parent.map(|parent| self.at(parent)),
            listing: listing.then(|| self.at("listing")),
            pinned: None,
            warnings: Vec::new(),
            package: "p".into(),
            stage: "build".into(),
            phases: Vec::new(),
            exclude: vec![b"left-out".to_vec()],
            outside: vec![("tmp".to_owned(), self.at("tmp"))],
            foreign: vec![b"tmp/foreign".to_vec()],
            ..save::Request::default()
        }
    }

    /// Moves what was saved aside and restores a state to where it was; what belongs to Nix stays.
    fn restore_from(&self, name: &str) -> super::Result<Vec<String>> {
        for name in ["build", "store", "shell", "tmp"] {
            let aside = self.at(&format!("{name}.before"));
            if aside.is_dir() {
                fs::remove_dir_all(&aside).unwrap();
            }
            fs::rename(self.at(name), aside).unwrap();
        }
        for name in ["build", "store", "tmp"] {
            fs::create_dir(self.at(name)).unwrap();
        }
        self.restore(name)
    }

    fn restore(&self, name: &str) -> super::Result<Vec<String>> {
        let outputs = ["dev", "out"].map(|name| (name.to_owned(), self.at("store").join(name)));
        let mut notices = Vec::new();
        let request = restore::Request {
            from: self.at(name),
            build_dir: self.at("build"),
            shell: self.at("shell"),
            outputs: outputs.to_vec(),
            staged: Vec::new(),
            outside: vec![("tmp".to_owned(), self.at("tmp"))],
            replace: vec![b"replaced".to_vec(), b"removed".to_vec()],
            listing: Some(self.at("listing")),
        };
        restore::restore(&request, &mut |notice| notices.push(notice.to_owned()))?;
        Ok(notices)
    }

    /// Saves, restores, and compares everything with what it was before the save.
    fn round_trip(&self) {
        let before = self.described();
        self.save_to("state").unwrap();
        assert_eq!(self.described(), before, "saving changed the tree");
        let notices = self.restore_from("state").unwrap();
        assert!(notices.is_empty(), "{notices:?}");
        assert_eq!(self.described(), before);
        assert_eq!(fs::read(self.at("shell")).unwrap(), b"declare -- a=$'\\1'\n");
    }

    /// Two states of one tree on one parent.
    fn assert_same(&self, one: &str, other: &str) {
        for file in [format::LAYER, format::MANIFEST, format::PARENT] {
            let read = |state: &str| fs::read(self.at(state).join(file)).ok();
            assert!(read(one) == read(other), "{file}");
        }
    }

    fn refusal(&self) -> String {
        self.restore_from("state").unwrap_err().to_string()
    }
}

/// Where a run of data starts in a file, and its bytes.
type Piece = (u64, Vec<u8>);

/// Everything that must survive, by path below a directory.
type Tree = BTreeMap<PathBuf, Described>;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Described {
    mode: u32,
    mtime: (i64, i64),
    /// Of files: size, and offset and bytes of each piece between holes.
    content: Option<(u64, Vec<Piece>)>,
    target: Option<PathBuf>,
    /// The first path of the same inode.
    first: PathBuf,
}

fn describe(root: &Path) -> Tree {
    let mut tree = Tree::new();
    let mut inodes = HashMap::new();
    describe_below(root, Path::new(""), &mut tree, &mut inodes);
    // The store's own directory, and that of temporary files, are no part of a state.
    if !root.ends_with("build") {
        tree.remove(Path::new(""));
    }
    tree
}

fn describe_below(root: &Path, below: &Path, tree: &mut Tree, inodes: &mut HashMap<u64, PathBuf>) {
    let path = root.join(below);
    let metadata = path.symlink_metadata().unwrap();
    let content = metadata.is_file().then(|| {
        let file = File::open(&path).unwrap();
        let size = metadata.len();
        let map = if metadata.blocks() * 512 < size { Map::of(&file, size).unwrap() } else { None };
        let pieces = map.map_or_else(|| vec![(0, size)], |map| map.pieces);
        let read = |(start, len): (u64, u64)| {
            let mut bytes = vec![0; usize::try_from(len).unwrap()];
            file.read_exact_at(&mut bytes, start).unwrap();
            (start, bytes)
        };
        (size, pieces.into_iter().map(read).collect())
    });
    let described = Described {
        mode: metadata.mode(),
        mtime: (metadata.mtime(), metadata.mtime_nsec()),
        content,
        target: metadata.is_symlink().then(|| fs::read_link(&path).unwrap()),
        first: inodes.entry(metadata.ino()).or_insert_with(|| below.into()).clone(),
    };
    tree.insert(below.into(), described);
    if metadata.is_dir() {
        let mut names: Vec<_> = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        for name in names {
            describe_below(root, &below.join(name), tree, inodes);
        }
    }
}

fn stamp(path: &Path, secs: i64, nanos: u32) {
    utimensat(CWD, path, &timestamps(Mtime { secs, nanos }), AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn name(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

#[test]
fn every_kind_of_entry_survives() {
    let scene = Scene::new();
    let (build, out) = (scene.at("build"), scene.at("store/out"));
    let src = build.join("src");
    fs::create_dir_all(src.join("empty/deeper")).unwrap();
    fs::create_dir(&out).unwrap();
    // Odd names, long names.
    let long = "x".repeat(255);
    for odd in
        [&b".ninja_log"[..], b"-rf", b"new\nline", b"\xff\xfe", b"tab\t \\ \" '", b"\xf0\x9f\xa6\x80", long.as_bytes()]
    {
        fs::write(src.join(name(odd)), odd).unwrap();
        symlink(name(odd), src.join(name(&[odd[..odd.len().min(200)].to_vec(), b".link".to_vec()].concat()))).unwrap();
    }
    // Lengths around the 100 bytes of a tar header, some not UTF-8.
    for len in 80..110 {
        fs::write(src.join("n".repeat(len)), [b'n'; 3]).unwrap();
        fs::write(src.join(name(&vec![0xe9; len])), [b'n'; 3]).unwrap();
        symlink("t".repeat(len), src.join(format!("link-{len}"))).unwrap();
    }
    symlink(name(&[b'/'; 4000]), src.join("far")).unwrap();
    symlink("nowhere", src.join("dangling")).unwrap();
    // Hard links: within the build directory, to an output, of a symlink, of a pipe; either order.
    fs::write(src.join("original"), b"linked").unwrap();
    fs::hard_link(src.join("original"), src.join("a-link")).unwrap();
    fs::hard_link(src.join("original"), out.join("zzz")).unwrap();
    fs::hard_link(src.join("original"), build.join("Above")).unwrap();
    fs::hard_link(src.join("dangling"), src.join("also-dangling")).unwrap();
    // Special files.
    mknodat(CWD, src.join("pipe"), FileType::Fifo, Mode::from_raw_mode(0o640), 0).unwrap();
    fs::hard_link(src.join("pipe"), src.join("also-pipe")).unwrap();
    drop(UnixListener::bind(src.join("socket")).unwrap());
    // Modes; setuid works for root without a sandbox.
    for (index, mode) in [0o000, 0o111, 0o444, 0o555, 0o600, 0o777, 0o1644, 0o2755, 0o4755].into_iter().enumerate() {
        let file = src.join(format!("mode-{index}"));
        fs::write(&file, b"mode").unwrap();
        chmod(&file, mode);
    }
    // Times, directories last.
    let times = [
        (0, 0),
        (0, 1),
        (-1, 999_999_999),
        (-1, 0),
        (-2_000_000_000, 5),
        (1_700_000_000, 123_456_789),
        (8_589_934_591, 999_999_999),
        (8_589_934_592, 0),
        (10_000_000_000, 1),
    ];
    for (index, (secs, nanos)) in times.into_iter().enumerate() {
        let file = src.join(format!("time-{index}"));
        fs::write(&file, b"time").unwrap();
        let link = src.join(format!("time-link-{index}"));
        symlink("time", &link).unwrap();
        let directory = src.join(format!("time-directory-{index}"));
        fs::create_dir(&directory).unwrap();
        for path in [file, link, directory] {
            stamp(&path, secs, nanos);
        }
    }
    for (directory, mode) in [("read-only", 0o555), ("closed", 0o000), ("sticky", 0o1777), ("unlisted", 0o311)] {
        let directory = src.join(directory);
        fs::create_dir_all(directory.join("inner")).unwrap();
        fs::write(directory.join("inner/file"), b"x").unwrap();
        chmod(&directory.join("inner"), mode);
        chmod(&directory, mode);
        stamp(&directory, 1_600_000_000, 7);
    }
    stamp(&build, 1_500_000_000, 42);
    scene.round_trip();
}

#[test]
fn outputs_may_be_files_or_links_or_absent() {
    let scene = Scene::new();
    fs::write(scene.at("store/out"), b"a single file").unwrap();
    symlink("/nix/store/elsewhere", scene.at("store/dev")).unwrap();
    let info = scene.save_to("other").unwrap();
    assert!(info.outputs.keys().eq(["dev", "missing", "out"]));
    scene.round_trip();
}

#[test]
fn holes_stay_holes() {
    let scene = Scene::new();
    let file = |name: &str, size: u64, pieces: &[(u64, usize)]| {
        let file = File::create(scene.at("build").join(name)).unwrap();
        for (start, len) in pieces {
            file.write_all_at(&vec![7; *len], *start).unwrap();
        }
        file.set_len(size).unwrap();
        file.sync_all().unwrap();
    };
    file("all hole", 1 << 20, &[]);
    file("at the end", 1 << 20, &[(0, 5000)]);
    file("at the start", 1 << 20, &[((1 << 20) - 3, 3)]);
    file("in the middle", (1 << 20) + 1, &[(0, 4096), (1 << 19, 1), (1 << 20, 1)]);
    file("beyond the size field", 20 << 30, &[(0, 1), (9 << 30, 10), ((20 << 30) - 1, 1)]);
    file("none", 100_000, &[(0, 100_000)]);
    let many: Vec<(u64, usize)> = (0..200).map(|index| (index * 16_384, 4096)).collect();
    file(&"many, and a long name ".repeat(8), 200 * 16_384, &many);
    fs::hard_link(scene.at("build/all hole"), scene.at("build/linked")).unwrap();
    scene.round_trip();
    assert!(scene.at("build/beyond the size field").metadata().unwrap().blocks() < 100);
    assert!(scene.at("state").join(format::LAYER).metadata().unwrap().len() < 20_000);
}

#[test]
fn trees_deeper_than_any_path_survive() {
    let scene = Scene::new();
    let name = "d".repeat(200);
    let depth = 60;
    let base = |root: &str| Cursor::new(open_base(&scene.at(root)).unwrap());
    let mut cursor = base("build");
    let mut path = Vec::new();
    for _ in 0..depth {
        rustix::fs::mkdirat(cursor.enter(&path).unwrap(), &name, Mode::RWXU).unwrap();
        path = join(&path, name.as_bytes());
    }
    let fd = cursor.enter(&path).unwrap();
    rustix::fs::symlinkat("t", fd, "deep").unwrap();
    utimensat(fd, "deep", &timestamps(Mtime { secs: 77, nanos: 7 }), AtFlags::SYMLINK_NOFOLLOW).unwrap();
    assert!(path.len() > 2 * 4096);
    scene.save_to("state").unwrap();
    scene.restore_from("state").unwrap();
    let mut cursor = base("build");
    let stat = rustix::fs::statat(cursor.enter(&path).unwrap(), "deep", AtFlags::SYMLINK_NOFOLLOW).unwrap();
    assert_eq!((stat.st_mtime, stat.st_mtime_nsec), (77, 7));
}

#[test]
fn only_what_is_named_is_left_out_and_replaced() {
    let scene = Scene::new();
    let build = scene.at("build");
    fs::create_dir(build.join("src")).unwrap();
    let names = [".attr-0abc", ".attrs.json", ".attrs.sh", ".phasesplit", "env-vars", "replaced", "src/env-vars"];
    for name in names.into_iter().chain(["left-out", "../tmp/foreign", "../tmp/own"]) {
        fs::write(build.join(name), b"old").unwrap();
    }
    scene.save_to("state").unwrap();
    for name in ["build", "shell", "tmp"] {
        fs::rename(scene.at(name), scene.at(&format!("{name}.before"))).unwrap();
    }
    for name in ["build", "tmp", "tmp/own"] {
        fs::create_dir(scene.at(name)).unwrap();
    }
    // What a later stage finds made anew: the package's file is put in its place, what the state does not have stays.
    for name in ["replaced", "removed", "other"] {
        fs::write(build.join(name), b"new").unwrap();
    }
    fs::write(scene.at("tmp/foreign"), b"new").unwrap();
    scene.restore("state").unwrap();
    let tree = describe(&build);
    let found: Vec<_> = tree.keys().map(|path| path.to_str().unwrap()).collect();
    let expected = [&[""][..], &names[..5], &["other", "removed", "replaced", "src", "src/env-vars"]].concat();
    assert_eq!(found, expected);
    for (name, content) in
        [("build/replaced", "old"), ("build/removed", "new"), ("tmp/foreign", "new"), ("tmp/own", "old")]
    {
        assert_eq!(fs::read_to_string(scene.at(name)).unwrap(), content, "{name}");
    }
    // Replaced means nothing else: any other file in the way is refused.
    fs::remove_file(scene.at("shell")).unwrap();
    assert!(scene.restore("state").unwrap_err().to_string().contains("build/"));
}

#[test]
fn files_of_nix_are_left_out_as_long_as_they_are_nix_s() {
    let scene = Scene::new();
    let build = scene.at("build");
    for name in ["same", "changed", "removed"] {
        fs::write(build.join(name), b"from Nix").unwrap();
    }
    let names = ["same", "changed", "removed"].map(|name| name.as_bytes().to_vec());
    super::nix_files::note(&build, &names, &scene.at("note")).unwrap();
    fs::write(build.join("changed"), b"by the package").unwrap();
    fs::remove_file(build.join("removed")).unwrap();
    let request = save::Request { nix_files: Some(scene.at("note")), ..scene.request("state", None, false) };
    let info = save::save(&request).unwrap();
    assert_eq!(info.removed_nix_files, ["removed"]);
    for name in ["build", "shell"] {
        fs::rename(scene.at(name), scene.at(&format!("{name}.before"))).unwrap();
    }
    fs::create_dir(&build).unwrap();
    for name in ["same", "removed"] {
        fs::write(build.join(name), b"anew").unwrap();
    }
    scene.restore("state").unwrap();
    let read = |name: &str| fs::read_to_string(build.join(name)).ok();
    assert_eq!(read("same").as_deref(), Some("anew"));
    assert_eq!(read("changed").as_deref(), Some("by the package"));
    assert_eq!(read("removed"), None);
}

#[test]
fn files_outside_need_a_place() {
    let scene = Scene::new();
    fs::write(scene.at("tmp/file"), b"x").unwrap();
    scene.save_to("state").unwrap();
    fs::remove_file(scene.at("shell")).unwrap();
    let request = restore::Request {
        from: scene.at("state"),
        build_dir: scene.at("build"),
        shell: scene.at("shell"),
        ..restore::Request::default()
    };
    let said = restore::restore(&request, &mut |_| ()).unwrap_err().to_string();
    assert!(said.contains("it holds files of /tmp, which have no place here"), "{said}");
}

#[test]
fn the_same_tree_gives_the_same_bytes() {
    let scene = Scene::new();
    let make = |reverse: bool| {
        let src = scene.at("build").join("src");
        fs::create_dir(&src).unwrap();
        let mut names: Vec<_> = (0..50).map(|index| format!("f{index}")).collect();
        if reverse {
            names.reverse();
        }
        for name in &names {
            fs::write(src.join(name), name.repeat(1000)).unwrap();
            stamp(&src.join(name), 1_000_000_000, 5);
        }
        stamp(&src, 1_000_000_000, 6);
        stamp(&scene.at("build"), 1_000_000_000, 7);
    };
    make(false);
    scene.save_to("one").unwrap();
    fs::remove_dir_all(scene.at("build/src")).unwrap();
    make(true);
    scene.save_to("two").unwrap();
    for file in [format::LAYER, format::MANIFEST] {
        let read = |state: &str| fs::read(scene.at(state).join(file)).unwrap();
        assert!(read("one") == read("two"), "{file}");
    }
    // And what was restored is the same tree again.
    scene.restore_from("one").unwrap();
    scene.save_to("three").unwrap();
    for file in [format::LAYER, format::MANIFEST, format::INFO] {
        let read = |state: &str| fs::read(scene.at(state).join(file)).unwrap();
        assert!(read("one") == read("three"), "{file}");
    }
}

#[test]
fn gnu_tar_lists_and_extracts_a_layer() {
    let scene = Scene::new();
    let build = scene.at("build");
    fs::create_dir_all(build.join("src/empty")).unwrap();
    let long = ["long".repeat(40), "name".repeat(40)].join("/");
    fs::create_dir_all(build.join(&long).parent().unwrap()).unwrap();
    for name in [&long, "src/new\nline", "src/-dash", "src/plain"] {
        fs::write(build.join(name), name.as_bytes()).unwrap();
    }
    fs::hard_link(build.join("src/plain"), build.join("src/again")).unwrap();
    symlink("t".repeat(300), build.join("src/far")).unwrap();
    let sparse = File::create(build.join("src/sparse")).unwrap();
    sparse.write_all_at(b"data", 1 << 20).unwrap();
    sparse.set_len(1 << 21).unwrap();
    mknodat(CWD, build.join("src/pipe"), FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    for (name, secs, nanos) in
        [("src/plain", -5, 250_000_000), ("src/-dash", 1 << 33, 1), ("src/far", 9, 9), ("src", 5, 5)]
    {
        stamp(&build.join(name), secs, nanos);
    }
    fs::create_dir(scene.at("store/out")).unwrap();
    scene.save_to("state").unwrap();

    let mut tar = Vec::new();
    let layer = File::open(scene.at("state").join(format::LAYER)).unwrap();
    zstd::Decoder::new(layer).unwrap().read_to_end(&mut tar).unwrap();
    fs::write(scene.at("layer.tar"), tar).unwrap();
    fs::create_dir(scene.at("extracted")).unwrap();
    let run = |arguments: &[&str]| {
        let output = Command::new("tar").current_dir(scene.root.path()).args(arguments).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && errors.is_empty(), "{errors}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let listed = run(&["-tf", "layer.tar"]);
    assert!(listed.starts_with("build/\nbuild/long"), "{listed}");
    assert!(listed.ends_with("outputs/out/\nshell\n"), "{listed}");
    // Times far away are what the test is about.
    run(&["-xpf", "layer.tar", "-C", "extracted", "--warning=no-timestamp"]);
    assert_eq!(describe(&scene.at("extracted/build")), describe(&build));
}

#[test]
fn hard_links_across_file_systems_become_copies() {
    let shm = Path::new("/dev/shm");
    let scene = Scene::new();
    let there = tempfile::tempdir_in(shm);
    let other = there.as_ref().ok().and_then(|there| there.path().metadata().ok()).map(|m| m.dev());
    let (Ok(there), true) = (there, other != Some(scene.root.path().metadata().unwrap().dev())) else {
        eprintln!("skipped: there is no second file system at /dev/shm");
        return;
    };
    let file = scene.at("build/file");
    fs::write(&file, b"content").unwrap();
    chmod(&file, 0o200);
    fs::create_dir(scene.at("store/out")).unwrap();
    fs::hard_link(&file, scene.at("store/out/file")).unwrap();
    symlink("target", scene.at("build/link")).unwrap();
    fs::hard_link(scene.at("build/link"), scene.at("store/out/link")).unwrap();
    stamp(&file, 55, 5);
    scene.save_to("state").unwrap();
    fs::rename(scene.at("build"), scene.at("before")).unwrap();
    fs::create_dir(scene.at("build")).unwrap();
    let mut notices = 0;
    let request = restore::Request {
        from: scene.at("state"),
        build_dir: scene.at("build"),
        shell: there.path().join("shell"),
        outputs: vec![("out".into(), there.path().join("out"))],
        staged: Vec::new(),
        listing: None,
        ..restore::Request::default()
    };
    restore::restore(&request, &mut |_| notices += 1).unwrap();
    assert_eq!(notices, 2);
    let copy = there.path().join("out/file").metadata().unwrap();
    assert_eq!((copy.mode() & 0o7777, copy.mtime(), copy.mtime_nsec()), (0o200, 55, 5));
    assert_eq!(fs::read(there.path().join("out/file")).unwrap(), b"content");
    assert_eq!(fs::read_link(there.path().join("out/link")).unwrap(), Path::new("target"));
}
