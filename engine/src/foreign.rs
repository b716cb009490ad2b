//! The last search of finish: no output may name a store path of the chain. A state in an output would make the whole
//! chain of states part of what the package needs to run, in silence.
//!
//! Nix looks for the 32 characters of a path's hash in raw bytes, in contents, links and names; so does this.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata, Permissions};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::error::{Error, Result, Shown};
use super::{chain, info};

const REFUSE: &str = "refuse";

/// How many characters a store path's hash has.
const HASH: usize = 32;

/// Bytes that are read at once.
const BUFFER: usize = 1 << 18;

/// The hashes that no output may hold, and whose they are.
#[derive(Debug, Default)]
pub struct Forbidden(BTreeMap<[u8; HASH], PathBuf>);

impl Forbidden {
    /// Adds a store path; one without a hash in its name cannot be found, and is left out.
    pub fn path(&mut self, path: &Path) {
        let name = path.file_name().map_or(&[][..], OsStrExt::as_bytes);
        if let Some(hash) = name.first_chunk::<HASH>().filter(|hash| hash.iter().all(|byte| is_digit(*byte))) {
            self.0.insert(*hash, path.to_owned());
        }
    }

    /// Adds a state, with all that it builds on.
    ///
    /// # Errors
    /// A state that cannot be read.
    pub fn state(&mut self, state: &Path) -> Result<()> {
        for state in chain::all(REFUSE, state)? {
            if let Some(pinned) = info::read(REFUSE, &state)?.pinned {
                self.path(Path::new(&pinned));
            }
            self.path(&state);
        }
        Ok(())
    }

    /// Searches a tree: contents, links and names.
    ///
    /// # Errors
    /// That a forbidden path is named, and where; what the file system says.
    pub fn search(&self, path: &Path) -> Result<()> {
        let io = |source| Error::io(REFUSE, path, source);
        let metadata = fs::symlink_metadata(path).map_err(io)?;
        self.refuse(path, path.file_name().map_or(&[][..], OsStrExt::as_bytes), "its name")?;
        if metadata.is_symlink() {
            let target = fs::read_link(path).map_err(io)?;
            return self.refuse(path, target.as_os_str().as_bytes(), "its target");
        }
        if metadata.is_dir() {
            let mut names = opened(path, &metadata, |path| fs::read_dir(path))
                .map_err(io)?
                .collect::<io::Result<Vec<_>>>()
                .map_err(io)?;
            names.sort_by_key(fs::DirEntry::file_name);
            return names.iter().try_for_each(|entry| self.search(&entry.path()));
        }
        if metadata.is_file() { self.file(path, &metadata) } else { Ok(()) }
    }

    fn file(&self, path: &Path, metadata: &Metadata) -> Result<()> {
        let io = |source| Error::io(REFUSE, path, source);
        let mut file = opened(path, metadata, |path| File::open(path)).map_err(io)?;
        let mut buffer = vec![0; BUFFER];
        let (mut kept, mut before) = (0, 0_u64);
        loop {
            let read = match file.read(&mut buffer[kept..]) {
                Ok(0) => return Ok(()),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(io(error)),
            };
            let filled = kept + read;
            if let Some((at, found)) = self.find(&buffer[..filled]) {
                return Err(refused(path, &format!("at byte {}", before + at as u64), found));
            }
            // A hash may go on in what is read next.
            let next = filled.min(HASH - 1);
            buffer.copy_within(filled - next..filled, 0);
            before += (filled - next) as u64;
            kept = next;
        }
    }

    fn refuse(&self, path: &Path, bytes: &[u8], what: &str) -> Result<()> {
        self.find(bytes).map_or(Ok(()), |(_, found)| Err(refused(path, what, found)))
    }

    /// Where the first hash is, and whose. As in Nix's own search, a byte that cannot be part of a hash lets all windows
    /// with it be skipped.
    fn find(&self, bytes: &[u8]) -> Option<(usize, &Path)> {
        let mut at = 0;
        while let Some(window) = bytes.get(at..).and_then(<[u8]>::first_chunk::<HASH>) {
            match window.iter().rposition(|byte| !is_digit(*byte)) {
                Some(last) => at += last + 1,
                None => match self.0.get(window) {
                    Some(path) => return Some((at, path)),
                    None => at += 1,
                },
            }
        }
        None
    }
}

/// Opens what its owner may have closed to everyone; Nix opens it to all afterwards.
fn opened<T>(path: &Path, metadata: &Metadata, open: impl Fn(&Path) -> io::Result<T>) -> io::Result<T> {
    match open(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let mode = metadata.permissions().mode();
            fs::set_permissions(path, Permissions::from_mode(mode | 0o500))?;
            let opened = open(path);
            // What is below a closed directory is read by way of it.
            if !metadata.is_dir() {
                fs::set_permissions(path, metadata.permissions())?;
            }
            opened
        }
        other => other,
    }
}

fn refused(path: &Path, place: &str, found: &Path) -> Error {
    Error::Refused {
        operation: REFUSE,
        path: path.into(),
        what: format!("it names {} ({place}), which belongs to the split build", Shown(found)),
        todo: "find what wrote that path into the output, and leave it out there; or use the unsplit build",
    }
}

/// Which bytes Nix writes hashes with.
const DIGITS: [bool; 256] = {
    let mut digits = [false; 256];
    let mut at = 0;
    while at < 32 {
        digits[b"0123456789abcdfghijklmnpqrsvwxyz"[at] as usize] = true;
        at += 1;
    }
    digits
};

fn is_digit(byte: u8) -> bool {
    DIGITS[usize::from(byte)]
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATE: &str = "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-p-1-phase-build";

    fn searched(make: impl FnOnce(&Path)) -> String {
        let scratch = tempfile::tempdir().unwrap();
        make(scratch.path());
        let mut forbidden = Forbidden::default();
        forbidden.path(Path::new(STATE));
        forbidden.path(Path::new("/nix/store/too-short"));
        forbidden.search(scratch.path()).map_or_else(|error| error.to_string(), |()| String::new())
    }

    #[test]
    fn a_hash_is_found_wherever_nix_finds_it() {
        let hash = &STATE[11..43];
        for before in [0, 1, 31, 32, BUFFER - 40, BUFFER - 32, BUFFER - 31, BUFFER - 1, BUFFER, 3 * BUFFER - 7] {
            // Also behind bytes that could be part of a hash.
            for byte in [b' ', b'a'] {
                let text = [&vec![byte; before][..], hash.as_bytes(), b"-x"].concat();
                let said = searched(|top| fs::write(top.join("file"), text).unwrap());
                assert!(said.contains(&format!("at byte {before})")), "{before}: {said}");
                assert!(said.contains("/file: it names ") && said.contains("-p-1-phase-build"), "{said}");
            }
        }
        let said = searched(|top| std::os::unix::fs::symlink(STATE, top.join("link")).unwrap());
        assert!(said.contains("link: it names") && said.contains("its target"), "{said}");
        let said = searched(|top| fs::create_dir(top.join(format!("x{hash}"))).unwrap());
        assert!(said.contains("its name"), "{said}");
    }

    #[test]
    fn nothing_else_is_found() {
        let said = searched(|top| {
            fs::write(top.join("short"), &STATE[11..42]).unwrap();
            fs::write(top.join("other"), "1123456789abcdfghijklmnpqrsvwxyz".repeat(3)).unwrap();
            fs::write(top.join("empty"), "").unwrap();
            std::os::unix::fs::symlink("/nix/store/missing", top.join("dangling")).unwrap();
        });
        assert_eq!(said, "");
    }
}
