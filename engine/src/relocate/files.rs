//! Reading files, on all cores, and no more of each than has to be judged as a whole.
//!
//! Owns the division of the work: small files are read and examined at once; larger ones are searched through a window that
//! stays in the processor's cache, in parts where they are very large, and only one in which something was found, or which
//! has members, is read whole. Changes no file, but for a moment the mode of one that its owner may not read.

use super::content::{Examined, Examiner};
use super::embedded;
use super::error::Error;
use super::layout::{self, Kind};
use super::tree::{Entry, libc_nofollow, make_writable};
use super::zip;
use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io::{BufReader, Read};
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Files up to this size (bytes) are read whole.
const SMALL: usize = 512 << 10;
/// Length of the window (bytes) through which larger files are searched.
const WINDOW: usize = 256 << 10;
/// Above this size (bytes) a file is searched by several threads, each in parts of this size.
const PART: usize = 16 << 20;
/// Files up to this size (bytes) share a buffer, one for each thread.
const KEPT: usize = 8 << 20;

/// The header of a stream is looked for in so many bytes.
const STREAM_HEAD: usize = 1 << 10;
/// So many bytes are unpacked of the streams in a part; where there are more, the file is read whole, which counts them.
const MOST_UNPACKED: usize = 256 << 20;

/// What the threads that search one file tell each other.
struct Shared {
    /// Parts that are not yet searched.
    left: AtomicUsize,
    /// Whether the file has to be read whole.
    suspect: AtomicBool,
}

/// A part of a file to be searched.
struct Job {
    file: usize,
    part: Range<usize>,
}

fn size_of(entry: &Entry) -> Result<usize, Error> {
    usize::try_from(entry.meta.len()).map_err(|_| Error::TooLarge(entry.path.clone()))
}

/// Examines files on all cores; by index in `files`, those in which something was found.
///
/// # Errors
/// What cannot be read.
pub fn examine(examiner: &Examiner, files: &[&Entry]) -> Result<BTreeMap<usize, Examined>, Error> {
    let mut jobs = Vec::new();
    let mut shared = Vec::with_capacity(files.len());
    for (file, entry) in files.iter().enumerate() {
        let size = size_of(entry)?;
        // One that must be made readable first is opened once.
        let step = if entry.meta.mode() & 0o400 == 0 { size.max(1) } else { PART };
        let parts = (0..size).step_by(step).map(|from| Job { file, part: from..size.min(from + step) });
        let before = jobs.len();
        jobs.extend(parts);
        shared.push(Shared { left: AtomicUsize::new(jobs.len() - before), suspect: AtomicBool::new(false) });
    }
    // The largest first: one that comes last would keep a single core busy.
    jobs.sort_by_key(|job| (std::cmp::Reverse(files[job.file].meta.len()), job.file, job.part.start));
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Ok(BTreeMap::new()));
    let work = || {
        // Kept from file to file: fresh pages cost the kernel more than filling them.
        let mut buffer = Vec::new();
        while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            let outcome = examine_part(examiner, files[job.file], &shared[job.file], job, &mut buffer);
            let Ok(mut results) = results.lock() else { return };
            match (&mut *results, outcome) {
                (Ok(all), Ok(outcome)) if !outcome.is_clean() => {
                    all.insert(job.file, outcome);
                }
                (all @ Ok(_), Err(error)) => *all = Err(error),
                _ => {}
            }
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 1..cores.min(jobs.len()) {
            scope.spawn(work);
        }
        work();
    });
    results.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn open(path: &Path, meta: &Metadata) -> Result<File, Error> {
    let _open = make_writable(path, meta, 0o400)?;
    let mut options = File::options();
    options.read(true);
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc_nofollow());
    options.open(path).map_err(Error::io("open", path))
}

/// All of a file.
///
/// # Errors
/// That it cannot be read.
pub fn contents(path: &Path) -> Result<Vec<u8>, Error> {
    let meta = path.symlink_metadata().map_err(Error::io("look at", path))?;
    let mut bytes = Vec::new();
    open(path, &meta)?.read_to_end(&mut bytes).map_err(Error::io("read", path))?;
    Ok(bytes)
}

/// Searches a part of a file; whoever is done with the last one examines it, if it has to be.
fn examine_part(
    examiner: &Examiner,
    entry: &Entry,
    shared: &Shared,
    job: &Job,
    buffer: &mut Vec<u8>,
) -> Result<Examined, Error> {
    let path = &entry.path;
    let size = size_of(entry)?;
    let file = open(path, &entry.meta)?;
    let data = data_ranges(&file, &entry.meta, size).map_err(Error::io("find the holes of", path))?;
    if size > SMALL {
        if !shared.suspect.load(Ordering::Relaxed)
            && is_suspect(examiner, &file, &data, size, &job.part, buffer).map_err(Error::io("read", path))?
        {
            shared.suspect.store(true, Ordering::Relaxed);
        }
        let is_last = shared.left.fetch_sub(1, Ordering::AcqRel) == 1;
        if !is_last || !shared.suspect.load(Ordering::Relaxed) {
            return Ok(Examined::default());
        }
    }
    let mut large = Vec::new();
    let bytes = if size > KEPT { &mut large } else { buffer };
    read(&file, &data, size, bytes).map_err(Error::io("read", path))?;
    let data: Vec<Range<usize>> =
        data.into_iter().map(|range| range.start.min(bytes.len())..range.end.min(bytes.len())).collect();
    Ok(examiner.examine(bytes, &data))
}

