//! Sorting byte strings that may be more than fit into memory: sorted runs in a temporary file, merged as they are read.

use std::cmp::Ordering;
use std::io;

use super::spill::{Scratch, Spill};

/// A run is full with this many bytes: names of a directory with some 200,000 of them.
const RUN: usize = 6 << 20;

/// Bytes of all runs that stay in memory.
const MEMORY: usize = 4 << 20;

/// What a string costs in memory beside its bytes.
const OVERHEAD: usize = size_of::<(usize, usize)>();

/// Takes strings, and gives them back in order.
#[derive(Debug)]
pub struct Sorter {
    order: fn(&[u8], &[u8]) -> Ordering,
    bytes: Vec<u8>,
    /// Where in `bytes` each begins and ends.
    strings: Vec<(usize, usize)>,
    /// Strings with their lengths in front,
    runs: Spill,
    /// and where each run ends.
    ends: Vec<u64>,
    limit: usize,
}

impl Sorter {
    /// One without strings.
    pub fn new(order: fn(&[u8], &[u8]) -> Ordering, scratch: &Scratch) -> Self {
        let runs = Spill::new(scratch, MEMORY);
        Self { order, bytes: Vec::new(), strings: Vec::new(), runs, ends: Vec::new(), limit: RUN }
    }

    /// Takes a string.
    ///
    /// # Errors
    /// Those of the temporary file.
    pub fn push(&mut self, string: &[u8]) -> io::Result<()> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(string);
        self.strings.push((start, self.bytes.len()));
        if self.bytes.len() + self.strings.len() * OVERHEAD < self.limit {
            return Ok(());
        }
        self.sort();
        for (from, to) in self.strings.drain(..) {
            let string = &self.bytes[from..to];
            self.runs.append(&length(string)?)?;
            self.runs.append(string)?;
        }
        self.bytes.clear();
        self.ends.push(self.runs.len());
        Ok(())
    }

    fn sort(&mut self) {
        let (order, bytes) = (self.order, &self.bytes);
        // Those of one order come as they were: an index that says so is part of the string where that matters.
        self.strings.sort_unstable_by(|left, right| order(&bytes[left.0..left.1], &bytes[right.0..right.1]));
    }

    /// Gives all strings in order.
    ///
    /// # Errors
    /// Those of the temporary file, and those of `each`.
    pub fn each(mut self, mut each: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        self.sort();
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let runs = starts.zip(self.ends.iter().copied());
        let mut runs = runs.map(|(at, end)| Run::new(at, end, &self.runs)).collect::<io::Result<Vec<_>>>()?;
        let mut rest = self.strings.iter().map(|(from, to)| &self.bytes[*from..*to]).peekable();
        loop {
            let heads = runs.iter().enumerate().filter_map(|(at, run)| Some((at, run.head.as_deref()?)));
            let first = heads.min_by(|(_, left), (_, right)| (self.order)(left, right));
            match (first, rest.peek()) {
                (None, None) => return Ok(()),
                (Some((at, head)), last) if last.is_none_or(|last| (self.order)(head, last).is_le()) => {
                    each(head)?;
                    runs[at].advance(&self.runs)?;
                }
                _ => rest.next().map_or(Ok(()), &mut each)?,
            }
        }
    }
}

/// The length of a string, as it stands before it.
///
/// # Errors
/// None that a path could cause.
pub fn length(string: &[u8]) -> io::Result<[u8; 4]> {
    Ok(u32::try_from(string.len()).map_err(io::Error::other)?.to_le_bytes())
}

/// A run that is being read.
struct Run {
    at: u64,
    end: u64,
    head: Option<Vec<u8>>,
}

impl Run {
    fn new(at: u64, end: u64, runs: &Spill) -> io::Result<Self> {
        let mut run = Self { at, end, head: Some(Vec::new()) };
        run.advance(runs)?;
        Ok(run)
    }

    fn advance(&mut self, runs: &Spill) -> io::Result<()> {
        if self.at >= self.end {
            self.head = None;
        }
        let Some(head) = &mut self.head else { return Ok(()) };
        let len = u32::from_le_bytes(runs.array(self.at)?);
        head.clear();
        runs.read_to(self.at + 4, len as usize, head)?;
        self.at += 4 + u64::from(len);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_and_what_is_in_memory_come_in_one_order() {
        for limit in [1, 100, 1000, RUN] {
            let mut sorter = Sorter { limit, ..Sorter::new(<[u8] as Ord>::cmp, &Scratch::system()) };
            let mut strings: Vec<Vec<u8>> = (0..300_u32).map(|n| (n * 7919 % 311).to_string().into_bytes()).collect();
            strings.push(Vec::new());
            for string in &strings {
                sorter.push(string).unwrap();
            }
            assert_eq!(sorter.ends.is_empty(), limit == RUN);
            strings.sort();
            let mut given = Vec::new();
            let take = |string: &[u8]| {
                given.push(string.to_vec());
                Ok(())
            };
            sorter.each(take).unwrap();
            assert_eq!(given, strings, "{limit}");
        }
    }
}
