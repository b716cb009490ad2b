//! One file's bytes, whatever they are: taken apart, judged, and the change worked out.
//!
//! Owns which format is treated how. Touches no file: bytes in, [`Examined`] out.

use super::archive::{self, Member};
use super::judge::{Judge, Verdict, What};
use super::layout::{Kind, Layout};
use super::packed::{self, Format, Unpacked};
use super::prefix::{HASH_LEN, Mapping, StorePath};
use super::record;
use super::runs::{Finder, Run};
use super::section;
use super::x86::Constants;
use super::zip::{Unsafe, Zip, ZipMember};
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::Path;

/// Archives in archives are looked into this deep.
const DEPTH: usize = 6;

/// New bytes for a place in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// Offset.
    pub at: usize,
    /// What to write there.
    pub bytes: Vec<u8>,
}

/// A place that mentions a staged prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Offset in the file, or in the innermost member.
    pub at: usize,
    /// The way to that member, outermost first; empty for the file itself.
    pub members: Vec<String>,
    /// ELF section.
    pub section: Option<String>,
    /// Function or object.
    pub symbol: Option<String>,
    /// Which mapping.
    pub path: usize,
    /// What was found.
    pub reason: Reason,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// The full hash.
    Full,
    /// These characters of the hash.
    Piece(Range<usize>),
    /// A mention that cannot be rewritten with certainty.
    Doubt(What),
    /// The mention lies in a format that is not written again.
    Packed(Format),
    /// The mention lies in a compressed section that programs are made from.
    PackedSection,
    /// The mention lies in compressed debug information; whether relocation can rewrite it.
    PackedDebug(bool),
    /// The beginning of the hash, given to a compiler as a seed.
    Seed,
    /// The mention lies in a gzip member that is too large, or whose header describes its compressed bytes.
    Gzip,
    /// The mention lies in a compressed file inside an archive: its size would change.
    InArchive,
    /// The mention lies in a cpio archive with checksums.
    Checksum,
    /// The mention lies in a zip file whose contents are signed.
    Signed,
}

/// What is to be done with a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Examined {
    /// Bytes to change in place. Empty if `replacement` is set.
    pub edits: Vec<Edit>,
    /// New content, where the size changes.
    pub replacement: Option<Vec<u8>>,
    /// Every mention that can be rewritten.
    pub mentions: Vec<Finding>,
    /// Reasons to refuse.
    pub refusals: Vec<Finding>,
    /// What no program runs on: named, and no reason to refuse.
    pub harmless: Vec<Finding>,
}

impl Examined {
    /// Whether nothing was found.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.mentions.is_empty() && self.refusals.is_empty() && self.harmless.is_empty()
    }

    /// Whether all that was found is seeds.
    fn is_only_seed(&self) -> bool {
        self.refusals.is_empty() && self.mentions.iter().all(|found| found.reason == Reason::Seed)
    }

    /// Takes over another's findings, one level further in.
    fn nest(&mut self, other: Self, member: &str) {
        let inside = |mut finding: Finding| {
            finding.members.insert(0, member.to_owned());
            finding
        };
        self.mentions.extend(other.mentions.into_iter().map(inside));
        self.refusals.extend(other.refusals.into_iter().map(inside));
        self.harmless.extend(other.harmless.into_iter().map(inside));
    }

    /// Takes over another's findings as refusals for `reason`; a seed stays what it is, and harmless.
    fn refuse(&mut self, other: Self, member: &str, reason: &Reason) {
        let mut all = Self::default();
        all.nest(other, member);
        for mut mention in all.mentions {
            if mention.reason == Reason::Seed {
                self.harmless.push(mention);
            } else {
                mention.reason = reason.clone();
                self.refusals.push(mention);
            }
        }
        self.refusals.extend(all.refusals);
        // What could have been rewritten where it lies cannot be here.
        self.harmless.extend(all.harmless.into_iter().map(|mut finding| {
            if finding.reason == Reason::PackedDebug(true) {
                finding.reason = Reason::PackedDebug(false);
            }
            finding
        }));
    }
}

/// Looks for a set of mappings.
#[derive(Debug, Clone)]
pub struct Examiner {
    mappings: Vec<Mapping>,
    finder: Finder,
    constants: Constants,
}

