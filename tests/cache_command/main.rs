//! `phasesplit cache` as a user runs it, with real binary caches: in directories, and behind a web server that can be told
//! to misbehave. What each cache is said to have is asserted stage by stage.

#[path = "../support/cached.rs"]
mod cached;
#[path = "../support/http.rs"]
mod http;
#[path = "../support/mod.rs"]
mod support;

mod https;
mod nginx;
mod questions;

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use cached::{Project, STAGES, answers, expected, outcomes};
use http::{Act, Server};
use serde_json::Value;
use support::{salt, succeed, text};

#[test]
fn each_cache_is_told_with_what_it_has_and_who_signed_it() {
    let project = Project::new();
    project.build();
    let (key, other) = (project.key("k-1"), project.key("k-2"));
    let signed = project.path().join("k-1.sec").display().to_string();
    let push = |only: &str, to: &str, options: &[&str]| {
        let output =
            succeed(project.cache("push", "pkg.nix").args(["--only", only, "--to", to, "--json"]).args(options));
        outcomes(&output)
    };
    let options = ["--key", signed.as_str(), "--compression", "zstd"];
    assert_eq!(push("build", &project.url(), &options), expected(&[("build", "pushed")]));
    // A state is a layer upon the one before, which came with it.
    let again = push("configure,build,finish", &project.url(), &options);
    assert_eq!(again, expected(&[("configure", "there"), ("build", "there"), ("finish", "pushed")]));
    let unsigned = format!("file://{}", project.path().join("unsigned").display());
    assert_eq!(push("configure", &unsigned, &[]), expected(&[("configure", "pushed")]));

    let server = Server::new(&project.store(), |_, _| Act::Serve);
    let urls = [project.url(), unsigned, server.url.clone()];
    let urls = urls.each_ref().map(String::as_str);
    let (code, status, talk) = project.status(&urls, &[], &key);
    assert_eq!(code, Some(0), "{talk}");
    assert_eq!(answers(&status, 0), ["signed", "signed", "missing", "signed"]);
    assert_eq!(answers(&status, 1), ["unsigned", "missing", "missing", "missing"]);
    assert_eq!(answers(&status, 2), answers(&status, 0));
    let build = &status["packages"][0]["stages"][1]["caches"];
    assert_eq!(build[0]["keys"], serde_json::json!(["k-1"]));
    assert_eq!((&build[0]["usable"], &build[1]["usable"]), (&Value::Bool(true), &Value::Bool(false)));
    let packed = build[2]["downloadSize"].as_u64().expect("a size");
    assert!(packed > 100_000, "{packed}");
    assert!(server.connections() <= 6, "{} connections", server.connections());
    let requests = server.requests();
    assert_eq!((requests.len(), requests.values().sum::<usize>()), (6, 6), "{requests:?}");

    let (code, status, _) = project.status(&urls[..1], &["--exit-code"], &other);
    assert_eq!((code, answers(&status, 0)), (Some(0), vec!["wrong key", "wrong key", "missing", "wrong key"]));
    assert_eq!(status["packages"][0]["stages"][0]["caches"][0]["usable"], false);

    let table = project.cache("status", "pkg.nix").args(["--substituter", urls[0]]).output().expect("phasesplit runs");
    let table = text(&table.stdout);
    let line = |stage: &str| table.lines().find(|line| line.contains(stage)).expect("a line").to_owned();
    assert!(line("build").contains("yes") && line("build").contains("cache: wrong key (k-1)"), "{table}");
    assert!(line("install").contains("none") && table.ends_with("4 of 4 stages are here\n"), "{table}");
}

