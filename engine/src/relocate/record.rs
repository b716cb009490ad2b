//! Python's `RECORD`: the hash of each installed file, in base64, which relocating the file makes wrong.
//!
//! Owns the format (PEP 376, PEP 627: CSV of path, `sha256=` and the digest without padding, size). Only rows that were right
//! before and whose file is about to change are brought up to date: a row that was wrong stays what the package made it.

use super::error::Error;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A row whose file is about to change.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    /// The row's text, without the end of the line.
    line: String,
    /// Its first field, as written.
    name: String,
    /// The file it is about.
    file: PathBuf,
}

/// The rows of one RECORD that relocation makes wrong.
#[derive(Debug)]
pub struct Stale {
    record: PathBuf,
    rows: Vec<Row>,
}

/// Whether a path is a RECORD: `<name>.dist-info/RECORD`.
#[must_use]
pub fn is_record(path: &Path) -> bool {
    path.ends_with("RECORD")
        && path.parent().and_then(Path::extension).is_some_and(|extension| extension == "dist-info")
}

/// The rows of `records` whose file is one of `changing`.
///
/// # Errors
/// What cannot be read.
pub fn find(records: &[PathBuf], changing: &BTreeSet<PathBuf>) -> Result<Vec<Stale>, Error> {
    let mut all = Vec::new();
    if changing.is_empty() {
        return Ok(all);
    }
    for record in records {
        let bytes = std::fs::read(record).map_err(Error::io("read", record))?;
        let Ok(text) = std::str::from_utf8(&bytes) else { continue };
        let mut rows = Vec::new();
        for line in text.lines() {
            let Some((name, digest)) = fields(line) else { continue };
            let Some(file) = named_file(record, name) else { continue };
            if changing.contains(&file) && facts_of(&file)?.0 == digest {
                rows.push(Row { line: line.to_owned(), name: name.to_owned(), file });
            }
        }
        if !rows.is_empty() {
            all.push(Stale { record: record.clone(), rows });
        }
    }
    Ok(all)
}

/// The new text of a RECORD, once its files have changed.
///
/// # Errors
/// What cannot be read.
pub fn refreshed(stale: &Stale) -> Result<(PathBuf, Vec<u8>), Error> {
    let bytes = std::fs::read(&stale.record).map_err(Error::io("read", &stale.record))?;
    let mut text = String::from_utf8_lossy(&bytes).into_owned();
    for row in &stale.rows {
        let (digest, size) = facts_of(&row.file)?;
        text = text.replace(&row.line, &format!("{},sha256={digest},{size}", row.name));
    }
    Ok((stale.record.clone(), text.into_bytes()))
}

/// The text of a wheel's RECORD, the rows brought up to date that were right. `changed` says what the file of a name had and
/// has; a wheel's own names need no resolving.
pub fn with_digests<'a>(text: &str, changed: impl Fn(&str) -> Option<(&'a [u8], &'a [u8])>) -> String {
    let renewed = |line: &str| {
        let row = line.trim_end_matches(['\r', '\n']);
        let (name, digest) = fields(row)?;
        let (old, new) = changed(&unquoted(name))?;
        let was_right = digest_of(old) == digest;
        was_right.then(|| format!("{name},sha256={},{}{}", digest_of(new), new.len(), &line[row.len()..]))
    };
    text.split_inclusive('\n').map(|line| renewed(line).unwrap_or_else(|| line.to_owned())).collect()
}

/// A row's name, as written, and its digest.
#[must_use]
pub fn fields(line: &str) -> Option<(&str, &str)> {
    let (front, _size) = line.rsplit_once(',')?;
    let (name, hash) = front.rsplit_once(',')?;
    Some((name, hash.strip_prefix("sha256=")?))
}

fn unquoted(name: &str) -> String {
    match name.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(inner) => inner.replace("\"\"", "\""),
        None => name.to_owned(),
    }
}

/// The file that a row of `record` with this name, as written, is about.
#[must_use]
pub fn named_file(record: &Path, name: &str) -> Option<PathBuf> {
    resolve(record.parent()?.parent()?, &unquoted(name))
}

/// `name` below `site`, `..` taken away by text: RECORD names scripts as `../../../bin/x`.
pub(super) fn resolve(site: &Path, name: &str) -> Option<PathBuf> {
    let mut path = site.to_owned();
    for part in Path::new(name).components() {
        match part {
            std::path::Component::Normal(part) => path.push(part),
            std::path::Component::ParentDir => path.pop().then_some(())?,
            std::path::Component::CurDir => {}
            std::path::Component::RootDir | std::path::Component::Prefix(_) => path = PathBuf::from("/"),
        }
    }
    Some(path)
}

/// The digest as RECORD writes it.
#[must_use]
pub fn digest_of(bytes: &[u8]) -> String {
    base64_url(&Sha256::digest(bytes))
}

/// The same of a file, and its size in bytes.
fn facts_of(file: &Path) -> Result<(String, usize), Error> {
    let bytes = std::fs::read(file).map_err(Error::io("read", file))?;
    Ok((digest_of(&bytes), bytes.len()))
}

/// Base64 with `-` and `_`, without padding (RFC 4648, section 5).
fn base64_url(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().enumerate().fold(0_u32, |group, (i, &byte)| group | u32::from(byte) << (16 - 8 * i));
        for i in 0..=chunk.len() {
            text.push(char::from(ALPHABET[(group >> (18 - 6 * i) & 63) as usize]));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_as_in_the_rfc() {
        for (plain, coded) in [("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foob", "Zm9vYg")] {
            assert_eq!(base64_url(plain.as_bytes()), coded);
        }
        assert_eq!(base64_url(&[0xfb, 0xff]), "-_8");
    }

    #[test]
    fn rows_that_were_right_are_brought_up_to_date() {
        let scratch = tempfile::tempdir().unwrap();
        let site = scratch.path().join("lib/site-packages");
        let info = site.join("x-1.dist-info");
        std::fs::create_dir_all(&info).unwrap();
        std::fs::create_dir_all(scratch.path().join("bin")).unwrap();
        let script = scratch.path().join("bin/a,b");
        let module = site.join("m.py");
        std::fs::write(&script, "old").unwrap();
        std::fs::write(&module, "old").unwrap();
        let old = facts_of(&script).unwrap().0;
        let record = info.join("RECORD");
        let before = format!(
            "\"../../bin/a,b\",sha256={old},3\nm.py,sha256=wrong,3\nother.py,sha256={old},3\nx-1.dist-info/RECORD,,\n"
        );
        std::fs::write(&record, &before).unwrap();
        assert!(is_record(&record) && !is_record(&module));

        let changing = BTreeSet::from([script.clone(), module]);
        let stale = find(std::slice::from_ref(&record), &changing).unwrap();
        std::fs::write(&script, "newer").unwrap();
        let (path, text) = refreshed(&stale[0]).unwrap();
        assert_eq!(path, record);
        let new = facts_of(&script).unwrap().0;
        assert_eq!(
            String::from_utf8(text).unwrap(),
            before.replace(&format!("\"../../bin/a,b\",sha256={old},3"), &format!("\"../../bin/a,b\",sha256={new},5"))
        );
        assert!(find(&[record], &BTreeSet::new()).unwrap().is_empty());
    }
}
