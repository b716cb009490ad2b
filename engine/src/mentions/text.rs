//! One text file: which of the names it reads, and what else it tells about reads of the environment.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::direct;
use super::kind::Kind;
use super::listing::{self, Listing, Pick};

/// The shortest half of a name that is put together.
const HALF: usize = 3;

/// How near to each other two halves in quotes must stand.
const NEAR: usize = 240;

/// The names that are looked for, prepared.
#[derive(Debug, Default)]
pub struct Table {
    names: BTreeSet<String>,
    /// A word, whether it is a name, and whether it begins or ends one.
    words: HashMap<Vec<u8>, Word>,
    /// Whether any of the words begins with these two bytes.
    begins: Vec<bool>,
}

/// How the half of a name stands in a file.
#[derive(Debug, Default, Clone, Copy)]
struct Half {
    /// Where it stands in quotes of its own, some of the places.
    quoted: [usize; 4],
    /// How often it does.
    quotes: usize,
    /// Behind `=`.
    is_assigned: bool,
    /// Behind an expansion: `${x}Flags`, `"%sFlags"`.
    is_glued: bool,
}

impl Half {
    /// Whether both stand in quotes near each other: `"install" + "Flags"`.
    fn is_near(self, other: Self) -> bool {
        let places = |half: Self| half.quoted.into_iter().take(half.quotes);
        places(self).any(|one| places(other).any(|other| one.abs_diff(other) < NEAR))
    }
}

#[derive(Debug, Default, Clone, Copy)]
struct Word {
    is_name: bool,
    is_half: bool,
}

impl Table {
    /// Prepares the names.
    pub fn new(names: &BTreeSet<String>) -> Self {
        let mut words: HashMap<Vec<u8>, Word> = HashMap::new();
        for name in names {
            let bytes = name.as_bytes();
            words.entry(bytes.to_vec()).or_default().is_name = true;
            if is_plain(bytes) {
                continue;
            }
            for at in seams(bytes) {
                words.entry(bytes[..at].to_vec()).or_default().is_half = true;
                words.entry(bytes[at..].to_vec()).or_default().is_half = true;
            }
        }
        let mut begins = vec![false; 1 << 16];
        for word in words.keys() {
            if let [first, second, ..] = word[..] {
                begins[usize::from(first) << 8 | usize::from(second)] = true;
            }
        }
        Self { names: names.clone(), words, begins }
    }

    /// Whether there is nothing to look for.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    fn begins(&self, first: u8, second: u8) -> bool {
        self.begins[usize::from(first) << 8 | usize::from(second)]
    }
}

/// Whether a name is one lower-case word, as programs have many (`tags`, `patches`): such a one counts only where it is
/// read by its name.
pub fn is_plain(name: &[u8]) -> bool {
    name.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

/// What a file does.
#[derive(Debug, Default)]
pub struct Findings {
    /// Names that it reads.
    pub reads: BTreeSet<String>,
    /// Names that stand in it, though it does not get at the environment.
    pub named: BTreeSet<String>,
    /// It reads variables by names that it has from elsewhere.
    pub is_computed: bool,
    /// It may read every variable; what does that.
    pub all: Option<String>,
    /// It lists the variables, and what becomes of the list is not known.
    pub unproven: Option<String>,
}

/// A file's search, fed piece by piece.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own about the file")]
pub struct Search<'t> {
    table: &'t Table,
    kind: Kind,
    has_attributes: bool,
    has_access: bool,
    is_computed: bool,
    direct: BTreeSet<Vec<u8>>,
    /// Names that stand in the file, and those that do so in quotes of their own.
    named: BTreeSet<Vec<u8>>,
    quoted: BTreeSet<Vec<u8>>,
    /// Names that stand behind a quote: `"NAME=%s"`.
    opened: BTreeSet<Vec<u8>>,
    /// Whether names become texts without quotes: `#define READ(x) getenv(#x)`, `const { NAME } = process.env`.
    is_stringified: bool,
    /// Halves of names, and how they stand there.
    halves: BTreeMap<Vec<u8>, Half>,
    /// Whether autoconf wrote the file.
    is_autoconf: bool,
    /// Whether no build runs the file.
    is_aside: bool,
    picks: Vec<Pick>,
    all: Option<String>,
    unproven: Option<String>,
}

