//! Builds a batch of cases and judges them.

use super::{Case, Effect, PACKAGE, package, rank};
use crate::{
    build,
    evaluate::{Derivation, Split},
    judge::{self, Outcome},
    oracle::{Oracle, STAGES},
    run::{Kind, Result, first_missing},
    settings::Settings,
    support::{Project, command, phasesplit, root, text},
};
use serde::Deserialize;
use serde_json::Value;
use std::{collections::BTreeSet, fs, path::Path};

/// A package before or after the edit.
#[derive(Debug, Deserialize)]
struct Side {
    unsplit: Option<Derivation>,
    split: Option<Split>,
}

#[derive(Debug, Deserialize)]
struct Pair {
    before: Side,
    after: Side,
}

/// The cases' results, and what is wrong with the cases themselves.
pub fn run(cases: &[Case], settings: &Settings) -> (Vec<Result>, Vec<String>) {
    let project = Project::new(&format!(
        "{{ callPackage }}: callPackage {}/tests/mutation/readers/package.nix {{ }}\n",
        root().display()
    ));
    let library = settings.library.as_ref().map(|path| path.display().to_string());
    project.generate(&library.as_ref().map_or_else(Vec::new, |path| vec!["--lib", path]));
    let entries: Vec<Value> = cases
        .iter()
        .enumerate()
        .map(|(index, case)| package::write(case, &settings.salt, &project.path().join(format!("case-{index}"))))
        .collect();
    fs::write(project.path().join("cases.json"), Value::from(entries).to_string()).expect("the cases are written");
    let pairs: Vec<Pair> = match evaluate(project.path(), "results", true) {
        Ok(answer) => serde_json::from_str(&answer).expect("evaluate.nix gives pairs"),
        Err(error) => return (Vec::new(), vec![format!("{PACKAGE}: {error}")]),
    };

    let mut derivations = BTreeSet::new();
    for side in pairs.iter().flat_map(|pair| [&pair.before, &pair.after]) {
        derivations.extend(side.unsplit.iter().map(|unsplit| unsplit.drv.as_str()));
        derivations.extend(side.split.iter().map(|split| split.finish.drv.as_str()));
    }
    let built = build::realise(&derivations);
    let missing = missing(&pairs);
    let mut results = Vec::new();
    let mut problems = Vec::new();
    for (index, (case, pair)) in cases.iter().zip(&pairs).enumerate() {
        let message = || match evaluate(project.path(), &format!("raw.{index}"), false) {
            Ok(_) => "it evaluates, but not with others".to_owned(),
            Err(message) => message,
        };
        let (kind, problem) = kind(case, pair, &missing);
        problems.extend(problem);
        let mut outcome =
            worse(judge(case, &pair.before, &missing, &message), judge(case, &pair.after, &missing, &message));
        if case.text.is_hidden(case.name) && matches!(outcome, Outcome::Unsound(_)) {
            outcome = deep(case, index, project.path()).map_or(outcome, Outcome::Deep);
        }
        results.push(result(case, pair, (kind, outcome), &built));
    }
    (results, problems)
}

/// Evaluates an attribute of `evaluate.nix` for the cases in `directory`.
fn evaluate(directory: &Path, attribute: &str, is_json: bool) -> std::result::Result<String, String> {
    let mut nix = command("nix-instantiate", directory);
    nix.args(["--eval", "--strict", "--read-write-mode"]);
    if is_json {
        nix.arg("--json");
    }
    let output = nix
        .arg(root().join("tests/mutation/readers/evaluate.nix"))
        .args(["-A", attribute, "--arg", "split", "./split.nix", "--arg", "cases", "./cases.json", "--arg", "host"])
        .arg(root().join("nix-lib/host"))
        .output()
        .expect("nix-instantiate starts");
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

fn missing(pairs: &[Pair]) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    for side in pairs.iter().flat_map(|pair| [&pair.before, &pair.after]) {
        side.unsplit.iter().for_each(|unsplit| judge::paths(unsplit, &mut paths));
        if let Some(split) = &side.split {
            paths.extend(split.stages.iter().map(|stage| stage.path.as_path()));
            judge::paths(&split.finish, &mut paths);
        }
    }
    build::missing(&paths)
}

fn judge(case: &Case, side: &Side, missing: &BTreeSet<String>, message: &dyn Fn() -> String) -> Outcome {
    let outcome = match (&side.split, &side.unsplit) {
        (Some(split), Some(unsplit)) => judge::built(split, unsplit, missing, first_missing(split, missing)),
        (None, Some(_)) => {
            let message = message();
            judge::refusal(&message).map_or(Outcome::Unsound(message), Outcome::Refused)
        }
        _ => Outcome::BothFail,
    };
    match outcome {
        // A refusal that helps names an attribute, or what gives a stage all of them. Of several that a made-up name may be it
        // names the first.
        Outcome::Refused(message)
            if !["scope.", "readsAll", "lateInputs"].iter().any(|word| message.contains(word)) =>
        {
            Outcome::Unsound(format!("a refusal that names no attribute: {message}"))
        }
        Outcome::Unsound(detail) => match side.split.as_ref().and_then(|split| warning(case, split)) {
            Some(line) => Outcome::NotProven(line),
            None => Outcome::Unsound(detail),
        },
        other => other,
    }
}

