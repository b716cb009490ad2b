//! The command that the header of split.nix names: the one that writes the file again, where the file lies.

use std::fmt::Write as _;
use std::path::Path;

use super::expansion::Evaluation;
use super::r#gen::{GenError, GenRequest};
use super::pkgs::PkgsChoice;
use super::place;
use super::subject::Subject;
use crate::phase::Stage;
use crate::plan::Overrides;
use crate::render::Location;

/// The command, the same for every way to ask for the same file; `words` as [`words`] gives them.
pub fn command(request: &GenRequest, words: &[String]) -> String {
    let mut line = format!("phasesplit gen {}", line(words));
    match &request.output {
        Some(output) => {
            let name = output.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
            line.push_str(" -o ");
            line.push_str(&quoted(&name));
        }
        None => line.push_str(" > split.nix"),
    }
    line
}

/// Words as bash reads them.
pub fn line(words: &[String]) -> String {
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

/// What names the package on a command line, and how it is split: PKG, or `-E` and the expression, then the options.
pub fn words(
    request: &GenRequest,
    subject: &Subject,
    pkgs: Option<&PkgsChoice>,
    directory: &Path,
) -> Result<Vec<String>, GenError> {
    let named = |path: &Path| -> Result<String, GenError> {
        Ok(match place::as_named(path, directory)? {
            Location::Absolute(path) | Location::Store(path) => path,
            Location::Relative(components) if components.is_empty() => ".".to_owned(),
            Location::Relative(components) => components.join("/"),
        })
    };
    let mut words = Vec::new();
    let seen = subject.seen_from(directory)?;
    if let Subject::Expression(_) = subject {
        words.push("-E".to_owned());
        words.push(seen);
    } else {
        let plain = seen.strip_prefix("./").filter(|rest| !rest.starts_with('-') && !seen.contains('#'));
        words.push(plain.unwrap_or(&seen).to_owned());
    }
    if let Some(attribute) = &request.attribute {
        words.extend(["-A".to_owned(), attribute.clone()]);
    }
    match pkgs {
        // What the machine chose is said too, so that another machine writes the same file.
        Some(PkgsChoice::Host) => words.extend(["--pkgs".to_owned(), "host".to_owned()]),
        Some(PkgsChoice::Path(path)) => words.extend(["--pkgs".to_owned(), named(path)?]),
        Some(PkgsChoice::Nixpkgs) | None => {}
    }
    if let Some(lib) = &request.lib {
        words.extend(["--lib".to_owned(), named(lib)?]);
    }
    if let Some(stages) = &request.stages {
        words.extend(["--stages".to_owned(), join(stages, ",")]);
    }
    for group in &request.merge {
        words.extend(["--merge".to_owned(), join(group, "+")]);
    }
    words.extend(request.cuts.iter().flat_map(|cut| ["--cut".to_owned(), format!("{}:{}", cut.phase, cut.command)]));
    words.extend(overrides(&request.overrides));
    if request.evaluation == Evaluation::Off {
        words.push("--no-eval".to_owned());
    }
    Ok(words)
}

/// The options for scopes. A pin is none of `gen`: the file that `build --pin` makes is for that build alone.
fn overrides(overrides: &Overrides) -> Vec<String> {
    let trust = overrides.trust.map(|trust| ["--trust".to_owned(), trust.to_string()]);
    let scopes = overrides.scope.iter().map(|(name, stage)| ["--scope".to_owned(), format!("{name}={stage}")]);
    let late = overrides.late_by_stage();
    let late = late.iter().map(|(stage, names)| ["--late".to_owned(), format!("{stage}={}", names.join(","))]);
    let all = overrides.reads_all.map(|stage| ["--reads-all".to_owned(), stage.to_string()]);
    trust.into_iter().chain(scopes).chain(late).chain(all).flatten().collect()
}

fn join(stages: &[Stage], separator: &str) -> String {
    stages.iter().map(|stage| stage.name()).collect::<Vec<_>>().join(separator)
}

/// A word for bash: as it is where that is safe, else in single quotes, or in `$'…'` where it must stay on one line.
fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./+:,=@%".contains(&byte);
    let inside = |byte: u8| plain(byte) || byte == b'#';
    let safe = word.bytes().next().is_some_and(plain) && word.bytes().all(inside);
    if safe {
        word.to_owned()
    } else if word.chars().any(char::is_control) {
        format!("$'{}'", escaped(word))
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// As `$'…'` of bash reads it.
fn escaped(word: &str) -> String {
    let mut out = String::new();
    for character in word.chars() {
        match character {
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            '\\' | '\'' => out.extend(['\\', character]),
            other if other.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(other));
            }
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_for_bash() {
        for (word, text) in [
            ("pkg.nix", "pkg.nix"),
            (".#hello", ".#hello"),
            ("#x", "'#x'"),
            ("odd name", "'odd name'"),
            ("it's", "'it'\\''s'"),
            ("a\nb'", "$'a\\nb\\''"),
            ("", "''"),
            ("<nixpkgs>", "'<nixpkgs>'"),
        ] {
            assert_eq!(quoted(word), text);
        }
    }
}
