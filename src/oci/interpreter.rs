//! What a program needs to be started: the loader that an ELF file names, or what stands behind `#!`.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

/// As much of a file as is looked at for `#!`; Linux does not read more.
const HEAD: usize = 256;

/// The longest name of a loader that is believed.
const LONGEST: u64 = 4096;

const INTERPRETER: u32 = 3;

/// The program that starts `file`, if it names one. A script that nobody may execute is only text.
///
/// # Errors
/// What the file system says.
pub fn of(file: &File, is_executable: bool) -> io::Result<Option<Vec<u8>>> {
    let mut head = [0; HEAD];
    let len = read(file, &mut head, 0)?;
    let head = &head[..len];
    if head.starts_with(b"\x7fELF") {
        return loader(file, head);
    }
    let Some(line) = head.strip_prefix(b"#!").filter(|_| is_executable) else { return Ok(None) };
    let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    Ok(words.next().map(<[u8]>::to_vec))
}

fn read(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut len = 0;
    // Farther than any file reaches the kernel speaks of an invalid argument.
    while let Some(at) = offset.checked_add(len as u64).filter(|at| i64::try_from(*at).is_ok())
        && len < buffer.len()
    {
        match file.read_at(&mut buffer[len..], at) {
            Ok(0) => break,
            Ok(read) => len += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(len)
}

/// Fields of an ELF header (System V ABI, "ELF Header" and "Program Header"): a file that is none, or is cut, has no loader.
fn loader(file: &File, head: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let (Some(&class), Some(&order)) = (head.get(4), head.get(5)) else { return Ok(None) };
    let (wide, little) = (class == 2, order == 1);
    let number = |bytes: &[u8], at: usize, len: usize| -> Option<u64> {
        let field = bytes.get(at..at.checked_add(len)?)?;
        let fold = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        Some(if little { field.iter().rev().fold(0, fold) } else { field.iter().fold(0, fold) })
    };
    let fields = if wide {
        (number(head, 32, 8), number(head, 54, 2), number(head, 56, 2))
    } else {
        (number(head, 28, 4), number(head, 42, 2), number(head, 44, 2))
    };
    let (Some(start), Some(size), Some(count)) = fields else { return Ok(None) };
    let (size, count) = (usize::try_from(size).unwrap_or(0), usize::try_from(count).unwrap_or(0));
    if size != if wide { 56 } else { 32 } {
        return Ok(None);
    }
    let mut table = vec![0; size * count];
    let len = read(file, &mut table, start)?;
    for entry in table[..len].chunks_exact(size) {
        if number(entry, 0, 4) != Some(u64::from(INTERPRETER)) {
            continue;
        }
        let place = if wide {
            (number(entry, 8, 8), number(entry, 32, 8))
        } else {
            (number(entry, 4, 4), number(entry, 16, 4))
        };
        let (Some(at), Some(len)) = place else { return Ok(None) };
        let mut name = vec![0; usize::try_from(len.min(LONGEST)).unwrap_or(0)];
        let len = read(file, &mut name, at)?;
        name.truncate(len);
        return Ok(name.split(|byte| *byte == 0).next().filter(|name| !name.is_empty()).map(<[u8]>::to_vec));
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn found(bytes: &[u8], is_executable: bool) -> Option<String> {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(bytes).expect("written");
        of(&file, is_executable).expect("read").map(|name| String::from_utf8(name).expect("text"))
    }

    #[test]
    fn scripts_and_programs_name_what_starts_them() {
        assert_eq!(found(b"#! /bin/sh -e\nexit\n", true).as_deref(), Some("/bin/sh"));
        assert_eq!(found(b"#!/usr/bin/env", true).as_deref(), Some("/usr/bin/env"));
        assert_eq!(found(b"#!/bin/sh\n", false), None);
        assert_eq!(found(b"#!\n", true), None);
        assert_eq!(found(b"", true), None);
        let own = of(&File::open("/proc/self/exe").expect("opened"), true).expect("read").expect("a loader");
        assert!(own.starts_with(b"/lib"), "{own:?}");
    }

    #[test]
    fn a_cut_or_lying_header_has_no_loader() {
        let mut whole = std::fs::read("/proc/self/exe").expect("read");
        whole.truncate(1 << 16);
        for len in [4, 5, 20, 40, 57, 63, 64, 100, 200] {
            found(&whole[..len], true);
        }
        let mut lying = whole.clone();
        lying[32..40].fill(0xff);
        assert_eq!(found(&lying, true), None);
        lying = whole;
        lying[54..58].fill(0);
        assert_eq!(found(&lying, true), None);
    }
}
