//! A package named by its `.drv` file.

use std::path::Path;

use super::r#gen::GenError;
use super::reading::Found;
use crate::diagnostic::Problem;
use crate::plan::{Attribute, Reading};
use crate::render::{DrvText, Package};
use crate::source::drv::{self, Drv};

/// Reads it.
pub fn read(path: &Path, bytes: &[u8], attributes: &[String]) -> Result<Found, GenError> {
    let name = path.display().to_string();
    if !attributes.is_empty() {
        return Err(GenError::input(Problem::new("gen/drv", format!("-A chooses nothing in {name}: a .drv is one package"))));
    }
    // A link such as `result.drv` leads to the file in the store, whose name is part of what it is.
    let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let real = real.to_string_lossy().into_owned();
    let drv = drv::parse(bytes, &real).map_err(GenError::input)?;
    let in_store = real.strip_suffix(".drv").and_then(|rest| rest.rsplit('/').next()).is_some_and(is_store_name);
    if !in_store {
        let problem = Problem::new("gen/drv", format!("{name} is no file of the Nix store, so there is no telling which derivation it is"));
        return Err(GenError::input(problem.help("name the .drv by its store path, as nix-instantiate prints it")));
    }
    if let Some(reason) = no_phases(&drv) {
        let problem = Problem::new("gen/no-phases", format!("{name} cannot be split: {reason}"));
        return Err(GenError::input(problem.help("build it unsplit; only packages that run stdenv's phases have stages")));
    }
    let reading = Reading { attributes: known(&drv), complete: true };
    Ok(Found { package: Package::Drv(text(real, drv)), reading })
}

/// `<32 characters>-name`
fn is_store_name(name: &str) -> bool {
    name.split_once('-').is_some_and(|(hash, _)| hash.len() == 32 && hash.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

fn no_phases(drv: &Drv) -> Option<&'static str> {
    let has = |name: &str| match &drv.structured {
        Some(attributes) => attributes.get(name).is_some(),
        None => drv.env.contains_key(name),
    };
    if drv.is_fixed_output() {
        Some("a fixed-output derivation's result is known beforehand")
    } else if !has("stdenv") {
        Some("it is not made with stdenv.mkDerivation (it has no attribute stdenv)")
    } else if drv.env.get("buildCommand").is_some_and(|text| !text.is_empty()) {
        Some("`buildCommand` replaces all phases")
    } else {
        None
    }
}

/// Its attributes, all of them and as the builder gets them.
fn known(drv: &Drv) -> Vec<Attribute> {
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect();
    match &drv.structured {
        None => drv
            .env
            .iter()
            .map(|(name, value)| Attribute { name: name.clone(), set: Some(!value.is_empty()), words: Some(words(value)) })
            .collect(),
        Some(attributes) => attributes
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, value)| Attribute { name: name.clone(), set: set(value), words: strings(value) })
            .collect(),
    }
}

/// Whether a structured attribute is non-empty in the shell: there `true` is 1 and `false` is empty.
fn set(value: &serde_json::Value) -> Option<bool> {
    match value {
        serde_json::Value::Null => Some(false),
        serde_json::Value::Bool(value) => Some(*value),
        serde_json::Value::Number(_) => Some(true),
        serde_json::Value::String(text) => Some(!text.is_empty()),
        serde_json::Value::Array(items) => Some(!items.is_empty()),
        serde_json::Value::Object(_) => None,
    }
}

fn strings(value: &serde_json::Value) -> Option<Vec<String>> {
    match value {
        serde_json::Value::String(text) => Some(text.split_whitespace().map(str::to_owned).collect()),
        serde_json::Value::Array(items) => items.iter().map(|item| item.as_str().map(str::to_owned)).collect(),
        _ => None,
    }
}

fn text(path: String, drv: Drv) -> DrvText {
    let structured = drv.structured.map(|attributes| attributes.to_string());
    DrvText {
        path,
        outputs: drv.outputs.into_keys().collect(),
        system: drv.system,
        builder: drv.builder,
        arguments: drv.args,
        environment: drv.env.into_iter().collect(),
        structured,
        input_derivations: drv.input_drvs.into_iter().collect(),
        input_sources: drv.input_srcs,
    }
}
