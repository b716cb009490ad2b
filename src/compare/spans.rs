//! Sets of byte ranges: what differs, less what is explained.
//!
//! Ranges are kept sorted and apart; a file of which every byte differs is one range, not a list of its bytes.

use super::Excuse;
use std::ops::Range;

/// Bytes that may differ, and by which rule; no rule for the package's own hash.
pub type Explained = (Range<usize>, Option<Excuse>);

/// Whole blocks are compared at once: most of most files is the same.
const BLOCK: usize = 4096;

/// Where two equally long contents differ.
pub fn differing(a: &[u8], b: &[u8]) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    for (index, (one, other)) in a.chunks(BLOCK).zip(b.chunks(BLOCK)).enumerate() {
        if one == other {
            continue;
        }
        for at in one.iter().zip(other).enumerate().filter(|(_, (x, y))| x != y).map(|(at, _)| index * BLOCK + at) {
            match found.last_mut() {
                Some(last) if last.end == at => last.end += 1,
                _ => found.push(at..at + 1),
            }
        }
    }
    found
}

/// `spans` without what is explained, and the rules that were needed for it.
pub fn subtract(spans: Vec<Range<usize>>, mut explained: Vec<Explained>) -> (Vec<Range<usize>>, Vec<Excuse>) {
    explained.sort_by_key(|(range, _)| (range.start, range.end));
    let longest = explained.iter().map(|(range, _)| range.len()).max().unwrap_or(0);
    let mut used = Vec::new();
    let mut left = Vec::new();
    for span in spans {
        let mut at = span.start;
        let first = explained.partition_point(|(range, _)| range.start + longest <= span.start);
        for (range, rule) in explained[first..].iter().take_while(|(range, _)| range.start < span.end) {
            if range.end <= at {
                continue;
            }
            if at < range.start {
                left.push(at..range.start);
            }
            at = range.end.min(span.end);
            used.extend(rule);
        }
        if at < span.end {
            left.push(at..span.end);
        }
    }
    used.sort_unstable();
    used.dedup();
    (left, used)
}

/// How many bytes they are.
pub fn count(spans: &[Range<usize>]) -> usize {
    spans.iter().map(Range::len).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_left_is_what_nothing_explains() {
        let spans = vec![0..4, 10..20, 30..31];
        let explained = vec![
            (12..14, None),
            (18..25, Some(Excuse::BuildId)),
            (2..3, Some(Excuse::ArTime)),
            (40..50, Some(Excuse::Record)),
        ];
        let (left, used) = subtract(spans, explained);
        assert_eq!(left, [0..2, 3..4, 10..12, 14..18, 30..31]);
        assert_eq!(used, [Excuse::BuildId, Excuse::ArTime]);
        assert_eq!(count(&left), 10);
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(
            a in prop::collection::vec(0u8..3, 0..60),
            b in prop::collection::vec(0u8..3, 60),
            ranges in prop::collection::vec((0usize..60, 0usize..20), 0..6),
        ) {
            let b = &b[..a.len()];
            let explained = ranges.iter().map(|&(start, len)| (start..start + len, None)).collect();
            let (left, _) = subtract(differing(&a, b), explained);
            let left: Vec<usize> = left.into_iter().flatten().collect();
            let naive: Vec<usize> = (0..a.len())
                .filter(|&at| a[at] != b[at] && !ranges.iter().any(|&(start, len)| (start..start + len).contains(&at)))
                .collect();
            prop_assert_eq!(left, naive);
        }
    }
}