/// Applies edits, which must lie within `bytes`.
pub fn apply(bytes: &mut [u8], edits: &[Edit]) {
    for edit in edits {
        bytes[edit.at..edit.at + edit.bytes.len()].copy_from_slice(&edit.bytes);
    }
}

impl Examiner {
    /// An examiner for these mappings; findings name them by their index.
    #[must_use]
    pub fn new(mappings: Vec<Mapping>) -> Self {
        let staged: Vec<StorePath> = mappings.iter().map(|m| m.staged.clone()).collect();
        Self { constants: Constants::new(&staged), finder: Finder::new(staged), mappings }
    }

    /// The mappings.
    #[must_use]
    pub fn mappings(&self) -> &[Mapping] {
        &self.mappings
    }

    /// Whether a file that begins with `head` is searched as plain bytes, so that it may be searched in parts.
    #[must_use]
    pub fn is_flat(head: &[u8]) -> bool {
        packed::detect(head).is_none()
            && ![&b"\x7fELF"[..], b"!<arch>\n", b"PK\x03\x04"].iter().any(|magic| head.starts_with(magic))
            && head.get(257..262) != Some(b"ustar")
    }

    /// Whether plain bytes hold anything that [`Self::examine`] would have to judge.
    #[must_use]
    pub fn is_suspect(&self, bytes: &[u8]) -> bool {
        !self.finder.find(bytes).is_empty()
    }

    /// Whether code holds a constant that [`Self::examine`] would have to judge.
    #[must_use]
    pub fn has_constant(&self, bytes: &[u8], range: Range<usize>, kind: Kind) -> bool {
        kind == Kind::CodeX86 && !self.constants.find(bytes, range).is_empty()
    }

    /// How many bytes two parts of a file must share for [`Self::is_suspect`] to miss nothing.
    #[must_use]
    pub fn overlap(&self) -> usize {
        self.finder.longest()
    }

    /// Examines `bytes`. `data` are the ranges that hold any: the rest are holes of a sparse file, and zero.
    #[must_use]
    pub fn examine(&self, bytes: &[u8], data: &[Range<usize>]) -> Examined {
        self.look(bytes, data, 0)
    }

    /// Examines a short piece of text: a file name or a symlink's target.
    #[must_use]
    pub fn examine_text(&self, text: &[u8]) -> Examined {
        self.leaf(text, &self.finder.find(text), &Layout::default())
    }

    fn look(&self, bytes: &[u8], data: &[Range<usize>], depth: usize) -> Examined {
        let known = if depth < DEPTH { self.look_inside(bytes, depth) } else { None };
        known.unwrap_or_else(|| {
            let mut layout = Layout::without_symbols(bytes);
            let runs: Vec<Run> = data.iter().flat_map(|range| self.finder.find_in(bytes, range.clone())).collect();
            let mut examined = self.leaf(bytes, &runs, &layout);
            if !examined.is_clean() && layout.is_elf() {
                layout = Layout::of(bytes);
                examined = self.leaf(bytes, &runs, &layout);
            }
            self.sections(bytes, &layout, &mut examined);
            // A tar that could not be walked to its end still has headers.
            if bytes.get(257..262) == Some(b"ustar") {
                tar_checksums(bytes, &mut examined.edits);
            }
            if bytes.starts_with(b"070702") && !examined.mentions.is_empty() {
                let all = std::mem::take(&mut examined);
                for mut mention in all.mentions {
                    mention.reason = Reason::Checksum;
                    examined.refusals.push(mention);
                }
                examined.refusals.extend(all.refusals);
            }
            examined
        })
    }

    /// Bytes that have members; nothing if they have none, or are damaged.
    fn look_inside(&self, bytes: &[u8], depth: usize) -> Option<Examined> {
        match packed::detect(bytes) {
            Some(Format::Gzip) => return self.gzip(bytes, depth),
            Some(format) => return self.packed(bytes, format, depth),
            None => {}
        }
        if let Some(members) = archive::ar(bytes) {
            return Some(self.archive(bytes, &members, false, depth));
        }
        if let Some(members) = archive::tar(bytes) {
            return Some(self.archive(bytes, &members, true, depth));
        }
        packed::zip(bytes).map(|zip| self.zip(bytes, &zip, depth))
    }

