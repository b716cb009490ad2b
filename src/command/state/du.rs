//! `phasesplit state du`: where the bytes of a state are.

use std::ffi::OsString;
use std::io::Write as _;

use clap::Args;
use serde_json::{Map, Value, json};

use super::output;
use super::subject::{self, NixArgs, StateArgs};
use crate::command::refusal::Refusal;
use crate::inspect::usage::{self, LayerUsage, Usage};
use crate::inspect::{json, select};
use crate::report::human;
use crate::report::table::{self, Column};

/// The arguments of `phasesplit state du`.
#[derive(Args, Clone, Debug)]
#[command(after_help = subject::HELP)]
pub struct DuArgs {
    /// Which state.
    #[command(flatten)]
    pub state: StateArgs,

    /// Only these entries and what is below them
    #[arg(value_name = "PATH")]
    pub paths: Vec<OsString>,

    /// Directories down to N levels
    #[arg(short, long, value_name = "N", default_value_t = 2)]
    pub depth: usize,

    /// Write JSON
    #[arg(long)]
    pub json: bool,

    /// What Nix is told.
    #[command(flatten)]
    pub nix: NixArgs,
}

/// Runs it.
pub fn run(arguments: &DuArgs) -> Result<(), Refusal> {
    let state = subject::find(&arguments.state, &arguments.nix)?;
    let wanted = select::all(&state, arguments.paths.iter().map(OsString::as_os_str))?;
    let directories = usage::directories(&state, &wanted, arguments.depth);
    let layers = usage::layers(&state)?;
    if arguments.json {
        return Ok(output::json(&json_of(&directories, &layers))?);
    }
    let mut out = output::standard();
    out.write_all(text(&directories, &layers).as_bytes())?;
    Ok(out.flush()?)
}

fn text(directories: &[Usage], layers: &[LayerUsage]) -> String {
    let columns =
        [Column::Number("size"), Column::Number("in own layer"), Column::Number("files"), Column::Text("path")];
    let rows = directories.iter().map(|usage| {
        let path = if usage.path.is_empty() { "(all)".to_owned() } else { output::shown(&usage.path).to_string() };
        vec![human::size(usage.bytes), human::size(usage.own), usage.files.to_string(), path]
    });
    let mut text = table::render(&columns, rows);
    text.push('\n');
    let columns = [
        Column::Text("layer"),
        Column::Number("stored"),
        Column::Number("unpacked"),
        Column::Number("still in use"),
        Column::Number("members"),
        Column::Text("state"),
    ];
    let rows = layers.iter().map(|layer| {
        vec![
            layer.stage.clone(),
            human::size(layer.stored),
            human::size(layer.data),
            human::size(layer.living),
            layer.members.to_string(),
            layer.state.display().to_string(),
        ]
    });
    text + &table::render(&columns, rows)
}

fn json_of(directories: &[Usage], layers: &[LayerUsage]) -> Value {
    let directories = directories.iter().map(|usage| {
        let mut object = Map::new();
        json::put(&mut object, "path", &usage.path);
        object.insert("bytes".to_owned(), usage.bytes.into());
        object.insert("bytesInOwnLayer".to_owned(), usage.own.into());
        object.insert("files".to_owned(), usage.files.into());
        Value::Object(object)
    });
    let layers = layers.iter().map(|layer| {
        json!({
            "stage": layer.stage,
            "state": layer.state.display().to_string(),
            "members": layer.members,
            "bytes": layer.data,
            "bytesInUse": layer.living,
            "bytesStored": layer.stored,
        })
    });
    json!({ "directories": directories.collect::<Vec<_>>(), "layers": layers.collect::<Vec<_>>() })
}
