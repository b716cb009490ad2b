//! States that were given up: their roots are gone, and `roots gc` deletes these very paths, through Nix.
//!
//! ```text
//! given-up/<store path's base name>    a line: the store path
//! ```
//!
//! The note is written before the root goes, so whatever comes in between, no state is lost sight of: one that has a root
//! (again) is no more given up, and one that somebody else deleted is done. What Nix still uses for anything, it does not delete.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::about::with_suffix;
use super::config::Config;
use super::list::{Kept, Root, graph_of, is_ours, lone_derivations};
use super::policy::{Candidate, Choice, Policy, Why, choose};
use super::{FAILED, RootError, Roots, disk, record};
use crate::nix::{Nix, store};

/// What a policy did, or would do.
#[derive(Debug, Default)]
pub struct Pruned {
    /// The roots that went, and why.
    pub given_up: Vec<(Root, Why)>,
    /// What deleting all of these frees.
    pub frees: u64,
    /// What the states that are left hold, of those the policies look at; of the last one.
    pub left: u64,
    /// Roots that could not be removed, and why.
    pub failed: Vec<RootError>,
}

/// What became of the states that were given up.
#[derive(Debug, Default)]
pub struct Collected {
    /// Those that Nix deleted, and their bytes.
    pub deleted: Vec<(String, u64)>,
    /// Those that are still used for something, and Nix's words.
    pub alive: Vec<(String, String)>,
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
            let mut gone = Vec::new();
            for (at, why) in choice.given_up {
                let place = places[at];
                let root = roots[place].clone();
                if dry {
                    gone.push(place);
                    pruned.given_up.push((root, why));
                    continue;
                }
                match self.give_up(&root) {
                    Ok(()) => {
                        gone.push(place);
                        pruned.given_up.push((root, why));
                    }
                    Err(error) => pruned.failed.push(error),
                }
            }
            let mut at = 0;
            roots.retain(|_| {
                at += 1;
                !gone.contains(&(at - 1))
            });
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
            let Ok(text) = fs::read_to_string(entry.path()) else { continue };
            let path = text.trim_end().to_owned();
            // Only what says the same twice is a note of ours.
            if Path::new(&path).file_name() == Some(&entry.file_name()) && Path::new(&path).is_absolute() {
                paths.push(path);
            }
        }
        paths.sort();
        Ok(paths)
    }

    /// What was given up, is there and has no root of ours: what [`Roots::collect`] asks Nix to delete, with its bytes.
    ///
    /// # Errors
    /// As there.
    pub fn to_collect(&self) -> Result<Vec<(String, u64)>, RootError> {
        let rooted = self.list()?;
        let mut paths = self.given_up()?;
        paths.retain(|path| rooted.iter().all(|root| root.path != *path) && is_ours(Path::new(path)).is_ok());
        let with_size = |path: String| store::size_of(Path::new(&path)).ok().map(|bytes| (path, bytes));
        Ok(paths.into_iter().filter_map(with_size).collect())
    }

    /// Has Nix delete what was given up, and nothing else: it refuses what anything else in the store, a root or a running
    /// program still needs.
    ///
    /// # Errors
    /// Where the roots cannot be read, or Nix cannot be asked.
    pub fn collect(&self, nix: &Nix) -> Result<Collected, RootError> {
        let rooted = self.list()?;
        let mut collected = Collected::default();
        let mut todo = Vec::new();
        for path in self.given_up()? {
            let is_rooted = rooted.iter().any(|root| root.path == path);
            if is_rooted || store::invalid_paths(nix, &[&path])?.contains(&path) {
                self.take_back(&path);
            } else if is_ours(Path::new(&path)).is_ok() {
                todo.push((store::size_of(Path::new(&path)).unwrap_or(0), path));
            }
        }
        // A state goes before the one that it names. All at once first: Nix itself then finds the order.
        let all: Vec<&str> = todo.iter().map(|(_, path)| path.as_str()).collect();
        let _ = store::delete(nix, &all);
        let mut words = Vec::new();
        loop {
            words.clear();
            let mut left = Vec::new();
            let before = todo.len();
            for (bytes, path) in todo {
                let there = !store::invalid_paths(nix, &[&path])?.contains(&path);
                if there && let Err(error) = store::delete(nix, &[&path]) {
                    words.push(error.to_string());
                    left.push((bytes, path));
                    continue;
                }
                self.take_back(&path);
                collected.deleted.push((path, bytes));
            }
            todo = left;
            if todo.is_empty() || todo.len() == before {
                break;
            }
        }
        collected.alive = todo.into_iter().map(|(_, path)| path).zip(words).collect();
        collected.deleted.sort();
        Ok(collected)
    }

    fn notes(&self) -> PathBuf {
        self.home().join("given-up")
    }

    pub(super) fn note(&self, path: &str) -> PathBuf {
        self.notes().join(Path::new(path).file_name().unwrap_or_default())
    }
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
            Kept::State { package, key, stage } => (package, key, stage, ""),
            Kept::Failed { package, key, stage } => (package, key, stage, FAILED),
            _ => continue,
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
