//! LLVM's bitcode: text in it is packed to the bit, so that no search for bytes finds it.
//!
//! Owns the ways to pack (LLVM, "LLVM Bitcode File Format", "Primitives" and "Abbreviation IDs"). It is only looked for: what
//! is found in bitcode is refused, as programs may be made from it.

use super::prefix::{HASH_LEN, StorePath};
use memchr::memmem::Finder;

/// How many characters of a hash a pattern holds: whatever has more of it in a row than twice that has one of them.
const PART: usize = 16;

/// Finds parts of hashes at any bit, in any of the ways.
#[derive(Debug, Clone)]
pub struct Bitcode {
    patterns: Vec<(usize, Finder<'static>)>,
}

/// A character as bits, the least first.
type Bits = Vec<bool>;

fn bits(value: u8, width: u32) -> Bits {
    (0..width).map(|i| value >> i & 1 == 1).collect()
}

/// A number in chunks of `width` bits, of which the highest says that more follow.
fn vbr(value: u8, width: u32) -> Bits {
    let low = width - 1;
    if value >> low == 0 {
        return bits(value, width);
    }
    let mut all = bits(value & ((1 << low) - 1) | 1 << low, width);
    all.extend(vbr(value >> low, width));
    all
}

/// Letters, digits, `.` and `_` in six bits.
fn char6(byte: u8) -> Bits {
    let value = match byte {
        b'a'..=b'z' => byte - b'a',
        b'A'..=b'Z' => byte - b'A' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'.' => 62,
        _ => 63,
    };
    bits(value, 6)
}

impl Bitcode {
    /// A finder for the hashes of `paths`, named by their index.
    #[must_use]
    pub fn new(paths: &[StorePath]) -> Self {
        let ways: [&dyn Fn(u8) -> Bits; 5] =
            [&char6, &|byte| bits(byte, 7), &|byte| bits(byte, 8), &|byte| vbr(byte, 6), &|byte| vbr(byte, 8)];
        let mut patterns = Vec::new();
        for (index, path) in paths.iter().enumerate() {
            for part in path.hash().chunks(PART) {
                for way in ways {
                    let packed: Bits = part.iter().flat_map(|&byte| way(byte)).collect();
                    patterns
                        .extend((0..8).map(|skip| (index, Finder::new(&whole_bytes(&packed[skip..])).into_owned())));
                }
            }
        }
        Self { patterns }
    }

    /// Where parts of hashes are, each with the path it belongs to; of several at one place, one.
    #[must_use]
    pub fn find(&self, bytes: &[u8]) -> Vec<(usize, usize)> {
        let places = self.patterns.iter().filter_map(|(path, finder)| Some((finder.find(bytes)?, *path)));
        let mut found: Vec<(usize, usize)> = places.collect();
        found.sort_unstable();
        // The second half of a hash follows the first: one mention is one line.
        found.dedup_by(|next, before| next.1 == before.1 && next.0 - before.0 <= 2 * HASH_LEN);
        found
    }
}

/// The bytes that a row of bits fills.
fn whole_bytes(bits: &[bool]) -> Vec<u8> {
    bits.chunks_exact(8).map(|eight| eight.iter().rev().fold(0, |byte, &bit| byte << 1 | u8::from(bit))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const P: &[u8] = b"/nix/store/0123456789abcdfghijklmnpqrsvwxyz-hello-2.10";

    #[test]
    fn a_hash_is_found_at_every_bit_in_every_way() {
        let finder = Bitcode::new(&[StorePath::parse(P).unwrap()]);
        for shift in 0..16 {
            for way in [|byte| bits(byte, 7), |byte| bits(byte, 8), |byte| vbr(byte, 6)] {
                let mut all = vec![true; shift];
                all.extend(P.iter().flat_map(|&byte| way(byte)));
                all.extend([false; 16]);
                assert!(!finder.find(&whole_bytes(&all)).is_empty(), "{shift}");
            }
        }
        assert!(finder.find(b"/nix/store/zzzzzzzzz9abcdfghijklmnpqrsvwxyz-hello").is_empty());
    }
}
