//! The `phasesplit` command.

fn main() {}
