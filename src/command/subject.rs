//! What the user named as the package: found, and read from disk.

use std::fs;
use std::path::{Path, PathBuf};

use super::r#gen::{GenError, GenRequest};
use super::place::{self, PlaceError};
use crate::diagnostic::Problem;
use crate::render::{FlakeSource, Location};
use crate::source::input::{self, Kind, Pkg};
use crate::source;
use crate::status::Status;

/// The name of an expression from the command line in messages.
const EXPRESSION: &str = "<-E>";

/// A package that the user named.
#[derive(Clone, Debug)]
pub enum Subject {
    /// A Nix file.
    File {
        /// As the user named it; of a directory, the file in it.
        path: PathBuf,
        /// Its content.
        text: String,
    },
    /// An expression.
    Expression(String),
    /// A flake reference.
    Flake {
        /// The whole of it, as the user named it.
        name: String,
        /// The part before `#`.
        reference: String,
        /// The part behind it, empty for the default package.
        attribute: String,
    },
    /// A `.drv` file.
    Drv {
        /// As the user named it.
        path: PathBuf,
        /// Its content.
        bytes: Vec<u8>,
    },
}

impl Subject {
    /// Finds and reads what a request names.
    pub fn find(request: &GenRequest) -> Result<Self, GenError> {
        if let Some(expression) = &request.expression {
            return Ok(Self::Expression(expression.clone()));
        }
        let Some(name) = &request.package else {
            let problem = Problem::new("gen/no-package", "no package is named").help("name a .nix file, or give -E EXPR");
            return Err(GenError::one(Status::Usage, problem));
        };
        match input::classify(name, &kind).map_err(GenError::input)? {
            Pkg::Expression(text) => Ok(Self::Expression(text)),
            Pkg::Flake { reference, attribute } => Ok(Self::Flake { name: name.clone(), reference, attribute }),
            Pkg::Drv(path) => Ok(Self::Drv { bytes: bytes(&path)?, path }),
            Pkg::File(path) => {
                // Of `.` this is `./default.nix`, which reads better without the `./`.
                let path = path.strip_prefix(".").map(Path::to_owned).unwrap_or(path);
                let bytes = bytes(&path)?;
                let text = source::decode(&bytes, &path.display().to_string()).map_err(GenError::input)?.to_owned();
                Ok(Self::File { path, text })
            }
        }
    }

    /// Its name in messages.
    pub fn name(&self) -> String {
        match self {
            Self::File { path, .. } | Self::Drv { path, .. } => path.display().to_string(),
            Self::Expression(_) => EXPRESSION.to_owned(),
            Self::Flake { name, .. } => name.clone(),
        }
    }

    /// The text that problems point into: its name and content.
    pub fn text(&self) -> (String, String) {
        match self {
            Self::File { text, .. } | Self::Expression(text) => (self.name(), text.clone()),
            Self::Flake { .. } | Self::Drv { .. } => (self.name(), String::new()),
        }
    }

