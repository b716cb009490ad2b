//! Opening a state: its description and its manifest, both checked.

use std::path::{Path, PathBuf};

use super::READ;
use crate::state::info::{self, Info};
use crate::state::manifest::{self, Manifest, Record};
use crate::state::{Result, chain, format};

/// A state that is there and whose manifest can be believed.
#[derive(Debug)]
pub struct State {
    /// Its directory.
    pub path: PathBuf,
    /// What it is.
    pub info: Info,
    /// What it holds.
    pub manifest: Manifest,
}

impl State {
    /// Opens the state in a directory.
    ///
    /// # Errors
    /// No state, one of an unknown format, a damaged or hostile manifest.
    pub fn open(path: &Path) -> Result<Self> {
        let info = info::read(READ, path)?;
        Ok(Self { path: path.to_owned(), info, manifest: manifest::read(READ, path)? })
    }

    /// Whether a directory looks like a state: enough to tell it from a package's. What lies there as such a file may be
    /// anything: [`State::open`] says so.
    pub fn is_at(path: &Path) -> bool {
        [format::INFO, format::MANIFEST].iter().all(|name| path.join(name).symlink_metadata().is_ok())
    }

    /// The whole tree, in order.
    pub fn records(&self) -> &[Record] {
        &self.manifest.records
    }

    /// The states that its layers are in, the oldest first and itself last.
    ///
    /// # Errors
    /// Parents that are missing, or not as many as the manifest has layers.
    pub fn chain(&self) -> Result<Vec<PathBuf>> {
        chain::find(READ, &self.path, self.manifest.layers.len())
    }
}
