//! What the arguments of a stage's derivation say: the stage runtime, its options, and the package's own scripts.
//!
//! The other sides are `stageArguments` in `nix-lib/split.nix`, which writes them, and `nix-lib/runtime/10-options.sh`,
//! which reads them inside the build. An option that is not known here is kept under its name: what it means is the
//! business of who asks.

use std::collections::BTreeMap;

/// The name that the runtime has in the store, behind the hash.
const RUNTIME: &str = "-phasesplit-runtime.sh";
/// Options without a value.
const SWITCHES: [&str; 3] = ["finish", "inside", "keep-failed"];

/// The arguments of a stage, read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StageArguments<'a> {
    /// bash's own flags, before everything else.
    pub flags: Vec<&'a str>,
    /// The stage runtime.
    pub runtime: &'a str,
    /// The options by name, without the dashes; of a switch the value is empty.
    pub options: BTreeMap<&'a str, &'a str>,
    /// The package's own builder script and what it gets.
    pub scripts: Vec<&'a str>,
}

impl<'a> StageArguments<'a> {
    /// Reads the arguments of a derivation; `None` where it is no stage of phasesplit's.
    pub fn read(args: &'a [String]) -> Option<Self> {
        let runtime = args.iter().position(|word| !word.starts_with('-'))?;
        if !args[runtime].ends_with(RUNTIME) {
            return None;
        }
        let mut found = Self {
            flags: args[..runtime].iter().map(String::as_str).collect(),
            runtime: &args[runtime],
            ..Self::default()
        };
        let mut words = args[runtime + 1..].iter().map(String::as_str);
        while let Some(word) = words.next() {
            if word == "--" {
                found.scripts = words.collect();
                return Some(found);
            }
            let name = word.strip_prefix("--")?;
            let value = if SWITCHES.contains(&name) { "" } else { words.next()? };
            found.options.insert(name, value);
        }
        None
    }

    /// The value of an option.
    pub fn option(&self, name: &str) -> Option<&'a str> {
        self.options.get(name).copied()
    }

    /// The package's name.
    pub fn package(&self) -> &'a str {
        self.option("package").unwrap_or_default()
    }

    /// The stage's name.
    pub fn stage(&self) -> &'a str {
        self.option("stage").unwrap_or_default()
    }

    /// The store path of the state it continues from; the first stage has none.
    pub fn parent(&self) -> Option<&'a str> {
        self.option("parent")
    }

    /// The pinned state that it, or a stage before it, continues from.
    pub fn pinned(&self) -> Option<&'a str> {
        self.option("pinned")
    }

    /// The words of an option that is a list.
    pub fn words(&self, name: &str) -> Vec<&'a str> {
        self.option(name).unwrap_or_default().split_whitespace().collect()
    }

    /// The outputs of the package and the staged prefix of each.
    pub fn outputs(&self) -> BTreeMap<&'a str, &'a str> {
        self.words("outputs").into_iter().filter_map(|word| word.split_once('=')).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(words: &str) -> Vec<String> {
        words.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn a_stage_is_told_from_other_builders() {
        let stage = args(
            "-e /s/x-phasesplit-runtime.sh --package p-1 --stage build --later --parent /s/y --finish -- /s/b.sh z",
        );
        assert_eq!(StageArguments::read(&stage), None, "the value of --later may not be left away");

        let mut stage = stage;
        stage.insert(7, "a b=c".to_owned());
        let read = StageArguments::read(&stage).expect("a stage");
        assert_eq!((read.package(), read.stage(), read.parent(), read.pinned()), ("p-1", "build", Some("/s/y"), None));
        assert_eq!((read.words("later"), read.option("finish")), (vec!["a", "b=c"], Some("")));
        assert_eq!((read.flags, read.scripts), (vec!["-e"], vec!["/s/b.sh", "z"]));

        for other in ["-e /s/x-default-builder.sh", "-c true", "-e /s/x-phasesplit-runtime.sh --stage"] {
            assert_eq!(StageArguments::read(&args(other)), None, "{other}");
        }
    }

    #[test]
    fn outputs_have_their_prefixes() {
        let stage =
            [&args("/s/x-phasesplit-runtime.sh --outputs")[..], &["out=/s/a dev=/s/b".to_owned(), "--".to_owned()]]
                .concat();
        let read = StageArguments::read(&stage).expect("a stage");
        assert_eq!(read.outputs(), BTreeMap::from([("out", "/s/a"), ("dev", "/s/b")]));
    }
}
