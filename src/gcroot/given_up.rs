//! States that were given up: their roots are gone, and `roots gc` deletes these very paths, through Nix.
//!
//! ```text
//! given-up/<store path's base name>    a line: the store path
//! ```
//!
//! The note is written before the root goes, so whatever comes in between, no state is lost sight of: one that has a root
//! (again) is no more given up, and one that somebody else deleted is done. What Nix still uses for anything, it does not delete.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::about::with_suffix;
use super::config::Config;
use super::list::{Kept, Root, graph_of, is_ours, lone_derivations};
use super::policy::{Candidate, Choice, Policy, Why, choose, is_far};
use super::{FAILED, RootError, Roots, disk, record};
use crate::nix::{Nix, NixError, store};

/// How many store paths one command line names.
const AT_ONCE: usize = 4096;

/// What a policy did, or would do.
#[derive(Debug, Default)]
pub struct Pruned {
    /// The roots that went, and why.
    pub given_up: Vec<(Root, Why)>,
    /// What deleting all of these frees.
    pub frees: u64,
    /// What the states that are left hold, of those the policies look at; of the last one.
    pub left: u64,
    /// The bytes that are left where that is more than a size allows: the rest is protected.
    pub over: Option<u64>,
    /// Why more than a hundredth of a size stays free, where it does; of the last policy with one.
    pub short: Option<Short>,
    /// Roots that could not be removed, and why.
    pub failed: Vec<RootError>,
}

/// Room that stays free, because no state that was given up fits.
#[derive(Debug)]
pub struct Short {
    /// The bytes that stay free.
    pub free: u64,
    /// The state that was used last of those without room.
    pub next: Root,
    /// The bytes that it would need.
    pub needs: u64,
}

/// What became of the states that were given up.
#[derive(Debug, Default)]
pub struct Collected {
    /// Those that Nix deleted, and their bytes.
    pub deleted: Vec<(String, u64)>,
    /// Those that rooted states continue from, or that a running build uses.
    pub needed: Vec<String>,
    /// Those that are still used for something else.
    pub alive: Vec<String>,
    /// Those that Nix did not delete for another reason, and its words.
    pub failed: Vec<(String, String)>,
}

impl Roots {
    /// Applies the user's policies, unless that is off.
    ///
    /// # Errors
    /// Where the policies cannot be read or applied: then nothing is given up.
    pub fn prune_after_build(&self) -> Result<Option<Pruned>, RootError> {
        let config = Config::of_user()?;
        if !config.after_build {
            return Ok(None);
        }
        // The common case, that there is nothing to give up, needs no lock.
        if self.prune(&config.policies, true)?.given_up.is_empty() {
            return Ok(None);
        }
        self.prune(&config.policies, false).map(Some)
    }

    /// Gives up what these policies say, one after the other; with `dry` only tells.
    ///
    /// # Errors
    /// Where the roots cannot be read or locked. A root that cannot be removed is told in the result.
    pub fn prune(&self, policies: &[Policy], dry: bool) -> Result<Pruned, RootError> {
        let _all = self.lock_for_change(!dry)?;
        let mut roots = self.list()?;
        let before = graph_of(&roots);
        let mut pruned = Pruned::default();
        for policy in policies {
            let (choice, places) = choice(&roots, policy);
            pruned.left = choice.left;
            if let Some(limit) = policy.max_size {
                pruned.over = Some(choice.left).filter(|left| *left > limit);
                let next = choice.next.filter(|_| is_far(choice.left, limit));
                let short = |(at, needs): (usize, u64)| Short {
                    free: limit - choice.left,
                    next: roots[places[at]].clone(),
                    needs,
                };
                pruned.short = next.map(short);
            }
            let mut gone = BTreeSet::new();
            for (at, why) in choice.given_up {
                let place = places[at];
                let root = roots[place].clone();
                if dry {
                    gone.insert(place);
                    pruned.given_up.push((root, why));
                    continue;
                }
                match self.give_up(&root) {
                    Ok(()) => {
                        gone.insert(place);
                        pruned.given_up.push((root, why));
                    }
                    Err(error) => pruned.failed.push(error),
                }
            }
            let mut places = 0..;
            roots.retain(|_| places.next().is_none_or(|place| !gone.contains(&place)));
        }
        if !dry {
            self.drop_lone_derivations()?;
            for dead in self.left_running().unwrap_or_default() {
                let _ = disk::remove(&dead);
            }
        }
        let number = |root: &Root| before.number(&root.path);
        let left = roots.iter().filter(|root| root.state().is_some());
        let kept = before.kept(left.filter_map(number));
        let gone = before.kept(pruned.given_up.iter().filter_map(|(root, _)| number(root)));
        pruned.frees = before.bytes(&gone.difference(&kept).copied().collect());
        Ok(pruned)
    }

