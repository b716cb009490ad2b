//! Derivations of the store, read from their `.drv` files.
//!
//! The one place where this side of the program uses the other's reader ([`crate::source::drv`], a leaf: bytes in, a value
//! out); what is done with the values is not known here.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::rc::Rc;

use crate::source::drv::{self, Derivations, Drv};
use crate::source::stage_arguments::StageArguments;

/// Reads `.drv` files, each once: who walks from input to input comes by the same ones again and again.
#[derive(Debug, Default)]
pub struct Reader {
    read: RefCell<BTreeMap<String, Result<Rc<Drv>, String>>>,
}

impl Derivations for Reader {
    fn derivation(&self, path: &str) -> Result<Rc<Drv>, String> {
        if let Some(known) = self.read.borrow().get(path) {
            return known.clone();
        }
        let found = read(path).map(Rc::new);
        self.read.borrow_mut().insert(path.to_owned(), found.clone());
        found
    }
}

/// The derivation at a store path.
///
/// # Errors
/// Why it cannot be read, for a person.
pub fn read(path: &str) -> Result<Drv, String> {
    let bytes = fs::read(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => format!("{path} is no longer in the store"),
        _ => format!("cannot read {path}: {error}"),
    })?;
    drv::parse(&bytes, path).map_err(|problem| problem.message)
}

/// The pinned state that a stage of a chain, or the package at its end, continues from: such a result may not be what its
/// package would give, and must not be passed on as if it were.
pub fn is_pinned(drv: &Drv) -> Option<&str> {
    StageArguments::read(drv)?.pinned()
}
