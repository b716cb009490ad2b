//! Fetching a store path from the configured binary caches, and never building it.

use std::ffi::OsString;
use std::process::Stdio;

use super::build::each_line;
use super::error::NixError;
use super::events::{self, Event};
use super::settings::settings_in;
use super::spawn::{shell_words, spawn_cause};
use super::{Nix, Tool};

/// Has a path in the store that a cache has; `on_event` is called for every line Nix writes meanwhile. Of `options`, those
/// of the form `--option NAME VALUE` count. Gives whether the path is there now.
///
/// # Errors
/// Where Nix cannot be run; that no cache has the path is none.
pub fn fetch(path: &str, options: &[OsString], mut on_event: impl FnMut(Event)) -> Result<bool, NixError> {
    let nix = Nix::default();
    let words = ["--realise", path, "--log-format", "internal-json"].map(OsString::from);
    let mut command = nix.command(Tool::Store, words.into_iter().chain(settings_in(options)));
    let shown = shell_words(&command);
    let fail = |cause| NixError { operation: format!("cannot fetch {path}"), command: shown.clone(), cause };
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| fail(spawn_cause(Tool::Store, error)))?;
    let read = child.stderr.take().map_or(Ok(()), |stderr| each_line(stderr, |line| on_event(events::parse(line))));
    let status = child.wait().and_then(|status| read.map(|()| status)).map_err(|error| fail(error.into()))?;
    Ok(status.success())
}
