//! Bytes that may outgrow memory: up to a limit they are in memory, above it the pages used least lately are in a temporary
//! file that has no name. Owns the paging alone; what the bytes mean know `records`, `index`, `sorter` and others.

use std::cell::RefCell;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::{CWD, Mode, OFlags, openat};

/// Bytes of a page. A random look costs the reading of one.
const PAGE: usize = 1 << 14;

/// A directory for temporary files: one with room for what becomes of a tree.
#[derive(Debug, Clone)]
pub struct Scratch(Arc<Path>);

impl Scratch {
    /// Files of the directory `path`, which must stay; where it takes none, the system's place for them.
    pub fn new(path: &Path) -> Self {
        Self(path.into())
    }

    /// The system's place for temporary files.
    pub fn system() -> Self {
        Self(std::env::temp_dir().into())
    }

    /// A file without a name: nobody else sees it, and it is gone when the program is, however it ends.
    fn file(&self) -> io::Result<File> {
        let places: [PathBuf; 2] = [self.0.to_path_buf(), std::env::temp_dir()];
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        if let Some(file) = places.iter().find_map(|place| openat(CWD, place, flags, Mode::RUSR | Mode::WUSR).ok()) {
            return Ok(file.into());
        }
        // Some file systems know no files without a name.
        let mut failure = None;
        for place in places {
            match unlinked(&place) {
                Ok(file) => return Ok(file),
                Err(error) => _ = failure.get_or_insert(named(&place, &error)),
            }
        }
        Err(failure.unwrap_or_else(|| io::ErrorKind::NotFound.into()))
    }
}

fn unlinked(place: &Path) -> io::Result<File> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let path = place.join(format!(".phasesplit-state-{}-{count}.tmp", std::process::id()));
    let file = fs::OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    fs::remove_file(path)?;
    Ok(file)
}

fn named(place: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("temporary file in {}: {error}", super::error::Shown(place)))
}

/// The bytes. One thread's.
#[derive(Debug)]
pub struct Spill {
    len: u64,
    scratch: Scratch,
    pages: RefCell<Pages>,
}

#[derive(Debug, Default)]
struct Pages {
    all: Vec<Page>,
    /// The numbers of those in memory,
    resident: Vec<usize>,
    /// of which there are so many at most.
    limit: usize,
    /// Where in `resident` the search for one to write out goes on.
    hand: usize,
    file: Option<File>,
}

#[derive(Debug, Default)]
struct Page {
    bytes: Option<Box<[u8]>>,
    /// Whether the file has it,
    stored: bool,
    /// as it is.
    clean: bool,
    /// Whether it was used since the search for one to write out last saw it.
    used: bool,
}

impl Spill {
    /// None yet; of what comes `limit` bytes stay in memory, the rest goes to `scratch`.
    pub fn new(scratch: &Scratch, limit: usize) -> Self {
        // Two, so that what lies on the edge of a page is not read again and again.
        let pages = Pages { limit: (limit / PAGE).max(2), ..Pages::default() };
        Self { len: 0, scratch: scratch.clone(), pages: pages.into() }
    }

    /// How many there are.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Makes them this many: forgets the last ones, or adds some: NULs, where there were none before.
    pub fn set_len(&mut self, len: u64) {
        self.len = len;
    }

    /// Adds some at the end.
    ///
    /// # Errors
    /// Those of the temporary file.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let at = self.len;
        self.len += bytes.len() as u64;
        self.write(at, bytes)
    }

    /// Writes over what is at `at`.
    ///
    /// # Errors
    /// Those of the temporary file; `UnexpectedEof` beyond the end.
    pub fn write(&mut self, at: u64, mut bytes: &[u8]) -> io::Result<()> {
        self.each(at, bytes.len(), true, |part| {
            let (now, later) = bytes.split_at(part.len());
            part.copy_from_slice(now);
            bytes = later;
        })
    }

    /// Reads what is at `at`.
    ///
    /// # Errors
    /// As for [`Spill::write`].
    pub fn read(&self, at: u64, mut into: &mut [u8]) -> io::Result<()> {
        self.each(at, into.len(), false, |part| {
            let (now, later) = std::mem::take(&mut into).split_at_mut(part.len());
            now.copy_from_slice(part);
            into = later;
        })
    }

    /// Reads an array of what is at `at`.
    ///
    /// # Errors
    /// As for [`Spill::write`].
    pub fn array<const N: usize>(&self, at: u64) -> io::Result<[u8; N]> {
        let mut array = [0; N];
        self.read(at, &mut array)?;
        Ok(array)
    }

    /// Reads `len` bytes of what is at `at` to the end of `into`.
    ///
    /// # Errors
    /// As for [`Spill::write`].
    pub fn read_to(&self, at: u64, len: usize, into: &mut Vec<u8>) -> io::Result<()> {
        self.each(at, len, false, |part| into.extend_from_slice(part))
    }

    /// Writes all of them to `out`.
    ///
    /// # Errors
    /// As for [`Spill::write`], and those of `out`.
    pub fn copy_to(&self, out: &mut impl io::Write) -> io::Result<()> {
        let mut piece = Vec::with_capacity(PAGE);
        let mut at = 0;
        while at < self.len {
            let len = PAGE.min(usize::try_from(self.len - at).unwrap_or(PAGE));
            piece.clear();
            self.read_to(at, len, &mut piece)?;
            out.write_all(&piece)?;
            at += len as u64;
        }
        Ok(())
    }

    fn each(&self, at: u64, mut len: usize, changes: bool, mut seen: impl FnMut(&mut [u8])) -> io::Result<()> {
        if at.checked_add(len as u64).is_none_or(|end| end > self.len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut pages = self.pages.borrow_mut();
        let mut number = usize::try_from(at / PAGE as u64).map_err(io::Error::other)?;
        let mut from = usize::try_from(at % PAGE as u64).map_err(io::Error::other)?;
        while len > 0 {
            let taken = len.min(PAGE - from);
            let page = pages.get(number, &self.scratch)?;
            page.used = true;
            page.clean &= !changes;
            if let Some(bytes) = &mut page.bytes {
                seen(&mut bytes[from..from + taken]);
            }
            (number, from, len) = (number + 1, 0, len - taken);
        }
        Ok(())
    }
}

