//! The shell state against generated programs: cut into stages at random places, a program must leave the shell, and what
//! its traps and functions wrote down, as it does when one shell runs it whole. The runtime's own functions run, without
//! Nix (`harness.sh`).
//!
//! `PHASESPLIT_SHELLS` says how many programs, `PHASESPLIT_SHELLS_SEED` which; `make test-shell` runs 5,000.

mod program;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};

use program::{Program, Random};

/// Variables that bash computes, or that the runtime and the harness have.
const VOLATILE: [&str; 33] = [
    "BASHOPTS",
    "BASHPID",
    "BASH_ARGC",
    "BASH_ARGV",
    "BASH_COMMAND",
    "BASH_LINENO",
    "BASH_MONOSECONDS",
    "BASH_SOURCE",
    "BASH_SUBSHELL",
    "BASH_CMDS",
    "COLUMNS",
    // Whether bash has noticed yet that a coprocess ended.
    "COPROC",
    "DIRSTACK",
    "EPOCHREALTIME",
    "EPOCHSECONDS",
    "FUNCNAME",
    "HISTCMD",
    "LINENO",
    "LINES",
    "PIPESTATUS",
    "PPID",
    "RANDOM",
    "SECONDS",
    "SHELLOPTS",
    "SRANDOM",
    "_",
    "curPhase",
    "mode",
    "probeLine",
    "probeLines",
    "probeName",
    "phase",
    "stdenv",
];

struct Bench {
    runtime: PathBuf,
    engine: PathBuf,
    harness: PathBuf,
    root: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let source = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = tempfile::tempdir().expect("a directory");
        let runtime = runtime_text(source);
        let start = runtime.find("\nphasesplit_read_options \"$@\"").expect("where the runtime begins to run");
        fs::write(root.path().join("runtime.sh"), &runtime[..start]).expect("written");
        let engine =
            std::env::var_os("PHASESPLIT_STATE").expect("PHASESPLIT_STATE names the engine (make test sets it)");
        Self {
            runtime: root.path().join("runtime.sh"),
            engine: engine.into(),
            harness: source.join("tests/shell_generated/harness.sh"),
            root,
        }
    }

    fn bash(&self, mode: &str, program: &Path, directory: &Path, extra: &[&str]) -> Output {
        Command::new("bash")
            .arg(&self.harness)
            .args([mode.as_ref(), program, directory, &self.runtime, &self.engine])
            .args(extra)
            .env_clear()
            .envs([("PATH", "/usr/bin:/bin"), ("HOME", "/homeless")])
            .stdin(std::process::Stdio::null())
            .output()
            .expect("bash runs")
    }

    /// What a program leaves, run whole or in these stages; an error is what was said.
    fn run(&self, name: &str, program: &Program, stages: Option<&[usize]>) -> Result<BTreeMap<String, String>, String> {
        // One path for both, as for two builds of a package.
        let place = self.root.path().join(name);
        let (directory, file) = (place.join("build"), place.join("program"));
        _ = fs::remove_dir_all(&place);
        fs::create_dir_all(directory.join("deep/er")).expect("made");
        fs::write(&file, program.script()).expect("written");
        match stages {
            None => {
                let output = self.bash("whole", &file, &directory, &[]);
                if !output.status.success() {
                    return Err(String::from_utf8_lossy(&output.stderr).into_owned());
                }
            }
            Some(cuts) => {
                let mut before = String::new();
                for (number, range) in cuts.windows(2).enumerate() {
                    let after = place.join(format!("state{number}")).display().to_string();
                    let phases = &program.names()[range[0]..range[1]];
                    let mut words = vec![before.as_str(), after.as_str()];
                    words.extend(phases.iter().map(String::as_str));
                    let output = self.bash("stage", &file, &directory, &words);
                    if !output.status.success() {
                        return Err(format!("stage {number}: {}", String::from_utf8_lossy(&output.stderr)));
                    }
                    before = after;
                }
            }
        }
        Ok(["probe.log", "probe", "probe.variables"].into_iter().flat_map(|what| parts(&place, what)).collect())
    }
}

/// The runtime's parts in the order of their names.
fn runtime_text(source: &Path) -> String {
    let entries = fs::read_dir(source.join("nix-lib/runtime")).expect("the runtime");
    let mut parts: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    parts.sort();
    parts.into_iter().map(|part| fs::read_to_string(part).expect("text")).collect()
}

/// A file's lines by what they are about.
fn parts(place: &Path, what: &str) -> Vec<(String, String)> {
    let text = fs::read(place.join(format!("build.{what}"))).unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    if what != "probe.variables" {
        return vec![(what.to_owned(), text)];
    }
    let named = text.lines().map(|line| {
        let name = line.splitn(3, ' ').nth(2).unwrap_or(line);
        (name.split('=').next().unwrap_or(name).to_owned(), line.to_owned())
    });
    named.filter(|(name, _)| !VOLATILE.contains(&name.as_str()) && !name.starts_with("_phasesplit_")).collect()
}

