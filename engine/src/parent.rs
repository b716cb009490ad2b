//! What a save knows from the state before: which content the chain has already, and whether to build on it at all.

use std::cmp::Ordering;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::Stat;

use super::entry::{Entry, Kind, order};
use super::error::{Error, Result};
use super::index::{Index, Key};
use super::listing::Listing;
use super::manifest::{self, Layer, Packed, Record};
use super::records::Cursor;
use super::spill::Scratch;
use super::{chain, format, info};

/// The state before, as a save sees it. Paths must be asked for in their order.
pub struct Parent {
    manifest: Packed,
    listing: Listing,
    /// The first file of each content; made when a content is not where it was.
    contents: Option<Index>,
    /// Of the numbers of bytes of data of the long files, the last bits: a mark for each.
    sizes: Vec<bool>,
    /// Records before this one have paths before that of the entry last asked for.
    next: Cursor,
    scratch: Scratch,
}

/// How many marks there are for sizes. One that is there by chance costs reading a file twice.
const SIZES: u64 = 1 << 16;

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
    /// bytes of data [`Parent::has_size`] knows. `scratch` is for what is too long for memory.
    ///
    /// # Errors
    /// What [`manifest::read_packed`], [`chain::find`] and [`Listing::read`] refuse.
    pub fn open(
        operation: &'static str,
        state: &Path,
        listing: Option<&PathBuf>,
        long: u64,
        scratch: &Scratch,
    ) -> Result<Option<Self>> {
        info::read(operation, state)?;
        let manifest = manifest::read_packed(operation, state, scratch)?;
        chain::find(operation, state, manifest.layers.len())?;
        let io = |source| Error::io(operation, state.join(format::MANIFEST), source);
        if is_worn(&manifest, scratch).map_err(io)? {
            return Ok(None);
        }
        let records = &manifest.records;
        let listing = match listing {
            Some(path) => Listing::read(operation, path, state, records.len(), scratch)?,
            None => Listing::empty(scratch),
        };
        let mut sizes = vec![false; to_index(SIZES)];
        let note = |_, record: &Record| {
            if record.entry.is_file() && record.data > long {
                sizes[to_index(record.data % SIZES)] = true;
            }
            Ok(())
        };
        records.each(note).map_err(io)?;
        let mut next = Cursor::default();
        next.seek(records, 0).map_err(io)?;
        Ok(Some(Self { manifest, listing, contents: None, sizes, next, scratch: scratch.clone() }))
    }

    /// The layers of its chain.
    pub fn layers(&self) -> &[Layer] {
        &self.manifest.layers
    }

    /// What a file holds that nothing has changed since it was restored.
    ///
    /// # Errors
    /// Those of the temporary file, here and below.
    pub fn unchanged(&mut self, path: &[u8], stat: &Stat) -> io::Result<Option<Unchanged>> {
        let likely = self.is_at(path)?.then_some(self.next.index);
        let Some(index) = self.listing.get(stat, likely)? else { return Ok(None) };
        let elsewhere;
        let record = if likely == Some(index) {
            &self.next.record
        } else {
            elsewhere = self.manifest.records.get(index)?;
            let Some(record) = &elsewhere else { return Ok(None) };
            record
        };
        let unchanged = |hash| Unchanged { kind: record.entry.kind, data: record.data, hash };
        Ok(record.entry.hash.map(unchanged))
    }

    /// Whether there may be a content of this length, so that one may be known by its hash.
    pub fn has_size(&self, data: u64) -> bool {
        self.sizes[to_index(data % SIZES)]
    }

    /// The layer that has an entry without content just as it is.
    ///
    /// # Errors
    /// As above.
    pub fn same(&mut self, entry: &Entry) -> io::Result<Option<usize>> {
        let is_same = self.is_at(&entry.path)? && self.next.record.entry == *entry;
        Ok(is_same.then_some(self.next.record.layer))
    }

    /// Where the chain has a content: at the same path if it is there, else where it is first.
    ///
    /// # Errors
    /// As above.
    pub fn content(&mut self, path: &[u8], kind: Kind, data: u64, hash: [u8; 32]) -> io::Result<Option<Place>> {
        let is_it = |record: &Record| (record.entry.kind, record.data, record.entry.hash) == (kind, data, Some(hash));
        if self.is_at(path)? && is_it(&self.next.record) {
            return Ok(Some((self.next.record.layer, self.next.record.origin.clone())));
        }
        // A file that has nothing in it is not worth a search for it in another place.
        if data == 0 {
            return Ok(None);
        }
        let records = &self.manifest.records;
        let contents = match &mut self.contents {
            Some(contents) => contents,
            none => {
                let mut contents = Index::new(&self.scratch);
                records.each(|index, record| {
                    let Some(hash) = &record.entry.hash else { return Ok(()) };
                    contents.insert(key(record.entry.kind, hash), index)
                })?;
                none.insert(contents)
            }
        };
        let Some(index) = contents.get(&key(kind, &hash))? else { return Ok(None) };
        let first = records.get(index as usize)?.filter(is_it);
        Ok(first.map(|first| {
            let origin = if first.origin() == path { Vec::new() } else { first.origin().to_vec() };
            (first.layer, origin)
        }))
    }

    /// Whether there is a record of a path: `next` is there then.
    fn is_at(&mut self, path: &[u8]) -> io::Result<bool> {
        let records = &self.manifest.records;
        loop {
            if self.next.index >= records.len() {
                return Ok(false);
            }
            match order(self.next.path(), path) {
                Ordering::Less => {}
                other => return Ok(other.is_eq()),
            }
            let index = self.next.index + 1;
            if !self.next.seek(records, index)? {
                self.next.index = index;
            }
        }
    }
}

