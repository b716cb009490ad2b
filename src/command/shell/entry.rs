//! What Nix would start a derivation's builder with: its environment, and the files it finds in the build directory.
//!
//! The other side is `nix-lib/shell/enter.sh`, which the stage runtime sources because of what is set here.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{ShellError, graph, structured};
use crate::diagnostic::Problem;
use crate::nix::{Nix, store_path};
use crate::source::drv::{Drv, DrvOutput};
use crate::source::stage_arguments::StageArguments;

const ENTER: &str = include_str!("../../../nix-lib/shell/enter.sh");
const SHELL: &str = include_str!("../../../nix-lib/shell/shell.sh");

/// The variable that makes the runtime read [`ENTER`].
const ENTRY: &str = "_PHASESPLIT_ENTER";

/// What only this session knows.
#[derive(Debug)]
pub struct Entry<'a> {
    /// The state to restore.
    pub state: &'a str,
    /// The first entry of the chain that has not run.
    pub first: &'a str,
    /// The phase that failed, or nothing.
    pub failed: &'a str,
    /// The phase to run first, with those before it, or nothing.
    pub until: &'a str,
    /// The point's name, for the prompt.
    pub point: &'a str,
    /// The build directory as the session has it.
    pub top: &'a Path,
    /// The directory of the session's own files as the session has it.
    pub control: &'a Path,
    /// Without a sandbox: where the state was extracted to, and the build directory that it was made in.
    pub extracted: Option<(&'a Path, &'a str)>,
}

impl Entry<'_> {
    /// The environment of the builder; writes what Nix would write into the build directory.
    pub fn environment(
        &self,
        nix: &Nix,
        drv: &Drv,
        files: &mut NixFiles,
    ) -> Result<BTreeMap<String, String>, ShellError> {
        let top = self.top.display().to_string();
        let mut environment = BTreeMap::new();
        let mut set = |name: &str, value: String| environment.insert(name.to_owned(), value);
        set("PATH", "/path-not-set".to_owned());
        set("HOME", "/homeless-shelter".to_owned());
        set("NIX_STORE", store_path::store_dir());
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        set("NIX_BUILD_CORES", cores.to_string());
        match &drv.structured {
            Some(attributes) => {
                let [json, script] = [".attrs.json", ".attrs.sh"].map(|name| self.top.join(name).display().to_string());
                write_structured(nix, drv, attributes, files)?;
                set("NIX_ATTRS_JSON_FILE", json);
                set("NIX_ATTRS_SH_FILE", script);
            }
            None => write_plain(nix, drv, files, &top, &mut set)?,
        }
        for name in ["NIX_BUILD_TOP", "TMPDIR", "TEMPDIR", "TMP", "TEMP", "PWD"] {
            set(name, top.clone());
        }
        set("TERM", std::env::var("TERM").unwrap_or_else(|_| "xterm-256color".to_owned()));
        set(ENTRY, self.control.join("enter.sh").display().to_string());
        set("_PHASESPLIT_STATE", self.state.to_owned());
        set("_PHASESPLIT_FIRST", self.first.to_owned());
        set("_PHASESPLIT_FAILED", self.failed.to_owned());
        set("_PHASESPLIT_UNTIL", self.until.to_owned());
        set("_PHASESPLIT_POINT", self.point.to_owned());
        let (extracted, made_at) = self
            .extracted
            .map_or_else(Default::default, |(path, made_at)| (path.display().to_string(), made_at.to_owned()));
        set("_PHASESPLIT_EXTRACTED", extracted);
        set("_PHASESPLIT_MADE_AT", made_at);
        Ok(environment)
    }
}

/// The files that Nix puts into a build directory before anything runs there.
pub struct NixFiles {
    /// The build directory as it is outside.
    build: PathBuf,
    /// Their names.
    pub names: Vec<String>,
}

impl NixFiles {
    /// None yet.
    pub fn new(build: PathBuf) -> Self {
        Self { build, names: Vec::new() }
    }

