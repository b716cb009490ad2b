//! What is rooted: read from the links themselves, which are the truth.
//!
//! A link counts where phasesplit made it, as far as that can be seen: its name is one of ours for what it leads to, and that
//! is a state of phasesplit or, where it is gone, could have been one. Anything else is foreign ([`super::doctor`] tells it),
//! and nobody here touches it.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::Serialize;

use super::about::with_suffix;
use super::graph::Graph;
use super::names::{self, Named};
use super::{RootError, Roots, hash_of, own_paths};
use crate::nix::{drv, store, store_path};
use crate::state::{format, info};

/// One link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Root {
    /// What it keeps.
    #[serde(flatten)]
    pub kept: Kept,
    /// The store path that it points to.
    pub path: String,
    /// The link.
    #[serde(serialize_with = "as_text")]
    pub link: PathBuf,
    /// Whether the store path is not there; what is dangling keeps nothing.
    pub dangling: bool,
    /// The bytes of the store path, where it is there.
    pub bytes: Option<u64>,
    /// Of a state, what deleting it alone would free, the layers included that nothing else of phasesplit keeps.
    pub frees: Option<u64>,
    /// When it was registered first, in seconds since 1970.
    pub created: u64,
    /// When it was used last, in seconds since 1970.
    pub last_used: u64,
    /// Of a state, the BLAKE3 hash of the derivation that made it: all that it was made from.
    pub inputs: Option<String>,
    /// Of a state, that derivation.
    pub drv: Option<String>,
    /// The pinned state that it was made from, where it was.
    pub pinned: Option<String>,
    /// Whether a running build uses it.
    pub in_use: bool,
}

/// What a root keeps.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Kept {
    /// One of phasesplit's own objects.
    Own {
        /// Whether it is of another version than this one.
        former: bool,
    },
    /// A state of a stage.
    State {
        /// The package's name.
        package: String,
        /// The directory of its roots: the name, and a hash of what tells packages of the same name apart.
        key: String,
        /// The stage.
        stage: String,
    },
    /// A state that the user keeps: no policy gives it up.
    Added {
        /// The package's name.
        package: String,
        /// The stage.
        stage: String,
    },
    /// What a stage left when it failed.
    Failed {
        /// The package's name.
        package: String,
        /// The directory of its roots.
        key: String,
        /// The stage.
        stage: String,
    },
    /// The derivation that a state was made by; of a failed one, `stage` ends in `.failed`.
    Derivation {
        /// The package's name.
        package: String,
        /// The directory of its roots.
        key: String,
        /// The stage.
        stage: String,
    },
}

impl Root {
    /// Package and stage of a state, whoever keeps it.
    pub fn state(&self) -> Option<(&str, &str)> {
        match &self.kept {
            Kept::State { package, stage, .. }
            | Kept::Failed { package, stage, .. }
            | Kept::Added { package, stage } => Some((package, stage)),
            Kept::Own { .. } | Kept::Derivation { .. } => None,
        }
    }
}

/// A thing in a directory of roots.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    Root(Box<Root>),
    /// Not ours, and why.
    Foreign(PathBuf, String),
    /// What a killed program left: a file that did not take its name.
    Leftover(PathBuf),
}

impl Roots {
    /// All roots, sorted by what they keep. There need not be any.
    ///
    /// # Errors
    /// Where a directory cannot be read. A link that is removed meanwhile is left out.
    pub fn list(&self) -> Result<Vec<Root>, RootError> {
        let entries = self.entries()?.into_iter();
        let mut roots: Vec<Root> =
            entries.filter_map(|entry| if let Entry::Root(root) = entry { Some(*root) } else { None }).collect();
        let in_use = self.in_use()?;
        let mut graph = graph_of(&roots);
        // What a build uses need not have a root, and keeps what is below it all the same.
        for path in in_use.iter().filter(|path| Path::new(path).exists() && is_ours(Path::new(path)).is_ok()) {
            graph.include(path);
        }
        let states: Vec<usize> = (0..roots.len()).filter(|at| is_there(&roots[*at])).collect();
        let numbers: Vec<usize> = states.iter().filter_map(|at| graph.number(&roots[*at].path)).collect();
        for (at, frees) in states.iter().zip(graph.frees(&numbers)) {
            roots[*at].frees = Some(frees);
        }
        let used = graph.kept(in_use.iter().filter_map(|path| graph.number(path)));
        for root in &mut roots {
            root.in_use = in_use.contains(&root.path) || graph.number(&root.path).is_some_and(|at| used.contains(&at));
        }
        roots.sort_by(|a, b| (&a.kept, a.created, &a.link).cmp(&(&b.kept, b.created, &b.link)));
        Ok(roots)
    }

