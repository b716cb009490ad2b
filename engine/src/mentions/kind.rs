//! What a text file is, by its name and its first line: enough to know which words in it get at the environment.

use std::path::Path;

/// Kinds of text files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A script of a shell.
    Shell,
    /// A makefile: recipes are shell.
    Make,
    /// Python, which is also `SConstruct`, `wscript` and their like.
    Python,
    /// Another language whose programs run without being built, or that describes a build: Perl, Ruby, `CMake`, …
    Script,
    /// The same, where variables are in camel case as the names of attributes are: JavaScript.
    Camel,
    /// A language whose programs are built first.
    Compiled,
    /// Settings and lists.
    Data,
    /// For people, for other tools than the build's, or Nix expressions: never run by a build.
    Document,
    /// What scripts are made from (m4): shell, but between other texts.
    Macro,
    /// A text whose name has an end that is not known.
    Other,
    /// A text without a known name, which may be a script.
    Unknown,
}

/// Directories at whose name a file is for a service of the project's host.
const SERVICES: &[&str] = &[
    ".github",
    ".gitlab",
    ".circleci",
    ".travis",
    ".ci",
    ".buildkite",
    ".semaphore",
    ".git",
    ".azure-pipelines",
    "autom4te.cache",
];

/// Directories for things that no build runs, though people may: what lists the environment there is no proof of a read.
const ASIDE: &[&str] = &[
    "example",
    "examples",
    "contrib",
    "doc",
    "docs",
    "test",
    "tests",
    "t",
    "xt",
    "testsuite",
    "testing",
    "unittests",
    "spec",
    "demo",
    "demos",
    "sample",
    "samples",
    "completion",
    "completions",
    "os400",
    "vms",
    "win32",
    "windows",
    "msvc",
    "benchmark",
    "benchmarks",
    "bench",
    "fuzz",
    "fuzzing",
    "test-suite",
    "tutorial",
    "tutorials",
    "gnulib-tests",
    "ci",
    "debian",
    "packaging",
];

/// Whether nothing that lists the environment in this file counts, because no build runs it.
pub fn is_aside(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let is_test = |name: &str| {
        name.starts_with("test_")
            || name.contains("_test.")
            || name.contains("-test.")
            || name.contains("_spec.")
            || name.contains(".test.")
    };
    let is_known = KNOWN.iter().any(|(end, _)| path.ends_with(end));
    is_known
        || is_test(&name)
        || name.contains("complet")
        || path
            .parent()
            .is_some_and(|path| path.iter().any(|part| ASIDE.iter().any(|aside| part.eq_ignore_ascii_case(aside))))
}

/// Files that list the environment for another purpose than to build with it, with what they are.
const KNOWN: &[(&str, &str)] = &[
    ("Util/reporter", "zsh: prints a user's set-up for a report of a bug"),
    ("mesonbuild/mtest.py", "meson: writes it into the log of its tests"),
    ("setenv.c", "gnulib's replacements for what a C library lacks"),
    ("unsetenv.c", "the same"),
    ("putenv.c", "the same"),
    ("getenv.c", "the same"),
];

