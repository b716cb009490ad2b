//! `phasesplit oci`: a state as an OCI image, a layer for each stage.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use clap::Args;

use super::refusal::{self, Refusal};
use super::state::output;
use super::state::subject::{self, NixArgs, StateArgs};
use super::state::vars::shell_of;
use crate::diagnostic::Problem;
use crate::oci;
use crate::state::Error;
use crate::state::error::Shown;
use crate::status::Status;

/// The arguments of `phasesplit oci`.
#[derive(Args, Clone, Debug)]
#[command(after_help = subject::HELP)]
pub struct OciArgs {
    /// Which state.
    #[command(flatten)]
    pub state: StateArgs,

    /// Where the image layout goes: a directory that does not exist or is empty; - writes an oci-archive to standard output
    #[arg(value_name = "DIR", required_unless_present = "expression")]
    pub to: Option<PathBuf>,

    /// What Nix is told.
    #[command(flatten)]
    pub nix: NixArgs,
}

/// Runs it.
pub fn run(arguments: &OciArgs) -> Status {
    refusal::ended(make(arguments))
}

fn make(arguments: &OciArgs) -> Result<(), Refusal> {
    subject::no_expression(&arguments.state)?;
    let to = arguments.to.clone().unwrap_or_default();
    let is_archive = to.as_os_str() == OsStr::from_bytes(b"-");
    if !is_archive && fs::read_dir(&to).is_ok_and(|mut entries| entries.next().is_some()) {
        let problem = Problem::new("oci/in-use", format!("{} is not empty", Shown(&to)));
        return Err(Refusal::input(problem.help("name a directory that does not exist or is empty")));
    }
    let state = subject::find(&arguments.state, &arguments.nix)?;
    let shell = shell_of(&state)?;
    let states = oci::states(&state)?;
    let beside = if is_archive { std::env::temp_dir() } else { parent(&to).to_owned() };
    let io = |source: io::Error| Refusal::from(Error::io("write the image", &to, source));
    let mut builder = tempfile::Builder::new();
    builder.prefix(".phasesplit-oci-").permissions(Permissions::from_mode(0o777));
    let scratch = builder.tempdir_in(beside).map_err(io)?;
    oci::image::write(&states, &shell, scratch.path())?;
    if is_archive {
        return Ok(oci::layout::archive(scratch.path(), &mut output::standard())?);
    }
    fs::rename(scratch.path(), &to).map_err(io)?;
    // It has another name now: there is nothing to clean up.
    drop(scratch.keep());
    Ok(())
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}
