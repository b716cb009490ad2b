//! `phasesplit build`: generate, build, link, report.
//!
//! Standard output gets the result (the store paths, or the JSON report); standard error the progress, the table and
//! what went wrong. The parts: [`run`] does it, [`report`] and [`failure`] say what came of it.

pub mod break_point;
pub mod failure;
pub mod kept;
pub mod look;
pub mod pin;
pub mod push;
mod record;
mod refused;
pub mod report;
pub mod run;
pub mod warnings;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::Once;
use std::time::Instant;

use clap::Args;

use super::cache::sending::{SendArgs, Target};
use super::r#gen::{self, GenError, GenRequest};
use super::pkgs::PkgsChoice;
use super::refusal::Refusal;
use super::shell::{self, ShellArgs};
use super::{Outcome, colour, nix_error, objects};
use crate::cli::PackageArgs;
use crate::diagnostic::{self, Problem, Sources};
use crate::gcroot::{RootError, Roots};
use crate::nix::engine::StoreObject;
use crate::nix::{Nix, NixError};
use crate::phase::Stage;
use crate::plan::Pin;
use crate::status::Status;
use pin::{PinError, PinnedState};
use push::Push;
use report::Report;
use run::{BuildError, Input, Stopped, Wish};

/// The arguments of `phasesplit build`.
#[derive(Args, Clone, Debug)]
pub struct BuildArgs {
    /// The package.
    #[command(flatten)]
    pub package: PackageArgs,

    /// Stop after this stage; its state is the result
    #[arg(long, value_name = "STAGE")]
    pub until: Option<String>,

    /// Stop after this stage or phase, and open a shell there as `phasesplit shell` does
    ///
    /// Nothing behind it is built. Where a phase is not the last of its stage, what comes before the stage is built, and the
    /// stage's phases up to that one run in the shell's own sandbox. What follows `--` then runs in place of a shell for the
    /// terminal; options for Nix may stand before it: -- --option cores 1 -- make -n
    #[arg(long = "break", value_name = "STAGE|PHASE", conflicts_with_all = ["until", "json", "out_link", "no_link"])]
    pub break_at: Option<String>,

    /// Continue from this stage's last state, whatever changed since it was made
    ///
    /// The result is marked as pinned: it may not be what the package says. Compare it with `phasesplit verify`.
    #[arg(long, value_name = "STAGE")]
    pub pin: Option<Stage>,

    /// When a stage fails, keep what it leaves: the build directory, the outputs and the shell
    ///
    /// The stage runs once more for that, where Nix builds it, as another derivation. The states of the chain stay as they
    /// are.
    #[arg(long)]
    pub keep_failed: bool,

    /// Push each state to this cache as soon as it is there, while the next stage is built
    ///
    /// Any store that Nix can copy to, by file:, http:, https:, s3: or ssh:, as with `phasesplit cache push`. A push that fails
    /// leaves the build what it is: it is told at the end, and the command ends as `phasesplit cache push` does, or with 3
    /// where the build failed.
    #[arg(long = "push", id = "to", value_name = "URL", conflicts_with_all = ["pin", "break_at"])]
    pub push: Option<String>,

