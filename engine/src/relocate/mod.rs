//! Relocation: outputs built with staged prefixes learn their real paths.
//!
//! Every stage before finish uses a staged prefix for each output, a store path of the same length as the real one
//! (DESIGN.md §3.1). At the start of finish the outputs lie at their real paths, and every mention of a staged hash must become
//! the real one, or finish must fail: a mention that stays is a program that looks for a directory that does not exist.
//!
//! ```text
//! prefix   what STAGED=REAL is
//! runs     where bytes equal a part of a staged path           (speed, no decisions)
//! layout   what the bytes of an ELF file are for
//! constants, x86, arm64   how instructions carry constants
//! encoded, escapes   a path as UTF-16, UTF-32, base64, numbers and escapes in text
//! judge    which runs are mentions, and do they account for all of the hash
//! packed, zip, archive   what lies inside compressed files and archives
//! embedded, png   compressed streams at any place in a file, and the checksums of an image
//! foreign, bitcode       what cannot be taken apart, or not be changed
//! section  compressed sections of ELF files, written again in their room
//! content, members   one file: all of the above                 (bytes in, changes out)
//! files    reading them, on all cores, and no more than has to be
//! tree     files and directories
//! digest, beside, follow   digests of what changes, wherever they are written
//! record, pyc, debuglink   checksums of other kinds, kept in other files
//! ```
//!
//! What no relocation can see: a result that was worked out from the characters of a staged hash and leaves none of them. A
//! compiler knows at build time which of two outputs' paths comes first, or what hash a path has, and stores the answer; a program
//! may write a table sorted by paths. Clang with `-flto` does the former across files. It needs two outputs in one comparison
//! whose real paths are in another order than the staged ones, or a hash of a path taken by the compiler. Formats that cannot be
//! unpacked are named (`foreign`, `embedded`), and so is what may be a digest with an unknown key (`beside`). Not seen, and not
//! named: a deflate stream without any header outside of gzip, zlib and zip; brotli and lz4 inside of other files; an encoding
//! inside of another (base64 of hexadecimal); digests of several files together, of parts of a file, or salted.
//!
//! This directory is also part of the engine binary: it uses nothing of the library outside of itself.

pub mod archive;
pub mod arm64;
mod beside;
pub mod bitcode;
pub mod constants;
pub mod content;
pub mod debuglink;
pub mod digest;
mod embedded;
mod encoded;
pub mod error;
mod escapes;
mod files;
mod follow;
pub mod foreign;
pub mod judge;
pub mod layout;
mod members;
pub mod packed;
mod png;
pub mod prefix;
pub mod pyc;
pub mod record;
pub mod runs;
pub mod section;
pub mod tree;
pub mod x86;
pub mod zip;

use content::Examiner;
use content::{Finding, Reason};
pub use error::{Error, Harmless, Refusal};
pub use prefix::Mapping;
use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;

const RELOCATE_USAGE: &str = "relocate --map STAGED=REAL [--map STAGED=REAL]... [--text FILE]... [--tree PATH]...";
const SCAN_USAGE: &str = "scan [--json] --map STAGED=REAL [--map STAGED=REAL]... PATH...";

/// Rewrites every mention of the staged paths under `trees`, and every full hash in `texts`.
///
/// Everything is examined before anything is written. Running it again changes nothing. Returns what stays because no program
/// runs on it.
///
/// # Errors
/// [`Error::Refused`] names every mention that cannot be rewritten with certainty; nothing has been written then.
pub fn relocate(mappings: &[Mapping], trees: &[PathBuf], texts: &[PathBuf]) -> Result<Harmless, Error> {
    let examiner = Examiner::new(mappings.to_vec());
    let mut plan = tree::plan(&examiner, trees, true)?;
    if !plan.refusals.is_empty() {
        return Err(Error::Refused(Box::new(Refusal {
            summary: "relocate: the staged prefix is mentioned where it cannot be rewritten with certainty; nothing was changed",
            mappings: mappings.to_vec(),
            files: std::mem::take(&mut plan.refusals),
        })));
    }
    plan.carry_out()?;
    for text in texts {
        tree::rewrite_text(&examiner, text)?;
    }
    let stays = |finding: &Finding| finding.reason != Reason::PackedDebug(true);
    Ok(Harmless { mappings: mappings.to_vec(), files: only(plan.harmless, stays) })
}

/// The findings that `keep` says yes to, without the files that have none.
fn only(files: Vec<(PathBuf, Vec<Finding>)>, keep: impl Fn(&Finding) -> bool) -> Vec<(PathBuf, Vec<Finding>)> {
    let kept = files.into_iter().map(|(path, findings)| (path, findings.into_iter().filter(&keep).collect()));
    kept.filter(|(_, findings): &(_, Vec<Finding>)| !findings.is_empty()).collect()
}

/// Searches everything under `paths` for what is left of the staged paths. Returns what may be left, because no program runs
/// on it: seeds, and compressed debug information.
///
/// # Errors
/// [`Error::Refused`] names every mention, full or piece, that was found.
pub fn scan(mappings: &[Mapping], paths: &[PathBuf]) -> Result<Harmless, Error> {
    let examiner = Examiner::new(mappings.to_vec());
    let plan = tree::plan(&examiner, paths, false)?;
    let is_seed = |finding: &Finding| finding.reason == Reason::Seed;
    let mut harmless = only(plan.mentions.clone(), is_seed);
    harmless.extend(plan.harmless);
    harmless.sort_by(|a, b| a.0.cmp(&b.0));
    let mut files = plan.refusals;
    files.extend(only(plan.mentions, |finding| !is_seed(finding)));
    if files.is_empty() {
        return Ok(Harmless { mappings: mappings.to_vec(), files: harmless });
    }
    files.sort_by(|a, b| a.0.cmp(&b.0));
    Err(Error::Refused(Box::new(Refusal {
        summary: "scan: a staged prefix is still mentioned",
        mappings: mappings.to_vec(),
        files,
    })))
}

