//! A state as a read-only file system, by FUSE.
//!
//! The tree comes from the manifest. Content is read layer by layer, each when the first file in it is opened: it is set
//! aside and checked as a whole, so what a program reads is what the manifest says.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{
    Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, LockOwner, MountOption,
    OpenFlags, ReplyAttr, ReplyData, ReplyDirectory, ReplyEntry, ReplyOpen, Request, Session,
};

use super::State;
use super::content::Spool;
use crate::state::entry::{Kind, Mtime, split_parent};
use crate::state::{format, manifest};

/// Nothing in a state changes.
const FOREVER: Duration = Duration::from_hours(1);

/// The directories that are no entries of a state, and their numbers.
const BARE: [(&[u8], u64); 3] = [(format::OUTPUTS, 2), (format::SHM, 3), (format::TMP, 4)];

/// The number of the first record.
const FIRST: u64 = 5;

/// Mounts a state on a directory. The file system serves as long as the session runs.
///
/// # Errors
/// Where FUSE is not there or does not let this user mount.
pub fn mount(state: State, on: &Path) -> io::Result<Session<impl Filesystem>> {
    let mut config = Config::default();
    config.mount_options = vec![
        MountOption::FSName("phasesplit-state".to_owned()),
        MountOption::RO,
        MountOption::NoSuid,
        MountOption::NoDev,
        MountOption::NoAtime,
    ];
    Session::new(Tree::new(state), on, &config)
}

struct Tree {
    state: State,
    /// Number of a directory and name in it → number.
    names: HashMap<(u64, Vec<u8>), u64>,
    /// Number of a directory → numbers and names of what is in it, in order.
    children: HashMap<u64, Vec<(u64, Vec<u8>)>>,
    /// How many names a file has, where that is not one.
    links: HashMap<u64, u32>,
    /// The contents of a layer's files, from when one of them was opened.
    layers: Mutex<HashMap<usize, Arc<Spool>>>,
    owner: (u32, u32),
}

impl Tree {
    fn new(state: State) -> Self {
        let owner = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let mut tree = Self {
            state,
            names: HashMap::new(),
            children: HashMap::new(),
            links: HashMap::new(),
            layers: Mutex::default(),
            owner,
        };
        let records = std::mem::take(&mut tree.state.manifest.records);
        let root = u64::from(INodeNo::ROOT);
        let mut directories: HashMap<&[u8], u64> = HashMap::from([(&b""[..], root)]);
        for (index, record) in records.iter().enumerate() {
            let (parent, name) = split_parent(&record.entry.path);
            if let Some((bare, number)) = BARE.into_iter().find(|(bare, _)| *bare == parent)
                && !directories.contains_key(parent)
            {
                directories.insert(bare, number);
                tree.add(root, bare, number);
            }
            let target = (record.entry.kind == Kind::HardLink)
                .then(|| manifest::position(&records, &record.entry.link))
                .flatten();
            let number = FIRST + target.unwrap_or(index) as u64;
            if target.is_some() {
                *tree.links.entry(number).or_insert(1) += 1;
            }
            if record.entry.kind == Kind::Directory {
                directories.insert(&record.entry.path, number);
            }
            if let Some(&parent) = directories.get(parent) {
                tree.add(parent, name, number);
            }
        }
        tree.state.manifest.records = records;
        tree
    }

    fn add(&mut self, parent: u64, name: &[u8], number: u64) {
        self.names.insert((parent, name.to_vec()), number);
        self.children.entry(parent).or_default().push((number, name.to_vec()));
    }

    /// The record of a number; none for the directories that are no entries.
    fn record(&self, number: u64) -> Option<(usize, &manifest::Record)> {
        let index = usize::try_from(number.checked_sub(FIRST)?).ok()?;
        Some((index, self.state.records().get(index)?))
    }

