//! A run: each package's chain first, then all its mutations, at every level.

use crate::{
    build,
    evaluate::{Answer, Evaluated, Package, Split},
    generate::{self, Mutation},
    judge::{self, Outcome},
    oracle::Oracle,
    readers, report,
    settings::Settings,
    support::root,
};
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    sync::Mutex,
    thread,
    time::Instant,
};

/// What is expected of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Anything but unsound.
    Mutation,
    /// Likewise: something reads or sets the attribute too early.
    Reader,
    /// A reader that finds nothing, as a program does in its environment with structured attributes. A refusal is needless.
    Idle,
    /// Nothing reads it: a refusal is false.
    Harmless,
}

/// One mutation at one level.
#[derive(Debug, Clone, Serialize)]
pub struct Result {
    pub package: String,
    pub mutation: String,
    pub level: String,
    #[serde(flatten)]
    pub outcome: Outcome,
    pub kind: Kind,
    /// The mutated chain's stages, those of them that Nix built, and how many are the unchanged package's.
    pub stages: Vec<String>,
    pub built: Vec<String>,
    pub reused: usize,
    /// How many could have been at this level, and at any.
    pub possible: usize,
    pub ideal: usize,
}

/// What a package came to.
#[derive(Debug, Default)]
pub struct Results {
    pub mutations: Vec<Result>,
    /// What is wrong with the test itself: a package that does not build, or is not deterministic.
    pub problems: Vec<String>,
    /// Readers that this machine cannot run, and why.
    pub skipped: BTreeSet<String>,
    pub generated: usize,
    pub seconds: u64,
}

/// The levels of trust: name and arguments of split. `late` is `text` with the package's own late inputs.
fn levels(settings: &Settings, answer: &Answer) -> BTreeMap<String, serde_json::Value> {
    let mut levels: BTreeMap<String, serde_json::Value> = ["strict", "contract", "text"]
        .iter()
        .map(|trust| ((*trust).to_owned(), serde_json::json!({ "trust": trust })))
        .collect();
    if !answer.late_inputs.is_empty() {
        levels.insert("late".to_owned(), serde_json::json!({ "trust": "text", "lateInputs": answer.late_inputs }));
    }
    levels.retain(|name, _| settings.wants_level(name));
    levels
}

fn names(settings: &Settings) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(root().join("tests/mutation/packages"))
        .expect("the packages")
        .map(|entry| entry.expect("an entry").path())
        .filter_map(|path| Some(path.file_name()?.to_str()?.strip_suffix(".nix")?.to_owned()))
        .filter(|name| settings.wants_package(name))
        .collect();
    names.sort();
    names
}

/// How many cases of readers are built at once.
const BATCH: usize = 12;

/// What one thread does at a time.
enum Work {
    Package(Box<Job>),
    Readers(Vec<readers::Case>),
}

/// A package, what is known of it, and the mutations chosen.
struct Job {
    package: Package,
    answer: Answer,
    mutations: Vec<Mutation>,
}

pub fn all(settings: &Settings) -> Results {
    let started = Instant::now();
    let mut results = Results::default();
    let prepared = in_parallel(names(settings), |name| {
        let package = Package::new(&name, settings);
        let (answer, _) =
            package.evaluate(&BTreeMap::new(), &BTreeMap::new()).map_err(|error| format!("{name}: {error}"))?;
        let mutations = generate::mutations(&name, &answer);
        Ok(Job { package, answer, mutations })
    });
    let mut jobs = Vec::new();
    for job in prepared {
        match job {
            Ok(job) => jobs.push(job),
            Err(problem) => results.problems.push(problem),
        }
    }
    let (mut cases, skipped) = readers::cases(settings);
    results.skipped = skipped;
    results.generated = jobs.iter().map(|job| job.mutations.len()).sum::<usize>() + cases.len();
    choose(&mut jobs, &mut cases, settings);
    report::begin(settings);
    let jobs = jobs.into_iter().map(|job| Work::Package(Box::new(job)));
    let batches = cases.chunks(BATCH).map(|batch| Work::Readers(batch.to_vec()));
    for (mutations, problems) in in_parallel(jobs.chain(batches).collect(), |work| {
        let done = match work {
            Work::Package(job) => run(&job, settings),
            Work::Readers(batch) => readers::run(&batch, settings),
        };
        report::add(&done.0, &done.1, settings);
        done
    }) {
        results.mutations.extend(mutations);
        results.problems.extend(problems);
    }
    results.mutations.sort_by(|a, b| (&a.mutation, &a.level).cmp(&(&b.mutation, &b.level)));
    results.seconds = started.elapsed().as_secs();
    results
}

