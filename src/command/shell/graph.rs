//! `exportReferencesGraph`: what Nix writes about closures into a build directory.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{ShellError, closure};
use crate::nix::{Nix, NixError, Tool, store_path};

/// A store path, as the store's database has it.
#[derive(Debug, PartialEq, Eq)]
struct Registered {
    hash: String,
    size: u64,
    references: Vec<String>,
}

type Registry = BTreeMap<String, Registered>;

/// The file for the closure of `paths`: for each path its name, an empty line in place of what made it, how many paths it
/// refers to, and these.
pub fn text(nix: &Nix, paths: &[String]) -> Result<String, ShellError> {
    let mut text = String::new();
    for (path, registered) in registry(nix, paths)? {
        let references = &registered.references;
        for line in [&path, "", &references.len().to_string()].into_iter().chain(references.iter().map(String::as_str))
        {
            text += line;
            text.push('\n');
        }
    }
    Ok(text)
}

/// The same as structured attributes have it.
pub fn json(nix: &Nix, paths: &[String]) -> Result<Value, ShellError> {
    let registry = registry(nix, paths)?;
    let list = registry.iter().map(|(path, registered)| {
        json!({
            "path": path,
            "narHash": registered.hash,
            "narSize": registered.size,
            "closureSize": size_of_closure(&registry, path),
            "references": registered.references,
            "valid": true,
        })
    });
    Ok(Value::Array(list.collect()))
}

fn registry(nix: &Nix, paths: &[String]) -> Result<Registry, ShellError> {
    let all = closure::of(nix, paths)?;
    let words = std::iter::once("--dump-db").chain(all.iter().map(String::as_str));
    let operation = "cannot ask the store about the closures that the package wants to know";
    let answer = nix.run(Tool::Store, operation, words, b"")?;
    parse(&String::from_utf8_lossy(&answer.stdout)).ok_or_else(|| {
        let cause = crate::nix::Cause::Answer("the answer of `nix-store --dump-db` is not in its form".to_owned());
        NixError { operation: operation.to_owned(), command: String::new(), cause }.into()
    })
}

/// Path, hash, size, deriver, number of references and these, each on a line.
fn parse(text: &str) -> Option<Registry> {
    let mut lines = text.lines();
    let mut registry = Registry::new();
    while let Some(path) = lines.next() {
        let hash = format!("sha256:{}", as_written(lines.next()?.trim_start_matches("sha256:")));
        let size = lines.next()?.parse().ok()?;
        lines.next()?;
        let count: usize = lines.next()?.parse().ok()?;
        let references: Vec<String> = lines.by_ref().take(count).map(str::to_owned).collect();
        if references.len() != count {
            return None;
        }
        registry.insert(path.to_owned(), Registered { hash, size, references });
    }
    Some(registry)
}

/// A hash as Nix writes it into the JSON of a build. The database has it in hexadecimal.
fn as_written(hash: &str) -> String {
    let digit = |at: usize| hash.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    let bytes: Option<Vec<u8>> = (0..hash.len()).step_by(2).map(digit).collect();
    bytes.filter(|bytes| bytes.len() == 32).map_or_else(|| hash.to_owned(), |bytes| store_path::base32(&bytes))
}

fn size_of_closure(registry: &Registry, path: &str) -> u64 {
    let mut seen = std::collections::BTreeSet::new();
    let mut todo = vec![path];
    let mut size = 0;
    while let Some(path) = todo.pop() {
        if let Some(registered) = registry.get(path).filter(|_| seen.insert(path)) {
            size += registered.size;
            todo.extend(registered.references.iter().map(String::as_str));
        }
    }
    size
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_database_is_read_to_its_end_or_not_at_all() {
        let text = "/s/a\nabc\n10\n\n2\n/s/a\n/s/b\n/s/b\ndef\n5\n/s/b.drv\n0\n";
        let registry = parse(text).expect("whole");
        assert_eq!(registry["/s/a"].references, ["/s/a", "/s/b"]);
        assert_eq!(registry["/s/b"], Registered { hash: "sha256:def".to_owned(), size: 5, references: Vec::new() });
        assert_eq!((size_of_closure(&registry, "/s/a"), size_of_closure(&registry, "/s/b")), (15, 5));
        let hexadecimal = "0".repeat(63) + "1";
        assert_eq!(as_written(&hexadecimal), format!("008{}", "0".repeat(49)));
        assert_eq!(parse("/s/a\nabc\n10\n\n2\n/s/a\n"), None);
        assert_eq!(parse("/s/a\nabc\nten\n\n0\n"), None);
    }
}
