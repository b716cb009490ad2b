//! Reading the layers of a chain: each once, from the first to the last, each from its beginning to its end, and nothing
//! extracted that the tree does not have. One thread reads; others make what it has read.

use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::super::entry::{self, Entry};
use super::super::error::{Error, Result, as_path};
use super::super::manifest::{Layer, Packed, Record};
use super::super::{file, format, frames, pax};
use super::RESTORE;
use super::maker::Maker;

/// A longer file is written by the thread that reads, as it comes.
const LONG: u64 = 2 << 20;

/// A batch is full with this many bytes of content,
const BATCH: usize = 1 << 19;

/// or with this many members.
const MEMBERS: usize = 128;

/// Batches that wait, for each thread. With those in hand they bound the memory: each holds a full batch and a file more.
const QUEUE: usize = 4;

/// More threads only wait for each other in the kernel.
const THREADS: usize = 4;

/// How many threads make files.
pub fn threads() -> usize {
    thread::available_parallelism().map_or(1, usize::from).min(THREADS)
}

/// For each layer, the indices of the records that come from it, in the order of its members.
///
/// # Errors
/// Records that cannot come from one member and claim to.
pub fn plan(manifest: &Packed) -> Result<Vec<Vec<u32>>> {
    let records = &manifest.records;
    let mut plan = vec![Vec::new(); manifest.layers.len()];
    // Those that come from another path are out of order; a layer without them has no two for one member, either.
    let mut mixed = vec![false; plan.len()];
    for (index, number) in (0..records.len()).zip(0..) {
        plan[records.layer(index)].push(number);
        mixed[records.layer(index)] |= records.is_moved(index);
    }
    let (mut one, mut other) = (Vec::new(), Vec::new());
    for (wanted, _) in plan.iter_mut().zip(mixed).filter(|(_, mixed)| *mixed) {
        wanted.sort_by(|left: &u32, right: &u32| {
            records.origin(*left as usize, &mut one);
            records.origin(*right as usize, &mut other);
            entry::order(&one, &other)
        });
        for pair in wanted.windows(2) {
            records.origin(pair[0] as usize, &mut one);
            records.origin(pair[1] as usize, &mut other);
            let agree = || {
                let (left, right) = (records.get(pair[0] as usize)?, records.get(pair[1] as usize)?);
                Some(left.entry.is_file() && left.has_content_of(&right))
            };
            if one == other && agree() != Some(true) {
                let what = "the manifest takes it for another file's content, and for something else";
                return Err(Error::damaged(RESTORE, as_path(&one), what));
            }
        }
    }
    Ok(plan)
}

/// What was read and is to be made.
struct Batch<'a> {
    layer: &'a Path,
    content: Vec<u8>,
    /// The records of a member, and where its data is in `content`.
    members: Vec<(&'a [u32], Range<usize>)>,
}

/// Extracts what `plan` wants of the layers `files`; `makers` are one for the reading thread and those of the others.
///
/// # Errors
/// Layers that are not what the manifest says; what the file system says.
pub fn extract<'a>(
    files: &'a [PathBuf],
    manifest: &'a Packed,
    plan: &'a [Vec<u32>],
    own: &mut Maker<'a>,
    others: &mut [Maker<'a>],
) -> Result<()> {
    let failed = AtomicBool::new(false);
    let (sender, receiver) = sync_channel::<Batch<'a>>(others.len() * QUEUE);
    let receiver = Mutex::new(receiver);
    thread::scope(|scope| {
        let (batches, failed) = (&receiver, &failed);
        let threads: Vec<_> =
            others.iter_mut().map(|maker| scope.spawn(move || make_all(maker, batches, failed))).collect();
        let mut reader = LayerReader { manifest, own, sender, failed };
        let is_last = |index: usize| index + 1 == files.len();
        let read = files
            .iter()
            .zip(plan)
            .zip(&manifest.layers)
            .enumerate()
            .filter(|(index, ((_, wanted), layer))| !wanted.is_empty() || is_last(*index) && layer.members > 0)
            .try_for_each(|(index, ((file, wanted), layer))| reader.layer(file, wanted, *layer, is_last(index)));
        drop(reader);
        let lost = || Error::io(RESTORE, "files", std::io::Error::other("a thread died"));
        let made = threads.into_iter().map(|thread| thread.join().map_err(|_| lost()).flatten());
        // What went wrong in making a file also ends the reading.
        made.fold(Ok(()), Result::and).and(read)
    })
}

