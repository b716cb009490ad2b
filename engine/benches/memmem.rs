//! The yardstick of `scripts/bench-relocate.sh`: every file below a directory is read, on all cores, and searched for one text.
//! Prints how many files have it. Arguments: the directory, the text.

use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

fn main() {
    // `cargo bench` adds an option of its own.
    let mut arguments = std::env::args_os().skip(1).filter(|argument| argument != "--bench");
    let (Some(directory), Some(text)) = (arguments.next(), arguments.next()) else { return };
    let (mut files, mut todo) = (Vec::new(), vec![PathBuf::from(directory)]);
    while let Some(directory) = todo.pop() {
        for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => todo.push(entry.path()),
                Ok(kind) if kind.is_file() => files.push(entry.path()),
                _ => {}
            }
        }
    }
    let finder = memchr::memmem::Finder::new(text.as_bytes());
    let (next, found) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let work = || {
        while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            let has = std::fs::read(file).is_ok_and(|bytes| finder.find(&bytes).is_some());
            found.fetch_add(usize::from(has), Ordering::Relaxed);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    println!("{}", found.into_inner());
}
