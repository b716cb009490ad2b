//! `phasesplit-state` as the stage runtime runs it: by its command line, exit codes and messages, as root and as a
//! user who is not allowed to read everything.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A place that any user can reach, with the engine in it.
struct Place {
    root: tempfile::TempDir,
    /// Runs the engine as this user instead of the one of the test.
    user: Option<u32>,
}

impl Place {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for name in ["build", "store"] {
            fs::create_dir(root.path().join(name)).unwrap();
        }
        fs::write(root.path().join("shell"), "declare -- x=1\n").unwrap();
        Self { root, user: None }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn path(&self, name: &str) -> String {
        self.at(name).to_str().unwrap().to_owned()
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_phasesplit-state"));
        if let Some(user) = self.user {
            // The user may not be able to reach the build's own directory.
            let copy = self.at("engine");
            if !copy.exists() {
                fs::copy(env!("CARGO_BIN_EXE_phasesplit-state"), &copy).unwrap();
            }
            command = Command::new(copy);
            command.uid(user).gid(user);
        }
        command.args(arguments).current_dir(self.root.path()).output().unwrap()
    }

    fn save(&self) -> Output {
        let build = self.path("build");
        let out = format!("out={}", self.path("store/staged"));
        self.run(&[
            "save",
            "--to",
            "state",
            "--build-dir",
            &build,
            "--shell=shell",
            "--output",
            &out,
            "--package",
            "hello-2.10",
            "--stage",
            "build",
            "--phase",
            "buildPhase=1.5",
            "--phase=checkPhase=0",
            "--exclude",
            "skipped",
        ])
    }

    /// Restores to where the state came from, which is moved away first.
    fn restore(&self) -> Output {
        for name in ["build", "store", "shell"] {
            fs::rename(self.at(name), self.at(&format!("{name}.before"))).unwrap();
        }
        for name in ["build", "store"] {
            fs::create_dir(self.at(name)).unwrap();
            self.give(&self.at(name));
        }
        let (build, out) = (self.path("build"), format!("out={}", self.path("store/final")));
        self.run(&["restore", "--from=state", "--build-dir", &build, "--shell", "shell", "--output", &out])
    }

    fn give(&self, path: &Path) {
        if let Some(user) = self.user {
            chown(path, Some(user), Some(user)).unwrap();
        }
    }
}

#[track_caller]
fn succeeded(output: &Output) {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), &*errors), (Some(0), ""));
}

#[track_caller]
fn failed(output: &Output, code: i32, message: &str) {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{errors}");
    assert!(errors.starts_with("phasesplit-state: ") && errors.contains(message), "{errors}");
    assert_eq!(errors.lines().count(), 1, "{errors}");
}

#[test]
fn a_state_goes_from_one_stage_to_the_next() {
    let place = Place::new();
    fs::create_dir(place.at("build/src")).unwrap();
    fs::write(place.at("build/src/.ninja_log"), "log").unwrap();
    fs::write(place.at("build/skipped"), "x").unwrap();
    fs::create_dir(place.at("store/staged")).unwrap();
    symlink("/nix/store", place.at("store/staged/link")).unwrap();
    succeeded(&place.save());

    let info: serde_json::Value = serde_json::from_slice(&fs::read(place.at("state/info.json")).unwrap()).unwrap();
    assert_eq!(info["format"], 3);
    assert_eq!(info["package"], "hello-2.10");
    assert_eq!(info["stage"], "build");
    assert_eq!(info["buildDir"], place.path("build"));
    assert_eq!(info["phases"][0]["name"], "buildPhase");
    assert_eq!(info["phases"][0]["seconds"], 1.5);
    assert_eq!(info["outputs"], serde_json::json!({ "out": place.path("store/staged") }));
    assert_eq!(info.get("pinned"), None);
    assert_eq!(info["entries"]["directories"], 3);
    let mut names: Vec<_> = fs::read_dir(place.at("state")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["info.json", "layer.tar.zst", "manifest.zst"]);

    let listed = place.run(&["ls", "state"]);
    succeeded(&listed);
    let listed = String::from_utf8(listed.stdout).unwrap();
    let paths: Vec<_> = listed.lines().map(|line| line.split_once("Z ").unwrap().1).collect();
    let expected =
        ["build", "build/src", "build/src/.ninja_log", "outputs/out", "outputs/out/link -> /nix/store", "shell"];
    assert_eq!(paths, expected);

    succeeded(&place.restore());
    let same = |old: &str, new: &str| {
        let of = |name: &str| {
            let metadata = place.at(name).symlink_metadata().unwrap();
            (metadata.mode(), metadata.mtime(), metadata.mtime_nsec())
        };
        assert_eq!(of(old), of(new), "{new}");
    };
    for name in ["build", "build/src", "build/src/.ninja_log"] {
        same(&name.replacen("build", "build.before", 1), name);
    }
    same("store.before/staged", "store/final");
    same("store.before/staged/link", "store/final/link");
    assert!(!place.at("build/skipped").exists());
    assert_eq!(fs::read_to_string(place.at("shell")).unwrap(), "declare -- x=1\n");
}

