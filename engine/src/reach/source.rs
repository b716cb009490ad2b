//! What texts run that is no part of themselves: files of the source, before the phases that build it; and the files that
//! they name, in the store and in the tree.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use super::names;
use super::shell::{self, Kind, Node, Simple};
use super::values;

/// Commands that run nothing of the source, whatever their arguments are: builtins, and tools for files and texts.
const PLAIN: &[&str] = &[
    // Words of the parser for the heads of `for`, `case` and tests.
    "for",
    "case",
    "select",
    "in",
    "esac",
    "if",
    "then",
    "[[",
    "[",
    "test",
    "{",
    "}",
    "do",
    "done",
    // Builtins.
    ":",
    "true",
    "false",
    "alias",
    "bg",
    "break",
    "caller",
    "cd",
    "compgen",
    "continue",
    "declare",
    "dirs",
    "disown",
    "echo",
    "eval",
    "exit",
    "export",
    "fg",
    "getopts",
    "hash",
    "jobs",
    "kill",
    "let",
    "local",
    "mapfile",
    "popd",
    "printf",
    "pushd",
    "pwd",
    "read",
    "readarray",
    "readonly",
    "return",
    "set",
    "shift",
    "shopt",
    "trap",
    "type",
    "typeset",
    "ulimit",
    "umask",
    "unalias",
    "unset",
    "wait",
    "command",
    "builtin",
    "exec",
    "time",
    "!",
    // Files.
    "basename",
    "cat",
    "chgrp",
    "chmod",
    "chown",
    "cmp",
    "comm",
    "cp",
    "dd",
    "df",
    "diff",
    "dirname",
    "du",
    "file",
    "install",
    "link",
    "ln",
    "ls",
    "mkdir",
    "mkfifo",
    "mktemp",
    "mv",
    "readlink",
    "realpath",
    "rename",
    "rm",
    "rmdir",
    "rsync",
    "shred",
    "split",
    "csplit",
    "stat",
    "sync",
    "tee",
    "touch",
    "tree",
    "truncate",
    "unlink",
    "which",
    "whereis",
    "lndir",
    "cpio",
    "getfacl",
    "setfacl",
    "setfattr",
    // Texts.
    "base32",
    "base64",
    "bc",
    "column",
    "crudini",
    "cut",
    "dos2unix",
    "ed",
    "egrep",
    "envsubst",
    "expand",
    "expr",
    "fgrep",
    "fmt",
    "fold",
    "grep",
    "head",
    "hexdump",
    "iconv",
    "join",
    "jq",
    "yq",
    "toml2json",
    "json2toml",
    "nl",
    "od",
    "paste",
    "rev",
    "rg",
    "sed",
    "gsed",
    "seq",
    "shuf",
    "sort",
    "sponge",
    "strings",
    "tac",
    "tail",
    "tr",
    "tsort",
    "unexpand",
    "uniq",
    "unix2dos",
    "wc",
    "xmlstarlet",
    "xmllint",
    "xxd",
    "xsltproc",
    "awk",
    "gawk",
    "patch",
    "quilt",
    "replace",
    "dasel",
    "tomlq",
    // Archives.
    "7z",
    "7za",
    "7zz",
    "ar",
    "bsdtar",
    "bunzip2",
    "bzcat",
    "bzip2",
    "cabextract",
    "dpkg",
    "dpkg-deb",
    "gunzip",
    "gzip",
    "lzip",
    "lzma",
    "rpm2cpio",
    "tar",
    "unar",
    "undmg",
    "unrar",
    "unsquashfs",
    "unxz",
    "unzip",
    "unzstd",
    "xz",
    "xzcat",
    "zcat",
    "zip",
    "zstd",
    "zstdcat",
    "innoextract",
    "appimage-exec.sh",
    "ranlib",
    // Sums, and what asks the machine.
    "b2sum",
    "cksum",
    "date",
    "getconf",
    "hostname",
    "id",
    "md5sum",
    "nproc",
    "sha1sum",
    "sha256sum",
    "sha512sum",
    "sleep",
    "sum",
    "uname",
    "whoami",
    "arch",
    "printenv",
    "env",
    // Programs that change files of programs.
    "nm",
    "objcopy",
    "objdump",
    "patchelf",
    "readelf",
    "strip",
    "install_name_tool",
    "codesign",
    "nix-store",
    "nix-hash",
    "git",
    "hg",
    // nixpkgs' functions, where they are not among the shell's.
    "substitute",
    "substituteInPlace",
    "substituteAll",
    "substituteAllInPlace",
    "patchShebangs",
    "runHook",
    "unpackFile",
    "stripHash",
    "nixLog",
    "echoCmd",
    "addToSearchPath",
    "makeWrapper",
    "wrapProgram",
    "removeReferencesTo",
    "remove-references-to",
    "moveToOutput",
    "autoreconf",
    "genericBuild",
    "installManPage",
];

