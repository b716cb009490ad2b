//! False alarms: files that know nothing of a staged prefix are searched for one, and nothing is found.
//!
//! In the suite, some programs of this machine. With `PHASESPLIT_ALARMS=DIR[:DIR]...` all of these trees, by the static engine
//! (`PHASESPLIT_STATE`) where that is set: twice, the second time from the page cache, with its speed.

use phasesplit_state::relocate::{Mapping, scan};
use std::ffi::{OsStr, OsString};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// How much (bytes) is searched in the suite, and the most that one file may have.
const BYTES: u64 = 24 << 20;
const FILE: u64 = 4 << 20;

/// `STAGED=REAL`, other ones each time; the numbers come from the system, by way of the hasher's keys.
fn random_map(name: &str) -> String {
    use std::hash::{BuildHasher, Hasher};
    let hash = || -> String {
        let digit = |i: u64| {
            let mut hasher = std::collections::hash_map::RandomState::new().build_hasher();
            hasher.write_u64(i);
            char::from(b"0123456789abcdfghijklmnpqrsvwxyz"[usize::try_from(hasher.finish() % 32).unwrap()])
        };
        (0..32).map(digit).collect()
    };
    format!("/nix/store/{}-{name}=/nix/store/{}-{name}", hash(), hash())
}

fn some_programs() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir("/usr/bin").into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.sort();
    let mut left = BYTES;
    files.retain(|file| {
        let Ok(meta) = file.symlink_metadata() else { return false };
        let fits =
            meta.is_file() && meta.permissions().mode() & 0o400 != 0 && (1..=FILE.min(left)).contains(&meta.len());
        left -= if fits { meta.len() } else { 0 };
        fits
    });
    files
}

fn size(path: &Path) -> (u64, usize) {
    let Ok(meta) = path.symlink_metadata() else { return (0, 0) };
    if meta.is_dir() {
        let children = std::fs::read_dir(path).into_iter().flatten().flatten();
        return children.map(|child| size(&child.path())).fold((0, 0), |(a, b), (c, d)| (a + c, b + d));
    }
    if meta.is_file() { (meta.size(), 1) } else { (0, 0) }
}

fn by_engine(engine: &OsStr, maps: &[String], paths: &[PathBuf]) -> String {
    let mut arguments = vec![OsString::from("scan")];
    arguments.extend(maps.iter().flat_map(|map| ["--map".into(), map.into()]));
    let output = Command::new(engine).args(arguments).args(paths).output().unwrap();
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn by_library(maps: &[String], paths: &[PathBuf]) -> String {
    let maps: Vec<Mapping> = maps.iter().map(|map| Mapping::parse(map.as_ref()).unwrap()).collect();
    scan(&maps, paths).map_or_else(|error| error.to_string(), |harmless| harmless.to_string())
}

#[test]
fn other_files_raise_no_alarm() {
    let given = std::env::var_os("PHASESPLIT_ALARMS");
    let paths = given.as_ref().map_or_else(some_programs, |paths| std::env::split_paths(paths).collect());
    let maps = [random_map("hello-2.10"), random_map("hello-2.10-dev"), random_map("a")];
    let (bytes, files) = paths.iter().map(|path| size(path)).fold((0, 0), |(a, b), (c, d)| (a + c, b + d));
    for _ in 0..if given.is_some() { 2 } else { 1 } {
        let begun = Instant::now();
        let engine = std::env::var_os("PHASESPLIT_STATE").filter(|_| given.is_some());
        let found = engine.map_or_else(|| by_library(&maps, &paths), |engine| by_engine(&engine, &maps, &paths));
        assert_eq!(found, "", "{maps:?}");
        let seconds = begun.elapsed().as_secs_f64();
        #[allow(clippy::cast_precision_loss, reason = "for people to read")]
        let billions = bytes as f64 / 1e9;
        eprintln!("0 alarms in {files} files, {billions:.2} GB: {seconds:.1} s, {:.2} GB/s", billions / seconds);
    }
}
