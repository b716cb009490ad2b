//! How i386 and `x86_64` instructions carry constants.
//!
//! Owns the byte patterns. An 8-byte immediate exists in one instruction only (`movabs`, Intel SDM "MOV", `REX.W B8+rd io`),
//! so a piece in code is exactly its eight bytes, and what follows is an opcode, though it may read like a letter:
//! `f` is 0x66, the prefix that begins the very `movq` which gcc puts behind a `movabs`.

use super::constants::Constant;
use super::prefix::StorePath;
use super::runs::MIN_RUN;
use std::collections::HashMap;
use std::ops::Range;

/// Whether the eight bytes at `at` are the immediate of a `movabs`.
#[must_use]
pub fn is_movabs(bytes: &[u8], at: usize) -> bool {
    at >= 2
        && matches!(bytes[at - 1], 0xb8..=0xbf)
        && matches!(bytes[at - 2], 0x48 | 0x49)
        && at + MIN_RUN <= bytes.len()
}

/// Whether an instruction with a 4-byte immediate can end in the four bytes at `at`: a store, a move, a comparison,
/// or arithmetic with a constant.
fn is_imm32(bytes: &[u8], at: usize) -> bool {
    let back = |n: usize| at.checked_sub(n).map_or(0, |i| bytes[i]);
    // Short forms: mov r32; push; cmp, xor, sub, test with eax.
    if matches!(back(1), 0xb8..=0xbf | 0x68 | 0x3d | 0x35 | 0x2d | 0xa9) {
        return true;
    }
    // C7 /0 (mov) and 81 /r, then modrm, perhaps a SIB byte, and a displacement of 0, 1 or 4 bytes.
    let opcode = |n: usize| matches!(back(n), 0xc7 | 0x81);
    [(2, 0), (3, 0), (3, 1), (4, 1), (6, 4), (7, 4)].into_iter().any(|(distance, displacement)| {
        let modrm = back(distance - 1);
        let sib = usize::from(modrm >> 6 != 3 && modrm & 7 == 4);
        let wants = match (modrm >> 6, modrm & 7) {
            (0, 5) | (2, _) => 4,
            (1, _) => 1,
            _ => 0,
        };
        opcode(distance) && wants == displacement && distance == 2 + sib + displacement
    })
}

/// How much code is looked at in one go.
const BLOCK: usize = 64;

/// Whether a constant may begin in a block, which comes with the byte before it, where a constant's first byte can be, and the
/// two behind it. In all constants three characters in a row are of a hash, `/` or `-`: rare in code. Plain enough for the
/// compiler to use vectors. What is not of this length is taken for one that may.
fn may_hold(bytes: &[u8]) -> bool {
    let Ok(block) = <&[u8; BLOCK + 3]>::try_from(bytes) else { return true };
    let mut text = [0; BLOCK + 3];
    for (is_text, byte) in text.iter_mut().zip(block) {
        let sign_or_digit = byte.wrapping_sub(b'-') <= b'9' - b'-';
        *is_text = u8::from(sign_or_digit | (byte.wrapping_sub(b'a') <= b'z' - b'a'));
    }
    (0..=BLOCK).fold(0, |any, i| any | text[i] & text[i + 1] & text[i + 2]) != 0
}

/// Finds constants that prove an inlined path but are too short, or turned around, to be rewritten.
#[derive(Debug, Clone)]
pub struct Immediates {
    /// Bit by bit, the pairs of bytes that begin a constant or follow its first byte: four bytes, wherever they begin, have
    /// one of the two at an even offset.
    pairs: Vec<u64>,
    grams: HashMap<u32, Vec<(usize, Constant, [u8; MIN_RUN])>>,
}

impl Immediates {
    /// A finder for the parts of `paths`, named by their index.
    #[must_use]
    pub fn new(paths: &[StorePath]) -> Self {
        let mut all = Self { pairs: vec![0; 1024], grams: HashMap::new() };
        for (index, path) in paths.iter().enumerate() {
            let hash = path.hash_range();
            let bytes = path.bytes();
            for start in hash.start - 2..=(hash.end - 2).min(bytes.len() - 4) {
                let mut four = [0; MIN_RUN];
                four[..4].copy_from_slice(&bytes[start..start + 4]);
                all.add(four, index, Constant::Short);
            }
            for start in hash.start - 2..=(hash.end - 6).min(bytes.len() - MIN_RUN) {
                let mut eight = [0; MIN_RUN];
                eight.copy_from_slice(&bytes[start..start + MIN_RUN]);
                eight.reverse();
                all.add(eight, index, Constant::Reversed);
            }
        }
        all
    }

