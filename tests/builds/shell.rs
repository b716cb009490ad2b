//! `phasesplit shell`: what is done by hand in it gives what the builder gives, and nothing outside it changes.

use crate::support::{Project, package, phasesplit, salt, succeed, text};
use phasesplit::compare;
use phasesplit::state::entry::Kind;
use phasesplit::state::manifest;
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

/// Runs every phase that comes before finish, one by one.
const BY_HAND: &str = r#"
for phase in $(phases --names); do
  if [[ $phase == fixupPhase ]]; then break; fi
  runPhase "$phase"
done
"#;

/// `phasesplit shell` for the project's package at `point`, its temporary files in a directory of its own.
pub fn shell(project: &Project, point: &str, options: &[&str], command: &[&str]) -> Command {
    let mut shell = phasesplit(project.path());
    let scratch = scratch(project);
    fs::create_dir_all(&scratch).expect("a place for sessions");
    shell
        .env("XDG_STATE_HOME", project.path().join("roots"))
        .env("TMPDIR", scratch)
        .args(["shell", &format!("pkg.nix@{point}"), "--pkgs", "host"])
        .args(options);
    if !command.is_empty() {
        shell.arg("--").args(command);
    }
    shell
}

fn scratch(project: &Project) -> PathBuf {
    project.path().join("sessions")
}

/// What sessions left in their place for temporary files.
pub fn left(project: &Project) -> Vec<PathBuf> {
    fs::read_dir(scratch(project)).expect("it is there").map(|entry| entry.expect("an entry").path()).collect()
}

pub fn small(name: &str) -> Project {
    Project::new(&format!(
        "{{ callPackage }}: (callPackage ({}) {{ }}).overrideAttrs (old: {{ pname = \"{name}\"; }})\n",
        package("reuse", &format!("salt = \"{}\";", salt()))
    ))
}

/// Kind, whether it can be executed, and size and hash or target.
type Seen = BTreeMap<Vec<u8>, (char, bool, Vec<u8>)>;

/// The outputs in a state, by path behind `outputs/`.
fn in_state(state: &Path) -> Seen {
    let records = manifest::read("test", state).expect("a state").records;
    let mut seen = Seen::new();
    for record in &records {
        let Some(path) = record.entry.path.strip_prefix(b"outputs/") else { continue };
        let named = match record.entry.kind {
            Kind::HardLink => manifest::find(&records, &record.entry.link).expect("what it names"),
            _ => record,
        };
        let entry = &named.entry;
        let what = match entry.kind {
            Kind::Directory => ('d', false, Vec::new()),
            Kind::Symlink => ('l', false, entry.link.clone()),
            Kind::File => ('f', entry.mode & 0o100 != 0, entry.hash.expect("a hash").to_vec()),
            other => panic!("{other:?} in an output"),
        };
        seen.insert(path.to_vec(), what);
    }
    seen
}

