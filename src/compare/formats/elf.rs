//! ELF files: what the linker, the compiler and `objcopy` write that follows from the package's path.

use super::super::Excuse;
use super::super::content::{self, Pair};
use super::super::context::{Context, DEPTH, Side};
use super::super::spans::Explained;
use crate::state::relocate::layout::Layout;
use std::ops::Range;

/// Sections of strings that debug information refers to by offset.
const STRINGS: [&str; 2] = [".debug_str", ".debug_line_str"];
/// A suffix of a string is told from coincidence from this length on.
const LEAST_SUFFIX: usize = 4;

/// Two ELF files of the same size.
pub struct Twins {
    layouts: [Layout; 2],
}

impl Twins {
    pub fn of(a: &[u8], b: &[u8]) -> Option<Self> {
        let is_elf = a.starts_with(b"\x7fELF") && b.starts_with(b"\x7fELF");
        is_elf.then(|| Self { layouts: [Layout::of(a), Layout::of(b)] })
    }

    /// Where a section lies, if it is the only one of its name and at the same place in both.
    fn section(&self, name: &str) -> Option<Range<usize>> {
        let place = |layout: &Layout| {
            let mut all = layout.regions().iter().filter(|region| region.section == name);
            all.next().filter(|_| all.next().is_none()).map(|region| region.range.clone())
        };
        place(&self.layouts[0]).filter(|range| place(&self.layouts[1]).as_ref() == Some(range))
    }

    /// The bytes that may differ whatever they are.
    pub fn explained(&self, context: &Context, pair: &Pair) -> Vec<Explained> {
        let build_id = self.section(BUILD_ID).and_then(|section| {
            let within = build_id(&pair.a[section.clone()])?;
            (build_id(&pair.b[section.clone()])? == within)
                .then(|| (section.start + within.start..section.start + within.end, Some(Excuse::BuildId)))
        });
        build_id.into_iter().chain(self.debug_link(context, pair)).collect()
    }

    /// `.gnu_debuglink`: the debug file's name, filled up to four bytes, and its checksum.
    fn debug_link(&self, context: &Context, pair: &Pair) -> Option<Explained> {
        let section = self.section(".gnu_debuglink").filter(|_| pair.depth < DEPTH)?;
        let checksum = section.end.checked_sub(4).filter(|&at| at > section.start)?..section.end;
        if pair.a[checksum.clone()] == pair.b[checksum.clone()] {
            return None;
        }
        let name = |bytes: &[u8]| bytes[section.clone()].split(|&byte| byte == 0).next().unwrap_or_default().to_vec();
        let files = context.debug_files.get(&[name(pair.a), name(pair.b)])?;
        let proven = files.iter().any(|[one, other]| {
            let (Ok(a), Ok(b)) = (std::fs::read(one), std::fs::read(other)) else { return false };
            let sum = |bytes: &[u8]| {
                let mut crc = flate2::Crc::new();
                crc.update(bytes);
                crc.sum().to_le_bytes()
            };
            let right = sum(&a) == pair.a[checksum.clone()] && sum(&b) == pair.b[checksum.clone()];
            let twins = Pair { a: &a, b: &b, name: "", paths: None, depth: pair.depth + 1 };
            right && content::compare(context, &twins).found.is_empty()
        });
        proven.then_some((checksum, Some(Excuse::DebugLink)))
    }

    /// Takes from `real` what follows from another order of the strings of debug information: the sections that have the same
    /// strings, and each offset into them that leads to the same string on both sides. None if no order differs.
    pub fn strings(&self, context: &Context, pair: &Pair, real: &[Range<usize>]) -> Option<Vec<Range<usize>>> {
        let reordered: Vec<Range<usize>> = STRINGS
            .iter()
            .filter_map(|name| self.section(name))
            .filter(|section| real.iter().any(|span| overlap(span, section)))
            .filter(|section| {
                strings(context, Side::First, &pair.a[section.clone()])
                    == strings(context, Side::Second, &pair.b[section.clone()])
            })
            .collect();
        if reordered.is_empty() {
            return None;
        }
        let mut left: Vec<Range<usize>> = Vec::new();
        let mut proven = 0;
        for at in real.iter().cloned().flatten() {
            if at < proven || reordered.iter().any(|section| section.contains(&at)) {
                continue;
            }
            if let Some(end) = self.reference(context, pair, at, &reordered) {
                proven = end;
                continue;
            }
            match left.last_mut() {
                Some(last) if last.end == at => last.end += 1,
                _ => left.push(at..at + 1),
            }
        }
        Some(left)
    }

