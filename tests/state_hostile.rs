//! States that nobody saved: each command that looks into a state refuses them by name, and writes nothing, neither outside
//! nor half. The engine's own tests have more ways to harm a state; here are those of each kind, and every command.

#[path = "../engine/tests/state_support/mod.rs"]
mod state_support;

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::symlink;
use std::process::{Command, Output};

use phasesplit::state::entry::{Entry, Kind, Mtime};
use phasesplit::state::manifest::{Manifest, Record};
use phasesplit::state::{format, save};
use state_support::{Scene, find, member, names, patch};

/// What a command may take, in KiB of address space.
const MEMORY: &str = "1500000";

/// Which commands cannot go by a harm.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// All: it is in what every command reads first.
    ByAll,
    /// Those that read content: it is in an archive.
    InContent,
    /// Those that read content; others may say so, but need not.
    InLayers,
}

struct Case {
    what: &'static str,
    seen: Seen,
    /// What the message must say.
    says: &'static str,
    harm: fn(&Scene),
}

fn saved() -> Scene {
    let scene = Scene::new();
    fs::write(
        scene.at("shell"),
        "A=\"1\"\nbuiltin declare -gx A\nphasesplit_stand /build ''\nbuiltin umask 0022\n_phasesplit_whole=1\n",
    )
    .expect("written");
    let save = |to: &str, parent: Option<&str>| {
        let request = save::Request {
            to: scene.at(to),
            build_dir: scene.at("build"),
            shell: scene.at("shell"),
            outputs: vec![("out".to_owned(), scene.at("store/out"))],
            parent: parent.map(|parent| scene.at(parent)),
            listing: None,
            pinned: None,
            package: "p-1".to_owned(),
            stage: "build".to_owned(),
            phases: Vec::new(),
            exclude: Vec::new(),
            ..save::Request::default()
        };
        save::save(&request).expect("saved");
    };
    save("one", None);
    fs::write(scene.at("build/b"), "second").expect("written");
    save("two", Some("one"));
    scene.clear();
    scene
}

fn record<'a>(manifest: &'a mut Manifest, path: &str) -> &'a mut Record {
    manifest.records.iter_mut().find(|record| record.entry.path == path.as_bytes()).expect("it is there")
}

fn file(path: &[u8]) -> Entry {
    let mtime = Mtime { secs: 5, nanos: 0 };
    Entry { path: path.into(), kind: Kind::File, mode: 0o644, size: 6, mtime, link: Vec::new(), hash: None }
}

fn replaced(scene: &Scene, state: &str, path: &[u8]) {
    let new = member(&file(path), b"second");
    scene.layer(state, |members| *find(members, "build/b") = new);
}

fn instead(scene: &Scene, name: &str, make: fn(&std::path::Path)) {
    let path = scene.at("two").join(name);
    fs::remove_file(&path).expect("it was there");
    make(&path);
}

