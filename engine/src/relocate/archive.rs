//! Archives that keep their members as they are: ar, tar and cpio.
//!
//! Owns where the members lie, and the checksums of tar and cpio. Rewriting inside such a member moves nothing.

use super::content::Edit;
use std::ops::Range;

/// Which of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `.a`, and `.deb`.
    Ar,
    /// `.tar`.
    Tar,
    /// Initial ramdisks, and what is in an `.rpm`.
    Cpio,
}

/// An archive's members, by offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    /// Which format it has.
    pub kind: Kind,
    /// The members.
    pub members: Vec<Member>,
}

/// The archive that `bytes` are; none if they are none, or damaged.
#[must_use]
pub fn read(bytes: &[u8]) -> Option<Archive> {
    let of = |kind, members: Option<Vec<Member>>| members.map(|members| Archive { kind, members });
    of(Kind::Ar, ar(bytes)).or_else(|| of(Kind::Tar, tar(bytes))).or_else(|| of(Kind::Cpio, cpio(bytes)))
}

/// Whether a file that begins with `head` may be an archive.
#[must_use]
pub fn may_begin(head: &[u8]) -> bool {
    [AR, NEWC, NEWC_CHECKED, ODC].iter().any(|magic| head.starts_with(magic)) || head.get(257..262) == Some(b"ustar")
}

const AR: &[u8] = b"!<arch>\n";

/// A member that is stored as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// As the archive names it; shortened names stay so.
    pub name: String,
    /// Its bytes.
    pub range: Range<usize>,
    /// Where a sum of its bytes is kept (cpio), if it was right.
    sum_at: Option<usize>,
}

impl Member {
    fn new(name: String, range: Range<usize>) -> Self {
        Self { name, range, sum_at: None }
    }

    /// What keeps the sum of its bytes right when `edits` change `content`.
    #[must_use]
    pub fn checksum(&self, content: &[u8], edits: &[Edit]) -> Option<Edit> {
        let at = self.sum_at.filter(|_| !edits.is_empty())?;
        let mut content = content.to_vec();
        super::content::apply(&mut content, edits);
        Some(Edit { at, bytes: format!("{:08x}", sum(&content)).into_bytes() })
    }
}

fn field(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.trim_matches(['\0', ' ']).to_owned()
}

/// The members of an ar archive (`.a`); none if it is not one or damaged. Thin archives have no members of their own.
#[must_use]
pub fn ar(bytes: &[u8]) -> Option<Vec<Member>> {
    if !bytes.starts_with(AR) {
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
        members.push(Member::new(name, range));
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
        members.push(Member::new(field(header[..100].split(|&b| b == 0).next().unwrap_or_default()), range));
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

const NEWC: &[u8] = b"070701";
const NEWC_CHECKED: &[u8] = b"070702";
const ODC: &[u8] = b"070707";
/// Length of their headers, and what names and data are filled up to.
const NEWC_FORM: (usize, usize) = (110, 4);
const ODC_FORM: (usize, usize) = (76, 1);

/// The members of a cpio archive (Linux, `Documentation/driver-api/early-userspace/buffer-format.rst`; POSIX, "cpio
/// Interchange Format"); none if it is not one or damaged. What follows its end is one more member: a ramdisk is often an
/// archive that is not compressed, then one that is.
fn cpio(bytes: &[u8]) -> Option<Vec<Member>> {
    let mut members = Vec::new();
    let mut at = 0;
    loop {
        let rest = bytes.get(at..)?;
        let number = |from: usize, len: usize, radix: u32| -> Option<usize> {
            usize::from_str_radix(std::str::from_utf8(rest.get(from..from + len)?).ok()?, radix).ok()
        };
        let ((header, unit), name_len, size) = if rest.starts_with(NEWC) || rest.starts_with(NEWC_CHECKED) {
            (NEWC_FORM, number(94, 8, 16)?, number(54, 8, 16)?)
        } else if rest.starts_with(ODC) {
            (ODC_FORM, number(59, 6, 8)?, number(65, 11, 8)?)
        } else {
            return None;
        };
        let name_end = at + header + name_len;
        let name = field(bytes.get(at + header..name_end)?);
        let start = name_end.next_multiple_of(unit);
        let range = start..start.checked_add(size)?;
        let content = bytes.get(range.clone())?;
        if name == "TRAILER!!!" {
            let zeros = bytes[range.end..].iter().take_while(|&&byte| byte == 0).count();
            let behind = range.end + zeros..bytes.len();
            if !behind.is_empty() {
                members.push(Member::new("behind the archive's end".to_owned(), behind));
            }
            return Some(members);
        }
        let sum_at = at + header - 8;
        let is_checked = rest.starts_with(NEWC_CHECKED) && number(header - 8, 8, 16)? == sum(content) as usize;
        let next = range.end.next_multiple_of(unit);
        members.push(Member { name, range, sum_at: is_checked.then_some(sum_at) });
        at = next;
    }
}

/// The sum of all bytes, as cpio has it.
fn sum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |sum: u32, &byte| sum.wrapping_add(byte.into()))
}
