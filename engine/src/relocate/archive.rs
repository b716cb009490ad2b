//! Archives that keep their members as they are: ar and tar.
//!
//! Owns where the members lie, and tar's header checksums. Rewriting inside such a member moves nothing.

use std::ops::Range;

/// A member that is stored as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// As the archive names it; shortened names stay so.
    pub name: String,
    /// Its bytes.
    pub range: Range<usize>,
}

fn field(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.trim_matches(['\0', ' ']).to_owned()
}

/// The members of an ar archive (`.a`); none if it is not one or damaged. Thin archives have no members of their own.
#[must_use]
pub fn ar(bytes: &[u8]) -> Option<Vec<Member>> {
    if !bytes.starts_with(b"!<arch>\n") {
        return None;
    }
    let mut members: Vec<Member> = Vec::new();
    let mut at = 8;
    while at < bytes.len() {
        let header = bytes.get(at..at + 60)?;
        let size: usize = field(&header[48..58]).parse().ok()?;
        let range = at + 60..(at + 60).checked_add(size)?;
        bytes.get(range.clone())?;
        let name = long_name(bytes, &members, &field(&header[..16]));
        at = range.end + range.end % 2;
        members.push(Member { name, range });
    }
    Some(members)
}

/// GNU keeps names of more than 15 characters in the member `//` and refers to them by offset.
fn long_name(bytes: &[u8], members: &[Member], short: &str) -> String {
    let table = members.iter().find(|m| m.name == "//");
    if let (Some(table), Some(Ok(offset))) = (table, short.strip_prefix('/').map(str::parse::<usize>))
        && let Some(rest) = bytes[table.range.clone()].get(offset..)
    {
        let end = rest.iter().position(|&b| b == b'\n').unwrap_or(rest.len());
        return field(&rest[..end]).trim_end_matches('/').to_owned();
    }
    if short.len() > 1 && !short.starts_with('/') {
        return short.trim_end_matches('/').to_owned();
    }
    short.to_owned()
}

const BLOCK: usize = 512;

/// The members of a tar archive that has no sparse members; none if it is not one or damaged.
#[must_use]
pub fn tar(bytes: &[u8]) -> Option<Vec<Member>> {
    if bytes.get(257..262) != Some(b"ustar") {
        return None;
    }
    let mut members = Vec::new();
    let mut at = 0;
    while let Some(header) = bytes.get(at..at + BLOCK) {
        if header.iter().all(|&b| b == 0) {
            break;
        }
        if checksum(header) != octal(&header[148..156])? {
            return None;
        }
        let size = octal(&header[124..136])?;
        let range = at + BLOCK..(at + BLOCK).checked_add(size)?;
        bytes.get(range.clone())?;
        at = range.end.next_multiple_of(BLOCK);
        members.push(Member { name: field(header[..100].split(|&b| b == 0).next().unwrap_or_default()), range });
    }
    Some(members)
}

fn octal(bytes: &[u8]) -> Option<usize> {
    usize::from_str_radix(&field(bytes), 8).ok()
}

/// The sum of a header's bytes, its own checksum taken as spaces (POSIX, ustar interchange format).
fn checksum(header: &[u8]) -> usize {
    let sum = |bytes: &[u8]| bytes.iter().map(|&b| usize::from(b)).sum::<usize>();
    sum(&header[..148]) + 8 * usize::from(b' ') + sum(&header[156..])
}

/// Whether a block is a header: its checksum is right.
#[must_use]
pub fn is_tar_header(block: &[u8]) -> bool {
    block.len() == BLOCK && octal(&block[TAR_CHECKSUM]) == Some(checksum(block))
}

/// The checksum field of a header block, in the form most writers use.
#[must_use]
pub fn tar_checksum(header: &[u8]) -> Vec<u8> {
    format!("{:06o}\0 ", checksum(header)).into_bytes()
}

/// Where in a header block the checksum lies.
pub const TAR_CHECKSUM: Range<usize> = 148..156;
