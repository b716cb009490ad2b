//! Compressed streams at any place of a file: behind a script, in a document or an image, among a program's data.
//!
//! Owns how they are found, and what becomes of one that mentions a path: it is written again in the room that it has, where it
//! is deflate (gzip, zlib, a member of a zip), else the file is refused. A deflate stream without any header is not found.

use super::content::{DEPTH, Edit, Examined, Examiner, Finding, Reason, new_content};
use super::foreign::{self, Foreign};
use super::layout::{Kind, Layout};
use super::packed::{self, Format, Unpacked, UpToDamage};
use super::{png, section};
use aho_corasick::{Span, packed::Searcher};
use flate2::{Decompress, FlushDecompress};
use std::io::BufRead;
use std::ops::Range;
use std::sync::LazyLock;

/// Bytes that are unpacked from one file at most, beside many times its own size.
const LEAST_BUDGET: usize = 256 << 20;
const TIMES: usize = 64;
/// How much (bytes) of what may be a zlib stream is unpacked to see whether it is one.
const SAMPLE: usize = 1024;
const ZIP_HEADER: usize = 30;

/// What streams and what cannot be unpacked begin with.
const MAGICS: [&[u8]; 13] = [
    b"\x1f\x8b\x08",
    b"\xfd7zXZ\0",
    b"\x28\xb5\x2f\xfd",
    b"BZh",
    b"PK\x03\x04",
    b"LZIP\x01",
    b"7z\xbc\xaf\x27\x1c",
    b"Rar!\x1a\x07",
    b"hsqs",
    b"\x78\x01",
    b"\x78\x5e",
    b"\x78\x9c",
    b"\x78\xda",
];

/// The offset of the next of [`MAGICS`], from `from` on.
fn next_magic(bytes: &[u8], from: usize) -> Option<usize> {
    static SEARCH: LazyLock<Option<Searcher>> = LazyLock::new(|| Searcher::new(MAGICS));
    match &*SEARCH {
        Some(search) => Some(search.find_in(bytes, Span::from(from..bytes.len()))?.start()),
        // On a processor without the instructions for it.
        None => (from..bytes.len()).find(|&at| MAGICS.iter().any(|magic| bytes[at..].starts_with(magic))),
    }
}

/// The format that begins at `at`, as far as a few bytes tell.
fn format_at(bytes: &[u8], at: usize) -> Option<Format> {
    let rest = &bytes[at..];
    if rest.starts_with(b"PK\x03\x04") && rest.len() > ZIP_HEADER {
        return Some(Format::Zip);
    }
    let format = packed::detect(rest)?;
    let likely = match format {
        // The flags; level and system are among a few.
        Format::Gzip => rest.len() > 18 && rest[3] & 0xe0 == 0 && (rest[9] <= 13 || rest[9] == 255),
        // The flag for a dictionary is in the second byte; a reserved bit in the frame's.
        Format::Zstd => rest.get(4).is_some_and(|byte| byte & 8 == 0),
        Format::Zlib => is_zlib(rest),
        Format::Lzma => false,
        _ => true,
    };
    likely.then_some(format)
}

/// The format of what cannot be unpacked and is often part of another file: behind the program that unpacks it.
fn opaque_at(rest: &[u8]) -> Option<&'static str> {
    let number = |at: usize| Some(u16::from_le_bytes(*rest.get(at..)?.first_chunk()?));
    match foreign::of(rest)? {
        // Its version (Linux, `fs/squashfs/squashfs_fs.h`).
        Foreign::Opaque(name) if rest.starts_with(b"hsqs") => {
            (number(28) == Some(4) && number(30) == Some(0)).then_some(name)
        }
        // Programs that read these formats hold their magic numbers, so a checksum has to fit (7-Zip, `DOC/7zFormat.txt`; RARLAB,
        // "RAR 5.0 archive format"). Before version 5 the type of the first header has to do.
        Foreign::Opaque(name) if rest.starts_with(b"7z") => {
            (crc(rest.get(12..32)?) == *rest.get(8..12)?).then_some(name)
        }
        Foreign::Opaque(name) if rest.starts_with(b"Rar!\x1a\x07\x01\0") => {
            let end = 13 + usize::from(*rest.get(12)?);
            (crc(rest.get(12..end)?) == *rest.get(8..12)?).then_some(name)
        }
        Foreign::Opaque(name) if rest.starts_with(b"Rar!") => {
            (rest.get(6) == Some(&0) && rest.get(9) == Some(&0x73)).then_some(name)
        }
        _ => None,
    }
}

