//! ELF files with compressed sections (`SHF_COMPRESSED`: debug information), as if they had been written without.
//!
//! Owns that form. Two sides that differ in the package's own path compress to different lengths, and then everything
//! behind lies elsewhere: only unpacked can they be compared. Nothing is left out: what cannot be carried over, such as
//! bytes between sections that are no padding, makes that a file has no such form. 64 bits, little-endian.

use std::io::Read;
use std::ops::Range;

const CLASS_DATA: &[u8] = b"\x7fELF\x02\x01";
const SHT_NULL: u32 = 0;
const SHT_NOBITS: u32 = 8;
const SHF_COMPRESSED: u64 = 0x800;
const ELFCOMPRESS_ZLIB: u32 = 1;
const ELFCOMPRESS_ZSTD: u32 = 2;
/// Bytes of a section's header, of a segment's, and of the header of a compressed section (ELF gABI).
const SECTION: usize = 64;
const SEGMENT: usize = 56;
const PACKED: usize = 24;
/// No section is unpacked to more bytes than this.
const LARGEST: u64 = 4 << 30;

/// A piece of the file that moves as one.
struct Part {
    range: Range<usize>,
    align: u64,
    /// The header that says where it lies; none of the table of headers itself.
    header: Option<usize>,
    unpacked: Option<Vec<u8>>,
}

/// The file without compression; none if there is nothing compressed in it, or if it cannot be had.
pub fn of(bytes: &[u8]) -> Option<Vec<u8>> {
    if !bytes.starts_with(CLASS_DATA) {
        return None;
    }
    let table = offset(bytes, 0x28)?;
    let count = usize::from(u16::from_le_bytes(bytes.get(0x3c..0x3e)?.try_into().ok()?));
    let headers: Vec<usize> = (0..count).map(|index| table + index * SECTION).collect();
    let is_packed = |header: &usize| word(bytes, header + 8).is_some_and(|flags| flags & SHF_COMPRESSED != 0);
    let packed = headers.iter().filter(|header| is_packed(header)).map(|header| offset(bytes, header + 24));
    let first = packed.collect::<Option<Vec<_>>>()?.into_iter().min()?;
    if loads_behind(bytes, first)? {
        return None;
    }

    let end = table.checked_add(count * SECTION)?;
    let mut parts = vec![Part { range: table..end, align: 8, header: None, unpacked: None }];
    for &header in &headers {
        let kind = half(bytes, header + 4)?;
        let at = offset(bytes, header + 24)?;
        if at >= first && kind != SHT_NULL && kind != SHT_NOBITS {
            let range = at..at.checked_add(offset(bytes, header + 32)?)?;
            let (align, unpacked) = if is_packed(&header) {
                let content = bytes.get(range.clone())?;
                (word(content, 16)?, Some(unpack(content)?))
            } else {
                (word(bytes, header + 48)?, None)
            };
            parts.push(Part { range, align, header: Some(header - table), unpacked });
        }
    }
    parts.sort_by_key(|part| (part.range.start, part.range.end));
    let image = lay_out(bytes, first, &parts)?;
    without_places(image, count, first)
}

/// The parts one behind the other, and the headers that say so.
fn lay_out(bytes: &[u8], first: usize, parts: &[Part]) -> Option<Vec<u8>> {
    let mut image = bytes[..first].to_vec();
    let mut from = first;
    let mut moved = Vec::new();
    for part in parts {
        if bytes.get(from..part.range.start)?.iter().any(|&byte| byte != 0) {
            return None;
        }
        let align =
            usize::try_from(part.align.max(1)).ok().filter(|align| align.is_power_of_two() && *align <= 4096)?;
        image.resize(image.len().next_multiple_of(align), 0);
        moved.push((part, image.len()));
        image.extend(part.unpacked.as_deref().or_else(|| bytes.get(part.range.clone()))?);
        from = part.range.end;
    }
    if from != bytes.len() {
        return None;
    }
    let table = moved.iter().find(|(part, _)| part.header.is_none())?.1;
    put(&mut image, 0x28, table)?;
    for (part, at) in &moved {
        let Some(header) = part.header else { continue };
        put(&mut image, table + header + 24, *at)?;
        if let Some(unpacked) = &part.unpacked {
            let flags = word(&image, table + header + 8)? & !SHF_COMPRESSED;
            put(&mut image, table + header + 8, usize::try_from(flags).ok()?)?;
            put(&mut image, table + header + 32, unpacked.len())?;
            put(&mut image, table + header + 48, usize::try_from(part.align).ok()?)?;
        }
    }
    Some(image)
}

/// What has no bytes in the file lies nowhere: where it is said to, follows from what was compressed.
fn without_places(mut image: Vec<u8>, count: usize, first: usize) -> Option<Vec<u8>> {
    let table = offset(&image, 0x28)?;
    for header in (0..count).map(|index| table + index * SECTION) {
        if half(&image, header + 4)? == SHT_NOBITS && offset(&image, header + 24)? >= first {
            put(&mut image, header + 24, 0)?;
        }
    }
    Some(image)
}

/// Whether a segment has bytes behind `first`: then nothing there can be moved.
fn loads_behind(bytes: &[u8], first: usize) -> Option<bool> {
    let table = offset(bytes, 0x20)?;
    let count = usize::from(u16::from_le_bytes(bytes.get(0x38..0x3a)?.try_into().ok()?));
    for header in (0..count).map(|index| table + index * SEGMENT) {
        let (at, size) = (offset(bytes, header + 8)?, offset(bytes, header + 32)?);
        if size > 0 && at.checked_add(size)? > first {
            return Some(true);
        }
    }
    Some(false)
}

fn unpack(section: &[u8]) -> Option<Vec<u8>> {
    let (kind, size) = (half(section, 0)?, word(section, 8).filter(|size| *size <= LARGEST)?);
    let stream = section.get(PACKED..)?;
    let mut content = Vec::new();
    let read = match kind {
        ELFCOMPRESS_ZLIB => flate2::read::ZlibDecoder::new(stream).take(size + 1).read_to_end(&mut content),
        ELFCOMPRESS_ZSTD => zstd::Decoder::new(stream).ok()?.take(size + 1).read_to_end(&mut content),
        _ => return None,
    };
    (u64::try_from(read.ok()?).ok()? == size).then_some(content)
}

fn word(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

fn half(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

fn offset(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(word(bytes, at)?).ok()
}

fn put(bytes: &mut [u8], at: usize, value: usize) -> Option<()> {
    bytes.get_mut(at..at + 8)?.copy_from_slice(&u64::try_from(value).ok()?.to_le_bytes());
    Some(())
}
