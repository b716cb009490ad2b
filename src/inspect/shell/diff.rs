//! What differs between two shell states.

use std::collections::BTreeMap;

use super::Shell;
use crate::inspect::diff::Change;

/// Something named of a shell that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShellDifference {
    /// What kind of thing it is.
    pub part: Part,
    /// Its name.
    pub name: Vec<u8>,
    /// What became of it: added, removed or changed.
    pub change: Change,
}

/// The parts of a shell state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// A variable or an array.
    Variable,
    /// A function.
    Function,
    /// An alias.
    Alias,
    /// An option of `set` or `shopt`.
    Option,
    /// A trap.
    Trap,
    /// A limit (`ulimit`).
    Limit,
    /// A command with a path that `hash -p` gave it.
    Command,
    /// A builtin that is enabled or disabled.
    Builtin,
    /// A directory, or the umask.
    Other,
}

impl Part {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Variable => "variable",
            Self::Function => "function",
            Self::Alias => "alias",
            Self::Option => "option",
            Self::Trap => "trap",
            Self::Limit => "limit",
            Self::Command => "command",
            Self::Builtin => "builtin",
            Self::Other => "shell",
        }
    }
}

/// Everything that differs, part by part and by name.
pub fn compare(before: &Shell, after: &Shell) -> Vec<ShellDifference> {
    let mut found = Vec::new();
    maps(&mut found, Part::Variable, &before.variables, &after.variables, Vec::clone);
    maps(&mut found, Part::Function, &before.functions, &after.functions, Vec::clone);
    maps(&mut found, Part::Alias, &before.aliases, &after.aliases, Vec::clone);
    let text = |name: &String| name.clone().into_bytes();
    maps(&mut found, Part::Option, &before.options, &after.options, text);
    maps(&mut found, Part::Trap, &before.traps, &after.traps, text);
    maps(&mut found, Part::Limit, &before.limits, &after.limits, text);
    maps(&mut found, Part::Command, &before.hashed, &after.hashed, Vec::clone);
    maps(&mut found, Part::Builtin, &before.builtins, &after.builtins, text);
    let others = [
        ("directory", before.directory != after.directory),
        ("previous directory", before.previous != after.previous),
        ("pushed directories", before.pushed != after.pushed),
        ("umask", before.umask != after.umask),
    ];
    for (name, _) in others.into_iter().filter(|(_, differs)| *differs) {
        found.push(ShellDifference { part: Part::Other, name: name.into(), change: Change::Changed });
    }
    found
}

fn maps<K: Ord, V: PartialEq>(
    found: &mut Vec<ShellDifference>,
    part: Part,
    before: &BTreeMap<K, V>,
    after: &BTreeMap<K, V>,
    bytes: impl Fn(&K) -> Vec<u8>,
) {
    let mut changes: Vec<(&K, Change)> = Vec::new();
    for (name, value) in before {
        match after.get(name) {
            None => changes.push((name, Change::Removed)),
            Some(now) if now != value => changes.push((name, Change::Changed)),
            Some(_) => {}
        }
    }
    changes.extend(after.keys().filter(|name| !before.contains_key(name)).map(|name| (name, Change::Added)));
    changes.sort_by_key(|(name, _)| *name);
    found.extend(changes.into_iter().map(|(name, change)| ShellDifference { part, name: bytes(name), change }));
}

#[cfg(test)]
mod tests {
    use super::super::{Value, Variable};
    use super::*;

    #[test]
    fn each_part_that_differs_is_named() {
        let variable = |value: &str| Variable { flags: String::new(), value: Value::Text(value.into()) };
        let mut before = Shell { umask: "0022".into(), ..Shell::default() };
        before.variables = [(b"a".to_vec(), variable("1")), (b"b".to_vec(), variable("1"))].into();
        let mut after = Shell { umask: "0077".into(), ..Shell::default() };
        after.variables = [(b"b".to_vec(), variable("2")), (b"c".to_vec(), variable("1"))].into();
        after.options.insert("errexit".into(), true);
        let found: Vec<(&str, String, &str)> = compare(&before, &after)
            .iter()
            .map(|d| (d.part.word(), String::from_utf8_lossy(&d.name).into_owned(), d.change.word()))
            .collect();
        let expected = [
            ("variable", "a", "removed"),
            ("variable", "b", "changed"),
            ("variable", "c", "added"),
            ("option", "errexit", "added"),
            ("shell", "umask", "changed"),
        ];
        assert_eq!(found, expected.map(|(part, name, change)| (part, name.to_owned(), change)));
        assert!(compare(&before, &before.clone()).is_empty());
    }
}
