//! The chain of derivations of a generated `split.nix`, as an evaluation gives it.
//!
//! The other side is `nix-lib/split.nix`: its result has `chain`, the stages in order, each a
//! derivation with `stage` (its name); the last is the package itself, and `unsplit` is what it was made from. A package that `--fallback`
//! left whole has no `chain`: it is a chain of one, called `unsplit`.

use serde::Deserialize;
use std::collections::BTreeMap;

use super::Nix;
use super::error::{Cause, NixError};
use super::question::{self, Mode};

/// One derivation of the chain.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stage {
    /// The stage's name: `build`, … `finish`.
    pub stage: String,
    /// The `.drv`, present in the store.
    pub drv_path: String,
    /// The output that stands for the derivation (`out`, or the first of `outputs`).
    pub output_name: String,
    /// Output name to store path.
    pub outputs: BTreeMap<String, String>,
}

impl Stage {
    /// The path of the output that stands for the derivation.
    pub fn path(&self) -> &str {
        self.outputs.get(&self.output_name).map_or("", String::as_str)
    }
}

/// The stages of one package, in order, never empty.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Chain {
    /// The package's `name`.
    pub name: String,
    /// The stages; the last is the package.
    pub stages: Vec<Stage>,
    /// The package as it was.
    pub unsplit: Stage,
    /// What belongs to each stage and why; `None` for an unsplit package.
    #[serde(default)]
    pub phasesplit: Option<Word>,
}

/// The attribute `phasesplit` of a split package: `extras` in `nix-lib/split.nix`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Word {
    /// One for each stage that is not left out.
    pub plan: Vec<StagePlan>,
    /// How boldly attributes are held back.
    pub trust: String,
    /// The stage that continues from an older state, and that state.
    pub pinned: Option<Pinned>,
}

/// What belongs to a stage.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct StagePlan {
    /// The stage's name.
    pub stage: String,
    /// Its phases.
    pub phases: Vec<String>,
    /// The attributes that it is the first to get.
    pub attributes: Vec<String>,
    /// The inputs that it is the first to get, where they are late.
    pub inputs: Vec<String>,
    /// Of its attributes, those that the table of scopes gives to a later stage.
    pub moved: BTreeMap<String, Moved>,
}

/// Why an attribute is in an earlier stage than the table says.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Moved {
    /// The stage that the table says.
    pub from: String,
    /// The attribute whose text mentions it, or another reason: `the hook of cmake`, `scope`, `a builder script`, `readsAll`.
    pub by: String,
}

/// A pin.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Pinned {
    /// The stage.
    pub stage: String,
    /// Its state.
    pub state: String,
}

/// What stands for a stage's name where the package is not split.
pub const UNSPLIT: &str = "unsplit";

/// What is asked of the split package; `outPath` of an output needs no build to be known.
pub(super) const STAGE: &str = "
  let
    stage = d: {
      inherit (d) drvPath;
      stage = d.stage or \"unsplit\";
      outputName = d.outputName or \"out\";
      outputs = builtins.listToAttrs
        (map (o: { name = o; value = builtins.unsafeDiscardStringContext d.${o}.outPath; }) (d.outputs or [ \"out\" ]));
    };
  in ";

const CHAIN: &str = "{
    inherit (s) name;
    stages = map stage (s.chain or [ s ]);
    unsplit = stage (s.unsplit or s);
    phasesplit = if s ? chain then s.phasesplit or null else null;
  }";

/// Evaluates the text of a `split.nix` in `nix`'s directory and writes its derivations to the store.
///
/// Gives the chain and Nix's warnings.
///
/// # Errors
/// Nix's own, or [`Cause::Answer`] where the answer is not a chain.
pub fn evaluate(nix: &Nix, split: &str) -> Result<(Chain, String), NixError> {
    let operation = "cannot evaluate the split package";
    let (chain, warnings): (Chain, String) =
        question::ask(nix, Mode::Full, operation, split, &format!("{STAGE}{CHAIN}"))?;
    if chain.stages.is_empty() {
        return Err(NixError {
            operation: operation.to_owned(),
            command: String::new(),
            cause: Cause::Answer("the chain is empty".to_owned()),
        });
    }
    Ok((chain, warnings))
}

/// Evaluates the derivation of a stage that keeps what it leaves when it fails: `failed.<stage>` of a split package.
/// `stage` is its name as a Nix string.
///
/// # Errors
/// As [`evaluate`].
pub fn evaluate_failed(nix: &Nix, split: &str, stage: &str) -> Result<Stage, NixError> {
    let operation = "cannot evaluate the stage that keeps what it leaves";
    let body = format!("{STAGE}stage s.failed.${{{stage}}}");
    Ok(question::ask(nix, Mode::Full, operation, split, &body)?.0)
}
