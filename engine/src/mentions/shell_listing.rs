//! Commands of the shell that list the environment, in scripts and in makefiles' recipes.

use super::listing::{Listing, picks};
use crate::reach::names;
use crate::reach::shell::{self, Simple};

/// Words without which no command lists anything.
const WORDS: &[&str] = &["env", "set", "export", "declare", "typeset", "compgen", "readonly", "ENV", "/proc/", "ps "];

/// Programs that read a script of the shell from their input.
const SHELLS: &[&str] = &["sh", "bash", "dash", "ksh", "zsh", "ash"];

/// Commands that pick lines by a text.
const PICKERS: &[&str] = &["grep", "egrep", "fgrep", "sed", "gsed", "awk", "gawk", "mawk", "nawk", "perl", "rg"];

/// Commands that pass on what they read.
const PASSERS: &[&str] =
    &["sort", "cat", "uniq", "head", "tail", "tr", "less", "more", "cut", "strings", "fold", "nl", "paste", "column"];

/// The listings of a script.
pub fn script(text: &[u8], is_autoconf: bool, found: &mut dyn FnMut(usize, Listing)) {
    // The kernel's list, which a redirection may read.
    for at in memchr::memmem::find_iter(text, b"/environ") {
        let line = line_of(text, at);
        let end = at + "/environ".len();
        let is_read = memchr::memmem::find(line, b"<").is_some() && memchr::memmem::find(line, b"/proc/").is_some();
        if is_read && !text.get(end).copied().is_some_and(shell::is_name) {
            found(at, becomes(text, at, end));
        }
    }
    if !WORDS.iter().any(|word| memchr::memmem::find(text, word.as_bytes()).is_some()) {
        return;
    }
    documents(text, found);
    let parsed = shell::parse(text);
    shell::each_command(&parsed.nodes, &mut |command| {
        // The words are parts of the text.
        let offset = |word: &[u8]| word.as_ptr().addr().wrapping_sub(text.as_ptr().addr());
        let Some(last) = command.words.last() else { return };
        let (first, end) = (offset(command.words[0]), offset(last) + last.len());
        if end > text.len() || first > end {
            return;
        }
        for word in &command.words {
            in_variable(text, word, found);
        }
        let Some(what) = names::lists(command) else {
            if let Some(listing) = written(text, command, first, end) {
                found(first, listing);
            }
            return;
        };
        // autoconf's own `(set) 2>&1 |`, into its cache and its log; only names that it made itself get through.
        if is_autoconf && what == b"set" {
            return;
        }
        // `compgen -v PREFIX`
        let prefix =
            command.words.last().filter(|word| !word.starts_with(b"-") && **word != b"variable" && **word != b"export");
        if let (b"compgen", Some(prefix)) = (&what[..], prefix) {
            found(first, picked(&[b"^", &shell::unquoted(prefix)[..]].concat(), 2, false));
            return;
        }
        // Inside a program of its own, the text that it picks by is among its words.
        if matches!(&what[..], b"env" | b"printenv" | b"set" | b"export" | b"declare" | b"typeset")
            || what.ends_with(b"environ")
            || !matches!(becomes(text, first, end), Listing::Unproven)
        {
            found(first, becomes(text, first, end));
        } else {
            found(first, picked_inside(&text[first..end]));
        }
    });
}

/// What a program in quotes may pick out of the list: a word of it, or all.
fn picked_inside(command: &[u8]) -> Listing {
    let picks = picks(&replace(&replace(command, b"\"\"", b""), b"''", b""), 4, false);
    Listing::Either(picks)
}

