//! What commands make of their arguments: which read or set variables by name, which reach all of them, and which are
//! known to take no variable's name at all.

use shuck_ast::{SimpleCommand, Word};

use super::walk::{Walk, shorten};
use super::{Analysis, Place, Use, analyse_at_depth, lexical, syntax};

/// How deep scripts in scripts are followed.
const DEEPEST: usize = 4;

/// Commands that reach variables nobody names, where another command may call them (`runIn dir env`).
pub(super) fn is_indirect(name: &str) -> bool {
    matches!(
        name,
        "env"
            | "printenv"
            | "eval"
            | "envsubst"
            | "compgen"
            | "declare"
            | "typeset"
            | "export"
            | "set"
            | "source"
            | "substituteAll"
            | "substituteAllInPlace"
            | "substituteAllStream"
    )
}

/// Commands whose arguments are files, options and text to show, never names of variables. Only such as neither are
/// functions of stdenv that look variables up, nor programs whose arguments are programs that might
/// (`sh`, `awk`, `python`), nor editors of files (`sed`, `substituteInPlace`) that might write one.
fn takes_no_names(name: &str) -> bool {
    matches!(
        name,
        ":" | "true"
            | "false"
            | "basename"
            | "cat"
            | "cd"
            | "chgrp"
            | "chmod"
            | "chown"
            | "cmp"
            | "cp"
            | "cut"
            | "diff"
            | "dirname"
            | "echo"
            | "grep"
            | "gunzip"
            | "gzip"
            | "head"
            | "install"
            | "installManPage"
            | "ln"
            | "ls"
            | "make"
            | "mkdir"
            | "mktemp"
            | "mv"
            | "ninja"
            | "patch"
            | "patchShebangs"
            | "popd"
            | "printf"
            | "pushd"
            | "pwd"
            | "readlink"
            | "realpath"
            | "rm"
            | "rmdir"
            | "shift"
            | "sleep"
            | "sort"
            | "tail"
            | "tar"
            | "tee"
            | "test"
            | "["
            | "touch"
            | "tr"
            | "uniq"
            | "wc"
    )
}

/// Words of a command from its name on, each with its constant text.
struct Words<'w> {
    all: Vec<&'w Word>,
    texts: Vec<Option<String>>,
    /// The whole command.
    place: Place,
}

impl Words<'_> {
    fn text(&self, at: usize) -> Option<&str> {
        self.texts.get(at).and_then(Option::as_deref)
    }

    fn len(&self) -> usize {
        self.all.len()
    }
}

