//! The records of a manifest, one after the other, each with what its path does not share with the one before; in memory
//! while they are few, and in a temporary file beyond that. Trees have millions.
//!
//! Owns the packing alone: what [`Records::push`] gets is checked, or made by a save.

use std::cmp::Ordering;
use std::io;

use super::entry::{self, Entry, Kind, Mtime};
use super::manifest::Record;
use super::spill::{Scratch, Spill};

/// So many records are read one after the other to find one of them: the first has its whole path.
const BLOCK: usize = 32;

/// Bytes that stay in memory: some 200,000 records.
const MEMORY: usize = 16 << 20;

/// Bytes of a record before its names: the lengths of what is shared with the path before, of the rest, and the numbers.
const FIXED: usize = 8 + 24;

/// In a mode: there is a link, an origin, or a number of bytes of data that is not the size.
const MORE: u16 = 1 << 15;

/// Records in the order of [`entry::order`], each after the directory that it lies in. One thread's.
pub struct Records {
    bytes: Spill,
    len: usize,
    /// Where each [`BLOCK`] of them begins.
    blocks: Vec<u64>,
    /// The path of the last record.
    last: Vec<u8>,
    /// The lengths of the paths of the directories that `last` lies in, or is.
    open: Vec<usize>,
    /// A record on its way.
    packed: Vec<u8>,
}

impl Default for Records {
    fn default() -> Self {
        Self::new(&Scratch::system())
    }
}

