//! What the bytes of a file are for: code, constants, or plain data, with the names of section and function.
//!
//! Owns the reading of ELF. A file that is not ELF, or that cannot be read as one, is plain data throughout.

use object::read::elf::{FileHeader, SectionHeader};
use object::{Object, ObjectSection, ObjectSegment, ObjectSymbol, ReadCache, SymbolKind};
use std::fs::File;
use std::ops::Range;

/// What a region's bytes are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Instructions of i386 or `x86_64`.
    CodeX86,
    /// Instructions of 64-bit ARM, with constants between them.
    CodeArm64,
    /// Instructions of another machine, with constants between them.
    Code,
    /// Constants and variables that the program loads: strings and pools of constants.
    Data,
    /// Everything else.
    Plain,
}

/// A section, or the part of a file outside all sections.
#[derive(Debug, Clone)]
pub struct Region {
    /// Offsets in the file.
    pub range: Range<usize>,
    /// What it is for.
    pub kind: Kind,
    /// The address of its first byte when loaded; constants are aligned by address, not by offset.
    pub address: u64,
    /// Name of the section.
    pub section: String,
}

/// A section whose content is compressed.
#[derive(Debug, Clone)]
pub struct Compressed {
    /// Name of the section.
    pub section: String,
    /// Offsets of the compressed stream, its header left out.
    pub range: Range<usize>,
    /// Whether the stream is zstd; else it is zlib.
    pub zstd: bool,
    /// Whether programs are made from it (gcc's LTO); else it is for debuggers, and no program runs on it.
    pub code: bool,
}

/// The regions of one file.
#[derive(Debug, Clone, Default)]
pub struct Layout {
    regions: Vec<Region>,
    functions: Vec<(Range<usize>, String)>,
    compressed: Vec<Compressed>,
    bitcode: Vec<Range<usize>>,
}

const SHF_ALLOC: u64 = 2;
const SHF_EXECINSTR: u64 = 4;
const SHF_COMPRESSED: u64 = 0x800;
const PF_X: u32 = 1;
/// `ch_type` of a compressed section (ELF gABI, "Section Compression").
const ELFCOMPRESS_ZSTD: u32 = 2;
const ZSTD_MAGIC: &[u8] = b"\x28\xb5\x2f\xfd";
/// Deflate with a window of 32 KiB (RFC 1950, 2.2), as gcc's `lto-compress.cc` has it.
const ZLIB_MAGIC: &[u8] = b"\x78";

/// Beginnings of the names of sections that hold packed data without saying so in their flags.
const PACKED: [&[u8]; 4] = [b".zdebug", b".gnu.lto_", b".llvmbc", b".llvm.lto"];
/// Sections in which clang leaves what it compiled (`-fembed-bitcode`, `-ffat-lto-objects`).
const BITCODE: [&[u8]; 2] = [b".llvmbc", b".llvm.lto"];

fn code_kind(machine: object::elf::Machine) -> Kind {
    match machine {
        object::elf::EM_386 | object::elf::EM_X86_64 => Kind::CodeX86,
        object::elf::EM_AARCH64 => Kind::CodeArm64,
        _ => Kind::Code,
    }
}

fn range_of(start: u64, len: u64, total: usize) -> Option<Range<usize>> {
    let start = usize::try_from(start).ok()?;
    let end = start.checked_add(usize::try_from(len).ok()?)?;
    (start < end && end <= total).then_some(start..end)
}