impl Walk<'_> {
    pub(super) fn simple(&mut self, command: &SimpleCommand, redirected: bool) {
        for assignment in &command.assignments {
            self.assignment(assignment);
        }
        let name_place = self.at(command.name.span);
        if name_place.start == name_place.end {
            // Assignments alone.
            return;
        }
        self.word(&command.name);
        for word in &command.args {
            self.word(word);
        }
        let name = syntax::constant_name(&command.name, self.text);
        let texts = std::iter::once(name.clone())
            .chain(command.args.iter().map(|word| syntax::constant(word, self.text)))
            .collect();
        let all = std::iter::once(&command.name).chain(&command.args).collect();
        // The parser counts what follows a command to it.
        let last = command.args.last().map_or(name_place, |word| self.at(word.span));
        let place = Place { start: name_place.start, end: last.end.max(name_place.end) };
        let words = Words { all, texts, place };
        match &name {
            None => self.taint.computed_command = true,
            Some(name) => {
                self.found.calls.push(Use { name: name.clone(), span: name_place });
                self.clear_word(&command.name, None);
                if name == "exec" && redirected && command.args.is_empty() {
                    self.taint.output_redirected = true;
                    self.bind("`exec` with redirections changes open files, which no state carries on", words.place);
                }
                self.dispatch(&words, 0);
                if takes_no_names(name) && !(self.is_captured() && matches!(name.as_str(), "echo" | "printf")) {
                    for (at, word) in words.all.iter().enumerate().skip(1) {
                        if !names_a_variable(&words, at) {
                            self.clear_word(word, Some(name));
                        }
                    }
                    return;
                }
            }
        }
        if name.as_deref() == Some("command") && matches!(words.text(1), Some("-v" | "-V")) {
            return;
        }
        // A command that is not known may call its arguments.
        for at in 1..words.len() {
            match words.text(at) {
                Some(word) if is_indirect(word) || is_shell(word) => self.dispatch(&words, at),
                _ => {}
            }
        }
    }

    /// What the command whose name is word `first` makes of the words behind it.
    fn dispatch(&mut self, words: &Words, first: usize) {
        let Some(name) = words.text(first) else { return };
        let place = words.place;
        let arguments = first + 1..words.len();
        match name {
            "eval" => self.evaluate(words, arguments, "eval"),
            "trap" => {
                let action = arguments.clone().find(|at| words.text(*at) != Some("--"));
                match action.map(|at| (at, words.text(at))) {
                    None | Some((_, Some("-" | "" | "-l" | "-p"))) => {}
                    Some((at, _)) => self.evaluate(words, at..at + 1, "trap"),
                }
            }
            "." | "source" => {
                let file = words.all.get(first + 1).map(|word| self.at(word.span));
                let file = file.map_or("", |place| &self.text[place.start..place.end]);
                // What every builder script begins with; its contract is the table of scopes.
                let own = matches!(file.trim_matches('"'), "$stdenv/setup" | "${stdenv}/setup");
                if !own {
                    self.reads_all(format!("it runs the text of a file (`{name} {}`)", shorten(file)), place);
                }
            }
            "env" => self.env(words, first),
            "printenv" => {
                let computed = arguments.clone().any(|at| words.text(at).is_none());
                let named = arguments.clone().any(|at| words.text(at).is_some_and(|word| !word.starts_with('-')));
                if computed || !named {
                    self.reads_all("it prints the environment (`printenv`)", place);
                }
            }
            "set" => self.set(words, first),
            "compgen" => {
                let files = ["-G", "-f", "-d", "-c", "-k", "-b"];
                if !words.text(first + 1).is_some_and(|flag| files.contains(&flag)) {
                    self.reads_all("it lists names (`compgen`)", place);
                }
            }
            "envsubst" => self.reads_all("it replaces all variables in a text (`envsubst`)", place),
            "substituteAll" | "substituteAllInPlace" | "substituteAllStream" => {
                self.reads_all(format!("it replaces all variables in a file (`{name}`)"), place);
            }
            "substitute" | "substituteInPlace" | "substituteStream" => {
                // Names behind `--subst-var` are not cleared; a computed one may be any.
                for at in arguments.clone().filter(|at| words.text(*at) == Some("--subst-var")) {
                    if at + 1 < words.len() && words.text(at + 1).is_none() {
                        self.reads_all("it replaces a variable by a computed name (`--subst-var`)", place);
                    }
                }
            }
            "declare" | "typeset" | "export" | "readonly" | "local" => {
                // Behind `builtin` or `command`, or from a script's word: not the parser's own node.
                let plain = arguments.clone().all(|at| words.text(at).is_some_and(|word| word.starts_with(['-', '+'])));
                let reference = arguments.clone().any(|at| {
                    words.text(at).is_none_or(|word| word.starts_with('-') && word.contains('n') && name != "export")
                });
                if plain || reference {
                    self.reads_all(format!("it lists variables, or names them by computed names (`{name}`)"), place);
                }
                for at in arguments.clone() {
                    self.written(words, at, "it sets a variable by a computed name");
                }
            }
            "shopt" if arguments.clone().any(|at| words.text(at) == Some("expand_aliases")) => {
                self.reads_all("it turns aliases on, which change what a text means (`expand_aliases`)", place);
            }
            "cd" if words.len() == first + 1 => {
                let span = self.at(words.all[first].span);
                self.found.reads.push(Use { name: "HOME".to_owned(), span });
            }
            "shift" => self.bind("`shift` changes the arguments of stdenv's own function", place),
            // It only asks where a command is.
            "command" if matches!(words.text(first + 1), Some("-v" | "-V")) => {}
            "command" | "builtin" | "exec" | "nohup" | "nice" | "time" | "sudo" => {
                let target = arguments.clone().find(|at| words.text(*at).is_none_or(|word| !word.starts_with('-')));
                match target {
                    Some(at) if words.text(at).is_some() => {
                        let span = self.at(words.all[at].span);
                        let called = words.text(at).unwrap_or_default().to_owned();
                        self.found.calls.push(Use { name: called, span });
                        self.dispatch(words, at);
                    }
                    Some(_) => self.taint.computed_command = true,
                    None => {}
                }
            }
            _ if is_shell(name) => {
                let flag = arguments.clone().find(|at| {
                    words
                        .text(*at)
                        .is_some_and(|word| word.starts_with('-') && !word.starts_with("--") && word.ends_with('c'))
                });
                if let Some(flag) = flag {
                    self.evaluate(words, flag + 1..(flag + 2).min(words.len()), name);
                }
            }
            _ => self.by_name(words, first, name),
        }
    }

    /// Commands that are given names of variables: to set, to unset, to ask for.
    fn by_name(&mut self, words: &Words, first: usize, name: &str) {
        let place = words.place;
        let arguments = first + 1..words.len();
        match name {
            "unset" => self.unset(words, first),
            "read" => self.names_after_options(words, first, "adintpNu", &['a'], "REPLY"),
            "mapfile" | "readarray" => self.names_after_options(words, first, "dnOsuCc", &[], "MAPFILE"),
            "getopts" if first + 2 < words.len() => {
                self.written(words, first + 2, "it sets a variable by a computed name (`getopts`)");
            }
            "printf" | "wait" => {
                let flag = if name == "printf" { "-v" } else { "-p" };
                if words.text(first + 1) == Some(flag) && first + 2 < words.len() {
                    self.written(words, first + 2, "it sets a variable by a computed name");
                    // `printf -v x` says nothing about the value before.
                    self.clear_plain(words, first + 2);
                }
            }
            "let" => {
                self.taint.recursive = true;
                for at in arguments.clone() {
                    match words.text(at) {
                        Some(text) => {
                            let text = text.to_owned();
                            let span = self.at(words.all[at].span);
                            for name in lexical::names(&text) {
                                self.write(&text[name.start..name.end], span);
                            }
                        }
                        None => self.reads_all("it evaluates a computed expression (`let`)", place),
                    }
                }
            }
            "test" | "[" => {
                for at in arguments.clone() {
                    if names_a_variable(words, at) {
                        let place = self.at(words.all[at].span);
                        self.named_by(words.all[at], "it asks whether a variable is set by a computed name", place);
                    }
                }
            }
            _ => {}
        }
    }

    /// Analyses text that the shell runs as a script, where it is constant.
    fn evaluate(&mut self, words: &Words, range: std::ops::Range<usize>, by: &str) {
        let place = words.place;
        let texts: Option<Vec<&str>> = range.clone().map(|at| words.text(at)).collect();
        let Some(texts) = texts else {
            return self.reads_all(format!("it runs a computed text (`{by}`)"), place);
        };
        let text = texts.join(" ");
        if self.depth >= DEEPEST {
            return self.reads_all(format!("scripts within scripts, too deep (`{by}`)"), place);
        }
        let Analysis { reads, may_read, writes, unsets, calls, functions, reads_all, parsed, .. } =
            analyse_at_depth(&text, self.depth + 1);
        let span = range.clone().next().map_or(place, |at| self.at(words.all[at].span));
        let here = |uses: Vec<Use>| uses.into_iter().map(move |one| Use { name: one.name, span });
        self.found.reads.extend(here(reads));
        self.found.may_read.extend(here(may_read));
        self.found.unsets.extend(here(unsets));
        self.found.calls.extend(here(calls));
        self.found.functions.extend(here(functions));
        for one in writes {
            self.write(&one.name, span);
        }
        if !parsed {
            self.reads_all(format!("it runs a text that the bash parser does not understand (`{by}`)"), span);
        } else if let Some(finding) = reads_all {
            self.reads_all(format!("{} in the text of `{by}`", finding.reason), span);
        }
    }

    fn env(&mut self, words: &Words, first: usize) {
        let place = words.place;
        let mut at = first + 1;
        while at < words.len() {
            match words.text(at) {
                None => {
                    // `"FOO=$bar"` sets one; anything else may be nothing, or another assignment.
                    let word = self.at(words.all[at].span);
                    let slice = self.text[word.start..word.end].trim_start_matches('"');
                    let name = lexical::name_end(slice, 0);
                    if name == 0 || !slice[name..].starts_with('=') {
                        return self.reads_all("it may print the environment (`env`)", place);
                    }
                }
                Some("-u" | "-C" | "--unset" | "--chdir") => at += 1,
                Some(word) if word.starts_with('-') => {
                    if word.starts_with("-S") || word.starts_with("--split") {
                        return self.reads_all("it runs a text (`env -S`)", place);
                    }
                }
                Some(word) if word.contains('=') => {}
                Some(_) => return self.dispatch(words, at),
            }
            at += 1;
        }
        self.reads_all("it prints the environment (`env`)", place);
    }

    fn set(&mut self, words: &Words, first: usize) {
        let arguments = first + 1..words.len();
        if arguments.clone().all(|at| words.text(at).is_none()) {
            return self.reads_all("it lists all variables (`set`)", words.place);
        }
        let mut skip = false;
        for at in arguments {
            let option = words.text(at).is_some_and(|word| word.starts_with(['-', '+']) && word != "--");
            if !option && !skip {
                return self.bind("`set` changes the arguments of stdenv's own function", words.place);
            }
            skip = words.text(at).is_some_and(|word| word.ends_with('o') && word.starts_with(['-', '+']));
        }
    }

    fn unset(&mut self, words: &Words, first: usize) {
        let mut functions = false;
        for at in first + 1..words.len() {
            let span = self.at(words.all[at].span);
            match words.text(at) {
                Some(flag) if flag.starts_with('-') => functions = flag.contains('f'),
                Some(word) => {
                    let name = &word[..lexical::name_end(word, 0)];
                    if functions || name.is_empty() {
                        continue;
                    }
                    self.found.unsets.push(Use { name: name.to_owned(), span });
                    if name == word {
                        self.clear_plain(words, at);
                    } else {
                        self.taint.recursive = true;
                    }
                }
                None if functions => {}
                None => self.named_by(words.all[at], "it unsets a variable by a computed name", span),
            }
        }
    }

    /// `read` and its like: names follow the options; `default` is set where there are none.
    fn names_after_options(
        &mut self,
        words: &Words,
        first: usize,
        with_value: &str,
        value_is_name: &[char],
        default: &str,
    ) {
        let mut named = false;
        let mut options = true;
        let mut at = first + 1;
        while at < words.len() {
            match words.text(at) {
                Some("--") if options => options = false,
                Some(word) if options && word.len() > 1 && word.starts_with('-') => {
                    let letter = word[1..].char_indices().find(|(_, letter)| with_value.contains(*letter));
                    if let Some((index, letter)) = letter {
                        let apart = index + 1 + letter.len_utf8() == word.len();
                        if apart {
                            at += 1;
                        }
                        if letter == 'C' {
                            self.reads_all("it runs a text for each line (`mapfile -C`)", words.place);
                        }
                        if value_is_name.contains(&letter) && at < words.len() {
                            named = true;
                            if apart {
                                self.written(words, at, "it sets a variable by a computed name");
                                self.clear_plain(words, at);
                            } else {
                                self.reads_all("it sets a variable in an unusual way", words.place);
                            }
                        }
                    }
                }
                _ => {
                    options = false;
                    named = true;
                    self.written(words, at, "it sets a variable by a computed name");
                    self.clear_plain(words, at);
                }
            }
            at += 1;
        }
        if !named {
            let span = self.at(words.all[first].span);
            self.write(default, span);
        }
    }

    /// Word `at` names a variable that is set.
    fn written(&mut self, words: &Words, at: usize, reason: &str) {
        let span = self.at(words.all[at].span);
        match words.text(at) {
            Some(word) => {
                let end = lexical::name_end(word, 0);
                if end > 0 {
                    let name = word[..end].to_owned();
                    self.taint.recursive |= word[end..].starts_with('[');
                    self.write(&name, span);
                }
            }
            None => self.named_by(words.all[at], reason, span),
        }
    }

    /// Clears a word that is nothing but a name.
    fn clear_plain(&mut self, words: &Words, at: usize) {
        if words.text(at).is_some_and(lexical::is_name) {
            self.clear_word(words.all[at], None);
        }
    }
}

/// Whether word `at` of `test`, `[` or `printf` may be a variable's name.
fn names_a_variable(words: &Words, at: usize) -> bool {
    match words.text(0) {
        Some("test" | "[") => {
            at > 1 && words.text(at - 1).is_none_or(|flag| matches!(flag, "-v" | "-R")) && operand(words, at)
        }
        Some("printf") => at == 2 && words.text(1).is_none_or(|flag| flag.starts_with("-v")),
        _ => false,
    }
}

/// Whether word `at` of a test can be an operand of what stands before it.
fn operand(words: &Words, at: usize) -> bool {
    !matches!(words.text(at), Some("]" | "=" | "==" | "!=" | "-a" | "-o" | "<" | ">"))
        // Behind a computed word only a name counts: `[ "$a" -eq "$b" ]` has no operator there.
        && (words.text(at - 1).is_some() || words.text(at).is_some_and(lexical::is_name))
}

fn is_shell(name: &str) -> bool {
    matches!(name.rsplit('/').next(), Some("sh" | "bash" | "dash" | "ksh" | "zsh" | "busybox"))
}
