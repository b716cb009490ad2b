//! What the derivation of a stage says of the stage: the stage runtime, its options, and the package's own scripts.
//!
//! The other sides are `stageOptions` in `nix-lib/split.nix`, which writes the options into an attribute, and
//! `nix-lib/runtime/10-options.sh`, which reads them inside the build. An option that is not known here is kept under its
//! name: what it means is the business of who asks.

use std::collections::BTreeMap;

use super::drv::Drv;

/// The attribute that has the options, a line each: the name, a blank and the value.
pub const ATTRIBUTE: &str = "phasesplitStage";
/// The name that the runtime has in the store, behind the hash.
const RUNTIME: &str = "-phasesplit-runtime.sh";

/// The arguments of a stage, read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StageArguments<'a> {
    /// bash's own flags, before everything else.
    pub flags: Vec<&'a str>,
    /// The stage runtime.
    pub runtime: &'a str,
    /// The options by name; of a switch the value is empty.
    pub options: BTreeMap<&'a str, &'a str>,
    /// The package's own builder script and what it gets.
    pub scripts: Vec<&'a str>,
}

impl<'a> StageArguments<'a> {
    /// Reads a derivation; `None` where it is no stage of phasesplit's.
    pub fn read(drv: &'a Drv) -> Option<Self> {
        let runtime = drv.args.iter().position(|word| !word.starts_with('-'))?;
        if !drv.args[runtime].ends_with(RUNTIME) {
            return None;
        }
        let text = match &drv.structured {
            Some(attributes) => attributes.get(ATTRIBUTE)?.as_str()?,
            None => drv.env.get(ATTRIBUTE)?,
        };
        Some(Self {
            flags: drv.args[..runtime].iter().map(String::as_str).collect(),
            runtime: &drv.args[runtime],
            options: text.lines().map(|line| line.split_once(' ').unwrap_or((line, ""))).collect(),
            scripts: drv.args[runtime + 1..].iter().map(String::as_str).collect(),
        })
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

    /// A stage with these options, a line each.
    fn stage(options: &str) -> Drv {
        let args = ["-e", "/s/x-phasesplit-runtime.sh", "/s/b.sh", "z"];
        Drv {
            args: args.map(str::to_owned).into(),
            env: [(ATTRIBUTE.to_owned(), options.to_owned())].into(),
            ..Drv::default()
        }
    }

    #[test]
    fn a_stage_is_told_from_other_builders() {
        let mut drv = stage("package p-1\nstage build\nlater a b=c\ngiven \nparent /s/y\nfinish");
        let read = StageArguments::read(&drv).expect("a stage");
        assert_eq!((read.package(), read.stage(), read.parent(), read.pinned()), ("p-1", "build", Some("/s/y"), None));
        assert_eq!(
            (read.words("later"), read.option("given"), read.option("finish")),
            (vec!["a", "b=c"], Some(""), Some(""))
        );
        assert_eq!((&read.flags[..], &read.scripts[..]), (&["-e"][..], &["/s/b.sh", "z"][..]));

        drv.structured = Some(serde_json::json!({ ATTRIBUTE: "stage check" }));
        assert_eq!(StageArguments::read(&drv).expect("a stage").stage(), "check");
        drv.structured = Some(serde_json::json!({}));
        assert_eq!(StageArguments::read(&drv), None);

        assert_eq!(StageArguments::read(&Drv { env: BTreeMap::new(), ..stage("") }), None);
        for other in [&["-e", "/s/x-default-builder.sh"][..], &["-c", "true"], &[]] {
            let args = other.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(StageArguments::read(&Drv { args, ..stage("stage x") }), None, "{other:?}");
        }
    }

    #[test]
    fn outputs_have_their_prefixes() {
        let drv = stage("outputs out=/s/a dev=/s/b");
        let read = StageArguments::read(&drv).expect("a stage");
        assert_eq!(read.outputs(), BTreeMap::from([("out", "/s/a"), ("dev", "/s/b")]));
    }
}
