//! Nix's settings, as its configuration and the user's options give them.

use std::ffi::OsString;

use super::{Nix, Tool};

/// The value of a setting; `None` where the program `nix` is missing or does not tell. Of `options`, those of the form
/// `--option NAME VALUE` count.
///
/// `config show` came after 2.8, which knows `show-config`. Nothing that is asked here may depend on the answer being
/// complete, so that Nix fails is no error.
pub(super) fn setting(name: &str, options: &[OsString]) -> Option<String> {
    value_of(&settings(options)?, name)
}

/// The lines `NAME = VALUE` of all settings; `None` and `options` as in [`setting`].
pub(super) fn settings(options: &[OsString]) -> Option<String> {
    let nix = Nix::default();
    let ask = |words: &[&str]| {
        let words = ["--extra-experimental-features", "nix-command"].iter().chain(words).map(OsString::from);
        nix.run(Tool::Nix, "cannot read Nix's settings", words.chain(settings_in(options)), b"")
    };
    let answer = ask(&["config", "show"]).or_else(|_| ask(&["show-config"])).ok()?;
    Some(String::from_utf8_lossy(&answer.stdout).into_owned())
}

/// The options that set something, which every program of Nix takes.
pub(super) fn settings_in(options: &[OsString]) -> impl Iterator<Item = OsString> {
    let triples = options.windows(3).filter(|words| words[0] == "--option");
    triples.flat_map(<[OsString]>::to_vec)
}

/// The value of `name` in a list of `NAME = VALUE` lines.
pub(super) fn value_of(settings: &str, name: &str) -> Option<String> {
    settings.lines().find_map(|line| {
        let (key, value) = line.split_once('=')?;
        (key.trim() == name).then(|| value.trim().to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_found_among_others() {
        let text = "extra-sandbox-paths = /no\nsandbox = true\nsandbox-paths = /a=/b /c\nstore = auto\n";
        assert_eq!(value_of(text, "sandbox-paths").as_deref(), Some("/a=/b /c"));
        assert_eq!(value_of("sandbox-paths = \n", "sandbox-paths").as_deref(), Some(""));
        assert_eq!(value_of(text, "cores"), None);
    }

    #[test]
    fn of_options_only_settings_are_taken() {
        let options = ["--argstr", "a", "b", "--option", "cores", "2", "-K"].map(OsString::from);
        assert_eq!(settings_in(&options).collect::<Vec<_>>(), ["--option", "cores", "2"]);
    }
}