/// Programs that run what is behind these arguments.
const CALLERS: &[&str] = &[
    "xargs", "nice", "nohup", "timeout", "stdbuf", "setsid", "sudo", "fakeroot", "env", "command", "builtin", "exec",
    "time",
];

/// The first command in a text that may run something of the source: no plain tool, and no function of the shell.
pub fn runs(text: &[u8], functions: &HashMap<Vec<u8>, Vec<u8>>) -> Option<String> {
    let script = shell::parse(text);
    let mut found = None;
    shell::each_command(&script.nodes, &mut |command| {
        if found.is_none() && may_run(command, functions) {
            let words: Vec<_> = command.words.iter().take(3).map(|word| String::from_utf8_lossy(word)).collect();
            found = Some(words.join(" "));
        }
    });
    found
}

fn may_run(command: &Simple, functions: &HashMap<Vec<u8>, Vec<u8>>) -> bool {
    let Some((name, arguments)) = names::split(command) else { return false };
    is_runner(&name, arguments, functions)
}

fn is_runner(name: &[u8], arguments: &[&[u8]], functions: &HashMap<Vec<u8>, Vec<u8>>) -> bool {
    if name.is_empty() || name.starts_with(b"((") || functions.contains_key(name) {
        return false;
    }
    let base = name.rsplit(|byte| *byte == b'/').next().unwrap_or(name);
    let shown = String::from_utf8_lossy(base);
    let has = |flag: &[u8]| arguments.contains(&flag);
    let program = if base == b"." { base } else { names::trimmed(base) };
    match program {
        b"." | b"source" => return arguments.first().is_some_and(|file| !is_setup(file)),
        // Only texts: `perl -pi -e 's/a/b/' file`.
        b"perl" => return !arguments.iter().any(|word| is_short(word, b'e')),
        // Their script is a file.
        b"awk" | b"gawk" | b"mawk" | b"nawk" | b"sed" | b"gsed" | b"jq"
            if arguments
                .iter()
                .any(|word| is_short(word, b'f') || word.starts_with(b"--file") || *word == b"--from-file") =>
        {
            return true;
        }
        b"find" => {
            let run = arguments.iter().position(|word| matches!(*word, b"-exec" | b"-execdir" | b"-ok"));
            return run.is_some_and(|at| called(&arguments[at + 1..], functions));
        }
        b"sh" | b"bash" => {
            // A text of its own, or a file.
            let text = arguments.iter().position(|word| is_short(word, b'c')).and_then(|at| arguments.get(at + 1));
            return text.is_none_or(|text| {
                let inner = shell::unquoted(text);
                runs(&inner, functions).is_some()
            });
        }
        // Without a program it lists.
        b"env" if !has(b"--") => return called(arguments, functions),
        _ => {}
    }
    if CALLERS.contains(&&*shown) {
        return called(arguments, functions);
    }
    // A path of the source, even if it ends like a tool.
    let is_relative = name.contains(&b'/') && !name.starts_with(b"/");
    is_relative || !PLAIN.contains(&&*shown)
}

/// Behind the options and settings of a program that calls another.
fn called(arguments: &[&[u8]], functions: &HashMap<Vec<u8>, Vec<u8>>) -> bool {
    let is_own = |word: &[u8]| {
        word.starts_with(b"-")
            || word.contains(&b'=')
            || word.iter().all(|byte| byte.is_ascii_digit() || matches!(byte, b's' | b'{' | b'}' | b'%'))
    };
    let first = arguments.iter().position(|word| !is_own(word));
    first.is_some_and(|at| is_runner(&shell::unquoted(arguments[at]), &arguments[at + 1..], functions))
}

