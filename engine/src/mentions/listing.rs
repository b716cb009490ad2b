//! Places where a program of the source lists its whole environment, and what becomes of the list.
//!
//! A list that is handed on to a child (`env=dict(os.environ)`, `append(os.Environ(), …)`) is no read. One from which the
//! program picks by a text reads the names that the text fits; one that goes into a file, or on to another program, may
//! read every name; and where it ends is not known of one that is printed.

use super::kind::Kind;
use super::shell_listing;

/// What becomes of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listing {
    /// Names that hold one of these texts are read.
    Picks(Vec<Pick>),
    /// The same, and it may go on into something besides.
    Either(Vec<Pick>),
    /// It goes on into something.
    All,
    /// It is gone through, or printed.
    Unproven,
}

/// A text that a name must hold: whole words of it, `Flags` and `install` in `installFlags`, or where it is long a part with
/// which a word begins or the name ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pick {
    /// Letters, digits and underscores.
    pub text: Vec<u8>,
    /// Whether case is all the same.
    pub any_case: bool,
    /// Whether a name begins with it (`^install`), or ends with it (`Flags=`).
    pub is_first: bool,
    /// See above.
    pub is_last: bool,
}

impl Pick {
    /// Whether a name holds the text.
    pub fn fits(&self, name: &[u8]) -> bool {
        let lower = name.to_ascii_lowercase();
        let text = if self.any_case { self.text.to_ascii_lowercase() } else { self.text.clone() };
        let name_or_lower = if self.any_case { &lower[..] } else { name };
        let is_end = |at: usize| at == 0 || at == name.len() || name[at].is_ascii_uppercase() || name[at] == b'_';
        let is_long = text.len() >= LONG;
        let mut places = memchr::memmem::find_iter(name_or_lower, &text);
        places.any(|at| {
            let end = at + text.len();
            (is_end(at) || is_long && end == name.len())
                && (is_end(end) || is_long)
                && (!self.is_first || at == 0)
                && (!self.is_last || end == name.len())
        })
    }
}

/// So many characters of a word are no chance.
const LONG: usize = 4;

/// How far behind a list its use is looked for.
pub const WINDOW: usize = 480;

/// How many lines of it.
const LINES: usize = 8;

/// Words of tests on texts.
const TESTS: &[&str] = &[
    "startswith",
    "endswith",
    "startsWith",
    "endsWith",
    "hasPrefix",
    "hasSuffix",
    "HasPrefix",
    "HasSuffix",
    "Contains",
    "contains",
    "includes",
    "indexOf",
    "IndexOf",
    "strncmp",
    "strstr",
    "strcmp",
    "strncasecmp",
    "starts_with",
    "ends_with",
    "start_with",
    "end_with",
    "match",
    "search",
    "fnmatch",
    "grep",
    "=~",
    "index(",
    "index (",
    "==",
    "test(",
    "re.",
    "filter",
    "select",
    "prefix",
    "suffix",
    "Prefix",
    "Suffix",
    " in ",
    "find",
    "eq ",
    "substr",
    "slice",
    "~ /",
    "regex",
    "Regex",
    "glob",
    "include?",
    "string match",
    "if /",
    "&& /",
    "and /",
    "isPrefixOf",
    "isSuffixOf",
    "isInfixOf",
];

/// Words that turn a test round.
const NEGATED: &[&str] =
    &["not ", "!k", "!s", "!n", "!~", "!=", "unless", "!(", "reject", "grep -v", "!key", " ne ", "!v", "!e", "!st"];

/// Words that pass over what a test fits.
const SKIPS: &[&str] = &["continue", "next if", "next unless", "next;", "next }"];

/// Words that put what they get somewhere.
const OUTPUT: &[&str] = &[
    "write",
    "dump",
    "Write",
    "stringify",
    "fprintf",
    "fputs",
    "file_put_contents",
    ".puts",
    "print {",
    "print $fh",
    "print OUT",
    "print FH",
    ">>",
    "> \"",
    "yaml.",
    "json.",
    "spurt",
    "puts $",
    "to_json",
    "to_yaml",
];

