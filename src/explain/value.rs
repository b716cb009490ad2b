//! Two texts with store paths in them: equal but for inputs that changed, or different by themselves.

use similar::TextDiff;

/// Characters of the hash part of a store path's name.
const HASH: usize = 32;
/// Bytes in which a store's directory ends; without a bound a long text of slashes is read over and over.
const DIRECTORY: usize = 256;

/// How two texts differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    /// Not at all.
    Equal,
    /// In store paths alone: what stands in each place before and now.
    Paths(Vec<(String, String)>),
    /// In more than that.
    Text,
}

/// A piece of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'a> {
    Text(&'a str),
    Path(&'a str),
}

/// Compares two texts. `known` are the store paths that the derivation needs: they say where a path's name ends.
pub(super) fn compare(old: &str, new: &str, known: (&[&str], &[&str])) -> Comparison {
    if old == new {
        return Comparison::Equal;
    }
    let (old, new) = (tokens(old, known.0), tokens(new, known.1));
    if old.len() != new.len() {
        return Comparison::Text;
    }
    let mut pairs = Vec::new();
    for pair in old.iter().zip(&new) {
        match pair {
            (Token::Text(a), Token::Text(b)) if a == b => {}
            (Token::Path(a), Token::Path(b)) if a == b => {}
            // zlib in the place of bzip2 is the text's own change; zlib 1.3 in the place of zlib 1.2 is the input's.
            (Token::Path(a), Token::Path(b)) if stem(name_of(a)) == stem(name_of(b)) => {
                pairs.push(((*a).to_owned(), (*b).to_owned()));
            }
            _ => return Comparison::Text,
        }
    }
    Comparison::Paths(pairs)
}

/// The store paths in a text.
pub(super) fn paths<'a>(text: &'a str, known: &[&str]) -> Vec<&'a str> {
    tokens(text, known)
        .into_iter()
        .filter_map(|token| match token {
            Token::Path(path) => Some(path),
            Token::Text(_) => None,
        })
        .collect()
}

fn tokens<'a>(text: &'a str, known: &[&str]) -> Vec<Token<'a>> {
    let mut tokens = Vec::new();
    let (mut done, mut at) = (0, 0);
    while let Some(slash) = text[at..].find('/').map(|found| at + found) {
        if let Some(end) = path_at(text, slash, known) {
            if done < slash {
                tokens.push(Token::Text(&text[done..slash]));
            }
            tokens.push(Token::Path(&text[slash..end]));
            (done, at) = (end, end);
        } else {
            at = slash + 1;
        }
    }
    if done < text.len() {
        tokens.push(Token::Text(&text[done..]));
    }
    tokens
}

/// The end of the store path that begins at `start`: a known one, or, of an unknown one, where its name can go no further.
fn path_at(text: &str, start: usize, known: &[&str]) -> Option<usize> {
    let rest = &text[start..];
    if let Some(path) = known.iter().filter(|path| rest.starts_with(**path)).max_by_key(|path| path.len()) {
        return Some(start + path.len());
    }
    // `/nix/store/`, or another store's directory, is not known here; the hash behind it is what tells a store path.
    let directory =
        rest.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || b"/._-".contains(byte)).take(DIRECTORY);
    let hash_at = rest[..directory.count()].find("/store/")? + "/store/".len();
    let hash = rest.get(hash_at..hash_at + HASH)?;
    let name = rest[hash_at..].get(HASH..)?.strip_prefix('-')?;
    let length = name.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || b"+-._?=".contains(byte)).count();
    let is_hash = hash.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase());
    (is_hash && length > 0).then_some(start + hash_at + HASH + 1 + length)
}

/// The name in a store path, without directory and hash.
pub(super) fn name_of(path: &str) -> &str {
    let base = path.rsplit('/').next().unwrap_or(path);
    let name = base.get(HASH..).and_then(|rest| rest.strip_prefix('-')).unwrap_or(base);
    name.strip_suffix(".drv").unwrap_or(name)
}

/// The hash in a store path, as far as a person compares it.
pub(super) fn short_hash(path: &str) -> &str {
    let base = path.rsplit('/').next().unwrap_or(path);
    base.get(..8).unwrap_or(base)
}