    /// Whether `at` lies in an offset of four bytes that leads to the same string on both sides; and where it ends.
    fn reference(&self, context: &Context, pair: &Pair, at: usize, sections: &[Range<usize>]) -> Option<usize> {
        let region = self.layouts[0].region(at)?;
        let refers = (region.section.starts_with(".debug_") || region.section.starts_with(".rela.debug_"))
            && !STRINGS.contains(&region.section.as_str());
        if !refers {
            return None;
        }
        let word = |bytes: &[u8], from: usize| -> Option<usize> {
            usize::try_from(u32::from_le_bytes(bytes.get(from..from + 4)?.try_into().ok()?)).ok()
        };
        let first = at.saturating_sub(3).max(region.range.start);
        (first..=at).filter(|from| from + 4 <= region.range.end).find_map(|from| {
            let (one, other) = (word(pair.a, from)?, word(pair.b, from)?);
            let same = sections.iter().any(|section| {
                let one = string_at(&pair.a[section.clone()], one);
                let other = string_at(&pair.b[section.clone()], other);
                let (Some(one), Some(other)) = (one, other) else { return false };
                // What stands for each other is as long as each other.
                let neutral = || (context.neutral(Side::First, one), context.neutral(Side::Second, other));
                one == other
                    || one.len() == other.len() && {
                        let (one, other) = neutral();
                        one == other
                    }
            });
            same.then_some(from + 4)
        })
    }
}

/// The section with the build-id.
pub const BUILD_ID: &str = ".note.gnu.build-id";

/// Where in a `.note.gnu.build-id` the id lies: behind sizes, type 3 and the name `GNU`.
fn build_id(note: &[u8]) -> Option<Range<usize>> {
    let header = note.get(..16)?;
    // The name's size tells the order of bytes.
    let word: fn([u8; 4]) -> u32 = match header[..4] {
        [4, 0, 0, 0] => u32::from_le_bytes,
        [0, 0, 0, 4] => u32::from_be_bytes,
        _ => return None,
    };
    let len = usize::try_from(word(header[4..8].try_into().ok()?)).ok()?;
    let is_id = word(header[8..12].try_into().ok()?) == 3 && &header[12..] == b"GNU\0";
    (is_id && len <= note.len() - 16).then_some(16..16 + len)
}

/// A file's build-id in hexadecimal digits.
pub fn id_of(bytes: &[u8]) -> Option<String> {
    if !bytes.starts_with(b"\x7fELF") {
        return None;
    }
    let layout = Layout::of(bytes);
    let note = &bytes[layout.regions().iter().find(|region| region.section == BUILD_ID)?.range.clone()];
    let digit = |value: u8| char::from(b"0123456789abcdef"[usize::from(value)]);
    Some(note[build_id(note)?].iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect())
}

fn overlap(one: &Range<usize>, other: &Range<usize>) -> bool {
    one.start < other.end && other.start < one.end
}

/// The strings of a section, in an order of their own.
fn strings(context: &Context, side: Side, section: &[u8]) -> Vec<Vec<u8>> {
    // Neither hashes nor words have a NUL in them.
    let neutral = context.neutral(side, section);
    let mut all: Vec<Vec<u8>> = neutral.split(|&byte| byte == 0).map(<[u8]>::to_vec).collect();
    all.sort_unstable();
    all
}

/// The string at an offset, if it is a whole one or a suffix that is none by chance.
fn string_at(section: &[u8], at: usize) -> Option<&[u8]> {
    let text = section.get(at..)?.split(|&byte| byte == 0).next()?;
    let whole = at == 0 || section[at - 1] == 0;
    ((whole && !text.is_empty()) || text.len() >= LEAST_SUFFIX).then_some(text)
}
