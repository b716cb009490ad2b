//! The command line: what there is to say, not what is done about it.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::command::build::BuildArgs;
use crate::command::cache::CacheCommand;
use crate::command::explain::ExplainArgs;
use crate::command::image::ImageArgs;
use crate::command::oci::OciArgs;
use crate::command::pkgs::PkgsChoice;
use crate::command::plan::PlanArgs;
use crate::command::roots::RootsCommand;
use crate::command::shell::ShellArgs;
use crate::command::state::StateCommand;
use crate::command::verify::VerifyArgs;
use crate::phase::{Stage, UnknownStage};
use crate::plan::Trust;
use crate::status;

/// Splits a Nix stdenv package into a chain of derivations, one per phase.
#[derive(Debug, Parser)]
#[command(name = "phasesplit", version, after_help = status::HELP, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write split.nix: the package as a chain of derivations
    Gen(GenArgs),
    /// Build a package as a chain, and tell which stages were built and which reused
    Build(BuildArgs),
    /// Show what belongs to each stage of a package and why, and which states are there already
    Plan(PlanArgs),
    /// Tell which stages would run again, and the first cause of each
    Explain(ExplainArgs),
    /// Build a package split and unsplit, and tell whether they are the same
    Verify(VerifyArgs),
    /// Which states are in which binary cache, and getting them there and from there
    Cache {
        /// What to do.
        #[command(subcommand)]
        command: CacheCommand,
    },
    /// What phasesplit keeps from the garbage collector
    Roots {
        /// What to do.
        #[command(subcommand)]
        command: RootsCommand,
    },
    /// Look into the state that a stage left
    State {
        /// What to do.
        #[command(subcommand)]
        command: StateCommand,
    },
    /// Write a state as an OCI image, a layer for each stage
    Oci(OciArgs),
    /// Write a package, and all that it needs to run, as an OCI image, a layer for each store path
    Image(Box<ImageArgs>),
    /// Open a shell at a point of a build, in a sandbox like the builder's
    Shell(ShellArgs),
    /// The parts of `shell` that run in its sandbox
    #[command(name = crate::sandbox::COMMAND, hide = true)]
    SandboxInside {
        /// Which part, and what it is to do.
        words: Vec<OsString>,
    },
}

/// Which package, and how it is split: for every command that takes a package.
#[derive(Args, Clone, Debug, Default)]
pub struct PackageArgs {
    /// The package: a .nix file, a directory, a flake reference (.#hello, nixpkgs#hello) or a .drv
    #[arg(value_name = "PKG", required_unless_present = "expression", conflicts_with = "expression")]
    pub package: Option<String>,

    /// The package is this attribute of what PKG holds
    #[arg(short = 'A', long = "attr", value_name = "ATTR")]
    pub attribute: Option<String>,

    /// The package is this Nix expression
    #[arg(short = 'E', long = "expr", value_name = "EXPR")]
    pub expression: Option<String>,

    /// The package set: nixpkgs, host (what this machine has in /usr) or a path
    ///
    /// The default is nixpkgs where Nix finds <nixpkgs>, else host.
    #[arg(long, value_name = "nixpkgs|host|PATH")]
    pub pkgs: Option<PkgsChoice>,

    /// Import nix-lib from PATH instead of writing it into the file
    #[arg(long, value_name = "PATH")]
    pub lib: Option<PathBuf>,

    /// Keep only these stages; the phases of the others join the next one that is kept
    ///
    /// finish, and the last stage before it, are always kept.
    #[arg(long, value_name = "STAGE,…", value_delimiter = ',')]
    pub stages: Option<Vec<Stage>>,

    /// Make one stage of several neighbours; may be repeated
    #[arg(long, value_name = "STAGE+STAGE", value_parser = group)]
    pub merge: Vec<Group>,

    /// End a stage inside a phase, behind the Nth top-level command of its script; may be repeated
    ///
    /// A line `# phasesplit: cut` in the script does the same.
    #[arg(long, value_name = "PHASE:N", value_parser = cut)]
    pub cut: Vec<Cut>,

    /// How boldly attributes are held back: strict, contract (the default) or text
    ///
    /// strict holds back only the scripts of phases and hooks; contract what stdenv and nixpkgs' hooks promise to read no
    /// earlier; text also the package's own attributes, and inputs that are known to be wanted late.
    #[arg(long, value_name = "strict|contract|text")]
    pub trust: Option<Trust>,

