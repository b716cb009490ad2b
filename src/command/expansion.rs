//! Which attributes a package has: as its text shows, or as Nix evaluates it where that can be asked. Only evaluation sees
//! what a builder on top of `mkDerivation` adds.
//!
//! A chain that was planned from the text gives the same derivations as one from evaluation, but where the list of phases
//! is not written out: what evaluation adds is what a person reads in split.nix, and what options are checked against.

use std::fmt;
use std::path::Path;

use super::r#gen::{GenError, GenRequest};
use super::pkgs::PkgsChoice;
use super::{build, nix_error};
use crate::diagnostic::Problem;
use crate::gcroot::Roots;
use crate::nix::attributes::{self, Attributes, Value};
use crate::nix::engine::{self, StoreObject};
use crate::nix::question::Mode;
use crate::nix::{Cause, Nix, NixError};
use crate::plan::{Attribute, Reading};
use crate::render::{self, Head, Package};
use crate::status::Status;

/// Whether a package is evaluated to see its attributes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Evaluation {
    /// It must be: what follows evaluates it anyway.
    #[default]
    Needed,
    /// Where that can be done; else its text must do.
    Tried,
    /// No (`--no-eval`).
    Off,
}

/// Where a package's attributes were read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadFrom {
    /// Nix evaluated it.
    Evaluation,
    /// Its `.drv` file, which holds them all.
    Drv,
    /// Its text.
    Text(Why),
}

/// Why a package was not evaluated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// There is no Nix.
    NoNix,
    /// `--no-eval`.
    Asked,
    /// Nix cannot; with its first line.
    Failed(String),
    /// Its value shows no attributes: it is no package that can be split.
    NothingShown,
}

impl ReadFrom {
    /// A word for programs.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Evaluation => "evaluation",
            Self::Drv => "drv",
            Self::Text(_) => "text",
        }
    }
}

impl fmt::Display for ReadFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Evaluation => "read by evaluation",
            Self::Drv => "from the .drv file",
            Self::Text(Why::NoNix) => "from the text alone; Nix was not found",
            Self::Text(Why::Asked) => "from the text alone (--no-eval)",
            Self::Text(Why::Failed(_)) => "from the text alone; its evaluation failed",
            Self::Text(Why::NothingShown) => "from the text alone; its value shows none",
        })
    }
}

/// What is known of a package.
#[derive(Debug)]
pub struct Expansion {
    /// For planning.
    pub reading: Reading,
    /// Where it was read.
    pub from: ReadFrom,
    /// All attributes, where Nix evaluated them.
    pub attributes: Option<Attributes>,
}

/// Evaluates a package, where the request wants it and it can be done; else gives back what its text tells.
///
/// # Errors
/// Where it must be evaluated and cannot be.
pub fn expand(
    request: &GenRequest,
    head: &Head,
    choice: Option<&PkgsChoice>,
    written: &Reading,
    directory: &Path,
) -> Result<Expansion, GenError> {
    let text = |why| Expansion { reading: written.clone(), from: ReadFrom::Text(why), attributes: None };
    if matches!(head.package, Package::Drv(_)) {
        return Ok(Expansion { from: ReadFrom::Drv, ..text(Why::Asked) });
    }
    if request.evaluation == Evaluation::Off {
        return Ok(text(Why::Asked));
    }
    let package = render::render_package(head)
        .map_err(|error| GenError::one(Status::Environment, Problem::new("gen/render", error.to_string())))?;
    let nix = Nix::new(request.nix_options.iter().cloned()).in_directory(directory);
    let mode = if request.evaluation == Evaluation::Needed { Mode::Full } else { Mode::ReadOnly };
    match provide(request, choice).and_then(|()| attributes::evaluate(&nix, mode, &package)) {
        Ok(Some(attributes)) => {
            let reading = reading(written, &attributes);
            Ok(Expansion { reading, from: ReadFrom::Evaluation, attributes: Some(attributes) })
        }
        Ok(None) => Ok(text(Why::NothingShown)),
        Err(error) if request.evaluation == Evaluation::Needed && !attributes::cannot_be_printed(&error) => {
            Err(GenError::nix(&error))
        }
        Err(NixError { cause: Cause::Missing { .. }, .. }) => Ok(text(Why::NoNix)),
        Err(error) => Ok(text(Why::Failed(nix_error::first_line(&error)))),
    }
}

/// Has in the store what is evaluated: the host set. Where a build follows, also what that needs, and first of all, so that a
/// store which cannot be used is told as such.
fn provide(request: &GenRequest, choice: Option<&PkgsChoice>) -> Result<(), NixError> {
    let host_set = || engine::host_set().ok().filter(|set| is(set, request.host_set.as_ref()));
    // Another set, or engine, is the user's: evaluation says what is wrong with it.
    let host_set = if choice == Some(&PkgsChoice::Host) { host_set() } else { None };
    if request.evaluation == Evaluation::Needed {
        let engine = engine::engine().ok();
        let engine = engine.filter(|engine| request.engines.iter().any(|(_, path)| is(engine, Some(path))));
        return build::provide(&engine.into_iter().chain(host_set).collect::<Vec<_>>(), Roots::of_user().ok().as_ref());
    }
    match host_set {
        Some(set) if !set.store_path().is_ok_and(|path| Path::new(&path).exists()) => {
            set.ensure(&Nix::default()).map(drop)
        }
        _ => Ok(()),
    }
}

fn is(object: &StoreObject, path: Option<&String>) -> bool {
    object.store_path().ok().as_ref() == path
}

/// The attributes in the order of the text, then what evaluation adds; all of them, so that it is complete.
fn reading(written: &Reading, evaluated: &Attributes) -> Reading {
    let attribute = |name: &String, value: Option<&Value>| Attribute {
        name: name.clone(),
        // An attribute that is null, or dropped by the builder, reaches no shell.
        set: value.map_or(Some(false), Value::is_set),
        words: value.map_or_else(|| Some(Vec::new()), Value::words),
    };
    let mut attributes: Vec<Attribute> =
        written.attributes.iter().map(|known| attribute(&known.name, evaluated.attributes.get(&known.name))).collect();
    for (name, value) in &evaluated.attributes {
        // mkDerivation gives many empty ones, which say nothing to a reader of split.nix.
        if value.is_set() != Some(false) && !written.attributes.iter().any(|known| known.name == *name) {
            attributes.push(attribute(name, Some(value)));
        }
    }
    Reading { attributes, complete: true }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    #[test]
    fn evaluation_adds_to_the_text_and_decides() {
        let written = |name: &str| Attribute { name: name.to_owned(), set: None, words: None };
        let text = Reading { attributes: ["postInstall", "patches"].map(written).to_vec(), complete: false };
        let json = r#"{ "name": "x-1", "attributes": { "doCheck": true, "configureFlags": [],
            "postInstall": "make more", "preBuildPhases": ["aPhase", "bPhase"] } }"#;
        let found = reading(&text, &serde_json::from_str(json).expect("attributes"));
        let shown: Vec<_> = found.attributes.iter().map(|one| (one.name.as_str(), one.set)).collect();
        assert_eq!(
            shown,
            [
                ("postInstall", Some(true)),
                ("patches", Some(false)),
                ("doCheck", Some(true)),
                ("preBuildPhases", Some(true))
            ]
        );
        assert_eq!(found.attributes[3].words.as_deref(), Some(&["aPhase".to_owned(), "bPhase".to_owned()][..]));
        assert!(found.complete);
    }
}
