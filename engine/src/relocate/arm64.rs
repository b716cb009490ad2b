//! How instructions of 64-bit ARM carry constants: sixteen bits at a time.
//!
//! Owns the byte patterns (Arm ARM, C6.2, "MOVZ" and "MOVK"). Instructions for several registers lie between each other, so
//! what each register holds is followed. Pieces of two bytes are never rewritten: four of them that are a part of a path prove
//! that it was compiled into instructions.

use super::constants::Constant;
use super::prefix::StorePath;
use std::collections::HashMap;
use std::ops::Range;

/// Length of an instruction, and of what two of them put side by side into a register.
const WORD: usize = 4;

/// Finds constants that prove an inlined path.
#[derive(Debug, Clone)]
pub struct Moves {
    grams: HashMap<u32, Vec<(usize, Constant)>>,
}

impl Moves {
    /// A finder for the parts of `paths`, named by their index.
    #[must_use]
    pub fn new(paths: &[StorePath]) -> Self {
        let mut grams: HashMap<u32, Vec<(usize, Constant)>> = HashMap::new();
        for (index, path) in paths.iter().enumerate() {
            let (hash, bytes) = (path.hash_range(), path.bytes());
            for four in bytes[hash.start - 2..bytes.len().min(hash.end + 2)].windows(WORD) {
                let mut four = [four[0], four[1], four[2], four[3]];
                grams.entry(u32::from_le_bytes(four)).or_default().push((index, Constant::Short));
                // As comparisons that must tell which is greater load them.
                four.reverse();
                grams.entry(u32::from_le_bytes(four)).or_default().push((index, Constant::Reversed));
            }
        }
        Self { grams }
    }

    /// Offsets of the instructions within `bytes[range]` that complete a part, each with the path it belongs to.
    #[must_use]
    pub fn find(&self, bytes: &[u8], range: Range<usize>) -> Vec<(usize, usize, Constant)> {
        let mut found = Vec::new();
        let mut registers = [0_u64; 32];
        let start = range.start.next_multiple_of(WORD).min(range.end);
        for (i, word) in bytes[start..range.end].chunks_exact(WORD).enumerate() {
            let word = u32::from_le_bytes([word[0], word[1], word[2], word[3]]);
            // MOVZ is x1010010100i, MOVK x1110010100i; i is which sixteen bits, of two or of four.
            let keeps = match word & 0x7f80_0000 {
                0x5280_0000 => false,
                0x7280_0000 => true,
                _ => continue,
            };
            let (half, register) = (word >> 21 & 3, (word & 31) as usize);
            let value = u64::from(word >> 5 & 0xffff) << (16 * half);
            let kept = if keeps { registers[register] & !(0xffff << (16 * half)) } else { 0 };
            registers[register] = kept | value;
            // The pairs that it is a half of; of one that is not yet whole, the other half is whatever was there before.
            let pairs = half.saturating_sub(1)..=half.min(2);
            for four in pairs.map(|low| registers[register] >> (16 * low) & 0xffff_ffff) {
                let paths = u32::try_from(four).ok().and_then(|four| self.grams.get(&four));
                found.extend(paths.into_iter().flatten().map(|&(path, constant)| (start + i * WORD, path, constant)));
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const P: &[u8] = b"/nix/store/0123456789abcdfghijklmnpqrsvwxyz-hello-2.10";

    fn instruction(keep: bool, half: u32, bits: [u8; 2], register: u32) -> [u8; 4] {
        let base = if keep { 0xf280_0000_u32 } else { 0xd280_0000 };
        (base | half << 21 | u32::from(u16::from_le_bytes(bits)) << 5 | register).to_le_bytes()
    }

    #[test]
    fn a_constant_is_seen_among_the_instructions_of_others() {
        let moves = Moves::new(&[StorePath::parse(P).unwrap()]);
        for (four, want) in [(b"2345", Constant::Short), (b"e/01", Constant::Short), (b"5432", Constant::Reversed)] {
            let code = [
                instruction(false, 0, [four[0], four[1]], 3),
                instruction(false, 0, *b"xx", 4),
                instruction(true, 1, [four[2], four[3]], 3),
                0xd65f_03c0_u32.to_le_bytes(),
            ]
            .concat();
            assert_eq!(moves.find(&code, 0..code.len()), [(8, 0, want)]);
            // In another register, or in halves that are not side by side, it is none.
            let other =
                [instruction(false, 0, [four[0], four[1]], 3), instruction(true, 1, [four[2], four[3]], 4)].concat();
            assert_eq!(moves.find(&other, 0..other.len()), []);
            let apart =
                [instruction(false, 0, [four[0], four[1]], 3), instruction(true, 2, [four[2], four[3]], 3)].concat();
            assert_eq!(moves.find(&apart, 0..apart.len()), []);
        }
    }
}
