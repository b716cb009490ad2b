//! The table of scopes, `nix-lib/scopes.nix`: which stage first gets an attribute of the package.
//!
//! The Nix side imports the same file (`nix-lib/split.nix`), so the two cannot disagree.

use std::collections::BTreeMap;

use rnix::ast::{self, AstToken as _, HasEntry as _, InterpolPart};
use rowan::ast::AstNode as _;

use super::Stage;

const TABLE: &str = include_str!("../../nix-lib/scopes.nix");

/// The text of the table, Nix.
pub fn scope_table() -> &'static str {
    TABLE
}

/// The attributes that unpack itself reads, to show them where they belong. Whatever the table does not name belongs to
/// unpack as well; these are the ones that a reader looks for there (nixpkgs manual, the unpack phase).
pub const UNPACK_ATTRIBUTES: [&str; 10] = [
    "src",
    "srcs",
    "sourceRoot",
    "setSourceRoot",
    "preUnpack",
    "postUnpack",
    "unpackPhase",
    "unpackCmd",
    "dontUnpack",
    "dontMakeSourcesWritable",
];

/// What is wrong with a table of scopes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the table of scopes: {0}")]
pub struct ScopeError(String);

impl ScopeError {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

/// Attribute → the first stage that gets it, with the source of the row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scopes {
    rows: BTreeMap<String, (Stage, String)>,
}

impl Scopes {
    /// The table that comes with this version.
    ///
    /// # Errors
    /// Where `nix-lib/scopes.nix` is not the literal it promises to be; a test sees to that.
    pub fn builtin() -> Result<Self, ScopeError> {
        Self::parse(TABLE)
    }

    /// Reads a table: `{ stage = { attribute = "where its first reader is"; … }; … }`, literals only.
    ///
    /// # Errors
    /// Names what is not of that shape, an unknown stage, or an attribute with two rows.
    pub fn parse(text: &str) -> Result<Self, ScopeError> {
        let parsed = rnix::Root::parse(text);
        if let Some(error) = parsed.errors().first() {
            return Err(ScopeError(error.to_string()));
        }
        let Some(ast::Expr::AttrSet(stages)) = parsed.tree().expr() else {
            return Err(ScopeError("it is no attribute set".to_owned()));
        };
        let mut rows = BTreeMap::new();
        for (name, value) in entries(&stages)? {
            let stage: Stage = name.parse().map_err(|error| ScopeError(format!("{error}")))?;
            let ast::Expr::AttrSet(attributes) = value else {
                return Err(ScopeError(format!("`{name}` is no attribute set")));
            };
            for (attribute, source) in entries(&attributes)? {
                let source =
                    literal(&source).ok_or_else(|| ScopeError(format!("`{name}.{attribute}` is no plain string")))?;
                if let Some((other, _)) = rows.insert(attribute.clone(), (stage, source)) {
                    return Err(ScopeError(format!("`{attribute}` is in `{other}` and in `{stage}`")));
                }
            }
        }
        Ok(Self { rows })
    }

    /// The first stage that gets this attribute.
    pub fn of(&self, attribute: &str) -> Stage {
        self.rows.get(attribute).map_or(Stage::Unpack, |(stage, _)| *stage)
    }

    /// Where the row for this attribute comes from; `None` where it has no row.
    pub fn source(&self, attribute: &str) -> Option<&str> {
        self.rows.get(attribute).map(|(_, source)| source.as_str())
    }

    /// All rows by attribute name: attribute, stage, source.
    pub fn rows(&self) -> impl Iterator<Item = (&str, Stage, &str)> {
        self.rows.iter().map(|(attribute, (stage, source))| (attribute.as_str(), *stage, source.as_str()))
    }
}

