//! Telling apart what a package does not agree with itself about.
//!
//! Owns when a difference is *the same one* as another: the same kind, in the same file and member, at places within the other's.
//! So what lies beside an unstable place is still found.

use super::what::{Places, What};
use super::{Difference, Report};
use std::ops::Range;

/// Bytes are told apart by words of this many: of a number that differs, some bytes may be the same by chance.
const WORD: usize = 8;

/// Which differences of `report` (first against second) are also in `again` (second against the second built again). In the
/// order of `report.differences`.
#[must_use]
pub fn unstable(report: &Report, again: &Report) -> Vec<bool> {
    report.differences.iter().map(|difference| again.differences.iter().any(|own| is_of(difference, own))).collect()
}

fn is_of(difference: &Difference, own: &Difference) -> bool {
    if difference.file != own.file || difference.members != own.members {
        return false;
    }
    match (&difference.places, &own.places) {
        (Places::Whole, Places::Whole) => same_kind(&difference.what, &own.what),
        (Places::Bytes(found), Places::Bytes(known)) => {
            let words = words(known);
            found.iter().all(|range| words.iter().any(|word| word.start <= range.start && range.end <= word.end))
        }
        // Lines of the second side, which is the first when it is compared with itself.
        (Places::Lines(found), Places::Lines(known)) => {
            found.iter().all(|(_, line)| known.iter().any(|(own, _)| own.start <= line.start && line.end <= own.end))
        }
        _ => false,
    }
}

/// Whether two differences of whole files are of one kind. That a file is missing from one result is no sign of where it is
/// missing from the other: a file that is there only sometimes is *only in* either.
fn same_kind(one: &What, other: &What) -> bool {
    let lone = |what: &What| matches!(what, What::OnlyInFirst | What::OnlyInSecond);
    one.kind() == other.kind() || lone(one) && lone(other)
}

fn words(spans: &[Range<usize>]) -> Vec<Range<usize>> {
    let mut words: Vec<Range<usize>> = Vec::new();
    for span in spans {
        let word = span.start - span.start % WORD..span.end.next_multiple_of(WORD);
        match words.last_mut() {
            Some(last) if word.start <= last.end => last.end = last.end.max(word.end),
            _ => words.push(word),
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn difference(file: &str, what: What, places: Places) -> Difference {
        Difference { file: file.to_owned(), members: Vec::new(), what, shown: Vec::new(), places }
    }

    fn verdict(found: Difference, own: Vec<Difference>) -> bool {
        let report = |differences| Report { differences, ..Report::default() };
        unstable(&report(vec![found]), &report(own)) == [true]
    }

    #[test]
    fn only_what_lies_within_an_unstable_place_is_told_apart() {
        let size = || What::Size(1, 2);
        let bytes = |ranges: &[(usize, usize)]| {
            let ranges = ranges.iter().map(|&(start, end)| start..end).collect();
            difference("out/x", size(), Places::Bytes(ranges))
        };
        assert!(verdict(bytes(&[(16, 20)]), vec![bytes(&[(17, 18)])]));
        assert!(verdict(bytes(&[(16, 23), (24, 25)]), vec![bytes(&[(17, 18), (23, 26)])]));
        assert!(!verdict(bytes(&[(16, 25)]), vec![bytes(&[(17, 18)])]));
        assert!(!verdict(bytes(&[(16, 20), (40, 41)]), vec![bytes(&[(17, 18)])]));
        let lines = |first: Range<usize>, second: Range<usize>| {
            difference("out/x", size(), Places::Lines(vec![(first, second)]))
        };
        assert!(verdict(lines(0..1, 3..4), vec![lines(3..4, 9..10)]));
        assert!(!verdict(lines(0..1, 3..5), vec![lines(3..4, 9..10)]));
        assert!(!verdict(lines(0..1, 3..4), vec![bytes(&[(0, 100)])]));
    }

    #[test]
    fn another_file_or_kind_is_another_difference() {
        let whole = |file: &str, what: What| difference(file, what, Places::Whole);
        assert!(verdict(whole("out/x", What::OnlyInFirst), vec![whole("out/x", What::OnlyInSecond)]));
        assert!(!verdict(whole("out/x", What::OnlyInFirst), vec![whole("out/y", What::OnlyInFirst)]));
        assert!(!verdict(whole("out/x", What::Mode(1, 2)), vec![whole("out/x", What::Size(1, 2))]));
    }
}
