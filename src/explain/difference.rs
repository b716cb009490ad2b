//! Two derivations compared: what each says by itself, and which of its inputs are others.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::Cause;
use super::stage;
use super::value::{self, Comparison, name_of, stem};
use crate::source::drv::{Derivations, Drv, DrvOutput};
use crate::source::stage_arguments::{ATTRIBUTE, StageArguments};

/// What two derivations differ in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Difference {
    /// What they say by themselves.
    pub(super) causes: Vec<Cause>,
    /// Inputs in each other's place.
    pub(super) pairs: Vec<Pair>,
    /// Of two stages, the states that they continue from, where these are others.
    pub(super) parents: Option<(String, String)>,
}

/// An input in another's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    /// The attribute that names them.
    pub(super) attribute: String,
    /// What was needed.
    pub(super) old: Input,
    /// What is.
    pub(super) new: Input,
}

/// A store path that a derivation needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Input {
    /// The store path.
    pub(super) path: String,
    /// What makes it.
    pub(super) origin: Origin,
}

/// What makes a store path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// The derivation at this path.
    Built(String),
    /// The derivation at this path, which is a download of known content.
    Fetched {
        /// The derivation.
        drv: String,
        /// The hash of the content.
        hash: String,
    },
    /// Nothing: it was put there.
    Source,
    /// No one knows: its derivation cannot be read, or it is named by none.
    Unknown(String),
}

/// The inputs of a derivation by their paths.
struct Inputs(BTreeMap<String, Origin>);

impl Inputs {
    fn of(drv: &Drv, drvs: &dyn Derivations) -> Self {
        let mut inputs: BTreeMap<String, Origin> =
            drv.input_srcs.iter().map(|path| (path.clone(), Origin::Source)).collect();
        for (path, outputs) in &drv.input_drvs {
            let input = match drvs.derivation(path) {
                Ok(input) => input,
                Err(reason) => {
                    inputs.insert(path.clone(), Origin::Unknown(reason));
                    continue;
                }
            };
            for output in outputs {
                match input.outputs.get(output) {
                    Some(DrvOutput::Path(out)) => {
                        inputs.insert(out.clone(), Origin::Built(path.clone()));
                    }
                    Some(DrvOutput::Fixed { path: out }) => {
                        let hash = attributes(&input).remove("outputHash").unwrap_or_default();
                        inputs.insert(out.clone(), Origin::Fetched { drv: path.clone(), hash });
                    }
                    Some(DrvOutput::Floating) | None => {}
                }
            }
        }
        Self(inputs)
    }

    fn paths(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }

    fn get(&self, path: &str) -> Input {
        let unknown =
            || self.unreadable(path).cloned().unwrap_or_else(|| Origin::Unknown(format!("{path} is no input of it")));
        Input { path: path.to_owned(), origin: self.0.get(path).cloned().unwrap_or_else(unknown) }
    }

    /// Of a derivation that cannot be read the outputs are not known: one of the same name it must be.
    fn unreadable(&self, path: &str) -> Option<&Origin> {
        self.0
            .iter()
            .find(|(input, origin)| matches!(origin, Origin::Unknown(_)) && name_of(input) == name_of(path))
            .map(|(_, origin)| origin)
    }
}

/// Collects what differs.
struct Comparer<'a> {
    inputs: (Inputs, Inputs),
    /// Paths whose difference is told.
    told: BTreeSet<String>,
    found: &'a mut Difference,
}

/// Compares two derivations.
pub(super) fn compare(old: &Drv, new: &Drv, drvs: &dyn Derivations) -> Difference {
    let mut found = Difference::default();
    let inputs = (Inputs::of(old, drvs), Inputs::of(new, drvs));
    let mut comparer = Comparer { inputs, told: BTreeSet::new(), found: &mut found };
    comparer.attributes(old, new);
    let (old_stage, new_stage) = (StageArguments::read(old), StageArguments::read(new));
    match (old_stage, new_stage) {
        (Some(old_stage), Some(new_stage)) => comparer.stages(&old_stage, &new_stage),
        _ => comparer.arguments(&old.args.join("\n"), &new.args.join("\n")),
    }
    if comparer.text("builder", &old.builder, &new.builder) {
        comparer.found.causes.push(Cause::Builder { old: old.builder.clone(), new: new.builder.clone() });
    }
    if old.system != new.system {
        comparer.found.causes.push(Cause::System { old: old.system.clone(), new: new.system.clone() });
    }
    comparer.nameless();
    found
}

