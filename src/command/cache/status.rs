//! `phasesplit cache status`: where each stage is.

use std::io::{self, Write as _};

use clap::Args;

use super::report::Report;
use super::{CacheArgs, chains, found};
use crate::command::refusal::Refusal;
use crate::status::Status;

/// The arguments of `phasesplit cache status`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Ends with 4 where a cache does not tell what it has, and with --exit-code with 1 where a stage is neither here nor to be
had from a cache; else with 0, whatever caches have.")]
pub struct StatusArgs {
    /// Which packages, and how caches are asked.
    #[command(flatten)]
    pub cache: CacheArgs,

    /// Ask this cache instead of the configured ones; may be repeated
    #[arg(long, value_name = "URL")]
    pub substituter: Vec<String>,

    /// End with 1 where a stage is neither here nor to be had from a cache
    #[arg(long)]
    pub exit_code: bool,

    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Runs `phasesplit cache status`.
pub fn run(arguments: &StatusArgs) -> Result<Status, Refusal> {
    let packages = chains::evaluate(&arguments.cache)?;
    let found = found::ask_for(&arguments.cache, &arguments.substituter, &packages)?;
    let all_told = found.warn();
    let report = Report::new(&packages, &found);
    let mut out = io::stdout().lock();
    if arguments.json {
        serde_json::to_writer_pretty(&mut out, &report).map_err(io::Error::from)?;
        writeln!(out)?;
    } else {
        out.write_all(report.text().as_bytes())?;
    }
    Ok(if !all_told {
        Status::Environment
    } else if arguments.exit_code && !report.is_complete() {
        Status::Input
    } else {
        Status::Success
    })
}
