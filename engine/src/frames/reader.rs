//! Decompressing what [`Writer`](super::Writer) makes, frame by frame on threads of its own, a bit ahead of who reads; and
//! whatever else `zstd` makes, on one of them.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Chain, Cursor, Read};
use std::ops::{Deref, Range};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::{thread, vec};

use zstd::zstd_safe::{self, DCtx, DParameter};

use super::FRAME;

/// The largest window (2^23 bytes) that a frame may ask a reader's memory for: what RFC 8878 wants every reader to have. Ours
/// need half of it.
const WINDOW_LOG: u32 = 23;

/// How many bytes are read of the file at a time, and are given where it is decompressed as a stream.
const PIECE: usize = 1 << 18;

/// How many pieces wait for who reads; a piece is a frame at most, and each thread has one more in hand.
const AHEAD: usize = 2;

/// More threads than this decompress faster than files can be made.
const THREADS: usize = 4;

/// Reads a compressed file, decompressed.
pub struct Reader {
    /// One for each piece, in their order, before the piece is there.
    pieces: Receiver<Receiver<Decoded>>,
    piece: Arc<Piece>,
    at: usize,
    /// What comes after `piece`, if not another one.
    failure: Option<io::Error>,
    ended: bool,
}

/// What was decompressed at once. Its memory goes back to be used again: fresh memory costs a page fault for every 4 KiB.
#[derive(Default)]
struct Piece(Vec<u8>, Option<Sender<Vec<u8>>>);

/// A piece, and what went wrong after it.
struct Decoded(Piece, io::Result<()>);

impl Drop for Piece {
    fn drop(&mut self) {
        if let Some(home) = &self.1 {
            // Where nobody waits for it, it is freed.
            let _ = home.send(std::mem::take(&mut self.0));
        }
    }
}

/// Bytes that were read, without a copy where they lie in one piece.
#[derive(Clone)]
pub struct Bytes(Arc<Piece>, Range<usize>);

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0.0[self.1.clone()]
    }
}

impl Bytes {
    /// The first `at` of them, or all where they are fewer, and the rest.
    pub fn split(self, at: usize) -> (Self, Self) {
        let Self(piece, Range { start, end }) = self;
        let at = start.saturating_add(at).min(end);
        (Self(Arc::clone(&piece), start..at), Self(piece, at..end))
    }
}

impl Reader {
    /// Reads a file of `len` bytes from its beginning to its end.
    ///
    /// # Errors
    /// No thread.
    pub fn new(file: File, len: u64) -> io::Result<Self> {
        // What is short is one frame.
        let threads = if len <= PIECE as u64 { 1 } else { processors() };
        Self::with(vec![file], threads, true)
    }

    /// Reads files one after the other, each to its end and then on with [`Reader::next_file`]. Leaves the frames' own
    /// checksums alone: for content that has better ones, which who reads compares. They cost a tenth of the decompression.
    ///
    /// # Errors
    /// No thread.
    pub fn of_all(files: Vec<File>) -> io::Result<Self> {
        Self::with(files, processors(), false)
    }

    fn with(files: Vec<File>, threads: usize, are_checked: bool) -> io::Result<Self> {
        let (sender, pieces) = sync_channel(AHEAD);
        let (home, free) = channel();
        let mut files = files.into_iter();
        let file = files.next();
        let source = Source { file, files, input: Vec::new(), at: 0, rest: None, free, home, sender };
        let source = Arc::new(Mutex::new(Some(source)));
        for _ in 0..threads {
            let source = Arc::clone(&source);
            thread::Builder::new().name("unzstd".into()).spawn(move || decode(&source, are_checked))?;
        }
        Ok(Self { pieces, piece: Arc::default(), at: 0, failure: None, ended: false })
    }

    /// Goes on with the next file, which there must be, after this one has ended.
    pub fn next_file(&mut self) {
        self.ended = false;
    }

    /// The next `len` bytes.
    ///
    /// # Errors
    /// Those of reading; `UnexpectedEof` where there are fewer.
    pub fn whole(&mut self, len: usize) -> io::Result<Bytes> {
        if self.fill_buf()?.len() >= len {
            let start = self.at;
            self.at += len;
            return Ok(Bytes(Arc::clone(&self.piece), start..self.at));
        }
        let mut copy = vec![0; len];
        self.read_exact(&mut copy)?;
        Ok(Bytes(Arc::new(Piece(copy, None)), 0..len))
    }

    /// The next bytes, as many as lie there in one piece, at least one and at most `most`.
    ///
    /// # Errors
    /// Those of reading; `UnexpectedEof` where there are none.
    pub fn part(&mut self, most: usize) -> io::Result<Bytes> {
        let there = self.fill_buf()?.len().min(most);
        if there == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { self.whole(there) }
    }

    /// Goes on after the next `len` bytes.
    ///
    /// # Errors
    /// As for [`Reader::whole`].
    pub fn skip(&mut self, mut len: usize) -> io::Result<()> {
        while len > 0 {
            let there = self.fill_buf()?.len().min(len);
            if there == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.consume(there);
            len -= there;
        }
        Ok(())
    }
}

impl BufRead for Reader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.at == self.piece.0.len() && !self.ended {
            if let Some(failure) = self.failure.take() {
                return Err(failure);
            }
            let next = self.pieces.recv().and_then(|next| next.recv());
            let Decoded(piece, result) = next.map_err(|_| super::lost())?;
            self.ended = piece.0.is_empty() && result.is_ok();
            (self.piece, self.at, self.failure) = (Arc::new(piece), 0, result.err());
        }
        Ok(&self.piece.0[self.at..])
    }

    fn consume(&mut self, amount: usize) {
        self.at = self.piece.0.len().min(self.at + amount);
    }
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut bytes = self.fill_buf()?;
        let read = bytes.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}

