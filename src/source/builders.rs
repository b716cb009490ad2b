//! Which functions make derivations, by name.
//!
//! Owns the lists of names. They only guide what is *shown* before an evaluation; a name missing
//! here makes a package less visible, never unbuildable. Names from the nixpkgs manual, chapters
//! "Standard environment", "Languages and frameworks", "Trivial build helpers" and "Fetchers".

use super::package::{Builder, Reason};

/// What a function name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Known {
    /// Its derivations run stdenv's phases.
    Stdenv(Builder),
    /// They do not.
    Other(Reason),
}

/// What the function called `name` (the last part of a selection) makes, if that is known.
pub(super) fn known(name: &str) -> Option<Known> {
    if name == "mkDerivation" {
        return Some(Known::Stdenv(Builder::MkDerivation));
    }
    if ON_STDENV.contains(&name) || follows_convention(name) {
        return Some(Known::Stdenv(Builder::OnStdenv));
    }
    if TRIVIAL.contains(&name) {
        return Some(Known::Other(Reason::TrivialBuilder(name.to_owned())));
    }
    if matches!(name, "derivation" | "derivationStrict") {
        return Some(Known::Other(Reason::RawDerivation));
    }
    is_fetcher(name).then(|| Known::Other(Reason::Fetcher(name.to_owned())))
}

/// Whether calling `name` visibly gives a package though nothing more is known about it.
pub(super) fn gives_package(name: &str) -> bool {
    matches!(name, "callPackage" | "callPackages" | "overrideAttrs" | "override" | "overridePythonAttrs")
        || matches!(known(name), Some(Known::Stdenv(_) | Known::Other(Reason::TrivialBuilder(_))))
}

/// Functions that return their last argument, perhaps with other metadata, given this many arguments.
pub(super) fn passes_through(name: &str) -> Option<usize> {
    Some(match name {
        "hiPrio" | "lowPrio" | "recurseIntoAttrs" | "dontRecurseIntoAttrs" | "dontDistribute" => 1,
        "warn" | "trace" | "seq" | "deepSeq" | "setPrio" | "addMetaAttrs" | "appendToName" => 2,
        "warnIf" | "throwIf" | "throwIfNot" => 3,
        _ => return None,
    })
}

const ON_STDENV: &[&str] = &[
    "mkYarnPackage",
    "mkCoqDerivation",
    "mkDerivationWith",
    "buildErlangMk",
    "buildMix",
    "buildRebar3",
    "buildRubyGem",
    "buildLuarocksPackage",
    "mixRelease",
    "mkShell",
    "mkShellNoCC",
];

const TRIVIAL: &[&str] = &[
    "runCommand",
    "runCommandLocal",
    "runCommandCC",
    "runCommandNoCC",
    "runCommandWith",
    "runCommandNoCCLocal",
    "writeText",
    "writeTextFile",
    "writeTextDir",
    "writeScript",
    "writeScriptBin",
    "writeShellScript",
    "writeShellScriptBin",
    "writeShellApplication",
    "writeBash",
    "writeBashBin",
    "writePython3",
    "writePython3Bin",
    "writeClosure",
    "concatText",
    "concatScript",
    "concatTextFile",
    "symlinkJoin",
    "linkFarm",
    "linkFarmFromDrvs",
    "buildEnv",
    "buildFHSEnv",
    "buildFHSUserEnv",
    "buildImage",
    "buildLayeredImage",
    "streamLayeredImage",
    "makeDesktopItem",
    "makeSetupHook",
    "substituteAll",
    "substitute",
    "applyPatches",
];

/// nixpkgs names its builders `build…Package`, `build…Module`, …
fn follows_convention(name: &str) -> bool {
    const ENDINGS: &[&str] =
        &["Package", "Application", "Module", "Plugin", "Project", "Addon", "Component", "Extension", "Gem", "Grammar"];
    name.starts_with("build") && ENDINGS.iter().any(|ending| name.ends_with(ending))
}

fn is_fetcher(name: &str) -> bool {
    const PLAIN: &[&str] = &[
        "fetchurl",
        "fetchzip",
        "fetchgit",
        "fetchhg",
        "fetchsvn",
        "fetchcvs",
        "fetchpatch",
        "fetchpatch2",
        "fetchtarball",
        "requireFile",
    ];
    PLAIN.contains(&name)
        || name.strip_prefix("fetch").is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_uppercase()))
}
