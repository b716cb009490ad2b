//! What is rooted: read from the links themselves, which are the truth.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::Serialize;

use super::{FAILED, RootError, Roots};
use crate::nix::{drv, store};
use crate::state::info;

/// One link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Root {
    /// What it keeps.
    #[serde(flatten)]
    pub kept: Kept,
    /// The store path that it points to.
    pub path: String,
    /// The link.
    pub link: PathBuf,
    /// Whether the store path is there; what is dangling keeps nothing.
    pub dangling: bool,
    /// The bytes of the store path, where it is there.
    pub bytes: Option<u64>,
    /// When the link was made, in seconds since 1970.
    pub created: u64,
    /// The pinned state that it was made from, where it was.
    pub pinned: Option<String>,
}

/// What a root keeps.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Kept {
    /// One of phasesplit's own objects.
    Own,
    /// The last state of a stage.
    State {
        /// The package's name.
        package: String,
        /// The directory of its roots: the name, and a hash of what tells packages of the same name apart.
        key: String,
        /// The stage.
        stage: String,
    },
    /// What a stage left when it failed.
    Failed {
        /// The package's name.
        package: String,
        /// The directory of its roots.
        key: String,
        /// The stage.
        stage: String,
    },
    /// The derivation that a state was made by; of a failed one, `stage` ends in `.failed`.
    Derivation {
        /// The package's name.
        package: String,
        /// The directory of its roots.
        key: String,
        /// The stage.
        stage: String,
    },
}

impl Roots {
    /// All roots, sorted by what they keep. There need not be any.
    ///
    /// # Errors
    /// Where a directory cannot be read. A link that is removed meanwhile is left out.
    pub fn list(&self) -> Result<Vec<Root>, RootError> {
        let mut roots = Vec::new();
        for link in entries(&self.directory.join("own"))? {
            roots.extend(root(link, Kept::Own));
        }
        for directory in entries(&self.directory.join("packages"))? {
            let key = name_of(&directory);
            let package = key.rsplit_once('-').map_or(key.as_str(), |(package, _)| package).to_owned();
            for link in entries(&directory)? {
                let (package, key, name) = (package.clone(), key.clone(), name_of(&link));
                let kept = match (name.strip_suffix(".drv"), name.strip_suffix(FAILED)) {
                    (Some(stage), _) => Kept::Derivation { package, key, stage: stage.to_owned() },
                    (None, Some(stage)) => Kept::Failed { package, key, stage: stage.to_owned() },
                    (None, None) => Kept::State { package, key, stage: name },
                };
                roots.extend(root(link, kept));
            }
        }
        roots.sort_by(|a, b| (&a.kept, &a.link).cmp(&(&b.kept, &b.link)));
        Ok(roots)
    }
}

/// The names in a directory; one that is not there, or is no directory, has none.
fn entries(directory: &Path) -> Result<Vec<PathBuf>, RootError> {
    let failed = |source| RootError::List { path: directory.to_owned(), source };
    match fs::read_dir(directory) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(Vec::new()),
        Err(error) => Err(failed(error)),
        Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>().map_err(failed),
    }
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// What a link keeps; anything else that lies there is no root.
fn root(link: PathBuf, kept: Kept) -> Option<Root> {
    let target = fs::read_link(&link).ok()?;
    let created = fs::symlink_metadata(&link).and_then(|data| data.modified()).ok()?;
    let bytes = store::size_of(&target).ok();
    let path = target.to_string_lossy().into_owned();
    Some(Root {
        pinned: pinned(&kept, &link, &path),
        kept,
        path,
        link,
        dangling: bytes.is_none(),
        bytes,
        created: created.duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs()),
    })
}

/// The derivation says it, of a state its own derivation, and where that is gone the state itself.
fn pinned(kept: &Kept, link: &Path, path: &str) -> Option<String> {
    let drv = match kept {
        Kept::Own => return None,
        Kept::Derivation { .. } => drv::read(path).ok(),
        Kept::State { .. } | Kept::Failed { .. } => {
            let drv = fs::read_link(link.with_file_name(format!("{}.drv", name_of(link)))).ok();
            drv.and_then(|drv| drv::read(&drv.to_string_lossy()).ok()).filter(|drv| drv.makes(path))
        }
    };
    match drv {
        Some(drv) => drv::is_pinned(&drv).map(str::to_owned),
        None => info::read("look at", Path::new(path)).ok()?.pinned,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn every_link_is_listed_and_a_dangling_one_as_such() {
        let scratch = tempfile::tempdir().expect("a directory");
        let roots = Roots::below(scratch.path().join("roots"));
        assert_eq!(roots.list().expect("nothing yet"), []);
        let directory = scratch.path().join("roots/packages/p-1.0-0123456789ab");
        fs::create_dir_all(&directory).expect("made");
        fs::create_dir_all(scratch.path().join("roots/own")).expect("made");
        let kept = scratch.path().join("state");
        fs::create_dir(&kept).expect("made");
        fs::write(kept.join("layer"), "12345").expect("written");
        symlink(&kept, directory.join("build")).expect("linked");
        symlink("/no/such.drv", directory.join("build.drv")).expect("linked");
        symlink(&kept, directory.join("install.failed")).expect("linked");
        symlink(&kept, scratch.path().join("roots/own/engine")).expect("linked");
        fs::write(directory.join("no-link"), "").expect("written");

        let (package, key, stage) = ("p-1.0".to_owned(), "p-1.0-0123456789ab".to_owned(), "build".to_owned());
        let list = roots.list().expect("read");
        let found: Vec<_> = list.iter().map(|root| (root.kept.clone(), root.dangling, root.bytes)).collect();
        let names = (package.clone(), key.clone(), stage.clone());
        let failed = Kept::Failed { package: package.clone(), key: key.clone(), stage: "install".to_owned() };
        let expected = [
            (Kept::Own, false, Some(5)),
            (Kept::State { package, key, stage }, false, Some(5)),
            (failed, false, Some(5)),
            (Kept::Derivation { package: names.0, key: names.1, stage: names.2 }, true, None),
        ];
        assert_eq!(found, expected);
        assert!(list.iter().all(|root| root.created > 1_000_000_000 && root.pinned.is_none()));
        assert_eq!(list[1].path, kept.display().to_string());
    }
}