    /// Bytes without members.
    fn leaf(&self, bytes: &[u8], runs: &[Run], layout: &Layout) -> Examined {
        let judge = Judge::new(bytes, layout, self.finder.paths());
        let verdict = judge.verdict(runs, &self.constants);
        self.examined(&judge, &verdict, layout)
    }

    fn examined(&self, judge: &Judge, verdict: &Verdict, layout: &Layout) -> Examined {
        let finding = |at, path, reason| Finding {
            at,
            members: Vec::new(),
            section: layout.region(at).map(|region| region.section.clone()).filter(|name| !name.is_empty()),
            symbol: layout.symbol(at).map(str::to_owned),
            path,
            reason,
        };
        let mut examined = Examined::default();
        for run in verdict.full.iter().chain(&verdict.pieces) {
            let mapping = &self.mappings[run.path];
            let part = run.hash_part(&mapping.staged);
            let at = run.hash_offset(&mapping.staged, part.start);
            examined.edits.push(Edit { at, bytes: mapping.real.hash()[part.clone()].to_vec() });
            let reason = match part.len() {
                HASH_LEN => Reason::Full,
                _ if judge.is_seed(run) => Reason::Seed,
                _ => Reason::Piece(part),
            };
            examined.mentions.push(finding(at, run.path, reason));
        }
        for doubt in &verdict.doubts {
            examined.refusals.push(finding(doubt.at, doubt.path, Reason::Doubt(doubt.what.clone())));
        }
        examined
    }

    /// Looks into compressed sections. Debug information is rewritten where it fits into the room it has: no program runs on it.
    fn sections(&self, bytes: &[u8], layout: &Layout, examined: &mut Examined) {
        for section in layout.compressed() {
            let stream = &bytes[section.range.clone()];
            let content = if section.zstd {
                packed::zstd_reader(stream).and_then(|reader| self.unpack(reader))
            } else {
                self.unpack(flate2::bufread::ZlibDecoder::new(stream))
            };
            let Some(content) = content else { continue };
            let inside = self.deeper(&content, DEPTH);
            let (only_seed, changes) = (inside.is_only_seed(), !inside.edits.is_empty());
            let new = match content {
                Unpacked::Whole(content) if changes && !section.code => new_content(content, &inside),
                _ => None,
            };
            let fitted = new.and_then(|content| section::refit(&content, section.range.len(), section.zstd));
            for found in inside.mentions.into_iter().chain(inside.refusals) {
                let place = Finding { at: section.range.start, section: Some(section.section.clone()), ..found };
                if !section.code {
                    examined.harmless.push(Finding { reason: Reason::PackedDebug(fitted.is_some()), ..place });
                } else if only_seed {
                    examined.harmless.push(Finding { reason: Reason::Seed, ..place });
                } else {
                    examined.refusals.push(Finding { reason: Reason::PackedSection, ..place });
                }
            }
            examined.edits.extend(fitted.map(|bytes| Edit { at: section.range.start, bytes }));
        }
    }

    fn unpack(&self, reader: impl std::io::Read) -> Option<Unpacked> {
        packed::unpack(reader, packed::LIMIT, self.overlap(), &|window| self.is_suspect(window)).ok()
    }

    fn deeper(&self, content: &Unpacked, depth: usize) -> Examined {
        match content {
            Unpacked::Whole(bytes) => {
                let all = 0..bytes.len();
                self.look(bytes, std::slice::from_ref(&all), depth)
            }
            Unpacked::Large(false) => Examined::default(),
            Unpacked::Large(true) => Examined {
                refusals: vec![Finding {
                    at: 0,
                    members: Vec::new(),
                    section: None,
                    symbol: None,
                    path: 0,
                    reason: Reason::Gzip,
                }],
                ..Examined::default()
            },
        }
    }

    fn packed(&self, bytes: &[u8], format: Format, depth: usize) -> Option<Examined> {
        let content = self.unpack(packed::reader(format, bytes)?)?;
        let mut examined = Examined::default();
        let inside = self.deeper(&content, depth + 1);
        examined.refuse(inside, &format!("{format} data"), &Reason::Packed(format));
        Some(examined)
    }

