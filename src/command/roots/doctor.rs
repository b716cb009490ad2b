//! `phasesplit roots doctor`.

use std::io::{self, Write as _};

use clap::Args;

use super::{Trouble, write_json};
use crate::gcroot::Roots;
use crate::gcroot::doctor::{Finding, Problem};
use crate::nix::Nix;
use crate::report::human::printable;
use crate::report::table::{self, Column};
use crate::status::Status;

/// The arguments of `phasesplit roots doctor`.
#[derive(Args, Clone, Debug)]
pub struct DoctorArgs {
    /// Mend what is phasesplit's own: register again, write the index again, remove what keeps nothing
    #[arg(long)]
    pub fix: bool,

    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Runs `phasesplit roots doctor`; 1 where something is wrong that was not mended. What is foreign is no fault of the roots.
pub(super) fn run(roots: &Roots, arguments: &DoctorArgs) -> Result<Status, Trouble> {
    let findings = roots.doctor(&Nix::default(), arguments.fix)?;
    if arguments.json {
        write_json(&findings)?;
    } else {
        write!(io::stdout().lock(), "{}", text(&findings))?;
    }
    for finding in &findings {
        if let Some(error) = &finding.failed {
            anstream::eprintln!("error: {} is as it was: {error}", printable(&finding.path.display().to_string()));
        }
    }
    let is_ill =
        |finding: &Finding| !finding.mended && !matches!(finding.problem, Problem::Foreign | Problem::Elsewhere);
    Ok(if findings.iter().any(|finding| finding.failed.is_some()) {
        Status::Environment
    } else if findings.iter().any(is_ill) {
        Status::Input
    } else {
        Status::Success
    })
}

fn text(findings: &[Finding]) -> String {
    if findings.is_empty() {
        return "all is well\n".to_owned();
    }
    let rows = findings.iter().map(|finding| {
        let mended = if finding.mended { "mended" } else { "" };
        let path = printable(&finding.path.display().to_string());
        vec![finding.problem.words().to_owned(), mended.to_owned(), path, printable(&finding.words)]
    });
    let columns = ["what", "", "where", "more"].map(Column::Text);
    table::render(&columns, rows)
}
