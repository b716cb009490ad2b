//! The state engine, run inside the build by the stage runtime, and by people to look at a state.
//!
//! Small and static; no argument parser crate, so that there is little that could change it.

use std::ffi::{OsStr, OsString};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::process::ExitCode;

use phasesplit_state::info::{Failed, Phase};
use phasesplit_state::{
    foreign, format, list, lock, log, mentions, nix_files, place, random, reach, relocate, restore, save,
};

const USAGE: &str = "\
phasesplit-state: saves and restores the build directory between two stages

usage:
  phasesplit-state save --to DIR --build-dir DIR --shell FILE --package NAME --stage STAGE
                        [--output NAME=PREFIX]... [--phase NAME=SECONDS]... [--warning TEXT]... [--exclude TOPNAME]...
                        [--nix-files FILE] [--outside ROOT=DIR]... [--foreign ROOT/NAME]...
                        [--parent STATE [--listing FILE]] [--pinned STATE]
                        [--failed-phase NAME --failed-code CODE --failed-log FILE]
  phasesplit-state restore --from DIR --build-dir DIR --shell FILE [--output NAME=PATH]...
                        [--staged NAME=PREFIX]... [--outside ROOT=DIR]... [--replace TOPNAME]... [--listing FILE]
                        [--accept-failed]
  phasesplit-state note --build-dir DIR --to FILE [TOPNAME]...
                        notes how these files of Nix's are, for save --nix-files
  phasesplit-state refuse [--path PATH]... [--state STATE]... [--output PATH]...
                        fails where an output names one of the paths, or a state or what it builds on
  phasesplit-state relocate --map STAGED=REAL... [--text FILE]... [--tree PATH]...
  phasesplit-state scan [--json] --map STAGED=REAL... PATH...
  phasesplit-state ls DIR
  phasesplit-state mentions --build-dir DIR --names FILE [--newer-than FILE | --all] [--attributes]
                            [--exclude NAME]... [--nix-files FILE]
                        which of the names (words of FILE) the tree's text files read from their environment;
                        with --attributes there is a file of all attributes too
  phasesplit-state reach   which names the shell text on standard input can reach (engine/src/reach/fields.rs)
  phasesplit-state log --tail FILE
                        passes a log on to standard error and keeps its end (engine/src/log.rs)
  phasesplit-state random SEED N N N N
                        the seed that makes bash draw these numbers next; nothing if they come from SEED
  phasesplit-state lock --fd N --path NAME
  phasesplit-state mkdir DIR | link TARGET PATH | clear PATH...     what bash cannot do before it has a PATH

An option's value may also follow after `=`, but for relocate and scan. Exit codes: 0 done, 1 refused or failed, 2 wrong usage.
";

/// Why the program ends without success.
enum Failure {
    /// The command line is wrong: exit code 2.
    Usage(String),
    /// The operation was refused or failed: exit code 1.
    Operation(String),
}

impl From<phasesplit_state::Error> for Failure {
    fn from(error: phasesplit_state::Error) -> Self {
        Self::Operation(error.to_string())
    }
}

fn main() -> ExitCode {
    // The phase that ran before may have left any umask; ours must not depend on it.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Operation(message)) => {
            say(&message);
            ExitCode::from(1)
        }
        Err(Failure::Usage(message)) => {
            say(&format!("{message}; see phasesplit-state --help"));
            ExitCode::from(2)
        }
    }
}

fn operation(error: impl std::fmt::Display) -> Failure {
    Failure::Operation(error.to_string())
}

/// One line on standard error. That it cannot be written is no reason to fail: the build's log may be gone.
fn say(message: &str) {
    let _ = writeln!(io::stderr(), "phasesplit-state: {message}");
}

/// Names the file for the end of a log where there are no arguments: a command line that says nothing.
const LOG_TAIL: &str = "_phasesplit_log_tail";

