//! What `PKG` is: reading a package's text without evaluating it.
//!
//! Owns everything that can be known about a package from text alone: what the argument names
//! ([`input`]), the syntax errors of a Nix text, its form, its builder calls and their literal
//! attributes with places ([`read`]), the choice of one package of a set ([`select()`]), the
//! content of a `.drv` file ([`drv`]), and what the arguments of a stage's say ([`stage_arguments`]). Pure functions on values: no files, no processes, no Nix.
//! Reading the files is the caller's work.
//!
//! Never panics and never overflows a stack, whatever the bytes: see [`guard`] for how.

mod brackets;
mod builders;
pub mod drv;
mod errors;
pub mod guard;
pub mod input;
mod lexical;
mod package;
mod reader;
mod scope;
mod select;
pub mod stage_arguments;
mod syntax;
mod text;
mod tokens;

use crate::diagnostic::Problem;

pub use package::{
    Arguments, Attribute, Attributes, Builder, Call, Form, Formal, Formals, NotStdenv, Origin, Package, Reason,
    Returns, SetAttribute, Value,
};
pub use select::{Selected, select};
pub use text::{Part, Text};

/// Stack for parsing and reading a tree. Address space only: pages that are not touched cost nothing.
/// The deepest tree that [`guard`] lets through takes a tenth of it in an unoptimised build.
const STACK: usize = 256 << 20;

/// Reads the Nix text of `file` (a name for messages; nothing is opened).
///
/// # Errors
/// All syntax errors of the text at once, or the one reason why it was not parsed: too large, too
/// deep, not for Nix (a NUL byte, a byte order mark).
pub fn read(text: &str, file: &str) -> Result<Package, Vec<Problem>> {
    if text.len() > guard::MAX_BYTES {
        return Err(vec![
            Problem::new(
                "source/too-large",
                format!("`{file}` has {} bytes; files up to {} MiB are read", text.len(), guard::MAX_BYTES >> 20),
            )
            .help("name the package's own file, or a small file that imports this one"),
        ]);
    }
    std::thread::scope(|scope| {
        let worker =
            std::thread::Builder::new().name("source".to_owned()).stack_size(STACK).spawn_scoped(scope, || {
                let root = syntax::parse(file, text)?;
                Ok(reader::read(file, &root))
            });
        let no_result =
            |what: String| Err(vec![Problem::new("source/internal", what).help("please report this with the file")]);
        match worker {
            Ok(worker) => worker.join().unwrap_or_else(|_| no_result(format!("reading `{file}` failed unexpectedly"))),
            Err(error) => no_result(format!("cannot start a thread to read `{file}`: {error}")),
        }
    })
}

/// As [`read`], from bytes.
///
/// # Errors
/// As [`read`]; bytes that are not UTF-8 are a problem naming the line and column of the first.
pub fn read_bytes(bytes: &[u8], file: &str) -> Result<Package, Vec<Problem>> {
    read(decode(bytes, file).map_err(|problem| vec![problem])?, file)
}

/// The text of `file`, if it is UTF-8.
///
/// # Errors
/// A problem naming line, column and value of the first byte that is not.
pub fn decode<'a>(bytes: &'a [u8], file: &str) -> Result<&'a str, Problem> {
    std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        let before = String::from_utf8_lossy(bytes.get(..at).unwrap_or(bytes));
        let position = crate::diagnostic::position(&before, before.len());
        let byte = bytes.get(at).copied().unwrap_or_default();
        Problem::new(
            "source/encoding",
            format!(
                "`{file}` is not UTF-8: byte 0x{byte:02x} at line {}, column {} (offset {at})",
                position.line, position.column
            ),
        )
        .help("save the file as UTF-8")
    })
}
