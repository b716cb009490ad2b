//! Which names a source tree reads from its environment: scripts, Makefiles and programs' sources that ask for a
//! variable by its name.
//!
//! Knows text shapes alone, no language and no variable in particular. Seen are a name after `$`, `${`, `$(`, after
//! `ifdef`, `ifndef`, `origin`, `printenv` or `-v`, and one that follows `env`, in any case, directly or in quotes within
//! [`REACH`] bytes on the line: `getenv("X")`, `os.environ.get('X'`, `ENV['X']`, `env::var("X")`, `process.env.X`,
//! `$ENV{X}`, `$::env(X)`. Not seen are names that a program puts together, what is inside compiled or packed files, and
//! what programs outside the tree read.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, openat, statat};
use rustix::io::Errno;

use super::error::{Error, Result};
use super::tree::{self, Cursor};
use super::{entry, format};

const MENTIONS: &str = "mentions";

/// How far behind `env` a quoted name may begin.
const REACH: usize = 24;

/// Files are read in pieces of this many bytes.
const PIECE: usize = 1 << 20;

/// What of a piece is looked at again with the next one, so that nothing is cut: more than a shape can take.
const OVERLAP: usize = 1 << 10;

/// A file with a NUL in its first bytes is no text. Object files and archives have one there as well.
const HEAD: usize = 1 << 12;

/// Where to look, and for what.
#[derive(Debug, Clone)]
pub struct Request {
    /// The tree; what Nix or the runtime keeps at its top is left out.
    pub build_dir: PathBuf,
    /// Looks only at files that changed (by ctime, which nobody can set back) since this file did; without one, at all.
    pub newer_than: Option<PathBuf>,
    /// The names to look for.
    pub names: BTreeSet<String>,
}

/// The names that are read, each with the first file that does, in the order of their paths below the build directory.
/// Files that their owner may not read are passed over.
///
/// # Errors
/// What the file system says.
pub fn mentions(request: &Request) -> Result<BTreeMap<String, PathBuf>> {
    let io = |source: io::Error| Error::io(MENTIONS, &request.build_dir, source);
    let since = match &request.newer_than {
        Some(stamp) => {
            let stamp = fs::metadata(stamp).map_err(|source| Error::io(MENTIONS, stamp, source))?;
            (stamp.ctime(), stamp.ctime_nsec())
        }
        None => (i64::MIN, 0),
    };
    let mut search = Search { wanted: request.names.clone(), found: BTreeMap::new(), buffer: Vec::new() };
    let mut cursor = Cursor::new(tree::open_base(&request.build_dir).map_err(io)?);
    // Paths still to be visited, the next one last.
    let mut pending = vec![Vec::new()];
    while let Some(path) = pending.pop() {
        if search.wanted.is_empty() {
            break;
        }
        let (parent, name) = entry::split_parent(&path);
        let below = |source: Errno| Error::io(MENTIONS, tree::shown(&request.build_dir, &path), source);
        let parent = cursor.enter(parent).map_err(io)?;
        let name = if name.is_empty() { b"." } else { name };
        let stat = match statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::ACCESS) => continue,
            Err(errno) => return Err(below(errno)),
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                let mut names = match tree::names(parent, name) {
                    Ok(names) => names,
                    Err(error) if error.kind() == io::ErrorKind::PermissionDenied => continue,
                    Err(error) => return Err(Error::io(MENTIONS, tree::shown(&request.build_dir, &path), error)),
                };
                names.sort_unstable_by(|one, other| other.cmp(one));
                names.retain(|name| !(path.is_empty() && format::is_nix_file(name)));
                pending.extend(names.into_iter().map(|name| entry::join(&path, &name)));
            }
            FileType::RegularFile if (stat.st_ctime, stat.st_ctime_nsec.cast_signed()) >= since => {
                let Some(file) = open(parent, name).map_err(below)? else { continue };
                let shown = tree::shown(&PathBuf::new(), &path);
                let read = search.file(file, &shown);
                read.map_err(|source| Error::io(MENTIONS, tree::shown(&request.build_dir, &path), source))?;
            }
            _ => {}
        }
    }
    Ok(search.found)
}

