//! What the user does by hand: keeps a state, or says that it was used.

use std::path::{Path, PathBuf};

use super::list::{Kept, Root, is_ours};
use super::policy::{is_name, is_stage};
use super::{RootError, Roots, record};
use crate::nix::Nix;
use crate::nix::store_path::store_dir;

/// How many links are followed to a store path: `result` leads to a root, and that to the state.
const LINKS: usize = 8;

/// Which roots are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    /// The state with this store path.
    Path(String),
    /// All states of a package, with or without version, or those of one of its stages.
    Name {
        /// The package.
        package: String,
        /// The stage.
        stage: Option<String>,
    },
}

impl Selector {
    /// Reads `STORE PATH`, `NAME` or `NAME@STAGE`; a link to a store path, such as a root, is followed.
    pub fn parse(word: &str) -> Self {
        let store = store_dir();
        let mut path = std::path::absolute(word).unwrap_or_else(|_| word.into());
        for _ in 0..LINKS {
            if path.parent() == Some(Path::new(&store)) {
                // As Nix writes it: a shell completes a directory's name with a slash.
                return Self::Path(path.components().collect::<PathBuf>().to_string_lossy().into_owned());
            }
            match std::fs::read_link(&path) {
                Ok(target) => path = path.parent().unwrap_or(Path::new("/")).join(target),
                Err(_) => break,
            }
        }
        match word.split_once('@') {
            Some((package, stage)) => Self::Name { package: package.to_owned(), stage: Some(stage.to_owned()) },
            None => Self::Name { package: word.to_owned(), stage: None },
        }
    }

    /// Whether it means this root.
    pub fn takes(&self, root: &Root) -> bool {
        match self {
            Self::Path(path) => root.path == *path && root.state().is_some(),
            Self::Name { package, stage } => root.state().is_some_and(|(name, of)| {
                is_name(package, name) && stage.as_ref().is_none_or(|stage| is_stage(stage, of))
            }),
        }
    }
}

impl Roots {
    /// Keeps a state until it is removed by hand. Gives its link.
    ///
    /// # Errors
    /// [`RootError::NoState`]; where the link cannot be made.
    pub fn add(&self, nix: &Nix, path: &str) -> Result<PathBuf, RootError> {
        let no_state = |why: &str| RootError::NoState { path: path.to_owned(), why: why.to_owned() };
        if !Path::new(path).exists() {
            return Err(no_state("it is not there"));
        }
        is_ours(Path::new(path)).map_err(|_| no_state("it has no state's files in it"))?;
        let link = self.directory.join("added").join(Path::new(path).file_name().unwrap_or_default());
        self.register(nix, &link, path)?;
        self.take_back(path);
        Ok(link)
    }

    /// Notes that a state is used now.
    ///
    /// # Errors
    /// What the file system says.
    pub fn touch(&self, root: &Root) -> Result<(), RootError> {
        let (Kept::State { package, key, stage } | Kept::Failed { package, key, stage }) = &root.kept else {
            return Ok(());
        };
        let file = self.about_file(key, &root.link);
        let io = |source| RootError::io("write", &file, source);
        let _package = self.lock_package(key).map_err(io)?;
        // Given up meanwhile: an index of nothing would be left.
        if !root.link.is_symlink() {
            return Ok(());
        }
        let mut about = self.about(key, &root.link, package, stage, &root.path);
        about.last_used = record::now();
        self.write_about(key, &root.link, &about).map_err(io)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_name_roots() {
        let name = |package: &str, stage: Option<&str>| Selector::Name {
            package: package.to_owned(),
            stage: stage.map(str::to_owned),
        };
        assert_eq!(Selector::parse("hello@build"), name("hello", Some("build")));
        assert_eq!(Selector::parse("hello-2.10"), name("hello-2.10", None));
        let path = format!("{}/0-hello-phase-build", store_dir());
        assert_eq!(Selector::parse(&path), Selector::Path(path.clone()));
        assert_eq!(Selector::parse(&format!("{path}/")), Selector::Path(path.clone()), "as a shell completes it");
        let scratch = tempfile::tempdir().expect("a directory");
        let link = |name: &str| scratch.path().join(name).display().to_string();
        std::os::unix::fs::symlink(&path, link("root")).expect("linked");
        std::os::unix::fs::symlink("root", link("result")).expect("linked");
        std::os::unix::fs::symlink("loop", link("loop")).expect("linked");
        assert_eq!(Selector::parse(&link("result")), Selector::Path(path));
        assert_eq!(Selector::parse(&link("loop")), name(&link("loop"), None));
    }
}