impl Records {
    /// None yet; `scratch` is for those that are too many for memory.
    pub fn new(scratch: &Scratch) -> Self {
        Self {
            bytes: Spill::new(scratch, MEMORY),
            len: 0,
            blocks: Vec::new(),
            last: Vec::new(),
            open: Vec::new(),
            packed: Vec::new(),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The path of the last one; empty before the first.
    pub fn last_path(&self) -> &[u8] {
        &self.last
    }

    /// The nearest of the directories around the last record that `path` lies below, or nothing.
    pub fn nearest(&self, path: &[u8]) -> &[u8] {
        let around = self.open.iter().rev().map(|len| &self.last[..*len]);
        around.into_iter().find(|directory| is_below(path, directory)).unwrap_or_default()
    }

    /// Adds one.
    ///
    /// # Errors
    /// More than can be counted, or layers that no chain has; those of the temporary file.
    pub fn push(&mut self, record: &Record) -> io::Result<()> {
        let Record { entry, data, layer, origin } = record;
        let full = || io::Error::new(io::ErrorKind::OutOfMemory, "the tree has more names than a manifest can hold");
        let length = |len: usize| u32::try_from(len).map(u32::to_le_bytes).map_err(|_| full());
        if u32::try_from(self.len).is_err() {
            return Err(full());
        }
        // Mostly the end alone is another one.
        let same = entry::shared(&self.last, &entry.path);
        while self.open.last().is_some_and(|len| *len > same || entry.path.get(*len) != Some(&b'/')) {
            self.open.pop();
        }
        if entry.kind == Kind::Directory {
            self.open.push(entry.path.len());
        }
        self.last.truncate(same);
        self.last.extend_from_slice(&entry.path[same..]);

        let is_first = self.len.is_multiple_of(BLOCK);
        let shared = if is_first { 0 } else { same };
        let has_more = !entry.link.is_empty() || !origin.is_empty() || *data != entry.size;
        let mode = u16::try_from(entry.mode & 0o7777).unwrap_or_default() | if has_more { MORE } else { 0 };
        let packed = &mut self.packed;
        packed.clear();
        packed.extend(length(shared)?);
        packed.extend(length(entry.path.len() - shared)?);
        packed.extend(entry.size.to_le_bytes());
        packed.extend(entry.mtime.secs.to_le_bytes());
        packed.extend(entry.mtime.nanos.to_le_bytes());
        packed.extend(mode.to_le_bytes());
        packed.extend([entry.kind as u8, u8::try_from(*layer).map_err(io::Error::other)?]);
        packed.extend_from_slice(&entry.path[shared..]);
        if entry.is_file() {
            packed.extend(entry.hash.unwrap_or_default());
        }
        if has_more {
            packed.extend(data.to_le_bytes());
            for part in [&entry.link, origin] {
                packed.extend(length(part.len())?);
                packed.extend_from_slice(part);
            }
        }
        if is_first {
            self.blocks.push(self.bytes.len());
        }
        self.bytes.append(&self.packed)?;
        self.len += 1;
        Ok(())
    }

    /// The record at an index.
    ///
    /// # Errors
    /// Those of the temporary file.
    pub fn get(&self, index: usize) -> io::Result<Option<Record>> {
        let mut cursor = Cursor::default();
        Ok(cursor.seek(self, index)?.then_some(cursor.record))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = io::Result<Record>> + '_ {
        let mut cursor = Cursor::default();
        (0..self.len).map(move |index| cursor.seek(self, index).map(|_| cursor.record.clone()))
    }

    /// Calls `each` with all indices and records.
    ///
    /// # Errors
    /// Those of `each` and of the temporary file.
    pub fn each(&self, mut each: impl FnMut(u32, &Record) -> io::Result<()>) -> io::Result<()> {
        let mut cursor = Cursor::default();
        for (index, number) in (0..self.len).zip(0..) {
            cursor.seek(self, index)?;
            each(number, &cursor.record)?;
        }
        Ok(())
    }

    /// Calls `each` with the records, from the last one to the first.
    ///
    /// # Errors
    /// Those of `each`, and those of the temporary file through `failed`.
    pub fn backwards<E>(
        &self,
        failed: impl Fn(io::Error) -> E,
        mut each: impl FnMut(&Record) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut block = Vec::new();
        let mut cursor = Cursor::default();
        for first in (0..self.len).step_by(BLOCK).rev() {
            for index in first..self.len.min(first + BLOCK) {
                cursor.seek(self, index).map_err(&failed)?;
                block.push(cursor.record.clone());
            }
            block.drain(..).rev().try_for_each(|record| each(&record))?;
        }
        Ok(())
    }

    /// The index of the record of a path.
    ///
    /// # Errors
    /// Those of the temporary file.
    pub fn position(&self, path: &[u8]) -> io::Result<Option<usize>> {
        let mut cursor = Cursor::default();
        Ok(self.search(path, &mut cursor)?.then_some(cursor.index))
    }

    /// The record of a path.
    ///
    /// # Errors
    /// Those of the temporary file.
    pub fn find(&self, path: &[u8]) -> io::Result<Option<Record>> {
        let mut cursor = Cursor::default();
        Ok(self.search(path, &mut cursor)?.then_some(cursor.record))
    }

    /// Goes to the record of a path; whether there is one.
    fn search(&self, path: &[u8], cursor: &mut Cursor) -> io::Result<bool> {
        // The last block that does not begin after it.
        let (mut from, mut to) = (0, self.blocks.len());
        while from < to {
            let middle = usize::midpoint(from, to);
            cursor.seek(self, middle * BLOCK)?;
            if entry::order(cursor.path(), path).is_le() { from = middle + 1 } else { to = middle }
        }
        let Some(block) = from.checked_sub(1) else { return Ok(false) };
        for index in block * BLOCK..self.len.min(from * BLOCK) {
            cursor.seek(self, index)?;
            match entry::order(cursor.path(), path) {
                Ordering::Less => {}
                Ordering::Equal => return Ok(true),
                Ordering::Greater => return Ok(false),
            }
        }
        Ok(false)
    }
}

/// A place among records: reading on from it costs nothing but the reading.
pub struct Cursor {
    /// The record there.
    pub record: Record,
    /// Its index.
    pub index: usize,
    /// Where the next one begins; 0 before the first.
    next: u64,
}

impl Default for Cursor {
    fn default() -> Self {
        let entry = Entry {
            path: Vec::new(),
            kind: Kind::File,
            mode: 0,
            size: 0,
            mtime: Mtime::default(),
            link: Vec::new(),
            hash: None,
        };
        Self { record: Record { entry, data: 0, layer: 0, origin: Vec::new() }, index: 0, next: 0 }
    }
}

impl Cursor {
    /// The path of the record there.
    pub fn path(&self) -> &[u8] {
        &self.record.entry.path
    }

    /// Goes to the record at `index`; whether there is one.
    ///
    /// # Errors
    /// Those of the temporary file.
    pub fn seek(&mut self, records: &Records, index: usize) -> io::Result<bool> {
        if index >= records.len {
            return Ok(false);
        }
        let is_near = self.next != 0 && self.index <= index && index - self.index < BLOCK;
        if !is_near {
            self.index = index / BLOCK * BLOCK;
            self.next = records.blocks[index / BLOCK];
            self.read(records)?;
        }
        while self.index < index {
            self.index += 1;
            self.read(records)?;
        }
        Ok(true)
    }

    /// Reads the record at `next`, which is the one after this, or the first of its block.
    fn read(&mut self, records: &Records) -> io::Result<()> {
        let Record { entry, data, layer, origin } = &mut self.record;
        let bytes = &records.bytes;
        let fixed: [u8; FIXED] = bytes.array(self.next)?;
        let mut fields = Fields(&fixed);
        let shared = u32::from_le_bytes(fields.take()) as usize;
        let rest = u32::from_le_bytes(fields.take()) as usize;
        entry.size = u64::from_le_bytes(fields.take());
        entry.mtime = Mtime { secs: i64::from_le_bytes(fields.take()), nanos: u32::from_le_bytes(fields.take()) };
        let mode = u16::from_le_bytes(fields.take());
        let [kind, number] = fields.take();
        entry.kind = kind_of(kind);
        entry.mode = u32::from(mode & !MORE);
        *layer = number.into();
        let mut at = self.next + FIXED as u64;
        entry.path.truncate(shared);
        bytes.read_to(at, rest, &mut entry.path)?;
        at += rest as u64;
        entry.hash = None;
        if entry.is_file() {
            entry.hash = Some(bytes.array(at)?);
            at += 32;
        }
        entry.link.clear();
        origin.clear();
        *data = entry.size;
        if mode & MORE != 0 {
            *data = u64::from_le_bytes(bytes.array(at)?);
            at += 8;
            for part in [&mut entry.link, origin] {
                let len = u32::from_le_bytes(bytes.array(at)?);
                bytes.read_to(at + 4, len as usize, part)?;
                at += 4 + u64::from(len);
            }
        }
        self.next = at;
        Ok(())
    }
}

/// The numbers of a record, one after the other.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (field, rest) = self.0.split_first_chunk().map_or(([0; N], &[][..]), |(field, rest)| (*field, rest));
        self.0 = rest;
        field
    }
}

