//! What is wrong with the roots: told, and mended where it is phasesplit's own.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::about::with_suffix;
use super::disk::{self, TEMPORARY};
use super::given_up::noted;
use super::list::{Entry, Kept, Root, as_text, lone_derivations};
use super::running::machine;
use super::{RootError, Roots, names};
use crate::nix::{Nix, gcroots, store_path};

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// What it is.
    pub problem: Problem,
    /// The file or link.
    #[serde(serialize_with = "as_text")]
    pub path: PathBuf,
    /// More words.
    pub words: String,
    /// Whether it was mended.
    pub mended: bool,
    /// Why it could not be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

/// What can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Problem {
    /// A link of ours whose store path is gone.
    Dangling,
    /// Something in our directories that phasesplit did not make; it is never touched.
    Foreign,
    /// A link that another machine made, of what is not in the store of this one.
    Elsewhere,
    /// A link that Nix does not know, so that it keeps nothing.
    Unknown,
    /// A state whose derivation is not kept, though it is there.
    NoDerivation,
    /// A derivation's link whose state was given up.
    LoneDerivation,
    /// A state of which the index has nothing, or nonsense.
    NoIndex,
    /// An entry of the index without its link.
    LoneIndex,
    /// A file that a killed program did not put in its place.
    Leftover,
    /// The note of a build that was killed.
    DeadBuild,
    /// A note that a state was given up, which has a root.
    WrongNote,
}

impl Problem {
    /// For a person.
    pub fn words(self) -> &'static str {
        match self {
            Self::Dangling => "dangling",
            Self::Foreign => "foreign",
            Self::Elsewhere => "of another machine",
            Self::Unknown => "unknown to Nix",
            Self::NoDerivation => "without its derivation",
            Self::LoneDerivation => "derivation without its state",
            Self::NoIndex => "not in the index",
            Self::LoneIndex => "index without its link",
            Self::Leftover => "leftover of a killed program",
            Self::DeadBuild => "note of a killed build",
            Self::WrongNote => "given up, and rooted",
        }
    }
}

impl Roots {
    /// Looks at everything; with `mend` mends what is phasesplit's own, so that each thing it tells is as it should be or gone.
    /// Dangling links are removed only where the store itself is there.
    ///
    /// # Errors
    /// Where something cannot be read. What cannot be mended is told with the rest.
    pub fn doctor(&self, nix: &Nix, mend: bool) -> Result<Vec<Finding>, RootError> {
        let home = self.home().to_owned();
        let _all = self.lock_for_change(mend)?;
        let mut findings = Vec::new();
        let mut roots = Vec::new();
        for entry in self.entries()? {
            match entry {
                Entry::Foreign(path, why) => findings.push(finding(Problem::Foreign, path, why)),
                Entry::Leftover(path) => findings.push(finding(Problem::Leftover, path, String::new())),
                Entry::Root(root) => roots.push(*root),
            }
        }
        for root in &roots {
            self.look_at(root, &mut findings);
        }
        for lone in lone_derivations(&roots) {
            findings.push(finding(Problem::LoneDerivation, lone.link.clone(), String::new()));
        }
        let links: BTreeSet<&Path> = roots.iter().map(|root| root.link.as_path()).collect();
        self.look_beside(&links, &mut findings)?;
        let dead = self.left_running().map_err(|source| RootError::io("read", &home, source))?;
        findings.extend(dead.into_iter().map(|path| finding(Problem::DeadBuild, path, String::new())));
        let rooted = roots.iter().filter(|root| root.state().is_some());
        let rooted: BTreeSet<&str> = rooted.map(|root| root.path.as_str()).collect();
        for path in self.given_up()? {
            if rooted.contains(path.as_str()) {
                findings.push(finding(Problem::WrongNote, self.note(&path), path));
            }
        }
        findings.sort_by(|a, b| (a.problem, &a.path).cmp(&(b.problem, &b.path)));
        findings.dedup();
        if mend {
            for finding in &mut findings {
                match self.mend(nix, finding, &roots) {
                    Ok(mended) => finding.mended = mended,
                    Err(error) => finding.failed = Some(error.to_string()),
                }
            }
        }
        Ok(findings)
    }

