//! Formats that are not taken apart here, and what that means for a mention in them.
//!
//! Owns how they are recognised. A format is named for one of three reasons: it cannot be searched, and that must not pass in
//! silence; it can be searched, but keeps a checksum or an order of what it holds; or it packs its text in a way of its own.

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Foreign {
    /// Cannot be searched.
    Opaque(&'static str),
    /// A mention is seen, as what cannot be said shorter is stored as it is, but changing it would make the file unreadable or
    /// unfindable.
    Checked(&'static str),
    /// LLVM's, which packs text to the bit.
    Bitcode,
    /// Rows may change, what is sorted may not.
    Sqlite,
}

/// What the first bytes of each format are, and where they begin.
const FORMATS: &[(usize, &[u8], Foreign)] = &[
    (0, b"7z\xbc\xaf\x27\x1c", Foreign::Opaque("a 7z archive")),
    (0, b"Rar!\x1a\x07", Foreign::Opaque("a rar archive")),
    (0, b"hsqs", Foreign::Opaque("a squashfs image")),
    (0, b"\x1f\x9d", Foreign::Opaque("data of compress (.Z)")),
    (0, b"PACK\0\0\0\x02", Foreign::Opaque("a git pack")),
    (0, b"\xed\xab\xee\xdb", Foreign::Opaque("an rpm")),
    (0, b"MSCF\0\0\0\0", Foreign::Opaque("a cabinet")),
    (0, b"LRZI", Foreign::Opaque("lrzip data")),
    (0, b"-----BEGIN PGP MESSAGE-----", Foreign::Opaque("an encrypted message")),
    (0, b"age-encryption.org/v1", Foreign::Opaque("an encrypted file")),
    (0, b"Salted__", Foreign::Opaque("an encrypted file")),
    (0, b"OggS", Foreign::Checked("Ogg data")),
    (0, b"dex\n0", Foreign::Checked("a dex file")),
    (0, b"-----BEGIN PGP SIGNED MESSAGE-----", Foreign::Checked("a signed text")),
    (0, b"\x04\x22\x4d\x18", Foreign::Checked("lz4 data")),
    (0, b"\x02\x21\x4c\x18", Foreign::Checked("lz4 data")),
    (0, b"\x89LZO\0\r\n\x1a\n", Foreign::Checked("lzop data")),
    (0, b"\xff\x06\0\0sNaPpY", Foreign::Checked("snappy data")),
    (0, b"\xce\x9a\x57\x13", Foreign::Checked("a gdbm database")),
    (0, b"\xcd\x9a\x57\x13", Foreign::Checked("a gdbm database")),
    (0, b"\xcf\x9a\x57\x13", Foreign::Checked("a gdbm database")),
    (12, b"\x61\x15\x06\0", Foreign::Checked("a Berkeley DB database")),
    (12, b"\x62\x31\x05\0", Foreign::Checked("a Berkeley DB database")),
    (16, b"\xde\xc0\xef\xbe", Foreign::Checked("an LMDB database")),
    (0, b"BC\xc0\xde", Foreign::Bitcode),
    (0, b"\xde\xc0\x17\x0b", Foreign::Bitcode),
    (0, b"CPCH", Foreign::Bitcode),
    (0, b"SQLite format 3\0", Foreign::Sqlite),
];

/// What a file that begins with `head` is; none for what needs no care.
#[must_use]
pub fn of(head: &[u8]) -> Option<Foreign> {
    let begins =
        |&&(at, magic, _): &&(usize, &[u8], Foreign)| head.get(at..).is_some_and(|rest| rest.starts_with(magic));
    FORMATS.iter().find(begins).map(|&(_, _, foreign)| foreign)
}

/// Whether the byte at `at` of a `SQLite` file is in a row, not in an index, which is sorted by what it holds
/// (`SQLite`, "Database File Format", 1.3 and 1.6).
#[must_use]
pub fn is_in_table(bytes: &[u8], at: usize) -> bool {
    const HEADER: usize = 100;
    let size = match bytes.get(16..18) {
        Some(&[0, 1]) => 65536,
        Some(&[high, low]) => usize::from(high) << 8 | usize::from(low),
        _ => return false,
    };
    if size < 512 {
        return false;
    }
    let page = at / size * size;
    let kind = bytes.get(page + if page == 0 { HEADER } else { 0 });
    // The leaves of a table; a page that goes on where a long row did not fit, which begins with the number of the next.
    matches!(kind, Some(0x0d | 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_told_from_an_index() {
        let mut file = vec![0; 4 * 1024];
        file[..18].copy_from_slice(b"SQLite format 3\0\x04\0");
        file[100] = 0x0d;
        file[1024] = 0x0a;
        file[2048] = 0x0d;
        assert_eq!(of(&file), Some(Foreign::Sqlite));
        let rows = [500, 1023, 1024, 2047, 2048, 3000].map(|at| is_in_table(&file, at));
        assert_eq!(rows, [true, true, false, false, true, true]);
        assert_eq!(of(b"\x7fELF"), None);
    }
}
