//! What a bash script of a phase or a hook does with variables, and where its top-level commands lie.
//!
//! Pure. Owns every contact with the parser crate: nothing outside this module may see its types, and `lexical` and `cut`
//! do without them. It must not know what the names mean (attributes, stages) or where a script came from.
//!
//! The analysis is conservative the way a lock is: every word that could be a variable's name counts as a reading of
//! it, unless the syntax around it proves that it is none (an argument of `mkdir`, a comment, the target of an
//! assignment). `$name` counts wherever it stands, in single quotes too, because quoted text often is a script of its
//! own. What the parser does not understand counts as a reading of everything. Two things are outside what a script's
//! text can tell: programs that read their environment, and names that come as data from a file. Variables that
//! bash itself reads without naming them (`PATH`, `IFS`, `CDPATH` and their like) are not reported, `HOME` for `~`
//! and `cd` is.

mod commands;
mod cut;
mod declarations;
mod lexical;
mod pieces;
mod syntax;
mod walk;

#[cfg(test)]
mod tests;

use std::ops::Range;

pub use cut::{CutAt, cut_points};

/// Bytes of a script, from `start` to before `end`, both on character boundaries.
pub type Span = Range<usize>;

/// A name and where it stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Use {
    /// The name of a variable, function or command.
    pub name: String,
    /// Where it stands: the name itself, or the quoted text (of `eval`, `trap`, `sh -c`) that it was found in.
    pub span: Place,
}

/// A [`Span`] that can be ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// First byte.
    pub start: usize,
    /// After the last byte.
    pub end: usize,
}

impl From<Span> for Place {
    fn from(span: Span) -> Self {
        Self { start: span.start, end: span.end }
    }
}

impl From<Place> for Span {
    fn from(place: Place) -> Self {
        place.start..place.end
    }
}

/// Something to say about a place of the script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What it is, as the end of a sentence: ``it reads a variable by a computed name (`${!x}`)``.
    pub reason: String,
    /// Where.
    pub span: Place,
}

/// A command at the top level of a script: what a cut can stand behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopCommand {
    /// The command with its redirections and the bodies of its here-documents, without what ends it (`;`, `&`). Commands
    /// on one line count as one where a here-document of the first begins behind the last.
    pub span: Place,
    /// Where the text up to and including this command ends: behind its `;` or `&`, or its line end where nothing but a
    /// comment follows it on the line.
    pub end: usize,
    /// Whether it ends in `&`.
    pub background: bool,
}

/// What a script does. All lists are sorted by name, then place, without doubles.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Analysis {
    /// Variables that the script expands (`$x`, `${x:-…}`), wherever that stands, quoted text included.
    pub reads: Vec<Use>,
    /// Words that may be the names of variables that something reads: in arithmetic, after `[ -v`, in values, in
    /// arguments of commands that are not known to take none. For soundness they count like `reads`.
    pub may_read: Vec<Use>,
    /// Variables that it sets: assignments, `read`, `printf -v`, loops, `${x:=…}`, declarations.
    pub writes: Vec<Use>,
    /// Variables that it unsets.
    pub unsets: Vec<Use>,
    /// Commands and functions that it calls by a plain name.
    pub calls: Vec<Use>,
    /// Functions that it defines.
    pub functions: Vec<Use>,
    /// The first place that reads, or sets, variables nobody can name: the script then counts as reading all.
    pub reads_all: Option<Finding>,
    /// The commands of the top level, in order. Empty where the script was not understood.
    pub commands: Vec<TopCommand>,
    /// Whether the whole script was understood. If not, it counts as reading all variables, and `note` says why.
    pub parsed: bool,
    /// The first place that was not understood.
    pub note: Option<Finding>,
    /// What ties the script to the shell that runs it, so that no state can carry it on: `local`, `return` and their
    /// like outside functions.
    pub(crate) bound: Vec<Finding>,
    /// Comments, in order.
    pub(crate) comments: Vec<Place>,
}

impl Analysis {
    /// Whether the script may read the variable, directly or by a computed name.
    pub fn may_read(&self, name: &str) -> bool {
        self.reads_all.is_some() || has(&self.reads, name) || has(&self.may_read, name)
    }

    /// Whether the script may set or unset the variable.
    pub fn may_write(&self, name: &str) -> bool {
        self.reads_all.is_some() || has(&self.writes, name) || has(&self.unsets, name)
    }

    /// Nothing is known of the script but that it cannot be understood.
    fn unknown(finding: Finding) -> Self {
        Self { reads_all: Some(finding.clone()), note: Some(finding), ..Self::default() }
    }

    fn sort(&mut self) {
        let lists = [
            &mut self.reads,
            &mut self.may_read,
            &mut self.writes,
            &mut self.unsets,
            &mut self.calls,
            &mut self.functions,
        ];
        for list in lists {
            list.sort_unstable();
            list.dedup();
        }
    }
}

fn has(uses: &[Use], name: &str) -> bool {
    let first = uses.partition_point(|one| one.name.as_str() < name);
    uses.get(first).is_some_and(|one| one.name == name)
}

/// The longest script that is read, in bytes. stdenv's own `setup.sh` has 60,000.
pub const LONGEST: usize = 1 << 18;

/// Analyses a script. Never fails: what is not understood reads everything.
pub fn analyse(text: &str) -> Analysis {
    if text.len() > LONGEST {
        let reason = format!("it is longer than {LONGEST} bytes");
        return Analysis::unknown(Finding { reason, span: Place { start: 0, end: 0 } });
    }
    let own = text.to_owned();
    syntax::apart(move || analyse_at_depth(&own, 0)).unwrap_or_else(|lost| {
        let reason = match lost {
            syntax::Lost::Time => "the bash parser takes too long for it",
            syntax::Lost::Panic => "the bash parser failed on it",
        };
        Analysis::unknown(Finding { reason: reason.to_owned(), span: Place { start: 0, end: text.len() } })
    })
}

/// The analysis itself, on the stack that is there; `depth` counts scripts within scripts (`eval "…"`).
fn analyse_at_depth(text: &str, depth: usize) -> Analysis {
    let file = match syntax::parse(text) {
        Ok(file) => file,
        Err(finding) => {
            // Names for messages, even so.
            let mut analysis = Analysis::unknown(finding);
            analysis.reads = lexical::expansions(text, &[]).reads;
            analysis.sort();
            return analysis;
        }
    };
    let (mut analysis, documents) = walk::walk(&file, text, depth);
    match pieces::pieces(&file, &documents, text) {
        Ok(commands) => {
            if analysis.parsed {
                analysis.commands = commands;
            }
        }
        Err(finding) => {
            analysis.parsed = false;
            analysis.reads_all.get_or_insert_with(|| finding.clone());
            analysis.note.get_or_insert(finding);
        }
    }
    analysis.sort();
    analysis
}
