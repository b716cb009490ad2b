//! The image around the layers: configuration, manifest, index (image-spec 1.1), as a layout in a directory.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::layer::{self, Written};
use super::tree;
use crate::inspect::State;
use crate::inspect::content::Spool;
use crate::inspect::json::hexadecimal;
use crate::inspect::shell::{Shell, Value as Held};
use crate::state::entry::{Entry, Kind, Mtime};
use crate::state::error::{Error, Result};
use crate::state::{list, pax};

const WRITE: &str = "write the image";

/// Where the blobs of a layout are.
const BLOBS: &str = "blobs/sha256";

const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// Writes the layout of an image with a layer for each of `states` into the empty directory `to`. `shell` is the shell of
/// the last one: its exported variables and its directory are those of the image.
///
/// # Errors
/// States that are damaged, what no image can hold, what the file system says.
pub fn write(states: &[State], shell: &Shell, to: &Path) -> Result<()> {
    let io = |source: io::Error| Error::io(WRITE, to, source);
    let blobs = to.join(BLOBS);
    fs::create_dir_all(&blobs).map_err(io)?;
    let mut layers: Vec<Written> = Vec::new();
    for (number, state) in states.iter().enumerate() {
        let before = number.checked_sub(1).map(|number| &states[number]);
        layers.push(write_layer(before, state, &blobs)?);
    }
    let config = put(&blobs, CONFIG, &config(states, &layers, shell)).map_err(io)?;
    let descriptors: Vec<Value> = layers
        .iter()
        .map(|layer| json!({ "mediaType": LAYER, "digest": format!("sha256:{}", layer.digest), "size": layer.size }))
        .collect();
    let manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": descriptors });
    let mut manifest = put(&blobs, MANIFEST, &manifest).map_err(io)?;
    let name = states.last().map_or_else(String::new, |state| state.info.stage.clone());
    manifest["annotations"] = json!({ "org.opencontainers.image.ref.name": name });
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [manifest] });
    fs::write(to.join("index.json"), index.to_string()).map_err(io)?;
    fs::write(to.join("oci-layout"), json!({ "imageLayoutVersion": "1.0.0" }).to_string()).map_err(io)
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
    named(file, blobs, &written.digest).map_err(io)?;
    Ok(written)
}

fn named(file: tempfile::NamedTempFile, blobs: &Path, digest: &str) -> io::Result<()> {
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    file.as_file().set_permissions(mode)?;
    file.persist(blobs.join(digest))?;
    Ok(())
}

/// Writes JSON as a blob, and gives its descriptor.
fn put(blobs: &Path, media_type: &str, value: &Value) -> io::Result<Value> {
    let text = value.to_string();
    let digest = hexadecimal(&Sha256::digest(&text));
    fs::write(blobs.join(&digest), &text)?;
    Ok(json!({ "mediaType": media_type, "digest": format!("sha256:{digest}"), "size": text.len() }))
}

fn config(states: &[State], layers: &[Written], shell: &Shell) -> Value {
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
        "architecture": architecture(),
        "os": "linux",
        "config": { "Env": environment, "WorkingDir": String::from_utf8_lossy(&shell.directory) },
        "rootfs": { "type": "layers", "diff_ids": ids },
        "history": history,
    })
}

/// This machine's architecture, as Go calls it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        other => other,
    }
}

/// Writes a layout as an archive: `oci-archive` of skopeo and podman.
///
/// # Errors
/// What the file system says, and those of `out`.
pub fn archive(layout: &Path, out: &mut dyn Write) -> io::Result<()> {
    let mut paths = vec!["blobs".to_owned(), BLOBS.to_owned(), "index.json".to_owned(), "oci-layout".to_owned()];
    for blob in fs::read_dir(layout.join(BLOBS))? {
        paths.push(format!("{BLOBS}/{}", blob?.file_name().to_string_lossy()));
    }
    paths.sort();
    let mut archive = pax::Writer::new(out);
    for path in paths {
        let metadata = fs::metadata(layout.join(&path))?;
        let (kind, mode) = if metadata.is_dir() { (Kind::Directory, 0o755) } else { (Kind::File, 0o644) };
        let size = if metadata.is_dir() { 0 } else { metadata.len() };
        let bytes = path.clone().into_bytes();
        let entry = Entry { path: bytes, kind, mode, size, mtime: Mtime::default(), link: Vec::new(), hash: None };
        archive.member(&entry, size)?;
        if kind == Kind::File {
            io::copy(&mut File::open(layout.join(&path))?, &mut archive)?;
        }
    }
    archive.finish()?.flush()
}