    /// What is pushed, and how.
    #[command(flatten)]
    pub send: SendArgs,

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
pub fn run(arguments: &BuildArgs) -> Outcome {
    let (nix_options, command) = match &arguments.break_at {
        Some(_) => divided(&arguments.nix_options),
        None => (&arguments.nix_options[..], &[][..]),
    };
    let push = arguments.push.as_ref().map(|to| {
        let target = Target::new(to, &arguments.send)?;
        Ok(Push { target, send: arguments.send.clone() })
    });
    let push = match push.transpose() {
        Ok(push) => push,
        Err(refusal) => return Outcome::Status(Refusal::tell(&refusal)),
    };
    let prepared = match prepare(&arguments.package, nix_options, arguments.pin) {
        Ok(prepared) => prepared,
        Err(status) => return Outcome::Status(status),
    };
    let wish = Wish {
        until: arguments.until.clone(),
        pin: prepared.pinned.clone(),
        link: (!arguments.no_link).then(|| arguments.out_link.clone()),
        keep_failed: arguments.keep_failed,
        push,
        nix_options: nix_options.to_vec(),
    };
    if let Some(name) = &arguments.break_at {
        return stop(arguments, &prepared, &wish, name, command);
    }
    Outcome::Status(match run::run(&prepared.input, &wish, prepared.roots.as_ref()) {
        Ok(report) => tell(&report, arguments),
        Err(BuildError::Stopped(stopped)) => tell_stopped(&stopped, arguments),
        Err(error) => refused(&error),
    })
}

/// What follows `--` where there is a break point: options for Nix, which begin with a dash, and behind another `--` the
/// command; or the command alone.
fn divided(words: &[OsString]) -> (&[OsString], &[OsString]) {
    if words.first().is_none_or(|word| !word.as_encoded_bytes().starts_with(b"-")) {
        return (&[], words);
    }
    match words.iter().position(|word| word == "--") {
        Some(end) => (&words[..end], &words[end + 1..]),
        None => (words, &[]),
    }
}

/// Builds up to a break point, and opens the shell there.
fn stop(arguments: &BuildArgs, prepared: &Prepared, wish: &Wish, name: &str, command: &[OsString]) -> Outcome {
    let start = Instant::now();
    let built = run::evaluate(&prepared.input, &wish.nix_options).map_err(BuildError::from).and_then(|chain| {
        let point = break_point::find(&chain, name)?;
        let wish = Wish { until: Some(point.stage.clone()), link: None, ..wish.clone() };
        let report = run::run_chain(&prepared.input, &wish, &chain, prepared.roots.as_ref(), start)?;
        Ok((chain, point, report))
    });
    let (chain, point, report) = match built {
        Ok(built) => built,
        Err(error) => return Outcome::Status(refused(&error)),
    };
    if report.failure.is_some() {
        return Outcome::Status(tell(&report, arguments));
    }
    anstream::eprint!("{}", report.table());
    let command = command.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let shell = ShellArgs { package: arguments.package.clone(), command, ..ShellArgs::default() };
    shell::at_break(&shell, prepared, wish, &chain, &point)
}

/// A split package that is ready to be built.
pub(super) struct Prepared {
    pub(super) input: Input,
    /// The user's roots, where there is a place for them.
    pub(super) roots: Option<Roots>,
    /// The state to continue from.
    pub(super) pinned: Option<PinnedState>,
}

/// Generates a split package and has in the store what its text names. What goes wrong is told on standard error.
pub(super) fn prepare(package: &PackageArgs, nix_options: &[OsString], pin: Option<Stage>) -> Result<Prepared, Status> {
    let not_generated = |error: &GenError| {
        anstream::eprint!("{}", error.render(colour()));
        error.status
    };
    let mut request = GenRequest::of(package);
    nix_options.clone_into(&mut request.nix_options);
    let roots = match Roots::of_user() {
        Ok(roots) => Some(roots),
        Err(error) => {
            anstream::eprintln!("warning: nothing will be protected from garbage collection: {error}");
            None
        }
    };
    let mut pinned = None;
    if let Some(stage) = pin {
        let identity = r#gen::identity(&request).map_err(|error| not_generated(&error))?;
        let found =
            pin::find(&Nix::default(), roots.as_ref(), &identity, stage).map_err(|error| refused(&error.into()))?;
        request.overrides.pin = Some(Pin { stage, state: pinned.insert(found).state.clone() });
    }
    let generated = objects::fill(&mut request, package).and_then(|()| r#gen::generate(&request));
    let generated = generated.map_err(|error| not_generated(&error))?;
    r#gen::say(&generated);
    provide(&objects::wanted(&generated, package), roots.as_ref()).map_err(|error| refused(&error.into()))?;
    let input = Input {
        split: generated.text,
        directory: generated.directory,
        identity: generated.identity,
        words: generated.words,
        host: generated.pkgs == Some(PkgsChoice::Host),
    };
    Ok(Prepared { input, roots, pinned })
}

fn refused(error: &BuildError) -> Status {
    anstream::eprint!("{}", explain(error));
    status_of(error)
}

/// Has in the store what the generated text names; without it the evaluation could only fail. That it cannot be kept is told
/// once: it is asked for before the evaluation and before the build.
pub(super) fn provide(objects: &[StoreObject], roots: Option<&Roots>) -> Result<(), NixError> {
    static TOLD: Once = Once::new();
    let nix = Nix::default();
    for object in objects {
        match roots {
            None => {
                object.ensure(&nix)?;
            }
            Some(roots) => match roots.provide(&nix, object) {
                Err(RootError::Nix(error)) => return Err(error),
                Err(error) => TOLD.call_once(|| {
                    anstream::eprintln!("warning: {} is not protected from garbage collection: {error}", object.name());
                }),
                Ok(_) => {}
            },
        }
    }
    Ok(())
}

/// Prints what came of a build until Nix ended it, and why it did.
fn tell_stopped(stopped: &Stopped, arguments: &BuildArgs) -> Status {
    tell(&stopped.report, arguments);
    anstream::eprint!("{}", in_words(nix_error::told(&stopped.error)));
    nix_error::status(&stopped.error)
}

/// Prints the report: the result on standard output, the rest on standard error.
fn tell(report: &Report, arguments: &BuildArgs) -> Status {
    anstream::eprint!("{}", report.table());
    let pushed = report.pushed.as_ref().map_or(Status::Success, |pushed| {
        anstream::eprint!("{}", pushed.text());
        pushed.tell(!arguments.send.only.is_empty())
    });
    if let Some(failure) = &report.failure {
        anstream::eprintln!("error: {}: {failure}", report.package);
    }
    let written = if arguments.json { write_json(report) } else { write_paths(report) };
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            anstream::eprintln!("error: cannot write to standard output: {error}");
            Status::Environment
        }
        _ => match &report.failure {
            // A machine is at fault, not a phase.
            Some(failure) if failure.lost.is_some() => Status::Environment,
            Some(_) => Status::Build,
            None => pushed,
        },
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
        BuildError::NoSuchStage { .. } | BuildError::Break(_) => Status::Usage,
        BuildError::Pin(error) => error.status(),
        BuildError::Nix(error) => nix_error::status(error),
        BuildError::Stopped(stopped) => nix_error::status(&stopped.error),
    }
}

pub(super) fn explain(error: &BuildError) -> String {
    in_words(match error {
        BuildError::NoSuchStage { .. } => (Problem::new("build/until", error.to_string()), String::new()),
        BuildError::Break(point) => (Problem::new("build/break", point.to_string()).help(&point.help), String::new()),
        BuildError::Nix(error) | BuildError::Pin(PinError::Nix(error)) => nix_error::told(error),
        BuildError::Stopped(stopped) => nix_error::told(&stopped.error),
        BuildError::Pin(pin) => {
            let problem = Problem::new("build/pin", error.to_string());
            let problem = match pin.help() {
                Some(help) => problem.help(help),
                None => problem,
            };
            (problem, String::new())
        }
    })
}

fn in_words((problem, words): (Problem, String)) -> String {
    diagnostic::render(&[problem], Sources::new(&[]), colour()) + &words
}
