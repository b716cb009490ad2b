//! Where a text is: the second half of a way to read. Turns a text at a place into a package's attributes and files.

use super::text::{ELSEWHERE, EVERYWHERE, Effect, PROGRAMS, SHELL, SOURCED, Text, WRAPS};
use std::collections::BTreeMap;

/// A place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In the script of the phase's hook (`postPatch`, `preBuild`, …).
    Phase,
    /// In a file of the source that the script runs.
    Source,
    /// In a file of the source that the script sources.
    Sourced,
    /// In a file of the store.
    Store,
    /// In the source, which is not unpacked.
    NotUnpacked,
    /// Behind a link into the store, made right before.
    Link,
    /// Behind a link into the store that was made after unpacking.
    OldLink,
    /// In an archive that the script unpacks and removes again.
    Archive,
    /// In a file that the script writes, runs and removes.
    Written,
    /// In a function that a setup hook puts into `preBuildHooks` and its like.
    Hook,
    /// Outside all functions of a setup hook. It runs whenever setup does.
    HookTop,
    /// In a file of the source that a setup hook's function sources.
    HookSources,
    /// In a file of the source that a setup hook's function runs.
    HookRuns,
    /// In a function `preBuild` or its like of a builder script.
    Builder,
    /// In a builder script before genericBuild.
    BuilderTop,
    /// In a function of a builder script that wraps the hook of the attribute's own stage, where a hook of an input also
    /// changes the attribute, as builders of Perl packages do and stdenv's own hook for several outputs. It is no reader.
    BuilderWraps,
}

use Place::{
    Archive, Builder, BuilderTop, BuilderWraps, Hook, HookRuns, HookSources, HookTop, Link, NotUnpacked, OldLink,
    Phase, Source, Sourced, Store, Written,
};

impl Place {
    pub const ALL: &[Self] = &[
        Phase,
        Source,
        Sourced,
        Store,
        NotUnpacked,
        Link,
        OldLink,
        Archive,
        Written,
        Hook,
        HookTop,
        HookSources,
        HookRuns,
        Builder,
        BuilderTop,
        BuilderWraps,
    ];

    /// Those where most readers are: every text of the shell is tried in each.
    pub const FREQUENT: &[Self] = &[Phase, Source, Hook];

    pub const fn name(self) -> &'static str {
        match self {
            Phase => "phase",
            Source => "source",
            Sourced => "sourced",
            Store => "store",
            NotUnpacked => "not-unpacked",
            Link => "link",
            OldLink => "old-link",
            Archive => "archive",
            Written => "written",
            Hook => "hook",
            HookTop => "hook-top",
            HookSources => "hook-sources",
            HookRuns => "hook-runs",
            Builder => "builder",
            BuilderTop => "builder-top",
            BuilderWraps => "builder-wraps",
        }
    }

    /// Whether the text runs in the shell of the phases, and so may change its variables.
    const fn is_own_shell(self) -> bool {
        matches!(self, Phase | Sourced | Hook | HookSources | Builder | BuilderTop | HookTop)
    }

    /// Whether the text stands in the package or a hook, and not in a file that something runs.
    const fn is_inline(self) -> bool {
        matches!(self, Phase | Hook | HookTop | Builder | BuilderTop | BuilderWraps)
    }

    /// The texts that are tried here.
    pub fn texts(self) -> impl Iterator<Item = &'static Text> {
        let fits = move |text: &&Text| text.effect != Effect::Sets || self.is_own_shell();
        let wraps = WRAPS.iter().filter(move |_| self == BuilderWraps);
        let shell = SHELL.iter().filter(move |_| self != BuilderWraps).filter(fits).filter(move |text| {
            Self::FREQUENT.contains(&self)
                || EVERYWHERE.contains(&text.name)
                || (self.is_own_shell() && SOURCED.contains(&text.name))
        });
        let programs = PROGRAMS.iter().filter(move |text| {
            self == Source
                || (!self.is_inline() && self != Sourced && self != HookSources && ELSEWHERE.contains(&text.name))
        });
        shell.chain(programs).chain(wraps)
    }

    /// Whether a text can be here in a package that reads it in this stage.
    pub fn exists_in(self, stage: &str) -> bool {
        !matches!((self, stage), (NotUnpacked | OldLink, "unpack"))
    }
}

/// The hook, without `pre` and `post`, by which each stage runs what a test gives it.
pub fn script_of(stage: &str) -> &'static str {
    match stage {
        "unpack" => "postUnpack",
        "patch" => "postPatch",
        "configure" => "preConfigure",
        "build" => "preBuild",
        "check" => "preCheck",
        "install" => "preInstall",
        _ => "postFixup",
    }
}

/// Another hook of the stage, which the test gives nothing.
fn other_script_of(stage: &str) -> String {
    let script = script_of(stage);
    script.strip_prefix("pre").map_or_else(|| script.replacen("post", "pre", 1), |rest| format!("post{rest}"))
}

/// What a place makes of a text.
#[derive(Debug, Default)]
pub struct Made {
    /// Scripts of the package, by attribute.
    pub scripts: BTreeMap<String, String>,
    /// Files of the source; files in a directory of the store that scripts call `@store@`; files in the source's `inner.tar.gz`.
    pub source: BTreeMap<String, String>,
    pub store: BTreeMap<String, String>,
    pub archive: BTreeMap<String, String>,
    /// The text of a setup hook, of a builder script.
    pub hook: Option<String>,
    pub builder: Option<String>,
    pub unpacks: bool,
}

