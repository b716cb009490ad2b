//! Words: what expands in them, and the clearing of what is only text.

use shuck_ast::{
    ArrayElem, ArrayExpr, BourneParameterExpansion, HeredocBody, HeredocBodyPart, LiteralText, ParameterExpansion,
    ParameterExpansionSyntax, ParameterOp, Pattern, PatternPart, SourceText, Subscript, VarRef, Word, WordPart,
    WordPartNode,
};

use super::Walk;
use crate::phase::script::{Place, Use, lexical};

impl Walk<'_> {
    /// Visits what a word expands. Clears nothing.
    pub fn word(&mut self, word: &Word) {
        if self.text[self.at(word.span).start..].starts_with('~') {
            let start = self.at(word.span).start;
            self.found.reads.push(Use { name: "HOME".to_owned(), span: Place { start, end: start + 1 } });
        }
        self.quoted_name(word);
        self.parts(&word.parts);
    }

    /// `do"Check"` names what no stretch of the text does.
    fn quoted_name(&mut self, word: &Word) {
        let span = self.at(word.span);
        let slice = &self.text[span.start..span.end];
        if !slice.contains(['"', '\'', '\\']) {
            return;
        }
        let plain = slice.replace("\\\n", "").replace(['"', '\'', '\\'], "");
        for name in lexical::names(&plain) {
            let name = &plain[name.start..name.end];
            if !slice.contains(name) {
                self.found.may_read.push(Use { name: name.to_owned(), span });
            }
        }
    }

    fn parts(&mut self, parts: &[WordPartNode]) {
        for part in parts {
            self.part(part);
        }
    }

    /// Text that the parser took for text.
    fn literal(&mut self, literal: &LiteralText, span: shuck_ast::Span) {
        let place = self.at(span);
        let source = &self.text[place.start..place.end];
        let own = match literal {
            // The parser's own text stands for other text; in backquotes its places are not exact.
            LiteralText::Owned(text) => text.as_ref(),
            LiteralText::Source | LiteralText::CookedSource(_) => source,
        };
        if lexical::hides_expansion(own) {
            self.doubt("an expansion", place);
        }
    }

    fn part(&mut self, part: &WordPartNode) {
        let place = self.at(part.span);
        match &part.kind {
            WordPart::Literal(literal) => self.literal(literal, part.span),
            WordPart::SingleQuoted { .. } | WordPart::PrefixMatch { .. } => {}
            WordPart::DoubleQuoted { parts, .. } => self.parts(parts),
            WordPart::Variable(_) => self.closed(place),
            WordPart::CommandSubstitution { body, .. } | WordPart::ProcessSubstitution { body, .. } => {
                self.substituted(body);
            }
            WordPart::ArithmeticExpansion { expression, expression_ast, expression_word_ast, .. } => {
                self.arithmetic(expression_ast.as_deref(), self.at(expression.span()), true);
                self.word(expression_word_ast);
            }
            WordPart::Parameter(parameter) => self.parameter(parameter, place),
            WordPart::ParameterExpansion { reference, operator, operand, operand_word_ast, .. } => {
                self.closed(place);
                self.reference(reference);
                self.operation(reference, operator, operand.as_deref(), operand_word_ast.as_deref());
            }
            WordPart::IndirectExpansion { reference, operator, operand, operand_word_ast, .. } => {
                self.closed(place);
                self.reference(reference);
                if let Some(operator) = operator {
                    self.operation(reference, operator, operand.as_deref(), operand_word_ast.as_deref());
                }
            }
            WordPart::Length(reference)
            | WordPart::ArrayAccess(reference)
            | WordPart::ArrayLength(reference)
            | WordPart::ArrayIndices(reference) => {
                self.closed(place);
                self.reference(reference);
            }
            WordPart::Substring { reference, offset_ast, offset_word_ast, length_ast, length_word_ast, .. }
            | WordPart::ArraySlice { reference, offset_ast, offset_word_ast, length_ast, length_word_ast, .. } => {
                self.closed(place);
                self.reference(reference);
                self.slice(offset_ast.as_deref(), offset_word_ast);
                if let Some(word) = length_word_ast {
                    self.slice(length_ast.as_deref(), word);
                }
            }
            WordPart::Transformation { reference, operator } => {
                self.closed(place);
                self.reference(reference);
                self.transformation(*operator, place);
            }
            WordPart::ZshQualifiedGlob(_) => self.doubt("a pattern of zsh", place),
        }
    }

    /// The parser takes `${x` at the end of the text for a whole expansion.
    fn closed(&mut self, place: Place) {
        let slice = &self.text[place.start..place.end];
        if slice.starts_with("${") && !slice.ends_with('}') {
            self.doubt("an expansion that is not closed", place);
        }
    }

    fn transformation(&mut self, operator: char, place: Place) {
        if operator == 'P' {
            self.reads_all("it expands a computed text as a prompt (`${…@P}`)", place);
        }
    }

    /// The reading itself is found in the text.
    fn reference(&mut self, reference: &VarRef) {
        if let Some(subscript) = &reference.subscript {
            self.subscript(subscript);
        }
    }

    pub fn subscript(&mut self, subscript: &Subscript) {
        if subscript.is_array_selector() {
            return;
        }
        let (word, place) = (subscript.word_ast(), self.at(subscript.syntax_source_text().span()));
        self.arithmetic(subscript.arithmetic_ast.as_ref(), place, word.is_some());
        if let Some(word) = word {
            self.word(word);
        }
    }

    fn slice(&mut self, tree: Option<&shuck_ast::ArithmeticExprNode>, word: &Word) {
        self.arithmetic(tree, self.at(word.span), true);
        self.word(word);
    }

    fn parameter(&mut self, parameter: &ParameterExpansion, place: Place) {
        self.closed(place);
        let ParameterExpansionSyntax::Bourne(syntax) = &parameter.syntax else {
            return self.doubt("an expansion of zsh", place);
        };
        match syntax {
            BourneParameterExpansion::Access { reference }
            | BourneParameterExpansion::Length { reference }
            | BourneParameterExpansion::Indices { reference } => self.reference(reference),
            BourneParameterExpansion::PrefixMatch { .. } => {}
            BourneParameterExpansion::Indirect { reference, operator, operand, operand_word_ast, .. } => {
                self.reference(reference);
                if let Some(operator) = operator {
                    self.operation(reference, operator, operand.as_ref(), operand_word_ast.as_deref());
                }
            }
            BourneParameterExpansion::Operation { reference, operator, operand, operand_word_ast, .. } => {
                self.reference(reference);
                self.operation(reference, operator, operand.as_ref(), operand_word_ast.as_deref());
            }
            BourneParameterExpansion::Slice {
                reference,
                offset_ast,
                offset_word_ast,
                length_ast,
                length_word_ast,
                ..
            } => {
                self.reference(reference);
                self.slice(offset_ast.as_deref(), offset_word_ast);
                if let Some(word) = length_word_ast {
                    self.slice(length_ast.as_deref(), word);
                }
            }
            BourneParameterExpansion::Transformation { reference, operator } => {
                self.reference(reference);
                self.transformation(*operator, place);
            }
        }
    }

    fn operation(
        &mut self,
        reference: &VarRef,
        operator: &ParameterOp,
        operand: Option<&SourceText>,
        operand_word: Option<&Word>,
    ) {
        match operator {
            ParameterOp::AssignDefault => {
                let place = self.at(reference.name_span);
                self.write(reference.name.as_str(), place);
            }
            ParameterOp::RemovePrefixShort { pattern }
            | ParameterOp::RemovePrefixLong { pattern }
            | ParameterOp::RemoveSuffixShort { pattern }
            | ParameterOp::RemoveSuffixLong { pattern } => self.pattern(pattern),
            ParameterOp::ReplaceFirst { pattern, replacement_word_ast, .. }
            | ParameterOp::ReplaceAll { pattern, replacement_word_ast, .. } => {
                self.pattern(pattern);
                self.word(replacement_word_ast);
            }
            _ => {}
        }
        match (operand_word, operand) {
            (Some(word), _) => self.word(word),
            (None, Some(text)) if lexical::hides_expansion(text.slice(self.text)) => {
                self.doubt("the operand of an expansion", self.at(text.span()));
            }
            _ => {}
        }
    }

    /// Visits a pattern. What it matches names nothing.
    pub fn pattern(&mut self, pattern: &Pattern) {
        for part in &pattern.parts {
            match &part.kind {
                PatternPart::Literal(literal) => {
                    self.literal(literal, part.span);
                    self.clear_literal(part.span, "case");
                }
                PatternPart::AnyString | PatternPart::AnyChar => {}
                PatternPart::CharClass(class) => {
                    if lexical::hides_expansion(class.slice(self.text)) {
                        self.doubt("a pattern", self.at(part.span));
                    }
                }
                PatternPart::Group { patterns, .. } => {
                    for pattern in patterns {
                        self.pattern(pattern);
                    }
                }
                PatternPart::Word(word) => {
                    self.word(word);
                    self.clear_word(word, Some("case"));
                }
            }
        }
    }

    pub fn array(&mut self, array: &ArrayExpr) {
        let place = self.at(array.span);
        let closed = self.text[place.start..place.end].trim_end().ends_with(')');
        if !closed && !self.text[place.end..].starts_with(')') {
            self.doubt("an array that is not closed", place);
        }
        for element in &array.elements {
            match element {
                ArrayElem::Sequential(word) => self.word(word),
                ArrayElem::Keyed { key, value } | ArrayElem::KeyedAppend { key, value } => {
                    self.subscript(key);
                    self.word(value);
                }
            }
        }
    }

    pub fn here_document(&mut self, body: &HeredocBody) {
        for part in &body.parts {
            let place = self.at(part.span);
            match &part.kind {
                HeredocBodyPart::Literal(literal) => {
                    if body.mode.expands() {
                        self.literal(literal, part.span);
                    }
                }
                HeredocBodyPart::Variable(_) => self.closed(place),
                HeredocBodyPart::CommandSubstitution { body, .. } => self.substituted(body),
                HeredocBodyPart::ArithmeticExpansion { expression, expression_ast, expression_word_ast, .. } => {
                    self.arithmetic(expression_ast.as_deref(), self.at(expression.span()), true);
                    self.word(expression_word_ast);
                }
                HeredocBodyPart::Parameter(parameter) => self.parameter(parameter, place),
            }
        }
    }

    /// Clears the text in a word; what expands in it stays what it is.
    pub fn clear_word(&mut self, word: &Word, command: Option<&str>) {
        for part in &word.parts {
            match &part.kind {
                WordPart::Literal(_) => self.clear_literal(part.span, command.unwrap_or_default()),
                WordPart::SingleQuoted { .. } => {
                    let place = self.at(part.span);
                    let slice = &self.text[place.start..place.end];
                    if slice.len() >= 2 && slice.ends_with('\'') && slice.trim_start_matches('$').starts_with('\'') {
                        self.clear(place, command);
                    }
                }
                WordPart::DoubleQuoted { parts, .. } => {
                    for part in parts {
                        let place = self.at(part.span);
                        let plain =
                            matches!(part.kind, WordPart::Literal(LiteralText::Source | LiteralText::CookedSource(_)));
                        if plain && !unescaped(&self.text[place.start..place.end], "\"") {
                            self.clear(place, command);
                        }
                    }
                }
                _ => {}
            }
        }
    }

    /// Clears text outside quotes, if it has the looks of it.
    fn clear_literal(&mut self, span: shuck_ast::Span, command: &str) {
        let place = self.at(span);
        if !unescaped(&self.text[place.start..place.end], " \t\n;|&()<>\"'`") {
            self.clear(place, (!command.is_empty()).then_some(command));
        }
    }
}

/// Whether one of the characters stands in the text without a backslash in front.
fn unescaped(text: &str, characters: &str) -> bool {
    let mut escaped = false;
    text.chars().any(|character| {
        let here = !escaped && characters.contains(character);
        escaped = !escaped && character == '\\';
        here
    })
}