/// Scripts in here-documents that a shell reads.
fn documents(text: &[u8], found: &mut dyn FnMut(usize, Listing)) {
    for at in memchr::memmem::find_iter(text, b"<<") {
        let rest = &text[at + 2..];
        let rest = rest.strip_prefix(b"-").unwrap_or(rest).trim_ascii_start();
        let quoted = rest.iter().take_while(|byte| matches!(byte, b'\'' | b'"' | b'\\')).count();
        let rest = &rest[quoted..];
        let end = rest.iter().take_while(|byte| shell::is_name(**byte)).count();
        let delimiter = &rest[..end];
        let line = line_of(text, at);
        let offset = text.len() - rest.len() + end + usize::from(quoted > 0);
        let before = &line[..at - (line.as_ptr().addr() - text.as_ptr().addr())];
        let command = before.rsplit(|byte| matches!(byte, b'|' | b';' | b'&' | b'(')).next().unwrap_or_default();
        let name = words(command).into_iter().find(|word| shell::assignment(word).is_none()).unwrap_or_default();
        let is_other =
            names::INTERPRETERS.contains(&names::trimmed(name.rsplit(|byte| *byte == b'/').next().unwrap_or(&name)));
        if delimiter.is_empty() || offset > text.len() || !is_shell(&name) && !is_other {
            continue;
        }
        let Some(begin) = memchr::memchr(b'\n', &text[offset..]).map(|length| offset + length + 1) else { continue };
        let mut body = Vec::new();
        for line in text[begin..].split_inclusive(|byte| *byte == b'\n') {
            if line.trim_ascii() == delimiter {
                break;
            }
            body.extend_from_slice(line);
        }
        if is_other && names::reaches_all(&body) {
            found(at, becomes(text, at, offset));
        } else if !is_other && names::listed_in(&body).is_some() {
            // What it says itself, or what becomes of what it prints.
            let mut inside = None;
            script(&body, false, &mut |_, listing| inside = inside.take().or(Some(listing)));
            found(
                at,
                match becomes(text, at, offset) {
                    Listing::Unproven => inside.unwrap_or(Listing::Unproven),
                    other => other,
                },
            );
        }
    }
}

fn is_shell(name: &[u8]) -> bool {
    let base = name.rsplit(|byte| *byte == b'/').next().unwrap_or(name);
    SHELLS.iter().any(|shell| shell.as_bytes() == base)
}

/// `echo env | sh`: what a shell is given to run.
fn written(text: &[u8], command: &Simple, first: usize, end: usize) -> Option<Listing> {
    let (name, arguments) = names::split(command)?;
    if !matches!(&name[..], b"echo" | b"printf") {
        return None;
    }
    let pipeline = tail(text, end);
    let parts = split(&pipeline);
    let reader = words(parts.get(1)?);
    let is_read = reader.first().is_some_and(|name| is_shell(name)) && reader.len() < 3;
    (is_read && names::listed_in(&names::said(arguments)).is_some()).then(|| fate(text, first, end, &parts[2..]))
}

/// `e=env; $e | grep x`: a program in a variable.
fn in_variable(text: &[u8], word: &[u8], found: &mut dyn FnMut(usize, Listing)) {
    let Some((name, value)) = shell::assignment(word) else { return };
    let value = shell::unquoted(value.strip_prefix(b"(").unwrap_or(value));
    // `ENV=$(command -v env)`
    let value = [&b"$(command -v "[..], b"$(which ", b"$(type -P ", b"`which ", b"`command -v "]
        .iter()
        .find_map(|asks| value.strip_prefix(*asks))
        .map_or_else(|| value.clone(), |program| program.iter().copied().filter(|byte| *byte != b'`').collect());
    let program = value.split(|byte| matches!(byte, b' ' | b')')).next().unwrap_or_default();
    let is_list = matches!(program.rsplit(|byte| *byte == b'/').next(), Some(b"env" | b"printenv"));
    let rest = value[program.len()..].iter().all(|byte| matches!(byte, b' ' | b'-' | b'0' | b')'));
    if !is_list || !rest {
        return;
    }
    for needle in [[b"$", name].concat(), [b"${", name].concat()] {
        for at in memchr::memmem::find_iter(text, &needle) {
            let end = at + needle.len();
            if text.get(end).copied().is_some_and(shell::is_name) {
                continue;
            }
            let line = line_of(text, at);
            let begin = line.as_ptr().addr() - text.as_ptr().addr();
            let word = text[at..begin + line.len()].iter().take_while(|byte| !byte.is_ascii_whitespace()).count();
            // `$e -i make` runs something.
            let after = text[at + word..begin + line.len()].trim_ascii_start();
            if after.first().is_none_or(|byte| matches!(byte, b'|' | b'>' | b';' | b')' | b'-' | b'#' | b'&')) {
                found(at, becomes(text, at, at + word));
            }
        }
    }
}

