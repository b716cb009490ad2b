//! zstd in frames of a fixed size: the same input gives the same bytes on every machine, however many
//! processors help, and any `zstd -d` reads them.
//!
//! Compressed output is also where store hashes hide from Nix, which scans outputs for them: a state must not
//! hold on to the build's whole closure. zstd alone does not promise that, because it copies literals that do not
//! shrink, and a 32-byte hash can be among them. So every frame is searched for runs that could be a hash;
//! where one is left, the frame is compressed again with a block boundary in the middle of that hash.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use zstd::bulk::Compressor;
use zstd::stream::raw::CParameter;

pub use reader::{Bytes, Reader};

mod reader;

/// Input bytes per frame. Part of the format's reproducibility: another size, other bytes.
const FRAME: usize = 4 << 20;

/// zstd's level: states are written far more often than they are sent.
const LEVEL: i32 = 1;

/// Length of the hash part of a store path.
const HASH: usize = 32;

/// A writer that compresses what it gets. Memory: [`FRAME`] bytes, twice, for each frame on its way, at most ten.
pub struct Writer<W: Write> {
    out: W,
    written: u64,
    pending: Vec<u8>,
    running: VecDeque<Receiver<io::Result<Done>>>,
    /// Buffers that are free again: fresh ones cost a page fault for every 4 KiB.
    chunks: Vec<Vec<u8>>,
    packed: Vec<Vec<u8>>,
    jobs: Arc<Mutex<Receiver<Job>>>,
    queue: Sender<Job>,
    threads: Vec<JoinHandle<()>>,
    /// As many threads compress at most.
    workers: usize,
}

/// A chunk to compress, an empty buffer for the frame, and where both go then.
struct Job(Vec<u8>, Vec<u8>, Sender<io::Result<Done>>);

/// A chunk and its frame.
struct Done(Vec<u8>, Vec<u8>);

impl<W: Write> Writer<W> {
    /// Compresses to `out` with as many threads as there are processors, at most 8.
    pub fn new(out: W) -> Self {
        let workers = thread::available_parallelism().map_or(1, usize::from).min(8);
        let (queue, jobs) = channel();
        Self {
            out,
            written: 0,
            pending: Vec::new(),
            running: VecDeque::new(),
            chunks: Vec::new(),
            packed: Vec::new(),
            jobs: Arc::new(Mutex::new(jobs)),
            queue,
            threads: Vec::new(),
            workers,
        }
    }

    /// Writes what is left and gives `out` back, with the number of compressed bytes.
    ///
    /// # Errors
    /// Those of `out`, and zstd running out of memory.
    pub fn finish(mut self) -> io::Result<(W, u64)> {
        // No input at all still makes a frame: an empty file is nothing that zstd reads.
        if !self.pending.is_empty() || (self.written == 0 && self.running.is_empty()) {
            self.start()?;
        }
        while !self.running.is_empty() {
            self.collect()?;
        }
        self.out.flush()?;
        Ok((self.out, self.written))
    }

    fn start(&mut self) -> io::Result<()> {
        // Two more than there are threads, so that none waits for the next input.
        if self.running.len() >= self.workers + 2 {
            self.collect()?;
        }
        if self.threads.len() < self.workers {
            let jobs = Arc::clone(&self.jobs);
            self.threads.push(thread::Builder::new().name("zstd".into()).spawn(move || work(&jobs))?);
        }
        let chunk = std::mem::replace(&mut self.pending, self.chunks.pop().unwrap_or_default());
        let (sender, receiver) = channel();
        let job = Job(chunk, self.packed.pop().unwrap_or_default(), sender);
        self.queue.send(job).map_err(|_| lost())?;
        self.running.push_back(receiver);
        Ok(())
    }

    fn collect(&mut self) -> io::Result<()> {
        if let Some(running) = self.running.pop_front() {
            let Done(mut chunk, frame) = running.recv().map_err(|_| lost())??;
            self.out.write_all(&frame)?;
            self.written += frame.len() as u64;
            chunk.clear();
            self.chunks.push(chunk);
            self.packed.push(frame);
        }
        Ok(())
    }
}

fn lost() -> io::Error {
    io::Error::other("a compression thread died")
}

/// Compresses chunk after chunk, until the writer is gone.
fn work(jobs: &Mutex<Receiver<Job>>) {
    let mut compressor = compressor();
    loop {
        let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job(chunk, mut frame, done)) = next else { return };
        let result = match &mut compressor {
            Ok(compressor) => pack(compressor, &chunk, &mut frame),
            Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
        };
        // A writer that has failed asks for nothing any more.
        let _ = done.send(result.map(|()| Done(chunk, frame)));
    }
}

impl<W: Write> Write for Writer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(FRAME - self.pending.len());
        self.pending.extend_from_slice(&bytes[..taken]);
        if self.pending.len() == FRAME {
            self.start()?;
        }
        Ok(taken)
    }

    /// Does nothing: a frame ends where its size says, or reproducibility is gone.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn compressor() -> io::Result<Compressor<'static>> {
    let mut compressor = Compressor::new(LEVEL)?;
    // The checksum is how a damaged layer is noticed before its content is used.
    compressor.set_parameter(CParameter::ChecksumFlag(true))?;
    Ok(compressor)
}

