//! The parser: tokens to tree. It reports every error it finds and goes on.
//!
//! `type`, `in`, `out`, `use`, `@` and a name before `=` can only start a declaration, in whatever brackets they
//! stand, so that is where the parser picks up again after an error it cannot mend closer by.

mod cursor;
mod expressions;
mod names;
mod options;
mod recovery;
mod types;

use std::cell::OnceCell;
use std::num::NonZeroU32;

use hashbrown::{HashMap, HashSet};

use self::cursor::Cursor;
pub(crate) use self::expressions::Operator;
pub(crate) use self::options::is_option_name;
use self::recovery::{bracket_text, is_first_on_line, starts_declaration};
use crate::diagnostic::{Code, Diagnostic, Sink};
use crate::span::Span;
use crate::syntax::{
    Declaration, Expression, ExpressionId, ExpressionKind, MAX_HEIGHT, MAX_NESTING, SyntaxTree, TypeId,
};
use crate::token::{Keyword, Token, TokenKind, TokenizedSource};

/// An error was reported, and what was being parsed has no tree.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Failed;

type Parsed<T> = Result<T, Failed>;

/// Parses a program. What is wrong is in the sink; what could not be parsed is an `Error` in the tree.
pub(crate) fn parse_into<'a>(source: &TokenizedSource<'a>, sink: &mut Sink) -> SyntaxTree<'a> {
    for diagnostic in source.diagnostics() {
        sink.push(diagnostic.clone());
    }
    let mut parser = Parser {
        source,
        tokens: source.tokens(),
        cursor: Cursor::new(source.tokens()),
        partners: OnceCell::new(),
        // A program has two to three tokens for each expression, and about a dozen for each declaration. To grow costs
        // more than what is left over.
        tree: SyntaxTree {
            declarations: Vec::with_capacity(source.tokens().len() / 12),
            expressions: Vec::with_capacity(source.tokens().len() * 2 / 5),
            ..SyntaxTree::default()
        },
        sink,
        nesting: 0,
        last_error_at: None,
        is_abandoned: false,
        parenthesized: HashMap::new(),
        reserved_names: HashSet::new(),
    };
    parser.program();
    parser.tree
}

struct Parser<'s, 'a> {
    source: &'s TokenizedSource<'a>,
    tokens: &'s [Token],
    cursor: Cursor<'s>,
    /// For each opening bracket, the token that closes it, if any. Worked out when it is needed first: a program without
    /// lambdas and errors does without.
    partners: OnceCell<Vec<Option<NonZeroU32>>>,
    tree: SyntaxTree<'a>,
    sink: &'s mut Sink,
    nesting: u32,
    /// The token of the last error. A second error at one token is a consequence of the first.
    last_error_at: Option<usize>,
    /// A bound was passed: the declaration is given up as a whole.
    is_abandoned: bool,
    /// Where expressions in parentheses are, with those. What is wrong with one is inside of them.
    parenthesized: HashMap<ExpressionId, Span>,
    /// Reserved words that something was named by, which was reported.
    reserved_names: HashSet<Keyword>,
}