const BY_EXTENSION: &[(Kind, &[&str])] = &[
    (Kind::Shell, &["sh", "bash", "ksh", "dash", "ash", "bats", "command", "envrc"]),
    (Kind::Macro, &["ac", "m4", "at"]),
    (Kind::Make, &["mk", "mak", "make", "makefile", "gmk", "am"]),
    (Kind::Python, &["py", "pyw", "pyi", "pyx", "pxd", "pxi", "scons", "bzl", "gyp", "gypi"]),
    (
        Kind::Script,
        &[
            "pl", "pm", "t", "plx", "perl", "rb", "rake", "gemspec", "ru", "coffee", "lua", "tcl", "tk", "itcl", "exp",
            "php", "awk", "gawk", "r", "jl", "ex", "exs", "erl", "escript", "hrl", "scm", "ss", "sld", "rkt", "lisp",
            "lsp", "cl", "el", "cmake", "gn", "gni", "vim", "ps1", "raku", "p6", "nims", "nimble", "just", "pri",
            "pro", "prf", "qbs", "ninja", "sed", "bat", "cmd", "clj", "sbt", "fsx", "csx", "janet", "fnl", "zsh",
            "fish", "csh", "jq",
        ],
    ),
    (Kind::Camel, &["js", "mjs", "cjs", "ts", "mts", "cts", "jsx", "tsx", "groovy", "gradle", "kts", "dart"]),
    (
        Kind::Compiled,
        &[
            "c", "h", "cc", "cpp", "cxx", "c++", "hh", "hpp", "hxx", "h++", "inl", "ipp", "tcc", "cu", "m", "mm", "go",
            "rs", "java", "kt", "scala", "cs", "fs", "vb", "hs", "lhs", "hsc", "ml", "mli", "mll", "mly", "zig", "nim",
            "d", "swift", "adb", "ads", "f", "f90", "f95", "f03", "for", "pas", "pp", "v", "cr", "y", "l", "yy", "ll",
            "vala", "s", "asm", "gperf", "idl", "proto", "sml", "elm", "purs", "hx", "odin", "c3", "cppm", "re", "res",
        ],
    ),
    (
        Kind::Data,
        &[
            "json",
            "json5",
            "jsonc",
            "toml",
            "yaml",
            "yml",
            "ini",
            "cfg",
            "conf",
            "config",
            "properties",
            "list",
            "lst",
            "csv",
            "tsv",
            "txt",
            "env",
            "xml",
            "plist",
            "cabal",
            "opam",
            "def",
            "desktop",
            "spec",
            "names",
            "data",
            "dat",
        ],
    ),
    (
        Kind::Document,
        &[
            "md",
            "markdown",
            "rst",
            "adoc",
            "asciidoc",
            "texi",
            "texinfo",
            "txi",
            "html",
            "htm",
            "xhtml",
            "css",
            "scss",
            "tex",
            "pod",
            "org",
            "svg",
            "po",
            "pot",
            "1",
            "2",
            "3",
            "4",
            "5",
            "6",
            "7",
            "8",
            "9",
            "nix",
            "man",
            "mdx",
            "diff",
            "patch",
            "rnc",
            "xsl",
            "xslt",
            "dtd",
            "info",
            "news",
            "bib",
            "log",
            "lock",
            "sum",
            "ipynb",
            "eps",
            "ps",
            "docbook",
            "dbk",
            "map",
            "3pm",
            "1m",
            "mdoc",
            "roff",
            "tmlanguage",
            "snap",
            "rtf",
            "wiki",
            "textile",
            "rdoc",
        ],
    ),
];

const BY_NAME: &[(Kind, &[&str])] = &[
    (Kind::Make, &["makefile", "gnumakefile", "makefile-dist", "makevars", "makefile.pre"]),
    (Kind::Python, &["sconstruct", "sconscript", "wscript", "waf", "build.bazel", "build", "workspace"]),
    (
        Kind::Script,
        &[
            "cmakelists.txt",
            "meson.build",
            "meson.options",
            "meson_options.txt",
            "rakefile",
            "gemfile",
            "justfile",
            "dune",
            "dune-project",
            "build.gn",
            "makefile.pl",
            "build.pl",
        ],
    ),
    (
        Kind::Shell,
        &[
            "configure",
            "config.guess",
            "config.sub",
            "install-sh",
            "missing",
            "depcomp",
            "ltmain.sh",
            "libtool",
            "pkgbuild",
            "apkbuild",
            "bootstrap",
            "autogen",
        ],
    ),
    (
        Kind::Document,
        &[
            "changelog",
            "changes",
            "news",
            "readme",
            "copying",
            "license",
            "licence",
            "authors",
            "thanks",
            "todo",
            "install",
            "contributing",
            "history",
            "dockerfile",
            "vagrantfile",
            "jenkinsfile",
            "codeowners",
            "tags",
            "manifest",
        ],
    ),
];

