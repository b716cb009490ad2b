//! Opening a state: its description and its manifest, both checked.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::READ;
use crate::state::info::{self, Info};
use crate::state::manifest::{self, Manifest, Record};
use crate::state::{Error, Result, chain, format};

/// A state that is there and whose manifest can be believed.
#[derive(Debug)]
pub struct State {
    /// Its directory.
    pub path: PathBuf,
    /// What it is.
    pub info: Info,
    /// What it holds.
    pub manifest: Manifest,
    /// How its stage failed, if it is what a failed stage left.
    pub failed: Option<Failed>,
}

/// How a stage failed: the field `failed` of `info.json`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Failed {
    /// The phase.
    pub phase: String,
    /// What it ended with.
    pub exit_code: i64,
    /// The end of the stage's log.
    pub log: String,
}

#[derive(Deserialize)]
struct MayHaveFailed {
    failed: Option<Failed>,
}

impl State {
    /// Opens the state in a directory.
    ///
    /// # Errors
    /// No state, one of an unknown format, a damaged or hostile manifest.
    pub fn open(path: &Path) -> Result<Self> {
        let info = info::read(READ, path)?;
        let described = path.join(format::INFO);
        let text = fs::read(&described).map_err(|source| Error::io(READ, &described, source))?;
        let failed: MayHaveFailed =
            serde_json::from_slice(&text).map_err(|error| Error::damaged(READ, &described, error.to_string()))?;
        Ok(Self { path: path.to_owned(), info, manifest: manifest::read(READ, path)?, failed: failed.failed })
    }

    /// Whether a directory looks like a state: enough to tell it from a package's.
    pub fn is_at(path: &Path) -> bool {
        [format::INFO, format::MANIFEST].iter().all(|name| path.join(name).is_file())
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