fn run(arguments: &[OsString]) -> Result<(), Failure> {
    let Some((command, rest)) = arguments.split_first() else {
        if let Some(tail) = std::env::var_os(LOG_TAIL) {
            return Ok(log::follow(tail.as_ref())?);
        }
        return Err(Failure::Usage("no command given".into()));
    };
    match command.as_bytes() {
        b"save" => save_command(rest),
        b"restore" => restore_command(rest),
        b"ls" => list_command(rest),
        b"lock" => lock_command(rest),
        b"log" => log_command(rest),
        b"mentions" => mentions_command(rest),
        b"note" => note_command(rest),
        b"refuse" => refuse_command(rest),
        b"reach" => match rest {
            [] => reach_command(),
            _ => Err(Failure::Usage("reach takes no arguments".into())),
        },
        b"random" => random_command(rest),
        // These two parse their own arguments.
        b"relocate" => relocate::relocate_command(rest).map_err(operation),
        b"scan" => relocate::scan_command(rest).map_err(operation),
        b"mkdir" => match rest {
            [directory] => Ok(place::make_directory(directory.as_ref())?),
            _ => Err(Failure::Usage("mkdir takes one directory".into())),
        },
        b"link" => match rest {
            [target, path] => Ok(place::link(target.as_ref(), path.as_ref())?),
            _ => Err(Failure::Usage("link takes a target and a path".into())),
        },
        b"clear" => Ok(rest.iter().try_for_each(|path| place::clear(path.as_ref()))?),
        b"--help" | b"-h" | b"help" => print(USAGE),
        b"--version" => print(&format!(
            "phasesplit-state {} (state format {})\n",
            phasesplit_state::format::ENGINE,
            phasesplit_state::format::VERSION
        )),
        _ => Err(Failure::Usage(format!("unknown command {}", phasesplit_state::error::Shown(command)))),
    }
}

fn print(text: &str) -> Result<(), Failure> {
    written(io::stdout().write_all(text.as_bytes()))
}

/// A reader that has seen enough and closes the pipe is no failure.
fn written(result: io::Result<()>) -> Result<(), Failure> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::Operation(format!("write standard output: {error}; check where it goes")))
        }
        _ => Ok(()),
    }
}

fn random_command(arguments: &[OsString]) -> Result<(), Failure> {
    let numbers: Option<Vec<u64>> = arguments.iter().map(|word| word.to_str()?.parse().ok()).collect();
    let Some(&[since, first, second, third, fourth]) = numbers.as_deref() else {
        return Err(Failure::Usage("random takes a seed and four numbers".into()));
    };
    random::seed(since, &[first, second, third, fourth]).map_or(Ok(()), |seed| print(&format!("{seed}\n")))
}

fn save_command(arguments: &[OsString]) -> Result<(), Failure> {
    let mut options = Options::read(
        arguments,
        &[
            "to",
            "build-dir",
            "shell",
            "output",
            "parent",
            "listing",
            "pinned",
            "package",
            "stage",
            "phase",
            "warning",
            "exclude",
            "nix-files",
            "outside",
            "foreign",
            "failed-phase",
            "failed-code",
            "failed-log",
        ],
    )?;
    let failed = failed(&mut options)?;
    let request = save::Request {
        to: options.one("to")?.into(),
        build_dir: options.one("build-dir")?.into(),
        shell: options.one("shell")?.into(),
        outputs: options.outputs("output")?,
        parent: options.at_most_one("parent")?.map(PathBuf::from),
        listing: options.at_most_one("listing")?.map(PathBuf::from),
        pinned: options.at_most_one("pinned")?.map(|value| text("pinned", value)).transpose()?,
        package: text("package", options.one("package")?)?,
        stage: text("stage", options.one("stage")?)?,
        phases: options.all("phase").into_iter().map(phase).collect::<Result<_, _>>()?,
        warnings: options.all("warning").iter().map(|text| text.to_string_lossy().into_owned()).collect(),
        exclude: options.all("exclude").into_iter().map(OsString::into_vec).collect(),
        nix_files: options.at_most_one("nix-files")?.map(PathBuf::from),
        outside: options.outside()?,
        foreign: options.all("foreign").into_iter().map(OsString::into_vec).collect(),
    };
    options.no_more()?;
    match failed {
        None => save::save(&request)?,
        Some(failed) => save::save_failed(&request, failed)?,
    };
    Ok(())
}

/// The three options that say how a stage failed: all or none.
fn failed(options: &mut Options) -> Result<Option<Failed>, Failure> {
    let Some(phase) = options.at_most_one("failed-phase")? else { return Ok(None) };
    let code = text("failed-code", options.one("failed-code")?)?;
    let wrong = |_| Failure::Usage(format!("--failed-code takes an exit code, not {code:?}"));
    let exit_code = code.parse().map_err(wrong)?;
    let log = PathBuf::from(options.one("failed-log")?);
    let log = std::fs::read(&log).map_err(|source| phasesplit_state::Error::io("save", &log, source))?;
    Ok(Some(Failed { phase: text("failed-phase", phase)?, exit_code, log: log::tail(&log) }))
}

