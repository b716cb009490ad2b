//! `phasesplit build`: generate, build, link, report.

pub mod failure;
pub mod report;
pub mod run;
