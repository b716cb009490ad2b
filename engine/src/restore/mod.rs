//! Restoring a state: the build directory, the outputs and the shell state, as they were.
//!
//! The manifest is read and checked first ([`manifest::read`]), so that what cannot be restored is refused before
//! anything is written; then the layers stream by (`layers`), and every member that the tree has must be what the
//! manifest says (`maker`, `make`). No symlink is followed and no file replaced, whatever the archives hold.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::entry::join;
use super::error::{Error, Result, Shown};
use super::spill::Scratch;
use super::{chain, format, info, listing, manifest, place};
use maker::Maker;
use notices::Notices;
use places::Places;

mod batch;
mod clock;
mod layers;
pub mod make;
mod maker;
mod notices;
mod places;

const RESTORE: &str = "restore";

/// What to restore, and where to.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The state directory.
    pub from: PathBuf,
    /// The build directory: exists, and is the one the state was made in.
    pub build_dir: PathBuf,
    /// Where the shell state's file goes; its directory exists. The file appears when all else is done: where it is not,
    /// nothing that was restored is whole.
    pub shell: PathBuf,
    /// Name and path of each output the build has; need not be the paths saved from.
    pub outputs: Vec<(String, PathBuf)>,
    /// Name and staged prefix of each output, which must be those of the state; empty: not compared.
    pub staged: Vec<(String, PathBuf)>,
    /// Archive path and place of the directories outside the build directory ([`format::OUTSIDE`]); needed where the state
    /// has files of them. What is in the way there is removed: a hook of this stage has made it, as in the stage before.
    pub outside: Vec<(String, PathBuf)>,
    /// Names of files at the top of the build directory that Nix or stdenv made for this stage: they are removed where the
    /// state has something of that name, or says that a phase removed them.
    pub replace: Vec<Vec<u8>>,
    /// Where the listing goes that lets a save of the same stage read only what changed; its directory exists.
    pub listing: Option<PathBuf>,
}

/// Restores a state. `notice` gets a sentence for everything that could not be kept exactly (such as setuid
/// bits where the sandbox forbids them) and for waiting.
///
/// # Errors
/// An unknown format, the state of a failed stage, another build directory, other staged prefixes, an output nobody named, files that are in the way, a clock
/// far behind the one of the machine that saved, a damaged state, what the file system says. Once writing has
/// begun, what is restored by then stays, but for the shell state.
pub fn restore(request: &Request, notice: &mut dyn FnMut(&str)) -> Result<()> {
    info::read(RESTORE, &request.from)?.refuse_failed(RESTORE, &request.from)?;
    restore_even_failed(request, notice)
}

/// As [`restore`], and takes what a failed stage left too: to look into it.
///
/// # Errors
/// As [`restore`].
pub fn restore_even_failed(request: &Request, notice: &mut dyn FnMut(&str)) -> Result<()> {
    let io = |source: io::Error| Error::io(RESTORE, &request.shell, source);
    let mut name = OsString::from(".");
    name.push(request.shell.file_name().unwrap_or_default());
    name.push(".tmp");
    let unfinished = request.shell.with_file_name(name);
    // A restore that was killed may have left it.
    let remove = || match fs::remove_file(&unfinished) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(Error::io(RESTORE, &unfinished, source)),
        _ => Ok(()),
    };
    remove()?;
    let inner = Request { shell: unfinished.clone(), ..request.clone() };
    let restored =
        restore_all(&inner, &request.shell, notice).and_then(|()| fs::rename(&unfinished, &request.shell).map_err(io));
    if restored.is_err() {
        // The first error is the one to report.
        let _ = remove();
    }
    restored
}

