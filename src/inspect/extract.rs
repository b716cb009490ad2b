//! Taking files out of a state for a person, who trusts it less than a build does: nothing outside the directory, no
//! setuid or setgid unless asked for, no more bytes than there is room for, and all of it or nothing.
//!
//! Everything is made in a new directory beside the target, which takes the target's name when it is complete.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, chmodat, linkat, utimensat};

use super::State;
use super::content::{self, Extent, Member};
use crate::state::entry::{Entry, Kind, split_parent};
use crate::state::error::{Error, Result, as_path};
use crate::state::format;
use crate::state::manifest::{self, Record};
use crate::state::restore::make::{self, Failure};
use crate::state::tree::{self, Cursor, timestamps};

const EXTRACT: &str = "extract";

/// The bits that let a program run as somebody else.
const SETID: u32 = 0o6000;

/// What is wanted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wish {
    /// Keep setuid and setgid bits.
    pub setuid: bool,
    /// The most bytes of content to write; what the file system has room for in any case.
    pub most: Option<u64>,
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Entries made.
    pub entries: usize,
    /// Bytes of content.
    pub bytes: u64,
    /// Entries that lost their setuid or setgid bit.
    pub dropped: usize,
}

/// Extracts the entries at the indices for which `wanted` holds, and the directories above them, into `to`, which must not
/// exist or be empty.
///
/// # Errors
/// A target that is in use, too little room, a damaged state, what the file system says; `to` is then as it was.
pub fn extract(state: &State, wanted: &[bool], to: &Path, wish: Wish) -> Result<Done> {
    let io = |source: io::Error| Error::io(EXTRACT, to, source);
    check_target(to)?;
    let parent = match to.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let job = Job::new(state, wanted, wish);
    job.check_room(parent)?;
    // 0777 less the umask, as for any directory that a program makes.
    let mut builder = tempfile::Builder::new();
    builder.prefix(".phasesplit-extract-").permissions(Permissions::from_mode(0o777));
    let scratch = builder.tempdir_in(parent).map_err(io)?;
    let done = job.run(scratch.path())?;
    fs::rename(scratch.path(), to).map_err(io)?;
    // It has another name now: there is nothing to clean up.
    drop(scratch.keep());
    Ok(done)
}

fn check_target(to: &Path) -> Result<()> {
    let refused = |what: &str| {
        let todo = "name a directory that does not exist or is empty";
        Err(Error::Refused { operation: EXTRACT, path: to.into(), what: what.into(), todo })
    };
    match fs::symlink_metadata(to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(Error::io(EXTRACT, to, source)),
        Ok(found) if !found.is_dir() => refused("it is no directory"),
        Ok(_) => match fs::read_dir(to).map_err(|source| Error::io(EXTRACT, to, source))?.next() {
            None => Ok(()),
            Some(_) => refused("it is not empty"),
        },
    }
}

struct Job<'a> {
    state: &'a State,
    wish: Wish,
    /// What is made, by index: what was asked for, and the directories above it.
    chosen: Vec<bool>,
    /// Of a hard link to an entry that is not chosen: that entry, and the first of its chosen names, which stands for it.
    stands_for: HashMap<usize, usize>,
}

impl<'a> Job<'a> {
    fn new(state: &'a State, wanted: &[bool], wish: Wish) -> Self {
        let records = state.records();
        let mut chosen = wanted.to_vec();
        let mut above: Vec<usize> = Vec::new();
        let mut stands_for = HashMap::new();
        for (index, record) in records.iter().enumerate() {
            let entry = &record.entry;
            while above.last().is_some_and(|&directory| !is_below(&entry.path, &records[directory].entry.path)) {
                above.pop();
            }
            if wanted[index] {
                for &directory in &above {
                    chosen[directory] = true;
                }
                if let Some(target) = target(records, entry).filter(|target| !wanted[*target]) {
                    stands_for.entry(target).or_insert(index);
                }
            }
            if entry.kind == Kind::Directory {
                above.push(index);
            }
        }
        Self { state, wish, chosen, stands_for }
    }