/// The kind of a file.
pub fn of(path: &Path, head: &[u8]) -> Kind {
    if path.iter().any(|part| SERVICES.iter().any(|service| part == *service)) {
        return Kind::Document;
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let hidden = name.trim_start_matches('.');
    let services = [
        "gitlab-ci",
        "travis",
        "appveyor",
        "cirrus",
        "azure-pipelines",
        "gitignore",
        "gitattributes",
        "dockerignore",
        "npmignore",
    ];
    let is_info = name.rsplit_once(".info").is_some_and(|(_, rest)| rest.is_empty() || rest.starts_with('-'));
    if is_info || services.iter().any(|start| hidden.starts_with(start)) {
        return Kind::Document;
    }
    let name = name.strip_suffix(".in").unwrap_or(&name);
    let find = |table: &[(Kind, &[&str])], word: &str| {
        table.iter().find(|(_, words)| words.contains(&word)).map(|(kind, _)| *kind)
    };
    let extension = name.rsplit_once('.').filter(|(before, _)| !before.is_empty()).map(|(_, extension)| extension);
    if let Some(kind) = by_first_line(head) {
        return kind;
    }
    let known = find(BY_NAME, name).or_else(|| extension.and_then(|extension| find(BY_EXTENSION, extension)));
    known.unwrap_or_else(|| {
        let first = name.split(['.', '-', '_']).next().unwrap_or(name);
        match find(BY_NAME, first) {
            Some(kind @ (Kind::Make | Kind::Document)) => kind,
            // `RELEASENOTES` is for people.
            _ if extension.is_some() || is_loud(&path.file_name().unwrap_or_default().to_string_lossy()) => Kind::Other,
            _ => Kind::Unknown,
        }
    })
}

fn is_loud(name: &str) -> bool {
    name.as_bytes().windows(4).any(|four| four.iter().all(u8::is_ascii_uppercase))
}

/// `#!` and the interpreter; `#compdef` and manual pages show themselves too.
fn by_first_line(head: &[u8]) -> Option<Kind> {
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    if line.starts_with(b".TH ") || line.starts_with(b".\\\"") || line.starts_with(b"'\\\"") {
        return Some(Kind::Document);
    }
    let line = String::from_utf8_lossy(line.strip_prefix(b"#!")?).into_owned();
    let mut words = line.split_ascii_whitespace().map(|word| word.rsplit('/').next().unwrap_or(word));
    let program = words.find(|word| *word != "env" && !word.starts_with('-') && !word.contains('='))?;
    let program = program.trim_matches('@').to_ascii_lowercase();
    let program = program.trim_end_matches(|one: char| one.is_ascii_digit() || one == '.');
    Some(match program {
        "sh" | "bash" | "ksh" | "dash" | "ash" | "shell" | "bash_path" | "bats" => Kind::Shell,
        "make" | "gmake" => Kind::Make,
        program if program.starts_with("python") || program.starts_with("pypy") || program == "scons" => Kind::Python,
        "node" | "nodejs" | "deno" | "bun" | "groovy" | "dart" => Kind::Camel,
        _ => Kind::Script,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_first_lines() {
        for (path, head, kind) in [
            ("a/configure", "", Kind::Shell),
            ("a/run", "#!/usr/bin/env -S bash -e\n", Kind::Shell),
            ("tool", "#! /usr/bin/python3\n", Kind::Python),
            ("tool.in", "#!@PERL@\n", Kind::Script),
            ("Makefile.in", "", Kind::Make),
            ("GNUmakefile", "", Kind::Make),
            ("Makefile.common", "", Kind::Make),
            ("a.mk", "", Kind::Make),
            ("Makefile.PL", "", Kind::Script),
            ("src/CMakeLists.txt", "", Kind::Script),
            ("a.c", "", Kind::Compiled),
            ("config.h.in", "", Kind::Compiled),
            ("README.txt", "", Kind::Data),
            ("README", "", Kind::Document),
            ("doc/a.1", "", Kind::Document),
            ("doc/page", ".TH A 1\n", Kind::Document),
            (".github/workflows/ci.yml", "", Kind::Document),
            (".github/run.sh", "#!/bin/sh\n", Kind::Document),
            ("default.nix", "", Kind::Document),
            ("settings.json", "", Kind::Data),
            ("gen", "env | grep x\n", Kind::Unknown),
        ] {
            assert_eq!(of(Path::new(path), head.as_bytes()), kind, "{path}");
        }
    }
}