fn crc(bytes: &[u8]) -> [u8; 4] {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum().to_le_bytes()
}

thread_local! {
    /// Its window is not to be allocated for every two bytes that look like a header.
    static PROBE: std::cell::RefCell<Decompress> = std::cell::RefCell::new(Decompress::new(true));
}

/// Whether the beginning unpacks.
fn is_zlib(rest: &[u8]) -> bool {
    // The kind of the first block: a stored one has its length twice, and one kind is none.
    match rest.get(2).map(|byte| byte >> 1 & 3) {
        Some(0) => {
            if rest.len() < 7 || rest[3] != !rest[5] || rest[4] != !rest[6] {
                return false;
            }
        }
        Some(1 | 2) => {}
        _ => return false,
    }
    PROBE.with_borrow_mut(|probe| {
        probe.reset(true);
        let sample = &rest[..rest.len().min(SAMPLE)];
        let mut output = [0; 4096];
        loop {
            let before = (probe.total_in(), probe.total_out());
            let Ok(status) = usize::try_from(before.0)
                .map_err(drop)
                .and_then(|at| probe.decompress(&sample[at..], &mut output, FlushDecompress::None).map_err(drop))
            else {
                return false;
            };
            if status == flate2::Status::StreamEnd {
                return true;
            }
            if before == (probe.total_in(), probe.total_out()) {
                // It wants more than the sample. What is cut off so soon holds nothing.
                return rest.len() > SAMPLE || probe.total_out() > 0;
            }
        }
    })
}

/// What may begin at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    /// A stream.
    Stream(Format),
    /// What cannot be unpacked.
    Opaque,
}

/// Where streams may begin, except at places that `is_known`.
pub(super) fn starts(bytes: &[u8], is_known: impl Fn(usize) -> bool) -> impl Iterator<Item = (usize, Start)> {
    // Text has no stream in it, and is most of what there is.
    let mut from = if bytes.is_ascii() { bytes.len() } else { 0 };
    std::iter::from_fn(move || {
        while let Some(at) = next_magic(bytes, from) {
            from = at + 1;
            if is_known(at) {
                continue;
            }
            if let Some(format) = format_at(bytes, at) {
                return Some((at, Start::Stream(format)));
            }
            if opaque_at(&bytes[at..]).is_some() {
                return Some((at, Start::Opaque));
            }
        }
        None
    })
}

/// Whether bytes hold what may be a stream.
pub(super) fn is_suspect(bytes: &[u8]) -> bool {
    starts(bytes, |_| false).next().is_some()
}

/// What a stream that begins with `head` unpacks to. `behind` gives a reader of what begins so many bytes further on.
fn reader<'a, R: BufRead + 'a>(
    format: Format,
    head: &[u8],
    behind: impl FnOnce(usize) -> R,
) -> Option<Box<dyn std::io::Read + 'a>> {
    let deflate = |reader| Box::new(flate2::bufread::DeflateDecoder::new(reader));
    match format {
        Format::Gzip => Some(deflate(behind(packed::gzip_header_len(head)?))),
        Format::Zip => match zip_member(head)? {
            (_, 0) => None,
            (start, 8) => Some(deflate(behind(start))),
            (start, method) => packed::stream(packed::zip_method(method)?, behind(start)),
        },
        _ => packed::stream(format, behind(0)),
    }
}

/// A stream that was unpacked.
struct Stream {
    /// From its header to its last checksum.
    range: Range<usize>,
    /// The deflate stream in it, if it can be written again.
    deflate: Option<Range<usize>>,
    content: Unpacked,
}

/// What a stream was.
enum Added {
    /// It ends where its range does.
    Whole,
    /// It is damaged or has no end, or it is none.
    Torn,
    /// So, and nothing was found in it.
    TornAndClean,
}

