//! Asking Nix about a package and its mutations. `evaluate.nix` is the other side.

use crate::{
    attribute::Shape,
    settings::Settings,
    support::{Project, command, root, text},
};
use serde::Deserialize;
use std::{collections::BTreeMap, fs, path::PathBuf};

/// A derivation and its outputs.
#[derive(Debug, Clone, Deserialize)]
pub struct Derivation {
    pub drv: String,
    pub outputs: Vec<Output>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Output {
    pub name: String,
    pub path: PathBuf,
}

/// A stage of a chain.
#[derive(Debug, Clone, Deserialize)]
pub struct Stage {
    #[serde(rename = "stage")]
    pub name: String,
    pub drv: String,
    /// Its state; of finish, its first output.
    pub path: PathBuf,
}

/// A split package.
#[derive(Debug, Clone, Deserialize)]
pub struct Split {
    /// What split says its trust is.
    pub trust: Option<String>,
    pub stages: Vec<Stage>,
    pub finish: Derivation,
}

/// One package or mutation; none where it did not evaluate.
#[derive(Debug, Clone, Deserialize)]
pub struct Evaluated {
    pub unsplit: Option<Derivation>,
    /// By level.
    pub split: BTreeMap<String, Option<Split>>,
}

/// All of `evaluate.nix`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    pub base: Evaluated,
    pub mutations: BTreeMap<String, Evaluated>,
    pub attributes: BTreeMap<String, Shape>,
    pub environment: Vec<String>,
    /// Attribute -> the first stage that reads it, by the word of who wrote the package.
    pub reads: BTreeMap<String, String>,
    pub add: Vec<String>,
    pub late_inputs: BTreeMap<String, Vec<String>>,
}

/// A test package in a directory of its own, split by `phasesplit gen`.
pub struct Package {
    pub name: String,
    project: Project,
}

impl Package {
    /// The salt makes this run's derivations its own: it is read where every chain begins.
    pub fn new(name: &str, settings: &Settings) -> Self {
        let tests = root().join("tests/mutation");
        let project = Project::new(&format!(
            "{{ callPackage }}:\n(callPackage {0}/packages/{name}.nix {{ trace = import {0}/trace.nix; }}).overrideAttrs (old: {{\n  \
             salt = \"{1}\";\n  preUnpack = ''echo \"$salt\" >\"$NIX_BUILD_TOP/trace\"\n'' + (old.preUnpack or \"\");\n}})\n",
            tests.display(),
            settings.salt
        ));
        let library = settings.library.as_ref().map(|path| path.display().to_string());
        let options: Vec<&str> = library.as_ref().map_or_else(Vec::new, |path| vec!["--lib", path]);
        project.generate(&options);
        Self { name: name.to_owned(), project }
    }

    /// Evaluates the package at these levels (name -> arguments of split), and the mutations (key -> Nix function). Not every
    /// error can be caught in Nix: one that cannot leaves its mutation alone out, and is told in the second part.
    pub fn evaluate(
        &self,
        levels: &BTreeMap<String, serde_json::Value>,
        mutations: &BTreeMap<String, String>,
    ) -> Result<(Answer, Vec<String>), String> {
        let error = match self.evaluate_at_once(levels, mutations) {
            Ok(answer) => return Ok((answer, Vec::new())),
            Err(error) => error,
        };
        let Some(half) = mutations.keys().nth(mutations.len() / 2) else { return Err(error) };
        if mutations.len() == 1 {
            let (answer, _) = self.evaluate(levels, &BTreeMap::new())?;
            return Ok((answer, vec![error]));
        }
        let mut first = mutations.clone();
        let second = first.split_off(half);
        let (mut answer, mut errors) = self.evaluate(levels, &first)?;
        let (rest, more) = self.evaluate(levels, &second)?;
        answer.mutations.extend(rest.mutations);
        errors.extend(more);
        Ok((answer, errors))
    }

    fn evaluate_at_once(
        &self,
        levels: &BTreeMap<String, serde_json::Value>,
        mutations: &BTreeMap<String, String>,
    ) -> Result<Answer, String> {
        let file = self.project.path().join("mutations.nix");
        let entries: Vec<String> = mutations.iter().map(|(key, change)| format!("  {key} = {change};\n")).collect();
        fs::write(&file, format!("{{ pkgs, trace }}:\n{{\n{}}}\n", entries.concat()))
            .expect("mutations.nix is written");
        let output = command("nix-instantiate", self.project.path())
            .args(["--eval", "--strict", "--json", "--read-write-mode"])
            .arg(root().join("tests/mutation/evaluate.nix"))
            .args(["--arg", "split", "./split.nix", "--arg", "mutations"])
            .arg(&file)
            .arg("--arg")
            .arg("host")
            .arg(root().join("nix-lib/host"))
            .args(["--argstr", "levels", &serde_json::to_string(levels).expect("JSON")])
            .output()
            .expect("nix-instantiate starts");
        if !output.status.success() {
            return Err(text(&output.stderr));
        }
        serde_json::from_slice(&output.stdout).map_err(|error| format!("evaluate.nix gave something else: {error}"))
    }

    /// Why a mutation does not evaluate at a level.
    pub fn refusal(&self, arguments: &serde_json::Value, change: &str) -> String {
        let expression = format!(
            "let host = import {host} {{ }}; change = ({{ pkgs, trace }}: {change}) {{ pkgs = host; trace = import {trace}; }}; in \
             (((import ./split.nix {{ }}).overrideAttrs (old: {{ passthru = (old.passthru or {{ }}) // \
             {{ phasesplit = (old.passthru.phasesplit or {{ }}) // builtins.fromJSON ''{arguments}''; }}; }})).overrideAttrs change).phases.finish.drvPath",
            host = root().join("nix-lib/host").display(),
            trace = root().join("tests/mutation/trace.nix").display(),
        );
        let output = command("nix-instantiate", self.project.path())
            .args(["--eval", "-E", &expression])
            .output()
            .expect("nix-instantiate starts");
        text(&output.stderr)
    }
}
