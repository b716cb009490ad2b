//! What the argument `PKG` names.
//!
//! Owns the rules by which the argument's text is told apart: a file, a directory, a flake
//! reference, a `.drv`. Facts about the file system are passed in, so that the rules can be tested
//! without one.

use std::path::{Path, PathBuf};

use crate::diagnostic::Problem;

/// The package a user named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pkg {
    /// A `.nix` file, also the one chosen in a directory.
    File(PathBuf),
    /// The text of `-E EXPR`.
    Expression(String),
    /// A flake reference: `.#hello`, `nixpkgs#hello`, `github:owner/repo`.
    Flake {
        /// Before the `#`: `.`, `nixpkgs`. Empty stands for `.`.
        reference: String,
        /// After the `#`; empty for the default package.
        attribute: String,
    },
    /// A `.drv` file.
    Drv(PathBuf),
}

/// What lies at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A file that can be read as one (also through a symlink).
    File,
    /// A directory.
    Directory,
    /// Nothing, or something that cannot be looked at.
    Missing,
}

/// Facts about the file system that [`classify`] asks for.
pub trait Files {
    /// What lies at `path`, symlinks followed.
    fn kind(&self, path: &Path) -> Kind;
}

impl<F: Fn(&Path) -> Kind> Files for F {
    fn kind(&self, path: &Path) -> Kind {
        self(path)
    }
}

/// The files that stand for a directory, in the order in which they are looked for.
pub const DIRECTORY_FILES: [&str; 2] = ["default.nix", "package.nix"];

/// Tells what `argument` names. What exists as a path is that path, even if it holds a `#`.
///
/// # Errors
/// A [`Problem`] if nothing is there under that name, or a directory holds no package.
pub fn classify(argument: &str, files: &impl Files) -> Result<Pkg, Problem> {
    if argument.is_empty() {
        return Err(Problem::new("input/empty", "the name of the package is empty")
            .help("name a `.nix` file, a directory, a flake reference like `.#hello` or a `.drv`"));
    }
    let path = Path::new(argument);
    match files.kind(path) {
        Kind::File if has_extension(argument, "drv") => Ok(Pkg::Drv(path.to_owned())),
        Kind::File => Ok(Pkg::File(path.to_owned())),
        Kind::Directory => directory(path, files),
        Kind::Missing => missing(argument),
    }
}

fn directory(path: &Path, files: &impl Files) -> Result<Pkg, Problem> {
    let found = DIRECTORY_FILES.iter().map(|name| path.join(name)).find(|file| files.kind(file) == Kind::File);
    if let Some(file) = found {
        return Ok(Pkg::File(file));
    }
    let shown = path.display();
    let problem = Problem::new(
        "input/directory",
        format!("the directory `{shown}` holds neither `default.nix` nor `package.nix`"),
    );
    Err(if files.kind(&path.join("flake.nix")) == Kind::File {
        let reference = if path.is_absolute() || path.starts_with(".") || path.starts_with("..") {
            shown.to_string()
        } else {
            format!("./{shown}")
        };
        problem.help(format!("it is a flake: write `{reference}#` for its default package, or `{reference}#NAME`"))
    } else {
        problem.help("name the package's file")
    })
}

fn missing(argument: &str) -> Result<Pkg, Problem> {
    if let Some((reference, attribute)) = argument.split_once('#') {
        return Ok(flake(reference, attribute));
    }
    if FLAKE_SCHEMES.iter().any(|scheme| argument.starts_with(scheme)) {
        return Ok(flake(argument, ""));
    }
    let problem = Problem::new("input/missing", format!("there is no file `{argument}`"));
    Err(if has_extension(argument, "drv") {
        problem.help("`nix-instantiate` makes a `.drv`; an old one may have been collected")
    } else if looks_like_expression(argument) {
        problem.help("an expression follows `-E`")
    } else if is_bare_name(argument) {
        problem.help(format!(
            "for a package of nixpkgs write `nixpkgs#{argument}`, or `-E '(import <nixpkgs> {{ }}).{argument}'`"
        ))
    } else {
        problem.help("name a `.nix` file, a directory, a flake reference like `.#hello` or a `.drv`")
    })
}

/// The schemes of flake references (Nix manual, "nix flake", Types).
const FLAKE_SCHEMES: [&str; 13] = [
    "flake:",
    "path:",
    "git:",
    "git+",
    "hg+",
    "tarball+",
    "file+",
    "http://",
    "https://",
    "github:",
    "gitlab:",
    "sourcehut:",
    "indirect:",
];

fn flake(reference: &str, attribute: &str) -> Pkg {
    Pkg::Flake { reference: reference.to_owned(), attribute: attribute.to_owned() }
}

fn has_extension(argument: &str, wanted: &str) -> bool {
    Path::new(argument).extension().is_some_and(|extension| extension == wanted)
}

fn looks_like_expression(argument: &str) -> bool {
    argument.contains(['{', '(', ';', ' ', '<'])
}

fn is_bare_name(argument: &str) -> bool {
    argument.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.+".contains(&byte))
        && !has_extension(argument, "nix")
        && !argument.starts_with('.')
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    fn files(path: &Path) -> Kind {
        match path.to_str() {
            Some("a.nix" | "dir/default.nix" | "dir2/package.nix" | "f/flake.nix" | "x.drv" | "odd#name.nix") => {
                Kind::File
            }
            Some("dir" | "dir2" | "f" | "empty") => Kind::Directory,
            _ => Kind::Missing,
        }
    }

    fn ok(argument: &str) -> Pkg {
        classify(argument, &files).expect(argument)
    }

    fn help(argument: &str) -> Box<str> {
        classify(argument, &files).expect_err(argument).help.expect("help")
    }

    #[test]
    fn each_kind_is_told_apart() {
        assert_eq!(ok("a.nix"), Pkg::File("a.nix".into()));
        assert_eq!(ok("odd#name.nix"), Pkg::File("odd#name.nix".into()));
        assert_eq!(ok("dir"), Pkg::File("dir/default.nix".into()));
        assert_eq!(ok("dir2"), Pkg::File("dir2/package.nix".into()));
        assert_eq!(ok("x.drv"), Pkg::Drv("x.drv".into()));
        assert_eq!(ok(".#hello"), flake(".", "hello"));
        assert_eq!(ok("nixpkgs#python3Packages.foo"), flake("nixpkgs", "python3Packages.foo"));
        assert_eq!(ok("#hello"), flake("", "hello"));
        assert_eq!(ok("github:owner/repo"), flake("github:owner/repo", ""));
        assert_eq!(ok("flake:nixpkgs#a"), flake("flake:nixpkgs", "a"));
    }

    #[test]
    fn mistakes_say_what_to_do() {
        assert!(help("hello").contains("nixpkgs#hello"));
        assert!(help("with import <nixpkgs> {}; hello").contains("-E"));
        assert!(help("gone.drv").contains("nix-instantiate"));
        assert!(help("f").contains("./f#"));
        assert!(help("empty").contains("name the package's file"));
        assert!(help("").contains(".nix"));
        assert!(help("gone.nix").contains(".nix"));
    }
}
