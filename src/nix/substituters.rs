//! Which of some store paths a binary cache or another store has, as Nix tells it; and which caches are configured.
//!
//! It must not know what the paths are.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::error::{Cause, strip_ansi};
use super::settings::{settings, settings_in, value_of};
use super::{Nix, Tool};

/// The question, up to the cache's URL. A miss that Nix remembers may have been filled since.
const QUESTION: &str = "--extra-experimental-features nix-command path-info --json \
    --option narinfo-cache-negative-ttl 0 --option download-attempts 1 --store";

/// What Nix tells of a path that a cache has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// The hash of its NAR, in one of the forms that Nix writes.
    pub nar_hash: String,
    /// Bytes of its NAR.
    pub nar_size: u64,
    /// Bytes to download, where that is known.
    pub download: Option<u64>,
    /// The names of the store paths that it refers to.
    pub references: Vec<String>,
    /// Who signed it: `NAME:BASE64`.
    pub signatures: Vec<String>,
    /// What content its path is the address of, as Nix writes that.
    pub content: Option<String>,
}

/// Why a cache did not tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Silence {
    /// The time was over.
    Slow,
    /// What Nix wrote.
    Said(String),
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

/// Asks a cache which of `paths` it has, and what it knows of each; nothing where Nix does not say so much.
///
/// # Errors
/// Where it does not tell.
pub fn ask(
    url: &str,
    paths: &[&str],
    patience: Duration,
    options: &[OsString],
) -> Result<BTreeMap<String, Option<Info>>, Silence> {
    if paths.is_empty() {
        return Ok(BTreeMap::new());
    }
    // Nix would make a cache there.
    if let Some(directory) = local(url)
        && !Path::new(directory).join("nix-cache-info").exists()
    {
        return Err(Silence::Said(format!("there is no cache in {directory}")));
    }
    // Of each path that is not there Nix 2.8 is told by an error, and connects anew: half a second each.
    let there_by_ssh = url.starts_with("ssh-ng:").then(|| valid(url, paths, patience, options)).transpose()?;
    let paths = there_by_ssh.as_deref().unwrap_or(paths);
    if paths.is_empty() {
        return Ok(BTreeMap::new());
    }
    let words = QUESTION.split_whitespace().map(OsString::from);
    let words = words.chain([OsString::from(url)]).chain(settings_in(options)).chain(paths.iter().map(OsString::from));
    there(&answer(Tool::Nix, url, words, patience)?, paths).map_err(Silence::Said)
}

/// Those of `paths` that are valid in the store at `url`.
fn valid<'a>(url: &str, paths: &[&'a str], patience: Duration, options: &[OsString]) -> Result<Vec<&'a str>, Silence> {
    let words = ["--check-validity", "--print-invalid", "--option", "store", url].map(OsString::from);
    let words = words.into_iter().chain(settings_in(options)).chain(paths.iter().map(OsString::from));
    let invalid = answer(Tool::Store, url, words, patience)?;
    let invalid: BTreeSet<&str> = invalid.lines().map(str::trim).collect();
    Ok(paths.iter().copied().filter(|path| !invalid.contains(path)).collect())
}

/// What a program of Nix's says of the store at `url`.
fn answer(tool: Tool, url: &str, words: impl Iterator<Item = OsString>, patience: Duration) -> Result<String, Silence> {
    let mut command = Nix::default().command(tool, words);
    if url.starts_with("ssh") {
        command.env("NIX_SSHOPTS", for_ssh(patience));
    }
    let ended = Nix::end_of(Some(patience), "cannot ask the cache", command, tool, b"");
    let ended = ended.map_err(|error| match error.cause {
        Cause::Locked { .. } => Silence::Slow,
        cause => Silence::Said(cause.to_string()),
    })?;
    if !ended.status.success() {
        return Err(Silence::Said(strip_ansi(&ended.answer.stderr)));
    }
    Ok(String::from_utf8_lossy(&ended.answer.stdout).into_owned())
}

/// The user's options for ssh, and that it gives up: it would outlive a Nix that is killed. Of two options ssh takes the first.
fn for_ssh(patience: Duration) -> String {
    let own = std::env::var("NIX_SSHOPTS").unwrap_or_default();
    format!("{own} -o ConnectTimeout={}", patience.as_secs().max(1)).trim_start().to_owned()
}

