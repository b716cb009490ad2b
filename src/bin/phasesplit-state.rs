//! The state engine, run inside the build.

fn main() {}
