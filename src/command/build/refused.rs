//! A state that a stage could not continue from, and the commands that have it made again.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Serialize;

use crate::gcroot::Roots;
use crate::nix::spawn::shell_word;

/// A state that a stage could not continue from: it is damaged, made under another sandbox setting, or its time has not come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RefusedState {
    /// The stage that it is the state of.
    pub stage: String,
    /// Its store path.
    pub path: String,
    /// The commands that delete it, as bash reads them.
    pub command: String,
    /// Whether its newest file is newer than the clock of the machine that should have continued from it.
    pub ahead: bool,
}

impl RefusedState {
    /// With what phasesplit keeps it by, and the link that the build before left, where there are such.
    pub fn new(stage: &str, path: &str, roots: Option<&Roots>, link: Option<&Path>) -> Self {
        let keepers = roots.and_then(|roots| roots.that_keep(path).ok()).unwrap_or_default();
        let keepers: BTreeSet<&str> = keepers.iter().map(|root| root.path.as_str()).collect();
        let given_up = roots.and_then(|roots| roots.given_up().ok()).unwrap_or_default();
        let mut commands = Vec::new();
        let target = link.and_then(|link| std::fs::read_link(link).ok());
        if let (Some(link), Some(target)) = (link, target.as_deref().and_then(Path::to_str))
            && (target == path || keepers.contains(target))
        {
            commands.push(format!("rm {}", shell_word(link.as_os_str())));
        }
        if !keepers.is_empty() {
            // Those that continue from it as well: Nix keeps it as long as one of them is there.
            commands.push(format!("phasesplit roots rm {}", keepers.iter().copied().collect::<Vec<_>>().join(" ")));
        }
        let is_noted = keepers.contains(path) || given_up.iter().any(|noted| noted == path);
        if is_noted || !keepers.is_empty() {
            commands.push("phasesplit roots gc".to_owned());
        }
        if !is_noted {
            commands.push(format!("nix-store --delete {path}"));
        }
        Self { stage: stage.to_owned(), path: path.to_owned(), command: commands.join("; "), ahead: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_rooted_is_deleted_by_nix() {
        let scratch = tempfile::tempdir().expect("a directory");
        let roots = Roots::below(scratch.path().join("roots"));
        let (path, link) = ("/nix/store/y-phase-configure", scratch.path().join("a result"));
        let command = |link: Option<&Path>| RefusedState::new("configure", path, Some(&roots), link).command;
        assert_eq!(command(None), "nix-store --delete /nix/store/y-phase-configure");
        assert_eq!(command(Some(&link)), command(None), "there is no such link");
        std::os::unix::fs::symlink(path, &link).expect("linked");
        assert_eq!(command(Some(&link)), format!("rm '{}'; {}", link.display(), command(None)));
        let notes = scratch.path().join("given-up");
        std::fs::create_dir(&notes).expect("made");
        std::fs::write(notes.join("y-phase-configure"), path).expect("written");
        assert_eq!(command(None), "phasesplit roots gc");
    }
}