#[test]
fn a_record_that_was_changed_is_corrupt_and_nothing_is_taken_by_it() {
    let project = Project::pushed(&["--key", "k-1.sec"]);
    let key = project.key("k-1");
    let change = |stage: &str, change: &dyn Fn(String) -> String| {
        let record = project.record(stage);
        let text = fs::read_to_string(&record).expect("a record");
        fs::write(&record, change(text)).expect("written");
    };
    change("configure", &|text| text.replace("NarSize: ", "NarSize: 1"));
    change("build", &|text| text[..text.len() / 2].to_owned());
    let foreign = fs::read_to_string(project.record("configure")).expect("a record");
    change("install", &|_| foreign.clone());
    let (code, status, _) = project.status(&[&project.url()], &[], &key);
    assert_eq!((code, answers(&status, 0)), (Some(0), vec!["corrupt", "corrupt", "corrupt", "missing"]));
    let why = |at: usize| status["packages"][0]["stages"][at]["caches"][0]["why"].as_str().expect("why").to_owned();
    assert_eq!(why(0), "the signature of k-1 does not fit");
    assert!(why(2).starts_with("its record is that of /nix/store/"), "{}", why(2));

    project.forget();
    let (code, rows, _) = project.pull(&project.url(), &[], &key);
    assert_eq!((code, rows), (Some(1), expected(&STAGES.map(|stage| (stage, "not-to-be-had")))));
}

#[test]
fn a_server_that_is_not_well_is_told_in_a_word() {
    let project = Project::pushed(&["--key", "k-1.sec"]);
    let key = project.key("k-1");
    let known = vec!["signed", "signed", "signed", "missing"];
    let one = |server: &Server, options: &[&str]| project.status(&[&server.url], options, &key);

    // Each question fails twice before it is answered.
    let server = Server::new(&project.store(), |_, nth| if nth < 2 { Act::Status(503) } else { Act::Serve });
    let (code, status, talk) = one(&server, &[]);
    assert_eq!((code, answers(&status, 0)), (Some(0), known.clone()), "{talk}");
    assert!(server.requests().values().all(|times| *times == 3), "{:?}", server.requests());

    let server = Server::new(&project.store(), |_, nth| if nth < 1 { Act::Cut } else { Act::Serve });
    let (code, status, talk) = one(&server, &[]);
    assert_eq!((code, answers(&status, 0)), (Some(0), known), "{talk}");

    let error = |(code, status, talk): (Option<i32>, Value, String)| {
        let word = status["caches"][0]["error"].as_str().expect("a word").to_owned();
        assert_eq!(code, Some(4), "{talk}");
        assert_eq!(answers(&status, 0), [word.as_str(); 4]);
        assert!(talk.contains("does not tell what it has: "), "{talk}");
        word
    };
    let server = Server::new(&project.store(), |_, _| Act::Status(500));
    assert_eq!(error(one(&server, &["--retries", "1"])), "broken");
    assert_eq!(
        server.requests().values().sum::<usize>(),
        2,
        "nothing is asked of a cache that does not say what it is"
    );
    let server = Server::new(&project.store(), |_, _| Act::Status(401));
    assert_eq!(error(one(&server, &[])), "refused");
    let server = Server::new(&project.path().join("state"), |_, _| Act::Serve);
    assert_eq!(error(one(&server, &[])), "no cache");
    let server = Server::new(&project.store(), |_, _| Act::Late(Duration::from_mins(50)));
    let start = Instant::now();
    assert_eq!(error(one(&server, &["--timeout", "1"])), "slow");
    assert!(start.elapsed() < Duration::from_secs(2900), "{:?}", start.elapsed());
    // The port of a protocol that nobody serves.
    let dead = project.status(&["http://127.0.0.1:9"], &["--retries", "0"], &key);
    assert!(dead.2.contains("unreachable: Connection refused"), "{}", dead.2);
    assert_eq!(error(dead), "unreachable");

    // One record that cannot be had leaves the others.
    let name = project.record("build").file_name().expect("a name").to_string_lossy().into_owned();
    let server =
        Server::new(&project.store(), move |path, _| if path.ends_with(&name) { Act::Status(502) } else { Act::Serve });
    let (code, status, talk) = one(&server, &["--retries", "0"]);
    assert_eq!((code, answers(&status, 0)), (Some(4), vec!["signed", "broken", "signed", "missing"]), "{talk}");
    assert!(talk.contains("and 0 others: broken: it says 502"), "{talk}");
}

