//! ar archives (`.a`, `.rlib`, `.deb`): members as they are, and the time in each header excused.

use super::super::Excuse;
use super::super::content::{self, Pair};
use super::super::context::{Context, Outcome};
use crate::state::relocate::archive::{self, Member};
use std::ops::Range;

const HEADER: usize = 60;
/// Seconds since 1970 in decimal digits, blanks behind them (ar(5)).
const TIME: Range<usize> = 16..28;
const SIZE: Range<usize> = 48..58;

pub fn compare(context: &Context, pair: &Pair) -> Option<Outcome> {
    let (one, other) = (archive::ar(pair.a)?, archive::ar(pair.b)?);
    let names = |members: &[Member]| members.iter().map(|member| member.name.clone()).collect::<Vec<_>>();
    if let Some(found) = super::same_members(context, &names(&one), &names(&other)) {
        return Some(Outcome::of(found));
    }
    let mut outcome = Outcome::default();
    let (mut from, mut twin_from, mut resized) = (0, 0, false);
    for (member, twin) in one.iter().zip(&other) {
        // From the end of the member before: a byte of padding may lie between.
        let mut head = pair.a[from..member.range.start].to_vec();
        let mut twin_head = pair.b[twin_from..twin.range.start].to_vec();
        let (at, twin_at) = (head.len() - HEADER, twin_head.len() - HEADER);
        let (header, twin_header) = (&mut head[at..], &mut twin_head[twin_at..]);
        if header[TIME] != twin_header[TIME] && is_number(&header[TIME]) && is_number(&twin_header[TIME]) {
            header[TIME].fill(b'0');
            twin_header[TIME].fill(b'0');
            outcome.excuse(Excuse::ArTime);
        }
        let other_size = member.range.len() != twin.range.len();
        if other_size {
            // That the sizes differ is said of the content.
            header[SIZE].fill(b'0');
            twin_header[SIZE].fill(b'0');
        }
        super::frame(context, &head[at..], &twin_head[twin_at..], &format!("header of {}", member.name), &mut outcome);
        padding(context, resized, &head[..at], &twin_head[..twin_at], &mut outcome);
        let inner = pair.member(&pair.a[member.range.clone()], &pair.b[twin.range.clone()], &member.name);
        outcome.nest(&format!("member {}", member.name), content::compare(context, &inner));
        (from, twin_from, resized) = (member.range.end, twin.range.end, other_size);
    }
    padding(context, resized, &pair.a[from..], &pair.b[twin_from..], &mut outcome);
    Some(outcome)
}

/// The byte behind a member of odd length: a newline (ar(5)). Where the member has another size, so may have this.
fn padding(context: &Context, resized: bool, a: &[u8], b: &[u8], outcome: &mut Outcome) {
    let is_usual = |bytes: &[u8]| bytes.is_empty() || bytes == b"\n";
    if !(resized && is_usual(a) && is_usual(b)) {
        super::frame(context, a, b, "between the members", outcome);
    }
}

fn is_number(field: &[u8]) -> bool {
    let digits = field.iter().take_while(|byte| byte.is_ascii_digit()).count();
    digits > 0 && field[digits..].iter().all(|&byte| byte == b' ')
}
