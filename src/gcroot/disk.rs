//! The only place that changes files of the state directory: each change is whole or did not happen.

use std::fs::{self, File, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::fault::{self, Step};

/// What the names of files begin with that are not in their place yet.
pub(super) const TEMPORARY: &str = ".new-";

/// The most bytes that a file of ours has: the paths of a build of many thousand stages.
const LONGEST: u64 = 8 << 20;

/// Reads a small file. Anything else under its name, a pipe that nobody writes to for one, is refused and not waited for.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let metadata = fs::symlink_metadata(path)?;
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is no file"));
    }
    let mut content = Vec::new();
    File::open(path)?.take(LONGEST + 1).read_to_end(&mut content)?;
    if content.len() as u64 > LONGEST {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is too long"));
    }
    Ok(content)
}

/// Puts a file in place of what was there.
pub(super) fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    place(path, content, |_| Ok(())).map(drop)
}

/// The same, with something done to the file before it can be seen by its name.
pub(super) fn place(path: &Path, content: &[u8], prepare: impl FnOnce(&File) -> io::Result<()>) -> io::Result<File> {
    let directory = path.parent().ok_or(io::ErrorKind::NotFound)?;
    make_directory(directory)?;
    fault::at(Step::Write)?;
    // 0666 less the umask, as any program that creates a file asks for.
    let mut file =
        tempfile::Builder::new().prefix(TEMPORARY).permissions(Permissions::from_mode(0o666)).tempfile_in(directory)?;
    fault::at(Step::Write)?;
    file.write_all(content)?;
    // A network file system tells of a full disk no sooner; and the name should not outlive the content.
    file.as_file().sync_data()?;
    prepare(file.as_file())?;
    fault::at(Step::Write)?;
    let file = file.persist(path).map_err(|error| error.error)?;
    fault::at(Step::Other)?;
    Ok(file)
}

/// Removes a file or a link; one that is gone already is fine.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    fault::at(Step::Other)?;
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fault::at(Step::Other)
}

/// Makes a directory and those above it.
pub(super) fn make_directory(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    fault::at(Step::Write)?;
    fs::create_dir_all(path)?;
    fault::at(Step::Other)
}
