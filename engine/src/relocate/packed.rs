//! Compressed formats: taking members apart, and putting gzip members together again.
//!
//! Owns the formats' outer structure. Knows nothing of hashes. A file that cannot be unpacked (a test case
//! of some decompressor) is not an error: it is bytes like any other.

use flate2::bufread::DeflateDecoder;
use flate2::{Compression, Crc, write::DeflateEncoder};
use liblzma::stream::Stream;
use std::io::{BufRead, Read, Write};
use std::ops::Range;

pub use super::zip::{Zip, ZipMember, read as zip};

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
    /// .lzma, which xz replaced.
    Lzma,
    /// .lz.
    Lzip,
    /// RFC 1950, as a file of its own: objects of git.
    Zlib,
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
            Self::Lzma => "lzma",
            Self::Lzip => "lzip",
            Self::Zlib => "zlib",
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

/// A reader that ends where another fails, and tells so: what came before the damage is there to be searched.
pub struct UpToDamage<R> {
    reader: R,
    /// Whether it did.
    pub failed: bool,
}

impl<R> UpToDamage<R> {
    /// Of this reader.
    #[must_use]
    pub fn new(reader: R) -> Self {
        Self { reader, failed: false }
    }
}

impl<R: Read> Read for UpToDamage<R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        match self.reader.read(into) {
            Err(error) if error.kind() != std::io::ErrorKind::Interrupted => {
                self.failed = true;
                Ok(0)
            }
            read => read,
        }
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
    } else if bytes.starts_with(b"LZIP\x01") {
        Some(Format::Lzip)
    } else if bytes.starts_with(b"\x5d\0\0") && bytes.get(13) == Some(&0) {
        // The usual properties, a dictionary of a multiple of 64 KiB, the size, and the byte that begins every stream.
        Some(Format::Lzma)
    } else if bytes.first() == Some(&0x78) && matches!(bytes.get(1), Some(0x01 | 0x5e | 0x9c | 0xda)) {
        Some(Format::Zlib)
    } else {
        None
    }
}

/// The format of a zip member's method (APPNOTE 4.4.5).
#[must_use]
pub fn zip_method(method: u16) -> Option<Format> {
    match method {
        12 => Some(Format::Bzip2),
        93 => Some(Format::Zstd),
        95 => Some(Format::Xz),
        _ => None,
    }
}

/// A reader of one compressed stream, which takes from `bytes` no more than that; none for other formats.
#[must_use]
pub fn stream<'a>(format: Format, bytes: impl BufRead + 'a) -> Option<Box<dyn Read + 'a>> {
    match format {
        Format::Xz => Some(Box::new(liblzma::bufread::XzDecoder::new(bytes))),
        Format::Bzip2 => Some(Box::new(bzip2::bufread::BzDecoder::new(bytes))),
        Format::Zstd => Some(Box::new(zstd::stream::read::Decoder::with_buffer(bytes).ok()?.single_frame())),
        Format::Zlib => Some(Box::new(flate2::bufread::ZlibDecoder::new(bytes))),
        Format::Lzma => Some(lzma(bytes, Stream::new_lzma_decoder(u64::MAX).ok()?)),
        Format::Lzip => Some(lzma(bytes, Stream::new_lzip_decoder(u64::MAX, 0).ok()?)),
        Format::Gzip | Format::Zip => None,
    }
}

/// A reader of all that a zip member holds in one of these formats, of which zip knows no others.
#[must_use]
pub fn reader<'a>(format: Format, bytes: impl BufRead + 'a) -> Option<Box<dyn Read + 'a>> {
    match format {
        Format::Xz => Some(Box::new(liblzma::bufread::XzDecoder::new_multi_decoder(bytes))),
        Format::Bzip2 => Some(Box::new(bzip2::bufread::MultiBzDecoder::new(bytes))),
        Format::Zstd => zstd_reader(bytes),
        Format::Gzip | Format::Zip | Format::Zlib | Format::Lzma | Format::Lzip => None,
    }
}

fn lzma<'a>(bytes: impl BufRead + 'a, stream: Stream) -> Box<dyn Read + 'a> {
    Box::new(liblzma::bufread::XzDecoder::new_stream(bytes, stream))
}

/// A reader of a zstd stream.
#[must_use]
pub fn zstd_reader<'a>(bytes: impl BufRead + 'a) -> Option<Box<dyn Read + 'a>> {
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

/// Length of the gzip header that `bytes` start with.
pub(super) fn gzip_header_len(bytes: &[u8]) -> Option<usize> {
    gzip_header(bytes).map(|(len, _)| len)
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

pub(super) fn gzip_trailer(content: &[u8]) -> [u8; 8] {
    let mut crc = Crc::new();
    crc.update(content);
    let mut trailer = [0; 8];
    trailer[..4].copy_from_slice(&crc.sum().to_le_bytes());
    trailer[4..].copy_from_slice(&crc.amount().to_le_bytes());
    trailer
}

/// A deflate stream of `content`, without header or trailer. The same bytes for the same content, always.
///
/// # Errors
/// None that a vector in memory gives; the encoder's signature has them.
pub fn deflate(content: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content)?;
    encoder.finish()
}

/// The stream and trailer of a gzip member with this content. The same bytes for the same content, always.
///
/// # Errors
/// None that a vector in memory gives; the encoder's signature has them.
pub fn gzip_body(content: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut body = deflate(content)?;
    body.extend(gzip_trailer(content));
    Ok(body)
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
