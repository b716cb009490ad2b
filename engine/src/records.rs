//! The records of a manifest in little memory: 64 bytes each, its own name, and what few of them have. Trees have millions.
//!
//! Owns the packing alone: what [`Records::push`] gets is checked, or made by a save.

use std::io;

use super::entry::{self, Entry, Kind, Mtime};
use super::manifest::Record;

/// Records in the order of [`entry::order`], each after the directory that it lies in.
#[derive(Default)]
pub struct Records {
    packed: Vec<Packed>,
    /// For each record what [`Packed::at`] says.
    text: Vec<u8>,
    /// The path of the last record.
    last: Vec<u8>,
    /// The directories that `last` lies in, or is: index, and length of the path.
    open: Vec<(u32, usize)>,
}

/// A record, but for its names.
struct Packed {
    hash: [u8; 32],
    size: u64,
    secs: i64,
    nanos: u32,
    /// Where its text begins, which ends where the next one's does: the name below `parent`; before it, with [`MORE`], the
    /// lengths of link and origin (4 bytes each) and the bytes of data (8), then link and origin.
    at: u32,
    /// The directory above, or [`ROOT`], where the name is the whole path.
    parent: u32,
    /// The permissions, and [`MORE`].
    mode: u16,
    kind: Kind,
    layer: u8,
}

/// In a mode: there is a link, an origin, or a number of bytes of data that is not the size.
const MORE: u16 = 1 << 15;

/// In place of a parent.
const ROOT: u32 = u32::MAX;