impl Examiner {
    /// Looks into the streams that begin within `ranges` and adds what they hold to `examined`, which is of the bytes as they are.
    pub(super) fn embedded(
        &self,
        bytes: &[u8],
        ranges: &[Range<usize>],
        layout: &Layout,
        depth: usize,
        examined: &mut Examined,
    ) {
        let mut budget = LEAST_BUDGET.max(bytes.len().saturating_mul(TIMES));
        // Streams without an end in which nothing was found. Which bytes belong to them is not known.
        let mut torn = Vec::new();
        for range in ranges {
            let mut from = if bytes[range.clone()].is_ascii() { range.end } else { range.start };
            while let Some(at) = next_magic(&bytes[..range.end], from) {
                from = at + 1;
                if is_known(layout, at) {
                    continue;
                }
                if let Some(name) = opaque_at(&bytes[at..range.end]).filter(|_| at > 0) {
                    examined.harmless.push(Finding { at, ..Finding::opaque(name) });
                }
                let Some(format) = format_at(&bytes[..range.end], at) else { continue };
                if depth > DEPTH {
                    examined.harmless.push(Finding { at, ..Finding::opaque("data that was compressed many times") });
                    return;
                }
                if budget == 0 {
                    examined.harmless.push(Finding::opaque("more compressed data than is searched"));
                    return;
                }
                let Some(stream) = self.stream_at(&bytes[..range.end], at, format) else { continue };
                if let Unpacked::Whole(content) = &stream.content {
                    budget = budget.saturating_sub(content.len());
                }
                let end = stream.range.end;
                match self.add_stream(bytes, stream, format, depth, examined) {
                    Added::Whole => from = end,
                    Added::Torn => {}
                    Added::TornAndClean => torn.push((at..range.end, format)),
                }
            }
        }
        self.look_again(bytes, &torn, depth, examined);
        if let Some((at, data)) = png::split_picture(bytes)
            && let Some(content) = self.unpack(UpToDamage::new(flate2::bufread::ZlibDecoder::new(&data[..])))
        {
            let inside = self.deeper(&content, depth + 1);
            examined.refuse(inside, &format!("zlib data at {at:#x}"), &Reason::Packed(Format::Zlib));
        }
    }

    /// Adds what a stream holds.
    fn add_stream(&self, bytes: &[u8], stream: Stream, format: Format, depth: usize, examined: &mut Examined) -> Added {
        let range = stream.range.clone();
        let inside = self.deeper(&stream.content, depth + 1);
        let is_whole = stream.deflate.is_some() || range.end > range.start;
        let place = format!("{format} data at {:#x}", range.start);
        // What is stored in it as it is was found before, and is not to be rewritten without its checksum.
        let within = |finding: &Finding| finding.members.is_empty() && range.contains(&finding.at);
        examined.edits.retain(|edit| !range.contains(&edit.at));
        examined.refusals.retain(|finding| inside.is_clean() || !within(finding));
        let by_chance: Vec<Finding> = examined.mentions.extract_if(.., |finding| within(finding)).collect();
        if inside.is_clean() {
            examined.refuse(Examined { mentions: by_chance, ..Examined::default() }, &place, &Reason::Packed(format));
            return if is_whole { Added::Whole } else { Added::TornAndClean };
        }
        let content = match stream.content {
            Unpacked::Whole(content) => new_content(content, &inside),
            Unpacked::Large(_) => None,
        };
        let edits = match (&content, stream.deflate) {
            (Some(content), Some(deflate)) => rewritten(bytes, &range, deflate, content, format),
            _ => None,
        };
        match edits {
            Some(edits) => {
                examined.edits.extend(edits);
                examined.nest(inside, &place);
            }
            None => examined.refuse(inside, &place, &Reason::Packed(format)),
        }
        if is_whole { Added::Whole } else { Added::Torn }
    }

    /// Refuses where the edits of `examined` would let a stream that was torn or none go on to a mention.
    fn look_again(&self, bytes: &[u8], torn: &[(Range<usize>, Format)], depth: usize, examined: &mut Examined) {
        let Some(last) = examined.edits.iter().map(|edit| edit.at).max() else { return };
        let torn: Vec<_> = torn.iter().filter(|(range, _)| range.start < last).collect();
        if torn.is_empty() {
            return;
        }
        let mut edited = bytes.to_vec();
        super::content::apply(&mut edited, &examined.edits);
        for (range, format) in torn {
            let Some(stream) = self.stream_at(&edited[..range.end], range.start, *format) else { continue };
            let inside = self.deeper(&stream.content, depth + 1);
            examined.refuse(inside, &format!("{format} data at {:#x}", range.start), &Reason::Packed(*format));
        }
    }