/// phasesplit's warning, in the log of a stage, that names the attribute or says that something is not proven.
fn warning(case: &Case, split: &Split) -> Option<String> {
    split.stages.iter().find_map(|stage| {
        let log = build::log(&stage.drv);
        log.lines()
            .find(|line| {
                line.contains("phasesplit: ")
                    && line.contains("warning:")
                    && (line.contains(case.name) || line.contains("not proven"))
            })
            .map(str::to_owned)
    })
}

/// The stages and files in which `verify --deep` finds the attribute, if it does.
fn deep(case: &Case, index: usize, directory: &Path) -> Option<String> {
    let expression = format!(
        "builtins.elemAt (import {}/tests/mutation/readers/evaluate.nix {{ split = {1}/split.nix; cases = {1}/cases.json; host = \
         {0}/nix-lib/host; }}).packages {index}",
        root().display(),
        directory.display()
    );
    let output = phasesplit(directory)
        .env("XDG_STATE_HOME", directory.join("state"))
        .args(["verify", "--deep", "--json", "--pkgs", "host", "--trust", case.level, "-E", &expression])
        .output()
        .expect("phasesplit starts");
    let report: Value = serde_json::from_slice(&output.stdout).ok()?;
    let names = |finding: &Value| {
        let named = ["attributes", "inputs"].iter().filter_map(|key| finding[key].as_array()).flatten();
        named.filter_map(Value::as_str).any(|name| name == case.name || case.name == "nativeBuildInputs")
    };
    let findings = report["deep"]["findings"].as_array()?.iter().filter(|finding| names(finding));
    let places: Vec<String> = findings.map(|finding| format!("{} {}", finding["stage"], finding["place"])).collect();
    (!places.is_empty()).then(|| places.join(", "))
}

fn worse(one: Outcome, other: Outcome) -> Outcome {
    if one.severity() >= other.severity() { one } else { other }
}

/// What the unsplit packages have in a file of their output, before and after the edit, without their own paths.
fn unsplit_files(
    case: &Case,
    pair: &Pair,
    file: &str,
    missing: &BTreeSet<String>,
) -> std::result::Result<[String; 2], String> {
    let read = |side: &Side| {
        let unsplit = side.unsplit.as_ref().ok_or("the unsplit package does not evaluate")?;
        if !judge::is_there(unsplit, missing) {
            return Err(format!("the unsplit package does not build: {}", build::log(&unsplit.drv)));
        }
        let path = &unsplit.outputs[0].path;
        let text = fs::read(path.join(file)).map_err(|error| format!("{file}: {error}"))?;
        Ok(String::from_utf8_lossy(&text).replace(&path.display().to_string(), ""))
    };
    let told = |error: String| format!("{}: {error}", case.title());
    Ok([read(&pair.before).map_err(told)?, read(&pair.after).map_err(told)?])
}

/// What kind a case is, and what is wrong with it if it proves nothing: its package does not build, or the way does not do what
/// it should in an unsplit build. With structured attributes a program's environment has none of them, so there only the ways
/// that are made for them must read.
fn kind(case: &Case, pair: &Pair, missing: &BTreeSet<String>) -> (Kind, Option<String>) {
    let is_setter = case.text.effect == Effect::Sets;
    let file = if is_setter { "used" } else { "seen" };
    let [one, two] = match unsplit_files(case, pair, file, missing) {
        Ok(texts) => texts,
        Err(problem) => return (Kind::Reader, Some(problem)),
    };
    // An edit shows in what its stage uses, unless the way sets the attribute, and in what was seen, if it was.
    let differs = one != two;
    let works = if case.is_harmless() { differs == is_setter } else { differs != is_setter };
    let kind = if case.is_harmless() {
        Kind::Harmless
    } else if works {
        Kind::Reader
    } else {
        Kind::Idle
    };
    let must_work = case.is_harmless() || !case.is_structured || case.text.structured_only;
    let problem = (must_work && !works).then(|| {
        format!("{}: it does not do what it should: {file} has {one:?} before and {two:?} after", case.title())
    });
    (kind, problem)
}

fn result(case: &Case, pair: &Pair, (kind, outcome): (Kind, Outcome), built: &BTreeSet<String>) -> Result {
    let stages = |side: &Side| side.split.as_ref().map_or_else(Vec::new, |split| split.stages.clone());
    let (before, after) = (stages(&pair.before), stages(&pair.after));
    let mut result = Result {
        package: PACKAGE.to_owned(),
        mutation: case.title(),
        level: case.level.to_owned(),
        outcome,
        kind,
        stages: after.iter().map(|stage| stage.name.clone()).collect(),
        built: after.iter().filter(|stage| built.contains(&stage.drv)).map(|stage| stage.name.clone()).collect(),
        reused: 0,
        possible: 0,
        ideal: 0,
    };
    // What a reader could reuse depends on what it reads; of a harmless one it is known.
    if case.is_harmless() && result.outcome == Outcome::Equal {
        result.reused = after.iter().filter(|stage| before.iter().any(|other| other.drv == stage.drv)).count();
        result.possible = Oracle::reusable(rank(STAGES, case.scope), &result.stages);
        result.ideal = result.possible;
    }
    result
}
