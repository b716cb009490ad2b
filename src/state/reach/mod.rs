//! Which names out of a list a stage's shell text can reach: the phases it is about to run, the functions and hooks they
//! come to, and what its setup runs while it is sourced.
//!
//! Owns the rules; the names, and what they mean, are its caller's. It reads text and runs none. Knowing less than bash it
//! errs to one side: a word counts wherever it stands, a function counts as called where its name is a word.
//!
//! `names` is about names that no text says, `shell` the parser, `setup` the top-level code of what is sourced, `fields`
//! how the runtime asks.

pub mod fields;
pub mod names;
mod setup;
pub mod shell;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::PathBuf;

/// The note for a text that may read any name.
pub const ALL: &str = "*";

/// Functions of stdenv that read variables whose names they are given. The names stand in their callers' text; and those
/// callers count as ones that put names together, if they do.
const BY_NAME: &[&[u8]] = &[
    b"_accumFlagsArray",
    b"_addEnvHooks",
    b"_callImplicitHook",
    b"_eval",
    b"_kindOf",
    b"_logHook",
    b"_mergeIntoVar",
    b"_overrideFirst",
    b"_assignFirst",
    b"_defaultOutput",
    b"addToSearchPath",
    b"addToSearchPathWithCustomDelimiter",
    b"appendToVar",
    b"concatStringsSep",
    b"concatTo",
    b"consumeEntire",
    b"isDeclaredArray",
    b"isDeclaredMap",
    b"prependToVar",
    b"runHook",
    b"runOneHook",
    b"substitute",
    b"substituteAll",
    b"substituteAllInPlace",
    b"substituteAllStream",
    b"substituteInPlace",
    b"substituteStream",
];

/// What there is to search, and for what.
#[derive(Debug, Default)]
pub struct Request {
    /// Each name, and the key that its note gets.
    pub wanted: HashMap<Vec<u8>, String>,
    /// Phases that only later stages run.
    pub later_phases: HashSet<Vec<u8>>,
    /// Texts that run: label and text.
    pub roots: Vec<(String, Vec<u8>)>,
    /// The shell's functions.
    pub functions: HashMap<Vec<u8>, Vec<u8>>,
    /// The shell's variables, as `declare -p` prints them.
    pub variables: HashMap<Vec<u8>, Vec<u8>>,
    /// Functions that are not searched.
    pub passed_over: HashSet<Vec<u8>>,
    /// Files that were sourced before: the setup itself first, then setup hooks.
    pub sourced: Vec<PathBuf>,
}

/// The keys of the names that are reached, and [`ALL`], each with who reads it first.
pub type Notes = BTreeMap<String, String>;

/// Searches.
pub fn reach(request: &Request) -> Notes {
    let mut search = Search {
        request,
        notes: Notes::new(),
        queue: Vec::new(),
        functions: HashSet::new(),
        variables: HashSet::new(),
        words: HashSet::new(),
        computed: Vec::new(),
        indirect: HashMap::new(),
    };
    for (label, text) in &request.roots {
        search.queue.push((label.clone(), text.clone()));
    }
    search.run();
    setup::search(&mut search);
    search.notes
}

struct Search<'r> {
    request: &'r Request,
    notes: Notes,
    /// Label and text, still to be searched.
    queue: Vec<(String, Vec<u8>)>,
    /// Functions and variables that were put into the queue.
    functions: HashSet<Vec<u8>>,
    variables: HashSet<Vec<u8>>,
    /// All words of the texts so far.
    words: HashSet<Vec<u8>>,
    /// The names with expansions in texts that read by name.
    computed: Vec<names::Computed>,
    /// Functions that read variables by names in others.
    indirect: HashMap<Vec<u8>, bool>,
}

