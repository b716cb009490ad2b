//! Reads of variables whose names a text does not say.

use std::collections::BTreeSet;

use super::{ALL, Search, is_by_name, is_indirect, names, shell};

/// Programs that list, which a variable may name.
const LISTERS: &[&[u8]] = &[b"env", b"printenv", b"compgen"];

impl Search<'_> {
    /// Notes what a text may read without saying its name.
    pub(super) fn unsaid(&mut self, label: &str, text: &[u8], script: &shell::Script, own: &BTreeSet<&[u8]>) {
        if is_by_name(label) {
            return;
        }
        let mut all = None;
        shell::each_command(&script.nodes, &mut |command| all = all.take().or_else(|| names::reads_all(command)));
        let all = all.or_else(|| names::reads_all_fed(&script.nodes));
        let is_kernel = memchr::memmem::find_iter(text, b"/environ")
            .any(|at| text[..at].windows(5).rev().take(40).any(|five| five == b"/proc"));
        let all = all.or_else(|| is_kernel.then(|| "/proc/…/environ".to_owned()));
        let all = all.or_else(|| by_a_variable(script)).or_else(|| in_a_document(text, script));
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
                self.computed.push(computed);
            }
        }
        if is_indirect {
            // `a=install; b=Flags; … ${!c}`
            let halves =
                |name: &[u8]| (2..name.len() - 1).any(|at| own.contains(&name[..at]) && own.contains(&name[at..]));
            self.matching(|name| name.len() > 3 && halves(name), || format!("may put its name together in {label}"));
        }
    }
}

/// `e=env; $e`: a command whose name is in a variable, where the text has the name of a program that lists.
fn by_a_variable(script: &shell::Script) -> Option<String> {
    let (mut runs, mut lister) = (None, None);
    shell::each_command(&script.nodes, &mut |command| {
        if let Some((name, _)) = names::split(command)
            && name.first() == Some(&b'$')
            && runs.is_none()
        {
            runs = Some(String::from_utf8_lossy(&name).into_owned());
        }
        for word in &command.words {
            let value = shell::assignment(word).map_or(*word, |(_, value)| value);
            let value = shell::unquoted(value);
            let first = value
                .split(|byte| matches!(byte, b' ' | b'(' | b')'))
                .find(|word| !word.is_empty())
                .unwrap_or_default();
            let is_first = command.words.first() == Some(word) && shell::assignment(word).is_none();
            if !is_first && LISTERS.contains(&first) {
                lister = Some(String::from_utf8_lossy(first).into_owned());
            }
        }
    });
    Some(format!("{}, which may be {}", runs?, lister?))
}

/// A here-document that is fed to an interpreter.
fn in_a_document(text: &[u8], script: &shell::Script) -> Option<String> {
    memchr::memmem::find(text, b"<<")?;
    let (mut shells, mut others) = (false, false);
    shell::each_command(&script.nodes, &mut |command| {
        let Some((name, _)) = names::split(command) else { return };
        let base = name.rsplit(|byte| *byte == b'/').next().unwrap_or(&name);
        shells |= matches!(base, b"sh" | b"bash" | b"dash" | b"ksh" | b"zsh");
        others |= names::INTERPRETERS.contains(&names::trimmed(base));
    });
    let documents = documents(text);
    let listed =
        |document: &&[u8]| shells && names::listed_in(document).is_some() || others && names::reaches_all(document);
    documents.into_iter().find(listed).map(|document| {
        let line = document.split(|byte| *byte == b'\n').next().unwrap_or_default();
        format!("<<… {}", String::from_utf8_lossy(line))
    })
}

/// The texts behind `<<WORD`, and behind `<<<`.
fn documents(text: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    for at in memchr::memmem::find_iter(text, b"<<") {
        let rest = &text[at + 2..];
        if let Some(rest) = rest.strip_prefix(b"<") {
            found.push(&rest[..memchr::memchr(b'\n', rest).unwrap_or(rest.len())]);
            continue;
        }
        let rest = rest.strip_prefix(b"-").unwrap_or(rest).trim_ascii_start();
        let rest = rest
            .strip_prefix(b"\"")
            .or_else(|| rest.strip_prefix(b"'"))
            .or_else(|| rest.strip_prefix(b"\\"))
            .unwrap_or(rest);
        let length = rest.iter().take_while(|byte| shell::is_name(**byte)).count();
        let Some(begin) = memchr::memchr(b'\n', rest).filter(|_| length > 0) else { continue };
        let word = &rest[..length];
        let body = &rest[begin + 1..];
        let mut end = 0;
        for line in body.split_inclusive(|byte| *byte == b'\n') {
            if line.trim_ascii() == word {
                break;
            }
            end += line.len();
        }
        found.push(&body[..end]);
    }
    found
}
