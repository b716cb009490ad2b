//! Making one file: its content from memory or from a stream, its mode and mtime last. Follows no link, replaces nothing.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, Stat, chmodat, fchmod, fstat, ftruncate, futimens, mkdirat, mknodat, openat,
    statat, symlinkat, utimensat,
};
use rustix::io::Errno;

use super::super::entry::{Entry, Kind};
use super::super::manifest::Record;
use super::super::sparse::Map;
use super::super::tree::timestamps;
use super::batch::Parts;

/// A file is copied in pieces of this many bytes.
const BUFFER: usize = 1 << 18;

/// Why a content could not be written.
pub enum Failure {
    /// Where it comes from.
    Read(io::Error),
    /// Where it goes to.
    Write(io::Error),
}

/// Makes a new file, to be written and read.
///
/// # Errors
/// Those of `openat`; a file that exists stays as it is.
pub fn create(parent: impl AsFd, name: &[u8], mode: u32) -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    // What may be more than this mode, or less by the umask, `finish` mends.
    Ok(openat(parent, name, flags, Mode::from_raw_mode(mode & 0o777))?.into())
}

/// Opens a file that was made before, to be read and written, whatever its mode says.
///
/// # Errors
/// Those of `openat` and `chmod`.
pub fn open_again(parent: impl AsFd, name: &[u8], mode: u32) -> io::Result<File> {
    let open = || openat(&parent, name, OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty());
    match open() {
        Err(Errno::ACCESS) => {
            let chmod = |mode| chmodat(&parent, name, Mode::from_raw_mode(mode), AtFlags::empty());
            chmod(mode | 0o600)?;
            let file = open();
            chmod(mode)?;
            Ok(file?.into())
        }
        file => Ok(file?.into()),
    }
}

/// Writes the content of a file that is in memory as the archive has it, and returns its hash.
///
/// # Errors
/// A map of holes that does not fit; what the file system says.
pub fn write(file: &File, record: &Record, content: &[u8]) -> Result<[u8; 32], Failure> {
    if record.entry.kind == Kind::Sparse {
        return copy(file, record, &mut &content[..]);
    }
    file.write_all_at(content, 0).map_err(Failure::Write)?;
    Ok(*blake3::hash(content).as_bytes())
}

/// Writes the content of a file part by part, as they are read, and returns its hash.
///
/// # Errors
/// As for [`copy`].
pub fn join(file: &File, record: &Record, parts: &mut Parts) -> Result<[u8; 32], Failure> {
    if record.entry.kind == Kind::Sparse {
        return copy(file, record, parts);
    }
    let mut hasher = blake3::Hasher::new();
    let mut at = 0;
    while let Some(part) = parts.next(BUFFER).map_err(Failure::Read)? {
        file.write_all_at(&part, at).map_err(Failure::Write)?;
        hasher.update(&part);
        at += part.len() as u64;
    }
    Ok(*hasher.finalize().as_bytes())
}

/// Writes the content of a file from the archive, and returns its hash.
///
/// # Errors
/// A map of holes that does not fit, and those of both sides.
pub fn copy(file: &File, record: &Record, archive: &mut impl Read) -> Result<[u8; 32], Failure> {
    let mut hasher = blake3::Hasher::new();
    let mut pieces = vec![(0, record.data)];
    if record.entry.kind == Kind::Sparse {
        let map = Map::decode(&mut *archive, record.entry.size, |block| _ = hasher.update(block));
        let map = map.map_err(Failure::Read)?;
        if map.encode().len() as u64 + map.data() != record.data {
            let what = "the map of a sparse file does not fit its data";
            return Err(Failure::Read(io::Error::new(io::ErrorKind::InvalidData, what)));
        }
        ftruncate(file, record.entry.size).map_err(|errno| Failure::Write(errno.into()))?;
        pieces = map.pieces;
    }
    let mut buffer = vec![0; BUFFER];
    for (start, len) in pieces {
        let mut at = start;
        while at < start + len {
            let wanted = usize::try_from(start + len - at).unwrap_or(BUFFER).min(BUFFER);
            let piece = &mut buffer[..wanted];
            archive.read_exact(piece).map_err(Failure::Read)?;
            file.write_all_at(piece, at).map_err(Failure::Write)?;
            hasher.update(piece);
            at += wanted as u64;
        }
    }
    Ok(*hasher.finalize().as_bytes())
}