impl<'t> Search<'t> {
    /// A search of a file of this kind; `is_aside` says that no build runs it, `has_attributes` says whether there is a file of all attributes to read.
    pub fn new(table: &'t Table, kind: Kind, is_aside: bool, has_attributes: bool) -> Self {
        Self {
            is_autoconf: false,
            is_aside,
            table,
            kind,
            has_attributes,
            has_access: false,
            is_computed: false,
            direct: BTreeSet::new(),
            named: BTreeSet::new(),
            quoted: BTreeSet::new(),
            opened: BTreeSet::new(),
            is_stringified: false,
            halves: BTreeMap::new(),
            picks: Vec::new(),
            all: None,
            unproven: None,
        }
    }

    /// Searches a piece.
    pub fn piece(&mut self, text: &[u8]) {
        self.is_autoconf |= memchr::memmem::find(&text[..text.len().min(2048)], b"utoconf").is_some();
        let table = self.table;
        let mut direct = Vec::new();
        direct::reads(text, &mut |name| direct.push(name));
        let runs = !matches!(self.kind, Kind::Document | Kind::Data);
        let mut after_env = |at: usize| {
            direct::after_env(&text[at..], &mut |name| direct.push(name));
        };
        // The rarest letter of `env` leads to the rest.
        let mut access = Vec::new();
        for at in memchr::memchr2_iter(b'v', b'V', text) {
            if at >= 2 && text[at - 2..at].eq_ignore_ascii_case(b"en") {
                after_env(at + 1);
                access.push(at - 2);
            }
        }
        for name in direct {
            if table.words.get(name).is_some_and(|word| word.is_name) {
                self.direct.insert(name.to_vec());
            }
        }
        if self.kind == Kind::Document {
            return;
        }
        self.words(text);
        if matches!(self.kind, Kind::Shell | Kind::Make | Kind::Unknown)
            && let Some(joined) = joined(text)
        {
            self.words(&joined);
            let mut names = Vec::new();
            direct::reads(&joined, &mut |name| names.push(name.to_vec()));
            names.retain(|name| table.words.get(name).is_some_and(|word| word.is_name));
            self.direct.extend(names);
        }
        if !runs {
            return;
        }
        for at in access {
            self.access(text, at);
        }
        self.others(text);
        if self.has_access || self.kind == Kind::Shell {
            let mut lists = Vec::new();
            listing::each(self.kind, self.is_autoconf, text, &mut |at, listing| lists.push((at, listing)));
            for (at, listing) in lists {
                self.listing(text, at, listing);
            }
        }
        if self.has_attributes && self.all.is_none() {
            let files =
                ["NIX_ATTRS_JSON_FILE", "NIX_ATTRS_SH_FILE", ".attrs.json", ".attrs.sh", "/.attr", "\".attr", "'.attr"];
            let file = files.iter().find(|file| memchr::memmem::find(text, file.as_bytes()).is_some());
            self.all = file.map(|file| (*file).to_owned());
        }
    }

    /// What the file does.
    pub fn end(mut self) -> Findings {
        let table = self.table;
        let mut found = Findings { all: self.all.take(), unproven: self.unproven.take(), ..Findings::default() };
        found.is_computed = self.is_computed;
        for name in &table.names {
            let bytes = name.as_bytes();
            let is_read = self.direct.contains(bytes)
                || self.has_access && self.is_named(bytes)
                || self.is_computed && !self.is_aside && !is_plain(bytes) && self.is_put_together(bytes)
                || self.picks.iter().any(|pick| pick.fits(bytes));
            if is_read {
                found.reads.insert(name.clone());
            } else if !is_plain(bytes) && self.named.contains(bytes) {
                let counts =
                    matches!(self.kind, Kind::Data | Kind::Python | Kind::Script | Kind::Camel | Kind::Compiled)
                        && !self.is_aside;
                // Lists of the shell and of make need no quotes.
                let is_list =
                    matches!(self.kind, Kind::Shell | Kind::Make | Kind::Other | Kind::Unknown) && !self.is_aside;
                if counts && self.quoted.contains(bytes) || is_list {
                    found.named.insert(name.clone());
                }
            }
        }
        found
    }

    /// Whether a name stands in the file so that the file may read it.
    fn is_named(&self, name: &[u8]) -> bool {
        if is_plain(name) {
            return false;
        }
        if matches!(self.kind, Kind::Compiled | Kind::Camel) && (self.is_aside || !self.is_stringified) {
            return self.opened.contains(name);
        }
        self.named.contains(name)
    }

