//! What a derivation's builder sees of the store: its inputs and all that they refer to.

use std::fs;
use std::path::Path;

use super::ShellError;
use crate::diagnostic::Problem;
use crate::nix::build::{self, Target};
use crate::nix::chain::Stage;
use crate::nix::events::Event;
use crate::nix::{Nix, NixError, Tool, store};
use crate::report::progress::Progress;
use crate::source::drv::{self, Drv, DrvOutput};

/// Reads a `.drv` of the store.
pub fn derivation(path: &str) -> Result<Drv, ShellError> {
    let bytes = fs::read(path).map_err(ShellError::io(format!("read {path}")))?;
    drv::parse(&bytes, path).map_err(ShellError::Derivation)
}

/// Has a derivation's inputs in the store, kept from the garbage collector by `link` as long as that is there; gives their
/// paths. Not those of `chain`: the states of other stages, which the session may come to by hand.
pub fn inputs(
    nix: &Nix,
    drv: &Drv,
    chain: &[Stage],
    link: &Path,
    progress: &Progress,
) -> Result<Vec<String>, ShellError> {
    let mut paths = drv.input_srcs.clone();
    let mut targets = Vec::new();
    for (input, outputs) in
        drv.input_drvs.iter().filter(|(input, _)| !chain.iter().any(|stage| stage.drv_path == **input))
    {
        let known = derivation(input)?;
        for output in outputs {
            match known.outputs.get(output) {
                Some(DrvOutput::Path(path) | DrvOutput::Fixed { path }) => paths.push(path.clone()),
                _ => return Err(ShellError::Derivation(unknown(input))),
            }
            targets.push(Target { drv: input, output });
        }
    }
    progress.status("getting the inputs");
    have(nix, &targets, Some(link), "cannot get what the stage needs")?;
    let missing = store::invalid_paths(nix, &paths.iter().map(String::as_str).collect::<Vec<_>>())?;
    match missing.first() {
        None => Ok(paths),
        Some(path) => Err(ShellError::Derivation(
            Problem::new("shell/input", format!("{path}, an input of the stage, is not in the store"))
                .help("build the stage again: phasesplit build"),
        )),
    }
}

fn have(nix: &Nix, targets: &[Target<'_>], link: Option<&Path>, operation: &str) -> Result<(), NixError> {
    // With nothing named nix-build looks for a default.nix.
    if targets.is_empty() {
        return Ok(());
    }
    let mut said = String::new();
    let ended = build::build_all(nix, targets, link, |event| {
        if let Event::Message { text, .. } | Event::Text(text) = event {
            said.push_str(&text);
            said.push('\n');
        }
    })?;
    if ended.status.success() {
        return Ok(());
    }
    let cause = nix.cause_of(Tool::Build, &said, ended.status);
    Err(NixError { operation: operation.to_owned(), command: ended.command, cause })
}

fn unknown(input: &str) -> Problem {
    Problem::new("shell/floating", format!("the path of {input} is known only after it was built (content-addressed)"))
        .help("use `nix develop` for such a package")
}