/// Calls `found` with every list of the environment in a text, where it stands and what becomes of it.
pub fn each(kind: Kind, is_autoconf: bool, text: &[u8], found: &mut impl FnMut(usize, Listing)) {
    match kind {
        Kind::Document | Kind::Data | Kind::Macro | Kind::Other => return,
        Kind::Shell | Kind::Unknown => shell_listing::script(text, is_autoconf, found),
        Kind::Make => shell_listing::makefile(text, found),
        _ => {}
    }
    let is_shell = matches!(kind, Kind::Shell | Kind::Make);
    let mut offer = |at: usize, listing: Option<Listing>| {
        if let Some(listing) = listing {
            let listing = match listing {
                // A program that is built first: whether it runs in this build is not known.
                Listing::All if kind == Kind::Compiled => Listing::Unproven,
                // There tests on texts are everywhere.
                Listing::Picks(picks) | Listing::Either(picks) if kind == Kind::Compiled => {
                    let is_part = |pick: &Pick| {
                        pick.text.iter().any(u8::is_ascii_uppercase) && pick.text.iter().any(u8::is_ascii_lowercase)
                    };
                    Listing::Picks(picks.into_iter().filter(is_part).collect())
                }
                other => other,
            };
            found(at, listing);
        }
    };
    if matches!(kind, Kind::Python | Kind::Unknown) || is_shell && memchr::memmem::find(text, b"python").is_some() {
        for at in memchr::memmem::find_iter(text, "environ") {
            offer(at, python(text, at));
        }
    }
    for (needle, kinds, look) in SHAPES {
        // In a script of the shell a program of another language stands in quotes.
        let is_inside = kind == Kind::Unknown || is_shell && !SHELLS_OWN.iter().any(|own| needle.contains(own));
        if kinds.contains(&kind) || is_inside && !kinds.contains(&Kind::Compiled) {
            for at in memchr::memmem::find_iter(text, needle.as_bytes()) {
                offer(at, look(text, at, needle.len()));
            }
        }
    }
    if kind == Kind::Compiled {
        for at in memchr::memmem::find_iter(text, "environ") {
            offer(at, compiled(text, at));
        }
    }
}

type Look = fn(&[u8], usize, usize) -> Option<Listing>;

const SCRIPT: &[Kind] = &[Kind::Script, Kind::Camel];
const COMPILED: &[Kind] = &[Kind::Compiled];
const BOTH: &[Kind] = &[Kind::Script, Kind::Camel, Kind::Compiled, Kind::Python];

/// What in a shape is the shell's own, and looked at by its grammar.
const SHELLS_OWN: &[&str] =
    &["`", "COMMAND", "/environ", "(environ)", "find_program", "run_command", "ENV.", "env |", "env|", "e env", "-c "];

