//! How a text may come to a variable without saying its name: names put together around an expansion, and reads of the
//! whole environment.

use super::shell::{self, Simple};

/// A literal part shorter than this (`"${file}s"`) is no name in the making.
const SHORTEST: usize = 2;

/// A name with expansions in it, such as `${phase}Flags`.
#[derive(Debug, PartialEq, Eq)]
pub struct Computed {
    /// As the text writes it.
    pub written: String,
    /// The literal parts; between two of them anything may stand.
    literals: Vec<Vec<u8>>,
}

impl Computed {
    /// Whether this may become the name.
    pub fn may_be(&self, name: &[u8]) -> bool {
        let Some((first, rest)) = self.literals.split_first() else { return false };
        let Some((last, middle)) = rest.split_last() else { return name == first };
        let Some(mut left) = name.strip_prefix(&first[..]) else { return false };
        for part in middle {
            match memchr::memmem::find(left, part) {
                Some(at) => left = &left[at + part.len()..],
                None => return false,
            }
        }
        left.ends_with(last)
    }
}

/// The names with expansions in a text.
pub fn computed(text: &[u8]) -> Vec<Computed> {
    let mut scan = Scan { text, depth: 0, found: Vec::new() };
    scan.range(0, text.len(), false);
    scan.found
}

struct Scan<'a> {
    text: &'a [u8],
    depth: usize,
    found: Vec<Computed>,
}

/// A word on its way: where it began, its literal parts, whether it has an expansion, whether it can be a name.
struct Word {
    from: usize,
    literals: Vec<Vec<u8>>,
    is_name: bool,
    /// Begins behind `{`, so that `:`, `-` and their like end it: `eval "x=\${${name}Flags:-}"`.
    in_braces: bool,
}

impl Word {
    fn new(from: usize, in_braces: bool) -> Self {
        Self { from, literals: vec![Vec::new()], is_name: true, in_braces }
    }
}

