//! Where a script can be cut into parts that run one after the other, each in a stage of its own.
//!
//! A part must be a script by itself, and the shell's state (see the stage runtime) must carry on all that the next part
//! needs: so a part ends behind a top-level command, nothing may bind it to the shell that ran it, and nothing may be
//! left running.

use super::{Analysis, Place, Span, lexical};
use crate::diagnostic::Problem;

/// Where the user wants a cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CutAt {
    /// Behind this top-level command, counted from 1.
    Command(usize),
    /// At each comment line `# phasesplit: cut`.
    Markers,
}

/// Finds the lengths in bytes of all parts but the last, each from the beginning of the script, in order.
///
/// `file` names the script in problems; `text` is what `analysis` was made from.
///
/// # Errors
/// All reasons why the script cannot be cut there.
pub fn cut_points(text: &str, analysis: &Analysis, wanted: &[CutAt], file: &str) -> Result<Vec<usize>, Vec<Problem>> {
    let cutter = Cutter { text, analysis, file };
    if !analysis.parsed {
        return Err(vec![cutter.not_understood()]);
    }
    let mut problems = Vec::new();
    let mut behind = Vec::new();
    for at in wanted {
        let found = match at {
            CutAt::Command(number) => cutter.command(*number).map(|one| vec![one]).map_err(|problem| vec![problem]),
            CutAt::Markers => cutter.markers(),
        };
        match found {
            Ok(mut found) => behind.append(&mut found),
            Err(mut found) => problems.append(&mut found),
        }
    }
    behind.sort_unstable();
    behind.dedup();
    if !behind.is_empty() {
        problems.extend(cutter.bound(&behind));
    }
    if problems.is_empty() {
        Ok(behind.into_iter().map(|command| analysis.commands[command].end).collect())
    } else {
        Err(problems)
    }
}

struct Cutter<'t> {
    text: &'t str,
    analysis: &'t Analysis,
    file: &'t str,
}

