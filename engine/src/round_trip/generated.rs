//! Save then restore is the identity on generated trees, and on what generated edits make of them, layer upon layer.

use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::super::entry::join;
use super::{Scene, chmod, describe, name, stamp};

/// What a generated tree does next; whatever the tree of that moment does not allow is skipped.
#[derive(Debug, Clone)]
enum Step {
    Directory(Vec<u8>, u32),
    /// A directory of so many empty files.
    Many(Vec<u8>, u16),
    File(Vec<u8>, Vec<u8>, u32),
    Sparse(Vec<u8>, u64, u32),
    Symlink(Vec<u8>, Vec<u8>),
    HardLink(prop::sample::Index, Vec<u8>),
    Fifo(Vec<u8>, u32),
    Socket(Vec<u8>),
}

fn any_path() -> impl Strategy<Value = Vec<u8>> {
    let component = prop_oneof![
        4 => prop::sample::select(vec![b"a".to_vec(), b"b".to_vec(), b"a-b".to_vec(), b".x".to_vec(), b"-".to_vec()]),
        2 => prop::collection::vec((1..=255u8).prop_filter("a separator", |byte| *byte != b'/'), 1..8),
        1 => (90..255usize).prop_map(|len| vec![b'l'; len]),
    ]
    .prop_filter("no name", |name| name != b"." && name != b"..");
    prop::collection::vec(component, 1..5).prop_map(|components| {
        let root = [&b"build"[..], b"store/out", b"tmp"][components[0].len() % 3];
        components.iter().fold(root.to_vec(), |path, component| join(&path, component))
    })
}

/// All bits, setuid and none at all included.
fn any_mode() -> impl Strategy<Value = u32> {
    prop_oneof![6 => 0..=0o7777u32, 1 => Just(0), 1 => Just(0o4755), 1 => Just(0o2755)]
}

fn any_step() -> impl Strategy<Value = Step> {
    let path = any_path().boxed();
    let mode = any_mode().boxed();
    prop_oneof![
        4 => (path.clone(), mode.clone()).prop_map(|(p, m)| Step::Directory(p, m)),
        4 => (path.clone(), prop::collection::vec(any::<u8>(), 0..2000), mode.clone()).prop_map(|(p, c, m)| Step::File(p, c, m)),
        1 => (path.clone(), 0..3_000_000u64, mode.clone()).prop_map(|(p, s, m)| Step::Sparse(p, s, m)),
        1 => (path.clone(), 0..400u16).prop_map(|(p, n)| Step::Many(p, n)),
        2 => (path.clone(), prop::collection::vec(1..=255u8, 1..150)).prop_map(|(p, t)| Step::Symlink(p, t)),
        2 => (any::<prop::sample::Index>(), path.clone()).prop_map(|(i, p)| Step::HardLink(i, p)),
        1 => (path.clone(), mode).prop_map(|(p, m)| Step::Fifo(p, m)),
        1 => path.prop_map(Step::Socket),
    ]
}

/// Takes a step below `root`, where `others` are. Gives what it made and the mode to set once nothing is added any more.
fn make(root: &Path, step: &Step, others: &[PathBuf]) -> Option<(PathBuf, Option<u32>)> {
    let at = |path: &[u8]| root.join(name(path));
    let (path, mode, done) = match step {
        Step::Directory(path, mode) => (path, Some(*mode), fs::create_dir(at(path)).is_ok()),
        Step::Many(path, count) => {
            let made = fs::create_dir(at(path)).is_ok();
            let each = |index| File::create_new(at(path).join(format!("{index:x}"))).is_ok();
            (path, None, made && (0..*count).all(each))
        }
        Step::File(path, content, mode) => {
            let created = File::create_new(at(path));
            (path, Some(*mode), created.is_ok_and(|file| file.write_all_at(content, 0).is_ok()))
        }
        Step::Sparse(path, size, mode) => {
            let created = File::create_new(at(path));
            let wrote = created.is_ok_and(|file| {
                file.set_len(*size).is_ok() && file.write_all_at(b"middle", size / 2).is_ok() && file.sync_all().is_ok()
            });
            (path, Some(*mode), wrote)
        }
        Step::Symlink(path, target) => (path, None, symlink(name(target), at(path)).is_ok()),
        Step::HardLink(index, path) => {
            let files: Vec<_> = others.iter().filter(|path| !path.symlink_metadata().unwrap().is_dir()).collect();
            (path, None, !files.is_empty() && fs::hard_link(index.get(&files), at(path)).is_ok())
        }
        Step::Fifo(path, mode) => {
            let node = mknodat(CWD, at(path), FileType::Fifo, Mode::RWXU, 0);
            (path, Some(*mode), node.is_ok())
        }
        Step::Socket(path) => {
            let node = mknodat(CWD, at(path), FileType::Socket, Mode::RWXU, 0);
            (path, None, node.is_ok())
        }
    };
    done.then(|| (at(path), mode))
}

