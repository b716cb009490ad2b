//! Two people of a team have the same project: its states have the same paths for both, so that what one has built the other
//! fetches. The people differ in all that a build could take from its surroundings and must not: directory (one with
//! blanks), user, home, host, store, language, time zone, umask, cores, the files' times, and how they got the project.

mod person;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use person::{Habits, Person, no_machines};
use serde_json::Value;

use crate::support::{command, root, salt, succeed, text};

/// All of the packages, in the project.
const PACKAGES: [&str; 3] = ["hello/pkg.nix", "local/pkg.nix", "several/pkg.nix"];

/// A project with three packages, each with the sources that [`crate::reuse`] has: one that gets them from elsewhere, one
/// that lies among them, and one in several files.
fn project(directory: &Path, salt: &str) {
    let source = root().join("tests/nix/packages/reuse-source");
    let copy = |to: &Path| {
        fs::create_dir_all(to).expect("made");
        for entry in fs::read_dir(&source).expect("the sources").flatten() {
            fs::copy(entry.path(), to.join(entry.file_name())).expect("a copy");
        }
    };
    let write = |file: &str, text: &str| {
        let file = directory.join(file);
        fs::create_dir_all(file.parent().expect("a directory")).expect("made");
        fs::write(file, text).expect("written");
    };
    copy(&directory.join("local"));
    copy(&directory.join("several/source"));
    copy(&directory.join("upstream"));
    let package = |name: &str, source: &str, more: &str| {
        format!(
            "{{ stdenv }}:\nstdenv.mkDerivation {{\n  pname = \"{name}\";\n  version = \"1\";\n  src = {source};\n  \
             salt = \"{salt}\";\n  configureFlags = [ \"--with-greeting=hello\" ];\n  doCheck = true;\n{more}}}\n"
        )
    };
    write(
        "hello/pkg.nix",
        &package(
            "hello",
            "builtins.path { path = ../upstream; name = \"hello-1\"; }",
            "  postInstall = \"echo installed >$out/installed\";\n",
        ),
    );
    write("local/pkg.nix", &package("local", "./.", ""));
    let files = "  patches = [ ./greet.patch ];\n  postInstall = builtins.readFile ./install.sh;\n  preFixup = \"source ${./fixup.sh}\";\n";
    write("several/pkg.nix", &package("several", "./source", files));
    write("several/install.sh", "echo installed >$out/installed\n");
    write("several/fixup.sh", "echo fixed >$out/fixed\n");
    write(
        "several/greet.patch",
        "--- a/greet.c\n+++ b/greet.c\n@@ -1,3 +1,4 @@\n #include <stdio.h>\n+#include <stdlib.h>\n \n int main(void) {\n",
    );
}

/// Two people with the same project: a git checkout with new times, and a copy with old ones.
fn team() -> (Person, Person) {
    let origin = tempfile::tempdir().expect("a directory");
    project(origin.path(), &salt());
    let one = Person::new(Habits {
        name: "alice-of-the-team",
        host: "workstation-of-alice",
        user: 0,
        checkout: "project",
        umask: "022",
        variables: &[("TZ", "America/St_Johns"), ("LANG", "en_CA.UTF-8"), ("EMAIL", "alice@example.org")],
        settings: "cores = 1",
    });
    let other = Person::new(Habits {
        name: "bob-of-the-team",
        host: "laptop-of-bob",
        // One that no process has.
        user: 61235,
        checkout: "work with blanks/his copy",
        umask: "077",
        variables: &[
            ("TZ", "Asia/Kathmandu"),
            ("LANG", "de_DE.UTF-8"),
            ("LC_ALL", "tr_TR.UTF-8"),
            ("GREETING", "moin-moin"),
        ],
        settings: "cores = 7\nmax-jobs = 3",
    });
    let git = |words: &[&str], directory: &Path| {
        let mut git = Command::new("git");
        git.current_dir(directory).args(["-c", "user.name=origin", "-c", "user.email=origin@example.org"]).args(words);
        git.env("GIT_CONFIG_NOSYSTEM", "1").env("HOME", directory);
        succeed(&mut git);
    };
    git(&["init", "--quiet"], origin.path());
    git(&["add", "."], origin.path());
    git(&["commit", "--quiet", "-m", "the project"], origin.path());
    let from = origin.path().to_str().expect("text");
    git(&["clone", "--quiet", from, one.checkout().to_str().expect("text")], &one.home());
    fs::create_dir_all(other.checkout().parent().expect("a directory")).expect("made");
    succeed(command("cp", origin.path()).arg("-r").arg(origin.path()).arg(other.checkout()));
    fs::remove_dir_all(other.checkout().join(".git")).expect("a copy has none");
    let old = ["-exec", "touch", "-d", "2001-09-09 01:46:40", "{}", "+"];
    succeed(command("find", &other.checkout()).arg(".").args(old));
    succeed(command("chmod", &other.checkout()).args(["-R", "go=", "."]));
    one.own();
    other.own();
    if let Some(reason) = no_machines() {
        eprintln!("SKIPPED: other users, hosts and stores: {reason}");
    }
    (one, other)
}