/// The entries of an attribute set whose names are single identifiers.
pub(super) fn entries(set: &ast::AttrSet) -> Result<Vec<(String, ast::Expr)>, ScopeError> {
    let mut found = Vec::new();
    for entry in set.entries() {
        let shown = || entry.syntax().text().to_string();
        let ast::Entry::AttrpathValue(pair) = &entry else {
            return Err(ScopeError(format!("`{}` is not of the form `name = value;`", shown())));
        };
        let mut path = pair.attrpath().into_iter().flat_map(|path| path.attrs());
        let (Some(ast::Attr::Ident(name)), None, Some(value)) = (path.next(), path.next(), pair.value()) else {
            return Err(ScopeError(format!("`{}` does not begin with a single name", shown())));
        };
        found.push((name.to_string(), value));
    }
    Ok(found)
}

/// The text of a string without interpolation.
pub(super) fn literal(value: &ast::Expr) -> Option<String> {
    let ast::Expr::Str(text) = value else { return None };
    let mut whole = String::new();
    for part in text.parts() {
        let InterpolPart::Literal(part) = part else { return None };
        whole.push_str(part.syntax().text());
    }
    (!whole.contains('\\')).then_some(whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    #[test]
    fn the_table_is_a_literal_and_names_every_row_s_source() {
        let scopes = Scopes::builtin().expect("the table parses");
        assert!(scopes.rows().count() >= 200);
        for (attribute, stage, source) in scopes.rows() {
            assert_ne!(stage, Stage::Unpack, "{attribute}: unpack is what is not in the table");
            assert!(source.contains("manual") || source.starts_with("pkgs/"), "{attribute}: {source}");
        }
    }

    #[test]
    fn an_attribute_belongs_to_its_earliest_reader() {
        let scopes = Scopes::builtin().expect("the table parses");
        for (attribute, stage) in [
            ("makeFlags", Stage::Build),
            ("installFlags", Stage::Install),
            ("postInstall", Stage::Install),
            ("patches", Stage::Patch),
            ("doCheck", Stage::Check),
            ("npmFlags", Stage::Patch),
            ("makeWrapperArgs", Stage::Install),
            ("dontStrip", Stage::Finish),
            ("src", Stage::Unpack),
            ("somethingElse", Stage::Unpack),
        ] {
            assert_eq!(scopes.of(attribute), stage, "{attribute}");
        }
    }

    /// These are read before their stage seems to begin, each seen in nixpkgs: by `setup.sh` while it loads, by a hook
    /// that is being sourced, by a phase before unpack, or by `definePhases`. A row for one of them would be unsound.
    #[test]
    fn what_is_read_while_loading_has_no_row() {
        let scopes = Scopes::builtin().expect("the table parses");
        for attribute in [
            "prefix",
            "outputs",
            "outputDev",
            "buildInputs",
            "nativeBuildInputs",
            "propagatedBuildInputs",
            "hardeningDisable",
            "NIX_CFLAGS_COMPILE",
            "phases",
            "prePhases",
            "preFixupPhases",
            "dontUseNinjaBuild",
            "dontUseCmakeConfigure",
            "dontVersionCheck",
            "pythonNamespaces",
            "qmakeFlags",
            "dontWrapQtApps",
            "cargoDeps",
        ] {
            assert_eq!(scopes.source(attribute), None, "{attribute}");
        }
    }

    #[test]
    fn other_shapes_are_refused() {
        for (text, error) in [
            ("1", "it is no attribute set"),
            ("{ fixup = { }; }", "is no stage"),
            ("{ build = 1; }", "`build` is no attribute set"),
            ("{ build = { a = 1; }; }", "`build.a` is no plain string"),
            ("{ build = { a = \"x${y}\"; }; }", "`build.a` is no plain string"),
            ("{ build = { a = \"x\"; }; check = { a = \"y\"; }; }", "`a` is in `build` and in `check`"),
            ("{ build = { inherit a; }; }", "is not of the form"),
            ("{ build = {", "the table of scopes"),
        ] {
            let found = Scopes::parse(text).unwrap_err().to_string();
            assert!(found.contains(error), "{text}: {found}");
        }
    }
}
