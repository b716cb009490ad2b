//! The shell state as data: what `nix-lib/runtime/45-shell-script.sh` wrote, read without bash.
//!
//! It is a script, and one from a stranger may hold anything: so only the commands that the runtime writes are understood,
//! each in the one form in which it writes them, and nothing is expanded or run. Anything else is refused with its line.

mod diff;
mod read;
mod words;

use std::collections::BTreeMap;

pub use diff::{Part, ShellDifference, compare};
pub use read::{NotUnderstood, read};

/// The state of a shell, as far as it differs from the shell that the stage began with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shell {
    /// Variables and arrays.
    pub variables: BTreeMap<Vec<u8>, Variable>,
    /// Functions.
    pub functions: BTreeMap<Vec<u8>, Function>,
    /// Aliases and what they stand for.
    pub aliases: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Options of `set` and `shopt` and whether they are on; the latter with `shopt ` before the name.
    pub options: BTreeMap<String, bool>,
    /// Signals and what is run at them; `None` where a trap was taken away.
    pub traps: BTreeMap<String, Option<Vec<u8>>>,
    /// Builtins and whether they are enabled.
    pub builtins: BTreeMap<String, bool>,
    /// Commands and the paths that `hash -p` gave them.
    pub hashed: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Limits by the letters that `ulimit` takes.
    pub limits: BTreeMap<String, Limit>,
    /// The current directory.
    pub directory: Vec<u8>,
    /// The directory before that.
    pub previous: Option<Vec<u8>>,
    /// What `pushd` left, the last first.
    pub pushed: Vec<Vec<u8>>,
    /// The mask for new files' modes, octal.
    pub umask: String,
}

/// A variable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Variable {
    /// The letters of its attributes, as `declare` takes them: `x` exported, `r` read-only, `i` integer, `a`, `A`, …
    pub flags: String,
    /// What it holds.
    pub value: Value,
}

/// What a variable holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Value {
    /// It was unset.
    #[default]
    Unset,
    /// It has attributes and no value.
    Declared,
    /// A text.
    Text(Vec<u8>),
    /// The elements of an array: index or key, and text.
    Array(Vec<(Vec<u8>, Vec<u8>)>),
    /// A search path that was there: what was put before and behind it.
    Around(Vec<u8>, Vec<u8>),
    /// Elements put behind those of an array that was there.
    Appended(Vec<Vec<u8>>),
}

/// A limit, in the unit of `ulimit`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limit {
    /// What holds.
    pub soft: String,
    /// How far it can be raised, if that changed.
    pub hard: Option<String>,
}

/// A function.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Function {
    /// Its definition, as `declare -f` shows it; `None` where it was unset.
    pub text: Option<Vec<u8>>,
    /// The letters of its attributes: `x` exported, `r` read-only, `t` traced.
    pub flags: String,
}