/// The stages whose path or derivation is not the same for both.
fn differing(one: &[[String; 3]], other: &[[String; 3]]) -> Vec<String> {
    assert_eq!(one.len(), other.len());
    let pairs = one.iter().zip(other).filter(|(one, other)| {
        assert_eq!(one[0], other[0]);
        // The paths of both, or of neither.
        assert_eq!(one[1] == other[1], one[2] == other[2], "{one:?} {other:?}");
        one != other
    });
    pairs.map(|(one, _)| one[0].clone()).collect()
}

#[test]
fn two_people_have_the_same_states() {
    let (one, other) = team();
    for package in PACKAGES {
        let plan = one.plan(package);
        assert!(plan.len() >= 6, "{plan:?}");
        assert_eq!(plan, other.plan(package), "{package}");
        assert_eq!(
            one.split(package),
            other.split(package),
            "{package}: what `gen` writes can be kept with the project"
        );
        for person in [&one, &other] {
            assert_eq!(person.leaks(package), [""; 0], "{package}");
        }
    }
}

#[test]
fn what_a_package_takes_from_its_surroundings_is_seen() {
    let (one, other) = team();
    let file = other.checkout().join("several/pkg.nix");
    let package = fs::read_to_string(&file).expect("a file of the project");
    for leak in ["toString ./.", "builtins.getEnv \"USER\"", "toString builtins.currentTime"] {
        fs::write(&file, package.replace("doCheck = true;", &format!("doCheck = true; postBuild = {leak};")))
            .expect("written");
        let plan = other.plan("several/pkg.nix");
        let differing = differing(&one.plan("several/pkg.nix"), &plan);
        assert_eq!(differing, ["build", "check", "install", "finish"], "{leak}");
        assert_eq!(other.leaks("several/pkg.nix").is_empty(), leak.contains("Time"), "{leak}");
    }
}

#[test]
fn a_byte_that_differs_makes_other_states_from_its_stage_on_and_only_there() {
    let (one, other) = team();
    let all = ["unpack", "patch", "configure", "build", "check", "install", "finish"];
    for (package, file, old, new, first) in [
        ("hello/pkg.nix", "hello/pkg.nix", "echo installed", "echo Installed", "install"),
        ("hello/pkg.nix", "hello/pkg.nix", "--with-greeting=hello", "--with-greeting=hellO", "configure"),
        ("hello/pkg.nix", "upstream/greet.c", "greeting", "Greeting", "unpack"),
        ("local/pkg.nix", "local/greet.c", "greeting", "Greeting", "unpack"),
        ("several/pkg.nix", "several/greet.patch", "stdlib", "string", "patch"),
        ("several/pkg.nix", "several/install.sh", "installed", "Installed", "install"),
        ("several/pkg.nix", "several/fixup.sh", "fixed", "Fixed", "finish"),
    ] {
        let plan = one.plan(package);
        let stages: Vec<&str> = plan.iter().map(|[stage, ..]| stage.as_str()).collect();
        assert!(all.ends_with(&stages) || all.iter().filter(|stage| stages.contains(stage)).eq(&stages), "{stages:?}");
        let file = other.checkout().join(file);
        let text = fs::read_to_string(&file).expect("a file of the project");
        let changed = text.replacen(old, new, 1);
        assert_ne!(changed, text);
        fs::write(&file, changed).expect("written");
        let from = stages.iter().position(|stage| *stage == first).expect("a stage");
        assert_eq!(differing(&plan, &other.plan(package)), stages[from..], "{}", file.display());
        fs::write(&file, text).expect("written");
        assert_eq!(differing(&plan, &other.plan(package)), [""; 0], "as it was");
    }
}

