//! `phasesplit state` as a user runs it, on states that need no Nix.

use std::fs;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use phasesplit::state::{frames, manifest, save};
use serde_json::Value;

/// A build directory and the states made of it.
struct Scene(tempfile::TempDir);

impl Scene {
    fn new() -> Self {
        let scene = Self(tempfile::tempdir().expect("a directory"));
        fs::create_dir_all(scene.at("build/src")).expect("made");
        fs::write(scene.at("build/src/main.c"), "int main(void) { return 0; }\n").expect("written");
        fs::write(scene.at("build").join(odd()), "odd").expect("written");
        scene.shell("A=\"1\"\nbuiltin declare -gx A\nf () \n{ \n    true\n}\n");
        scene
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn shell(&self, more: &str) {
        let text = format!("{more}phasesplit_stand /build/src ''\nbuiltin umask 0022\n_phasesplit_whole=1\n");
        fs::write(self.at("shell"), text).expect("written");
    }

    fn save(&self, name: &str) -> String {
        let request = save::Request {
            to: self.at(name),
            build_dir: self.at("build"),
            shell: self.at("shell"),
            outputs: vec![("out".to_owned(), self.at("none"))],
            parent: None,
            listing: None,
            pinned: None,
            package: "p-1".to_owned(),
            stage: "build".to_owned(),
            phases: Vec::new(),
            exclude: Vec::new(),
            ..save::Request::default()
        };
        save::save(&request).expect("saved");
        name.to_owned()
    }

    fn run(&self, words: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_phasesplit"));
        command.current_dir(self.0.path()).env("NO_COLOR", "1").arg("state").args(words);
        command.output().expect("phasesplit runs")
    }

    /// Standard output of a command that must succeed.
    fn output(&self, words: &[&str]) -> String {
        let output = self.run(words);
        assert_eq!(output.status.code(), Some(0), "{words:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    fn json(&self, words: &[&str]) -> Value {
        serde_json::from_str(&self.output(words)).expect("JSON")
    }

    /// Standard error of a command that must end like this.
    fn refused(&self, words: &[&str], code: i32) -> String {
        let output = self.run(words);
        assert_eq!(output.status.code(), Some(code), "{words:?}: {}", text(&output.stderr));
        assert!(output.stdout.is_empty(), "{words:?} wrote something: {}", text(&output.stdout));
        text(&output.stderr)
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A name that would clear the screen, and is no UTF-8.
fn odd() -> &'static Path {
    Path::new(std::ffi::OsStr::from_bytes(b"\x1b[2J\xff"))
}

#[test]
fn ls_shows_every_entry_and_no_terminal_command() {
    let scene = Scene::new();
    let state = scene.save("one");
    let long = scene.output(&["ls", &state]);
    assert_eq!(long.lines().count(), 5);
    assert!(long.contains("build/\\x1b[2J\\xff\n"), "{long:?}");
    assert!(long.lines().any(|line| line.starts_with("-rw-r--r-- ") && line.ends_with("Z build/src/main.c")), "{long}");
    assert_eq!(scene.output(&["ls", "-l", &state]), long);
    assert_eq!(scene.output(&["ls", "-1", &state, "build/src/"]), "build/src\nbuild/src/main.c\n");
    let absolute = scene.at("build/src");
    let absolute = absolute.to_str().expect("text");
    assert_eq!(scene.output(&["ls", "--names", "--depth", "0", &state, absolute]), "build/src\n");
    assert_eq!(scene.output(&["ls", "--tree", &state]), "build/\n  \\x1b[2J\\xff\n  src/\n    main.c\nshell\n");
    let json = scene.json(&["ls", "--json", &state]);
    assert_eq!(json[1]["path"], "build/\u{1b}[2J\u{fffd}");
    assert_eq!(json[1]["pathBytes"], "6275696c642f1b5b324aff");
    assert_eq!((&json[3]["path"], &json[3]["size"]), (&"build/src/main.c".into(), &29.into()));
    assert!(json[3].get("pathBytes").is_none());
    assert_eq!(json[3]["blake3"], blake3::hash(b"int main(void) { return 0; }\n").to_hex().as_str());
    let said = scene.refused(&["ls", &state, "src"], 1);
    assert!(said.contains("no entry `src`") && said.contains("do you mean `build/src`?"), "{said}");
}

#[test]
fn cat_writes_files_and_nothing_else() {
    let scene = Scene::new();
    let state = scene.save("one");
    assert_eq!(scene.output(&["cat", &state, "build/src/main.c", "build/src/main.c"]).lines().count(), 2);
    let said = scene.refused(&["cat", &state, "build/src/main.c", "build/src"], 1);
    assert!(said.contains("`build/src` is a directory"), "{said}");
}

#[test]
fn extract_makes_all_of_it_or_nothing() {
    let scene = Scene::new();
    let state = scene.save("one");
    scene.output(&["extract", &state, "to", "build/src"]);
    assert_eq!(
        fs::read(scene.at("to/build/src/main.c")).expect("there"),
        fs::read(scene.at("build/src/main.c")).expect("there")
    );
    assert!(!scene.at("to/shell").exists());
    let said = scene.refused(&["extract", &state, "to"], 1);
    assert!(said.contains("to: it is not empty; name a directory that does not exist or is empty"), "{said}");
}

#[test]
fn diff_ends_as_scripts_expect() {
    let scene = Scene::new();
    let (one, same) = (scene.save("one"), scene.save("same"));
    assert_eq!(scene.output(&["diff", &one, &same]), "the states are equal\n");
    fs::write(scene.at("build/src/main.c"), "int main(void) { return 1; }\n").expect("written");
    fs::set_permissions(scene.at("build").join(odd()), fs::Permissions::from_mode(0o600)).expect("set");
    fs::write(scene.at("build/new"), "new\n").expect("written");
    let two = scene.save("two");
    let output = scene.run(&["diff", &one, &two]);
    assert_eq!(output.status.code(), Some(1));
    let expected = "\
metadata                     3 B  build/\\x1b[2J\\xff  (mode 0644 -> 0600)
added                        4 B  build/new
changed                     29 B  build/src/main.c
          entries  before  after
added           1            4 B
changed         1    29 B   29 B
metadata        1     3 B    3 B
";
    assert_eq!(text(&output.stdout), expected);
    let stat = text(&scene.run(&["diff", "--stat", &one, &two]).stdout);
    assert!(expected.ends_with(&stat) && stat.starts_with("   "), "{stat}");
    let output = scene.run(&["diff", "--json", &one, &two]);
    assert_eq!(output.status.code(), Some(1));
    let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&json["equal"], &json["totals"]["added"]["bytesAfter"]), (&false.into(), &4.into()));
    assert_eq!(json["differences"][2]["before"]["path"], "build/src/main.c");
    let patch = text(&scene.run(&["diff", "--patch", &one, &two]).stdout);
    assert!(patch.contains("-int main(void) { return 0; }\n+int main(void) { return 1; }\n"), "{patch}");
    // Trouble is 2, whatever it is.
    let said = scene.refused(&["diff", &one, "missing"], 2);
    assert!(said.contains("there is no file `missing`"), "{said}");
    let said = scene.refused(&["diff", &one], 2);
    assert!(said.contains("<B>"), "{said}");
}

#[test]
fn vars_reads_the_shell_and_never_runs_it() {
    let scene = Scene::new();
    let one = scene.save("one");
    let shown = scene.output(&["vars", &one]);
    assert!(shown.contains("directory  /build/src\n") && shown.contains("  -x A = 1\n"), "{shown}");
    assert!(shown.contains("  f (4 lines)\n"), "{shown}");
    assert_eq!(
        scene.output(&["vars", &one, "--name", "f"]),
        "functions (1)\n  f () \n      { \n          true\n      }\n"
    );
    scene.shell("A=\"2\"\nbuiltin declare -gx A\n");
    let two = scene.save("two");
    let shown = scene.output(&["vars", &one, &two]);
    assert!(shown.starts_with("changed variable A\n  --x A = 1\n  +-x A = 2\nremoved function f\n"), "{shown}");
    let json = scene.json(&["vars", "--json", &one]);
    assert_eq!((&json["variables"]["A"]["value"], &json["umask"]), (&"1".into(), &"0022".into()));
    let json = scene.json(&["vars", "--json", &one, &two]);
    assert_eq!(json["differences"][0]["name"], "A");

    let victim = scene.at("victim");
    scene.shell(&format!("touch {}\n", victim.display()));
    let three = scene.save("three");
    let said = scene.refused(&["vars", &three], 1);
    assert!(said.contains("three: shell: line 1 of the shell state is nothing that phasesplit writes"), "{said}");
    assert!(!victim.exists(), "it was run");
}

#[test]
fn du_and_info_tell_what_there_is() {
    let scene = Scene::new();
    let state = scene.save("one");
    let shown = scene.output(&["du", &state]);
    assert!(shown.lines().any(|line| line.ends_with("1  build/src")), "{shown}");
    let json = scene.json(&["du", "--json", "--depth", "1", &state, "build"]);
    assert_eq!((&json["directories"][0]["bytes"], &json["directories"][1]["path"]), (&32.into(), &"build".into()));
    assert_eq!(json["layers"][0]["members"], 5);
    let shown = scene.output(&["info", &state]);
    assert!(shown.starts_with("package      p-1\nstage        build\n"), "{shown}");
    assert_eq!(scene.json(&["info", "--json", &state])["entries"]["files"], 3);
}

#[test]
fn what_a_failed_stage_left_is_told() {
    let scene = Scene::new();
    let state = scene.save("one");
    let said = scene.refused(&["log", &state], 1);
    assert!(said.contains("this stage did not fail, and Nix has no log of it"), "{said}");
    let info = scene.at("one/info.json");
    let mut value: Value = serde_json::from_slice(&fs::read(&info).expect("read")).expect("JSON");
    value["failed"] =
        serde_json::json!({ "phase": "buildPhase", "exitCode": 2, "log": "cc: \u{1b}[31merror\u{1b}[0m\n" });
    fs::write(&info, value.to_string()).expect("written");
    assert_eq!(scene.output(&["log", &state]), "cc: error\n");
    let shown = scene.output(&["info", &state]);
    assert!(shown.contains("failed       buildPhase ended with exit code 2\n\ncc: "), "{shown}");
    assert!(!shown.contains('\u{1b}'), "{shown:?}");
    assert_eq!(scene.json(&["info", "--json", &state])["failed"]["exitCode"], 2);
}

#[test]
fn every_subcommand_refuses_a_hostile_state_and_names_the_entry() {
    let scene = Scene::new();
    let state = scene.save("one");
    let mut changed = manifest::read("test", &scene.at("one")).expect("read");
    let at = manifest::position(&changed.records, b"build/src/main.c").expect("there");
    changed.records[at].entry.path = b"build/src/../../evil".to_vec();
    let mut out = frames::Writer::new(fs::File::create(scene.at("one/manifest.zst")).expect("made"));
    manifest::write(&mut out, &changed).expect("written");
    out.finish().expect("finished").0.flush().expect("flushed");
    let all: [(&[&str], i32); 8] = [
        (&["ls", &state], 1),
        (&["cat", &state, "shell"], 1),
        (&["extract", &state, "to"], 1),
        (&["diff", &state, &state], 2),
        (&["vars", &state], 1),
        (&["du", &state], 1),
        (&["info", &state], 1),
        (&["log", &state], 1),
    ];
    for (words, code) in all {
        let said = scene.refused(words, code);
        assert!(said.contains("build/src/../../evil: the path leaves its directory"), "{words:?}: {said}");
    }
    assert!(!scene.at("to").exists());
}

#[test]
fn mount_shows_the_tree_until_it_is_interrupted_or_offers_extract() {
    let scene = Scene::new();
    fs::hard_link(scene.at("build/src/main.c"), scene.at("build/again")).expect("linked");
    std::os::unix::fs::symlink("src", scene.at("build/link")).expect("linked");
    let state = scene.save("one");
    fs::create_dir(scene.at("on")).expect("made");
    let mut command = Command::new(env!("CARGO_BIN_EXE_phasesplit"));
    command.current_dir(scene.at(".")).args(["state", "mount", &state, "on"]).stderr(std::process::Stdio::piped());
    let mut mounted = command.spawn().expect("phasesplit runs");
    let mut said = String::new();
    let mut talk = std::io::BufReader::new(mounted.stderr.take().expect("piped"));
    std::io::BufRead::read_line(&mut talk, &mut said).expect("read");
    if !said.contains("is mounted on on") {
        std::io::Read::read_to_string(&mut talk, &mut said).expect("read");
        assert_eq!(mounted.wait().expect("ended").code(), Some(4), "{said}");
        assert!(said.contains("cannot mount on on: ") && said.contains("phasesplit state extract one DIR"), "{said}");
        eprintln!("skipped: this machine lets nobody mount");
        return;
    }
    let read = |name: &str| fs::read(scene.at("on").join(name));
    let expected = fs::read(scene.at("build/src/main.c")).expect("read");
    let contents = ["build/src/main.c", "build/again", "build/link/main.c"].map(|name| read(name).expect("read"));
    let found = scene.at("on/build").join(odd()).exists();
    let names = fs::read_dir(scene.at("on")).expect("listed").count();
    let written = fs::write(scene.at("on/build/new"), "x").is_err();
    // Whatever comes of it, nothing stays mounted.
    let pid = rustix::process::Pid::from_child(&mounted);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("interrupted");
    assert!(mounted.wait().expect("ended").success());
    assert!(contents.iter().all(|content| *content == expected));
    assert!(found && written);
    assert_eq!((names, fs::read_dir(scene.at("on")).expect("listed").count()), (2, 0));
}
