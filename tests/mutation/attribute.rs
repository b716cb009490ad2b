//! What kind of value an attribute has, and so what can be done to it.

use serde::Deserialize;

/// The value's form (`shapeOf` in evaluate.nix).
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Shape {
    Flag { on: bool },
    Text { text: String },
    Number,
    Words { count: usize },
    Packages,
    Package,
    Set,
    Other,
}

/// Attributes that are the derivation's machinery, or the test's own.
const MACHINERY: &[&str] = &[
    "args",
    "builder",
    "name",
    "preUnpack",
    "salt",
    "stdenv",
    "system",
    "__ignoreNulls",
    "__structuredAttrs",
    "outputs",
];

pub fn is_machinery(name: &str) -> bool {
    MACHINERY.contains(&name) || name.starts_with("deps")
}

/// Whether the attribute is a piece of bash that some phase runs.
pub fn is_script(name: &str) -> bool {
    let after =
        |prefix| name.strip_prefix(prefix).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase()));
    !name.ends_with("Phases") && (name.ends_with("Phase") || after("pre") || after("post"))
}

/// A word that the readers of this attribute understand, where one that they do not would only make every build fail.
pub fn word_for(name: &str) -> &'static str {
    match name {
        "makeFlags" | "buildFlags" | "checkFlags" | "installFlags" | "installCheckFlags" | "distFlags" => "MUTATED=yes",
        "cmakeFlags" => "-DMUTATED=yes",
        "mesonFlags" => "-Dword=mutated",
        "configureFlags" => "--mutated",
        "ninjaFlags" => "-k2",
        // make's option, and harmless among targets.
        "installTargets" => "-k",
        "patchFlags" => "--no-backup-if-mismatch",
        "pypaBuildFlags" => "-Cmutated=1",
        "makeWrapperArgs" => "--inherit-argv0",
        "mesonInstallTags" => "devel",
        _ => "mutated",
    }
}
