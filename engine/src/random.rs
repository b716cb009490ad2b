//! The state of bash's `RANDOM`, which bash keeps to itself, found from numbers that were drawn from it.
//!
//! The generator is that of bash 5.0 to 5.3 (`lib/sh/random.c`): Park and Miller's, of which a draw shows 15 bits of 31, in
//! one of two ways, and never the same number twice in a row.

const MODULUS: u64 = 0x7fff_ffff;
const FACTOR: u64 = 16807;
/// What 0 stands for.
const FOR_ZERO: u64 = 123_459_876;
/// Draws after which a stage's own seed is no longer looked for.
const FAR: usize = 1 << 20;

/// How a draw shows the state.
type Shown = fn(u64) -> u64;
/// bash 5.1 and later; before that, and with `BASH_COMPAT` up to 5.0, the low bits alone.
const WAYS: [Shown; 2] = [|state| ((state >> 16) ^ (state & 0xffff)) & 0x7fff, |state| state & 0x7fff];

/// Returns the seed that makes `RANDOM` draw `drawn` next, or `None` if the state comes from the seed `since`, or if no
/// state gives these numbers.
pub fn seed(since: u64, drawn: &[u64; 4]) -> Option<u64> {
    let before = WAYS.iter().find_map(|shown| state_before(drawn, *shown))?;
    let mut state = since;
    for _ in 0..FAR {
        // A state and its complement show the same numbers, and so do those that come after them.
        if state == before || state == MODULUS - before {
            return None;
        }
        state = next(state);
    }
    Some(before)
}

fn state_before(drawn: &[u64; 4], shown: Shown) -> Option<u64> {
    let after = (0..1u64 << 16).find_map(|rest| {
        // Both ways show the low 15 bits, one of them mixed with the high ones.
        let high = rest >> 1;
        let low = [drawn[0] ^ high, drawn[0]];
        low.into_iter()
            .map(|low| (high << 16) | ((rest & 1) << 15) | (low & 0x7fff))
            .find(|state| (1..MODULUS).contains(state) && draws(*state, drawn, shown))
    })?;
    Some(after * inverse(FACTOR) % MODULUS)
}

/// Whether the state right after the first draw gives all of them.
fn draws(mut state: u64, drawn: &[u64; 4], shown: Shown) -> bool {
    if shown(state) != drawn[0] {
        return false;
    }
    drawn.windows(2).all(|pair| {
        state = next(state);
        while shown(state) == pair[0] {
            state = next(state);
        }
        shown(state) == pair[1]
    })
}

fn next(state: u64) -> u64 {
    if state == 0 { FOR_ZERO * FACTOR % MODULUS } else { state * FACTOR % MODULUS }
}

/// The number that multiplied with `factor` gives 1: its power by Fermat.
fn inverse(factor: u64) -> u64 {
    let (mut result, mut base, mut exponent) = (1, factor, MODULUS - 2);
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = result * base % MODULUS;
        }
        base = base * base % MODULUS;
        exponent >>= 1;
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// What a script prints, as numbers.
    fn bash(script: &str) -> Vec<u64> {
        let output = Command::new("bash").args(["-c", script]).output().expect("bash runs");
        String::from_utf8(output.stdout)
            .expect("numbers")
            .split_whitespace()
            .map(|word| word.parse().unwrap())
            .collect()
    }

    #[test]
    fn what_comes_from_the_stage_s_own_seed_is_no_seed() {
        for since in [1, 42, 936_805_639, 1_066_603_327, 861_929_797, 289_773_367] {
            for draws in [0, 1, 100] {
                let script = format!(
                    "RANDOM={since}; for ((i = 0; i < {draws}; i++)); do : $RANDOM; done; echo $RANDOM $RANDOM $RANDOM $RANDOM"
                );
                assert_eq!(seed(since, bash(&script)[..].try_into().unwrap()), None, "{script}");
            }
        }
    }

    #[test]
    fn the_seed_goes_on_with_what_bash_would_have_drawn() {
        for first in ["42", "0", "1", "2147483646", "2147483647", "4294967295", "-5", "123459876"] {
            for (draws, compat) in [(0, ""), (1, ""), (1000, ""), (7, "BASH_COMPAT=5.0;")] {
                let script = format!(
                    "{compat} RANDOM={first}; for ((i = 0; i < {draws}; i++)); do : $RANDOM; done; echo $RANDOM $RANDOM $RANDOM $RANDOM"
                );
                let drawn = bash(&script);
                let found = seed(99, drawn[..].try_into().unwrap()).expect("it is found");
                let again = bash(&format!("{compat} RANDOM={found}; echo $RANDOM $RANDOM $RANDOM $RANDOM"));
                assert_eq!(again, drawn, "{script}: {found}");
            }
        }
    }

    #[test]
    fn a_state_that_the_stage_began_with_is_not_the_packages() {
        let drawn =
            bash("RANDOM=99; for ((i = 0; i < 500; i++)); do : $RANDOM; done; echo $RANDOM $RANDOM $RANDOM $RANDOM");
        assert_eq!(seed(99, drawn[..].try_into().unwrap()), None);
        assert!(seed(98, drawn[..].try_into().unwrap()).is_some());
        assert_eq!(seed(99, &[1, 1, 1, 1]), None, "never twice in a row");
    }
}