fn is_short(word: &[u8], flag: u8) -> bool {
    word.starts_with(b"-") && !word.starts_with(b"--") && word.contains(&flag)
}

fn is_setup(file: &[u8]) -> bool {
    matches!(&shell::unquoted(file)[..], b"$stdenv/setup" | b"${stdenv}/setup")
}

/// The functions that a script defines at its top level.
pub fn defined(text: &[u8]) -> HashSet<Vec<u8>> {
    fn each(text: &[u8], nodes: &[Node], found: &mut HashSet<Vec<u8>>) {
        for node in nodes {
            match &node.kind {
                Kind::Function(_) => {
                    let rest = &text[node.range.clone()];
                    let rest = rest.strip_prefix(b"function").unwrap_or(rest).trim_ascii_start();
                    let end =
                        rest.iter().position(|byte| byte.is_ascii_whitespace() || *byte == b'(').unwrap_or(rest.len());
                    found.insert(rest[..end].to_vec());
                }
                Kind::Compound(nodes) => each(text, nodes, found),
                Kind::Simple(_) => {}
            }
        }
    }
    let mut found = HashSet::new();
    each(text, &shell::parse(text).nodes, &mut found);
    found
}

/// The text of a script outside its functions.
pub fn outside(text: &[u8]) -> Vec<u8> {
    let script = shell::parse(text);
    let nodes = script.nodes.iter().filter(|node| !matches!(node.kind, Kind::Function(_)));
    nodes.flat_map(|node| [&text[node.range.clone()], b"\n"].concat()).collect()
}

/// The value of a variable that is one text.
fn value(variables: &HashMap<Vec<u8>, Vec<u8>>, name: &[u8]) -> Option<Vec<u8>> {
    let value = values(variables.get(name)?);
    Some(value.trim_ascii_end().to_vec())
}

/// The paths in a text that begin in the store, or with a variable (`$src/build.sh`).
pub fn store_paths(text: &[u8], variables: &HashMap<Vec<u8>, Vec<u8>>) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let store = b"/nix/store/";
    for at in memchr::memmem::find_iter(text, store) {
        found.push(path_at(text, at));
    }
    for at in memchr::memchr_iter(b'$', text) {
        let rest = &text[at + 1..];
        let braced = rest.strip_prefix(b"{");
        let inner = braced.unwrap_or(rest);
        let length = inner.iter().take_while(|byte| shell::is_name(**byte)).count();
        let Some(value) = value(variables, &inner[..length]).filter(|value| value.starts_with(store)) else { continue };
        let mut behind = &inner[length..];
        if braced.is_some() {
            let Some(rest) = behind.strip_prefix(b"}") else { continue };
            behind = rest;
        }
        let behind = behind.strip_prefix(b"\"").unwrap_or(behind);
        // A list of them.
        for word in value.split(u8::is_ascii_whitespace) {
            found.push(path_at(&[word, behind].concat(), 0));
        }
    }
    found.into_iter().filter(|path| is_source(path)).collect()
}

fn path_at(text: &[u8], at: usize) -> PathBuf {
    let is_part =
        |byte: &u8| shell::is_name(*byte) || matches!(byte, b'/' | b'.' | b'-' | b'+' | b'?' | b'=' | b'@' | b',');
    let length = text[at..].iter().take_while(|byte| is_part(byte)).count();
    let path = &text[at..at + length];
    let path = path.strip_suffix(b".").unwrap_or(path);
    PathBuf::from(String::from_utf8_lossy(path).into_owned())
}

/// Whether a path may be of a source: not in what an input brings, which has `bin` and its like.
fn is_source(path: &std::path::Path) -> bool {
    let mut parts = path.iter().skip(4);
    !parts.any(|part| {
        matches!(part.to_str(), Some("bin" | "lib" | "libexec" | "sbin" | "share" | "nix-support" | "include"))
    }) && path.iter().count() > 3
}