impl Search<'_> {
    fn note(&mut self, key: &str, who: String) {
        self.notes.entry(key.to_owned()).or_insert(who);
    }

    /// Searches what is in the queue, and what that leads to, in the order in which it was found.
    fn run(&mut self) {
        let mut at = 0;
        while let Some((label, text)) = self.queue.get(at).cloned() {
            at += 1;
            let own: BTreeSet<&[u8]> = words(&text).collect();
            let script = shell::parse(&text);
            self.words(&own, &label, &text, &script);
            for word in &own {
                self.follow(word, &text, &script);
            }
            self.unsaid(&label, &text, &script, &own);
            self.words.extend(own.into_iter().map(<[u8]>::to_vec));
        }
        self.queue.clear();
    }

    /// Notes a word that is wanted.
    fn word(&mut self, word: &[u8], label: &str) {
        if let Some(key) = self.request.wanted.get(word) {
            self.note(key, format!("reads it in {label}"));
        }
    }

    /// Notes the words of a text, but for those that a message tells the user to set.
    fn words(&mut self, own: &BTreeSet<&[u8]>, label: &str, text: &[u8], script: &shell::Script) {
        for word in own {
            if self.request.wanted.contains_key(*word) && !is_only_said(word, text, script) {
                self.word(word, label);
            }
        }
    }

    /// Queues what a word of this text may run.
    fn follow(&mut self, word: &[u8], text: &[u8], script: &shell::Script) {
        if let Some(definition) = self.request.functions.get(word)
            && !self.request.passed_over.contains(word)
            && !self.functions.contains(word)
            && is_called(word, text)
        {
            self.functions.insert(word.to_vec());
            self.queue.push((format!("the function {}", String::from_utf8_lossy(word)), definition.clone()));
        }
        self.variable(&[word, b"Hooks"].concat());
        let is_asked = word.ends_with(b"Phases") || word.ends_with(b"Phase") && is_only_compared(word, text, script);
        if !is_asked {
            self.variable(word);
        }
    }

    /// Queues the values of a variable.
    fn variable(&mut self, name: &[u8]) {
        if let Some(declared) = self.request.variables.get(name)
            && !self.request.passed_over.contains(name)
            && self.variables.insert(name.to_vec())
        {
            self.queue.push((String::from_utf8_lossy(name).into_owned(), values(declared)));
        }
    }

    /// Notes what a text may read without saying its name.
    fn unsaid(&mut self, label: &str, text: &[u8], script: &shell::Script, own: &BTreeSet<&[u8]>) {
        if label.strip_prefix("the function ").is_some_and(|name| BY_NAME.contains(&name.as_bytes())) {
            return;
        }
        let mut all = None;
        shell::each_command(&script.nodes, &mut |command| all = all.take().or_else(|| names::reads_all(command)));
        if let Some(what) = all {
            self.note(ALL, format!("reads every variable ({what}) in {label}"));
        }
        for prefix in names::prefixes(text) {
            self.matching(
                |name| name.starts_with(prefix),
                || format!("may read it as ${{!{}@}} in {label}", String::from_utf8_lossy(prefix)),
            );
        }
        let is_indirect = is_indirect(text, script);
        if is_indirect || own.iter().any(|word| self.is_indirect_function(word)) {
            for computed in names::computed(text) {
                self.matching(
                    |name| computed.may_be(name),
                    || format!("may read it as {} in {label}", computed.written),
                );
            }
        }
        if is_indirect {
            // `a=install; b=Flags; … ${!c}`
            let halves =
                |name: &[u8]| (2..name.len() - 1).any(|at| own.contains(&name[..at]) && own.contains(&name[at..]));
            self.matching(|name| name.len() > 3 && halves(name), || format!("may put its name together in {label}"));
        }
    }

    fn matching(&mut self, is_it: impl Fn(&[u8]) -> bool, who: impl Fn() -> String) {
        let request = self.request;
        for (_, key) in request.wanted.iter().filter(|(name, _)| is_it(name)) {
            self.note(key, who());
        }
    }

    fn is_indirect_function(&mut self, name: &[u8]) -> bool {
        if let Some(known) = self.indirect.get(name) {
            return *known;
        }
        let Some(definition) = self.request.functions.get(name) else { return false };
        let known = is_indirect(definition, &shell::parse(definition));
        self.indirect.insert(name.to_vec(), known);
        known
    }
}

/// Whether a text reads variables whose names it has in others. (`${!outputBin}` and its like name outputs.)
fn is_indirect(text: &[u8], script: &shell::Script) -> bool {
    let mut found = memchr::memmem::find_iter(text, b"${!").any(|at| !text[at + 3..].starts_with(b"output"));
    shell::each_command(&script.nodes, &mut |command| found |= names::is_indirect(command));
    found
}

/// How often a name stands in a text as a whole word, with what is before and behind it as wanted.
fn count(name: &[u8], text: &[u8], is_wanted: impl Fn(&[u8], &[u8]) -> bool) -> usize {
    memchr::memmem::find_iter(text, name)
        .filter(|at| {
            let (before, after) = (&text[..*at], &text[at + name.len()..]);
            let is_end = |byte: Option<&u8>| !byte.is_some_and(|byte| shell::is_name(*byte));
            is_end(before.last()) && is_end(after.first()) && is_wanted(before, after)
        })
        .count()
}

