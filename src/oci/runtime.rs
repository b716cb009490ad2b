//! The image of a closure: a layer for each store path or group of them, and on top one with links and `/tmp`.
//!
//! A layer names, as an annotation in the manifest, a hash of what it was made of: paths with the hashes of their NARs, and
//! how it was compressed. An image in the same layout that has a layer of that name lends it: the paths are then not even
//! read. What an annotation says is believed only as far as it costs nothing: the blob must be there and be as long as its
//! manifest, which is checked against its own digest, says; with `verify` it must also hash to its name.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsStr;
use std::num::NonZero;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::blob::{self, Written};
use super::compress::{Compression, Layer, Pool};
use super::config::Config;
use super::grouping::{self, StorePath};
use super::layout::{self, Layout};
use super::store_tree::{self, Outside, TIME};
use crate::inspect::json::hexadecimal;
use crate::state::entry::{Entry, Kind, Mtime, split_parent};
use crate::state::error::{Error, Result, as_path};
use crate::state::{list, pax};

/// The annotation of a layer that says what it was made of.
const MADE_OF: &str = "phasesplit.layer";

/// The annotation of a layer that says which programs outside of the store its files are started by.
const STARTED_BY: &str = "phasesplit.started-by";

/// Goes into [`MADE_OF`]: another number where the same paths become other bytes.
const FORMAT: u32 = 1;

const WRITE: &str = "write the image";

/// The fewest layers an image can be made of: what is shared, the package, the links.
pub const FEWEST: usize = 3;

/// What is wanted.
#[derive(Debug)]
pub struct Wish {
    /// All paths that are in it.
    pub closure: Vec<StorePath>,
    /// Those of them that it is made for.
    pub roots: Vec<String>,
    /// Symlinks to make: their paths in the image, absolute, and their targets.
    pub links: BTreeMap<String, String>,
    /// How a container is started.
    pub config: Config,
    /// The image's name in its layout.
    pub name: String,
    /// `amd64` and so on.
    pub architecture: String,
    /// When it was made, as it says.
    pub created: Mtime,
    /// The most layers it may have.
    pub most: usize,
    /// How its layers are compressed.
    pub compression: Compression,
}

/// A layer of an image.
#[derive(Clone, Debug)]
pub struct Made {
    /// What is in it; of the topmost nothing.
    pub paths: Vec<String>,
    /// The blob.
    pub blob: Written,
    /// Whether it was there already.
    pub reused: bool,
    outside: Outside,
}

/// An image that was written.
#[derive(Debug)]
pub struct Report {
    /// SHA-256 of the manifest, hexadecimal.
    pub digest: String,
    /// The layers, the lowest first.
    pub layers: Vec<Made>,
    /// The programs that start others and are not in the image.
    pub outside: Outside,
    /// Blobs that were not what their names say, and were written again.
    pub damaged: Vec<String>,
}

/// Adds the image of a closure to a layout. `status` is told what is being done.
///
/// # Errors
/// What has no place in an image, what the file system says.
pub fn write(layout: &Layout, wish: &Wish, status: &(dyn Fn(String) + Sync)) -> Result<Report> {
    let groups = grouping::layers(&wish.closure, &wish.roots, wish.most.max(FEWEST) - 1);
    let groups: Vec<Group<'_>> = groups.iter().map(|indices| Group::new(wish, indices)).collect();
    let (known, damaged) = known(layout, &groups)?;
    let mut layers = write_layers(layout, wish, &groups, &known, status)?;
    layers.push(write_links(layout, wish)?);
    let mut outside = Outside::new();
    for (program, (files, first)) in layers.iter().flat_map(|layer| &layer.outside) {
        // A link may stand where the program is looked for.
        if !wish.links.keys().any(|link| link.as_bytes() == program) {
            outside.entry(program.clone()).or_insert_with(|| (0, first.clone())).0 += files;
        }
    }
    let config = layout.add_json(blob::CONFIG, &config_of(wish, &layers))?;
    let descriptors: Vec<Value> =
        layers.iter().enumerate().map(|(at, layer)| descriptor(wish, layer, groups.get(at))).collect();
    let manifest = json!({ "schemaVersion": 2, "mediaType": blob::MANIFEST, "config": config, "layers": descriptors });
    let manifest = layout.add_json(blob::MANIFEST, &manifest)?;
    let digest = layout::digest_of(&manifest).unwrap_or_default().to_owned();
    layout.name(manifest, &wish.name)?;
    Ok(Report { digest, layers, outside, damaged })
}

