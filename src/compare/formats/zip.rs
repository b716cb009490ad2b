//! zip files and what is made of them (jar, wheel, zipapp): members unpacked, and their times excused.
//!
//! Every byte is accounted for (APPNOTE 4.3): the headers without their times and without what follows from the contents (sizes,
//! checksums and offsets, each verified), the members' contents, and all that lies between.

use super::super::Excuse;
use super::super::content::{self, Pair};
use super::super::context::{Context, Outcome, Side};
use super::super::record;
use crate::state::relocate::packed::{self, Unpacked};
use std::ops::Range;

/// A header without what may differ, and the times that were in it.
struct Header {
    rest: Vec<u8>,
    times: Vec<u8>,
}

struct Member {
    name: String,
    local: Header,
    central: Header,
    content: Vec<u8>,
    packed: Range<usize>,
    /// All of it in the file: local header, content, descriptor.
    extent: Range<usize>,
}

/// A zip file taken apart.
struct Zip {
    members: Vec<Member>,
    /// What is before, between and behind members, up to the directory.
    between: Vec<u8>,
    /// The end record without the directory's size and place, and what is behind it.
    end: Vec<u8>,
}

pub fn compare(context: &Context, pair: &Pair) -> Option<Outcome> {
    let (one, other) = (read(pair.a)?, read(pair.b)?);
    let names = |zip: &Zip| zip.members.iter().map(|member| member.name.clone()).collect::<Vec<_>>();
    if let Some(found) = super::same_members(context, &names(&one), &names(&other)) {
        return Some(Outcome::of(found));
    }
    let mut outcome = Outcome::default();
    super::frame(context, &one.between, &other.between, "between the members", &mut outcome);
    let content_on = |side, name: &str| {
        let zip = if side == Side::First { &one } else { &other };
        zip.members.iter().find(|member| member.name == name).map(|member| &member.content[..])
    };
    for (member, twin) in one.members.iter().zip(&other.members) {
        let place = format!("header of {}", member.name);
        super::frame(context, &member.local.rest, &twin.local.rest, &place, &mut outcome);
        super::frame(context, &member.central.rest, &twin.central.rest, &place, &mut outcome);
        if member.local.times != twin.local.times || member.central.times != twin.central.times {
            outcome.excuse(Excuse::ZipTime);
        }
        if member.content == twin.content && pair.a[member.packed.clone()] != pair.b[twin.packed.clone()] {
            outcome.excuse(Excuse::Packing);
        }
        let inner = pair.member(&member.content, &twin.content, &member.name);
        let compared = content::compare(context, &inner);
        if !compared.found.is_empty() && record::same_in_wheel(context, &inner, content_on) {
            outcome.excuse(Excuse::Record);
        } else {
            outcome.nest(&format!("member {}", member.name), compared);
        }
    }
    super::frame(context, &one.end, &other.end, "end of the archive", &mut outcome);
    Some(outcome)
}

const END: usize = 22;
const CENTRAL: usize = 46;
const LOCAL: usize = 30;
/// In a central header: where the local one is.
const OFFSET: Range<usize> = 42..46;

