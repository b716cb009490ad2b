//! gzip files: members unpacked, and the time in each header excused.

use super::super::Excuse;
use super::super::content::{self, Pair};
use super::super::context::{Context, Found, Outcome};
use super::super::what::What;
use crate::state::relocate::packed::{self, GzipMember, Unpacked};
use std::ops::Range;

/// Seconds since 1970, little-endian (RFC 1952, 2.3.1).
const TIME: Range<usize> = 4..8;

pub fn compare(context: &Context, pair: &Pair) -> Option<Outcome> {
    let (one, other) = (members(pair.a)?, members(pair.b)?);
    if one.len() != other.len() {
        let names = |count: usize| vec![format!("{count} gzip members")];
        return Some(Outcome::of(Found::whole(What::Members(names(one.len()), names(other.len())))));
    }
    let mut outcome = Outcome::default();
    for (index, ((member, inside), (twin, twin_inside))) in one.iter().zip(&other).enumerate() {
        let name = if one.len() == 1 { "unpacked".to_owned() } else { format!("gzip member {}", index + 1) };
        let mut head = pair.a[member.header.clone()].to_vec();
        let mut twin_head = pair.b[twin.header.clone()].to_vec();
        // A checksum of the header would have to be right as well.
        if head[TIME] != twin_head[TIME] && !member.header_crc && !twin.header_crc {
            head[TIME].fill(0);
            twin_head[TIME].fill(0);
            outcome.excuse(Excuse::GzipTime);
        }
        super::frame(context, &head, &twin_head, "gzip header", &mut outcome);
        if inside == twin_inside && pair.a[member.stream.clone()] != pair.b[twin.stream.clone()] {
            outcome.excuse(Excuse::Packing);
        }
        let inner = Pair { name: pair.name, ..pair.member(inside, twin_inside, "") };
        outcome.nest(&name, content::compare(context, &inner));
    }
    Some(outcome)
}

/// The members of a gzip file with nothing behind them; none if it is not one.
fn members(bytes: &[u8]) -> Option<Vec<(GzipMember, Vec<u8>)>> {
    let mut members = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        match packed::gzip_member(bytes, at, 0, &|_| false)? {
            (member, Unpacked::Whole(content)) => {
                at = member.end();
                members.push((member, content));
            }
            (_, Unpacked::Large(_)) => return None,
        }
    }
    (!members.is_empty()).then_some(members)
}
