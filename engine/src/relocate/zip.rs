//! zip files, and what is made of them (jar, wheel, zipapp): where the members are, and putting a file together again.
//!
//! Owns the format (APPNOTE 6.3). Knows nothing of hashes. A file is only put together again where every number that describes
//! a changed member was right before, and nothing signs it.

use super::packed;
use std::collections::BTreeMap;
use std::ops::Range;

/// A member of a zip file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZipMember {
    /// Its name.
    pub name: String,
    /// Its packed bytes, as a range of the file.
    pub packed: Range<usize>,
    /// The method: 0 stored, 8 deflate; see [`packed::zip_method`] for others. Encrypted members are not looked into.
    pub method: u16,
    /// Where its name is in the directory.
    pub name_at: Range<usize>,
    /// Offset of its header before the packed bytes.
    local: usize,
    /// Offset of its header in the directory.
    central: usize,
}

/// A zip file's members, and where in the file the zip begins: a zipapp has a script before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zip {
    /// Offset of the first local header.
    pub start: usize,
    /// The members that the central directory names.
    pub members: Vec<ZipMember>,
    /// Offset of the central directory.
    directory: usize,
    /// Offset of the end record.
    end: usize,
    /// How much later things are than the file says: what was put before it.
    shift: usize,
    /// Whether sizes or offsets are in the fields of zip64.
    large: bool,
}

/// Why a file is not put together again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsafe {
    /// Its numbers are wrong, or in a form that is not written.
    Format,
    /// Something in it signs the contents.
    Signed,
}

const END: &[u8] = b"PK\x05\x06";
const END_LEN: usize = 22;
/// How much of a file's end can hold the end record.
pub const TAIL: usize = END_LEN + u16::MAX as usize;
const LOCAL: usize = 30;
const CENTRAL: usize = 46;
/// "Encrypted" and "sizes follow the data" of the general purpose flags.
const ENCRYPTED: usize = 1;
const DESCRIPTOR: usize = 8;
/// A method that no writer has, for members that cannot be read.
const UNREADABLE: u16 = u16::MAX;
/// Stands in a field of four bytes whose value is in a field of zip64.
const ELSEWHERE: usize = 0xffff_ffff;

fn number(bytes: &[u8], at: usize, len: usize) -> Option<usize> {
    let mut all = bytes.get(at..at.checked_add(len)?)?.iter().rev();
    all.try_fold(0usize, |value, &byte| Some(value.checked_mul(256)? | usize::from(byte)))
}

/// Whether the last [`TAIL`] bytes of a file may make it a zip.
#[must_use]
pub fn may_end(tail: &[u8]) -> bool {
    memchr::memmem::find(tail, END).is_some()
}

/// Reads the central directory (APPNOTE 4.3.12, 4.3.16). Files of several disks are not taken for zip.
///
/// The end record is looked for in the last 64 KiB; in what does not begin like a zip, its comment must end with the file.
#[must_use]
pub fn read(bytes: &[u8]) -> Option<Zip> {
    let last = bytes.len().checked_sub(END_LEN)?;
    let from = last.saturating_sub(usize::from(u16::MAX));
    let tail = &bytes[from..last + END.len()];
    // Nearly every file ends here; forwards is the faster way to look.
    memchr::memmem::find(tail, END)?;
    let end = from + memchr::memmem::rfind(tail, END)?;
    if !bytes.starts_with(b"PK\x03\x04") && end + END_LEN + number(bytes, end + 20, 2)? != bytes.len() {
        return None;
    }
    let large = zip64(bytes, end);
    let (directory, count, offset) = large.or_else(|| {
        let directory = end.checked_sub(number(bytes, end + 12, 4)?)?;
        Some((directory, number(bytes, end + 10, 2)?, number(bytes, end + 16, 4)?))
    })?;
    // What was put before a zip shifts it against its own offsets, unless they were adjusted.
    let shift = directory.checked_sub(offset)?;
    let mut zip = Zip { start: directory, members: Vec::new(), directory, end, shift, large: large.is_some() };
    let mut at = directory;
    for _ in 0..count {
        at = zip.add_member(bytes, at)?;
    }
    Some(zip)
}