    fn chosen(&self) -> impl DoubleEndedIterator<Item = &'a Record> + Clone {
        self.state.records().iter().zip(&self.chosen).filter(|(_, chosen)| **chosen).map(|(record, _)| record)
    }

    /// Bytes of content that will be written; holes take no room.
    fn bytes(&self) -> u64 {
        let own = self.chosen().map(|record| record.data);
        let linked = self.stands_for.keys().map(|index| self.state.records()[*index].data);
        own.chain(linked).fold(0, u64::saturating_add)
    }

    fn check_room(&self, parent: &Path) -> Result<()> {
        let bytes = self.bytes();
        let room = rustix::fs::statvfs(parent).map_err(|errno| Error::io(EXTRACT, parent, errno))?;
        let free = room.f_bavail.saturating_mul(room.f_frsize);
        let (limit, whose) = match self.wish.most.filter(|most| *most < free) {
            Some(most) => (most, "the limit given is"),
            None => (free, "there is room for"),
        };
        if bytes <= limit {
            return Ok(());
        }
        Err(Error::Refused {
            operation: EXTRACT,
            path: self.state.path.clone(),
            what: format!("its files have {bytes} bytes, and {whose} {limit}"),
            todo: "name the paths that are needed, or extract where there is room",
        })
    }

    fn run(&self, to: &Path) -> Result<Done> {
        let base = tree::open_base(to).map_err(|source| Error::io(EXTRACT, to, source))?;
        let mut maker = Maker { to, cursor: Cursor::new(base), setuid: self.wish.setuid, dropped: 0 };
        // No entry of the state says what these are like.
        let mut roots: Vec<&[u8]> = self.chosen().map(|record| split_parent(&record.entry.path).0).collect();
        roots.retain(|parent| format::has_no_member(parent));
        roots.dedup();
        for directory in &roots {
            maker.directory(directory)?;
        }
        for Record { entry, .. } in self.chosen().filter(|record| record.entry.kind == Kind::Directory) {
            maker.directory(&entry.path)?;
        }
        self.files(&mut maker)?;
        let others = self.chosen().filter(|record| !record.entry.is_file());
        for Record { entry, .. } in others.clone().filter(|r| is_special(r.entry.kind)) {
            maker.special(&entry.path, entry)?;
        }
        for (&target, &name) in &self.stands_for {
            let entry = &self.state.records()[target].entry;
            if is_special(entry.kind) {
                maker.special(&self.state.records()[name].entry.path, entry)?;
            }
        }
        for record in others.clone().filter(|record| record.entry.kind == Kind::HardLink) {
            let target = target(self.state.records(), &record.entry);
            let name = target.and_then(|target| self.stands_for.get(&target));
            let from = name.map_or(&record.entry.link, |name| &self.state.records()[*name].entry.path);
            if *from != record.entry.path {
                maker.hard_link(from, &record.entry.path)?;
            }
        }
        for record in others.rev().filter(|record| record.entry.kind == Kind::Directory) {
            maker.close(&record.entry)?;
        }
        for directory in roots {
            let open = Permissions::from_mode(0o755);
            fs::set_permissions(to.join(OsStr::from_bytes(directory)), open).map_err(maker.io(directory))?;
        }
        Ok(Done { entries: self.chosen().count(), bytes: self.bytes(), dropped: maker.dropped })
    }

    /// All regular files, with what they hold.
    fn files(&self, maker: &mut Maker<'_>) -> Result<()> {
        let records = self.state.records();
        let mut wanted = self.chosen.clone();
        for target in self.stands_for.keys() {
            wanted[*target] = true;
        }
        content::read(self.state, &wanted, Extent::Whole, &mut |Member { indices, mut data, layer }| {
            let mut first: Option<File> = None;
            for &index in indices {
                let record = &records[index];
                let path = &records[self.stands_for.get(&index).copied().unwrap_or(index)].entry.path;
                let write = |file: &File| match &first {
                    Some(first) => make::duplicate(first, file).map_err(Failure::Write),
                    None => make::copy(file, record, &mut data).map(drop),
                };
                let file = maker.file(path, &record.entry, layer, write)?;
                first.get_or_insert(file);
            }
            Ok(())
        })
    }
}