impl Records {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.packed.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.packed.is_empty()
    }

    /// The path of the last one; empty before the first.
    pub fn last_path(&self) -> &[u8] {
        &self.last
    }

    /// The nearest of the directories around the last record that `path` lies below, or nothing.
    pub fn nearest(&self, path: &[u8]) -> &[u8] {
        let around = self.open.iter().rev().map(|(_, len)| &self.last[..*len]);
        around.into_iter().find(|directory| is_below(path, directory)).unwrap_or_default()
    }

    /// Adds one.
    ///
    /// # Errors
    /// More than 4 GiB of names, or layers that no chain has.
    pub fn push(&mut self, record: &Record) -> io::Result<()> {
        let Record { entry, data, layer, origin } = record;
        let full = || io::Error::new(io::ErrorKind::OutOfMemory, "the tree has more names than a manifest can hold");
        let index = u32::try_from(self.packed.len()).ok().filter(|index| *index < ROOT).ok_or_else(full)?;
        while self.open.last().is_some_and(|(_, len)| !is_below(&entry.path, &self.last[..*len])) {
            self.open.pop();
        }
        let (parent, name) = match self.open.last() {
            Some((parent, len)) => (*parent, &entry.path[len + 1..]),
            None => (ROOT, &entry.path[..]),
        };
        let mut packed = Packed {
            hash: entry.hash.unwrap_or_default(),
            size: entry.size,
            secs: entry.mtime.secs,
            nanos: entry.mtime.nanos,
            at: u32::try_from(self.text.len()).map_err(|_| full())?,
            parent,
            mode: u16::try_from(entry.mode & 0o7777).unwrap_or_default(),
            kind: entry.kind,
            layer: u8::try_from(*layer).map_err(io::Error::other)?,
        };
        if !entry.link.is_empty() || !origin.is_empty() || *data != entry.size {
            packed.mode |= MORE;
            for part in [&entry.link, origin] {
                self.text.extend(u32::try_from(part.len()).map_err(|_| full())?.to_le_bytes());
            }
            self.text.extend(data.to_le_bytes());
            self.text.extend_from_slice(&entry.link);
            self.text.extend_from_slice(origin);
        }
        self.text.extend_from_slice(name);
        self.packed.push(packed);
        // Mostly the end alone is another one.
        let same = self.last.iter().zip(&entry.path).take_while(|(old, new)| old == new).count();
        self.last.truncate(same);
        self.last.extend_from_slice(&entry.path[same..]);
        if entry.kind == Kind::Directory {
            self.open.push((index, entry.path.len()));
        }
        Ok(())
    }

    /// The record at an index.
    pub fn get(&self, index: usize) -> Option<Record> {
        let packed = self.packed.get(index)?;
        let Text { link, origin, data, .. } = self.text(index);
        let mut path = Vec::new();
        self.path(index, &mut path);
        let entry = Entry {
            path,
            kind: packed.kind,
            mode: u32::from(packed.mode & !MORE),
            size: packed.size,
            mtime: Mtime { secs: packed.secs, nanos: packed.nanos },
            link: link.to_vec(),
            hash: self.hash(index),
        };
        Some(Record { entry, data, layer: packed.layer.into(), origin: origin.to_vec() })
    }

    /// All of them.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Record> + '_ {
        (0..self.len()).filter_map(|index| self.get(index))
    }

    /// The indices of those of a kind.
    pub fn of_kind(&self, kind: Kind) -> impl DoubleEndedIterator<Item = usize> + '_ {
        (0..self.len()).filter(move |index| self.packed[*index].kind == kind)
    }

    /// Those that lie in no directory of the tree.
    pub fn roots(&self) -> impl Iterator<Item = Record> + '_ {
        (0..self.len()).filter(|index| self.packed[*index].parent == ROOT).filter_map(|index| self.get(index))
    }

    /// Puts the path of the record at `index` in place of what `into` holds.
    pub fn path(&self, index: usize, into: &mut Vec<u8>) {
        into.clear();
        let mut above = [0; 64];
        let mut depth = 0;
        let mut at = index;
        loop {
            if depth == above.len() {
                // So deep a path is rare: begin with what is above.
                self.path(at, into);
                break;
            }
            above[depth] = at;
            depth += 1;
            match self.packed[at].parent {
                ROOT => break,
                parent => at = parent as usize,
            }
        }
        for at in above[..depth].iter().rev() {
            if !into.is_empty() {
                into.push(b'/');
            }
            into.extend_from_slice(self.text(*at).name);
        }
    }

    /// The path of the member of the record at `index`, as [`Record::origin`].
    pub fn origin(&self, index: usize, into: &mut Vec<u8>) {
        match self.text(index).origin {
            [] => self.path(index, into),
            origin => {
                into.clear();
                into.extend_from_slice(origin);
            }
        }
    }

    /// Whether the content of the record at `index` comes from another path.
    pub fn is_moved(&self, index: usize) -> bool {
        self.packed[index].mode & MORE != 0 && !self.text(index).origin.is_empty()
    }

    /// The layer of the record at `index`.
    pub fn layer(&self, index: usize) -> usize {
        self.packed[index].layer.into()
    }

    /// What the record at `index` is.
    pub fn kind(&self, index: usize) -> Kind {
        self.packed[index].kind
    }

    /// The bytes of data of the record at `index`.
    pub fn data(&self, index: usize) -> u64 {
        self.text(index).data
    }

    /// The hash of the record at `index`, if it is a file.
    pub fn hash(&self, index: usize) -> Option<[u8; 32]> {
        let packed = &self.packed[index];
        matches!(packed.kind, Kind::File | Kind::Sparse).then_some(packed.hash)
    }

    /// The index of the record of a path.
    pub fn position(&self, path: &[u8]) -> Option<usize> {
        let mut other = Vec::new();
        let (mut from, mut to) = (0, self.len());
        while from < to {
            let middle = usize::midpoint(from, to);
            self.path(middle, &mut other);
            match entry::order(&other, path) {
                std::cmp::Ordering::Less => from = middle + 1,
                std::cmp::Ordering::Greater => to = middle,
                std::cmp::Ordering::Equal => return Some(middle),
            }
        }
        None
    }

    /// The record of a path.
    pub fn find(&self, path: &[u8]) -> Option<Record> {
        self.get(self.position(path)?)
    }

    fn text(&self, index: usize) -> Text<'_> {
        let packed = &self.packed[index];
        let end = self.packed.get(index + 1).map_or(self.text.len(), |next| next.at as usize);
        let name = &self.text[packed.at as usize..end];
        let plain = Text { name, link: &[], origin: &[], data: packed.size };
        if packed.mode & MORE == 0 {
            return plain;
        }
        let unpacked = || {
            let (link, rest) = name.split_first_chunk()?;
            let (origin, rest) = rest.split_first_chunk()?;
            let (data, rest) = rest.split_first_chunk()?;
            let (link, rest) = rest.split_at_checked(u32::from_le_bytes(*link) as usize)?;
            let (origin, name) = rest.split_at_checked(u32::from_le_bytes(*origin) as usize)?;
            Some(Text { name, link, origin, data: u64::from_le_bytes(*data) })
        };
        unpacked().unwrap_or(plain)
    }
}

/// What of a record has no fixed length.
struct Text<'a> {
    name: &'a [u8],
    link: &'a [u8],
    origin: &'a [u8],
    data: u64,
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
        assert_eq!(size_of::<Packed>(), 64);
        let mut all = vec![record(b"build", Kind::Directory)];
        // Deeper than `path` goes in one step.
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
        assert_eq!(records.iter().collect::<Vec<_>>(), all);
        for (index, record) in all.iter().enumerate() {
            assert_eq!(records.position(&record.entry.path), Some(index));
            assert_eq!((records.is_moved(index), records.data(index)), (!record.origin.is_empty(), record.data));
        }
        assert_eq!(records.position(b"build/d/e"), None);
        let roots: Vec<_> = records.roots().map(|record| record.entry.path).collect();
        assert_eq!(roots, [&b"build"[..], b"outputs/out", b"shell"]);
        assert_eq!(records.nearest(b"outputs/out/y"), b"");
    }
}
