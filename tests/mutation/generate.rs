//! The mutations of a package: every attribute changed in the ways its value allows, attributes added, and scripts that begin to
//! read an attribute of a later stage.
//!
//! Pure: a function of what `evaluate.nix` says of the package. The order is that of the attributes' names.

use crate::{
    attribute::{Shape, is_machinery, is_script, word_for},
    evaluate::Answer,
    oracle::{Oracle, is_documented_script},
    references::WAYS,
};

/// One change.
#[derive(Debug, Clone)]
pub struct Mutation {
    /// `package/attribute/how`.
    pub id: String,
    /// The attributes that have another value.
    pub attributes: Vec<String>,
    /// What `overrideAttrs` gets.
    pub change: String,
}

/// Attributes that no test package has, and their values: what an author adds.
const ADDED: &[(&str, &str)] = &[
    ("FRESH", r#""a value""#),
    ("dontStrip", "true"),
    ("dontPatchShebangs", "true"),
    ("doInstallCheck", "true"),
    ("enableParallelInstalling", "false"),
    ("installTargets", r#""install""#),
    ("makeFlags", r#"[ "ADDED=yes" ]"#),
    ("stripAllList", r#"[ "bin" ]"#),
];

/// Scripts that may be added; with the one that is changed to read other attributes first.
const SCRIPTS: &[&str] = &[
    "postUnpack",
    "prePatch",
    "postPatch",
    "preConfigure",
    "postConfigure",
    "preBuild",
    "postBuild",
    "preInstall",
    "postInstall",
    "preFixup",
    "postFixup",
];

/// A patch that adds a file, as a Nix string has it.
const PATCH: &str = r"--- /dev/null\n+++ b/added\n@@ -0,0 +1 @@\n+added\n";

/// An input whose hook leaves a trace when installing.
const HOOK: &str = r#"pkgs.makeSetupHook { name = "added-hook"; } (builtins.toFile "added-hook.sh" "addedHook() { echo hooked >>$NIX_BUILD_TOP/trace; }\npreInstallHooks+=(addedHook)\n")"#;

/// How many references each early script gets, to different attributes and in different ways.
const REFERENCES_A_SCRIPT: usize = 2;

pub fn mutations(package: &str, answer: &Answer) -> Vec<Mutation> {
    let mut all = Vec::new();
    let mut add = |attribute: &str, how: &str, change: String| {
        all.push(Mutation {
            id: format!("{package}/{attribute}/{how}"),
            attributes: vec![attribute.to_owned()],
            change,
        });
    };
    for (name, shape) in answer.attributes.iter().filter(|(name, _)| !is_machinery(name)) {
        if answer.environment.contains(name) {
            add(name, "append", format!("old: {{ env = old.env // {{ {name} = old.env.{name} + \" mutated\"; }}; }}"));
            add(name, "remove", format!("old: {{ env = removeAttrs old.env [ \"{name}\" ]; }}"));
            continue;
        }
        for (how, value) in values(name, shape) {
            add(name, how, format!("old: {{ {name} = {value}; }}"));
        }
    }
    let absent =
        |name: &str| !answer.attributes.contains_key(name) && !answer.environment.iter().any(|own| own == name);
    for name in &answer.add {
        add(name, "add", format!("old: {{ {name} = old.passthru.mutation.add.{name}; }}"));
    }
    for (name, value) in ADDED.iter().filter(|(name, _)| absent(name) && !answer.add.iter().any(|own| own == name)) {
        add(name, "add", format!("old: {{ {name} = {value}; }}"));
    }
    for name in SCRIPTS.iter().filter(|name| absent(name)) {
        add(name, "add", format!("old: {{ {name} = trace \"added {name}\"; }}"));
    }
    all.extend(references(package, answer));
    all
}

/// The other values of an attribute.
fn values(name: &str, shape: &Shape) -> Vec<(&'static str, String)> {
    let word = word_for(name);
    match shape {
        Shape::Flag { on } => vec![("flip", (!on).to_string())],
        Shape::Number => vec![("edit", format!("old.{name} + 1")), ("remove", "null".to_owned())],
        Shape::Text { .. } if matches!(name, "pname" | "version") => vec![("edit", format!("old.{name} + \"1\""))],
        Shape::Text { text } if text.is_empty() || text == "1" => {
            vec![("flip", if text.is_empty() { "\"1\"" } else { "\"\"" }.to_owned()), ("remove", "null".to_owned())]
        }
        // A phase that the package itself lists must be there.
        Shape::Text { .. } if is_script(name) && !is_documented_script(name) => {
            vec![("append", format!("old.{name} + \"\\n\" + trace \"appended to {name}\""))]
        }
        Shape::Words { .. } if name.ends_with("Phases") => vec![("remove", "[ ]".to_owned())],
        Shape::Text { .. } if is_script(name) => vec![
            ("append", format!("old.{name} + \"\\n\" + trace \"appended to {name}\"")),
            ("remove", "null".to_owned()),
        ],
        Shape::Text { .. } => vec![
            ("append", format!("old.{name} + \" {word}\"")),
            ("edit", format!("\"{word}\"")),
            ("remove", "null".to_owned()),
        ],
        _ if name == "patches" => {
            let mut ways =
                vec![("append", format!("(old.{name} or [ ]) ++ [ (builtins.toFile \"more.patch\" \"{PATCH}\") ]"))];
            if !matches!(shape, Shape::Words { count: 0 }) {
                ways.push(("remove", "[ ]".to_owned()));
            }
            ways
        }
        _ if name == "nativeBuildInputs" => vec![("append", format!("(old.{name} or [ ]) ++ [ ({HOOK}) ]"))],
        // Given by mkDerivation itself, and like nativeBuildInputs for the stages.
        Shape::Words { count: 0 } if name.ends_with("Inputs") => Vec::new(),
        Shape::Words { count } => vec![
            ("append", format!("(old.{name} or [ ]) ++ [ \"{word}\" ]")),
            if *count > 1 { ("shorten", format!("builtins.tail old.{name}")) } else { ("remove", "null".to_owned()) },
        ],
        Shape::Packages => vec![("shorten", format!("builtins.tail old.{name}"))],
        Shape::Package if name == "src" => vec![(
            "edit",
            "old.src.overrideAttrs (source: { buildCommand = source.buildCommand + \"\\necho more >>$out/more\\n\"; })"
                .to_owned(),
        )],
        Shape::Package => vec![("remove", "null".to_owned())],
        Shape::Set => vec![("edit", format!("old.{name} // {{ mutated = {{ }}; }}"))],
        Shape::Other => Vec::new(),
    }
}

/// Early scripts that begin to read, or set, an attribute of a later stage.
fn references(package: &str, answer: &Answer) -> Vec<Mutation> {
    let oracle = Oracle::new(answer);
    let candidates: Vec<(&String, usize)> =
        answer.attributes.keys().filter(|name| !is_machinery(name)).map(|name| (name, oracle.ideal(name))).collect();
    let scripts = SCRIPTS.iter().map(|name| (*name).to_owned());
    let own = answer.attributes.keys().filter(|name| is_script(name) && !SCRIPTS.contains(&name.as_str())).cloned();
    // The package's name chooses where the round of ways begins, so that packages differ in what they try.
    let mut turn = package.bytes().map(usize::from).sum::<usize>();
    let mut all = Vec::new();
    for script in scripts.chain(own) {
        let stage = oracle.ideal(&script);
        let later: Vec<&String> = candidates
            .iter()
            .filter(|(name, first)| *first > stage && **name != script)
            .map(|(name, _)| *name)
            .collect();
        if later.is_empty() || is_machinery(&script) {
            continue;
        }
        for _ in 0..REFERENCES_A_SCRIPT.min(later.len()) {
            let way = &WAYS[turn % WAYS.len()];
            let other = later[(turn * 7) % later.len()];
            turn += 1;
            let line = nix_string(&way.line(other));
            all.push(Mutation {
                id: format!("{package}/{script}/{}-{other}", way.name),
                attributes: vec![script.clone()],
                change: format!("old: {{ {script} = {line} + (old.{script} or \"\"); }}"),
            });
        }
    }
    all.sort_by(|a, b| a.id.cmp(&b.id));
    all.dedup_by(|a, b| a.id == b.id);
    all
}

fn nix_string(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace("${", "\\${").replace('\n', "\\n"))
}
