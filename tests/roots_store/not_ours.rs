//! What phasesplit did not make, and what others damaged, in its own directories: told, left alone, and in nobody's way.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use pretty_assertions::assert_eq;
use serde_json::Value;

use crate::support::{succeed, text};
use crate::world::{DAY, KEY, State, World};
use crate::{CHAIN, paths};

/// Findings that are not mended, as kind of problem and path below the state directory.
fn unmended(world: &World, arguments: &[&str]) -> BTreeSet<(String, String)> {
    let home = world.path("state/phasesplit").display().to_string();
    let findings = world.json(arguments);
    let findings = findings.as_array().expect("a list").iter().filter(|finding| finding["mended"] == false);
    let field = |finding: &Value, key: &str| finding[key].as_str().expect("a word").to_owned();
    findings.map(|f| (field(f, "problem"), field(f, "path").replace(&format!("{home}/"), ""))).collect()
}

#[test]
fn what_others_put_there_is_told_and_stays() {
    let world = World::new();
    let states = world.states("p-1.0", CHAIN);
    let all: Vec<&State> = states.iter().collect();
    world.keep(&all);
    let home = world.path("state/phasesplit");
    let package = format!("roots/packages/{KEY}");
    let dead = world.path("store").join(format!("{}-hello-1", "0".repeat(32)));
    // Links to a state and to something of the store that is gone, under names that are not phasesplit's.
    let links: [(String, PathBuf); 8] = [
        (format!("{package}/mine"), states[1].path.clone().into()),
        (format!("{package}/result"), dead.clone()),
        (format!("{package}/result.drv"), dead.with_extension("drv")),
        ("roots/mine".to_owned(), states[1].path.clone().into()),
        // The package's own directory once more, and one that leads nowhere.
        ("roots/packages/alias-1.0-0123456789ab".to_owned(), home.join(&package)),
        ("roots/packages/loop-1.0-0123456789ab".to_owned(), "loop-1.0-0123456789ab".into()),
        ("roots/packages/other/build@0".to_owned(), states[1].path.clone().into()),
        (format!("{package}/a\nb"), "/etc".into()),
    ];
    let files = ["mine", "roots/note", "packages/note", "given-up/note", "running/note", "roots/packages/note"];
    let files = files.map(str::to_owned).into_iter().chain([
        format!("packages/{KEY}/note"),
        format!("packages/{KEY}/states/mine.json"),
        format!("packages/{KEY}/states/note"),
    ]);
    let files: Vec<String> = files.collect();
    for (name, target) in &links {
        let link = home.join(name);
        fs::create_dir_all(link.parent().expect("above")).expect("made");
        symlink(target, link).expect("linked");
    }
    for name in &files {
        let file = home.join(name);
        fs::create_dir_all(file.parent().expect("above")).expect("made");
        fs::write(file, "mine").expect("written");
    }
    // A name that is no text.
    let odd = home.join(&package).join(OsStr::from_bytes(b"\xff"));
    symlink("/etc", &odd).expect("linked");
    fs::create_dir_all(home.join("running/build-mine")).expect("made");

    assert_eq!(world.rooted(), paths(&all), "each once, and nothing else");
    let mut expected: BTreeSet<String> = links.iter().map(|(name, _)| name.clone()).chain(files.clone()).collect();
    expected.remove("roots/packages/other/build@0");
    expected.extend([
        "roots/packages/other".to_owned(),
        "running/build-mine".to_owned(),
        format!("{package}/\u{fffd}"),
    ]);
    let expected: BTreeSet<_> = expected.into_iter().map(|name| ("foreign".to_owned(), name)).collect();
    assert_eq!(unmended(&world, &["doctor", "--json"]), expected);
    let mended = world.roots(&["doctor", "--fix"]);
    let table = text(&mended.stdout);
    assert!(table.contains(r"a\nb "), "a name cannot break its line: {table}");
    world.roots(&["prune", "--keep-last", "0"]);
    assert_eq!(world.rooted(), BTreeSet::new());
    assert_eq!(unmended(&world, &["doctor", "--fix", "--json"]), expected);
    assert_eq!(links.iter().filter(|(name, _)| !home.join(name).is_symlink()).count(), 0);
    assert!(files.iter().all(|name| fs::read(home.join(name)).is_ok_and(|text| text == b"mine")));
    assert!(odd.is_symlink());
}

