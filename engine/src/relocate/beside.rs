//! Short checksums, and MACs: what is too short, or needs a key, to be known by its value alone.
//!
//! Owns where they are looked for: in lines that name the file, in small texts that are about it, and in file names. A CRC or the
//! first eight digits of a digest are found anywhere by chance, beside the file's own name they are not.

use super::digest::{self, hex};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::ops::Range;
use std::path::Path;

/// Texts larger than this (bytes) are no lists of checksums of this kind.
pub(super) const SMALL: u64 = 64 << 10;
/// The shortest number or beginning of a digest (characters), and the shortest whole digest.
const LEAST: usize = 8;
const WHOLE: usize = 32;
/// How much (bytes) of a line around a number is searched for the name.
const LINE: usize = 8 << 10;

/// A number or digest in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) range: Range<usize>,
}

/// Runs of hexadecimal digits of at least [`LEAST`] that stand alone; empty for what is no text.
pub(super) fn tokens(text: &[u8]) -> Vec<Token> {
    let mut all = Vec::new();
    if memchr::memchr(0, text).is_some() {
        return all;
    }
    let is_hex = |at: usize| text.get(at).is_some_and(u8::is_ascii_hexdigit);
    let mut at = LEAST - 1;
    while at < text.len() {
        if !is_hex(at) {
            at += LEAST;
            continue;
        }
        let start = (0..at).rev().take_while(|&i| is_hex(i)).last().unwrap_or(at);
        let end = (at..text.len()).take_while(|&i| is_hex(i)).last().unwrap_or(at) + 1;
        let alone = |at: Option<usize>| !at.and_then(|at| text.get(at)).is_some_and(u8::is_ascii_alphanumeric);
        if end - start >= LEAST && alone(start.checked_sub(1)) && alone(Some(end)) {
            all.push(Token { range: start..end });
        }
        at = end.max(at + 1) + LEAST - 1;
    }
    all
}

/// The line around a token.
pub(super) fn line<'a>(text: &'a [u8], token: &Token) -> &'a [u8] {
    let from = token.range.start.saturating_sub(LINE);
    let start = memchr::memrchr(b'\n', &text[from..token.range.start]).map_or(from, |at| from + at + 1);
    let to = text.len().min(token.range.end + LINE);
    let end = memchr::memchr(b'\n', &text[token.range.end..to]).map_or(to, |at| token.range.end + at);
    &text[start..end]
}

/// The words of a line that may be file names, without their directories.
pub(super) fn names(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"._+-@~".contains(byte) || !byte.is_ascii();
    line.split(move |byte| !is_part(byte)).filter(|word| word.len() > 1)
}

/// A file's name up to its first dot, dots at its beginning aside: `libfoo` of `.libfoo.so.1.hmac`.
pub(super) fn stem(path: &Path) -> &[u8] {
    use std::os::unix::ffi::OsStrExt;
    let name = path.file_name().unwrap_or_else(|| OsStr::new("")).as_bytes();
    let name = name.strip_prefix(b".").unwrap_or(name);
    name.split(|&byte| byte == b'.').next().unwrap_or(name)
}

/// What is known of a file's old content.
#[derive(Debug, Clone)]
pub(super) struct Known {
    digests: Vec<String>,
    sums: Vec<String>,
    macs: Vec<String>,
}

/// How a token was made, so that it can be made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Made {
    /// The first digits of one of the digests.
    Digest(usize),
    /// One of the sums.
    Sum(usize),
    /// A MAC with one of the keys.
    Mac(usize),
}

impl Known {
    /// Of these bytes.
    pub(super) fn of(bytes: &[u8]) -> Self {
        let mut crc = flate2::Crc::new();
        crc.update(bytes);
        let sums = [crc.sum(), cksum(bytes), super::section::adler32(bytes)];
        Self {
            digests: digest::all(bytes).iter().map(|digest| hex(digest)).collect(),
            sums: sums.iter().flat_map(|sum| [format!("{sum:08x}"), sum.to_string()]).collect(),
            macs: digest::KEYS.iter().map(|key| hex(&digest::hmac(key, bytes))).collect(),
        }
    }

    /// How a token was made, if it was made of these bytes.
    pub(super) fn explains(&self, token: &[u8]) -> Option<Made> {
        let token = token.to_ascii_lowercase();
        let place = |all: &[String], is: &dyn Fn(&[u8]) -> bool| all.iter().position(|text| is(text.as_bytes()));
        if token.len() >= WHOLE {
            return place(&self.macs, &|mac| mac == token).map(Made::Mac);
        }
        place(&self.digests, &|digest| digest.starts_with(&token))
            .map(Made::Digest)
            .or_else(|| place(&self.sums, &|sum| sum == token).map(Made::Sum))
    }