/// What differs between a program run whole and cut, or `None` if the program does not run whole.
fn differs(bench: &Bench, name: &str, program: &Program) -> Option<Vec<String>> {
    let whole = bench.run(name, program, None).ok()?;
    let split = match bench.run(name, program, Some(&program.cuts)) {
        Ok(split) => split,
        // Refused by its name, as documented.
        Err(said) if said.contains("left a trap on DEBUG that functions inherit") => return None,
        Err(said) => return Some(vec![said]),
    };
    let mut found = Vec::new();
    for key in whole.keys().chain(split.keys().filter(|key| !whole.contains_key(*key))) {
        let (before, after) = (whole.get(key), split.get(key));
        if before != after {
            let [before, after] = [before, after].map(|text| text.map_or("(none)\n", String::as_str));
            let diff = similar::TextDiff::from_lines(before, after);
            found.push(format!("{key}:\n{}", diff.unified_diff().context_radius(0)));
        }
    }
    Some(found)
}

fn setting(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(usual)
}

#[test]
fn cut_at_any_place_a_program_leaves_what_it_leaves_whole() {
    let (count, seed) = (setting("PHASESPLIT_SHELLS", 100), setting("PHASESPLIT_SHELLS_SEED", 1));
    println!("PHASESPLIT_SHELLS={count} PHASESPLIT_SHELLS_SEED={seed}");
    let bench = Bench::new();
    let (next, not_whole) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let failed = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for worker in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            let (bench, next, not_whole, failed) = (&bench, &next, &not_whole, &failed);
            scope.spawn(move || {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed) as u64;
                    if number >= count {
                        break;
                    }
                    let program = Program::generate(&mut Random::new(seed.wrapping_mul(1 << 32) + number));
                    match differs(bench, &format!("w{worker}"), &program) {
                        None => _ = not_whole.fetch_add(1, Ordering::Relaxed),
                        Some(found) if found.is_empty() => {}
                        Some(found) => {
                            let what = format!("program {number}:\n{program}\n{}", found.join("\n"));
                            eprintln!("{what}");
                            failed.lock().expect("no panic").push(number);
                        }
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().expect("no panic");
    assert!(failed.is_empty(), "{} of {count} programs differ (seed {seed}): {failed:?}", failed.len());
    // A program that fails by itself proves nothing.
    let not_whole = not_whole.into_inner() as u64;
    println!("{} programs compared, {not_whole} do not run whole", count - not_whole);
    assert!(not_whole * 5 <= count, "{not_whole} of {count} programs do not run whole");
}

/// Each kind of statement alone, cut right after it.
#[test]
fn every_statement_crosses_a_cut() {
    let bench = Bench::new();
    let mut wrong = Vec::new();
    for statement in program::statements() {
        let program = Program::of(&[&statement, "true"], &[0, 1, 3]);
        match differs(&bench, "single", &program) {
            Some(found) if found.is_empty() => {}
            found => {
                let what = found.map_or_else(|| "does not run whole".to_owned(), |found| found.join("\n"));
                eprintln!("{statement}\n{what}");
                wrong.push(statement);
            }
        }
    }
    assert!(wrong.is_empty(), "{} statements: {wrong:?}", wrong.len());
}

/// The comparison finds what a state loses: a planted line that undoes one thing after the restore.
#[test]
fn what_is_lost_is_found() {
    let bench = Bench::new();
    let runtime = fs::read_to_string(&bench.runtime).expect("there");
    let plants = [
        ("export MODE", "builtin unset -v MODE"),
        ("ulimit -Sn 99", "builtin ulimit -Sn 100"),
        ("trap 'echo x' RTMIN+3", "builtin trap - RTMIN+3"),
        ("hash -p /nowhere/x mytool", "builtin hash -d mytool"),
        ("enable -n pwd", "builtin enable pwd"),
        ("RANDOM=42 seeded=1", "RANDOM=43"),
        ("SECONDS=5000", "SECONDS=0"),
        ("f() { :; }; declare -ft f", "builtin declare +t -f f"),
        ("umask 077", "builtin umask 022"),
        ("alias a=b", "builtin unalias a"),
        ("shopt -s nullglob", "builtin shopt -u nullglob"),
        ("IFS=:", "IFS=x"),
        ("cd deep", "builtin cd er"),
        ("set -T; trap 'echo R >>$LOG' RETURN", "builtin trap - RETURN"),
        ("trap 'echo D >>$LOG' DEBUG", "builtin trap - DEBUG"),
    ];
    for (statement, undo) in plants {
        let marked = "builtin eval \"$_phasesplit_frame\"";
        assert!(runtime.contains(marked));
        fs::write(
            &bench.runtime,
            runtime.replace(marked, &format!("{marked}; if [[ -n $_phasesplit_parent ]]; then {undo}; fi")),
        )
        .expect("written");
        let found = differs(&bench, "planted", &Program::of(&[statement, "true"], &[0, 1, 3]));
        assert!(found.is_some_and(|found| !found.is_empty()), "{statement} undone by {undo} is not found");
    }
}
