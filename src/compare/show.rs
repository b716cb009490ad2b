//! Differences for people: a unified diff of text, a few bytes of everything else. Always of bounded length.

use super::context::{Context, Side};
use super::what::Places;
use crate::state::relocate::layout::Layout;
use similar::{ChangeTag, DiffOp, TextDiff};
use std::collections::BTreeMap;
use std::time::Duration;

/// Lines of one difference.
const LINES: usize = 30;
/// Characters of one line.
const WIDTH: usize = 200;
/// Longer texts are shown as bytes: nobody reads their diff, and finding it may take long.
const TEXT: usize = 4 << 20;
/// How long a diff is searched for the shortest form.
const PATIENCE: Duration = Duration::from_secs(2);
/// Bytes to a line of a dump, and lines of each side.
const ROW: usize = 16;
const ROWS: usize = 3;

/// Shows two contents of different size.
pub fn sizes(context: &Context, a: &[u8], b: &[u8]) -> (Vec<String>, Places) {
    if let Some((shown, places)) = text(context, a, b) {
        return (shown, places);
    }
    let mut shown = sections(a, b);
    let at = a.iter().zip(b).position(|(x, y)| x != y).unwrap_or(a.len().min(b.len()));
    shown.extend(dump(a, b, at));
    (shown, Places::Whole)
}

/// Shows two contents of one size that differ at `at`; and which lines differ, where they are text.
pub fn content(context: &Context, a: &[u8], b: &[u8], at: usize) -> (Vec<String>, Option<Places>) {
    match text(context, a, b) {
        Some((shown, places)) => (shown, Some(places)),
        None => (dump(a, b, at), None),
    }
}

fn as_text(bytes: &[u8]) -> Option<&str> {
    (bytes.len() <= TEXT && !bytes.contains(&0)).then(|| std::str::from_utf8(bytes).ok()).flatten()
}

/// A unified diff, the package's own hashes replaced: only what really differs is in it.
fn text(context: &Context, a: &[u8], b: &[u8]) -> Option<(Vec<String>, Places)> {
    as_text(a).and(as_text(b))?;
    let (a, b) = (context.neutral(Side::First, a), context.neutral(Side::Second, b));
    let (a, b) = (String::from_utf8(a).ok()?, String::from_utf8(b).ok()?);
    let diff = TextDiff::configure().timeout(PATIENCE).diff_lines(&a, &b);
    let changed = |op: &&DiffOp| !matches!(op, DiffOp::Equal { .. });
    let places: Vec<_> = diff.ops().iter().filter(changed).map(|op| (op.old_range(), op.new_range())).collect();
    if places.is_empty() {
        // Pieces of a hash, which no line shows: they are shown as bytes.
        return None;
    }
    let mut shown = Vec::new();
    for group in diff.grouped_ops(3) {
        let (Some(first), Some(last)) = (group.first(), group.last()) else { continue };
        let hunk = |start: usize, end: usize| format!("{},{}", start + usize::from(end > start), end - start);
        shown.push(format!(
            "@@ -{} +{} @@",
            hunk(first.old_range().start, last.old_range().end),
            hunk(first.new_range().start, last.new_range().end)
        ));
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let mark = match change.tag() {
                ChangeTag::Delete => '-',
                ChangeTag::Insert => '+',
                ChangeTag::Equal => ' ',
            };
            let line = change.value();
            shown.push(shortened(&format!("{mark}{}", line.trim_end_matches('\n'))));
            if !line.ends_with('\n') {
                shown.push("\\ no newline at the end".to_owned());
            }
        }
    }
    let more = shown.len().saturating_sub(LINES);
    if more > 0 {
        shown.truncate(LINES);
        shown.push(format!("… {more} more lines"));
    }
    Some((shown, Places::Lines(places)))
}

/// At most [`WIDTH`] characters, none of which moves a terminal's cursor.
fn shortened(line: &str) -> String {
    let printable = |c: char| if c.is_control() && c != '\t' { '\u{fffd}' } else { c };
    let mut short: String = line.chars().take(WIDTH).map(printable).collect();
    if line.chars().nth(WIDTH).is_some() {
        short.push('…');
    }
    short
}

/// The sections of two ELF files that differ in size.
fn sections(a: &[u8], b: &[u8]) -> Vec<String> {
    let table = |bytes: &[u8]| -> BTreeMap<String, usize> {
        let layout = Layout::of(bytes);
        let plain = layout.regions().iter().map(|region| (region.section.clone(), region.range.len()));
        let packed = layout.compressed().iter().map(|part| (part.section.clone(), part.range.len()));
        plain.chain(packed).collect()
    };
    let (one, other) = (table(a), table(b));
    let mut names: Vec<&String> = one.keys().chain(other.keys()).collect();
    names.sort();
    names.dedup();
    let size = |table: &BTreeMap<String, usize>, name| {
        table.get(name).map_or("none".to_owned(), |size| format!("{size} bytes"))
    };
    names
        .into_iter()
        .filter(|name| one.get(*name) != other.get(*name))
        .take(ROWS * 2)
        .map(|name| format!(" section {name}: {} against {}", size(&one, name), size(&other, name)))
        .collect()
}

/// A few bytes around `at`, as `hexdump -C` has them.
fn dump(a: &[u8], b: &[u8], at: usize) -> Vec<String> {
    let from = at - at % ROW;
    let rows = |mark: char, bytes: &[u8]| -> Vec<String> {
        let end = (from + ROW * ROWS).min(bytes.len());
        let part = bytes.get(from..end).unwrap_or_default();
        part.chunks(ROW)
            .enumerate()
            .map(|(index, row)| {
                let hex = row.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ");
                let plain: String =
                    row.iter().map(|&b| if (b' '..=b'~').contains(&b) { char::from(b) } else { '.' }).collect();
                format!("{mark}{:08x}  {hex:<47}  |{plain}|", from + index * ROW)
            })
            .collect()
    };
    let (one, other) = (rows('-', a), rows('+', b));
    one.into_iter().chain(other).collect()
}
