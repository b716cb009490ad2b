//! What Nix must be told so that builds in its sandbox see this machine's toolchain (the host
//! package set works with the programs in `/usr`).
//!
//! The list of the setting `sandbox-paths` is replaced, not added to: in a Nix whose list has
//! `/bin/sh=SHELL` (most; Debian's since trixie) `/bin` must not come beside it. To have something to
//! bind SHELL to, Nix truncates the file at `/bin/sh` in the sandbox, which is then the machine's own
//! (seen with 2.8, 2.26 and 2.34 and a directory of the test's). Where `/bin` is a symlink, 2.26 and
//! 2.34 copy it and fail instead: "creating directory …/root/bin". What the list has elsewhere is kept, and so is what it
//! puts in the place of a whole directory of the toolchain (`/usr=/opt/toolchain/usr`): machines that share states share
//! one toolchain that way.

use std::ffi::OsString;
use std::path::Path;

use super::settings::setting;

/// Where distributions keep a toolchain and what it needs to run.
const TOOLCHAIN: [&str; 5] = ["/bin", "/usr", "/lib", "/lib64", "/etc/alternatives"];

/// Nix's options that let builds see the machine's toolchain; none where there is nothing to see.
///
/// A daemon obeys them for trusted users only.
pub fn toolchain_options() -> Vec<OsString> {
    let paths = toolchain_paths();
    if paths.is_empty() {
        return Vec::new();
    }
    let value = merged(&paths, &setting("sandbox-paths", &[]).unwrap_or_default());
    vec!["--option".into(), "sandbox-paths".into(), value.into()]
}

/// What of the machine a build sees besides the store, as Nix's configuration and these options have it: the place inside,
/// the place outside, and whether it may be missing.
pub fn paths(options: &[OsString]) -> Vec<(String, String, bool)> {
    let list = setting("sandbox-paths", options).unwrap_or_default();
    list.split_whitespace().map(parsed).collect()
}

fn parsed(entry: &str) -> (String, String, bool) {
    let (entry, optional) = entry.strip_suffix('?').map_or((entry, false), |entry| (entry, true));
    let (inside, outside) = entry.split_once('=').unwrap_or((entry, entry));
    (inside.to_owned(), outside.to_owned(), optional)
}

/// The directories of the toolchain that this machine has.
pub fn toolchain_paths() -> Vec<&'static str> {
    TOOLCHAIN.into_iter().filter(|path| Path::new(path).exists()).collect()
}

/// `own` and the entries of `list` (`PATH`, `TARGET=SOURCE`, either with a `?` behind it) whose
/// place in the sandbox does not lie in one of `own`, or is one.
fn merged(own: &[&str], list: &str) -> String {
    let target = |entry: &str| parsed(entry).0;
    let entries: Vec<&str> = list.split_whitespace().collect();
    let given = |path: &str| entries.iter().any(|entry| target(entry) == path);
    let own = own.iter().copied();
    let others = entries.iter().copied().filter(|entry| {
        let target = target(entry);
        !own.clone().any(|path| target != path && Path::new(&target).starts_with(path))
    });
    own.clone().filter(|path| !given(path)).chain(others).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_at_bin_sh_gives_way_to_bin() {
        assert_eq!(merged(&["/bin", "/usr"], "/bin/sh=/usr/bin/bash-static"), "/bin /usr");
        assert_eq!(merged(&["/bin", "/usr"], ""), "/bin /usr");
    }

    #[test]
    fn what_the_user_lets_in_elsewhere_stays() {
        let list = "/binary /usr/bin/env? /rust=/usr/local/rust /bin /var/cache/ccache?";
        assert_eq!(merged(&["/bin", "/usr"], list), "/usr /binary /rust=/usr/local/rust /bin /var/cache/ccache?");
    }

    #[test]
    fn a_toolchain_of_the_users_stays() {
        let list = "/usr=/opt/toolchain/usr /bin=/opt/toolchain/bin? /usr/bin/env=/opt/env";
        assert_eq!(merged(&["/bin", "/usr", "/lib"], list), "/lib /usr=/opt/toolchain/usr /bin=/opt/toolchain/bin?");
    }
}
