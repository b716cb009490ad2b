//! What an undisturbed build of each variant makes, and whether another one made the same.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::support::{succeed, text};
use crate::world::{STAGES, World};

/// A variant as it was built undisturbed.
pub struct Reference {
    /// The store path of each stage; of finish, the package.
    pub paths: Vec<String>,
    contents: Vec<Value>,
}

impl Reference {
    /// Of a build that has just ended.
    pub fn of(world: &World, output: &Output) -> Self {
        let paths = paths_of(output).expect("a report");
        let contents = paths.iter().map(|path| contents(world, path)).collect();
        Self { paths, contents }
    }

    pub fn result(&self) -> &str {
        &self.paths[STAGES.len() - 1]
    }

    /// The states, without the result.
    pub fn states(&self) -> &[String] {
        &self.paths[..STAGES.len() - 1]
    }

    /// What is wrong with a build that has just ended.
    pub fn compare_build(&self, world: &World, output: &Output) -> Vec<String> {
        match paths_of(output) {
            Ok(paths) if paths == self.paths => self.compare(world),
            Ok(paths) => vec![format!("the build made {paths:?} in place of {:?}", self.paths)],
            Err(why) => vec![why],
        }
    }

    /// What is wrong with what is in the store.
    pub fn compare(&self, world: &World) -> Vec<String> {
        let mut wrong = Vec::new();
        let invalid = world.invalid(self.paths.iter().map(String::as_str));
        if invalid.contains(self.result()) {
            return vec![format!("{} is not there", self.result())];
        }
        for (path, expected) in self.paths.iter().zip(&self.contents).filter(|(path, _)| !invalid.contains(*path)) {
            let found = contents(world, path);
            if found != *expected {
                wrong.push(format!("{path} has other contents than an undisturbed build gives it"));
            }
        }
        wrong
    }
}

/// Store paths of all stages, from what `build --json` says.
fn paths_of(output: &Output) -> Result<Vec<String>, String> {
    if !output.status.success() {
        return Err(format!("the build ended with {}:\n{}", output.status, text(&output.stderr)));
    }
    let report: Value = serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
    let stages = report["stages"].as_array().ok_or("the report has no stages")?;
    let stages: BTreeMap<&str, &str> =
        stages.iter().filter_map(|stage| Some((stage["stage"].as_str()?, stage["path"].as_str()?))).collect();
    STAGES
        .iter()
        .map(|stage| stages.get(stage).map(|path| (*path).to_owned()).ok_or_else(|| format!("no {stage}")))
        .collect()
}

/// All that another build of the same derivation must have again: of a state files, modes, contents and the shell, but no times.
fn contents(world: &World, path: &str) -> Value {
    if !Path::new(path).join("layer.tar.zst").exists() {
        return text(&succeed(&mut world.nix("nix-hash", &["--type", "sha256", path])).stdout).into();
    }
    let mut entries = world.json(&["state", "ls", path, "--json"]);
    for entry in entries.as_array_mut().expect("a list") {
        entry.as_object_mut().expect("an entry").remove("mtime");
    }
    let shell = world.json(&["state", "vars", path, "--json"]);
    serde_json::json!([entries, shell])
}