impl Pages {
    /// A page, in memory.
    fn get(&mut self, number: usize, scratch: &Scratch) -> io::Result<&mut Page> {
        if self.all.len() <= number {
            self.all.resize_with(number + 1, Page::default);
        }
        if self.all[number].bytes.is_none() {
            let mut bytes = if self.resident.len() < self.limit {
                self.resident.push(number);
                vec![0; PAGE].into_boxed_slice()
            } else {
                let at = self.evict(scratch)?;
                let old = std::mem::replace(&mut self.resident[at], number);
                self.all[old].bytes.take().unwrap_or_default()
            };
            let page = &mut self.all[number];
            if let (true, Some(file)) = (page.stored, &self.file) {
                file.read_exact_at(&mut bytes, (number * PAGE) as u64).map_err(|error| named(&scratch.0, &error))?;
                page.clean = true;
            }
            page.bytes = Some(bytes);
        }
        Ok(&mut self.all[number])
    }

    /// Chooses a page that was not used lately, and sees to it that the file has it. Returns where in `resident` it is.
    fn evict(&mut self, scratch: &Scratch) -> io::Result<usize> {
        loop {
            self.hand = (self.hand + 1) % self.resident.len();
            let number = self.resident[self.hand];
            let page = &mut self.all[number];
            if std::mem::take(&mut page.used) {
                continue;
            }
            if let (false, Some(bytes)) = (page.clean, &page.bytes) {
                let file = match &mut self.file {
                    Some(file) => file,
                    none => none.insert(scratch.file()?),
                };
                file.write_all_at(bytes, (number * PAGE) as u64).map_err(|error| named(&scratch.0, &error))?;
                (page.stored, page.clean) = (true, true);
            }
            return Ok(self.hand);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_stay_in_memory_comes_back() {
        let directory = tempfile::tempdir().unwrap();
        let mut spill = Spill::new(&Scratch::new(directory.path()), 3 * PAGE);
        let byte = |at: u64| u8::try_from(at % 251).unwrap();
        let end = 10 * PAGE as u64 + 7;
        while spill.len() < end {
            let piece: Vec<u8> = (spill.len()..(spill.len() + 1000).min(end)).map(byte).collect();
            spill.append(&piece).unwrap();
        }
        // Across the edge of pages that are out by now, and one that is changed again.
        spill.write(PAGE as u64 - 2, b"four").unwrap();
        for at in [0, PAGE as u64 * 5 - 50, end - 100, PAGE as u64 * 2 - 1] {
            let bytes: [u8; 100] = spill.array(at).unwrap();
            assert!(bytes.iter().zip(at..).all(|(found, at)| *found == byte(at)), "{at}");
        }
        assert_eq!(&spill.array::<4>(PAGE as u64 - 2).unwrap(), b"four");
        assert!(spill.pages.borrow().resident.len() <= 3);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0, "the file has a name");
        assert!(spill.array::<2>(end - 1).is_err());
        spill.set_len(5);
        assert!(spill.array::<6>(0).is_err());
    }

    #[test]
    fn a_directory_that_takes_no_files_is_not_the_end() {
        let mut spill = Spill::new(&Scratch::new(Path::new("/nowhere/at/all")), 0);
        for number in 0..9_u64 {
            spill.set_len((number + 1) * PAGE as u64);
            spill.write(number * PAGE as u64, &[1; PAGE]).unwrap();
        }
        assert_eq!(spill.array(0).unwrap(), [1; 3]);
    }

    #[test]
    fn files_are_unlinked_where_all_have_names() {
        let directory = tempfile::tempdir().unwrap();
        unlinked(directory.path()).unwrap().write_all_at(b"x", 0).unwrap();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