    fn look_at(&self, root: &Root, findings: &mut Vec<Finding>) {
        if root.dangling {
            let (problem, words) = match self.machine_of(root) {
                Some(machine) => (Problem::Elsewhere, format!("{} was there on {machine}", root.path)),
                None => (Problem::Dangling, root.path.clone()),
            };
            return findings.push(finding(problem, root.link.clone(), words));
        }
        if gcroots::knows(&root.link) == Some(false) {
            findings.push(finding(Problem::Unknown, root.link.clone(), root.path.clone()));
        }
        let (Kept::State { key, .. } | Kept::Failed { key, .. }) = &root.kept else { return };
        let is_failed = matches!(root.kept, Kept::Failed { .. });
        if let Some(version) = self.other_version(key, &root.link) {
            let words = format!("it has format {version}, which this phasesplit does not know");
            findings.push(finding(Problem::Foreign, self.about_file(key, &root.link), words));
        } else if !is_failed && self.read_about(key, &root.link).is_none() {
            findings.push(finding(Problem::NoIndex, root.link.clone(), root.path.clone()));
        }
        if let Some(drv) = root.drv.as_ref().filter(|drv| Path::new(drv).exists())
            && !with_suffix(&root.link, ".drv").is_symlink()
        {
            findings.push(finding(Problem::NoDerivation, root.link.clone(), drv.clone()));
        }
    }

    /// The other machine that registered a root, where Nix on this one knows nothing of it: its store may be another.
    fn machine_of(&self, root: &Root) -> Option<String> {
        if gcroots::knows(&root.link) == Some(true) {
            return None;
        }
        let (key, state) = match &root.kept {
            Kept::State { key, .. } => (key, root.link.clone()),
            Kept::Derivation { key, .. } => (key, root.link.with_extension("")),
            // Of these there is no index, and what the user keeps is worth a link too many.
            Kept::Added { .. } => return Some("another machine".to_owned()),
            Kept::Failed { .. } | Kept::Own { .. } => return None,
        };
        self.read_about(key, &state)?.machine.filter(|there| *there != machine())
    }

    /// What lies beside the roots for them, and what else there is.
    fn look_beside(&self, links: &BTreeSet<&Path>, findings: &mut Vec<Finding>) -> Result<(), RootError> {
        let home = self.home().to_owned();
        let roots = self.directory.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let places = [roots.as_str(), "packages", "given-up", "running", "lock", "last-session"];
        others(&home, findings, |name, _| places.contains(&name))?;
        others(&self.directory, findings, |name, _| ["own", "added", "packages"].contains(&name))?;
        others(&home.join("packages"), findings, |name, path| names::is_package_key(name) && is_directory(path))?;
        for package in files(&home.join("packages"))? {
            let key = package.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if !names::is_package_key(&key) || !is_directory(&package) {
                continue;
            }
            others(&package, findings, |name, _| ["states", "lock", "last.json"].contains(&name))?;
            others(&self.abouts(&key), findings, |name, path| {
                let link = name.strip_suffix(".json");
                link.is_some_and(|link| names::of_link(link).is_some()) && is_file(path)
            })?;
            for file in files(&self.abouts(&key))? {
                let link = file.file_name().and_then(|name| name.to_str()?.strip_suffix(".json"));
                if link.is_some_and(|link| {
                    names::of_link(link).is_some() && !links.contains(&self.of_package(&key).join(link).as_path())
                }) && is_file(&file)
                {
                    findings.push(finding(Problem::LoneIndex, file, String::new()));
                }
            }
        }
        others(&self.notes(), findings, |_, path| noted(path).is_some())?;
        others(&self.running(), findings, |name, path| name.starts_with("build-") && is_file(path))
    }