    /// The bytes that the generated file is made from; a flake has none that are here.
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::File { text, .. } | Self::Expression(text) => Some(text.as_bytes()),
            Self::Drv { bytes, .. } => Some(bytes),
            Self::Flake { .. } => None,
        }
    }

    /// What tells it from others, wherever the command is run.
    pub fn identity(&self, attributes: &[String]) -> Vec<u8> {
        let mut identity = match self {
            Self::File { path, .. } | Self::Drv { path, .. } => {
                place::absolute(path).into_os_string().into_encoded_bytes()
            }
            Self::Expression(text) => [b"-E ", text.as_bytes()].concat(),
            Self::Flake { name, .. } => name.clone().into_bytes(),
        };
        for attribute in attributes {
            identity.push(0);
            identity.extend_from_slice(attribute.as_bytes());
        }
        identity
    }

    /// The word for it that is right in `directory`: what the header of split.nix says.
    pub fn seen_from(&self, directory: &Path) -> Result<String, PlaceError> {
        match self {
            Self::File { path, .. } => Ok(shown(&place::relative(path, directory)?)),
            // A .drv lies in the store, the same for all.
            Self::Drv { path, .. } => Ok(shown(&place::as_named(path, directory)?)),
            Self::Expression(text) => Ok(text.clone()),
            Self::Flake { name, attribute, .. } => match self.flake_source(directory)? {
                Some(FlakeSource::Directory(location)) => Ok(format!("{}#{attribute}", shown(&location))),
                _ => Ok(name.clone()),
            },
        }
    }

    /// Where its flake is, if it is one.
    pub fn flake_source(&self, directory: &Path) -> Result<Option<FlakeSource>, PlaceError> {
        let Self::Flake { reference, .. } = self else { return Ok(None) };
        let local = reference.strip_prefix("path:").unwrap_or(reference);
        let is_local = local.is_empty() || local.starts_with('.') || local.starts_with('/') || local != reference;
        Ok(Some(if is_local && !local.contains('?') {
            FlakeSource::Directory(place::relative(Path::new(if local.is_empty() { "." } else { local }), directory)?)
        } else {
            FlakeSource::Reference(reference.clone())
        }))
    }
}

/// `./pkg.nix`, `../x/pkg.nix`, `/absolute`: as a person writes it.
fn shown(location: &Location) -> String {
    match location {
        Location::Relative(components) if components.is_empty() => ".".to_owned(),
        Location::Relative(components) => {
            let joined = components.join("/");
            if joined == ".." || joined.starts_with("../") { joined } else { format!("./{joined}") }
        }
        Location::Absolute(path) | Location::Store(path) => path.clone(),
    }
}

fn kind(path: &Path) -> Kind {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => Kind::Directory,
        Ok(_) => Kind::File,
        Err(_) => Kind::Missing,
    }
}

fn bytes(path: &Path) -> Result<Vec<u8>, GenError> {
    let problem = |why: String| GenError::input(Problem::new("gen/read", format!("cannot read `{}`: {why}", path.display())));
    // A pipe or a device may never end, and has no place that split.nix could name.
    match fs::metadata(path) {
        Ok(found) if !found.is_file() => Err(problem("it is no regular file".to_owned())),
        _ => fs::read(path).map_err(|error| problem(error.to_string())),
    }
}

/// The attributes of a path as `-A` has it: `a.b."c d"`.
pub fn attribute_path(text: Option<&str>) -> Result<Vec<String>, GenError> {
    let Some(text) = text else { return Ok(Vec::new()) };
    let bad = |why: &str| {
        let problem = Problem::new("gen/attribute", format!("`{text}` is no attribute path: {why}"));
        GenError::one(Status::Usage, problem.help("write names with dots between, odd ones in double quotes: a.\"b.c\".d"))
    };
    let mut path = Vec::new();
    let mut rest = text;
    loop {
        let name;
        if let Some(quoted) = rest.strip_prefix('"') {
            let end = quoted.find('"').ok_or_else(|| bad("a quote is not closed"))?;
            (name, rest) = (&quoted[..end], &quoted[end + 1..]);
        } else {
            (name, rest) = rest.split_at(rest.find('.').unwrap_or(rest.len()));
            if name.is_empty() {
                return Err(bad("a name is empty"));
            }
        }
        path.push(name.to_owned());
        match rest.strip_prefix('.') {
            Some(more) => rest = more,
            None if rest.is_empty() => return Ok(path),
            None => return Err(bad("a dot is missing after a quote")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attribute_paths() {
        let read = |text| attribute_path(Some(text)).map_err(|error| error.to_string());
        assert_eq!(read("hello"), Ok(vec!["hello".to_owned()]));
        assert_eq!(read("a.\"b.c\".d"), Ok(["a", "b.c", "d"].map(str::to_owned).to_vec()));
        for bad in ["", ".", "a.", ".a", "a..b", "\"a", "\"a\"b"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
