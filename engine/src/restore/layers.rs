//! Reading the layers of a chain: each once, from the first to the last, each from its beginning to its end, and nothing
//! extracted that the tree does not have. One thread reads; others make what it has read.

use std::cmp::Ordering;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use super::super::entry::{self, Entry};
use super::super::error::{Error, Result, as_path};
use super::super::frames;
use super::super::manifest::{Layer, Packed, Record};
use super::super::records::{Cursor, Records};
use super::super::sorter::Sorter;
use super::super::spill::{Scratch, Spill};
use super::super::{file, format, pax};
use super::RESTORE;
use super::batch::{Batch, make_all};
use super::maker::Maker;

/// A longer file is written as it comes, beside the thread that reads.
const LONG: u64 = 1 << 20;

/// Batches that wait, for each thread. With those in hand they bound the memory: each holds a full batch and a file more.
const QUEUE: usize = 4;

/// More threads only wait for each other in the kernel.
const THREADS: usize = 4;

/// How many threads make files.
pub fn threads() -> usize {
    thread::available_parallelism().map_or(1, usize::from).min(THREADS)
}

/// For each layer, the indices of the records that come from it, in the order of its members.
pub struct Plan(Vec<Spill>);

/// Bytes of the indices of a layer that stay in memory.
const INDICES: usize = 1 << 18;

/// Finds out which records come from which member.
///
/// # Errors
/// Records that cannot come from one member and claim to.
pub fn plan(manifest: &Packed, scratch: &Scratch) -> Result<Plan> {
    let io = |source| Error::io(RESTORE, "manifest", source);
    let records = &manifest.records;
    let empty = || Spill::new(scratch, INDICES);
    let mut plan: Vec<Spill> = manifest.layers.iter().map(|_| empty()).collect();
    // Those that come from another path are out of order; a layer without them has no two for one member, either.
    let mut moved: Vec<Option<Sorter>> = manifest.layers.iter().map(|_| None).collect();
    let distribute = |index: u32, record: &Record| {
        if record.origin.is_empty() {
            return plan[record.layer].append(&index.to_le_bytes());
        }
        let sorter = moved[record.layer].get_or_insert_with(|| Sorter::new(by_origin, scratch));
        sorter.push(&[&record.origin, &index.to_be_bytes()[..]].concat())
    };
    records.each(distribute).map_err(io)?;
    for (wanted, moved) in plan.iter_mut().zip(moved) {
        let Some(moved) = moved else { continue };
        let own = std::mem::replace(wanted, empty());
        if let Some(path) = merge(records, &own, moved, wanted).map_err(io)? {
            let what = "the manifest takes it for another file's content, and for something else";
            return Err(Error::damaged(RESTORE, as_path(&path), what));
        }
    }
    Ok(Plan(plan))
}

/// Puts the indices of records with their own paths and of those from others together, in the order of their members. Gives
/// the path of a member that cannot be what all of its records say.
fn merge(records: &Records, own: &Spill, moved: Sorter, into: &mut Spill) -> io::Result<Option<Vec<u8>>> {
    let mut own = Wanted::new(records, own)?;
    let mut other = Cursor::default();
    let mut last: Option<Record> = None;
    let mut conflict = None;
    let mut add = |index: u32, record: &Record| {
        let agrees = last
            .as_ref()
            .is_none_or(|last| last.origin() != record.origin() || last.entry.is_file() && last.has_content_of(record));
        if !agrees {
            conflict.get_or_insert_with(|| record.origin().to_vec());
        }
        last = Some(record.clone());
        into.append(&index.to_le_bytes())
    };
    moved.each(|string| {
        let Some((origin, index)) = string.split_last_chunk() else { return Ok(()) };
        while let Some((index, record)) = own.next().filter(|(_, own)| entry::order(own.origin(), origin).is_le()) {
            add(index, record)?;
            own.advance()?;
        }
        let index = u32::from_be_bytes(*index);
        other.seek(records, index as usize)?;
        add(index, &other.record)
    })?;
    while let Some((index, record)) = own.next() {
        add(index, record)?;
        own.advance()?;
    }
    Ok(conflict)
}

/// The order of origins, each with an index behind it.
fn by_origin(left: &[u8], right: &[u8]) -> Ordering {
    match (left.split_last_chunk::<4>(), right.split_last_chunk::<4>()) {
        (Some((left, one)), Some((right, other))) => entry::order(left, right).then_with(|| one.cmp(other)),
        _ => left.cmp(right),
    }
}

/// The records of a layer that are wanted, one after the other.
struct Wanted<'a> {
    records: &'a Records,
    indices: &'a Spill,
    /// Where in `indices` the next but one is.
    at: u64,
    /// At the next one,
    cursor: Cursor,
    /// which has this index.
    next: Option<u32>,
}

impl<'a> Wanted<'a> {
    fn new(records: &'a Records, indices: &'a Spill) -> io::Result<Self> {
        let mut wanted = Self { records, indices, at: 0, cursor: Cursor::default(), next: None };
        wanted.advance()?;
        Ok(wanted)
    }

