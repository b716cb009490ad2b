//! A listing of the files that a restore made, as the kernel saw them right after it. A file that a later `stat` shows
//! with the same device, inode, size, mode, mtime and ctime has the content it was restored with: the kernel moves the
//! ctime on with every write and every change of the mode or mtime, and no program can set it.
//!
//! The listing only spares reading: a save with it gives the same state as one without. It passes from the restore to
//! the save of one stage, between two runs of one engine, and is part of no state.

use std::cell::OnceCell;
use std::fs;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::Stat;

use super::entry::Mtime;
use super::error::{Error, Result};
use super::tree;

const MAGIC: &[u8] = b"phasesplit-listing 3\0";

/// Bytes of a record: the index of the file in the manifest, little-endian, then the digest of its stamp.
const RECORD: usize = 4 + DIGEST;

/// Bytes of a stamp's digest: two that differ do not have the same one by chance.
const DIGEST: usize = 16;

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

    fn digest(&self) -> [u8; DIGEST] {
        let longs =
            [self.device, self.inode, self.size, self.mtime.secs.cast_unsigned(), self.ctime.secs.cast_unsigned()];
        let shorts = [self.mode, self.mtime.nanos, self.ctime.nanos];
        let mut bytes = [0; 52];
        let (front, back) = bytes.split_at_mut(40);
        front.as_chunks_mut::<8>().0.iter_mut().zip(longs).for_each(|(at, long)| *at = long.to_le_bytes());
        back.as_chunks_mut::<4>().0.iter_mut().zip(shorts).for_each(|(at, short)| *at = short.to_le_bytes());
        let mut digest = [0; DIGEST];
        digest.copy_from_slice(&blake3::hash(&bytes).as_bytes()[..DIGEST]);
        digest
    }
}

/// What a restore notes for its listing.
#[derive(Debug, Default)]
pub struct Notes {
    files: Vec<(u32, [u8; DIGEST])>,
    newest: Mtime,
}

impl Notes {
    /// Notes a file by its index in the manifest; what was noted of it before does not count any more.
    pub fn add(&mut self, index: usize, stamp: &Stamp) {
        // Where a manifest is that long, the file is read again.
        if let Ok(index) = u32::try_from(index) {
            self.files.push((index, stamp.digest()));
        }
        self.newest = self.newest.max(stamp.ctime);
    }

    /// Moves those of another one to the end of these.
    pub fn append(&mut self, mut other: Self) {
        self.files.append(&mut other.files);
        self.newest = self.newest.max(other.newest);
    }
}

/// The files of a listing, with the index of each in the manifest it was restored by.
#[derive(Debug, Default)]
pub struct Listing {
    /// By index; zeros for what is no file.
    digests: Vec<[u8; DIGEST]>,
    /// The beginnings of all digests, sorted, with their indices; made when a file is not where it was.
    sorted: OnceCell<Vec<(u64, u32)>>,
}

impl Listing {
    /// The index of the file with this stamp, which probably is `likely`.
    pub fn get(&self, stat: &Stat, likely: Option<usize>) -> Option<usize> {
        if self.digests.is_empty() {
            return None;
        }
        let digest = Stamp::of(stat).digest();
        if let Some(index) = likely.filter(|index| self.digests.get(*index) == Some(&digest)) {
            return Some(index);
        }
        let sorted = self.sorted.get_or_init(|| {
            let all = self.digests.iter().zip(0..).filter(|(digest, _)| **digest != [0; DIGEST]);
            let mut sorted: Vec<_> = all.map(|(digest, index)| (beginning(digest), index)).collect();
            sorted.sort_unstable();
            sorted
        });
        let from = sorted.partition_point(|(other, _)| *other < beginning(&digest));
        let same = sorted[from..].iter().take_while(|(other, _)| *other == beginning(&digest));
        same.map(|(_, index)| *index as usize).find(|index| self.digests[*index] == digest)
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

fn beginning(digest: &[u8; DIGEST]) -> u64 {
    digest.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

fn head(state: &Path) -> Vec<u8> {
    [MAGIC, state.as_os_str().as_bytes(), b"\0"].concat()
}

fn parse(bytes: &[u8], records: usize) -> Option<Listing> {
    let (chunks, []) = bytes.as_chunks::<RECORD>() else { return None };
    let mut digests = vec![[0; DIGEST]; records];
    for chunk in chunks {
        let (index, digest) = chunk.split_first_chunk()?;
        *digests.get_mut(u32::from_le_bytes(*index) as usize)? = *digest.first_chunk()?;
    }
    Some(Listing { digests, sorted: OnceCell::new() })
}

/// Writes the listing of a restore of `state`. Returns when the clock has gone on since the newest change in it, so that
/// no later one can have the same time.
///
/// # Errors
/// What the file system says.
pub fn write(operation: &'static str, path: &Path, state: &Path, notes: &Notes) -> Result<()> {
    let io = |source| Error::io(operation, path, source);
    let mut out = io::BufWriter::new(fs::File::create(path).map_err(io)?);
    let mut files = notes.files.iter().map(|(index, digest)| [&index.to_le_bytes(), &digest[..]].concat());
    let written = out.write_all(&head(state)).and_then(|()| files.try_for_each(|file| out.write_all(&file)));
    written.and_then(|()| out.flush()).map_err(io)?;
    let Ok(secs) = u64::try_from(notes.newest.secs) else { return Ok(()) };
    let past = Duration::new(secs, notes.newest.nanos) + TICK;
    let ahead = past.saturating_sub(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default());
    // More than a tick ahead is a clock that was set back; waiting for that one would be waiting for hours.
    thread::sleep(ahead.min(TICK));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notes(files: &[(usize, Stamp)]) -> Notes {
        let mut notes = Notes::default();
        for (index, stamp) in files {
            notes.add(*index, stamp);
        }
        notes
    }

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        let scratch = tempfile::tempdir().unwrap();
        let (file, state) = (scratch.path().join("listing"), Path::new("/state"));
        let read = |state: &Path, records| Listing::read("save", &file, state, records);
        assert!(read(state, 9).unwrap().digests.is_empty());
        let stat = rustix::fs::stat(scratch.path()).unwrap();
        let other = Stamp { inode: 1, mtime: Mtime { secs: -5, nanos: 6 }, ..Stamp::of(&stat) };
        // Of two stamps of one file the later counts.
        write("restore", &file, state, &notes(&[(8, Stamp::of(&stat)), (7, Stamp::of(&stat)), (8, other)])).unwrap();
        let listing = read(state, 9).unwrap();
        for likely in [None, Some(7), Some(8), Some(100)] {
            assert_eq!(listing.get(&stat, likely), Some(7));
        }
        assert_eq!(listing.digests[8], other.digest());
        let changed = rustix::fs::stat(&file).unwrap();
        assert_eq!(listing.get(&changed, Some(7)), None);
        for (state, records) in [(Path::new("/other"), 9), (state, 8)] {
            assert!(read(state, records).unwrap_err().to_string().contains("no listing of a restore"));
        }
        let bytes = fs::read(&file).unwrap();
        fs::write(&file, &bytes[..bytes.len() - 1]).unwrap();
        assert!(read(state, 9).is_err());
    }
}
