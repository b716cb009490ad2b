//! Digests: how they are made and written, and the search for many of them at once.
//!
//! Owns the algorithms, their forms, and the table. Knows no files: whose digests these are is `follow`'s.

use super::content::Edit;
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha384, Sha512};
use std::collections::HashMap;
use std::ops::Range;

/// The names of [`all`]'s algorithms, in its order.
pub const NAMES: [&str; 6] = ["MD5", "SHA-1", "SHA-256", "SHA-384", "SHA-512", "BLAKE3"];

/// The keys of MACs that are known: what FIPS modules are published with, and none at all.
pub const KEYS: [&[u8]; 6] = [
    // OpenSSL 3, `providers/fips/self_test.c` and its default in `Configure`.
    b"\xf4\x55\x66\x50\xac\x31\xd3\x54\x61\x61\x0b\xac\x4e\xd8\x1b\x1a\x18\x1b\x2d\x8a\x43\xea\x28\x54\xcb\xae\x22\xca\x74\x56\x08\x13",
    b"orboDeJITITejsirpADONivirpUkvarP",
    b"FIPS-FTW-RHT2009",
    b"What am I, a doctor or a moonshine salesman?",
    b"\0",
    b"0",
];

/// The digests of `bytes` by every algorithm.
#[must_use]
pub fn all(bytes: &[u8]) -> [Vec<u8>; 6] {
    [
        Md5::digest(bytes).to_vec(),
        Sha1::digest(bytes).to_vec(),
        Sha256::digest(bytes).to_vec(),
        Sha384::digest(bytes).to_vec(),
        Sha512::digest(bytes).to_vec(),
        blake3::hash(bytes).as_bytes().to_vec(),
    ]
}

/// HMAC-SHA-256 (RFC 2104); no key is longer than a block of 64 bytes.
#[must_use]
pub fn hmac(key: &[u8], bytes: &[u8]) -> Vec<u8> {
    let pad = |with: u8| -> Vec<u8> { (0..64).map(|i| key.get(i).copied().unwrap_or(0) ^ with).collect() };
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(bytes).finalize();
    Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().to_vec()
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const BASE64_URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Base64 without padding (RFC 4648).
fn base64(bytes: &[u8], alphabet: &[u8; 64]) -> Vec<u8> {
    let bit = |at: usize| bytes.get(at / 8).map_or(0, |byte| byte >> (7 - at % 8) & 1);
    let value = |i: usize| (0..6).fold(0, |value, j| usize::from(bit(6 * i + j)) | value << 1);
    (0..(bytes.len() * 8).div_ceil(6)).map(|i| alphabet[value(i)]).collect()
}

/// Hexadecimal, as most programs write it.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Nix's base 32 (Nix, `src/libutil/hash.cc`).
fn nix32(bytes: &[u8]) -> Vec<u8> {
    const ALPHABET: &[u8; 32] = b"0123456789abcdfghijklmnpqrsvwxyz";
    let value = |n: usize| {
        let (at, shift) = (n * 5 / 8, n * 5 % 8);
        let next = bytes.get(at + 1).copied().unwrap_or(0);
        (u16::from_le_bytes([bytes[at], next]) >> shift) & 31
    };
    (0..(bytes.len() * 8).div_ceil(5)).rev().map(|n| ALPHABET[usize::from(value(n))]).collect()
}

/// All ways in which a digest is written. Each is as long for one digest as for another of the same algorithm.
#[must_use]
pub fn forms(digest: &[u8]) -> [Vec<u8>; 6] {
    let lower = hex(digest);
    let upper = lower.to_ascii_uppercase();
    [
        lower.into_bytes(),
        upper.into_bytes(),
        base64(digest, BASE64),
        base64(digest, BASE64_URL),
        nix32(digest),
        digest.to_vec(),
    ]
}

/// One digest that is looked for, in one form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// As it is written.
    pub old: Vec<u8>,
    /// What is to be written instead: nothing where that is not known, two where the alphabet of base64 decides (see [`choose`]).
    pub new: Vec<Vec<u8>>,
    /// What it is a digest of, for the caller.
    pub source: usize,
    /// What it is, for people.
    pub name: &'static str,
}

/// The shortest text of a digest (bytes): an MD5 as it is.
const LEAST: usize = 16;
const GRAM: usize = 8;
/// Of so many places in a row, the eight bytes at one are in every digest.
const STEP: usize = LEAST - GRAM + 1;

/// Digests to be looked for, all in one pass.
#[derive(Debug, Clone, Default)]
pub struct Table {
    entries: Vec<Entry>,
    filter: Vec<u64>,
    grams: HashMap<u64, Vec<(usize, usize)>>,
}

/// A digest that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// Offset.
    pub at: usize,
    /// Which entry of the table.
    pub entry: usize,
}