#[allow(clippy::cast_possible_truncation, reason = "below SIZES")]
fn to_index(size: u64) -> usize {
    size as usize
}

/// What a content is found by: no two have the same by chance.
fn key(kind: Kind, hash: &[u8; 32]) -> Key {
    let mut key = Key::default();
    key.copy_from_slice(&hash[..16]);
    key[0] ^= kind as u8;
    key
}

/// Whether a state on top of this one stores its whole tree: the chain is as long as a chain can be, or its layers hold
/// more bytes that no file of the tree has any more than bytes that one has. A matter of the parent alone, so that the
/// same tree on the same parent is stored the same way everywhere; and in the store, where all states are kept, a whole
/// tree always costs more than a difference, so it must pay off for what comes after.
fn is_worn(manifest: &Packed, scratch: &Scratch) -> io::Result<bool> {
    let records = &manifest.records;
    let member = |record: &Record| {
        let hash = blake3::Hasher::new().update(&record.layer.to_le_bytes()).update(record.origin()).finalize();
        let mut key = Key::default();
        key.copy_from_slice(&hash.as_bytes()[..16]);
        key
    };
    // A content that several files have counts once. Nearly all of them come from their own paths, of which no two are
    // the same, so that only the others must be remembered.
    let mut others = Index::new(scratch);
    let (mut living, mut moved): (u64, bool) = (0, false);
    records.each(|_, record| {
        if record.entry.is_file() && record.origin.is_empty() {
            living = living.saturating_add(record.data);
        } else if record.entry.is_file() {
            moved = true;
            let key = member(record);
            if others.get(&key)?.is_none() {
                others.insert(key, 0)?;
                living = living.saturating_add(record.data);
            }
        }
        Ok(())
    })?;
    if moved {
        records.each(|_, record| {
            let is_own = record.entry.is_file() && record.origin.is_empty();
            if is_own && others.get(&member(record))?.is_some() {
                living = living.saturating_sub(record.data);
            }
            Ok(())
        })?;
    }
    let stored = manifest.layers.iter().fold(0_u64, |sum, layer| sum.saturating_add(layer.data));
    Ok(manifest.layers.len() >= format::LAYERS || stored.saturating_sub(living) > living)
}