    /// Whether two halves of a name stand in the file so that they may be put together.
    fn is_put_together(&self, name: &[u8]) -> bool {
        seams(name).any(|at| {
            let (Some(first), Some(second)) = (self.halves.get(&name[..at]), self.halves.get(&name[at..])) else {
                return false;
            };
            let is_script = matches!(self.kind, Kind::Shell | Kind::Make | Kind::Unknown);
            second.is_glued && (is_script || first.quotes > 0 || first.is_assigned)
                || second.is_near(*first)
                || second.quotes > 0 && first.is_assigned && is_script
                || second.is_assigned && first.is_assigned && is_script
        })
    }

    /// Collects the words that are names or halves of names.
    fn words(&mut self, text: &[u8]) {
        let mut at = 0;
        while at < text.len() {
            if !is_name(text[at]) {
                at += 1;
                continue;
            }
            let from = at;
            while at < text.len() && is_name(text[at]) {
                at += 1;
            }
            let mut word = &text[from..at];
            if word.len() < 3 {
                continue;
            }
            let before = from.checked_sub(1).map(|at| text[at]);
            let mut before = before;
            let mut is_formatted = false;
            // `"%sFlags"`
            if before == Some(b'%') && matches!(word[0], b's' | b'v') && word[1].is_ascii_uppercase() {
                word = &word[1..];
                is_formatted = true;
            // `"\nFlags"`
            } else if before == Some(b'\\') {
                word = &word[1..];
                before = None;
            }
            if word.len() < 3 || !self.table.begins(word[0], word[1]) {
                continue;
            }
            let Some(known) = self.table.words.get(word) else { continue };
            let after = text.get(at).copied();
            if known.is_name && !self.named.contains(word) {
                self.named.insert(word.to_vec());
            }
            let is_quote = |byte: Option<u8>| matches!(byte, Some(b'"' | b'\'' | b'`'));
            let is_quoted = is_quote(before) && is_quote(after);
            if known.is_name
                && (is_quoted
                    || self.kind == Kind::Data
                        && before.is_none_or(|byte| byte == b'\n')
                        && after.is_none_or(|byte| matches!(byte, b'\n' | b'\r')))
            {
                self.quoted.insert(word.to_vec());
            }
            if known.is_name && is_quote(before) {
                self.opened.insert(word.to_vec());
            }
            if known.is_half {
                let is_glued = is_formatted
                    || matches!(before, Some(b')' | b'}'))
                        && (is_quote(after)
                            || matches!(after, Some(b')' | b'}' | b':' | b'[') | None)
                            || self.kind == Kind::Shell);
                let half = self.halves.entry(word.to_vec()).or_default();
                if is_quoted {
                    half.quoted[half.quotes % half.quoted.len()] = from;
                    half.quotes += 1;
                }
                half.is_assigned |= before == Some(b'=');
                half.is_glued |= is_glued;
            }
        }
    }

