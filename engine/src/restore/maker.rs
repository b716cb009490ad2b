//! Making the entries of a state in their places: what one thread does.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, chmodat, linkat, statat, utimensat};
use rustix::io::Errno;

use super::super::entry::{Entry, Kind, split_parent};
use super::super::error::{Error, Result, Shown, as_path};
use super::super::format;
use super::super::listing::{Notes, Stamp};
use super::super::manifest::Record;
use super::super::records::Records;
use super::super::tree::{self, timestamps};
use super::RESTORE;
use super::make::{self, Failure};
use super::places::Places;

/// Makes entries, and remembers what there is to tell.
pub struct Maker<'a> {
    places: Places,
    records: &'a Records,
    /// What could not be kept exactly.
    pub notices: Vec<String>,
    /// What the kernel says of the files made.
    pub notes: Notes,
}

impl<'a> Maker<'a> {
    /// A maker of `records` in `places`.
    pub fn new(places: Places, records: &'a Records) -> Self {
        Self { places, records, notices: Vec::new(), notes: Notes::default() }
    }

    /// Makes all directories, open to us.
    ///
    /// # Errors
    /// What the file system says.
    pub fn directories(&mut self) -> Result<()> {
        let mut path = Vec::new();
        for index in self.records.of_kind(Kind::Directory) {
            self.records.path(index, &mut path);
            if path != format::BUILD {
                let place = self.places.of(&path)?;
                let below = place.below(&path);
                let (parent, name) = split_parent(&below);
                let made = place.cursor.enter(parent).and_then(|parent| make::directory(parent, name));
                made.map_err(|source| Error::io(RESTORE, tree::shown(&place.base, &below), source))?;
            }
        }
        Ok(())
    }

    /// Makes the entries at `indices` that come from one member: `content` is its data. `layer` is the archive's name in
    /// messages. Directories and hard links have their own time.
    ///
    /// # Errors
    /// Content that is not what the manifest says; what the file system says.
    pub fn member(&mut self, indices: &[u32], content: &[u8], layer: &Path) -> Result<()> {
        for &index in indices {
            let record = self.record(index)?;
            if record.entry.is_file() {
                self.file(index, &record, layer, |file| make::write(file, &record, content))?;
            } else if !matches!(record.entry.kind, Kind::Directory | Kind::HardLink) {
                self.special(&record.entry)?;
            }
        }
        Ok(())
    }

    /// As [`Maker::member`], for a file too long to have in memory.
    ///
    /// # Errors
    /// As for that, and those of `archive`.
    pub fn stream(&mut self, indices: &[u32], archive: &mut impl Read, layer: &Path) -> Result<()> {
        let Some((&first, rest)) = indices.split_first() else { return Ok(()) };
        let record = self.record(first)?;
        let source = self.file(first, &record, layer, |file| make::copy(file, &record, archive))?;
        for &index in rest {
            let same = self.record(index)?;
            self.file(index, &same, layer, |file| {
                make::duplicate(&source, file).map_err(Failure::Write)?;
                // Copied from what was just found to be right.
                Ok(record.entry.hash.unwrap_or_default())
            })?;
        }
        Ok(())
    }

    fn record(&self, index: u32) -> Result<Record> {
        self.records.get(index as usize).ok_or_else(|| Error::damaged(RESTORE, "manifest", "a record is missing"))
    }

    fn file(
        &mut self,
        index: u32,
        Record { entry, .. }: &Record,
        layer: &Path,
        write: impl FnOnce(&File) -> Result<[u8; 32], Failure>,
    ) -> Result<File> {
        let place = self.places.of(&entry.path)?;
        let below = place.below(&entry.path);
        let (parent, name) = split_parent(&below);
        let io = |source: io::Error| Error::io(RESTORE, tree::shown(&place.base, &below), source);
        let parent = place.cursor.enter(parent).map_err(io)?;
        let file = make::create(parent, name, entry.mode).map_err(io)?;
        let hash = write(&file).map_err(|failure| match failure {
            Failure::Read(source) => Error::reading(RESTORE, layer, source).at_entry("in", &entry.path),
            Failure::Write(source) => io(source),
        })?;
        if entry.hash != Some(hash) {
            return Err(Error::damaged(RESTORE, as_path(&entry.path), "its content is not what the manifest says"));
        }
        let (stat, dropped) = make::finish(&file, entry).map_err(io)?;
        self.notes.add(index as usize, &Stamp::of(&stat));
        if dropped {
            let shown = tree::shown(&place.base, &below);
            self.dropped(&shown);
        }
        Ok(file)
    }

