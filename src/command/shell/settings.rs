//! Nix's options as `shell` takes them: what follows `--` is the command that runs in the shell.

use std::ffi::{OsStr, OsString};

use clap::Args;

/// What Nix is told.
#[derive(Args, Clone, Debug, Default)]
pub struct NixSettings {
    /// A setting for Nix, as `--option sandbox-paths /opt`; may be repeated
    #[arg(long = "option", num_args = 2, value_names = ["NAME", "VALUE"])]
    settings: Vec<OsString>,

    /// An argument for the package, a Nix expression; may be repeated
    #[arg(long = "arg", num_args = 2, value_names = ["NAME", "EXPR"], allow_hyphen_values = true)]
    arguments: Vec<OsString>,

    /// An argument for the package, a string; may be repeated
    #[arg(long = "argstr", num_args = 2, value_names = ["NAME", "TEXT"], allow_hyphen_values = true)]
    strings: Vec<OsString>,

    /// Another option for Nix, a word each time: `--nix=--impure`
    #[arg(long = "nix", value_name = "WORD", require_equals = true)]
    others: Vec<OsString>,
}

/// Options of two words that `shell` and Nix call the same.
const PAIRS: [&str; 3] = ["--option", "--arg", "--argstr"];

impl NixSettings {
    /// As Nix takes them.
    pub fn words(&self) -> Vec<OsString> {
        let pairs = PAIRS.into_iter().zip([&self.settings, &self.arguments, &self.strings]);
        let pairs = pairs.flat_map(|(name, values)| {
            values
                .chunks(2)
                .flat_map(move |pair| std::iter::once(OsStr::new(name).to_owned()).chain(pair.iter().cloned()))
        });
        pairs.chain(self.others.iter().cloned()).collect()
    }
}

/// Nix's options as a command line of `shell` has them.
pub fn spelled(options: &[OsString]) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = options;
    while let Some(first) = rest.first() {
        let is_pair = rest.len() > 2 && PAIRS.iter().any(|name| first == name);
        let (own, behind) = rest.split_at(if is_pair { 3 } else { 1 });
        let spelled = own.iter().map(|word| word.to_string_lossy().into_owned());
        words.extend(spelled.map(|word| if is_pair { word } else { format!("--nix={word}") }));
        rest = behind;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        nix: NixSettings,
    }

    #[test]
    fn what_is_spelled_is_read_again() {
        let options: Vec<OsString> =
            ["--option", "cores", "1", "--arg", "x", "-1", "--argstr", "y", "--z", "-I", "a=b", "--impure"]
                .map(OsString::from)
                .into();
        let spelled = spelled(&options);
        assert_eq!(spelled.join(" "), "--option cores 1 --arg x -1 --argstr y --z --nix=-I --nix=a=b --nix=--impure");
        let line = Line::try_parse_from(std::iter::once("x".to_owned()).chain(spelled)).expect("it is read");
        assert_eq!(line.nix.words(), options);
    }
}