#[test]
fn a_proxy_is_used_but_for_what_no_proxy_names() {
    let project = Project::pushed(&["--key", "k-1.sec"]);
    let key = project.key("k-1");
    let proxy = Server::new(&project.store(), |_, _| Act::Serve);
    let ask = |no_proxy: &str| {
        let mut command = project.cache("status", "pkg.nix");
        command.env("http_proxy", &proxy.url).env("no_proxy", no_proxy);
        command.args(["--json", "--retries", "0", "--substituter", "http://cache.invalid"]);
        command.args(["--", "--option", "trusted-public-keys", &key]).output().expect("phasesplit runs")
    };
    let output = ask("");
    let status: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(answers(&status, 0), ["signed", "signed", "signed", "missing"], "{}", text(&output.stderr));
    assert!(
        proxy.requests().keys().all(|target| target.starts_with("http://cache.invalid/")),
        "{:?}",
        proxy.requests()
    );
    let output = ask("cache.invalid");
    let status: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(answers(&status, 0), ["unreachable"; 4]);
}

#[test]
fn what_was_pushed_is_pulled_without_building() {
    let project = Project::pushed(&["--key", "k-1.sec"]);
    let (key, other) = (project.key("k-1"), project.key("k-2"));
    project.forget();
    let server = Server::new(&project.store(), |_, _| Act::Serve);
    let (code, rows, _) = project.pull(&server.url, &[], &other);
    assert_eq!((code, rows), (Some(1), expected(&STAGES.map(|stage| (stage, "not-to-be-had")))));

    let (code, rows, talk) = project.pull(&server.url, &["--only", "build"], &key);
    assert_eq!((code, rows), (Some(0), expected(&[("build", "pulled")])), "{talk}");
    assert!(talk.contains("fetching /nix/store/") && !talk.contains("building "), "{talk}");
    let (code, rows, talk) = project.pull(&server.url, &[], &key);
    let parts = [("configure", "there"), ("build", "there"), ("install", "pulled"), ("finish", "not-to-be-had")];
    let mut rows = rows;
    rows.sort_by_key(|(stage, _)| STAGES.iter().position(|name| name == stage));
    assert_eq!((code, rows), (Some(0), expected(&parts)), "{talk}");
    let (code, _, _) = project.pull(&server.url, &["--only", "finish"], &key);
    assert_eq!(code, Some(1), "what is named must be had");
    // They are kept, and the next build goes on from them.
    let roots = text(&succeed(project.command().args(["roots", "list"])).stdout);
    assert!(roots.contains(" install "), "{roots}");
    let report: Value = serde_json::from_slice(&project.build().stdout).expect("JSON");
    let built = report["stages"].as_array().expect("stages").iter().filter(|row| row["outcome"] == "built");
    assert_eq!(built.map(|row| row["stage"].as_str().expect("a name")).collect::<Vec<_>>(), ["finish"]);
}

#[test]
fn another_store_gets_a_state_without_building() {
    let project = Project::pushed(&["--key", "k-1.sec"]);
    let key = project.key("k-1");
    let root = project.path().join("root");
    let mut command = project.cache("pull", "pkg.nix");
    command
        .env("NIX_REMOTE", format!("local?root={}", root.display()))
        .env("XDG_STATE_HOME", project.path().join("other"));
    command.args([
        "--json",
        "--only",
        "install",
        "--from",
        &project.url(),
        "--",
        "--option",
        "trusted-public-keys",
        &key,
    ]);
    let output = succeed(&mut command);
    assert_eq!(outcomes(&output), expected(&[("install", "pulled")]));
    let rows: Vec<Value> = serde_json::from_slice(&output.stdout).expect("JSON");
    let state = rows[0]["path"].as_str().expect("a path");
    let copy = root.join(state.trim_start_matches('/'));
    let hash = |path: &Path| phasesplit::nix::store_path::nar_sha256(path).expect("it can be read");
    assert_eq!(hash(&copy), hash(Path::new(state)));
    succeed(Command::new("chmod").args(["-R", "u+w"]).arg(&root));
}

