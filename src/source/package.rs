//! What a Nix text says about a package, without evaluating it.
//!
//! Owns the types that [`super::read`] fills. Everything here is what *stands in the text*: an
//! evaluation may add attributes, take some away or choose another branch, so absence here proves
//! nothing unless a `complete` flag says that nothing was hidden.

use super::text::Text;
use crate::diagnostic::Span;

/// A Nix text, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// The name of the text in messages.
    pub file: String,
    /// How the package is obtained from the text's value.
    pub form: Form,
    /// Every call of a builder in the text, in the order of the text.
    pub calls: Vec<Call>,
    /// The call that makes the text's value, where that is visible: an index into `calls`.
    pub main: Option<usize>,
}

impl Package {
    /// The call that makes the text's value, where that is visible.
    pub fn main_call(&self) -> Option<&Call> {
        self.main.and_then(|index| self.calls.get(index))
    }

    /// Why the text's value cannot be split, where the text shows it.
    pub fn not_stdenv(&self) -> Option<&NotStdenv> {
        self.main_call().and_then(|call| call.not_stdenv.as_ref())
    }
}

/// How a package is obtained from a text's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// `{ stdenv, fetchurl, … }: …`: some argument has no default, so `callPackage` fills them.
    CallPackage(Formals),
    /// `{ pkgs ? import <nixpkgs> { } }: …`: can be called with `{ }`.
    Function(Formals),
    /// `pkgs: …`.
    PlainFunction {
        /// The argument's name.
        parameter: String,
        /// What the function returns.
        returns: Returns,
    },
    /// An expression that is not visibly a function or a set: taken to be a derivation.
    Derivation,
    /// A set of packages: one is chosen with `-A`.
    AttributeSet(Attributes),
}

impl Form {
    /// The attribute set behind the form, if the value (of the function, too) is one.
    pub fn attributes(&self) -> Option<&Attributes> {
        match self {
            Self::AttributeSet(attributes) => Some(attributes),
            Self::CallPackage(formals) | Self::Function(formals) => formals.returns.attributes(),
            Self::PlainFunction { returns, .. } => returns.attributes(),
            Self::Derivation => None,
        }
    }
}

/// The arguments of a function written `{ a, b ? c, ... }:`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Formals {
    /// In the order of the text.
    pub names: Vec<Formal>,
    /// Whether `...` is among them.
    pub ellipsis: bool,
    /// The name in `args@{ … }`.
    pub bound: Option<String>,
    /// What the function returns.
    pub returns: Returns,
}

impl Formals {
    /// The names that have no default.
    pub fn required(&self) -> impl Iterator<Item = &str> {
        self.names.iter().filter(|formal| !formal.has_default).map(|formal| formal.name.as_str())
    }
}

/// One argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Formal {
    /// Its name.
    pub name: String,
    /// Where the name stands.
    pub span: Span,
    /// Whether `? default` follows.
    pub has_default: bool,
}

/// What a function returns, as far as the text shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Returns {
    /// Anything else; taken to be a derivation.
    Value,
    /// A set of packages.
    Attributes(Attributes),
    /// Another function: an overlay, or a package that wants to be called twice.
    Function,
}

impl Returns {
    fn attributes(&self) -> Option<&Attributes> {
        match self {
            Self::Attributes(attributes) => Some(attributes),
            _ => None,
        }
    }
}

/// The attributes of a set of packages, nested sets included.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    /// In the order of the text.
    pub list: Vec<SetAttribute>,
    /// Whether the text shows all names: no `${…}` as a name, no `//` with something unknown.
    pub complete: bool,
}

/// One attribute of a set of packages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAttribute {
    /// The path from the set: `["python", "foo"]`.
    pub path: Vec<String>,
    /// Where the name stands.
    pub span: Span,
    /// Whether the value is visibly a package: a call of a builder, `callPackage`, `overrideAttrs`.
    pub looks_like_package: bool,
    /// Whether the value is a set, whose attributes follow.
    pub is_set: bool,
    /// The call that makes it: an index into [`Package::calls`].
    pub call: Option<usize>,
}

