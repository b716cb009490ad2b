//! `phasesplit gen` as a user runs it: a folder in tests/cli/gen is a case.
//!
//! ```text
//! cmd                the command line, run by sh in a copy of the folder
//! status             the exit code, where it is not 0
//! stdout.expected    standard output        stderr.expected    standard error
//! NAME.expected      the file NAME, which the command writes
//! value.expected     JSON of `package.name`, as Nix evaluates it in the generated file, with `stub.nix` as the package set
//! anything else      the input
//! ```
//! `UPDATE_EXPECT=1 cargo test --test gen_cases` writes what came out. The inlined nix-lib is cut out of the comparison
//! (src/render/library.rs tests it), and what was generated must parse where there is Nix. The program itself finds no Nix:
//! `tests/evaluation.rs` is about what it does with one.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use pretty_assertions::StrComparison;

/// The programs that a `cmd` may use. Nothing else is on its PATH, and no Nix above all.
const TOOLS: [&str; 7] = ["cat", "head", "mkdir", "mkfifo", "sh", "touch", "tr"];

const ENGINE: &str = "/nix/store/0000000000000000000000000000000a-phasesplit-state-1";
const HOST_SET: &str = "/nix/store/0000000000000000000000000000000b-phasesplit-host";
/// How the last lines of a split.nix begin.
const LAST: &str = "in\nsplit {";
/// The last line of a split.nix that asks for nothing.
const CALL: &str = "split { inherit package chain engines; }";

#[test]
fn every_case_gives_what_it_expects() {
    let cases = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cli/gen");
    let mut folders: Vec<PathBuf> =
        fs::read_dir(cases).expect("tests/cli/gen").map(|entry| entry.expect("an entry").path()).collect();
    folders.sort();
    assert!(folders.len() >= 40, "only {} cases", folders.len());
    let failures: Vec<String> = folders.iter().flat_map(|folder| run(folder)).collect();
    assert!(failures.is_empty(), "{} of {} cases:\n{}", failures.len(), folders.len(), failures.join("\n"));
}

/// A .drv is put together again as the very same derivation, inputs and all.
#[test]
fn a_drv_file_is_that_derivation() {
    for form in ["plain", "structured"] {
        let scratch = tempfile::tempdir().expect("a directory");
        let fixture = format!("{}/tests/fixtures/drv/{form}.nix", env!("CARGO_MANIFEST_DIR"));
        // A store of its own: nothing is built, so nothing else is needed of it.
        let root = scratch.path().canonicalize().expect("a directory");
        let with_store = |command: &mut Command| {
            command
                .env("NIX_REMOTE", "local")
                .env("NIX_STORE_DIR", root.join("store"))
                .env("NIX_STATE_DIR", root.join("state"))
                .env("NIX_LOG_DIR", root.join("log"))
                .env("NIX_CONFIG", "build-users-group =")
                .current_dir(&root)
                .output()
        };
        let instantiated = match with_store(Command::new("nix-instantiate").arg(&fixture)) {
            Ok(output) => output,
            Err(error) => return eprintln!("not asked: nix-instantiate does not start here ({error})"),
        };
        assert!(instantiated.status.success(), "{}", String::from_utf8_lossy(&instantiated.stderr));
        let drv = String::from_utf8_lossy(&instantiated.stdout).trim().to_owned();
        let split = Command::new(env!("CARGO_BIN_EXE_phasesplit"))
            .args(["gen", &drv, "--engine", ENGINE])
            .output()
            .expect("phasesplit");
        assert!(split.status.success(), "{}", String::from_utf8_lossy(&split.stderr));
        let text = String::from_utf8_lossy(&split.stdout).replace(CALL, "package.drvPath");
        fs::write(scratch.path().join(FILE), text).expect("a file");
        let found = with_store(Command::new("nix-instantiate").args(["--eval", FILE])).expect("nix-instantiate");
        let said = String::from_utf8_lossy(&found.stderr);
        assert_eq!(String::from_utf8_lossy(&found.stdout).trim(), format!("{drv:?}"), "{form}: {said}");
    }
}