/// The listings of a makefile.
pub fn makefile(text: &[u8], found: &mut dyn FnMut(usize, Listing)) {
    for at in memchr::memmem::find_iter(text, ".VARIABLES") {
        let line = line_of(text, at);
        let has = |word: &[u8]| memchr::memmem::find(line, word).is_some();
        let filtered = memchr::memmem::find(line, b"$(filter ").map(|at| &line[at + 9..]);
        found(
            at,
            match filtered {
                Some(rest) => picked(rest.split(|byte| *byte == b',').next().unwrap_or_default(), 3, false),
                None if has(b".VARIABLES:") || !has(b"(.VARIABLES") && !has(b"{.VARIABLES") => continue,
                None if has(b">") || has(b"file") => Listing::All,
                None => Listing::Unproven,
            },
        );
    }
    if !WORDS.iter().any(|word| memchr::memmem::find(text, word.as_bytes()).is_some()) {
        return;
    }
    // Recipes and `$(shell …)`, each as a script.
    let mut at = 0;
    while at < text.len() {
        let mut end = at;
        loop {
            end = memchr::memchr(b'\n', &text[end..]).map_or(text.len(), |length| end + length + 1);
            if end >= text.len() || !text[..end].ends_with(b"\\\n") {
                break;
            }
        }
        let line = &text[at..end];
        // `all: ; @env`
        let behind = || {
            let colon = memchr::memchr(b':', line)?;
            let semicolon = colon + memchr::memchr(b';', &line[colon..])?;
            Some(&line[semicolon + 1..])
        };
        let recipe = line.strip_prefix(b"\t").or_else(behind).map(<[u8]>::trim_ascii_start);
        let recipe =
            recipe.map(|line| &line[line.iter().take_while(|byte| matches!(byte, b'@' | b'-' | b'+')).count()..]);
        let mut scripts: Vec<Vec<u8>> = recipe.map(<[u8]>::to_vec).into_iter().collect();
        for begin in memchr::memmem::find_iter(line, b"(shell ") {
            let inner = &line[begin + 7..];
            let close = inner.iter().rposition(|byte| *byte == b')').unwrap_or(inner.len());
            scripts.push([b"x=$(", &inner[..close], b")\n"].concat());
        }
        if let Some(begin) = memchr::memmem::find(line, b"!=")
            && recipe.is_none()
        {
            scripts.push([b"x=$(", line[begin + 2..].trim_ascii(), b")\n"].concat());
        }
        for recipe in scripts {
            let recipe = replace(&recipe, b"$$", b"$");
            script(&recipe, false, &mut |_, listing| found(at, listing));
        }
        at = end;
    }
}

fn replace(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = memchr::memmem::find(rest, from) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(to);
        rest = &rest[at + from.len()..];
    }
    out.extend_from_slice(rest);
    out
}

/// What becomes of what the command from `first` to `end` prints.
fn becomes(text: &[u8], first: usize, end: usize) -> Listing {
    let pipeline = tail(text, end);
    let parts = split(&pipeline);
    // What the command redirects itself stands in the first part.
    match fate(text, first, end, &parts[1..]) {
        Listing::Unproven if redirects(&parts[0]) => Listing::All,
        other => other,
    }
}

