//! `phasesplit verify`: builds a package split and unsplit, compares the results, and says of each difference what it is.
//!
//! Standard output gets the verdict (or the JSON report), standard error the progress. The parts: [`sides`] builds, [`report`]
//! and [`advice`] say what came of it; the comparison itself is `crate::compare`.

mod advice;
mod deep;
mod report;
mod sides;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::time::Instant;

use clap::Args;
use phasesplit_state::error::Shown;

use super::build;
use crate::cli::PackageArgs;
use crate::compare::{self, Report as Compared};
use crate::status::Status;
use report::{Rebuild, Report, Unsearched};
use sides::{Check, Sides};

/// Shown below `verify --help`.
const HELP: &str = "\
A difference is excused only where a rule proves on both sides that it follows from the package's path or from the clock; \
each excuse is named.

Exit codes:
  0  split and unsplit are the same package, or differ only where the unsplit one differs from itself (--rebuild)
  1  there is a real difference, or a stage depends on what is held back from it (--deep); or the package cannot be read
  2  the command line is at fault
  3  a build failed
  4  Nix, the store or the file system is at fault";

/// The arguments of `phasesplit verify`.
#[derive(Args, Clone, Debug)]
#[command(after_help = HELP)]
pub struct VerifyArgs {
    /// The package.
    #[command(flatten)]
    pub package: PackageArgs,

    /// Build the unsplit package once more, and tell apart where it differs from itself
    #[arg(long)]
    pub rebuild: bool,

    /// Make each stage again, with what is held back from it, and compare: finds who reads an attribute that no search sees
    ///
    /// Each stage before finish runs three times more: as it is, with the values of what is held back, and with words that
    /// occur nowhere else in place of every name that may be held back. What differs from one plain run to the next is
    /// excused. Where a difference does not say which attribute makes it, more runs find out.
    #[arg(long)]
    pub deep: bool,

    /// Write the report as JSON
    #[arg(long)]
    pub json: bool,

    /// Options for Nix, such as `--option sandbox false` or `--argstr NAME VALUE`
    #[arg(last = true, value_name = "NIX OPTIONS")]
    pub nix_options: Vec<OsString>,
}

/// Runs `phasesplit verify`.
pub fn run(arguments: &VerifyArgs) -> Status {
    match verify(arguments) {
        Ok(report) => tell(&report, arguments.json),
        Err(status) => status,
    }
}

/// The report, or how the command ends without one: what went wrong has been said then.
fn verify(arguments: &VerifyArgs) -> Result<Report, Status> {
    let start = Instant::now();
    let build::Prepared { input, roots, .. } = build::prepare(&arguments.package, &arguments.nix_options, None)?;
    let sides = Sides::build(&input, &arguments.nix_options, roots.as_ref())?;
    let compared = compare(compare::compare_split(&sides.split, &sides.unsplit, &sides.staged))?;
    let rebuild = if arguments.rebuild { Some(again(&sides, &compared)?) } else { None };
    let unstable = match &rebuild {
        Some(rebuild) => compare::unstable(&compared, &rebuild.compared),
        None => vec![false; compared.differences.len()],
    };
    let deep = if arguments.deep {
        Some(deep::run(&input, &sides.package, &sides.stages, &arguments.nix_options)?)
    } else {
        None
    };
    let unsearched = unsearched(&sides)?;
    Ok(Report::new(sides, &compared, &unstable, (rebuild, deep, unsearched), start.elapsed()))
}

/// The files of the split package that relocation could not search.
fn unsearched(sides: &Sides) -> Result<Vec<Unsearched>, Status> {
    let paths: Vec<_> = sides.split.iter().map(|(_, path)| path.clone()).collect();
    let found = phasesplit_state::relocate::unsearched(&paths).map_err(|error| {
        anstream::eprintln!("error: {error}");
        Status::Environment
    })?;
    Ok(found.into_iter().map(|(path, what)| Unsearched { file: Shown(&path).to_string(), what }).collect())
}

/// Builds the unsplit package again and compares it with itself. Where split and unsplit agree in all, there is nothing to
/// tell apart, but the question is the user's: it is asked all the same.
fn again(sides: &Sides, compared: &Compared) -> Result<Rebuild, Status> {
    let check = sides.build_again()?;
    let Check::Differs(copies) = check else { return Ok(Rebuild::default()) };
    let told: Vec<_> =
        sides.unsplit.iter().filter(|(name, _)| copies.iter().any(|(copy, _)| copy == name)).cloned().collect();
    let result = compare(compare::compare_rebuilt(&sides.unsplit, &told, &copies));
    sides.forget(&copies);
    let outside = |name: &&String| !told.iter().any(|(known, _)| known == *name);
    let unknown = sides.unsplit.iter().map(|(name, _)| name).filter(outside).cloned().collect();
    Ok(Rebuild { compared: result?, unknown, suspect: !compared.is_equal() })
}

fn compare(result: Result<Compared, compare::Error>) -> Result<Compared, Status> {
    result.map_err(|error| {
        anstream::eprintln!("error: {error}");
        Status::Environment
    })
}

fn tell(report: &Report, json: bool) -> Status {
    let mut out = io::stdout().lock();
    let written = if json {
        serde_json::to_writer_pretty(&mut out, report).map_err(io::Error::from).and_then(|()| writeln!(out))
    } else {
        write!(out, "{report}")
    };
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            anstream::eprintln!("error: cannot write to standard output: {error}");
            Status::Environment
        }
        _ if report.is_different() => Status::Input,
        _ => Status::Success,
    }
}