/// Shapes of languages other than the shell, make and Python.
const SHAPES: &[(&str, &[Kind], Look)] = &[
    // Perl.
    ("%ENV", SCRIPT, perl),
    ("%::ENV", SCRIPT, perl),
    ("%main::ENV", SCRIPT, perl),
    // Ruby.
    ("ENV.", SCRIPT, ruby),
    // Julia.
    (" in ENV", SCRIPT, looped),
    ("keys(ENV", SCRIPT, used),
    ("pairs(ENV", SCRIPT, used),
    ("collect(ENV", SCRIPT, used),
    // JavaScript.
    ("(process.env)", SCRIPT, javascript),
    (" in process.env)", SCRIPT, looped),
    ("env.toObject()", SCRIPT, used),
    // awk.
    (" in ENVIRON", SCRIPT, looped),
    // jq.
    ("env | ", SCRIPT, filtered),
    ("env|", SCRIPT, filtered),
    ("$ENV | ", SCRIPT, used),
    ("$ENV|", SCRIPT, used),
    // sed.
    ("e env\n", SCRIPT, sed),
    ("e env ", SCRIPT, sed),
    // Tcl.
    ("array names env", SCRIPT, tcl),
    ("array names ::env", SCRIPT, tcl),
    ("array get env", SCRIPT, tcl),
    ("array get ::env", SCRIPT, tcl),
    ("parray env", SCRIPT, whole),
    ("parray ::env", SCRIPT, whole),
    // PHP, Java, Kotlin, R, Erlang, Elixir: without a name.
    ("= getenv()", SCRIPT, used),
    ("(getenv()", SCRIPT, used),
    ("System.getenv()", BOTH, used),
    ("os:getenv()", SCRIPT, used),
    ("Sys.getenv()", SCRIPT, used),
    ("$_ENV as", SCRIPT, used),
    ("$_SERVER as", SCRIPT, used),
    ("System.get_env()", SCRIPT, used),
    ("getenv() as", SCRIPT, used),
    // Go, Rust.
    ("os.Environ()", COMPILED, go),
    ("syscall.Environ()", COMPILED, go),
    ("env::vars", COMPILED, rust),
    // Others that are built first.
    ("getEnvironment", COMPILED, word_used),
    ("Unix.environment", COMPILED, used),
    ("GetEnvironmentVariables", BOTH, used),
    ("envPairs", BOTH, used),
    ("getEnvMap", COMPILED, used),
    ("environment.toAA", COMPILED, used),
    ("g_listenv", COMPILED, used),
    ("systemEnvironment().toStringList", COMPILED, used),
    // Scheme.
    ("get-environment-variables", SCRIPT, used),
    ("(environ)", SCRIPT, used),
    // CMake, Meson.
    ("-E environment", SCRIPT, whole),
    ("COMMAND env)", SCRIPT, whole),
    ("COMMAND env\n", SCRIPT, whole),
    ("COMMAND env OUTPUT", SCRIPT, whole),
    ("COMMAND env  ", SCRIPT, whole),
    ("COMMAND env COMMAND", SCRIPT, used),
    ("COMMAND printenv COMMAND", SCRIPT, used),
    ("COMMAND printenv)", SCRIPT, whole),
    ("COMMAND printenv\n", SCRIPT, whole),
    ("COMMAND printenv OUTPUT", SCRIPT, whole),
    ("COMMAND ${CMAKE_COMMAND} -E environment", SCRIPT, whole),
    ("command = env |", SCRIPT, whole),
    ("command = env >", SCRIPT, whole),
    ("-c \"env", SCRIPT, whole),
    ("-c 'env", SCRIPT, whole),
    ("'-c', 'env", SCRIPT, whole),
    ("'-c','env", SCRIPT, whole),
    ("run_command('env'", SCRIPT, alone),
    ("run_command('printenv'", SCRIPT, alone),
    ("find_program('env')", SCRIPT, whole),
    ("find_program('printenv')", SCRIPT, whole),
    // Programs of the shell that another language runs.
    ("`env`", SCRIPT, captured),
    ("`env |", SCRIPT, captured),
    ("`printenv`", SCRIPT, captured),
    ("`printenv |", SCRIPT, captured),
    ("qx(env", SCRIPT, used),
    ("qx{env", SCRIPT, used),
    ("\"env\"", BOTH, called),
    ("'env'", BOTH, called),
    ("\"env |", BOTH, called),
    ("'env |", BOTH, called),
    ("\"env >", BOTH, called),
    ("'env >", BOTH, called),
    ("\"printenv\"", BOTH, called),
    ("'printenv'", BOTH, called),
    ("\"printenv |", BOTH, called),
    ("'printenv |", BOTH, called),
    ("\"printenv >", BOTH, called),
    ("'printenv >", BOTH, called),
    // The kernel's list.
    ("/proc/self/environ", BOTH, used),
    ("/proc/$$/environ", SCRIPT, used),
];

/// A list that is gone through, whatever the language.
#[expect(clippy::unnecessary_wraps, reason = "one of the shapes' functions")]
fn used(text: &[u8], at: usize, _: usize) -> Option<Listing> {
    Some(verdict(text, at))
}