/// The directory's place, its number of members, and the place it says it has (APPNOTE 4.3.14, 4.3.15).
fn zip64(bytes: &[u8], end: usize) -> Option<(usize, usize, usize)> {
    let locator = end.checked_sub(20)?;
    if !bytes[locator..].starts_with(b"PK\x06\x07") {
        return None;
    }
    // Of the two places it can have, with and without something before the file, the record itself is at one.
    let record = [number(bytes, locator + 8, 8)?, locator.checked_sub(56)?];
    let record = record.into_iter().find(|&at| bytes.get(at..).is_some_and(|rest| rest.starts_with(b"PK\x06\x06")))?;
    let directory = record.checked_sub(number(bytes, record + 40, 8)?)?;
    Some((directory, number(bytes, record + 32, 8)?, number(bytes, record + 48, 8)?))
}

impl Zip {
    /// Reads the directory's header at `at`; returns where the next one is.
    fn add_member(&mut self, bytes: &[u8], at: usize) -> Option<usize> {
        if bytes.get(at..at + 4)? != b"PK\x01\x02" {
            return None;
        }
        let name_at = at + CENTRAL..at + CENTRAL + number(bytes, at + 28, 2)?;
        let extra = name_at.end..name_at.end + number(bytes, at + 30, 2)?;
        let name = String::from_utf8_lossy(bytes.get(name_at.clone())?).into_owned();
        let [_, len, offset] = self.sizes(bytes, at, bytes.get(extra.clone())?)?;
        let local = self.shift.checked_add(offset)?;
        let data = local + LOCAL + number(bytes, local + 26, 2)? + number(bytes, local + 28, 2)?;
        bytes.get(data..data.checked_add(len)?)?;
        let encrypted = number(bytes, at + 8, 2)? & ENCRYPTED != 0;
        let method = if encrypted { UNREADABLE } else { u16::try_from(number(bytes, at + 10, 2)?).ok()? };
        self.start = self.start.min(local);
        self.members.push(ZipMember { name, packed: data..data + len, method, name_at, local, central: at });
        Some(extra.end + number(bytes, at + 32, 2)?)
    }

    /// Unpacked size, packed size and offset of a header, from the zip64 field where they do not fit (APPNOTE 4.5.3).
    fn sizes(&mut self, bytes: &[u8], at: usize, extra: &[u8]) -> Option<[usize; 3]> {
        let mut sizes = [number(bytes, at + 24, 4)?, number(bytes, at + 20, 4)?, number(bytes, at + 42, 4)?];
        if sizes.iter().all(|&size| size != ELSEWHERE) {
            return Some(sizes);
        }
        self.large = true;
        let mut field = 0;
        while number(extra, field, 2)? != 1 {
            field += 4 + number(extra, field + 2, 2)?;
        }
        let mut place = field + 4;
        for size in sizes.iter_mut().filter(|size| **size == ELSEWHERE) {
            *size = number(extra, place, 8)?;
            place += 8;
        }
        Some(sizes)
    }

    /// Whether something signs the contents: a signed jar or wheel, an Android package.
    fn is_signed(&self, bytes: &[u8]) -> bool {
        let signs = |name: &str| {
            let upper = name.to_ascii_uppercase();
            let jar = upper.starts_with("META-INF/")
                && [".SF", ".RSA", ".DSA", ".EC"].iter().any(|suffix| upper.ends_with(suffix));
            jar || upper.ends_with(".DIST-INFO/RECORD.JWS") || upper.ends_with(".DIST-INFO/RECORD.P7S")
        };
        self.members.iter().any(|member| signs(&member.name)) || bytes[..self.directory].ends_with(b"APK Sig Block 42")
    }

