//! Two users and three versions of Nix share one cache, each working with phasesplit on a machine of their own.

use std::process::{Child, Command, Stdio};

use crate::chain::{STAGES, outputs, write_package};
use crate::http::{Act, Server};
use crate::machine::{Built, Machine, Machines, System};
use crate::support::{salt, succeed, text};

/// Somebody at a machine.
struct Person<'a> {
    machine: &'a Machine,
    user: &'static str,
    home: &'static str,
}

/// A daemon for its users.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Gives a machine build users, and a user who may do nothing special.
fn multi_user(machine: &Machine, user: &str) {
    let home = format!("/home/{user}");
    let users = format!("{user}:x:1000:1000::{home}:/bin/bash\nnixbld1:x:30001:30000::/var/empty:/usr/sbin/nologin\n");
    for (file, lines) in [("etc/passwd", users.as_str()), ("etc/group", "nixbld:x:30000:nixbld1\npeople:x:1000:\n")] {
        let before = std::fs::read_to_string(machine.own(file)).expect("a file of users");
        machine.write(file, &format!("{before}{lines}"));
    }
    machine.configure("build-users-group = nixbld");
    machine.run(&["install", "-d", "-o", user, "-g", "people", &home]);
}

/// Starts the daemon, which reads its configuration now.
fn daemon(machine: &Machine) -> Daemon {
    let daemon =
        machine.command("nix-daemon").stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("nsenter runs");
    let daemon = Daemon(daemon);
    for _ in 0..200 {
        if machine.own("nix/var/nix/daemon-socket/socket").exists() {
            return daemon;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("the daemon does not start");
}

impl Person<'_> {
    /// The name of their key: of two with one name Nix takes the first alone.
    fn key(&self) -> String {
        format!("{}-1", self.machine.name)
    }

    /// `phasesplit` with these words, in the home of this user.
    fn command(&self, words: &[&str]) -> Command {
        let home = self.home;
        let mut command = self.machine.command("env");
        command.arg(format!("--chdir={home}"));
        if self.user == "root" {
            command.arg("phasesplit");
        } else {
            command.args([format!("HOME={home}"), format!("USER={}", self.user), "NIX_REMOTE=daemon".to_owned()]);
            command.args(["setpriv", "--reuid", self.user, "--regid", "people", "--init-groups", "phasesplit"]);
        }
        command.args(words);
        command
    }

    fn run(&self, words: &[&str]) -> String {
        text(&succeed(&mut self.command(words)).stdout)
    }

    fn build(&self, words: &[&str]) -> Built {
        let options = ["build", "pkg.nix", "--pkgs", "host", "--no-link", "--json"];
        Built::of(&self.command(&[&options[..], words].concat()).output().expect("nsenter runs")).good()
    }

    fn cache(&self, words: &[&str]) -> String {
        self.run(&[&["cache", words[0], "pkg.nix", "--pkgs", "host"], &words[1..]].concat())
    }

    /// Writes the package into the home, with the same edits for all.
    fn writes(&self, salt: &str, edit: &str) {
        write_package(self.machine, salt, edit);
        if self.user != "root" {
            let from = self.machine.own("root/pkg.nix");
            std::fs::copy(from, self.machine.own(&format!("{}/pkg.nix", self.home))).expect("copied");
        }
    }
}

#[test]
fn two_users_and_three_versions_share_a_cache() {
    let wanted = [("old", System::Here), ("newer", System::Trixie), ("newest", System::Sid)];
    let Some(machines) = Machines::start(&wanted) else { return };
    let store = tempfile::tempdir().expect("a directory");
    let cache = Server::new(store.path(), |_, _| Act::Serve);
    multi_user(machines.get("newer"), "alice");
    let root = Person { machine: machines.get("old"), user: "root", home: "/root" };
    let alice = Person { machine: machines.get("newer"), user: "alice", home: "/home/alice" };
    let other = Person { machine: machines.get("newest"), user: "root", home: "/root" };
    let people = [&root, &alice, &other];
    let versions = people.map(|person| person.machine.run(&["nix-store", "--version"]));
    for (version, expected) in versions.iter().zip(["2.8", "2.26", "2.34"]) {
        assert!(version.contains(&format!(" {expected}.")) || expected == "2.8", "{version}");
    }
    // Who pushes signs; everybody trusts everybody.
    let keys = people.map(|person| person.machine.key(&person.key()));
    let key = format!("{}.sec", alice.key());
    alice.machine.run(&["install", "-m", "600", "-o", "alice", &format!("/root/{key}"), &format!("/home/alice/{key}")]);
    for person in people {
        person.machine.trust(&cache.url, &keys.join(" "));
    }
    let _daemon = daemon(machines.get("newer"));
    let push = |person: &Person<'_>, words: &[&str]| {
        let key = format!("{}/{}.sec", person.home, person.key());
        person.cache(&[&["push", "--to", &cache.url, "--key", &key], words].concat())
    };

    let salt = salt();
    for person in people {
        person.writes(&salt, "");
    }
    let texts = people.map(|person| person.run(&["gen", "pkg.nix", "--pkgs", "host"]));
    assert!(texts[0].contains("phases") && texts.iter().all(|text| *text == texts[0]), "the same split.nix");

    // Nix remembers for an hour what a cache did not have: nobody asks before there is something.
    let started = root.build(&["--until", "build"]);
    assert_eq!(started.built(), STAGES[..4].iter().map(|stage| (*stage, "here")).collect::<Vec<_>>());
    push(&root, &[]);

    let continued = alice.build(&[]);
    assert!(continued.with("fetched").contains(&"build"), "{}", continued.report);
    assert_eq!(continued.built(), STAGES[4..].iter().map(|stage| (*stage, "here")).collect::<Vec<_>>());
    assert_eq!(continued.paths()[..4], *started.paths());
    push(&alice, &["--with-outputs"]);

    other.cache(&["pull"]);
    let pulled = other.build(&[]);
    assert_eq!((pulled.built(), pulled.paths()), (vec![], continued.paths()), "{}", pulled.talk);
    other.writes(&salt, "postInstall = \"echo other >$out/other\";");
    let edited = other.build(&[]);
    assert_eq!(edited.built(), [("install", "here"), ("finish", "here")]);
    push(&other, &["--with-outputs"]);

    for person in [&root, &alice] {
        person.writes(&salt, "postInstall = \"echo other >$out/other\";");
        person.cache(&["pull"]);
        let same = person.build(&[]);
        assert_eq!((same.built(), same.paths()), (vec![], edited.paths()), "{}", same.talk);
        let out = &outputs(person.machine, &same)[0].1;
        assert_eq!(std::fs::read_to_string(out.join("other")).expect("installed"), "other\n");
        let report =
            phasesplit::compare::compare_packages(&outputs(person.machine, &same), &outputs(other.machine, &edited));
        assert!(report.as_ref().is_ok_and(phasesplit::compare::Report::is_equal), "{report:?}");
    }
    for person in people {
        let roots: serde_json::Value = serde_json::from_str(&person.run(&["roots", "list", "--json"])).expect("JSON");
        assert!(roots.to_string().contains(edited.path("install")), "{roots}");
        person.machine.assert_whole();
    }
}