/// A list at the beginning of a filter of jq.
fn filtered(text: &[u8], at: usize, length: usize) -> Option<Listing> {
    let is_word = at.checked_sub(1).is_none_or(|at| matches!(text[at], b' ' | b'\t' | b'\n' | b'('));
    let next = text[at + length..].trim_ascii_start();
    let filters =
        ["to_entries", "with_entries", "keys", "map", "select", "has(", "del(", "paths", "tostring", "tojson", "."];
    (is_word && filters.iter().any(|filter| next.starts_with(filter.as_bytes()))).then(|| verdict(text, at))
}

/// `1e env`
fn sed(text: &[u8], at: usize, _: usize) -> Option<Listing> {
    let before = at.checked_sub(1).map(|at| text[at]);
    matches!(before, None | Some(b'0'..=b'9' | b'/' | b'$' | b'{' | b'\n' | b';')).then(|| verdict(text, at))
}

/// `system("env | grep x")`, `check_output(["env"])`.
fn called(text: &[u8], at: usize, length: usize) -> Option<Listing> {
    let before = text[..at].trim_ascii_end();
    let before = before.strip_suffix(b"[").unwrap_or(before).trim_ascii_end();
    let before = before.strip_suffix(b"(").unwrap_or(before).trim_ascii_end();
    let name = &before[before.iter().rposition(|byte| !is_name(*byte)).map_or(0, |at| at + 1)..];
    let calls: [&[u8]; 20] = [
        b"system",
        b"popen",
        b"popen2",
        b"popen3",
        b"Popen",
        b"exec",
        b"execSync",
        b"execFile",
        b"execFileSync",
        b"spawn",
        b"spawnSync",
        b"check_output",
        b"check_call",
        b"getoutput",
        b"run",
        b"capture2",
        b"capture3",
        b"capture",
        b"shell_exec",
        b"Command",
    ];
    // More words: a program to run.
    let runs_more = matches!(text[at + length..].trim_ascii_start().first(), Some(b','))
        && text[at + length..].trim_ascii_start()[1..]
            .trim_ascii_start()
            .first()
            .is_some_and(|byte| matches!(byte, b'"' | b'\''));
    (calls.contains(&name) && !runs_more).then(|| verdict(text, at))
}

fn word_used(text: &[u8], at: usize, length: usize) -> Option<Listing> {
    let is_word = !text.get(at + length).copied().is_some_and(is_name) && (at == 0 || !is_name(text[at - 1]));
    (is_word && text.get(at + length) != Some(&b'('))
        .then(|| verdict(text, at))
        .filter(|one| matches!(one, Listing::Picks(_)))
}

/// A list that goes out as it is, unless another program picks from it.
#[expect(clippy::unnecessary_wraps, reason = "one of the shapes' functions")]
fn whole(text: &[u8], at: usize, _: usize) -> Option<Listing> {
    let end = memchr::memchr(b'\n', &text[at..]).map_or(text.len(), |length| at + length);
    let is_picked = memchr::memmem::find(&text[at..end], b"grep").is_some();
    Some(if is_picked { verdict(text, at) } else { Listing::All })
}

/// A command of Meson without further arguments.
fn alone(text: &[u8], at: usize, length: usize) -> Option<Listing> {
    let rest = &text[at + length..];
    let argument = rest.iter().find(|byte| !matches!(byte, b' ' | b'\n' | b','));
    (argument != Some(&b'\''))
        .then(|| verdict(text, at))
        .map(|one| if one == Listing::Unproven { Listing::All } else { one })
}

/// A command in backquotes, which stand for other things in a comment.
fn captured(text: &[u8], at: usize, _: usize) -> Option<Listing> {
    let before = line_before(text, at).trim_ascii_end();
    matches!(before.last(), Some(b'=' | b'(' | b',')).then(|| whole(text, at, 0)).flatten()
}