/// What was read already, and the rest of a file, as a stream.
type Stream = zstd::Decoder<'static, BufReader<Chain<Cursor<Vec<u8>>, File>>>;

/// The files, and the order of what comes of them: who takes a frame says that its piece comes next, and lets the others go
/// on.
struct Source {
    /// The one that is read, while there is one,
    file: Option<File>,
    /// and those after it.
    files: vec::IntoIter<File>,
    /// What was read of the file,
    input: Vec<u8>,
    /// and where in that the next frame begins.
    at: usize,
    /// What is left from the first frame on that [`Writer`](super::Writer) would not have made, which may be a damaged one.
    rest: Option<Stream>,
    /// Buffers that are free again,
    free: Receiver<Vec<u8>>,
    /// and where they come from.
    home: Sender<Vec<u8>>,
    sender: SyncSender<Receiver<Decoded>>,
}

/// What comes next.
enum Next {
    /// A frame that becomes so many bytes, for anyone to decompress: it is in the buffer.
    Frame(usize),
    /// Bytes of the stream: they are in the piece.
    Stream,
    /// The end of a file: an empty piece.
    End,
}

/// Decompresses one piece after the other, until there are no more, or nobody wants them.
fn decode(source: &Mutex<Option<Source>>, are_checked: bool) {
    let mut decoder = DCtx::create();
    if !are_checked {
        // Where it cannot be set, they are looked at.
        let _ = decoder.set_parameter(DParameter::ForceIgnoreChecksum(true));
    }
    let mut frame = Vec::new();
    loop {
        let mut guard = source.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(open) = guard.as_mut() else { return };
        let mut piece = Piece(open.free.try_recv().unwrap_or_default(), Some(open.home.clone()));
        piece.0.clear();
        let next = open.next(&mut frame, &mut piece.0);
        let (done, receiver) = channel();
        // Nobody receives it who has read enough.
        let is_wanted = open.sender.send(receiver).is_ok();
        if next.is_err() || open.file.is_none() || !is_wanted {
            *guard = None;
        }
        drop(guard);
        let result = match next {
            Ok(Next::Frame(size)) => unpack(&mut decoder, &frame, size, &mut piece.0),
            Ok(Next::Stream | Next::End) => Ok(()),
            Err(error) => Err(error),
        };
        let _ = done.send(Decoded(piece, result));
    }
}

/// Decompresses a frame in one step; where that fails, as far as it goes.
fn unpack(decoder: &mut DCtx<'static>, frame: &[u8], size: usize, piece: &mut Vec<u8>) -> io::Result<()> {
    piece.reserve(size);
    if decoder.decompress(piece, frame) == Ok(size) {
        return Ok(());
    }
    piece.clear();
    let mut stream = zstd::Decoder::new(frame)?;
    stream.window_log_max(WINDOW_LOG)?;
    stream.take(FRAME as u64 + 1).read_to_end(piece)?;
    Err(io::Error::new(io::ErrorKind::InvalidData, "a frame is not as long as it says"))
}

impl Source {
    /// Takes the next frame out of the file, or some of what becomes of the stream.
    fn next(&mut self, frame: &mut Vec<u8>, piece: &mut Vec<u8>) -> io::Result<Next> {
        if self.rest.is_none() {
            if let Some((len, size)) = self.frame()? {
                frame.clear();
                frame.extend_from_slice(&self.input[self.at..self.at + len]);
                self.at += len;
                return Ok(Next::Frame(size));
            }
            if let Some(file) = self.file.as_ref().filter(|_| self.at < self.input.len()) {
                let input = Cursor::new(self.input.split_off(self.at));
                let mut rest = zstd::Decoder::new(input.chain(file.try_clone()?))?;
                rest.window_log_max(WINDOW_LOG)?;
                self.rest = Some(rest);
            }
        }
        if let Some(rest) = &mut self.rest {
            piece.reserve(PIECE);
            if rest.take(PIECE as u64).read_to_end(piece)? > 0 {
                return Ok(Next::Stream);
            }
        }
        (self.file, self.rest, self.at) = (self.files.next(), None, 0);
        self.input.clear();
        Ok(Next::End)
    }

    /// The compressed and the decompressed length of the next frame; nothing where there is none that can be decompressed in
    /// one step.
    fn frame(&mut self) -> io::Result<Option<(usize, usize)>> {
        let most = zstd_safe::compress_bound(FRAME) + 64;
        let len = loop {
            let input = &self.input[self.at..];
            if let Ok(len) = zstd_safe::find_frame_compressed_size(input)
                && len > 0
            {
                break len;
            }
            if input.len() >= most || self.read_more()? == 0 {
                return Ok(None);
            }
        };
        let size = zstd_safe::get_frame_content_size(&self.input[self.at..self.at + len]).ok().flatten();
        let size = size.and_then(|size| usize::try_from(size).ok()).filter(|size| (1..=FRAME).contains(size));
        Ok(size.map(|size| (len, size)))
    }

    fn read_more(&mut self) -> io::Result<usize> {
        self.input.drain(..std::mem::take(&mut self.at));
        let Some(file) = &mut self.file else { return Ok(0) };
        file.take(PIECE as u64).read_to_end(&mut self.input)
    }
}

/// How many threads decompress.
fn processors() -> usize {
    thread::available_parallelism().map_or(1, usize::from).min(THREADS)
}
