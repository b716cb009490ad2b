//! Runs `nix-build` on derivations that were evaluated before, and hands out its events.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{ExitStatus, Stdio};

use super::error::NixError;
use super::events::{self, Event};
use super::spawn::{shell_words, spawn_cause};
use super::{Nix, Tool};

/// One output of a derivation to be had.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// Path of the `.drv`.
    pub drv: &'a str,
    /// Name of the output.
    pub output: &'a str,
}

/// How a build ended.
#[derive(Debug)]
pub struct Ended {
    /// Of `nix-build`.
    pub status: ExitStatus,
    /// The command line, for an error about it.
    pub command: String,
}

/// Builds `target`, links it to `link` (which Nix registers as a root) and calls `on_event` for
/// every line Nix writes meanwhile.
///
/// # Errors
/// Where `nix-build` cannot be run; that a build fails is not an error here but [`Ended`].
pub fn build(
    nix: &Nix,
    target: Target<'_>,
    link: Option<&Path>,
    on_event: impl FnMut(Event),
) -> Result<Ended, NixError> {
    build_all(nix, &[target], link, on_event)
}

/// As [`build`], for several outputs at once.
///
/// # Errors
/// As there.
pub fn build_all(
    nix: &Nix,
    targets: &[Target<'_>],
    link: Option<&Path>,
    mut on_event: impl FnMut(Event),
) -> Result<Ended, NixError> {
    let mut args: Vec<OsString> =
        targets.iter().map(|target| format!("{}!{}", target.drv, target.output).into()).collect();
    args.extend(["--log-format".into(), "internal-json".into()]);
    match link {
        Some(link) => args.extend(["--out-link".into(), link.into()]),
        None => args.push("--no-out-link".into()),
    }
    let mut command = nix.command(Tool::Build, args);
    let shown = shell_words(&command);
    let fail = |cause| NixError { operation: "cannot build".to_owned(), command: shown.clone(), cause };
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|e| fail(spawn_cause(Tool::Build, e)))?;
    let read = child.stderr.take().map_or(Ok(()), |stderr| each_line(stderr, |line| on_event(events::parse(line))));
    let status = child.wait().and_then(|status| read.map(|()| status)).map_err(|e| fail(e.into()))?;
    Ok(Ended { status, command: shown })
}

/// Lines as text: a build may write any bytes, and Nix passes on what it cannot read.
pub(super) fn each_line(stream: impl Read, mut on_line: impl FnMut(&str)) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        let text = String::from_utf8_lossy(&line);
        on_line(text.trim_end_matches(['\n', '\r']));
        line.clear();
    }
    Ok(())
}
