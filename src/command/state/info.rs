//! `phasesplit state info`: what a state is.

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::output;
use super::subject::{self, NixArgs, StateArgs};
use crate::command::build::warnings;
use crate::command::refusal::Refusal;
use crate::inspect::State;
use crate::report::human;
use crate::state::list;

/// The arguments of `phasesplit state info`.
#[derive(Args, Clone, Debug)]
#[command(after_help = subject::HELP)]
pub struct InfoArgs {
    /// Which state.
    #[command(flatten)]
    pub state: StateArgs,

    /// Write JSON
    #[arg(long)]
    pub json: bool,

    /// What Nix is told.
    #[command(flatten)]
    pub nix: NixArgs,
}

/// Runs it.
pub fn run(arguments: &InfoArgs) -> Result<(), Refusal> {
    let state = subject::find(&arguments.state, &arguments.nix)?;
    let parents = state.chain()?;
    if arguments.json {
        return Ok(output::json(&json_of(&state, &parents))?);
    }
    let mut out = output::standard();
    out.write_all(text(&state, &parents).as_bytes())?;
    Ok(out.flush()?)
}

fn json_of(state: &State, chain: &[std::path::PathBuf]) -> Value {
    let mut value = json!(state.info);
    if let Value::Object(object) = &mut value {
        object.insert("path".to_owned(), state.path.display().to_string().into());
        let chain: Vec<String> = chain.iter().map(|path| path.display().to_string()).collect();
        object.insert("chain".to_owned(), json!(chain));
        object.insert("warnings".to_owned(), json!(state.info.warnings));
    }
    value
}

fn text(state: &State, chain: &[std::path::PathBuf]) -> String {
    let info = &state.info;
    let mut text = String::new();
    let mut row = |name: &str, value: &str| _ = writeln!(text, "{name:<12} {value}");
    row("package", &output::shown(info.package.as_bytes()).to_string());
    row("stage", &output::shown(info.stage.as_bytes()).to_string());
    row("state", &output::shown(state.path.as_os_str().as_encoded_bytes()).to_string());
    if let Some(pinned) = &info.pinned {
        row("pinned", &format!("it continues from {}, whatever changed since", output::shown(pinned.as_bytes())));
    }
    row("built at", &output::shown(info.build_dir.as_bytes()).to_string());
    for (number, phase) in info.phases.iter().enumerate() {
        let took = human::seconds(Duration::try_from_secs_f64(phase.seconds).unwrap_or_default());
        row(if number == 0 { "phases" } else { "" }, &format!("{} ({took})", output::shown(phase.name.as_bytes())));
    }
    for (number, (name, prefix)) in info.outputs.iter().enumerate() {
        let output = format!("{} staged at {}", output::shown(name.as_bytes()), output::shown(prefix.as_bytes()));
        row(if number == 0 { "outputs" } else { "" }, &output);
    }
    let counts = &info.entries;
    row(
        "entries",
        &format!(
            "{} files, {} directories, {} symlinks, {} hard links, {} pipes and sockets",
            counts.files, counts.directories, counts.symlinks, counts.hard_links, counts.special
        ),
    );
    let (content, layer) = (human::size(info.bytes.content), human::size(info.bytes.layer));
    row("size", &format!("{content}; its own layer {layer}, the manifest {}", human::size(info.bytes.manifest)));
    row("newest file", &list::utc(info.newest.into()));
    for (number, parent) in chain.iter().enumerate().take(chain.len().saturating_sub(1)) {
        row(
            if number == 0 { "builds on" } else { "" },
            &output::shown(parent.as_os_str().as_encoded_bytes()).to_string(),
        );
    }
    row("format", &format!("{} (engine {})", info.format, output::shown(info.engine.as_bytes())));
    for (number, warning) in info.warnings.iter().enumerate() {
        row(if number == 0 { "warnings" } else { "" }, &warnings::shown(warning));
    }
    if let Some(failed) = &state.info.failed {
        row("failed", &format!("{} ended with exit code {}", output::shown(failed.phase.as_bytes()), failed.exit_code));
        text.push('\n');
        text += &output::lines(failed.log.as_bytes());
        if !text.ends_with('\n') {
            text.push('\n');
        }
    }
    text
}
