//! Saving a state: build directory, staged outputs and shell state into a new state directory, as the difference to the
//! state before it. `walk` finds what there is, `store` decides what the layer must hold of it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::error::{Error, Result};
use super::info::{Bytes, Failed, Info, Phase};
use super::parent::Parent;
use super::spill::Scratch;
use super::{chain, format, frames, info, manifest, nix_files};
use store::{Store, Stored};
use walk::Walk;

mod store;
mod walk;

const SAVE: &str = "save";

/// What to save, and where.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The state directory to make; may exist if it is empty.
    pub to: PathBuf,
    /// The build directory, absolute.
    pub build_dir: PathBuf,
    /// The shell state's file.
    pub shell: PathBuf,
    /// Name and staged prefix of each output; those that do not exist (yet) are not saved.
    pub outputs: Vec<(String, PathBuf)>,
    /// The state this one continues from, absolute: what it and those before it hold is not stored again, and its mark of
    /// a pin is passed on.
    pub parent: Option<PathBuf>,
    /// The listing that restoring the parent gave: files that it shows to be unchanged are not read. It need not exist.
    pub listing: Option<PathBuf>,
    /// The pinned state that this stage or one before it continues from.
    pub pinned: Option<String>,
    /// The package's name.
    pub package: String,
    /// The stage that ends here.
    pub stage: String,
    /// The phases that ran.
    pub phases: Vec<Phase>,
    /// What the stage warned of ([`Info::warnings`]).
    pub warnings: Vec<String>,
    /// Names at the top of the build directory to leave out.
    pub exclude: Vec<Vec<u8>>,
    /// Which files Nix put there, as [`nix_files::note`] noted them: what is still as it was is left out.
    pub nix_files: Option<PathBuf>,
    /// Archive path and place of directories outside the build directory ([`format::OUTSIDE`]) whose content is saved too;
    /// those that are not there are left out.
    pub outside: Vec<(String, PathBuf)>,
    /// Archive paths in these that are not the build's: they are left out.
    pub foreign: Vec<Vec<u8>>,
}

/// Saves a state. The same tree on the same parent gives the same layer and manifest, byte for byte, with a listing and
/// without.
///
/// Files that their owner cannot read are made readable for the moment of reading.
///
/// # Errors
/// A target that is not empty; a parent that cannot be read; a device; a file that changes while it is read; what the file system says. Nothing
/// that looks like a state is left behind then.
pub fn save(request: &Request) -> Result<Info> {
    run(request, None)
}

/// Saves what a stage left that failed: a state that says so, and that no stage continues from.
///
/// # Errors
/// As [`save`].
pub fn save_failed(request: &Request, failed: Failed) -> Result<Info> {
    run(request, Some(failed))
}

fn run(request: &Request, failed: Option<Failed>) -> Result<Info> {
    let build_dir = text(&request.build_dir)?;
    let before = request.parent.as_deref().map(|parent| info::read(SAVE, parent)).transpose()?;
    if let (Some(info), Some(parent)) = (&before, &request.parent) {
        info.refuse_failed(SAVE, parent)?;
    }
    let pinned = request.pinned.clone().or_else(|| before.and_then(|info| info.pinned));
    make_target(&request.to)?;
    let result = write(request, build_dir, pinned, failed);
    if result.is_err() {
        for name in [format::LAYER, format::MANIFEST, format::PARENT, format::INFO] {
            // The first error is the one to report; what cannot be removed is harmless without info.json.
            for path in [temporary(&request.to, name), request.to.join(name)] {
                let _ = fs::remove_file(path);
            }
        }
    }
    result
}

fn text(build_dir: &Path) -> Result<String> {
    match build_dir.to_str() {
        Some(text) if build_dir.is_absolute() => Ok(text.to_owned()),
        _ => Err(Error::Refused {
            operation: SAVE,
            path: build_dir.into(),
            what: "the build directory must be an absolute path in UTF-8".into(),
            todo: "give it as the build sees it, such as /build",
        }),
    }
}

