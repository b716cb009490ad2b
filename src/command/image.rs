//! `phasesplit image`: a package with its runtime closure as an OCI image.
//!
//! The parts: [`contents`] finds or builds what goes into it, [`report`] says what came of it; the image itself is
//! `crate::oci`.

mod contents;
mod report;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use std::{fs, io};

use clap::Args;

use super::refusal::{self, Refusal};
use super::state::output;
use crate::cli::PackageArgs;
use crate::diagnostic::Problem;
use crate::nix::{Nix, closure};
use crate::oci::compress::Compression;
use crate::oci::config::{Config, architecture};
use crate::oci::grouping::StorePath;
use crate::oci::layout::{self, Layout};
use crate::oci::runtime::{self, FEWEST, Wish};
use crate::oci::store_tree::TIME;
use crate::report::progress::Progress;
use crate::state::Error;
use crate::state::entry::Mtime;
use crate::state::error::Shown;
use crate::status::Status;
use contents::Contents;

/// Shown below `image --help`.
const HELP: &str = "\
PKG may also be the store path of a package that is built, or a link to it such as ./result. It is built, split, if it is \
not; of several outputs the image has the first one and what that needs (--output names others).

A layer is made for each store path; above --max-layers the least needed ones share one. In DIR, layers that an image has \
already are neither read nor written again, other images stay, and one of the same name is replaced (its blobs stay too: \
`umoci gc --layout DIR` frees them).

Read it with `skopeo copy oci:DIR:NAME …` or `podman pull oci:DIR:NAME`; the archive of - with `podman load`.";

/// The arguments of `phasesplit image`.
#[derive(Args, Clone, Debug)]
#[command(after_help = HELP)]
pub struct ImageArgs {
    /// The package.
    #[command(flatten)]
    pub package: PackageArgs,

    /// Where the image goes: an image layout, or a directory that does not exist or is empty; - writes an oci-archive to
    /// standard output
    #[arg(value_name = "DIR", required_unless_present = "expression")]
    pub to: Option<PathBuf>,

    /// The outputs of the package that are in it, instead of the first one
    #[arg(long, value_name = "OUTPUT,…", value_delimiter = ',')]
    pub output: Vec<String>,

    /// A store path, or a link to one, that is in it too; may be repeated
    #[arg(long, value_name = "PATH")]
    pub add: Vec<PathBuf>,

    /// The image's name in its layout
    #[arg(short, long, visible_alias = "name", value_name = "NAME", default_value = "latest", value_parser = tag)]
    pub tag: String,

    /// The program that a container runs, a word each time
    #[arg(long, value_name = "WORD", allow_hyphen_values = true)]
    pub entrypoint: Vec<String>,

    /// The arguments that a container is given unless the user names others, a word each time
    ///
    /// Without --entrypoint the first is the program. Without either it is the package's program, where `bin` has only one
    /// or one of the package's name.
    #[arg(long, value_name = "WORD", allow_hyphen_values = true)]
    pub cmd: Vec<String>,

    /// A variable of the environment; may be repeated. PATH is /bin where this does not say otherwise
    #[arg(short, long, value_name = "NAME=VALUE", value_parser = pair)]
    pub env: Vec<(String, String)>,

    /// The directory that a container starts in
    #[arg(short, long, value_name = "DIR")]
    pub workdir: Option<String>,

    /// The user that a container runs as: numbers, unless the image has an /etc/passwd
    #[arg(short, long, value_name = "USER[:GROUP]")]
    pub user: Option<String>,

    /// A label; may be repeated
    #[arg(short, long, value_name = "NAME=VALUE", value_parser = pair)]
    pub label: Vec<(String, String)>,

    /// Make no links in /bin to the package's programs; PATH then names their directories
    #[arg(long)]
    pub no_links: bool,

    /// The processor, as amd64 or arm64; the default is the one that the package is built for
    #[arg(long, value_name = "ARCH")]
    pub architecture: Option<String>,

    /// When the image was made, as it says: seconds since 1970, or now
    #[arg(long, value_name = "SECONDS|now", default_value = "1", value_parser = created)]
    pub created: i64,

    /// The most layers
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u16).range(FEWEST as i64..=127))]
    pub max_layers: u16,

    /// How layers are compressed: gzip, which all tools know, zstd or none
    #[arg(long, value_name = "gzip|zstd|none", default_value = "gzip")]
    pub compression: Compression,

    /// Compare layers that are there with their digests, and write those again that are damaged
    #[arg(long)]
    pub verify: bool,

    /// Write the report as JSON to standard output
    #[arg(long)]
    pub json: bool,

    /// Options for Nix, such as `--option sandbox false` or `--argstr NAME VALUE`
    #[arg(last = true, value_name = "NIX OPTIONS")]
    pub nix_options: Vec<OsString>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("name it and its value, as in NAME=VALUE".to_owned()),
    }
}

/// The names that image-spec allows for `org.opencontainers.image.ref.name`.
fn tag(text: &str) -> Result<String, String> {
    let is_word = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric());
    if text.split('/').all(|part| part.replace("--", "-").split(['-', '.', '_', ':', '@', '+']).all(is_word)) {
        return Ok(text.to_owned());
    }
    Err("a name has letters and digits, with single - . _ : @ + / between them".to_owned())
}

fn created(text: &str) -> Result<i64, String> {
    if text == "now" {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        return i64::try_from(now.as_secs()).map_err(|error| error.to_string());
    }
    // The year 9999 ends there; an image has no later time.
    let seconds = text.parse().ok().filter(|seconds| (0..253_402_300_800).contains(seconds));
    seconds.ok_or_else(|| "give seconds since 1970, or the word now".to_owned())
}

