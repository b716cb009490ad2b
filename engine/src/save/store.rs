//! What becomes of an entry that a save found: a record of the manifest always, and a member of the layer where the
//! chain does not have it yet. Knows no directories.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{Stat, fstat};

use super::super::entry::{Entry, Kind, Mtime};
use super::super::error::{Error, Result};
use super::super::hashing::Hashing;
use super::super::info::Counts;
use super::super::manifest::{Layer, Packed, Record};
use super::super::parent::{Parent, Place, Unchanged};
use super::super::records::Records;
use super::super::sparse::Map;
use super::super::spill::Scratch;
use super::super::{format, frames, pax, tree};
use super::SAVE;

/// A file up to this many bytes is read once, whole; a longer one in pieces, and twice if its hash must be known first.
pub const WHOLE: u64 = 1 << 20;

/// The layer and the manifest of a state in the making. Entries come in the archive's order.
pub struct Store<'a> {
    archive: pax::Writer<frames::Writer<File>>,
    path: &'a Path,
    parent: Option<Parent>,
    layer: Layer,
    records: Records,
    tally: Tally,
    /// When the save began, and [`format::SKEW`].
    soon: Mtime,
    buffer: Vec<u8>,
}

/// Sums over the whole tree, for `info.json`.
pub struct Tally {
    /// Entries by kind.
    pub counts: Counts,
    /// Bytes of all files, holes included.
    pub content: u64,
    /// The newest mtime that is not in the future, or by so little that a clock was set back.
    pub newest: Mtime,
}

/// What [`Store::finish`] gives.
pub struct Stored {
    /// The manifest, whole.
    pub manifest: Packed,
    /// The sums.
    pub tally: Tally,
    /// Bytes of the layer's file.
    pub bytes: u64,
}

impl<'a> Store<'a> {
    /// Writes the layer to `file`, as the difference to `parent`; `path` is the layer's name in messages.
    /// `scratch` is for what is too long for memory.
    pub fn new(file: File, path: &'a Path, parent: Option<Parent>, scratch: &Scratch) -> Self {
        Self {
            archive: pax::Writer::new(frames::Writer::new(file)),
            path,
            parent,
            layer: Layer::default(),
            records: Records::new(scratch),
            tally: Tally { counts: Counts::default(), content: 0, newest: Mtime { secs: i64::MIN, nanos: 0 } },
            soon: soon(),
            buffer: Vec::new(),
        }
    }

    /// Whether the layer is a difference.
    pub fn has_parent(&self) -> bool {
        self.parent.is_some()
    }

    /// How many entries there are so far.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// The path of an entry that was added.
    ///
    /// # Errors
    /// Those of the temporary file.
    pub fn path_of(&self, index: u32) -> Result<Vec<u8>> {
        let record = self.records.get(index as usize).map_err(|source| Error::io(SAVE, self.path, source))?;
        Ok(record.map(|record| record.entry.path).unwrap_or_default())
    }

    /// Ends the layer.
    ///
    /// # Errors
    /// Those of the layer's file.
    pub fn finish(self) -> Result<Stored> {
        let written = self.archive.finish().and_then(frames::Writer::finish);
        let (_, bytes) = written.map_err(|source| Error::io(SAVE, self.path, source))?;
        let mut layers = self.parent.as_ref().map(Parent::layers).unwrap_or_default().to_vec();
        layers.push(self.layer);
        Ok(Stored { manifest: Packed { layers, records: self.records }, tally: self.tally, bytes })
    }

    /// Adds an entry that has no content.
    ///
    /// # Errors
    /// Those of the layer's file.
    pub fn add(&mut self, entry: Entry) -> Result<()> {
        let known = self.parent.as_mut().map_or(Ok(None), |parent| parent.same(&entry));
        let layer = match known.map_err(|source| Error::io(SAVE, self.path, source))? {
            Some(layer) => layer,
            None => self.member(&entry, &[])?,
        };
        self.record(&Record { entry, data: 0, layer, origin: Vec::new() })
    }