/// `array names env PATTERN`.
fn tcl(text: &[u8], at: usize, length: usize) -> Option<Listing> {
    let rest = &text[at + length..];
    if rest.first().copied().is_some_and(is_name) {
        return None;
    }
    let pattern = &rest[..rest.iter().take_while(|byte| !matches!(byte, b']' | b'\n')).count()];
    let picks = picks(pattern, 2, false);
    let is_copy = text[at..].starts_with(b"array get");
    if picks.is_empty() {
        return Some(verdict(text, at)).filter(|one| !is_copy || *one == Listing::All);
    }
    Some(Listing::Picks(picks))
}

fn perl(text: &[u8], at: usize, length: usize) -> Option<Listing> {
    if text.get(at + length).copied().is_some_and(is_name) {
        return None;
    }
    let before = line_before(text, at);
    // `local %ENV`, `my %env = %ENV`, `{ %ENV, X => 1 }`, `\%ENV`: handed on.
    let goes_through =
        ["keys", "each", "values", "grep", "map", "for", "foreach", "sort", "Dumper", "encode_json", "delete"];
    let last = before.split(|byte| !is_name(*byte)).rfind(|word| !word.is_empty() && *word != b"my");
    let is_through = last.is_some_and(|word| goes_through.iter().any(|known| word == known.as_bytes()));
    let is_copied = before.trim_ascii_end().ends_with(b"=") && !is_through;
    if is_copied {
        let name = before.trim_ascii_end().strip_suffix(b"=")?.trim_ascii_end();
        let name = &name[name.iter().rposition(|byte| !is_name(*byte)).map_or(0, |at| at + 1)..];
        if name == b"ENV" {
            return None;
        }
        return through(text, name, &[b"keys %", b"each %", b"values %"]);
    }
    is_through.then(|| verdict(text, at))
}

fn ruby(text: &[u8], at: usize, length: usize) -> Option<Listing> {
    if at > 0 && is_name(text[at - 1]) {
        return None;
    }
    let rest = &text[at + length..];
    let method = &rest[..rest.iter().take_while(|byte| is_name(**byte)).count()];
    let is_through = [
        "each",
        "each_pair",
        "each_key",
        "map",
        "select",
        "filter",
        "keys",
        "find",
        "find_all",
        "detect",
        "any",
        "sort",
        "sort_by",
        "inject",
        "reduce",
        "collect",
        "filter_map",
        "partition",
        "flat_map",
        "grep",
        "to_a",
        "values",
        "inspect",
        "to_s",
        "slice",
        "values_at",
        "each_with_object",
        "to_json",
    ];
    if method == b"to_h" || method == b"to_hash" {
        return rest[method.len()..].starts_with(b".").then(|| verdict(text, at));
    }
    is_through.iter().any(|known| known.as_bytes() == method).then(|| verdict(text, at))
}

fn javascript(text: &[u8], at: usize, _: usize) -> Option<Listing> {
    let before = line_before(text, at);
    if ["keys", "entries", "values", "getOwnPropertyNames"].iter().any(|end| before.ends_with(end.as_bytes())) {
        return Some(verdict(text, at));
    }
    if ["log", "dir", "table"].iter().any(|end| before.ends_with(end.as_bytes())) {
        return Some(Listing::Unproven);
    }
    ["stringify", "inspect"].iter().any(|end| before.ends_with(end.as_bytes())).then_some(Listing::All)
}

fn looped(text: &[u8], at: usize, length: usize) -> Option<Listing> {
    if text.get(at + length).copied().is_some_and(is_name) {
        return None;
    }
    let before = line_before(text, at);
    // `("X" in ENVIRON)`, `name in process.env` ask for one.
    let is_loop = before.split(|byte| !is_name(*byte)).any(|word| word == b"for");
    is_loop.then(|| verdict(text, at))
}

