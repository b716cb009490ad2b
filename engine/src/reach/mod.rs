//! Which names out of a list a stage's shell text can reach: the phases it is about to run, the functions and hooks they
//! come to, and what its setup runs while it is sourced.
//!
//! Owns the rules; the names, and what they mean, are its caller's. It reads text and runs none. Knowing less than bash it
//! errs to one side: a word counts wherever it stands, a function counts as called where its name is a word.
//!
//! `names` and `unsaid` are about names that no text says, `run` about what a text runs of what it has, `source` about files
//! that it runs or names, `shell` the parser, `setup` the top-level code of what is sourced, `fields`
//! how the runtime asks.

pub mod fields;
pub mod names;
mod run;
mod setup;
pub mod shell;
mod source;
mod unsaid;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::PathBuf;

/// The note for a text that may read any name.
pub const ALL: &str = "*";

/// The note that this stage may run something of the source. Any stage with a phase that is neither of [`EARLY`] does, and
/// one whose texts say so.
pub const RUNS: &str = "/runs";

/// The note of lists of the environment in files of the store, of which it is not known what they read.
pub const UNPROVEN: &str = "/unproven";

/// The lists of inputs in the environment.
const INPUTS: [&str; 2] = ["nativeBuildInputs", "buildInputs"];

/// Phases that run nothing of the source by themselves.
const EARLY: &[&[u8]] = &[b"unpackPhase", b"patchPhase"];

/// The labels of roots.
const PHASES: &str = "the list of phases";
const BUILDER: &str = "the builder script";

/// So many files of the tree are followed.
const FILES: usize = 200;

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

