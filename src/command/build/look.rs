//! The commands that lead a person to where a stage failed: each can be copied and run as it is.
//!
//! They say again what named the package and how it is split, and the options for Nix.

use std::ffi::OsString;

use crate::command::shell::settings;
use crate::command::{at_stage, header};

/// A build, as its command line named it.
#[derive(Clone, Copy, Debug)]
pub struct Named<'a> {
    /// What names the package, and how it is split; empty where nothing does.
    pub words: &'a [String],
    /// The stage of `--pin`.
    pub pin: Option<&'a str>,
    /// Nix's own options.
    pub nix_options: &'a [OsString],
}

impl Named<'_> {
    /// The command that opens a shell where `stage` failed, or with `failed` unset behind it. None where no words lead
    /// there.
    pub fn shell(&self, stage: &str, failed: bool) -> Option<String> {
        if self.words.is_empty() {
            return None;
        }
        let mut words = at_stage::joined(self.words, stage);
        words.extend(self.pin.iter().flat_map(|pin| ["--pin".to_owned(), (*pin).to_owned()]));
        words.extend(failed.then(|| "--failed".to_owned()));
        words.extend(settings::spelled(self.nix_options));
        Some(command("shell", &words))
    }

    /// The command that lists the state at `path`, which `stage` left when it failed: by the package's name where that leads
    /// to this very state.
    pub fn list(&self, stage: &str, path: &str) -> String {
        if self.words.is_empty() || self.pin.is_some() {
            return command("state ls", &[path.to_owned()]);
        }
        let mut words = at_stage::joined(self.words, stage);
        words.push("--failed".to_owned());
        if !self.nix_options.is_empty() {
            words.push("--".to_owned());
            words.extend(self.nix_options.iter().map(|word| word.to_string_lossy().into_owned()));
        }
        command("state ls", &words)
    }

    /// The command that builds the package, with these options.
    pub fn build(&self, options: &[&str]) -> Option<String> {
        if self.words.is_empty() {
            return None;
        }
        let mut words = self.words.to_vec();
        words.extend(options.iter().map(|&option| option.to_owned()));
        if !self.nix_options.is_empty() {
            words.push("--".to_owned());
            words.extend(self.nix_options.iter().map(|word| word.to_string_lossy().into_owned()));
        }
        Some(command("build", &words))
    }
}

fn command(name: &str, words: &[String]) -> String {
    format!("phasesplit {name} {}", header::line(words))
}

#[cfg(test)]
mod tests {
    use pretty_assertions::assert_eq;

    use super::*;

    fn of(words: &[&str], pin: Option<&str>, nix_options: &str) -> [String; 2] {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let options: Vec<OsString> = nix_options.split_whitespace().map(Into::into).collect();
        let named = Named { words: &words, pin, nix_options: &options };
        [named.list("install", "/nix/store/0-failed"), named.shell("install", true).unwrap_or_default()]
    }

    #[test]
    fn each_command_gets_nix_options_as_it_takes_them() {
        assert_eq!(
            of(&["pkg.nix", "-A", "a"], None, ""),
            ["phasesplit state ls pkg.nix@install -A a --failed", "phasesplit shell pkg.nix@install -A a --failed"]
        );
        assert_eq!(
            of(&["my pkg.nix"], None, "--option cores 1 -v"),
            [
                "phasesplit state ls 'my pkg.nix@install' --failed -- --option cores 1 -v",
                "phasesplit shell 'my pkg.nix@install' --failed --option cores 1 --nix=-v"
            ]
        );
    }

    #[test]
    fn a_state_that_no_name_leads_to_is_named_by_its_path() {
        let list = "phasesplit state ls /nix/store/0-failed";
        assert_eq!(
            of(&["pkg.nix"], Some("build"), ""),
            [list, "phasesplit shell pkg.nix@install --pin build --failed"]
        );
        assert_eq!(of(&[], None, ""), [list, ""]);
    }
}
