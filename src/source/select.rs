//! Chooses one package of a set by an attribute path (`-A`), as far as the text shows.

use super::package::{Call, Package};
use crate::diagnostic::Problem;

/// What an attribute path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selected<'a> {
    /// This call makes the package.
    Call(&'a Call),
    /// The text does not show it; evaluation decides.
    Unknown,
}

/// Follows `path` from the value of the text. An empty path is the value itself.
///
/// # Errors
/// A [`Problem`] naming what there is, if the text shows all attributes and `path` is not among
/// them, or if `path` is empty and the value is visibly a set with packages in it.
pub fn select<'a>(package: &'a Package, path: &[String]) -> Result<Selected<'a>, Problem> {
    let attributes = package.form.attributes();
    if path.is_empty() {
        return match (package.main_call(), attributes) {
            (Some(call), _) => Ok(Selected::Call(call)),
            (None, Some(attributes)) if attributes.complete => {
                let names = names(package);
                Err(Problem::new(
                    "source/choose",
                    format!("`{}` holds a set of packages, not one package", package.file),
                )
                .help(match names.as_slice() {
                    [] => "choose one with `-A NAME`".to_owned(),
                    names => format!("choose one with `-A`: {}", names.join(", ")),
                }))
            }
            _ => Ok(Selected::Unknown),
        };
    }
    let Some(attributes) = attributes else {
        return Ok(Selected::Unknown);
    };
    if let Some(attribute) = attributes.list.iter().rev().find(|a| a.path == path) {
        return Ok(attribute.call.and_then(|index| package.calls.get(index)).map_or(Selected::Unknown, Selected::Call));
    }
    // Below an attribute that is not a visible set, anything may be.
    let leads_on = attributes.list.iter().any(|a| !a.is_set && path.starts_with(&a.path));
    if leads_on || !attributes.complete {
        return Ok(Selected::Unknown);
    }
    let names = names(package);
    Err(Problem::new("source/no-attribute", format!("`{}` has no attribute `{}`", package.file, path.join(".")))
        .help(if names.is_empty() { "the set is empty".to_owned() } else { format!("it has: {}", names.join(", ")) }))
}

/// The names that look like packages, or all if none does; at most 20.
fn names(package: &Package) -> Vec<String> {
    const MOST: usize = 20;
    let Some(attributes) = package.form.attributes() else {
        return Vec::new();
    };
    let any = attributes.list.iter().any(|a| a.looks_like_package);
    let mut names: Vec<String> =
        attributes.list.iter().filter(|a| a.looks_like_package || !any).map(|a| a.path.join(".")).collect();
    if names.len() > MOST {
        let more = names.len() - MOST;
        names.truncate(MOST);
        names.push(format!("and {more} more"));
    }
    names
}
