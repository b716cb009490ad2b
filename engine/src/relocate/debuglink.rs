//! The checksum by which a program knows its debug information in a file of its own, which relocating that file makes wrong.
//!
//! Owns the section (GDB's manual, "Separate Debug Files": `.gnu_debuglink` is the file's name, NULs up to a multiple of four,
//! and the CRC-32 of the file in the program's byte order). With a stale sum a debugger takes the file for another program's. Only
//! sums that were right before are brought up to date.

use super::content::Edit;
use super::error::Error;
use object::{Object, ObjectSection, ReadCache};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The name of the section.
const SECTION: &str = ".gnu_debuglink";

/// A program whose separate debug information is about to change.
#[derive(Debug, PartialEq, Eq)]
pub struct Stale {
    /// The program.
    pub path: PathBuf,
    /// The file with the debug information.
    pub debug: PathBuf,
}

/// The programs among `files` that know one of the files `changing` by its sum.
///
/// # Errors
/// What cannot be read.
pub fn find(files: &[PathBuf], changing: &BTreeSet<PathBuf>) -> Result<Vec<Stale>, Error> {
    let mut by_name: BTreeMap<&OsStr, Vec<&PathBuf>> = BTreeMap::new();
    for path in changing.iter().filter(|path| is_debug_file(path)) {
        by_name.entry(path.file_name().unwrap_or_default()).or_default().push(path);
    }
    let mut all = Vec::new();
    for path in files.iter().filter(|_| !by_name.is_empty()) {
        let Some(link) = link(path)? else { continue };
        for debug in by_name.get(OsStr::from_bytes(&link.name)).into_iter().flatten() {
            if *debug != path && sum(debug)? == link.sum {
                all.push(Stale { path: path.clone(), debug: (*debug).clone() });
                break;
            }
        }
    }
    Ok(all)
}

/// Whether debuggers would look for debug information there: `x.debug`, or in a directory `.debug` or `debug`.
fn is_debug_file(path: &Path) -> bool {
    path.extension() == Some(OsStr::new("debug"))
        || path.components().any(|part| [".debug", "debug"].map(OsStr::new).contains(&part.as_os_str()))
}

struct Link {
    name: Vec<u8>,
    sum: u32,
    /// Offset of the sum in the program.
    at: usize,
    little_endian: bool,
}

/// What the file's section says; nothing where there is none, or none that can be read.
fn link(path: &Path) -> Result<Option<Link>, Error> {
    let mut file = File::open(path).map_err(Error::io("open", path))?;
    let mut head = Vec::new();
    file.by_ref().take(4).read_to_end(&mut head).map_err(Error::io("read", path))?;
    if !super::layout::is_elf(&head) {
        return Ok(None);
    }
    let data = ReadCache::new(file);
    let Ok(elf) = object::File::parse(&data) else { return Ok(None) };
    let little_endian = elf.is_little_endian();
    let Some(section) = elf.section_by_name(SECTION) else { return Ok(None) };
    let (Some((start, _)), Ok(bytes)) = (section.file_range(), section.data()) else { return Ok(None) };
    let Some(end) = bytes.iter().position(|&byte| byte == 0) else { return Ok(None) };
    let within = (end + 1).next_multiple_of(4);
    let Some(four) = bytes.get(within..).and_then(|rest| rest.first_chunk::<4>()) else { return Ok(None) };
    let sum = if little_endian { u32::from_le_bytes(*four) } else { u32::from_be_bytes(*four) };
    let at = usize::try_from(start).ok().and_then(|start| start.checked_add(within));
    Ok(at.map(|at| Link { name: bytes[..end].to_vec(), sum, at, little_endian }))
}

fn sum(path: &Path) -> Result<u32, Error> {
    let mut file = File::open(path).map_err(Error::io("open", path))?;
    let mut crc = flate2::Crc::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer).map_err(Error::io("read", path))? {
            0 => return Ok(crc.sum()),
            read => crc.update(&buffer[..read]),
        }
    }
}

impl Stale {
    /// The new sum, once the debug information is `debug`.
    ///
    /// # Errors
    /// What cannot be read.
    pub fn renewed(&self, debug: &[u8]) -> Result<Vec<Edit>, Error> {
        let Some(link) = link(&self.path)? else { return Ok(Vec::new()) };
        let mut crc = flate2::Crc::new();
        crc.update(debug);
        let sum = crc.sum();
        let bytes = if link.little_endian { sum.to_le_bytes() } else { sum.to_be_bytes() };
        Ok(vec![Edit { at: link.at, bytes: bytes.to_vec() }])
    }
}
