//! Made by git itself; the truth is what `git diff-index` says.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;

use super::super::{restore, save};
use super::*;

/// A build directory with a repository in it that git calls clean.
struct Repository {
    root: tempfile::TempDir,
}

impl Repository {
    fn new(init: &[&str], settings: &[&str]) -> Self {
        let root = tempfile::tempdir().unwrap();
        let repository = Self { root };
        let tree = repository.tree();
        fs::create_dir_all(tree.join("deep/er")).unwrap();
        fs::write(repository.root.path().join("shell"), "").unwrap();
        for (name, text) in
            [("file", "hello"), ("other", "more"), ("deep/er/one", "1"), ("deep/two", "2"), ("z\u{fc}", "")]
        {
            fs::write(tree.join(name), text).unwrap();
        }
        std::os::unix::fs::symlink("file", tree.join("link")).unwrap();
        repository.git(&[&["init", "-q"], init].concat());
        for setting in settings {
            let (name, value) = setting.split_once('=').unwrap();
            repository.git(&["config", name, value]);
        }
        repository.git(&["add", "-A"]);
        repository.git(&["commit", "-qm", "base"]);
        repository
    }

    fn tree(&self) -> std::path::PathBuf {
        self.root.path().join("build/tree")
    }

    fn git(&self, words: &[&str]) -> (bool, String) {
        git(&self.tree(), words)
    }

    /// Saves the build directory on `parent` and restores it in its own place.
    fn round_trip(&self, name: &str, parent: Option<&str>) {
        let at = |name: &str| self.root.path().join(name);
        save::save(&save::Request {
            to: at(name),
            build_dir: at("build"),
            shell: at("shell"),
            parent: parent.map(at),
            listing: parent.map(|_| at("listing")),
            ..save::Request::default()
        })
        .unwrap();
        fs::rename(at("build"), at(&format!("build before {name}"))).unwrap();
        fs::create_dir(at("build")).unwrap();
        fs::remove_file(at("shell")).unwrap();
        let request = restore::Request {
            from: at(name),
            build_dir: at("build"),
            shell: at("shell"),
            listing: Some(at("listing")),
            ..restore::Request::default()
        };
        restore::restore(&request, &mut |_| ()).unwrap();
    }

    /// What git calls changed without looking at contents.
    fn changed(&self) -> String {
        self.git(&["diff-index", "--name-only", "HEAD"]).1
    }
}

/// Neither the user's settings nor the checkout that the test runs in count.
fn git(directory: &Path, words: &[&str]) -> (bool, String) {
    let mut command = Command::new("git");
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.as_bytes().starts_with(b"GIT_")) {
        command.env_remove(name);
    }
    let output = command
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .args(["-c", "user.name=n", "-c", "user.email=e", "-c", "protocol.file.allow=always"])
        .args(words)
        .current_dir(directory)
        .output()
        .expect("git runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), text)
}

#[test]
fn a_clean_tree_is_clean_after_every_restore() {
    for (init, settings) in [
        (&[][..], &["index.version=2"][..]),
        (&[], &["index.version=4"]),
        (&["--object-format=sha256"], &["index.version=3"]),
        (&[], &["core.untrackedCache=true"]),
    ] {
        let repository = Repository::new(init, settings);
        assert_eq!(repository.changed(), "");
        repository.round_trip("one", None);
        assert_eq!(repository.changed(), "", "{settings:?}");
        let before = fs::read(repository.tree().join(".git/index")).unwrap();
        repository.round_trip("two", Some("one"));
        assert_eq!(repository.changed(), "", "{settings:?}");
        assert_ne!(before, fs::read(repository.tree().join(".git/index")).unwrap(), "inodes are the same");
        // The same tree on the same parent, although all inodes are others.
        let layer = |name: &str| fs::metadata(repository.root.path().join(name).join("layer.tar.zst")).unwrap().len();
        assert!(layer("two") < 200, "the index was stored again: {}", layer("two"));
        assert!(repository.git(&["fsck", "--strict"]).0);
    }
}

#[test]
fn what_git_calls_changed_stays_changed() {
    let repository = Repository::new(&[], &[]);
    let tree = repository.tree();
    // Touched: the same content, another time. Changed: another content. Gone.
    let hour = std::time::SystemTime::now() - std::time::Duration::from_hours(1);
    fs::File::options().write(true).open(tree.join("file")).unwrap().set_modified(hour).unwrap();
    fs::write(tree.join("other"), "changed").unwrap();
    fs::remove_file(tree.join("deep/two")).unwrap();
    let changed = "deep/two\nfile\nother\n";
    assert_eq!(repository.changed(), changed);
    repository.round_trip("one", None);
    assert_eq!(repository.changed(), changed);
    repository.round_trip("two", Some("one"));
    assert_eq!(repository.changed(), changed);
}