fn make_target(to: &Path) -> Result<()> {
    match fs::create_dir(to) {
        Ok(()) => return Ok(()),
        Err(source) if source.kind() == io::ErrorKind::AlreadyExists => {}
        Err(source) => return Err(Error::io(SAVE, to, source)),
    }
    let mut names = fs::read_dir(to).map_err(|source| Error::io(SAVE, to, source))?;
    if names.next().is_some() {
        return Err(Error::Refused {
            operation: SAVE,
            path: to.into(),
            what: "it is not empty".into(),
            todo: "name a directory that does not exist yet",
        });
    }
    Ok(())
}

fn temporary(state: &Path, name: &str) -> PathBuf {
    state.join(format!(".{name}.tmp"))
}

fn write(request: &Request, build_dir: String, pinned: Option<String>, failed: Option<Failed>) -> Result<Info> {
    let target = fs::metadata(&request.to).map_err(|source| Error::io(SAVE, &request.to, source))?;
    let parent_text = request.parent.as_deref().map(|parent| chain::encode(SAVE, parent)).transpose()?;
    let create = |name| {
        let path = temporary(&request.to, name);
        File::create_new(&path).map_err(|source| Error::io(SAVE, &path, source))
    };
    let name = |name: &str| request.to.join(name);
    let finished = |file: &str| {
        fs::rename(temporary(&request.to, file), name(file)).map_err(|source| Error::io(SAVE, name(file), source))
    };
    let layer = name(format::LAYER);
    // In the file system of the result there is room for what describes it.
    let scratch = Scratch::new(&request.to);
    let nix_files = request.nix_files.as_deref().map(|from| nix_files::find(SAVE, &request.build_dir, from));
    let nix_files = nix_files.transpose()?.unwrap_or_default();
    let exclude = [&request.exclude[..], &nix_files.untouched].concat();
    let walk = Walk {
        build_dir: &request.build_dir,
        exclude: &exclude,
        outputs: &request.outputs,
        outside: &request.outside,
        foreign: &request.foreign,
        target: (target.dev(), target.ino()),
        scratch: &scratch,
    };
    let shell = || fs::read(&request.shell).map_err(|source| Error::io(SAVE, &request.shell, source));
    let begun = || {
        let parent = match &request.parent {
            Some(parent) => Parent::open(SAVE, parent, request.listing.as_ref(), store::WHOLE, &scratch)?,
            None => None,
        };
        Ok(Store::new(create(format::LAYER)?, &layer, parent, &scratch))
    };
    let store = walk.run(begun, shell)?;
    let parent_text = parent_text.filter(|_| store.has_parent());
    let Stored { manifest, tally, bytes: layer_bytes } = store.finish()?;
    finished(format::LAYER)?;

    let to_manifest = |source| Error::io(SAVE, name(format::MANIFEST), source);
    let mut out = frames::Writer::new(create(format::MANIFEST)?);
    let (_, manifest_bytes) =
        manifest::write_packed(&mut out, &manifest).and_then(|()| out.finish()).map_err(to_manifest)?;
    finished(format::MANIFEST)?;
    if let Some(text) = parent_text {
        create(format::PARENT)?.write_all(&text).map_err(|source| Error::io(SAVE, name(format::PARENT), source))?;
        finished(format::PARENT)?;
    }
    let info = Info {
        format: format::VERSION,
        engine: format::ENGINE.into(),
        package: request.package.clone(),
        stage: request.stage.clone(),
        build_dir,
        phases: request.phases.clone(),
        outputs: request.outputs.iter().map(|(name, path)| (name.clone(), path.display().to_string())).collect(),
        pinned,
        failed,
        warnings: request.warnings.clone(),
        removed_nix_files: nix_files.gone.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect(),
        layers: manifest.layers.len(),
        entries: tally.counts,
        bytes: Bytes { content: tally.content, layer: layer_bytes, manifest: manifest_bytes },
        newest: tally.newest.into(),
    };
    info::write(&request.to, &info)?;
    Ok(info)
}
