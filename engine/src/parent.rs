//! What a save knows from the state before: which content the chain has already, and whether to build on it at all.

use std::cell::OnceCell;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

use rustix::fs::Stat;

use super::entry::{Entry, Kind, order};
use super::error::Result;
use super::listing::Listing;
use super::manifest::{self, Layer, Packed};
use super::{chain, format, info};

/// The state before, as a save sees it. Paths must be asked for in their order.
pub struct Parent {
    manifest: Packed,
    listing: Listing,
    /// The beginnings of the hashes of all files, sorted, with the indices of their records; made when a content is not
    /// where it was.
    contents: OnceCell<Vec<(u64, u32)>>,
    /// Kind and bytes of data of the files with more than `long` of them.
    sizes: HashSet<(Kind, u64)>,
    /// Records before this one have paths before that of the entry last asked for.
    next: usize,
    /// Its path.
    next_path: Vec<u8>,
}

/// Where the chain has a content: the layer, and the path of the member where it is not the one asked for.
pub type Place = (usize, Vec<u8>);

/// What a file holds that nothing has changed since it was restored.
pub struct Unchanged {
    /// With holes or without.
    pub kind: Kind,
    /// Its bytes of data.
    pub data: u64,
    /// Of the data.
    pub hash: [u8; 32],
}

impl Parent {
    /// Reads the parent. `None` where its chain is not to be made longer: see [`is_worn`]. Of files with more than `long`
    /// bytes of data [`Parent::has_size`] knows.
    ///
    /// # Errors
    /// What [`manifest::read_packed`], [`chain::find`] and [`Listing::read`] refuse.
    pub fn open(operation: &'static str, state: &Path, listing: Option<&PathBuf>, long: u64) -> Result<Option<Self>> {
        info::read(operation, state)?;
        let manifest = manifest::read_packed(operation, state)?;
        chain::find(operation, state, manifest.layers.len())?;
        if is_worn(&manifest) {
            return Ok(None);
        }
        let records = &manifest.records;
        let listing = match listing {
            Some(path) => Listing::read(operation, path, state, records.len())?,
            None => Listing::default(),
        };
        let long_files =
            (0..records.len()).filter(|index| records.hash(*index).is_some() && records.data(*index) > long);
        let sizes = long_files.map(|index| (records.kind(index), records.data(index))).collect();
        let mut next_path = Vec::new();
        if !records.is_empty() {
            records.path(0, &mut next_path);
        }
        Ok(Some(Self { manifest, listing, contents: OnceCell::new(), sizes, next: 0, next_path }))
    }

    /// The layers of its chain.
    pub fn layers(&self) -> &[Layer] {
        &self.manifest.layers
    }

    /// What a file holds that nothing has changed since it was restored.
    pub fn unchanged(&mut self, path: &[u8], stat: &Stat) -> Option<Unchanged> {
        let likely = self.at(path);
        let index = self.listing.get(stat, likely)?;
        let records = &self.manifest.records;
        Some(Unchanged { kind: records.kind(index), data: records.data(index), hash: records.hash(index)? })
    }

    /// Whether there is a content of this length, so that one may be known by its hash.
    pub fn has_size(&self, kind: Kind, data: u64) -> bool {
        self.sizes.contains(&(kind, data))
    }

    /// The layer that has an entry without content just as it is.
    pub fn same(&mut self, entry: &Entry) -> Option<usize> {
        let index = self.at(&entry.path)?;
        let record = self.manifest.records.get(index)?;
        (record.entry == *entry).then_some(record.layer)
    }

    /// Where the chain has a content: at the same path if it is there, else where it is first.
    pub fn content(&mut self, path: &[u8], kind: Kind, data: u64, hash: [u8; 32]) -> Option<Place> {
        let at = self.at(path);
        let records = &self.manifest.records;
        let is_it = |index: &usize| {
            (records.kind(*index), records.data(*index), records.hash(*index)) == (kind, data, Some(hash))
        };
        if let Some(index) = at.filter(is_it) {
            let mut origin = Vec::new();
            if records.is_moved(index) {
                records.origin(index, &mut origin);
            }
            return Some((records.layer(index), origin));
        }
        // A file that has nothing in it is not worth a search for it in another place.
        if data == 0 {
            return None;
        }
        let contents = self.contents.get_or_init(|| {
            let files = (0..)
                .take(records.len())
                .filter_map(|index: u32| Some((beginning(&records.hash(index as usize)?), index)));
            let mut contents: Vec<_> = files.collect();
            contents.sort_unstable();
            contents
        });
        let from = contents.partition_point(|(other, _)| *other < beginning(&hash));
        let same = contents[from..].iter().take_while(|(other, _)| *other == beginning(&hash));
        let first = same.map(|(_, index)| *index as usize).find(is_it)?;
        let mut origin = Vec::new();
        records.origin(first, &mut origin);
        if origin == path {
            origin.clear();
        }
        Some((records.layer(first), origin))
    }

    /// The index of the record of a path.
    fn at(&mut self, path: &[u8]) -> Option<usize> {
        let records = &self.manifest.records;
        loop {
            if self.next >= records.len() {
                return None;
            }
            match order(&self.next_path, path) {
                std::cmp::Ordering::Less => {}
                std::cmp::Ordering::Equal => return Some(self.next),
                std::cmp::Ordering::Greater => return None,
            }
            self.next += 1;
            if self.next < records.len() {
                records.path(self.next, &mut self.next_path);
            }
        }
    }
}

fn beginning(hash: &[u8; 32]) -> u64 {
    hash.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// Whether a state on top of this one stores its whole tree: the chain is as long as a chain can be, or its layers hold
/// more bytes that no file of the tree has any more than bytes that one has. A matter of the parent alone, so that the
/// same tree on the same parent is stored the same way everywhere; and in the store, where all states are kept, a whole
/// tree always costs more than a difference, so it must pay off for what comes after.
fn is_worn(manifest: &Packed) -> bool {
    let records = &manifest.records;
    let files = || (0..records.len()).filter(|index| records.hash(*index).is_some());
    // A content that several files have counts once. Nearly all of them come from their own paths, of which no two are
    // the same, so that only the others must be remembered.
    let mut others = HashSet::new();
    let mut living: u64 = 0;
    let mut origin = Vec::new();
    for index in files().filter(|index| records.is_moved(*index)) {
        records.origin(index, &mut origin);
        if others.insert((records.layer(index), origin.clone())) {
            living = living.saturating_add(records.data(index));
        }
    }
    for index in files().filter(|index| !records.is_moved(*index)) {
        let counted = !others.is_empty() && {
            records.path(index, &mut origin);
            others.contains(&(records.layer(index), std::mem::take(&mut origin)))
        };
        if !counted {
            living = living.saturating_add(records.data(index));
        }
    }
    let stored = manifest.layers.iter().fold(0_u64, |sum, layer| sum.saturating_add(layer.data));
    manifest.layers.len() >= format::LAYERS || stored.saturating_sub(living) > living
}
