//! git's index (`.git/index`) in the tree of a state. For each file git knows, the index has what `stat` said of it, ctime,
//! device and inode included, which no restore can bring back; where they differ, `git diff-index` and `git describe
//! --dirty` call the tree changed without looking.
//!
//! So a save stores the index with a mark in place of those fields, in each entry that agrees with its file at that moment,
//! and a restore puts what `stat` now says in place of the mark. An entry that did not agree stays as it is: git calls that
//! file changed before and after. The mark also makes the stored bytes independent of the machine.
//!
//! The index comes from a build, or from a stranger's state: whatever is not exactly as git documents it
//! (gitformat-index, versions 2 to 4) is left alone.

use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, openat, statat};
use sha1::{Digest, Sha1};
use sha2::Sha256;

use super::entry::{is_below_root, join, split_parent};
use super::tree::{self, Cursor};

/// A longer index is left alone: this one has about half a million files.
pub const LIMIT: u64 = 64 << 20;

/// The most bytes that are read of a file in which git says where something is.
const SMALL: u64 = 1 << 16;

/// Where in an entry the fields are that no restore brings back; each is a big-endian number of 32 bits.
const CTIME: usize = 0;
const CTIME_NANOS: usize = 4;
const MTIME: usize = 8;
const MTIME_NANOS: usize = 12;
const DEVICE: usize = 16;
const INODE: usize = 20;
const MODE: usize = 24;
const UID: usize = 28;
const GID: usize = 32;
const SIZE: usize = 36;

/// Bytes of these fields; the hash of the content follows, then the flags.
const FIELDS: usize = 40;

/// The mark: nanoseconds that no file can have, with zeros in the other fields.
const MARK: u32 = u32::MAX;

/// The mark where the nanoseconds are to be zero.
const BARE_MARK: u32 = MARK - 1;

/// Whether an archive path can be that of an index: the file `index` somewhere below a `.git`.
pub fn may_be(path: &[u8]) -> bool {
    let is_index = path.strip_suffix(b"/index");
    is_index.is_some_and(|above| above.split(|byte| *byte == b'/').any(|name| name == b".git"))
}

/// The directory that the paths in an index start from. `index` is the path of the index, and the answer another one, both
/// below one base, which is the directory `base`. `read` gives the text of a small file by its path.
pub fn worktree(index: &[u8], base: &[u8], read: impl FnOnce(&[u8]) -> Option<Vec<u8>>) -> Option<Vec<u8>> {
    let git_dir = index.strip_suffix(b"/index")?;
    if git_dir == b".git" {
        return Some(Vec::new());
    }
    if let Some(worktree) = git_dir.strip_suffix(b"/.git") {
        return Some(worktree.to_vec());
    }
    let is_below = |name: &[u8]| git_dir.windows(name.len()).any(|window| window == name);
    if is_below(b".git/worktrees/") {
        // A linked worktree says where its `.git` is.
        let text = read(&[git_dir, b"/gitdir"].concat())?;
        let path = text.strip_suffix(b"\n").unwrap_or(&text).strip_suffix(b"/.git")?;
        return if path.starts_with(b"/") { below(base, path) } else { resolved(git_dir, path) };
    }
    if is_below(b".git/modules/") {
        let text = read(&[git_dir, b"/config"].concat())?;
        let value = text.split(|byte| *byte == b'\n').find_map(|line| {
            let (name, value) = line.split_at_checked(line.iter().position(|byte| *byte == b'=')?)?;
            (name.trim_ascii() == b"worktree").then(|| value[1..].trim_ascii())
        })?;
        return if value.starts_with(b"/") { below(base, value) } else { resolved(git_dir, value) };
    }
    None
}

/// As [`worktree`], with the files below `base`, where `cursor` is.
pub fn worktree_of(index: &[u8], base: &Path, cursor: &mut Cursor) -> Option<Vec<u8>> {
    worktree(index, base.as_os_str().as_bytes(), |path| {
        let (parent, name) = split_parent(path);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(openat(cursor.enter(parent).ok()?, name, flags, Mode::empty()).ok()?);
        let mut text = Vec::new();
        file.metadata().ok()?.is_file().then_some(())?;
        file.take(SMALL).read_to_end(&mut text).ok()?;
        Some(text)
    })
}

/// What the file system says of the file that an index calls `path`, where its paths start from `worktree`; no link is
/// followed.
pub fn stat_of(worktree: &[u8], path: &[u8], cursor: &mut Cursor) -> Option<Stat> {
    let whole = join(worktree, path);
    let (parent, name) = split_parent(&whole);
    is_below_root(&whole).then_some(())?;
    statat(cursor.enter(parent).ok()?, name, AtFlags::SYMLINK_NOFOLLOW).ok()
}