/// Makes batch after batch. After a failure, anyone's, takes the rest without a look, so that the reader never waits.
fn make_all(maker: &mut Maker, batches: &Mutex<Receiver<Batch>>, failed: &AtomicBool) -> Result<()> {
    let mut result = Ok(());
    loop {
        let next = batches.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(batch) = next else { return result };
        if failed.load(Ordering::Relaxed) {
            continue;
        }
        let mut members = batch.members.into_iter();
        result = members.try_for_each(|(indices, range)| maker.member(indices, &batch.content[range], batch.layer));
        if result.is_err() {
            failed.store(true, Ordering::Relaxed);
        }
    }
}

struct LayerReader<'a, 'b> {
    manifest: &'a Packed,
    own: &'b mut Maker<'a>,
    sender: SyncSender<Batch<'a>>,
    failed: &'b AtomicBool,
}

impl<'a> LayerReader<'a, '_> {
    fn layer(&mut self, path: &'a Path, mut wanted: &'a [u32], layer: Layer, is_own: bool) -> Result<()> {
        let reading = |source| Error::reading(RESTORE, path, source);
        let damaged = |path: &[u8], what: &str| Error::damaged(RESTORE, as_path(path), what);
        let (file, _) = file::open(RESTORE, path)?;
        let mut archive = pax::Reader::new(frames::Reader::new(file).map_err(reading)?);
        let empty = || Batch { layer: path, content: Vec::with_capacity(BATCH), members: Vec::with_capacity(MEMBERS) };
        let mut batch = empty();
        let mut read = Layer::default();
        let mut last: Vec<u8> = Vec::new();
        let records = &self.manifest.records;
        // The first of those that are wanted, and the member that it needs.
        let mut next = wanted.first().and_then(|index| records.get(*index as usize));
        let mut origin = Vec::new();
        while let Some((member, data)) =
            archive.next_member().map_err(|source| reading(source).at_entry("after", &last))?
        {
            if self.failed.load(Ordering::Relaxed) {
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
            let Some(record) = next.take_if(|record| record.origin() == member.path) else {
                if let Some(missed) = next.as_ref().filter(|missed| entry::order(missed.origin(), &member.path).is_lt())
                {
                    return Err(damaged(&missed.entry.path, "its layer does not have it"));
                }
                if is_own {
                    return Err(damaged(&member.path, "the manifest does not know this entry"));
                }
                last = member.path;
                continue;
            };
            let others = wanted[1..].iter().take_while(|index| {
                records.origin(**index as usize, &mut origin);
                origin == member.path
            });
            let (indices, rest) = wanted.split_at(1 + others.count());
            wanted = rest;
            next = wanted.first().and_then(|index| records.get(*index as usize));
            if !fits(&record, &member, data, is_own) {
                return Err(damaged(&record.entry.path, "archive and manifest do not agree about this entry"));
            }
            last = member.path;
            if data > LONG {
                self.own.stream(indices, &mut archive, path)?;
                continue;
            }
            let start = batch.content.len();
            let len = usize::try_from(data).unwrap_or(usize::MAX);
            batch.content.resize(start + len, 0);
            let content = archive.read_exact(&mut batch.content[start..]);
            content.map_err(|source| reading(source).at_entry("in", &last))?;
            batch.members.push((indices, start..start + len));
            if batch.content.len() >= BATCH || batch.members.len() >= MEMBERS {
                self.send(std::mem::replace(&mut batch, empty()));
            }
        }
        self.send(batch);
        if let Some(missed) = next {
            return Err(damaged(&missed.entry.path, "the archive ends before this entry"));
        }
        if read == layer {
            return Ok(());
        }
        Err(Error::damaged(RESTORE, path, "it holds less than the manifest says"))
    }

    /// The threads take batches as long as this sender lives.
    fn send(&self, batch: Batch<'a>) {
        if self.sender.send(batch).is_err() {
            self.failed.store(true, Ordering::Relaxed);
        }
    }
}

/// Whether a member is what a record says. Of an older layer's file only the content counts.
fn fits(record: &Record, member: &Entry, data: u64, is_own: bool) -> bool {
    if !record.entry.is_file() || is_own && record.origin.is_empty() {
        return data == record.data && *member == Entry { hash: None, ..record.entry.clone() };
    }
    (member.kind, member.size, data) == (record.entry.kind, record.entry.size, record.data)
}

/// The shell state of a state directory, without restoring anything else.
///
/// # Errors
/// As for reading any state.
pub fn shell_state(operation: &'static str, chain: &[PathBuf], shell: &Record) -> Result<Vec<u8>> {
    let path = chain[shell.layer].join(format::LAYER);
    let reading = |source| Error::reading(operation, &path, source);
    let (file, _) = file::open(operation, &path)?;
    let mut archive = pax::Reader::new(frames::Reader::new(file).map_err(reading)?);
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