impl Comparer<'_> {
    fn attributes(&mut self, old: &Drv, new: &Drv) {
        let (old, new) = (attributes(old), attributes(new));
        let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        for name in names {
            let (old, new) = (old.get(name), new.get(name));
            let own = if let (Some(old), Some(new)) = (old, new) {
                self.text(name, old, new)
            } else {
                self.tell(old.map_or("", String::as_str), new.map_or("", String::as_str));
                true
            };
            if own {
                let cause = Cause::Attribute { name: name.clone(), old: old.cloned(), new: new.cloned() };
                self.found.causes.push(cause);
            }
        }
    }

    fn arguments(&mut self, old: &str, new: &str) {
        if self.text("args", old, new) {
            self.found.causes.push(Cause::Script { old: old.to_owned(), new: new.to_owned() });
        }
    }

    fn stages(&mut self, old: &StageArguments<'_>, new: &StageArguments<'_>) {
        for arguments in [old, new] {
            // What these are is told by name, not as inputs.
            let own = [
                arguments.runtime,
                arguments.option("engine").unwrap_or_default(),
                arguments.parent().unwrap_or_default(),
            ];
            self.told.extend(own.map(str::to_owned));
        }
        if let (Some(old), Some(new)) = (old.parent(), new.parent())
            && old != new
        {
            self.found.parents = Some((old.to_owned(), new.to_owned()));
        }
        let (before, now) = ([&old.flags[..], &old.scripts].concat(), [&new.flags[..], &new.scripts].concat());
        self.arguments(&before.join("\n"), &now.join("\n"));
        let causes = stage::causes(old, new, &self.found.causes);
        self.found.causes.extend(causes);
    }

    /// Whether two texts differ by themselves. Inputs in each other's place are collected.
    fn text(&mut self, attribute: &str, old: &str, new: &str) -> bool {
        let comparison = value::compare(old, new, (&self.inputs.0.paths(), &self.inputs.1.paths()));
        match comparison {
            Comparison::Equal => {
                self.tell(old, new);
                false
            }
            Comparison::Paths(pairs) => {
                for (old, new) in pairs {
                    self.pair(attribute, &old, &new);
                }
                self.tell(old, new);
                false
            }
            Comparison::Text => {
                self.namesakes(attribute, old, new);
                self.tell(old, new);
                true
            }
        }
    }

    fn pair(&mut self, attribute: &str, old: &str, new: &str) {
        let known = self.found.pairs.iter().any(|pair| pair.old.path == old && pair.new.path == new);
        if !known {
            let (old, new) = (self.inputs.0.get(old), self.inputs.1.get(new));
            self.found.pairs.push(Pair { attribute: attribute.to_owned(), old, new });
        }
    }

    /// In texts that differ by themselves too, inputs that are there under the same name before and now.
    fn namesakes(&mut self, attribute: &str, old: &str, new: &str) {
        let before = value::paths(old, &self.inputs.0.paths());
        let now = value::paths(new, &self.inputs.1.paths());
        let gone: BTreeSet<&str> = before.iter().copied().filter(|path| !now.contains(path)).collect();
        let come: BTreeSet<&str> = now.into_iter().filter(|path| !before.contains(path)).collect();
        let pairs: Vec<_> = gone
            .iter()
            .filter_map(|old| Some((*old, *come.iter().find(|new| name_of(new) == name_of(old))?)))
            .map(|(old, new)| (old.to_owned(), new.to_owned()))
            .collect();
        for (old, new) in pairs {
            self.pair(attribute, &old, &new);
        }
    }

    /// The paths in texts that are compared need no telling of their own.
    fn tell(&mut self, old: &str, new: &str) {
        let paths =
            value::paths(old, &self.inputs.0.paths()).into_iter().chain(value::paths(new, &self.inputs.1.paths()));
        let paths: Vec<String> = paths.map(str::to_owned).collect();
        self.told.extend(paths);
    }

    /// Inputs that no text names: a string can need what it does not say (`builtins.appendContext`).
    fn nameless(&mut self) {
        let rest = |inputs: &Inputs, others: &Inputs| -> Vec<String> {
            let unreadable = |path: &str| matches!(inputs.0.get(path), Some(Origin::Unknown(_)));
            let told = |path: &String| {
                self.told.contains(path)
                    || unreadable(path) && self.told.iter().any(|told| name_of(told) == name_of(path))
            };
            inputs.0.keys().filter(|path| !others.0.contains_key(*path) && !told(path)).cloned().collect()
        };
        let mut gone = rest(&self.inputs.0, &self.inputs.1);
        let mut come = rest(&self.inputs.1, &self.inputs.0);
        for same in [|a: &str, b: &str| a == b, |a: &str, b: &str| stem(a) == stem(b)] {
            gone.retain(|old| {
                let Some(at) = come.iter().position(|new| same(name_of(old), name_of(new))) else { return true };
                let new = come.remove(at);
                self.pair("its inputs", old, &new);
                false
            });
        }
        if !gone.is_empty() || !come.is_empty() {
            let names = |paths: &[String]| paths.iter().map(|path| name_of(path).to_owned()).collect();
            self.found.causes.push(Cause::Inputs { added: names(&come), removed: names(&gone) });
        }
    }
}

/// The attributes of a derivation as texts by name, those of a set one by one. What Nix adds by itself is left out.
pub(super) fn attributes(drv: &Drv) -> BTreeMap<String, String> {
    let mut texts: BTreeMap<String, String> = match &drv.structured {
        None => drv.env.clone(),
        Some(json) => {
            let mut texts = BTreeMap::from([("__structuredAttrs".to_owned(), "1".to_owned())]);
            flatten("", json, &mut texts);
            texts
        }
    };
    for name in drv.outputs.keys().map(String::as_str).chain(["builder", "system"]) {
        texts.remove(name);
    }
    // Of a stage, Nix's name has the stage's behind the package's.
    if let Some(stage) = StageArguments::read(drv) {
        texts.remove(ATTRIBUTE);
        if let Some(name) = texts.get_mut("name") {
            stage.package().clone_into(name);
        }
    }
    texts
}

fn flatten(name: &str, value: &Value, texts: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (member, value) in members {
                let name = if name.is_empty() { member.clone() } else { format!("{name}.{member}") };
                flatten(&name, value, texts);
            }
        }
        _ => {
            texts.insert(name.to_owned(), text(value));
        }
    }
}

/// A value as the environment would have it; a list that the environment could not tell apart, one a line.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(true) => "1".to_owned(),
        Value::Bool(false) => String::new(),
        Value::Array(items) if items.iter().all(|item| !item.is_array() && !item.is_object()) => {
            let items: Vec<String> = items.iter().map(text).collect();
            let words = items.iter().all(|item| !item.is_empty() && !item.contains(char::is_whitespace));
            items.join(if words { " " } else { "\n" })
        }
        other => other.to_string(),
    }
}