fn below(base: &[u8], path: &[u8]) -> Option<Vec<u8>> {
    let rest = path.strip_prefix(base)?;
    if rest.is_empty() { Some(Vec::new()) } else { Some(rest.strip_prefix(b"/")?.to_vec()) }
}

/// A path relative to a directory, without `..`.
fn resolved(directory: &[u8], path: &[u8]) -> Option<Vec<u8>> {
    let mut names: Vec<&[u8]> = directory.split(|byte| *byte == b'/').collect();
    for name in path.split(|byte| *byte == b'/') {
        match name {
            b"" | b"." => {}
            b".." => _ = names.pop()?,
            name => names.push(name),
        }
    }
    Some(names.join(&b'/'))
}

/// Puts the mark into each entry that agrees with its file; `stat` says what the file of a path is. False where this is no
/// index.
pub fn mark(content: &mut [u8], stat: impl FnMut(&[u8]) -> Option<Stat>) -> bool {
    change(content, stat, |entry, stat| {
        if is_same(entry, stat) {
            // A git without nanoseconds writes zeros.
            let nanos = if get(entry, CTIME_NANOS) == Kernel::of(stat).ctime_nanos { MARK } else { BARE_MARK };
            for (at, value) in [(CTIME, 0), (CTIME_NANOS, nanos), (DEVICE, 0), (INODE, 0), (UID, 0), (GID, 0)] {
                set(entry, at, value);
            }
        }
    })
}

/// Puts what `stat` says in place of each mark. An entry whose file is not the one it was made for keeps its mark, so that
/// git looks at the file. False where this is no index.
pub fn unmark(content: &mut [u8], stat: impl FnMut(&[u8]) -> Option<Stat>) -> bool {
    change(content, stat, |entry, stat| {
        let nanos = get(entry, CTIME_NANOS);
        let is_marked = nanos >= BARE_MARK && [CTIME, DEVICE, INODE, UID, GID].iter().all(|at| get(entry, *at) == 0);
        if is_marked && is_same_file(entry, stat) {
            let kernel = Kernel::of(stat);
            let nanos = if nanos == MARK { kernel.ctime_nanos } else { 0 };
            let known = [
                (CTIME, kernel.ctime),
                (CTIME_NANOS, nanos),
                (DEVICE, kernel.device),
                (INODE, kernel.inode),
                (UID, stat.st_uid),
                (GID, stat.st_gid),
            ];
            for (at, value) in known {
                set(entry, at, value);
            }
        }
    })
}

/// What the kernel says, cut to 32 bits as git does it.
struct Kernel {
    ctime: u32,
    ctime_nanos: u32,
    mtime: u32,
    mtime_nanos: u32,
    device: u32,
    inode: u32,
    size: u32,
}

impl Kernel {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::unnecessary_cast,
        reason = "git keeps the lower 32 bits; the types differ among architectures"
    )]
    fn of(stat: &Stat) -> Self {
        let mtime = tree::mtime(stat);
        Self {
            ctime: stat.st_ctime as u32,
            ctime_nanos: stat.st_ctime_nsec as u32,
            mtime: mtime.secs as u32,
            mtime_nanos: mtime.nanos,
            device: stat.st_dev as u32,
            inode: stat.st_ino as u32,
            size: stat.st_size as u32,
        }
    }
}

/// Whether an entry agrees with a file in what survives a restore.
fn is_same_file(entry: &[u8], stat: &Stat) -> bool {
    let kernel = Kernel::of(stat);
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => 0o100_000,
        FileType::Symlink => 0o120_000,
        _ => return false,
    };
    get(entry, MODE) & 0o170_000 == kind
        && get(entry, MTIME) == kernel.mtime
        && [0, kernel.mtime_nanos].contains(&get(entry, MTIME_NANOS))
        && get(entry, SIZE) == kernel.size
}

/// Whether an entry agrees with a file in everything.
fn is_same(entry: &[u8], stat: &Stat) -> bool {
    let kernel = Kernel::of(stat);
    is_same_file(entry, stat)
        && get(entry, CTIME) == kernel.ctime
        && [0, kernel.ctime_nanos].contains(&get(entry, CTIME_NANOS))
        && get(entry, DEVICE) == kernel.device
        && get(entry, INODE) == kernel.inode
        && get(entry, UID) == stat.st_uid
        && get(entry, GID) == stat.st_gid
}

fn get(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u32::from_be_bytes(*bytes))
}

fn set(entry: &mut [u8], at: usize, value: u32) {
    entry[at..at + 4].copy_from_slice(&value.to_be_bytes());
}

