//! From a case to a package: its files, and what `evaluate.nix` is told of it.

use super::{
    Case,
    place::{self, At, script_of},
};
use crate::{attribute::is_script, oracle::STAGES, support::succeed};
use serde_json::{Value, json};
use std::{collections::BTreeMap, fs, path::Path, process::Command};

/// Writes the files of a case below `directory`, and gives its entry in the file of cases.
pub fn write(case: &Case, salt: &str, directory: &Path) -> Value {
    let (content, beside) = case.content();
    let at = At { stage: case.stage, name: case.name, scope: case.scope };
    let made = place::put(case.place, case.text, &content, beside, &at);
    let source = directory.join("source");
    let store = directory.join("store");
    write_files(&source, &made.source);
    fs::write(source.join("README"), "a source\n").expect("the source is written");
    if !made.archive.is_empty() {
        write_files(&directory.join("inner"), &made.archive);
        succeed(Command::new("tar").arg("czf").arg(source.join("inner.tar.gz")).arg("inner").current_dir(directory));
    }
    if !made.store.is_empty() {
        write_files(&store, &made.store);
    }

    let mut attributes: BTreeMap<String, Value> =
        made.scripts.into_iter().map(|(name, script)| (name, script.into())).collect();
    use_attribute(case, &mut attributes);
    attributes.insert("salt".to_owned(), salt.into());
    attributes.insert("__structuredAttrs".to_owned(), case.is_structured.into());
    attributes.insert("doCheck".to_owned(), (case.stage == "check" || case.scope == "check").into());
    if !made.unpacks {
        attributes.insert("dontUnpack".to_owned(), true.into());
    }
    // Some packages do not configure: then the stage before runs up to the build.
    if case.seed.is_multiple_of(3) && case.stage != "configure" && case.scope != "configure" {
        attributes.insert("dontConfigure".to_owned(), true.into());
    }
    json!({
        "trust": case.level,
        "name": case.name,
        "before": value(case, "one"),
        "after": if case.text.effect == super::Effect::Exists { Value::Null } else { value(case, "two") },
        "source": source,
        "store": if made.store.is_empty() { Value::Null } else { store.to_str().into() },
        "hook": made.hook,
        "builder": made.builder,
        "attributes": attributes,
    })
}

/// The attribute's own stage uses it, so that its edit is seen in the output and a change of its value too.
fn use_attribute(case: &Case, attributes: &mut BTreeMap<String, Value>) {
    let place = if case.scope == "finish" { "$out/used" } else { "$NIX_BUILD_TOP/used" };
    let line = format!("echo \"${{{}[*]-none}}\" >>\"{place}\"\n", case.name);
    let script = attributes.entry(script_of(case.scope).to_owned()).or_insert_with(|| "".into());
    *script = (script.as_str().unwrap_or_default().to_owned() + &line).into();
    debug_assert!(STAGES.contains(&case.scope));
}

/// The attribute's value, with a word that is unlike any other text.
fn value(case: &Case, word: &str) -> Value {
    match case.name {
        "nativeBuildInputs" if word == "one" => json!(["makeWrapper"]),
        "nativeBuildInputs" => json!(["makeWrapper", "installShellFiles"]),
        _ if is_script(case.name) => format!("true word-{word}").into(),
        _ if case.is_structured => json!([format!("WORD=word-{word}"), "more"]),
        _ => format!("WORD=word-{word}").into(),
    }
}

fn write_files(directory: &Path, files: &BTreeMap<String, String>) {
    fs::create_dir_all(directory).expect("a directory");
    for (name, content) in files {
        fs::write(directory.join(name), content).expect("a file");
    }
}