fn is_special(kind: Kind) -> bool {
    matches!(kind, Kind::Symlink | Kind::Fifo | Kind::Socket)
}

fn is_below(path: &[u8], directory: &[u8]) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.starts_with(b"/"))
}

/// The index of the entry that a hard link names.
fn target(records: &[Record], entry: &Entry) -> Option<usize> {
    (entry.kind == Kind::HardLink).then(|| manifest::position(records, &entry.link)).flatten()
}

/// Makes entries below one directory, following no link and replacing nothing.
struct Maker<'a> {
    to: &'a Path,
    cursor: Cursor,
    setuid: bool,
    dropped: usize,
}

impl Maker<'_> {
    fn shown(&self, path: &[u8]) -> PathBuf {
        self.to.join(as_path(path))
    }

    fn io(&self, path: &[u8]) -> impl Fn(io::Error) -> Error + use<> {
        let shown = self.shown(path);
        move |source| Error::io(EXTRACT, &shown, source)
    }

    /// The entry with the mode that it gets here.
    fn tamed(&mut self, entry: &Entry) -> Entry {
        let mode = if self.setuid { entry.mode } else { entry.mode & !SETID };
        self.dropped += usize::from(mode != entry.mode);
        Entry { mode, ..entry.clone() }
    }

    fn directory(&mut self, path: &[u8]) -> Result<()> {
        let (parent, name) = split_parent(path);
        let io = self.io(path);
        self.cursor.enter(parent).and_then(|parent| make::directory(parent, name)).map_err(io)
    }

    fn file(
        &mut self,
        path: &[u8],
        entry: &Entry,
        layer: &Path,
        write: impl FnOnce(&File) -> Result<(), Failure>,
    ) -> Result<File> {
        let (parent, name) = split_parent(path);
        let io = self.io(path);
        let entry = self.tamed(entry);
        let file = self.cursor.enter(parent).and_then(|parent| make::create(parent, name, entry.mode)).map_err(&io)?;
        write(&file).map_err(|failure| match failure {
            Failure::Read(source) => Error::reading(EXTRACT, layer, source),
            Failure::Write(source) => io(source),
        })?;
        let (_, dropped) = make::finish(&file, &entry).map_err(&io)?;
        self.dropped += usize::from(dropped);
        Ok(file)
    }

    fn special(&mut self, path: &[u8], entry: &Entry) -> Result<()> {
        let (parent, name) = split_parent(path);
        let io = self.io(path);
        // A symlink's mode means nothing.
        let entry = if entry.kind == Kind::Symlink { entry.clone() } else { self.tamed(entry) };
        let dropped = self.cursor.enter(parent).and_then(|parent| make::special(parent, name, &entry)).map_err(io)?;
        self.dropped += usize::from(dropped);
        Ok(())
    }

    fn hard_link(&mut self, from: &[u8], to: &[u8]) -> Result<()> {
        let io = self.io(to);
        let (from_parent, from_name) = split_parent(from);
        // A descriptor of its own ends the borrow.
        let source = self.cursor.enter(from_parent).and_then(|parent| parent.try_clone_to_owned()).map_err(&io)?;
        let (parent, name) = split_parent(to);
        let parent = self.cursor.enter(parent).map_err(&io)?;
        linkat(&source, from_name, parent, name, AtFlags::empty()).map_err(|errno| io(errno.into()))
    }

    /// Mode and mtime of a directory, when nothing is added to it any more.
    fn close(&mut self, entry: &Entry) -> Result<()> {
        let (parent, name) = split_parent(&entry.path);
        let io = self.io(&entry.path);
        let mode = self.tamed(entry).mode;
        let parent = self.cursor.enter(parent).map_err(&io)?;
        let dropped = make::set_mode(mode, |mode: Mode| chmodat(parent, name, mode, AtFlags::empty())).map_err(&io)?;
        utimensat(parent, name, &timestamps(entry.mtime), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|errno| io(errno.into()))?;
        self.dropped += usize::from(dropped);
        Ok(())
    }
}