/// Leaves the mutations and cases of this run: the first by a hash of seed and name, so that a seed names its sample.
fn choose(jobs: &mut [Job], cases: &mut Vec<readers::Case>, settings: &Settings) {
    for job in jobs.iter_mut() {
        job.mutations.retain(|one| {
            settings.attributes.is_empty() || one.attributes.iter().any(|name| settings.attributes.contains(name))
        });
    }
    let rank = |id: &str| blake3::hash(format!("{} {id}", settings.seed).as_bytes()).to_hex().to_string();
    // Batches of many kinds: a run that is stopped early has seen some of each.
    cases.sort_by_cached_key(|case| rank(&case.id));
    let Some(limit) = settings.limit else { return };
    let mutations = jobs.iter().flat_map(|job| &job.mutations).map(|one| rank(&one.id));
    let mut ranks: Vec<String> = mutations.chain(cases.iter().map(|case| rank(&case.id))).collect();
    ranks.sort();
    if let Some(last) = ranks.get(limit.saturating_sub(1)).cloned() {
        for job in jobs.iter_mut() {
            job.mutations.retain(|one| rank(&one.id) <= last);
        }
        cases.retain(|case| rank(&case.id) <= last);
    }
}

/// Works through the items with as many threads as there are processors; the results are in the items' order.
fn in_parallel<T: Send, R: Send>(items: Vec<T>, work: impl Fn(T) -> R + Sync) -> Vec<R> {
    let queue = Mutex::new(items.into_iter().enumerate().collect::<Vec<_>>());
    queue.lock().expect("no thread panicked").reverse();
    let done = Mutex::new(BTreeMap::new());
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().expect("no thread panicked").pop();
                    let Some((index, item)) = next else { return };
                    let result = work(item);
                    done.lock().expect("no thread panicked").insert(index, result);
                }
            });
        }
    });
    done.into_inner().expect("no thread panicked").into_values().collect()
}

fn run(job: &Job, settings: &Settings) -> (Vec<Result>, Vec<String>) {
    if job.mutations.is_empty() {
        return (Vec::new(), Vec::new());
    }
    let started = Instant::now();
    let name = &job.package.name;
    let levels = levels(settings, &job.answer);
    let keyed: BTreeMap<String, &Mutation> =
        job.mutations.iter().enumerate().map(|(index, one)| (format!("m{index}"), one)).collect();
    let changes = keyed.iter().map(|(key, one)| (key.clone(), one.change.clone())).collect();
    let (answer, errors) = match job.package.evaluate(&levels, &changes) {
        Ok(answer) => answer,
        Err(error) => return (Vec::new(), vec![format!("{name}: {error}")]),
    };
    let (base, problems) = build_base(name, &answer.base);
    if !problems.is_empty() {
        return (Vec::new(), problems);
    }

    let mut derivations = BTreeSet::new();
    for one in answer.mutations.values() {
        derivations.extend(one.unsplit.iter().map(|unsplit| unsplit.drv.as_str()));
        derivations.extend(one.split.values().flatten().map(|split| split.finish.drv.as_str()));
    }
    let built = build::realise(&derivations);
    let mut problems: Vec<String> = errors.into_iter().map(|error| format!("{name}: {error}")).collect();
    if let Some(again) = built.intersection(&base).next() {
        problems.push(format!("{name}: {again} is of the unchanged package and was built again"));
    }
    let missing = missing(&answer);

    let oracle = Oracle::new(&job.answer);
    let mut results = Vec::new();
    for (key, mutation) in &keyed {
        let Some(evaluated) = answer.mutations.get(key) else { continue };
        for (level, arguments) in &levels {
            let outcome = match (&evaluated.split[level], &evaluated.unsplit) {
                (Some(split), Some(unsplit)) => judge::built(split, unsplit, &missing, first_missing(split, &missing)),
                (Some(_), None) => Outcome::Unsound("only the unsplit package fails to evaluate".to_owned()),
                (None, None) => Outcome::BothFail,
                (None, Some(_)) => {
                    let message = job.package.refusal(arguments, &mutation.change);
                    judge::refusal(&message).map_or(Outcome::Unsound(message), Outcome::Refused)
                }
            };
            results.push(reuse(
                job,
                mutation,
                level,
                outcome,
                evaluated.split[level].as_ref(),
                (&base, &built),
                &oracle,
            ));
        }
    }
    eprintln!("{name}: {} mutations in {} s", keyed.len(), started.elapsed().as_secs());
    (results, problems)
}

