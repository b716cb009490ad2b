//! From what the user named to the package as split.nix has it and what its text tells.

use std::env;
use std::path::Path;

use rnix::SyntaxKind;

use super::r#gen::GenError;
use super::place;
use super::subject::Subject;
use crate::diagnostic::Problem;
use crate::plan::Reading;
use crate::render::{Call, FlakeText, Package};
use crate::source::{self, Form, Reason, Returns, Selected};
use crate::status::Status;

/// A package that was found.
pub struct Found {
    /// As split.nix has it.
    pub package: Package,
    /// What its text tells.
    pub reading: Reading,
}

/// Reads what the user named.
pub fn read(subject: &Subject, attributes: Vec<String>, directory: &Path) -> Result<Found, GenError> {
    match subject {
        Subject::File { path, text } => {
            let (call, reading) = read_text(subject, text, &attributes)?;
            let file = place::relative(path, directory)?;
            let reads_nixpkgs = reads_nixpkgs(text, call);
            Ok(Found { package: Package::File { file, call, attributes, reads_nixpkgs }, reading })
        }
        Subject::Expression(text) => {
            let (call, reading) = read_text(subject, text, &attributes)?;
            stays_right(text, directory)?;
            let reads_nixpkgs = reads_nixpkgs(text, call);
            Ok(Found { package: Package::Expression { text: text.clone(), call, attributes, reads_nixpkgs }, reading })
        }
        Subject::Flake { attribute, .. } => {
            let Some(flake) = subject.flake_source(directory)? else {
                return Err(GenError::input(Problem::new("gen/flake", format!("{} is no flake", subject.name()))));
            };
            if attribute.contains('^') {
                let problem = Problem::new("gen/flake", format!("{} names outputs with ^", subject.name()));
                return Err(GenError::input(problem.help("leave them away: the split package has all outputs")));
            }
            let mut path =
                if attribute.is_empty() { Vec::new() } else { super::subject::attribute_path(Some(attribute))? };
            path.extend(attributes);
            Ok(Found { package: Package::Flake(FlakeText { flake, attributes: path }), reading: Reading::default() })
        }
        Subject::Drv { path, bytes } => super::drv::read(path, bytes, &attributes),
    }
}

/// How a text's value becomes the package, and what the text tells of it.
fn read_text(subject: &Subject, text: &str, attributes: &[String]) -> Result<(Call, Reading), GenError> {
    let name = subject.name();
    let fail = |problems: Vec<Problem>| GenError {
        status: Status::Input,
        problems,
        about: subject.text(),
        words: String::new(),
    };
    if crate::render::is_ours(text.as_bytes()) {
        let problem = Problem::new("gen/split", format!("{name} is a split.nix itself"));
        return Err(fail(vec![problem.help("name the package's own file; its header says which")]));
    }
    let package = source::read(text, &name).map_err(fail)?;
    let function = |what: &str| {
        let problem = Problem::new("gen/function", format!("{name} is {what}, not a package"));
        fail(vec![problem.help("say how it is called with -E, as in: -E '(import ./pkg.nix final prev).hello'")])
    };
    let call = match &package.form {
        Form::CallPackage(formals) if formals.returns == Returns::Function => {
            return Err(function("a function that returns a function"));
        }
        Form::Function(formals) if formals.returns == Returns::Function => {
            return Err(function("a function that returns a function"));
        }
        Form::PlainFunction { returns: Returns::Function, .. } => {
            return Err(function("an overlay or another function of functions"));
        }
        Form::CallPackage(_) => Call::CallPackage,
        Form::Function(_) => Call::Defaults,
        Form::PlainFunction { .. } => Call::WithPkgs,
        Form::Derivation | Form::AttributeSet(_) => Call::Value,
    };
    let reading = match source::select(&package, attributes).map_err(|problem| fail(vec![problem]))? {
        Selected::Unknown => Reading::default(),
        Selected::Call(found) => {
            if let Some(reason) = &found.not_stdenv {
                // A builder script of the package's own may well run the phases; evaluation sees to it.
                if reason.reason != Reason::OwnBuilder {
                    let problem =
                        Problem::new("gen/no-phases", format!("this package cannot be split: {}", reason.reason))
                            .at(&name, reason.span.clone())
                            .help("build it unsplit; only packages that run stdenv's phases have stages");
                    return Err(fail(vec![problem]));
                }
            }
            Reading::of(found)
        }
    };
    Ok((call, reading))
}

/// Whether it matters to the text, or to files that it imports, what `<nixpkgs>` is. callPackage hands over a package set
/// already, so there only the text itself counts.
fn reads_nixpkgs(text: &str, call: Call) -> bool {
    text.contains("<nixpkgs") || call != Call::CallPackage && text.contains("import")
}

/// An expression's relative paths mean the same in split.nix only if that lies in the current directory.
fn stays_right(text: &str, directory: &Path) -> Result<(), GenError> {
    let here = env::current_dir().and_then(|here| here.canonicalize()).ok();
    if here.is_some() && here == directory.canonicalize().ok() {
        return Ok(());
    }
    let relative = rnix::tokenize(text).into_iter().find(|(kind, _)| *kind == SyntaxKind::TOKEN_PATH_REL);
    match relative {
        None => Ok(()),
        Some((_, path)) => {
            let problem = Problem::new(
                "gen/relative",
                format!("the expression names {path}, which is another file seen from {}", directory.display()),
            );
            Err(GenError::one(
                Status::Usage,
                problem.help("write the file into the current directory, or name absolute paths"),
            ))
        }
    }
}
