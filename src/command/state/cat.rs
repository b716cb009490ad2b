//! `phasesplit state cat`: files of a state, to standard output.

use std::ffi::OsString;
use std::io::Write as _;

use clap::Args;

use super::output::Guarded;
use super::subject::{self, NixArgs, StateArgs};
use crate::command::refusal::Refusal;
use crate::diagnostic::Problem;
use crate::inspect::content::Spool;
use crate::inspect::{State, select};
use crate::state::entry::Kind;
use crate::state::error::Shown;
use crate::state::manifest;

/// The arguments of `phasesplit state cat`.
#[derive(Args, Clone, Debug)]
#[command(after_help = subject::HELP)]
pub struct CatArgs {
    /// Which state.
    #[command(flatten)]
    pub state: StateArgs,

    /// The files, as build/Makefile, outputs/out/bin/hello, shell, tmp/x, or an absolute path as the build saw it
    ///
    /// A terminal gets control characters as escapes, a file or a pipe gets every byte as it is.
    #[arg(value_name = "PATH", required_unless_present = "expression")]
    pub paths: Vec<OsString>,

    /// What Nix is told.
    #[command(flatten)]
    pub nix: NixArgs,
}

/// Runs it.
pub fn run(arguments: &CatArgs) -> Result<(), Refusal> {
    subject::no_expression(&arguments.state)?;
    let state = subject::find(&arguments.state, &arguments.nix)?;
    let files: Vec<usize> = arguments.paths.iter().map(|path| file(&state, path)).collect::<Result<_, _>>()?;
    let mut wanted = vec![false; state.records().len()];
    for &index in &files {
        wanted[index] = true;
    }
    // Nothing is written before all of it has been found to be right.
    let mut spool = Spool::fill(&state, &wanted)?;
    let mut out = Guarded::standard();
    for index in files {
        spool.copy(&state.records()[index], index, &mut out)?;
    }
    out.flush()?;
    Ok(out.finish()?)
}

/// The index of the file that a path names.
fn file(state: &State, path: &OsString) -> Result<usize, Refusal> {
    let index = select::one(state, path)?;
    let entry = &state.records()[index].entry;
    let named = match entry.kind {
        Kind::HardLink => manifest::position(state.records(), &entry.link).unwrap_or(index),
        _ => index,
    };
    if state.records()[named].entry.is_file() {
        return Ok(named);
    }
    let what = match entry.kind {
        Kind::Symlink => format!("a symlink to {}", super::output::shown(&entry.link)),
        Kind::Directory => "a directory".to_owned(),
        _ => "no regular file".to_owned(),
    };
    let problem = Problem::new("state/no-file", format!("`{}` is {what}", Shown(path)));
    Err(Refusal::input(problem.help("`phasesplit state ls` shows what there is")))
}
