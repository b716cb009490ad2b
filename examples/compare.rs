//! Compares two results of one package from the command line: `compare NAME=PATH… -- NAME=PATH…`.
//! The output names are the package's (`out`, `dev`, …); exit code 1 where they differ.

use std::{path::PathBuf, process::ExitCode};

fn outputs(arguments: &[String]) -> Vec<(String, PathBuf)> {
    arguments
        .iter()
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, path)| (name.to_owned(), path.into()))
        .collect()
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut sides = arguments.split(|argument| argument == "--");
    let (first, second) = (sides.next().unwrap_or_default(), sides.next().unwrap_or_default());
    match phasesplit::compare::compare_packages(&outputs(first), &outputs(second)) {
        Ok(report) => {
            println!("{report}");
            ExitCode::from(u8::from(!report.is_equal()))
        }
        Err(error) => {
            eprintln!("compare: {error}");
            ExitCode::from(2)
        }
    }
}
