//! The gc roots phasesplit registers: where they lie, and how one is put in place.
//!
//! A root is a symlink below `$XDG_STATE_HOME/phasesplit/roots` (`~/.local/state` by default) that
//! Nix knows as an *indirect* root: removing the link frees what it kept. Beside the roots lies a [`record`] of each
//! package's last build. Must not know how a path came to be.
//!
//! ```text
//! roots/own/<store path's base name>       the state engine, the host package set
//! roots/packages/<package>/<stage>         the last state of each stage of a package
//! roots/packages/<package>/<stage>.drv     the derivation that it was made by, which a collection would take
//! roots/packages/<package>/<stage>.failed  what the stage left when it failed, and its <stage>.failed.drv
//! ```

pub mod list;
pub mod record;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::nix::engine::StoreObject;
use crate::nix::{Nix, NixError, store};

/// What a link's name has behind the stage's where it keeps what the stage left when it failed.
const FAILED: &str = ".failed";

/// Why a root could not be registered. The path itself is in the store all the same.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// Neither `XDG_STATE_HOME` nor `HOME` says where roots belong.
    #[error("cannot tell where gc roots belong: neither XDG_STATE_HOME nor HOME is an absolute path")]
    NoHome,
    /// The directory for the links cannot be made.
    #[error("cannot create {path}")]
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
    /// Nix refused.
    #[error(transparent)]
    Nix(#[from] NixError),
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

    /// The link of a stage's last state; `package` as [`package_key`] gives it.
    pub fn of_stage(&self, package: &str, stage: &str) -> PathBuf {
        self.directory.join("packages").join(package).join(stage)
    }

    /// The link of what a stage left when it failed.
    pub fn of_failed(&self, package: &str, stage: &str) -> PathBuf {
        self.of_stage(package, &format!("{stage}{FAILED}"))
    }

    /// The link of the derivation that kept what a stage left.
    pub fn of_failed_derivation(&self, package: &str, stage: &str) -> PathBuf {
        self.of_derivation(package, &format!("{stage}{FAILED}"))
    }

    /// Removes what is kept of a stage's failure: the stage has succeeded since. What cannot be removed stays listed.
    pub fn forget_failed(&self, package: &str, stage: &str) {
        for link in [self.of_failed(package, stage), self.of_failed_derivation(package, stage)] {
            let _ = fs::remove_file(link);
        }
    }

    /// The link of the derivation that a stage's last state was made by.
    pub fn of_derivation(&self, package: &str, stage: &str) -> PathBuf {
        self.directory.join("packages").join(package).join(format!("{stage}.drv"))
    }

    /// Points the root `link` to `path`, in place of what it kept. Nix replaces it atomically, and
    /// nothing is run where it points there already.
    ///
    /// # Errors
    /// Where the link's directory cannot be made or Nix refuses.
    pub fn register(&self, nix: &Nix, link: &Path, path: &str) -> Result<(), RootError> {
        if holds(link, path) {
            return Ok(());
        }
        directory_of(link)?;
        store::add_root(nix, link, path)?;
        Ok(())
    }

    /// The same for a derivation, which is kept and not built.
    ///
    /// # Errors
    /// As [`Roots::register`].
    pub fn register_derivation(&self, nix: &Nix, link: &Path, drv: &str) -> Result<(), RootError> {
        if holds(link, drv) {
            return Ok(());
        }
        directory_of(link)?;
        store::add_derivation_root(nix, link, drv)?;
        Ok(())
    }

    /// Has one of phasesplit's own objects in the store and rooted; gives its store path.
    ///
    /// A root that is in place spares the call of Nix: a rooted path is not collected.
    ///
    /// # Errors
    /// Where it cannot be added or rooted.
    pub fn provide(&self, nix: &Nix, object: &StoreObject) -> Result<String, RootError> {
        if let Ok(path) = object.store_path() {
            let link = self.of_own(&path);
            if holds(&link, &path) {
                return Ok(path);
            }
        }
        let path = object.ensure(nix)?;
        self.register(nix, &self.of_own(&path), &path)?;
        Ok(path)
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

fn directory_of(link: &Path) -> Result<(), RootError> {
    let Some(parent) = link.parent() else { return Ok(()) };
    fs::create_dir_all(parent).map_err(|source| RootError::Directory { path: parent.to_owned(), source })
}

fn holds(link: &Path, path: &str) -> bool {
    fs::read_link(link).is_ok_and(|target| target == Path::new(path)) && fs::symlink_metadata(path).is_ok()
}
