//! Lists of checksums that lie beside the files they are about: `SHA256SUMS`, `x.tar.sha512`, `x.md5`.
//!
//! Owns their names and forms (coreutils, "md5sum invocation"). Only sums that were right before are brought up to date; sums
//! of the older kinds are only named.

use super::content::Edit;
use super::error::Error;
use super::record::resolve;
use sha2::{Digest, Sha256, Sha512};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// How sums are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// 64 hexadecimal digits.
    Sha256,
    /// 128 hexadecimal digits.
    Sha512,
    /// MD5 or SHA-1, which are not made here.
    Older,
}

/// A list of sums and the files it names that are about to change.
#[derive(Debug, PartialEq, Eq)]
pub struct Stale {
    /// The list.
    pub path: PathBuf,
    kind: Kind,
    /// Where in the list the digits are, and the file they are about.
    rows: Vec<(usize, PathBuf)>,
}

/// What kind of sums a file lists, by its name.
#[must_use]
pub fn kind(path: &Path) -> Option<Kind> {
    let name = path.file_name()?.to_str()?.to_ascii_lowercase();
    let is = |sum: &str| {
        name.starts_with(&format!("{sum}sum"))
            || name.ends_with(&format!(".{sum}"))
            || name.ends_with(&format!(".{sum}sum"))
    };
    let kinds = [("sha256", Kind::Sha256), ("sha512", Kind::Sha512), ("md5", Kind::Older), ("sha1", Kind::Older)];
    kinds.into_iter().find(|(sum, _)| is(sum)).map(|(_, kind)| kind)
}

/// The lists of `lists` that are right about one of the files `changing`; of older kinds, all that name one.
///
/// # Errors
/// What cannot be read.
pub fn find(lists: &[PathBuf], changing: &BTreeSet<PathBuf>) -> Result<Vec<Stale>, Error> {
    let mut all = Vec::new();
    for path in lists.iter().filter(|_| !changing.is_empty()) {
        let (Some(kind), Some(directory)) = (kind(path), path.parent()) else { continue };
        let bytes = std::fs::read(path).map_err(Error::io("read", path))?;
        let Ok(text) = std::str::from_utf8(&bytes) else { continue };
        let mut rows = Vec::new();
        let mut at = 0;
        for line in text.split_inclusive('\n') {
            if let Some((digits, name)) = row(line.trim_end(), path)
                && let Some(file) = resolve(directory, name).filter(|file| changing.contains(file))
                && (kind == Kind::Older || line[digits.clone()].eq_ignore_ascii_case(&sum(kind, &file)?))
            {
                rows.push((at + digits.start, file));
            }
            at += line.len();
        }
        if !rows.is_empty() {
            all.push(Stale { path: path.clone(), kind, rows });
        }
    }
    Ok(all)
}

/// Where a line's digits are, and the name of the file: `DIGITS  NAME`, `DIGITS *NAME`, `SHA256 (NAME) = DIGITS`, or the digits
/// alone, beside the file that the list's own name begins with.
fn row<'a>(line: &'a str, list: &'a Path) -> Option<(std::ops::Range<usize>, &'a str)> {
    let digits = |text: &str| text.len() >= 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if let Some((front, sum)) = line.rsplit_once(") = ").filter(|(_, sum)| digits(sum)) {
        return Some((line.len() - sum.len()..line.len(), front.split_once('(')?.1));
    }
    match line.split_once(' ') {
        Some((sum, name)) if digits(sum) => Some((0..sum.len(), name.strip_prefix([' ', '*'])?)),
        None if digits(line) => Some((0..line.len(), list.file_stem()?.to_str()?)),
        _ => None,
    }
}

fn sum(kind: Kind, file: &Path) -> Result<String, Error> {
    use std::fmt::Write as _;
    let bytes = std::fs::read(file).map_err(Error::io("read", file))?;
    let digest = match kind {
        Kind::Sha256 => Sha256::digest(&bytes).to_vec(),
        Kind::Sha512 => Sha512::digest(&bytes).to_vec(),
        Kind::Older => Vec::new(),
    };
    Ok(digest.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

impl Stale {
    /// Whether it can only be named.
    #[must_use]
    pub fn is_older(&self) -> bool {
        self.kind == Kind::Older
    }

    /// The new sums, once the files have changed. They are as long as the old ones.
    ///
    /// # Errors
    /// What cannot be read.
    pub fn renewed(&self) -> Result<Vec<Edit>, Error> {
        self.rows.iter().map(|(at, file)| Ok(Edit { at: *at, bytes: sum(self.kind, file)?.into_bytes() })).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_that_were_right_are_brought_up_to_date_in_every_form() {
        let scratch = tempfile::tempdir().unwrap();
        let at = |name: &str| scratch.path().join(name);
        std::fs::write(at("f"), "old").unwrap();
        let old = sum(Kind::Sha256, &at("f")).unwrap();
        assert_eq!(old, "cba06b5736faf67e54b07b561eae94395e774c517a7d910a54369e1263ccfbd4");
        let wrong = old.replace('c', "d");
        let text = |sum: &str| format!("{sum}  f\n{sum} *./f\nSHA256 (f) = {sum}\n{wrong}  f\n{old}  g\nnot a row\n");
        std::fs::write(at("SHA256SUMS"), text(&old)).unwrap();
        std::fs::write(at("f.sha256"), &old).unwrap();
        std::fs::write(at("f.md5"), "149603e6c03516362a8da23f624db945  f\n").unwrap();
        let lists = [at("SHA256SUMS"), at("f.sha256"), at("f.md5")];
        let stale = find(&lists, &BTreeSet::from([at("f")])).unwrap();
        assert_eq!(stale.iter().map(Stale::is_older).collect::<Vec<_>>(), [false, false, true]);
        std::fs::write(at("f"), "newer").unwrap();
        let new = sum(Kind::Sha256, &at("f")).unwrap();
        for (stale, want) in stale.iter().zip([text(&new), new.clone()]) {
            let mut bytes = std::fs::read(&stale.path).unwrap();
            super::super::content::apply(&mut bytes, &stale.renewed().unwrap());
            assert_eq!(String::from_utf8(bytes).unwrap(), want);
        }
        assert_eq!(find(&lists, &BTreeSet::new()).unwrap(), []);
        assert_eq!(kind(Path::new("x/sha256.c")), None);
    }
}
