//! Folder cases of `source::read`: `tests/fixtures/source/{ok,err}/NAME/{main.nix,expected}`.
//!
//! `expected` is the rendered problems of a bad text, or a summary of what was read from a good one.
//! An `ok` case may hold a file `select` with an attribute path in each line: what each leads to is
//! part of the summary. `UPDATE_EXPECT=1 cargo test --test source_cases` writes the files anew.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use phasesplit::diagnostic::{Sources, position, render};
use phasesplit::source::{
    Attributes, Call, Form, Formals, Package, Part, Returns, Selected, Text, Value, read_bytes, select,
};

#[test]
fn good_texts() {
    run("ok", |package, text, case| {
        let package = package.unwrap_or_else(|problems| panic!("{case:?}: {problems:#?}"));
        let mut out = summary(&package, text);
        if let Ok(paths) = fs::read_to_string(case.join("select")) {
            for line in paths.lines() {
                let _ = writeln!(out, "select {line:?}: {}", selection(&package, line, text));
            }
        }
        out
    });
}

#[test]
fn bad_texts() {
    run("err", |package, text, case| {
        let problems = package.expect_err(&format!("{case:?} has no error"));
        render(&problems, Sources::new(&[("main.nix", text)]), false)
    });
}

type Outcome = Result<Package, Vec<phasesplit::diagnostic::Problem>>;

fn run(kind: &str, show: impl Fn(Outcome, &str, &Path) -> String) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/source").join(kind);
    let mut cases: Vec<PathBuf> =
        fs::read_dir(&root).expect("fixtures").map(|entry| entry.expect("entry").path()).collect();
    cases.sort();
    let mut failures = Vec::new();
    for case in &cases {
        let bytes = fs::read(case.join("main.nix")).expect("main.nix");
        let text = String::from_utf8_lossy(&bytes);
        let actual = show(read_bytes(&bytes, "main.nix"), &text, case);
        let path = case.join("expected");
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            fs::write(&path, &actual).expect("write expected");
        }
        let expected = fs::read_to_string(&path).unwrap_or_default();
        if actual != expected {
            failures.push(format!(
                "--- {}\n{}",
                case.display(),
                pretty_assertions::StrComparison::new(&expected, &actual)
            ));
        }
    }
    assert!(!cases.is_empty());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn summary(package: &Package, text: &str) -> String {
    let mut out = String::new();
    match &package.form {
        Form::CallPackage(formals) => {
            let _ = writeln!(out, "form: callPackage function {}", show_formals(formals));
            show_returns(&mut out, &formals.returns);
        }
        Form::Function(formals) => {
            let _ = writeln!(out, "form: function with defaults {}", show_formals(formals));
            show_returns(&mut out, &formals.returns);
        }
        Form::PlainFunction { parameter, returns } => {
            let _ = writeln!(out, "form: function of {parameter}");
            show_returns(&mut out, returns);
        }
        Form::Derivation => out.push_str("form: derivation\n"),
        Form::AttributeSet(attributes) => {
            out.push_str("form: attribute set\n");
            show_attributes(&mut out, attributes);
        }
    }
    let _ = writeln!(out, "main: {}", package.main.map_or("?".to_owned(), |m| m.to_string()));
    for (index, call) in package.calls.iter().enumerate() {
        show_call(&mut out, index, call, text);
    }
    out
}

fn show_formals(formals: &Formals) -> String {
    let mut words: Vec<String> =
        formals.names.iter().map(|f| format!("{}{}", f.name, if f.has_default { "?" } else { "" })).collect();
    words.extend(formals.ellipsis.then(|| "...".to_owned()));
    let bound = formals.bound.as_ref().map(|b| format!(" @{b}")).unwrap_or_default();
    format!("({}){bound}", words.join(" "))
}

fn show_returns(out: &mut String, returns: &Returns) {
    match returns {
        Returns::Value => {}
        Returns::Function => out.push_str("  returns a function\n"),
        Returns::Attributes(attributes) => {
            out.push_str("  returns an attribute set\n");
            show_attributes(out, attributes);
        }
    }
}

fn show_attributes(out: &mut String, attributes: &Attributes) {
    for attribute in &attributes.list {
        let _ = writeln!(
            out,
            "  {}{}{}{}",
            attribute.path.join("."),
            if attribute.looks_like_package { " package" } else { "" },
            if attribute.is_set { " set" } else { "" },
            attribute.call.map(|c| format!(" call {c}")).unwrap_or_default(),
        );
    }
    if !attributes.complete {
        out.push_str("  and more\n");
    }
}

fn show_call(out: &mut String, index: usize, call: &Call, text: &str) {
    let at = |offset| {
        let position = position(text, offset);
        format!("{}:{}", position.line, position.column)
    };
    let _ = writeln!(
        out,
        "call {index}: {} {:?} {:?} at {}-{}{}{}",
        call.builder,
        call.kind,
        call.arguments,
        at(call.span.start),
        at(call.span.end),
        if call.complete { "" } else { ", more attributes" },
        if call.nested { ", nested" } else { "" },
    );
    if let Some(not) = &call.not_stdenv {
        let _ = writeln!(out, "  not stdenv at {}: {}", at(not.span.start), not.reason);
    }
    for attribute in &call.attributes {
        let _ = writeln!(
            out,
            "  {} {} {}{}{} = {}",
            at(attribute.key.start),
            at(attribute.span.start),
            attribute.name,
            attribute.via.as_ref().map(|via| format!(" via {via}")).unwrap_or_default(),
            format_args!(
                "{}{}",
                if attribute.conditional { " if" } else { "" },
                match attribute.origin {
                    phasesplit::source::Origin::Written => "",
                    phasesplit::source::Origin::Inherited => " inherited",
                    phasesplit::source::Origin::Override => " override",
                }
            ),
            show_value(&attribute.value),
        );
    }
}

fn show_value(value: &Value) -> String {
    match value {
        Value::String(text) => show_text(text),
        Value::List(items) => {
            let items: Vec<String> = items.iter().map(show_value).collect();
            format!("[{}]", items.join(" "))
        }
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Null => "null".to_owned(),
        Value::Path(path) => format!("path {path}"),
        Value::Set => "{…}".to_owned(),
        Value::Function => "function".to_owned(),
        Value::Other => "…".to_owned(),
    }
}

fn show_text(text: &Text) -> String {
    let mut out = String::from("\"");
    for part in &text.0 {
        match part {
            Part::Text(text) => {
                let _ = write!(out, "{}", text.escape_debug());
            }
            Part::Hole { value: Some(value), .. } => {
                let _ = write!(out, "${{{}}}", value.escape_debug());
            }
            Part::Hole { .. } => out.push_str("${}"),
        }
    }
    out.push('"');
    out
}

fn selection(package: &Package, line: &str, text: &str) -> String {
    let path: Vec<String> = line.split('.').filter(|name| !name.is_empty()).map(str::to_owned).collect();
    match select(package, &path) {
        Ok(Selected::Call(call)) => {
            format!("call at line {} of {}", position(text, call.span.start).line, call.builder)
        }
        Ok(Selected::Unknown) => "unknown".to_owned(),
        Err(problem) => render(&[problem], Sources::default(), false).trim_end().to_owned(),
    }
}
