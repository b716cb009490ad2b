//! Copying store paths to another store, and what has to be known before: what goes with them, and who made it.

use std::ffi::OsString;
use std::path::Path;

use super::error::NixError;
use super::events::Event;
use super::fetch::{Transfer, transfer};
use super::settings::settings_in;
use super::{Nix, Tool};

/// What Nix 2.8 says when another program copies to the same cache. Of a path that is there since it looked it takes the rest of
/// all paths for that path's, and finds no more; and both make an entry for the cache in what they remember of caches.
const OVERTAKEN: [&str; 2] = ["coroutine has finished", "': constraint failed (in '"];

/// How often a copy is begun that others overtake. Each time there is less to copy.
const TIMES: usize = 5;

/// Copies paths, and all that they need, to the store at `url`, but for what it has. Of `options`, those of the form
/// `--option NAME VALUE` count.
///
/// # Errors
/// Where Nix cannot be run; that it refuses is none.
pub fn copy_to(
    url: &str,
    paths: &[&str],
    options: &[OsString],
    mut on_event: impl FnMut(&Event),
) -> Result<Transfer, NixError> {
    // A path that the cache lost, or got from elsewhere, since Nix last looked.
    let words = "--extra-experimental-features nix-command copy --option narinfo-cache-negative-ttl 0 \
        --option narinfo-cache-positive-ttl 0 --log-format internal-json --to";
    let words = words.split_whitespace().map(OsString::from).chain([OsString::from(url)]);
    let words = words.chain(settings_in(options)).chain(paths.iter().map(OsString::from));
    let words: Vec<OsString> = words.collect();
    let mut copy =
        || transfer(Nix::default().command(Tool::Nix, &words), Tool::Nix, "cannot copy to the cache", &mut on_event);
    let mut done = copy()?;
    for _ in 1..TIMES {
        if done.succeeded || !OVERTAKEN.iter().any(|words| done.said.contains(words)) {
            break;
        }
        done = copy()?;
    }
    Ok(done)
}

/// The paths and all that they need, each with the derivation that it is known to be made by.
///
/// # Errors
/// Where the store cannot be asked, or does not have a path.
pub fn closure(paths: &[&str]) -> Result<Vec<(String, Option<String>)>, NixError> {
    let nix = Nix::default();
    let ask = |question: &[&str], paths: &[&str]| {
        let operation = "cannot ask the store what goes with the states";
        let answer = nix.run(Tool::Store, operation, question.iter().chain(paths), b"")?;
        Ok::<_, NixError>(String::from_utf8_lossy(&answer.stdout).lines().map(str::to_owned).collect::<Vec<_>>())
    };
    let all = ask(&["--query", "--requisites"], paths)?;
    let derivers = ask(&["--query", "--deriver"], &all.iter().map(String::as_str).collect::<Vec<_>>())?;
    // A path that was not built has no derivation, and `unknown-deriver` stands for it.
    let derivers = derivers.into_iter().map(|deriver| deriver.starts_with('/').then_some(deriver));
    Ok(all.into_iter().zip(derivers).collect())
}

/// The public key, as `NAME:BASE64`, that belongs to the secret key in a file.
///
/// # Errors
/// Where the file cannot be read, or Nix finds no key in it.
pub fn public_key(secret: &Path) -> Result<String, NixError> {
    let operation = || format!("cannot use the key in {}", secret.display());
    let text = std::fs::read(secret).map_err(|error| NixError::io(operation(), error))?;
    let words = ["--extra-experimental-features", "nix-command", "key", "convert-secret-to-public"];
    let answer = Nix::default().run(Tool::Nix, &operation(), words, &text)?;
    Ok(String::from_utf8_lossy(&answer.stdout).trim().to_owned())
}
