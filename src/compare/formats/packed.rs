//! xz, zstd and bzip2 files: unpacked.
//!
//! Their headers have no times or names; what they say of the packing (block sizes, levels) follows from it.

use super::super::Excuse;
use super::super::content::{self, Pair};
use super::super::context::{Context, Outcome};
use crate::state::relocate::packed::{self, Unpacked};

pub fn compare(context: &Context, pair: &Pair) -> Option<Outcome> {
    let format = packed::detect(pair.a)?;
    if packed::detect(pair.b) != Some(format) {
        return None;
    }
    let unpack = |bytes| match packed::unpack(packed::reader(format, bytes)?, packed::LIMIT, 0, &|_| false).ok()? {
        Unpacked::Whole(inside) => Some(inside),
        Unpacked::Large(_) => None,
    };
    let (one, other) = (unpack(pair.a)?, unpack(pair.b)?);
    let mut outcome = Outcome::default();
    if one == other {
        outcome.excuse(Excuse::Packing);
    }
    outcome.nest("unpacked", content::compare(context, &pair.member(&one, &other, "")));
    Some(outcome)
}