#[test]
fn a_damaged_index_costs_neither_ages_nor_sizes() {
    let world = World::new();
    let states = world.states("p-1.0", CHAIN);
    let all: Vec<&State> = states.iter().collect();
    world.keep(&all);
    let ages = |states: &[&State], days: u64| {
        for state in states {
            let link = fs::read_link(world.link(state)).expect("a link");
            assert_eq!(link.to_str(), Some(state.path.as_str()));
            let old = SystemTime::now() - Duration::from_secs(days * DAY);
            let time = rustix::fs::Timespec {
                tv_sec: i64::try_from(old.duration_since(SystemTime::UNIX_EPOCH).expect("later").as_secs())
                    .expect("fits"),
                tv_nsec: 0,
            };
            let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
            let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
            rustix::fs::utimensat(rustix::fs::CWD, world.link(state), &times, flags).expect("set");
        }
    };
    ages(&all, 100);
    // Cut off; of a later version; and one whose size is not that of the state.
    let [damaged, later, wrong] = [0, 1, 2].map(|at| world.index(&states[at]));
    let cut = fs::read_to_string(&damaged).expect("read");
    fs::write(&damaged, &cut[..20]).expect("written");
    let future = fs::read_to_string(&later).expect("read").replace("\"format\": 1", "\"format\": 2, \"more\": {}");
    fs::write(&later, &future).expect("written");
    let mut about: Value = serde_json::from_slice(&fs::read(&wrong).expect("read")).expect("JSON");
    about["bytes"] = 9_000_000_000_u64.into();
    fs::write(&wrong, about.to_string()).expect("written");

    let list = world.json(&["list", "--json"]);
    for state in &all {
        let root = list.as_array().expect("a list").iter().find(|root| root["path"] == state.path.as_str());
        let bytes = phasesplit::nix::store::size_of(state.path.as_ref()).expect("there");
        assert_eq!(root.expect("listed")["bytes"].as_u64(), Some(bytes));
    }
    // The links are old, and what was in the index was written just now.
    assert_eq!(world.json(&["prune", "--older-than", "50d", "--json"])["givenUp"], serde_json::json!([]));
    let file = |path: &PathBuf| path.strip_prefix(world.path("state/phasesplit")).expect("below").display().to_string();
    let findings = unmended(&world, &["doctor", "--json"]);
    assert_eq!(
        findings,
        [("foreign".to_owned(), file(&later)), ("no-index".to_owned(), file(&world.link(&states[0])))].into()
    );
    let mended = world.json(&["doctor", "--fix", "--json"]);
    assert!(mended.to_string().contains("it has format 2, which this phasesplit does not know"), "{mended:#}");
    assert_eq!(fs::read_to_string(&later).expect("read"), future, "who wrote it knows it");
    // Where nobody used it for so long, its age is that of both.
    let old = SystemTime::now() - Duration::from_secs(60 * DAY);
    File::options().write(true).open(&later).expect("open").set_modified(old).expect("set");
    let given_up = world.json(&["prune", "--older-than", "50d", "--dry-run", "--json"]);
    let given_up: Vec<&str> =
        given_up["givenUp"].as_array().expect("a list").iter().filter_map(|root| root["path"].as_str()).collect();
    assert_eq!(given_up, [states[1].path.as_str()]);
}

#[test]
fn what_cannot_be_mended_hinders_nothing_else() {
    let world = World::new();
    let states = world.states("p-1.0", CHAIN);
    world.keep(&states.iter().collect::<Vec<_>>());
    // No index can be written, and Nix has forgotten a link.
    let index = world.path("state/phasesplit/packages").join(KEY).join("states");
    fs::remove_dir_all(&index).expect("removed");
    fs::write(&index, "in the way").expect("written");
    let link = world.link(&states[1]);
    fs::remove_file(&link).expect("removed");
    symlink(&states[1].path, &link).expect("linked");
    let auto = fs::read_dir(world.path("nix/gcroots/auto")).expect("there").flatten();
    let auto = auto.map(|entry| entry.path()).find(|auto| fs::read_link(auto).is_ok_and(|target| target == link));
    fs::remove_file(auto.expect("known")).expect("removed");
    assert!(!world.known().contains(&states[1].path));

    let output = world.phasesplit(&["roots", "doctor", "--fix"]).output().expect("runs");
    assert_eq!(output.status.code(), Some(4), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("is as it was: cannot write "), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("not in the index"), "{}", text(&output.stdout));
    assert!(world.known().contains(&states[1].path), "the other is mended");

    // Links of another machine, whose store has what this one's has not.
    fs::remove_file(&index).expect("removed");
    world.json(&["doctor", "--fix", "--json"]);
    let file = world.index(&states[2]);
    let mut about: Value = serde_json::from_slice(&fs::read(&file).expect("read")).expect("JSON");
    about["machine"] = "elsewhere.example".into();
    fs::write(&file, about.to_string()).expect("written");
    let gone = world.path("store").join(format!("{}-p-1.0-phase-install", "0".repeat(32)));
    let (there, here) =
        (world.link(&states[2]), world.link(&State { path: gone.display().to_string(), ..states[2].clone() }));
    fs::remove_file(&there).expect("removed");
    symlink(&gone, &here).expect("linked");
    about["path"] = gone.display().to_string().into();
    let index = world.index(&State { path: gone.display().to_string(), ..states[2].clone() });
    fs::rename(&file, &index).expect("renamed");
    fs::write(&index, about.to_string()).expect("written");
    let found = unmended(&world, &["doctor", "--fix", "--json"]);
    assert!(found.iter().any(|(problem, path)| problem == "elsewhere" && path.ends_with(&"0".repeat(32))), "{found:?}");
    assert!(here.is_symlink(), "it is not this machine's");
    about["machine"] = Value::Null;
    fs::write(&index, about.to_string()).expect("written");
    world.json(&["doctor", "--fix", "--json"]);
    assert!(!here.is_symlink());
    succeed(&mut world.phasesplit(&["roots", "doctor"]));
}
