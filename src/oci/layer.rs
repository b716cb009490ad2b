//! Writing a layer: a pax archive, compressed with gzip, which every reader of images knows.

use std::io::{self, Write};

use flate2::{Compression, GzBuilder};
use sha2::{Digest as _, Sha256};

use super::tree::Member;
use crate::inspect::State;
use crate::inspect::content::Spool;
use crate::state::pax;

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// SHA-256 of the compressed layer, hexadecimal.
    pub digest: String,
    /// Its length in bytes.
    pub size: u64,
    /// SHA-256 of the archive, hexadecimal.
    pub diff_id: String,
}

/// Writes the layer of `state` that has these members to `out`. Their content is in `spool`.
///
/// # Errors
/// Those of `out`.
pub fn write(state: &State, members: &[Member], spool: &Spool, out: &mut dyn Write) -> io::Result<Written> {
    // Level 6, no name and no time: the same archive gives the same bytes.
    let gzip = GzBuilder::new().write(Hashing::new(out), Compression::new(6));
    let mut archive = pax::Writer::new(Hashing::new(gzip));
    for member in members {
        let record = member.content.map(|index| (index, &state.records()[index]));
        archive.member(&member.entry, record.map_or(0, |(_, record)| record.data))?;
        if let Some((index, _)) = record {
            spool.stored(index, &mut archive)?;
        }
    }
    let (gzip, diff_id, _) = archive.finish()?.finish();
    let (_, digest, size) = gzip.finish()?.finish();
    Ok(Written { digest, size, diff_id })
}

/// Hashes and counts what is written.
struct Hashing<W> {
    out: W,
    hasher: Sha256,
    size: u64,
}

impl<W: Write> Hashing<W> {
    fn new(out: W) -> Self {
        Self { out, hasher: Sha256::new(), size: 0 }
    }

    fn finish(self) -> (W, String, u64) {
        (self.out, crate::inspect::json::hexadecimal(&self.hasher.finalize()), self.size)
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