/// What `one` has built of a package, in a cache: its URL, and the options that trust it.
fn shared(one: &Person, directory: &Path, package: &[&str]) -> (String, Vec<String>) {
    let url = format!("file://{}", directory.join("cache").display());
    let (secret, public) = (directory.join("secret"), directory.join("public"));
    succeed(command("nix-store", directory).args(["--generate-binary-cache-key", "team-1"]).args([&secret, &public]));
    succeed(one.phasesplit(&["build"]).args(package).arg("--no-link"));
    let key = ["--key", secret.to_str().expect("text")];
    succeed(one.phasesplit(&["cache", "push"]).args(package).args(["--to", &url, "--compression", "zstd"]).args(key));
    succeed(command("chmod", directory).args(["-R", "a+rX", "."]));
    let key = fs::read_to_string(public).expect("the key");
    let trusting = ["--", "--option", "substituters", &url, "--option", "trusted-public-keys", key.trim()];
    (url.clone(), trusting.map(str::to_owned).to_vec())
}

#[test]
fn what_one_has_built_the_other_fetches() {
    if let Some(reason) = no_machines() {
        eprintln!("SKIPPED: {reason}");
        return;
    }
    let (one, other) = team();
    let package = ["several/pkg.nix", "--pkgs", "host"];
    let directory = tempfile::tempdir().expect("a directory");
    let (_, trusting) = shared(&one, directory.path(), &package);
    let mut build = other.phasesplit(&["build"]);
    let output = succeed(build.args(package).args(["--no-link", "--json", "--until", "install"]).args(trusting));
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let outcomes: Vec<(&str, &str)> = report["stages"]
        .as_array()
        .expect("stages")
        .iter()
        .map(|row| (row["stage"].as_str().expect("a name"), row["outcome"].as_str().expect("a word")))
        .collect();
    let words: BTreeSet<&str> = outcomes.iter().map(|(_, outcome)| *outcome).collect();
    assert_eq!(words, BTreeSet::from(["fetched"]), "{outcomes:?}\n{}", text(&output.stderr));
    assert_eq!(outcomes.len(), 6);
}

#[test]
fn what_is_fetched_is_kept_though_a_collection_comes_between() {
    if let Some(reason) = no_machines() {
        eprintln!("SKIPPED: {reason}");
        return;
    }
    let (one, other) = team();
    let package = ["several/pkg.nix", "--pkgs", "host"];
    let directory = tempfile::tempdir().expect("a directory");
    let (url, trusting) = shared(&one, directory.path(), &package);
    // Each time that Nix has fetched or kept something, all is collected that nothing keeps.
    let programs = directory.path().join("programs");
    fs::create_dir(&programs).expect("made");
    let real = succeed(command("bash", directory.path()).args(["-c", "command -v nix-store"]));
    let real = text(&real.stdout).trim().to_owned();
    let collecting = format!(
        "#!/bin/bash\n{real} \"$@\"; code=$?\nif [[ \" $* \" == *' --realise '* ]]; then {real} --gc >>\"$HOME/collected\" 2>&1 || exit; fi\nexit $code\n"
    );
    fs::write(programs.join("nix-store"), collecting).expect("written");
    succeed(command("chmod", directory.path()).args(["-R", "a+rX", "."]));
    succeed(command("chmod", &programs).args(["a+x", "nix-store"]));
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").expect("a path"));
    let mut pull = other.phasesplit(&["cache", "pull"]);
    let output = succeed(pull.args(package).args(["--json", "--from", &url]).args(trusting).env("PATH", path));
    let rows: Vec<Value> = serde_json::from_slice(&output.stdout).expect("JSON");
    let pulled: Vec<&Value> = rows.iter().filter(|row| row["outcome"] == "pulled").collect();
    assert_eq!(pulled.len(), 6, "{rows:?}\n{}", text(&output.stderr));
    for row in pulled {
        assert!(other.outside(row["path"].as_str().expect("a path")).exists(), "{row}\n{}", text(&output.stderr));
    }
    let collected = fs::read_to_string(other.home().join("collected")).expect("what the collector said");
    assert!(collected.contains("store paths deleted"), "{collected}");
}