/// The file, or nothing where its mode forbids reading.
fn open(parent: impl AsFd, name: &[u8]) -> Result<Option<File>, Errno> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NOATIME | OFlags::CLOEXEC;
    match openat(&parent, name, flags, Mode::empty()) {
        // Not our file: then its atime changes.
        Err(Errno::PERM) => match openat(&parent, name, flags - OFlags::NOATIME, Mode::empty()) {
            Err(Errno::ACCESS) => Ok(None),
            other => Ok(Some(other?.into())),
        },
        Err(Errno::ACCESS) => Ok(None),
        other => Ok(Some(other?.into())),
    }
}

struct Search {
    /// Not found yet.
    wanted: BTreeSet<String>,
    found: BTreeMap<String, PathBuf>,
    buffer: Vec<u8>,
}

impl Search {
    fn file(&mut self, mut file: File, path: &std::path::Path) -> io::Result<()> {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        let mut is_first = true;
        loop {
            let before = buffer.len();
            let read = file.by_ref().take(PIECE as u64).read_to_end(&mut buffer)?;
            if is_first && memchr::memchr(0, &buffer[..buffer.len().min(HEAD)]).is_some() {
                break;
            }
            is_first = false;
            self.piece(&buffer, path);
            if read < PIECE || before + read < PIECE {
                break;
            }
            buffer.drain(..buffer.len() - OVERLAP);
        }
        self.buffer = buffer;
        Ok(())
    }

    fn piece(&mut self, text: &[u8], path: &std::path::Path) {
        let mut read = Vec::new();
        reads(text, &mut |name| {
            if let Ok(name) = std::str::from_utf8(name)
                && self.wanted.contains(name)
            {
                read.push(name.to_owned());
            }
        });
        for name in read {
            if self.wanted.remove(&name) {
                self.found.insert(name, path.to_owned());
            }
        }
    }
}

/// Calls `found` with every name that a text reads from its environment by one of the shapes.
fn reads<'a>(text: &'a [u8], found: &mut impl FnMut(&'a [u8])) {
    for at in memchr::memchr_iter(b'$', text) {
        let after = &text[at + 1..];
        let skip = usize::from(matches!(after.first(), Some(b'{' | b'(')));
        // `${#X}` and `${!X}` read as well.
        let skip = skip + usize::from(skip > 0 && matches!(after.get(skip), Some(b'#' | b'!')));
        offer(after, skip, found);
    }
    // The rarest letter of `env` leads to the rest.
    for at in memchr::memchr2_iter(b'v', b'V', text) {
        if at >= 2 && text[at - 2..at].eq_ignore_ascii_case(b"en") {
            after_env(&text[at + 1..], found);
        }
    }
    for word in [&b"ifdef"[..], b"ifndef", b"origin", b"-v"] {
        for at in memchr::memmem::find_iter(text, word) {
            let after = &text[at + word.len()..];
            let blanks = after.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
            if blanks > 0 {
                offer(after, blanks, found);
            }
        }
    }
}

/// What follows `env`: `.X`, `{X`, `(X`, ` X` directly, or a quoted name within reach.
fn after_env<'a>(after: &'a [u8], found: &mut impl FnMut(&'a [u8])) {
    if let Some(b'.' | b'{' | b'(' | b'[' | b' ' | b':') = after.first() {
        offer(after, 1, found);
    }
    for (at, byte) in after.iter().enumerate().take(REACH) {
        match byte {
            b'\n' => break,
            b'"' | b'\'' | b'`' => offer(after, at + 1, found),
            _ => {}
        }
    }
}