    /// Removes the links of derivations that were left when the program was killed between a state's link and this one.
    pub(super) fn drop_lone_derivations(&self) -> Result<Vec<PathBuf>, RootError> {
        let mut dropped = Vec::new();
        for lone in lone_derivations(&self.list()?) {
            let Kept::Derivation { key, .. } = &lone.kept else { continue };
            let io = |source| RootError::io("remove", &lone.link, source);
            let _package = self.lock_package(key).map_err(io)?;
            // A build may be about it: the state's link comes first, and under this lock.
            if !lone.link.with_extension("").is_symlink() {
                disk::remove(&lone.link).map_err(io)?;
                dropped.push(lone.link.clone());
            }
        }
        Ok(dropped)
    }

    /// Gives up these, whatever a policy says; what a build uses stays.
    ///
    /// # Errors
    /// As [`Roots::prune`].
    pub fn give_up_by_hand(
        &self,
        wanted: impl Fn(&Root) -> bool,
        dry: bool,
    ) -> Result<(Vec<Root>, Vec<Root>), RootError> {
        let _all = self.lock_for_change(!dry)?;
        let (used, gone): (Vec<Root>, Vec<Root>) = self
            .list()?
            .into_iter()
            .filter(|root| root.state().is_some() && wanted(root))
            .partition(|root| root.in_use && !matches!(root.kept, Kept::Added { .. }));
        if !dry {
            for root in &gone {
                self.give_up(root)?;
            }
        }
        Ok((gone, used))
    }

    /// Gives up one state: notes it, and removes what phasesplit made to keep it.
    ///
    /// # Errors
    /// Where a file cannot be written or removed. The state is then still listed.
    pub fn give_up(&self, root: &Root) -> Result<(), RootError> {
        let link = &root.link;
        let key = match &root.kept {
            Kept::State { key, .. } | Kept::Failed { key, .. } => Some(key),
            Kept::Added { .. } => None,
            Kept::Own { .. } | Kept::Derivation { .. } => return Ok(()),
        };
        let _package =
            key.map(|key| self.lock_package(key).map_err(|source| RootError::io("lock", link, source))).transpose()?;
        // A build may have pointed it elsewhere meanwhile: that is another state.
        if fs::read_link(link).map_or(true, |target| target != Path::new(&root.path)) {
            return Ok(());
        }
        let io = |operation, path: &Path| {
            let path = path.to_owned();
            move |source| RootError::Io { operation, path, source }
        };
        let note = self.note(&root.path);
        disk::write(&note, format!("{}\n", root.path).as_bytes()).map_err(io("write", &note))?;
        if let Some(key) = key {
            let drv = with_suffix(link, ".drv");
            if drv.is_symlink() {
                disk::remove(&drv).map_err(io("remove", &drv))?;
            }
            disk::remove(link).map_err(io("remove", link))?;
            let about = self.about_file(key, link);
            disk::remove(&about).map_err(io("remove", &about))?;
        } else {
            disk::remove(link).map_err(io("remove", link))?;
        }
        Ok(())
    }

    /// The state has a root again.
    pub(super) fn take_back(&self, path: &str) {
        let note = self.note(path);
        if note.exists() {
            let _ = disk::remove(&note);
        }
    }

    /// The store paths that were given up.
    ///
    /// # Errors
    /// Where they cannot be read.
    pub fn given_up(&self) -> Result<Vec<String>, RootError> {
        let directory = self.notes();
        let failed = |source| RootError::List { path: directory.clone(), source };
        let entries = match fs::read_dir(&directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed)?,
        };
        let mut paths = Vec::new();
        for entry in entries {
            let entry = entry.map_err(failed)?;
            paths.extend(noted(&entry.path()));
        }
        paths.sort();
        Ok(paths)
    }

    /// What was given up, is there and is kept by no root of ours: what [`Roots::collect`] asks Nix to delete, with its bytes.
    ///
    /// # Errors
    /// As there.
    pub fn to_collect(&self) -> Result<Vec<(String, u64)>, RootError> {
        let (rooted, needed) = self.kept()?;
        let mut paths = self.given_up()?;
        paths.retain(|path| !rooted.contains(path) && !needed.contains(path) && is_ours(Path::new(path)).is_ok());
        let with_size = |path: String| store::size_of(Path::new(&path)).ok().map(|bytes| (path, bytes));
        Ok(paths.into_iter().filter_map(with_size).collect())
    }

    /// Has Nix delete what was given up, and nothing else: it refuses what anything else in the store, a root or a running
    /// program still needs. A build that is about to continue from a state has said so, and the next begins when this is over:
    /// Nix knows of neither yet.
    ///
    /// # Errors
    /// Where the roots cannot be read or locked, or Nix cannot be asked.
    pub fn collect(&self, nix: &Nix) -> Result<Collected, RootError> {
        let _all = self.lock_for_change(true)?;
        let (rooted, needed) = self.kept()?;
        let noted = self.given_up()?;
        let gone = invalid(nix, noted.iter())?;
        let mut collected = Collected::default();
        let mut todo = BTreeMap::new();
        for path in noted {
            if rooted.contains(&path) || gone.contains(&path) {
                self.take_back(&path);
            } else if needed.contains(&path) {
                collected.needed.push(path);
            } else if is_ours(Path::new(&path)).is_ok() {
                let bytes = store::size_of(Path::new(&path)).unwrap_or(0);
                todo.insert(path, bytes);
            }
        }
        // A state goes before the one that it names: what is refused now may go when others have gone.
        loop {
            let mut refused = Vec::new();
            delete(nix, &todo.keys().map(String::as_str).collect::<Vec<_>>(), &mut refused);
            let gone = invalid(nix, todo.keys())?;
            for path in &gone {
                self.take_back(path);
                collected.deleted.extend(todo.remove_entry(path));
            }
            if gone.is_empty() || todo.is_empty() {
                for (path, words) in refused.into_iter().filter(|(path, _)| todo.contains_key(path)) {
                    if is_alive(&words) {
                        collected.alive.push(path);
                    } else {
                        collected.failed.push((path, words));
                    }
                }
                break;
            }
        }
        collected.deleted.sort();
        Ok(collected)
    }

    /// What has a root of ours; and what those states and running builds need.
    fn kept(&self) -> Result<(BTreeSet<String>, BTreeSet<String>), RootError> {
        let roots = self.list()?;
        let mut graph = graph_of(&roots);
        let mut needed: BTreeSet<String> = self.in_use()?.into_iter().collect();
        for path in needed.iter().filter(|path| is_ours(Path::new(path)).is_ok()) {
            graph.include(path);
        }
        let states = roots.iter().filter(|root| root.state().is_some()).map(|root| root.path.as_str());
        let states: Vec<usize> =
            states.chain(needed.iter().map(String::as_str)).filter_map(|path| graph.number(path)).collect();
        needed.extend(graph.kept(states).into_iter().map(|state| graph.path(state).to_owned()));
        Ok((roots.iter().map(|root| root.path.clone()).collect(), needed))
    }

    pub(super) fn notes(&self) -> PathBuf {
        self.home().join("given-up")
    }

    pub(super) fn note(&self, path: &str) -> PathBuf {
        self.notes().join(Path::new(path).file_name().unwrap_or_default())
    }
}