/// What becomes of a list that goes through these parts of a pipeline.
fn fate(text: &[u8], first: usize, end: usize, parts: &[Vec<u8>]) -> Listing {
    let before = text[..first].trim_ascii_end();
    let is_taken = before.ends_with(b"$(") || before.ends_with(b"`") || before.ends_with(b"<(");
    for part in parts {
        let words: Vec<Vec<u8>> = words(part);
        let Some((name, arguments)) =
            words.iter().position(|word| shell::assignment(word).is_none()).map(|at| (&words[at], &words[at + 1..]))
        else {
            continue;
        };
        let name = String::from_utf8_lossy(name.rsplit(|byte| *byte == b'/').next().unwrap_or(name)).into_owned();
        if PICKERS.contains(&name.as_str()) {
            let flags: Vec<u8> =
                arguments.iter().filter(|word| word.starts_with(b"-")).flat_map(|word| word.iter().copied()).collect();
            let is_grep = name.ends_with("grep") || name == "rg";
            if is_grep && flags.contains(&b'v') || !is_grep && !is_picking(&name, &flags, arguments) {
                if redirects(part) {
                    return Listing::All;
                }
                continue;
            }
            let any_case = flags.contains(&b'i') && is_grep;
            let patterns: Vec<u8> = arguments
                .iter()
                .filter(|word| !word.starts_with(b"-") || word.len() > 8)
                .flat_map(|word| [&word[..], b" "].concat())
                .collect();
            return match picked(&patterns, 3, any_case) {
                // Of these, text alone does not tell what they pass on.
                Listing::Picks(picks) if !is_grep => Listing::Either(picks),
                other => other,
            };
        }
        if name == "tee" || redirects(part) {
            return Listing::All;
        }
        if !PASSERS.contains(&name.as_str()) {
            // A loop of the shell, or another program.
            return match picked(part, 3, false) {
                Listing::Picks(picks) if memchr::memmem::find(part, b"case").is_some() => Listing::Picks(picks),
                _ => Listing::All,
            };
        }
    }
    if parts.iter().any(|part| redirects(part)) {
        return Listing::All;
    }
    if is_taken {
        // `for v in $(env | cut …); do unset $v; done`
        let line = &text[end..text.len().min(end + 160)];
        return if memchr::memmem::find(line, b"unset").is_some() { Listing::Unproven } else { Listing::All };
    }
    Listing::Unproven
}

/// Whether a program of sed, awk or Perl prints only what a pattern fits, as far as its text tells: others change every line.
fn is_picking(name: &str, flags: &[u8], arguments: &[Vec<u8>]) -> bool {
    let has = |words: &[&str]| {
        let has_word =
            |argument: &Vec<u8>| words.iter().any(|word| memchr::memmem::find(argument, word.as_bytes()).is_some());
        arguments.iter().any(has_word)
    };
    match name {
        "sed" | "gsed" => flags.contains(&b'n') && !has(&["!p", "!{"]),
        "perl" => {
            !flags.contains(&b'p') && has(&["if /", "if m", "=~", "and ", "&& "]) && !has(&["!~", "unless", "next if"])
        }
        _ => has(&["/", "~", "=="]) && !has(&["!~", "!=", "!/", "next"]),
    }
}

/// The names that a pattern picks; without a text in it, all.
fn picked(pattern: &[u8], least: usize, any_case: bool) -> Listing {
    let mut picks = picks(pattern, least, any_case);
    // `^PROGRAM(FILES|…)`
    if any_case && picks.iter().any(|pick| pick.is_first) {
        picks.retain(|pick| pick.is_first || pick.is_last);
    }
    let literal = pattern.split(|byte| *byte == b'$').next().unwrap_or_default();
    // `grep "$pattern"`
    if picks.is_empty()
        || self::picks(literal, least, any_case).is_empty() && pattern.contains(&b'$') && !pattern.contains(&b'/')
    {
        return Listing::All;
    }
    Listing::Picks(picks)
}