    /// What the token is for other bytes, if it is as long then.
    pub(super) fn renewed(&self, token: &[u8], made: Made) -> Option<Vec<u8>> {
        let text = match made {
            Made::Digest(index) => self.digests[index].get(..token.len())?,
            Made::Sum(index) => &self.sums[index],
            Made::Mac(index) => &self.macs[index],
        };
        let is_upper = token.iter().any(u8::is_ascii_uppercase);
        let text = if is_upper { text.to_ascii_uppercase() } else { text.to_owned() };
        (text.len() == token.len()).then(|| text.into_bytes())
    }
}

/// The sum that `cksum` prints (POSIX, "cksum").
fn cksum(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut i = 0;
        let mut first = 0_u32;
        while i < 256 {
            let mut value = first << 24;
            first += 1;
            let mut bit = 0;
            while bit < 8 {
                value = if value >> 31 == 1 { value << 1 ^ 0x04c1_1db7 } else { value << 1 };
                bit += 1;
            }
            table[i] = value;
            i += 1;
        }
        table
    };
    let length = bytes.len().to_le_bytes();
    let digits = length.len() - length.iter().rev().take_while(|&&byte| byte == 0).count();
    let add = |sum: u32, byte: &u8| sum << 8 ^ TABLE[usize::from((sum >> 24).to_le_bytes()[0] ^ byte)];
    !bytes.iter().chain(&length[..digits]).fold(0, add)
}

/// Changed files, by the names that a text can call them.
#[derive(Debug, Default)]
pub(super) struct Named {
    names: BTreeMap<Vec<u8>, BTreeSet<usize>>,
    stems: BTreeMap<Vec<u8>, BTreeSet<usize>>,
}

impl Named {
    /// Of these paths, by index.
    pub(super) fn of<'a>(paths: impl Iterator<Item = (usize, &'a Path)>) -> Self {
        use std::os::unix::ffi::OsStrExt;
        let mut named = Self::default();
        for (index, path) in paths {
            let name = path.file_name().unwrap_or_default().as_bytes().to_vec();
            named.names.entry(name).or_default().insert(index);
            if stem(path).len() > 2 {
                named.stems.entry(stem(path).to_vec()).or_default().insert(index);
            }
        }
        named
    }

    /// Those whose whole name is a word of the line.
    pub(super) fn in_line(&self, line: &[u8]) -> BTreeSet<usize> {
        names(line).filter_map(|name| self.names.get(name)).flatten().copied().collect()
    }

    /// Those that a text is about: its own name begins like theirs, or a line with a token has their names.
    pub(super) fn about(&self, path: &Path) -> BTreeSet<usize> {
        self.stems.get(stem(path)).into_iter().flatten().copied().collect()
    }

    /// Those whose name without its endings is a word of the text.
    pub(super) fn in_text(&self, text: &[u8]) -> BTreeSet<usize> {
        let stems =
            names(text).filter_map(|word| self.stems.get(stem(Path::new(OsStr::new(std::str::from_utf8(word).ok()?)))));
        stems.flatten().copied().collect()
    }
}

/// Whether a token is as long as a digest.
pub(super) fn is_whole(token: &Token) -> bool {
    [32, 40, 64, 96, 128].contains(&token.range.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_what_other_programs_print() {
        // `cksum`, `crc32`, `python3 -c 'zlib.adler32'`.
        let known = Known::of(b"123456789");
        assert_eq!(known.sums, ["cbf43926", "3421780262", "377a6011", "930766865", "091e01de", "152961502"]);
    }

    #[test]
    fn tokens_stand_alone() {
        let text = b"x 0123abcd, zz0123abcd 0123abcdz \"0123ABCDEF\" 1234567\n12345678";
        let found: Vec<&[u8]> = tokens(text).iter().map(|token| &text[token.range.clone()]).collect();
        assert_eq!(found, [&b"0123abcd"[..], b"0123ABCDEF", b"12345678"]);
        assert_eq!(line(text, &tokens(text)[2]), b"12345678");
        assert_eq!(tokens(b"0123abcd\0"), []);
    }

    #[test]
    fn what_was_made_is_made_again() {
        let (old, new) = (Known::of(b"old"), Known::of(b"new"));
        for token in [&old.digests[2][..12], &old.sums[0], &old.macs[4], &old.sums[0].to_uppercase()] {
            let made = old.explains(token.as_bytes()).unwrap();
            let again = new.renewed(token.as_bytes(), made).unwrap();
            assert_eq!(new.explains(&again), Some(made), "{token}");
        }
        assert_eq!(old.explains(b"00000000"), None);
    }
}
