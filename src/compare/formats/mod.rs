//! Formats that are compared by what is in them: one file each.
//!
//! A format takes a pair apart only where *both* sides are whole and sound files of it, and accounts for every byte: members are
//! compared as contents of their own, all between them as bytes, less the fields that a rule excuses.

mod ar;
pub mod elf;
mod gzip;
mod packed;
pub mod pyc;
mod tar;
mod zip;

use super::content::{self, Pair};
use super::context::{Context, Found, Outcome};
use super::what::What;

/// The formats that have members, each telling whether a pair is of it.
pub const ARCHIVES: [fn(&Context, &Pair) -> Option<Outcome>; 5] =
    [gzip::compare, packed::compare, ar::compare, tar::compare, zip::compare];

/// Members of one side that are named.
const SHOWN: usize = 8;

/// Whether two lists of members name the same ones in the same order; if not, that is the difference.
fn same_members(context: &Context, a: &[String], b: &[String]) -> Option<Found> {
    let same =
        a.len() == b.len() && a.iter().zip(b).all(|(x, y)| context.same_text(x.as_bytes(), y.as_bytes()).is_some());
    if same {
        return None;
    }
    let only = |these: &[String], those: &[String]| -> Vec<String> {
        let missing = these.iter().filter(|name| !those.contains(name)).cloned().collect::<Vec<_>>();
        let more = missing.len().saturating_sub(SHOWN);
        let rest = (more > 0).then(|| format!("and {more} more"));
        missing.into_iter().take(SHOWN).chain(rest).collect()
    };
    let (mut first, mut second) = (only(a, b), only(b, a));
    if first.is_empty() && second.is_empty() {
        // The same names in another order, or one of them twice.
        (first, second) = (only(a, &[]), only(b, &[]));
    }
    Some(Found::whole(What::Members(first, second)))
}

/// Compares what lies around the members, without the fields that were masked.
fn frame(context: &Context, a: &[u8], b: &[u8], name: &str, outcome: &mut Outcome) {
    outcome.nest(name, content::leaf(context, &Pair::part(a, b)));
}