    /// Writes one, if the package has no file of its own there.
    fn write(&mut self, name: &str, text: &str) -> io::Result<()> {
        match File::create_new(self.build.join(name)) {
            Ok(mut file) => {
                self.names.push(name.to_owned());
                file.write_all(text.as_bytes())
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Writes the session's own files into `directory`, which is `control` outside. `command` is what is started last.
pub fn write(directory: &Path, command: &[String]) -> Result<(), ShellError> {
    let mut words = Vec::new();
    for word in command {
        words.extend_from_slice(word.as_bytes());
        words.push(0);
    }
    for (name, content) in [("enter.sh", ENTER.as_bytes()), ("shell.sh", SHELL.as_bytes()), ("command", &words)] {
        fs::write(directory.join(name), content).map_err(ShellError::io(format!("write {name} for the session")))?;
    }
    Ok(())
}

/// Whether a derivation's runtime asks for [`ENTRY`]; gives the value of one of its options.
pub fn option<'a>(drv: &'a Drv, name: &str) -> Result<&'a str, ShellError> {
    let outdated = |what: String| {
        ShellError::Derivation(
            Problem::new("shell/runtime", what).help("generate split.nix again with this phasesplit, and build it"),
        )
    };
    let runtime = drv.args.iter().find(|word| word.ends_with("-phasesplit-runtime.sh"));
    let text = runtime.and_then(|path| fs::read_to_string(path).ok()).unwrap_or_default();
    if !text.contains(ENTRY) {
        return Err(outdated(format!("{} runs a stage runtime that knows no shell", drv.name)));
    }
    let found = StageArguments::read(drv).and_then(|stage| stage.option(name));
    found.ok_or_else(|| outdated(format!("{} has no option {name}", drv.name)))
}

fn write_plain(
    nix: &Nix,
    drv: &Drv,
    files: &mut NixFiles,
    top: &str,
    set: &mut impl FnMut(&str, String) -> Option<String>,
) -> Result<(), ShellError> {
    let words = |name: &str| drv.env.get(name).map_or("", String::as_str).split_whitespace();
    let in_files: Vec<&str> = words("passAsFile").collect();
    for (name, value) in &drv.env {
        if in_files.contains(&name.as_str()) {
            let hash: [u8; 32] = Sha256::digest(name.as_bytes()).into();
            let file = format!(".attr-{}", store_path::base32(&hash));
            files.write(&file, value).map_err(ShellError::io(format!("write the attribute {name}")))?;
            set(&format!("{name}Path"), format!("{top}/{file}"));
        } else {
            set(name, value.clone());
        }
    }
    let graphs: Vec<&str> = words("exportReferencesGraph").collect();
    for pair in graphs.chunks_exact(2) {
        let text = graph::text(nix, &[store_path_of(pair[1])])?;
        // Nix takes no name here that could lead elsewhere.
        let name = Path::new(pair[0]).file_name().unwrap_or_default().to_string_lossy();
        files.write(&name, &text).map_err(ShellError::io(format!("write the references graph {}", pair[0])))?;
    }
    Ok(())
}

fn write_structured(nix: &Nix, drv: &Drv, attributes: &Value, files: &mut NixFiles) -> Result<(), ShellError> {
    let mut attributes = attributes.clone();
    let graphs = attributes.get("exportReferencesGraph").and_then(Value::as_object).cloned().unwrap_or_default();
    for (name, paths) in graphs {
        let paths: Vec<String> = match &paths {
            Value::String(path) => vec![store_path_of(path)],
            Value::Array(list) => list.iter().filter_map(Value::as_str).map(store_path_of).collect(),
            _ => Vec::new(),
        };
        attributes[name] = graph::json(nix, &paths)?;
    }
    let outputs = drv.outputs.iter().filter_map(|(name, output)| match output {
        DrvOutput::Path(path) | DrvOutput::Fixed { path } => Some((name.clone(), Value::String(path.clone()))),
        DrvOutput::Floating => None,
    });
    attributes["outputs"] = Value::Object(outputs.collect());
    for (name, text) in [(".attrs.json", attributes.to_string()), (".attrs.sh", structured::script(&attributes))] {
        files.write(name, &text).map_err(ShellError::io(format!("write {name}")))?;
    }
    Ok(())
}

/// The top of the path that a graph is asked of.
fn store_path_of(path: &str) -> String {
    let store = store_path::store_dir();
    let rest = path.strip_prefix(&store).map(|rest| rest.trim_start_matches('/'));
    rest.map_or_else(|| path.to_owned(), |rest| format!("{store}/{}", rest.split('/').next().unwrap_or(rest)))
}
