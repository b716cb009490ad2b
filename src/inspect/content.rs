//! Reading content out of the layers of a state, with the checks of a restore: each member is compared with the manifest,
//! and what is handed out is believed only after its hash.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use super::{READ, State};
use crate::state::entry::{self, Entry, Kind};
use crate::state::error::{Error, Result, as_path};
use crate::state::manifest::{Layer, Record};
use crate::state::sparse::Map;
use crate::state::{file, format, pax};

/// A file of a layer whose content is wanted.
pub struct Member<'a> {
    /// The records that have this content, by index; never empty.
    pub indices: &'a [usize],
    /// The content as the layer has it: of a file with holes the map, then what lies between them.
    pub data: &'a mut dyn Read,
    /// The archive's name, for messages.
    pub layer: &'a Path,
}

/// How far layers are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// To the last file that is wanted.
    Wanted,
    /// To their ends, so that all is compared with the manifest.
    Whole,
}

/// Hands the content of the files at the indices for which `wanted` holds to `sink`, one member after the other. What
/// `sink` took may be used once this returns: only then its hash is known to be right.
///
/// # Errors
/// Layers that are missing or not what the manifest says; those of `sink`.
pub fn read(
    state: &State,
    wanted: &[bool],
    extent: Extent,
    sink: &mut dyn FnMut(Member<'_>) -> Result<()>,
) -> Result<()> {
    let is_wanted = |index: usize| wanted[index] && state.records()[index].entry.is_file();
    let plan = plan(state)?;
    let last = plan.len().saturating_sub(1);
    let mut chain = None;
    for (number, indices) in plan.iter().enumerate() {
        let mut count = indices.iter().filter(|index| is_wanted(**index)).count();
        let whole = extent == Extent::Whole && (number == last || !indices.is_empty());
        if count == 0 && !whole {
            continue;
        }
        let chain = match &mut chain {
            Some(chain) => chain,
            empty => empty.insert(state.chain()?),
        };
        let path = chain[number].join(format::LAYER);
        let layer = state.manifest.layers[number];
        let mut archive = Archive::open(state, &path, layer, indices, number == last)?;
        while whole || count > 0 {
            let Some((members, data)) = archive.next()? else { break };
            let chosen: Vec<usize> = members.iter().copied().filter(|index| is_wanted(*index)).collect();
            if let Some(&first) = chosen.first() {
                count -= chosen.len();
                let mut data = Hashing { input: (&mut archive.tar).take(data), hasher: blake3::Hasher::new() };
                sink(Member { indices: &chosen, data: &mut data, layer: &path })?;
                io::copy(&mut data, &mut io::sink()).map_err(|source| Error::reading(READ, &path, source))?;
                let entry = &state.records()[first].entry;
                if entry.hash != Some(*data.hasher.finalize().as_bytes()) {
                    return Err(damaged(&entry.path, "its content is not what the manifest says"));
                }
            }
        }
    }
    Ok(())
}

fn damaged(path: &[u8], what: &str) -> Error {
    Error::damaged(READ, as_path(path), what)
}

/// For each layer, the indices of the records that come from it, in the order of its members.
fn plan(state: &State) -> Result<Vec<Vec<usize>>> {
    let mut plan = vec![Vec::new(); state.manifest.layers.len()];
    for (index, record) in state.records().iter().enumerate() {
        plan[record.layer].push(index);
    }
    let record = |index: usize| &state.records()[index];
    for indices in &mut plan {
        indices.sort_by(|left, right| entry::order(record(*left).origin(), record(*right).origin()));
        for pair in indices.windows(2) {
            let (one, other) = (record(pair[0]), record(pair[1]));
            if one.origin() == other.origin() && !(one.entry.is_file() && one.has_content_of(other)) {
                let what = "the manifest takes it for another file's content, and for something else";
                return Err(damaged(one.origin(), what));
            }
        }
    }
    Ok(plan)
}

/// A layer being read, each member compared with the manifest.
struct Archive<'a> {
    state: &'a State,
    path: &'a Path,
    tar: pax::Reader<BufReader<zstd::Decoder<'static, BufReader<File>>>>,
    expected: Layer,
    read: Layer,
    last: Vec<u8>,
    /// The records still to come.
    left: &'a [usize],
    /// Whether it is the state's own layer, which has nothing that the manifest does not know.
    is_own: bool,
}

