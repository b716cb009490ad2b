//! What is sent to a cache and how: for `cache push`, and for `build --push`, which sends while it builds.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::failed;
use super::found::Found;
use super::outcome::{Outcome, Row};
use crate::cache::failure::Failure;
use crate::cache::judge::Verdict;
use crate::cache::{Answer, place};
use crate::command::refusal::Refusal;
use crate::diagnostic::Problem;
use crate::nix::chain::Stage;
use crate::nix::copy;
use crate::nix::events::Event;

/// Which stages are pushed, and how they are packed and signed. The cache is the option `to`, whatever its name is.
#[derive(Args, Clone, Debug, Default)]
pub struct SendArgs {
    /// Push only these stages; finish is the package itself
    #[arg(long, value_name = "STAGE,…", value_delimiter = ',', requires = "to")]
    pub only: Vec<String>,

    /// Push the package too, not only its states
    #[arg(long, conflicts_with = "only", requires = "to")]
    pub with_outputs: bool,

    /// How the cache packs what it gets; Nix's own choice is xz
    #[arg(long, value_name = "none|zstd|xz|gzip|bzip2", value_enum, hide_possible_values = true, requires = "to")]
    pub compression: Option<Compression>,

    /// Sign with the secret key in FILE, as `nix-store --generate-binary-cache-key` writes it
    #[arg(long, value_name = "FILE", requires = "to")]
    pub key: Option<PathBuf>,
}

impl SendArgs {
    /// Whether a stage is to be pushed; `is_result` is that it is the last, whose outputs are the package.
    pub fn wants(&self, stage: &Stage, is_result: bool) -> bool {
        if self.only.is_empty() { self.with_outputs || !is_result } else { self.only.contains(&stage.stage) }
    }
}

/// How a cache packs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Compression {
    /// Not at all.
    None,
    /// zstd.
    Zstd,
    /// xz.
    Xz,
    /// gzip.
    Gzip,
    /// bzip2.
    Bzip2,
}

impl Compression {
    fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Zstd => "zstd",
            Self::Xz => "xz",
            Self::Gzip => "gzip",
            Self::Bzip2 => "bzip2",
        }
    }
}

/// A cache that can be sent to.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its URL, as the user named it.
    pub to: String,
    /// The same with what the user says of packing and signing.
    url: String,
    /// The public key that belongs to the one that signs.
    pub key: Option<String>,
}

impl Target {
    /// Reads what the user says.
    pub fn new(to: &str, arguments: &SendArgs) -> Result<Self, Refusal> {
        let mut url = to.to_owned();
        // 2.34 takes no other path.
        let key = arguments.key.as_ref().map(std::path::absolute).transpose()?;
        let parameters = [
            ("compression", "--compression", arguments.compression.map(|compression| compression.name().to_owned())),
            ("secret-key", "--key", key.map(|file| file.display().to_string())),
        ];
        for (name, option, value) in parameters {
            let Some(value) = value else { continue };
            if !place::is_binary_cache(&url) {
                let problem = Problem::new("cache/option", format!("{option} means nothing to the store {url}"));
                let help = "only binary caches (file, http, https, s3) keep packed and signed copies; sign what another \
                    store gets with `nix store sign`";
                return Err(Refusal::usage(problem.help(help)));
            }
            url = place::with_parameter(&url, name, &value);
        }
        let key = arguments.key.as_deref().map(copy::public_key).transpose()?;
        Ok(Self { to: to.to_owned(), url, key })
    }

    /// Has Nix copy the paths there, with all that they need.
    pub fn copy(&self, paths: &[&str], options: &[OsString], on_event: impl FnMut(&Event)) -> Result<(), Refusal> {
        let transfer = copy::copy_to(&self.url, paths, options, on_event)?;
        if transfer.succeeded {
            return Ok(());
        }
        Err(failed(&format!("cannot push to {}", self.to), &Failure::of_nix(&transfer.said)))
    }

    /// What became of a stage: the cache is believed, not Nix.
    pub fn row(&self, package: &str, stage: &Stage, before: Option<&Found>, after: &Found) -> Row {
        let said = |found: &Found| found.of_stage(stage).into_iter().next();
        let was = before.and_then(said).unwrap_or(Answer::Missing);
        let is = said(after).unwrap_or(Answer::Missing);
        let outcome = match (&was, &is) {
            (_, Answer::Missing | Answer::Untold(_)) => Outcome::Failed,
            (Answer::There(_), Answer::There(_)) => Outcome::There,
            (_, Answer::There(_)) => Outcome::Pushed,
        };
        let note = match &is {
            Answer::Missing => "it is not there".to_owned(),
            Answer::Untold(failure) => failure.to_string(),
            Answer::There(held) => {
                let is_lacking = match held.verdict {
                    Verdict::Unsigned | Verdict::WrongKey(_) | Verdict::HiddenKey(_) => {
                        self.key.is_some() && outcome == Outcome::There
                    }
                    Verdict::Corrupt(_) => true,
                    Verdict::Signed(_) | Verdict::ContentAddressed | Verdict::Unjudged => false,
                };
                // Signing what somebody else put there would vouch for it.
                let advice = if is_lacking { ": delete it there to push it anew" } else { "" };
                held.verdict.told() + advice
            }
        };
        Row::new(package, stage, outcome, note)
    }
}
