//! Closures: what store paths refer to, as the store's database has it.

use std::collections::{BTreeMap, BTreeSet};

use super::{Cause, Nix, NixError, Tool};

/// A store path, as the store's database has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    /// Hash of its NAR, with the algorithm: `sha256:…`.
    pub hash: String,
    /// Size of its NAR in bytes.
    pub size: u64,
    /// The derivation that made it, where that is known; it may be gone.
    pub deriver: Option<String>,
    /// What it refers to; itself too, where it does.
    pub references: Vec<String>,
}

/// Store paths by name.
pub type Registry = BTreeMap<String, Registered>;

/// All that these store paths refer to, themselves included, in the order of their names.
///
/// # Errors
/// Where the store cannot be asked, or does not have one of them.
pub fn of(nix: &Nix, paths: &[String]) -> Result<BTreeSet<String>, NixError> {
    let words = ["--query", "--requisites"].into_iter().chain(paths.iter().map(String::as_str));
    let answer = nix.run(Tool::Store, "cannot ask the store what these paths refer to", words, b"")?;
    Ok(String::from_utf8_lossy(&answer.stdout).lines().map(str::to_owned).collect())
}

/// The same, with what the database says of each.
///
/// # Errors
/// As for [`of`].
pub fn registry(nix: &Nix, paths: &[String]) -> Result<Registry, NixError> {
    let all = of(nix, paths)?;
    let words = std::iter::once("--dump-db").chain(all.iter().map(String::as_str));
    let operation = "cannot ask the store about a closure";
    let answer = nix.run(Tool::Store, operation, words, b"")?;
    parse(&String::from_utf8_lossy(&answer.stdout)).ok_or_else(|| {
        let cause = Cause::Answer("the answer of `nix-store --dump-db` is not in its form".to_owned());
        NixError { operation: operation.to_owned(), command: String::new(), cause }
    })
}

/// Path, hash, size, deriver, number of references and these, each on a line.
fn parse(text: &str) -> Option<Registry> {
    let mut lines = text.lines();
    let mut registry = Registry::new();
    while let Some(path) = lines.next() {
        let hash = format!("sha256:{}", lines.next()?.trim_start_matches("sha256:"));
        let size = lines.next()?.parse().ok()?;
        let deriver = Some(lines.next()?).filter(|deriver| !deriver.is_empty()).map(str::to_owned);
        let count: usize = lines.next()?.parse().ok()?;
        let references: Vec<String> = lines.by_ref().take(count).map(str::to_owned).collect();
        if references.len() != count {
            return None;
        }
        registry.insert(path.to_owned(), Registered { hash, size, deriver, references });
    }
    Some(registry)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_database_is_read_to_its_end_or_not_at_all() {
        let text = "/s/a\nabc\n10\n\n2\n/s/a\n/s/b\n/s/b\ndef\n5\n/s/b.drv\n0\n";
        let registry = parse(text).expect("whole");
        assert_eq!(registry["/s/a"].references, ["/s/a", "/s/b"]);
        let b = &registry["/s/b"];
        assert_eq!((b.hash.as_str(), b.size, b.deriver.as_deref()), ("sha256:def", 5, Some("/s/b.drv")));
        assert_eq!(parse("/s/a\nabc\n10\n\n2\n/s/a\n"), None);
        assert_eq!(parse("/s/a\nabc\nten\n\n0\n"), None);
    }
}
