//! `phasesplit build --push` with real builds: what is in the cache while the build runs and afterwards, who signed it, and
//! what is said of a cache that does not take it.

#[path = "support/cached.rs"]
mod cached;
#[path = "support/http.rs"]
mod http;
#[path = "support/mod.rs"]
mod support;

use std::fs;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cached::{Project, answers, expected, outcomes};
use http::{Act, Server};
use serde_json::Value;
use support::{Gate, salt, succeed, text};

fn push(project: &Project, url: &str, options: &[&str]) -> Command {
    let mut command = project.command();
    command.args(["build", "pkg.nix", "--pkgs", "host", "--no-link", "--json", "--push", url]).args(options);
    command
}

/// The report, and the outcome of each stage that was to be pushed.
fn report(output: &Output) -> (Value, Vec<(String, String)>) {
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(&output.stderr)));
    let rows = Output { stdout: report["pushed"]["stages"].to_string().into_bytes(), ..output.clone() };
    (report, outcomes(&rows))
}

/// How many records the cache has.
fn records(project: &Project) -> usize {
    let entries = fs::read_dir(project.store()).into_iter().flatten().flatten();
    entries.filter(|entry| entry.path().extension().is_some_and(|extension| extension == "narinfo")).count()
}

/// Waits until something is so, which has to come true while the build runs.
fn until(running: &mut Child, what: &str, is_so: impl Fn() -> bool) {
    while !is_so() {
        assert!(running.try_wait().expect("asked").is_none(), "the build is over before {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A cache behind a server that is well while `well` says so.
fn server(project: &Project, well: &Arc<AtomicBool>) -> Server {
    fs::create_dir_all(project.store()).expect("a directory");
    fs::write(project.store().join("nix-cache-info"), "StoreDir: /nix/store\n").expect("written");
    let well = Arc::clone(well);
    Server::new(&project.store(), move |_, _| if well.load(Ordering::SeqCst) { Act::Serve } else { Act::Status(503) })
}

#[test]
fn each_state_is_in_the_cache_while_the_next_stage_is_built() {
    let (project, gate) = (Project::new(), Gate::new());
    project.write_with("pkg.nix", &salt(), &format!("preInstall = \"{}\";", Gate::WAIT));
    let key = project.key("k-1");
    let mut command = push(&project, &project.url(), &["--key", "k-1.sec", "--compression", "zstd"]);
    let command = gate.shown_to(&mut command).stdout(Stdio::null()).stderr(Stdio::null());
    let mut running = command.spawn().expect("started");
    until(&mut running, "two states are there", || records(&project) == 2);
    let (_, status, talk) = project.status(&[&project.url()], &[], &key);
    assert_eq!(answers(&status, 0), ["signed", "signed", "missing", "missing"], "{talk}");
    assert!(!status["packages"][0]["stages"][2]["here"].as_bool().expect("a bool"), "install runs");
    running.kill().expect("killed");
    running.wait().expect("over");
}

#[test]
fn exactly_the_wanted_states_are_there_afterwards() {
    let project = Project::new();
    let key = project.key("k-1");
    let output = succeed(&mut push(&project, &project.url(), &["--key", "k-1.sec", "--compression", "zstd"]));
    let (built, rows) = report(&output);
    assert_eq!(rows, expected(&[("configure", "pushed"), ("build", "pushed"), ("install", "pushed")]));
    assert_eq!(built["pushed"]["to"], project.url().as_str());
    let (_, status, _) = project.status(&[&project.url()], &[], &key);
    assert_eq!(answers(&status, 0), ["signed", "signed", "signed", "missing"]);
    assert_eq!(records(&project), 3);
    let said = text(&output.stderr);
    assert!(said.contains(&format!("{}: pushed: configure build install\n", project.url())), "{said}");

    // Nothing is built, and what is there is not sent again.
    let output = succeed(&mut push(&project, &project.url(), &["--key", "k-1.sec", "--with-outputs"]));
    let there = [("configure", "there"), ("build", "there"), ("install", "there"), ("finish", "pushed")];
    assert_eq!(report(&output).1, expected(&there));
    let (_, status, _) = project.status(&[&project.url()], &[], &key);
    assert_eq!(answers(&status, 0), ["signed"; 4]);
}

#[test]
fn over_http_only_what_is_named_and_what_goes_with_it() {
    let project = Project::new();
    let key = project.key("k-1");
    let server = server(&project, &Arc::new(AtomicBool::new(true)));
    let output = succeed(&mut push(&project, &server.url, &["--key", "k-1.sec", "--only", "build"]));
    assert_eq!(report(&output).1, expected(&[("build", "pushed")]));
    let (_, status, _) = project.status(&[&server.url], &[], &key);
    assert_eq!(answers(&status, 0), ["signed", "signed", "missing", "missing"]);

    // What is here is pushed, though it is not built now; what is not, cannot be.
    let output = push(&project, &server.url, &["--only", "install", "--until", "build"]).output().expect("runs");
    assert_eq!((output.status.code(), report(&output).1), (Some(0), expected(&[("install", "pushed")])));
    project.write("pkg.nix", &salt());
    let output = push(&project, &server.url, &["--only", "install", "--until", "build"]).output().expect("runs");
    assert_eq!((output.status.code(), report(&output).1), (Some(1), expected(&[("install", "not-here")])));
}

#[test]
fn a_cache_that_dies_leaves_a_build_that_is_done_and_says_so() {
    let (project, gate) = (Project::new(), Gate::new());
    project.write_with("pkg.nix", &salt(), &format!("preBuild = \"{}\";", Gate::WAIT));
    let key = project.key("k-1");
    let well = Arc::new(AtomicBool::new(true));
    let server = server(&project, &well);
    let mut command = push(&project, &server.url, &["--key", "k-1.sec"]);
    let command = gate.shown_to(&mut command).stderr(Stdio::piped()).stdout(Stdio::piped());
    let mut running = command.spawn().expect("started");
    until(&mut running, "one state is there", || records(&project) == 1);
    well.store(false, Ordering::SeqCst);
    gate.open();
    let output = running.wait_with_output().expect("over");
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{said}");
    let (built, rows) = report(&output);
    assert_eq!(built["failure"], Value::Null);
    let out = built["outputs"]["out"].as_str().expect("a path");
    assert!(fs::exists(out).expect("asked"), "it is built");
    assert_eq!(rows, expected(&["configure", "build", "install"].map(|stage| (stage, "failed"))), "nobody can tell");
    assert!(said.contains(&format!("cannot push to {}: broken: ", server.url)), "{said}");

    // The next build sends what is lacking, though it builds nothing.
    well.store(true, Ordering::SeqCst);
    let output = succeed(&mut push(&project, &server.url, &["--key", "k-1.sec"]));
    assert_eq!(report(&output).1, expected(&[("configure", "there"), ("build", "pushed"), ("install", "pushed")]));
    let (_, status, _) = project.status(&[&server.url], &[], &key);
    assert_eq!(answers(&status, 0), ["signed", "signed", "signed", "missing"]);
    assert_eq!(records(&project), 3);
}

#[test]
fn a_cache_that_was_away_for_a_while_has_all_in_the_end() {
    let (project, gate) = (Project::new(), Gate::new());
    project.write_with("pkg.nix", &salt(), &format!("preInstall = \"{}\";", Gate::WAIT));
    let key = project.key("k-1");
    let well = Arc::new(AtomicBool::new(false));
    let server = server(&project, &well);
    let mut command = push(&project, &server.url, &["--key", "k-1.sec"]);
    let command = gate.shown_to(&mut command).stderr(Stdio::piped()).stdout(Stdio::piped());
    let mut running = command.spawn().expect("started");
    until(&mut running, "it was asked in vain", || server.requests().values().sum::<usize>() > 6);
    well.store(true, Ordering::SeqCst);
    gate.open();
    let output = running.wait_with_output().expect("over");
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    // Nix's own words about its database being busy are a warning.
    assert!(!said.lines().any(|line| line.starts_with("error")), "{said}");
    let (_, status, _) = project.status(&[&server.url], &[], &key);
    assert_eq!(answers(&status, 0), ["signed", "signed", "signed", "missing"]);
}

/// Who cannot ask the cache does not know whether anything is there.
#[test]
fn a_push_that_nobody_can_look_at_is_no_success() {
    let project = Project::new();
    project.write_with("pkg.nix", &salt(), "");
    let mut command = push(&project, &project.url(), &[]);
    let output = command.args(["--", "--option", "trusted-public-keys", "nonsense"]).output().expect("runs");
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(said.contains("in Nix's settings, `nonsense` in trusted-public-keys is no key"), "{said}");
}

#[test]
fn what_a_failed_build_has_made_is_pushed() {
    let project = Project::new();
    project.write_with("pkg.nix", &salt(), "preInstall = \"exit 7\";");
    let key = project.key("k-1");
    let output = push(&project, &project.url(), &["--key", "k-1.sec"]).output().expect("runs");
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
    let rows = [("configure", "pushed"), ("build", "pushed"), ("install", "not-here")];
    assert_eq!(report(&output).1, expected(&rows));
    let (_, status, _) = project.status(&[&project.url()], &[], &key);
    assert_eq!(answers(&status, 0), ["signed", "signed", "missing", "missing"]);
    // A cache that takes nothing does not hide it.
    let output = push(&project, "http://127.0.0.1:9", &[]).output().expect("runs");
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(
        said.contains("installPhase failed") && said.contains("cannot push to http://127.0.0.1:9: unreachable: "),
        "{said}"
    );
}

/// The outcomes of the build itself.
fn built(report: &Value) -> Vec<&str> {
    let stages = report["stages"].as_array().expect("stages").iter();
    stages.map(|row| row["outcome"].as_str().expect("a word")).collect()
}

/// Nix's options for a cache to fetch from. A download takes the place of a build in 2.8.
fn from(url: &str, key: &str) -> Vec<String> {
    let settings = [("substituters", url), ("trusted-public-keys", key), ("download-attempts", "1"), ("max-jobs", "2")];
    let options = settings.iter().flat_map(|(name, value)| ["--option", name, value]);
    ["--"].into_iter().chain(options).map(str::to_owned).collect()
}

#[test]
fn what_a_cache_gave_before_it_failed_is_kept_and_pushed() {
    let project = Project::pushed(&["--key", "k-1.sec"]);
    let key = project.key("k-1");
    let record = fs::read_to_string(project.record("install")).expect("a record");
    let nar = record.lines().find_map(|line| line.strip_prefix("URL: ")).expect("a URL").to_owned();
    project.forget();
    let server = Server::new(&project.store(), move |path, _| if path.ends_with(&nar) { Act::Cut } else { Act::Serve });
    let other = format!("file://{}", project.path().join("other").display());
    let output = push(&project, &other, &[]).args(from(&server.url, &key)).output().expect("runs");
    let said = text(&output.stderr);
    assert!(output.status.code() == Some(4) && said.contains("a binary cache failed: "), "{said}");
    let (stopped, rows) = report(&output);
    assert_eq!(built(&stopped), ["fetched", "fetched", "not-reached", "not-reached"], "{said}");
    assert!(stopped["stopped"].as_str().expect("words").contains("a binary cache failed: "), "{stopped}");
    assert_eq!(rows, expected(&[("configure", "pushed"), ("build", "pushed"), ("install", "not-here")]));
    assert_eq!(answers(&project.status(&[&other], &[], &key).1, 0), ["signed", "signed", "missing", "missing"]);
    let roots = text(&succeed(project.command().args(["roots", "list"])).stdout);
    let is_kept = |stage: &str| roots.contains(&format!(" {stage} "));
    assert!(is_kept("configure") && is_kept("build") && !is_kept("install"), "{roots}");
}

#[test]
fn a_build_that_a_cache_ends_waits_for_what_is_being_pushed() {
    let project = Project::new();
    let key = project.key("k-1");
    // What the last stage alone needs comes from a cache, while the stages before are built.
    let salt = salt();
    let needed = format!(
        r#"derivation {{ name = "needed-1"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "echo {salt} > $out" ]; }}"#
    );
    project.write_with("pkg.nix", &salt, &format!("preBuild = \"sleep 600\"; postFixup = \"cat ${{{needed}}}\";"));
    let nix = |program: &str, words: &[&str]| {
        text(&succeed(support::command(program, project.path()).args(words)).stdout).trim().to_owned()
    };
    let path = nix("nix-build", &["--no-out-link", "-E", &needed]);
    let (sources, secret) = (project.path().join("sources"), project.path().join("k-1.sec"));
    let to = format!("file://{}?secret-key={}", sources.display(), secret.display());
    nix("nix", &["--extra-experimental-features", "nix-command", "copy", "--to", &to, &path]);
    nix("nix-store", &["--delete", &path]);

    let begun = Arc::new(AtomicBool::new(false));
    let is_archive = |path: &str| path.contains("/nar/");
    let source = {
        let begun = Arc::clone(&begun);
        Server::new(&sources, move |path, _| {
            if !is_archive(path) {
                return Act::Serve;
            }
            while !begun.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(50));
            }
            Act::Cut
        })
    };
    fs::create_dir(project.store()).expect("made");
    fs::write(project.store().join("nix-cache-info"), "StoreDir: /nix/store\n").expect("written");
    let target = Server::new(&project.store(), move |path, _| {
        begun.fetch_or(is_archive(path), Ordering::SeqCst);
        if is_archive(path) { Act::Late(Duration::from_secs(2)) } else { Act::Serve }
    });
    let output = push(&project, &target.url, &[]).args(from(&source.url, &key)).output().expect("runs");
    let said = text(&output.stderr);
    assert!(output.status.code() == Some(4) && said.contains("a binary cache failed: "), "{said}");
    let (stopped, rows) = report(&output);
    // The stage that Nix gave up was not built.
    assert_eq!(built(&stopped), ["built", "not-reached", "not-reached", "not-reached"], "{said}");
    assert_eq!(rows, expected(&[("configure", "pushed"), ("build", "not-here"), ("install", "not-here")]));
    assert!(said.contains(&format!("{}: pushed: configure\n", target.url)), "{said}");
    assert_eq!(records(&project), 1);
    let roots = text(&succeed(project.command().args(["roots", "list"])).stdout);
    assert!(roots.contains(" configure ") && !roots.contains(" build "), "{roots}");
}

#[test]
fn what_is_made_of_a_pinned_result_is_not_passed_on() {
    let project = Project::new();
    project.build();
    project.write("pkg.nix", &salt());
    let mut command = project.command();
    command.args(["build", "pkg.nix", "--pkgs", "host", "--no-link", "--json", "--pin", "build"]);
    let pinned: Value = serde_json::from_slice(&succeed(&mut command).stdout).expect("JSON");
    let result = pinned["outputs"]["out"].as_str().expect("a path");
    let uses = format!(
        "{{ stdenv }}: stdenv.mkDerivation {{ name = \"user-1\"; dontUnpack = true; result = builtins.storePath {result}; \
         buildPhase = \"echo $result > built\"; installPhase = \"cp built $out\"; }}"
    );
    fs::write(project.path().join("pkg.nix"), uses).expect("written");
    let output = push(&project, &project.url(), &["--no-eval", "--with-outputs"]).output().expect("runs");
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("{result} is not pushed: it continues from the pinned state ")), "{said}");
    let (built, rows) = report(&output);
    assert_eq!(built["failure"], Value::Null);
    assert_eq!(rows.last().map(|(stage, outcome)| (stage.as_str(), outcome.as_str())), Some(("finish", "failed")));
    assert!(rows[..rows.len() - 1].iter().all(|(_, outcome)| outcome == "pushed"), "{rows:?}");
    let name = &result.rsplit('/').next().expect("a name")[..32];
    assert!(!project.store().join(format!("{name}.narinfo")).exists());
}

#[test]
fn what_cannot_be_meant_is_refused_before_anything_is_built() {
    let project = Project::new();
    let refused = |command: &mut Command, code: i32, words: &str| {
        let output = command.output().expect("runs");
        let said = text(&output.stderr);
        assert!(output.status.code() == Some(code) && said.contains(words), "{said}");
        assert!(!said.contains("started"), "{said}");
    };
    let url = project.url();
    refused(
        &mut push(&project, &url, &["--only", "biuld"]),
        2,
        "has no stage `biuld`; its stages are configure, build",
    );
    refused(&mut push(&project, &url, &["--pin", "build"]), 2, "cannot be used with");
    refused(
        &mut push(&project, "ssh://nobody", &["--compression", "xz"]),
        2,
        "means nothing to the store ssh://nobody",
    );
    refused(&mut push(&project, &url, &["--key", "none.sec"]), 4, "cannot use the key in none.sec");
    refused(project.command().args(["build", "pkg.nix", "--pkgs", "host", "--with-outputs"]), 2, "--push <URL>");
    assert!(!project.store().exists());
}