    /// The link that an entry of the index is about.
    fn link_of_index(&self, file: &Path) -> PathBuf {
        let key = file.parent().and_then(Path::parent).and_then(Path::file_name).unwrap_or_default();
        self.of_package(&key.to_string_lossy()).join(file.file_stem().unwrap_or_default())
    }

    fn mend(&self, nix: &Nix, finding: &Finding, roots: &[Root]) -> Result<bool, RootError> {
        if matches!(finding.problem, Problem::Foreign | Problem::Elsewhere) {
            return Ok(false);
        }
        // What a build is about to do is no fault: it does it under this lock, and afterwards there is nothing to mend.
        // A directory above ours may have the same name.
        let below = finding.path.strip_prefix(self.home()).unwrap_or(&finding.path);
        let key = below.components().skip_while(|part| part.as_os_str() != "packages").nth(1);
        let is_locked_below = finding.problem == Problem::LoneDerivation;
        let _package = key
            .filter(|_| !is_locked_below)
            .map(|key| self.lock_package(&key.as_os_str().to_string_lossy()))
            .transpose()
            .map_err(|source| RootError::io("lock", &finding.path, source))?;
        let remove = |path: &Path| disk::remove(path).map_err(|source| RootError::io("remove", path, source));
        let root = roots.iter().find(|root| root.link == finding.path);
        match (finding.problem, root) {
            (Problem::Dangling, Some(root)) => {
                // A store that is not mounted has none of its paths, and they come back.
                if !Path::new(&store_path::store_dir()).is_dir() || root.link.exists() {
                    return Ok(false);
                }
                remove(&root.link)?;
                if let Kept::State { key, .. } = &root.kept {
                    remove(&self.about_file(key, &root.link))?;
                }
            }
            (Problem::Unknown, Some(root)) => match root.kept {
                Kept::Derivation { .. } => self.register_derivation(nix, &root.link, &root.path)?,
                _ => self.register(nix, &root.link, &root.path)?,
            },
            (Problem::NoDerivation, Some(root)) => {
                self.register_derivation(nix, &with_suffix(&root.link, ".drv"), &finding.words)?;
            }
            (Problem::NoIndex, Some(root)) => {
                let Kept::State { package, key, stage } = &root.kept else { return Ok(false) };
                let about = self.about(key, &root.link, package, stage, &root.path);
                let file = self.about_file(key, &root.link);
                self.write_about(key, &root.link, &about).map_err(|source| RootError::io("write", &file, source))?;
            }
            (Problem::LoneDerivation, _) => {
                self.drop_lone_derivations()?;
            }
            (Problem::LoneIndex, _) if self.link_of_index(&finding.path).is_symlink() => {}
            (Problem::LoneIndex | Problem::Leftover | Problem::DeadBuild | Problem::WrongNote, _) => {
                remove(&finding.path)?;
            }
            // What is not ours here, and what is no more.
            (_, None) | (Problem::Foreign | Problem::Elsewhere, _) => return Ok(false),
        }
        Ok(true)
    }
}

fn finding(problem: Problem, path: PathBuf, words: String) -> Finding {
    Finding { problem, path, words, mended: false, failed: None }
}

/// What lies in a directory of ours and is not `ours`, or not in its place yet.
fn others(directory: &Path, findings: &mut Vec<Finding>, ours: impl Fn(&str, &Path) -> bool) -> Result<(), RootError> {
    for path in files(directory)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with(TEMPORARY) && is_file(&path) {
            findings.push(finding(Problem::Leftover, path.clone(), String::new()));
        } else if !ours(&name, &path) {
            let words = "phasesplit did not make it".to_owned();
            findings.push(finding(Problem::Foreign, path.clone(), words));
        }
    }
    Ok(())
}

fn is_directory(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir())
}

fn is_file(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file())
}

fn files(directory: &Path) -> Result<Vec<PathBuf>, RootError> {
    let Ok(entries) = fs::read_dir(directory) else { return Ok(Vec::new()) };
    let failed = |source| RootError::List { path: directory.to_owned(), source };
    entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>().map_err(failed)
}