/// Variables whose values are names, paths and lists of inputs, whatever a text does with them.
const NEVER_CODE: &[&[u8]] = &[
    b"name",
    b"pname",
    b"version",
    b"src",
    b"srcs",
    b"stdenv",
    b"nativeBuildInputs",
    b"buildInputs",
    b"propagatedNativeBuildInputs",
    b"propagatedBuildInputs",
    b"depsBuildBuild",
    b"depsBuildTarget",
    b"depsHostHost",
    b"depsTargetTarget",
    b"PATH",
    b"HOST_PATH",
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
        runs_arguments: HashMap::new(),
        data: HashSet::new(),
        setup: setup::functions(&request.sourced),
        paths: BTreeSet::new(),
        files: HashSet::new(),
    };
    let is_late = |text: &[u8]| words(text).any(|word| !EARLY.contains(&word));
    if request.roots.iter().any(|(label, text)| label == PHASES && is_late(text)) {
        search.note(RUNS, "runs its phases".to_owned());
    }
    for (label, text) in &request.roots {
        search.queue.push((label.clone(), text.clone()));
    }
    search.run();
    setup::search(&mut search);
    search.store();
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
    /// Functions that run what they are given.
    runs_arguments: HashMap<Vec<u8>, bool>,
    /// Variables whose values were searched for names alone.
    data: HashSet<Vec<u8>>,
    /// The functions of stdenv's setup.
    setup: HashSet<Vec<u8>>,
    /// Paths of the store that texts name.
    paths: BTreeSet<PathBuf>,
    /// Files of the tree that were put into the queue.
    files: HashSet<PathBuf>,
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
            if label.starts_with(BUILDER) {
                self.builder(&label, &text);
                continue;
            }
            self.files(&label, &text);
            let run = run::of(&text, &script, |name| self.runs_arguments(name));
            for word in &own {
                self.follow(word, &text, &script, &run);
            }
            if !is_by_name(&label) {
                for name in self.computed_calls(&run) {
                    self.function(&name);
                }
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
    fn follow(&mut self, word: &[u8], text: &[u8], script: &shell::Script, run: &run::Run) {
        if self.request.functions.contains_key(word) && is_called(word, text, run) {
            self.function(word);
        }
        self.variable(&[word, b"Hooks"].concat());
        if word.ends_with(b"Phases") || word.ends_with(b"Phase") && is_only_compared(word, text, script) {
            return;
        }
        if is_code(word) || run.has(word) {
            self.variable(word);
        } else {
            self.data(word);
        }
    }

    /// Queues a function.
    fn function(&mut self, name: &[u8]) {
        if let Some(definition) = self.request.functions.get(name)
            && !self.request.passed_over.contains(name)
            && self.functions.insert(name.to_vec())
        {
            self.queue.push((format!("the function {}", String::from_utf8_lossy(name)), definition.clone()));
        }
    }

    /// The functions that a text may call by names which it puts together.
    fn computed_calls(&self, run: &run::Run) -> Vec<Vec<u8>> {
        let computed = run.computed();
        let functions = self.request.functions.keys();
        functions.filter(|name| computed.iter().any(|computed| computed.may_be(name))).cloned().collect()
    }

    fn runs_arguments(&mut self, name: &[u8]) -> bool {
        if let Some(known) = self.runs_arguments.get(name) {
            return *known;
        }
        let Some(definition) = self.request.functions.get(name) else { return false };
        // Until it is known, for functions that call themselves.
        self.runs_arguments.insert(name.to_vec(), false);
        let known = run::of(definition, &shell::parse(definition), |name| self.runs_arguments(name)).runs_arguments();
        self.runs_arguments.insert(name.to_vec(), known);
        known
    }

    /// Queues the values of a variable.
    fn variable(&mut self, name: &[u8]) {
        if let Some(declared) = self.request.variables.get(name)
            && !self.request.passed_over.contains(name)
            && !NEVER_CODE.contains(&name)
            && self.variables.insert(name.to_vec())
        {
            self.queue.push((String::from_utf8_lossy(name).into_owned(), values(declared)));
        }
    }

    /// Notes the names in the values of a variable that is not run: somebody may read by them.
    fn data(&mut self, name: &[u8]) {
        let mut pending = vec![name.to_vec()];
        while let Some(name) = pending.pop() {
            if let Some(declared) = self.request.variables.get(&name)
                && !self.request.passed_over.contains(&name)
                && !NEVER_CODE.contains(&&name[..])
                && !name.ends_with(b"Phases")
                && !name.ends_with(b"Phase")
                && self.data.insert(name.clone())
            {
                let text = values(declared);
                for word in words(&text) {
                    self.word(word, &String::from_utf8_lossy(&name));
                    self.words.insert(word.to_vec());
                    pending.push(word.to_vec());
                }
            }
        }
    }

    /// What a builder script does by itself before the phases: it runs in every stage. What it sets and defines for them is
    /// searched where they come to it.
    fn builder(&mut self, label: &str, text: &[u8]) {
        let outside = source::outside(text);
        let script = shell::parse(&outside);
        let run = run::of(&outside, &script, |name| self.runs_arguments(name));
        let mut called = Vec::new();
        shell::each_command(&script.nodes, &mut |command| setup::calls(command, &mut called));
        for name in called {
            self.function(&name);
            // `runHook preConfigure`
            self.variable(&[&name[..], b"Hooks"].concat());
            if run.has(&name) || name.ends_with(b"Hooks") {
                self.variable(&name);
            }
        }
        let own: BTreeSet<&[u8]> = words(&outside).collect();
        for word in own.iter().filter(|word| run.has(word)) {
            self.variable(word);
            self.function(word);
        }
        self.unsaid(label, &outside, &script, &own);
        self.words.extend(words(text).map(<[u8]>::to_vec));
    }

    /// Follows the files that a text sources from the tree, and notes what it runs and names of the source. stdenv's own
    /// functions do nothing of the kind but for what they are given.
    fn files(&mut self, label: &str, text: &[u8]) {
        if label == PHASES
            || label.strip_prefix("the function ").is_some_and(|name| self.setup.contains(name.as_bytes()))
        {
            return;
        }
        // A program (`$builder`, `$SHELL`) is no script.
        let is_text = label.starts_with("the function ") || label.starts_with("the file ");
        if !is_text && !is_code(label.as_bytes()) {
            return;
        }
        let request = self.request;
        if let Some(what) = source::runs(text, &request.functions) {
            self.note(RUNS, format!("runs {what} in {label}"));
        }
        let stdenv = request.sourced.first().and_then(|setup| setup.parent());
        let paths = source::store_paths(text, &request.variables);
        self.paths.extend(paths.into_iter().filter(|path| stdenv.is_none_or(|stdenv| !path.starts_with(stdenv))));
        for path in source::sourced(text, &request.variables) {
            if !request.sourced.contains(&path)
                && !path.ends_with("setup")
                && self.files.len() < FILES
                && self.files.insert(path.clone())
                && let Ok(content) = std::fs::read(&path)
                && memchr::memchr(0, &content).is_none()
            {
                self.queue.push((format!("the file {}", path.display()), content));
            }
        }
    }

    /// Notes what the files of the store read that texts name, where this stage may run them.
    fn store(&mut self) {
        if !self.notes.contains_key(RUNS) {
            return;
        }
        let request = self.request;
        let mut names: BTreeSet<String> =
            request.wanted.iter().filter(|(name, key)| name == &key.as_bytes()).map(|(_, key)| key.clone()).collect();
        // `COMMAND=INPUT`: the lists that such an input is missing in.
        let late: Vec<&String> = request.wanted.values().filter(|key| key.contains('=')).collect();
        if !late.is_empty() {
            names.extend(INPUTS.map(str::to_owned));
        }
        let paths: Vec<PathBuf> = std::mem::take(&mut self.paths).into_iter().collect();
        let mut found =
            crate::mentions::in_store(&names, &paths, request.variables.contains_key(&b"NIX_ATTRS_JSON_FILE"[..]));
        if found.computed.is_some() {
            found.names.append(&mut found.named);
        }
        for (name, path) in found.names {
            let who = format!("may read it from its environment: {}, which its phases name, does", path.display());
            if INPUTS.contains(&&name[..]) {
                let who = who.replacen("read it", &format!("read {name}"), 1);
                for key in &late {
                    self.note(key, who.clone());
                }
            } else {
                self.note(&name, who);
            }
        }
        if let Some((path, what)) = found.all {
            self.note(
                ALL,
                format!("may read every variable: {} ({what}), which its phases name, does", path.display()),
            );
        }
        if !found.unproven.is_empty() {
            let lists = found.unproven.iter().map(|(path, what)| format!("{} ({what})", path.display()));
            self.note(UNPROVEN, lists.collect::<Vec<_>>().join("; "));
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

fn is_by_name(label: &str) -> bool {
    label.strip_prefix("the function ").is_some_and(|name| BY_NAME.contains(&name.as_bytes()))
}

/// Whether a variable is code by its name: stdenv runs hooks and phases by what their names begin or end with.
fn is_code(name: &[u8]) -> bool {
    let is_hook = |prefix: &[u8]| {
        name.strip_prefix(prefix).and_then(<[u8]>::first).is_some_and(|byte| byte.is_ascii_uppercase() || *byte == b'_')
    };
    let ends: [&[u8]; 7] = [b"Phase", b"Hook", b"Hooks", b"Cmd", b"Command", b"Script", b"Commands"];
    is_hook(b"pre") || is_hook(b"post") || ends.iter().any(|end| name.ends_with(end))
}

/// Whether what surrounds a word makes it part of a path that is written out.
fn is_in_path(before: &[u8], after: &[u8]) -> bool {
    let is_part = |byte: &&u8| shell::is_name(**byte) || matches!(byte, b'.' | b'+' | b'-' | b'@');
    let left = before.iter().rev().find(|byte| !is_part(byte));
    let right = after.iter().find(|byte| !is_part(byte));
    left == Some(&b'/') || right == Some(&b'/')
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
/// ways to name the variable counts as a call. No call is a part of a path, and no word of a message.
fn is_called(name: &[u8], text: &[u8], run: &run::Run) -> bool {
    memchr::memmem::find_iter(text, name).any(|at| {
        let (before, after) = (&text[..at], &text[at + name.len()..]);
        let is_part = before.last().is_some_and(|byte| shell::is_name(*byte))
            || after.first().is_some_and(|byte| shell::is_name(*byte));
        if is_part || is_in_path(before, after) || run.is_said(at, name) {
            return false;
        }
        let unquoted = before.strip_suffix(b"\"").unwrap_or(before);
        let is_value = [&b"="[..], b"-", b"= ", b"${", b"$", b"${#", b"-v "].iter().any(|end| unquoted.ends_with(end));
        let is_assigned = after.starts_with(b"=") || after.starts_with(b"+=");
        !(name.ends_with(b"Phase") && (is_value || is_assigned))
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
