//! Where the bytes of a state are: by directory, and by layer.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::PathBuf;

use super::{READ, State};
use crate::state::info;
use crate::state::{Error, Result, format};

/// A directory and all below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Its archive path; empty for the whole tree.
    pub path: Vec<u8>,
    /// Bytes of the files, holes included; a file with several names counts once, at its first.
    pub bytes: u64,
    /// How many files.
    pub files: u64,
    /// Of the bytes, those of files whose content is in the state's own layer: what its stage wrote that was nowhere before.
    pub own: u64,
}

/// The bytes below each directory down to `depth` components, and of files and links at the top, in the order of the
/// archive; the whole tree comes first. `wanted` says which entries count.
pub fn directories(state: &State, wanted: &[bool], depth: usize) -> Vec<Usage> {
    let own = state.manifest.layers.len().saturating_sub(1);
    let mut all = vec![Usage::default()];
    let mut known: HashMap<Vec<u8>, usize> = HashMap::new();
    // The directories above the entry, by their place in `all`.
    let mut above = vec![0];
    for (record, _) in state.records().iter().zip(wanted).filter(|(_, wanted)| **wanted) {
        let path = &record.entry.path;
        let names: Vec<usize> =
            path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at).chain([path.len()]).collect();
        let is_directory = !record.entry.is_file() && record.entry.link.is_empty();
        // Of a file only what it lies in is listed, but for what lies in nothing.
        let listed = if is_directory || names.len() == 1 { names.len() } else { names.len() - 1 };
        above.truncate(1);
        for end in names.iter().take(listed.min(depth)) {
            let directory = &path[..*end];
            let at = *known.entry(directory.to_vec()).or_insert_with(|| {
                all.push(Usage { path: directory.to_vec(), ..Usage::default() });
                all.len() - 1
            });
            above.push(at);
        }
        if record.entry.is_file() {
            for &at in &above {
                let usage = &mut all[at];
                usage.files += 1;
                usage.bytes = usage.bytes.saturating_add(record.entry.size);
                usage.own = usage.own.saturating_add(if record.layer == own { record.entry.size } else { 0 });
            }
        }
    }
    all
}

/// A layer of a state's chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerUsage {
    /// The state that it was made for.
    pub state: PathBuf,
    /// The stage of that state.
    pub stage: String,
    /// How many members it has.
    pub members: u64,
    /// Bytes of their data.
    pub data: u64,
    /// Of these, the bytes that a file of this state's tree still has as content.
    pub living: u64,
    /// Bytes of the layer as it is stored.
    pub stored: u64,
}

/// The layers of a state, the oldest first.
///
/// # Errors
/// Parents that are missing or no states.
pub fn layers(state: &State) -> Result<Vec<LayerUsage>> {
    let mut living = vec![0_u64; state.manifest.layers.len()];
    let mut seen = HashSet::new();
    for record in state.records().iter().filter(|record| record.entry.is_file()) {
        if seen.insert((record.layer, record.origin())) {
            living[record.layer] = living[record.layer].saturating_add(record.data);
        }
    }
    let chain = state.chain()?;
    chain
        .into_iter()
        .zip(&state.manifest.layers)
        .zip(living)
        .map(|((path, layer), living)| {
            let file = path.join(format::LAYER);
            let stored = fs::metadata(&file).map_err(|source| Error::io(READ, &file, source))?.len();
            let made = info::read(READ, &path)?;
            Ok(LayerUsage { state: path, stage: made.stage, members: layer.members, data: layer.data, living, stored })
        })
        .collect()
}
