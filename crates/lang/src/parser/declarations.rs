//! Parsing of declarations, and where it goes on after one that failed.

use super::recovery::{is_first_on_line, starts_declaration};
use super::{Failed, Parsed, Parser};
use crate::diagnostic::{Code, Diagnostic};
use crate::syntax::{Declaration, ExpressionId, Import, List, TypeId};
use crate::token::TokenKind;

impl<'a> Parser<'_, 'a> {
    pub(super) fn program(&mut self) {
        while self.kind() != TokenKind::EndOfFile {
            // Text that is no token was reported by the lexer and declares nothing, unless it is meant as a name.
            if self.next_kind() != TokenKind::Assign && self.eat(TokenKind::Unknown) {
                // Nor is anything said of what belongs to it, as the `2` of `a % 2`.
                while self.kind() != TokenKind::EndOfFile
                    && !is_first_on_line(self.source, self.at())
                    && !self.is_declaration_start()
                {
                    self.advance();
                }
                continue;
            }
            let start = self.at();
            self.nesting = 0;
            self.is_abandoned = false;
            let n_declared = self.tree.declarations.len();
            if self.declaration().is_err() {
                // What is behind a declaration on its line, and starts none, has no name for anything below.
                let is_rest =
                    !is_first_on_line(self.source, start) && !starts_declaration(self.source, start);
                if self.tree.declarations.len() == n_declared && !is_rest {
                    self.declare(Declaration::Error);
                }
                if self.at() == start {
                    self.advance();
                }
                while self.kind() != TokenKind::EndOfFile && !self.is_declaration_start() {
                    self.advance();
                }
            }
        }
        let is_output = |declaration: &Declaration<'_>| matches!(declaration, Declaration::Output { .. });
        let has_output = self.tree.declarations.iter().rev().any(is_output);
        let names_output = self.tokens.iter().any(|token| token.kind == TokenKind::Out);
        let is_cut = self.tokens.first().is_some_and(|token| token.span.range().len() > 1 << 20);
        // What could not be read may have been an output.
        let breaks_off = self.last_error_at == Some(self.tokens.len() - 1);
        let may_have_output = is_cut || breaks_off || (names_output && self.sink.n_errors() > 0);
        if !has_output && !may_have_output {
            let message = "Parse error: the pipeline has no output";
            let diagnostic = Diagnostic::error(Code::Syntax, self.place(), message)
                .suggest(["Name a result with 'out', for example: out result".to_owned()]);
            self.sink.push(diagnostic);
        }
    }

    /// A declaration, which is also there when only its value or its type failed, so that its name is known.
    fn declaration(&mut self) -> Parsed<()> {
        match self.kind() {
            kind if kind.is_reserved() && self.next_kind() == TokenKind::Assign => self.reserved_assignment(),
            TokenKind::Unknown => {
                self.advance();
                self.advance();
                let (_, result) = self.expression_or_error();
                self.declare(Declaration::Error);
                result
            }
            TokenKind::At => self.annotated(),
            TokenKind::In => self.input(List::EMPTY),
            TokenKind::Out => self.output(),
            TokenKind::Type => {
                self.advance();
                let name = self.name("the name of the type")?;
                let result = self.expect(TokenKind::Assign, "'='").and_then(|()| self.ty());
                let (ty, result) = self.type_or_error(result);
                self.declare(Declaration::Type { name, ty });
                result
            }
            TokenKind::Use => self.use_declaration(),
            TokenKind::Identifier if self.next_kind() == TokenKind::Assign => self.assignment(),
            _ => Err(self.unexpected_declaration()),
        }
    }

    #[inline]
    fn declare(&mut self, declaration: Declaration<'a>) {
        self.tree.declarations.push(declaration);
    }

    /// `name = value`, of which the name was looked at.
    pub(super) fn assignment(&mut self) -> Parsed<()> {
        let name = self.take_name();
        self.advance();
        let (value, result) = self.expression_or_error();
        self.declare(Declaration::Assignment { name, value });
        result
    }

    #[cold]
    fn unexpected_declaration(&mut self) -> Failed {
        let suggestion = match self.kind() {
            TokenKind::Identifier if self.next_kind() == TokenKind::Identifier => match self.text() {
                "input" | "inputs" => Some("Inputs are declared with 'in name: Type'".to_owned()),
                "output" | "outputs" | "return" => Some("Outputs are declared with 'out name'".to_owned()),
                "let" | "val" | "var" | "const" => {
                    Some("Variables are declared with 'name = ...'".to_owned())
                }
                _ => None,
            },
            TokenKind::Identifier if self.next_kind() == TokenKind::Colon => Some(format!(
                "A variable takes the type of its value: remove the type from '{}'",
                self.text()
            )),
            TokenKind::Identifier if self.follows_number() => {
                Some("A number has no exponent and no unit: write all its digits".to_owned())
            }
            TokenKind::Identifier => Some(format!("Give the value a name: result = {}", self.text())),
            TokenKind::StringHead | TokenKind::String => {
                let text: String = self.text().chars().take(12).collect();
                Some(format!("Give the value a name: result = {text}"))
            }
            TokenKind::Pipe if self.next_kind() == TokenKind::Pipe => {
                Some("Disjunction is written 'or'".to_owned())
            }
            TokenKind::Slash if self.next_kind() == TokenKind::Slash => {
                Some("A comment starts with '#'".to_owned())
            }
            TokenKind::With => Some(
                "The options follow a call, all in one clause: f(a) with retry: 3, timeout: 1s".to_owned(),
            ),
            _ => None,
        };
        self.error("a declaration ('in', 'out', 'type', 'use' or 'name = ...')", suggestion)
    }

    /// Whether the token at hand touches a number before it.
    fn follows_number(&self) -> bool {
        self.at().checked_sub(1).map(|before| self.tokens[before]).is_some_and(|before| {
            matches!(before.kind, TokenKind::Integer | TokenKind::Float)
                && before.span.end == self.token().span.start
        })
    }

    fn annotated(&mut self) -> Parsed<()> {
        let mut examples = Vec::new();
        let mut for_output = None;
        let mut result = Ok(());
        while self.kind() == TokenKind::At {
            let at = self.token().span;
            self.advance();
            let word = self.text();
            if self.kind() != TokenKind::Identifier || !["example", "source", "sink"].contains(&word) {
                return Err(self.error("'example', 'source' or 'sink'", None));
            }
            self.advance();
            let is_sink = word == "sink";
            if for_output.is_some_and(|for_output| for_output != is_sink) {
                let message =
                    "Parse error: '@sink' belongs to an output, '@example' and '@source' to an input";
                self.sink.push(Diagnostic::error(Code::Syntax, at, message));
                result = Err(Failed);
            }
            for_output = Some(is_sink);
            let open = self.at();
            let parsed = self.expect(TokenKind::LeftParenthesis, "'('").and_then(|()| {
                if word == "example" {
                    examples.push(self.nested(Self::expression)?.id);
                    return self.close(open, TokenKind::RightParenthesis);
                }
                // What it says is no part of the tree.
                let tree = std::mem::take(&mut self.tree);
                let connector = self.connector(open);
                self.tree = tree;
                connector
            });
            if parsed.is_err() {
                // The declaration behind the annotation is still worth reading.
                result = parsed;
                while !matches!(self.kind(), TokenKind::EndOfFile | TokenKind::In | TokenKind::Out)
                    && (self.kind() == TokenKind::At || !self.is_declaration_start())
                {
                    self.advance();
                }
            }
        }
        let declared = match (self.kind(), for_output) {
            (TokenKind::In, Some(false)) => {
                let examples = self.tree.lists.add(examples);
                self.input(examples)
            }
            (TokenKind::Out, Some(true)) => self.output(),
            (_, Some(true)) => Err(self.error("'out' after '@sink'", None)),
            _ => Err(self.error("'in' after '@example' or '@source'", None)),
        };
        result.and(declared)
    }

    /// The rest of `@source("kind", key: value)`. Nothing reads it, so it is only checked for form.
    fn connector(&mut self, open: usize) -> Parsed<()> {
        if self.kind() != TokenKind::String {
            return Err(self.error("the kind of connector, a string", None));
        }
        self.advance();
        while self.eat(TokenKind::Comma) && self.kind() != TokenKind::RightParenthesis {
            if !self.kind().is_word() {
                return Err(self.error("the name of a property", None));
            }
            self.advance();
            self.expect(TokenKind::Colon, "':'")?;
            self.nested(Self::expression)?;
        }
        self.close(open, TokenKind::RightParenthesis)
    }

    fn input(&mut self, examples: List<ExpressionId>) -> Parsed<()> {
        self.advance();
        let name = self.name("the name of the input")?;
        let result = self.expect(TokenKind::Colon, "':' and a type").and_then(|()| self.ty());
        let (ty, result) = self.type_or_error(result);
        self.declare(Declaration::Input { name, ty, examples });
        result
    }

    fn output(&mut self) -> Parsed<()> {
        self.advance();
        let name = self.used_name("the name of a variable")?;
        self.declare(Declaration::Output { name });
        let is_next = matches!(
            self.kind(),
            TokenKind::EndOfFile | TokenKind::Type | TokenKind::In | TokenKind::Out | TokenKind::Use
        );
        if is_next || self.is_declaration_start() {
            return Ok(());
        }
        let suggestion = match self.kind() {
            TokenKind::Comma => "Write one 'out' for each output".to_owned(),
            TokenKind::Assign => format!("Write '{0} = ...' and then 'out {0}'", name.text),
            _ => "Only a variable can be an output: give the expression a name first".to_owned(),
        };
        Err(self.error("the next declaration after 'out name'", Some(suggestion)))
    }

    fn use_declaration(&mut self) -> Parsed<()> {
        self.advance();
        let path = self.path("a namespace")?;
        let alias = if self.eat(TokenKind::As) { Some(self.name("an alias")?) } else { None };
        self.declare(Declaration::Use(Box::new(Import { path, alias })));
        Ok(())
    }

    fn expression_or_error(&mut self) -> (ExpressionId, Parsed<()>) {
        match self.expression() {
            Ok(expression) => (expression.id, Ok(())),
            Err(Failed) => (self.add_error(self.token().span).id, Err(Failed)),
        }
    }

    fn type_or_error(&mut self, result: Parsed<TypeId>) -> (TypeId, Parsed<()>) {
        match result {
            Ok(id) => (id, Ok(())),
            Err(Failed) => (self.add_error_type(self.token().span), Err(Failed)),
        }
    }
}
