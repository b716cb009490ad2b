//! `phasesplit state vars`: the shell that a stage left, as a person reads it, or what differs between two.

mod text;

use std::ffi::OsString;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use clap::Args;
use serde_json::{Map, Value as Json, json};

use super::output;
use super::subject::{self, NixArgs, StateArgs};
use crate::command::refusal::Refusal;
use crate::diagnostic::Problem;
use crate::inspect::content::Spool;
use crate::inspect::json::Bytes;
use crate::inspect::shell::{self, NotUnderstood, Shell, Value};
use crate::inspect::{State, select};
use crate::state::error::Shown;
use crate::state::{self, format};

/// The arguments of `phasesplit state vars`.
#[derive(Args, Clone, Debug)]
#[command(after_help = subject::HELP)]
pub struct VarsArgs {
    /// Which state.
    #[command(flatten)]
    pub state: StateArgs,

    /// Show what differs in the shell of this state: PKG@STAGE, a store path, or @STAGE of the same package
    #[arg(value_name = "B")]
    pub other: Option<String>,

    /// Only what has this name, and all of it; may be repeated
    #[arg(short, long, value_name = "NAME")]
    pub name: Vec<OsString>,

    /// Write JSON
    ///
    /// Bytes that are no UTF-8 stand there as {"bytes": "HEXADECIMAL"}.
    #[arg(long)]
    pub json: bool,

    /// What Nix is told.
    #[command(flatten)]
    pub nix: NixArgs,
}

/// Runs it.
pub fn run(arguments: &VarsArgs) -> Result<(), Refusal> {
    let mut before = shell_of(&subject::find(&arguments.state, &arguments.nix)?)?;
    let mut after = match &arguments.other {
        Some(other) => Some(shell_of(&subject::find_other(&arguments.state, &arguments.nix, other)?)?),
        None => None,
    };
    if !arguments.name.is_empty() {
        let names: Vec<&[u8]> = arguments.name.iter().map(|name| name.as_bytes()).collect();
        keep(&mut before, &names);
        if let Some(shell) = &mut after {
            keep(shell, &names);
        }
    }
    let is_whole = !arguments.name.is_empty();
    match after {
        None if arguments.json => output::json(&json_of(&before))?,
        None => write(&text::shell(&before, is_whole))?,
        Some(after) if arguments.json => {
            let differences = shell::compare(&before, &after).into_iter().map(|difference| {
                json!({
                    "part": difference.part.word(),
                    "name": Bytes(&difference.name),
                    "change": difference.change.word(),
                })
            });
            let differences: Vec<Json> = differences.collect();
            output::json(&json!({ "before": json_of(&before), "after": json_of(&after), "differences": differences }))?;
        }
        Some(after) => write(&text::differences(&before, &after))?,
    }
    Ok(())
}

fn write(text: &str) -> Result<(), Refusal> {
    let mut out = output::standard();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// Reads the shell of a state.
pub fn shell_of(state: &State) -> Result<Shell, Refusal> {
    let index = select::one(state, std::ffi::OsStr::from_bytes(format::SHELL))?;
    let mut wanted = vec![false; state.records().len()];
    wanted[index] = true;
    let content = Spool::fill(state, &wanted)?.content(&state.records()[index], index);
    let content = content.map_err(|source| state::Error::reading("read", &state.path, source))?;
    shell::read(&content).map_err(|error| unreadable(&state.path, &error))
}

/// A shell state that cannot be read.
fn unreadable(state: &Path, error: &NotUnderstood) -> Refusal {
    let problem = Problem::new("state/shell", format!("{}: shell: {error}", Shown(state)));
    let help = "`phasesplit state cat PKG@STAGE shell` shows it as it is; do not run it if you do not trust it";
    Refusal::input(problem.help(help))
}

/// Leaves only what has one of these names.
fn keep(shell: &mut Shell, names: &[&[u8]]) {
    shell.variables.retain(|name, _| names.contains(&&name[..]));
    shell.functions.retain(|name, _| names.contains(&&name[..]));
    shell.aliases.retain(|name, _| names.contains(&&name[..]));
    shell.options.retain(|name, _| names.contains(&name.as_bytes()));
    shell.traps.retain(|name, _| names.contains(&name.as_bytes()));
    shell.builtins.retain(|name, _| names.contains(&name.as_bytes()));
    shell.limits.retain(|name, _| names.contains(&name.as_bytes()));
    shell.hashed.retain(|name, _| names.contains(&&name[..]));
}

fn json_of(shell: &Shell) -> Json {
    let name = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
    let variables: Map<String, Json> = shell
        .variables
        .iter()
        .map(|(key, variable)| {
            let mut object = Map::new();
            object.insert("flags".to_owned(), variable.flags.clone().into());
            let (kind, value) = value(&variable.value);
            object.insert(kind.to_owned(), value);
            (name(key), object.into())
        })
        .collect();
    let functions: Map<String, Json> = shell
        .functions
        .iter()
        .map(|(key, function)| {
            let exported = function.flags.contains('x');
            let text = function.text.as_deref().map(Bytes);
            (name(key), json!({ "text": text, "exported": exported, "flags": function.flags }))
        })
        .collect();
    let aliases: Map<String, Json> =
        shell.aliases.iter().map(|(key, alias)| (name(key), json!(Bytes(alias)))).collect();
    let traps: Map<String, Json> =
        shell.traps.iter().map(|(key, trap)| (key.clone(), json!(trap.as_deref().map(Bytes)))).collect();
    let limits: Map<String, Json> = shell
        .limits
        .iter()
        .map(|(key, limit)| (key.clone(), json!({ "soft": limit.soft, "hard": limit.hard })))
        .collect();
    let commands: Map<String, Json> = shell.hashed.iter().map(|(key, path)| (name(key), json!(Bytes(path)))).collect();
    json!({
        "directory": Bytes(&shell.directory),
        "previousDirectory": shell.previous.as_deref().map(Bytes),
        "pushedDirectories": shell.pushed.iter().map(|path| Bytes(path)).collect::<Vec<_>>(),
        "umask": shell.umask,
        "variables": variables,
        "functions": functions,
        "aliases": aliases,
        "builtins": shell.builtins,
        "commands": commands,
        "limits": limits,
        "options": shell.options,
        "traps": traps,
    })
}

/// What a variable holds: which kind of value, and the value.
fn value(value: &Value) -> (&'static str, Json) {
    match value {
        Value::Unset => ("unset", true.into()),
        Value::Declared => ("value", Json::Null),
        Value::Text(text) => ("value", json!(Bytes(text))),
        Value::Array(elements) => {
            let elements = elements.iter().map(|(key, value)| json!({ "key": Bytes(key), "value": Bytes(value) }));
            ("elements", elements.collect::<Vec<_>>().into())
        }
        Value::Around(front, back) => ("around", json!({ "before": Bytes(front), "behind": Bytes(back) })),
        Value::Appended(elements) => {
            ("appended", elements.iter().map(|element| json!(Bytes(element))).collect::<Vec<_>>().into())
        }
    }
}
