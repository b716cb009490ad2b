//! Python bytecode: what its header says of the source.
//!
//! The header (PEP 552) is a magic number that ends in CR LF, flags, and either the source's time and size (flags 0) or a digest
//! of the source (flags 1 and 3). The time is excused; the size never; the digest where the source, which lies beside, mentions
//! its own package on both sides: then it must differ. (Whether the digest is right is not asked: a stale one makes Python
//! compile the source again, or is not looked at.)

use super::super::Excuse;
use super::super::content::Pair;
use super::super::context::{Context, Side};
use super::super::spans::Explained;
use std::ops::Range;
use std::path::{Path, PathBuf};

const FLAGS: Range<usize> = 4..8;
const TIME: Range<usize> = 8..12;
const DIGEST: Range<usize> = 8..16;

/// The bytes of the header that may differ.
pub fn explained(context: &Context, pair: &Pair) -> Option<Explained> {
    let is_bytecode = Path::new(pair.name).extension().is_some_and(|extension| extension == "pyc")
        && pair.a.get(..FLAGS.end) == pair.b.get(..FLAGS.end)
        && pair.a.get(2..4) == Some(b"\r\n")
        && pair.a.len().min(pair.b.len()) >= DIGEST.end;
    if !is_bytecode {
        return None;
    }
    match pair.a[FLAGS] {
        [0, 0, 0, 0] => Some((TIME, Some(Excuse::PycTime))),
        [1 | 3, 0, 0, 0] => {
            let [one, other] = pair.paths?;
            let mentions = |side, file: &Path| {
                source_of(file)
                    .and_then(|source| std::fs::read(source).ok())
                    .is_some_and(|text| context.mentions_own(side, &text))
            };
            (mentions(Side::First, one) && mentions(Side::Second, other)).then_some((DIGEST, Some(Excuse::PycSource)))
        }
        _ => None,
    }
}

/// `dir/__pycache__/name.cpython-311.opt-1.pyc` → `dir/name.py` (PEP 3147).
fn source_of(file: &Path) -> Option<PathBuf> {
    let directory = file.parent().filter(|directory| directory.ends_with("__pycache__"))?.parent()?;
    let name = file.file_name()?.to_str()?.strip_suffix(".pyc")?;
    let end = name.find(".cpython-").or_else(|| name.find(".pypy"))?;
    Some(directory.join(format!("{}.py", &name[..end])))
}
