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
        (Places::Bytes(these), Places::Bytes(those)) => {
            let words = words(those);
            these.iter().all(|range| words.iter().any(|word| word.start <= range.start && range.end <= word.end))
        }
        // Lines of the second side, which is the first when it is compared with itself.
        (Places::Lines(these), Places::Lines(those)) => {
            these.iter().all(|(_, line)| those.iter().any(|(own, _)| own.start <= line.start && line.end <= own.end))
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
