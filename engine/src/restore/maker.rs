//! Making the entries of a state in their places: what one thread does.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Mode, chmodat, linkat, statat, utimensat};
use rustix::io::Errno;

use super::super::entry::{Entry, Kind, split_parent};
use super::super::error::{Error, Result, Shown, as_path};
use super::super::listing::{Notes, Stamp};
use super::super::manifest::Record;
use super::super::records::Records;
use super::super::spill::Scratch;
use super::super::tree::{self, timestamps};
use super::super::{format, git_index, place};
use super::RESTORE;
use super::batch::Parts;
use super::make::{self, Failure};
use super::notices::Notices;
use super::places::Places;

/// Makes entries, and remembers what there is to tell.
pub struct Maker {
    places: Places,
    /// What could not be kept exactly.
    pub notices: Notices,
    /// What the kernel says of the files made.
    pub notes: Notes,
}

impl Maker {
    /// A maker of files in `places`.
    pub fn new(places: Places, scratch: &Scratch) -> Self {
        Self { places, notices: Notices::default(), notes: Notes::new(scratch) }
    }

    /// Removes what is in the way of `records` outside the build directory and the outputs.
    ///
    /// # Errors
    /// What the file system says.
    pub fn make_room(&mut self, records: &Records) -> Result<()> {
        each(records, |_, record| {
            let path = &record.entry.path;
            let (parent, name) = split_parent(path);
            if !format::OUTSIDE.iter().any(|(root, _)| *root == parent) {
                return Ok(());
            }
            place::clear(&tree::shown(&self.places.of(path)?.base, name))
        })
    }

    /// Puts into each index of git what `stat` says now ([`git_index`]).
    ///
    /// # Errors
    /// What the file system says.
    pub fn git_indices(&mut self, records: &Records) -> Result<()> {
        each(records, |_, Record { entry, .. }| {
            if entry.kind != Kind::File || entry.size > git_index::LIMIT || !git_index::may_be(&entry.path) {
                return Ok(());
            }
            let place = self.places.of(&entry.path)?;
            let below = place.below(&entry.path);
            let io = |source: io::Error| Error::io(RESTORE, tree::shown(&place.base, &below), source);
            let (parent, name) = split_parent(&below);
            let parent = place.cursor.enter(parent).map_err(io)?;
            let file = make::open_again(parent, name, entry.mode).map_err(io)?;
            let mut content = Vec::new();
            (&file).take(entry.size).read_to_end(&mut content).map_err(io)?;
            let before = content.clone();
            let Some(worktree) = git_index::worktree_of(&below, &place.base, &mut place.cursor) else { return Ok(()) };
            git_index::unmark(&mut content, |path| git_index::stat_of(&worktree, path, &mut place.cursor));
            if content != before {
                file.write_all_at(&content, 0).map_err(io)?;
                make::finish(&file, entry).map_err(io)?;
            }
            Ok(())
        })
    }

    /// Makes all directories of `records`, open to us.
    ///
    /// # Errors
    /// What the file system says.
    pub fn directories(&mut self, records: &Records) -> Result<()> {
        each(records, |_, record| {
            let path = &record.entry.path;
            if record.entry.kind != Kind::Directory || path == format::BUILD {
                return Ok(());
            }
            let place = self.places.of(path)?;
            let below = place.below(path);
            let (parent, name) = split_parent(&below);
            let made = place.cursor.enter(parent).and_then(|parent| make::directory(parent, name));
            made.map_err(|source| Error::io(RESTORE, tree::shown(&place.base, &below), source))
        })
    }

    /// Makes an entry: `content` is the data of its member. `layer` is the archive's name in messages. Directories and hard
    /// links have their own time.
    ///
    /// # Errors
    /// Content that is not what the manifest says; what the file system says.
    pub fn member(&mut self, index: u32, record: &Record, content: &[u8], layer: &Path) -> Result<()> {
        if record.entry.is_file() {
            self.file(index, record, layer, |file| make::write(file, record, content))?;
        } else if !matches!(record.entry.kind, Kind::Directory | Kind::HardLink) {
            self.special(&record.entry)?;
        }
        Ok(())
    }

    /// Makes a file that is too long to have in memory.
    ///
    /// # Errors
    /// As for [`Maker::member`], and those of reading the layer.
    pub fn stream(&mut self, index: u32, record: &Record, content: &mut Parts, layer: &Path) -> Result<File> {
        self.file(index, record, layer, |file| make::join(file, record, content))
    }

    /// Makes a file with the content of another one that this has made.
    ///
    /// # Errors
    /// What the file system says.
    pub fn duplicate(&mut self, index: u32, record: &Record, source: &File, layer: &Path) -> Result<()> {
        self.file(index, record, layer, |file| {
            make::duplicate(source, file).map_err(Failure::Write)?;
            // Copied from what was just found to be right.
            Ok(record.entry.hash.unwrap_or_default())
        })?;
        Ok(())
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
        self.notes.add(index, &Stamp::of(&stat)).map_err(io)?;
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

    /// Makes all hard links of `records`; what they name is there.
    ///
    /// # Errors
    /// What the file system says.
    pub fn hard_links(&mut self, records: &Records) -> Result<()> {
        each(
            records,
            |_, Record { entry, .. }| {
                if entry.kind == Kind::HardLink { self.hard_link(entry, records) } else { Ok(()) }
            },
        )
    }

    fn hard_link(&mut self, entry: &Entry, records: &Records) -> Result<()> {
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
        let stat = statat(&source, old_name, AtFlags::SYMLINK_NOFOLLOW).map_err(|errno| from_io(errno.into()))?;
        let index = if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile {
            records.position(&entry.link).map_err(from_io)?
        } else {
            None
        };
        if let Some(index) = index.and_then(|index| u32::try_from(index).ok()) {
            self.notes.add(index, &Stamp::of(&stat)).map_err(from_io)?;
        }
        Ok(())
    }

    /// Modes and mtimes of directories, deepest first: nothing changes them any more then, and none is closed
    /// before what is in it is done.
    ///
    /// # Errors
    /// What the file system says, but not that the build directory is another user's.
    pub fn close_directories(&mut self, records: &Records) -> Result<()> {
        records.backwards(lost, |Record { entry, .. }| {
            if entry.kind != Kind::Directory {
                return Ok(());
            }
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
                return Ok(());
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
            Ok(())
        })
    }
}

/// Calls `each` with all indices and records.
fn each(records: &Records, mut each: impl FnMut(u32, &Record) -> Result<()>) -> Result<()> {
    let mut failure = None;
    let done = records.each(|index, record| {
        each(index, record).map_err(|error| {
            failure = Some(error);
            io::ErrorKind::Interrupted.into()
        })
    });
    done.map_err(|error| failure.unwrap_or_else(|| lost(error)))
}

/// What was put aside of the manifest cannot be read.
fn lost(error: io::Error) -> Error {
    Error::io(RESTORE, "manifest", error)
}