fn restore_command(arguments: &[OsString]) -> Result<(), Failure> {
    let (accept_failed, arguments): (Vec<_>, Vec<_>) =
        arguments.iter().cloned().partition(|argument| argument == "--accept-failed");
    let known = ["from", "build-dir", "shell", "output", "staged", "outside", "replace", "listing"];
    let mut options = Options::read(&arguments, &known)?;
    let request = restore::Request {
        from: options.one("from")?.into(),
        build_dir: options.one("build-dir")?.into(),
        shell: options.one("shell")?.into(),
        outputs: options.outputs("output")?,
        staged: options.outputs("staged")?,
        outside: options.outside()?,
        replace: options.all("replace").into_iter().map(OsString::into_vec).collect(),
        listing: options.at_most_one("listing")?.map(PathBuf::from),
    };
    options.no_more()?;
    if accept_failed.is_empty() {
        restore::restore(&request, &mut say)?;
    } else {
        restore::restore_even_failed(&request, &mut say)?;
    }
    Ok(())
}

fn note_command(arguments: &[OsString]) -> Result<(), Failure> {
    let [build_dir, directory, to, file, names @ ..] = arguments else {
        return Err(Failure::Usage("note takes --build-dir, --to and names".into()));
    };
    if build_dir != "--build-dir" || to != "--to" {
        return Err(Failure::Usage("note takes --build-dir, --to and names, in this order".into()));
    }
    let names: Vec<Vec<u8>> = names.iter().cloned().map(OsString::into_vec).collect();
    Ok(nix_files::note(directory.as_ref(), &names, file.as_ref())?)
}

fn refuse_command(arguments: &[OsString]) -> Result<(), Failure> {
    let mut options = Options::read(arguments, &["path", "state", "output"])?;
    let mut forbidden = foreign::Forbidden::default();
    options.all("path").iter().for_each(|path| forbidden.path(path.as_ref()));
    options.all("state").iter().try_for_each(|state| forbidden.state(state.as_ref()))?;
    Ok(options.all("output").iter().try_for_each(|output| forbidden.search(output.as_ref()))?)
}

fn log_command(arguments: &[OsString]) -> Result<(), Failure> {
    let mut options = Options::read(arguments, &["tail"])?;
    let tail = PathBuf::from(options.one("tail")?);
    options.no_more()?;
    Ok(log::follow(&tail)?)
}

fn list_command(arguments: &[OsString]) -> Result<(), Failure> {
    let [state] = arguments else {
        return Err(Failure::Usage("ls takes one state directory".into()));
    };
    let mut out = BufWriter::new(io::stdout().lock());
    written(list::list(state.as_ref(), &mut out)?)?;
    written(out.flush())
}

fn mentions_command(arguments: &[OsString]) -> Result<(), Failure> {
    // The options without a value; the first says what is so without --newer-than.
    let (all, arguments): (Vec<_>, Vec<_>) = arguments.iter().cloned().partition(|argument| argument == "--all");
    let (attributes, arguments): (Vec<_>, Vec<_>) =
        arguments.into_iter().partition(|argument| argument == "--attributes");
    let mut options = Options::read(&arguments, &["build-dir", "names", "newer-than", "exclude", "nix-files"])?;
    let names = PathBuf::from(options.one("names")?);
    let newer_than = options.at_most_one("newer-than")?.map(PathBuf::from);
    if all.is_empty() == newer_than.is_none() {
        return Err(Failure::Usage("mentions takes either --all or --newer-than".into()));
    }
    let build_dir = options.one("build-dir")?.into();
    let exclude = options.all("exclude").into_iter().map(OsString::into_vec).collect();
    let nix_files = options.at_most_one("nix-files")?.map(PathBuf::from);
    options.no_more()?;
    let names =
        std::fs::read_to_string(&names).map_err(|source| phasesplit_state::Error::io("mentions", &names, source))?;
    let names = names.split_whitespace().map(str::to_owned).collect();
    let has_attributes = !attributes.is_empty();
    let request = mentions::Request { build_dir, exclude, nix_files, newer_than, names, has_attributes };
    let found = mentions::mentions(&request)?;
    written(io::stdout().write_all(&found.write()))
}

fn reach_command() -> Result<(), Failure> {
    let mut input = Vec::new();
    io::stdin().read_to_end(&mut input).map_err(|source| operation(format!("read standard input: {source}")))?;
    let request = reach::fields::read(&input).map_err(operation)?;
    written(io::stdout().write_all(&reach::fields::write(&reach::reach(&request))))
}

fn lock_command(arguments: &[OsString]) -> Result<(), Failure> {
    let mut options = Options::read(arguments, &["fd", "path"])?;
    let fd = text("fd", options.one("fd")?)?;
    let fd = fd.parse().map_err(|_| Failure::Usage(format!("--fd takes a number, not {fd:?}")))?;
    let path = PathBuf::from(options.one("path")?);
    options.no_more()?;
    lock::lock(fd, &path, &mut say)?;
    Ok(())
}

