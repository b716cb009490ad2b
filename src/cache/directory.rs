//! A binary cache in the file system, read without anybody in between.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;

use nix_narinfo::MAX_NARINFO_SIZE;

use super::failure::Failure;
use super::{Record, check_info, record_name};

/// The records of `paths` in a directory.
pub fn records(directory: &Path, paths: &[&str], store_dir: &str) -> Result<Vec<Record>, Failure> {
    let info = fs::read(directory.join("nix-cache-info")).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Failure::NoCache(format!("there is no cache in {}", directory.display())),
        _ => failure(directory, &error),
    })?;
    check_info(&info, store_dir)?;
    Ok(paths.iter().map(|path| record(&directory.join(record_name(path)))).collect())
}

fn record(file: &Path) -> Record {
    let read = File::open(file).and_then(|file| {
        let mut bytes = Vec::new();
        // One byte more than a record may have, so that a longer one is found to be none.
        file.take(MAX_NARINFO_SIZE as u64 + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    });
    match read {
        Ok(bytes) => Record::Found(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Record::Missing,
        Err(error) => Record::Untold(failure(file, &error)),
    }
}

fn failure(file: &Path, error: &io::Error) -> Failure {
    let what = format!("cannot read {}: {error}", file.display());
    match error.kind() {
        io::ErrorKind::PermissionDenied => Failure::Refused(what),
        _ => Failure::Other(what),
    }
}