    fn advance(&mut self) -> io::Result<()> {
        self.next = None;
        if self.at < self.indices.len() {
            let index = u32::from_le_bytes(self.indices.array(self.at)?);
            self.at += 4;
            self.cursor.seek(self.records, index as usize)?;
            self.next = Some(index);
        }
        Ok(())
    }

    /// The next one and its index.
    fn next(&self) -> Option<(u32, &Record)> {
        self.next.map(|index| (index, &self.cursor.record))
    }
}

/// The layers of a chain that something is wanted of, opened.
pub struct Layers<'a> {
    input: frames::Reader,
    all: Vec<Wish<'a>>,
}

/// A layer, and what is wanted of it.
struct Wish<'a> {
    path: &'a Path,
    wanted: &'a Spill,
    layer: Layer,
    /// Whether it is the state's own, not one of its parents'.
    is_own: bool,
}

/// Opens what `plan` wants of the layers `files`: from then on they are decompressed, as far ahead as there is room.
///
/// # Errors
/// Layers that are no files.
pub fn open<'a>(files: &'a [PathBuf], manifest: &Packed, plan: &'a Plan) -> Result<Layers<'a>> {
    let own = files.len().saturating_sub(1);
    let all = files.iter().zip(&plan.0).zip(&manifest.layers).enumerate();
    let all: Vec<Wish> = all
        .map(|(index, ((path, wanted), layer))| Wish { path, wanted, layer: *layer, is_own: index == own })
        // The own one is read even where nothing of it is wanted: it may not hold what the manifest does not know.
        .filter(|wish| !wish.wanted.is_empty() || wish.is_own && wish.layer.members > 0)
        .collect();
    let opened = all.iter().map(|wish| Ok(file::open(RESTORE, wish.path)?.0)).collect::<Result<_>>()?;
    // Each content that is wanted is compared with its hash in the manifest, and what else a member has with its record.
    let input = frames::Reader::of_all(opened).map_err(|source| Error::io(RESTORE, "layers", source))?;
    Ok(Layers { input, all })
}

/// Extracts what is wanted of layers; each of `makers` gets a thread.
///
/// # Errors
/// Layers that are not what the manifest says; what the file system says.
pub fn extract(layers: Layers, manifest: &Packed, makers: &mut [Maker]) -> Result<()> {
    let Layers { mut input, all } = layers;
    let failed = AtomicBool::new(false);
    let (sender, receiver) = sync_channel::<Batch>(makers.len() * QUEUE);
    let receiver = Mutex::new(receiver);
    thread::scope(|scope| {
        let (batches, failed) = (&receiver, &failed);
        let threads: Vec<_> =
            makers.iter_mut().map(|maker| scope.spawn(move || make_all(maker, batches, failed))).collect();
        let reader = LayerReader { records: &manifest.records, sender, failed };
        let read = all.iter().enumerate().try_for_each(|(index, wish)| {
            if failed.load(Relaxed) {
                return Ok(());
            }
            if index > 0 {
                input.next_file();
            }
            reader.layer(wish, &mut input)
        });
        // The threads of a reader that is gone decompress no more.
        drop(input);
        drop(reader);
        let lost = || Error::io(RESTORE, "files", std::io::Error::other("a thread died"));
        let made = threads.into_iter().map(|thread| thread.join().map_err(|_| lost()).flatten());
        // What went wrong in making a file also ends the reading.
        made.fold(Ok(()), Result::and).and(read)
    })
}

struct LayerReader<'a, 'b> {
    records: &'a Records,
    sender: SyncSender<Batch<'a>>,
    failed: &'b AtomicBool,
}