    /// The shell state goes in without the mode and mtime of its file, which mean nothing.
    ///
    /// # Errors
    /// Those of the layer's file.
    pub fn shell(&mut self, content: &[u8]) -> Result<()> {
        let entry = Entry {
            path: format::SHELL.to_vec(),
            kind: Kind::File,
            mode: 0o644,
            size: content.len() as u64,
            mtime: Mtime::default(),
            link: Vec::new(),
            hash: None,
        };
        self.content(entry, content)
    }

    /// Adds a regular file, which is opened only if it may have changed since it was restored. `entry` says all that
    /// `stat` says but its size.
    ///
    /// # Errors
    /// A file that changes while it is read, and what the file system says.
    pub fn file(
        &mut self,
        mut entry: Entry,
        stat: &Stat,
        open: impl FnOnce() -> io::Result<File>,
        shown: impl Fn() -> PathBuf,
    ) -> Result<()> {
        let io = |source: io::Error| Error::io(SAVE, shown(), source);
        let changed = || Error::Refused {
            operation: SAVE,
            path: shown(),
            what: "it changed while it was being saved".into(),
            todo: "end the background processes of the phase before it returns",
        };
        entry.size = u64::try_from(stat.st_size).map_err(|_| changed())?;
        let unchanged = self.parent.as_mut().map_or(Ok(None), |parent| parent.unchanged(&entry.path, stat));
        let to_layer = |source| Error::io(SAVE, self.path, source);
        if let Some(Unchanged { kind, data, hash }) = unchanged.map_err(to_layer)? {
            (entry.kind, entry.hash) = (kind, Some(hash));
            if let Some((layer, origin)) = self.known(&entry, data)? {
                return self.record(&Record { entry, data, layer, origin });
            }
        }
        let file = open().map_err(io)?;
        let check = || -> Result<()> {
            let now = fstat(&file).map_err(|errno| io(errno.into()))?;
            let state = |stat: &Stat| (stat.st_dev, stat.st_ino, stat.st_size, tree::mtime(stat));
            if state(&now) == state(stat) { Ok(()) } else { Err(changed()) }
        };
        check()?;
        let source = Source::new(&file, &entry, stat).map_err(io)?;
        entry.kind = source.kind;
        let read =
            |source: io::Error| if source.kind() == io::ErrorKind::UnexpectedEof { changed() } else { io(source) };
        if source.data <= WHOLE {
            let mut buffer = std::mem::take(&mut self.buffer);
            source.whole(&mut buffer).map_err(read)?;
            check()?;
            let done = self.content(entry, &buffer);
            self.buffer = buffer;
            return done;
        }
        if self.parent.as_ref().is_some_and(|parent| parent.has_size(source.data)) {
            entry.hash = Some(source.pieces(|_| Ok(()), read)?);
            check()?;
            if let Some((layer, origin)) = self.known(&entry, source.data)? {
                return self.record(&Record { entry, data: source.data, layer, origin });
            }
        }
        let to_layer = |source| Error::io(SAVE, self.path, source);
        self.archive.member(&entry, source.data).map_err(to_layer)?;
        let archive = &mut self.archive;
        entry.hash = Some(source.pieces(|piece| archive.write_all(piece).map_err(to_layer), read)?);
        check()?;
        let layer = self.counted(source.data);
        self.record(&Record { entry, data: source.data, layer, origin: Vec::new() })
    }

    /// Adds a file by all of its content, which need not be what the file holds.
    ///
    /// # Errors
    /// Those of the layer's file.
    pub fn content(&mut self, mut entry: Entry, content: &[u8]) -> Result<()> {
        entry.hash = Some(*blake3::hash(content).as_bytes());
        let data = content.len() as u64;
        if let Some((layer, origin)) = self.known(&entry, data)? {
            return self.record(&Record { entry, data, layer, origin });
        }
        let layer = self.member(&entry, content)?;
        self.record(&Record { entry, data, layer, origin: Vec::new() })
    }

