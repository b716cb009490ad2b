//! Asking Nix what generated text means.

use std::io::Write as _;
use std::process::{Command, Stdio};

/// The value of an expression as JSON; `None`, with a message, where there is no Nix.
pub(crate) fn evaluate(expression: &str) -> Option<String> {
    nix_instantiate(&["--eval", "--strict", "--json", "-"], expression)
}

/// How Nix prints an expression that it parsed; `None`, with a message, where there is no Nix.
pub(crate) fn parse(expression: &str) -> Option<String> {
    nix_instantiate(&["--parse", "-"], expression)
}

fn nix_instantiate(arguments: &[&str], input: &str) -> Option<String> {
    let child = Command::new("nix-instantiate")
        .args(arguments)
        .env("NIX_PATH", "")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => {
            eprintln!("not asked: nix-instantiate does not start here ({error})");
            return None;
        }
    };
    let mut stdin = child.stdin.take().expect("a pipe");
    // What Nix prints fits into no pipe either, so the input is written beside reading it.
    let text = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
    let output = child.wait_with_output().expect("nix-instantiate ends");
    writer.join().expect("the writer ends").expect("nix-instantiate reads its input");
    let talk = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "nix-instantiate: {talk}");
    Some(String::from_utf8(output.stdout).expect("UTF-8"))
}