/// What one layer is to hold.
struct Group<'a> {
    paths: Vec<&'a str>,
    size: u64,
    made_of: String,
}

impl<'a> Group<'a> {
    fn new(wish: &'a Wish, indices: &[usize]) -> Self {
        let members: Vec<&StorePath> = indices.iter().map(|&index| &wish.closure[index]).collect();
        let mut hasher = Sha256::new();
        hasher.update(format!("phasesplit layer {FORMAT} {}\n", wish.compression.word()));
        for member in &members {
            hasher.update(format!("{} {}\n", member.path, member.hash));
        }
        let size = members.iter().map(|member| member.size).sum();
        let paths = members.iter().map(|member| member.path.as_str()).collect();
        Self { paths, size, made_of: hexadecimal(&hasher.finalize()) }
    }
}

/// A layer of another image.
struct Known {
    blob: Written,
    outside: Outside,
}

/// Those of the groups that an image which is there has as a layer, by what they were made of; and the blobs that are not
/// what their names say.
fn known(layout: &Layout, groups: &[Group<'_>]) -> Result<(HashMap<String, Known>, Vec<String>)> {
    let wanted: HashSet<&str> = groups.iter().map(|group| group.made_of.as_str()).collect();
    let (mut all, mut damaged) = (HashMap::new(), Vec::new());
    for manifest in layout.images()?.iter().filter_map(|image| layout.json(image)) {
        let config = layout.json(&manifest["config"]).unwrap_or_default();
        let layers = manifest["layers"].as_array().into_iter().flatten();
        let ids = config["rootfs"]["diff_ids"].as_array().into_iter().flatten();
        for (layer, id) in layers.zip(ids) {
            let Some((made_of, known)) = known_layer(layout, layer, id) else { continue };
            if !wanted.contains(made_of.as_str()) || all.contains_key(&made_of) {
                continue;
            }
            if layout.verifies() && !layout.is_sound(&known.blob.digest)? {
                damaged.push(known.blob.digest);
            } else {
                all.insert(made_of, known);
            }
        }
    }
    Ok((all, damaged))
}

fn known_layer(layout: &Layout, layer: &Value, id: &Value) -> Option<(String, Known)> {
    let made_of = layer["annotations"][MADE_OF].as_str()?.to_owned();
    let digest = layout::digest_of(layer)?.to_owned();
    let size = layer["size"].as_u64()?;
    let diff_id = id.as_str()?.strip_prefix("sha256:")?.to_owned();
    let outside = match layer["annotations"].get(STARTED_BY) {
        None => Outside::new(),
        Some(text) => from_text(text.as_str()?)?,
    };
    layout.has(&digest, size).then_some((made_of, Known { blob: Written { digest, size, diff_id }, outside }))
}

/// Writes the layers that are not there, the largest first, and so that all processors have work.
fn write_layers(
    layout: &Layout,
    wish: &Wish,
    groups: &[Group<'_>],
    known: &HashMap<String, Known>,
    status: &(dyn Fn(String) + Sync),
) -> Result<Vec<Made>> {
    let mut missing: Vec<usize> = (0..groups.len()).filter(|&at| !known.contains_key(&groups[at].made_of)).collect();
    missing.sort_by_key(|&at| std::cmp::Reverse(groups[at].size));
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let (done, failed) = (Mutex::new(HashMap::new()), Mutex::new(None));
    thread::scope(|scope| {
        let pool = &Pool::start(scope, wish.compression, threads);
        thread::scope(|scope| {
            for _ in 0..threads.min(missing.len()) {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        let turn = next.fetch_add(1, Ordering::Relaxed);
                        let Some(&at) = missing.get(turn) else { return };
                        let first = groups[at].paths.first().copied().unwrap_or_default();
                        status(format!("layer {} of {}: {first}", turn + 1, missing.len()));
                        match write_layer(layout, pool, &groups[at]) {
                            Ok(made) => {
                                done.lock().unwrap_or_else(PoisonError::into_inner).insert(at, made);
                            }
                            Err(error) => {
                                stop.store(true, Ordering::Relaxed);
                                failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                            }
                        }
                    }
                });
            }
        });
    });
    if let Some(error) = failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(error);
    }
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    let made = groups.iter().enumerate().filter_map(|(at, group)| {
        done.remove(&at).or_else(|| {
            let known = known.get(&group.made_of)?;
            let paths = group.paths.iter().map(|&path| path.to_owned()).collect();
            Some(Made { paths, blob: known.blob.clone(), reused: true, outside: known.outside.clone() })
        })
    });
    Ok(made.collect())
}

