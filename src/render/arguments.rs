//! The arguments of `split` that only the user's wish puts into split.nix. The other side: `splitPackage` in
//! `nix-lib/split.nix`.

use super::{attribute_name, list, nix_string};
use crate::plan::Overrides;

/// A line for each, `name = value;`; none where nothing is asked.
pub(super) fn lines(overrides: &Overrides) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(trust) = overrides.trust {
        lines.push(format!("trust = {};", nix_string(trust.name())));
    }
    if !overrides.scope.is_empty() {
        // The same attribute may be named twice, Nix takes it once.
        let mut scope = overrides.scope.clone();
        scope.sort();
        scope.dedup();
        let pairs =
            scope.iter().map(|(name, stage)| format!("{} = {};", attribute_name(name), nix_string(stage.name())));
        lines.push(set("scope", pairs));
    }
    if !overrides.late_inputs.is_empty() {
        let pairs = overrides.late_by_stage().into_iter().map(|(stage, names)| {
            let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
            format!("{stage} = {};", list(&names, stage.name().len() + 7, 4))
        });
        lines.push(set("lateInputs", pairs));
    }
    if let Some(stage) = overrides.reads_all {
        lines.push(format!("readsAll = {};", nix_string(stage.name())));
    }
    if let Some(pin) = &overrides.pin {
        let pairs =
            [format!("stage = {};", nix_string(pin.stage.name())), format!("state = {};", nix_string(&pin.state))];
        lines.push(set("pin", pairs.into_iter()));
    }
    lines
}

/// `name = { … };` with a pair on each line.
fn set(name: &str, pairs: impl Iterator<Item = String>) -> String {
    let pairs: Vec<String> = pairs.collect();
    format!("{name} = {{\n    {}\n  }};", pairs.join("\n    "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phase::Stage;
    use crate::plan::{Pin, Trust};
    use crate::render::testing::evaluate;
    use pretty_assertions::assert_eq;

    fn all() -> Overrides {
        Overrides {
            trust: Some(Trust::Text),
            scope: vec![("odd \"${name}".to_owned(), Stage::Install), ("FOO".to_owned(), Stage::Build)],
            late_inputs: vec![
                (Stage::Install, vec!["makeWrapper".to_owned()]),
                (Stage::Install, vec!["gtk+".to_owned()]),
            ],
            reads_all: Some(Stage::Configure),
            pin: Some(Pin { stage: Stage::Build, state: "/nix/store/x".to_owned() }),
        }
    }

    #[test]
    fn nothing_asked_nothing_written() {
        assert_eq!(lines(&Overrides::default()), Vec::<String>::new());
    }

    #[test]
    fn nix_reads_what_was_asked() {
        let Some(found) = evaluate(&format!("{{ {} }}", lines(&all()).join("\n"))) else { return };
        let found: serde_json::Value = serde_json::from_str(&found).expect("JSON");
        let expected = serde_json::json!({
            "trust": "text",
            "scope": { "FOO": "build", "odd \"${name}": "install" },
            "lateInputs": { "install": ["makeWrapper", "gtk+"] },
            "readsAll": "configure",
            "pin": { "stage": "build", "state": "/nix/store/x" },
        });
        assert_eq!(found, expected);
    }
}
