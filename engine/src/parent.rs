//! What a save knows from the state before: which content the chain has already, and whether to build on it at all.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use rustix::fs::Stat;

use super::entry::{Entry, Kind, order};
use super::error::Result;
use super::listing::Listing;
use super::manifest::{self, Layer, Manifest, Record};
use super::{chain, format, info};

/// The state before, as a save sees it.
pub struct Parent {
    manifest: Manifest,
    listing: Listing,
    /// The first record of each content.
    contents: HashMap<Content, usize>,
    sizes: HashSet<(Kind, u64)>,
    /// Records before this one have paths before that of the entry last asked for.
    next: usize,
}

type Content = (Kind, u64, [u8; 32]);

impl Parent {
    /// Reads the parent. `None` where its chain is not to be made longer: see [`is_worn`].
    ///
    /// # Errors
    /// What [`manifest::read`], [`chain::find`] and [`Listing::read`] refuse.
    pub fn open(operation: &'static str, state: &Path, listing: Option<&PathBuf>) -> Result<Option<Self>> {
        info::read(operation, state)?;
        let manifest = manifest::read(operation, state)?;
        chain::find(operation, state, manifest.layers.len())?;
        if is_worn(&manifest) {
            return Ok(None);
        }
        let listing = match listing {
            Some(path) => Listing::read(operation, path, state, manifest.records.len())?,
            None => Listing::default(),
        };
        let mut contents = HashMap::new();
        let mut sizes = HashSet::new();
        for (index, record) in manifest.records.iter().enumerate() {
            if let Some(hash) = record.entry.hash {
                contents.entry((record.entry.kind, record.data, hash)).or_insert(index);
                sizes.insert((record.entry.kind, record.data));
            }
        }
        Ok(Some(Self { manifest, listing, contents, sizes, next: 0 }))
    }

    /// The layers of its chain.
    pub fn layers(&self) -> &[Layer] {
        &self.manifest.layers
    }

    /// The record of the content of a file that nothing has changed since it was restored.
    pub fn unchanged(&self, stat: &Stat) -> Option<&Record> {
        self.listing.get(stat).and_then(|index| self.manifest.records.get(index)).filter(|r| r.entry.is_file())
    }

    /// Whether there is a content of this length, so that one may be known by its hash.
    pub fn has_size(&self, kind: Kind, data: u64) -> bool {
        self.sizes.contains(&(kind, data))
    }

    /// The layer that has an entry without content just as it is. Paths must be asked for in their order.
    pub fn same(&mut self, entry: &Entry) -> Option<usize> {
        self.at(&entry.path).filter(|record| record.entry == *entry).map(|record| record.layer)
    }

    /// Layer and origin of a content that the chain has: that of the same path if it can be, else the first. Paths must
    /// be asked for in their order.
    pub fn content(&mut self, path: &[u8], kind: Kind, data: u64, hash: [u8; 32]) -> Option<(usize, Vec<u8>)> {
        let is_it = |r: &&Record| (r.entry.kind, r.data, r.entry.hash) == (kind, data, Some(hash));
        let same = self.at(path).filter(is_it).map(|record| (record.layer, record.origin().to_vec()));
        same.or_else(|| {
            // A file that has nothing in it is not worth a search for it in another place.
            let first = self.contents.get(&(kind, data, hash)).filter(|_| data != 0)?;
            self.manifest.records.get(*first).map(|record| (record.layer, record.origin().to_vec()))
        })
    }

    fn at(&mut self, path: &[u8]) -> Option<&Record> {
        while self.manifest.records.get(self.next).is_some_and(|r| order(&r.entry.path, path).is_lt()) {
            self.next += 1;
        }
        self.manifest.records.get(self.next).filter(|record| record.entry.path == path)
    }
}

/// Whether a state on top of this one stores its whole tree: the chain is as long as a chain can be, or its layers hold
/// more bytes that no file of the tree has any more than bytes that one has. A matter of the parent alone, so that the
/// same tree on the same parent is stored the same way everywhere; and in the store, where all states are kept, a whole
/// tree always costs more than a difference, so it must pay off for what comes after.
fn is_worn(manifest: &Manifest) -> bool {
    let mut seen = HashSet::new();
    let files = manifest.records.iter().filter(|record| record.entry.is_file());
    let living: u64 = files.filter(|r| seen.insert((r.layer, r.origin()))).map(|record| record.data).sum();
    let stored = manifest.layers.iter().fold(0_u64, |sum, layer| sum.saturating_add(layer.data));
    manifest.layers.len() >= format::LAYERS || stored.saturating_sub(living) > living
}