#[test]
fn a_packed_file_that_was_changed_is_corrupt() {
    let project = Project::pushed(&["--key", "k-1.sec"]);
    let key = project.key("k-1");
    let record = fs::read_to_string(project.record("build")).expect("a record");
    let nar = record.lines().find_map(|line| line.strip_prefix("URL: ")).expect("a URL").to_owned();
    // Packed again, so that only the hash tells.
    let file = project.store().join(&nar);
    let mut bytes = zstd::decode_all(&*fs::read(&file).expect("the file")).expect("zstd");
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    fs::write(&file, zstd::encode_all(&*bytes, 3).expect("zstd")).expect("written");
    project.forget();
    let server = Server::new(&project.store(), |_, _| Act::Serve);
    let (code, rows, talk) = project.pull(&server.url, &["--only", "configure,build", "--retries", "0"], &key);
    assert_eq!((code, rows), (Some(4), expected(&[("configure", "pulled"), ("build", "failed")])), "{talk}");
    assert!(talk.contains("not all could be fetched: corrupt: "), "{talk}");
}

#[test]
fn a_push_goes_over_http_too_and_says_what_it_cannot() {
    let project = Project::new();
    let push = |to: &str, options: &[&str]| {
        let mut command = project.cache("push", "pkg.nix");
        let output =
            command.args(["--to", to, "--json", "--retries", "0"]).args(options).output().expect("phasesplit runs");
        (output.status.code(), outcomes(&output), text(&output.stderr))
    };
    let (code, rows, talk) = push(&project.url(), &[]);
    assert_eq!((code, rows.len()), (Some(1), 3));
    assert!(rows.iter().all(|(_, outcome)| outcome == "not-here") && talk.contains("phasesplit build"), "{talk}");

    project.build();
    fs::create_dir(project.store()).expect("a directory");
    fs::write(project.store().join("nix-cache-info"), "StoreDir: /nix/store\n").expect("written");
    let server = Server::new(&project.store(), |_, _| Act::Serve);
    let (code, rows, talk) = push(&server.url, &["--with-outputs"]);
    assert_eq!((code, rows), (Some(0), expected(&STAGES.map(|stage| (stage, "pushed")))), "{talk}");
    let is_info = |path: &str| path.ends_with("nix-cache-info");
    let server =
        Server::new(&project.store(), move |path, _| if is_info(path) { Act::Serve } else { Act::Status(403) });
    let (code, _, talk) = push(&server.url, &[]);
    assert!(code == Some(4) && talk.contains(": refused: "), "{code:?} {talk}");
    let (code, _, talk) = push("http://127.0.0.1:9", &[]);
    assert!(code == Some(4) && talk.contains(": unreachable: "), "{code:?} {talk}");
    for (options, words) in
        [(["--only", "biuld"], "no package that is named has this stage"), (["--compression", "lzma"], "invalid value")]
    {
        let (code, _, talk) = push(&project.url(), &options);
        assert!(code == Some(2) && talk.contains(words), "{code:?} {talk}");
    }
    let (code, _, talk) = push("ssh://nobody", &["--compression", "xz"]);
    assert!(code == Some(2) && talk.contains("means nothing to the store ssh://nobody"), "{talk}");
}