/// The files of the tree that a text sources, as far as it says where they are.
pub fn sourced(text: &[u8], variables: &HashMap<Vec<u8>, Vec<u8>>) -> Vec<PathBuf> {
    let mut found = Vec::new();
    shell::each_command(&shell::parse(text).nodes, &mut |command| {
        if let Some((name, [file, ..])) = names::split(command)
            && matches!(&name[..], b"source" | b".")
        {
            let file = shell::unquoted(file);
            let path = match file.strip_prefix(b"$") {
                None => Some(file.clone()),
                Some(rest) => {
                    let rest = rest.strip_prefix(b"{").unwrap_or(rest);
                    let length = rest.iter().take_while(|byte| shell::is_name(**byte)).count();
                    let behind = rest[length..].strip_prefix(b"}").unwrap_or(&rest[length..]);
                    value(variables, &rest[..length]).map(|value| [&value[..], behind].concat())
                }
            };
            let path = path.filter(|path| !path.contains(&b'$') && !path.is_empty());
            found.extend(path.map(|path| PathBuf::from(String::from_utf8_lossy(&path).into_owned())));
        }
    });
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(text: &str) -> bool {
        runs(text.as_bytes(), &HashMap::from([(b"ownTool".to_vec(), Vec::new())])).is_some()
    }

    #[test]
    fn what_runs_something_of_the_source() {
        for text in [
            "bash ./autogen.sh",
            "./autogen.sh",
            "sh autogen.sh --x",
            "python3 setup.py sdist",
            "python -c 'import tool'",
            "perl gen.pl >x",
            "make -f other.mk",
            ". ./settings",
            "source build/env.sh",
            "cd x && ./run",
            "(cd x; ./run)",
            "x=$(./version.sh)",
            "find . -name '*.sh' -exec bash {} \\;",
            "ls *.sh | xargs -n1 bash",
            "env X=1 ./run",
            "nice -n 5 ./run",
            "timeout 5 ./run",
            "bash -c './run'",
            "if true; then node gen.js; fi",
            "unknown-program",
            "\"$program\" x",
            "scripts/sed x",
            "autogen",
        ] {
            assert!(run(text), "{text}");
        }
    }

    #[test]
    fn what_does_not() {
        for text in [
            "substituteInPlace x --replace-fail a b",
            "sed -i 's/a/b/' x",
            "patchShebangs .",
            "rm -rf x; mkdir y; cp -r a b; mv c d; chmod +x e; ln -s f g; touch h",
            "find . -name x -delete",
            "find . -type f -exec chmod -x {} +",
            "find . | xargs sed -i s/a/b/",
            "perl -pi -e 's/a/b/' x",
            "perl -0pe 's/a/b/' x",
            "echo '#!/bin/sh' >x; cat >y <<EOF\n./run\nEOF",
            "for x in *.c; do sed -i x $x; done",
            "case $x in a) rm b ;; esac",
            "export X=1 Y=$(date)",
            "ownTool ./x",
            "bash -c 'rm x'",
            "/nix/store/aaa-x/bin/sed -i x y",
            "[ -e x ] && tar xf x.tar",
            ". $stdenv/setup",
            "((x > 1))",
        ] {
            assert!(!run(text), "{text}");
        }
    }

    #[test]
    fn paths_of_the_store() {
        let variables = HashMap::from([
            (b"src".to_vec(), b"declare -x src=\"/nix/store/aaaa-src\"".to_vec()),
            (b"tool".to_vec(), b"declare -x tool=\"/nix/store/bbbb-tool\"".to_vec()),
            (b"x".to_vec(), b"declare -x x=\"y\"".to_vec()),
        ]);
        let paths = |text: &str| {
            let found = store_paths(text.as_bytes(), &variables);
            found.iter().map(|path| path.display().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(
            paths("bash $src/build.sh \"${src}/a\" \"$src\"/b $x"),
            ["/nix/store/aaaa-src/build.sh", "/nix/store/aaaa-src/a", "/nix/store/aaaa-src/b"]
        );
        assert_eq!(paths("bash /nix/store/cccc-helper.sh; $tool/bin/x"), ["/nix/store/cccc-helper.sh"]);
        assert_eq!(paths("make -C $src"), ["/nix/store/aaaa-src"]);
    }

    #[test]
    fn functions_and_what_is_outside_them() {
        let text = b"a() { x; }\nfunction b { y; }\nif c; then d() { :; }; fi\ne f\n";
        let names = defined(text);
        assert_eq!(names, HashSet::from([b"a".to_vec(), b"b".to_vec(), b"d".to_vec()]));
        let outside = String::from_utf8(outside(text)).unwrap();
        assert!(outside.contains("e f") && !outside.contains("x;"), "{outside}");
    }
}
