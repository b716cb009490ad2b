//! What a run found: a table for people, JSON lines for programs, problems for the exit status.

use crate::{
    judge::Outcome,
    run::{Kind, Result, Results},
    settings::Settings,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write,
};

/// Fewer reusable stages reused than this (of a hundred) at `contract` is a problem.
const GOAL: usize = 90;

/// So many failing mutations of a hundred say that the mutations are no good.
const FAILING: usize = 25;

/// So many refusals of a hundred harmless readers cry wolf.
const FALSE: usize = 5;

/// How many of the worst the summary lists.
const WORST: usize = 15;

fn is_unsound(result: &Result) -> bool {
    matches!(result.outcome, Outcome::Unsound(_))
}

fn is_refused(result: &Result) -> bool {
    matches!(result.outcome, Outcome::Refused(_))
}

pub fn unsound(results: &Results) -> usize {
    results.mutations.iter().filter(|one| is_unsound(one)).count()
}

pub fn refused(results: &Results) -> usize {
    results.mutations.iter().filter(|one| is_refused(one)).count()
}

fn levels(results: &Results) -> BTreeSet<&str> {
    results.mutations.iter().map(|one| one.level.as_str()).collect()
}

/// Of a hundred; a hundred where there is nothing.
fn share(part: usize, whole: usize) -> usize {
    (part * 100).checked_div(whole).unwrap_or(100)
}

/// Stages reused, those that this level and any level could have reused. More than possible counts as what is possible.
fn reuse(results: &Results, level: &str) -> (usize, usize, usize) {
    results
        .mutations
        .iter()
        .filter(|one| one.level == level && one.kind == Kind::Mutation)
        .fold((0, 0, 0), |sums, one| (sums.0 + one.reused.min(one.possible), sums.1 + one.possible, sums.2 + one.ideal))
}

/// Everything that must not be: empty when the run is good.
pub fn problems(results: &Results) -> Vec<String> {
    let mut problems = results.problems.clone();
    for one in results.mutations.iter().filter(|one| is_unsound(one)) {
        problems.push(format!("UNSOUND {} at {}: {:?}", one.mutation, one.level, one.outcome));
    }
    if results.mutations.is_empty() {
        problems.push("no mutation was run".to_owned());
    }
    let (reused, possible, _) = reuse(results, "contract");
    if share(reused, possible) < GOAL {
        problems.push(format!("at contract {reused} of {possible} stages were reused, less than {GOAL} %"));
    }
    let harmless: Vec<&Result> = results.mutations.iter().filter(|one| one.kind == Kind::Harmless).collect();
    let alarms = harmless.iter().filter(|one| is_refused(one)).count();
    // A few say nothing about a hundred.
    if harmless.len() >= 100 && share(alarms, harmless.len()) > FALSE {
        problems.push(format!("{alarms} of {} harmless readers were refused, more than {FALSE} %", harmless.len()));
    }
    let failing = results.mutations.iter().filter(|one| one.outcome == Outcome::BothFail).count();
    if share(failing, results.mutations.len().max(1)) > FAILING {
        problems.push(format!("{failing} of {} mutated packages do not build at all", results.mutations.len()));
    }
    problems
}

pub fn print(results: &Results) {
    let mutations: BTreeSet<&str> = results.mutations.iter().map(|one| one.mutation.as_str()).collect();
    let packages: BTreeSet<&str> = results.mutations.iter().map(|one| one.package.as_str()).collect();
    println!(
        "\n{} mutations (of {}) on {} packages in {} s\n",
        mutations.len(),
        results.generated,
        packages.len(),
        results.seconds
    );
    println!("level      equal  both fail  refused  UNSOUND  reused/possible  of the ideal");
    for level in levels(results) {
        let of = |test: &dyn Fn(&Outcome) -> bool| {
            results.mutations.iter().filter(|one| one.level == level && test(&one.outcome)).count()
        };
        let (reused, possible, ideal) = reuse(results, level);
        println!(
            "{level:<9} {:>6} {:>10} {:>8} {:>8}  {reused:>5}/{possible:<5} {:>3} %  {:>10} %",
            of(&|outcome| *outcome == Outcome::Equal),
            of(&|outcome| *outcome == Outcome::BothFail),
            of(&|outcome| matches!(outcome, Outcome::Refused(_))),
            of(&|outcome| matches!(outcome, Outcome::Unsound(_))),
            share(reused, possible),
            share(reused, ideal),
        );
    }
    list("refused", results, |one| match &one.outcome {
        Outcome::Refused(message) if one.kind == Kind::Mutation => Some(message.clone()),
        _ => None,
    });
    readers(results);
    list("both fail", results, |one| (one.outcome == Outcome::BothFail).then(String::new));
    worst(results);
    list("UNSOUND", results, |one| match &one.outcome {
        Outcome::Unsound(detail) => Some(format!("stages built: {}\n{detail}", one.built.join(" "))),
        _ => None,
    });
}

