//! What to do about real differences: which phase to look at, and what helps.

use super::report::Rebuild;
use super::sides::Sides;
use crate::compare::{Difference, What};

/// A run of so many letters and digits, not a word: a digest.
const DIGEST: usize = 32;

/// Advice on differences, most likely first; never empty.
pub fn on(differences: &[&Difference], sides: &Sides, rebuild: Option<&Rebuild>) -> Vec<String> {
    let mut advice = Vec::new();
    let any =
        |test: &dyn Fn(&Difference) -> bool| differences.iter().find(|difference| test(difference)).map(|d| d.place());
    if let Some(file) = any(&is_digest) {
        let staged = sides.staged.first().map(|(_, path)| format!(", {},", path.display())).unwrap_or_default();
        advice.push(format!(
            "{file} looks like a digest: of something that names $out, which before finish is the staged prefix{staged} and is \
             rewritten afterwards. Make the digest in postFixup, or keep $out out of what it is taken of"
        ));
    }
    if let Some(file) =
        any(&|d| matches!(d.what, What::OnlyInFirst | What::OnlyInSecond | What::Size(..) | What::Members(..)))
    {
        advice
            .push(format!("{file}: a phase took another way. Compare what the builds said{}", logs(sides, "install")));
    }
    if let Some(file) = any(&|d| matches!(d.what, What::Mode(..) | What::HardLink(..))) {
        advice.push(format!("{file}: its phase is one that installs or fixes up{}", logs(sides, "finish")));
    }
    if let Some(file) = any(&|d| matches!(d.what, What::Content { section: Some(_), .. })) {
        advice.push(format!(
            "{file} was compiled or linked differently: most likely in buildPhase, by something that it takes from $out, the clock \
             or its environment{}",
            logs(sides, "build")
        ));
    }
    advice.push(
        "if a phase reads an attribute before the stage that gets it, say so with `--scope NAME=STAGE`".to_owned(),
    );
    match rebuild {
        None => advice.push("`phasesplit verify --rebuild` tells whether the package agrees with itself".to_owned()),
        Some(rebuild) if rebuild.suspect && !rebuild.unknown.is_empty() => advice.push(format!(
            "whether the package agrees with itself in {} is not known: Nix keeps the first output that differs alone",
            rebuild.unknown.join(", ")
        )),
        Some(_) => {}
    }
    let paths: Vec<String> = sides.unsplit.iter().map(|(_, path)| path.display().to_string()).collect();
    advice.push(format!("until it is mended, use the unsplit build, which is whole: {}", paths.join(" ")));
    advice
}

/// The commands that show the logs of a stage and of the unsplit build.
fn logs(sides: &Sides, stage: &str) -> String {
    let known = sides.stages.iter().find(|known| known.stage == stage).or(sides.stages.last());
    let drvs = known.map(|known| known.drv_path.as_str()).into_iter().chain([sides.unsplit_drv()]);
    let commands: Vec<String> = drvs.map(|drv| format!("nix-store --read-log {drv}")).collect();
    format!(": {}", commands.join("; "))
}

/// Whether lines were replaced that are the same but for a digest.
fn is_digest(difference: &Difference) -> bool {
    let lines = |mark: char| difference.shown.iter().filter_map(move |line| line.strip_prefix(mark));
    let mut pairs = lines('-').zip(lines('+'));
    pairs.any(|(one, other)| {
        let (one, other) = (digests(one), digests(other));
        one.len() == other.len() && one.iter().zip(&other).any(|(x, y)| x != y && x.len() == y.len())
    })
}

fn digests(line: &str) -> Vec<&str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '_');
    let words = line.split(|c: char| !is_part(c));
    words.filter(|word| word.len() >= DIGEST && word.contains(|c: char| c.is_ascii_digit())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::Places;

    fn difference(shown: [&str; 2]) -> Difference {
        Difference {
            file: "out/sum".to_owned(),
            members: Vec::new(),
            what: What::Size(1, 2),
            shown: shown.map(str::to_owned).to_vec(),
            places: Places::Whole,
        }
    }

    #[test]
    fn a_digest_is_told_from_words() {
        let (one, other) = ("1f".repeat(32), "2e".repeat(32));
        assert!(is_digest(&difference([&format!("-{one}  file"), &format!("+{other}  file")])));
        assert!(!is_digest(&difference([&format!("-{one}  file"), &format!("+{one}  other")])));
        assert!(!is_digest(&difference(["-one", "+other"])));
    }
}