    fn zip(&self, bytes: &[u8], zip: &Zip, depth: usize) -> Examined {
        let before = self.finder.find_in(bytes, 0..zip.start);
        let mut examined = self.leaf(bytes, &before, &Layout::default());
        let mut members = Vec::new();
        let mut contents = BTreeMap::new();
        let mut seen = Vec::new();
        for (index, member) in zip.members.iter().enumerate() {
            let Some(content) = self.zip_content(bytes, member) else { continue };
            seen.push(member.packed.clone());
            let inside = self.deeper(&content, depth + 1);
            if let Unpacked::Whole(old) = content
                && let Some(new) = new_content(old.clone(), &inside)
            {
                contents.insert(index, (old, new));
            }
            members.push((format!("zip member {}", member.name), inside));
        }
        // Names of members, comments, and what could not be unpacked.
        let (mut text, mut opaque) = (Examined::default(), Examined::default());
        for range in gaps(&seen, zip.start..bytes.len()) {
            let packed = zip.members.iter().any(|m| m.packed.start < range.end && range.start < m.packed.end);
            let found = self.leaf(bytes, &self.finder.find_in(bytes, range), &Layout::default());
            let part = if packed { &mut opaque } else { &mut text };
            part.edits.extend(found.edits.iter().cloned());
            part.nest(found, "zip directory");
        }
        if contents.is_empty() && text.edits.is_empty() {
            for (name, inside) in members {
                examined.nest(inside, &name);
            }
        } else {
            let mut edited = bytes.to_vec();
            apply(&mut edited, &examined.edits);
            apply(&mut edited, &text.edits);
            self.refresh_records(&edited, zip, &mut contents);
            match zip.rebuilt(&edited, &contents) {
                Ok(new) => {
                    for (name, inside) in members {
                        examined.nest(inside, &name);
                    }
                    examined.edits.clear();
                    examined.replacement = Some(new);
                }
                Err(why) => {
                    let reason = match why {
                        Unsafe::Signed => Reason::Signed,
                        Unsafe::Format => Reason::Packed(Format::Zip),
                    };
                    for (name, inside) in members {
                        examined.refuse(inside, &name, &reason);
                    }
                    let names = std::mem::take(&mut text);
                    examined.refuse(names, "zip file", &reason);
                }
            }
        }
        examined.nest(text, "zip file");
        examined.refuse(opaque, "zip file", &Reason::Packed(Format::Zip));
        examined
    }

    fn zip_content(&self, bytes: &[u8], member: &ZipMember) -> Option<Unpacked> {
        let packed = &bytes[member.packed.clone()];
        match member.method {
            0 => Some(Unpacked::Whole(packed.to_vec())),
            8 => self.unpack(flate2::bufread::DeflateDecoder::new(packed)),
            _ => None,
        }
    }

    /// Brings a wheel's list of its own files up to date with `contents`.
    fn refresh_records(&self, bytes: &[u8], zip: &Zip, contents: &mut BTreeMap<usize, (Vec<u8>, Vec<u8>)>) {
        let name = |member: &ZipMember| String::from_utf8_lossy(&bytes[member.name_at.clone()]).into_owned();
        for (index, member) in zip.members.iter().enumerate().filter(|(_, m)| record::is_record(Path::new(&m.name))) {
            let Some(Unpacked::Whole(old)) = self.zip_content(bytes, member) else { continue };
            let current = contents.get(&index).map_or(&old, |(_, new)| new);
            let Ok(text) = std::str::from_utf8(current) else { continue };
            let changed: HashMap<String, (&[u8], &[u8])> =
                contents.iter().map(|(&index, (old, new))| (name(&zip.members[index]), (&old[..], &new[..]))).collect();
            let new = record::with_digests(text, |name| changed.get(name).copied()).into_bytes();
            if new != old {
                contents.insert(index, (old, new));
            }
        }
    }

    /// An archive whose members lie in it as they are: their edits are its edits.
    fn archive(&self, bytes: &[u8], members: &[Member], is_tar: bool, depth: usize) -> Examined {
        let ranges: Vec<Range<usize>> = members.iter().map(|m| m.range.clone()).collect();
        let between: Vec<Run> =
            gaps(&ranges, 0..bytes.len()).into_iter().flat_map(|range| self.finder.find_in(bytes, range)).collect();
        let mut examined = self.leaf(bytes, &between, &Layout::default());
        if is_tar {
            tar_checksums(bytes, &mut examined.edits);
        }
        for member in members {
            let content = &bytes[member.range.clone()];
            let all = 0..content.len();
            let mut inside = self.look(content, std::slice::from_ref(&all), depth + 1);
            let edits = std::mem::take(&mut inside.edits);
            examined.edits.extend(edits.into_iter().map(|edit| Edit { at: edit.at + member.range.start, ..edit }));
            let name = format!("member {}", member.name);
            if inside.replacement.is_some() {
                examined.refuse(inside, &name, &Reason::InArchive);
            } else {
                examined.nest(inside, &name);
            }
        }
        examined
    }