impl<'a> Archive<'a> {
    fn open(state: &'a State, path: &'a Path, expected: Layer, left: &'a [usize], is_own: bool) -> Result<Self> {
        let (file, _) = file::open(READ, path)?;
        let decoder = zstd::Decoder::new(file).map_err(|source| Error::reading(READ, path, source))?;
        let tar = pax::Reader::new(BufReader::with_capacity(1 << 17, decoder));
        Ok(Self { state, path, tar, expected, read: Layer::default(), last: Vec::new(), left, is_own })
    }

    /// The records of the next member that the tree has, and the length of its data; `None` at the end, where all was as
    /// the manifest says.
    fn next(&mut self) -> Result<Option<(&'a [usize], u64)>> {
        let records = self.state.records();
        loop {
            let next = self.tar.next_member().map_err(|source| Error::reading(READ, self.path, source))?;
            let Some((member, data)) = next else { return self.end().map(|()| None) };
            self.read = Layer { members: self.read.members + 1, data: self.read.data.saturating_add(data) };
            if self.read.members > self.expected.members || self.read.data > self.expected.data {
                return Err(Error::damaged(READ, self.path, "it holds more than the manifest says"));
            }
            if !entry::is_below_root(&member.path) {
                return Err(damaged(&member.path, "the path leaves its directory"));
            }
            if self.read.members > 1 && entry::order(&self.last, &member.path).is_ge() {
                return Err(damaged(&member.path, "it is there twice, or out of order"));
            }
            let count = self.left.iter().take_while(|index| records[**index].origin() == member.path).count();
            let (indices, left) = self.left.split_at(count);
            let Some(&first) = indices.first() else {
                let missed = left.first().map(|index| &records[*index]);
                if let Some(missed) = missed.filter(|missed| entry::order(missed.origin(), &member.path).is_lt()) {
                    return Err(damaged(&missed.entry.path, "its layer does not have it"));
                }
                if self.is_own {
                    return Err(damaged(&member.path, "the manifest does not know this entry"));
                }
                self.last = member.path;
                continue;
            };
            if !fits(&records[first], &member, data, self.is_own) {
                let what = "archive and manifest do not agree about this entry";
                return Err(damaged(&records[first].entry.path, what));
            }
            (self.left, self.last) = (left, member.path);
            return Ok(Some((indices, data)));
        }
    }

    fn end(&self) -> Result<()> {
        if let Some(missed) = self.left.first() {
            let path = &self.state.records()[*missed].entry.path;
            return Err(damaged(path, "the archive ends before this entry"));
        }
        if self.read == self.expected {
            return Ok(());
        }
        Err(Error::damaged(READ, self.path, "it holds less than the manifest says"))
    }
}

/// Whether a member is what a record says. Of an older layer's file only the content counts.
fn fits(record: &Record, member: &Entry, data: u64, is_own: bool) -> bool {
    if !record.entry.is_file() || is_own && record.origin.is_empty() {
        return data == record.data && *member == Entry { hash: None, ..record.entry.clone() };
    }
    (member.kind, member.size, data) == (record.entry.kind, record.entry.size, record.data)
}

struct Hashing<R> {
    input: R,
    hasher: blake3::Hasher,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        Ok(read)
    }
}

/// Content set aside in a file without a name, until it is known to be right.
#[derive(Debug)]
pub struct Spool {
    file: File,
    /// Offset and length of each record's content, by index.
    places: std::collections::HashMap<usize, (u64, u64)>,
}

