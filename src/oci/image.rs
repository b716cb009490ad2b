//! The image around the layers: configuration, manifest, index (image-spec 1.1), as a layout in a directory.

use std::fs;
use std::io::{self, BufWriter};
use std::path::Path;

use serde_json::{Value, json};

use super::blob::{self, BLOBS, CONFIG, INDEX, MANIFEST, NAME, Written};
use super::compress::Compression;
use super::{config, layer, layout, tree};
use crate::inspect::State;
use crate::inspect::content::{self, Extent, Spool};
use crate::inspect::shell::{Shell, Value as Held};
use crate::state::entry::Mtime;
use crate::state::error::{Error, Result};
use crate::state::list;

const WRITE: &str = "write the image";

/// Writes the layout of an image with a layer for each of `states` into the empty directory `to`. `shell` is the shell of
/// the last one: its exported variables and its directory are those of the image.
///
/// # Errors
/// States that are damaged, what no image can hold, what the file system says.
pub fn write(states: &[State], shell: &Shell, to: &Path) -> Result<()> {
    let io = |source: io::Error| Error::io(WRITE, to, source);
    if let Some(last) = states.last() {
        // To the ends of its layers: what a restore would refuse is not made an image of, though a layer takes only what
        // it needs.
        content::read(last, &vec![false; last.records().len()], Extent::Whole, &mut |_| Ok(()))?;
    }
    let blobs = to.join(BLOBS);
    fs::create_dir_all(&blobs).map_err(io)?;
    let mut layers: Vec<Written> = Vec::new();
    for (number, state) in states.iter().enumerate() {
        let before = number.checked_sub(1).map(|number| &states[number]);
        layers.push(write_layer(before, state, &blobs)?);
    }
    let config = put(&blobs, CONFIG, &config_of(states, &layers, shell)).map_err(io)?;
    let descriptors: Vec<Value> = layers
        .iter()
        .map(|layer| blob::descriptor(&Compression::Gzip.media_type(), &layer.digest, layer.size))
        .collect();
    let manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": descriptors });
    let mut manifest = put(&blobs, MANIFEST, &manifest).map_err(io)?;
    let name = states.last().map_or_else(String::new, |state| state.info.stage.clone());
    manifest["annotations"] = json!({ NAME: name });
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [manifest] });
    fs::write(to.join(layout::INDEX), index.to_string()).map_err(io)?;
    fs::write(to.join(layout::MARK), layout::VERSION).map_err(io)
}

fn write_layer(before: Option<&State>, state: &State, blobs: &Path) -> Result<Written> {
    let io = |source: io::Error| Error::io(WRITE, blobs, source);
    let members = tree::members(before, state)?;
    let mut wanted = vec![false; state.records().len()];
    for index in members.iter().filter_map(|member| member.content) {
        wanted[index] = true;
    }
    let spool = Spool::fill(state, &wanted)?;
    // Its name is known when it is written.
    let file = tempfile::NamedTempFile::new_in(blobs).map_err(io)?;
    let mut out = BufWriter::new(file);
    let written = layer::write(state, &members, &spool, &mut out).map_err(io)?;
    let file = out.into_inner().map_err(|error| io(error.into_error()))?;
    blob::named(file, blobs, &written.digest).map_err(io)?;
    Ok(written)
}

/// Writes JSON as a blob, and gives its descriptor.
fn put(blobs: &Path, media_type: &str, value: &Value) -> io::Result<Value> {
    let text = value.to_string();
    let digest = blob::digest(text.as_bytes());
    fs::write(blobs.join(&digest), &text)?;
    Ok(blob::descriptor(media_type, &digest, text.len() as u64))
}

fn config_of(states: &[State], layers: &[Written], shell: &Shell) -> Value {
    let exported = shell.variables.iter().filter(|(_, variable)| variable.flags.contains('x'));
    let environment: Vec<String> = exported
        .filter_map(|(name, variable)| match &variable.value {
            Held::Text(text) => Some(format!("{}={}", String::from_utf8_lossy(name), String::from_utf8_lossy(text))),
            _ => None,
        })
        .collect();
    // Not when it was made, which would be another time each time.
    let time = |state: &State| list::utc(Mtime::from(state.info.newest));
    let history: Vec<Value> = states
        .iter()
        .map(|state| {
            let phases: Vec<&str> = state.info.phases.iter().map(|phase| phase.name.as_str()).collect();
            json!({
                "created": time(state),
                "created_by": format!("{}: {}", state.info.stage, phases.join(" ")),
                "comment": format!("phasesplit: {}", state.info.package),
            })
        })
        .collect();
    let ids: Vec<String> = layers.iter().map(|layer| format!("sha256:{}", layer.diff_id)).collect();
    json!({
        "created": states.last().map(time),
        "architecture": config::architecture(std::env::consts::ARCH),
        "os": "linux",
        "config": { "Env": environment, "WorkingDir": String::from_utf8_lossy(&shell.directory) },
        "rootfs": { "type": "layers", "diff_ids": ids },
        "history": history,
    })
}
