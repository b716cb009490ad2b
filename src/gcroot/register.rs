//! How a path becomes a root, and how a state becomes one with what is known of it.
//!
//! Each step leaves the roots good if it is the last: what is known of a state before its link, the link before its
//! derivation's. Nix makes the link first and takes note of it afterwards; a link that it has not noted keeps nothing, so
//! that is looked at too.

use std::fs;
use std::io;
use std::path::Path;

use super::about::{About, with_suffix};
use super::disk;
use super::fault::{self, Step};
use super::running::machine;
use super::{FINISH, RootError, Roots, record};
use crate::nix::{Nix, gcroots, store};

/// A state to be kept.
#[derive(Clone, Copy, Debug)]
pub struct NewState<'a> {
    /// The package's name.
    pub package: &'a str,
    /// As [`super::package_key`] gives it.
    pub key: &'a str,
    /// The stage.
    pub stage: &'a str,
    /// Its store path.
    pub path: &'a str,
    /// The derivation that made it.
    pub drv: &'a str,
}

impl Roots {
    /// Keeps a state and its derivation, and notes that it is used now. Of finish only the derivation is kept: its outputs
    /// are the package.
    ///
    /// # Errors
    /// Where the file system or Nix refuses; what was done until then stays.
    pub fn keep_state(&self, nix: &Nix, state: &NewState<'_>) -> Result<(), RootError> {
        let NewState { package, key, stage, path, drv } = *state;
        let _package = self.lock_package(key).map_err(|source| RootError::io("lock", &self.of_package(key), source))?;
        let link = self.of_state(key, stage, path);
        if stage != FINISH {
            let about = match self.read_about(key, &link).filter(|about| about.path == path) {
                // What was gone and made again need not be as long as before.
                Some(about) => About {
                    last_used: record::now(),
                    bytes: store::size_of(Path::new(path)).unwrap_or(about.bytes),
                    machine: Some(machine()),
                    ..about
                },
                None => About::of(package, stage, path, Some(drv)),
            };
            let file = self.about_file(key, &link);
            self.write_about(key, &link, &about).map_err(|source| RootError::io("write", &file, source))?;
            self.register(nix, &link, path)?;
            self.take_back(path);
        }
        if fs::symlink_metadata(drv).is_ok() {
            self.register_derivation(nix, &self.of_derivation(key, stage, path), drv)?;
        }
        if stage != FINISH {
            self.forget_old_links(key, stage, path);
        }
        Ok(())
    }

    /// Keeps the derivation of a stage whose state is elsewhere.
    ///
    /// # Errors
    /// As [`Roots::keep_state`].
    pub fn keep_derivation(&self, nix: &Nix, key: &str, stage: &str, drv: &str) -> Result<(), RootError> {
        if fs::symlink_metadata(drv).is_err() {
            return Ok(());
        }
        let directory = self.of_package(key);
        let _package = self.lock_package(key).map_err(|source| RootError::io("lock", &directory, source))?;
        self.register_derivation(nix, &directory.join(format!("{stage}.drv")), drv)
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
        step(link)?;
        store::add_root(nix, link, path)?;
        can_be_read(link)?;
        step(link)
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
        step(link)?;
        store::add_derivation_root(nix, link, drv)?;
        can_be_read(link)?;
        step(link)
    }

    /// The link that former versions made for a stage's last state, where it is of this one: it has another now. So has the
    /// derivation of a stage whose state was elsewhere.
    fn forget_old_links(&self, key: &str, stage: &str, path: &str) {
        let old = self.of_package(key).join(stage);
        match fs::read_link(&old) {
            Ok(target) if target != Path::new(path) => return,
            Ok(_) => drop(disk::remove(&old)),
            Err(_) => {}
        }
        let drv = with_suffix(&old, ".drv");
        if drv.is_symlink() {
            let _ = disk::remove(&drv);
        }
    }
}

/// Whether the link keeps the path: it leads there, Nix knows it as far as that can be seen, and the path is there.
pub(super) fn holds(link: &Path, path: &str) -> bool {
    fs::read_link(link).is_ok_and(|target| target == Path::new(path))
        && fs::symlink_metadata(path).is_ok()
        && gcroots::knows(link) == Some(true)
}

/// A link that is made and cannot be read keeps nothing: `sshfs` refuses absolute ones unless it is told otherwise.
fn can_be_read(link: &Path) -> Result<(), RootError> {
    match fs::read_link(link) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(RootError::io("read the link", link, source)),
        _ => Ok(()),
    }
}

fn directory_of(link: &Path) -> Result<(), RootError> {
    let Some(parent) = link.parent() else { return Ok(()) };
    disk::make_directory(parent).map_err(|source| RootError::Directory { path: parent.to_owned(), source })
}

fn step(link: &Path) -> Result<(), RootError> {
    fault::at(Step::Write).map_err(|source| RootError::io("link", link, source))
}