const SEEN: &str = r#">>"$NIX_BUILD_TOP/seen""#;

/// The stage that runs a text; the attribute and its scope.
#[derive(Debug, Clone, Copy)]
pub struct At<'a> {
    pub stage: &'a str,
    pub name: &'a str,
    pub scope: &'a str,
}

/// Puts a text, with the name already in it, at a place, where its stage runs it.
pub fn put(place: Place, text: &Text, content: &str, beside: Option<(&str, String)>, at: &At) -> Made {
    let At { stage, name, scope } = *at;
    let how = text.language.how();
    let mut made = Made { unpacks: place != NotUnpacked, ..Made::default() };
    let mut files = BTreeMap::from([(how.file.to_owned(), content.to_owned() + "\n")]);
    files.extend(beside.map(|(name, content)| (name.to_owned(), content)));
    let script = script_of(stage);
    let run = |file: &str| format!("{} {SEEN} || :\n", braced(how.command, &how.command.replace("FILE", file)));
    let inline = format!("{{\n{content}\n}} {SEEN} || :\n");
    let sourced = format!("{{\n. ./{}\n}} {SEEN} || :\n", how.file);
    let registered = |body: &str| format!("readWords() {{\n{body}}}\n{script}Hooks+=(readWords)\n");
    let mut line = String::new();
    match place {
        Phase => line.clone_from(&inline),
        Source => line = run(how.file),
        Sourced => line.clone_from(&sourced),
        Store => line = run(&format!("@store@/{}", how.file)),
        NotUnpacked => line = run(&format!("$src/{}", how.file)),
        Link => {
            line = links(&files, ".");
            line += &run(how.file);
        }
        OldLink => {
            made.scripts.insert("postUnpack".to_owned(), links(&files, "\"$sourceRoot\""));
            line = run(how.file);
        }
        Archive => {
            // What the archive's files read beside them is found where they are.
            line = format!("tar xzf inner.tar.gz\ncd inner\n{}cd ..\nrm -r inner\n", run(how.file));
        }
        Written => {
            let names: Vec<&str> = files.keys().map(String::as_str).collect();
            let written =
                files.iter().map(|(file, content)| ["cat >", file, " <<'WRITTEN'\n", content, "WRITTEN\n"].concat());
            line = written.collect::<String>() + &run(how.file) + &format!("rm {}\n", names.join(" "));
        }
        Hook => made.hook = Some(registered(&inline)),
        HookSources => {
            made.hook = Some(registered(&in_source(stage, &sourced)));
        }
        HookRuns => made.hook = Some(registered(&in_source(stage, &run(how.file)))),
        Builder => {
            made.builder = Some(format!("source $stdenv/setup\n{script}() {{\n{inline}}}\ngenericBuild\n"));
        }
        BuilderWraps => {
            let script = other_script_of(scope);
            made.builder = Some(format!("source $stdenv/setup\n{script}() {{\n{content}\n}}\ngenericBuild\n"));
            made.hook = Some(format!(
                "{script}Hooks+=(changeIt)\nchangeIt() {{ {name}=\"${{{name}[*]-}}\"; echo \"${name}\" >>\"$NIX_BUILD_TOP/used\"; }}\n"
            ));
        }
        HookTop | BuilderTop => {
            // A variable carries what was read to the stage: no file may be made before the phases run.
            let top = if text.effect == Effect::Sets {
                format!("{{\n{content}\n}} || :\n")
            } else {
                line = format!("echo \"$topWords\" {SEEN}\n");
                format!("topWords=$(\n{content}\n) || :\n")
            };
            if place == HookTop {
                made.hook = Some(top);
            } else {
                made.builder = Some(format!("source $stdenv/setup\n{top}genericBuild\n"));
            }
        }
    }
    match place {
        Source | Sourced | NotUnpacked | HookSources | HookRuns => made.source = files,
        Store | Link | OldLink => made.store = files,
        Archive => made.archive = files,
        Phase | Written | Hook | HookTop | Builder | BuilderTop | BuilderWraps => {}
    }
    if !line.is_empty() {
        let line = if place == Phase { line } else { in_source(stage, &line) };
        made.scripts.entry(script.to_owned()).or_default().push_str(&line);
    }
    made
}

/// Commands that make links to the store's files in a directory.
fn links(files: &BTreeMap<String, String>, directory: &str) -> String {
    let sources: Vec<String> = files.keys().map(|file| format!("@store@/{file}")).collect();
    format!("ln -s {} {directory}\n", sources.join(" "))
}

/// After unpacking the shell is still beside the source.
fn in_source(stage: &str, line: &str) -> String {
    if stage == "unpack" { format!("cd \"$sourceRoot\"\n{line}cd \"$NIX_BUILD_TOP\"\n") } else { line.to_owned() }
}

/// A command that is more than one is redirected as a whole.
fn braced(command: &str, text: &str) -> String {
    if command.contains("&&") { format!("{{ {text}; }}") } else { text.to_owned() }
}