impl Scan<'_> {
    fn end(&mut self, word: &Word, at: usize) {
        let literal: usize = word.literals.iter().map(Vec::len).sum();
        if word.is_name && word.literals.len() > 1 && literal >= SHORTEST {
            let written = String::from_utf8_lossy(&self.text[word.from..at]);
            let written = written.trim_end_matches(['"', '\'']).to_owned();
            self.found.push(Computed { written, literals: word.literals.clone() });
        }
    }

    fn range(&mut self, from: usize, to: usize, in_braces: bool) {
        if self.depth > shell::DEPTH {
            return;
        }
        self.depth += 1;
        let mut at = from;
        let mut word = Word::new(at, in_braces);
        while at < to {
            let byte = self.text[at];
            let next = self.text.get(at + 1).copied().filter(|_| at + 1 < to);
            match byte {
                b'$' => match next {
                    Some(b'{') => {
                        let close = self.closing(at + 2, to, b'{', b'}');
                        self.range(at + 2, close, true);
                        word.literals.push(Vec::new());
                        at = (close + 1).min(to);
                    }
                    Some(b'(') => {
                        let close = self.closing(at + 2, to, b'(', b')');
                        self.range(at + 2, close, false);
                        word.literals.push(Vec::new());
                        at = (close + 1).min(to);
                    }
                    Some(next) if shell::is_name(next) || matches!(next, b'@' | b'*' | b'#' | b'?') => {
                        at += 2;
                        if next.is_ascii_alphabetic() || next == b'_' {
                            while at < to && shell::is_name(self.text[at]) {
                                at += 1;
                            }
                        }
                        word.literals.push(Vec::new());
                    }
                    _ => at += 1,
                },
                // Quotes join what they stand between.
                b'"' | b'\'' => {
                    at += 1;
                    if word.literals.len() == 1 && word.literals[0].is_empty() {
                        word.from = at;
                    }
                }
                // Brace expansion is an expansion; any other brace is a boundary.
                b'{' => {
                    if let Some(close) = self.braces(at, to) {
                        word.literals.push(Vec::new());
                        at = close + 1;
                    } else {
                        self.end(&word, at);
                        at += 1;
                        word = Word::new(at, true);
                    }
                }
                b'\\' => {
                    self.end(&word, at);
                    // `\${` is how eval writes an expansion.
                    at = (at + 2).min(to);
                    let in_braces = self.text.get(at) == Some(&b'{') && at < to;
                    at += usize::from(in_braces);
                    word = Word::new(at, in_braces);
                }
                b'+' if next == Some(b'=') => {
                    self.end(&word, at);
                    at += 2;
                    word = Word::new(at, false);
                }
                _ if shell::is_name(byte) => {
                    if let Some(last) = word.literals.last_mut() {
                        last.push(byte);
                    }
                    at += 1;
                }
                b':' | b'-' | b'+' | b'/' | b'#' | b'%' | b'^' | b',' if word.in_braces => {
                    self.end(&word, at);
                    while at < to
                        && matches!(self.text[at], b':' | b'-' | b'+' | b'/' | b'#' | b'%' | b'^' | b',' | b'=')
                    {
                        at += 1;
                    }
                    word = Word::new(at, false);
                }
                b'-' | b'/' | b'.' | b':' | b'+' | b'%' | b'@' | b'^' | b'~' | b'?' | b'*' | b'#' => {
                    word.is_name = false;
                    at += 1;
                }
                _ => {
                    self.end(&word, at);
                    at += 1;
                    word = Word::new(at, false);
                }
            }
        }
        self.end(&word, to);
        self.depth -= 1;
    }

    /// Where the bracket closes that opened before `at`.
    fn closing(&self, mut at: usize, to: usize, open: u8, close: u8) -> usize {
        let mut depth = 0usize;
        while at < to {
            match self.text[at] {
                b'\\' => at += 1,
                byte if byte == open => depth += 1,
                byte if byte == close && depth == 0 => return at,
                byte if byte == close => depth -= 1,
                _ => {}
            }
            at += 1;
        }
        to
    }

    /// The end of a brace expansion, `{a,b}`, that begins here.
    fn braces(&self, at: usize, to: usize) -> Option<usize> {
        let inside = &self.text[at + 1..to];
        let length = inside.iter().take_while(|byte| shell::is_name(**byte) || matches!(byte, b',' | b'.')).count();
        let is_expansion = inside[..length].contains(&b',') || inside[..length].windows(2).any(|pair| pair == b"..");
        (is_expansion && inside.get(length) == Some(&b'}')).then_some(at + 1 + length)
    }
}

/// The prefixes of `${!prefix@}` and `${!prefix*}`.
pub fn prefixes(text: &[u8]) -> Vec<&[u8]> {
    let begins = memchr::memmem::find_iter(text, b"${!");
    begins
        .filter_map(|at| {
            let rest = &text[at + 3..];
            let length = rest.iter().take_while(|byte| shell::is_name(**byte)).count();
            matches!(rest.get(length..length + 2), Some(b"@}" | b"*}")).then(|| &rest[..length])
        })
        .collect()
}

/// Whether a command uses a variable whose name it has in another, `${!…}` apart.
pub fn is_indirect(command: &Simple) -> bool {
    let Some((name, arguments)) = split(command) else { return false };
    let is_expansion = |word: &[u8]| shell::unquoted(word).starts_with(b"$");
    let has_flag =
        |flag: u8| arguments.iter().any(|word| matches!(word.strip_prefix(b"-"), Some(flags) if flags.contains(&flag)));
    match &name[..] {
        b"eval" => true,
        b"declare" | b"local" | b"typeset" => has_flag(b'n') || arguments.iter().any(|word| is_expansion(word)),
        b"export" | b"readonly" | b"unset" | b"read" | b"mapfile" | b"readarray" | b"printenv" => {
            arguments.iter().any(|word| is_expansion(word))
        }
        // The names come from its input.
        b"xargs" | b"parallel" => arguments.contains(&&b"printenv"[..]),
        b"printf" => arguments.first().is_some_and(|word| word.starts_with(b"-v")),
        b"[" | b"[[" | b"test" => arguments.windows(2).any(|pair| pair[0] == b"-v" && is_expansion(pair[1])),
        _ => false,
    }
}