/// Runs it.
pub fn run(arguments: &ImageArgs) -> Status {
    match make(arguments) {
        Ok(()) => Status::Success,
        Err(Ended::Told(status)) => status,
        Err(Ended::Refusal(refusal)) => refusal::ended(Err(refusal)),
    }
}

/// Why there is no image.
enum Ended {
    /// What has been told already.
    Told(Status),
    Refusal(Refusal),
}

impl<E: Into<Refusal>> From<E> for Ended {
    fn from(error: E) -> Self {
        Self::Refusal(error.into())
    }
}

fn make(arguments: &ImageArgs) -> Result<(), Ended> {
    let usage = |code, what: &str, help: &str| {
        Refusal::Problem(Status::Usage, Box::new(Problem::new(code, what.to_owned()).help(help.to_owned())))
    };
    if arguments.package.expression.is_some() {
        let what = "this command takes no -E: what follows would be taken for PKG";
        return Err(
            usage("image/expression", what, "build it with `phasesplit build -E EXPR` and name ./result").into()
        );
    }
    let to = arguments.to.clone().unwrap_or_default();
    let is_archive = to.as_os_str() == OsStr::new("-");
    if is_archive && arguments.json {
        let what = "standard output cannot have both the image and the report";
        return Err(usage("image/json", what, "name a directory, or leave --json away").into());
    }
    if !is_archive {
        check_target(&to)?;
    }
    let contents = contents::find(arguments)?;
    let progress = Progress::new();
    let wish = wish(arguments, &contents)?;
    let scratch = is_archive.then(|| tempfile::Builder::new().prefix(".phasesplit-image-").tempdir()).transpose();
    let scratch = scratch.map_err(|source| Error::io("write the image", std::env::temp_dir(), source))?;
    let place = scratch.as_ref().map_or(to.as_path(), tempfile::TempDir::path);
    let layout = Layout::open(place, arguments.verify)?;
    let written = runtime::write(&layout, &wish, &|line| progress.status(line))?;
    progress.finish();
    report::warn(&written);
    report::tell(&contents.name, &to, &wish, &written);
    if is_archive {
        layout::archive(place, &mut output::standard())?;
    }
    if arguments.json {
        output::json(&report::json(&wish, &written))?;
    }
    Ok(())
}

/// What can be seen to be wrong before anything is built.
fn check_target(to: &Path) -> Result<(), Refusal> {
    let help = "name a directory that does not exist, is empty, or has images already";
    let refused = |what: String| Refusal::input(Problem::new("image/in-use", what).help(help));
    let is_layout = to.join(layout::MARK).is_file();
    match fs::read_dir(to).map(|mut entries| entries.next().is_none()) {
        Ok(is_empty) if !is_empty && !is_layout => {
            Err(refused(format!("{} is not empty, and no image layout", Shown(to))))
        }
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            Err(refused(format!("{} is no directory", Shown(to))))
        }
        _ => Ok(()),
    }
}

fn wish(arguments: &ImageArgs, contents: &Contents) -> Result<Wish, Refusal> {
    let registry = closure::registry(&Nix::default(), &contents.roots)?;
    let closure = registry.into_iter().map(|(path, registered)| StorePath {
        path,
        hash: registered.hash,
        size: registered.size,
        references: registered.references,
    });
    let programs = contents.programs();
    let linked = |name: &str| format!("/bin/{name}");
    let links: BTreeMap<String, String> =
        programs.iter().filter(|_| !arguments.no_links).map(|(name, path)| (linked(name), path.clone())).collect();
    let path = if links.is_empty() { contents.directories().join(":") } else { "/bin".to_owned() };
    let mut environment = if path.is_empty() { Vec::new() } else { vec![format!("PATH={path}")] };
    environment.extend(arguments.env.iter().map(|(name, value)| format!("{name}={value}")));
    let mut command = arguments.cmd.clone();
    if command.is_empty() && arguments.entrypoint.is_empty() {
        let direct =
            |name: String| programs.get(&name).cloned().filter(|_| arguments.no_links).unwrap_or(linked(&name));
        command.extend(contents.main_program().map(direct));
    }
    let config = Config {
        entrypoint: arguments.entrypoint.clone(),
        command,
        environment,
        directory: arguments.workdir.clone(),
        user: arguments.user.clone(),
        labels: arguments.label.clone(),
    };
    let processor = contents.system.as_deref().and_then(|system| system.split('-').next());
    let processor = processor.unwrap_or(std::env::consts::ARCH);
    Ok(Wish {
        closure: closure.collect(),
        roots: contents.roots.clone(),
        links,
        config,
        name: arguments.tag.clone(),
        architecture: arguments.architecture.clone().unwrap_or_else(|| architecture(processor).to_owned()),
        created: Mtime { secs: arguments.created, ..TIME },
        most: arguments.max_layers.into(),
        compression: arguments.compression,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_options() {
        for good in ["latest", "1.0", "a-b_c--d", "ghcr.io/x/y:1", "x@sha256+a"] {
            assert_eq!(tag(good).as_deref(), Ok(good));
        }
        for bad in ["", "a b", "-a", "a---b", "a/", "ü", "a\nb"] {
            assert!(tag(bad).is_err(), "{bad}");
        }
        assert_eq!(pair("A=b=c"), Ok(("A".to_owned(), "b=c".to_owned())));
        assert_eq!(pair("A="), Ok(("A".to_owned(), String::new())));
        assert!(pair("A").is_err() && pair("=a").is_err());
        assert_eq!(created("0"), Ok(0));
        assert!(created("now").is_ok_and(|now| now > 1_700_000_000));
        assert!(created("-1").is_err() && created("yesterday").is_err() && created("253402300800").is_err());
    }
}