/// The store path that a file is the note of; `None` where it is no note.
pub(super) fn noted(file: &Path) -> Option<String> {
    let path = String::from_utf8(disk::read(file).ok()?).ok()?.trim_end().to_owned();
    // Only what says the same twice is a note of ours.
    let is_same = Path::new(&path).file_name() == file.file_name() && Path::new(&path).is_absolute();
    is_same.then_some(path)
}

fn invalid<'a>(nix: &Nix, paths: impl Iterator<Item = &'a String>) -> Result<BTreeSet<String>, NixError> {
    let paths: Vec<&str> = paths.map(String::as_str).collect();
    let mut invalid = BTreeSet::new();
    for some in paths.chunks(AT_ONCE) {
        invalid.extend(store::invalid_paths(nix, some)?);
    }
    Ok(invalid)
}

/// Whether Nix says that something needs the path: `Cannot delete path '…' since it is still alive`, and in later versions
/// `… because it's …`.
fn is_alive(words: &str) -> bool {
    words.contains("annot delete path")
}

/// Has Nix delete these. It stops at the first that it refuses, so those are asked for in halves until that one is alone.
fn delete(nix: &Nix, paths: &[&str], refused: &mut Vec<(String, String)>) {
    if paths.len() <= AT_ONCE {
        let Err(error) = store::delete(nix, paths) else { return };
        if let [path] = paths {
            return refused.push(((*path).to_owned(), error.to_string()));
        }
    }
    let (first, second) = paths.split_at(paths.len() / 2);
    delete(nix, first, refused);
    delete(nix, second, refused);
}

/// What a policy gives up, and where the candidates are among the roots.
fn choice(roots: &[Root], policy: &Policy) -> (Choice, Vec<usize>) {
    let graph = graph_of(roots);
    let added: Vec<&str> =
        roots.iter().filter(|root| matches!(root.kept, Kept::Added { .. })).map(|root| root.path.as_str()).collect();
    let mut places = Vec::new();
    let mut candidates = Vec::new();
    for (at, root) in roots.iter().enumerate().filter(|(_, root)| !root.dangling) {
        let (package, key, stage, kind) = match &root.kept {
            Kept::State { package, key, stage } => (package, key.as_str(), stage, ""),
            Kept::Failed { package, key, stage } => (package, key.as_str(), stage, FAILED),
            // What the user keeps takes room, and is no state of its stage more.
            Kept::Added { package, stage } => (package, "", stage, ""),
            Kept::Own { .. } | Kept::Derivation { .. } => continue,
        };
        let Some(number) = graph.number(&root.path) else { continue };
        // The part of the key that stays when the version changes.
        let identity = key.rsplit('-').next().unwrap_or(key);
        places.push(at);
        candidates.push(Candidate {
            state: number,
            group: format!("{identity}/{stage}{kind}"),
            package: package.clone(),
            stage: stage.clone(),
            last_used: root.last_used,
            protected: root.in_use || added.contains(&root.path.as_str()),
        });
    }
    (choose(&candidates, &graph, policy, record::now()), places)
}