/// What of a command reads all variables, or hands all of them to somebody, if anything does.
pub fn reads_all(command: &Simple) -> Option<String> {
    let attributes = command.words.iter().find(|word| is_attributes(word));
    let Some((name, arguments)) = split(command) else {
        return attributes.map(|word| shown(&[word]));
    };
    let reads = lists(command).is_some()
        || match &name[..] {
            b"envsubst" => true,
            // It makes names of variables out of what it finds in the file.
            _ if name.starts_with(b"substituteAll") => true,
            // Sourced, the attributes become variables, as they are without the file.
            b"[" | b"[[" | b"test" | b":" | b"echo" | b"source" | b"." | b"export" | b"declare" | b"typeset"
            | b"local" | b"readonly" | b"set" => false,
            // A filter that begins with a name reads that name.
            b"jq" => {
                let filters = arguments.iter().filter(|word| !is_attributes(word));
                let named = filters.map(|word| shell::unquoted(word)).any(|word| {
                    word.strip_prefix(b".").is_some_and(|rest| {
                        rest.strip_prefix(b"[").unwrap_or(rest).first().copied().is_some_and(shell::is_name)
                    })
                });
                attributes.is_some() && !named
            }
            _ => attributes.is_some(),
        };
    reads.then(|| shown(&command.words))
}

/// `echo env | sh`: what a shell is given to run by a command that only says it.
pub fn reads_all_fed(nodes: &[shell::Node]) -> Option<String> {
    let (mut text, mut is_fed) = (None, false);
    shell::each_command(nodes, &mut |command| {
        let Some((name, arguments)) = split(command) else { return };
        is_fed |= SHELLS.contains(&base(&name)) && arguments.iter().all(|word| matches!(*word, b"-" | b"-s"));
        if matches!(&name[..], b"echo" | b"printf") && text.is_none() {
            text = listed_in(&said(arguments)).map(|_| shown(&command.words));
        }
    });
    text.filter(|_| is_fed)
}

/// Words as one text, as `echo` says them and `eval` runs them.
pub fn said(words: &[&[u8]]) -> Vec<u8> {
    words.iter().map(|word| literal(word)).collect::<Vec<_>>().join(&b' ')
}

/// The beginning of a command, in one line.
fn shown(words: &[&[u8]]) -> String {
    const MOST: usize = 80;
    let words: Vec<_> = words.iter().take(3).map(|word| String::from_utf8_lossy(word)).collect();
    let line = words.join(" ").split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(MOST).collect()
}

fn is_attributes(word: &[u8]) -> bool {
    // In a substitution of several lines are comments.
    word.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii_start().starts_with(b"#")).any(|line| {
        ["NIX_ATTRS_JSON_FILE", "NIX_ATTRS_SH_FILE", ".attrs.json", ".attrs.sh"]
            .iter()
            .any(|file| memchr::memmem::find(line, file.as_bytes()).is_some())
    })
}

