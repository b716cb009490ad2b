//! `declare`, `typeset`, `local`, `export` and `readonly`, where the parser gives them a node of their own.

use shuck_ast::{DeclClause, DeclOperand, Word};

use super::walk::{Walk, shorten};
use super::{Place, Use, lexical, syntax};

/// Visits a declaration.
pub(super) fn declaration(walk: &mut Walk, declaration: &DeclClause) {
    let operands = declaration.operands.iter().map(|operand| match operand {
        DeclOperand::Flag(word) | DeclOperand::Dynamic(word) => word.span,
        DeclOperand::Name(name) => name.span,
        DeclOperand::Assignment(assignment) => assignment.span,
    });
    let end = operands.map(|span| walk.at(span).end).max().unwrap_or(0);
    let name = walk.at(declaration.variant_span);
    let place = Place { start: name.start, end: end.max(name.end) };
    let variant = declaration.variant.as_str();
    walk.call(variant, walk.at(declaration.variant_span).start);
    let mut letters = String::new();
    let mut computed_flag = false;
    let mut named = false;
    for operand in &declaration.operands {
        if let DeclOperand::Flag(word) = operand {
            walk.word(word);
            match syntax::constant(word, walk.text) {
                Some(flag) if flag.starts_with('-') => letters.push_str(&flag[1..]),
                Some(_) => {}
                None => computed_flag = true,
            }
            walk.clear_word(word, None);
        } else {
            named = true;
        }
    }
    let makes_reference = matches!(variant, "declare" | "typeset" | "local") && letters.contains('n');
    if makes_reference {
        walk.reads_all(format!("it makes a name stand for another (`{variant} -n`)"), place);
    }
    if computed_flag {
        walk.reads_all(format!("the options of `{variant}` are computed"), place);
    }
    let functions = letters.contains(['f', 'F']);
    if !named && !functions && variant != "local" {
        walk.reads_all(format!("it lists variables (`{variant}`)"), place);
    }
    let in_function = matches!(variant, "local") || matches!(variant, "declare" | "typeset") && !letters.contains('g');
    if in_function && !functions && !letters.contains('p') {
        walk.bind(format!("`{variant}` makes a variable of stdenv's own function"), place);
    }
    // Only these give a variable that had a value none.
    let renews = matches!(variant, "local") && !letters.contains('p');
    for operand in &declaration.operands {
        match operand {
            DeclOperand::Flag(_) => {}
            DeclOperand::Name(name) => {
                let span = walk.at(name.span);
                let slice = &walk.text[span.start..span.end];
                if !slice.starts_with(name.name.as_str())
                    || slice.contains(['"', '\'', '\\']) && name.subscript.is_none()
                {
                    // `export do"Check"`: the parser's name is a part of it.
                    let plain = slice.replace(['"', '\'', '\\'], "");
                    walk.found.may_read.push(Use { name: plain.clone(), span });
                    walk.write(&plain, span);
                } else if functions {
                    walk.clear(walk.at(name.span), None);
                } else if matches!(variant, "declare" | "typeset" | "local") && !letters.contains('p') {
                    walk.target(name, renews);
                } else if let Some(subscript) = &name.subscript {
                    walk.subscript(subscript);
                }
            }
            DeclOperand::Assignment(assignment) => {
                if letters.contains('i') {
                    walk.taint.recursive = true;
                }
                walk.assignment(assignment);
            }
            DeclOperand::Dynamic(word) => {
                walk.word(word);
                computed_declaration(walk, word, variant);
            }
        }
    }
}

/// `export "FOO=$bar"` sets FOO, whatever the value is; `export $foo` may set, and list, anything.
fn computed_declaration(walk: &mut Walk, word: &Word, variant: &str) {
    let place = walk.at(word.span);
    let slice = &walk.text[place.start..place.end];
    let inner = slice.trim_start_matches('"');
    let end = lexical::name_end(inner, 0);
    if end > 0 && (inner[end..].starts_with('=') || inner[end..].starts_with("+=")) {
        let name = inner[..end].to_owned();
        walk.write(&name, place);
    } else if let Some(text) = syntax::constant(word, walk.text) {
        let name = text[..lexical::name_end(&text, 0)].to_owned();
        if name.is_empty() {
            walk.reads_all(format!("an argument of `{variant}` is no name"), place);
        } else {
            walk.write(&name, place);
        }
    } else {
        walk.reads_all(format!("it sets a variable by a computed name (`{variant} {}`)", shorten(slice)), place);
    }
}