/// The options of a command, `--name value` or `--name=value`, in the order given.
struct Options(Vec<(String, OsString)>);

impl Options {
    fn read(arguments: &[OsString], known: &[&str]) -> Result<Self, Failure> {
        let mut options = Vec::new();
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let shown = phasesplit_state::error::Shown(argument);
            let Some(option) = argument.as_bytes().strip_prefix(b"--") else {
                return Err(Failure::Usage(format!("unexpected argument {shown}")));
            };
            let (name, value) = match halves(option) {
                Some((name, value)) => (name, Some(OsStr::from_bytes(value).to_owned())),
                None => (option, None),
            };
            let Some(name) = known.iter().find(|known| known.as_bytes() == name) else {
                return Err(Failure::Usage(format!("unknown option {shown}")));
            };
            let value = value.or_else(|| arguments.next().cloned());
            let value = value.ok_or_else(|| Failure::Usage(format!("--{name} needs a value")))?;
            options.push(((*name).to_owned(), value));
        }
        Ok(Self(options))
    }

    fn all(&mut self, name: &str) -> Vec<OsString> {
        self.0.extract_if(.., |(option, _)| option == name).map(|(_, value)| value).collect()
    }

    fn one(&mut self, name: &str) -> Result<OsString, Failure> {
        self.at_most_one(name)?.ok_or_else(|| Failure::Usage(format!("--{name} is missing")))
    }

    fn at_most_one(&mut self, name: &str) -> Result<Option<OsString>, Failure> {
        let mut values = self.all(name);
        match (values.pop(), values.is_empty()) {
            (Some(value), true) if !value.is_empty() => Ok(Some(value)),
            (None, _) => Ok(None),
            (Some(_), true) => Err(Failure::Usage(format!("--{name} is empty"))),
            (Some(_), false) => Err(Failure::Usage(format!("--{name} is given twice"))),
        }
    }

    /// The values `NAME=PATH` of an option, each name once.
    fn outputs(&mut self, option: &str) -> Result<Vec<(String, PathBuf)>, Failure> {
        let mut outputs: Vec<(String, PathBuf)> = Vec::new();
        for output in self.all(option) {
            let wrong =
                |what: &str| Failure::Usage(format!("--{option} {}: {what}", phasesplit_state::error::Shown(&output)));
            let (name, path) = halves(output.as_bytes()).ok_or_else(|| wrong("not NAME=PATH"))?;
            let name = std::str::from_utf8(name).map_err(|_| wrong("the name is not UTF-8"))?;
            if matches!(name, "" | "." | "..") || name.contains('/') {
                return Err(wrong("the name cannot be an output's"));
            }
            if outputs.iter().any(|(other, _)| other == name) {
                return Err(wrong("the name is given twice"));
            }
            outputs.push((name.to_owned(), OsStr::from_bytes(path).into()));
        }
        Ok(outputs)
    }

    /// The values of `--outside`: directories that a state knows by name.
    fn outside(&mut self) -> Result<Vec<(String, PathBuf)>, Failure> {
        let outside = self.outputs("outside")?;
        match outside.iter().find(|(name, _)| !format::OUTSIDE.iter().any(|(root, _)| *root == name.as_bytes())) {
            Some((name, _)) => Err(Failure::Usage(format!("--outside {name}: no state has such a directory"))),
            None => Ok(outside),
        }
    }

    fn no_more(&self) -> Result<(), Failure> {
        match self.0.first() {
            None => Ok(()),
            Some((name, _)) => Err(Failure::Usage(format!("--{name} is not used here"))),
        }
    }
}

fn halves(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|byte| *byte == b'=')?;
    Some((&bytes[..at], &bytes[at + 1..]))
}

fn text(option: &str, value: OsString) -> Result<String, Failure> {
    value
        .into_string()
        .map_err(|value| Failure::Usage(format!("--{option} {}: not UTF-8", phasesplit_state::error::Shown(&value))))
}

fn phase(value: OsString) -> Result<Phase, Failure> {
    let value = text("phase", value)?;
    let parsed = value.split_once('=').and_then(|(name, seconds)| {
        let seconds: f64 = seconds.parse().ok()?;
        let name = name.to_owned();
        (!name.is_empty() && seconds.is_finite() && seconds >= 0.0).then_some(Phase { name, seconds })
    });
    parsed.ok_or_else(|| Failure::Usage(format!("--phase {value:?}: not NAME=SECONDS")))
}