    /// A stream whose end is not known.
    fn torn(&self, rest: &[u8], at: usize, format: Format) -> Option<Stream> {
        let reader = reader(format, rest, |start| rest.get(start..).unwrap_or_default())?;
        let content = self.unpack(UpToDamage::new(reader))?;
        Some(Stream { range: at..at, deflate: None, content })
    }

    /// Whether a stream that begins with `head` holds anything that [`Self::examine`] would have to judge, and how much (bytes) it
    /// unpacks to. `behind` gives a reader of what begins so many bytes further on.
    pub(super) fn judge_stream<'a, R: BufRead + 'a>(
        &self,
        format: Format,
        head: &[u8],
        behind: impl FnOnce(usize) -> R,
    ) -> (bool, usize) {
        if format == Format::Gzip && packed::gzip_header_len(head).is_none() {
            // A name that is longer than `head`.
            return (true, 0);
        }
        let content = reader(format, head, behind).and_then(|reader| self.unpack(UpToDamage::new(reader)));
        let len = if let Some(Unpacked::Whole(content)) = &content { content.len() } else { 0 };
        (content.is_some_and(|content| !self.deeper(&content, 1).is_clean()), len)
    }

    fn stream_at(&self, bytes: &[u8], at: usize, format: Format) -> Option<Stream> {
        let rest = &bytes[at..];
        match format {
            Format::Gzip => {
                let seen = |window: &[u8]| self.is_suspect(window);
                if let Some((member, content)) = packed::gzip_member(bytes, at, self.overlap(), &seen) {
                    let deflate = (!member.extra).then(|| member.stream.clone());
                    return Some(Stream { range: at..member.end(), deflate, content });
                }
                // Without its end, or with another checksum: some programs read such a one.
                self.torn(rest, at, format)
            }
            Format::Zip => self.torn(rest, at, format),
            Format::Zlib => {
                let mut behind = rest;
                let mut reader = UpToDamage::new(flate2::bufread::ZlibDecoder::new(&mut behind));
                let content = self.unpack(&mut reader)?;
                let damaged = reader.failed;
                drop(reader);
                let end = if damaged { at } else { bytes.len() - behind.len() };
                let deflate = (end > at + 6).then(|| at + 2..end - 4);
                Some(Stream { range: at..end, deflate, content })
            }
            _ => {
                let mut behind = rest;
                let mut reader = UpToDamage::new(packed::stream(format, &mut behind)?);
                let content = self.unpack(&mut reader)?;
                let damaged = reader.failed;
                drop(reader);
                let end = if damaged { at } else { bytes.len() - behind.len() };
                Some(Stream { range: at..end, deflate: None, content })
            }
        }
    }
}

/// Whether no stream is looked for there: in code, which has the two bytes by chance, and in sections that are looked into as such.
fn is_known(layout: &Layout, at: usize) -> bool {
    layout.is_elf()
        && (matches!(layout.kind(at), Kind::Code | Kind::CodeX86 | Kind::CodeArm64)
            || layout.compressed().iter().any(|section| section.range.contains(&at))
            || layout.bitcode().iter().any(|section| section.contains(&at)))
}

/// Where the data of a zip's local header begins, and their method (APPNOTE 4.3.7).
fn zip_member(rest: &[u8]) -> Option<(usize, u16)> {
    let number = |at: usize| Some(u16::from_le_bytes(*rest.get(at..)?.first_chunk()?));
    let encrypted = number(6)? & 1 != 0;
    let start = ZIP_HEADER + usize::from(number(26)?) + usize::from(number(28)?);
    (!encrypted).then_some((start, number(8)?))
}

/// The edits that write a stream again in its room: the deflate stream, and the sums that follow it.
fn rewritten(
    bytes: &[u8],
    range: &Range<usize>,
    deflate: Range<usize>,
    content: &[u8],
    format: Format,
) -> Option<Vec<Edit>> {
    let mut new = section::deflate(content, deflate.len())?;
    new.extend(match format {
        Format::Gzip => packed::gzip_trailer(content).to_vec(),
        Format::Zlib => section::adler32(content).to_be_bytes().to_vec(),
        _ => return None,
    });
    if deflate.start + new.len() != range.end || range.end > bytes.len() {
        return None;
    }
    Some(vec![Edit { at: deflate.start, bytes: new }])
}
