//! The hash of content that comes in pieces: of a long one on a thread of its own, beside the one that reads and writes,
//! so that a single large file does not keep that one from its work. Knows no files.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

/// A piece has so many bytes at most.
const PIECE: usize = 1 << 19;

/// So many pieces are in use for one content: they bound the memory.
const PIECES: usize = 4;

/// A shorter content is hashed where it is, which is sooner done than a thread is started.
const LONG: u64 = 1 << 20;

/// A hash in the making.
pub struct Hashing(Way);

enum Way {
    Here { hasher: Box<blake3::Hasher>, free: Option<Vec<u8>> },
    Beside(Beside),
}

struct Beside {
    full: Sender<Vec<u8>>,
    free: Receiver<Vec<u8>>,
    /// How many pieces there are.
    made: usize,
    thread: JoinHandle<[u8; 32]>,
}

impl Hashing {
    /// Of a content with about so many bytes.
    ///
    /// # Errors
    /// No thread.
    pub fn new(len: u64) -> io::Result<Self> {
        if len < LONG {
            return Ok(Self(Way::Here { hasher: Box::default(), free: None }));
        }
        let (full, pieces) = channel::<Vec<u8>>();
        let (done, free) = channel();
        let hash = move || {
            let mut hasher = blake3::Hasher::new();
            for piece in pieces {
                hasher.update(&piece);
                // Who has all pieces it needs waits for none.
                let _ = done.send(piece);
            }
            *hasher.finalize().as_bytes()
        };
        let thread = thread::Builder::new().name("hash".into()).spawn(hash)?;
        Ok(Self(Way::Beside(Beside { full, free, made: 0, thread })))
    }

    /// A piece to fill with what comes next: `wanted` bytes, or fewer where that is too much for one.
    ///
    /// # Errors
    /// The thread is gone.
    pub fn piece(&mut self, wanted: u64) -> io::Result<Vec<u8>> {
        let mut piece = match &mut self.0 {
            Way::Here { free, .. } => free.take().unwrap_or_default(),
            Way::Beside(beside) => beside.piece()?,
        };
        piece.resize(usize::try_from(wanted).unwrap_or(PIECE).min(PIECE), 0);
        Ok(piece)
    }

    /// Takes a piece when it is no longer needed.
    ///
    /// # Errors
    /// The thread is gone.
    pub fn update(&mut self, piece: Vec<u8>) -> io::Result<()> {
        match &mut self.0 {
            Way::Here { hasher, free } => {
                hasher.update(&piece);
                *free = Some(piece);
                Ok(())
            }
            Way::Beside(beside) => beside.full.send(piece).map_err(|_| lost()),
        }
    }

    /// Takes a copy of what is not in a piece.
    ///
    /// # Errors
    /// The thread is gone.
    pub fn add(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let mut piece = self.piece(bytes.len() as u64)?;
            bytes.read_exact(&mut piece)?;
            self.update(piece)?;
        }
        Ok(())
    }

    /// The hash of all pieces.
    ///
    /// # Errors
    /// The thread is gone.
    pub fn finish(self) -> io::Result<[u8; 32]> {
        match self.0 {
            Way::Here { hasher, .. } => Ok(*hasher.finalize().as_bytes()),
            Way::Beside(Beside { full, thread, .. }) => {
                drop(full);
                thread.join().map_err(|_| lost())
            }
        }
    }
}

impl Beside {
    fn piece(&mut self) -> io::Result<Vec<u8>> {
        if let Ok(piece) = self.free.try_recv() {
            return Ok(piece);
        }
        if self.made < PIECES {
            self.made += 1;
            return Ok(Vec::with_capacity(PIECE));
        }
        self.free.recv().map_err(|_| lost())
    }
}

fn lost() -> io::Error {
    io::Error::other("the thread that hashes died")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_that_of_all_pieces() {
        for len in [0, 1, PIECE - 1, PIECE, 2 * PIECE, 9 * PIECE + 7] {
            let mut content = vec![0; len];
            blake3::Hasher::new().update(b"hashing").finalize_xof().fill(&mut content);
            // A guess at the length decides where, not what.
            for told in [0, u64::MAX] {
                let mut hashing = Hashing::new(told).unwrap();
                let (head, mut rest) = content.split_at(len / 3);
                hashing.add(head).unwrap();
                while !rest.is_empty() {
                    let mut piece = hashing.piece(rest.len() as u64).unwrap();
                    rest.read_exact(&mut piece).unwrap();
                    hashing.update(piece).unwrap();
                }
                assert_eq!(hashing.finish().unwrap(), *blake3::hash(&content).as_bytes(), "{len}");
            }
        }
    }
}