impl Spool {
    /// Reads the files at the indices for which `wanted` holds.
    ///
    /// # Errors
    /// As for [`read`]; that there is no room in the temporary directory.
    pub fn fill(state: &State, wanted: &[bool]) -> Result<Self> {
        let directory = std::env::temp_dir();
        let io = |source: io::Error| Error::io(READ, &directory, source);
        let mut file = tempfile::tempfile().map_err(io)?;
        let mut places = std::collections::HashMap::new();
        let mut end = 0;
        read(state, wanted, Extent::Wanted, &mut |member| {
            let data = state.records()[member.indices[0]].data;
            let copied = io::copy(member.data, &mut file);
            copied.map_err(|source| match source.raw_os_error() {
                Some(_) => io(source),
                None => Error::reading(READ, member.layer, source),
            })?;
            places.extend(member.indices.iter().map(|index| (*index, (end, data))));
            end += data;
            Ok(())
        })?;
        Ok(Self { file, places })
    }

    /// Writes the content of a file to `out`, its holes as zeros.
    ///
    /// # Errors
    /// Those of `out`; a map of holes that does not fit its file.
    pub fn copy(&mut self, record: &Record, index: usize, out: &mut dyn Write) -> io::Result<()> {
        let Some(&(start, len)) = self.places.get(&index) else { return Err(io::ErrorKind::NotFound.into()) };
        self.file.seek(SeekFrom::Start(start))?;
        let mut input = BufReader::new(&self.file).take(len);
        if record.entry.kind != Kind::Sparse {
            return io::copy(&mut input, out).map(drop);
        }
        let map = Map::decode(&mut input, record.entry.size, |_| ())?;
        let mut at = 0;
        for (start, len) in map.pieces {
            io::copy(&mut io::repeat(0).take(start - at), out)?;
            if io::copy(&mut (&mut input).take(len), out)? != len {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            at = start + len;
        }
        Ok(())
    }

    /// Writes a file's content to `out` as its layer has it: of a file with holes the map, then what lies between them.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn stored(&self, index: usize, out: &mut dyn Write) -> io::Result<()> {
        let Some(&(start, len)) = self.places.get(&index) else { return Err(io::ErrorKind::NotFound.into()) };
        io::copy(&mut BufReader::new(Stretch { file: &self.file, next: start, end: start + len }), out).map(drop)
    }

    /// The content of a file.
    ///
    /// # Errors
    /// As for [`Spool::copy`].
    pub fn content(&mut self, record: &Record, index: usize) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        self.copy(record, index, &mut content)?;
        Ok(content)
    }

    /// At most `len` bytes of a file's content from `offset` on; fewer only at its end.
    ///
    /// # Errors
    /// As for [`Spool::copy`].
    pub fn part(&self, record: &Record, index: usize, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let Some(&(start, stored)) = self.places.get(&index) else { return Err(io::ErrorKind::NotFound.into()) };
        let size = record.entry.size;
        let left = usize::try_from(size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let mut part = vec![0; len.min(left)];
        if record.entry.kind != Kind::Sparse {
            self.file.read_exact_at(&mut part, start + offset)?;
            return Ok(part);
        }
        let map = Map::decode(Stretch { file: &self.file, next: start, end: start + stored }, size, |_| ())?;
        let head = map.encode().len() as u64;
        if head + map.data() != stored {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut from = start + head;
        let end = offset + part.len() as u64;
        for (piece, length) in map.pieces {
            // The part of the piece that is wanted, in the file.
            let (first, last) = (piece.max(offset), (piece + length).min(end));
            if first < last {
                let place = |at: u64| usize::try_from(at - offset).unwrap_or(usize::MAX);
                self.file.read_exact_at(&mut part[place(first)..place(last)], from + (first - piece))?;
            }
            from += length;
        }
        Ok(part)
    }
}

/// A stretch of a file, read without moving its position.
struct Stretch<'a> {
    file: &'a File,
    next: u64,
    end: u64,
}

impl Read for Stretch<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.next).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.file.read_at(&mut buffer[..left], self.next)?;
        self.next += read as u64;
        Ok(read)
    }
}
