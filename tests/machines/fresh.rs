//! A machine that has nothing but a cache's address gets to the install stage of a real package.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use phasesplit::compare::compare_packages;
use serde_json::Value;

use crate::chain::outputs;
use crate::http::{Act, Server};
use crate::machine::{Machine, Machines, System};
use crate::support::{nix_config, root, succeed, text};

/// The store path of ninja's source on this system; nothing where it cannot be had.
fn source() -> Option<String> {
    let mut fetch = Command::new("bash");
    fetch.args(["tests/nix/real/fetch.sh", "ninja"]).current_dir(root()).env("NIX_CONFIG", nix_config());
    let status: Value = serde_json::from_slice(&succeed(&mut fetch).stdout).expect("JSON");
    let path = status["paths"][0].as_str().map(str::to_owned);
    if path.is_none() {
        eprintln!("SKIPPED: the source of ninja is not to be had here: {}", status["reason"]);
    }
    path
}

/// Puts a path of this system's store into the machine's.
fn give(machine: &Machine, path: &str) {
    let export = succeed(Command::new("nix-store").args(["--export", path]).env("NIX_CONFIG", nix_config())).stdout;
    let mut import = machine.command("nix-store");
    let mut import = import.arg("--import").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("nsenter runs");
    import.stdin.take().expect("piped").write_all(&export).expect("written");
    assert!(import.wait().expect("it ends").success(), "{path}");
}

fn write_package(machine: &Machine, edit: &str) {
    let text = format!(
        "{{ pkgs }}: (import /srv/packages/real {{ inherit pkgs; }}).ninja.overrideAttrs (old: {{ {edit} }})\n"
    );
    machine.write("root/ninja.nix", &text);
}

/// The programs that compile C and C++, as gcc names them.
fn compilers() -> Vec<PathBuf> {
    let path = |name: &str| {
        let asked = succeed(Command::new("gcc").arg(format!("-print-prog-name={name}")));
        let path = PathBuf::from(text(&asked.stdout).trim());
        assert!(path.is_absolute(), "gcc has no {name}");
        path.canonicalize().expect("it is there")
    };
    vec![path("cc1"), path("cc1plus")]
}

#[test]
fn a_fresh_machine_gets_to_the_install_stage_of_ninja_without_a_compiler() {
    let Some(source) = source() else { return };
    let wanted = [("maker", System::Here), ("fresh", System::Trixie)];
    let Some(machines) = Machines::start_without(&wanted, &[("fresh", &compilers())]) else { return };
    let (maker, fresh) = (machines.get("maker"), machines.get("fresh"));
    let store = tempfile::tempdir().expect("a directory");
    let cache = Server::new(store.path(), |_, _| Act::Serve);
    let key = maker.key("maker-1");

    give(maker, &source);
    write_package(maker, "");
    let made = maker.build(&["ninja.nix"]).good();
    let stages = ["unpack", "configure", "build", "check", "install", "finish"];
    assert_eq!(made.built(), stages.map(|stage| (stage, "here")));
    let push = ["phasesplit", "cache", "push", "ninja.nix", "--pkgs", "host", "--key", "/root/maker-1.sec"];
    maker.run(&[&push[..], &["--with-sources", "--compression", "zstd", "--to", &cache.url]].concat());

    fresh.trust(&cache.url, &key);
    let edit = r#"installPhase = "runHook preInstall; ninja install; echo edited >$out/edited; runHook postInstall";"#;
    write_package(fresh, edit);
    let installed = fresh.build(&["ninja.nix"]).good();
    assert_eq!(installed.built(), [("install", "here"), ("finish", "here")], "{}", installed.talk);
    assert_eq!(installed.paths()[..4], made.paths()[..4], "the same states");
    assert!(installed.with("fetched").contains(&"check"), "{}", installed.report);
    // The other two are the host package set's names for programs of the toolchain.
    assert_eq!(fresh.logs(), ["cmake-host", "ninja-1.11.1", "ninja-1.11.1-phase-install", "ninja-host"]);
    let drv = |stage: &str| {
        let row = installed.report["stages"].as_array().and_then(|rows| rows.iter().find(|row| row["stage"] == stage));
        row.and_then(|row| row["drv"].as_str()).expect("a derivation").to_owned()
    };
    let log = fresh.run(&["nix-store", "--read-log", &drv("install")]);
    assert!(log.contains("Installing: ") && !log.contains("Building"), "{log}");

    // It is the package that a machine with a compiler makes of the same edit.
    write_package(maker, edit);
    let same = maker.build(&["ninja.nix"]).good();
    let result = outputs(fresh, &installed);
    let report = compare_packages(&result, &outputs(maker, &same)).expect("both can be read");
    assert!(report.is_equal(), "{report}");
    let version = succeed(Command::new(result[0].1.join("bin/ninja")).arg("--version"));
    assert_eq!(text(&version.stdout), "1.11.1\n");
    assert!(Path::new(&result[0].1.join("edited")).exists());

    // And nothing could have been compiled there.
    write_package(fresh, "preBuild = \": edited\";");
    let compiled = fresh.build(&["ninja.nix"]);
    assert_eq!(compiled.code, Some(3), "{}", compiled.talk);
    assert_eq!(compiled.with("failed"), ["build"], "{}", compiled.report);
    assert!(compiled.talk.contains("cc1plus"), "{}", compiled.talk);
}