fn go(text: &[u8], at: usize, _: usize) -> Option<Listing> {
    let before = line_before(text, at);
    if before.ends_with(b"range ") {
        return Some(verdict(text, at));
    }
    let name = before.trim_ascii_end().strip_suffix(b"=")?.trim_ascii_end();
    let name = name.strip_suffix(b":").unwrap_or(name).trim_ascii_end();
    let name = &name[name.iter().rposition(|byte| !is_name(*byte)).map_or(0, |at| at + 1)..];
    through(text, name, &[b"range "])
}

fn rust(text: &[u8], at: usize, length: usize) -> Option<Listing> {
    let rest = &text[at + length..];
    let rest = rest.strip_prefix(b"_os").unwrap_or(rest);
    let rest = rest.strip_prefix(b"()")?;
    let before = line_before(text, at);
    let is_loop = memchr::memmem::find(before, b" in ").is_some() && memchr::memmem::find(before, b"for ").is_some();
    let is_chain = rest.trim_ascii_start().starts_with(b".");
    (is_loop || is_chain).then(|| verdict(text, at))
}

/// `environ` in C and its like: an index, or a pointer that walks.
fn compiled(text: &[u8], at: usize) -> Option<Listing> {
    let end = at + "environ".len();
    if text.get(end).copied().is_some_and(is_name) {
        return None;
    }
    let before = line_before(text, at);
    let before = before.trim_ascii_end();
    let start = before.trim_ascii_start();
    if start.starts_with(b"*") || start.starts_with(b"/") || memchr::memmem::find(before, b"//").is_some() {
        return None;
    }
    // `environ[i] = …`
    let line = &text[end..end + memchr::memchr(b'\n', &text[end..]).unwrap_or(text.len() - end)];
    let is_set = line.starts_with(b"[") && memchr::memmem::find(line, b"] = ").is_some();
    if is_set {
        return None;
    }
    let before = before.strip_suffix(b"__").or_else(|| before.strip_suffix(b"_")).unwrap_or(before);
    if before.last().copied().is_some_and(is_name) && memchr::memmem::find(before, b"extern").is_some() {
        return None;
    }
    let is_walk =
        text[end..].starts_with(b"[") || before.ends_with(b"=") && !before.ends_with(b"==") || before.ends_with(b"*");
    let is_declared = memchr::memmem::find(before, b"extern").is_some()
        || memchr::memmem::find(before, b"char").is_some() && !before.ends_with(b"=");
    if !is_walk || is_declared {
        return None;
    }
    // A pointer that is handed on walks nowhere.
    let near = &text[at - line_before(text, at).len()..text.len().min(at + WINDOW / 2)];
    let is_loop =
        ["for (", "for(", "while (", "while("].iter().any(|word| memchr::memmem::find(near, word.as_bytes()).is_some());
    is_loop.then(|| verdict(text, at))
}