    /// The roots that keep a state: its own, and those of states that continue from it.
    ///
    /// # Errors
    /// As [`Roots::list`].
    pub fn that_keep(&self, path: &str) -> Result<Vec<Root>, RootError> {
        let mut roots = self.list()?;
        let graph = graph_of(&roots);
        let wanted = graph.number(path);
        roots.retain(|root| {
            let number = root.state().and_then(|_| graph.number(&root.path));
            number.is_some_and(|number| wanted.is_some_and(|wanted| graph.kept([number]).contains(&wanted)))
        });
        Ok(roots)
    }

    /// All that lies in the directories of roots.
    pub(super) fn entries(&self) -> Result<Vec<Entry>, RootError> {
        let mut entries = Vec::new();
        let own = names_in(&self.directory.join("own"))?;
        let current = if own.is_empty() { Vec::new() } else { own_paths() };
        for link in own {
            entries.extend(entry(link, |link, target| {
                let own = Kept::Own { former: !current.contains(&text(target)) };
                if link.file_name() == target.file_name() {
                    Ok(own)
                } else {
                    Err("it has another name than what it leads to")
                }
            }));
        }
        for link in names_in(&self.directory.join("added"))? {
            entries.extend(entry(link, |link, target| {
                if link.file_name() != target.file_name() {
                    return Err("it has another name than what it leads to");
                }
                is_ours(target)?;
                let (package, stage) = described(target);
                Ok(Kept::Added { package, stage })
            }));
        }
        for directory in names_in(&self.directory.join("packages"))? {
            let key = text(directory.file_name().unwrap_or_default().as_ref());
            // One that leads elsewhere would be looked at twice, or be somebody else's.
            let is_directory = fs::symlink_metadata(&directory).is_ok_and(|metadata| metadata.is_dir());
            if !is_directory || !names::is_package_key(&key) {
                let why = "it is no directory that phasesplit made for a package";
                entries.push(Entry::Foreign(directory, why.to_owned()));
                continue;
            }
            let package = key.rsplit_once('-').map_or(key.as_str(), |(package, _)| package).to_owned();
            for link in names_in(&directory)? {
                let found = entry(link, |link, target| kept(link, target, &package, &key));
                entries.extend(found.map(|entry| self.with_about(entry)));
            }
        }
        Ok(entries)
    }

    /// Adds what the index knows of a state.
    fn with_about(&self, entry: Entry) -> Entry {
        let Entry::Root(mut root) = entry else { return entry };
        match &root.kept {
            Kept::State { package, key, stage } | Kept::Failed { package, key, stage } if !root.dangling => {
                let about = self.about(key, &root.link, package, stage, &root.path);
                root.created = about.created;
                root.last_used = about.last_used;
                root.inputs = about.inputs;
                root.drv = about.drv;
                root.pinned = about.pinned;
            }
            Kept::State { key, .. } => {
                if let Some(about) = self.read_about(key, &root.link) {
                    (root.created, root.last_used, root.drv) = (about.created, about.last_used, about.drv);
                }
            }
            Kept::Derivation { .. } => {
                root.pinned = drv::read(&root.path).ok().and_then(|drv| drv::is_pinned(&drv).map(str::to_owned));
            }
            _ => {}
        }
        Entry::Root(root)
    }
}

/// What the roots that are there keep.
pub fn graph_of(roots: &[Root]) -> Graph {
    let states = roots.iter().filter(|root| is_there(root));
    Graph::read(states.map(|root| (root.path.as_str(), root.bytes.unwrap_or(0))))
}

fn is_there(root: &Root) -> bool {
    root.state().is_some() && !root.dangling
}

