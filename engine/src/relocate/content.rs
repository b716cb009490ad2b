//! One file's bytes, whatever they are: taken apart, judged, and the change worked out.
//!
//! Owns which format is treated how. Touches no file: bytes in, [`Examined`] out.

use super::archive;
use super::bitcode::Bitcode;
use super::constants::Constants;
use super::digest::Table;
use super::embedded;
use super::encoded::{Encoded, Forms};
use super::escapes::Escapes;
use super::foreign::{self, Foreign};
use super::judge::{Judge, Verdict, What};
use super::layout::{Kind, Layout};
use super::members;
use super::packed::{self, Format, Unpacked};
use super::png;
use super::prefix::{HASH_LEN, Mapping, StorePath};
use super::runs::{Finder, Run};
use super::section;
use std::ops::Range;
use std::sync::Arc;

/// Archives in archives are looked into this deep.
pub(super) const DEPTH: usize = 6;
/// What two parts of a file share at least (bytes): what a path can take in another encoding, and how much of a compressed
/// stream tells that it is one.
const OVERLAP: usize = 2048;

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
    /// The mention lies in a format that checks or orders its contents: its name.
    Foreign(&'static str),
    /// The mention lies in LLVM bitcode.
    Bitcode,
    /// Nothing was found, but this format cannot be searched: its name.
    Opaque(&'static str),
    /// The mention lies in a zip file whose contents are signed.
    Signed,
    /// The mention is in another encoding: its name.
    Encoded(&'static str),
    /// A digest of something that relocation changes.
    Digest {
        /// By which algorithm.
        name: &'static str,
        /// What it is of.
        of: String,
    },
    /// A file name holds the beginning of a digest, or a line beside the file's name does.
    ShortDigest(String),
    /// What may be a digest of this file, and is none that is known.
    Hint(String),
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

impl Finding {
    /// A full mention of the first path; the rest is for the caller to say.
    pub(super) fn at(at: usize) -> Self {
        Self { at, members: Vec::new(), section: None, symbol: None, path: 0, reason: Reason::Full }
    }

    /// Of bytes laid out like this.
    fn within(layout: &Layout, at: usize, path: usize, reason: Reason) -> Self {
        Self {
            at,
            members: Vec::new(),
            section: layout.region(at).map(|region| region.section.clone()).filter(|name| !name.is_empty()),
            symbol: layout.symbol(at).map(str::to_owned),
            path,
            reason,
        }
    }

    /// A file that cannot be searched.
    pub(super) fn opaque(name: &'static str) -> Self {
        Self { reason: Reason::Opaque(name), ..Self::at(0) }
    }
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
    pub(super) fn nest(&mut self, other: Self, member: &str) {
        let inside = |mut finding: Finding| {
            if !member.is_empty() {
                finding.members.insert(0, member.to_owned());
            }
            finding
        };
        self.mentions.extend(other.mentions.into_iter().map(inside));
        self.refusals.extend(other.refusals.into_iter().map(inside));
        self.harmless.extend(other.harmless.into_iter().map(inside));
    }

    /// Takes over another's findings as refusals for `reason`; a seed stays what it is, and harmless.
    pub(super) fn refuse(&mut self, other: Self, member: &str, reason: &Reason) {
        let mut all = Self::default();
        all.nest(other, member);
        for mut mention in all.mentions {
            match mention.reason {
                Reason::Seed => self.harmless.push(mention),
                Reason::Digest { .. } => self.refusals.push(mention),
                _ => {
                    mention.reason = reason.clone();
                    self.refusals.push(mention);
                }
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
    forms: Forms,
    escapes: Escapes,
    constants: Constants,
    bitcode: Bitcode,
    digests: Arc<Table>,
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
        let forms = Forms::new(mappings.clone());
        Self {
            constants: Constants::new(&staged),
            bitcode: Bitcode::new(&staged),
            digests: Arc::default(),
            finder: Finder::with(staged, forms.texts()),
            escapes: Escapes::new(mappings.clone()),
            forms,
            mappings,
        }
    }

    /// The same, which looks for these digests too.
    #[must_use]
    pub fn with_digests(&self, table: Table) -> Self {
        Self { digests: Arc::new(table), ..self.clone() }
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
            && !archive::may_begin(head)
            && ![&b"\x7fELF"[..], b"PK\x03\x04"].iter().any(|magic| head.starts_with(magic))
            && !matches!(foreign::of(head), Some(Foreign::Opaque(_) | Foreign::Bitcode))
    }

    /// Whether plain bytes hold anything that [`Self::examine`] would have to judge.
    #[must_use]
    pub fn is_suspect(&self, bytes: &[u8]) -> bool {
        self.is_suspect_beside_streams(bytes) || embedded::is_suspect(bytes)
    }

    /// The same, apart from streams that begin in them.
    #[must_use]
    pub fn is_suspect_beside_streams(&self, bytes: &[u8]) -> bool {
        let finds_path = || !self.finder.find(bytes).is_empty() || self.escapes.is_suspect(bytes);
        !self.mappings.is_empty() && finds_path() || !self.digests.find(bytes, 0..bytes.len()).is_empty()
    }

    /// Whether code holds a constant that [`Self::examine`] would have to judge.
    #[must_use]
    pub fn has_constant(&self, bytes: &[u8], range: Range<usize>, kind: Kind) -> bool {
        !self.constants.find(bytes, range, kind).is_empty()
    }

    /// How many bytes two parts of a file must share for [`Self::is_suspect`] to miss nothing.
    #[must_use]
    pub fn overlap(&self) -> usize {
        self.finder.longest().max(OVERLAP)
    }

    /// Examines `bytes`. `data` are the ranges that hold any: the rest are holes of a sparse file, and zero.
    #[must_use]
    pub fn examine(&self, bytes: &[u8], data: &[Range<usize>]) -> Examined {
        self.look(bytes, data, 0)
    }

    /// Examines a short piece of text: a file name or a symlink's target.
    #[must_use]
    pub fn examine_text(&self, text: &[u8]) -> Examined {
        let all = 0..text.len();
        self.leaf(text, std::slice::from_ref(&all), &Layout::default())
    }

    pub(super) fn look(&self, bytes: &[u8], data: &[Range<usize>], depth: usize) -> Examined {
        let known = if depth < DEPTH { self.look_inside(bytes, depth) } else { None };
        known.unwrap_or_else(|| {
            let mut layout = Layout::without_symbols(bytes);
            let mut examined = self.leaf(bytes, data, &layout);
            if !examined.is_clean() && layout.is_elf() {
                layout = Layout::of(bytes);
                examined = self.leaf(bytes, data, &layout);
            }
            self.embedded(bytes, data, &layout, depth, &mut examined);
            self.sections(bytes, &layout, &mut examined);
            for section in layout.bitcode() {
                let found = self.bitcode.find(&bytes[section.clone()]);
                examined.refusals.extend(found.into_iter().map(|(at, path)| Finding {
                    section: layout.region(section.start).map(|region| region.section.clone()),
                    path,
                    reason: Reason::Bitcode,
                    ..Finding::at(section.start + at)
                }));
            }
            // A tar that could not be walked to its end still has headers.
            if bytes.get(257..262) == Some(b"ustar") {
                members::tar_checksums(bytes, &mut examined.edits);
            }
            png::checksums(bytes, &mut examined.edits);
            self.look_at_foreign(bytes, &mut examined);
            examined
        })
    }

    /// What is known of a format that is not taken apart.
    fn look_at_foreign(&self, bytes: &[u8], examined: &mut Examined) {
        let reason = match foreign::of(bytes) {
            Some(Foreign::Opaque(name)) => return examined.harmless.push(Finding::opaque(name)),
            Some(Foreign::Checked(name)) => Reason::Foreign(name),
            Some(Foreign::Bitcode) => {
                let places = self.bitcode.find(bytes).into_iter();
                examined.mentions.extend(places.map(|(at, path)| Finding { path, ..Finding::at(at) }));
                Reason::Bitcode
            }
            Some(Foreign::Sqlite) => {
                let (fixed, moving): (Vec<_>, Vec<_>) =
                    std::mem::take(&mut examined.mentions).into_iter().partition(|m| foreign::is_in_table(bytes, m.at));
                examined.mentions = fixed;
                examined
                    .refusals
                    .extend(moving.into_iter().map(|m| Finding { reason: Reason::Foreign("SQLite index"), ..m }));
                return;
            }
            None => return,
        };
        let inside = std::mem::take(examined);
        examined.refuse(inside, "", &reason);
    }

    /// Bytes without members, of which `ranges` are searched.
    pub(super) fn leaf(&self, bytes: &[u8], ranges: &[Range<usize>], layout: &Layout) -> Examined {
        if self.mappings.is_empty() {
            let mut examined = Examined::default();
            self.add_digests(bytes, ranges, layout, &mut examined);
            return examined;
        }
        let runs = ranges.iter().flat_map(|range| self.finder.find_in(bytes, range.clone()));
        let (runs, encoded): (Vec<Run>, Vec<Run>) = runs.partition(|run| run.path < self.mappings.len());
        let judge = Judge::new(bytes, layout, self.finder.paths());
        let verdict = judge.verdict(&runs, &self.constants);
        let mut examined = self.examined(&judge, &verdict, layout);
        let mut mentions = self.forms.mentions(bytes, &encoded);
        mentions.extend(ranges.iter().flat_map(|range| self.escapes.mentions(bytes, range.clone())));
        for mention in mentions {
            add_encoded(mention, layout, &mut examined);
        }
        self.add_digests(bytes, ranges, layout, &mut examined);
        examined
    }

    fn add_digests(&self, bytes: &[u8], ranges: &[Range<usize>], layout: &Layout, examined: &mut Examined) {
        for hit in ranges.iter().flat_map(|range| self.digests.find(bytes, range.clone())) {
            let entry = self.digests.entry(hit.entry);
            let finding =
                Finding::within(layout, hit.at, entry.source, Reason::Digest { name: entry.name, of: String::new() });
            match self.digests.edit(bytes, &hit) {
                Some(edit) => {
                    examined.edits.push(edit);
                    examined.mentions.push(finding);
                }
                None => examined.refusals.push(finding),
            }
        }
    }

    fn examined(&self, judge: &Judge, verdict: &Verdict, layout: &Layout) -> Examined {
        let finding = |at, path, reason| Finding::within(layout, at, path, reason);
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

    pub(super) fn unpack(&self, reader: impl std::io::Read) -> Option<Unpacked> {
        packed::unpack(reader, packed::LIMIT, self.overlap(), &|window| self.is_suspect(window)).ok()
    }

    pub(super) fn deeper(&self, content: &Unpacked, depth: usize) -> Examined {
        match content {
            Unpacked::Whole(bytes) => {
                let all = 0..bytes.len();
                self.look(bytes, std::slice::from_ref(&all), depth)
            }
            Unpacked::Large(false) => Examined::default(),
            Unpacked::Large(true) => {
                Examined { refusals: vec![Finding { reason: Reason::Gzip, ..Finding::at(0) }], ..Examined::default() }
            }
        }
    }
}

fn add_encoded(mention: Encoded, layout: &Layout, examined: &mut Examined) {
    let finding = Finding::within(layout, mention.at, mention.path, Reason::Encoded(mention.form));
    match mention.edits {
        Some(edits) => {
            examined.edits.extend(edits);
            examined.mentions.push(finding);
        }
        None => examined.refusals.push(finding),
    }
}

/// What `content` becomes, if it changes.
pub(super) fn new_content(mut content: Vec<u8>, examined: &Examined) -> Option<Vec<u8>> {
    if let Some(new) = &examined.replacement {
        return Some(new.clone());
    }
    if examined.edits.is_empty() {
        return None;
    }
    apply(&mut content, &examined.edits);
    Some(content)
}
