use super::*;
use kind::Kind;

pub(super) fn names(words: &str) -> BTreeSet<String> {
    words.split_whitespace().map(str::to_owned).collect()
}

fn search(path: &str, content: &str) -> text::Findings {
    let kind = kind::of(Path::new(path), content.as_bytes());
    in_text(&names("FOO installFlags postInstall tags manifestList"), kind, content.as_bytes(), true)
}

#[test]
fn debug() {
    for (p, c) in [("a.sh", "env | grep -a Flags=")] {
        println!("{:?}", search(p, c));
        let _ = Kind::Shell;
    }
}
