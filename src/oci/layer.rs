//! Writing a layer: a pax archive, compressed with gzip, which every reader of images knows.

use std::io::{self, Write};

use flate2::{Compression, GzBuilder};

use super::blob::{Hashing, Written};
use super::tree::Member;
use crate::inspect::State;
use crate::inspect::content::Spool;
use crate::state::pax;

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