/// The rest of the pipeline behind a command, and of one around it.
fn tail(text: &[u8], end: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let mut at = end;
    let mut quote = 0;
    while let Some(&byte) = text.get(at) {
        if quote != 0 {
            if byte == quote {
                quote = 0;
            }
            out.push(byte);
            at += 1;
            continue;
        }
        match byte {
            b'\'' | b'"' => quote = byte,
            b'\\' if text.get(at + 1) == Some(&b'\n') => {
                at += 2;
                continue;
            }
            b'\n' if out.trim_ascii_end().ends_with(b"|") => {
                at += 1;
                continue;
            }
            b'&' if !matches!(out.last(), Some(b'>' | b'<')) => break,
            b'|' if text.get(at + 1) == Some(&b'|') => break,
            b'`' => break,
            // The end of a group: what follows is of it.
            b'\n' | b';' | b')' => {
                let rest = &text[at..];
                let skipped = rest.iter().take_while(|byte| matches!(byte, b'\n' | b';' | b' ' | b'\t')).count();
                let after = &rest[skipped..];
                let Some(group) = after.strip_prefix(b"}").or_else(|| after.strip_prefix(b")")) else { break };
                let after = group.trim_ascii_start();
                if after.starts_with(b"|") && !after.starts_with(b"||")
                    || after.starts_with(b">")
                    || after.starts_with(b"2>")
                {
                    at = text.len() - after.len();
                    continue;
                }
                break;
            }
            _ => {}
        }
        out.push(byte);
        at += 1;
    }
    out
}

/// The parts of a pipeline.
fn split(pipeline: &[u8]) -> Vec<Vec<u8>> {
    let mut parts = vec![Vec::new()];
    let mut quote = 0;
    for byte in pipeline {
        if quote == 0 && *byte == b'|' {
            parts.push(Vec::new());
            continue;
        }
        if quote == 0 && matches!(byte, b'\'' | b'"') {
            quote = *byte;
        } else if quote == *byte {
            quote = 0;
        }
        if let Some(part) = parts.last_mut() {
            part.push(*byte);
        }
    }
    parts
}

/// The words of a command, without their quotes and redirections.
fn words(part: &[u8]) -> Vec<Vec<u8>> {
    let mut words: Vec<Vec<u8>> = vec![Vec::new()];
    let mut quote = 0;
    for byte in part {
        if quote == 0 && byte.is_ascii_whitespace() {
            words.push(Vec::new());
        } else if quote == 0 && matches!(byte, b'\'' | b'"') {
            quote = *byte;
        } else if quote == *byte {
            quote = 0;
        } else if let Some(word) = words.last_mut() {
            word.push(*byte);
        }
    }
    let mut skip = false;
    words.retain(|word| {
        let is_redirection =
            word.iter().take_while(|byte| byte.is_ascii_digit() || matches!(byte, b'>' | b'<' | b'&')).count();
        let has = word.iter().any(|byte| matches!(byte, b'>' | b'<'));
        let keep = !word.is_empty() && !skip && (!has || is_redirection == 0);
        skip = has && is_redirection == word.len() && !word.ends_with(b"&");
        keep
    });
    words
}

/// Whether a command writes to a file that is not a log.
fn redirects(part: &[u8]) -> bool {
    let mut quote = 0;
    for (at, byte) in part.iter().enumerate() {
        if quote != 0 {
            if *byte == quote {
                quote = 0;
            }
            continue;
        }
        match byte {
            b'\'' | b'"' => quote = *byte,
            b'>' => {
                let rest = part[at + 1..].trim_ascii_start();
                let rest =
                    rest.strip_prefix(b">").or_else(|| rest.strip_prefix(b"|")).unwrap_or(rest).trim_ascii_start();
                let target = rest.split(u8::is_ascii_whitespace).next().unwrap_or_default();
                let lower = target.to_ascii_lowercase();
                let is_log = lower.is_empty()
                    || lower.starts_with(b"&")
                    || lower.starts_with(b"/dev/")
                    || memchr::memmem::find(&lower, b"log").is_some();
                // Errors alone.
                let is_error = at > 0 && part[at - 1] == b'2';
                if !is_log && !is_error {
                    return true;
                }
            }
            _ => {}
        }
    }
    false
}

fn line_of(text: &[u8], at: usize) -> &[u8] {
    let from = memchr::memrchr(b'\n', &text[..at]).map_or(0, |at| at + 1);
    let to = memchr::memchr(b'\n', &text[at..]).map_or(text.len(), |length| at + length);
    &text[from..to]
}
