//! A listing of the files that a restore made, as the kernel saw them right after it. A file that a later `stat` shows
//! with the same device, inode, size, mode, mtime and ctime has the content it was restored with: the kernel moves the
//! ctime on with every write and every change of the mode or mtime, and no program can set it.
//!
//! The listing only spares reading: a save with it gives the same state as one without. It passes from the restore to
//! the save of one stage, between two runs of one engine, and is part of no state.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::Stat;

use super::entry::Mtime;
use super::error::{Error, Result};
use super::index::Index;
use super::spill::{Scratch, Spill};
use super::tree;

const MAGIC: &[u8] = b"phasesplit-listing 3\0";

/// Bytes of a record: the index of the file in the manifest, little-endian, then the digest of its stamp.
const RECORD: usize = 4 + DIGEST;

/// Bytes of a stamp's digest: two that differ do not have the same one by chance.
pub(super) const DIGEST: usize = 16;

/// Bytes of all digests that stay in memory: those of half a million files.
const MEMORY: usize = 8 << 20;

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

    /// What two stamps have in common only where they are the same.
    pub(super) fn digest(&self) -> [u8; DIGEST] {
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
#[derive(Debug)]
pub struct Notes {
    /// Records of the listing.
    files: Spill,
    newest: Mtime,
}

impl Notes {
    /// None yet; `scratch` is for those that are too many for memory.
    pub fn new(scratch: &Scratch) -> Self {
        Self { files: Spill::new(scratch, MEMORY / 4), newest: Mtime::default() }
    }

    /// Notes a file by its index in the manifest; what was noted of it before does not count any more.
    ///
    /// # Errors
    /// Those of the temporary file.
    pub fn add(&mut self, index: u32, stamp: &Stamp) -> io::Result<()> {
        self.newest = self.newest.max(stamp.ctime);
        self.files.append(&index.to_le_bytes())?;
        self.files.append(&stamp.digest())
    }
}

/// The files of a listing, with the index of each in the manifest it was restored by.
#[derive(Debug)]
pub struct Listing {
    /// By index; zeros for what is no file.
    digests: Spill,
    /// The indices by digest; made when a file is not where it was.
    indices: Option<Index>,
    scratch: Scratch,
}

impl Listing {
    /// One without files.
    pub fn empty(scratch: &Scratch) -> Self {
        Self { digests: Spill::new(scratch, MEMORY), indices: None, scratch: scratch.clone() }
    }

    /// The index of the file with this stamp, which probably is `likely`.
    ///
    /// # Errors
    /// Those of the temporary file.
    pub fn get(&mut self, stat: &Stat, likely: Option<usize>) -> io::Result<Option<usize>> {
        if self.digests.is_empty() {
            return Ok(None);
        }
        let digest = Stamp::of(stat).digest();
        if let Some(index) = likely
            && self.digests.array(at(index))? == digest
        {
            return Ok(Some(index));
        }
        let indices = match &mut self.indices {
            Some(indices) => indices,
            none => {
                let mut indices = Index::new(&self.scratch);
                for index in 0..u32::try_from(self.digests.len() / DIGEST as u64).unwrap_or(u32::MAX) {
                    let digest = self.digests.array(at(index as usize))?;
                    if digest != [0; DIGEST] {
                        indices.insert(digest, index)?;
                    }
                }
                none.insert(indices)
            }
        };
        Ok(indices.get(&digest)?.map(|index| index as usize))
    }

    /// Reads the listing of a restore of `state`, which has `records` records. Where there is none, an empty one.
    /// `scratch` is for one that is too long for memory.
    ///
    /// # Errors
    /// A file that no restore of `state` wrote.
    pub fn read(operation: &'static str, path: &Path, state: &Path, records: usize, scratch: &Scratch) -> Result<Self> {
        let mut listing = Self::empty(scratch);
        let io = |source| Error::io(operation, path, source);
        let file = match fs::File::open(path) {
            Ok(file) => file,
            Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(listing),
            Err(source) => return Err(io(source)),
        };
        let is_ours = listing.fill(&mut io::BufReader::with_capacity(1 << 16, file), state, records).map_err(io)?;
        is_ours.then_some(listing).ok_or_else(|| Error::Refused {
            operation,
            path: path.into(),
            what: "it is no listing of a restore of the parent".into(),
            todo: "remove it: what it would have spared is then read",
        })
    }

    /// Takes what a listing has; false where it is none of `state`.
    fn fill(&mut self, input: &mut impl Read, state: &Path, records: usize) -> io::Result<bool> {
        let head = head(state);
        let mut found = Vec::new();
        input.take(head.len() as u64).read_to_end(&mut found)?;
        if found != head {
            return Ok(false);
        }
        self.digests.set_len(at(records));
        let mut record = Vec::with_capacity(RECORD);
        loop {
            record.clear();
            input.take(RECORD as u64).read_to_end(&mut record)?;
            let Some((index, digest)) = record.split_first_chunk().filter(|(_, digest)| digest.len() == DIGEST) else {
                return Ok(record.is_empty());
            };
            let index = u32::from_le_bytes(*index) as usize;
            if index >= records {
                return Ok(false);
            }
            self.digests.write(at(index), digest)?;
        }
    }
}

/// Where the digest of an index is.
fn at(index: usize) -> u64 {
    index as u64 * DIGEST as u64
}

fn head(state: &Path) -> Vec<u8> {
    [MAGIC, state.as_os_str().as_bytes(), b"\0"].concat()
}

/// Writes the listing of a restore of `state`; of what was noted of one file, what comes last counts. Returns when the
/// clock has gone on since the newest change in it, so that no later one can have the same time.
///
/// # Errors
/// What the file system says.
pub fn write(operation: &'static str, path: &Path, state: &Path, notes: &[Notes]) -> Result<()> {
    let io = |source| Error::io(operation, path, source);
    let mut out = io::BufWriter::new(fs::File::create(path).map_err(io)?);
    let mut newest = Mtime::default();
    out.write_all(&head(state)).map_err(io)?;
    for notes in notes {
        newest = newest.max(notes.newest);
        notes.files.copy_to(&mut out).map_err(io)?;
    }
    out.flush().map_err(io)?;
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

    fn notes(files: &[(u32, Stamp)]) -> Notes {
        let mut notes = Notes::new(&Scratch::system());
        for (index, stamp) in files {
            notes.add(*index, stamp).unwrap();
        }
        notes
    }

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        let scratch = tempfile::tempdir().unwrap();
        let (file, state) = (scratch.path().join("listing"), Path::new("/state"));
        let read = |state: &Path, records| Listing::read("save", &file, state, records, &Scratch::system());
        assert!(read(state, 9).unwrap().digests.is_empty());
        let stat = rustix::fs::stat(scratch.path()).unwrap();
        let other = Stamp { inode: 1, mtime: Mtime { secs: -5, nanos: 6 }, ..Stamp::of(&stat) };
        // Of two stamps of one file the later counts.
        let notes = [notes(&[(8, Stamp::of(&stat)), (7, Stamp::of(&stat))]), notes(&[(8, other)])];
        write("restore", &file, state, &notes).unwrap();
        let mut listing = read(state, 9).unwrap();
        for likely in [None, Some(7), Some(8)] {
            assert_eq!(listing.get(&stat, likely).unwrap(), Some(7));
        }
        assert_eq!(listing.digests.array(at(8)).unwrap(), other.digest());
        let changed = rustix::fs::stat(&file).unwrap();
        assert_eq!(listing.get(&changed, Some(7)).unwrap(), None);
        for (state, records) in [(Path::new("/other"), 9), (state, 8)] {
            assert!(read(state, records).unwrap_err().to_string().contains("no listing of a restore"));
        }
        let bytes = fs::read(&file).unwrap();
        fs::write(&file, &bytes[..bytes.len() - 1]).unwrap();
        assert!(read(state, 9).is_err());
    }
}