    /// A place with `env` in it: whether it gets at the environment, and whether with a name from elsewhere.
    fn access(&mut self, text: &[u8], at: usize) {
        let from = text[..at].iter().rposition(|byte| !is_name(*byte)).map_or(0, |at| at + 1);
        let to = at + text[at..].iter().take_while(|byte| is_name(**byte)).count();
        let word = text[from..to].to_ascii_lowercase();
        let has = |part: &str| memchr::memmem::find(&word, part.as_bytes()).is_some();
        let before = from.checked_sub(1).map(|at| text[at]);
        let after = text.get(to).copied();
        let gets = match &word[..] {
            b"venv" | b"virtualenv" | b"pyenv" | b"rbenv" | b"nodenv" | b"direnv" | b"goenv" | b"plenv" | b"setenv"
            | b"putenv" | b"unsetenv" | b"clearenv" | b"_putenv" => false,
            b"environment" => {
                before == Some(b'.') || matches!(after, Some(b'.' | b'(')) || text[..from].ends_with(b"-E ")
            }
            b"env" => true,
            _ => {
                word.ends_with(b"env")
                    || word.ends_with(b"environ")
                    || has("getenv")
                    || has("env_") && has("get")
                    || matches!(&word[..], b"environb" | b"envp" | b"envsubst" | b"env_var" | b"envpairs" | b"_env")
                    || has("environmentvar")
                    || has("environment_variable")
                    || has("getenvironment")
                    || has("systemenvironment")
            }
        };
        if !gets {
            return;
        }
        self.has_access = true;
        if self.is_computed || self.kind == Kind::Shell && word == b"env" {
            return;
        }
        // `getenv(NAME)`, `environ.get(\n name`, `ENV{$x}`: what the call begins with.
        let mut rest = &text[to..];
        let methods = [
            ".get",
            ".getenv",
            ".fetch",
            ".pop",
            ".dig",
            ".setdefault",
            ".key?",
            "::var_os",
            "::var",
            "!",
            "?",
            "->",
            "::get",
            ":get",
        ];
        if let Some(behind) = methods.iter().find_map(|method| rest.strip_prefix(method.as_bytes())) {
            rest = behind;
        }
        rest = rest.trim_ascii_start();
        let Some((b'(' | b'[' | b'{', inner)) = rest.split_first() else {
            // Haskell, Lisp: `lookupEnv name`. No call: a word of its own.
            return;
        };
        let inner = inner.trim_ascii_start();
        let is_perl = matches!(self.kind, Kind::Script) && rest.first() == Some(&b'{');
        self.is_computed = match inner.first() {
            // `ENV["#{x}Flags"]`
            Some(quote @ (b'"' | b'\'' | b'`')) => {
                let inner = &inner[1..];
                let inner = &inner[..memchr::memchr(*quote, inner).unwrap_or(0)];
                ["${", "#{", "$("].iter().any(|begin| memchr::memmem::find(inner, begin.as_bytes()).is_some())
            }
            Some(b')' | b']' | b'}') | None => false,
            Some(b'$' | b'@') => true,
            Some(byte) if is_name(*byte) => {
                let word = inner.iter().take_while(|byte| is_name(**byte)).count();
                // A declaration: `char *getenv(const char *name)`; `ENV{NAME}` says it.
                !is_perl
                    && !matches!(
                        &inner[..word],
                        b"const" | b"char" | b"void" | b"L" | b"u8" | b"String" | b"string" | b"std" | b"LPCSTR"
                    )
            }
            Some(_) => false,
        };
    }

    /// What gets at the environment without the letters `env`.
    fn others(&mut self, text: &[u8]) {
        let has = |word: &str| memchr::memmem::find(text, word.as_bytes()).is_some();
        if matches!(self.kind, Kind::Shell | Kind::Unknown | Kind::Macro) {
            let by_name = [
                "${!",
                "eval ",
                "declare -n",
                "local -n",
                "typeset -n",
                "declare -p $",
                "declare -p \"$",
                "typeset -p $",
                "printenv $",
                "printenv \"$",
                "[ -v $",
                "[ -v \"$",
                "test -v $",
                "test -v \"$",
                "\\$$",
                "\\${$",
                "@P}",
            ];
            let indirect = by_name.iter().any(|word| has(word)) || has("xargs") && has("printenv");
            self.is_computed |= indirect;
            let prefixes = crate::reach::names::prefixes(text).into_iter().filter(|prefix| prefix.len() > 1);
            self.picks.extend(prefixes.map(|prefix| Pick {
                text: prefix.to_vec(),
                any_case: false,
                is_first: true,
                is_last: false,
            }));
            let lists = [
                "export -p",
                "declare -p",
                "declare -x",
                "typeset -p",
                "typeset -x",
                "compgen",
                "(set)",
                "set |",
                "set >",
            ];
            self.has_access |= indirect || lists.iter().any(|word| has(word));
        }
        if self.kind == Kind::Make {
            let nested =
                ["$($", "${$", "$($(", "(value $", "(origin $", "(flavor $", "(foreach ", "(call ", "(eval ", "_$("];
            self.is_computed |= nested.iter().any(|word| has(word));
            self.has_access |= self.is_computed
                || [
                    "(value ",
                    "{value ",
                    "(flavor ",
                    "(origin ",
                    ".VARIABLES",
                    "(shell ",
                    "export",
                    "declare",
                    "eval",
                    "(filter ",
                    "\tset",
                    "; set",
                    "@set",
                ]
                .iter()
                .any(|word| has(word));
        }
        if self.kind == Kind::Camel {
            self.is_stringified |= has("} = process.env")
                || has("}=process.env")
                || has("} = Deno.env")
                || has("} = import.meta.env")
                || has("} = env");
        }
        if self.kind == Kind::Compiled {
            self.third_argument(text);
            self.is_stringified |= memchr::memmem::find_iter(text, "#define").any(|at| {
                let line = &text[at + 1..];
                let line = &line[..memchr::memchr(b'\n', line).unwrap_or(line.len())];
                line.windows(3)
                    .any(|three| matches!(three[0], b'(' | b' ' | b'{' | b',') && three[1] == b'#' && is_name(three[2]))
            });
        }
        if self.kind == Kind::Script {
            self.has_access |= has("$_SERVER") || has("{SERVER");
        }
    }