/// What of the chain was reused, and could have been. Counted only where the result is there: a build that stopped early says
/// nothing.
fn reuse(
    job: &Job,
    mutation: &Mutation,
    level: &str,
    outcome: Outcome,
    split: Option<&Split>,
    (base, built): (&BTreeSet<String>, &BTreeSet<String>),
    oracle: &Oracle,
) -> Result {
    let mut result = Result {
        package: job.package.name.clone(),
        mutation: mutation.id.clone(),
        level: level.to_owned(),
        outcome,
        kind: Kind::Mutation,
        stages: Vec::new(),
        built: Vec::new(),
        reused: 0,
        possible: 0,
        ideal: 0,
    };
    let Some(split) = split else { return result };
    result.stages = split.stages.iter().map(|stage| stage.name.clone()).collect();
    result.built =
        split.stages.iter().filter(|stage| built.contains(&stage.drv)).map(|stage| stage.name.clone()).collect();
    if result.outcome == Outcome::Equal {
        let first =
            |level: &str| mutation.attributes.iter().map(|name| oracle.possible(name, level)).min().unwrap_or_default();
        result.reused = split.stages.iter().filter(|stage| base.contains(&stage.drv)).count();
        result.possible = Oracle::reusable(first(level), &result.stages);
        result.ideal = Oracle::reusable(first("text"), &result.stages);
    }
    result
}

/// Builds the unchanged package, split and unsplit; the derivations of its chains, or what is wrong with it.
fn build_base(name: &str, base: &Evaluated) -> (BTreeSet<String>, Vec<String>) {
    let mut problems = Vec::new();
    let Some(unsplit) = &base.unsplit else { return (BTreeSet::new(), vec![format!("{name} does not evaluate")]) };
    let mut derivations = BTreeSet::from([unsplit.drv.as_str()]);
    let mut chains = BTreeSet::new();
    for (level, split) in &base.split {
        let Some(split) = split else {
            problems.push(format!("{name} cannot be split at {level}"));
            continue;
        };
        let expected = if level == "late" { "text" } else { level };
        if split.trust.as_deref() != Some(expected) {
            problems.push(format!("{name}: split says its trust is {:?}, not {expected}", split.trust));
        }
        derivations.insert(&split.finish.drv);
        chains.extend(split.stages.iter().map(|stage| stage.drv.clone()));
    }
    build::realise(&derivations);
    if let Err(log) = build::check_again(&unsplit.drv) {
        problems.push(format!("{name} is not deterministic, or does not build:\n{log}"));
    }
    let mut paths = BTreeSet::new();
    judge::paths(unsplit, &mut paths);
    base.split.values().flatten().for_each(|split| all_paths(split, &mut paths));
    let missing = build::missing(&paths);
    for (level, split) in &base.split {
        let Some(split) = split else { continue };
        let outcome = judge::built(split, unsplit, &missing, first_missing(split, &missing));
        if outcome != Outcome::Equal {
            problems.push(format!("{name} unchanged, at {level}: {outcome:?}"));
        }
    }
    (chains, problems)
}

fn all_paths<'a>(split: &'a Split, into: &mut BTreeSet<&'a Path>) {
    into.extend(split.stages.iter().map(|stage| stage.path.as_path()));
    judge::paths(&split.finish, into);
}

fn missing(answer: &Answer) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    for one in answer.mutations.values() {
        one.unsplit.iter().for_each(|unsplit| judge::paths(unsplit, &mut paths));
        one.split.values().flatten().for_each(|split| all_paths(split, &mut paths));
    }
    build::missing(&paths)
}

/// The stage that failed: the first whose state is not there.
pub fn first_missing<'a>(split: &'a Split, missing: &BTreeSet<String>) -> Option<&'a str> {
    split
        .stages
        .iter()
        .find(|stage| missing.contains(&stage.path.display().to_string()))
        .map(|stage| stage.drv.as_str())
}