/// Restores all; the shell state to where `request` says, which is not yet `shell`.
fn restore_all(request: &Request, shell: &Path, notice: &mut dyn FnMut(&str)) -> Result<()> {
    let info = info::read(RESTORE, &request.from)?;
    if Path::new(&info.build_dir) != request.build_dir {
        return Err(Error::OtherBuildDir {
            path: request.from.clone(),
            made_at: Shown(&info.build_dir).to_string(),
            runs_at: request.build_dir.display().to_string(),
        });
    }
    compare_outputs(request, &info.outputs)?;
    // Where there is room for the tree, there is room for what describes it.
    let scratch = Scratch::new(&request.build_dir);
    let manifest = manifest::read_packed(RESTORE, &request.from, &scratch)?;
    let in_manifest = |source| Error::io(RESTORE, request.from.join(format::MANIFEST), source);
    for root in [format::BUILD, format::SHELL] {
        if manifest.records.find(root).map_err(in_manifest)?.is_none() {
            let what = format!("it holds no {}", String::from_utf8_lossy(root));
            return Err(Error::damaged(RESTORE, request.from.join(format::MANIFEST), what));
        }
    }
    let mut files = chain::find(RESTORE, &request.from, manifest.layers.len())?;
    for state in &mut files {
        state.push(format::LAYER);
    }
    let plan = layers::plan(&manifest, &scratch)?;
    if shell.symlink_metadata().is_ok() {
        return Err(Error::io(RESTORE, shell, Errno::EXIST));
    }
    let roots = Places::roots(&manifest.records).map_err(in_manifest)?;
    let maker = || Ok(Maker::new(Places::open(request, &roots)?, &scratch));
    let mut own = maker()?;
    let mut others = (0..layers::threads()).map(|_| maker()).collect::<Result<Vec<_>>>()?;
    clock::wait_for(&request.from, info.newest.into(), notice)?;

    for name in &request.replace {
        let is_removed = info.removed_nix_files.iter().any(|removed| removed.as_bytes() == name);
        if is_removed || manifest.records.find(&join(format::BUILD, name)).map_err(in_manifest)?.is_some() {
            place::clear(&request.build_dir.join(OsStr::from_bytes(name)))?;
        }
    }
    own.make_room(&manifest.records)?;

    // While the directories are made, the first frames are decompressed.
    let opened = layers::open(&files, &manifest, &plan)?;
    own.directories(&manifest.records)?;
    layers::extract(opened, &manifest, &mut others)?;
    own.hard_links(&manifest.records)?;
    own.close_directories(&manifest.records)?;
    own.git_indices(&manifest.records)?;
    let mut notices = Notices::default();
    // What is noted of hard links comes after all others.
    let mut notes = Vec::new();
    for maker in others.into_iter().chain([own]) {
        notices.append(maker.notices);
        notes.push(maker.notes);
    }
    notices.told().iter().for_each(|text| notice(text));
    match &request.listing {
        Some(listing) => listing::write(RESTORE, listing, &request.from, &notes),
        None => Ok(()),
    }
}

/// What a state holds names its staged prefixes: in a chain with others it would be neither found nor relocated.
fn compare_outputs(request: &Request, made_with: &BTreeMap<String, String>) -> Result<()> {
    let told: BTreeMap<String, String> =
        request.staged.iter().map(|(name, path)| (name.clone(), path.display().to_string())).collect();
    if told.is_empty() || told == *made_with {
        return Ok(());
    }
    let list = |outputs: &BTreeMap<String, String>| {
        let words: Vec<String> =
            outputs.iter().map(|(name, prefix)| Shown(&format!("{name}={prefix}")).to_string()).collect();
        if words.is_empty() { "none named".to_owned() } else { words.join(" ") }
    };
    Err(Error::Refused {
        operation: RESTORE,
        path: request.from.clone(),
        what: format!("its outputs were staged at {}, and this stage's are {}", list(made_with), list(&told)),
        todo: "continue from a state of a package with the same name and outputs; without a pin, build that state again",
    })
}

/// The shell state of a state directory, without restoring anything else.
///
/// # Errors
/// As for reading any state.
pub fn shell_state(state: &Path) -> Result<Vec<u8>> {
    const OPERATION: &str = "list";
    info::read(OPERATION, state)?;
    let manifest = manifest::read_packed(OPERATION, state, &Scratch::system())?;
    let chain = chain::find(OPERATION, state, manifest.layers.len())?;
    let shell = manifest.records.find(format::SHELL);
    let shell = shell.map_err(|source| Error::io(OPERATION, state.join(format::MANIFEST), source))?;
    let shell = shell.ok_or_else(|| Error::damaged(OPERATION, state, "it holds no shell state"))?;
    layers::shell_state(OPERATION, &chain, &shell)
}
