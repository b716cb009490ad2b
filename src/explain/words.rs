//! What was found, in words: a line for each cause, and a diff where a line cannot show the change.

use std::fmt;

use super::value::{self, short_hash, without_hashes};
use super::{Cause, InputCause, Step, Why};

/// The longest value that is shown whole.
const SHORT: usize = 60;

impl Cause {
    /// The change as a unified diff, where the line of [`fmt::Display`] only names it.
    pub fn diff(&self) -> Option<String> {
        let (name, old, new) = match self {
            Self::Attribute { name, old: Some(old), new: Some(new) } if brief(old, new).is_none() => {
                (name.as_str(), old, new)
            }
            Self::Script { old, new } => ("arguments", old, new),
            Self::Input(input) => {
                let Why::Derivation { causes } = &input.why else { return None };
                return causes.first()?.diff();
            }
            _ => return None,
        };
        Some(value::diff(old, new, (&format!("{name}, before"), &format!("{name}, now"))))
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Attribute { name, old: None, .. } => write!(f, "{name} was added"),
            Self::Attribute { name, new: None, .. } => write!(f, "{name} was removed"),
            Self::Attribute { name, old: Some(old), new: Some(new) } => match brief(old, new) {
                Some(brief) => write!(f, "{name} changed: {brief}"),
                None => write!(f, "{name} changed"),
            },
            Self::Moved { name } => {
                write!(
                    f,
                    "{name} is first given to another stage than before: other scripts mention it, or its scope changed"
                )
            }
            Self::Input(input) => input.fmt(f),
            Self::Inputs { added, removed } => {
                write!(f, "its inputs changed: {}", added_and_removed(added, removed))
            }
            Self::Builder { old, new } => write!(f, "its builder changed: {}", arrow(&one_line(old), &one_line(new))),
            Self::Script { .. } => f.write_str("the builder's script or arguments changed"),
            Self::System { old, new } => write!(f, "its platform changed: {}", arrow(old, new)),
            Self::Outputs { old, new } => {
                write!(f, "the package's outputs changed: {}", arrow(&old.join(" "), &new.join(" ")))
            }
            Self::Chain { old, new } => write!(f, "the chain is divided otherwise: {}", arrow(old, new)),
            Self::Follows { old, new } => match (old, new) {
                (Some(old), Some(new)) => write!(f, "it continues from {new}, no longer from {old}"),
                (Some(old), None) => write!(f, "it is the first stage; before, it continued from {old}"),
                (None, Some(new)) => write!(f, "it continues from {new}; before, it was the first stage"),
                (None, None) => f.write_str("it is the first stage"),
            },
            Self::HeldBack { added, removed } => {
                write!(f, "what earlier stages may not mention changed: {}", added_and_removed(added, removed))
            }
            Self::Pinned { old, new } => match (old, new) {
                (None, Some(state)) => write!(f, "it is pinned: it continues from {state}, whatever changed before"),
                (Some(_), None) => f.write_str("it was pinned, and is not any more"),
                _ => f.write_str("it is pinned to another state"),
            },
            Self::Runtime => f.write_str("another version of phasesplit's runtime"),
            Self::Engine => f.write_str("another version of phasesplit's state engine"),
            Self::Option { name, old, new } => {
                let shown = |value: &Option<String>| value.as_deref().map_or_else(|| "none".to_owned(), one_line);
                write!(f, "phasesplit's option --{name} changed: {}", arrow(&shown(old), &shown(new)))
            }
        }
    }
}

impl fmt::Display for InputCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = self.path.len().saturating_sub(1);
        for (at, step) in self.path.iter().enumerate() {
            let its = if at == 0 { "" } else { "its " };
            // What is replaced is named by its two names, and content by what is in it.
            let names_itself = matches!(self.why, Why::Replaced { .. } | Why::Content { .. } | Why::Hash { .. });
            write!(f, "{its}{}", step.attribute)?;
            if at != last || !names_itself {
                write!(f, ": {}", step.input)?;
            }
            if at != last {
                f.write_str(" → ")?;
            }
        }
        let name = self.path.last().map_or("", |step| step.input.as_str());
        match &self.why {
            Why::Content { old, new } => {
                write!(f, " changed: another {name} ({})", arrow(short_hash(old), short_hash(new)))?;
            }
            Why::Hash { old, new } => {
                write!(f, " changed: another {name} ({})", arrow(&clipped(old), &clipped(new)))?;
            }
            Why::Replaced { old, new } => write!(f, " changed: {}", arrow(old, new))?,
            Why::Output { old, new } => {
                write!(f, ", another output of it ({})", arrow(value::name_of(old), value::name_of(new)))?;
            }
            Why::Derivation { causes } => {
                let causes: Vec<String> =
                    causes.iter().map(|cause| format!("its {cause}").replace("its its ", "its ")).collect();
                write!(f, " → {}", causes.join("; "))?;
            }
            Why::Unknown { reason } => write!(f, " changed, and it cannot be told why: {reason}")?,
        }
        match self.also.as_slice() {
            [] => Ok(()),
            [one] => write!(f, " (so did {})", named(one)),
            [one, rest @ ..] => write!(f, " (so did {} and {} more)", named(one), rest.len()),
        }
    }
}

fn named(step: &Step) -> String {
    format!("{}: {}", step.attribute, step.input)
}

fn arrow(old: &str, new: &str) -> String {
    let shown = |text: &str| if text.is_empty() { "nothing".to_owned() } else { text.to_owned() };
    format!("{} → {}", shown(old), shown(new))
}

/// A change on one line, where one line can show it.
fn brief(old: &str, new: &str) -> Option<String> {
    let (old, new) = (without_hashes(old), without_hashes(new));
    if old.contains('\n') || new.contains('\n') || old == new {
        return None;
    }
    let quoted = |text: &str| format!("{text:?}");
    if old.chars().count() <= SHORT && new.chars().count() <= SHORT {
        return Some(arrow(&quoted(&old), &quoted(&new)));
    }
    let (before, now): (Vec<&str>, Vec<&str>) = (old.split_whitespace().collect(), new.split_whitespace().collect());
    let apart = |these: &[&str], those: &[&str]| -> Vec<String> {
        these.iter().filter(|word| !those.contains(word)).map(|word| one_line(word)).collect()
    };
    let (added, removed) = (apart(&now, &before), apart(&before, &now));
    let told = added_and_removed(&added, &removed);
    (!told.is_empty() && told.chars().count() <= 3 * SHORT).then_some(told)
}

fn added_and_removed(added: &[String], removed: &[String]) -> String {
    let list = |word: &str, items: &[String]| (!items.is_empty()).then(|| format!("{word} {}", items.join(" ")));
    [list("added", added), list("removed", removed)].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// On one line and without what a terminal would take for itself.
fn one_line(text: &str) -> String {
    without_hashes(text)
        .chars()
        .flat_map(
            |character| if character.is_control() { character.escape_default().collect() } else { vec![character] },
        )
        .collect()
}

fn clipped(hash: &str) -> String {
    let characters: Vec<char> = hash.chars().collect();
    if characters.len() <= 20 { hash.to_owned() } else { format!("{}…", characters[..20].iter().collect::<String>()) }
}