impl Cutter<'_> {
    fn problem(&self, code: &'static str, message: impl Into<String>, place: Place) -> Problem {
        Problem::new(code, message).at(self.file, Span::from(place))
    }

    fn not_understood(&self) -> Problem {
        let (reason, place) = match &self.analysis.note {
            Some(finding) => (finding.reason.as_str(), finding.span),
            None => ("it is not complete", Place { start: 0, end: 0 }),
        };
        self.problem("cut/parse", format!("the script cannot be cut: {reason}"), place)
            .help("leave the cut out, or write this part of the script in a simpler way")
    }

    /// The index of the command that a cut stands behind.
    fn command(&self, number: usize) -> Result<usize, Problem> {
        let commands = &self.analysis.commands;
        let count = commands.len();
        let has = match count {
            1 => "the script has 1 top-level command".to_owned(),
            _ => format!("the script has {count} top-level commands"),
        };
        match number.checked_sub(1).and_then(|index| commands.get(index)) {
            Some(_) if number == count => Err(self
                .problem(
                    "cut/empty",
                    format!("nothing is left behind a cut after command {number}"),
                    commands[number - 1].span,
                )
                .label("the last command")
                .help(format!("{has}; cut before the last one"))),
            Some(_) => Ok(number - 1),
            None => {
                let end = commands.last().map_or(Place { start: 0, end: 0 }, |last| last.span);
                Err(self.problem("cut/range", format!("there is no command {number} to cut behind"), end).help(
                    match count {
                        0 | 1 => format!("{has}, so it cannot be cut"),
                        2 => format!("{has}; the cut can stand behind 1"),
                        _ => format!("{has}; the cut can stand behind 1 to {}", count - 1),
                    },
                ))
            }
        }
    }

    fn markers(&self) -> Result<Vec<usize>, Vec<Problem>> {
        let (mut found, mut problems) = (Vec::new(), Vec::new());
        let mut start = 0;
        for line in self.text.split_inclusive('\n') {
            let end = start + line.trim_end().len();
            match self.marker(start, end) {
                Ok(Some(command)) => found.push(command),
                Ok(None) => {}
                Err(problem) => problems.push(problem),
            }
            start += line.len();
        }
        if problems.is_empty() { Ok(found) } else { Err(problems) }
    }

    /// What the line says: the command in front of its marker, nothing, or what is wrong with the marker.
    fn marker(&self, start: usize, end: usize) -> Result<Option<usize>, Problem> {
        let line = &self.text[start..end];
        let Some(hash) = line.find('#').filter(|_| line.contains("phasesplit:")) else { return Ok(None) };
        let alone = line[..hash].trim().is_empty();
        let begins = start + hash;
        let place = Place { start: begins, end };
        let is_comment = |place: Place| self.analysis.comments.iter().any(|one| one.start == place.start);
        if !is_marker(&line[hash..]) {
            // Another `#` may begin it: `echo "#"  # phasesplit: cut`.
            let trailing = line.rfind('#').filter(|at| is_marker(&line[*at..]));
            return match trailing.map(|at| Place { start: start + at, end }).filter(|place| is_comment(*place)) {
                Some(place) => Err(self.not_alone(place)),
                None => Ok(None),
            };
        }
        if !alone {
            return if is_comment(place) { Err(self.not_alone(place)) } else { Ok(None) };
        }
        let commands = &self.analysis.commands;
        if let Some(around) = commands.iter().find(|one| one.span.start < begins && begins < one.span.end) {
            let line = crate::diagnostic::position(self.text, around.span.start).line;
            return Err(self
                .problem("cut/inside", "a cut inside a command", place)
                .label(format!("inside the command that begins in line {line}"))
                .help("a script can be cut between its top-level commands only: not inside a loop, a condition, a function, a group, a here-document or quotes"));
        }
        match commands.iter().rposition(|one| one.span.end <= begins) {
            None => Err(self
                .problem("cut/empty", "no command stands before this cut", place)
                .help("move the comment behind a command, or remove it")),
            Some(last) if last + 1 == commands.len() => Err(self
                .problem("cut/empty", "no command stands behind this cut", place)
                .help("move the comment before a command, or remove it")),
            Some(command) => Ok(Some(command)),
        }
    }

    fn not_alone(&self, place: Place) -> Problem {
        self.problem("cut/line", "a cut must have a line of its own", place)
            .help("move the comment to the line after this command")
    }

    /// What keeps the script from being continued by another shell, for cuts behind these commands.
    fn bound(&self, behind: &[usize]) -> Vec<Problem> {
        let commands = &self.analysis.commands;
        let mut problems: Vec<Problem> = Vec::new();
        for finding in &self.analysis.bound {
            problems.push(
                self.problem("cut/bound", format!("the script cannot be cut: {}", finding.reason), finding.span)
                    .help("only the shell that runs the whole script can keep that; put it into a function, or leave the cut out"),
            );
        }
        for index in behind {
            if commands[*index].background {
                problems.push(
                    self.problem(
                        "cut/background",
                        "a cut behind a command that is left running (`&`)",
                        commands[*index].span,
                    )
                    .help("cut after the `wait` for it"),
                );
            }
        }
        for (number, index) in behind.iter().enumerate() {
            let first = commands[index + 1].span;
            let last = behind.get(number + 1).map_or(self.text.len(), |next| commands[*next].end);
            problems.extend(self.needs_the_shell_before(first, last));
        }
        problems
    }

    /// What in a part that begins with the command `first` asks for what ran before it.
    fn needs_the_shell_before(&self, first: Place, last: usize) -> Option<Problem> {
        let inside = |at: usize, name: &str| {
            self.problem(
                "cut/status",
                format!("the part behind the cut asks for `{name}` of the one before"),
                Place { start: at, end: at + name.len() },
            )
            .help("no state carries that on; cut somewhere else")
        };
        let status = ["$?", "${?", "PIPESTATUS"];
        let of_status = status.iter().filter_map(|name| Some((self.find(name, first.start, first.end)?, *name))).min();
        // A process of the part itself may be asked for.
        let own = self.analysis.commands.iter().find(|one| one.span.start >= first.start && one.background);
        let until = own.map_or(last, |one| one.span.end.min(last));
        let of_process =
            ["$!", "${!}"].iter().filter_map(|name| Some((self.find(name, first.start, until)?, *name))).min();
        of_status.or(of_process).map(|(at, name)| inside(at, name))
    }

    /// The first place of `name` from `start` to `end` that no comment covers.
    fn find(&self, name: &str, start: usize, end: usize) -> Option<usize> {
        let comments = &self.analysis.comments;
        self.text[start..end]
            .match_indices(name)
            .map(|(at, _)| start + at)
            .find(|at| !comments.iter().any(|one| one.start <= *at && *at < one.end))
            // `$!name` is none, `PIPESTATUSES` neither.
            .filter(|at| !name.ends_with('S') || lexical::name_end(self.text, *at) == at + name.len())
    }
}

/// `# phasesplit: cut`, with any blanks.
fn is_marker(comment: &str) -> bool {
    let rest = comment.trim_start_matches('#').trim();
    rest.strip_prefix("phasesplit:").is_some_and(|rest| rest.trim() == "cut")
}