/// Takes the steps below `root`; returns the modes to set once nothing is added any more.
fn take(root: &Path, steps: &[Step]) -> Vec<(PathBuf, Option<u32>)> {
    let mut made: Vec<(PathBuf, Option<u32>)> = Vec::new();
    let mut paths = Vec::new();
    fs::create_dir(root.join("store/out")).unwrap();
    for step in steps {
        if let Some((path, mode)) = make(root, step, &paths) {
            paths.push(path.clone());
            made.push((path, mode));
        }
    }
    made
}

/// What a phase does to the tree it was given; whatever the tree of that moment does not allow is skipped.
#[derive(Debug, Clone)]
enum Edit {
    Make(Step),
    /// Writes into a file, and gives it back its mtime where that is asked for.
    Modify(prop::sample::Index, Vec<u8>, bool),
    Touch(prop::sample::Index, i64, u32),
    Chmod(prop::sample::Index, u32),
    Delete(prop::sample::Index),
    /// Removes what is there and makes something else of the same name, of any kind.
    Replace(prop::sample::Index, Step),
    Rename(prop::sample::Index, Vec<u8>),
    Copy(prop::sample::Index, Vec<u8>),
}

fn any_edit() -> impl Strategy<Value = Edit> {
    let index = || any::<prop::sample::Index>();
    let content = prop::collection::vec(any::<u8>(), 0..3000);
    prop_oneof![
        3 => any_step().prop_map(Edit::Make),
        3 => (index(), content, any::<bool>()).prop_map(|(i, c, b)| Edit::Modify(i, c, b)),
        1 => (index(), -2_000_000_000..15_000_000_000i64, 0..1_000_000_000u32).prop_map(|(i, s, n)| Edit::Touch(i, s, n)),
        1 => (index(), any_mode()).prop_map(|(i, m)| Edit::Chmod(i, m)),
        2 => index().prop_map(Edit::Delete),
        2 => (index(), any_step()).prop_map(|(i, s)| Edit::Replace(i, s)),
        2 => (index(), any_path()).prop_map(|(i, p)| Edit::Rename(i, p)),
        1 => (index(), any_path()).prop_map(|(i, p)| Edit::Copy(i, p)),
    ]
}

/// Not root: only what its owner can read again can be compared.
fn readable(mode: u32) -> u32 {
    if rustix::process::geteuid().is_root() { mode } else { mode | 0o700 }
}