/// Copies the content of another file, holes included.
///
/// # Errors
/// What the file system says.
pub fn duplicate(source: &File, target: &File) -> io::Result<()> {
    let size = source.metadata()?.len();
    ftruncate(target, size)?;
    let map = Map::of(source, size)?;
    let mut buffer = vec![0; BUFFER];
    for (start, len) in map.map_or_else(|| vec![(0, size)], |map| map.pieces) {
        let mut at = start;
        while at < start + len {
            let wanted = usize::try_from(start + len - at).unwrap_or(BUFFER).min(BUFFER);
            source.read_exact_at(&mut buffer[..wanted], at)?;
            target.write_all_at(&buffer[..wanted], at)?;
            at += wanted as u64;
        }
    }
    Ok(())
}

/// Sets mtime and mode of a written file. The mode first would be undone: writing clears setuid. Returns what the kernel
/// then says of it, and whether setuid or setgid had to go.
///
/// # Errors
/// What the file system says.
pub fn finish(file: &File, entry: &Entry) -> io::Result<(Stat, bool)> {
    futimens(file, &timestamps(entry.mtime))?;
    let stat = fstat(file)?;
    if stat.st_mode & 0o7777 == entry.mode {
        return Ok((stat, false));
    }
    let dropped = set_mode(entry.mode, |mode| fchmod(file, mode))?;
    Ok((fstat(file)?, dropped))
}

/// Sets a mode, without setuid and setgid where they are forbidden (Nix's sandbox answers EPERM). Returns whether
/// they had to go.
///
/// # Errors
/// What the file system says.
pub fn set_mode(mode: u32, set: impl Fn(Mode) -> rustix::io::Result<()>) -> io::Result<bool> {
    match set(Mode::from_raw_mode(mode)) {
        Err(Errno::PERM) if mode & 0o6000 != 0 => {
            set(Mode::from_raw_mode(mode & !0o6000))?;
            Ok(true)
        }
        other => Ok(other.map(|()| false)?),
    }
}

/// Makes a directory, open to us until its mode is set; one that exists serves as well.
///
/// # Errors
/// Those of `mkdirat`.
pub fn directory(parent: impl AsFd, name: &[u8]) -> io::Result<()> {
    match mkdirat(&parent, name, Mode::RWXU) {
        Err(Errno::EXIST) => {
            let stat = statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
            if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
                return Err(Errno::EXIST.into());
            }
            Ok(())
        }
        other => Ok(other?),
    }
}

/// Makes a symlink, pipe or socket with its mode and mtime. Returns whether setuid or setgid had to go.
///
/// # Errors
/// What the file system says.
pub fn special(parent: impl AsFd, name: &[u8], entry: &Entry) -> io::Result<bool> {
    let mut dropped = false;
    if entry.kind == Kind::Symlink {
        symlinkat(&entry.link[..], &parent, name)?;
    } else {
        let file_type = if entry.kind == Kind::Fifo { FileType::Fifo } else { FileType::Socket };
        mknodat(&parent, name, file_type, Mode::RUSR | Mode::WUSR, 0)?;
        dropped = set_mode(entry.mode, |mode| chmodat(&parent, name, mode, AtFlags::empty()))?;
    }
    utimensat(&parent, name, &timestamps(entry.mtime), AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(dropped)
}

/// Stands in for a hard link across file systems: the same file again.
///
/// # Errors
/// What the file systems say.
pub fn stand_in(from: impl AsFd, old: &[u8], to: impl AsFd, new: &[u8], entry: &Entry) -> io::Result<()> {
    let stat = statat(&from, old, AtFlags::SYMLINK_NOFOLLOW)?;
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Kind::File,
        FileType::Symlink => Kind::Symlink,
        FileType::Fifo => Kind::Fifo,
        _ => Kind::Socket,
    };
    if kind != Kind::File {
        let link = match kind {
            Kind::Symlink => rustix::fs::readlinkat(&from, old, Vec::new())?.into_bytes(),
            _ => Vec::new(),
        };
        special(to, new, &Entry { kind, link, ..entry.clone() })?;
        return Ok(());
    }
    let chmod = |mode: u32| chmodat(&from, old, Mode::from_raw_mode(mode), AtFlags::empty());
    let mode = stat.st_mode & 0o7777;
    let is_closed = mode & 0o400 == 0;
    if is_closed {
        chmod(mode | 0o400)?;
    }
    let source = openat(&from, old, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty());
    if is_closed {
        chmod(mode)?;
    }
    let target = create(to, new, entry.mode)?;
    duplicate(&File::from(source?), &target)?;
    finish(&target, entry)?;
    Ok(())
}