impl<'a> Parser<'_, 'a> {
    fn program(&mut self) {
        let mut has_output = false;
        while self.kind() != TokenKind::EndOfFile {
            // Text that is no token was reported by the lexer and declares nothing, unless it is meant as a name.
            if self.kind_at(1) != TokenKind::Assign && self.eat(TokenKind::Unknown) {
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
            let (declaration, result) = self.declaration();
            has_output |= matches!(declaration, Declaration::Output { .. });
            // What is behind a declaration on its line, and starts none, has no name for anything below.
            let is_rest = matches!(declaration, Declaration::Error)
                && !is_first_on_line(self.source, start)
                && !starts_declaration(self.source, start);
            if !is_rest {
                self.tree.declarations.push(declaration);
            }
            if result.is_err() {
                if self.at() == start {
                    self.advance();
                }
                while self.kind() != TokenKind::EndOfFile && !self.is_declaration_start() {
                    self.advance();
                }
            }
        }
        let names_output = self.tokens.iter().any(|token| token.kind == TokenKind::Keyword(Keyword::Out));
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

    /// A declaration, which is also there when parsing it failed, so that its name is known.
    fn declaration(&mut self) -> (Declaration<'a>, Parsed<()>) {
        match self.kind() {
            TokenKind::Keyword(keyword) if self.kind_at(1) == TokenKind::Assign => {
                self.reserved_assignment(keyword)
            }
            TokenKind::Unknown => {
                self.advance();
                self.advance();
                let result = self.expression();
                (Declaration::Error, self.expression_or_error(result).1)
            }
            TokenKind::At => self.annotated(),
            TokenKind::Keyword(Keyword::In) => self.input(Vec::new()),
            TokenKind::Keyword(Keyword::Out) => self.output(),
            TokenKind::Keyword(Keyword::Type) => {
                self.advance();
                let Ok(name) = self.name("the name of the type") else {
                    return (Declaration::Error, Err(Failed));
                };
                let result = self.expect(TokenKind::Assign, "'='").and_then(|()| self.ty());
                let (ty, result) = self.type_or_error(result);
                (Declaration::Type { name, ty }, result)
            }
            TokenKind::Keyword(Keyword::Use) => match self.use_declaration() {
                Ok(declaration) => (declaration, Ok(())),
                Err(Failed) => (Declaration::Error, Err(Failed)),
            },
            TokenKind::Identifier if self.kind_at(1) == TokenKind::Assign => {
                let name = self.take_name();
                self.advance();
                let result = self.expression();
                let (value, result) = self.expression_or_error(result);
                (Declaration::Assignment { name, value }, result)
            }
            _ => {
                self.unexpected_declaration();
                (Declaration::Error, Err(Failed))
            }
        }
    }

    fn unexpected_declaration(&mut self) {
        let suggestion = match self.kind() {
            TokenKind::Identifier if self.kind_at(1) == TokenKind::Identifier => match self.text() {
                "input" | "inputs" => Some("Inputs are declared with 'in name: Type'".to_owned()),
                "output" | "outputs" | "return" => Some("Outputs are declared with 'out name'".to_owned()),
                "let" | "val" | "var" | "const" => {
                    Some("Variables are declared with 'name = ...'".to_owned())
                }
                _ => None,
            },
            TokenKind::Identifier if self.kind_at(1) == TokenKind::Colon => Some(format!(
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
            TokenKind::Pipe if self.kind_at(1) == TokenKind::Pipe => {
                Some("Disjunction is written 'or'".to_owned())
            }
            TokenKind::Slash if self.kind_at(1) == TokenKind::Slash => {
                Some("A comment starts with '#'".to_owned())
            }
            TokenKind::Keyword(Keyword::With) => Some(
                "The options follow a call, all in one clause: f(a) with retry: 3, timeout: 1s".to_owned(),
            ),
            _ => None,
        };
        self.error("a declaration ('in', 'out', 'type', 'use' or 'name = ...')", suggestion);
    }

    /// Whether the token at hand touches a number before it.
    fn follows_number(&self) -> bool {
        self.at().checked_sub(1).map(|before| self.tokens[before]).is_some_and(|before| {
            matches!(before.kind, TokenKind::Integer | TokenKind::Float)
                && before.span.end == self.token().span.start
        })
    }

    fn annotated(&mut self) -> (Declaration<'a>, Parsed<()>) {
        let mut examples = Vec::new();
        let mut for_output = None;
        let mut result = Ok(());
        while self.kind() == TokenKind::At {
            let at = self.token().span;
            self.advance();
            let word = self.text();
            if self.kind() != TokenKind::Identifier || !["example", "source", "sink"].contains(&word) {
                return (Declaration::Error, Err(self.error("'example', 'source' or 'sink'", None)));
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
                    examples.push(self.nested(Self::expression)?);
                    return self.close(open, TokenKind::RightParenthesis);
                }
                let n_expressions = self.tree.expressions.len();
                let connector = self.connector(open);
                // What it says is no part of the tree.
                self.tree.expressions.truncate(n_expressions);
                connector
            });
            if parsed.is_err() {
                // The declaration behind the annotation is still worth reading.
                result = parsed;
                while !matches!(
                    self.kind(),
                    TokenKind::EndOfFile | TokenKind::Keyword(Keyword::In | Keyword::Out)
                ) && (self.kind() == TokenKind::At || !self.is_declaration_start())
                {
                    self.advance();
                }
            }
        }
        let (declaration, end) = match (self.kind(), for_output) {
            (TokenKind::Keyword(Keyword::In), Some(false)) => self.input(examples),
            (TokenKind::Keyword(Keyword::Out), Some(true)) => self.output(),
            (_, Some(true)) => (Declaration::Error, Err(self.error("'out' after '@sink'", None))),
            _ => (Declaration::Error, Err(self.error("'in' after '@example' or '@source'", None))),
        };
        (declaration, result.and(end))
    }

    /// The rest of `@source("kind", key: value)`. Nothing reads it, so it is only checked for form.
    fn connector(&mut self, open: usize) -> Parsed<()> {
        if self.kind() != TokenKind::String {
            return Err(self.error("the kind of connector, a string", None));
        }
        self.advance();
        while self.eat(TokenKind::Comma) && self.kind() != TokenKind::RightParenthesis {
            if !matches!(self.kind(), TokenKind::Identifier | TokenKind::Keyword(_)) {
                return Err(self.error("the name of a property", None));
            }
            self.advance();
            self.expect(TokenKind::Colon, "':'")?;
            self.nested(Self::expression)?;
        }
        self.close(open, TokenKind::RightParenthesis)
    }

    fn input(&mut self, examples: Vec<ExpressionId>) -> (Declaration<'a>, Parsed<()>) {
        self.advance();
        let Ok(name) = self.name("the name of the input") else {
            return (Declaration::Error, Err(Failed));
        };
        let result = self.expect(TokenKind::Colon, "':' and a type").and_then(|()| self.ty());
        let (ty, result) = self.type_or_error(result);
        (Declaration::Input { name, ty, examples }, result)
    }

    fn output(&mut self) -> (Declaration<'a>, Parsed<()>) {
        self.advance();
        let Ok(name) = self.used_name("the name of a variable") else {
            return (Declaration::Error, Err(Failed));
        };
        let is_next = matches!(
            self.kind(),
            TokenKind::EndOfFile
                | TokenKind::Keyword(Keyword::Type | Keyword::In | Keyword::Out | Keyword::Use)
        );
        if is_next || self.is_declaration_start() {
            return (Declaration::Output { name }, Ok(()));
        }
        let suggestion = match self.kind() {
            TokenKind::Comma => "Write one 'out' for each output".to_owned(),
            TokenKind::Assign => format!("Write '{0} = ...' and then 'out {0}'", name.text),
            _ => "Only a variable can be an output: give the expression a name first".to_owned(),
        };
        let failed = self.error("the next declaration after 'out name'", Some(suggestion));
        (Declaration::Output { name }, Err(failed))
    }

    fn use_declaration(&mut self) -> Parsed<Declaration<'a>> {
        self.advance();
        let path = self.path("a namespace")?;
        let alias =
            if self.eat(TokenKind::Keyword(Keyword::As)) { Some(self.name("an alias")?) } else { None };
        Ok(Declaration::Use { path, alias })
    }

    // What all parts of the parser use.

    fn token(&self) -> Token {
        self.cursor.token()
    }

    fn kind(&self) -> TokenKind {
        self.token().kind
    }

    fn kind_at(&self, ahead: usize) -> TokenKind {
        self.cursor.kind_at(ahead)
    }

    /// The number of the token at hand.
    fn at(&self) -> usize {
        self.cursor.at()
    }

    fn advance(&mut self) {
        self.cursor.go_to(self.cursor.at() + 1);
    }

    fn go_to(&mut self, at: usize) {
        self.cursor.go_to(at);
    }

    fn text(&self) -> &'a str {
        self.source.text(self.token())
    }

    fn previous_span(&self) -> Span {
        self.tokens[self.at().saturating_sub(1)].span
    }

    fn eat(&mut self, kind: TokenKind) -> bool {
        let is_there = self.kind() == kind;
        if is_there {
            self.advance();
        }
        is_there
    }

    fn expect(&mut self, kind: TokenKind, expected: &str) -> Parsed<()> {
        if self.eat(kind) { Ok(()) } else { Err(self.error(expected, None)) }
    }

    /// The bracket that closes the one at token `open`.
    fn close(&mut self, open: usize, kind: TokenKind) -> Parsed<()> {
        if self.eat(kind) {
            return Ok(());
        }
        Err(self.error_in_brackets(open, bracket_text(kind)))
    }

    /// Parses something inside of brackets.
    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.nesting >= MAX_NESTING {
            let message = format!("The program nests deeper than {MAX_NESTING} levels");
            return Err(self.abandon(self.token().span, message));
        }
        self.nesting += 1;
        let result = parse(self);
        self.nesting -= 1;
        result
    }

    fn abandon(&mut self, span: Span, message: String) -> Failed {
        if !self.is_abandoned {
            let diagnostic = Diagnostic::error(Code::LimitExceeded, span, message)
                .suggest(["Give a part of the expression a name of its own".to_owned()]);
            self.sink.push(diagnostic);
        }
        self.is_abandoned = true;
        Failed
    }

    /// Items between brackets with commas between them, the closing bracket included; `open` is the token of the
    /// opening one. False when some item failed, and the rest was read all the same.
    fn items<T>(
        &mut self,
        open: usize,
        close: TokenKind,
        mut parse: impl FnMut(&mut Self) -> Parsed<T>,
    ) -> Parsed<(Vec<T>, bool)> {
        let mut items = Vec::new();
        let mut is_complete = true;
        while !self.eat(close) {
            if let Ok(item) = self.nested(&mut parse) {
                items.push(item);
                if self.eat(TokenKind::Comma) {
                    continue;
                }
                if self.eat(close) {
                    break;
                }
                self.error_in_brackets(open, &format!("',' or {}", bracket_text(close)));
            }
            is_complete = false;
            self.skip_item()?;
            if !self.eat(TokenKind::Comma) && self.kind() != close {
                return Err(Failed);
            }
        }
        Ok((items, is_complete))
    }

    fn add(&mut self, kind: ExpressionKind<'a>, span: Span, height: u16) -> Parsed<ExpressionId> {
        if height > MAX_HEIGHT {
            let message = format!("The expression nests deeper than {MAX_HEIGHT} operators");
            return Err(self.abandon(span, message));
        }
        let id = u32::try_from(self.tree.expressions.len()).expect("a source of 1 MiB has fewer expressions");
        self.tree.expressions.push(Expression { kind, span, height, is_parenthesized: false });
        Ok(ExpressionId(id))
    }

    fn add_error(&mut self, span: Span) -> ExpressionId {
        self.add(ExpressionKind::Error, span, 0).expect("it has no height")
    }

    fn expression_or_error(&mut self, result: Parsed<ExpressionId>) -> (ExpressionId, Parsed<()>) {
        match result {
            Ok(id) => (id, Ok(())),
            Err(Failed) => (self.add_error(self.token().span), Err(Failed)),
        }
    }

    fn type_or_error(&mut self, result: Parsed<TypeId>) -> (TypeId, Parsed<()>) {
        match result {
            Ok(id) => (id, Ok(())),
            Err(Failed) => (self.add_error_type(self.token().span), Err(Failed)),
        }
    }
}

#[cfg(test)]
mod tests;