    /// The file with other contents of some members, each as it was and as it is to be. Always the same bytes for the same contents.
    ///
    /// `bytes` are the file's own, or have other names and comments of the same lengths.
    ///
    /// # Errors
    /// Why it cannot be put together again with certainty.
    pub fn rebuilt(&self, bytes: &[u8], contents: &BTreeMap<usize, (Vec<u8>, Vec<u8>)>) -> Result<Vec<u8>, Unsafe> {
        if self.is_signed(bytes) {
            return Err(Unsafe::Signed);
        }
        if self.large {
            return Err(Unsafe::Format);
        }
        self.written(bytes, contents).ok_or(Unsafe::Format)
    }

    fn written(&self, bytes: &[u8], contents: &BTreeMap<usize, (Vec<u8>, Vec<u8>)>) -> Option<Vec<u8>> {
        let mut order: Vec<usize> = (0..self.members.len()).collect();
        order.sort_by_key(|&index| self.members[index].local);
        let mut directory = bytes.get(self.directory..self.end)?.to_vec();
        let mut output = Vec::with_capacity(bytes.len());
        let mut at = 0;
        for index in order {
            let member = &self.members[index];
            output.extend(bytes.get(at..member.local)?);
            let central = member.central - self.directory;
            put(&mut directory, central + 42, output.len().checked_sub(self.shift)?)?;
            at = if let Some((old, new)) = contents.get(&index) {
                let packed = if member.method == 0 { new.clone() } else { packed::deflate(new).ok()? };
                let facts = facts(new, packed.len())?;
                let behind = member.renew(bytes, old, &facts, &packed, &mut output)?;
                directory.get_mut(central + 16..central + 28)?.copy_from_slice(&facts);
                behind
            } else {
                output.extend(bytes.get(member.local..member.packed.end)?);
                member.packed.end
            };
        }
        output.extend(bytes.get(at..self.directory)?);
        let mut end = bytes.get(self.end..)?.to_vec();
        put(&mut end, 16, output.len().checked_sub(self.shift)?)?;
        output.extend(directory);
        output.extend(end);
        Some(output)
    }
}

impl ZipMember {
    /// Whether it can be written again with another content: stored, or packed with deflate.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        matches!(self.method, 0 | 8)
    }

    /// Writes the member with another content, if all that the file says of the old one is true. Returns where what follows is.
    fn renew(&self, bytes: &[u8], old: &[u8], new: &[u8; 12], packed: &[u8], output: &mut Vec<u8>) -> Option<usize> {
        let known = facts(old, self.packed.len())?;
        let mut header = bytes.get(self.local..self.packed.start)?.to_vec();
        let described = number(&header, 6, 2)? & DESCRIPTOR != 0;
        let local = header.get_mut(14..26)?;
        if bytes.get(self.central + 16..self.central + 28)? != known
            || !(local == known || described && *local == [0; 12])
        {
            return None;
        }
        if local == known {
            local.copy_from_slice(new);
        }
        output.extend(header);
        output.extend(packed);
        if !described {
            return Some(self.packed.end);
        }
        // The signature before a descriptor is customary, not required (APPNOTE 4.3.9.3).
        let signature = if bytes.get(self.packed.end..)?.starts_with(b"PK\x07\x08") { 4 } else { 0 };
        let from = self.packed.end + signature;
        if bytes.get(from..from + known.len())? != known {
            return None;
        }
        output.extend(&bytes[self.packed.end..from]);
        output.extend(new);
        Some(from + known.len())
    }
}

/// Checksum, packed and unpacked size, as headers and descriptors have them.
fn facts(content: &[u8], packed: usize) -> Option<[u8; 12]> {
    let mut crc = flate2::Crc::new();
    crc.update(content);
    let mut facts = [0; 12];
    facts[..4].copy_from_slice(&crc.sum().to_le_bytes());
    put(&mut facts, 4, packed)?;
    put(&mut facts, 8, content.len())?;
    Some(facts)
}

/// Writes four bytes; none if the number does not fit.
fn put(bytes: &mut [u8], at: usize, value: usize) -> Option<()> {
    let four = u32::try_from(value).ok().filter(|_| value < ELSEWHERE)?.to_le_bytes();
    bytes.get_mut(at..at + 4)?.copy_from_slice(&four);
    Some(())
}
