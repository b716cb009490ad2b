//! What must hold after a kill: each question gives what is wrong, in words.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::text;
use crate::world::{KEEP_LAST, World, lines};

/// What was rooted and what was there at a moment.
pub struct Before {
    pub rooted: BTreeMap<String, (String, String)>,
}

impl Before {
    pub fn of(world: &World) -> Self {
        Self { rooted: world.rooted() }
    }

    /// Roots that are gone though nobody gave them up, and such that keep nothing. `may_go` says which may be given up.
    pub fn lost(&self, world: &World, may_go: impl Fn(&str) -> bool) -> Vec<String> {
        let now = world.rooted();
        let mut wrong = Vec::new();
        for (link, (stage, path)) in &self.rooted {
            if now.get(link).is_some_and(|(_, kept)| kept == path) {
                continue;
            }
            if !may_go(path) {
                wrong.push(format!("the root of {path} ({stage}) is gone, and no policy gives it up"));
            }
            let note = world.path("state/phasesplit/given-up").join(Path::new(path).file_name().expect("a name"));
            if Path::new(path).exists() && !note.exists() {
                wrong.push(format!("{path} ({stage}) has no root, and it is not noted that it was given up"));
            }
        }
        // What was rooted before and still is was there before: it must be now.
        let still = self.rooted.iter().filter(|(link, _)| now.contains_key(*link)).map(|(_, (_, path))| path.as_str());
        wrong.extend(world.invalid(still).iter().map(|path| format!("{path} is rooted, and no longer valid")));
        wrong
    }

    /// The same where the policy after each build may have been applied.
    pub fn lost_by_build(&self, world: &World) -> Vec<String> {
        let count = |rooted: &BTreeMap<String, (String, String)>| {
            let mut count = BTreeMap::new();
            for (stage, _) in rooted.values() {
                *count.entry(stage.clone()).or_insert(0_usize) += 1;
            }
            count
        };
        let now = count(&world.rooted());
        let mut wrong = self.lost(world, |_| true);
        for (stage, before) in count(&self.rooted) {
            let left = now.get(&stage).copied().unwrap_or(0);
            if left < before.min(KEEP_LAST) {
                wrong
                    .push(format!("of {before} states of {stage} {left} are rooted, and the policy keeps {KEEP_LAST}"));
            }
        }
        wrong
    }
}

/// What `roots doctor` finds, after mending all that it can and before: kinds of problems, and what is left of them.
pub fn mend(world: &World) -> (Vec<String>, Vec<String>) {
    let words = |findings: &Value, key: &str| -> Vec<String> {
        let findings = findings.as_array().expect("a list").iter();
        findings.map(|finding| finding[key].as_str().expect("a word").to_owned()).collect()
    };
    let found = words(&world.json(&["roots", "doctor", "--fix", "--json"]), "problem");
    let left = world.json(&["roots", "doctor", "--json"]);
    let left = words(&left, "problem").into_iter().zip(words(&left, "path"));
    (found, left.map(|(problem, path)| format!("the doctor cannot mend {path}: {problem}")).collect())
}

/// Files of the state directory that cannot be read, and links that lead nowhere.
pub fn unreadable(world: &World) -> Vec<String> {
    let mut wrong = Vec::new();
    for file in files_below(&world.path("state")) {
        let is_json = file.extension().is_some_and(|extension| extension == "json");
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if is_json && !name.starts_with('.') {
            let read = fs::read(&file).map_err(|error| error.to_string());
            if let Err(why) =
                read.and_then(|text| serde_json::from_slice::<Value>(&text).map_err(|error| error.to_string()))
            {
                wrong.push(format!("{} cannot be read: {why}", file.display()));
            }
        }
    }
    wrong
}

/// Links to states that lead to nothing.
pub fn dangling(world: &World) -> Vec<String> {
    let links = files_below(&world.path("state/phasesplit/roots")).into_iter().filter(|file| file.is_symlink());
    let targets: Vec<(PathBuf, PathBuf)> =
        links.filter_map(|link| Some((link.clone(), fs::read_link(link).ok()?))).collect();
    let invalid = world.invalid(targets.iter().filter_map(|(_, target)| target.to_str()));
    let is_gone = |target: &Path| target.to_str().is_some_and(|target| invalid.contains(target));
    let gone = targets.iter().filter(|(_, target)| is_gone(target));
    gone.map(|(link, target)| format!("{} leads to {}, which is not valid", link.display(), target.display())).collect()
}

/// States that are rooted as far as we say, and which Nix would collect.
pub fn unknown(world: &World, states: &[String]) -> Vec<String> {
    let roots = lines(&mut world.nix("nix-store", &["--gc", "--print-roots"]));
    let known: BTreeSet<&str> = roots
        .iter()
        .filter(|line| line.contains("/state/phasesplit/roots/"))
        .filter_map(|line| line.split(" -> ").nth(1))
        .collect();
    let lost = states.iter().filter(|state| !known.contains(state.as_str()));
    lost.map(|state| format!("{state} was built and has no root of ours that Nix knows")).collect()
}

/// Store paths whose contents are not what they were registered with.
pub fn damaged(world: &World) -> Vec<String> {
    let output = world.nix("nix-store", &["--verify", "--check-contents"]).output().expect("runs");
    if output.status.success() { Vec::new() } else { vec![format!("the store is damaged: {}", text(&output.stderr))] }
}

/// What a cache in a directory promises and does not have: Nix itself fetches and checks each of its store paths.
pub fn cache_damaged(world: &World, cache: &Path) -> Vec<String> {
    if !cache.join("nix-cache-info").exists() {
        return Vec::new();
    }
    let url = format!("file://{}", cache.display());
    let words =
        ["--extra-experimental-features", "nix-command", "store", "verify", "--all", "--no-trust", "--store", &url];
    let output = world.nix("nix", &words).output().expect("runs");
    if output.status.success() { Vec::new() } else { vec![format!("the cache is damaged: {}", text(&output.stderr))] }
}

/// Which of these paths a cache does not have.
pub fn cache_lacks(cache: &Path, paths: &[String]) -> Vec<String> {
    let name = |path: &str| format!("{}.narinfo", &path.rsplit('/').next().expect("a name")[..32]);
    let lacking = paths.iter().filter(|path| !cache.join(name(path)).exists());
    lacking.map(|path| format!("{path} is not in the cache")).collect()
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut todo = vec![directory.to_owned()];
    while let Some(directory) = todo.pop() {
        for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                todo.push(entry.path());
            } else {
                files.push(entry.path());
            }
        }
    }
    files
}
