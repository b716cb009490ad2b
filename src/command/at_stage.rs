//! The word `PKG@STAGE`: where the package ends and the stage begins. Must not know what either is for.

use std::path::Path;

use crate::phase::Stage;

/// PKG and STAGE of `PKG@STAGE`. A file may have such a name, and a flake's URL an `@`: so only the names of stages count,
/// and those of the parts of cut ones (`build-1`).
pub fn split(name: &str) -> (&str, Option<&str>) {
    if Path::new(name).exists() {
        return (name, None);
    }
    let Some((package, stage)) = name.rsplit_once('@') else { return (name, None) };
    let (whole, part) = stage.split_once('-').unwrap_or((stage, "1"));
    let is_stage = whole.parse::<Stage>().is_ok() && part.parse::<u32>().is_ok();
    // A misspelt stage is better told than a missing file `pkg.nix@biuld`.
    if is_stage || Path::new(package).exists() { (package, Some(stage)) } else { (name, None) }
}

/// The words that name a package, with a stage of it: `PKG@STAGE`, or `-E EXPR --at STAGE`.
pub fn joined(words: &[String], stage: &str) -> Vec<String> {
    let mut words = words.to_vec();
    match words.first_mut() {
        Some(package) if package != "-E" => *package = format!("{package}@{stage}"),
        _ => words.extend(["--at".to_owned(), stage.to_owned()]),
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_stands_behind_the_last_at() {
        let missing = [
            ("pkg.nix@build", ("pkg.nix", Some("build"))),
            ("a@b.nix@unpack", ("a@b.nix", Some("unpack"))),
            (".#hello@install", (".#hello", Some("install"))),
            ("nixpkgs#hello@build-1", ("nixpkgs#hello", Some("build-1"))),
            ("git+ssh://git@host/x#y", ("git+ssh://git@host/x#y", None)),
            ("git+ssh://git@host/x#y@check", ("git+ssh://git@host/x#y", Some("check"))),
            ("./hello@2.nix", ("./hello@2.nix", None)),
            ("Cargo.toml@biuld", ("Cargo.toml", Some("biuld"))),
            ("src@biuld", ("src", Some("biuld"))),
            ("Cargo.toml", ("Cargo.toml", None)),
        ];
        for (name, expected) in missing {
            assert_eq!(split(name), expected);
        }
    }

    #[test]
    fn an_expression_has_no_place_for_an_at() {
        let of = |words: &str| joined(&words.split(' ').map(str::to_owned).collect::<Vec<_>>(), "build").join(" ");
        assert_eq!(of("pkg.nix -A x"), "pkg.nix@build -A x");
        assert_eq!(of("-E expr --pkgs host"), "-E expr --pkgs host --at build");
    }
}