/// One frame that shows no hash of its content.
fn pack(compressor: &mut Compressor, chunk: &[u8], frame: &mut Vec<u8>) -> io::Result<()> {
    frame.clear();
    frame.reserve(zstd::zstd_safe::compress_bound(chunk.len()));
    compressor.compress_to_buffer(chunk, frame)?;
    let mut cuts = BTreeSet::new();
    // Each round cuts every place where a hash that showed occurs; three rounds are more than any real
    // tree has needed, and the last resort below needs none.
    for _ in 0..3 {
        let shown: HashSet<[u8; HASH]> = windows(frame).map(|(_, window)| window).collect();
        let known = cuts.len();
        if !shown.is_empty() {
            cuts.extend(windows(chunk).filter(|(_, w)| shown.contains(w)).map(|(at, _)| at + HASH / 2));
        }
        if cuts.len() == known {
            // What looks like a hash is no part of the content: chance, or literals from different places.
            return Ok(());
        }
        *frame = compress(chunk, &cuts)?;
    }
    let everywhere = windows(chunk).map(|(at, _)| at + HASH / 2).filter(|at| at % (HASH / 2) == 0);
    cuts.extend(everywhere);
    *frame = compress(chunk, &cuts)?;
    Ok(())
}

/// One frame with block boundaries at the cuts.
fn compress(chunk: &[u8], cuts: &BTreeSet<usize>) -> io::Result<Vec<u8>> {
    let mut encoder = zstd::Encoder::new(Vec::with_capacity(chunk.len() / 2 + 64), LEVEL)?;
    encoder.include_checksum(true)?;
    encoder.set_parameter(CParameter::ContentSizeFlag(true))?;
    encoder.set_pledged_src_size(Some(chunk.len() as u64))?;
    let mut from = 0;
    for &cut in cuts {
        encoder.write_all(&chunk[from..cut])?;
        encoder.flush()?;
        from = cut;
    }
    encoder.write_all(&chunk[from..])?;
    encoder.finish()
}

/// Every window of [`HASH`] bytes that could be a hash to Nix, with its offset: all bytes of the nix-base32
/// alphabet. Looks at one byte in 32 of data that has none.
fn windows(bytes: &[u8]) -> impl Iterator<Item = (usize, [u8; HASH])> + '_ {
    let mut at = 0;
    // Bytes of the current window known to be good, counted from its start.
    let mut good = 0;
    std::iter::from_fn(move || {
        while let Some(window) = bytes.get(at..).and_then(|rest| rest.first_chunk::<HASH>()) {
            if let Some(bad) = window[good..].iter().rposition(|byte| !is_base32(*byte)) {
                at += good + bad + 1;
                good = 0;
            } else {
                let found = (at, *window);
                at += 1;
                good = HASH - 1;
                return Some(found);
            }
        }
        None
    })
}

/// The alphabet of Nix hashes: digits and lower-case letters without e, o, t and u.
fn is_base32(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'z') && !matches!(byte, b'e' | b'o' | b't' | b'u')
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn all(bytes: &[u8]) -> (Vec<u8>, u64) {
        let mut writer = Writer::new(Vec::new());
        writer.write_all(bytes).unwrap();
        writer.finish().unwrap()
    }

    fn unpacked(bytes: &[u8]) -> Vec<u8> {
        let mut content = Vec::new();
        zstd::Decoder::new(bytes).unwrap().read_to_end(&mut content).unwrap();
        content
    }

    /// Bytes that do not compress, the same in every run.
    fn noise(len: usize, seed: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; len];
        blake3::Hasher::new().update(seed).finalize_xof().fill(&mut bytes);
        bytes
    }

    #[test]
    fn several_frames_read_as_one() {
        for len in [0, 1, FRAME - 1, FRAME, FRAME + 1, 3 * FRAME + 5] {
            let content = noise(len, b"frames");
            let (packed, written) = all(&content);
            assert_eq!(written, packed.len() as u64);
            assert!(unpacked(&packed) == content, "{len}");
        }
    }

    #[test]
    fn pieces_of_any_size_give_the_same_bytes() {
        let content = noise(FRAME + 100, b"pieces").repeat(2);
        let mut writer = Writer::new(Vec::new());
        for piece in content.chunks(777) {
            writer.write_all(piece).unwrap();
        }
        assert!(writer.finish().unwrap() == all(&content));
    }

    #[test]
    fn windows_are_found_where_they_are() {
        let hash = b"0123456789abcdfghijklmnpqrsvwxyz";
        let bytes = [b"/nix/store/", &hash[..], b"-E", &hash[..31], b"e", hash, b"ab"].concat();
        let found: Vec<usize> = windows(&bytes).map(|(at, _)| at).collect();
        assert_eq!(found, [11, 77, 78, 79]);
        assert_eq!(windows(hash).count(), 1);
        assert_eq!(windows(&hash[..31]).count(), 0);
    }

    #[test]
    fn no_hash_of_the_content_shows() {
        let alphabet = b"0123456789abcdfghijklmnpqrsvwxyz";
        let hash = |seed: usize| -> Vec<u8> {
            let bits = noise(HASH, format!("hash {seed}").as_bytes());
            bits.iter().map(|byte| alphabet[usize::from(byte % 32)]).collect()
        };
        let mut plain_zstd_shows = false;
        for count in [1, 2, 5, 100, 3000] {
            let mut content = Vec::new();
            for seed in 0..count {
                content.extend(noise(300, format!("noise {seed}").as_bytes()));
                content.extend(b"/nix/store/");
                content.extend(hash(seed));
                content.extend(b"-glibc/lib:");
            }
            let (packed, _) = all(&content);
            assert!(unpacked(&packed) == content);
            let hashes: HashSet<Vec<u8>> = (0..count).map(hash).collect();
            let shows = |bytes: &[u8]| windows(bytes).any(|(_, w)| hashes.contains(&w[..]));
            assert!(!shows(&packed), "{count}");
            plain_zstd_shows |= shows(&compress(&content, &BTreeSet::new()).unwrap());
        }
        assert!(plain_zstd_shows, "zstd hides hashes by itself: is this module still needed?");
    }
}