/// A build user owns its files, but may not read what has no bits for it.
#[test]
fn a_user_without_privileges_saves_and_restores_closed_files() {
    let mut place = Place::new();
    if fs::metadata(place.root.path()).unwrap().uid() == 0 {
        place.user = Some(65_534);
        place.give(place.root.path());
    }
    for name in ["build/src", "build/src/closed", "build/src/closed/inner", "build/src/unlisted", "build/src/listed"] {
        fs::create_dir(place.at(name)).unwrap();
    }
    let files = ["build/src/secret", "build/src/closed/inner/file", "build/src/unlisted/file", "build/src/listed/file"];
    for name in files {
        fs::write(place.at(name), name).unwrap();
    }
    fs::hard_link(place.at("build/src/secret"), place.at("build/src/linked")).unwrap();
    let modes = [
        ("build/src/secret", 0o000),
        ("build/src/closed/inner/file", 0o044),
        ("build/src/closed/inner", 0o000),
        ("build/src/closed", 0o000),
        ("build/src/unlisted", 0o300),
        ("build/src/listed", 0o444),
        ("build/src", 0o555),
    ];
    let given = [
        "build",
        "store",
        "shell",
        "build/src",
        "build/src/closed",
        "build/src/closed/inner",
        "build/src/unlisted",
        "build/src/listed",
    ];
    for name in given.into_iter().chain(files) {
        place.give(&place.at(name));
    }
    for (name, mode) in modes {
        fs::set_permissions(place.at(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    succeeded(&place.save());
    let mode = |name: &str| place.at(name).metadata().unwrap().mode() & 0o7777;
    // Root looks without changing modes; another user has to open them again from above.
    let check = |open: bool| {
        for (name, expected) in modes.iter().rev() {
            assert_eq!(mode(name), *expected, "{name}");
            if open && place.at(name).is_dir() {
                fs::set_permissions(place.at(name), fs::Permissions::from_mode(0o700)).unwrap();
            }
        }
    };
    check(place.user.is_none());
    succeeded(&place.restore());
    let ino = |name: &str| place.at(name).metadata().unwrap().ino();
    check(place.user.is_none());
    assert_eq!(ino("build/src/secret"), ino("build/src/linked"));
    if place.user.is_some() {
        assert_eq!(fs::read_to_string(place.at("build/src/closed/inner/file")).unwrap(), files[1]);
    }
}

#[test]
fn wrong_usage_is_told_apart_from_failure() {
    let place = Place::new();
    failed(&place.run(&[]), 2, "no command given; see phasesplit-state --help");
    failed(&place.run(&["frobnicate"]), 2, "unknown command frobnicate");
    failed(&place.run(&["save", "--to", "x"]), 2, "--build-dir is missing");
    failed(&place.run(&["save", "--bogus", "x"]), 2, "unknown option --bogus");
    failed(&place.run(&["save", "x"]), 2, "unexpected argument x");
    failed(&place.run(&["restore", "--from"]), 2, "--from needs a value");
    failed(&place.run(&["restore", "--from", "a", "--from", "b"]), 2, "--from is given twice");
    failed(&place.run(&["lock", "--fd", "x", "--path", "p"]), 2, "--fd takes a number");
    failed(&place.run(&["ls"]), 2, "ls takes one state directory");
    for phase in ["=1", "a", "a=-1", "a=x", "a=NaN"] {
        let arguments = ["save", "--to=t", "--build-dir=/b", "--shell=s", "--package=p", "--stage=s", "--phase", phase];
        failed(&place.run(&arguments), 2, "not NAME=SECONDS");
    }
    for output in ["x", "=/p", "../x=/p", "a/b=/p"] {
        failed(&place.run(&["restore", "--from=f", "--build-dir=/b", "--shell=s", "--output", output]), 2, "--output");
    }
    failed(&place.run(&["ls", "nowhere"]), 1, "list nowhere: there is no info.json in it");
    let help = place.run(&["--help"]);
    succeeded(&help);
    assert!(String::from_utf8_lossy(&help.stdout).contains("Exit codes: 0 done, 1 refused or failed, 2 wrong usage"));
}

#[test]
fn refusals_say_what_to_do() {
    let place = Place::new();
    succeeded(&place.save());
    failed(&place.save(), 1, "save state: it is not empty; name a directory that does not exist yet");
    let missing = place.run(&["restore", "--from=state", "--build-dir=/elsewhere", "--shell=new"]);
    failed(&missing, 1, "build with the sandbox setting that made it");
    let there = place.run(&["restore", "--from=state", "--build-dir", &place.path("build"), "--shell=shell"]);
    failed(&there, 1, "shell: File exists (os error 17); restore into an empty place");
}

/// One more state of the same build, with these options besides.
fn save_more(place: &Place, to: &str, more: &[&str]) -> serde_json::Value {
    let build = place.path("build");
    let required = ["save", "--to", to, "--build-dir", &build, "--shell=shell", "--package=p", "--stage=s"];
    succeeded(&place.run(&[&required, more].concat()));
    serde_json::from_slice(&fs::read(place.at(to).join("info.json")).unwrap()).unwrap()
}

#[test]
fn the_mark_of_a_pin_is_passed_on() {
    let place = Place::new();
    let on = |parent: &str| format!("--parent={}", place.path(parent));
    assert_eq!(save_more(&place, "plain", &[]).get("pinned"), None);
    assert_eq!(save_more(&place, "after-plain", &[&on("plain")]).get("pinned"), None);
    assert_eq!(save_more(&place, "pinned", &[&on("plain"), "--pinned=/s/a"])["pinned"], "/s/a");
    assert_eq!(save_more(&place, "after-pinned", &[&on("pinned")])["pinned"], "/s/a");
    assert_eq!(save_more(&place, "pinned-again", &[&on("pinned"), "--pinned=/s/b"])["pinned"], "/s/b");
}

#[test]
fn a_state_stores_what_its_parent_does_not_have() {
    let place = Place::new();
    fs::write(place.at("build/kept"), "kept").unwrap();
    fs::write(place.at("build/gone"), "gone").unwrap();
    assert_eq!(save_more(&place, "one", &[])["layers"], 1);
    let (build, one) = (place.path("build"), place.path("one"));
    for name in ["build", "shell"] {
        fs::rename(place.at(name), place.at(&format!("{name}.before"))).unwrap();
    }
    fs::create_dir(place.at("build")).unwrap();
    let restore = |from: &str| {
        place.run(&["restore", "--from", from, "--build-dir", &build, "--shell=shell", "--listing=listing"])
    };
    succeeded(&restore(&one));

    fs::write(place.at("build/new"), "new").unwrap();
    fs::remove_file(place.at("build/gone")).unwrap();
    let info = save_more(&place, "two", &["--parent", &one, "--listing=listing"]);
    assert_eq!((&info["layers"], &info["entries"]["files"]), (&2.into(), &3.into()));
    assert_eq!(fs::read_to_string(place.at("two/parent")).unwrap(), format!("{one}\n"));
    let members = Command::new("bash")
        .args(["-c", "zstd -dc two/layer.tar.zst | tar -t"])
        .current_dir(place.root.path())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&members.stdout), "build/\nbuild/new\n");
    let listed = String::from_utf8(place.run(&["ls", "two"]).stdout).unwrap();
    let paths: Vec<_> = listed.lines().map(|line| line.split_once("Z ").unwrap().1).collect();
    assert_eq!(paths, ["build", "build/kept", "build/new", "shell"]);

    failed(&place.run(&["restore", "--from=two", "--build-dir", &build, "--shell=shell"]), 1, "File exists");
    fs::remove_dir_all(place.at("build")).unwrap();
    fs::create_dir(place.at("build")).unwrap();
    fs::remove_file(place.at("shell")).unwrap();
    let relative = place.run(&[
        "save",
        "--to=x",
        "--build-dir",
        &build,
        "--shell=listing",
        "--package=p",
        "--stage=s",
        "--parent=one",
    ]);
    failed(&relative, 1, "save one: a parent must be an absolute path");
    succeeded(&restore("two"));
    assert!(place.at("build/kept").exists() && place.at("build/new").exists() && !place.at("build/gone").exists());
    fs::remove_dir_all(&one).unwrap();
    failed(
        &restore("two"),
        1,
        &format!("restore two: it builds on the state {one}, which is not there; copy the state again"),
    );
}

#[test]
fn a_state_staged_elsewhere_is_refused() {
    let place = Place::new();
    save_more(&place, "state", &["--output=out=/s/1-p", "--output=dev=/s/2-p-dev"]);
    let build = place.path("build");
    let restore = |staged: &[&str]| {
        let required = ["restore", "--from=state", "--build-dir", &build, "--shell=restored"];
        place.run(&[&required, staged].concat())
    };
    let made = "its outputs were staged at dev=/s/2-p-dev out=/s/1-p, and this stage's are ";
    let other = restore(&["--staged=out=/s/3-q", "--staged=dev=/s/2-p-dev"]);
    failed(&other, 1, &format!("{made}dev=/s/2-p-dev out=/s/3-q;"));
    failed(&restore(&["--staged=out=/s/1-p"]), 1, &format!("{made}out=/s/1-p;"));
    assert!(!place.at("restored").exists(), "refused too late");
    succeeded(&restore(&["--staged=dev=/s/2-p-dev", "--staged=out=/s/1-p"]));
}

#[test]
fn a_setuid_bit_is_kept_or_noticed() {
    let place = Place::new();
    fs::write(place.at("build/tool"), "x").unwrap();
    fs::set_permissions(place.at("build/tool"), fs::Permissions::from_mode(0o4755)).unwrap();
    succeeded(&place.save());
    let output = place.restore();
    assert_eq!(output.status.code(), Some(0));
    let mode = place.at("build/tool").metadata().unwrap().mode() & 0o7777;
    let errors = String::from_utf8_lossy(&output.stderr);
    match mode {
        0o4755 => assert_eq!(errors, ""),
        0o755 => assert!(errors.contains("setuid"), "{errors}"),
        other => panic!("{other:o}"),
    }
}

#[test]
fn the_lock_outlives_the_engine_and_ends_with_the_shell() {
    let place = Place::new();
    let script = r#"
        exec 9>lock
        "$1" lock --fd 9 --path lock && echo first
        # Another shell, without a copy of this descriptor, must wait until it is closed.
        bash -c 'exec 8>lock; "$1" lock --fd 8 --path lock 2>waiting; echo second' bash "$1" 9>&- &
        until [[ -s waiting ]]; do sleep 0.05; done
        echo release
        exec 9>&-
        wait
    "#;
    let engine = env!("CARGO_BIN_EXE_phasesplit-state");
    let output =
        Command::new("bash").args(["-c", script, "bash", engine]).current_dir(place.root.path()).output().unwrap();
    succeeded(&output);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "first\nrelease\nsecond\n");
    let waiting = fs::read_to_string(place.at("waiting")).unwrap();
    assert_eq!(waiting, "phasesplit-state: lock: another build holds this lock; waiting for it to end\n");
    failed(&place.run(&["lock", "--fd", "77", "--path", "lock"]), 1, "lock lock: Bad file descriptor");
}
