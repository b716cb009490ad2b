//! The flake, evaluated by the real Nix with a stand-in for nixpkgs.

use std::fs;
use std::path::Path;
use std::process::Command;

/// A copy of what the flake reads: the checkout itself holds `target/`, which Nix would copy too.
fn checkout() -> tempfile::TempDir {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for file in ["flake.nix", "Cargo.toml", "Cargo.lock"] {
        fs::copy(root.join(file), scratch.path().join(file)).expect("copied");
    }
    fs::create_dir(scratch.path().join("engine")).expect("made");
    for file in ["engine/Cargo.toml", "engine/Cargo.lock"] {
        fs::copy(root.join(file), scratch.path().join(file)).expect("copied");
    }
    copy_tree(&root.join("engine/src"), &scratch.path().join("engine/src"));
    copy_tree(&root.join("nix-lib"), &scratch.path().join("nix-lib"));
    copy_tree(&root.join("tests/fixtures/flake-nixpkgs"), &scratch.path().join("nixpkgs"));
    scratch
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("made");
    for entry in fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("read");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("known").is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("copied");
        }
    }
}

/// What `nix eval` gives for an attribute of the flake, as JSON, with `apply` applied to it.
fn eval(checkout: &Path, attribute: &str, apply: &str) -> String {
    let output = Command::new("nix")
        .args(["--extra-experimental-features", "nix-command flakes", "eval", "--json", "--no-write-lock-file"])
        .arg(format!("path:{}#{attribute}", checkout.display()))
        .args(["--override-input", "nixpkgs"])
        .arg(format!("path:{}", checkout.join("nixpkgs").display()))
        .args(["--apply", apply])
        .output()
        .expect("nix is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("JSON").trim().to_owned()
}

#[test]
fn the_packages_carry_the_engine() {
    let checkout = checkout();
    let version = env!("CARGO_PKG_VERSION");
    let names = eval(checkout.path(), "packages.x86_64-linux", "ps: map (p: ps.${p}.name) (builtins.attrNames ps)");
    let engine = phasesplit::state::format::ENGINE;
    assert_eq!(names, format!(r#"["phasesplit-{version}","phasesplit-{version}","phasesplit-state-{engine}.0.0"]"#));
    let engine = eval(checkout.path(), "packages.x86_64-linux.default", "p: p.PHASESPLIT_STATE_BIN");
    assert!(engine.ends_with("/bin/phasesplit-state\""), "{engine}");
    let shell = eval(checkout.path(), "devShells.aarch64-darwin.default", "s: s.name");
    assert_eq!(shell, r#""shell-0""#);
}

#[test]
fn only_what_is_the_engines_changes_the_engine() {
    let checkout = checkout();
    let engine = || eval(checkout.path(), "packages.x86_64-linux.phasesplit-state", "p: p.drvPath");
    let add = |file: &str, text: &str| {
        let path = checkout.path().join(file);
        let old = fs::read_to_string(&path).unwrap_or_default();
        fs::write(&path, old + text).expect("written");
    };
    let before = engine();
    let version = format!("version = \"{}\"", env!("CARGO_PKG_VERSION"));
    let manifest = fs::read_to_string(checkout.path().join("Cargo.toml")).expect("read");
    assert!(manifest.contains(&version));
    fs::write(checkout.path().join("Cargo.toml"), manifest.replace(&version, "version = \"99.0.0\"")).expect("written");
    add("Cargo.lock", "# changed\n");
    add("README.md", "changed\n");
    add("nix-lib/split.nix", "# changed\n");
    fs::create_dir(checkout.path().join("engine/tests")).expect("made");
    add("engine/tests/new.rs", "// new\n");
    assert_eq!(engine(), before);
    add("engine/src/lib.rs", "// changed\n");
    assert_ne!(engine(), before);
}

#[test]
fn split_gives_the_chain_of_a_package_of_nixpkgs() {
    let checkout = checkout();
    let apply = "f: let
        nixpkgs = builtins.getFlake \"path:NIXPKGS\";
        package = nixpkgs.legacyPackages.x86_64-linux.hello;
        s = f { inherit package; };
      in [ s.name (map (d: d.stage) s.chain) (s.unsplit.name == package.name) ]"
        .replace("NIXPKGS", &checkout.path().join("nixpkgs").display().to_string());
    let output = Command::new("nix")
        .args(["--extra-experimental-features", "nix-command flakes", "eval", "--impure", "--json"])
        .args(["--no-write-lock-file", "--override-input", "nixpkgs"])
        .arg(format!("path:{}", checkout.path().join("nixpkgs").display()))
        .arg(format!("path:{}#lib.split", checkout.path().display()))
        .args(["--apply", &apply])
        .output()
        .expect("nix is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(
        String::from_utf8_lossy(&output.stdout).trim(),
        r#"["hello-2.12",["unpack","configure","build","install","finish"],true]"#
    );
}