/// Takes a sound zip file apart. None for anything that cannot be accounted for: it is compared as bytes.
fn read(bytes: &[u8]) -> Option<Zip> {
    // What it takes to be one is known there.
    let known = packed::zip(bytes)?;
    let end = memchr::memmem::rfind(bytes, b"PK\x05\x06")?;
    let record = bytes.get(end..end + END)?;
    let size = number(record, 12..16)?;
    let directory = end.checked_sub(size)?;
    let shift = directory.checked_sub(number(record, 16..20)?)?;
    let mut members = Vec::new();
    let mut at = directory;
    for entry in &known.members {
        let header = bytes.get(at..at + CENTRAL)?;
        let (name, extra) = (number(header, 28..30)?, number(header, 30..32)?);
        let whole = bytes.get(at..at + CENTRAL + name + extra + number(header, 32..34)?)?;
        let start = shift + number(header, OFFSET)?;
        let local = bytes.get(start..entry.packed.start)?;
        let content = content_of(bytes, entry)?;
        let mut crc = flate2::Crc::new();
        crc.update(&content);
        let facts = [crc.sum(), u32::try_from(entry.packed.len()).ok()?, u32::try_from(content.len()).ok()?];
        if words(header.get(16..28)?) != facts {
            return None;
        }
        let behind = descriptor(bytes, entry.packed.end, facts, header[8] & 8 != 0)?;
        let in_local = words(local.get(14..26)?);
        if in_local != facts && !(behind > 0 && in_local == [0; 3]) {
            return None;
        }
        members.push(Member {
            name: entry.name.clone(),
            local: masked(local, 10..14, 14..26, LOCAL + number(local, 26..28)?, number(local, 28..30)?)?,
            central: masked(whole, 12..16, 16..28, CENTRAL + name, extra)?,
            content,
            packed: entry.packed.clone(),
            extent: start..entry.packed.end + behind,
        });
        at += whole.len();
    }
    if at != end {
        return None;
    }
    let mut extents: Vec<Range<usize>> = members.iter().map(|member| member.extent.clone()).collect();
    extents.sort_by_key(|extent| extent.start);
    let mut between = Vec::new();
    let mut from = 0;
    for extent in extents {
        between.extend(bytes.get(from..extent.start)?);
        from = extent.end;
    }
    between.extend(bytes.get(from..directory)?);
    let mut end = bytes[end..].to_vec();
    end[12..20].fill(0);
    Some(Zip { members, between, end })
}

fn content_of(bytes: &[u8], entry: &packed::ZipMember) -> Option<Vec<u8>> {
    let packed = &bytes[entry.packed.clone()];
    match entry.method {
        0 => Some(packed.to_vec()),
        8 => match packed::unpack(flate2::bufread::DeflateDecoder::new(packed), packed::LIMIT, 0, &|_| false).ok()? {
            Unpacked::Whole(content) => Some(content),
            Unpacked::Large(_) => None,
        },
        _ => None,
    }
}

/// The length of the descriptor behind a member: checksum and sizes once more, perhaps with a signature before them.
fn descriptor(bytes: &[u8], at: usize, facts: [u32; 3], announced: bool) -> Option<usize> {
    if !announced {
        return Some(0);
    }
    let signed = bytes.get(at..at + 4)? == b"PK\x07\x08";
    let from = at + if signed { 4 } else { 0 };
    (words(bytes.get(from..from + 12)?) == facts).then_some(from + 12 - at)
}

/// A header without its times and what was verified. `extra` is the place of the extra fields, `len` their length.
fn masked(header: &[u8], time: Range<usize>, verified: Range<usize>, extra: usize, len: usize) -> Option<Header> {
    let mut rest = header.to_vec();
    let mut times = header.get(time.clone())?.to_vec();
    rest[time].fill(0);
    rest[verified].fill(0);
    if let Some(offset) = rest.get_mut(OFFSET).filter(|_| header.starts_with(b"PK\x01\x02")) {
        offset.fill(0);
    }
    let mut at = extra;
    while at + 4 <= extra + len {
        let (id, size) = (number(header, at..at + 2)?, number(header, at + 2..at + 4)?);
        let field = at + 4..at + 4 + size;
        header.get(field.clone())?;
        let range = match id {
            // Info-ZIP's extended timestamp: flags, then seconds since 1970.
            0x5455 if size > 1 => Some(field.start + 1..field.end),
            // NTFS: four bytes reserved, then attribute 1 of 24 bytes: three times.
            0x000a if size == 32 && number(header, field.start + 4..field.start + 8)? == 0x0018_0001 => {
                Some(field.start + 8..field.end)
            }
            _ => None,
        };
        if let Some(range) = range {
            times.extend(&header[range.clone()]);
            rest[range].fill(0);
        }
        at = field.end;
    }
    Some(Header { rest, times })
}

fn number(bytes: &[u8], range: Range<usize>) -> Option<usize> {
    let all = bytes.get(range)?.iter().rev();
    Some(all.fold(0, |value, &byte| value << 8 | usize::from(byte)))
}

/// Three words of four bytes, little-endian.
fn words(bytes: &[u8]) -> [u32; 3] {
    [0, 4, 8].map(|at| bytes[at..at + 4].iter().rev().fold(0, |value, &byte| value << 8 | u32::from(byte)))
}
