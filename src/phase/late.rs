//! What inputs are called: the names in `nix-lib/late-inputs.nix`, which the Nix side reads too.

use std::collections::BTreeMap;

use rnix::ast;

use super::ScopeError;
use super::scope::{entries, literal};

const TABLE: &str = include_str!("../../nix-lib/late-inputs.nix");

/// nixpkgs' attribute for an input → the names that its derivation may have, without version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InputNames(BTreeMap<String, Vec<String>>);

impl InputNames {
    /// The table that comes with this version.
    ///
    /// # Errors
    /// Where it is not the literal it promises to be; a test sees to that.
    pub fn builtin() -> Result<Self, ScopeError> {
        let wrong = || ScopeError::new("late-inputs.nix is no set of rows with a list `names`");
        let Some(ast::Expr::AttrSet(rows)) = rnix::Root::parse(TABLE).tree().expr() else { return Err(wrong()) };
        let mut names = BTreeMap::new();
        for (attribute, row) in entries(&rows)? {
            let ast::Expr::AttrSet(row) = row else { return Err(wrong()) };
            let list = entries(&row)?.into_iter().find(|(key, _)| key == "names");
            let Some((_, ast::Expr::List(list))) = list else { return Err(wrong()) };
            let row: Option<Vec<String>> = list.items().map(|item| literal(&item)).collect();
            names.insert(attribute, row.ok_or_else(wrong)?);
        }
        Ok(Self(names))
    }

    /// Whether a person may mean the input of this name when saying `called`.
    pub fn is_called(&self, called: &str, name: &str) -> bool {
        let has = |names: &[String], one: &str| names.iter().any(|known| known == one);
        called == name || self.0.iter().any(|(key, names)| has(names, name) && (key == called || has(names, called)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_is_called_by_its_name_or_nixpkgs_attribute() {
        let names = InputNames::builtin().expect("the table parses");
        assert!(names.is_called("makeWrapper", "make-shell-wrapper-hook"));
        assert!(names.is_called("makeBinaryWrapper", "make-binary-wrapper-hook"));
        assert!(names.is_called("zlib", "zlib"));
        assert!(!names.is_called("makeWrapper", "install-shell-files"));
    }
}