    fn add(&mut self, bytes: [u8; MIN_RUN], path: usize, constant: Constant) {
        let gram = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        for pair in [u16::from_le_bytes([bytes[0], bytes[1]]), u16::from_le_bytes([bytes[1], bytes[2]])] {
            self.pairs[usize::from(pair) / 64] |= 1 << (pair % 64);
        }
        self.grams.entry(gram).or_default().push((path, constant, bytes));
    }

    /// Offsets of constants within `bytes[range]`, each with the path it belongs to.
    #[must_use]
    pub fn find(&self, bytes: &[u8], range: Range<usize>) -> Vec<(usize, usize, Constant)> {
        let mut found = Vec::new();
        let part = &bytes[range.clone()];
        let known = |eight: &[u8], i: usize| {
            let pair = u16::from_le_bytes([eight[i], eight[i + 1]]);
            self.pairs[usize::from(pair) / 64] >> (pair % 64) & 1
        };
        let mut look = |at: usize| {
            for at in [at.wrapping_sub(1), at] {
                if range.contains(&at) && at + 4 <= range.end {
                    self.find_at(bytes, at, &mut found);
                }
            }
        };
        for from in (0..part.len()).step_by(BLOCK) {
            let until = (from + BLOCK).min(part.len());
            if !may_hold(&part[from.saturating_sub(1)..part.len().min(until + 2)]) {
                continue;
            }
            let mut at = range.start + from;
            let mut words = part[from..until].chunks_exact(8);
            for word in &mut words {
                // One branch for eight bytes: it is rarely taken.
                if known(word, 0) | known(word, 2) | known(word, 4) | known(word, 6) != 0 {
                    (0..8).step_by(2).filter(|&i| known(word, i) != 0).for_each(|i| look(at + i));
                }
                at += 8;
            }
            (0..words.remainder().len()).step_by(2).for_each(|i| look(at + i));
        }
        found
    }

    /// The constants that begin at `at`, where at least four bytes are.
    fn find_at(&self, bytes: &[u8], at: usize, found: &mut Vec<(usize, usize, Constant)>) {
        let gram = u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        for (path, constant, eight) in self.grams.get(&gram).into_iter().flatten() {
            let hit = match constant {
                Constant::Short => is_imm32(bytes, at),
                Constant::Reversed => is_movabs(bytes, at) && bytes[at..].starts_with(eight),
            };
            if hit {
                found.push((at, *path, *constant));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const P: &[u8] = b"/nix/store/0123456789abcdfghijklmnpqrsvwxyz-hello-2.10";

    fn found(code: &[u8]) -> Vec<(usize, Constant)> {
        let constants = Immediates::new(&[StorePath::parse(P).unwrap()]);
        let all = constants.find(code, 0..code.len());
        all.into_iter().map(|(at, _, c)| (at, c)).collect()
    }

    #[test]
    fn stores_and_comparisons_of_four_bytes_are_seen() {
        // movl $"0123", (%rax); 8(%rdi); 16(%rsp); 256(%rax); cmpl; mov %ecx
        for prefix in [
            &b"\xc7\x00"[..],
            b"\xc7\x47\x08",
            b"\xc7\x44\x24\x10",
            b"\xc7\x80\x00\x01\x00\x00",
            b"\x81\x38",
            b"\x81\x7f\x08",
            b"\xb9",
        ] {
            let code = [b"\x90\x90", prefix, b"0123", b"\x90"].concat();
            assert_eq!(found(&code), [(2 + prefix.len(), Constant::Short)]);
        }
        assert_eq!(found(b"\x90\x90\x90\x900123\x90"), []);
    }

    #[test]
    fn a_constant_is_seen_at_every_offset() {
        for shift in 0..3 * BLOCK {
            for behind in [0, 1, 2, 3, 4, 7, 8, BLOCK] {
                let code = [vec![0x90; shift], b"\xb90123".to_vec(), vec![0x90; behind]].concat();
                assert_eq!(found(&code), [(shift + 1, Constant::Short)], "{shift} {behind}");
            }
        }
        // A name may begin with any character that names have; the store's directory as well.
        let odd = StorePath::parse(b"/gnu/STORE/0123456789abcdfghijklmnpqrsvwxyz-X").unwrap();
        let constants = Immediates::new(&[odd]);
        for shift in 0..3 * BLOCK {
            for four in [b"E/01", b"yz-X"] {
                let code = [&vec![0x90; shift][..], b"\xb9", four, &[0x90; BLOCK]].concat();
                assert_eq!(constants.find(&code, 0..code.len()), [(shift + 1, 0, Constant::Short)], "{shift}");
            }
        }
    }

    #[test]
    fn a_reversed_immediate_is_seen() {
        assert_eq!(found(b"\x90\x48\xb876543210\xc3"), [(3, Constant::Reversed)]);
        assert_eq!(found(b"\x90\x90\x9076543210\xc3"), []);
    }
}