/// What a command line says.
#[derive(Debug, Default)]
struct Arguments {
    mappings: Vec<Mapping>,
    texts: Vec<PathBuf>,
    trees: Vec<PathBuf>,
    paths: Vec<PathBuf>,
    json: bool,
}

fn parse(args: &[OsString], usage: &'static str) -> Result<Arguments, Error> {
    let wrong = |message: String| Error::Usage(message, usage);
    let mut all = Arguments::default();
    let mut args = args.iter();
    let mut options = true;
    while let Some(arg) = args.next() {
        let option = arg.to_str().filter(|text| options && text.starts_with("--"));
        let mut value = || {
            let missing = format!("{} needs a value", arg.to_string_lossy());
            args.next().ok_or_else(|| wrong(missing))
        };
        match option {
            Some("--") => options = false,
            Some("--map") => all.mappings.push(Mapping::parse(value()?).map_err(|e| wrong(format!("--map: {e}")))?),
            Some("--json") => all.json = true,
            Some("--text") => all.texts.push(value()?.into()),
            Some("--tree") => all.trees.push(value()?.into()),
            Some(other) => return Err(wrong(format!("unknown option {other}"))),
            None => all.paths.push(arg.into()),
        }
    }
    if all.mappings.is_empty() {
        return Err(wrong("no --map given".to_owned()));
    }
    for (i, mapping) in all.mappings.iter().enumerate() {
        let twin = all.mappings[..i].iter().find(|other| other.staged.hash() == mapping.staged.hash());
        if twin.is_some_and(|other| other != mapping) {
            let staged = &mapping.staged;
            return Err(wrong(format!("--map: the hash of {staged} is mapped twice")));
        }
    }
    all.mappings.dedup();
    Ok(all)
}

/// For the build's log; that it cannot be written is no reason to fail. The runtime passes the lines that begin with `warning: `
/// on to the user (`nix-lib/runtime/90-stage.sh`).
fn say(harmless: &Harmless) {
    let mut stderr = std::io::stderr().lock();
    for line in harmless.warnings() {
        let _ = writeln!(stderr, "warning: {line}");
    }
    for line in harmless.stays().to_string().lines() {
        let _ = writeln!(stderr, "phasesplit-state: {line}");
    }
}

/// The files under `paths` that cannot be searched for a path, or only in part, and what each is.
///
/// # Errors
/// What cannot be read.
pub fn unsearched(paths: &[PathBuf]) -> Result<Vec<(PathBuf, &'static str)>, Error> {
    let plan = tree::plan(&Examiner::new(Vec::new()), paths, false)?;
    let harmless = Harmless { mappings: Vec::new(), files: plan.harmless };
    Ok(harmless.unsearched().map(|(path, what)| (path.to_owned(), what)).collect())
}

/// What a scan found, for programs: which files could not be searched, what stays, and what is refused.
fn print_json(outcome: &Result<Harmless, Error>) -> Result<(), Error> {
    let (harmless, refused) = match outcome {
        Ok(harmless) => (Some(harmless), None),
        Err(Error::Refused(refusal)) => (None, Some(refusal)),
        Err(_) => return Ok(()),
    };
    let unsearched = harmless.into_iter().flat_map(Harmless::unsearched);
    let unsearched = unsearched.map(|(path, what)| serde_json::json!({ "path": path.to_string_lossy(), "what": what }));
    let files = refused.map_or(&[][..], |refusal| &refusal.files);
    let refused = files.iter().map(|(path, findings)| {
        let offsets: Vec<usize> = findings.iter().map(|finding| finding.at).collect();
        serde_json::json!({ "path": path.to_string_lossy(), "offsets": offsets })
    });
    let report = serde_json::json!({
        "unsearched": unsearched.collect::<Vec<_>>(),
        "left": harmless.map_or_else(Vec::new, |harmless| harmless.stays().files.iter().map(|(path, _)| path.to_string_lossy().into_owned()).collect()),
        "refused": refused.collect::<Vec<_>>(),
    });
    writeln!(std::io::stdout(), "{report}").map_err(Error::io("write to", std::path::Path::new("standard output")))
}

/// `relocate --map STAGED=REAL... [--text FILE]... [--tree PATH]...`; `args` begin behind the command's name.
///
/// # Errors
/// As [`relocate`], and for a wrong command line.
pub fn relocate_command(args: &[OsString]) -> Result<(), Error> {
    let all = parse(args, RELOCATE_USAGE)?;
    if let Some(path) = all.paths.first() {
        let message = format!("{} needs --tree or --text before it", path.display());
        return Err(Error::Usage(message, RELOCATE_USAGE));
    }
    if all.json {
        return Err(Error::Usage("relocate has no --json".to_owned(), RELOCATE_USAGE));
    }
    relocate(&all.mappings, &all.trees, &all.texts).map(|stays| say(&stays))
}

/// `scan [--json] --map STAGED=REAL... PATH...`; `args` begin behind the command's name.
///
/// # Errors
/// As [`scan`], and for a wrong command line.
pub fn scan_command(args: &[OsString]) -> Result<(), Error> {
    let all = parse(args, SCAN_USAGE)?;
    if !all.texts.is_empty() || !all.trees.is_empty() {
        let message = "scan takes paths without --tree or --text".to_owned();
        return Err(Error::Usage(message, SCAN_USAGE));
    }
    let outcome = scan(&all.mappings, &all.paths);
    if all.json {
        print_json(&outcome)?;
    }
    outcome.map(|stays| say(&stays))
}
