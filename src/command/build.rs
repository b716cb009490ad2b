//! `phasesplit build`: generate, build, link, report.
//!
//! Standard output gets the result (the store paths, or the JSON report); standard error the progress, the table and
//! what went wrong. The parts: [`run`] does it, [`report`] and [`failure`] say what came of it.

pub mod failure;
mod record;
pub mod report;
pub mod run;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::PathBuf;

use clap::Args;

use super::r#gen::{self, GenRequest};
use super::pkgs::PkgsChoice;
use super::{colour, nix_error, objects};
use crate::cli::PackageArgs;
use crate::diagnostic::{self, Problem, Sources};
use crate::gcroot::{RootError, Roots};
use crate::nix::engine::StoreObject;
use crate::nix::{Nix, NixError};
use crate::status::Status;
use report::Report;
use run::{BuildError, Input, Wish};

/// The arguments of `phasesplit build`.
#[derive(Args, Clone, Debug)]
pub struct BuildArgs {
    /// The package.
    #[command(flatten)]
    pub package: PackageArgs,

    /// Stop after this stage; its state is the result
    #[arg(long, value_name = "STAGE")]
    pub until: Option<String>,

    /// Name of the link to the result
    #[arg(short, long, value_name = "NAME", default_value = "result")]
    pub out_link: PathBuf,

    /// Make no link
    #[arg(long, conflicts_with = "out_link")]
    pub no_link: bool,

    /// Write the report as JSON to standard output, instead of the store paths
    #[arg(long)]
    pub json: bool,

    /// Options for Nix, such as `--option sandbox false` or `--argstr NAME VALUE`
    #[arg(last = true, value_name = "NIX OPTIONS")]
    pub nix_options: Vec<OsString>,
}

/// Runs `phasesplit build`.
pub fn run(arguments: &BuildArgs) -> Status {
    let (input, roots) = match prepare(&arguments.package, &arguments.nix_options) {
        Ok(prepared) => prepared,
        Err(status) => return status,
    };
    let wish = Wish {
        until: arguments.until.clone(),
        link: (!arguments.no_link).then(|| arguments.out_link.clone()),
        nix_options: arguments.nix_options.clone(),
    };
    match run::run(&input, &wish, roots.as_ref()) {
        Ok(report) => tell(&report, arguments.json),
        Err(error) => {
            anstream::eprint!("{}", explain(&error));
            status_of(&error)
        }
    }
}

/// Generates a split package and has in the store what its text names. What goes wrong is told on standard error.
pub(super) fn prepare(package: &PackageArgs, nix_options: &[OsString]) -> Result<(Input, Option<Roots>), Status> {
    let mut request = GenRequest::of(package);
    nix_options.clone_into(&mut request.nix_options);
    let generated = objects::fill(&mut request, package).and_then(|()| r#gen::generate(&request)).map_err(|error| {
        anstream::eprint!("{}", error.render(colour()));
        error.status
    })?;
    r#gen::say(&generated);
    let roots = match Roots::of_user() {
        Ok(roots) => Some(roots),
        Err(error) => {
            anstream::eprintln!("warning: nothing will be protected from garbage collection: {error}");
            None
        }
    };
    provide(&objects::wanted(&generated, package), roots.as_ref()).map_err(|error| {
        let error = BuildError::from(error);
        anstream::eprint!("{}", explain(&error));
        status_of(&error)
    })?;
    let input = Input {
        split: generated.text,
        directory: generated.directory,
        identity: generated.identity,
        host: generated.pkgs == Some(PkgsChoice::Host),
    };
    Ok((input, roots))
}

/// Has in the store what the generated text names; without it the evaluation could only fail.
pub(super) fn provide(objects: &[StoreObject], roots: Option<&Roots>) -> Result<(), NixError> {
    let nix = Nix::default();
    for object in objects {
        match roots {
            None => {
                object.ensure(&nix)?;
            }
            Some(roots) => match roots.provide(&nix, object) {
                Err(RootError::Nix(error)) => return Err(error),
                Err(error) => {
                    anstream::eprintln!("warning: {} is not protected from garbage collection: {error}", object.name());
                }
                Ok(_) => {}
            },
        }
    }
    Ok(())
}

/// Prints the report: the result on standard output, the rest on standard error.
fn tell(report: &Report, json: bool) -> Status {
    anstream::eprint!("{}", report.table());
    if let Some(failure) = &report.failure {
        anstream::eprintln!("error: {}: {failure}", report.package);
    }
    let written = if json { write_json(report) } else { write_paths(report) };
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            anstream::eprintln!("error: cannot write to standard output: {error}");
            Status::Environment
        }
        _ if report.failure.is_some() => Status::Build,
        _ => Status::Success,
    }
}

fn write_json(report: &Report) -> io::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, report)?;
    writeln!(out)
}

fn write_paths(report: &Report) -> io::Result<()> {
    let mut out = io::stdout().lock();
    report.outputs.values().try_for_each(|path| writeln!(out, "{path}"))
}

pub(super) fn status_of(error: &BuildError) -> Status {
    match error {
        BuildError::NoSuchStage { .. } => Status::Usage,
        BuildError::Nix(error) => nix_error::status(error),
    }
}

pub(super) fn explain(error: &BuildError) -> String {
    let (problem, words) = match error {
        BuildError::NoSuchStage { .. } => (Problem::new("build/until", error.to_string()), String::new()),
        BuildError::Nix(error) => nix_error::told(error),
    };
    diagnostic::render(&[problem], Sources::new(&[]), colour()) + &words
}