#[test]
fn a_pinned_result_is_pushed_only_by_name() {
    let project = Project::new();
    project.build();
    project.write("pkg.nix", &salt());
    let pinned = project
        .command()
        .args(["build", "pkg.nix", "--pkgs", "host", "--no-link", "--json", "--pin", "build"])
        .output();
    let report: Value = serde_json::from_slice(&pinned.expect("phasesplit runs").stdout).expect("JSON");
    let result = report["outputs"]["out"].as_str().expect("a path").to_owned();
    let stages = report["stages"].as_array().expect("stages");
    let install =
        stages.iter().find(|row| row["stage"] == "install").expect("install")["path"].as_str().expect("a path");

    // A package that is made of it, and is not pinned itself.
    let uses = format!(
        "{{ stdenv }}: stdenv.mkDerivation {{ name = \"user-1\"; dontUnpack = true; result = builtins.storePath {result}; \
         buildPhase = \"echo $result > built\"; installPhase = \"cp built $out\"; }}"
    );
    fs::write(project.path().join("user.nix"), uses).expect("written");
    let wanted = ["user.nix", "--pkgs", "host", "--no-eval"];
    succeed(project.command().arg("build").args(wanted).arg("--no-link"));
    let push = |options: &[&str]| {
        let mut command = project.command();
        command.args(["cache", "push"]).args(wanted).args(["--to", &project.url(), "--with-outputs"]).args(options);
        command.output().expect("phasesplit runs")
    };
    let refused = push(&[]);
    let talk = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{talk}");
    assert!(talk.contains("is not pushed: it continues from the pinned state /nix/store/"), "{talk}");
    assert!(!project.store().exists(), "nothing was pushed");
    succeed(&mut {
        let mut command = project.command();
        command.args(["cache", "push"]).args(wanted).args(["--to", &project.url(), "--with-outputs"]);
        command.args(["--pinned", &result, "--pinned", install]);
        command
    });
    let name =
        |path: &str| project.store().join(format!("{}.narinfo", &path.rsplit('/').next().expect("a name")[..32]));
    assert!(name(&result).exists() && name(install).exists());
}

#[test]
fn several_packages_are_asked_for_at_once() {
    let project = Project::pushed(&["--key", "k-1.sec"]);
    project.write("other.nix", &salt());
    let output =
        succeed(project.cache("status", "pkg.nix").args(["other.nix", "--json", "--substituter", &project.url()]));
    let status: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let there = |at: usize| {
        let stages = status["packages"][at]["stages"].as_array().expect("stages").iter();
        stages.map(|stage| stage["caches"][0]["answer"] != "missing").collect::<Vec<_>>()
    };
    assert_eq!(there(0), [true, true, true, false]);
    assert_eq!(there(1), [false; 4]);
    let lacking = project.cache("status", "other.nix").args(["--exit-code", "--substituter", &project.url()]).output();
    assert_eq!(lacking.expect("phasesplit runs").status.code(), Some(1));
}

/// What is told of a stage that is not to be had.
fn note(output: &Output, stage: &str) -> String {
    let rows: Vec<Value> = serde_json::from_slice(&output.stdout).expect("JSON");
    let row = rows.iter().find(|row| row["stage"] == stage).expect("a row");
    assert_eq!(row["outcome"], "not-to-be-had", "{row}");
    row["note"].as_str().expect("a note").to_owned()
}

