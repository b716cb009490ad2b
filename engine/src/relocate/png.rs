//! Images in PNG: the checksum of each chunk, and the picture that may lie in several of them.
//!
//! Owns the format (PNG, third edition, 5.3: length, type, data, CRC-32 of type and data). Only sums that were right before are
//! brought up to date.

use super::content::Edit;
use std::ops::Range;

const MAGIC: &[u8] = b"\x89PNG\r\n\x1a\n";

/// The chunks of an image, as ranges of type and data. Empty for anything else.
fn chunks(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut all = Vec::new();
    let mut at = if bytes.starts_with(MAGIC) { MAGIC.len() } else { bytes.len() };
    while let Some(len) = bytes.get(at..).and_then(|rest| rest.first_chunk()) {
        let end = usize::try_from(u32::from_be_bytes(*len)).ok().and_then(|len| (at + 8).checked_add(len));
        let Some(end) = end.filter(|end| end.checked_add(4).is_some_and(|sum| sum <= bytes.len())) else { break };
        all.push(at + 4..end);
        at = end + 4;
    }
    all
}

fn sum(bytes: &[u8]) -> [u8; 4] {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum().to_be_bytes()
}

/// Adds what keeps the checksums of the changed chunks right.
pub(super) fn checksums(bytes: &[u8], edits: &mut Vec<Edit>) {
    if edits.is_empty() {
        return;
    }
    for chunk in chunks(bytes) {
        let touches = |edit: &Edit| edit.at < chunk.end && chunk.start < edit.at + edit.bytes.len();
        let sum_at = chunk.end..chunk.end + 4;
        if !edits.iter().any(touches) || bytes[sum_at.clone()] != sum(&bytes[chunk.clone()]) {
            continue;
        }
        let mut content = bytes[chunk.clone()].to_vec();
        for edit in edits.iter().filter(|edit| touches(edit)) {
            for (i, byte) in edit.bytes.iter().enumerate() {
                if let Some(place) = (edit.at + i).checked_sub(chunk.start).and_then(|at| content.get_mut(at)) {
                    *place = *byte;
                }
            }
        }
        edits.push(Edit { at: sum_at.start, bytes: sum(&content).to_vec() });
    }
}

/// The data of a picture that lies in more than one chunk, joined, and where it begins.
pub(super) fn split_picture(bytes: &[u8]) -> Option<(usize, Vec<u8>)> {
    let data: Vec<Range<usize>> =
        chunks(bytes).into_iter().filter(|chunk| bytes[chunk.clone()].starts_with(b"IDAT")).collect();
    let first = data.first()?.start + 4;
    (data.len() > 1)
        .then(|| (first, data.into_iter().flat_map(|chunk| &bytes[chunk.start + 4..chunk.end]).copied().collect()))
}