    fn special(&mut self, entry: &Entry) -> Result<()> {
        let place = self.places.of(&entry.path)?;
        let below = place.below(&entry.path);
        let shown = tree::shown(&place.base, &below);
        let (parent, name) = split_parent(&below);
        let made = place.cursor.enter(parent).and_then(|parent| make::special(parent, name, entry));
        if made.map_err(|source| Error::io(RESTORE, &shown, source))? {
            self.dropped(&shown);
        }
        Ok(())
    }

    fn dropped(&mut self, path: &Path) {
        let path = Shown(path);
        self.notices.push(format!("{path}: its setuid or setgid bit cannot be set here; restored without it"));
    }

    /// Makes all hard links; what they name is there.
    ///
    /// # Errors
    /// What the file system says.
    pub fn hard_links(&mut self) -> Result<()> {
        let records = self.records;
        let mut links = records.of_kind(Kind::HardLink).filter_map(|index| records.get(index));
        links.try_for_each(|record| self.hard_link(&record.entry))
    }

    fn hard_link(&mut self, entry: &Entry) -> Result<()> {
        let place = self.places.of(&entry.link)?;
        let old = place.below(&entry.link);
        let old_shown = tree::shown(&place.base, &old);
        let from_io = |source: io::Error| Error::io(RESTORE, &old_shown, source);
        let (old_parent, old_name) = split_parent(&old);
        let source = place.source.enter(old_parent).map_err(from_io)?;
        // A descriptor of its own ends the borrow.
        let source = source.try_clone_to_owned().map_err(from_io)?;

        let place = self.places.of(&entry.path)?;
        let new = place.below(&entry.path);
        let new_shown = tree::shown(&place.base, &new);
        let io = |source: io::Error| Error::io(RESTORE, &new_shown, source);
        let (new_parent, new_name) = split_parent(&new);
        let target = place.cursor.enter(new_parent).map_err(io)?;
        match linkat(&source, old_name, target, new_name, AtFlags::empty()) {
            Ok(()) => {}
            // An output and the build directory can lie on different file systems (or mounts) here, though
            // they did not where the state was made.
            Err(Errno::XDEV) => {
                make::stand_in(&source, old_name, target, new_name, entry).map_err(io)?;
                let (old, new) = (Shown(&old_shown), Shown(&new_shown));
                self.notices.push(format!("{new}: cannot be a hard link to {old} across file systems; copied"));
            }
            Err(errno) => return Err(io(errno.into())),
        }
        // A new name is a change that the ctime shows.
        if let Some(index) = self.records.position(&entry.link).filter(|index| self.records.hash(*index).is_some()) {
            let stat = statat(&source, old_name, AtFlags::SYMLINK_NOFOLLOW).map_err(|errno| from_io(errno.into()))?;
            self.notes.add(index, &Stamp::of(&stat));
        }
        Ok(())
    }

    /// Modes and mtimes of directories, deepest first: nothing changes them any more then, and none is closed
    /// before what is in it is done.
    ///
    /// # Errors
    /// What the file system says, but not that the build directory is another user's.
    pub fn close_directories(&mut self) -> Result<()> {
        let records = self.records;
        for Record { entry, .. } in records.of_kind(Kind::Directory).rev().filter_map(|index| records.get(index)) {
            let place = self.places.of(&entry.path)?;
            let below = place.below(&entry.path);
            let shown = tree::shown(&place.base, &below);
            let mode = Mode::from_raw_mode(entry.mode);
            let times = timestamps(entry.mtime);
            if below.is_empty() {
                // The build directory is Nix's: where it is another user's, it stays as it is.
                let done = chmodat(CWD, &shown, mode, AtFlags::empty())
                    .and_then(|()| utimensat(CWD, &shown, &times, AtFlags::empty()));
                if let Err(errno) = done {
                    let shown = Shown(&shown);
                    self.notices.push(format!("{shown}: cannot set its mode and mtime ({errno}); left as it is"));
                }
                continue;
            }
            let (parent, name) = split_parent(&below);
            let io = |source: io::Error| Error::io(RESTORE, &shown, source);
            let parent = place.cursor.enter(parent).map_err(io)?;
            let dropped = make::set_mode(entry.mode, |mode| chmodat(parent, name, mode, AtFlags::empty()));
            let dropped = dropped.map_err(io)?;
            utimensat(parent, name, &times, AtFlags::SYMLINK_NOFOLLOW).map_err(|errno| io(errno.into()))?;
            if dropped {
                self.dropped(&shown);
            }
        }
        Ok(())
    }
}