impl<'a> LayerReader<'a, '_> {
    fn layer(&self, wish: &Wish<'a>, input: &mut frames::Reader) -> Result<()> {
        let Wish { path, wanted, layer, is_own } = *wish;
        let reading = |source| Error::reading(RESTORE, path, source);
        let stored = |source| Error::io(RESTORE, "manifest", source);
        let damaged = |path: &[u8], what: &str| Error::damaged(RESTORE, as_path(path), what);
        let mut archive = pax::Reader::new(input);
        let mut batch = Batch::new(path);
        let mut read = Layer::default();
        let mut last: Vec<u8> = Vec::new();
        let mut wanted = Wanted::new(self.records, wanted).map_err(stored)?;
        while let Some((member, data)) =
            archive.next_member().map_err(|source| reading(source).at_entry("after", &last))?
        {
            if self.failed.load(Relaxed) {
                return Ok(());
            }
            read = Layer { members: read.members + 1, data: read.data.saturating_add(data) };
            if read.members > layer.members || read.data > layer.data {
                return Err(Error::damaged(RESTORE, path, "it holds more than the manifest says"));
            }
            if !entry::is_below_root(&member.path) {
                return Err(damaged(&member.path, "the path leaves its directory"));
            }
            if read.members > 1 && entry::order(&last, &member.path).is_ge() {
                return Err(damaged(&member.path, "it is there twice, or out of order"));
            }
            let Some((_, record)) = wanted.next().filter(|(_, record)| record.origin() == member.path) else {
                if let Some((_, missed)) = wanted.next()
                    && entry::order(missed.origin(), &member.path).is_lt()
                {
                    return Err(damaged(&missed.entry.path, "its layer does not have it"));
                }
                if is_own {
                    return Err(damaged(&member.path, "the manifest does not know this entry"));
                }
                last = member.path;
                let skipped = archive.data(|input, len| Ok((input.skip(len)?, len)));
                skipped.map_err(|source| reading(source).at_entry("in", &last))?;
                continue;
            };
            if !fits(record, &member, data, is_own) {
                return Err(damaged(&record.entry.path, "archive and manifest do not agree about this entry"));
            }
            last = member.path;
            if data > LONG {
                self.send(std::mem::replace(&mut batch, Batch::new(path)));
                self.long(&mut wanted, &last, &mut archive, path)?;
                continue;
            }
            let content = archive.data(|input, len| Ok((input.whole(len)?, len)));
            let content = content.map_err(|source| reading(source).at_entry("in", &last))?;
            while let Some((index, record)) = wanted.next().filter(|(_, record)| record.origin() == last) {
                batch.push(index, record.clone(), content.clone());
                wanted.advance().map_err(stored)?;
                if batch.is_full() {
                    self.send(std::mem::replace(&mut batch, Batch::new(path)));
                }
            }
        }
        self.send(batch);
        if let Some((_, missed)) = wanted.next() {
            return Err(damaged(&missed.entry.path, "the archive ends before this entry"));
        }
        if read == layer {
            return Ok(());
        }
        Err(Error::damaged(RESTORE, path, "it holds less than the manifest says"))
    }

    /// Sends all files with the content of the member `origin`, which is too long to have in memory, and then its parts.
    fn long(
        &self,
        wanted: &mut Wanted,
        origin: &[u8],
        archive: &mut pax::Reader<&mut frames::Reader>,
        layer: &'a Path,
    ) -> Result<()> {
        let mut records = Vec::new();
        while let Some((index, record)) = wanted.next().filter(|(_, record)| record.origin() == origin) {
            records.push((index, record.clone()));
            wanted.advance().map_err(|source| Error::io(RESTORE, "manifest", source))?;
        }
        let copies = records.split_off(records.len().min(1));
        let Some(first) = records.pop() else { return Ok(()) };
        let (batch, parts) = Batch::long(layer, first, copies);
        self.send(batch);
        loop {
            let part = archive.data(|input, left| {
                let part = if left > 0 { Some(input.part(left)?) } else { None };
                let len = part.as_ref().map_or(0, |part| part.len());
                Ok((part, len))
            });
            match part {
                Ok(None) => return Ok(()),
                // Who makes the file has failed and says why.
                Ok(Some(part)) => _ = parts.send(Ok(part)),
                Err(error) => {
                    let same = io::Error::new(error.kind(), error.to_string());
                    let _ = parts.send(Err(same));
                    return Err(Error::reading(RESTORE, layer, error).at_entry("in", origin));
                }
            }
        }
    }

    /// The threads take batches as long as this sender lives.
    fn send(&self, batch: Batch<'a>) {
        if self.sender.send(batch).is_err() {
            self.failed.store(true, Relaxed);
        }
    }
}

/// Whether a member is what a record says. Of an older layer's file only the content counts.
fn fits(record: &Record, member: &Entry, data: u64, is_own: bool) -> bool {
    if !record.entry.is_file() || is_own && record.origin.is_empty() {
        return data == record.data && same(member, &record.entry);
    }
    (member.kind, member.size, data) == (record.entry.kind, record.entry.size, record.data)
}

/// Whether two entries differ in their hashes at most.
fn same(left: &Entry, right: &Entry) -> bool {
    let all = |entry: &Entry| (entry.kind, entry.mode, entry.size, entry.mtime);
    all(left) == all(right) && left.path == right.path && left.link == right.link
}

/// The shell state of a state directory, without restoring anything else.
///
/// # Errors
/// As for reading any state.
pub fn shell_state(operation: &'static str, chain: &[PathBuf], shell: &Record) -> Result<Vec<u8>> {
    let path = chain[shell.layer].join(format::LAYER);
    let reading = |source| Error::reading(operation, &path, source);
    let (file, len) = file::open(operation, &path)?;
    let mut archive = pax::Reader::new(frames::Reader::new(file, len).map_err(reading)?);
    while let Some((member, _)) = archive.next_member().map_err(reading)? {
        if member.path == shell.origin() {
            let mut content = Vec::new();
            archive.by_ref().take(shell.data + 1).read_to_end(&mut content).map_err(reading)?;
            if shell.entry.hash == Some(*blake3::hash(&content).as_bytes()) {
                return Ok(content);
            }
            return Err(Error::damaged(operation, as_path(&member.path), "its content is not what the manifest says"));
        }
    }
    Err(Error::damaged(operation, &path, "it holds no shell state"))
}
