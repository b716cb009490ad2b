//! The gc roots phasesplit registers: where they lie, and how one is put in place.
//!
//! A root is a symlink below `$XDG_STATE_HOME/phasesplit/roots` (`~/.local/state` by default) that
//! Nix knows as an *indirect* root: removing the link frees what it kept. Beside the roots lies a [`record`] of each
//! package's last build. Must not know how a path came to be.
//!
//! ```text
//! roots/own/<store path's base name>                 the state engine, the host package set
//! roots/added/<store path's base name>               a state that the user keeps, with `roots add`
//! roots/packages/<package>/<stage>@<hash>            a state of a package; <hash> is that of its store path
//! roots/packages/<package>/<stage>@<hash>.drv        the derivation that it was made by, which a collection would take
//! roots/packages/<package>/finish.drv                the last derivation of the package itself
//! roots/packages/<package>/<stage>.failed            what the stage left when it failed, and its <stage>.failed.drv
//! packages/<package>/states/<link's name>.json       what is known of a state ([`about`])
//! packages/<package>/last.json                       the last build ([`record`])
//! given-up/<store path's base name>                  a state that a policy gave up, for `roots gc` ([`given_up`])
//! running/build-<number>                             what a running build uses ([`running`])
//! lock  packages/<package>/lock                      locks ([`lock`])
//! ```
//!
//! The links are the truth; all else can be made again from them and the store ([`doctor`]). Former versions made one link for
//! a stage, `<stage>`, and one for its derivation: they are read as what they are.

pub mod about;
pub mod config;
mod disk;
pub mod doctor;
mod fault;
pub mod given_up;
pub mod graph;
pub mod hand;
pub mod list;
pub mod lock;
pub mod names;
pub mod policy;
pub mod record;
pub mod register;
pub mod running;

use std::io;
use std::path::{Path, PathBuf};

use crate::nix::engine::{self, StoreObject};
use crate::nix::{Nix, NixError};

/// What a link's name has behind the stage's where it keeps what the stage left when it failed.
const FAILED: &str = ".failed";

/// The last stage, whose outputs are the package and no state.
const FINISH: &str = "finish";

/// Why a root could not be registered. The path itself is in the store all the same.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// Neither `XDG_STATE_HOME` nor `HOME` says where roots belong.
    #[error("cannot tell where gc roots belong: neither XDG_STATE_HOME nor HOME is an absolute path")]
    NoHome,
    /// The directory for the links cannot be made.
    #[error("cannot create {path}: {source}")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A directory of links cannot be read.
    #[error("cannot list the roots in {path}: {source}")]
    List {
        /// The directory.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The system refused.
    #[error("cannot {operation} {path}: {source}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// A store path is no state.
    #[error("{path} is no state that phasesplit made: {why}")]
    NoState {
        /// The path.
        path: String,
        /// Why not.
        why: String,
    },
    /// One of phasesplit's own objects is in the store, and cannot be rooted.
    #[error(transparent)]
    NotKept(Box<RootError>),
    /// The user's policies cannot be read.
    #[error(transparent)]
    Config(#[from] config::ConfigError),
    /// Nix refused.
    #[error(transparent)]
    Nix(#[from] NixError),
}

impl RootError {
    fn io(operation: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { operation, path: path.to_owned(), source }
    }
}

/// Where phasesplit keeps what is the user's, by the XDG base directory specification: relative values are ignored.
///
/// # Errors
/// [`RootError::NoHome`].
pub fn directory_of_user() -> Result<PathBuf, RootError> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))
        .ok_or(RootError::NoHome)?;
    Ok(state.join("phasesplit"))
}

/// The directory that holds phasesplit's roots.
#[derive(Debug, Clone)]
pub struct Roots {
    directory: PathBuf,
}

impl Roots {
    /// The user's roots.
    ///
    /// # Errors
    /// [`RootError::NoHome`].
    pub fn of_user() -> Result<Self, RootError> {
        Ok(Self { directory: directory_of_user()?.join("roots") })
    }

