//! The stages of a chain once more, from the same states, with and without what is held back from them.
//!
//! The other side is `deepOf` in `nix-lib/split.nix`, the attribute `deep` of a split package.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Nix;
use super::chain::{STAGE, Stage};
use super::error::NixError;
use super::question::{self, Mode};
use crate::render::escape::nix_string;

/// A stage before finish, made differently.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Variants {
    /// The attributes of the package that are held back from it.
    pub own: Vec<String>,
    /// The inputs that it is without.
    pub inputs: Vec<String>,
    /// Every name that may be held back from it, whether the package has it or not, and the word in its place.
    pub canaries: BTreeMap<String, String>,
    /// The stage as it is.
    pub again: Stage,
    /// The stage with the values of `own`, and with `inputs`.
    pub value: Stage,
    /// The stage with all canaries.
    pub canary: Stage,
}

/// What a stage is given besides its own attributes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Given {
    /// Whether words stand in place of the values.
    pub canary: bool,
    /// Names of attributes.
    pub names: Vec<String>,
    /// Names of late inputs; none where words stand in place of values.
    pub inputs: Vec<String>,
}

/// Evaluates the variants of all stages before finish.
///
/// # Errors
/// As [`super::chain::evaluate`].
pub fn evaluate(nix: &Nix, split: &str) -> Result<BTreeMap<String, Variants>, NixError> {
    let body = format!(
        "{STAGE}builtins.mapAttrs (_: d: {{
    inherit (d) own inputs canaries;
    again = stage d.again;
    value = stage d.value;
    canary = stage d.canary;
  }}) (s.deep or {{ }})"
    );
    Ok(question::ask(nix, Mode::Full, "cannot evaluate the stages to compare with", split, &body)?.0)
}

/// Evaluates a stage that is given these alone.
///
/// # Errors
/// As [`super::chain::evaluate`].
pub fn evaluate_given(nix: &Nix, split: &str, stage: &str, given: &Given) -> Result<Stage, NixError> {
    let list = |names: &[String]| names.iter().map(|name| nix_string(name)).collect::<Vec<_>>().join(" ");
    let body = format!(
        "{STAGE}stage (s.deep.${{{}}}.of {{ names = [ {} ]; inputs = [ {} ]; canary = {}; }})",
        nix_string(stage),
        list(&given.names),
        list(&given.inputs),
        given.canary,
    );
    Ok(question::ask(nix, Mode::Full, "cannot evaluate a stage to compare with", split, &body)?.0)
}
