//! The best possible reuse: the first stage that a change of an attribute must run again.
//!
//! Written from stdenv's documentation and the host set's phases, not from `nix-lib/scopes.nix`, which is what is tested here;
//! what only the package's own scripts read, the package says (`passthru.mutation.reads`).
//!
//! *Possible* at a level is what the level promises: at `strict` only phases' and hooks' scripts may be held back, at `contract`
//! what stdenv and the hooks document, at `text` anything until it is read. *Ideal* is possible at `text`.

use crate::evaluate::Answer;
use std::collections::BTreeMap;

/// Every stage there is, in order.
pub const STAGES: &[&str] = &["unpack", "patch", "configure", "build", "check", "install", "finish"];

/// Each phase in lower case, and the stage that runs it.
const PHASES: &[(&str, &str)] = &[
    ("unpack", "unpack"),
    ("patch", "patch"),
    ("configure", "configure"),
    ("build", "build"),
    ("check", "check"),
    ("install", "install"),
    ("fixup", "finish"),
    ("installCheck", "finish"),
    ("dist", "finish"),
];

/// Flags and switches of stdenv and of the hooks that the packages use, by their first reader.
const FLAGS: &[(&str, &[&str])] = &[
    ("unpack", &["src", "srcs", "sourceRoot"]),
    ("patch", &["patches", "patchFlags"]),
    (
        "configure",
        &[
            "configureFlags",
            "configureScript",
            "dontAddPrefix",
            "prefixKey",
            "dontDisableStatic",
            "dontAddDisableDepTrack",
            "shareDocName",
            "setOutputFlags",
            "cmakeFlags",
            "cmakeBuildType",
            "mesonFlags",
            "mesonBuildType",
        ],
    ),
    (
        "build",
        &[
            "makeFlags",
            "buildFlags",
            "makefile",
            "enableParallelBuilding",
            "ninjaFlags",
            "pypaBuildFlags",
            "tags",
            "ldflags",
        ],
    ),
    ("check", &["doCheck", "checkFlags", "checkTarget", "enableParallelChecking"]),
    (
        "install",
        &[
            "installFlags",
            "installTargets",
            "enableParallelInstalling",
            "desktopItems",
            "mesonInstallTags",
            "pkgconfigItems",
        ],
    ),
    (
        "finish",
        &[
            "doInstallCheck",
            "installCheckFlags",
            "installCheckTarget",
            "dontStrip",
            "stripDebugList",
            "stripAllList",
            "dontGzipMan",
            "dontPatchShebangs",
            "moveToDev",
            "setupHook",
            "makeWrapperArgs",
            "outputChecks",
            "disallowedReferences",
            "tarballs",
        ],
    ),
];

fn index(stage: &str) -> usize {
    STAGES.iter().position(|name| *name == stage).unwrap_or_else(|| panic!("{stage} is no stage"))
}

/// The stage of one of stdenv's own scripts.
fn documented_script(name: &str) -> Option<&'static str> {
    let forms = |phase: &str| {
        let title = capitalised(phase);
        [format!("{phase}Phase"), format!("pre{title}"), format!("post{title}")]
    };
    PHASES.iter().find(|(phase, _)| forms(phase).iter().any(|form| form == name)).map(|(_, stage)| *stage)
}

/// Whether it is one of stdenv's own phases or hooks.
pub fn is_documented_script(name: &str) -> bool {
    documented_script(name).is_some()
}

/// What is known of a package's attributes.
pub struct Oracle<'a> {
    reads: &'a BTreeMap<String, String>,
}

impl<'a> Oracle<'a> {
    pub fn new(answer: &'a Answer) -> Self {
        Self { reads: &answer.reads }
    }

    /// The stage whose script this is: `preBuild`, `buildPhase`, and phases of the package's own.
    fn script(&self, name: &str) -> Option<usize> {
        let own = name.ends_with("Phase").then(|| self.reads.get(name)).flatten().map(String::as_str);
        documented_script(name).or(own).map(|stage| self.earlier(name, index(stage)))
    }

    fn documented(&self, name: &str) -> Option<usize> {
        self.script(name).or_else(|| {
            let switch = PHASES
                .iter()
                .find(|(phase, _)| *name == format!("dont{}", capitalised(phase)))
                .map(|(_, stage)| *stage);
            let flag = FLAGS.iter().find(|(_, names)| names.contains(&name)).map(|(stage, _)| *stage);
            switch.or(flag).map(|stage| self.earlier(name, index(stage)))
        })
    }

    /// The package's own word goes before the documentation. (`*`: this stage reads everything.)
    fn earlier(&self, name: &str, documented: usize) -> usize {
        let own = self.reads.get(name).map_or(documented, |stage| index(stage));
        own.min(self.reads.get("*").map_or(own, |stage| index(stage)))
    }

    /// The first stage that a change of this attribute must run again, at a level.
    pub fn possible(&self, name: &str, level: &str) -> usize {
        match level {
            // Nix checks them on the outputs alone.
            _ if matches!(name, "outputChecks" | "disallowedReferences") => STAGES.len() - 1,
            "strict" => self.script(name).unwrap_or(0),
            "contract" => self.documented(name).unwrap_or(0),
            _ => self.ideal(name),
        }
    }

    /// The first stage that reads it. What nobody reads belongs to the last; inputs and the outputs' names, to the first.
    pub fn ideal(&self, name: &str) -> usize {
        let everywhere = name.ends_with("Inputs")
            || name.ends_with("Phases")
            || matches!(name, "pname" | "version" | "strictDeps" | "passAsFile" | "exportReferencesGraph");
        let otherwise = if everywhere { 0 } else { STAGES.len() - 1 };
        self.documented(name).unwrap_or_else(|| self.earlier(name, otherwise))
    }

    /// How many of these stages (of a mutated chain) could be taken from before.
    pub fn reusable(first: usize, stages: &[String]) -> usize {
        stages.iter().filter(|stage| STAGES.iter().position(|name| name == stage).is_some_and(|at| at < first)).count()
    }
}

fn capitalised(word: &str) -> String {
    let (head, tail) = word.split_at(1);
    head.to_uppercase() + tail
}
