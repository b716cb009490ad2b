//! nix-lib as it is embedded in this program and inlined in `split.nix`.

use super::escape::nix_indented_string;
use crate::phase::scope_table;

const SPLITTER: &str = include_str!("../../nix-lib/split.nix");
const SCOPE: &str = include_str!("../../nix-lib/scope.nix");
const LATE_INPUTS: &str = include_str!("../../nix-lib/late-inputs.nix");
const TEXT: &str = include_str!("../../nix-lib/text.nix");
const CUT: &str = include_str!("../../nix-lib/cut.nix");

/// The stage runtime's parts in the order of their names, which is the order `nix-lib/default.nix` joins them in: the two
/// must give the same text, for `--lib` and the inlined library to give the same derivations.
const RUNTIME: [&str; 10] = [
    include_str!("../../nix-lib/runtime/10-options.sh"),
    include_str!("../../nix-lib/runtime/20-build-directory.sh"),
    include_str!("../../nix-lib/runtime/30-environment.sh"),
    include_str!("../../nix-lib/runtime/40-shell-state.sh"),
    include_str!("../../nix-lib/runtime/45-shell-script.sh"),
    include_str!("../../nix-lib/runtime/50-mentions.sh"),
    include_str!("../../nix-lib/runtime/60-phases.sh"),
    include_str!("../../nix-lib/runtime/70-keep-failed.sh"),
    include_str!("../../nix-lib/runtime/80-outside.sh"),
    include_str!("../../nix-lib/runtime/90-stage.sh"),
];

/// The stage runtime as one script.
pub fn runtime() -> String {
    RUNTIME.concat()
}

/// The library's parts as the template places them.
pub(super) struct Inlined {
    pub splitter: String,
    pub scope: String,
    pub scopes: String,
    pub late_inputs: String,
    pub text: String,
    pub cut: String,
    /// A Nix string.
    pub runtime: String,
}

impl Inlined {
    pub(super) fn new() -> Self {
        Self {
            splitter: indented(SPLITTER, 6),
            scope: indented(SCOPE, 12),
            scopes: indented(scope_table(), 14),
            late_inputs: indented(LATE_INPUTS, 14),
            text: indented(TEXT, 14),
            cut: indented(CUT, 10),
            runtime: nix_indented_string(&runtime(), 10),
        }
    }
}

/// Nix text moved to the right. This keeps its meaning only as long as no double-quoted string runs over a line's end; a
/// test asks Nix.
fn indented(text: &str, by: usize) -> String {
    let margin = " ".repeat(by);
    let lines: Vec<String> = text
        .trim_end()
        .lines()
        .map(|line| if line.is_empty() { String::new() } else { format!("{margin}{line}") })
        .collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::testing::{evaluate, parse};
    use pretty_assertions::assert_eq;

    #[test]
    fn the_runtime_is_every_part_that_is_there() {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/nix-lib/runtime");
        let mut files: Vec<_> = std::fs::read_dir(directory)
            .expect("nix-lib/runtime")
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "sh"))
            .collect();
        files.sort();
        let whole: String = files.iter().map(|file| std::fs::read_to_string(file).expect("a script")).collect();
        assert_eq!(runtime(), whole);
    }

    #[test]
    fn moving_nix_text_keeps_its_meaning() {
        for text in [SPLITTER, SCOPE, LATE_INPUTS, TEXT, CUT, scope_table()] {
            let (Some(before), Some(after)) = (parse(text), parse(&indented(text, 7))) else { return };
            // Nix prints the names of a `let` in an order that changes from run to run.
            let words = |text: &str| {
                let mut words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
                words.sort();
                words
            };
            assert_eq!(words(&before), words(&after));
        }
    }

    #[test]
    fn the_inlined_runtime_is_the_runtime() {
        let Some(found) = evaluate(&Inlined::new().runtime) else { return };
        assert_eq!(serde_json::from_str::<String>(&found).expect("a string"), runtime());
    }
}
