//! Compressed sections, written again in the room that they have.
//!
//! Owns the padding: a section cannot grow or shrink without moving what lies behind it. Knows nothing of hashes, nor of ELF.

use flate2::{Compress, Compression, FlushCompress, write::DeflateEncoder};
use std::io::Write;

/// Above this size (bytes) the slowest levels are not tried: it is debug information, not worth minutes.
const SLOW: usize = 16 << 20;
/// A frame that decoders pass over (RFC 8878, 3.1.2), before its length in four bytes.
const SKIPPABLE: &[u8] = b"\x50\x2a\x4d\x18";

/// A stream with this content, exactly `room` bytes long; none if no level makes it small enough. Always the same bytes.
#[must_use]
pub fn refit(content: &[u8], room: usize, zstd: bool) -> Option<Vec<u8>> {
    let levels: &[i32] = match (zstd, content.len() > SLOW) {
        (true, true) => &[3, 9],
        (true, false) => &[3, 9, 15, 19],
        (false, true) => &[6, 9],
        (false, false) => &[6, 9, 10],
    };
    levels.iter().find_map(|&level| {
        if zstd {
            padded_zstd(zstd::bulk::compress(content, level).ok()?, room)
        } else {
            zlib(content, level.unsigned_abs(), room)
        }
    })
}

/// A zlib stream (RFC 1950) of `room` bytes: readers that want the stream to end with the section (readelf does) must find it so.
fn zlib(content: &[u8], level: u32, room: usize) -> Option<Vec<u8>> {
    let mut stream = vec![0x78, 0x9c];
    stream.extend(deflate_at(content, level, room.checked_sub(6)?)?);
    stream.extend(adler32(content).to_be_bytes());
    Some(stream)
}

/// A deflate stream (RFC 1951) of `room` bytes with this content; none if no level makes it small enough.
#[must_use]
pub fn deflate(content: &[u8], room: usize) -> Option<Vec<u8>> {
    [6, 9, 10, 8, 7, 5, 4, 3, 2, 1].iter().find_map(|&level| deflate_at(content, level, room))
}

/// The same at one level, filled up with empty blocks.
fn deflate_at(content: &[u8], level: u32, room: usize) -> Option<Vec<u8>> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::new(level));
    encoder.write_all(content).ok()?;
    let stream = encoder.finish().ok()?;
    if stream.len() >= room {
        return (stream.len() == room).then_some(stream);
    }
    let mut stream = open_deflate(content, level)?;
    stream.extend(empty_blocks(room.checked_sub(stream.len())?)?);
    Some(stream)
}

/// A deflate stream without its end, to the byte.
fn open_deflate(content: &[u8], level: u32) -> Option<Vec<u8>> {
    let mut compress = Compress::new(Compression::new(level), false);
    let mut stream = Vec::with_capacity(content.len() / 2 + 64);
    let mut at = 0;
    loop {
        compress.compress_vec(&content[at..], &mut stream, FlushCompress::Sync).ok()?;
        at = usize::try_from(compress.total_in()).ok()?;
        // With room left over, all that there was has been written.
        if at == content.len() && stream.len() < stream.capacity() {
            return Some(stream);
        }
        stream.reserve(content.len() / 4 + 64);
    }
}

/// The end of a deflate stream in `len` bytes, without content (RFC 1951, 3.2.4, 3.2.6): empty stored blocks of 5 bytes, empty
/// blocks of 10 bits with fixed codes. None for one byte.
fn empty_blocks(len: usize) -> Option<Vec<u8>> {
    const STORED: [u8; 5] = [0, 0, 0, 0xff, 0xff];
    let end: &[u8] = match len % 5 {
        0 => &[1, 0, 0, 0xff, 0xff],
        // A fixed block, and the stored block that is the last begins in its second byte.
        1 => &[0b10, 0b100, 0, 0, 0xff, 0xff],
        2 => &[0b11, 0],
        3 => &[0b10, 0b1100, 0],
        _ => &[0b10, 0b1000, 0b11_0000, 0],
    };
    let stored = len.checked_sub(end.len())? / STORED.len();
    let mut blocks = STORED.repeat(stored);
    blocks.extend(end);
    Some(blocks)
}

pub(super) fn adler32(content: &[u8]) -> u32 {
    const BASE: u32 = 65521;
    // As many bytes as cannot overflow (RFC 1950, 9).
    let (low, high) = content.chunks(5552).fold((1, 0), |(low, high), chunk| {
        let sums = chunk.iter().fold((low, high), |(low, high): (u32, u32), &byte| {
            let low = low + u32::from(byte);
            (low, high + low)
        });
        (sums.0 % BASE, sums.1 % BASE)
    });
    high << 16 | low
}

/// `ZSTD_decompress`, with which readers unpack a section, wants frames to the last byte.
fn padded_zstd(mut stream: Vec<u8>, room: usize) -> Option<Vec<u8>> {
    let left = room.checked_sub(stream.len())?;
    if left > 0 {
        let len = u32::try_from(left.checked_sub(SKIPPABLE.len() + 4)?).ok()?;
        stream.extend(SKIPPABLE);
        stream.extend(len.to_le_bytes());
        stream.resize(room, 0);
    }
    Some(stream)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn a_stream_fills_its_room_and_unpacks() {
        let content = b"some words, some words again, and other words ".repeat(20);
        for zstd in [false, true] {
            let unpack = |stream: &[u8]| {
                if zstd {
                    return zstd::bulk::decompress(stream, content.len()).unwrap();
                }
                let mut all = Vec::new();
                let mut decoder = flate2::read::ZlibDecoder::new(stream);
                decoder.read_to_end(&mut all).unwrap();
                assert_eq!(decoder.total_in(), stream.len() as u64);
                all
            };
            let mut fits = 0;
            for room in 0..200 {
                let Some(stream) = refit(&content, room, zstd) else { continue };
                assert_eq!(stream.len(), room);
                assert_eq!(unpack(&stream), content, "{room}");
                fits += 1;
            }
            assert!((50..200).contains(&fits), "{fits}");
        }
    }
}
