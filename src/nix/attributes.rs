//! The attributes that a package's derivation gets, as Nix evaluates them: what its text alone may not show, because a
//! builder on top of `mkDerivation` added it.
//!
//! One evaluation, without builds. It must not know what the attributes mean.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Nix;
use super::error::{Cause, NixError};
use super::question::{self, Mode};

/// A package's attributes.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Attributes {
    /// Its `name`.
    pub name: String,
    /// Name to value. Without `args`, `builder` and `stdenv`, which are the builder's own.
    pub attributes: BTreeMap<String, Value>,
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(serde_json::Number),
    /// A string, or a path as one. Bytes that are not UTF-8 are shown by U+FFFD.
    Text(String),
    /// A list.
    List(Vec<Value>),
    /// A derivation, or another set that stands for a store path.
    Input {
        /// Its `pname`, or its name without the version.
        input: String,
    },
    /// A set, where the attributes are structured.
    Set {
        /// Its attributes.
        set: BTreeMap<String, Value>,
    },
}

/// Of inputs only names are asked: their paths would cost the evaluation of all that they are made from. `toString` makes a
/// path a string without copying the file into the store.
const BODY: &str = "
  let
    named = value: value.pname or (builtins.parseDrvName (value.name or \"\")).name;
    shown = value:
      if builtins.isPath value then toString value
      else if builtins.isList value then map shown value
      else if !builtins.isAttrs value then value
      else if value ? __toString then toString value
      else if value ? outPath then { input = named value; }
      else { set = builtins.mapAttrs (_: shown) value; };
  in
  if builtins.isAttrs s && s ? drvAttrs then {
    inherit (s) name;
    attributes = builtins.mapAttrs (_: shown) (removeAttrs s.drvAttrs [ \"args\" \"builder\" \"stdenv\" ]);
  } else null";

/// Evaluates the text of a package in `nix`'s directory; `None` where it is nothing that shows its attributes.
///
/// # Errors
/// Nix's own, or [`Cause::Answer`] where the answer is not of the type.
pub fn evaluate(nix: &Nix, mode: Mode, package: &str) -> Result<Option<Attributes>, NixError> {
    let ask = |mode| question::ask(nix, mode, "cannot evaluate the package", package, BODY).map(|(found, _)| found);
    match ask(mode) {
        // A few packages read, in Nix, a file that Nix itself has written into the store.
        Err(error) if mode == Mode::ReadOnly && wants_a_store_path(&error) => ask(Mode::WithoutBuilds),
        answer => answer,
    }
}

fn wants_a_store_path(error: &NixError) -> bool {
    matches!(&error.cause, Cause::Evaluation { detail } if detail.contains("is not valid"))
}

/// Whether an evaluation failed only because newer versions of Nix cannot print bytes that are not UTF-8.
pub fn cannot_be_printed(error: &NixError) -> bool {
    matches!(&error.cause, Cause::Evaluation { detail } if detail.contains("invalid UTF-8"))
}

impl Attributes {
    /// The names of the inputs in the lists that `mkDerivation` takes, each once, sorted.
    pub fn inputs(&self) -> Vec<&str> {
        const LISTS: [&str; 4] =
            ["nativeBuildInputs", "buildInputs", "propagatedNativeBuildInputs", "propagatedBuildInputs"];
        let mut names: Vec<&str> =
            LISTS.iter().filter_map(|list| self.attributes.get(*list)).flat_map(Value::inputs).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

impl Value {
    fn inputs(&self) -> Vec<&str> {
        match self {
            Self::Input { input } => vec![input],
            Self::List(items) => items.iter().flat_map(Self::inputs).collect(),
            _ => Vec::new(),
        }
    }

    /// Whether it is non-empty once Nix has put it into the environment; `None` for a set, which has no place there.
    ///
    /// There `true` is 1, `false` and `null` are nothing, and a list is its items with blanks between.
    pub fn is_set(&self) -> Option<bool> {
        match self {
            Self::Null => Some(false),
            Self::Bool(value) => Some(*value),
            Self::Number(_) | Self::Input { .. } => Some(true),
            Self::Text(text) => Some(!text.is_empty()),
            Self::List(items) => Some(items.len() > 1 || items.iter().any(|item| item.is_set() != Some(false))),
            Self::Set { .. } => None,
        }
    }

    /// Its words, where it is text or a list of texts.
    pub fn words(&self) -> Option<Vec<String>> {
        match self {
            Self::Null => Some(Vec::new()),
            Self::Text(text) => Some(text.split_whitespace().map(str::to_owned).collect()),
            Self::List(items) => items.iter().map(Self::words).collect::<Option<Vec<_>>>().map(|words| words.concat()),
            _ => None,
        }
    }

    /// Its text, where it is a string.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    fn asked(package: &str) -> Option<Attributes> {
        let nix = Nix::default().in_directory(concat!(env!("CARGO_MANIFEST_DIR"), "/tests"));
        match evaluate(&nix, Mode::ReadOnly, package) {
            Ok(found) => found,
            Err(NixError { cause: Cause::Missing { .. }, .. }) => {
                eprintln!("not asked: there is no Nix here");
                None
            }
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn values_of_every_kind() {
        let Some(found) = asked(
            r#"{ pname ? "greeting" }: { name = "${pname}-1"; drvAttrs = {
                 args = [ (throw "args") ]; stdenv = throw "stdenv"; builder = throw "builder";
                 none = null; no = false; yes = true; number = 1; fraction = 0.5; empty = ""; text = "a b\n"; path = ./support;
                 list = [ "a" "b c" 1 ]; list0 = [ ]; list1 = [ "" ]; list2 = [ "" "" ]; phases = [ "a b" "c" ];
                 nativeBuildInputs = [ { outPath = throw "never built"; pname = "make-wrapper"; name = "x-1"; } [ { outPath = "/x"; name = "zlib-1.2"; } ] ];
                 buildInputs = [ { outPath = "/x"; name = "zlib-1.2"; } "/nix/store/x" ];
                 custom = { __toString = self: "custom text"; };
                 env = { FOO = "x"; nested = { a = [ ]; }; };
               }; }"#,
        ) else {
            return;
        };
        assert_eq!(found.name, "greeting-1");
        assert_eq!(found.inputs(), ["make-wrapper", "zlib"]);
        let value = |name: &str| found.attributes[name].clone();
        for name in ["none", "no", "empty", "list0", "list1"] {
            assert_eq!(value(name).is_set(), Some(false), "{name}");
        }
        for name in ["yes", "number", "fraction", "text", "path", "list", "list2", "buildInputs", "custom"] {
            assert_eq!(value(name).is_set(), Some(true), "{name}");
        }
        assert_eq!(value("env").is_set(), None);
        assert_eq!(value("path").text(), Some(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support")));
        assert_eq!(value("custom").text(), Some("custom text"));
        assert_eq!(value("phases").words().expect("words").join(","), "a,b,c");
        assert_eq!(value("list").words(), None);
    }

    #[test]
    fn what_shows_no_attributes_is_no_package() {
        assert_eq!(asked("{ hello = 1; }"), None);
        assert_eq!(asked("\"text\""), None);
    }

    #[test]
    fn a_file_that_nix_writes_can_be_read() {
        let text = r#"{ name = "x"; drvAttrs.text = builtins.readFile (builtins.toFile "a" "b c"); }"#;
        let Some(found) = asked(text) else { return };
        assert_eq!(found.attributes["text"].text(), Some("b c"));
    }
}
