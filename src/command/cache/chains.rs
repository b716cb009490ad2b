//! The chains of the packages that the user named: evaluated, not built.

use std::collections::BTreeSet;

use super::CacheArgs;
use crate::command::build;
use crate::command::r#gen::{self, GenRequest};
use crate::command::objects;
use crate::command::refusal::Refusal;
use crate::diagnostic::Problem;
use crate::gcroot::Roots;
use crate::nix::chain::{self, Chain, Stage};
use crate::nix::{Nix, store};

/// A package as a chain.
pub struct Package {
    /// Its stages.
    pub chain: Chain,
    /// What tells it from others.
    pub identity: Vec<u8>,
    /// The outputs of its stages that are not in the store.
    pub missing: BTreeSet<String>,
}

impl Package {
    /// Whether a stage is in the store, with all outputs.
    pub fn is_here(&self, stage: &Stage) -> bool {
        stage.outputs.values().all(|path| !self.missing.contains(path))
    }

    /// Whether a stage is the last, whose outputs are the package.
    pub fn is_result(&self, stage: &Stage) -> bool {
        self.chain.stages.last().is_some_and(|last| last.stage == stage.stage)
    }
}

/// Evaluates all packages, in their order.
pub fn evaluate(arguments: &CacheArgs) -> Result<Vec<Package>, Refusal> {
    let mut names = vec![arguments.package.clone()];
    names.extend(arguments.more.iter().map(|name| {
        let mut package = arguments.package.clone();
        package.package = Some(name.clone());
        package
    }));
    let roots = Roots::of_user().ok();
    let mut packages = Vec::new();
    for package in &names {
        let mut request = GenRequest::of(package);
        arguments.nix_options.clone_into(&mut request.nix_options);
        objects::fill(&mut request, package)?;
        let generated = r#gen::generate(&request)?;
        r#gen::warn(&generated);
        build::provide(&objects::wanted(&generated, package), roots.as_ref())?;
        let nix = Nix::new(arguments.nix_options.iter().cloned()).in_directory(&generated.directory);
        let (chain, warnings) = chain::evaluate(&nix, &generated.text)?;
        anstream::eprint!("{warnings}");
        let paths: Vec<&str> =
            chain.stages.iter().flat_map(|stage| stage.outputs.values()).map(String::as_str).collect();
        let missing = store::invalid_paths(&nix, &paths)?.into_iter().collect();
        packages.push(Package { chain, identity: generated.identity, missing });
    }
    Ok(packages)
}

/// Looks whether each stage that the user named is one of some package.
pub fn check_stages(named: &[String], packages: &[Package]) -> Result<(), Refusal> {
    let stages = || packages.iter().flat_map(|package| &package.chain.stages);
    match named.iter().find(|name| stages().all(|stage| stage.stage != **name)) {
        None => Ok(()),
        Some(name) => {
            let mut known: Vec<&str> = Vec::new();
            for stage in stages() {
                if !known.contains(&stage.stage.as_str()) {
                    known.push(&stage.stage);
                }
            }
            let problem =
                Problem::new("cache/stage", format!("--only {name}: no package that is named has this stage"));
            Err(Refusal::usage(problem.help(format!("the stages are {}", known.join(", ")))))
        }
    }
}