/// The program that lists all variables in a command: itself, or what it calls (`nice env`, `xargs env`, `sh -c env`).
pub fn lists(command: &Simple) -> Option<Vec<u8>> {
    let (name, arguments) = split(command)?;
    if let Some(file) = command.words.iter().find(|word| is_environment_file(word, &name)) {
        return Some(shell::unquoted(file));
    }
    let base = base(&name).to_vec();
    let is_flag = |word: &&&[u8]| word.first() == Some(&b'-');
    let all_flags = arguments.iter().all(|word| is_flag(&word));
    let has_flag = |wanted: &[u8]| {
        let mut flags = arguments.iter().filter(is_flag);
        flags.any(|word| word.iter().any(|byte| wanted.contains(byte)))
    };
    let reads = match &base[..] {
        b"env" => runs_nothing(arguments),
        b"printenv" => all_flags,
        // Its database has the environment.
        b"make" | b"gmake" => arguments.iter().any(|word| {
            let flags = word.strip_prefix(b"-").filter(|flags| flags.iter().all(u8::is_ascii_alphabetic));
            *word == b"--print-data-base"
                || flags.is_some_and(|flags| flags.contains(&b'p') && !b"CfIoW".contains(&flags[0]))
        }),
        b"git" => arguments.iter().any(|word| memchr::memmem::find(word, b"!env").is_some()),
        // `ps e`, `ps auxe`: with the environment of what runs.
        b"ps" => arguments.iter().any(|word| word.starts_with(b"-") && word.contains(&b'E') || is_flags_with_e(word)),
        b"set" => arguments.is_empty(),
        b"export" | b"declare" | b"typeset" | b"readonly" => all_flags && !has_flag(b"fFaA"),
        b"compgen" => {
            let kinds: [&[u8]; 3] = [b"variable", b"export", b"arrayvar"];
            has_flag(b"ve") || arguments.iter().any(|word| kinds.contains(word))
        }
        _ => false,
    };
    if reads {
        return Some(base);
    }
    if base == b"trap" {
        let action = arguments.iter().find(|word| **word != b"--");
        return action.and_then(|text| listed_in(&literal(text)));
    }
    if base == b"eval" {
        return listed_in(&said(arguments));
    }
    if SHELLS.contains(&&base[..]) {
        return inline(arguments, b'c').and_then(|text| listed_in(&text));
    }
    if matches!(&base[..], b"sed" | b"gsed") && arguments.iter().any(|word| sed_runs_env(&literal(word))) {
        return Some(base);
    }
    if CALLERS.contains(&&base[..]) || base == b"env" {
        let called = (0..arguments.len()).filter(|at| {
            let name = shell::unquoted(arguments[*at]);
            // Where the caller's own arguments end is not known: what lists is taken for a command anywhere.
            let before_is_option =
                *at > 0 && matches!(arguments[at - 1], b"-n" | b"-I" | b"-u" | b"-C" | b"-name" | b"-type");
            !before_is_option && CALLED.contains(&self::base(&name))
        });
        for at in called {
            let inner = Simple { words: arguments[at..].to_vec(), ..Simple::default() };
            let listed = lists(&inner);
            if listed.is_some() {
                return listed;
            }
        }
    }
    if INTERPRETERS.contains(&trimmed(&base)) {
        let text: Vec<u8> = arguments.iter().flat_map(|word| [&literal(word)[..], b"\n"].concat()).collect();
        return reaches_all(&text).then_some(base);
    }
    None
}

/// Shells, which take a script as an argument.
const SHELLS: &[&[u8]] =
    &[b"sh", b"bash", b"dash", b"ksh", b"zsh", b"ash", b"$SHELL", b"$BASH", b"$shell", b"${shell}", b"busybox"];

/// Programs that run what their arguments say.
const CALLERS: &[&[u8]] = &[
    b"nice",
    b"nohup",
    b"sudo",
    b"doas",
    b"timeout",
    b"stdbuf",
    b"setsid",
    b"xargs",
    b"exec",
    b"command",
    b"builtin",
    b"time",
    b"find",
    b"ionice",
    b"chrt",
    b"taskset",
    b"fakeroot",
    b"setarch",
    b"linux64",
    b"linux32",
    b"unbuffer",
    b"script",
    b"watch",
    b"parallel",
    b"busybox",
    b"coproc",
    b"flock",
    b"prlimit",
    b"unshare",
    b"proot",
    b"strace",
    b"ltrace",
    b"catchsegv",
    b"eatmydata",
    b"faketime",
    b"chronic",
    b"chroot",
    b"toybox",
    b"coreutils",
];

/// What they may run that lists.
const CALLED: &[&[u8]] = &[
    b"env",
    b"printenv",
    b"sh",
    b"bash",
    b"dash",
    b"python3",
    b"python",
    b"perl",
    b"ruby",
    b"node",
    b"awk",
    b"gawk",
    b"jq",
];

/// Interpreters of other languages.
pub const INTERPRETERS: &[&[u8]] = &[
    b"python", b"pypy", b"perl", b"ruby", b"node", b"nodejs", b"deno", b"bun", b"lua", b"luajit", b"awk", b"gawk",
    b"mawk", b"nawk", b"tclsh", b"expect", b"php", b"guile", b"jq", b"gojq", b"jaq", b"yq", b"Rscript", b"R", b"julia",
    b"elixir", b"erl", b"ocaml", b"racket", b"emacs", b"m4",
];

