//! What a chain is compared with: the last build, another file, or a derivation.

use std::fs;
use std::path::Path;

use serde::Serialize;

use super::{chain_of, members};
use crate::cli::PackageArgs;
use crate::command::r#gen::{self, GenRequest};
use crate::command::refusal::Refusal;
use crate::diagnostic::Problem;
use crate::explain::Member;
use crate::gcroot::Roots;
use crate::nix::drv::{self, Reader};
use crate::nix::{Nix, chain};
use crate::render;
use crate::source::drv::{Derivations as _, Drv, DrvOutput};
use crate::source::stage_arguments::StageArguments;
use crate::status::Status;

/// What was there before.
pub(super) struct Before {
    /// What it is, for the report.
    pub(super) what: What,
    /// Its stages in order, as far as they are known.
    pub(super) stages: Vec<Member>,
    /// How they came to be.
    pub(super) kind: Kind,
}

/// How the stages that were there before came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// From the package, as a build's.
    Chain,
    /// From an unsplit package's derivation.
    Unsplit,
}

/// What a chain is compared with.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(super) enum What {
    /// The last build.
    LastBuild {
        /// The package's name then.
        package: String,
        /// When, in seconds since 1970.
        time: u64,
    },
    /// What `--against` names.
    Named {
        /// The name.
        name: String,
    },
}

/// The last build, from its record.
pub(super) fn last_build(identity: &[u8]) -> Result<Before, Refusal> {
    let environment =
        |message: String| Refusal::Problem(Status::Environment, Box::new(Problem::new("explain/record", message)));
    let roots = Roots::of_user().map_err(|error| environment(error.to_string()))?;
    let record = roots.last_record(identity).map_err(|error| {
        let problem = Problem::new("explain/record", error.to_string());
        Refusal::input(match error.help() {
            Some(help) => problem.help(help),
            None => problem,
        })
    })?;
    let Some(record) = record else {
        let problem = Problem::new("explain/no-record", "there is no record of a build of this package");
        return Err(Refusal::input(
            problem.help("build it with `phasesplit build` first, or name what to compare it with: --against FILE|DRV"),
        ));
    };
    let stages = record.stages.into_iter().map(|stage| Member { stage: stage.stage, drv: stage.drv, path: stage.path });
    let what = What::LastBuild { package: record.package, time: record.time };
    Ok(Before { what, stages: stages.collect(), kind: Kind::Chain })
}

/// What `--against` names.
pub(super) fn named(name: &str, nix: &Nix, request: &GenRequest, arguments: &PackageArgs) -> Result<Before, Refusal> {
    let what = What::Named { name: name.to_owned() };
    let path = Path::new(name);
    if path.extension().is_some_and(|extension| extension == "drv") {
        let real = path.canonicalize().unwrap_or_else(|_| path.to_owned()).to_string_lossy().into_owned();
        let unreadable = |reason: String| Refusal::input(Problem::new("explain/drv", reason));
        let found = drv::read(&real).map_err(unreadable)?;
        if StageArguments::read(&found).is_some() {
            let stages = chain_before(&real, &found).map_err(unreadable)?;
            return Ok(Before { what, stages, kind: Kind::Chain });
        }
        let stages = of_unsplit(&real, nix, request, arguments)?;
        return Ok(Before { what, stages, kind: Kind::Unsplit });
    }
    // A split.nix says by itself how it is split; anything else is split as the package is.
    let stages = match fs::read(path) {
        Ok(bytes) if render::is_ours(&bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            chain::evaluate(&nix.clone().in_directory(directory), &text)?.0.stages
        }
        _ => {
            let request = GenRequest { package: Some(name.to_owned()), expression: None, ..request.clone() };
            chain_of(nix, &r#gen::generate(&request)?, arguments)?.stages
        }
    };
    Ok(Before { what, stages: members(&stages), kind: Kind::Chain })
}

/// The chain of an unsplit package's derivation.
pub(super) fn of_unsplit(
    drv: &str,
    nix: &Nix,
    request: &GenRequest,
    arguments: &PackageArgs,
) -> Result<Vec<Member>, Refusal> {
    let request = GenRequest { package: Some(drv.to_owned()), expression: None, attribute: None, ..request.clone() };
    Ok(members(&chain_of(nix, &r#gen::generate(&request)?, arguments)?.stages))
}

/// A stage's derivation and those of the stages before it, first to last: each names the state that it continues from.
fn chain_before(path: &str, last: &Drv) -> Result<Vec<Member>, String> {
    let reader = Reader::default();
    let mut stages = vec![member(path, last)?];
    let mut drv = reader.derivation(path)?;
    while let Some(parent) = StageArguments::read(&drv).and_then(|arguments| arguments.parent().map(str::to_owned)) {
        let mut inputs = drv.input_drvs.keys();
        // A pinned state is none's output: what was before it is not known.
        let Some(maker) =
            inputs.find(|input| reader.derivation(input).is_ok_and(|input| input.makes(&parent))).cloned()
        else {
            break;
        };
        drv = reader.derivation(&maker)?;
        stages.push(member(&maker, &drv)?);
    }
    stages.reverse();
    Ok(stages)
}

fn member(path: &str, drv: &Drv) -> Result<Member, String> {
    let arguments = StageArguments::read(drv).ok_or_else(|| format!("{path} is no stage of a chain"))?;
    let first = match drv.outputs.get("out").or_else(|| drv.outputs.values().next()) {
        Some(DrvOutput::Path(path) | DrvOutput::Fixed { path }) => path.clone(),
        Some(DrvOutput::Floating) | None => return Err(format!("{path} has no output whose path is known")),
    };
    Ok(Member { stage: arguments.stage().to_owned(), drv: path.to_owned(), path: first })
}