/// The name that begins at `at`, if one does.
fn offer<'a>(text: &'a [u8], at: usize, found: &mut impl FnMut(&'a [u8])) {
    let rest = text.get(at..).unwrap_or_default();
    let length = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
    if length > 0 && !rest[0].is_ascii_digit() {
        found(&rest[..length]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let mut names = Vec::new();
        reads(text.as_bytes(), &mut |name| names.push(String::from_utf8(name.to_vec()).unwrap()));
        names
    }

    #[test]
    fn reads_of_many_languages_are_seen() {
        for text in [
            "echo $FOO",
            "${FOO:-x}",
            "${#FOO}",
            "$(FOO)",
            "$$FOO",
            "getenv(\"FOO\")",
            "getenv ( \"FOO\" )",
            "ENV['FOO']",
            "ENV.fetch(\"FOO\")",
            "os.environ.get(\"FOO\", 1)",
            "os.environ['FOO']",
            "std::env::var(\"FOO\")",
            "option_env!(\"FOO\")",
            "process.env.FOO",
            "process.env['FOO']",
            "$ENV{FOO}",
            "$ENV{\"FOO\"}",
            "os.Getenv(`FOO`)",
            "$::env(FOO)",
            "ENVIRON[\"FOO\"]",
            "ifdef FOO",
            "ifndef\tFOO",
            "$(origin FOO)",
            "printenv FOO",
            "[ -v FOO ]",
            "if(DEFINED ENV{FOO})",
        ] {
            assert!(found(text).contains(&"FOO".to_owned()), "{text}: {:?}", found(text));
        }
    }

    #[test]
    fn other_uses_of_the_word_are_not() {
        for text in [
            "FOO",
            "FOO=1",
            "\"FOO\"",
            "$FOOD",
            "${XFOO}",
            "%FOO%",
            "env\n\"FOO\"",
            "environment of the thing here: 'FOO'",
        ] {
            assert!(!found(text).contains(&"FOO".to_owned()), "{text}");
        }
    }

    fn request(directory: &std::path::Path, names: &[&str]) -> Request {
        Request {
            build_dir: directory.into(),
            newer_than: None,
            names: names.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    #[test]
    fn the_first_text_file_is_named_and_the_others_are_passed_over() {
        let tree = tempfile::tempdir().unwrap();
        let write = |name: &str, content: &[u8]| fs::write(tree.path().join(name), content).unwrap();
        fs::create_dir_all(tree.path().join("b/deep")).unwrap();
        write("env-vars", b"$FOO $BAR");
        write("a.o", b"\x7fELF\0$FOO");
        write("b/deep/Makefile", b"x: ; echo $(FOO)");
        write("c", b"$FOO");
        std::os::unix::fs::symlink("/etc/passwd", tree.path().join("d")).unwrap();
        // Over the edge of a piece.
        write("e", &[&vec![b' '; PIECE - 2][..], b"${BAR}", &vec![b' '; PIECE]].concat());
        let found = mentions(&request(tree.path(), &["FOO", "BAR", "BAZ"])).unwrap();
        let expected = [("BAR", "e"), ("FOO", "b/deep/Makefile")];
        assert_eq!(found, expected.map(|(name, path)| (name.to_owned(), path.into())).into());
    }

    #[test]
    fn a_stamp_leaves_out_what_was_there_before_it() {
        let tree = tempfile::tempdir().unwrap();
        let stamp = tempfile::tempdir().unwrap();
        fs::write(tree.path().join("old"), "$FOO").unwrap();
        fs::write(tree.path().join("changed"), "").unwrap();
        std::thread::sleep(std::time::Duration::from_millis(30));
        fs::write(stamp.path().join("stamp"), "").unwrap();
        let mut request = request(tree.path(), &["FOO", "BAR"]);
        request.newer_than = Some(stamp.path().join("stamp"));
        assert_eq!(mentions(&request).unwrap(), BTreeMap::new());
        fs::write(tree.path().join("changed"), "$BAR").unwrap();
        // No mtime can hide it.
        File::options()
            .write(true)
            .open(tree.path().join("changed"))
            .unwrap()
            .set_modified(std::time::UNIX_EPOCH)
            .unwrap();
        assert_eq!(mentions(&request).unwrap(), [("BAR".to_owned(), "changed".into())].into());
    }
}
