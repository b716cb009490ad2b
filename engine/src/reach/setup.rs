//! What the setup and its hooks read while they are sourced: their code outside functions, and the functions which that
//! code runs.
//!
//! They are sourced in every stage, each time with the attributes of that stage, so a read matters only where it leads to
//! something that an earlier stage's phases use. `if [ -z "$installPhase" ]; then installPhase=ninjaInstallPhase; fi`, the
//! idiom of nearly all build tools' hooks, does not: the stage that uses `installPhase` decides anew. So a statement
//! counts unless everything it does is to set what no phase of this stage uses ([`Setup::is_harmless`]).

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::names;
use super::shell::{self, Kind, Node, Script, Simple};
use super::{ALL, Search, values, words};

/// Commands that run none of their arguments.
const INERT: &[&[u8]] = &[
    b"[",
    b"[[",
    b"test",
    b":",
    b"true",
    b"false",
    b"echo",
    b"printf",
    b"export",
    b"declare",
    b"typeset",
    b"readonly",
    b"local",
    b"unset",
    b"shopt",
    b"set",
    b"appendToVar",
    b"prependToVar",
    b"concatTo",
    b"addToSearchPath",
    b"addToSearchPathWithCustomDelimiter",
    b"source",
    b".",
    b"return",
    b"exit",
];

/// Commands that say something, and do nothing else.
pub const TALK: &[&[u8]] = &[
    b"echo",
    b"echoCmd",
    b"nixLog",
    b"nixErrorLog",
    b"nixWarnLog",
    b"nixNoticeLog",
    b"nixInfoLog",
    b"nixTalkativeLog",
    b"nixChattyLog",
    b"nixDebugLog",
    b"nixVomitLog",
];

struct File {
    path: PathBuf,
    text: Vec<u8>,
    /// The setup itself reads the structured attributes: that is how they come to be variables.
    is_setup: bool,
}

/// Searches what was sourced before the phases. What the phases use must have been searched before.
pub fn search(search: &mut Search) {
    let files = read(&search.request.sourced);
    let scripts: Vec<Script> = files.iter().map(|file| shell::parse(&file.text)).collect();
    let mut setup = Setup { search, reads: HashMap::new(), functions: HashSet::new() };
    let mut called = Vec::new();
    for (file, script) in files.iter().zip(&scripts) {
        setup.count_reads(&file.text, script);
        let mut commands = Vec::new();
        each_outside(&script.nodes, &mut |command| commands.push(command));
        for command in commands {
            calls(command, &mut called);
        }
    }
    // Environment hooks run for every input, when all of them are sourced.
    for (name, declared) in &setup.search.request.variables {
        if (name.starts_with(b"env") || name.starts_with(b"crossEnv")) && name.ends_with(b"Hooks") {
            called.extend(values(declared).split(|byte| *byte == b'\n').map(<[u8]>::to_vec));
        }
    }
    setup.run(called);
    for (file, script) in files.iter().zip(&scripts) {
        let label = if file.is_setup {
            format!("the top-level code of {}", file.path.display())
        } else {
            format!("the top-level code of the setup hook {}", file.path.display())
        };
        for node in &script.nodes {
            setup.statement(node, file, script, &label);
        }
    }
}

/// The functions that stdenv's setup defines, with the files that it sources.
pub fn functions(sourced: &[PathBuf]) -> HashSet<Vec<u8>> {
    let files = read(&sourced[..sourced.len().min(1)]);
    files.iter().flat_map(|file| super::source::defined(&file.text)).collect()
}

/// The files, and those that they source by a path that is written out.
fn read(sourced: &[PathBuf]) -> Vec<File> {
    let mut files: Vec<File> = Vec::new();
    let mut pending: Vec<(PathBuf, bool)> =
        sourced.iter().enumerate().map(|(index, path)| (path.clone(), index == 0)).rev().collect();
    while let Some((path, is_setup)) = pending.pop() {
        if files.iter().any(|file| file.path == path) {
            continue;
        }
        // What cannot be read could not be sourced either.
        let Ok(text) = fs::read(&path) else { continue };
        let mut more = Vec::new();
        shell::each_command(&shell::parse(&text).nodes, &mut |command| {
            if let Some((name, [file, ..])) = names::split(command)
                && matches!(&name[..], b"source" | b".")
                && let Some(file) = resolve(&shell::unquoted(file), &path)
            {
                more.push((file, is_setup));
            }
        });
        pending.extend(more.into_iter().rev());
        files.push(File { path, text, is_setup });
    }
    files
}

/// An absolute path, or a name beside the file that sources it (`"$directory/name.sh"`).
fn resolve(word: &[u8], beside: &Path) -> Option<PathBuf> {
    let word = std::str::from_utf8(word).ok()?;
    if word.starts_with('/') && !word.contains('$') {
        return Some(word.into());
    }
    let (variable, name) = word.rsplit_once('/')?;
    (variable.starts_with('$') && !name.contains('$')).then(|| beside.with_file_name(name))
}

