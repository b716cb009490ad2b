//! Words that stand for each other: proven for the package as a whole before any file is compared.
//!
//! Owns the words, and what GCC makes of `-frandom-seed`. nixpkgs' setup hook `reproducible-builds.sh` gives the compiler the
//! first ten characters of `$out`'s hash; the compiler repeats them in debug information and recorded flags, and writes their
//! checksum into the names of LTO sections and of symbols that need to be unique. In a split build these are the staged
//! prefix's, in the unsplit one the output's own.

use super::Excuse;
use super::spans::Explained;
use memchr::memmem;

/// The length of a seed.
const SEED_LEN: usize = 10;
/// Fewer digits than this could be there by chance.
const LEAST_DIGITS: usize = 6;

/// A word of the first side and the one that stands for it on the second; as long as each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// On the first side.
    pub first: Vec<u8>,
    /// On the second side.
    pub second: Vec<u8>,
    /// Why they stand for each other.
    pub rule: Excuse,
}

/// The words that a seed leads to: `first` and `second` are hashes, or begin with them.
pub fn words_of_seed(first: &[u8], second: &[u8]) -> Vec<Word> {
    let (Some(first), Some(second)) = (first.get(..SEED_LEN), second.get(..SEED_LEN)) else { return Vec::new() };
    let forms = |seed: &[u8]| {
        let digits = format!("{:x}", checksum(seed));
        let enough = digits.len() >= LEAST_DIGITS;
        let mut forms = vec![[b"-frandom-seed=", seed].concat()];
        // HOST_WIDE_INT_PRINT_HEX in symbols (gcc/tree.cc), HOST_WIDE_INT_PRINT_HEX_PURE in sections (gcc/lto-streamer.cc).
        forms.extend(enough.then(|| format!("_0x{digits}").into_bytes()));
        forms.extend(enough.then(|| format!(".{digits}").into_bytes()));
        forms
    };
    let pairs = forms(first).into_iter().zip(forms(second));
    pairs
        .filter(|(first, second)| first.len() == second.len())
        .map(|(first, second)| Word { first, second, rule: Excuse::RandomSeed })
        .collect()
}

/// GCC's `crc32_string` (libiberty and gcc/tree.cc): polynomial 04C11DB7, highest bit first, the string's NUL included.
fn checksum(text: &[u8]) -> u32 {
    text.iter().chain(&[0]).fold(0, |sum, &byte| {
        (0..8).fold(sum ^ (u32::from(byte) << 24), |sum: u32, _| (sum << 1) ^ ((sum >> 31) * 0x04c1_1db7))
    })
}

/// Where `a` has a word and `b`, at the same offset, the one that stands for it.
pub fn explained(words: &[Word], a: &[u8], b: &[u8]) -> Vec<Explained> {
    let mut found = Vec::new();
    for word in words {
        for at in memmem::find_iter(a, &word.first) {
            let end = at + word.first.len();
            if b.get(at..end) == Some(&word.second) {
                found.push((at..end, Some(word.rule)));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_gccs() {
        // As gcc 12.2 names its LTO sections for these seeds: `.gnu.lto_.inline.90537b1`.
        assert_eq!(checksum(b"0123456789"), 0x090_537b1);
        assert_eq!(checksum(b"zyxwvsrqpn"), 0x773e_e476);
    }

    #[test]
    fn a_word_is_explained_where_both_sides_have_their_own() {
        let words = words_of_seed(b"zyxwvsrqpn1234", b"zyxwvsrqpa1234");
        let (one, other) = (format!("{:x}", checksum(b"zyxwvsrqpn")), format!("{:x}", checksum(b"zyxwvsrqpa")));
        assert_eq!(words.len(), 3);
        let a = format!("-frandom-seed=zyxwvsrqpn -O2 f_0x{one}");
        let b = format!("-frandom-seed=zyxwvsrqpa -O2 f_0x{other}");
        assert_eq!(explained(&words, a.as_bytes(), b.as_bytes()).len(), 2);
        // The checksum of zyxwvsrqpm has a digit less: it cannot stand in the same place.
        assert_eq!(words_of_seed(b"zyxwvsrqpn", b"zyxwvsrqpm").len(), 1);
        // Another seed than the package's is not explained.
        assert!(
            explained(
                &words,
                a.as_bytes(),
                b.replace("qpa", "qpq").replace(&other, &"0".repeat(other.len())).as_bytes()
            )
            .is_empty()
        );
    }
}
