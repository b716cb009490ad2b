//! Compressed formats: taking members apart, and putting gzip members together again.
//!
//! Owns the formats' outer structure. Knows nothing of hashes. A file that cannot be unpacked (a test case
//! of some decompressor) is not an error: it is bytes like any other.

use flate2::bufread::DeflateDecoder;
use flate2::{Compression, Crc, write::DeflateEncoder};
use std::io::{Read, Write};
use std::ops::Range;

/// More than this many unpacked bytes are looked through in windows instead of being kept.
pub const LIMIT: usize = 1 << 30;

/// Formats that are searched, and refused when they hold what would have to be rewritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// RFC 1952.
    Gzip,
    /// .xz, any number of streams.
    Xz,
    /// RFC 8878, any number of frames.
    Zstd,
    /// .bz2, any number of streams.
    Bzip2,
    /// zip, and what is made of it: jar, wheel, zipapp.
    Zip,
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Gzip => "gzip",
            Self::Xz => "xz",
            Self::Zstd => "zstd",
            Self::Bzip2 => "bzip2",
            Self::Zip => "zip",
        })
    }
}

/// What a stream of unpacked bytes was.
pub enum Unpacked {
    /// All of it.
    Whole(Vec<u8>),
    /// More than the limit; whether `seen` said yes to one of its windows.
    Large(bool),
}

/// Reads all of `reader`. Beyond `limit` bytes, shows `seen` windows that share `overlap` bytes.
///
/// # Errors
/// What the reader says: the stream is damaged.
pub fn unpack(
    mut reader: impl Read,
    limit: usize,
    overlap: usize,
    seen: &dyn Fn(&[u8]) -> bool,
) -> std::io::Result<Unpacked> {
    let mut bytes = Vec::new();
    let bound = u64::try_from(limit).unwrap_or(u64::MAX);
    reader.by_ref().take(bound).read_to_end(&mut bytes)?;
    let mut more = [0];
    if reader.read(&mut more)? == 0 {
        return Ok(Unpacked::Whole(bytes));
    }
    bytes.push(more[0]);
    let mut hit = seen(&bytes);
    loop {
        bytes.drain(..bytes.len() - overlap.min(bytes.len()));
        let got = reader.by_ref().take(1 << 22).read_to_end(&mut bytes)?;
        if got == 0 {
            return Ok(Unpacked::Large(hit));
        }
        hit = hit || seen(&bytes);
    }
}

/// The format that a file's first bytes announce, zip aside.
#[must_use]
pub fn detect(bytes: &[u8]) -> Option<Format> {
    if bytes.starts_with(b"\x1f\x8b\x08") {
        Some(Format::Gzip)
    } else if bytes.starts_with(b"\xfd7zXZ\0") {
        Some(Format::Xz)
    } else if bytes.starts_with(b"\x28\xb5\x2f\xfd") {
        Some(Format::Zstd)
    } else if bytes.starts_with(b"BZh") && bytes.get(4..10) == Some(b"1AY&SY") {
        Some(Format::Bzip2)
    } else {
        None
    }
}

/// A reader of everything in an xz, zstd or bzip2 file; none for other formats.
#[must_use]
pub fn reader(format: Format, bytes: &[u8]) -> Option<Box<dyn Read + '_>> {
    match format {
        Format::Xz => Some(Box::new(liblzma::read::XzDecoder::new_multi_decoder(bytes))),
        Format::Bzip2 => Some(Box::new(bzip2::read::MultiBzDecoder::new(bytes))),
        Format::Zstd => zstd_reader(bytes),
        Format::Gzip | Format::Zip => None,
    }
}

/// A reader of a zstd stream.
#[must_use]
pub fn zstd_reader(bytes: &[u8]) -> Option<Box<dyn Read + '_>> {
    let decoder = zstd::stream::read::Decoder::with_buffer(bytes).ok()?;
    Some(Box::new(decoder))
}

/// One member of a gzip file, as ranges of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GzipMember {
    /// From the magic to the last optional field.
    pub header: Range<usize>,
    /// The deflate stream.
    pub stream: Range<usize>,
    /// Whether the header has the extra field, in which dictzip and BGZF keep the sizes of compressed blocks.
    pub extra: bool,
    /// Whether the header has a checksum of itself.
    pub header_crc: bool,
}

impl GzipMember {
    /// Offset behind the member: the stream and the eight bytes of checksum and size.
    #[must_use]
    pub fn end(&self) -> usize {
        self.stream.end + 8
    }
}

/// Length of the gzip header that `bytes` start with, and its flags (RFC 1952, 2.3).
fn gzip_header(bytes: &[u8]) -> Option<(usize, u8)> {
    if !bytes.starts_with(b"\x1f\x8b\x08") {
        return None;
    }
    let flags = *bytes.get(3)?;
    let mut at = 10;
    if flags & 4 != 0 {
        let len = u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?);
        at += 2 + usize::from(len);
    }
    for text in [8, 16] {
        if flags & text != 0 {
            at += bytes.get(at..)?.iter().position(|&b| b == 0)? + 1;
        }
    }
    if flags & 2 != 0 {
        at += 2;
    }
    (flags & 0xe0 == 0 && at <= bytes.len()).then_some((at, flags))
}