fn kind_of(number: u8) -> Kind {
    use Kind::{Directory, Fifo, File, HardLink, Socket, Sparse, Symlink};
    let all = [File, Sparse, Directory, Symlink, HardLink, Fifo, Socket];
    all.into_iter().find(|kind| *kind as u8 == number).unwrap_or(File)
}

fn is_below(path: &[u8], directory: &[u8]) -> bool {
    path.len() > directory.len() && path[directory.len()] == b'/' && path.starts_with(directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(path: &[u8], kind: Kind) -> Record {
        let hash = matches!(kind, Kind::File | Kind::Sparse).then_some([path[path.len() - 1]; 32]);
        let mtime = Mtime { secs: -7, nanos: 999_999_999 };
        let entry = Entry { path: path.into(), kind, mode: 0o7501, size: 0, mtime, link: Vec::new(), hash };
        Record { entry, data: 0, layer: 31, origin: Vec::new() }
    }

    #[test]
    fn what_goes_in_comes_out() {
        let mut all = vec![record(b"build", Kind::Directory)];
        // More than a block.
        for level in 0..200 {
            let path = [&all[level].entry.path[..], b"/d"].concat();
            all.push(record(&path, Kind::Directory));
        }
        all.push(record(b"build/d/f", Kind::File));
        all.push(record(b"build/d-e", Kind::Fifo));
        let mut link = record(b"build/e", Kind::Symlink);
        link.entry.link = b"\xff/there".to_vec();
        let mut moved = record(b"build/f", Kind::File);
        (moved.entry.size, moved.data, moved.origin) = (u64::MAX, u64::MAX, b"build/old".to_vec());
        let mut sparse = record(b"build/g", Kind::Sparse);
        (sparse.entry.size, sparse.data) = (9, 3);
        all.extend([link, moved, sparse, record(b"outputs/out", Kind::Directory)]);
        all.extend([record(b"outputs/out/x", Kind::File), record(b"shell", Kind::File)]);
        let mut records = Records::default();
        for record in &all {
            records.push(record).unwrap();
            assert_eq!(records.last_path(), record.entry.path);
        }
        assert_eq!(records.iter().collect::<io::Result<Vec<_>>>().unwrap(), all);
        let mut cursor = Cursor::default();
        for (index, record) in all.iter().enumerate() {
            assert_eq!(records.position(&record.entry.path).unwrap(), Some(index));
            assert_eq!(records.find(&record.entry.path).unwrap().as_ref(), Some(record));
            assert_eq!(records.get(index).unwrap().as_ref(), Some(record));
            // From one place to any other.
            let far = index * 37 % all.len();
            assert!(cursor.seek(&records, far).unwrap());
            assert_eq!((&cursor.record, cursor.index), (&all[far], far));
        }
        for missing in [&b"a"[..], b"build/d/e", b"build/d-f", b"shell2"] {
            assert_eq!(records.position(missing).unwrap(), None);
        }
        assert!(!cursor.seek(&records, all.len()).unwrap());
        let mut backwards = Vec::new();
        let take = |record: &Record| {
            backwards.push(record.clone());
            Ok(())
        };
        records.backwards(|error| error, take).unwrap();
        backwards.reverse();
        assert_eq!(backwards, all);
        assert_eq!(records.nearest(b"outputs/out/y"), b"");
    }
}
