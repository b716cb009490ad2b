//! Which package set is used where the user does not say: nixpkgs where Nix would find it, else the host set.

use std::env;
use std::path::{Path, PathBuf};

/// What `--pkgs` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PkgsChoice {
    /// `nixpkgs`: `<nixpkgs>`, as Nix finds it.
    Nixpkgs,
    /// `host`: the set that phasesplit brings.
    Host,
    /// A path of the user's.
    Path(PathBuf),
}

impl std::str::FromStr for PkgsChoice {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "nixpkgs" => Self::Nixpkgs,
            "host" => Self::Host,
            path => Self::Path(path.into()),
        })
    }
}

/// The default of `--pkgs` on this machine.
pub fn default_choice() -> PkgsChoice {
    let search = Search {
        nix_path: env::var("NIX_PATH").ok(),
        home: env::var_os("HOME").map(PathBuf::from),
        state_home: env::var_os("XDG_STATE_HOME").map(PathBuf::from),
        nix_state: env::var_os("NIX_STATE_DIR").map_or_else(|| "/nix/var/nix".into(), PathBuf::from),
    };
    if search.finds_nixpkgs(Path::exists) { PkgsChoice::Nixpkgs } else { PkgsChoice::Host }
}

/// Where Nix looks for `<nixpkgs>`.
struct Search {
    nix_path: Option<String>,
    home: Option<PathBuf>,
    state_home: Option<PathBuf>,
    nix_state: PathBuf,
}

impl Search {
    /// Whether Nix would find it: by `NIX_PATH` where that is set, else in the channels of the user and of root (Nix
    /// manual, `nix-path`). A URL counts as found: only fetching could tell.
    fn finds_nixpkgs(&self, exists: impl Fn(&Path) -> bool) -> bool {
        let Some(nix_path) = &self.nix_path else {
            return self.channels().iter().any(|path| exists(path));
        };
        entries(nix_path).into_iter().any(|entry| {
            let (prefix, place) = entry.split_once('=').unwrap_or(("", entry));
            match prefix {
                "nixpkgs" => is_url(place) || exists(Path::new(place)),
                "" => !is_url(place) && !place.is_empty() && exists(&Path::new(place).join("nixpkgs")),
                _ => false,
            }
        })
    }

    fn channels(&self) -> Vec<PathBuf> {
        let user = self.home.iter().map(|home| home.join(".nix-defexpr/channels/nixpkgs"));
        let state = self.state_home.clone().or_else(|| Some(self.home.as_ref()?.join(".local/state")));
        let xdg = state.iter().map(|state| state.join("nix/defexpr/channels/nixpkgs")).collect::<Vec<_>>();
        let root = self.nix_state.join("profiles/per-user/root/channels/nixpkgs");
        user.chain(xdg).chain([root]).collect()
    }
}

/// The entries of a search path: separated by colons, but for the colon in a URL or in `channel:` and `flake:`.
fn entries(nix_path: &str) -> Vec<&str> {
    let mut entries = Vec::new();
    let mut start = 0;
    for (at, _) in nix_path.match_indices(':') {
        let entry = &nix_path[start..at];
        let place = entry.rsplit('=').next().unwrap_or(entry);
        if nix_path[at..].starts_with("://") || matches!(place, "channel" | "flake") {
            continue;
        }
        entries.push(entry);
        start = at + 1;
    }
    entries.push(&nix_path[start..]);
    entries
}

fn is_url(place: &str) -> bool {
    place.contains("://") || place.starts_with("channel:") || place.starts_with("flake:")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finds(nix_path: Option<&str>, there: &[&str]) -> bool {
        let search = Search {
            nix_path: nix_path.map(str::to_owned),
            home: Some("/home/u".into()),
            state_home: None,
            nix_state: "/nix/var/nix".into(),
        };
        search.finds_nixpkgs(|path| there.iter().any(|known| Path::new(known) == path))
    }

    #[test]
    fn nix_path_decides_where_it_is_set() {
        assert!(finds(Some("nixpkgs=/src"), &["/src"]));
        assert!(!finds(Some("nixpkgs=/gone"), &[]));
        assert!(finds(Some("/a:/b"), &["/b/nixpkgs"]));
        assert!(finds(Some("x=https://e.org/x.tar.gz:nixpkgs=channel:nixos-unstable"), &[]));
        assert!(finds(Some("nixpkgs=flake:nixpkgs:/b"), &[]));
        assert!(!finds(Some(""), &["/home/u/.nix-defexpr/channels/nixpkgs"]));
    }

    #[test]
    fn without_it_the_channels_do() {
        assert!(finds(None, &["/home/u/.nix-defexpr/channels/nixpkgs"]));
        assert!(finds(None, &["/home/u/.local/state/nix/defexpr/channels/nixpkgs"]));
        assert!(finds(None, &["/nix/var/nix/profiles/per-user/root/channels/nixpkgs"]));
        assert!(!finds(None, &[]));
    }
}
