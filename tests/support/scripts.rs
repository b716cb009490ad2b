//! Real scripts to mutate, and a small random generator whose runs can be repeated.
#![allow(dead_code)] // each test binary uses its part

use std::path::{Path, PathBuf};

/// The bash of this repository: stdenv's and hooks' functions, the stage runtime, and the phases of the test packages.
pub fn corpus() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut scripts = Vec::new();
    for folder in ["nix-lib", "tests/nix", "examples"] {
        collect(&root.join(folder), &mut scripts);
    }
    assert!(scripts.len() > 60, "only {} scripts found", scripts.len());
    scripts
}

fn collect(folder: &Path, scripts: &mut Vec<String>) {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("a folder of the repository")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            collect(&path, scripts);
        } else if path.extension().is_some_and(|ending| ending == "sh") || path.ends_with("setup") {
            scripts.push(std::fs::read_to_string(&path).expect("a script"));
        } else if path.extension().is_some_and(|ending| ending == "nix") {
            let text = std::fs::read_to_string(&path).expect("a Nix file");
            // Every second piece between `''` is the text of a phase, or near enough.
            let texts = text.split("''").skip(1).step_by(2).filter(|text| text.contains('\n'));
            scripts.extend(texts.map(str::to_owned));
        }
    }
}

/// Numbers that look random and are the same on each run (xorshift64*).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33).expect("31 bits") % end
    }

    pub fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }
}

/// How often a test repeats itself: `PHASESPLIT_FUZZ`, or what the suite can afford.
pub fn rounds(usual: usize) -> usize {
    std::env::var("PHASESPLIT_FUZZ").ok().and_then(|count| count.parse().ok()).unwrap_or(usual)
}