/// Runs a case; returns what is wrong with it.
fn run(folder: &Path) -> Vec<String> {
    let case = folder.file_name().expect("a name").to_string_lossy().into_owned();
    let scratch = tempfile::tempdir().expect("a directory");
    let directory = scratch.path().join("case");
    copy(folder, &directory);
    let bin = scratch.path().join("bin");
    fs::create_dir(&bin).expect("a directory");
    let wrapper = bin.join("phasesplit");
    let program = env!("CARGO_BIN_EXE_phasesplit");
    fs::write(&wrapper, format!("#!/bin/sh\nexec '{program}' \"$@\" --engine {ENGINE} --host-set {HOST_SET}\n"))
        .expect("the wrapper");
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).expect("the wrapper's mode");

    for tool in TOOLS {
        let place = ["/usr/bin", "/bin"].map(|directory| Path::new(directory).join(tool));
        let found = place.iter().find(|path| path.exists()).unwrap_or_else(|| panic!("no {tool} on this machine"));
        std::os::unix::fs::symlink(found, bin.join(tool)).expect("a link");
    }

    let line = fs::read_to_string(folder.join("cmd")).unwrap_or_else(|error| panic!("{case}/cmd: {error}"));
    let output = Command::new("sh")
        .args(["-c", &line])
        .current_dir(&directory)
        .env_clear()
        .env("PATH", &bin)
        .env("HOME", scratch.path())
        .env("NIX_PATH", "")
        .output()
        .expect("sh");
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();

    let mut wrong = Vec::new();
    let mut compare = |name: &str, found: &str| {
        wrong.extend(expect(folder, name, &without_library(found)).map(|diff| format!("{case}/{name}:\n{diff}")));
    };
    compare("stdout.expected", &stdout);
    compare("stderr.expected", &stderr);
    let status = output.status.code().map_or_else(|| "killed".to_owned(), |code| code.to_string());
    compare("status", if status == "0" { "" } else { &status });

    let mut generated: Vec<String> = stdout.contains(LAST).then_some(stdout).into_iter().collect();
    for name in names(folder).iter().filter_map(|name| name.strip_suffix(".expected")) {
        if !matches!(name, "stdout" | "stderr" | "value") {
            let text = fs::read_to_string(directory.join(name)).unwrap_or_default();
            compare(&format!("{name}.expected"), &text);
            generated.extend(text.contains(LAST).then_some(text));
        }
    }
    for text in &generated {
        if let Some(Err(error)) = nix(&["--parse", FILE], text, &directory) {
            wrong.push(format!("{case}: what was generated does not parse:\n{error}"));
        }
    }
    if folder.join("value.expected").exists()
        && let Some(text) = generated.first()
        && let Some(value) = nix(&["--eval", "--strict", "--json", "-E", VALUE], &asking_for_the_name(text), &directory)
    {
        let value = value.unwrap_or_else(|error| error);
        wrong.extend(
            expect(folder, "value.expected", value.trim()).map(|diff| format!("{case}/value.expected:\n{diff}")),
        );
    }
    wrong
}

/// The generated file with the stub as its package set, asking for the package's name.
fn asking_for_the_name(text: &str) -> String {
    let stub = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/stub.nix");
    text.replace(HOST_SET, stub).replace("<nixpkgs>", stub).replace(CALL, "package.name")
}

/// What follows this line is nix-lib, up to the `in` of the last two lines.
fn without_library(text: &str) -> String {
    match (text.find("  # phasesplit's nix-lib, version"), text.rfind(LAST)) {
        (Some(start), Some(end)) if start < end => {
            let line = text[start..].lines().next().unwrap_or_default();
            format!("{}{line}\n  …\n{}", &text[..start], &text[end..])
        }
        _ => text.to_owned(),
    }
}

/// Compares with a file of the case, or writes it; an empty text is no file.
fn expect(folder: &Path, name: &str, found: &str) -> Option<String> {
    let path = folder.join(name);
    let expected = fs::read_to_string(&path).unwrap_or_default();
    if expected.trim_end() == found.trim_end() {
        return None;
    }
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        if found.is_empty() { fs::remove_file(&path) } else { fs::write(&path, format!("{}\n", found.trim_end())) }
            .expect("the case can be written");
        return None;
    }
    Some(StrComparison::new(&expected, found).to_string())
}

/// Where Nix is asked about a generated text.
const FILE: &str = "phasesplit-test.nix";
/// Its value, called where it is a function, as `nix build -f` does.
const VALUE: &str = "let file = import ./phasesplit-test.nix; in if builtins.isFunction file then file { } else file";

/// Asks Nix about a text that stands for a file in `directory`; `None` where there is no Nix.
fn nix(arguments: &[&str], text: &str, directory: &Path) -> Option<Result<String, String>> {
    fs::write(directory.join(FILE), text).expect("a file");
    match Command::new("nix-instantiate").args(arguments).current_dir(directory).env("NIX_PATH", "").output() {
        Err(error) => {
            eprintln!("not asked: nix-instantiate does not start here ({error})");
            None
        }
        Ok(output) if output.status.success() => Some(Ok(String::from_utf8_lossy(&output.stdout).into_owned())),
        Ok(output) => Some(Err(String::from_utf8_lossy(&output.stderr).into_owned())),
    }
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy(&entry.path(), &target);
        } else if !entry.file_name().to_string_lossy().ends_with(".expected") {
            fs::copy(entry.path(), &target).expect("a copy");
        }
    }
}