/// What the readers came to, and each harmless one that was refused or built too much.
fn readers(results: &Results) {
    if results.mutations.iter().all(|one| one.kind == Kind::Mutation) {
        return;
    }
    println!("\nreaders    equal  refused  not proven  deep only  UNSOUND");
    for (kind, name) in [(Kind::Reader, "reading"), (Kind::Idle, "idle"), (Kind::Harmless, "harmless")] {
        let of = |test: &dyn Fn(&Outcome) -> bool| {
            results.mutations.iter().filter(|one| one.kind == kind && test(&one.outcome)).count()
        };
        println!(
            "{name:<9} {:>6} {:>8} {:>11} {:>10} {:>8}",
            of(&|outcome| *outcome == Outcome::Equal),
            of(&|outcome| matches!(outcome, Outcome::Refused(_))),
            of(&|outcome| matches!(outcome, Outcome::NotProven(_))),
            of(&|outcome| matches!(outcome, Outcome::Deep(_))),
            of(&|outcome| matches!(outcome, Outcome::Unsound(_))),
        );
    }
    list("not proven", results, |one| match &one.outcome {
        Outcome::NotProven(warning) => Some(warning.clone()),
        _ => None,
    });
    list("found by verify --deep only", results, |one| match &one.outcome {
        Outcome::Deep(places) => Some(places.clone()),
        _ => None,
    });
    list("false refusals", results, |one| match &one.outcome {
        Outcome::Refused(message) if one.kind == Kind::Harmless => Some(message.clone()),
        _ => None,
    });
    list("needless refusals", results, |one| match &one.outcome {
        Outcome::Refused(message) if one.kind == Kind::Idle => Some(message.clone()),
        _ => None,
    });
    list("harmless, and built again (reused of possible stages)", results, |one| {
        let is_lost = one.kind == Kind::Harmless && one.reused < one.possible;
        is_lost.then(|| format!("{} of {}", one.reused, one.possible))
    });
    if !results.skipped.is_empty() {
        println!("\nskipped, because this machine lacks the program:");
    }
    for way in &results.skipped {
        println!("  {way}");
    }
}

/// The mutations that have a detail, each once for the levels at which it is the same.
fn list(title: &str, results: &Results, detail: impl Fn(&Result) -> Option<String>) {
    let mut lines: BTreeMap<(&str, String), Vec<&str>> = BTreeMap::new();
    for one in &results.mutations {
        if let Some(detail) = detail(one) {
            lines.entry((&one.mutation, detail)).or_default().push(&one.level);
        }
    }
    if !lines.is_empty() {
        println!("\n{title}:");
    }
    for ((mutation, detail), levels) in lines {
        println!("  {mutation} at {}: {detail}", levels.join(", "));
    }
}

/// Where most stages were built that need not have been.
fn worst(results: &Results) {
    let mut lost: Vec<&Result> = results
        .mutations
        .iter()
        .filter(|one| one.kind == Kind::Mutation && one.level == "contract" && one.reused < one.possible)
        .collect();
    lost.sort_by_key(|one| (std::cmp::Reverse(one.possible - one.reused), one.mutation.clone()));
    if !lost.is_empty() {
        println!("\nleast reuse at contract (reused of possible stages):");
    }
    for one in lost.iter().take(WORST) {
        println!("  {}: {} of {}", one.mutation, one.reused, one.possible);
    }
}

/// An empty file of results, before the run.
pub fn begin(settings: &Settings) {
    if let Some(file) = &settings.results {
        fs::create_dir_all(file.parent().expect("a directory")).expect("the results' directory");
        fs::write(file, "").expect("the results are written");
    }
}

/// A package's results while the others still run, for who looks at a long run: lines in the file, and at once what is wrong.
pub fn add(results: &[Result], problems: &[String], settings: &Settings) {
    for problem in problems {
        eprintln!("PROBLEM {problem}");
    }
    for one in results.iter().filter(|one| is_unsound(one)) {
        eprintln!("UNSOUND {} at {}", one.mutation, one.level);
    }
    if let Some(file) = &settings.results {
        let mut file = fs::OpenOptions::new().append(true).open(file).expect("the results' file");
        // One write, so that packages do not mix.
        file.write_all(lines(results).as_bytes()).expect("the results are written");
    }
}

/// All results in order: a JSON object a line for each mutation and level.
pub fn write(results: &Results, settings: &Settings) {
    if let Some(file) = &settings.results {
        fs::write(file, lines(&results.mutations)).expect("the results are written");
        println!("\nresults: {}", file.display());
    }
}

fn lines(results: &[Result]) -> String {
    results.iter().map(|one| serde_json::to_string(one).expect("JSON") + "\n").collect()
}