/// A call of a builder: `stdenv.mkDerivation { … }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The function as written: `stdenv.mkDerivation`. Of `x.overrideAttrs`, where `x` is not
    /// visible: `x`.
    pub builder: String,
    /// What kind of builder that is.
    pub kind: Builder,
    /// Where the builder's name stands.
    pub builder_span: Span,
    /// The whole call, `overrideAttrs` on top not included.
    pub span: Span,
    /// How the arguments are written.
    pub arguments: Arguments,
    /// The attributes in the order in which they take effect: a later one replaces an earlier one
    /// with the same name (unless `conditional`). Those of `overrideAttrs` come last.
    pub attributes: Vec<Attribute>,
    /// Whether the text shows all attributes: nothing is merged in that is not written here.
    pub complete: bool,
    /// Whether this call stands inside the arguments of another one (a test, a helper).
    pub nested: bool,
    /// Why the chain cannot be made for it, where the text shows it.
    pub not_stdenv: Option<NotStdenv>,
}

impl Call {
    /// The attribute `name` (a dotted path such as `env.FOO` is one name) that takes effect if no
    /// condition interferes: the last one.
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes.iter().rev().find(|attribute| attribute.name == name)
    }

    /// The string `name` has for certain: no condition, no unknown hole.
    pub fn string(&self, name: &str) -> Option<String> {
        let attribute = self.attribute(name)?;
        match &attribute.value {
            Value::String(text) if !attribute.conditional => text.known(),
            _ => None,
        }
    }
}

/// The kinds of builders that are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Builder {
    /// `mkDerivation` of some stdenv.
    MkDerivation,
    /// A function that calls `mkDerivation`: `buildPythonPackage`, `buildGoModule`, …
    OnStdenv,
    /// `x.overrideAttrs (…)` of a package that this text does not define.
    Override,
    /// A function whose derivations do not run stdenv's phases.
    Other,
}

/// How a builder's arguments are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arguments {
    /// `{ … }`, also merged with `//`.
    Set,
    /// `rec { … }`.
    Rec,
    /// `finalAttrs: { … }`.
    FinalAttrs,
    /// `finalAttrs: previousAttrs: { … }`, `old: { … }`.
    Overlay,
    /// Something else: a name from elsewhere, the result of a function.
    Unknown,
}

/// An attribute given to a builder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// Its name; nested attributes (`env.FOO = …`, `env = { FOO = …; }`) are joined by dots.
    pub name: String,
    /// Where the name stands.
    pub key: Span,
    /// Where the value stands; of `inherit a;` the name.
    pub span: Span,
    /// What the text says about the value.
    pub value: Value,
    /// The name in a `let`, a `rec` set or an `inherit` that the value was followed through.
    pub via: Option<String>,
    /// Whether it applies only under a condition (`lib.optionalAttrs`, `if`).
    pub conditional: bool,
    /// How it got there.
    pub origin: Origin,
}

/// How an attribute got to its builder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// `name = value;`
    Written,
    /// `inherit name;` or `inherit (set) name;`
    Inherited,
    /// Set by `overrideAttrs`.
    Override,
}

/// What a text says about a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A string, with holes or without.
    String(Text),
    /// A list, with its items.
    List(Vec<Value>),
    /// `true` or `false`.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// `null`.
    Null,
    /// A path literal, as written.
    Path(String),
    /// A set; the attributes of `env` are also listed by their dotted names.
    Set,
    /// A function.
    Function,
    /// Known only to an evaluation.
    Other,
}

/// Why a package is not one that runs stdenv's phases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotStdenv {
    /// The reason.
    pub reason: Reason,
    /// The place that shows it.
    pub span: Span,
}

/// The reasons for [`NotStdenv`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// A function of nixpkgs that makes a derivation of one script or file: `runCommand`, `writeText`.
    TrivialBuilder(String),
    /// `buildCommand` or `buildCommandPath` is set: stdenv then runs that instead of the phases.
    BuildCommand,
    /// `outputHash` is set: the result is fixed, there is nothing to gain from its stages.
    FixedOutput,
    /// A function that fetches: `fetchurl`, `fetchFromGitHub`.
    Fetcher(String),
    /// `builder` is set: whether that script runs the phases only its author knows.
    OwnBuilder,
    /// `derivation { … }` is called directly.
    RawDerivation,
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TrivialBuilder(name) => {
                write!(f, "`{name}` makes its result with one script, not with phases")
            }
            Self::BuildCommand => f.write_str("`buildCommand` replaces all phases"),
            Self::FixedOutput => {
                f.write_str("a fixed-output derivation (`outputHash`) is not rebuilt when its phases change")
            }
            Self::Fetcher(name) => {
                write!(f, "`{name}` fetches a source, it does not build a package")
            }
            Self::OwnBuilder => f.write_str("it has a `builder` of its own"),
            Self::RawDerivation => f.write_str("`derivation` is called without a stdenv"),
        }
    }
}