/// Not every git looks at each of these, so git cannot tell.
#[test]
fn one_field_that_differs_keeps_an_entry_as_it_is() {
    let repository = Repository::new(&[], &[]);
    let sound = fs::read(repository.tree().join(".git/index")).unwrap();
    let stat = rustix::fs::lstat(repository.tree().join("file")).unwrap();
    let is_marked = |change: &dyn Fn(&mut Stat)| {
        let mut content = sound.clone();
        let mut stat = stat;
        change(&mut stat);
        assert!(mark(&mut content, |path| (path == b"file").then_some(stat)));
        content != sound
    };
    assert!(is_marked(&|_| ()));
    let changes: [&dyn Fn(&mut Stat); 9] = [
        &|stat| stat.st_ctime += 1,
        &|stat| stat.st_ctime_nsec += 1,
        &|stat| stat.st_mtime += 1,
        &|stat| stat.st_mtime_nsec += 1,
        &|stat| stat.st_dev += 1,
        &|stat| stat.st_ino += 1,
        &|stat| stat.st_uid += 1,
        &|stat| stat.st_gid += 1,
        &|stat| stat.st_size += 1,
    ];
    for (index, change) in changes.iter().enumerate() {
        assert!(!is_marked(change), "{index}");
    }
}

#[test]
fn submodules_and_linked_worktrees_are_found() {
    let other = Repository::new(&[], &[]);
    let repository = Repository::new(&[], &[]);
    let url = other.tree().display().to_string();
    assert!(repository.git(&["submodule", "add", "-q", &url, "deep/sub"]).0);
    assert!(repository.git(&["commit", "-qm", "sub"]).0);
    let linked = repository.root.path().join("build/linked");
    assert!(repository.git(&["worktree", "add", "-q", &linked.display().to_string()]).0);
    repository.round_trip("one", None);
    repository.round_trip("two", Some("one"));
    assert_eq!(repository.changed(), "");
    for directory in [linked, repository.tree().join("deep/sub")] {
        assert_eq!(git(&directory, &["diff-index", "--name-only", "HEAD"]), (true, String::new()), "{directory:?}");
    }
}

#[test]
fn whatever_is_odd_is_left_alone() {
    let repository = Repository::new(&[], &[]);
    let sound = fs::read(repository.tree().join(".git/index")).unwrap();
    let stat = rustix::fs::lstat(repository.tree().join("file")).unwrap();
    let untouched = |bytes: &[u8]| {
        let mut content = bytes.to_vec();
        let is_index = mark(&mut content, |_| Some(stat));
        assert!(!is_index && content == bytes);
    };
    // No byte may be missing or another: the checksum covers all.
    for at in 0..sound.len() {
        untouched(&sound[..at]);
        let mut bytes = sound.clone();
        bytes[at] ^= 1;
        if at < sound.len() - 20 {
            untouched(&bytes);
        }
    }
    // Without a checksum the shape alone decides.
    let mut bytes = sound.clone();
    let end = bytes.len() - 20;
    bytes[end..].fill(0);
    for at in 12..end {
        let mut bytes = bytes.clone();
        bytes[at] = !bytes[at];
        let _ = mark(&mut bytes, |_| Some(stat));
    }
    // A split index has its entries elsewhere.
    repository.git(&["update-index", "--split-index"]);
    untouched(&fs::read(repository.tree().join(".git/index")).unwrap());
}

#[test]
fn no_path_leaves_the_base() {
    let base = b"/build";
    let none = |_: &[u8]| None;
    assert_eq!(worktree(b".git/index", base, none), Some(vec![]));
    assert_eq!(worktree(b"a/b/.git/index", base, none), Some(b"a/b".to_vec()));
    assert_eq!(worktree(b"a/index", base, none), None);
    let with = |text: &'static str| move |_: &[u8]| Some(text.as_bytes().to_vec());
    let module = b"a/.git/modules/m/index";
    assert_eq!(worktree(module, base, with("[core]\n\tworktree = ../../../m\n")), Some(b"a/m".to_vec()));
    assert_eq!(worktree(module, base, with("\tworktree = ../../../../../etc\n")), None);
    assert_eq!(worktree(module, base, with("\tworktree = /build/x\n")), Some(b"x".to_vec()));
    assert_eq!(worktree(module, base, with("\tworktree = /etc\n")), None);
    let linked = b"a/.git/worktrees/w/index";
    assert_eq!(worktree(linked, base, with("/build/w/.git\n")), Some(b"w".to_vec()));
    assert_eq!(worktree(linked, base, with("/builder/w/.git\n")), None);
    let scratch = tempfile::tempdir().unwrap();
    let mut cursor = Cursor::new(tree::open_base(scratch.path()).unwrap());
    assert!(stat_of(b"", b"../etc", &mut cursor).is_none());
    assert!(stat_of(b"..", b"etc", &mut cursor).is_none());
}
