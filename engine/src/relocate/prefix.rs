//! Staged prefixes and the real paths that replace them.
//!
//! Owns what a valid `STAGED=REAL` pair is. Knows nothing of files.

use std::ffi::OsStr;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;

/// Characters in the hash part of a store path.
pub const HASH_LEN: usize = 32;

/// Whether `byte` belongs to the alphabet of nix-base32 (digits and lower-case letters but `e o t u`).
#[must_use]
pub fn is_base32(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'd' | b'f'..=b'n' | b'p'..=b's' | b'v'..=b'z')
}

/// A store path `<store>/<hash>-<name>`, as bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorePath {
    bytes: Vec<u8>,
    hash_at: usize,
}

impl StorePath {
    /// Reads a path, which must be absolute, without a trailing slash, and end in `<hash>-<name>`.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let shown = String::from_utf8_lossy(bytes);
        if bytes.first() != Some(&b'/') {
            return Err(format!("`{shown}` is not an absolute path"));
        }
        let hash_at = bytes.iter().rposition(|&b| b == b'/').map_or(0, |i| i + 1);
        let name = &bytes[hash_at..];
        let valid = hash_at > 1
            && name.len() > HASH_LEN + 1
            && name[HASH_LEN] == b'-'
            && name[..HASH_LEN].iter().all(|&b| is_base32(b));
        if !valid {
            return Err(format!("`{shown}` is not a store path: expected /nix/store/<32 base32 characters>-<name>"));
        }
        Ok(Self { bytes: bytes.to_vec(), hash_at })
    }

    /// The whole path.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Where the hash lies in [`Self::bytes`].
    #[must_use]
    pub fn hash_range(&self) -> Range<usize> {
        self.hash_at..self.hash_at + HASH_LEN
    }

    /// The 32 characters of the hash.
    #[must_use]
    pub fn hash(&self) -> &[u8] {
        &self.bytes[self.hash_range()]
    }
}

impl std::fmt::Display for StorePath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.bytes))
    }
}

/// One staged prefix and the path that it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// What the outputs were built with.
    pub staged: StorePath,
    /// What they must mention in the end: equal to `staged` but for the hash.
    pub real: StorePath,
}

impl Mapping {
    /// Pairs two paths that differ in nothing but the hash.
    ///
    /// # Errors
    /// A sentence that says which rule they break.
    pub fn new(staged: &[u8], real: &[u8]) -> Result<Self, String> {
        let staged = StorePath::parse(staged)?;
        let real = StorePath::parse(real)?;
        if staged.bytes.len() != real.bytes.len() {
            return Err(format!(
                "`{staged}` and `{real}` differ in length: a path can only be replaced by one as long"
            ));
        }
        let end = staged.hash_range().end;
        if staged.hash_at != real.hash_at
            || staged.bytes[..staged.hash_at] != real.bytes[..real.hash_at]
            || staged.bytes[end..] != real.bytes[end..]
        {
            return Err(format!("`{staged}` and `{real}` differ in more than the hash"));
        }
        Ok(Self { staged, real })
    }

    /// Reads `STAGED=REAL`. A store name may hold `=`, so the middle is the separator, not the first one.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub fn parse(argument: &OsStr) -> Result<Self, String> {
        let bytes = argument.as_bytes();
        let middle = bytes.len() / 2;
        if bytes.len().is_multiple_of(2) || bytes.get(middle) != Some(&b'=') {
            return Err(format!(
                "`{}` is not STAGED=REAL with two paths of the same length",
                argument.to_string_lossy()
            ));
        }
        Self::new(&bytes[..middle], &bytes[middle + 1..])
    }
}

/// Replaces every full occurrence of a staged hash in `bytes`, in place, and says whether there was one.
///
/// For text that no compiler has touched, such as the shell's state: pieces are not looked for.
pub fn replace_full(bytes: &mut [u8], mappings: &[Mapping]) -> bool {
    let mut changed = false;
    for mapping in mappings {
        let finder = memchr::memmem::Finder::new(mapping.staged.hash());
        let mut from = 0;
        while let Some(found) = finder.find(&bytes[from..]) {
            let at = from + found;
            bytes[at..at + HASH_LEN].copy_from_slice(mapping.real.hash());
            from = at + HASH_LEN;
            changed = true;
        }
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-a=b";
    const B: &str = "/nix/store/zyxwvsrqpnmlkjihgfdcba9876543210-a=b";

    #[test]
    fn a_name_may_hold_an_equals_sign() {
        let mapping = Mapping::parse(OsStr::new(&format!("{A}={B}"))).unwrap();
        assert_eq!(mapping.staged.bytes(), A.as_bytes());
        assert_eq!(mapping.real.bytes(), B.as_bytes());
    }

    #[test]
    fn pairs_that_cannot_stand_for_each_other_are_rejected() {
        for (staged, real) in [
            (A, "/nix/store/zyxwvsrqpnmlkjihgfdcba9876543210-a=bc"),
            (A, "/nix/store/zyxwvsrqpnmlkjihgfdcba9876543210-a=c"),
            (A, "/nix/other/zyxwvsrqpnmlkjihgfdcba9876543210-a=b"),
            (A, "/nix/store/eyxwvsrqpnmlkjihgfdcba9876543210-a=b"),
            ("nix/store", "nix/store"),
            ("", ""),
            ("/", "/"),
        ] {
            assert!(Mapping::parse(OsStr::new(&format!("{staged}={real}"))).is_err(), "{staged} {real}");
        }
    }

    #[test]
    fn text_is_rewritten_wherever_the_hash_stands() {
        let mapping = Mapping::new(A.as_bytes(), B.as_bytes()).unwrap();
        let mut text = format!("x={A};y=0123456789abcdfghijklmnpqrsvwxyz").into_bytes();
        assert!(replace_full(&mut text, std::slice::from_ref(&mapping)));
        let want = format!("x={B};y=zyxwvsrqpnmlkjihgfdcba9876543210");
        assert_eq!(text, want.into_bytes());
        assert!(!replace_full(&mut text, &[mapping]));
    }
}
