//! A session without a sandbox: the state in a plain directory, with the machine around it.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use super::entry::{self, Entry, NixFiles};
use super::session::Session;
use super::start::{self, Start};
use super::{ShellArgs, ShellError, serve};
use crate::command::state::vars;
use crate::inspect::State;
use crate::inspect::extract::{self, Wish};
use crate::sandbox::{Sent, Signals};
use crate::state::format;

/// Runs it; gives the exit code of what ran in it.
pub fn run(arguments: &ShellArgs, start: &Start<'_>, session: &Session) -> Result<u8, ShellError> {
    let (build, extracted) = (session.path("build"), session.path("extracted"));
    let state = State::open(Path::new(start.state))?;
    // Outside a sandbox nothing is sourced that is not what a stage writes.
    vars::shell_of(&state).map_err(|failure| ShellError::Shell(Box::new(failure)))?;
    extract::extract(&state, &vec![true; state.records().len()], &extracted, Wish::default())?;
    // Onto the empty one.
    fs::rename(extracted.join("build"), &build).map_err(ShellError::io("put the build directory in its place"))?;
    fs::create_dir_all(extracted.join("outputs")).map_err(ShellError::io("make a place for the outputs"))?;
    let control = session.path("control");
    let entry = Entry {
        state: start.state,
        first: &start.first,
        failed: &start.failed,
        until: &start.until,
        point: &start.point,
        top: &build,
        control: &control,
        extracted: Some((&extracted, &start.made_at)),
    };
    let mut files = NixFiles::new(build.clone());
    let environment = entry.environment(start.nix, start.drv, &mut files)?;
    let bash = start::any_bash(arguments).unwrap_or_else(|| start.drv.builder.clone());
    entry::write(&control, &start::last_command(arguments, &bash, &control))?;
    session.describe(&start::about(start, build.clone(), build.clone(), files.names))?;
    anstream::eprintln!(
        "no sandbox: the build directory is {}, not {}, and $out is not in the store: what recorded these paths goes astray",
        build.display(),
        start.made_at
    );
    for (root, seen) in format::OUTSIDE {
        let here = extracted.join(OsStr::from_bytes(root));
        if here.exists() {
            anstream::eprintln!("no sandbox: what the build had in {seen} is in {}", here.display());
        }
    }
    let mut command = Command::new(&start.drv.builder);
    command
        .args(&start.drv.args)
        .arg0(Path::new(&start.drv.builder).file_name().unwrap_or(start.drv.builder.as_ref()))
        .env_clear()
        .envs(environment)
        .current_dir(&build);
    let signals = Signals::hold();
    let served = serve::Served::begin(session)?;
    let child = signals.let_through(|| command.spawn());
    let child = child.map_err(ShellError::io(format!("start {}", start.drv.builder)))?;
    let ended = signals.wait(child, Sent::TERM).map_err(ShellError::io("wait for the shell"))?;
    served.end();
    Ok(start::finished(start::is_interactive(arguments), ended))
}
