//! `phasesplit shell --diff`: the patch of a session that was kept, or of the one that runs.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::changed::{self, Patch};
use super::{ShellArgs, ShellError, session};

/// Prints the patch on standard output and what it leaves out on standard error.
pub fn run(arguments: &ShellArgs) -> Result<(), ShellError> {
    let directory = match &arguments.package.package {
        Some(directory) => PathBuf::from(directory),
        None => the_one_that_runs()?,
    };
    let about = session::read(&directory).map_err(|error| ShellError::Point {
        message: format!("{} is no session: {error}", directory.display()),
        help: "name the directory that was given to `phasesplit shell --keep`".to_owned(),
    })?;
    let patch = changed::patch(&about, arguments.all)?;
    anstream::eprint!("{}", left_out(&patch, arguments.all));
    match io::stdout().lock().write_all(&patch.text) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(ShellError::Io { operation: "write to standard output".to_owned(), source: error })
        }
        _ => Ok(()),
    }
}

/// What a person has to know besides the patch.
pub fn left_out(patch: &Patch, all: bool) -> String {
    let mut text = String::new();
    for name in &patch.named {
        text += "changed, and not in the patch (binary, a symlink or outside the source): ";
        text += name;
        text.push('\n');
    }
    if patch.text.is_empty() && patch.named.is_empty() {
        text += if all { "nothing was changed\n" } else { "no file of the source was changed (--all: any file)\n" };
    }
    text
}

fn the_one_that_runs() -> Result<PathBuf, ShellError> {
    let running = session::running();
    match &running[..] {
        [one] => Ok(one.clone()),
        [] => Err(ShellError::Point {
            message: "no session of yours is in progress".to_owned(),
            help: "name the directory that was given to `phasesplit shell --keep`".to_owned(),
        }),
        many => Err(ShellError::Point {
            message: "several sessions of yours are in progress".to_owned(),
            help: many.iter().map(|directory| told(directory)).collect::<Vec<_>>().join(", ") + ": name one",
        }),
    }
}

fn told(directory: &Path) -> String {
    let what = session::read(directory).map(|about| format!(" ({}@{})", about.package, about.point));
    format!("{}{}", directory.display(), what.unwrap_or_default())
}