/// What a link in a package's directory keeps by its name and by what it leads to.
fn kept(link: &Path, target: &Path, package: &str, key: &str) -> Result<Kept, &'static str> {
    let name = link.file_name().and_then(|name| name.to_str()).and_then(names::of_link);
    let (package, key) = (package.to_owned(), key.to_owned());
    Ok(match name.ok_or("phasesplit gives no link this name")? {
        Named::Derivation { stage } => {
            if target.extension().is_none_or(|extension| extension != "drv") {
                return Err("it leads to no derivation");
            }
            Kept::Derivation { package, key, stage }
        }
        Named::State { hash: Some(hash), .. } if hash != hash_of(&text(target)) => {
            return Err("it has another hash than what it leads to");
        }
        Named::State { stage, .. } => {
            is_ours(target)?;
            Kept::State { package, key, stage }
        }
        Named::Failed { stage } => {
            is_ours(target)?;
            Kept::Failed { package, key, stage }
        }
    })
}

/// Whether phasesplit made what a link leads to; of what is gone, whether it can have.
pub(super) fn is_ours(path: &Path) -> Result<(), &'static str> {
    if fs::symlink_metadata(path).is_ok() {
        let has = |name: &str| path.join(name).is_file();
        return if has(format::INFO) && has(format::LAYER) {
            Ok(())
        } else {
            Err("it leads to no state of phasesplit")
        };
    }
    if path.parent() == Some(Path::new(&store_path::store_dir()))
        && path.extension().is_none_or(|extension| extension != "drv")
    {
        return Ok(());
    }
    Err("it leads to nothing, and not into the store")
}

/// Package and stage as a state itself says them.
pub(super) fn described(state: &Path) -> (String, String) {
    info::read("look at", state).map(|info| (info.package, info.stage)).unwrap_or_default()
}

/// The names in a directory; one that is not there, or is no directory, has none.
fn names_in(directory: &Path) -> Result<Vec<PathBuf>, RootError> {
    let failed = |source| RootError::List { path: directory.to_owned(), source };
    match fs::read_dir(directory) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(Vec::new()),
        Err(error) => Err(failed(error)),
        Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>().map_err(failed),
    }
}

/// A path as text: JSON has no other, and a name that is none must not be the end of the list.
pub(super) fn as_text<S: serde::Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// What a link is; `None` where it is gone meanwhile.
fn entry(link: PathBuf, kept: impl FnOnce(&Path, &Path) -> Result<Kept, &'static str>) -> Option<Entry> {
    let metadata = fs::symlink_metadata(&link).ok()?;
    if !metadata.is_symlink() {
        return Some(Entry::Foreign(link, "it is no link".to_owned()));
    }
    let target = match fs::read_link(&link) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => return Some(Entry::Foreign(link, format!("it cannot be read: {error}"))),
        Ok(target) => target,
    };
    let is_of_store = target.parent() == Some(Path::new(&store_path::store_dir()));
    if is_unfinished(&link) && (is_of_store || is_ours(&target).is_ok()) {
        return Some(Entry::Leftover(link));
    }
    let kept = match kept(&link, &target) {
        Ok(kept) => kept,
        Err(why) => return Some(Entry::Foreign(link, why.to_owned())),
    };
    let created = metadata.modified().ok()?.duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let bytes = store::size_of(&target).ok();
    Some(Entry::Root(Box::new(Root {
        kept,
        path: text(&target),
        link,
        dangling: bytes.is_none(),
        bytes,
        frees: None,
        created,
        last_used: created,
        inputs: None,
        drv: None,
        pinned: None,
        in_use: false,
    })))
}

/// Nix writes a link beside its place first: as `<name>.tmp-<number>-<number>` or `.<number>_<name>` in 2.8, as `.tmp-…` or
/// `.link-…` later.
fn is_unfinished(link: &Path) -> bool {
    let name = text(link.file_name().unwrap_or_default().as_ref());
    let is_number = |text: &str| text.parse::<u64>().is_ok();
    let numbers = name.rsplit_once(".tmp-").and_then(|(_, numbers)| numbers.split_once('-'));
    if numbers.is_some_and(|(process, random)| is_number(process) && is_number(random)) {
        return true;
    }
    let Some(rest) = name.strip_prefix('.') else { return false };
    let counted = rest.split_once('_').is_some_and(|(number, _)| is_number(number));
    counted || rest.starts_with("tmp-") || rest.starts_with("link-")
}