/// The commands that run when a script is sourced: those outside functions.
fn each_outside<'a, 'n>(nodes: &'n [Node<'a>], each: &mut impl FnMut(&'n Simple<'a>)) {
    for node in nodes {
        match &node.kind {
            Kind::Simple(simple) => {
                each(simple);
                each_outside(&simple.nested, each);
            }
            Kind::Compound(nodes) => each_outside(nodes, each),
            Kind::Function(_) => {}
        }
    }
}

/// Adds what a command may call.
pub fn calls(command: &Simple, called: &mut Vec<Vec<u8>>) {
    let Some((name, arguments)) = names::split(command) else { return };
    // `source <(f)`: what the substitution runs is a command of its own.
    if INERT.contains(&&name[..]) || TALK.contains(&&name[..]) {
        return;
    }
    // A function may be handed another (`addEnvHooks 0 addIncludes`, `trap clean EXIT`), a hook is named.
    for word in arguments {
        called.extend(words(word).map(<[u8]>::to_vec));
        if let Some(hook) = shell::unquoted(word).strip_suffix(b"Hook") {
            called.push([hook, b"Hooks"].concat());
        }
    }
    called.push(name);
}

struct Setup<'s, 'r> {
    search: &'s mut Search<'r>,
    /// How often a word stands in what is sourced, as anything but the target of an assignment.
    reads: HashMap<Vec<u8>, usize>,
    /// Functions and variables that were searched.
    functions: HashSet<Vec<u8>>,
}

impl Setup<'_, '_> {
    fn count_reads(&mut self, text: &[u8], script: &Script) {
        for node in script.nodes.iter().filter(|node| !matches!(node.kind, Kind::Function(_))) {
            each_word(text, node, script, &[], &mut |word, is_target| {
                if !is_target {
                    *self.reads.entry(word.to_vec()).or_default() += 1;
                }
            });
        }
    }

    /// Searches the functions and hooks that run while the setup is sourced, and those that they call.
    fn run(&mut self, mut called: Vec<Vec<u8>>) {
        while let Some(name) = called.pop() {
            let request = self.search.request;
            if request.passed_over.contains(&name) || !self.functions.insert(name.clone()) {
                continue;
            }
            if let Some(text) = request.functions.get(&name) {
                self.text(text, &format!("the function {}", String::from_utf8_lossy(&name)), &mut called);
            }
            if (name.ends_with(b"Hook") || name.ends_with(b"Hooks"))
                && let Some(declared) = request.variables.get(&name)
            {
                self.text(&values(declared), &String::from_utf8_lossy(&name), &mut called);
            }
        }
    }

    fn text(&mut self, text: &[u8], label: &str, called: &mut Vec<Vec<u8>>) {
        let own: BTreeSet<&[u8]> = words(text).collect();
        let script = shell::parse(text);
        self.search.words(&own, label, text, &script);
        for word in &own {
            *self.reads.entry((*word).to_owned()).or_default() += 1;
        }
        self.search.unsaid(label, text, &script, &own);
        shell::each_command(&script.nodes, &mut |command| calls(command, called));
        if !super::is_by_name(label) {
            let run = super::run::of(text, &script, |name| self.search.runs_arguments(name));
            called.extend(self.search.computed_calls(&run));
        }
    }

    /// Notes what a statement at the top level reads.
    fn statement(&mut self, node: &Node, file: &File, script: &Script, label: &str) {
        if matches!(node.kind, Kind::Function(_)) || self.is_harmless(node) {
            return;
        }
        let mut harmless = Vec::new();
        self.harmless_parts(&file.text, node, &mut harmless);
        let mut own = BTreeSet::new();
        each_word(&file.text, node, script, &harmless, &mut |word, is_target| {
            // Setting it matters only as a read of it would.
            if !is_target {
                self.search.word(word, label);
            }
            own.insert(word);
        });
        if file.is_setup {
            return;
        }
        let mut all = None;
        each_outside(std::slice::from_ref(node), &mut |command| all = all.take().or_else(|| names::reads_all(command)));
        if let Some(what) = all {
            self.search.note(ALL, format!("reads every variable ({what}) in {label}"));
        }
        let text = &file.text[node.range.clone()];
        if super::is_indirect(text, &shell::parse(text))
            || own.iter().any(|word| self.search.is_indirect_function(word))
        {
            for computed in names::computed(text) {
                self.search.matching(
                    |name| computed.may_be(name),
                    || format!("may read it as {} in {label}", computed.written),
                );
            }
        }
    }

    /// The parts of a statement that count for nothing, though the whole does.
    fn harmless_parts(&self, text: &[u8], node: &Node, parts: &mut Vec<Range<usize>>) {
        if let Kind::Compound(nodes) = &node.kind {
            for node in nodes {
                match &node.kind {
                    // Its conditions decide about what else there is.
                    Kind::Simple(_) => {}
                    _ if is_branch(&text[node.range.clone()]) && self.is_harmless(node) => {
                        parts.push(node.range.clone());
                    }
                    _ => self.harmless_parts(text, node, parts),
                }
            }
        }
    }