    /// Roots below `directory`.
    pub fn below(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into() }
    }

    /// The directory of a package's links; `package` as [`package_key`] gives it.
    fn of_package(&self, package: &str) -> PathBuf {
        self.directory.join("packages").join(package)
    }

    /// The link of a state; `package` as [`package_key`] gives it.
    pub fn of_state(&self, package: &str, stage: &str, path: &str) -> PathBuf {
        self.of_package(package).join(format!("{stage}@{}", hash_of(path)))
    }

    /// The link of what a stage left when it failed.
    pub fn of_failed(&self, package: &str, stage: &str) -> PathBuf {
        self.of_package(package).join(format!("{stage}{FAILED}"))
    }

    /// The link of the derivation that kept what a stage left.
    pub fn of_failed_derivation(&self, package: &str, stage: &str) -> PathBuf {
        self.of_package(package).join(format!("{stage}{FAILED}.drv"))
    }

    /// Removes what is kept of a stage's failure: the stage has succeeded since. What cannot be noted or removed stays listed.
    pub fn forget_failed(&self, package: &str, stage: &str) {
        let link = self.of_failed(package, stage);
        let Ok(_package) = self.lock_package(package) else { return };
        if let Ok(path) = std::fs::read_link(&link)
            && disk::write(&self.note(&path.to_string_lossy()), format!("{}\n", path.display()).as_bytes()).is_err()
        {
            return;
        }
        for link in [self.of_failed_derivation(package, stage), link] {
            if link.is_symlink() {
                let _ = disk::remove(&link);
            }
        }
    }

    /// The link of the derivation that a state was made by.
    pub fn of_derivation(&self, package: &str, stage: &str, path: &str) -> PathBuf {
        match stage {
            FINISH => self.of_package(package).join(format!("{stage}.drv")),
            _ => about::with_suffix(&self.of_state(package, stage, path), ".drv"),
        }
    }

    /// What is beside the links.
    fn home(&self) -> &Path {
        self.directory.parent().unwrap_or(&self.directory)
    }

    /// Has one of phasesplit's own objects in the store and rooted; gives its store path.
    ///
    /// A root that is in place spares the call of Nix: a rooted path is not collected.
    ///
    /// # Errors
    /// Where it cannot be added; [`RootError::NotKept`] where it was and cannot be rooted.
    pub fn provide(&self, nix: &Nix, object: &StoreObject) -> Result<String, RootError> {
        if let Ok(path) = object.store_path() {
            let link = self.of_own(&path);
            if register::holds(&link, &path) {
                return Ok(path);
            }
        }
        let path = object.ensure(nix)?;
        match self.register(nix, &self.of_own(&path), &path) {
            Ok(()) => Ok(path),
            Err(error) => Err(RootError::NotKept(Box::new(error))),
        }
    }

    fn of_own(&self, store_path: &str) -> PathBuf {
        self.directory.join("own").join(store_path.rsplit('/').next().unwrap_or(store_path))
    }
}

/// A file name that is one package's: its name for people, and a hash of what identifies it.
pub fn package_key(name: &str, identity: &[u8]) -> String {
    format!("{name}-{}", identity_key(identity))
}

/// The part of [`package_key`] that stays when the package's name, which has its version, changes.
fn identity_key(identity: &[u8]) -> String {
    blake3::hash(identity).to_hex()[..12].to_owned()
}

/// The hash part of a store path.
fn hash_of(path: &str) -> &str {
    let base = path.rsplit('/').next().unwrap_or(path);
    base.split_once('-').map_or(base, |(hash, _)| hash)
}

/// The store paths that phasesplit's own objects have in this version.
fn own_paths() -> Vec<String> {
    let own = [engine::engine(), engine::host_set()];
    own.into_iter().flatten().filter_map(|object| object.store_path().ok()).collect()
}