/// The directory of a cache in the file system.
fn local(url: &str) -> Option<&str> {
    let path = url.strip_prefix("file://")?;
    Some(path.split('?').next().unwrap_or(path))
}

/// What an answer of `path-info --json` tells of the paths that the cache has. Nix 2.8 gives a list of objects with `path` and,
/// where it is missing, `valid: false`; 2.26 a map from path to object or null; 2.34 such a map one level down, beside its
/// `version`.
fn there(json: &str, paths: &[&str]) -> Result<BTreeMap<String, Option<Info>>, String> {
    let answer: Value = serde_json::from_str(json).map_err(|error| format!("unexpected answer: {error}"))?;
    let named: Vec<(&str, &Value)> = match &answer {
        Value::Array(list) => list.iter().filter_map(|info| Some((info.get("path")?.as_str()?, info))).collect(),
        Value::Object(map) => {
            let map = map.get("info").and_then(Value::as_object).unwrap_or(map);
            map.iter().map(|(path, info)| (path.as_str(), info)).collect()
        }
        _ => return Err("unexpected answer".to_owned()),
    };
    let valid = |info: &Value| info.is_object() && info.get("valid") != Some(&Value::Bool(false));
    let named: BTreeMap<&str, Option<Info>> =
        named.into_iter().filter(|(_, info)| valid(info)).map(|(path, info)| (base(path), Info::of(info))).collect();
    let found = |path: &&str| Some(((*path).to_owned(), named.get(base(path))?.clone()));
    Ok(paths.iter().filter_map(found).collect())
}

impl Info {
    /// Reads it; nothing where it lacks what is signed, or is told in a way that is not known.
    fn of(info: &Value) -> Option<Self> {
        let words = |name: &str| -> Option<Vec<String>> {
            let list = info.get(name).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            list.iter().map(|word| word.as_str().map(str::to_owned)).collect()
        };
        let content = match info.get("ca") {
            None | Some(Value::Null) => None,
            Some(content) => Some(content.as_str()?.to_owned()),
        };
        Some(Self {
            nar_hash: info.get("narHash")?.as_str()?.to_owned(),
            nar_size: info.get("narSize")?.as_u64()?,
            download: info.get("downloadSize").and_then(Value::as_u64).filter(|size| *size > 0),
            references: words("references")?.iter().map(|path| base(path).to_owned()).collect(),
            signatures: words("signatures")?,
            content,
        })
    }
}

/// A store path without the directory of the store.
fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_of_the_answer() {
        let paths = ["/nix/store/a-x", "/nix/store/b-y"];
        for answer in [
            r#"[{"path":"/nix/store/b-y","valid":false},{"path":"/nix/store/a-x","narHash":"sha256-x","narSize":1,"references":["/nix/store/c-z"],"signatures":["k:s"]}]"#,
            r#"{"/nix/store/a-x":{"narHash":"sha256-x","narSize":1,"references":["/nix/store/c-z"],"signatures":["k:s"],"ca":null},"/nix/store/b-y":null}"#,
            r#"{"info":{"a-x":{"narHash":"sha256-x","narSize":1,"references":["c-z"],"signatures":["k:s"],"ca":null},"b-y":null},"storeDir":"/nix/store","version":2}"#,
        ] {
            let found = there(answer, &paths).expect("an answer");
            let info = Info {
                nar_hash: "sha256-x".to_owned(),
                nar_size: 1,
                download: None,
                references: vec!["c-z".to_owned()],
                signatures: vec!["k:s".to_owned()],
                content: None,
            };
            assert_eq!(found, BTreeMap::from([("/nix/store/a-x".to_owned(), Some(info))]), "{answer}");
        }
        assert!(there("1", &paths).is_err() && there("", &paths).is_err());
        let short = there(r#"{"/nix/store/a-x":{"narSize":1}}"#, &paths).expect("an answer");
        assert_eq!(short, BTreeMap::from([("/nix/store/a-x".to_owned(), None)]), "it is there, and that is all");
    }

    #[test]
    fn a_directory_without_a_cache_is_not_made_one() {
        let directory = tempfile::tempdir().expect("a directory");
        let url = format!("file://{}/none?compression=zstd", directory.path().display());
        let Err(Silence::Said(why)) = ask(&url, &["/nix/store/a-x"], Duration::from_secs(20), &[]) else {
            panic!("there is one")
        };
        assert!(why.starts_with("there is no cache in "), "{why}");
        assert!(!directory.path().join("none").exists());
    }
}