/// Changes the fields of the entries whose files `stat` knows, and the checksum at the end.
fn change(content: &mut [u8], mut stat: impl FnMut(&[u8]) -> Option<Stat>, each: impl Fn(&mut [u8], &Stat)) -> bool {
    let Some(index) = Index::of(content) else { return false };
    index.entries(&mut *content, |entry, path| {
        if let Some(stat) = stat(path) {
            each(entry, &stat);
        }
    });
    let (body, sum) = content.split_at_mut(content.len() - index.hash);
    // `index.skipHash` writes zeros.
    if sum.iter().any(|byte| *byte != 0) {
        sum.copy_from_slice(&checksum(body, index.hash));
    }
    true
}

fn checksum(body: &[u8], length: usize) -> Vec<u8> {
    if length == 20 { Sha1::digest(body).to_vec() } else { Sha256::digest(body).to_vec() }
}

/// The shape of an index.
#[derive(Clone, Copy)]
struct Index {
    version: u32,
    entries: u32,
    /// Bytes of a hash: SHA-1 or SHA-256.
    hash: usize,
}

impl Index {
    /// Looks through a whole index: header, entries, extensions, checksum.
    fn of(content: &[u8]) -> Option<Self> {
        let version = get(content, 4);
        if !content.starts_with(b"DIRC") || !(2..=4).contains(&version) {
            return None;
        }
        [20, 32].into_iter().map(|hash| Self { version, entries: get(content, 8), hash }).find(|index| {
            let Some((body, sum)) = content.split_at_checked(content.len().saturating_sub(index.hash)) else {
                return false;
            };
            let is_whole = || sum.iter().all(|byte| *byte == 0) || checksum(body, index.hash) == sum;
            index.end(body).is_some_and(|end| are_extensions(&body[end..])) && is_whole()
        })
    }

    /// Where the entries end in an index without its checksum.
    fn end(self, body: &[u8]) -> Option<usize> {
        let (mut at, mut path) = (12, Vec::new());
        for _ in 0..self.entries {
            at = self.next(body, at, &mut path)?;
        }
        (at <= body.len()).then_some(at)
    }

    /// Calls `each` with the fields and the path of every entry of an index that was looked through.
    fn entries(self, content: &mut [u8], mut each: impl FnMut(&mut [u8], &[u8])) {
        let (mut at, mut path) = (12, Vec::new());
        for _ in 0..self.entries {
            let Some(next) = self.next(content, at, &mut path) else { return };
            each(&mut content[at..at + FIELDS], &path);
            at = next;
        }
    }

    /// Reads the entry at `at`: `path` becomes its path, out of that of the entry before it. Gives where the next one is.
    fn next(self, body: &[u8], at: usize, path: &mut Vec<u8>) -> Option<usize> {
        let flags_at = at + FIELDS + self.hash;
        let flags = u16::from_be_bytes(*body.get(flags_at..)?.first_chunk()?);
        let is_extended = flags & 0x4000 != 0;
        if is_extended && self.version < 3 {
            return None;
        }
        let mut name_at = flags_at + if is_extended { 4 } else { 2 };
        if self.version == 4 {
            let (strip, after) = variable(body, name_at)?;
            path.truncate(path.len().checked_sub(strip)?);
            name_at = after;
        } else {
            path.clear();
        }
        let length = body.get(name_at..)?.iter().position(|byte| *byte == 0)?;
        path.extend_from_slice(&body[name_at..name_at + length]);
        if path.len() > 1 << 16 {
            return None;
        }
        let end = name_at + length;
        // Before version 4 one to eight NULs make the entry's length a multiple of eight.
        Some(if self.version == 4 { end + 1 } else { at + (end - at + 8) / 8 * 8 })
    }
}

/// A number of the form that git calls offset encoding, and where it ends.
fn variable(body: &[u8], mut at: usize) -> Option<(usize, usize)> {
    let mut byte = *body.get(at)?;
    let mut value = usize::from(byte & 127);
    while byte & 128 != 0 {
        at += 1;
        byte = *body.get(at)?;
        value = value.checked_add(1)?.checked_mul(128)? + usize::from(byte & 127);
    }
    Some((value, at + 1))
}

/// Whether bytes are extensions and nothing else; none of them may have entries elsewhere (a split index).
fn are_extensions(mut rest: &[u8]) -> bool {
    while !rest.is_empty() {
        let Some((head, after)) = rest.split_at_checked(8) else { return false };
        let length = get(head, 4) as usize;
        if head.starts_with(b"link") || length > after.len() {
            return false;
        }
        rest = &after[length..];
    }
    true
}

#[cfg(test)]
#[path = "git_index/tests.rs"]
mod tests;