#[allow(clippy::too_many_lines, reason = "a table")]
fn cases() -> Vec<Case> {
    let case = |what, seen, says, harm| Case { what, seen, says, harm };
    vec![
        case("a path of the manifest leaves", Seen::ByAll, "the path leaves its directory", |s| {
            let path = s.path("canary/x");
            s.manifest("two", |m| record(m, "build/b").entry.path = path.into());
        }),
        case("a path of the manifest goes up", Seen::ByAll, "the path leaves its directory", |s| {
            s.manifest("two", |m| record(m, "build/b").entry.path = b"build/../canary".to_vec());
        }),
        case("a path through a symlink", Seen::ByAll, "build/l/x", |s| {
            s.manifest("two", |m| {
                let mut new = record(m, "build/b").clone();
                new.entry.path = b"build/l/x".to_vec();
                let at = m.records.iter().position(|other| other.entry.path == b"build/l").expect("it is there");
                m.records.insert(at + 1, new);
            });
        }),
        case("a hard link out", Seen::ByAll, "build/b", |s| {
            s.manifest("two", |m| {
                let b = record(m, "build/b");
                b.entry = Entry { kind: Kind::HardLink, size: 0, link: b"../canary/bird".to_vec(), ..file(b"build/b") };
                b.data = 0;
            });
        }),
        case("an entry twice", Seen::ByAll, "build/b", |s| {
            s.manifest("two", |m| {
                let at = m.records.iter().position(|record| record.entry.path == b"build/b").expect("it is there");
                let again = m.records[at].clone();
                m.records.insert(at, again);
            });
        }),
        case("a manifest that swells", Seen::ByAll, "two/manifest.zst", |s| {
            let zeros = zstd::encode_all(std::io::repeat(0).take(256 << 20), 1).expect("in memory");
            s.put("two", format::MANIFEST, &zeros);
        }),
        case("a manifest that is cut", Seen::ByAll, "two/manifest.zst", |s| {
            let whole = fs::read(s.at("two").join(format::MANIFEST)).expect("read");
            s.put("two", format::MANIFEST, &whole[..whole.len() / 2]);
        }),
        case("a manifest that never ends", Seen::ByAll, "two/manifest.zst", |s| {
            instead(s, format::MANIFEST, |path| symlink("/dev/zero", path).expect("linked"));
        }),
        case("a manifest that waits", Seen::ByAll, "two/manifest.zst", |s| {
            instead(s, format::MANIFEST, |path| {
                assert!(Command::new("mkfifo").arg(path).status().expect("mkfifo runs").success());
            });
        }),
        case("another format", Seen::ByAll, "two/info.json", |s| {
            let path = s.at("two").join(format::INFO);
            let mut info: serde_json::Value = serde_json::from_slice(&fs::read(&path).expect("read")).expect("JSON");
            info["format"] = 999.into();
            fs::write(path, info.to_string()).expect("written");
        }),
        case("an info that waits", Seen::ByAll, "two/info.json", |s| {
            instead(s, format::INFO, |path| {
                assert!(Command::new("mkfifo").arg(path).status().expect("mkfifo runs").success());
            });
        }),
        case("a parent of itself", Seen::InLayers, "two", |s| {
            let own = s.path("two");
            s.put("two", format::PARENT, format!("{own}\n").as_bytes());
        }),
        case("a parent that is gone", Seen::InLayers, "nowhere", |s| {
            let nowhere = s.path("nowhere");
            s.put("two", format::PARENT, format!("{nowhere}\n").as_bytes());
        }),
        case("an absolute member", Seen::InContent, "/canary/x", |s| {
            let path = s.path("canary/x");
            replaced(s, "two", path.as_bytes());
        }),
        case("a member that goes up", Seen::InContent, "build/../canary/x", |s| {
            replaced(s, "two", b"build/../canary/x");
        }),
        case("a device", Seen::InContent, "build/b: it is a device", |s| {
            s.layer("two", |members| patch(find(members, "build/b"), 156, b"3"));
        }),
        case("a setuid member", Seen::InContent, "build/b", |s| {
            s.layer("two", |members| patch(find(members, "build/b"), 100, b"0004755"));
        }),
        case("other content", Seen::InContent, "build/b", |s| {
            let new = member(&file(b"build/b"), b"SECOND");
            s.layer("two", |members| {
                let at = find(members, "build/b");
                let len = at.len();
                at[len - 512..].copy_from_slice(&new[new.len() - 512..]);
            });
        }),
        case("a member that nobody knows", Seen::InContent, "build/aa", |s| {
            let new = member(&file(b"build/aa"), b"second");
            s.layer("two", |members| {
                let at = members.iter().position(|each| state_support::path_of(each) == "build/b").expect("there");
                members.insert(at, new);
            });
        }),
        case("an archive that is cut", Seen::InContent, "two/layer.tar.zst", |s| {
            let whole = fs::read(s.at("two").join(format::LAYER)).expect("read");
            s.put("two", format::LAYER, &whole[..whole.len() / 2]);
        }),
        case("an archive that never ends", Seen::InContent, "two/layer.tar.zst", |s| {
            instead(s, format::LAYER, |path| symlink("/dev/zero", path).expect("linked"));
        }),
    ]
}

/// The commands, and whether each reads content.
const COMMANDS: [(&[&str], bool); 12] = [
    (&["ls", "two"], false),
    (&["ls", "--json", "two"], false),
    (&["cat", "two", "build/b", "shell"], true),
    (&["extract", "two", "canary/to"], true),
    (&["extract", "two", "canary/to", "build"], true),
    (&["diff", "one", "two"], false),
    (&["diff", "--patch", "one", "two"], true),
    (&["diff", "--patch", "two", "one"], true),
    (&["vars", "two"], true),
    (&["du", "two"], false),
    (&["info", "two"], false),
    (&["log", "two"], false),
];