fn base(name: &[u8]) -> &[u8] {
    name.rsplit(|byte| *byte == b'/').next().unwrap_or(name)
}

/// `python3.11` is `python`.
pub fn trimmed(name: &[u8]) -> &[u8] {
    let end = name.iter().rposition(|byte| !byte.is_ascii_digit() && *byte != b'.').map_or(0, |at| at + 1);
    &name[..end]
}

/// Whether a word is a file that holds the environment: the kernel's, or the one that stdenv writes.
fn is_environment_file(word: &[u8], command: &[u8]) -> bool {
    let word = shell::unquoted(word);
    let name = base(&word);
    // `/proc/self/environ`, `/proc/$$/env*`; `environ`, where it stands in /proc already.
    let is_pattern = name
        .iter()
        .position(|byte| matches!(byte, b'*' | b'?' | b'['))
        .is_some_and(|at| b"environ".starts_with(&name[..at]));
    let process = memchr::memmem::find(&word, b"proc/").map(|at| &word[at + b"proc/".len()..]);
    let is_kernel = process.is_some_and(|process| process.contains(&b'/')) && (name == b"environ" || is_pattern);
    let is_stdenv = word == b"env-vars" || word.ends_with(b"/env-vars");
    // Packages that pack everything leave it out, or remove it.
    let readers: [&[u8]; 12] =
        [b"cat", b"grep", b"egrep", b"fgrep", b"source", b".", b"sed", b"awk", b"head", b"tail", b"sort", b"cut"];
    if word == b"environ" {
        return readers.contains(&command)
            || matches!(command, b"tr" | b"xargs" | b"strings" | b"mapfile" | b"readarray");
    }
    let harmless: [&[u8]; 4] = [b"[", b"[[", b"test", b"echo"];
    is_kernel && !harmless.contains(&command) || is_stdenv && readers.contains(&command)
}

/// Options of `ps` in the style of BSD, the environment among them.
fn is_flags_with_e(word: &[u8]) -> bool {
    word.contains(&b'e') && !word.is_empty() && word.iter().all(|byte| b"aefhjlmnruvwxcgksTU".contains(byte))
}

/// Whether a script of sed runs `env`.
fn sed_runs_env(script: &[u8]) -> bool {
    [&b"e env"[..], b"e printenv", b"e /usr/bin/env", b"e set"].iter().any(|command| {
        memchr::memmem::find_iter(script, command).any(|at| {
            let is_end = matches!(script.get(at + command.len()), None | Some(b' ' | b'\n' | b';' | b'|' | b'}'));
            is_end && !at.checked_sub(1).is_some_and(|at| script[at].is_ascii_alphabetic() || script[at] == b'_')
        })
    })
}

/// The text behind `-c` (or what else the flag is), as the program gets it.
fn inline(arguments: &[&[u8]], flag: u8) -> Option<Vec<u8>> {
    let is_flag = |word: &&[u8]| word.starts_with(b"-") && !word.starts_with(b"--") && word.contains(&flag);
    let at = arguments.iter().position(is_flag)?;
    arguments.get(at + 1).copied().map(literal)
}

/// A word as a program gets it, expansions aside.
fn literal(word: &[u8]) -> Vec<u8> {
    let (quote, inner) = match word {
        [quote @ (b'"' | b'\''), inner @ .., last] if quote == last => (*quote, inner),
        [b'$', b'\'', inner @ .., b'\''] => (b'$', inner),
        _ => (b' ', word),
    };
    if quote == b'\'' {
        return inner.to_vec();
    }
    let mut out = Vec::new();
    let mut bytes = inner.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' if bytes.peek().is_some_and(|next| matches!(next, b'$' | b'"' | b'\\' | b'`')) => {
                out.extend(bytes.next());
            }
            b'"' | b'\'' if quote == b' ' => {}
            _ => out.push(byte),
        }
    }
    out
}

/// The program that lists, in a text that a shell runs.
pub fn listed_in(text: &[u8]) -> Option<Vec<u8>> {
    let script = shell::parse(text);
    let mut found = None;
    shell::each_command(&script.nodes, &mut |command| found = found.take().or_else(|| lists(command)));
    found
}