/// Whether what surrounds a name sets it: `NAME=`, and not `$NAME=`.
fn is_set(before: &[u8], after: &[u8]) -> bool {
    !matches!(before.last(), Some(b'$' | b'{' | b'!' | b'#')) && after.starts_with(b"=") && !after.starts_with(b"==")
}

/// Whether every use of a name in a text is in a message, as what to set: `echo "… (set dontPatchShebangs=1 …)"`. Whatever
/// becomes of the message, that reads nothing.
fn is_only_said(name: &[u8], text: &[u8], script: &shell::Script) -> bool {
    let mut said = 0;
    shell::each_command(&script.nodes, &mut |command| {
        if names::split(command).is_some_and(|(name, _)| setup::TALK.contains(&&name[..])) {
            said += command.words.iter().map(|word| count(name, word, is_set)).sum::<usize>();
        }
    });
    said > 0 && said == count(name, text, |_, _| true)
}

/// Whether a text only asks what a variable is, and sets it: a hook that changes which function a later phase is.
fn is_only_compared(name: &[u8], text: &[u8], script: &shell::Script) -> bool {
    let mut compared = 0;
    shell::each_command(&script.nodes, &mut |command| match command.words.first() {
        Some(&(b"[" | b"[[" | b"test")) => {
            compared += command.words.iter().map(|word| count(name, word, |_, _| true)).sum::<usize>();
        }
        Some(word) if shell::assignment(word).is_some_and(|(target, _)| target == name) => compared += 1,
        _ => {}
    });
    compared > 0 && compared == count(name, text, |_, _| true)
}

/// The words of a text: everything that cannot be part of a variable's name separates.
fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| !shell::is_name(*byte)).filter(|word| !word.is_empty())
}

/// Whether a text in which a function's name is a word may call it. For a phase's function that takes more than the word:
/// hooks choose later phases while they configure (`installPhase=mesonInstallPhase`; the stage that runs it will search
/// it) and ask which was chosen (`[[ ${buildPhase-} == ninjaBuildPhase ]]`). Any use but assignments, comparisons and the
/// ways to name the variable counts as a call.
fn is_called(name: &[u8], text: &[u8]) -> bool {
    if !name.ends_with(b"Phase") {
        return true;
    }
    memchr::memmem::find_iter(text, name).any(|at| {
        let (before, after) = (&text[..at], &text[at + name.len()..]);
        let is_part = before.last().is_some_and(|byte| shell::is_name(*byte))
            || after.first().is_some_and(|byte| shell::is_name(*byte));
        let unquoted = before.strip_suffix(b"\"").unwrap_or(before);
        let is_value = [&b"="[..], b"-", b"= ", b"${", b"$", b"${#", b"-v "].iter().any(|end| unquoted.ends_with(end));
        let is_assigned = after.starts_with(b"=") || after.starts_with(b"+=");
        !(is_part || is_value || is_assigned)
    })
}

/// The values in what `declare -p` printed, without its quoting, one a line.
fn values(declared: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut at = memchr::memchr(b'=', declared).map_or(declared.len(), |at| at + 1);
    while at < declared.len() {
        match (declared[at], declared.get(at + 1)) {
            (b'"', _) => {
                at += 1;
                while at < declared.len() && declared[at] != b'"' {
                    at += usize::from(declared[at] == b'\\');
                    out.extend(declared.get(at));
                    at += 1;
                }
                out.push(b'\n');
            }
            (b'$', Some(b'\'')) => {
                at += 2;
                while at < declared.len() && declared[at] != b'\'' {
                    let byte = declared[at];
                    at += 1;
                    if byte != b'\\' {
                        out.push(byte);
                        continue;
                    }
                    match declared.get(at) {
                        Some(b'n') => out.push(b'\n'),
                        Some(b't') => out.push(b'\t'),
                        // Other control characters come as octal digits, which separate as well as what they stand for.
                        Some(byte @ (b'\'' | b'\\' | b'"')) => out.push(*byte),
                        _ => out.push(b' '),
                    }
                    at += 1;
                }
                out.push(b'\n');
            }
            _ => {}
        }
        at += 1;
    }
    out
}

#[cfg(test)]
mod tests;
