//! A listing of the files that a restore made, as the kernel saw them right after it. A file that a later `stat` shows
//! with the same device, inode, size, mode, mtime and ctime has the content it was restored with: the kernel moves the
//! ctime on with every write and every change of the mode or mtime, and no program can set it.
//!
//! The listing only spares reading: a save with it gives the same state as one without. It passes from the restore to
//! the save of one stage, between two runs of one engine, and is part of no state.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::Stat;

use super::entry::Mtime;
use super::error::{Error, Result};
use super::tree;

const MAGIC: &[u8] = b"phasesplit-listing 2\0";

/// Bytes of a record: the index of the file in the manifest, then the stamp; all numbers little-endian.
const RECORD: usize = 60;

/// The longest step of the clock that files are stamped with: 100 Hz is the slowest that kernels are built for.
const TICK: Duration = Duration::from_millis(11);

/// What `stat` says of a file that changes whenever its content does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    mode: u32,
    mtime: Mtime,
    ctime: Mtime,
}

impl Stamp {
    /// That of a file.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::unnecessary_cast,
        reason = "the types differ among architectures"
    )]
    pub fn of(stat: &Stat) -> Self {
        Self {
            device: stat.st_dev as u64,
            inode: stat.st_ino as u64,
            size: stat.st_size.cast_unsigned() as u64,
            mode: stat.st_mode as u32,
            mtime: tree::mtime(stat),
            ctime: Mtime { secs: stat.st_ctime as i64, nanos: stat.st_ctime_nsec as u32 },
        }
    }
}

/// The files of a listing, with the index of each in the manifest it was restored by.
#[derive(Debug, Default)]
pub struct Listing(HashMap<Stamp, usize>);

impl Listing {
    /// The index of the file with this stamp.
    pub fn get(&self, stat: &Stat) -> Option<usize> {
        self.0.get(&Stamp::of(stat)).copied()
    }

    /// Reads the listing of a restore of `state`, which has `records` records. Where there is none, an empty one.
    ///
    /// # Errors
    /// A file that no restore of `state` wrote.
    pub fn read(operation: &'static str, path: &Path, state: &Path, records: usize) -> Result<Self> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(source) => return Err(Error::io(operation, path, source)),
        };
        let parsed = bytes.strip_prefix(&head(state)[..]).and_then(|rest| parse(rest, records));
        parsed.ok_or_else(|| Error::Refused {
            operation,
            path: path.into(),
            what: "it is no listing of a restore of the parent".into(),
            todo: "remove it: what it would have spared is then read",
        })
    }
}

fn head(state: &Path) -> Vec<u8> {
    [MAGIC, state.as_os_str().as_bytes(), b"\0"].concat()
}

fn parse(bytes: &[u8], records: usize) -> Option<Listing> {
    let (chunks, []) = bytes.as_chunks::<RECORD>() else { return None };
    let mut files = HashMap::with_capacity(chunks.len());
    for chunk in chunks {
        let mut rest = &chunk[..];
        let mut long = || {
            let (number, after) = rest.split_first_chunk()?;
            rest = after;
            Some(u64::from_le_bytes(*number))
        };
        let (index, device, inode, size) = (long()?, long()?, long()?, long()?);
        let (mtime, ctime) = (long()?.cast_signed(), long()?.cast_signed());
        let mut short = || {
            let (number, after) = rest.split_first_chunk()?;
            rest = after;
            Some(u32::from_le_bytes(*number))
        };
        let mode = short()?;
        let (mtime, ctime) = (Mtime { secs: mtime, nanos: short()? }, Mtime { secs: ctime, nanos: short()? });
        let index = usize::try_from(index).ok().filter(|index| *index < records)?;
        files.insert(Stamp { device, inode, size, mode, mtime, ctime }, index);
    }
    Some(Listing(files))
}

/// Writes the listing of a restore of `state`. Returns when the clock has gone on since the newest change in it, so that
/// no later one can have the same time.
///
/// # Errors
/// What the file system says.
pub fn write(operation: &'static str, path: &Path, state: &Path, files: &[(usize, Stamp)]) -> Result<()> {
    let mut bytes = head(state);
    bytes.reserve(files.len() * RECORD);
    for (index, stamp) in files {
        let longs = [
            *index as u64,
            stamp.device,
            stamp.inode,
            stamp.size,
            stamp.mtime.secs.cast_unsigned(),
            stamp.ctime.secs.cast_unsigned(),
        ];
        let shorts = [stamp.mode, stamp.mtime.nanos, stamp.ctime.nanos];
        bytes.extend(longs.iter().flat_map(|number| number.to_le_bytes()));
        bytes.extend(shorts.iter().flat_map(|number| number.to_le_bytes()));
    }
    fs::write(path, bytes).map_err(|source| Error::io(operation, path, source))?;
    let newest = files.iter().map(|(_, stamp)| stamp.ctime).max().unwrap_or_default();
    let Ok(secs) = u64::try_from(newest.secs) else { return Ok(()) };
    let past = Duration::new(secs, newest.nanos) + TICK;
    let ahead = past.saturating_sub(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default());
    // More than a tick ahead is a clock that was set back; waiting for that one would be waiting for hours.
    thread::sleep(ahead.min(TICK));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        let scratch = tempfile::tempdir().unwrap();
        let (file, state) = (scratch.path().join("listing"), Path::new("/state"));
        let read = |state: &Path, records| Listing::read("save", &file, state, records);
        assert!(read(state, 9).unwrap().0.is_empty());
        let stat = rustix::fs::stat(scratch.path()).unwrap();
        let other = Stamp { inode: 1, mtime: Mtime { secs: -5, nanos: 6 }, ..Stamp::of(&stat) };
        write("restore", &file, state, &[(7, Stamp::of(&stat)), (8, other)]).unwrap();
        let listing = read(state, 9).unwrap();
        assert_eq!((listing.get(&stat), listing.0.len(), listing.0.get(&other)), (Some(7), 2, Some(&8)));
        for (state, records) in [(Path::new("/other"), 9), (state, 8)] {
            assert!(read(state, records).unwrap_err().to_string().contains("no listing of a restore"));
        }
        let bytes = fs::read(&file).unwrap();
        fs::write(&file, &bytes[..bytes.len() - 1]).unwrap();
        assert!(read(state, 9).is_err());
    }
}
