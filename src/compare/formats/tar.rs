//! tar archives: members as they are, and the time in each header excused, with the header's checksum where it is right.

use super::super::Excuse;
use super::super::content::{self, Pair};
use super::super::context::{Context, Outcome};
use crate::state::relocate::archive::{self, Member, TAR_CHECKSUM};
use std::ops::Range;

const BLOCK: usize = 512;
/// Seconds since 1970 in octal digits (POSIX, ustar interchange format).
const TIME: Range<usize> = 136..148;
const SIZE: Range<usize> = 124..136;

pub fn compare(context: &Context, pair: &Pair) -> Option<Outcome> {
    let (one, other) = (archive::tar(pair.a)?, archive::tar(pair.b)?);
    let names = |members: &[Member]| members.iter().map(|member| member.name.clone()).collect::<Vec<_>>();
    if let Some(found) = super::same_members(context, &names(&one), &names(&other)) {
        return Some(Outcome::of(found));
    }
    let mut outcome = Outcome::default();
    let (mut from, mut twin_from) = (0, 0);
    for (member, twin) in one.iter().zip(&other) {
        let mut head = pair.a[from..member.range.start].to_vec();
        let mut twin_head = pair.b[twin_from..twin.range.start].to_vec();
        let (at, twin_at) = (head.len() - BLOCK, twin_head.len() - BLOCK);
        let (header, twin_header) = (&mut head[at..], &mut twin_head[twin_at..]);
        if without_checksum(header) != without_checksum(twin_header) {
            // `archive::tar` has seen that the checksums are right: they follow from the rest, own hashes and times included.
            header[TAR_CHECKSUM].fill(b' ');
            twin_header[TAR_CHECKSUM].fill(b' ');
        }
        if header[TIME] != twin_header[TIME] && is_octal(&header[TIME]) && is_octal(&twin_header[TIME]) {
            header[TIME].fill(b'0');
            twin_header[TIME].fill(b'0');
            outcome.excuse(Excuse::TarTime);
        }
        if member.range.len() != twin.range.len() {
            // That the sizes differ is said of the content.
            header[SIZE].fill(b'0');
            twin_header[SIZE].fill(b'0');
        }
        let place = format!("header of {}", member.name);
        super::frame(context, &head[at..], &twin_head[twin_at..], &place, &mut outcome);
        filling(context, &head[..at], &twin_head[..twin_at], &mut outcome);
        let inner = pair.member(&pair.a[member.range.clone()], &pair.b[twin.range.clone()], &member.name);
        outcome.nest(&format!("member {}", member.name), content::compare(context, &inner));
        (from, twin_from) = (member.range.end, twin.range.end);
    }
    let (one, other) = (ending(pair.a, from), ending(pair.b, twin_from));
    filling(context, one.0, other.0, &mut outcome);
    super::frame(context, one.1, other.1, "end of the archive", &mut outcome);
    Some(outcome)
}

fn without_checksum(header: &[u8]) -> (&[u8], &[u8]) {
    (&header[..TAR_CHECKSUM.start], &header[TAR_CHECKSUM.end..])
}

/// What fills a member's last block: its length follows from the member's, its bytes are zero or the same.
fn filling(context: &Context, a: &[u8], b: &[u8], outcome: &mut Outcome) {
    let is_zero = |bytes: &[u8]| bytes.iter().all(|&byte| byte == 0);
    if !(is_zero(a) && is_zero(b)) {
        super::frame(context, a, b, "between the members", outcome);
    }
}

/// What is behind the last member: filling and the rest.
fn ending(bytes: &[u8], from: usize) -> (&[u8], &[u8]) {
    let end = from.next_multiple_of(BLOCK).min(bytes.len());
    (&bytes[from..end], &bytes[end..])
}

fn is_octal(field: &[u8]) -> bool {
    let digits = field.iter().take_while(|byte| matches!(byte, b'0'..=b'7')).count();
    digits > 0 && field[digits..].iter().all(|byte| matches!(byte, b' ' | 0))
}