/// The same of directories: an output's name and where it is.
fn in_directories(outputs: &[(String, PathBuf)]) -> Seen {
    let mut seen = Seen::new();
    let mut todo = outputs.to_vec();
    while let Some((name, path)) = todo.pop() {
        let metadata = fs::symlink_metadata(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let what = if metadata.is_dir() {
            for entry in fs::read_dir(&path).expect("a directory") {
                let entry = entry.expect("an entry");
                todo.push((format!("{name}/{}", entry.file_name().to_string_lossy()), entry.path()));
            }
            ('d', false, Vec::new())
        } else if metadata.is_symlink() {
            ('l', false, fs::read_link(&path).expect("a link").into_os_string().into_encoded_bytes())
        } else {
            let hash = blake3::hash(&fs::read(&path).expect("a file"));
            ('f', metadata.mode() & 0o100 != 0, hash.as_bytes().to_vec())
        };
        seen.insert(name.into_bytes(), what);
    }
    seen
}

/// All phases by hand from the first state on, then finish by hand from the last: each time what the builder made.
fn by_hand(project: &Project, first: &str) {
    project.generate(&[]);
    project.build("phases.finish");
    let state = project.outputs("phases.install").remove(0).1;
    let info: serde_json::Value =
        serde_json::from_slice(&fs::read(state.join("info.json")).expect("info.json")).expect("JSON");
    let staged = info["outputs"].as_object().expect("outputs");

    let kept = project.path().join("by-hand");
    let keep = kept.to_str().expect("UTF-8");
    succeed(&mut shell(project, first, &["--to", "install", "--keep", keep], &[BY_HAND]));
    let made: Vec<(String, PathBuf)> = staged
        .iter()
        .map(|(name, path)| {
            let path = Path::new(path.as_str().expect("a path"));
            (name.clone(), kept.join("store").join(path.file_name().expect("a store path")))
        })
        .filter(|(_, path)| path.exists())
        .collect();
    assert!(!made.is_empty(), "nothing was installed by hand");
    let builders = in_state(&state);
    assert!(builders.len() > 1, "the builder installed nothing: {builders:?}");
    let mut by_hand = in_directories(&made);
    assert_eq!(names(&by_hand), names(&builders), "other files than the builder's");
    for (path, what) in &builders {
        assert_eq!(by_hand.get(path), Some(what), "{} is not the builder's", String::from_utf8_lossy(path));
    }
    // The comparison sees a byte.
    let (path, what) = by_hand.iter_mut().find(|(_, what)| what.0 == 'f').expect("a file");
    what.2[0] ^= 1;
    assert_ne!(builders[path], *what);

    let finished = project.path().join("finished");
    let keep = finished.to_str().expect("UTF-8");
    succeed(&mut shell(project, "install", &["--keep", keep], &["genericBuild"]));
    let real = project.outputs("phases.finish");
    let store = finished.join("nix/store");
    fs::create_dir_all(store.parent().expect("a parent")).expect("a directory");
    fs::rename(finished.join("store"), &store).expect("the same file system");
    // As Nix does when a build has ended.
    succeed(Command::new("chmod").arg("-R").arg("a-w").arg(&store));
    let by_hand: Vec<(String, PathBuf)> =
        real.iter().map(|(name, path)| (name.clone(), store.join(path.file_name().expect("a store path")))).collect();
    let report = compare::compare_packages(&by_hand, &real).expect("both can be read");
    succeed(Command::new("chmod").arg("-R").arg("u+w").arg(&store));
    assert!(report.is_equal(), "finish by hand is not the builder's:\n{report}");
}

fn names(seen: &Seen) -> Vec<String> {
    seen.keys().map(|path| String::from_utf8_lossy(path).into_owned()).collect()
}

#[test]
fn every_phase_by_hand_in_the_small_package() {
    by_hand(&small("by-hand"), "unpack");
}

#[test]
fn every_phase_by_hand_with_structured_attributes() {
    let inner = package("reuse", &format!("salt = \"{}\";", salt()));
    let project = Project::new(&format!(
        "{{ callPackage }}: (callPackage ({inner}) {{ }}).overrideAttrs (old: {{ __structuredAttrs = true; }})\n"
    ));
    by_hand(&project, "unpack");
}

#[test]
fn every_phase_by_hand_in_hello() {
    if let Some(project) = crate::real::project("hello") {
        by_hand(&project, "unpack");
    }
}

#[test]
fn every_phase_by_hand_in_ninja() {
    if let Some(project) = crate::real::project("ninja") {
        by_hand(&project, "unpack");
    }
}

#[test]
fn every_phase_by_hand_in_three_outputs() {
    if let Some(project) = crate::real::project("xz") {
        by_hand(&project, "unpack");
    }
}

#[test]
fn every_phase_by_hand_in_jq() {
    if let Some(project) = crate::real::project("jq") {
        by_hand(&project, "unpack");
    }
}

/// What a session can see and do, told by the session.
pub const LOOK: &str = r#"
set +e
echo "who $(id -u):$(id -g) $(whoami)"
echo "where $PWD $NIX_BUILD_TOP $HOME"
echo "interfaces $(tail -n +3 /proc/net/dev | sed 's/:.*//' | tr -d ' \n')"
echo "reach $( (exec 3<>/dev/tcp/192.0.2.1/80) 2>&1 | grep -o unreachable)"
echo "loopback $( (exec 3<>/dev/tcp/127.0.0.1/9) 2>&1 | grep -o refused)"
engine=$(echo /nix/store/*-phasesplit-state-*)
for try in "rm -rf $engine" "chmod u+w $engine" "touch /usr/x" "touch /x" "mount --bind /tmp /usr"; do
  if $try 2>/dev/null; then echo "could $try"; else echo "could not"; fi
done
echo "processes $(ls -d /proc/[0-9]* | wc -l)"
# bwrap makes /dev/core besides, a link into /proc.
echo "devices $(ls /dev | grep -vx core | tr '\n' ' ')"
echo "capabilities $(sed -n 's/^CapEff:\t0*//p; s/^CapPrm:\t0*//p' /proc/self/status)"
mkdir -p "$out" && echo "wrote $out"
"#;

pub fn assert_room(said: &str) {
    let has = |line: &str| assert!(said.lines().any(|said| said.starts_with(line)), "no line `{line}` in\n{said}");
    has("who 1000:100 nixbld");
    has("where /build/reuse-source /build /homeless-shelter");
    has("interfaces lo");
    has("reach unreachable");
    has("loopback refused");
    has("devices fd full null ptmx pts random shm stderr stdin stdout tty urandom zero");
    has("wrote /nix/store/");
    assert_eq!(said.matches("could not").count(), 5, "{said}");
    let processes = said.lines().find_map(|line| line.strip_prefix("processes ")).expect("a number");
    assert!(processes.trim().parse::<u32>().expect("a number") < 10, "{said}");
    assert!(said.lines().any(|line| line.trim_end() == "capabilities"), "none: {said}");
}

#[test]
fn the_room_is_the_builders_and_nothing_outside_changes() {
    let name = format!("room-{}", std::process::id());
    let project = small(&name);
    let in_store = || {
        let entries = fs::read_dir("/nix/store").expect("a store").map(|entry| entry.expect("an entry").file_name());
        entries.filter(|entry| entry.to_string_lossy().contains(&name)).collect::<std::collections::BTreeSet<_>>()
    };
    // Builds what is missing.
    succeed(&mut shell(&project, "build", &[], &["true"]));
    let before = in_store();
    assert!(before.iter().any(|path| path.to_string_lossy().ends_with("-phase-build")), "{before:?}");
    let output = succeed(&mut shell(&project, "build", &["--to", "install"], &[LOOK]));
    assert_room(&text(&output.stdout));
    assert_eq!(in_store(), before);
    assert_eq!(left(&project), Vec::<PathBuf>::new());
}

#[test]
fn commands_and_their_exit_codes() {
    let project = small("codes");
    let run = |options: &[&str], command: &[&str]| shell(&project, "patch", options, command).output().expect("runs");
    let code = |command: &[&str]| run(&[], command).status.code();
    assert_eq!(code(&["exit 7"]), Some(7));
    assert_eq!(code(&["false; exit 0"]), Some(1), "a command that fails ends it, as in a build");
    assert_eq!(code(&["kill -9 $$"]), Some(137));
    let words = run(&[], &["printf", "<%s>", "a b", "$HOME"]);
    assert_eq!(text(&words.stdout), "<a b><$HOME>");
    assert_eq!(text(&run(&[], &["echo $configureFlags"]).stdout), "--with-greeting=hello\n");

    let mut piped =
        shell(&project, "patch", &[], &[]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("runs");
    piped.stdin.take().expect("a pipe").write_all(b"echo $configureFlags\nexit 3\n").expect("written");
    let piped = piped.wait_with_output().expect("it ends");
    assert_eq!((text(&piped.stdout).as_str(), piped.status.code()), ("--with-greeting=hello\n", Some(3)));

    let phases = text(&run(&[], &["phases"]).stdout);
    let first: Vec<&str> = phases.lines().take(4).collect();
    assert_eq!(first[..3], ["ran    unpackPhase", "ran    patchPhase", "comes  configurePhase"]);
    assert!(first[3].starts_with("later  buildPhase"), "{phases}");
    let phases = text(&run(&["--to", "build"], &["phases --names"]).stdout);
    assert!(phases.starts_with("configurePhase\nbuildPhase\ncheckPhase\n"), "{phases}");

    for (point, options, says) in [
        ("finish", &[][..], "finish leaves the package, not a state"),
        ("pack", &[], "has no stage `pack`"),
        ("build", &["--to", "patch"], "has no stage `patch` after build"),
        ("patch", &["--keep", "."], "is not empty"),
    ] {
        let output = shell(&project, point, options, &["true"]).output().expect("runs");
        assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
        assert!(text(&output.stderr).contains(says), "{}", text(&output.stderr));
    }
    assert_eq!(left(&project), Vec::<PathBuf>::new());
}

/// Waits until no process has this word among its arguments.
fn wait_until_gone(word: &str) {
    let runs = || {
        fs::read_dir("/proc").expect("/proc").flatten().any(|process| {
            let words = fs::read(process.path().join("cmdline")).unwrap_or_default();
            words.split(|byte| *byte == 0).any(|each| each == word.as_bytes())
        })
    };
    for _ in 0..200 {
        if !runs() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("a process with {word} still runs");
}

/// Starts a session that sleeps this long, sends it a signal once it does, and gives how it ended.
fn interrupted(project: &Project, signal: &str, sleep: &str) -> std::process::ExitStatus {
    // The child that sleeps has left the session's process group.
    let script = format!("setsid sleep {sleep} & echo asleep; wait");
    let mut child =
        shell(project, "unpack", &[], &[&script]).stdout(Stdio::piped()).spawn().expect("the session starts");
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().expect("a pipe")).read_line(&mut line).expect("a line");
    assert_eq!(line, "asleep\n");
    assert_eq!(left(project).len(), 1);
    succeed(Command::new("kill").args([signal, &child.id().to_string()]));
    let status = child.wait().expect("it ends");
    wait_until_gone(sleep);
    status
}

#[test]
fn a_signal_ends_all_of_it() {
    let project = small("signals");
    let number = std::process::id();
    for (signal, code) in [("-TERM", 143), ("-INT", 130), ("-HUP", 129)] {
        assert_eq!(interrupted(&project, signal, &format!("9{number}.{code}")).code(), Some(code));
        assert_eq!(left(&project), Vec::<PathBuf>::new(), "{signal}");
    }
    // Nobody can clean up behind itself then: its processes end all the same, and the next session cleans up.
    assert_eq!(interrupted(&project, "-KILL", &format!("9{number}.9")).signal(), Some(9));
    assert_eq!(left(&project).len(), 1);
    succeed(&mut shell(&project, "unpack", &[], &["true"]));
    assert_eq!(left(&project), Vec::<PathBuf>::new());
}

#[test]
fn what_a_session_changed_is_a_patch() {
    let project = small("patch");
    let kept = project.path().join("kept");
    let keep = kept.to_str().expect("UTF-8");
    let script = "runPhase buildPhase
        sed -i s/greeting:/salut:/ greet.c
        rm Makefile; ln -s /etc/passwd Makefile
        echo new >added
        phasesplit-diff >../inside";
    succeed(&mut shell(&project, "configure", &["--keep", keep], &[script]));
    let diff = |options: &[&str]| {
        let mut command = phasesplit(project.path());
        let output = succeed(command.args(["shell", "--diff", keep]).args(options));
        (text(&output.stdout), text(&output.stderr))
    };
    let (patch, said) = diff(&[]);
    let changed: Vec<&str> = patch.lines().filter(|line| line.starts_with(['-', '+'])).collect();
    assert_eq!(changed.len(), 4, "{patch}");
    assert_eq!(changed[..2], ["--- a/greet.c", "+++ b/greet.c"]);
    assert!(changed[2].contains("greeting:") && changed[3].contains("salut:"), "{patch}");
    assert!(said.contains("reuse-source/Makefile"), "the link is named: {said}");
    let inside = fs::read_to_string(kept.join("build/inside")).expect("what the session said");
    assert!(inside.ends_with(&patch), "{inside}");

    let (all, said) = diff(&["--all"]);
    assert!(all.contains("--- /dev/null\n+++ b/added\n@@ -0,0 +1 @@\n+new\n"), "{all}");
    assert!(said.contains("reuse-source/greet\n"), "the program is named: {said}");
    assert!(!(all.contains("root:") || patch.contains("root:")), "no link is followed");

    // It is one that `patch` takes.
    let source = project.path().join("source");
    let original = crate::support::root().join("tests/nix/packages/reuse-source");
    succeed(Command::new("cp").arg("-r").arg(original).arg(&source));
    let mut apply = Command::new("patch").arg("-p1").current_dir(&source).stdin(Stdio::piped()).spawn().expect("patch");
    apply.stdin.take().expect("a pipe").write_all(patch.as_bytes()).expect("written");
    assert!(apply.wait().expect("it ends").success());
    let edited = fs::read(kept.join("build/reuse-source/greet.c")).expect("the session's file");
    assert_eq!(fs::read(source.join("greet.c")).expect("the patched file"), edited);
}

#[test]
fn a_kept_session_holds_what_was_made_and_nothing_else() {
    let project = small("keep");
    let kept = project.path().join("kept");
    let keep = kept.to_str().expect("UTF-8");
    succeed(&mut shell(&project, "check", &["--keep", keep], &["genericBuild; touch /tmp/x"]));
    let mut names: Vec<_> =
        fs::read_dir(&kept).expect("it is there").map(|entry| entry.expect("an entry").file_name()).collect();
    names.sort();
    assert_eq!(names, ["build", "session.json", "store"]);
    let store: Vec<_> =
        fs::read_dir(kept.join("store")).expect("a store").map(|entry| entry.expect("an entry")).collect();
    assert_eq!(store.len(), 1, "{store:?}");
    assert!(store[0].path().join("bin/greet").is_file());
}

#[test]
fn the_point_where_a_stage_failed() {
    let project = Project::new(&format!(
        "{{ callPackage }}: (callPackage ({}) {{ }}).overrideAttrs (old: {{ postInstall = \"half=done; false\"; }})\n",
        package("reuse", &format!("salt = \"{}\";", salt()))
    ));
    let script = "echo \"$half $PWD\"; ls \"$out/bin\"; phases; postInstall='echo mended >$out/installed'
        rm -r \"$out\"; runPhase installPhase; cat \"$out/installed\"";
    let output = succeed(&mut shell(&project, "install", &["--failed"], &[script]));
    let said = text(&output.stdout);
    assert!(said.starts_with("done /build/reuse-source\ngreet\n"), "{said}");
    assert!(said.contains("\nran    checkPhase\nfailed installPhase\n"), "{said}");
    assert!(said.ends_with("mended\n"), "{said}");
    assert!(text(&output.stderr).contains("installPhase failed with exit code 1"), "{}", text(&output.stderr));
    let output = shell(&project, "check", &["--failed"], &["true"]).output().expect("runs");
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("the stage check of reuse-1.0 did not fail"), "{}", text(&output.stderr));
}

#[test]
fn a_state_that_was_made_without_a_sandbox() {
    let mut project = small("bare");
    project.settings = "sandbox = false".to_owned();
    project.generate(&[]);
    project.build("phases.build");
    let script = "echo \"$NIX_BUILD_TOP\"; make -q all; runPhase checkPhase";
    let output = succeed(&mut shell(&project, "build", &[], &[script]));
    let said = text(&output.stdout);
    assert!(said.starts_with("/tmp/phasesplit-"), "it is where it was: {said}");
    assert!(!Path::new(said.lines().next().expect("a line")).exists(), "but not outside");
}

/// With a terminal of its own: job control, the window's size, a phase that fails and a session that goes on.
#[test]
fn a_terminal() {
    let project = small("terminal");
    let mut inner = shell(&project, "patch", &[], &[]);
    let words: Vec<String> = std::iter::once(inner.get_program())
        .chain(inner.get_args())
        .map(|word| format!("'{}'", word.to_string_lossy()))
        .collect();
    let mut script = Command::new("script");
    script.args(["-qec", &format!("stty rows 33 cols 77; {}", words.join(" ")), "/dev/null"]);
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => script.env(name, value),
            None => script.env_remove(name),
        };
    }
    let mut child = script
        .current_dir(inner.current_dir(project.path()).get_current_dir().expect("set"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script runs");
    let mut input = child.stdin.take().expect("a pipe");
    let lines = "stty size\nsleep 1000 &\njobs\nconfigurePhase='echo one; f() { false; echo two; }; f; echo three'\n\
                 runPhase configurePhase; echo code $?\nkill %1; wait\nexit 5\n";
    input.write_all(lines.as_bytes()).expect("written");
    let output: Output = child.wait_with_output().expect("it ends");
    let said = text(&output.stdout).replace('\r', "");
    assert_eq!(output.status.code(), Some(5), "{said}");
    for line in
        ["33 77", "[1]+  Running", "configurePhase failed with exit code 1", "code 1", "[terminal@patch] /build/"]
    {
        assert!(said.contains(line), "no `{line}` in\n{said}");
    }
    assert!(!said.contains("\ntwo\n") && !said.contains("\nthree\n"), "{said}");
    assert_eq!(left(&project), Vec::<PathBuf>::new());
}

#[test]
fn a_plain_directory() {
    let project = small("plain");
    let kept = project.path().join("kept");
    let keep = kept.to_str().expect("UTF-8");
    let script = "echo \"$PWD\"; echo \"$out\"; make -q all; runPhase checkPhase; sed -i s/greeting:/salut:/ greet.c; phasesplit-diff";
    let output = succeed(&mut shell(&project, "build", &["--no-sandbox", "--keep", keep], &[script]));
    let said = text(&output.stdout);
    let kept = kept.canonicalize().expect("it is there");
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[0], kept.join("build/reuse-source").to_str().expect("UTF-8"));
    assert!(lines[1].starts_with(kept.to_str().expect("UTF-8")), "{said}");
    assert!(said.contains("+++ b/greet.c"), "{said}");
    assert!(text(&output.stderr).contains("no sandbox: the build directory is"), "{}", text(&output.stderr));
    assert_eq!(left(&project), Vec::<PathBuf>::new());
}