impl Layout {
    /// The layout of `bytes`: of an ELF file if it is one, else plain.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self::read(bytes, true)
    }

    /// As [`Self::of`], without the names of functions: there can be very many, and nearly every file has no use for them.
    #[must_use]
    pub fn without_symbols(bytes: &[u8]) -> Self {
        Self::read(bytes, false)
    }

    fn read(bytes: &[u8], symbols: bool) -> Self {
        if !bytes.starts_with(b"\x7fELF") {
            return Self::default();
        }
        object::File::parse(bytes).map(|file| Self::of_elf(&file, bytes, symbols)).unwrap_or_default()
    }

    fn of_elf(file: &object::File, bytes: &[u8], symbols: bool) -> Self {
        let code = match file {
            object::File::Elf32(file) => code_kind(file.elf_header().e_machine(file.endian())),
            object::File::Elf64(file) => code_kind(file.elf_header().e_machine(file.endian())),
            _ => Kind::Code,
        };
        let mut layout = Self::default();
        let mut starts = std::collections::HashMap::new();
        for section in file.sections() {
            let Some((start, len)) = section.file_range() else {
                continue;
            };
            let Some(range) = range_of(start, len, bytes.len()) else {
                continue;
            };
            let object::SectionFlags::Elf { sh_flags, .. } = section.flags() else {
                continue;
            };
            let sh_flags = sh_flags.0;
            let name = section.name_bytes().unwrap_or_default();
            let name = String::from_utf8_lossy(name).into_owned();
            starts.insert(section.index(), (range.clone(), section.address()));
            if sh_flags & SHF_COMPRESSED != 0 || name.starts_with(".zdebug") {
                let gnu = sh_flags & SHF_COMPRESSED == 0;
                layout.compressed.extend(compressed(file, bytes, &range, name, gnu));
                continue;
            }
            // gcc's LTO packs its sections by itself; what is not packed (its options, its list of symbols) begins otherwise.
            if name.starts_with(".gnu.lto_")
                && let zstd = bytes[range.clone()].starts_with(ZSTD_MAGIC)
                && (zstd || bytes[range.clone()].starts_with(ZLIB_MAGIC))
            {
                layout.compressed.push(Compressed { section: name.clone(), range: range.clone(), zstd, code: true });
            }
            if BITCODE.contains(&name.as_bytes()) {
                layout.bitcode.push(range.clone());
            }
            let kind = if sh_flags & SHF_EXECINSTR != 0 {
                code
            } else if sh_flags & SHF_ALLOC != 0 {
                Kind::Data
            } else {
                Kind::Plain
            };
            layout.regions.push(Region { range, kind, address: section.address(), section: name });
        }
        if layout.regions.is_empty() {
            layout.add_segments(file, bytes.len(), code);
        }
        layout.regions.sort_by_key(|region| region.range.start);
        if symbols {
            layout.add_functions(file, &starts);
        }
        layout
    }

    /// Without section headers (`sstrip`), the segments tell code from the rest.
    fn add_segments(&mut self, file: &object::File, total: usize, code: Kind) {
        for segment in file.segments() {
            let (start, len) = segment.file_range();
            let object::SegmentFlags::Elf { p_flags, .. } = segment.flags() else {
                continue;
            };
            if let Some(range) = range_of(start, len, total) {
                self.regions.push(Region {
                    range,
                    kind: if p_flags.0 & PF_X != 0 { code } else { Kind::Data },
                    address: segment.address(),
                    section: String::new(),
                });
            }
        }
    }

    fn add_functions(
        &mut self,
        file: &object::File,
        starts: &std::collections::HashMap<object::SectionIndex, (Range<usize>, u64)>,
    ) {
        for symbol in file.symbols().chain(file.dynamic_symbols()) {
            let Some((section, base)) = symbol.section_index().and_then(|i| starts.get(&i)) else {
                continue;
            };
            if !matches!(symbol.kind(), SymbolKind::Text | SymbolKind::Data) || symbol.size() == 0 {
                continue;
            }
            let (Some(from), Ok(name)) = (symbol.address().checked_sub(*base), symbol.name_bytes()) else {
                continue;
            };
            let within = section.end - section.start;
            if let Some(range) = range_of(from, symbol.size(), within) {
                self.functions.push((
                    section.start + range.start..section.start + range.end,
                    String::from_utf8_lossy(name).into_owned(),
                ));
            }
        }
        self.functions.sort_by(|a, b| (a.0.start, a.0.end, &a.1).cmp(&(b.0.start, b.0.end, &b.1)));
        self.functions.dedup();
    }

    /// The section around `at`, if any.
    #[must_use]
    pub fn region(&self, at: usize) -> Option<&Region> {
        let behind = self.regions.partition_point(|r| r.range.start <= at);
        self.regions[..behind].last().filter(|r| r.range.contains(&at))
    }

    /// Whether anything is known of the bytes.
    #[must_use]
    pub fn is_elf(&self) -> bool {
        !self.regions.is_empty()
    }

    /// All sections, by offset.
    #[must_use]
    pub fn regions(&self) -> &[Region] {
        &self.regions
    }

    /// What the byte at `at` is for.
    #[must_use]
    pub fn kind(&self, at: usize) -> Kind {
        self.region(at).map_or(Kind::Plain, |r| r.kind)
    }

    /// Address modulo 16 of the byte at `at`; its offset where there are no addresses.
    #[must_use]
    pub fn alignment(&self, at: usize) -> usize {
        let shift =
            self.region(at).map_or(0, |r| usize::try_from(r.address % 16).unwrap_or(0) + 16 - r.range.start % 16);
        (at + shift) % 16
    }

    /// The function or object around `at`, if the symbols tell.
    #[must_use]
    pub fn symbol(&self, at: usize) -> Option<&str> {
        let behind = self.functions.partition_point(|(r, _)| r.start <= at);
        // Symbols may nest or share a start; a handful back is enough for a name in a message.
        let near = self.functions[..behind].iter().rev().take(16);
        near.into_iter().find(|(r, _)| r.contains(&at)).map(|(_, name)| name.as_str())
    }

    /// The sections that hold LLVM's bitcode.
    #[must_use]
    pub fn bitcode(&self) -> &[Range<usize>] {
        &self.bitcode
    }

    /// The sections that hold a compressed stream.
    #[must_use]
    pub fn compressed(&self) -> &[Compressed] {
        &self.compressed
    }
}

