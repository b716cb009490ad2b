//! Which of some store paths the configured binary caches have.
//!
//! Each cache is asked once, all at the same time, and none for longer than [`PATIENCE`]. It must not know what the paths
//! are.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use super::error::{Cause, NixError};
use super::settings::{settings, settings_in, value_of};
use super::{Nix, Tool};

/// How long a cache may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// The question, up to the cache's URL. A miss that Nix remembers may have been filled since.
const QUESTION: &str = "--extra-experimental-features nix-command path-info --json \
    --option narinfo-cache-negative-ttl 0 --option download-attempts 1 --store";

/// A binary cache and what it said.
#[derive(Debug)]
pub struct Cache {
    /// Its URL, as the configuration has it.
    pub url: String,
    /// Which of the paths it has; or why it did not tell, in a line.
    pub has: Result<BTreeSet<String>, String>,
}

/// What Nix's configuration says of caches, also by `--option NAME VALUE` among the user's options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configuration {
    /// Their URLs.
    pub urls: Vec<String>,
    /// The public keys that are trusted, as `NAME:BASE64`.
    pub keys: Vec<String>,
    /// Whether what a cache has must be signed by one of them.
    pub signatures_required: bool,
}

/// What is configured; `None` where Nix does not tell.
pub fn configuration(options: &[OsString]) -> Option<Configuration> {
    let settings = settings(options)?;
    // A setting's value has the extra ones in it.
    let words = |name: &str| {
        let mut words: Vec<String> = Vec::new();
        for word in value_of(&settings, name).unwrap_or_default().split_whitespace() {
            if !words.iter().any(|known| known == word) {
                words.push(word.to_owned());
            }
        }
        words
    };
    Some(Configuration {
        urls: words("substituters"),
        keys: words("trusted-public-keys"),
        signatures_required: value_of(&settings, "require-sigs").as_deref() != Some("false"),
    })
}

/// Asks each cache which of `paths` it has, in the order of `urls`.
pub fn ask(urls: &[String], paths: &[&str], options: &[OsString]) -> Vec<Cache> {
    if paths.is_empty() {
        return Vec::new();
    }
    std::thread::scope(|scope| {
        let threads: Vec<_> = urls.iter().map(|url| scope.spawn(move || ask_one(url, paths, options))).collect();
        let answers = threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| Err("the question ended unexpectedly".to_owned())));
        urls.iter().zip(answers).map(|(url, has)| Cache { url: url.clone(), has }).collect()
    })
}

fn ask_one(url: &str, paths: &[&str], options: &[OsString]) -> Result<BTreeSet<String>, String> {
    // Nix would make a cache there.
    if let Some(directory) = local(url)
        && !Path::new(directory).join("nix-cache-info").exists()
    {
        return Err(format!("there is no cache in {directory}"));
    }
    let words = QUESTION.split_whitespace().map(OsString::from);
    let words = words.chain([OsString::from(url)]).chain(settings_in(options)).chain(paths.iter().map(OsString::from));
    let nix = Nix::default();
    match nix.run_within(Some(PATIENCE), Tool::Nix, "cannot ask the cache", words, b"") {
        Ok(answer) => there(&String::from_utf8_lossy(&answer.stdout), paths),
        Err(error) => Err(line_of(&error)),
    }
}

/// The directory of a cache in the file system.
fn local(url: &str) -> Option<&str> {
    let path = url.strip_prefix("file://")?;
    Some(path.split('?').next().unwrap_or(path))
}

fn line_of(error: &NixError) -> String {
    match &error.cause {
        Cause::Locked { .. } => format!("no answer within {} s", PATIENCE.as_secs()),
        cause => {
            let text = match cause {
                Cause::Failed { detail, .. } => detail.clone(),
                cause => cause.to_string(),
            };
            // What Nix retried stands first, the error last.
            text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default().trim().to_owned()
        }
    }
}

/// Which paths an answer of `path-info --json` has. Nix 2.8 gives a list of objects with `path` and, where it is missing,
/// `valid: false`; 2.26 a map from path to object or null; 2.34 such a map one level down, beside its `version`.
fn there(json: &str, paths: &[&str]) -> Result<BTreeSet<String>, String> {
    let answer: serde_json::Value =
        serde_json::from_str(json).map_err(|error| format!("unexpected answer: {error}"))?;
    let valid =
        |info: &serde_json::Value| info.is_object() && info.get("valid") != Some(&serde_json::Value::Bool(false));
    let named: Vec<&str> = match &answer {
        serde_json::Value::Array(list) => {
            list.iter().filter(|info| valid(info)).filter_map(|info| info.get("path")?.as_str()).collect()
        }
        serde_json::Value::Object(map) => {
            let map = map.get("info").and_then(serde_json::Value::as_object).unwrap_or(map);
            map.iter().filter(|(_, info)| valid(info)).map(|(path, _)| path.as_str()).collect()
        }
        _ => return Err("unexpected answer".to_owned()),
    };
    let base = |path: &str| path.rsplit('/').next().unwrap_or(path).to_owned();
    let named: BTreeSet<String> = named.into_iter().map(base).collect();
    Ok(paths.iter().filter(|path| named.contains(&base(path))).map(|path| (*path).to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_of_the_answer() {
        let paths = ["/nix/store/a-x", "/nix/store/b-y"];
        for answer in [
            r#"[{"path":"/nix/store/b-y","valid":false},{"path":"/nix/store/a-x","narSize":1}]"#,
            r#"{"/nix/store/a-x":{"narSize":1},"/nix/store/b-y":null}"#,
            r#"{"info":{"a-x":{"narSize":1},"b-y":null},"storeDir":"/nix/store","version":2}"#,
        ] {
            let found = there(answer, &paths).expect("an answer");
            assert_eq!(found.into_iter().collect::<Vec<_>>(), ["/nix/store/a-x"], "{answer}");
        }
        assert!(there("1", &paths).is_err() && there("", &paths).is_err());
    }

    #[test]
    fn a_directory_without_a_cache_is_not_made_one() {
        let directory = tempfile::tempdir().expect("a directory");
        let url = format!("file://{}/none?compression=zstd", directory.path().display());
        let answer = ask(&[url], &["/nix/store/a-x"], &[]);
        assert!(answer[0].has.as_ref().unwrap_err().starts_with("there is no cache in "), "{answer:?}");
        assert!(!directory.path().join("none").exists());
    }
}
