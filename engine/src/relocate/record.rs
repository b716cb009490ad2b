//! Python's `RECORD`: the hash of each installed file, in base64, which relocating the file makes wrong.
//!
//! Owns the format (PEP 376, PEP 627: CSV of path, `sha256=` and the digest without padding, size). Only rows that were right
//! before and whose file is about to change are brought up to date: a row that was wrong stays what the package made it.

use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};

/// Whether a path is a RECORD: `<name>.dist-info/RECORD`.
#[must_use]
pub fn is_record(path: &Path) -> bool {
    path.ends_with("RECORD")
        && path.parent().and_then(Path::extension).is_some_and(|extension| extension == "dist-info")
}

/// The text of a RECORD with the sizes that its files will have, if one of those that were right changes. `sizes` says how large
/// (bytes) a file is and will be.
pub fn with_sizes(record: &Path, text: &str, sizes: impl Fn(&Path) -> Option<(usize, usize)>) -> Option<String> {
    let renewed = |line: &str| {
        let row = line.trim_end_matches(['\r', '\n']);
        let (front, size) = row.rsplit_once(',')?;
        let (name, _) = front.rsplit_once(',')?;
        let (old, new) = sizes(&named_file(record, name)?)?;
        (old != new && size.parse() == Ok(old)).then(|| format!("{front},{new}{}", &line[row.len()..]))
    };
    let new: String = text.split_inclusive('\n').map(|line| renewed(line).unwrap_or_else(|| line.to_owned())).collect();
    (new != text).then_some(new)
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
    fn sizes_that_were_right_are_brought_up_to_date() {
        let record = Path::new("/site/x-1.dist-info/RECORD");
        let sizes = |file: &Path| match file.to_str()? {
            "/bin/a,b" | "/site/wrong.py" => Some((3, 5)),
            "/site/same.py" => Some((3, 3)),
            _ => None,
        };
        let text = |size| {
            format!(
                "\"../bin/a,b\",sha256=x,{size}\nwrong.py,sha256=x,4\nsame.py,sha256=x,3\nother.py,sha256=x,3\r\nx-1.dist-info/RECORD,,\n"
            )
        };
        assert!(is_record(record) && !is_record(Path::new("/site/m.py")));
        assert_eq!(with_sizes(record, &text(3), sizes), Some(text(5)));
        assert_eq!(with_sizes(record, &text(9), sizes), None);
    }
}
