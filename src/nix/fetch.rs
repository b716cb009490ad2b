//! Fetching store paths from binary caches, and never building them.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};

use super::build::each_line;
use super::error::NixError;
use super::events::{self, Event};
use super::settings::settings_in;
use super::spawn::{shell_words, spawn_cause};
use super::{Nix, Tool};

/// How a fetch, or a copy to a cache, ended.
#[derive(Debug)]
pub struct Transfer {
    /// Whether Nix says that it went well.
    pub succeeded: bool,
    /// Nix's errors and warnings, and what it said in no form that is known.
    pub said: String,
}

/// Has a path in the store that a cache has; `on_event` is called for every line Nix writes meanwhile. Of `options`, those
/// of the form `--option NAME VALUE` count. Gives whether the path is there now.
///
/// # Errors
/// Where Nix cannot be run; that no cache has the path is none.
pub fn fetch(path: &str, options: &[OsString], on_event: impl FnMut(&Event)) -> Result<bool, NixError> {
    Ok(fetch_all(&[path], options, None, on_event)?.succeeded)
}

/// The same for several paths; one that cannot be had does not keep the others from it. Where all can be had, they are kept
/// from the garbage collector from the moment they are there by links at `root`, `root-2` and so on: Nix makes them before it
/// lets go of the paths.
///
/// # Errors
/// As [`fetch`].
pub fn fetch_all(
    paths: &[&str],
    options: &[OsString],
    root: Option<&Path>,
    on_event: impl FnMut(&Event),
) -> Result<Transfer, NixError> {
    // A path that is named itself is not built. What Nix remembers of caches may be wrong by now.
    let words = "--realise --no-gc-warning --keep-going --max-jobs 0 --option narinfo-cache-negative-ttl 0 --option narinfo-cache-positive-ttl 0 \
        --log-format internal-json";
    let words = words.split_whitespace().chain(["--option", "builders", ""]).map(OsString::from);
    let root = root.into_iter().flat_map(|root| ["--indirect".into(), "--add-root".into(), OsString::from(root)]);
    let words = words.chain(root).chain(settings_in(options)).chain(paths.iter().map(OsString::from));
    let what = match paths {
        [path] => format!("cannot fetch {path}"),
        paths => format!("cannot fetch {} paths", paths.len()),
    };
    transfer(Nix::default().command(Tool::Store, words), Tool::Store, &what, on_event)
}

/// Runs a command that moves paths, to its end.
pub(super) fn transfer(
    mut command: Command,
    tool: Tool,
    operation: &str,
    mut on_event: impl FnMut(&Event),
) -> Result<Transfer, NixError> {
    let shown = shell_words(&command);
    let fail = |cause| NixError { operation: operation.to_owned(), command: shown.clone(), cause };
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| fail(spawn_cause(tool, error)))?;
    let mut said = String::new();
    let mut heard = |event: Event| {
        match &event {
            Event::Message { level: 0 | 1, text } | Event::Text(text) => {
                said.push_str(text);
                said.push('\n');
            }
            _ => {}
        }
        on_event(&event);
    };
    let read = child.stderr.take().map_or(Ok(()), |stderr| each_line(stderr, |line| heard(events::parse(line))));
    let status = child.wait().and_then(|status| read.map(|()| status)).map_err(|error| fail(error.into()))?;
    Ok(Transfer { succeeded: status.success(), said })
}