/// The links of derivations whose state has a link no more: what a killed program left of a state that was given up.
pub(super) fn lone_derivations(roots: &[Root]) -> Vec<&Root> {
    let states: BTreeSet<PathBuf> = roots
        .iter()
        .filter(|root| matches!(root.kept, Kept::State { .. } | Kept::Failed { .. }))
        .map(|root| with_suffix(&root.link, ".drv"))
        .collect();
    let is_lone = |root: &&Root| match &root.kept {
        Kept::Derivation { .. } => {
            root.link.file_name().is_some_and(|name| name.to_string_lossy().contains('@'))
                && !states.contains(&root.link)
        }
        _ => false,
    };
    roots.iter().filter(is_lone).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn every_link_is_listed_and_what_is_not_ours_is_not() {
        let scratch = tempfile::tempdir().expect("a directory");
        let roots = Roots::below(scratch.path().join("roots"));
        assert_eq!(roots.list().expect("nothing yet"), []);
        let directory = scratch.path().join("roots/packages/p-1.0-0123456789ab");
        fs::create_dir_all(&directory).expect("made");
        fs::create_dir_all(scratch.path().join("roots/own")).expect("made");
        let kept = scratch.path().join("hash-state");
        fs::create_dir(&kept).expect("made");
        fs::write(kept.join("layer.tar.zst"), "123").expect("written");
        fs::write(kept.join("info.json"), "45").expect("written");
        symlink(&kept, directory.join("build@hash")).expect("linked");
        symlink(&kept, directory.join("unpack")).expect("linked as a former version did");
        symlink("/no/such.drv", directory.join("build@hash.drv")).expect("linked");
        symlink("/nix/store/0-x", directory.join("check@0")).expect("linked");
        symlink(&kept, directory.join("install.failed")).expect("linked");
        symlink(&kept, scratch.path().join("roots/own/hash-state")).expect("linked");
        fs::write(directory.join("no-link"), "").expect("written");
        symlink("/etc", directory.join("etc")).expect("linked");
        symlink("/etc", directory.join("install")).expect("linked");
        symlink("/etc", directory.join(".tmp-mine")).expect("linked");
        symlink(&kept, directory.join("build@other")).expect("linked");
        symlink(&kept, directory.join(".0_build")).expect("linked");
        symlink(&kept, directory.join("build@hash.drv.tmp-7820-748940504")).expect("linked");

        let (package, key) = ("p-1.0".to_owned(), "p-1.0-0123456789ab".to_owned());
        let list = roots.list().expect("read");
        let found: Vec<_> = list.iter().map(|root| (root.kept.clone(), root.dangling, root.bytes)).collect();
        let state = |stage: &str| Kept::State { package: package.clone(), key: key.clone(), stage: stage.to_owned() };
        let failed = Kept::Failed { package: package.clone(), key: key.clone(), stage: "install".to_owned() };
        let derivation = Kept::Derivation { package: package.clone(), key: key.clone(), stage: "build".to_owned() };
        let expected = [
            (Kept::Own { former: true }, false, Some(5)),
            (state("build"), false, Some(5)),
            (state("check"), true, None),
            (state("unpack"), false, Some(5)),
            (failed, false, Some(5)),
            (derivation, true, None),
        ];
        assert_eq!(found, expected);
        assert!(list.iter().all(|root| root.created > 1_000_000_000 && root.pinned.is_none()));
        assert_eq!(list[1].path, kept.display().to_string());
        assert_eq!(list[1].frees, Some(0), "others keep it too");
        let foreign = roots.entries().expect("read").into_iter();
        let mut foreign: Vec<String> = foreign
            .filter_map(|entry| match entry {
                Entry::Foreign(path, why) => Some(format!("{}: {why}", path.file_name()?.to_string_lossy())),
                _ => None,
            })
            .collect();
        foreign.sort();
        let expected = [
            ".tmp-mine: phasesplit gives no link this name",
            "build@other: it has another hash than what it leads to",
            "etc: phasesplit gives no link this name",
            "install: it leads to no state of phasesplit",
            "no-link: it is no link",
        ];
        assert_eq!(foreign, expected);
    }
}
