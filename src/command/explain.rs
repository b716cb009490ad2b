//! `phasesplit explain`: which stages would run again, and the first cause of each. Builds nothing.
//!
//! The new chain comes from the same evaluation as `build`'s ([`chain::evaluate`]); what it is compared with is the record
//! of the last build, or what `--against` names ([`against`]). [`report`] says what was found.

mod against;
mod report;

use std::ffi::OsString;
use std::io;

use clap::Args;

use super::r#gen::{self, GenRequest, Generated};
use super::refusal::Refusal;
use super::{build, objects};
use crate::cli::PackageArgs;
use crate::explain::{self, Explainer, Member};
use crate::gcroot::Roots;
use crate::nix::chain::{self, Chain, Stage};
use crate::nix::drv::Reader;
use crate::nix::{Nix, store};
use crate::status::Status;
use against::Before;

/// The arguments of `phasesplit explain`.
#[derive(Args, Clone, Debug)]
pub struct ExplainArgs {
    /// The package.
    #[command(flatten)]
    pub package: PackageArgs,

    /// Compare with this instead of the last build: another package's file, a split.nix, or a .drv
    #[arg(long, value_name = "FILE|DRV")]
    pub against: Option<String>,

    /// Write JSON
    #[arg(long)]
    pub json: bool,

    /// Options for Nix, such as `--argstr NAME VALUE`
    #[arg(last = true, value_name = "NIX OPTIONS")]
    pub nix_options: Vec<OsString>,
}

/// Runs `phasesplit explain`.
pub fn run(arguments: &ExplainArgs) -> Status {
    match found(arguments) {
        Err(refusal) => refusal.tell(),
        Ok(report) => match report.write(arguments.json) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                anstream::eprintln!("error: cannot write to standard output: {error}");
                Status::Environment
            }
            _ => Status::Success,
        },
    }
}

fn found(arguments: &ExplainArgs) -> Result<report::Report, Refusal> {
    let mut request = GenRequest::of(&arguments.package);
    request.nix_options.clone_from(&arguments.nix_options);
    objects::fill(&mut request, &arguments.package)?;
    let generated = r#gen::generate(&request)?;
    r#gen::say(&generated);
    let nix = Nix::new(arguments.nix_options.iter().cloned());
    let new = chain_of(&nix, &generated, &arguments.package)?;
    let before = match &arguments.against {
        None => against::last_build(&generated.identity)?,
        Some(name) => against::named(name, &nix, &request, &arguments.package)?,
    };
    let compared = match before.kind {
        // A chain made of a .drv has its strings without their contexts: compared is what is made in the same way.
        against::Kind::Unsplit => against::of_unsplit(&new.unsplit.drv_path, &nix, &request, &arguments.package)?,
        against::Kind::Chain => members(&new.stages),
    };
    let reader = Reader::default();
    let changes = explain::compare(&before.stages, &compared, &Explainer::new(&reader));
    let paths: Vec<&str> = new.stages.iter().map(Stage::path).collect();
    let missing = store::invalid_paths(&nix, &paths)?;
    let in_store: Vec<bool> = paths.iter().map(|path| !missing.iter().any(|missing| missing == path)).collect();
    Ok(report::Report::new(&new, before, changes, &in_store))
}

/// A generated package's chain: its engine and package set are put into the store first, as for a build.
fn chain_of(nix: &Nix, generated: &Generated, arguments: &PackageArgs) -> Result<Chain, Refusal> {
    build::provide(&objects::wanted(generated, arguments), Roots::of_user().ok().as_ref())?;
    let (chain, warnings) = chain::evaluate(&nix.clone().in_directory(&generated.directory), &generated.text)?;
    anstream::eprint!("{warnings}");
    Ok(chain)
}

fn members(stages: &[Stage]) -> Vec<Member> {
    let member = |stage: &Stage| Member {
        stage: stage.stage.clone(),
        drv: stage.drv_path.clone(),
        path: stage.path().to_owned(),
    };
    stages.iter().map(member).collect()
}
