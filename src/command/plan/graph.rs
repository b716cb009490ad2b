//! The chain as a graph, in the languages of Graphviz and of Mermaid.

use std::fmt::Write as _;

use super::report::{Report, Row};

/// How many names a node shows.
const MOST: usize = 8;

/// For Graphviz. A filled node's state is here, a dashed one's in no place that was asked.
///
/// Graphviz's grammar: in a quoted name only `"` and a backslash at its end need care; `\n` in a label is a line's end.
pub fn dot(report: &Report) -> String {
    let mut text = format!("digraph {} {{\n  rankdir=LR;\n  node [shape=box];\n", quoted(&report.package));
    for row in &report.stages {
        let label: Vec<String> = lines(report, row).iter().map(|line| escaped(line)).collect();
        let style = match row {
            row if row.here => ", style=filled, fillcolor=lightgrey",
            row if row.caches.is_empty() => ", style=dashed",
            _ => "",
        };
        let _ = writeln!(text, "  {} [label=\"{}\"{style}];", quoted(&row.stage), label.join("\\n"));
    }
    for pair in report.stages.windows(2) {
        let _ = writeln!(text, "  {} -> {};", quoted(&pair[0].stage), quoted(&pair[1].stage));
    }
    text.push_str("}\n");
    text
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", escaped(name))
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

/// For Mermaid. Nodes are numbered, as its names may be no words of its own (`end`).
///
/// Mermaid's grammar: a label in quotes may hold anything but a quote; `#` begins a character's code, `<` a tag.
pub fn mermaid(report: &Report) -> String {
    let mut text = "flowchart LR\n".to_owned();
    for (number, row) in report.stages.iter().enumerate() {
        let label: Vec<String> = lines(report, row).iter().map(|line| coded(line)).collect();
        let _ = writeln!(text, "  s{number}[\"{}\"]", label.join("<br/>"));
    }
    for number in 1..report.stages.len() {
        let _ = writeln!(text, "  s{} --> s{number}", number - 1);
    }
    text.push_str("  classDef here fill:#ddd\n  classDef absent stroke-dasharray: 5 5\n");
    for (number, row) in report.stages.iter().enumerate() {
        if row.here {
            let _ = writeln!(text, "  class s{number} here");
        } else if row.caches.is_empty() {
            let _ = writeln!(text, "  class s{number} absent");
        }
    }
    text
}

fn coded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '"' | '#' | '<' | '>' | '&' | ';' | '`' => {
                let _ = write!(out, "#{};", u32::from(character));
            }
            other => out.push(other),
        }
    }
    out
}

/// What a node says: the stage, what it is the first to get, and where its state is.
fn lines(report: &Report, row: &Row) -> Vec<String> {
    let names = report.first_gets(row);
    let mut lines = vec![row.stage.clone()];
    lines.extend(names.iter().take(MOST).map(|name| (*name).to_owned()));
    if names.len() > MOST {
        lines.push(format!("and {} more", names.len() - MOST));
    }
    lines.push(format!("({})", report.cached(row)));
    lines
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::{report, row};
    use super::*;
    use pretty_assertions::assert_eq;

    #[test]
    fn a_chain_for_graphviz() {
        let expected = r#"digraph "hello-2.12" {
  rankdir=LR;
  node [shape=box];
  "unpack" [label="unpack\nodd \"name\\\n(here)", style=filled, fillcolor=lightgrey];
  "build" [label="build\nmakeFlags\n(no)", style=dashed];
  "unpack" -> "build";
}
"#;
        let report = report(vec![row("unpack", &["odd \"name\\"], true), row("build", &["makeFlags"], false)]);
        assert_eq!(dot(&report), expected);
    }

    #[test]
    fn a_chain_for_mermaid() {
        let many: Vec<String> = (0..9).map(|number| format!("a{number}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let expected = r#"flowchart LR
  s0["unpack<br/>odd #34;#60;name#62;#35;<br/>(here)"]
  s1["build<br/>a0<br/>a1<br/>a2<br/>a3<br/>a4<br/>a5<br/>a6<br/>a7<br/>and 1 more<br/>(no)"]
  s0 --> s1
  classDef here fill:#ddd
  classDef absent stroke-dasharray: 5 5
  class s0 here
  class s1 absent
"#;
        let report = report(vec![row("unpack", &["odd \"<name>#"], true), row("build", &many, false)]);
        assert_eq!(mermaid(&report), expected);
    }
}