/// A name without its version, by Nix's rule (`builtins.parseDrvName`): the version begins behind the first dash that no letter follows.
pub(super) fn stem(name: &str) -> &str {
    let dash = name.bytes().zip(name.bytes().skip(1)).position(|(a, b)| a == b'-' && !b.is_ascii_alphabetic());
    dash.map_or(name, |at| &name[..at])
}

/// A text for people: of each store path only its name.
pub(super) fn without_hashes(text: &str) -> String {
    let mut short = String::with_capacity(text.len());
    for token in tokens(text, &[]) {
        match token {
            Token::Text(text) => short.push_str(text),
            Token::Path(path) => short.push_str(name_of(path)),
        }
    }
    short
}

/// A unified diff of two texts, with the names of what they are.
///
/// The hashes of store paths are left out where the texts differ without them too: those that changed are told as inputs.
pub fn diff(old: &str, new: &str, names: (&str, &str)) -> String {
    let short = (without_hashes(old), without_hashes(new));
    let (old, new) = if short.0 == short.1 { (old, new) } else { (short.0.as_str(), short.1.as_str()) };
    // A missing newline at the end of both is no news.
    let (old, new) = (with_newline(old), with_newline(new));
    TextDiff::from_lines(&old, &new)
        .unified_diff()
        .context_radius(3)
        .missing_newline_hint(false)
        .header(names.0, names.1)
        .to_string()
}

fn with_newline(text: &str) -> String {
    if text.is_empty() || text.ends_with('\n') { text.to_owned() } else { format!("{text}\n") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    const A: &str = "/nix/store/00000000000000000000000000000000-zlib-1.2";
    const B: &str = "/nix/store/11111111111111111111111111111111-zlib-1.3";
    const C: &str = "/nix/store/22222222222222222222222222222222-bzip2-1.3";

    fn compared(old: &str, new: &str) -> Comparison {
        compare(old, new, (&[], &[]))
    }

    #[test]
    fn a_path_in_the_place_of_its_namesake_is_the_inputs_change() {
        let expected = Comparison::Paths(vec![(A.to_owned(), B.to_owned())]);
        assert_eq!(compared(&format!("-I{A}/include x"), &format!("-I{B}/include x")), expected);
        assert_eq!(compared(&format!("{A} y"), &format!("{C} y")), Comparison::Text);
        assert_eq!(compared(&format!("{A} y"), &format!("{B} z")), Comparison::Text);
        assert_eq!(compared(A, &format!("{A} {B}")), Comparison::Text);
        assert_eq!(compared("", ""), Comparison::Equal);
    }

    #[test]
    fn a_known_path_ends_where_it_ends() {
        let old = "/nix/store/00000000000000000000000000000000-a";
        let new = "/nix/store/11111111111111111111111111111111-a";
        let (texts, known) = ((format!("{old}.txt"), format!("{new}.txt")), ([old], [new]));
        let found = compare(&texts.0, &texts.1, (&known.0, &known.1));
        assert_eq!(found, Comparison::Paths(vec![(old.to_owned(), new.to_owned())]));
        assert_eq!(paths(&texts.0, &known.0), [old]);
    }

    #[test]
    fn names_without_versions() {
        let cases =
            [("zlib-1.2.tar.gz", "zlib"), ("gcc-wrapper-12", "gcc-wrapper"), ("source", "source"), ("a-", "a-")];
        for (name, expected) in cases {
            assert_eq!(stem(name), expected);
        }
        assert_eq!(name_of(A), "zlib-1.2");
        assert_eq!(name_of("/odd"), "odd");
    }

    #[test]
    fn a_diff_has_no_hashes_unless_they_are_the_difference() {
        let (old, new) = (format!("cp {A} a\n"), format!("cp {B} b\n"));
        assert_eq!(
            diff(&old, &new, ("then", "now")),
            "--- then\n+++ now\n@@ -1 +1 @@\n-cp zlib-1.2 a\n+cp zlib-1.3 b\n"
        );
        let other = A.replace('0', "3");
        assert!(diff(A, &other, ("then", "now")).contains(&format!("+{other}\n")));
    }
}
