//! `phasesplit shell --diff`: the patch of a session that was kept, or of the one that runs.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::changed::{self, Patch, Which};
use super::{ShellArgs, ShellError, last, session};

const HELP: &str = "name the directory that was given to `phasesplit shell --keep`";

/// Prints the patch on standard output and what it leaves out on standard error.
pub fn run(arguments: &ShellArgs) -> Result<(), ShellError> {
    let patch = match &arguments.package.package {
        Some(directory) => of(Path::new(directory), arguments.all)?,
        None => match the_one_that_runs()? {
            Some(directory) => of(&directory, arguments.all)?,
            None => of_the_last(arguments.all)?,
        },
    };
    anstream::eprint!("{}", left_out(&patch, arguments.all));
    match io::stdout().lock().write_all(&patch.text) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(ShellError::Io { operation: "write to standard output".to_owned(), source: error })
        }
        _ => Ok(()),
    }
}

fn of(directory: &Path, all: bool) -> Result<Patch, ShellError> {
    let about = session::read(directory).map_err(|error| ShellError::Point {
        message: format!("{} is no session: {error}", directory.display()),
        help: HELP.to_owned(),
    })?;
    Ok(changed::patch(&about, if all { Which::All } else { Which::Source })?)
}

fn of_the_last(all: bool) -> Result<Patch, ShellError> {
    let fail = |message: &str| Err(ShellError::Point { message: message.to_owned(), help: HELP.to_owned() });
    match last::Last::read().map_err(ShellError::io("read what the last session changed"))? {
        None => fail("no session of yours is in progress, and none has ended"),
        Some(_) if all => {
            fail("no session of yours is in progress, and of the last one only the source's files are known")
        }
        Some(last) => {
            anstream::eprintln!("of the last session, {}@{}:", last.package, last.point);
            Ok(last.patch())
        }
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

fn the_one_that_runs() -> Result<Option<PathBuf>, ShellError> {
    match &session::running()[..] {
        [] => Ok(None),
        [one] => Ok(Some(one.clone())),
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