    /// Whether all that a statement does is to set what no phase of this stage uses.
    fn is_harmless(&self, node: &Node) -> bool {
        match &node.kind {
            Kind::Compound(nodes) => nodes.iter().all(|node| self.is_harmless(node)),
            Kind::Function(_) => false,
            Kind::Simple(command) => self.is_harmless_command(command),
        }
    }

    fn is_harmless_command(&self, command: &Simple) -> bool {
        if command.is_redirected || !command.nested.is_empty() {
            return false;
        }
        let Some((name, arguments)) = names::split(command) else {
            let mut targets = command.words.iter().filter_map(|word| shell::assignment(word));
            return targets.all(|(name, _)| self.is_unused(name));
        };
        // `: "${x:=y}"` sets x.
        let mut defaults = command.words.iter().flat_map(|word| default_targets(word));
        if !defaults.all(|name| self.is_unused(name)) {
            return false;
        }
        match &name[..] {
            b"[" | b"[[" | b"test" | b":" | b"true" | b"false" | b"for" | b"case" => true,
            b"export" | b"declare" | b"typeset" | b"unset" => {
                arguments.iter().filter(|word| !word.starts_with(b"-")).all(|word| {
                    let name = shell::assignment(word).map_or(*word, |(name, _)| name);
                    self.is_later(name)
                })
            }
            b"appendToVar" | b"prependToVar" => arguments.first().is_some_and(|name| self.is_unused(name)),
            name => TALK.contains(&name),
        }
    }

    /// Whether no phase of this stage uses a variable, and nothing that the setup does depends on it.
    fn is_unused(&self, name: &[u8]) -> bool {
        let request = self.search.request;
        let is_exported = || {
            let flags = request.variables.get(name).and_then(|declared| declared.split(|byte| *byte == b' ').nth(1));
            flags.is_some_and(|flags| flags.contains(&b'x'))
        };
        if self.is_later(name) {
            return true;
        }
        // Hooks and phases are read by what their names begin with.
        let is_list = name.ends_with(b"Hooks") || name.ends_with(b"Phases");
        let is_read = || self.reads.contains_key(name) || self.search.words.contains(name);
        let may_be_read = || self.search.computed.iter().any(|computed| computed.may_be(name));
        !(is_list || is_read() || is_exported() || may_be_read())
    }

    /// Whether only later stages may use a variable: one that is held back, or the hooks or phases of a later phase.
    fn is_later(&self, name: &[u8]) -> bool {
        let request = self.search.request;
        if request.wanted.contains_key(name) {
            return true;
        }
        let Some(hook) = name.strip_suffix(b"Hooks").or_else(|| name.strip_suffix(b"Phases")) else { return false };
        if hook == b"post" {
            return !request.later_phases.is_empty();
        }
        let phase = match hook.strip_prefix(b"pre").or_else(|| hook.strip_prefix(b"post")) {
            Some([first, rest @ ..]) => [&[first.to_ascii_lowercase()], rest, b"Phase"].concat(),
            _ if hook == b"fixupOutput" => b"fixupPhase".to_vec(),
            _ => return false,
        };
        request.later_phases.contains(&phase)
    }
}

/// Whether a part of a statement brings its own conditions. Any other, such as `[ … ] && [ … ]` behind `if`, may be one.
fn is_branch(part: &[u8]) -> bool {
    let word = part.iter().take_while(|byte| shell::is_name(**byte)).count();
    matches!(&part[..word], b"if" | b"case" | b"for" | b"while" | b"until" | b"select")
}

/// The names in `${NAME=…}` and `${NAME:=…}`.
fn default_targets(word: &[u8]) -> Vec<&[u8]> {
    let begins = memchr::memmem::find_iter(word, b"${");
    begins
        .filter_map(|at| {
            let rest = &word[at + 2..];
            let length = rest.iter().take_while(|byte| shell::is_name(**byte)).count();
            let after = rest[length..].strip_prefix(b":").unwrap_or(&rest[length..]);
            after.starts_with(b"=").then(|| &rest[..length])
        })
        .collect()
}

/// The words of a node, but for comments and the parts left out, each with whether it is the target of an assignment.
fn each_word<'t>(
    text: &'t [u8],
    node: &Node,
    script: &Script,
    left_out: &[Range<usize>],
    each: &mut impl FnMut(&'t [u8], bool),
) {
    let mut at = node.range.start;
    while at < node.range.end {
        let skipped = script.comments.iter().chain(left_out).find(|range| range.contains(&at));
        if let Some(range) = skipped {
            at = range.end.max(at + 1);
            continue;
        }
        let length = text[at..node.range.end].iter().take_while(|byte| shell::is_name(**byte)).count();
        if length == 0 {
            at += 1;
            continue;
        }
        let after = &text[at + length..];
        let is_expanded = at > 0 && matches!(text[at - 1], b'$' | b'{' | b'!' | b'#');
        let is_target =
            !is_expanded && (after.starts_with(b"=") && !after.starts_with(b"==") || after.starts_with(b"+="));
        each(&text[at..at + length], is_target);
        at += length;
    }
}
