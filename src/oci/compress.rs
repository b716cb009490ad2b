//! Compressing layers on all processors: an archive is cut into pieces of one size, each a gzip member or a zstd frame of
//! its own. Readers of both formats take such pieces one after the other for one stream, and the bytes depend neither on
//! the number of threads nor on their speed.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::str::FromStr;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Scope;

use libdeflater::{CompressionLvl, Compressor};

use super::blob::{self, Hashing, Written};

/// Bytes of a piece before compression.
const PIECE: usize = 1 << 20;

/// Pieces of a layer that are under way at once.
const UNDER_WAY: usize = 4;

const GZIP_LEVEL: i32 = 6;
const ZSTD_LEVEL: i32 = 3;

/// How layers are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// What every reader of images knows.
    #[default]
    Gzip,
    /// Smaller and quicker, for readers since about 2021.
    Zstd,
    /// Not at all.
    None,
}

impl FromStr for Compression {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "gzip" => Ok(Self::Gzip),
            "zstd" => Ok(Self::Zstd),
            "none" => Ok(Self::None),
            _ => Err("name gzip, zstd or none".to_owned()),
        }
    }
}

impl Compression {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::None => "none",
        }
    }

    /// The media type of a layer.
    pub fn media_type(self) -> String {
        match self {
            Self::None => blob::LAYER.to_owned(),
            _ => format!("{}+{}", blob::LAYER, self.word()),
        }
    }
}

struct Piece {
    plain: Vec<u8>,
    reply: SyncSender<io::Result<Vec<u8>>>,
}

/// Threads that compress pieces; they end when this is dropped.
pub struct Pool {
    pieces: Option<Sender<Piece>>,
}

impl Pool {
    /// Starts so many threads.
    pub fn start<'scope>(scope: &'scope Scope<'scope, '_>, compression: Compression, threads: usize) -> Self {
        if compression == Compression::None {
            return Self { pieces: None };
        }
        let (pieces, waiting) = channel::<Piece>();
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..threads {
            let waiting = Arc::clone(&waiting);
            scope.spawn(move || serve(compression, &waiting));
        }
        Self { pieces: Some(pieces) }
    }
}

fn serve(compression: Compression, waiting: &Mutex<Receiver<Piece>>) {
    let mut compressor = Compressor::new(CompressionLvl::new(GZIP_LEVEL).unwrap_or_default());
    loop {
        let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Piece { plain, reply }) = next else { return };
        let result = match compression {
            Compression::Gzip => gzip(&mut compressor, &plain),
            _ => zstd::bulk::compress(&plain, ZSTD_LEVEL),
        };
        // Where nobody waits any more the layer has failed, which is told there.
        let _ = reply.send(result);
    }
}

/// A member without a name and with the time 0.
fn gzip(compressor: &mut Compressor, plain: &[u8]) -> io::Result<Vec<u8>> {
    let mut packed = vec![0; compressor.gzip_compress_bound(plain.len())];
    let len = compressor.gzip_compress(plain, &mut packed).map_err(io::Error::other)?;
    packed.truncate(len);
    Ok(packed)
}

/// A layer being written: takes an archive, gives the blob to `W`.
pub struct Layer<'a, W: Write> {
    pool: &'a Pool,
    plain: Hashing<io::Sink>,
    piece: Vec<u8>,
    under_way: VecDeque<Receiver<io::Result<Vec<u8>>>>,
    out: Hashing<W>,
}

impl<'a, W: Write> Layer<'a, W> {
    /// A layer that `pool` compresses.
    pub fn new(pool: &'a Pool, out: W) -> Self {
        let piece = Vec::with_capacity(PIECE);
        Self { pool, plain: Hashing::new(io::sink()), piece, under_way: VecDeque::new(), out: Hashing::new(out) }
    }

    /// Writes what is left, and tells what the layer is.
    ///
    /// # Errors
    /// Those of the output.
    pub fn finish(mut self) -> io::Result<(W, Written)> {
        self.pass_on()?;
        while !self.under_way.is_empty() {
            self.take_back()?;
        }
        let (_, diff_id, _) = self.plain.finish();
        let (out, digest, size) = self.out.finish();
        Ok((out, Written { digest, size, diff_id }))
    }

    fn pass_on(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        self.plain.write_all(&self.piece)?;
        let plain = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE));
        let Some(pieces) = &self.pool.pieces else { return self.out.write_all(&plain) };
        let (reply, result) = sync_channel(1);
        pieces.send(Piece { plain, reply }).map_err(|_| gone())?;
        self.under_way.push_back(result);
        if self.under_way.len() >= UNDER_WAY { self.take_back() } else { Ok(()) }
    }

    fn take_back(&mut self) -> io::Result<()> {
        let Some(result) = self.under_way.pop_front() else { return Ok(()) };
        let packed = result.recv().map_err(|_| gone())??;
        self.out.write_all(&packed)
    }
}

fn gone() -> io::Error {
    io::Error::other("a thread that compresses has ended")
}

impl<W: Write> Write for Layer<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(PIECE - self.piece.len());
        self.piece.extend_from_slice(&bytes[..taken]);
        if self.piece.len() == PIECE {
            self.pass_on()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn written(compression: Compression, threads: usize, plain: &[u8]) -> (Vec<u8>, Written) {
        std::thread::scope(|scope| {
            let pool = Pool::start(scope, compression, threads);
            let mut layer = Layer::new(&pool, Vec::new());
            for bytes in plain.chunks(300_000) {
                layer.write_all(bytes).expect("taken");
            }
            layer.finish().expect("written")
        })
    }

    #[test]
    fn the_bytes_are_those_of_any_number_of_threads_and_unpack_to_the_archive() {
        let plain: Vec<u8> = (0..5_000_000u32).flat_map(|n| (n / 7).to_le_bytes()).take(7 * PIECE + 5).collect();
        for compression in [Compression::Gzip, Compression::Zstd, Compression::None] {
            let (packed, one) = written(compression, 1, &plain);
            assert_eq!((packed.clone(), one.clone()), written(compression, 3, &plain));
            let mut unpacked = Vec::new();
            match compression {
                Compression::Gzip => flate2::read::MultiGzDecoder::new(&packed[..]).read_to_end(&mut unpacked),
                Compression::Zstd => zstd::Decoder::new(&packed[..]).expect("made").read_to_end(&mut unpacked),
                Compression::None => (&packed[..]).read_to_end(&mut unpacked),
            }
            .expect("unpacked");
            assert!(unpacked == plain, "{compression:?}");
            let expected =
                Written { digest: blob::digest(&packed), size: packed.len() as u64, diff_id: blob::digest(&plain) };
            assert_eq!(one, expected);
        }
    }
}