fn edit(root: &Path, edit: &Edit) {
    let mut paths: Vec<PathBuf> = Vec::new();
    for top in ["build", "store/out", "tmp"] {
        paths.extend(
            describe(&root.join(top)).into_keys().filter(|path| path != Path::new("")).map(|p| root.join(top).join(p)),
        );
    }
    let pick = |index: &prop::sample::Index| (!paths.is_empty()).then(|| index.get(&paths));
    let chosen = match edit {
        Edit::Make(step) => {
            if let Some((path, Some(mode))) = make(root, step, &paths) {
                chmod(&path, readable(mode));
            }
            return;
        }
        Edit::Modify(index, ..)
        | Edit::Touch(index, ..)
        | Edit::Chmod(index, _)
        | Edit::Delete(index)
        | Edit::Replace(index, _)
        | Edit::Rename(index, _)
        | Edit::Copy(index, _) => pick(index),
    };
    let Some(path) = chosen else { return };
    let metadata = path.symlink_metadata().unwrap();
    let remove = || {
        if metadata.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
    };
    match edit {
        Edit::Modify(_, content, keep_time) if metadata.is_file() => {
            let Ok(file) = File::options().write(true).open(path) else { return };
            // Less, as much or more than there was.
            file.write_all_at(content, 0).unwrap();
            file.set_len((content.len() as u64).max(metadata.len() / 2)).unwrap();
            drop(file);
            if *keep_time {
                stamp(path, metadata.mtime(), u32::try_from(metadata.mtime_nsec()).unwrap());
            }
        }
        Edit::Touch(_, secs, nanos) => stamp(path, *secs, *nanos),
        Edit::Chmod(_, mode) if !metadata.is_symlink() => chmod(path, readable(*mode)),
        Edit::Delete(_) => remove(),
        Edit::Replace(_, step) => {
            remove();
            let mut step = step.clone();
            let here = path.strip_prefix(root).unwrap().as_os_str().as_bytes().to_vec();
            let (Step::Directory(path, _) | Step::File(path, ..) | Step::Sparse(path, ..)) = &mut step else { return };
            *path = here;
            make(root, &step, &[]);
        }
        // Refused where it would go into itself or the directory is not there; it may replace what is there.
        Edit::Rename(_, to) => _ = fs::rename(path, root.join(name(to))),
        // Writing to what is there could go through a link, or wait for a pipe's reader.
        Edit::Copy(_, to) if metadata.is_file() && root.join(name(to)).symlink_metadata().is_err() => {
            _ = fs::copy(path, root.join(name(to)));
        }
        _ => {}
    }
}

/// As many cases as `PROPTEST_CASES` asks for; few enough for every day where it asks for nothing.
fn config() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig { cases: cases.unwrap_or(48), failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_edits_survive_layer_upon_layer(
        steps in prop::collection::vec(any_step(), 0..40),
        stages in prop::collection::vec(prop::collection::vec(any_edit(), 0..12), 1..6),
    ) {
        let scene = Scene::new();
        for (path, mode) in take(scene.root.path(), &steps).iter().rev() {
            if let Some(mode) = mode {
                chmod(path, readable(*mode));
            }
        }
        let mut before = scene.described();
        scene.save_to("state 0").unwrap();
        for (index, edits) in stages.iter().enumerate() {
            let [old, new] = [index, index + 1].map(|index| format!("state {index}"));
            scene.restore_from(&old).unwrap();
            prop_assert_eq!(scene.described(), before);
            for change in edits {
                edit(scene.root.path(), change);
            }
            before = scene.described();
            scene.save_on(&new, &old, true).unwrap();
            prop_assert_eq!(scene.described(), before.clone(), "saving changed the tree");
            let blind = format!("{new} without a listing");
            scene.save_on(&blind, &old, false).unwrap();
            scene.assert_same(&new, &blind);
        }
        scene.restore_from(&format!("state {}", stages.len())).unwrap();
        prop_assert_eq!(scene.described(), before);
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_tree_survives(
        steps in prop::collection::vec(any_step(), 0..40),
        times in prop::collection::vec((-2_000_000_000..15_000_000_000i64, 0..1_000_000_000u32), 40),
    ) {
        let scene = Scene::new();
        let made = take(scene.root.path(), &steps);
        for ((path, mode), (secs, nanos)) in made.iter().zip(&times).rev() {
            if let Some(mode) = mode {
                chmod(path, readable(*mode));
            }
            stamp(path, *secs, *nanos);
        }
        scene.round_trip();
    }
}