fn python(text: &[u8], at: usize) -> Option<Listing> {
    let mut end = at + "environ".len();
    end += usize::from(text.get(end) == Some(&b'b'));
    if text.get(end).copied().is_some_and(is_name) || at > 0 && is_name(text[at - 1]) {
        // `/proc/self/environ` is a shape of its own.
        return None;
    }
    let before = line_before(text, at);
    if before.ends_with(b"/") {
        let is_own = memchr::memmem::find(before, b"/proc/").is_some();
        return is_own.then(|| verdict(text, at));
    }
    let before = before.strip_suffix(b"os.").unwrap_or(before);
    let rest = &text[end..];
    let method = rest.strip_prefix(b".").map(|rest| &rest[..rest.iter().take_while(|byte| is_name(**byte)).count()]);
    if matches!(method, Some(b"items" | b"keys" | b"values" | b"iteritems" | b"iterkeys" | b"viewitems")) {
        return Some(verdict(text, at));
    }
    if rest.first() == Some(&b'[') || method.is_some_and(|method| method != b"copy") {
        return None;
    }
    let is_loop = before.ends_with(b" in ") && {
        let words: Vec<&[u8]> = before.split(|byte| !is_name(*byte)).filter(|word| !word.is_empty()).collect();
        let last_for = words.iter().rposition(|word| *word == b"for");
        let last_if = words.iter().rposition(|word| {
            matches!(*word, b"if" | b"while" | b"assert" | b"not" | b"and" | b"or" | b"elif" | b"return")
        });
        last_for.is_some() && last_for > last_if
    };
    let call = before.trim_ascii_end().strip_suffix(b"(").map(|before| {
        let from = before.iter().rposition(|byte| !is_name(*byte)).map_or(0, |at| at + 1);
        &before[from..]
    });
    if is_loop || matches!(call, Some(b"sorted" | b"list" | b"iter" | b"filter" | b"map" | b"set" | b"enumerate")) {
        return Some(verdict(text, at));
    }
    if matches!(call, Some(b"str" | b"repr" | b"dump" | b"dumps" | b"pprint" | b"pformat")) {
        return Some(Listing::All);
    }
    if call == Some(b"print") {
        let line = &rest[..memchr::memchr(b'\n', rest).unwrap_or(rest.len())];
        let is_file =
            memchr::memmem::find(line, b"file=").is_some() && memchr::memmem::find(line, b"file=sys.std").is_none();
        return Some(if is_file { Listing::All } else { Listing::Unproven });
    }
    // `json.dump({**os.environ}, f)`
    let is_unpacked = before.ends_with(b"**");
    if is_unpacked
        && ["dump(", "dumps(", "print(", "str("]
            .iter()
            .any(|call| memchr::memmem::find(before, call.as_bytes()).is_some())
    {
        return Some(Listing::All);
    }
    // A copy: what is done with it?
    let is_copy =
        call == Some(b"dict") || call.is_none() && before.trim_ascii_end().ends_with(b"=") || method == Some(b"copy");
    if !is_copy {
        return None;
    }
    let outer = before.trim_ascii_end();
    for output in [&b"dump("[..], b"dumps(", b"str(", b"repr(", b"write("] {
        if memchr::memmem::find(outer, output).is_some() {
            return Some(Listing::All);
        }
    }
    let assigned = &outer[..outer.iter().rposition(|byte| *byte == b'=')?];
    let assigned = assigned.trim_ascii_end();
    let name = &assigned[assigned.iter().rposition(|byte| !is_name(*byte)).map_or(0, |at| at + 1)..];
    let line = &rest[..memchr::memchr(b'\n', rest).unwrap_or(rest.len())];
    let mut is_argument = line.trim_ascii_end().ends_with(b",") || memchr::memmem::find(line, b"**").is_some();
    is_argument |= memchr::memmem::find(outer, b"(").is_some() && call != Some(b"dict");
    is_argument |= name.is_empty();
    if is_argument {
        return None;
    }
    let suffixed = |end: &[u8]| [name, end].concat();
    for (needle, is_whole) in [
        (suffixed(b".items()"), false),
        (suffixed(b".keys()"), false),
        (suffixed(b".values()"), false),
        ([b" in ", name, b":"].concat(), false),
        ([b"sorted(", name, b")"].concat(), false),
        ([b"dump(", name].concat(), true),
        ([b"dumps(", name].concat(), true),
        ([b"str(", name, b")"].concat(), true),
        ([b"repr(", name, b")"].concat(), true),
    ] {
        for found in memchr::memmem::find_iter(text, &needle) {
            let follows = text.get(found + needle.len()).copied();
            let before = found.checked_sub(1).map(|at| text[at]);
            let is_word = !is_name(needle[0]) || before.is_none_or(|byte| !is_name(byte) && (is_whole || byte != b'.'));
            if !is_word || follows.is_some_and(is_name) {
                continue;
            }
            if is_whole {
                return Some(Listing::All);
            }
            let is_loop =
                memchr::memmem::find(line_before(text, found), b"for ").is_some() || needle.starts_with(b" in ");
            return Some(verdict(text, found)).filter(|one| is_loop || matches!(one, Listing::Picks(_)));
        }
    }
    None
}