/// How much of a file's beginning tells what it is.
pub const HEAD: usize = 512;

/// Whether a file that begins with `head` is ELF.
#[must_use]
pub fn is_elf(head: &[u8]) -> bool {
    head.starts_with(b"\x7fELF")
}

/// Where the code of an ELF file is, read from its headers alone. None if it has sections that must be unpacked, or if the
/// headers do not tell.
#[must_use]
pub fn code_of(file: &File) -> Option<Vec<(Range<usize>, Kind)>> {
    let data = ReadCache::new(file.try_clone().ok()?);
    match object::FileKind::parse(&data).ok()? {
        object::FileKind::Elf32 => code_in::<object::elf::FileHeader32<object::Endianness>>(&data),
        object::FileKind::Elf64 => code_in::<object::elf::FileHeader64<object::Endianness>>(&data),
        _ => None,
    }
}

fn code_in<H: FileHeader<Endian = object::Endianness>>(data: &ReadCache<File>) -> Option<Vec<(Range<usize>, Kind)>> {
    let header = H::parse(data).ok()?;
    let endian = header.endian().ok()?;
    let sections = header.sections(endian, data).ok()?;
    let kind = code_kind(header.e_machine(endian));
    let mut code = Vec::new();
    for section in sections.iter() {
        let flags = section.sh_flags(endian).0;
        let name = sections.section_name(endian, section).unwrap_or_default();
        if flags & SHF_COMPRESSED != 0 || PACKED.iter().any(|prefix| name.starts_with(prefix)) {
            return None;
        }
        if flags & SHF_EXECINSTR != 0
            && let Some((start, len)) = section.file_range(endian)
        {
            let start = usize::try_from(start).ok()?;
            code.push((start..start.checked_add(usize::try_from(len).ok()?)?, kind));
        }
    }
    (!sections.is_empty()).then_some(code)
}

/// `gnu`: the older form, `ZLIB` and the size in 8 bytes before the stream; else an `Elf32_Chdr` or `Elf64_Chdr`.
fn compressed(
    file: &object::File,
    bytes: &[u8],
    range: &Range<usize>,
    section: String,
    gnu: bool,
) -> Option<Compressed> {
    let header = if gnu || !file.is_64() { 12 } else { 24 };
    let start = range.start + header;
    let word: [u8; 4] = bytes.get(range.start..range.start + 4)?.try_into().ok()?;
    let zstd = !gnu
        && if file.is_little_endian() {
            u32::from_le_bytes(word) == ELFCOMPRESS_ZSTD
        } else {
            u32::from_be_bytes(word) == ELFCOMPRESS_ZSTD
        };
    (start < range.end).then_some(Compressed { section, range: start..range.end, zstd, code: false })
}