fn run(scene: &Scene, words: &[&str]) -> Output {
    let mut command = Command::new("bash");
    command.args(["-c", "ulimit -v \"$1\" && exec timeout 60 \"${@:2}\"", "bash", MEMORY]);
    command.arg(env!("CARGO_BIN_EXE_phasesplit")).arg("state").args(words);
    command.current_dir(scene.root.path()).env("NO_COLOR", "1").env("TMPDIR", scene.at("build"));
    command.output().expect("bash runs")
}

/// What is wrong with how a command took a harm.
fn judged(scene: &Scene, case: &Case, words: &[&str], reads: bool) -> Option<String> {
    let output = run(scene, words);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    scene.assert_untouched(case.what);
    assert!(names(&scene.at("build")).is_empty(), "{} by {words:?} leaves {:?}", case.what, names(&scene.at("build")));
    let must = case.seen == Seen::ByAll || reads;
    let code = output.status.code();
    if code == Some(0) || (words[0] == "diff" && code == Some(1) && !output.stdout.is_empty()) {
        return must.then(|| "passed".to_owned());
    }
    // A sound state without a log: that is another matter.
    if words[0] == "log" && said.contains("did not fail") {
        return must.then(|| "passed".to_owned());
    }
    let codes: &[i32] = if words[0] == "diff" { &[2] } else { &[1, 4] };
    let is_refused = code.is_some_and(|code| codes.contains(&code)) && output.stdout.is_empty();
    let is_told = said.contains("error[") && said.contains(case.says) && said.len() < 4000;
    (!is_refused || !is_told).then(|| format!("{code:?}, {} bytes of output: {said}", output.stdout.len()))
}

#[test]
fn each_command_refuses_each_of_them() {
    let mut wrong = Vec::new();
    for case in cases() {
        let scene = saved();
        (case.harm)(&scene);
        // What opens is mounted, and content read later: only what does not open is refused at once.
        let mount = (&["mount", "two", "canary"][..], false);
        for (words, reads) in COMMANDS.into_iter().chain((case.seen == Seen::ByAll).then_some(mount)) {
            // Reading the setuid bit or other content of `build/b` is not needed for the shell.
            let reads = reads && !(words[0] == "vars" && case.seen == Seen::InContent);
            if let Some(how) = judged(&scene, &case, words, reads) {
                wrong.push(format!("{} by {words:?}, not `{}`: {how}", case.what, case.says));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Without a harm each command does its work: the table refuses nothing by itself.
#[test]
fn the_scene_itself_is_sound() {
    for (words, _) in COMMANDS {
        let scene = saved();
        let words: Vec<&str> = words.iter().map(|&word| if word == "canary/to" { "build/to" } else { word }).collect();
        let output = run(&scene, &words);
        let expected = i32::from(matches!(words[0], "diff" | "log"));
        assert_eq!(output.status.code(), Some(expected), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// A shell state is read, never run: what is no assignment that the runtime writes is refused.
#[test]
fn a_shell_state_is_not_run() {
    for line in [
        "touch canary/x",
        "A=$(touch canary/x)",
        "A=\"$(touch canary/x)\"",
        "A=\"`touch canary/x`\"",
        "A=\"1\"; touch canary/x",
        "builtin declare -gn A=\"$(touch canary/x)\"",
        "_phasesplit_frame+=$'touch canary/x\\n'",
        "declare -a B=([$(touch canary/x)]=1)",
        "f () \n{ \n    true\n}; touch canary/x",
        "builtin trap -- 'touch canary/x' EXIT; touch canary/x",
        "phasesplit_stand /build x && touch canary/x",
    ] {
        let scene = Scene::new();
        fs::write(
            scene.at("shell"),
            format!("{line}\nphasesplit_stand /build ''\nbuiltin umask 0022\n_phasesplit_whole=1\n"),
        )
        .expect("written");
        let request = save::Request {
            to: scene.at("one"),
            build_dir: scene.at("build"),
            shell: scene.at("shell"),
            outputs: vec![("out".to_owned(), scene.at("store/out"))],
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
        scene.clear();
        for words in [&["vars", "one"][..], &["vars", "--json", "one"], &["vars", "one", "one"]] {
            let output = run(&scene, words);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(1), "{line} by {words:?}: {said}");
            assert!(said.contains("one: shell: ") && output.stdout.is_empty(), "{line}: {said}");
            scene.assert_untouched(line);
        }
    }
}