    /// Where the chain has the content of a file whose hash is known.
    fn known(&mut self, entry: &Entry, data: u64) -> Result<Option<Place>> {
        let (Some(parent), Some(hash)) = (&mut self.parent, entry.hash) else { return Ok(None) };
        parent.content(&entry.path, entry.kind, data, hash).map_err(|source| Error::io(SAVE, self.path, source))
    }

    /// Writes a whole member, and returns the index of the layer.
    fn member(&mut self, entry: &Entry, content: &[u8]) -> Result<usize> {
        let data = content.len() as u64;
        self.archive
            .member(entry, data)
            .and_then(|()| self.archive.write_all(content))
            .map_err(|source| Error::io(SAVE, self.path, source))?;
        Ok(self.counted(data))
    }

    /// Counts a member of the layer, and returns the layer's index.
    fn counted(&mut self, data: u64) -> usize {
        self.layer.members += 1;
        self.layer.data += data;
        self.parent.as_ref().map_or(0, |parent| parent.layers().len())
    }

    fn record(&mut self, record: &Record) -> Result<()> {
        let entry = &record.entry;
        self.tally.counts.add(entry.kind);
        self.tally.content = self.tally.content.saturating_add(entry.size);
        if entry.mtime <= self.soon {
            self.tally.newest = self.tally.newest.max(entry.mtime);
        }
        self.records.push(record).map_err(|source| Error::io(SAVE, self.path, source))
    }
}

/// [`format::SKEW`] from now on, by the clock that files are stamped with. A clock before 1970 counts as 1970.
fn soon() -> Mtime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() + format::SKEW;
    Mtime { secs: since.as_secs().cast_signed(), nanos: since.subsec_nanos() }
}

/// The content of a file as an archive has it.
struct Source<'a> {
    file: &'a File,
    kind: Kind,
    /// What comes before the data: the map of a file with holes.
    head: Vec<u8>,
    pieces: Vec<(u64, u64)>,
    /// Bytes of both.
    data: u64,
}

impl<'a> Source<'a> {
    fn new(file: &'a File, entry: &Entry, stat: &Stat) -> io::Result<Self> {
        let size = entry.size;
        // `st_blocks` counts units of 512 bytes.
        let may_have_holes = u64::try_from(stat.st_blocks).is_ok_and(|blocks| blocks.saturating_mul(512) < size);
        let map = if may_have_holes { Map::of(file, size)? } else { None };
        let kind = if map.is_some() { Kind::Sparse } else { Kind::File };
        let head = map.as_ref().map(Map::encode).unwrap_or_default();
        let pieces = map.map_or_else(|| vec![(0, size)], |map| map.pieces);
        let data = head.len() as u64 + pieces.iter().map(|(_, len)| len).sum::<u64>();
        Ok(Self { file, kind, head, pieces, data })
    }

    /// Reads all of it; only for what fits into memory.
    fn whole(&self, buffer: &mut Vec<u8>) -> io::Result<()> {
        buffer.resize(usize::try_from(self.data).map_err(io::Error::other)?, 0);
        let (head, mut rest) = buffer.split_at_mut(self.head.len());
        head.copy_from_slice(&self.head);
        for (start, len) in &self.pieces {
            let (piece, after) = rest.split_at_mut(usize::try_from(*len).map_err(io::Error::other)?);
            self.file.read_exact_at(piece, *start)?;
            rest = after;
        }
        Ok(())
    }

    /// Reads all of it a piece at a time, and returns its hash.
    fn pieces(
        &self,
        mut each: impl FnMut(&[u8]) -> Result<()>,
        failed: impl Fn(io::Error) -> Error,
    ) -> Result<[u8; 32]> {
        let mut hashing = Hashing::new(self.data).map_err(&failed)?;
        each(&self.head)?;
        hashing.add(&self.head).map_err(&failed)?;
        for &(start, len) in &self.pieces {
            let mut at = start;
            while at < start + len {
                let mut piece = hashing.piece(start + len - at).map_err(&failed)?;
                self.file.read_exact_at(&mut piece, at).map_err(&failed)?;
                each(&piece)?;
                at += piece.len() as u64;
                hashing.update(piece).map_err(&failed)?;
            }
        }
        hashing.finish().map_err(failed)
    }
}