/// The ranges of a file that are not holes.
fn data_ranges(file: &File, meta: &Metadata, size: usize) -> std::io::Result<Vec<Range<usize>>> {
    let whole = std::iter::once(0..size).collect();
    if meta.blocks().saturating_mul(512) >= meta.len() {
        return Ok(whole);
    }
    let mut ranges = Vec::new();
    let mut at = 0;
    let as_offset = |at: u64| usize::try_from(at).unwrap_or(size).min(size);
    loop {
        let start = match rustix::fs::seek(file, rustix::fs::SeekFrom::Data(at)) {
            Ok(start) => start,
            Err(rustix::io::Errno::NXIO) => break,
            Err(rustix::io::Errno::INVAL) => return Ok(whole),
            Err(error) => return Err(error.into()),
        };
        let end = rustix::fs::seek(file, rustix::fs::SeekFrom::Hole(start))?;
        ranges.push(as_offset(start)..as_offset(end));
        at = end;
    }
    Ok(ranges)
}

/// Reads the data of a file into `bytes`, as much as there is; the holes of a sparse one stay untouched zero pages.
fn read(file: &File, data: &[Range<usize>], size: usize, bytes: &mut Vec<u8>) -> std::io::Result<()> {
    if data.len() == 1 && data[0].len() == size {
        bytes.clear();
        bytes.reserve_exact(size);
        while bytes.len() < size {
            let (at, room) = (bytes.len() as u64, size - bytes.len());
            // Into memory that nobody has cleared. The buffer may be larger than the file.
            let before = bytes.len();
            match rustix::io::pread(file, rustix::buffer::spare_capacity(bytes), at) {
                Ok(0) => break,
                Ok(got) => bytes.truncate(before + got.min(room)),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        return Ok(());
    }
    *bytes = vec![0; size];
    for range in data {
        file.read_exact_at(&mut bytes[range.clone()], range.start as u64)?;
    }
    Ok(())
}

/// Whether a file has to be read whole, as far as this part of it tells.
fn is_suspect(
    examiner: &Examiner,
    file: &File,
    data: &[Range<usize>],
    size: usize,
    part: &Range<usize>,
    buffer: &mut Vec<u8>,
) -> std::io::Result<bool> {
    let end = zip::TAIL.min(size);
    buffer.resize(WINDOW.max(end), 0);
    let head = &mut buffer[..layout::HEAD.min(size)];
    file.read_exact_at(head, 0)?;
    let code = if layout::is_elf(head) {
        match layout::code_of(file) {
            Some(code) => code,
            None => return Ok(true),
        }
    } else if Examiner::is_flat(head) {
        Vec::new()
    } else {
        return Ok(true);
    };
    if part.end == size {
        let tail = &mut buffer[..end];
        file.read_exact_at(tail, (size - end) as u64)?;
        if zip::may_end(tail) {
            return Ok(true);
        }
    }
    // What lies across the end of a part is found in both.
    let until = size.min(part.end + examiner.overlap());
    let mut unpacked = 0;
    for range in data {
        let range = range.start.max(part.start)..range.end.min(until);
        let mut at = range.start;
        while at < range.end {
            let window = &mut buffer[..WINDOW.min(range.end - at)];
            file.read_exact_at(window, at as u64)?;
            if examiner.is_suspect_beside_streams(window)
                || code.iter().any(|(code, kind)| is_in(examiner, window, at, code, *kind))
            {
                return Ok(true);
            }
            let is_code = |start: usize| code.iter().any(|(code, _)| code.contains(&(at + start)));
            for (start, what) in embedded::starts(window, is_code) {
                let start = at + start;
                let embedded::Start::Stream(format) = what else { return Ok(true) };
                let mut head = vec![0; STREAM_HEAD.min(size - start)];
                file.read_exact_at(&mut head, start as u64)?;
                let behind = |by: usize| BufReader::new(Behind { file, at: (start + by) as u64 });
                let (is_suspect, len) = examiner.judge_stream(format, &head, behind);
                unpacked += len;
                if is_suspect || unpacked > MOST_UNPACKED {
                    return Ok(true);
                }
            }
            let is_last = at + window.len() == range.end;
            at += window.len() - if is_last { 0 } else { examiner.overlap() };
        }
    }
    Ok(false)
}

/// A file from a place on, whatever else is read of it.
struct Behind<'a> {
    file: &'a File,
    at: u64,
}

impl Read for Behind<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let got = self.file.read_at(into, self.at)?;
        self.at += got as u64;
        Ok(got)
    }
}

/// Whether the code in a window, which begins at `at` of the file, holds a constant that is to be judged.
fn is_in(examiner: &Examiner, window: &[u8], at: usize, code: &Range<usize>, kind: Kind) -> bool {
    let from = code.start.max(at).min(at + window.len()) - at;
    let to = code.end.max(at).min(at + window.len()) - at;
    from < to && examiner.has_constant(window, from..to, kind)
}