/// The gzip member at `start` and what is in it; none if there is none or it is damaged.
#[must_use]
pub fn gzip_member(
    bytes: &[u8],
    start: usize,
    overlap: usize,
    seen: &dyn Fn(&[u8]) -> bool,
) -> Option<(GzipMember, Unpacked)> {
    let rest = bytes.get(start..)?;
    let (header, flags) = gzip_header(rest)?;
    let mut decoder = DeflateDecoder::new(&rest[header..]);
    let content = unpack(&mut decoder, LIMIT, overlap, seen).ok()?;
    let from = start + header;
    let member = GzipMember {
        header: start..from,
        stream: from..from + usize::try_from(decoder.total_in()).ok()?,
        extra: flags & 4 != 0,
        header_crc: flags & 2 != 0,
    };
    let trailer = bytes.get(member.stream.end..member.end())?;
    if let Unpacked::Whole(content) = &content
        && trailer != gzip_trailer(content)
    {
        return None;
    }
    Some((member, content))
}

fn gzip_trailer(content: &[u8]) -> [u8; 8] {
    let mut crc = Crc::new();
    crc.update(content);
    let mut trailer = [0; 8];
    trailer[..4].copy_from_slice(&crc.sum().to_le_bytes());
    trailer[4..].copy_from_slice(&crc.amount().to_le_bytes());
    trailer
}

/// The stream and trailer of a gzip member with this content. The same bytes for the same content, always.
///
/// # Errors
/// None that a vector in memory gives; the encoder's signature has them.
pub fn gzip_body(content: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content)?;
    let mut body = encoder.finish()?;
    body.extend(gzip_trailer(content));
    Ok(body)
}

/// A member of a zip file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZipMember {
    /// Its name.
    pub name: String,
    /// Its packed bytes, as a range of the file.
    pub packed: Range<usize>,
    /// The method: 0 stored, 8 deflate, others not looked into.
    pub method: u16,
}

/// A zip file's members, and where in the file the zip begins: a zipapp has a script before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zip {
    /// Offset of the first local header.
    pub start: usize,
    /// The members that the central directory names.
    pub members: Vec<ZipMember>,
}

fn u16_at(bytes: &[u8], at: usize) -> Option<usize> {
    let two = bytes.get(at..at.checked_add(2)?)?;
    Some(usize::from(u16::from_le_bytes(two.try_into().ok()?)))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<usize> {
    let four = bytes.get(at..at.checked_add(4)?)?;
    usize::try_from(u32::from_le_bytes(four.try_into().ok()?)).ok()
}

/// Reads the central directory (APPNOTE 4.3.12, 4.3.16). Zip64 and files of several disks are not taken for zip.
///
/// The end record is looked for in the last 64 KiB of what begins like a zip, and only as the very end of other files.
#[must_use]
pub fn zip(bytes: &[u8]) -> Option<Zip> {
    const END: &[u8] = b"PK\x05\x06";
    let last = bytes.len().checked_sub(22)?;
    let end = if bytes.starts_with(b"PK\x03\x04") {
        let from = last.saturating_sub(usize::from(u16::MAX));
        from + memchr::memmem::rfind(&bytes[from..last + END.len()], END)?
    } else if bytes[last..].starts_with(END) {
        last
    } else {
        return None;
    };
    let count = u16_at(bytes, end + 10)?;
    let size = u32_at(bytes, end + 12)?;
    let offset = u32_at(bytes, end + 16)?;
    // What was put before a zip shifts it against its own offsets, unless they were adjusted.
    let directory = end.checked_sub(size)?;
    let shift = directory.checked_sub(offset)?;
    let mut at = directory;
    let mut start = directory;
    let mut members = Vec::new();
    for _ in 0..count {
        if bytes.get(at..at + 4)? != b"PK\x01\x02" {
            return None;
        }
        let method = u16::try_from(u16_at(bytes, at + 10)?).ok()?;
        let packed = u32_at(bytes, at + 20)?;
        let name_len = u16_at(bytes, at + 28)?;
        let skip = u16_at(bytes, at + 30)? + u16_at(bytes, at + 32)?;
        let local = shift + u32_at(bytes, at + 42)?;
        let name = bytes.get(at + 46..at + 46 + name_len)?;
        let data = local + 30 + u16_at(bytes, local + 26)? + u16_at(bytes, local + 28)?;
        bytes.get(data..data.checked_add(packed)?)?;
        members.push(ZipMember {
            name: String::from_utf8_lossy(name).into_owned(),
            packed: data..data + packed,
            method,
        });
        start = start.min(local);
        at += 46 + name_len + skip;
    }
    Some(Zip { start, members })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_beyond_the_limit_is_seen_in_windows_that_overlap() {
        let mut bytes = vec![b'.'; 300];
        bytes[198..202].copy_from_slice(b"HERE");
        let seen = |window: &[u8]| memchr::memmem::find(window, b"HERE").is_some();
        for limit in 100..299 {
            let Ok(Unpacked::Large(hit)) = unpack(&bytes[..], limit, 4, &seen) else {
                panic!("{limit}");
            };
            assert!(hit, "{limit}");
        }
        assert!(matches!(unpack(&bytes[..], 300, 4, &seen), Ok(Unpacked::Whole(all)) if all == bytes));
    }

    #[test]
    fn a_gzip_header_with_every_field_is_measured() {
        let header = b"\x1f\x8b\x08\x1e\0\0\0\0\0\x03\x02\0ab name\0 comment\0cc";
        assert_eq!(gzip_header(header), Some((header.len(), 0x1e)));
        for cut in 0..header.len() {
            assert_eq!(gzip_header(&header[..cut]), None);
        }
    }
}
