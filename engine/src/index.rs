//! From keys to the numbers of records, in bounded memory: the newest in a table, all before them in sorted runs that may
//! lie in a temporary file. Knows no records.

use std::collections::HashMap;
use std::io;

use super::spill::{Scratch, Spill};

/// What is looked for: all of it, or enough of a hash that no two things have the same by chance.
pub type Key = [u8; 16];

/// Bytes of a key and its number in a run.
const ENTRY: u64 = 20;

/// With so many the table becomes a run: 7/8 of a power of two, the most that a hash table takes before it grows.
const TABLE: usize = 7 << 16;

/// Bytes of runs that stay in memory.
const MEMORY: usize = 8 << 20;

/// A number for each key. Where a key came more than once, the first counts.
#[derive(Debug)]
pub struct Index {
    table: HashMap<Key, u32>,
    runs: Spill,
    /// Which keys each run may have: most that it does not have are known without a look into it.
    filters: Vec<Filter>,
    /// How many entries of a run.
    size: usize,
}

/// Three marks for each key of a run, among eight times as many places.
#[derive(Debug)]
struct Filter(Vec<u64>);

impl Filter {
    fn new(keys: usize) -> Self {
        Self(vec![0; (keys / 8).next_power_of_two()])
    }

    /// The words and bits of a key's marks. Keys can be numbers that count up, so that all bits of one must have a say.
    fn marks(&self, key: &Key) -> impl Iterator<Item = (usize, u64)> + use<> {
        let number = u128::from_le_bytes(*key);
        let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        let mixed = (mixed ^ mixed >> 64).wrapping_mul(0xc2b2_ae3d_27d4_eb4f_1656_67b1_9e37_79f9) >> 32;
        let words = self.0.len();
        [mixed, mixed >> 32, mixed >> 64].into_iter().map(move |mark| {
            let place = (mark & 0xffff_ffff) as usize;
            (place / 64 % words, 1 << (place % 64))
        })
    }

    fn add(&mut self, key: &Key) {
        for (word, bit) in self.marks(key) {
            self.0[word] |= bit;
        }
    }

    fn may_have(&self, key: &Key) -> bool {
        self.marks(key).all(|(word, bit)| self.0[word] & bit != 0)
    }
}

impl Index {
    /// An empty one.
    pub fn new(scratch: &Scratch) -> Self {
        Self::with_runs_of(TABLE, scratch)
    }

    fn with_runs_of(size: usize, scratch: &Scratch) -> Self {
        Self { table: HashMap::new(), runs: Spill::new(scratch, MEMORY), filters: Vec::new(), size }
    }

    /// Adds a key.
    ///
    /// # Errors
    /// Those of the temporary file.
    pub fn insert(&mut self, key: Key, number: u32) -> io::Result<()> {
        self.table.entry(key).or_insert(number);
        if self.table.len() < self.size {
            return Ok(());
        }
        let mut run: Vec<_> = self.table.drain().collect();
        run.sort_unstable();
        let mut filter = Filter::new(run.len());
        for (key, _) in &run {
            filter.add(key);
        }
        self.filters.push(filter);
        run.iter().try_for_each(|(key, number)| {
            self.runs.append(key)?;
            self.runs.append(&number.to_le_bytes())
        })
    }

    /// The number of a key.
    ///
    /// # Errors
    /// Those of the temporary file.
    pub fn get(&self, key: &Key) -> io::Result<Option<u32>> {
        let size = self.size as u64;
        for (run, filter) in (0..).zip(&self.filters) {
            if !filter.may_have(key) {
                continue;
            }
            let (mut from, mut to) = (run * size, (run + 1) * size);
            while from < to {
                let middle = u64::midpoint(from, to);
                let other: Key = self.runs.array(middle * ENTRY)?;
                match other.cmp(key) {
                    std::cmp::Ordering::Less => from = middle + 1,
                    std::cmp::Ordering::Greater => to = middle,
                    std::cmp::Ordering::Equal => {
                        let number = self.runs.array(middle * ENTRY + size_of::<Key>() as u64)?;
                        return Ok(Some(u32::from_le_bytes(number)));
                    }
                }
            }
        }
        Ok(self.table.get(key).copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_a_key_counts_wherever_it_lies() {
        let mut index = Index::with_runs_of(10, &Scratch::system());
        let key = |number: u32| {
            let mut key = Key::default();
            key[..4].copy_from_slice(&number.wrapping_mul(0x9e37_79b1).to_be_bytes());
            key
        };
        for number in 0..95 {
            index.insert(key(number), number).unwrap();
            index.insert(key(number / 2), 1000).unwrap();
        }
        assert!(index.runs.len() > 5 * 10 * ENTRY);
        for number in 0..95 {
            assert_eq!(index.get(&key(number)).unwrap(), Some(number));
        }
        assert_eq!(index.get(&key(95)).unwrap(), None);
    }

    #[test]
    fn a_filter_has_its_keys_and_few_others() {
        let count = 1 << 14;
        let mut filter = Filter::new(count);
        // As devices and inodes are.
        let key = |number: usize| (u128::from(7_u8) | (number as u128) << 64).to_le_bytes();
        (0..count).for_each(|number| filter.add(&key(number)));
        assert!((0..count).all(|number| filter.may_have(&key(number))));
        let others = (count..2 * count).filter(|number| filter.may_have(&key(*number))).count();
        assert!(others < count / 10, "{others}");
    }
}
