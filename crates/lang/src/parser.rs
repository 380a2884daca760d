//! The parser: tokens to tree. It reports every error it finds and goes on.
//!
//! `type`, `in`, `out`, `use`, `@` and a name before `=` can only start a declaration, in whatever brackets they
//! stand, so that is where the parser picks up again after an error it cannot mend closer by.

mod choices;
mod cursor;
mod declarations;
mod expressions;
mod literals;
mod names;
mod operators;
mod options;
mod recovery;
mod types;

use std::cell::OnceCell;
use std::num::NonZeroU32;

use hashbrown::HashSet;

use self::cursor::Cursor;
pub(crate) use self::operators::Operator;
use self::operators::Waiting;
pub(crate) use self::options::is_option_name;
use self::recovery::bracket_text;
use crate::diagnostic::{Code, Diagnostic, Sink};
use crate::span::Span;
use crate::syntax::{
    Expression, ExpressionId, ExpressionKind, Item, List, Lists, MAX_HEIGHT, MAX_NESTING, SyntaxTree,
};
use crate::token::{Token, TokenKind, TokenizedSource};

/// An error was reported, and what was being parsed has no tree.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Failed;

type Parsed<T> = Result<T, Failed>;

/// An expression that was read, and what the one around it needs to know of it.
#[derive(Debug, Clone, Copy)]
struct Operand {
    id: ExpressionId,
    /// How deep a walk over it recurses.
    height: u16,
}

/// Parses a program. What is wrong is in the sink; what could not be parsed is an `Error` in the tree.
pub(crate) fn parse_into<'a>(source: &TokenizedSource<'a>, sink: &mut Sink) -> SyntaxTree<'a> {
    for diagnostic in source.diagnostics() {
        sink.push(diagnostic.clone());
    }
    let mut parser = Parser {
        source,
        text: source.source(),
        tokens: source.tokens(),
        cursor: Cursor::new(source.tokens()),
        partners: OnceCell::new(),
        tree: SyntaxTree::with_room_for(source.tokens().len()),
        sink,
        nesting: 0,
        last_error_at: None,
        is_abandoned: false,
        pending: Lists::default(),
        waiting: Vec::new(),
        reserved_names: HashSet::new(),
    };
    parser.program();
    parser.tree
}

struct Parser<'s, 'a> {
    source: &'s TokenizedSource<'a>,
    text: &'a str,
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
    /// The items of lists that are not read to their end yet, the innermost last.
    pending: Lists<'a>,
    /// The operators that wait for a right operand, of all expressions that are not read to their end yet.
    waiting: Vec<Waiting>,
    /// Reserved words that something was named by, which was reported.
    reserved_names: HashSet<TokenKind>,
}