fn write_layer(layout: &Layout, pool: &Pool, group: &Group<'_>) -> Result<Made> {
    let paths: Vec<&Path> = group.paths.iter().map(Path::new).collect();
    let (layer, outside) = store_tree::write(&paths, Layer::new(pool, layout.scratch()?), layout.root())?;
    let (file, blob) = layer.finish().map_err(|source| Error::io(WRITE, layout.root(), source))?;
    let reused = !layout.add(file, &blob.digest, blob.size)?;
    Ok(Made { paths: group.paths.iter().map(|&path| path.to_owned()).collect(), blob, reused, outside })
}

/// The topmost layer: the links, and `/tmp`, where anybody may write.
fn write_links(layout: &Layout, wish: &Wish) -> Result<Made> {
    let io = |source| Error::io(WRITE, layout.root(), source);
    let entry = |path: &[u8], kind, mode, link: &str| {
        let link = link.as_bytes().to_vec();
        Entry { path: path.to_vec(), kind, mode, size: 0, mtime: TIME, link, hash: None }
    };
    let mut entries = BTreeMap::new();
    for (path, target) in &wish.links {
        let path = path.trim_start_matches('/').as_bytes();
        let mut above = split_parent(path).0;
        while !above.is_empty() {
            entries.insert(above.to_vec(), entry(above, Kind::Directory, 0o755, ""));
            above = split_parent(above).0;
        }
        entries.insert(path.to_vec(), entry(path, Kind::Symlink, 0o777, target));
    }
    entries.insert(b"tmp".to_vec(), entry(b"tmp", Kind::Directory, 0o1777, ""));
    thread::scope(|scope| {
        let pool = Pool::start(scope, wish.compression, 1);
        let mut tar = pax::Writer::new(Layer::new(&pool, layout.scratch()?));
        for entry in entries.values() {
            tar.member(entry, 0).map_err(io)?;
        }
        let (file, blob) = tar.finish().map_err(io)?.finish().map_err(io)?;
        let reused = !layout.add(file, &blob.digest, blob.size)?;
        Ok(Made { paths: Vec::new(), blob, reused, outside: Outside::new() })
    })
}

fn descriptor(wish: &Wish, layer: &Made, group: Option<&Group<'_>>) -> Value {
    let mut descriptor = blob::descriptor(&wish.compression.media_type(), &layer.blob.digest, layer.blob.size);
    if let Some(group) = group {
        descriptor["annotations"] = json!({ MADE_OF: group.made_of });
        if !layer.outside.is_empty() {
            descriptor["annotations"][STARTED_BY] = to_text(&layer.outside).into();
        }
    }
    descriptor
}

fn config_of(wish: &Wish, layers: &[Made]) -> Value {
    let created = list::utc(wish.created);
    let history: Vec<Value> = layers
        .iter()
        .map(|layer| {
            let what = if layer.paths.is_empty() { "links and /tmp".to_owned() } else { layer.paths.join(" ") };
            json!({ "created": created, "created_by": what, "comment": "phasesplit" })
        })
        .collect();
    let ids: Vec<String> = layers.iter().map(|layer| format!("sha256:{}", layer.blob.diff_id)).collect();
    json!({
        "created": created,
        "architecture": wish.architecture,
        "os": "linux",
        "config": wish.config.to_json(),
        "rootfs": { "type": "layers", "diff_ids": ids },
        "history": history,
    })
}

/// Programs outside as JSON in a text: an annotation has no other value.
fn to_text(outside: &Outside) -> String {
    let text = |bytes: &[u8]| OsStr::from_bytes(bytes).to_string_lossy().into_owned();
    let object: Map<String, Value> =
        outside.iter().map(|(program, (files, first))| (text(program), json!([files, text(first)]))).collect();
    Value::Object(object).to_string()
}

fn from_text(text: &str) -> Option<Outside> {
    let object: Map<String, Value> = serde_json::from_str(text).ok()?;
    let entries = object.iter().map(|(program, value)| {
        let (files, first) = (value[0].as_u64()?, value[1].as_str()?);
        Some((program.clone().into_bytes(), (files, first.as_bytes().to_vec())))
    });
    entries.collect()
}

/// The first file that a program outside starts, as a path.
pub fn first_file(entry: &(u64, Vec<u8>)) -> &Path {
    as_path(&entry.1)
}
