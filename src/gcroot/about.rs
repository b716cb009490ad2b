//! What is known of a rooted state beside its link: when it was made and used, and from what.
//!
//! ```text
//! packages/<package>/states/<the link's name>.json    beside roots/
//! ```
//!
//! An index, never the truth: that is the link, the state it leads to, and its derivation. Where the file is gone or damaged
//! it is made of them again; then all that is known of its age is when the link and that file were written.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

use super::running::machine;
use super::{Roots, disk, record};
use crate::nix::{drv, store};
use crate::state::info;

/// The version of the file.
const FORMAT: u64 = 1;

/// What is known of a state; keys in camel case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct About {
    /// [`FORMAT`].
    pub(super) format: u64,
    /// The package's name.
    pub package: String,
    /// The stage.
    pub stage: String,
    /// The state's store path.
    pub path: String,
    /// The derivation that made it, where that is known.
    pub drv: Option<String>,
    /// The fingerprint of all that it was made from: the BLAKE3 hash of the derivation's file, lower-case hexadecimal.
    pub inputs: Option<String>,
    /// The bytes of its files.
    pub bytes: u64,
    /// When it was registered first, in seconds since 1970.
    pub created: u64,
    /// When a build used it last, or `roots touch` said so, in seconds since 1970.
    pub last_used: u64,
    /// The pinned state that it was made from, where it was.
    pub pinned: Option<String>,
    /// Whether it is what a failed stage left.
    pub failed: bool,
    /// The machine whose Nix was told of the root last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
}

impl About {
    /// Of a state that is there, used now.
    pub(super) fn of(package: &str, stage: &str, path: &str, drv: Option<&str>) -> Self {
        let now = record::now();
        let info = info::read("look at", Path::new(path)).ok();
        let drv = drv.filter(|drv| Path::new(drv).exists());
        let pinned = drv.and_then(|drv| drv::read(drv).ok()).and_then(|drv| drv::is_pinned(&drv).map(str::to_owned));
        Self {
            format: FORMAT,
            package: package.to_owned(),
            stage: stage.to_owned(),
            path: path.to_owned(),
            inputs: drv.and_then(|drv| Some(blake3::hash(&fs::read(drv).ok()?).to_hex().to_string())),
            drv: drv.map(str::to_owned),
            bytes: store::size_of(Path::new(path)).unwrap_or(0),
            created: now,
            last_used: now,
            pinned: pinned.or_else(|| info.as_ref()?.pinned.clone()),
            failed: info.is_some_and(|info| info.failed.is_some()),
            machine: Some(machine()),
        }
    }

    /// The same as it is told by what the file system has: it is as old as its link.
    fn of_link(package: &str, stage: &str, path: &str, link: &Path, index: &Path) -> Self {
        let drv = fs::read_link(with_suffix(link, ".drv")).ok();
        let drv = drv.as_ref().map(|drv| drv.to_string_lossy());
        let made = time_of(link).unwrap_or(0);
        // It was written whenever the state was used, whatever is in it now.
        let last_used = time_of(index).map_or(made, |written| written.max(made));
        Self { created: made, last_used, ..Self::of(package, stage, path, drv.as_deref()) }
    }
}

impl Roots {
    /// What is known of the state that a link keeps.
    pub(super) fn about(&self, key: &str, link: &Path, package: &str, stage: &str, path: &str) -> About {
        match self.read_about(key, link) {
            Some(about) if about.path == path => about,
            _ => About::of_link(package, stage, path, link, &self.about_file(key, link)),
        }
    }

    /// What the index has; `None` where that is nothing, or damaged.
    pub(super) fn read_about(&self, key: &str, link: &Path) -> Option<About> {
        let text = disk::read(&self.about_file(key, link)).ok()?;
        serde_json::from_slice(&text).ok().filter(|about: &About| about.format == FORMAT)
    }

    /// The version of the index's entry, where that is one which is not known here.
    pub(super) fn other_version(&self, key: &str, link: &Path) -> Option<u64> {
        #[derive(Deserialize)]
        struct Versioned {
            format: u64,
        }
        let text = disk::read(&self.about_file(key, link)).ok()?;
        serde_json::from_slice(&text).ok().map(|Versioned { format }| format).filter(|format| *format != FORMAT)
    }

    /// Writes it.
    pub(super) fn write_about(&self, key: &str, link: &Path, about: &About) -> io::Result<()> {
        let mut text = serde_json::to_vec_pretty(about)?;
        text.push(b'\n');
        disk::write(&self.about_file(key, link), &text)
    }

    pub(super) fn about_file(&self, key: &str, link: &Path) -> PathBuf {
        let name = link.file_name().unwrap_or_default();
        with_suffix(&self.abouts(key).join(name), ".json")
    }

    /// The directory of a package's index.
    pub(super) fn abouts(&self, key: &str) -> PathBuf {
        self.home().join("packages").join(key).join("states")
    }
}

/// When a file or a link was changed last, in seconds since 1970.
fn time_of(path: &Path) -> Option<u64> {
    let since = fs::symlink_metadata(path).and_then(|data| data.modified()).ok()?;
    Some(since.duration_since(UNIX_EPOCH).ok()?.as_secs())
}

/// A path with more behind its name.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    path.with_file_name(name)
}