    /// STAGE is the first to get the attribute NAME; may be repeated
    #[arg(long, value_name = "NAME=STAGE", value_parser = scope)]
    pub scope: Vec<AttributeScope>,

    /// STAGE is the first to get these inputs, each by its name without version; may be repeated
    #[arg(long, value_name = "STAGE=INPUT,…", value_parser = late)]
    pub late: Vec<LateInputs>,

    /// Give every attribute to STAGE at the latest: a hook reads variables by names that it computes
    #[arg(long, value_name = "STAGE")]
    pub reads_all: Option<Stage>,

    /// Do not evaluate the package to see its attributes: read its text alone
    #[arg(long)]
    pub no_eval: bool,

    /// Name this store path as the state engine instead of this version's own.
    #[arg(long, value_name = "STORE_PATH", hide = true)]
    pub engine: Option<String>,

    /// Name this store path as the host set instead of this version's own.
    #[arg(long, value_name = "STORE_PATH", hide = true)]
    pub host_set: Option<String>,
}

/// The arguments of `phasesplit gen`.
#[derive(Args, Clone, Debug, Default)]
pub struct GenArgs {
    /// The package.
    #[command(flatten)]
    pub package: PackageArgs,

    /// Write to FILE instead of standard output
    ///
    /// A file that phasesplit did not write is never overwritten.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// Stages to run as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group(pub Vec<Stage>);

fn group(text: &str) -> Result<Group, String> {
    let stages: Vec<Stage> =
        text.split('+').map(str::parse).collect::<Result<_, UnknownStage>>().map_err(|error| error.to_string())?;
    if stages.len() < 2 {
        return Err("name two stages or more, as in configure+build".to_owned());
    }
    Ok(Group(stages))
}

/// A place to end a stage: behind a top-level command of a phase's script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The phase.
    pub phase: String,
    /// The number of the command, the first is 1.
    pub command: usize,
}

fn cut(text: &str) -> Result<Cut, String> {
    let wrong = || "name a phase and the number of a command in its script, as in buildPhase:2".to_owned();
    let (phase, number) = text.split_once(':').ok_or_else(wrong)?;
    match number.parse() {
        Ok(command) if command > 0 && !phase.is_empty() => Ok(Cut { phase: phase.to_owned(), command }),
        _ => Err(wrong()),
    }
}

/// An attribute and the first stage that gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttributeScope(pub String, pub Stage);

fn scope(text: &str) -> Result<AttributeScope, String> {
    match text.rsplit_once('=') {
        Some((name, stage)) if !name.is_empty() => Ok(AttributeScope(name.to_owned(), stage_named(stage)?)),
        _ => Err("name an attribute and a stage, as in FOO=install".to_owned()),
    }
}

/// Inputs and the first stage that gets them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LateInputs(pub Stage, pub Vec<String>);

fn late(text: &str) -> Result<LateInputs, String> {
    let (stage, inputs) = text.split_once('=').unwrap_or((text, ""));
    let inputs: Vec<String> = inputs.split(',').map(str::to_owned).collect();
    if inputs.iter().any(String::is_empty) {
        return Err("name a stage and inputs, as in install=makeWrapper,installShellFiles".to_owned());
    }
    Ok(LateInputs(stage_named(stage)?, inputs))
}

fn stage_named(name: &str) -> Result<Stage, String> {
    name.parse().map_err(|error: UnknownStage| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn groups_of_stages() {
        assert_eq!(group("configure+build"), Ok(Group(vec![Stage::Configure, Stage::Build])));
        assert!(group("build").is_err());
        assert!(group("build+fixup").unwrap_err().contains("`fixup` is no stage"));
    }

    #[test]
    fn the_words_of_scopes_and_cuts() {
        assert_eq!(scope("FOO=install"), Ok(AttributeScope("FOO".to_owned(), Stage::Install)));
        assert!(scope("FOO").is_err() && scope("=install").is_err());
        assert!(scope("FOO=fixup").unwrap_err().contains("the stages are unpack, patch"));
        assert_eq!(late("install=a,b"), Ok(LateInputs(Stage::Install, vec!["a".to_owned(), "b".to_owned()])));
        assert!(late("install").is_err() && late("install=a,,b").is_err() && late("fixup=a").is_err());
        assert_eq!(cut("buildPhase:2"), Ok(Cut { phase: "buildPhase".to_owned(), command: 2 }));
        assert!(["buildPhase", "buildPhase:0", ":1", "buildPhase:x"].iter().all(|text| cut(text).is_err()));
    }
}
