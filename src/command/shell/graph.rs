//! `exportReferencesGraph`: what Nix writes about closures into a build directory.

use serde_json::{Value, json};

use super::ShellError;
use crate::nix::closure::{Registry, registry};
use crate::nix::{Nix, store_path};

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
            "narHash": as_written(&registered.hash),
            "narSize": registered.size,
            "closureSize": size_of_closure(&registry, path),
            "references": registered.references,
            "valid": true,
        })
    });
    Ok(Value::Array(list.collect()))
}

/// A hash as Nix writes it into the JSON of a build. The database has it in hexadecimal.
fn as_written(hash: &str) -> String {
    let hexadecimal = hash.trim_start_matches("sha256:");
    let digit = |at: usize| hexadecimal.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    let bytes: Option<Vec<u8>> = (0..hexadecimal.len()).step_by(2).map(digit).collect();
    let whole = bytes.filter(|bytes| bytes.len() == 32);
    whole.map_or_else(|| hash.to_owned(), |bytes| format!("sha256:{}", store_path::base32(&bytes)))
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
    use crate::nix::closure::Registered;

    #[test]
    fn a_closure_counts_each_path_once() {
        let path = |size, references: &[&str]| Registered {
            hash: String::new(),
            deriver: None,
            size,
            references: references.iter().map(|&path| path.to_owned()).collect(),
        };
        let registry: Registry =
            [("/s/a".to_owned(), path(10, &["/s/a", "/s/b"])), ("/s/b".to_owned(), path(5, &[]))].into();
        assert_eq!((size_of_closure(&registry, "/s/a"), size_of_closure(&registry, "/s/b")), (15, 5));
    }

    #[test]
    fn a_hash_is_written_as_nix_does() {
        let hexadecimal = format!("sha256:{}1", "0".repeat(63));
        assert_eq!(as_written(&hexadecimal), format!("sha256:008{}", "0".repeat(49)));
        assert_eq!(as_written("sha256:abc"), "sha256:abc");
    }
}