impl<'a> Parser<'_, 'a> {
    // What all parts of the parser use.

    fn token(&self) -> Token {
        self.cursor.token()
    }

    fn kind(&self) -> TokenKind {
        self.cursor.kind()
    }

    /// The kind of the token behind the one at hand.
    fn next_kind(&self) -> TokenKind {
        self.cursor.next_kind()
    }

    fn kind_at(&self, ahead: usize) -> TokenKind {
        self.cursor.kind_at(ahead)
    }

    /// The number of the token at hand.
    fn at(&self) -> usize {
        self.cursor.at()
    }

    fn advance(&mut self) {
        self.cursor.advance();
    }

    fn go_to(&mut self, at: usize) {
        self.cursor.go_to(at);
    }

    fn text(&self) -> &'a str {
        &self.text[self.token().span.range()]
    }

    /// Where the token before the one at hand ends.
    fn previous_end(&self) -> u32 {
        self.cursor.previous_end()
    }

    /// What was read from an offset up to here.
    #[inline]
    fn span_from(&self, start: u32) -> Span {
        Span { start, end: self.previous_end() }
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
            return Err(self.too_deep());
        }
        self.nesting += 1;
        let result = parse(self);
        self.nesting -= 1;
        result
    }

    #[cold]
    fn too_deep(&mut self) -> Failed {
        self.abandon(self.token().span, format!("The program nests deeper than {MAX_NESTING} levels"))
    }

    #[cold]
    fn too_high(&mut self, span: Span) -> Failed {
        self.abandon(span, format!("The expression nests deeper than {MAX_HEIGHT} operators"))
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

    /// A list of what `read` puts in [`pending`](Self::pend).
    #[inline]
    fn list<T: Item<'a>>(&mut self, read: impl FnOnce(&mut Self) -> Parsed<()>) -> Parsed<List<T>> {
        let start = T::all(&self.pending).len();
        let result = read(self);
        if let Err(failed) = result {
            T::all_mut(&mut self.pending).truncate(start);
            return Err(failed);
        }
        Ok(self.tree.lists.take(&mut self.pending, start))
    }

    /// Puts an item at the end of the innermost list that is being read.
    #[inline]
    fn pend<T: Item<'a>>(&mut self, item: T) {
        T::all_mut(&mut self.pending).push(item);
    }

    /// A list between brackets, as [`between`](Self::between) reads it. None when some item failed, and the rest was
    /// read all the same.
    #[inline]
    fn items<T: Item<'a>>(
        &mut self,
        open: usize,
        close: TokenKind,
        mut parse: impl FnMut(&mut Self) -> Parsed<T>,
    ) -> Parsed<Option<List<T>>> {
        let mut is_complete = true;
        let list = self.list(|parser| {
            is_complete = parser.between(open, close, |parser| {
                let item = parse(parser)?;
                parser.pend(item);
                Ok(())
            })?;
            Ok(())
        })?;
        Ok(is_complete.then_some(list))
    }

    /// Items between brackets with commas between them, the closing bracket included; `open` is the token of the
    /// opening one. False when some item failed, and the rest was read all the same.
    #[inline]
    fn between(
        &mut self,
        open: usize,
        close: TokenKind,
        mut parse: impl FnMut(&mut Self) -> Parsed<()>,
    ) -> Parsed<bool> {
        let mut is_complete = true;
        while !self.eat(close) {
            let is_read = self.nested(&mut parse).is_ok();
            if is_read && self.eat(TokenKind::Comma) {
                continue;
            }
            if is_read && self.eat(close) {
                break;
            }
            is_complete = false;
            self.next_item(open, close, is_read)?;
        }
        Ok(is_complete)
    }

    /// Goes on behind an item that failed, or that no comma follows.
    #[cold]
    fn next_item(&mut self, open: usize, close: TokenKind, is_read: bool) -> Parsed<()> {
        if is_read {
            self.error_in_brackets(open, &format!("',' or {}", bracket_text(close)));
        }
        self.skip_item()?;
        if !self.eat(TokenKind::Comma) && self.kind() != close {
            return Err(Failed);
        }
        Ok(())
    }

    #[inline]
    fn add(&mut self, kind: ExpressionKind<'a>, span: Span, height: u16) -> Parsed<Operand> {
        if height > MAX_HEIGHT {
            return Err(self.too_high(span));
        }
        Ok(Operand { height, ..self.add_leaf(kind, span) })
    }

    /// Adds an expression without parts.
    #[inline]
    fn add_leaf(&mut self, kind: ExpressionKind<'a>, span: Span) -> Operand {
        let id = ExpressionId::at(self.tree.expressions.len());
        self.tree.expressions.push(Expression { kind, span });
        Operand { id, height: 0 }
    }

    fn add_error(&mut self, span: Span) -> Operand {
        self.add_leaf(ExpressionKind::Error, span)
    }
}

/// The index of what is put at the end of a list of the tree next.
fn next_index<T>(list: &[T]) -> u32 {
    u32::try_from(list.len()).expect("a source of 1 MiB has fewer parts")
}

#[cfg(test)]
mod tests;