/// Whether code of another language gets at the environment other than by a name that it says.
pub fn reaches_all(code: &[u8]) -> bool {
    let tokens: [&[u8]; 9] =
        [b"environb", b"environ", b"getenv", b"ENVIRON", b"ENV", b"process.env", b"get_env", b"Environ", b"env"];
    let mut at = 0;
    while at < code.len() {
        let is_start = at == 0 || !shell::is_name(code[at - 1]);
        let token = tokens.iter().find(|token| {
            is_start
                && code[at..].starts_with(token)
                && !code.get(at + token.len()).copied().is_some_and(shell::is_name)
        });
        let Some(token) = token else {
            at += 1;
            continue;
        };
        let before = &code[..at];
        let from = at;
        at += token.len();
        // `env` alone is jq's, with nothing but a filter around it.
        if *token == b"env" && !(before.is_empty() || matches!(before.last(), Some(b'|' | b' ' | b'(' | b'\n')))
            || *token == b"env" && matches!(code.get(at), Some(b'=' | b',' | b')' | b':'))
        {
            continue;
        }
        if from > 0 && before.ends_with(b"import ") {
            continue;
        }
        let rest = &code[at..];
        let rest = [".get", ".fetch", ".pop", "->", ":"]
            .iter()
            .find_map(|call| rest.strip_prefix(call.as_bytes()))
            .unwrap_or(rest);
        let says = match rest.first() {
            Some(b'.') => {
                rest.get(1).copied().is_some_and(shell::is_name)
                    && !(*token == b"environ" || *token == b"ENV" && !before.ends_with(b"$"))
            }
            Some(b'(' | b'[' | b'{') => {
                let inner = rest[1..].trim_ascii_start();
                let is_bare = rest[0] == b'{' && inner.first().copied().is_some_and(shell::is_name);
                is_bare || is_whole(inner)
            }
            Some(b' ') => *token == b"env" && rest.trim_ascii_start().first().copied().is_some_and(shell::is_name),
            _ => false,
        };
        if !says {
            return true;
        }
    }
    false
}

/// Whether a text in quotes is a whole key: `"NAME"]`, not `"install" + x]`.
fn is_whole(text: &[u8]) -> bool {
    let Some((quote @ (b'"' | b'\''), inner)) = text.split_first() else { return false };
    let Some(end) = memchr::memchr(*quote, inner) else { return true };
    let is_literal = !["${", "#{"].iter().any(|begin| memchr::memmem::find(&inner[..end], begin.as_bytes()).is_some());
    is_literal && matches!(inner[end + 1..].trim_ascii_start().first(), None | Some(b')' | b']' | b'}' | b','))
}

/// Whether `env` has no program to run, so that it prints.
fn runs_nothing(arguments: &[&[u8]]) -> bool {
    let mut arguments = arguments.iter();
    while let Some(word) = arguments.next() {
        match *word {
            b"-u" | b"-C" | b"--unset" | b"--chdir" => {
                arguments.next();
            }
            // The end of what `find` runs.
            b"\\;" | b"';'" | b"+" => return true,
            word if word.first() == Some(&b'-') || shell::assignment(word).is_some() => {}
            _ => return false,
        }
    }
    true
}