#[test]
fn each_trouble_has_its_words() {
    let project = Project::pushed(&["--key", "k-1.sec"]);
    let (key, other) = (project.key("k-1"), project.key("k-2"));
    let told = |url: &str| {
        let (_, _, talk) = project.status(&[url], &["--retries", "0"], &key);
        let begin = format!("warning: the binary cache {url} does not tell what it has: ");
        talk.lines().find_map(|line| line.strip_prefix(&begin)).unwrap_or_else(|| panic!("{talk}")).to_owned()
    };
    let saying = |status| Server::new(&project.store(), move |_, _| Act::Status(status)).url;
    assert_eq!(told("http://127.0.0.1:9"), "unreachable: Connection refused (os error 111)");
    assert_eq!(told(&saying(401)), "refused: it says 401 Unauthorized");
    assert_eq!(told(&saying(403)), "refused: it says 403 Forbidden");
    assert_eq!(told(&saying(503)), "broken: it says 503 Service Unavailable");
    assert_eq!(
        told(&format!("{}/none", project.url())),
        format!("no cache: there is no cache in {}/none", project.store().display())
    );

    let unsigned = format!("file://{}", project.path().join("unsigned").display());
    succeed(project.cache("push", "pkg.nix").args(["--to", &unsigned]));
    let record = project.record("build");
    let text = fs::read_to_string(&record).expect("a record");
    fs::write(&record, text.replace("NarSize: ", "NarSize: 1")).expect("written");
    project.forget();
    let pull = |url: &str, key: &str| {
        let mut command = project.cache("pull", "pkg.nix");
        command.args([
            "--json",
            "--only",
            "configure,build",
            "--from",
            url,
            "--",
            "--option",
            "trusted-public-keys",
            key,
        ]);
        let output = command.output().expect("phasesplit runs");
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        output
    };
    assert_eq!(note(&pull(&unsigned, &key), "build"), "unsigned: unsigned");
    assert_eq!(note(&pull(&project.url(), &other), "configure"), "cache: wrong key (k-1)");
    assert_eq!(note(&pull(&project.url(), &key), "build"), "cache: corrupt (the signature of k-1 does not fit)");
}

#[test]
fn of_two_trusted_keys_with_one_name_the_first_is_used() {
    let project = Project::pushed(&["--key", "k-1.sec"]);
    let key = project.key("k-1");
    fs::create_dir(project.path().join("other")).expect("made");
    let mut make = support::command("nix-store", &project.path().join("other"));
    succeed(make.args(["--generate-binary-cache-key", "k-1", "sec", "pub"]));
    let other = fs::read_to_string(project.path().join("other/pub")).expect("a key");
    let (right, wrong) = (format!("{key} {other}"), format!("{other} {key}"));
    assert_eq!(answers(&project.status(&[&project.url()], &[], &right).1, 0)[0], "signed");
    let (code, status, talk) = project.status(&[&project.url()], &[], &wrong);
    assert_eq!(
        (code, answers(&status, 0)),
        (Some(0), vec!["wrong key", "wrong key", "wrong key", "missing"]),
        "{talk}"
    );
    let why = "of the trusted keys named k-1 Nix uses only the first";
    assert_eq!(status["packages"][0]["stages"][0]["caches"][0]["why"], why);

    project.forget();
    let (code, rows, talk) = project.pull(&project.url(), &["--only", "build"], &wrong);
    assert_eq!((code, rows), (Some(1), expected(&[("build", "not-to-be-had")])), "{talk}");
    assert!(talk.contains(&format!("warning: {why}: ")) && talk.contains("give each key a name of its own"), "{talk}");
    // And so does Nix.
    let (code, rows, talk) = project.pull(&project.url(), &["--only", "build"], &right);
    assert_eq!((code, rows), (Some(0), expected(&[("build", "pulled")])), "{talk}");
}

#[test]
fn a_full_disk_is_told() {
    if fs::metadata("/proc/self").expect("/proc").uid() != 0 {
        eprintln!("SKIPPED: only root can have a disk so small");
        return;
    }
    let project = Project::new();
    project.build();
    fs::create_dir(project.store()).expect("made");
    let push = project.cache("push", "pkg.nix");
    let mut small = Command::new("unshare");
    let mount = "mount -t tmpfs -o size=64k none \"$1\" && shift && exec \"$@\"";
    small.args(["--mount", "--propagation", "private", "bash", "-c", mount, "small"]).arg(project.store());
    small.arg(push.get_program()).args(push.get_args()).args(["--to", &project.url()]).current_dir(project.path());
    for (name, value) in push.get_envs() {
        match value {
            Some(value) => small.env(name, value),
            None => small.env_remove(name),
        };
    }
    let output = small.output().expect("unshare runs");
    let talk = text(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{talk}");
    assert!(talk.contains(&format!("error[cache/failed]: cannot push to {}: disk full: ", project.url())), "{talk}");
    assert!(talk.contains("help: free some space, for example with `nix-collect-garbage`"), "{talk}");
}
