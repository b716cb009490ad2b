//! Python bytecode that is checked by a digest of its source, which relocating the source makes wrong.
//!
//! Owns the header (PEP 552: magic, flags, digest) and the digest (`_imp.source_hash`: `SipHash` with the magic number as key).
//! nixpkgs sets `SOURCE_DATE_EPOCH`, with which this is Python's way; a stale digest makes every start compile again. Only
//! digests that were right before are brought up to date.

use super::error::Error;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Where in the file the digest lies.
pub const DIGEST: usize = 8;
const DIGEST_LEN: usize = 8;

/// A file of bytecode whose source is about to change.
#[derive(Debug, PartialEq, Eq)]
pub struct Stale {
    /// The bytecode.
    pub path: PathBuf,
    /// Its source.
    pub source: PathBuf,
    magic: u32,
    rounds: [usize; 2],
}

/// The bytecode whose digest speaks of one of the files `changing`.
///
/// # Errors
/// What cannot be read.
pub fn find(changing: &BTreeSet<PathBuf>) -> Result<Vec<Stale>, Error> {
    let mut all = Vec::new();
    for source in changing.iter().filter(|path| path.extension() == Some(OsStr::new("py"))) {
        let Some((directory, stem)) = source.parent().zip(source.file_stem()) else { continue };
        let beside = directory.join(stem).with_extension("pyc");
        let mut candidates: Vec<PathBuf> = beside.is_file().then_some(beside).into_iter().collect();
        for entry in std::fs::read_dir(directory.join("__pycache__")).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let rest = name.as_encoded_bytes().strip_prefix(stem.as_encoded_bytes());
            if rest.is_some_and(|rest| rest.starts_with(b".") && rest.ends_with(b".pyc")) && entry.path().is_file() {
                candidates.push(entry.path());
            }
        }
        for path in candidates {
            all.extend(stale(path, source)?);
        }
    }
    Ok(all)
}

fn stale(path: PathBuf, source: &Path) -> Result<Option<Stale>, Error> {
    let bytes = std::fs::read(&path).map_err(Error::io("read", &path))?;
    let Some(header) = bytes.first_chunk::<{ DIGEST + DIGEST_LEN }>() else { return Ok(None) };
    let [m0, m1, m2, m3, f0, f1, f2, f3, digest @ ..] = *header;
    if [m2, m3] != *b"\r\n" || !matches!([f0, f1, f2, f3], [1 | 3, 0, 0, 0]) {
        return Ok(None);
    }
    let magic = u32::from_le_bytes([m0, m1, m2, m3]);
    let text = std::fs::read(source).map_err(Error::io("read", source))?;
    // Before Python 3.11 it was SipHash-2-4.
    let rounds = [[1, 3], [2, 4]].into_iter().find(|&rounds| siphash(rounds, [magic.into(), 0], &text) == digest);
    Ok(rounds.map(|rounds| Stale { path, source: source.to_owned(), magic, rounds }))
}

impl Stale {
    /// The digest of the source once it is `text`.
    #[must_use]
    pub fn renewed(&self, text: &[u8]) -> [u8; DIGEST_LEN] {
        siphash(self.rounds, [self.magic.into(), 0], text)
    }
}

/// `SipHash` (Aumasson and Bernstein, 2012) with rounds for each word and at the end, as little-endian bytes.
fn siphash(rounds: [usize; 2], key: [u64; 2], text: &[u8]) -> [u8; DIGEST_LEN] {
    let mut v = [
        key[0] ^ 0x736f_6d65_7073_6575,
        key[1] ^ 0x646f_7261_6e64_6f6d,
        key[0] ^ 0x6c79_6765_6e65_7261,
        key[1] ^ 0x7465_6462_7974_6573,
    ];
    let mut add = |word: u64| {
        v[3] ^= word;
        (0..rounds[0]).for_each(|_| round(&mut v));
        v[0] ^= word;
    };
    let (words, rest) = text.as_chunks::<8>();
    for word in words {
        add(u64::from_le_bytes(*word));
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    // The length modulo 256 is the last word's highest byte.
    last[7] = text.len().to_le_bytes()[0];
    add(u64::from_le_bytes(last));
    v[2] ^= 0xff;
    (0..rounds[1]).for_each(|_| round(&mut v));
    (v[0] ^ v[1] ^ v[2] ^ v[3]).to_le_bytes()
}

fn round(v: &mut [u64; 4]) {
    let mix = |v: &mut [u64; 4], a: usize, b: usize, left: u32| {
        v[a] = v[a].wrapping_add(v[b]);
        v[b] = v[b].rotate_left(left) ^ v[a];
    };
    mix(v, 0, 1, 13);
    mix(v, 2, 3, 16);
    v[0] = v[0].rotate_left(32);
    mix(v, 0, 3, 21);
    mix(v, 2, 1, 17);
    v[2] = v[2].rotate_left(32);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_the_papers_and_pythons() {
        // The example of the paper, appendix A.
        let key = [0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908];
        let text: Vec<u8> = (0..15).collect();
        assert_eq!(siphash([2, 4], key, &text), 0xa129_ca61_49be_45e5_u64.to_le_bytes());
        // `importlib.util.source_hash` of Python 3.11.
        let magic = [u64::from(u32::from_le_bytes(*b"\xa7\r\r\n")), 0];
        for (text, want) in [
            (&b""[..], 0x738d_9cd5_d5e8_7f73_u64),
            (b"x = 1\n", 0x4c03_72aa_93f7_5252),
            (b"print(\"something longer than eight bytes\")\n", 0x7901_eb70_4023_11f2),
        ] {
            assert_eq!(siphash([1, 3], magic, text), want.to_be_bytes());
        }
    }

    #[test]
    fn digests_that_were_right_are_brought_up_to_date() {
        let scratch = tempfile::tempdir().unwrap();
        let source = scratch.path().join("m.py");
        let cache = scratch.path().join("__pycache__");
        std::fs::create_dir(&cache).unwrap();
        std::fs::write(&source, "old").unwrap();
        let magic = *b"\xa7\r\r\n";
        let digest = siphash([1, 3], [u32::from_le_bytes(magic).into(), 0], b"old");
        let pyc = |flags: u8, digest: &[u8]| [&magic[..], &[flags, 0, 0, 0], digest, b"code"].concat();
        for (name, bytes) in [
            ("m.cpython-311.pyc", pyc(3, &digest)),
            ("m.cpython-311.opt-1.pyc", pyc(1, &digest)),
            ("m.by-time.pyc", pyc(0, &digest)),
            ("m.wrong.pyc", pyc(3, b"12345678")),
            ("m2.cpython-311.pyc", pyc(3, &digest)),
        ] {
            std::fs::write(cache.join(name), bytes).unwrap();
        }
        let mut stale = find(&BTreeSet::from([source.clone(), cache])).unwrap();
        stale.sort_by(|a, b| a.path.cmp(&b.path));
        let names: Vec<_> = stale.iter().filter_map(|stale| stale.path.file_name()?.to_str()).collect();
        assert_eq!(names, ["m.cpython-311.opt-1.pyc", "m.cpython-311.pyc"]);
        let want = siphash([1, 3], [u32::from_le_bytes(magic).into(), 0], b"newer");
        assert_eq!(stale[0].renewed(b"newer"), want);
    }
}