    fn attributes(&self, number: u64) -> Option<FileAttr> {
        let (kind, mode, size, mtime) = match self.record(number) {
            Some((_, record)) => {
                let entry = &record.entry;
                let size = if entry.kind == Kind::Symlink { entry.link.len() as u64 } else { entry.size };
                (file_type(entry.kind), entry.mode, size, time(entry.mtime))
            }
            None if number < FIRST => (FileType::Directory, 0o755, 0, UNIX_EPOCH),
            None => return None,
        };
        Some(FileAttr {
            ino: INodeNo(number),
            size,
            blocks: size.div_ceil(512),
            atime: mtime,
            mtime,
            ctime: mtime,
            crtime: mtime,
            kind,
            perm: u16::try_from(mode & 0o1777).unwrap_or_default(),
            nlink: self.links.get(&number).copied().unwrap_or(1),
            uid: self.owner.0,
            gid: self.owner.1,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        })
    }

    /// The contents of the layer that a file is in.
    fn contents(&self, layer: usize) -> crate::state::Result<Arc<Spool>> {
        let mut layers = self.layers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(spool) = layers.get(&layer) {
            return Ok(Arc::clone(spool));
        }
        let wanted: Vec<bool> =
            self.state.records().iter().map(|record| record.layer == layer && record.entry.is_file()).collect();
        let spool = Arc::new(Spool::fill(&self.state, &wanted)?);
        layers.insert(layer, Arc::clone(&spool));
        Ok(spool)
    }
}

fn file_type(kind: Kind) -> FileType {
    match kind {
        Kind::File | Kind::Sparse | Kind::HardLink => FileType::RegularFile,
        Kind::Directory => FileType::Directory,
        Kind::Symlink => FileType::Symlink,
        Kind::Fifo => FileType::NamedPipe,
        Kind::Socket => FileType::Socket,
    }
}

/// A time that this machine cannot count to is 1970.
fn time(mtime: Mtime) -> SystemTime {
    let seconds = Duration::from_secs(mtime.secs.unsigned_abs());
    let whole = if mtime.secs < 0 { UNIX_EPOCH.checked_sub(seconds) } else { UNIX_EPOCH.checked_add(seconds) };
    whole.and_then(|time| time.checked_add(Duration::from_nanos(mtime.nanos.into()))).unwrap_or(UNIX_EPOCH)
}

impl Filesystem for Tree {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let number = self.names.get(&(parent.into(), name.as_bytes().to_vec()));
        match number.and_then(|number| self.attributes(*number)) {
            Some(attributes) => reply.entry(&FOREVER, &attributes, Generation(0)),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _: &Request, number: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.attributes(number.into()) {
            Some(attributes) => reply.attr(&FOREVER, &attributes),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn readlink(&self, _: &Request, number: INodeNo, reply: ReplyData) {
        match self.record(number.into()) {
            Some((_, record)) if record.entry.kind == Kind::Symlink => reply.data(&record.entry.link),
            _ => reply.error(Errno::EINVAL),
        }
    }

    fn readdir(&self, _: &Request, number: INodeNo, _: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let children = self.children.get(&number.into()).map_or(&[][..], Vec::as_slice);
        let own = [(u64::from(number), &b"."[..]), (u64::from(INodeNo::ROOT), &b".."[..])];
        let all = own.into_iter().chain(children.iter().map(|(number, name)| (*number, &name[..])));
        let skipped = usize::try_from(offset).unwrap_or(usize::MAX);
        for (at, (number, name)) in all.enumerate().skip(skipped) {
            let kind = self.attributes(number).map_or(FileType::Directory, |attributes| attributes.kind);
            if reply.add(INodeNo(number), at as u64 + 1, kind, OsStr::from_bytes(name)) {
                break;
            }
        }
        reply.ok();
    }

    /// Reads the layer: so what is wrong with it is told when the file is opened.
    fn open(&self, _: &Request, number: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        let Some((_, record)) = self.record(number.into()) else { return reply.error(Errno::EINVAL) };
        match self.contents(record.layer) {
            Ok(_) => reply.opened(FileHandle(0), FopenFlags::FOPEN_KEEP_CACHE),
            Err(error) => {
                // There is no other way to say more than a number.
                eprintln!("error: {error}");
                reply.error(Errno::EIO);
            }
        }
    }

    fn read(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let Some((index, record)) = self.record(number.into()) else { return reply.error(Errno::EINVAL) };
        let spool = self.contents(record.layer).ok();
        let data = spool.and_then(|spool| spool.part(record, index, offset, size as usize).ok());
        match data {
            Some(data) => reply.data(&data),
            None => reply.error(Errno::EIO),
        }
    }
}
