//! One file of a state as a value, and the order of entries. Knows no archive and no file system.

use std::cmp::Ordering;

/// A time as the kernel gives it: whole seconds rounded down, so also before 1970 `nanos` counts upwards.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mtime {
    /// Seconds since 1970, negative before.
    pub secs: i64,
    /// 0 to 999,999,999.
    pub nanos: u32,
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A regular file without holes.
    File,
    /// A regular file with holes.
    Sparse,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// Another name of an earlier entry that is not a directory.
    HardLink,
    /// A named pipe.
    Fifo,
    /// A unix socket.
    Socket,
}

/// A file of a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Path in the archive: components joined by `/`, any bytes but NUL, none empty, `.` or `..`.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Permission bits with setuid, setgid and sticky: at most `0o7777`.
    pub mode: u32,
    /// Length of a file's content in bytes, holes included; 0 for everything else.
    pub size: u64,
    /// When the content last changed. For a hard link, that of the file it names.
    pub mtime: Mtime,
    /// A symlink's target as it is, or the archive path that a hard link repeats; else empty.
    pub link: Vec<u8>,
    /// BLAKE3 of what the layer holds for a file: its content, or the map and the data between the holes.
    /// Equal hashes of equal kinds mean equal content, and a terabyte of hole costs nothing to hash.
    pub hash: Option<[u8; 32]>,
}

impl Entry {
    /// Whether the entry has content in the layer.
    pub fn is_file(&self) -> bool {
        matches!(self.kind, Kind::File | Kind::Sparse)
    }
}

/// The order of entries: component by component, bytewise. Unlike plain byte order it keeps a
/// directory's entries together (`a/b` before `a-b`), which lets readers and writers work on one
/// directory at a time.
pub fn order(left: &[u8], right: &[u8]) -> Ordering {
    let separator_first = |byte: u8| if byte == b'/' { 0 } else { u16::from(byte) + 1 };
    let at = shared(left, right);
    match (left.get(at), right.get(at)) {
        (Some(left), Some(right)) => separator_first(*left).cmp(&separator_first(*right)),
        _ => left.len().cmp(&right.len()),
    }
}

/// How many bytes two paths have in common, from the front: neighbours in a tree share most of them.
pub fn shared(left: &[u8], right: &[u8]) -> usize {
    const WORD: usize = 16;
    let (words, others) = (left.as_chunks::<WORD>().0, right.as_chunks::<WORD>().0);
    let at = WORD * words.iter().zip(others).take_while(|(left, right)| left == right).count();
    at + left[at..].iter().zip(&right[at..]).take_while(|(left, right)| left == right).count()
}

/// Whether a path stays in its tree: components joined by `/`, none empty, `.` or `..`, no NUL in them.
pub fn is_below_root(path: &[u8]) -> bool {
    !path.contains(&0) && path.split(|byte| *byte == b'/').all(|name| !matches!(name, b"" | b"." | b".."))
}

/// Splits `a/b/c` into `a/b` and `c`; the parent of a single component is empty.
pub fn split_parent(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (&[], path),
    }
}

/// `parent/name`, or `name` where the parent is empty.
pub fn join(parent: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(parent.len() + 1 + name.len());
    path.extend_from_slice(parent);
    if !parent.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_comes_right_before_what_it_holds() {
        let mut paths: Vec<&[u8]> = vec![b"a-b", b"a/b", b"a", b"a/b/c", b"a\x01", b"a/-", b"b", b""];
        paths.sort_by(|l, r| order(l, r));
        let expected: Vec<&[u8]> = vec![b"", b"a", b"a/-", b"a/b", b"a/b/c", b"a\x01", b"a-b", b"b"];
        assert_eq!(paths, expected);
    }

    #[test]
    fn what_is_shared_ends_at_the_first_difference() {
        let path: Vec<u8> = (0..50).collect();
        for at in 0..path.len() {
            let mut other = path.clone();
            other[at] = 99;
            assert_eq!((shared(&path, &other), shared(&path, &path[..at]), shared(&path[..at], &path)), (at, at, at));
        }
        assert_eq!(shared(&path, &path), 50);
    }

    #[test]
    fn parents_split_and_join() {
        assert_eq!(split_parent(b"a/b/c"), (&b"a/b"[..], &b"c"[..]));
        assert_eq!(split_parent(b"a"), (&b""[..], &b"a"[..]));
        assert_eq!(join(b"", b"a"), b"a");
        assert_eq!(join(b"a/b", b"c"), b"a/b/c");
    }

    #[test]
    fn times_before_1970_sort_first() {
        let at = |secs, nanos| Mtime { secs, nanos };
        assert!(at(-2, 999_999_999) < at(-1, 0));
        assert!(at(-1, 999_999_999) < at(0, 0));
    }
}
