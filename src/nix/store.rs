//! Questions to the store and small changes in it.

use std::fs;
use std::io;
use std::path::Path;

use super::error::{Cause, NixError};
use super::{Nix, Tool};

/// Adds a file or directory under its own name and gives its store path.
///
/// # Errors
/// Where Nix refuses; `operation` says in the error what was wanted.
pub fn add(nix: &Nix, operation: &str, object: &Path) -> Result<String, NixError> {
    let answer = nix.run(Tool::Store, operation, ["--add".as_ref(), object.as_os_str()], b"")?;
    single_line(operation, &answer.stdout)
}

/// Which of these store paths are not valid, that is: not there, or only in part.
///
/// # Errors
/// Where the store cannot be asked.
pub fn invalid_paths(nix: &Nix, paths: &[&str]) -> Result<Vec<String>, NixError> {
    if paths.is_empty() {
        return Ok(Vec::new());
    }
    let args = ["--check-validity", "--print-invalid"].iter().chain(paths);
    let answer = nix.run(Tool::Store, "cannot ask the store which states it has", args, b"")?;
    Ok(String::from_utf8_lossy(&answer.stdout).lines().map(str::to_owned).collect())
}

/// Makes `link` an indirect root of `path`: the path is kept as long as the link points to it.
///
/// # Errors
/// Where the link cannot be made or the path is not valid and cannot be had.
pub fn add_root(nix: &Nix, link: &Path, path: &str) -> Result<(), NixError> {
    let args = ["--add-root".as_ref(), link.as_os_str(), "--indirect".as_ref(), "--realise".as_ref(), path.as_ref()];
    nix.run(Tool::Store, &format!("cannot register a root for {path}"), args, b"").map(drop)
}

/// Makes `link` an indirect root of the `.drv` itself. `nix-store --realise` would build it, so this asks the evaluator,
/// which roots the derivation that a value has: one that says no more than where it is.
///
/// # Errors
/// Where the link cannot be made or there is no such derivation.
pub fn add_derivation_root(nix: &Nix, link: &Path, drv: &str) -> Result<(), NixError> {
    let value =
        "{ drv }: { type = \"derivation\"; name = \"root\"; outputName = \"out\"; drvPath = builtins.storePath drv; }";
    let args = ["--add-root".as_ref(), link.as_os_str(), "--indirect".as_ref(), "--expr".as_ref(), value.as_ref()];
    let args = args.into_iter().chain(["--argstr".as_ref(), "drv".as_ref(), drv.as_ref()]);
    nix.run(Tool::Instantiate, &format!("cannot register a root for {drv}"), args, b"").map(drop)
}

/// Deletes these store paths and no others: Nix refuses one that anything else needs, and may have deleted others then.
///
/// # Errors
/// Where it refuses, in its words.
pub fn delete(nix: &Nix, paths: &[&str]) -> Result<(), NixError> {
    if paths.is_empty() {
        return Ok(());
    }
    // Large trees take their time, and so does waiting for a collection that is under way.
    nix.run_within(None, Tool::Store, "cannot delete", ["--delete"].iter().chain(paths), b"").map(drop)
}

/// Bytes of the regular files in a tree; store paths have few levels of directories.
///
/// # Errors
/// What the file system says, above all that it is not there.
pub fn size_of(path: &Path) -> io::Result<u64> {
    let mut total = 0;
    let mut todo = vec![path.to_owned()];
    while let Some(path) = todo.pop() {
        let metadata = fs::symlink_metadata(&path)?;
        if metadata.is_file() {
            total += metadata.len();
        } else if metadata.is_dir() {
            for entry in fs::read_dir(&path)? {
                todo.push(entry?.path());
            }
        }
    }
    Ok(total)
}

fn single_line(operation: &str, stdout: &[u8]) -> Result<String, NixError> {
    let text = String::from_utf8_lossy(stdout);
    let line = text.trim_end_matches('\n');
    if line.is_empty() || line.contains('\n') {
        return Err(NixError {
            operation: operation.to_owned(),
            command: String::new(),
            cause: Cause::Answer(format!("expected one store path, got {text:?}")),
        });
    }
    Ok(line.to_owned())
}