/// The command's name, without quotes, and its arguments; assignments and words such as `command` in front are passed by.
pub fn split<'s, 'a>(command: &'s Simple<'a>) -> Option<(Vec<u8>, &'s [&'a [u8]])> {
    let words = &command.words;
    let first = words.iter().position(|word| {
        shell::assignment(word).is_none() && !matches!(*word, b"command" | b"builtin" | b"exec" | b"time" | b"!")
    })?;
    Some((shell::unquoted(words[first]), &words[first + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> Vec<String> {
        computed(text.as_bytes()).into_iter().map(|name| name.written).collect()
    }

    #[test]
    fn names_with_expansions_are_found() {
        for (text, name) in [
            ("concatTo flags \"${phase}Flags\" x", "${phase}Flags"),
            ("runHook pre$name", "pre$name"),
            ("v=\"do${x^}\"", "do${x^}"),
            ("echo ${!x} \"$(f pre\"$y\")\"", "pre\"$y"),
            ("slice=\"${name}Hooks[@]\"", "${name}Hooks"),
            ("eval \"x=\\${${p}Flags:-}\"", "${p}Flags"),
            ("eval \"echo \\$${p}Flags\"", "${p}Flags"),
            ("for v in {pre,post}Build; do :; done", "{pre,post}Build"),
            ("a=${x:-install$y}", "install$y"),
            ("declare -g ${x}Flags+=1", "${x}Flags"),
        ] {
            assert!(written(text).contains(&name.to_owned()), "{text}: {:?}", written(text));
        }
    }

    #[test]
    fn paths_options_and_plain_names_are_not() {
        for text in
            ["$out/${x}Flags", "-L$dir", "\"--with-$x\"", "${x}s", "$x", "$x$y", "lib$name.so", "preBuild", "a='b'"]
        {
            assert_eq!(written(text), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn a_computed_name_matches_what_it_may_become() {
        let name = &computed(b"x=pre${a}Foo$b")[0];
        assert!(name.may_be(b"preInstallFoo") && name.may_be(b"preFooFoo") && name.may_be(b"preFooX"));
        assert!(!name.may_be(b"postFoo") && !name.may_be(b"preInstall"));
        assert!(computed(b"${phase}Flags")[0].may_be(b"installFlags"));
        assert!(!computed(b"${phase}Flags")[0].may_be(b"installFlagsArray"));
    }

    fn of(text: &str) -> (Option<String>, bool) {
        let script = shell::parse(text.as_bytes());
        let (mut all, mut indirect) = (None, false);
        shell::each_command(&script.nodes, &mut |command| {
            all = all.take().or_else(|| reads_all(command));
            indirect |= is_indirect(command);
        });
        (all, indirect)
    }

    #[test]
    fn reads_of_the_whole_environment() {
        for text in [
            "env",
            "env | grep x",
            "x=$(env -0)",
            "/usr/bin/env >f",
            "printenv",
            "if true; then export -p; fi",
            "export 2>/dev/null >f",
            "set | cat",
            "declare -p",
            "(set)",
            "compgen -v",
            "compgen -A variable x",
            "substituteAll a b",
            "envsubst <a >b",
            "cp $NIX_ATTRS_JSON_FILE x",
            "f() { env; }",
            "for x in $(printenv); do :; done",
            "case x in a) env ;; esac",
            "jq . .attrs.json",
            "x=\"`env`\"",
            "sh -c \"'env' | grep 'x'\"",
            "trap -- env EXIT",
            "eval 'env | sort'",
            "cat /proc/self/envir*",
            "sed '1e env' x",
            "make -np",
        ] {
            assert!(of(text).0.is_some(), "{text}");
        }
        for text in [
            "env FOO=1 make",
            "env -u X make",
            "# env",
            "set -e",
            "export FOO",
            "declare -f",
            "declare -p FOO",
            "printenv FOO",
            "echo env",
            "cat <<EOF\nenv\nEOF",
            "jq .installFlags $NIX_ATTRS_JSON_FILE",
            "[ -e \"$NIX_ATTRS_JSON_FILE\" ]",
            ". \"$NIX_ATTRS_SH_FILE\"",
            "x='env'",
            "local -a x=(env)",
            "ls /proc/*",
            "trap - EXIT",
            "make -C path",
            "awk '{ print ENVIRON[\"HOME\"] }'",
        ] {
            assert_eq!(of(text).0, None, "{text}");
        }
    }

    #[test]
    fn variables_by_names_in_others() {
        for text in ["eval x", "local -n x=y", "declare -rn x=y", "printf -v \"$x\" y", "unset \"$x\"", "[[ -v $x ]]"] {
            assert!(of(text).1, "{text}");
        }
        for text in ["local x=$y", "export PATH=$x", "printf %s \"$x\"", "unset x", "[[ -v x ]]"] {
            assert!(!of(text).1, "{text}");
        }
        assert_eq!(prefixes(b"${!pre@} ${!x} ${!_a*} ${!b[@]}"), [&b"pre"[..], b"_a"]);
    }
}