    /// `main(int argc, char **argv, char **envp)`: the environment without its word.
    fn third_argument(&mut self, text: &[u8]) {
        for at in memchr::memmem::find_iter(text, "main") {
            let rest = text[at + 4..].trim_ascii_start();
            let Some(rest) = rest.strip_prefix(b"(") else { continue };
            let list = &rest[..memchr::memchr(b')', rest).unwrap_or(0)];
            let parameters: Vec<&[u8]> = list.split(|byte| *byte == b',').collect();
            let (&[_, _, third], false) = (&parameters[..], at > 0 && is_name(text[at - 1])) else { continue };
            let name = &third[third
                .iter()
                .rposition(|byte| !is_name(*byte) && !matches!(byte, b'[' | b']'))
                .map_or(0, |at| at + 1)..];
            let name = &name[..name.iter().take_while(|byte| is_name(**byte)).count()];
            let is_list = memchr::memmem::find(third, b"char").is_some()
                && third.iter().filter(|byte| matches!(byte, b'*' | b'[')).count() == 2;
            let body = &rest[list.len()..];
            let is_used = memchr::memmem::find_iter(body, name)
                .any(|at| at > 0 && !is_name(body[at - 1]) && !body.get(at + name.len()).copied().is_some_and(is_name));
            if is_list && !name.is_empty() && is_used {
                self.has_access = true;
                let listing = listing::verdict(&text[..text.len().min(at + listing::WINDOW)], at);
                let listing = if listing == Listing::All { Listing::Unproven } else { listing };
                self.listing(text, at, listing);
            }
        }
    }

    fn listing(&mut self, text: &[u8], at: usize, listing: Listing) {
        let line = || {
            let from = memchr::memrchr(b'\n', &text[..at]).map_or(0, |at| at + 1);
            let to = memchr::memchr(b'\n', &text[at..]).map_or(text.len(), |length| at + length);
            let line = String::from_utf8_lossy(&text[from..to]).trim().to_owned();
            line.chars().take(80).collect::<String>()
        };
        match listing {
            // Tests and packagers' scripts run in some builds.
            Listing::All if self.is_aside && matches!(self.kind, Kind::Shell | Kind::Make) => {
                self.unproven = self.unproven.take().or_else(|| Some(line()));
            }
            _ if self.is_aside => {}
            Listing::Picks(picks) => self.picks.extend(picks),
            Listing::Either(picks) => {
                self.picks.extend(picks);
                self.unproven = self.unproven.take().or_else(|| Some(line()));
            }
            Listing::All => self.all = self.all.take().or_else(|| Some(line())),
            Listing::Unproven => self.unproven = self.unproven.take().or_else(|| Some(line())),
        }
    }
}

/// Where a name may be put together.
fn seams(name: &[u8]) -> std::ops::Range<usize> {
    HALF..name.len().saturating_sub(HALF - 1)
}

/// A script with what it joins joined: `"install""Flags"`. None if there is nothing of that.
fn joined(text: &[u8]) -> Option<Vec<u8>> {
    let is_seam = |at: usize| {
        matches!(text.get(at..at + 2), Some(b"\"\"" | b"''" | b"\"'" | b"'\""))
            && at.checked_sub(1).is_some_and(|at| is_name(text[at]))
            && text.get(at + 2).copied().is_some_and(is_name)
    };
    let seams: Vec<usize> = memchr::memchr2_iter(b'"', b'\'', text).filter(|at| is_seam(*at)).collect();
    if seams.is_empty() {
        return None;
    }
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    for seam in seams {
        if seam >= at {
            out.extend_from_slice(&text[at..seam]);
            at = seam + 2;
        }
    }
    out.extend_from_slice(&text[at..]);
    Some(out)
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}