impl Table {
    /// Of these digests; one that is there for two sources with two replacements has none.
    #[must_use]
    pub fn new(all: Vec<Entry>) -> Self {
        let mut known: HashMap<Vec<u8>, usize> = HashMap::new();
        let mut entries: Vec<Entry> = Vec::new();
        for entry in all.into_iter().filter(|entry| entry.old.len() >= LEAST) {
            if let Some(&twin) = known.get(&entry.old) {
                let twin = &mut entries[twin];
                if twin.source == entry.source && twin.name == entry.name && !twin.new.is_empty() {
                    twin.new.extend(entry.new);
                    twin.new.dedup();
                } else if twin.new != entry.new {
                    twin.new.clear();
                }
            } else {
                known.insert(entry.old.clone(), entries.len());
                entries.push(entry);
            }
        }
        let words = (entries.len() * STEP / 4).next_power_of_two().clamp(1 << 9, 1 << 21);
        let mut table = Self { entries: Vec::new(), filter: vec![0; words], grams: HashMap::new() };
        for (index, entry) in entries.iter().enumerate() {
            for position in 0..STEP {
                if let Some(gram) = gram_at(&entry.old, position) {
                    let bit = table.slot(gram);
                    table.filter[bit / 64] |= 1 << (bit % 64);
                    table.grams.entry(gram).or_default().push((index, position));
                }
            }
        }
        table.entries = entries;
        table
    }

    /// Whether there is nothing to look for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Entry `index`.
    #[must_use]
    pub fn entry(&self, index: usize) -> &Entry {
        &self.entries[index]
    }

    /// All entries.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    fn slot(&self, gram: u64) -> usize {
        let bits = self.filter.len() * 64;
        let hash = gram.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        usize::try_from(hash).unwrap_or(0) & (bits - 1)
    }

    /// The digests in `bytes[range]`, by offset.
    #[must_use]
    pub fn find(&self, bytes: &[u8], range: Range<usize>) -> Vec<Hit> {
        let mut found = Vec::new();
        if self.is_empty() {
            return found;
        }
        let bytes = &bytes[..range.end];
        let mut at = range.start;
        while let Some(gram) = gram_at(bytes, at) {
            let bit = self.slot(gram);
            if self.filter[bit / 64] >> (bit % 64) & 1 != 0 {
                for &(entry, position) in self.grams.get(&gram).into_iter().flatten() {
                    let start = at.checked_sub(position).filter(|&start| start >= range.start);
                    if let Some(start) = start
                        && bytes[start..].starts_with(&self.entries[entry].old)
                    {
                        found.push(Hit { at: start, entry });
                    }
                }
            }
            at += STEP;
        }
        found.sort_by_key(|hit| (hit.at, hit.entry));
        found.dedup();
        found
    }

    /// What a hit in `bytes` becomes.
    #[must_use]
    pub fn edit(&self, bytes: &[u8], hit: &Hit) -> Option<Edit> {
        let entry = &self.entries[hit.entry];
        let new = choose(bytes, hit.at..hit.at + entry.old.len(), &entry.new)?;
        Some(Edit { at: hit.at, bytes: new.clone() })
    }
}

/// Which of the replacements for `bytes[range]` is right. A digest in base64 without a character that tells the alphabet becomes
/// one with such a character: padding and the prefix of SRI (W3C, "Subresource Integrity") are standard base64, the prefix of
/// Python's RECORD is base64url.
#[must_use]
pub fn choose<'a>(bytes: &[u8], range: Range<usize>, new: &'a [Vec<u8>]) -> Option<&'a Vec<u8>> {
    let (standard, url) = match new {
        [] => return None,
        [only] => return Some(only),
        [standard, url, ..] => (standard, url),
    };
    let before = &bytes[..range.start];
    let named = |end: &[u8]| {
        [&b"md5"[..], b"sha1", b"sha256", b"sha384", b"sha512", b"blake3"]
            .iter()
            .any(|name| before.ends_with(&[name, end].concat()))
    };
    if named(b"=") {
        Some(url)
    } else if named(b"-") || bytes.get(range.end) == Some(&b'=') {
        Some(standard)
    } else {
        None
    }
}

fn gram_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + GRAM)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `md5sum`, `sha1sum`, `sha256sum`, `sha384sum`, `sha512sum` and `b3sum` print them; base 32 as `nix-hash` does.
    #[test]
    fn digests_are_what_other_programs_make() {
        let known = [
            "900150983cd24fb0d6963f7d28e17f72",
            "a9993e364706816aba3e25717850c26c9cd0d89d",
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7",
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
            "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85",
        ];
        assert_eq!(all(b"abc").map(|digest| hex(&digest)), known);
        let forms = forms(&Sha256::digest(b"abc"));
        assert_eq!(forms[2], b"ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0");
        assert_eq!(forms[3], b"ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0");
        assert_eq!(forms[4], b"1b8m03r63zqhnjf7l5wnldhh7c134ap5vpj0850ymkq1iyzicy5s");
        // RFC 4231, the second test.
        let mac = hmac(b"Jefe", b"what do ya want for nothing?");
        assert_eq!(hex(&mac), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }

    #[test]
    fn every_digest_is_found_at_every_alignment() {
        let digests = all(b"abc").map(|digest| forms(&digest)).concat();
        let entries = digests.iter().map(|old| Entry { old: old.clone(), new: Vec::new(), source: 0, name: "" });
        let table = Table::new(entries.collect());
        for digest in &digests {
            for shift in 0..20 {
                let bytes = [vec![0xfe; shift], digest.clone(), vec![0xfe; 3]].concat();
                let found = table.find(&bytes, 0..bytes.len());
                let is_it = |hit: &Hit| hit.at == shift && table.entry(hit.entry).old == *digest;
                assert!(found.iter().any(is_it), "{shift}");
                assert_eq!(table.find(&bytes, 0..shift + digest.len() - 1).iter().find(|hit| is_it(hit)), None);
            }
        }
    }
}
