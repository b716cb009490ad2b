//! The command line: what there is to say, not what is done about it.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::command::build::BuildArgs;
use crate::command::pkgs::PkgsChoice;
use crate::phase::{Stage, UnknownStage};
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
}