    fn gzip(&self, bytes: &[u8], depth: usize) -> Option<Examined> {
        let mut examined = Examined::default();
        let mut output = Vec::new();
        let mut at = 0;
        let mut changed = false;
        while let Some((member, content)) =
            packed::gzip_member(bytes, at, self.overlap(), &|window| self.is_suspect(window))
        {
            let place = format!("gzip member at {at:#x}");
            let header = &bytes[member.header.clone()];
            let mut head = self.examine_text(header);
            let inside = self.deeper(&content, depth + 1);
            let body = match content {
                Unpacked::Whole(content) => new_content(content, &inside),
                Unpacked::Large(_) => None,
            };
            if (body.is_some() && member.extra) || (!head.is_clean() && member.header_crc) {
                examined.refuse(inside, &place, &Reason::Gzip);
                examined.refuse(head, &place, &Reason::Gzip);
            } else {
                let mut header = header.to_vec();
                apply(&mut header, &head.edits);
                changed |= body.is_some() || !head.edits.is_empty();
                output.extend(header);
                match body.and_then(|content| packed::gzip_body(&content).ok()) {
                    Some(body) => output.extend(body),
                    None => output.extend(&bytes[member.stream.start..member.end()]),
                }
                head.edits.clear();
                examined.nest(inside, &place);
                examined.nest(head, &place);
            }
            at = member.end();
        }
        if at == 0 {
            return None;
        }
        // Padding, or whatever else follows the last member.
        let mut tail = self.examine_text(&bytes[at..]);
        let mut rest = bytes[at..].to_vec();
        apply(&mut rest, &tail.edits);
        changed |= !tail.edits.is_empty();
        tail.edits.clear();
        output.extend(rest);
        examined.nest(tail, "bytes behind the last gzip member");
        examined.replacement = changed.then_some(output);
        Some(examined)
    }
}

/// What `content` becomes, if it changes.
fn new_content(mut content: Vec<u8>, examined: &Examined) -> Option<Vec<u8>> {
    if let Some(new) = &examined.replacement {
        return Some(new.clone());
    }
    if examined.edits.is_empty() {
        return None;
    }
    apply(&mut content, &examined.edits);
    Some(content)
}

/// The parts of `whole` outside of `ranges`.
fn gaps(ranges: &[Range<usize>], whole: Range<usize>) -> Vec<Range<usize>> {
    let mut ranges = ranges.to_vec();
    ranges.sort_by_key(|range| range.start);
    let mut gaps = Vec::new();
    let mut at = whole.start;
    for range in ranges {
        if at < range.start {
            gaps.push(at..range.start);
        }
        at = at.max(range.end);
    }
    if at < whole.end {
        gaps.push(at..whole.end);
    }
    gaps
}

/// Adds what keeps the checksums of the changed header blocks right.
fn tar_checksums(bytes: &[u8], edits: &mut Vec<Edit>) {
    const BLOCK: usize = 512;
    let mut blocks: Vec<usize> =
        edits.iter().flat_map(|edit| [edit.at / BLOCK, (edit.at + edit.bytes.len() - 1) / BLOCK]).collect();
    blocks.sort_unstable();
    blocks.dedup();
    for block in blocks {
        let start = block * BLOCK;
        let Some(header) = bytes.get(start..start + BLOCK).filter(|block| archive::is_tar_header(block)) else {
            continue;
        };
        let mut header = header.to_vec();
        for edit in edits.iter() {
            for (i, byte) in edit.bytes.iter().enumerate() {
                if let Some(place) = (edit.at + i).checked_sub(start)
                    && let Some(old) = header.get_mut(place)
                {
                    *old = *byte;
                }
            }
        }
        edits.push(Edit { at: start + archive::TAR_CHECKSUM.start, bytes: archive::tar_checksum(&header) });
    }
}