/// What becomes of a list in a variable, where it is gone through.
fn through(text: &[u8], name: &[u8], before: &[&[u8]]) -> Option<Listing> {
    if name.is_empty() {
        return None;
    }
    before.iter().find_map(|before| {
        let needle = [before, name].concat();
        let at = memchr::memmem::find(text, &needle)?;
        (!text.get(at + needle.len()).copied().is_some_and(is_name)).then(|| verdict(text, at))
    })
}

/// What the lines around a list say of its use.
pub fn verdict(text: &[u8], at: usize) -> Listing {
    let from = memchr::memrchr(b'\n', &text[..at]).map_or(0, |at| at + 1);
    let to = text.len().min(at + WINDOW);
    let mut picks = Vec::new();
    let (mut goes_out, mut is_negated) = (false, false);
    let depth = |line: &[u8]| line.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    let own = depth(&text[from..to]);
    // What is indented less is no part of it any more.
    let is_inside = |line: &&[u8]| line.trim_ascii().is_empty() || depth(line) >= own;
    let lines: Vec<&[u8]> = text[from..to].split(|byte| *byte == b'\n').take(LINES).take_while(is_inside).collect();
    for (index, line) in lines.iter().enumerate() {
        let has = |words: &[&str]| words.iter().any(|word| memchr::memmem::find(line, word.as_bytes()).is_some());
        goes_out |= has(OUTPUT);
        if has(TESTS) {
            let next = lines.get(index + 1).copied().unwrap_or_default();
            let skips = SKIPS.iter().any(|word| {
                memchr::memmem::find(line, word.as_bytes()).is_some()
                    || next.trim_ascii_start().starts_with(word.as_bytes())
            });
            // `if not k.startswith("X"): continue` is a test again.
            if has(NEGATED) != skips {
                is_negated = true;
                continue;
            }
            let any_case = ["re.I", "/i", "lower", "upper", "Lower", "Upper", "(?i)", "IGNORECASE", "i)"]
                .iter()
                .any(|word| memchr::memmem::find(line, word.as_bytes()).is_some());
            // A text with places for others is for printing.
            let is_format = |literal: &&[u8]| literal.contains(&b'{') || memchr::memmem::find(literal, b"%s").is_some();
            for literal in literals(line).into_iter().filter(|literal| !is_format(literal)) {
                picks.extend(self::picks(literal, 2, any_case));
            }
        }
    }
    match (picks.is_empty() || is_negated, goes_out) {
        (false, false) => Listing::Picks(picks),
        (false, true) => Listing::Either(picks),
        (true, true) => Listing::All,
        (true, false) => Listing::Unproven,
    }
}

/// What a line has in quotes, or between slashes.
fn literals(line: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < line.len() {
        let quote = line[at];
        let is_pattern = quote == b'/' && at > 0 && matches!(line[at - 1], b' ' | b'(' | b'~' | b'm');
        if (matches!(quote, b'"' | b'\'' | b'`') || is_pattern)
            && let Some(length) = memchr::memchr(quote, &line[at + 1..])
        {
            found.push(&line[at + 1..at + 1 + length]);
            at += length + 1;
        }
        at += 1;
    }
    found
}

/// The texts in a pattern that a name must hold: runs of at least so many letters, digits and underscores.
pub fn picks(pattern: &[u8], least: usize, any_case: bool) -> Vec<Pick> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < pattern.len() {
        if pattern[at] == b'\\' {
            at += 2;
            continue;
        }
        let length = pattern[at..].iter().take_while(|byte| is_name(**byte)).count();
        if length == 0 {
            at += 1;
            continue;
        }
        let from = at;
        at += length;
        if length >= least {
            found.push(Pick {
                text: pattern[from..at].to_vec(),
                any_case,
                is_first: from > 0 && pattern[from - 1] == b'^',
                is_last: pattern.get(at) == Some(&b'='),
            });
        }
    }
    found
}

fn line_before(text: &[u8], at: usize) -> &[u8] {
    &text[memchr::memrchr(b'\n', &text[..at]).map_or(0, |at| at + 1)..at]
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}
