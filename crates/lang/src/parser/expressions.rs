//! Parsing of expressions.
//!
//! Operators are read by precedence with two stacks, so that only brackets and bodies recurse.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::{Failed, Parsed, Parser};
use crate::diagnostic::{Code, Diagnostic};
use crate::span::Span;
use crate::syntax::{
    BinaryOperator, Call, CallOption, ExpressionId, ExpressionKind, Interpolation, Name, OptionValue, Path,
    Pattern, PatternKind,
};
use crate::token::{Keyword, TokenKind};

const HYPHEN_HINT: &str = "A hyphen belongs to the name before it: put a space before '->'";

/// An operator that waits for its right operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Coalesce,
    Binary(BinaryOperator),
    Not,
    Negate,
}

impl Operator {
    /// How tightly it binds, from 1 to 9; the language's table, loosest first.
    pub(crate) fn precedence(self) -> u8 {
        match self {
            Self::Coalesce => 1,
            Self::Binary(BinaryOperator::When) => 2,
            Self::Binary(BinaryOperator::Or) => 3,
            Self::Binary(BinaryOperator::And) => 4,
            Self::Not => 5,
            Self::Binary(
                BinaryOperator::Equal
                | BinaryOperator::NotEqual
                | BinaryOperator::Less
                | BinaryOperator::LessOrEqual
                | BinaryOperator::Greater
                | BinaryOperator::GreaterOrEqual,
            ) => 6,
            Self::Binary(BinaryOperator::Add | BinaryOperator::Subtract) => 7,
            Self::Binary(BinaryOperator::Multiply | BinaryOperator::Divide) => 8,
            Self::Negate => 9,
        }
    }

    pub(crate) fn can_chain(self) -> bool {
        !matches!(self.precedence(), 2 | 6)
    }
}

// Most expressions are one operand, and most of the others two.
type Operands = SmallVec<[ExpressionId; 4]>;
type Operators = SmallVec<[(Operator, Span); 4]>;

impl<'a> Parser<'_, 'a> {
    pub(super) fn expression(&mut self) -> Parsed<ExpressionId> {
        if self.is_lambda() {
            return self.lambda();
        }
        let mut operands = Operands::new();
        let mut operators = Operators::new();
        loop {
            self.prefix_operators(&mut operators);
            operands.push(self.operand()?);
            let Some(operator) = self.binary_operator() else { break };
            while let Some((last, _)) = operators.last().copied() {
                let is_same = last.precedence() == operator.precedence();
                // `??` groups to the right, all others to the left.
                if last.precedence() < operator.precedence() || (is_same && operator == Operator::Coalesce) {
                    break;
                }
                self.reduce(&mut operands, &mut operators)?;
                if is_same && !operator.can_chain() {
                    self.unchainable(last);
                    // What it would mean is not known, so nothing more is said about it.
                    if let Some(chained) = operands.last_mut() {
                        *chained = self.add_error(self.measure(*chained).0);
                    }
                }
            }
            operators.push((operator, self.token().span));
            self.advance();
        }
        while !operators.is_empty() {
            self.reduce(&mut operands, &mut operators)?;
        }
        Ok(operands.pop().expect("an operand was read"))
    }

    fn prefix_operators(&mut self, operators: &mut Operators) {
        loop {
            let operator = match self.kind() {
                TokenKind::Keyword(Keyword::Not) if !self.is_used_as_name(Keyword::Not) => Operator::Not,
                // The sign of a literal belongs to it, so that the smallest integer can be written.
                TokenKind::Minus if matches!(self.kind_at(1), TokenKind::Integer | TokenKind::Float) => {
                    return;
                }
                TokenKind::Minus => Operator::Negate,
                _ => return,
            };
            operators.push((operator, self.token().span));
            self.advance();
        }
    }

    fn binary_operator(&self) -> Option<Operator> {
        let operator = match self.kind() {
            TokenKind::Coalesce => return Some(Operator::Coalesce),
            TokenKind::Keyword(Keyword::When) => BinaryOperator::When,
            TokenKind::Keyword(Keyword::Or) => BinaryOperator::Or,
            TokenKind::Keyword(Keyword::And) => BinaryOperator::And,
            TokenKind::Equal => BinaryOperator::Equal,
            TokenKind::NotEqual => BinaryOperator::NotEqual,
            TokenKind::Less => BinaryOperator::Less,
            TokenKind::LessEqual => BinaryOperator::LessOrEqual,
            TokenKind::Greater => BinaryOperator::Greater,
            TokenKind::GreaterEqual => BinaryOperator::GreaterOrEqual,
            TokenKind::Plus => BinaryOperator::Add,
            TokenKind::Minus => BinaryOperator::Subtract,
            TokenKind::Star => BinaryOperator::Multiply,
            TokenKind::Slash => BinaryOperator::Divide,
            _ => return None,
        };
        Some(Operator::Binary(operator))
    }

    /// Applies the last operator to the last operands.
    fn reduce(&mut self, operands: &mut Operands, operators: &mut Operators) -> Parsed<()> {
        let (operator, operator_span) = operators.pop().expect("the caller saw one");
        let right = operands.pop().expect("each operator has an operand behind it");
        let (right_span, right_height) = self.measure(right);
        let id = match operator {
            Operator::Not => {
                self.add(ExpressionKind::Not(right), operator_span.to(right_span), right_height)?
            }
            Operator::Negate => {
                self.add(ExpressionKind::Negate(right), operator_span.to(right_span), right_height)?
            }
            Operator::Binary(operator) => {
                let left = operands.pop().expect("a binary operator has an operand before it");
                let (left_span, left_height) = self.measure(left);
                let kind = ExpressionKind::Binary { operator, left, right };
                self.add(kind, left_span.to(right_span), left_height.max(right_height + 1))?
            }
            Operator::Coalesce => {
                let left = operands.pop().expect("a binary operator has an operand before it");
                let (left_span, left_height) = self.measure(left);
                let node = &mut self.tree.expressions[right.0 as usize];
                if let ExpressionKind::Coalesce { reversed } = &mut node.kind {
                    node.is_parenthesized = false;
                    reversed.push(left);
                    node.span = left_span.to(right_span);
                    node.height = right_height.max(left_height + 1);
                    right
                } else {
                    let kind = ExpressionKind::Coalesce { reversed: vec![right, left] };
                    self.add(kind, left_span.to(right_span), left_height.max(right_height) + 1)?
                }
            }
        };
        operands.push(id);
        Ok(())
    }

    fn measure(&self, id: ExpressionId) -> (Span, u16) {
        let expression = self.tree.expression(id);
        let span = if expression.is_parenthesized { self.parenthesized[&id] } else { expression.span };
        (span, expression.height)
    }

    /// One more than the greatest height of some parts.
    fn height_over(&self, parts: impl IntoIterator<Item = ExpressionId>) -> u16 {
        parts.into_iter().map(|part| self.tree.expression(part).height).max().unwrap_or(0) + 1
    }

    fn unchainable(&mut self, last: Operator) {
        let Operator::Binary(operator) = last else { return };
        let message = format!("Parse error: '{}' cannot be chained", operator.as_str());
        let hint = if operator == BinaryOperator::When {
            "Join the conditions with 'and'".to_owned()
        } else {
            "Compare twice and join with 'and', for example: a < b and b < c".to_owned()
        };
        let span = self.token().span;
        self.sink.push(Diagnostic::error(Code::Syntax, span, message).suggest([hint]));
    }

    /// An operand with the projections and field accesses behind it.
    fn operand(&mut self) -> Parsed<ExpressionId> {
        let mut operand = self.primary()?;
        loop {
            match self.kind() {
                TokenKind::Dot => {
                    let (start, height) = self.measure(operand);
                    self.advance();
                    let name = self.used_name("the name of a field")?;
                    let kind = ExpressionKind::Field { source: operand, name };
                    operand = self.add(kind, start.to(name.span), height)?;
                }
                TokenKind::LeftBracket | TokenKind::LeftBrace => {
                    let (start, height) = self.measure(operand);
                    let names = self.projection()?;
                    let span = start.to(self.previous_span());
                    operand = match names {
                        Some(names) => {
                            self.add(ExpressionKind::Projection { source: operand, names }, span, height)?
                        }
                        None => self.add_error(span),
                    };
                }
                _ => return Ok(operand),
            }
        }
    }

    /// The names of a projection; none when some were wrong and reported.
    fn projection(&mut self) -> Parsed<Option<Vec<Name<'a>>>> {
        let open = self.at();
        let is_brace = self.kind() == TokenKind::LeftBrace;
        self.advance();
        let hint = match (self.kind(), self.kind_at(1)) {
            (TokenKind::Integer, _) if !is_brace => {
                Some("There is no indexing: '[...]' behind a value chooses fields of a record".to_owned())
            }
            (TokenKind::Identifier, TokenKind::Colon) => {
                Some("A '{' behind a value chooses fields of a record; merge records with '+'".to_owned())
            }
            _ => None,
        };
        if hint.is_some() {
            self.eat(TokenKind::Identifier);
            self.error("the name of a field", hint);
        }
        let close = if is_brace { TokenKind::RightBrace } else { TokenKind::RightBracket };
        let (names, is_complete) =
            self.items(open, close, |parser| parser.used_name("the name of a field"))?;
        if names.is_empty() && is_complete {
            let span = self.tokens[open].span.to(self.previous_span());
            let message = "Parse error: a projection names at least one field";
            self.sink.push(Diagnostic::error(Code::Syntax, span, message));
            return Ok(None);
        }
        Ok(is_complete.then_some(names))
    }

    fn primary(&mut self) -> Parsed<ExpressionId> {
        let start = self.token().span;
        match self.kind() {
            TokenKind::Keyword(keyword) if self.is_used_as_name(keyword) => {
                self.reserved_operand(keyword)?;
                self.named()
            }
            TokenKind::Identifier => self.named(),
            TokenKind::Integer | TokenKind::Float => self.number(),
            TokenKind::Minus if matches!(self.kind_at(1), TokenKind::Integer | TokenKind::Float) => {
                self.number()
            }
            TokenKind::String => {
                let text = self.text();
                let value = self.unescape(&text[1..text.len() - 1], start.start as usize + 1);
                self.advance();
                self.add(ExpressionKind::String(value), start, 0)
            }
            TokenKind::StringHead => self.interpolation(),
            TokenKind::Keyword(keyword @ (Keyword::True | Keyword::False)) => {
                self.advance();
                self.add(ExpressionKind::Boolean(keyword == Keyword::True), start, 0)
            }
            TokenKind::Keyword(Keyword::If) => self.conditional(),
            TokenKind::Keyword(Keyword::Branch) => self.branch(),
            TokenKind::Keyword(Keyword::Match) => self.match_expression(),
            TokenKind::LeftParenthesis => {
                let open = self.at();
                self.advance();
                if let Ok(inner) = self.nested(Self::expression) {
                    if self.eat(TokenKind::RightParenthesis) {
                        self.parenthesized.insert(inner, start.to(self.previous_span()));
                        self.tree.expressions[inner.0 as usize].is_parenthesized = true;
                        return Ok(inner);
                    }
                    self.error_in_brackets(open, "')'");
                }
                self.mend(open, TokenKind::RightParenthesis)
            }
            TokenKind::LeftBracket => {
                let open = self.at();
                self.advance();
                let (items, is_complete) = self.items(open, TokenKind::RightBracket, Self::expression)?;
                let height = self.height_over(items.iter().copied());
                self.finish(open, is_complete.then_some(ExpressionKind::List(items)), height)
            }
            TokenKind::LeftBrace => {
                let open = self.at();
                self.advance();
                let (fields, is_complete) = self.items(open, TokenKind::RightBrace, |parser| {
                    let name = parser.name("the name of a field")?;
                    parser.expect(TokenKind::Colon, "':' and a value")?;
                    Ok((name, parser.expression()?))
                })?;
                let height = self.height_over(fields.iter().map(|(_, value)| *value));
                self.finish(open, is_complete.then_some(ExpressionKind::Record(fields)), height)
            }
            TokenKind::Keyword(keyword @ (Keyword::And | Keyword::Or))
                if self.kind_at(1) == TokenKind::LeftParenthesis =>
            {
                let word = keyword.as_str();
                Err(self.error("an expression", Some(format!("'{word}' is an operator: write 'a {word} b'"))))
            }
            _ => Err(self.error("an expression", None)),
        }
    }

    /// A variable, or a call.
    fn named(&mut self) -> Parsed<ExpressionId> {
        if self.is_call() {
            return self.call();
        }
        let name = self.take_name();
        if self.kind() == TokenKind::FatArrow {
            let hint = format!("Write ({}) => ...", name.text);
            return Err(self.error("'(' before the parameters of a lambda", Some(hint)));
        }
        self.add(ExpressionKind::Variable(name.text), name.span, 0)
    }

    /// What was read from token `open` up to here; an error when there is no kind.
    fn finish(&mut self, open: usize, kind: Option<ExpressionKind<'a>>, height: u16) -> Parsed<ExpressionId> {
        let span = self.tokens[open].span.to(self.previous_span());
        match kind {
            Some(kind) => self.add(kind, span, height),
            None => Ok(self.add_error(span)),
        }
    }

    /// After an error between brackets: goes on behind the closing one, if there is one.
    fn mend(&mut self, open: usize, close: TokenKind) -> Parsed<ExpressionId> {
        if self.is_abandoned {
            return Err(Failed);
        }
        match self.partner(open) {
            Some(partner) if partner >= self.at() => {
                self.go_to(partner);
                self.expect(close, "the closing bracket")?;
                self.finish(open, None, 0)
            }
            _ => Err(Failed),
        }
    }

    fn number(&mut self) -> Parsed<ExpressionId> {
        let start = self.token().span;
        let is_negative = self.eat(TokenKind::Minus);
        let is_float = self.kind() == TokenKind::Float;
        let digits = self.text();
        let span = start.to(self.token().span);
        self.advance();
        let text = if is_negative { Cow::from(format!("-{digits}")) } else { Cow::from(digits) };
        let kind = if is_float {
            text.parse().ok().filter(|float: &f64| float.is_finite()).map(ExpressionKind::Float)
        } else if digits.len() > 1 && digits.starts_with('0') {
            let message = format!("Parse error: the integer {digits} starts with 0");
            let hint = format!("Write {}", digits.trim_start_matches('0'));
            self.sink.push(Diagnostic::error(Code::Syntax, span, message).suggest([hint]));
            return Ok(self.add_error(span));
        } else {
            text.parse().ok().map(ExpressionKind::Integer)
        };
        if kind.is_none() {
            let range = if is_float {
                "a Float is at most 1.7976931348623157e308".to_owned()
            } else {
                format!("an Int is between {} and {}", i64::MIN, i64::MAX)
            };
            let message = format!("Parse error: the number is out of range: {range}");
            self.sink.push(Diagnostic::error(Code::Syntax, span, message));
        }
        match kind {
            Some(kind) => self.add(kind, span, 0),
            None => Ok(self.add_error(span)),
        }
    }

    fn interpolation(&mut self) -> Parsed<ExpressionId> {
        let open = self.at();
        let mut parts = vec![self.string_part()];
        let mut values = Vec::new();
        let mut is_complete = true;
        loop {
            let head = self.at() - 1;
            match self.nested(Self::expression) {
                Ok(value) => {
                    values.push(value);
                    if !matches!(self.kind(), TokenKind::StringMiddle | TokenKind::StringTail) {
                        self.error_in_brackets(head, "'}'");
                        is_complete = false;
                    }
                }
                Err(Failed) => is_complete = false,
            }
            if !matches!(self.kind(), TokenKind::StringMiddle | TokenKind::StringTail) {
                match self.partner(head) {
                    Some(partner) if partner >= self.at() && !self.is_abandoned => {
                        self.go_to(partner);
                    }
                    _ => return Err(Failed),
                }
            }
            let is_last = self.kind() == TokenKind::StringTail;
            parts.push(self.string_part());
            if is_last {
                break;
            }
        }
        let height = self.height_over(values.iter().copied());
        let kind =
            is_complete.then(|| ExpressionKind::Interpolation(Box::new(Interpolation { parts, values })));
        self.finish(open, kind, height)
    }

    /// The text of the string token at hand, which is taken.
    fn string_part(&mut self) -> Cow<'a, str> {
        let text = self.text();
        let end = if self.kind() == TokenKind::StringTail { 1 } else { 2 };
        let offset = self.token().span.start as usize + 1;
        let part = self.unescape(&text[1..text.len() - end], offset);
        self.advance();
        part
    }

    /// Replaces the escapes of a string; `offset` is where `text` starts in the source.
    fn unescape(&mut self, text: &'a str, offset: usize) -> Cow<'a, str> {
        if !text.contains('\\') {
            return Cow::Borrowed(text);
        }
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find('\\') {
            out.push_str(&rest[..at]);
            let escaped = rest[at + 1..].chars().next();
            let length = 1 + escaped.map_or(0, char::len_utf8);
            match escaped {
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some('r') => out.push('\r'),
                Some(same @ ('\\' | '"' | '$')) => out.push(same),
                _ => {
                    let start = offset + (text.len() - rest.len()) + at;
                    let shown: String = escaped.into_iter().flat_map(char::escape_debug).collect();
                    let message = format!("Parse error: unknown escape '\\{shown}' in a string");
                    let hint =
                        "The escapes are \\n \\t \\r \\\\ \\\" \\$; write \\\\ for a backslash".to_owned();
                    let span = Span::new(start, start + length);
                    self.sink.push(Diagnostic::error(Code::Syntax, span, message).suggest([hint]));
                }
            }
            rest = &rest[at + length..];
        }
        out.push_str(rest);
        Cow::Owned(out)
    }

    /// Whether a name, possibly qualified, and `(` come next. A reserved word can stand after a dot.
    fn is_call(&self) -> bool {
        let mut ahead = 1;
        while self.kind_at(ahead) == TokenKind::Dot
            && matches!(self.kind_at(ahead + 1), TokenKind::Identifier | TokenKind::Keyword(_))
        {
            ahead += 2;
        }
        self.kind_at(ahead) == TokenKind::LeftParenthesis
    }

    fn call(&mut self) -> Parsed<ExpressionId> {
        let start = self.at();
        let function: Path<'a> = self.path("the name of a function")?;
        let open = self.at();
        self.advance();
        let (arguments, mut is_complete) = self.items(open, TokenKind::RightParenthesis, Self::expression)?;
        let mut options = Vec::new();
        if self.eat(TokenKind::Keyword(Keyword::With)) {
            is_complete &= self.call_options(&mut options)?;
        }
        let fallbacks = options.iter().filter_map(|option: &CallOption<'a>| {
            if let OptionValue::Expression(id) = option.value { Some(id) } else { None }
        });
        let height = self.height_over(arguments.iter().copied().chain(fallbacks));
        let kind = is_complete.then(|| ExpressionKind::Call(Box::new(Call { function, arguments, options })));
        self.finish(start, kind, height)
    }

    /// `(expression)` after `if`.
    fn condition(&mut self) -> Parsed<ExpressionId> {
        let open = self.at();
        if !self.eat(TokenKind::LeftParenthesis) {
            let hint = "The condition stands in parentheses: if (c) a else b".to_owned();
            return Err(self.error("'('", Some(hint)));
        }
        match self.nested(Self::expression) {
            Ok(condition) if self.eat(TokenKind::RightParenthesis) => return Ok(condition),
            Ok(_) => {
                self.error_in_brackets(open, "')'");
            }
            Err(Failed) => {}
        }
        self.mend(open, TokenKind::RightParenthesis)
    }

    fn conditional(&mut self) -> Parsed<ExpressionId> {
        let start = self.at();
        let mut arms = Vec::new();
        let mut height = 0;
        let otherwise = loop {
            self.advance();
            let condition = self.condition()?;
            let value = self.nested(Self::expression)?;
            height = height.max(self.height_over([condition, value]));
            arms.push((condition, value));
            if !self.eat(TokenKind::Keyword(Keyword::Else)) {
                return Err(self.error("'else'", None));
            }
            // A chain is one node, so that it may be as long as it likes.
            if self.kind() != TokenKind::Keyword(Keyword::If) {
                break self.nested(Self::expression)?;
            }
        };
        let height = height.max(self.height_over([otherwise]));
        self.finish(start, Some(ExpressionKind::Conditional { arms, otherwise }), height)
    }

    fn branch(&mut self) -> Parsed<ExpressionId> {
        let start = self.at();
        self.advance();
        let open = self.at();
        self.expect(TokenKind::LeftBrace, "'{'")?;
        let mut cases = Vec::new();
        let mut otherwise = None;
        let (_, mut is_complete) = self.items(open, TokenKind::RightBrace, |parser| {
            if otherwise.is_some() {
                return Err(parser.error("'}', as 'otherwise' is the last case", None));
            }
            if parser.eat(TokenKind::Keyword(Keyword::Otherwise)) {
                parser.arrow()?;
                otherwise = Some(parser.expression()?);
                return Ok(());
            }
            // With an arrow behind, it is a comparison with a variable of that name.
            let is_otherwise = parser.text() == "otherwise-" && parser.kind_at(1) == TokenKind::Greater;
            if is_otherwise && !parser.has_arrow_in_item() {
                return Err(parser.error("'otherwise ->'", Some(HYPHEN_HINT.to_owned())));
            }
            let condition = parser.expression()?;
            if parser.kind() != TokenKind::Arrow && parser.is_hyphen_taken(condition) {
                return Err(parser.error("'->'", Some(HYPHEN_HINT.to_owned())));
            }
            parser.arrow()?;
            cases.push((condition, parser.expression()?));
            Ok(())
        })?;
        if otherwise.is_none() && is_complete {
            let span = self.tokens[start].span.to(self.previous_span());
            let diagnostic =
                Diagnostic::error(Code::Syntax, span, "Parse error: the branch has no 'otherwise'")
                    .suggest(["Add a last case: otherwise -> value".to_owned()]);
            self.sink.push(diagnostic);
            is_complete = false;
        }
        let parts = cases.iter().flat_map(|(condition, value)| [*condition, *value]).chain(otherwise);
        let height = self.height_over(parts.collect::<Vec<_>>());
        let kind = otherwise.map(|otherwise| ExpressionKind::Branch { cases, otherwise });
        self.finish(start, kind.filter(|_| is_complete), height)
    }

    fn arrow(&mut self) -> Parsed<()> {
        let is_hyphen_taken = self.source.text(self.tokens[self.at().saturating_sub(1)]).ends_with('-');
        let hint = is_hyphen_taken.then(|| HYPHEN_HINT.to_owned());
        if self.eat(TokenKind::Arrow) { Ok(()) } else { Err(self.error("'->'", hint)) }
    }

    /// Whether `name->value` was read as `name- > value`.
    fn is_hyphen_taken(&self, condition: ExpressionId) -> bool {
        let ExpressionKind::Binary { operator: BinaryOperator::Greater, left, .. } =
            &self.tree.expression(condition).kind
        else {
            return false;
        };
        matches!(&self.tree.expression(*left).kind, ExpressionKind::Variable(name) if name.ends_with('-'))
    }

    fn match_expression(&mut self) -> Parsed<ExpressionId> {
        let start = self.at();
        self.advance();
        // Only a primary: otherwise the `{` of the cases would be a projection.
        let scrutinee = self.nested(Self::primary)?;
        let open = self.at();
        if !self.eat(TokenKind::LeftBrace) {
            let hint = (self.kind() == TokenKind::Dot)
                .then(|| "Put parentheses around the value: match (a.b) { ... }".to_owned());
            return Err(self.error("'{'", hint));
        }
        let (cases, mut is_complete) = self.items(open, TokenKind::RightBrace, |parser| {
            let pattern = parser.pattern()?;
            parser.arrow()?;
            Ok((pattern, parser.expression()?))
        })?;
        if cases.is_empty() && is_complete {
            let span = self.tokens[start].span.to(self.previous_span());
            self.sink.push(Diagnostic::error(Code::Syntax, span, "Parse error: the match has no case"));
            is_complete = false;
        }
        let height = self.height_over(cases.iter().map(|(_, body)| *body).chain([scrutinee]));
        let kind = ExpressionKind::Match { scrutinee, cases };
        self.finish(start, is_complete.then_some(kind), height)
    }

    fn pattern(&mut self) -> Parsed<Pattern<'a>> {
        let start = self.token().span;
        let kind = match self.kind() {
            TokenKind::LeftBrace => {
                let open = self.at();
                self.advance();
                let (names, is_complete) = self
                    .items(open, TokenKind::RightBrace, |parser| parser.used_name("the name of a field"))?;
                if !is_complete {
                    return Err(Failed);
                }
                if names.is_empty() {
                    self.go_to(self.at() - 1);
                    return Err(self.error("the name of a field", None));
                }
                PatternKind::Fields(names)
            }
            TokenKind::Keyword(Keyword::Is) => {
                self.advance();
                PatternKind::Is(self.used_name("the name of a type")?)
            }
            TokenKind::Identifier if self.text() == "_" => {
                self.advance();
                PatternKind::Any
            }
            _ => return Err(self.error("a pattern ('{ field }', 'is Type' or '_')", None)),
        };
        Ok(Pattern { kind, span: start.to(self.previous_span()) })
    }

    /// Whether `(...) =>` comes next.
    fn is_lambda(&self) -> bool {
        self.kind() == TokenKind::LeftParenthesis
            && self.source.has_fat_arrow()
            && self.partner(self.at()).is_some_and(|close| {
                self.tokens.get(close + 1).is_some_and(|token| token.kind == TokenKind::FatArrow)
            })
    }

    fn lambda(&mut self) -> Parsed<ExpressionId> {
        let start = self.at();
        self.advance();
        let (parameters, is_complete) = self.items(start, TokenKind::RightParenthesis, |parser| {
            let name = parser.name("the name of a parameter")?;
            let ty = if parser.eat(TokenKind::Colon) { Some(parser.ty()?) } else { None };
            Ok((name, ty))
        })?;
        self.expect(TokenKind::FatArrow, "'=>'")?;
        let body = self.nested(Self::expression)?;
        let height = self.height_over([body]);
        self.finish(start, is_complete.then_some(ExpressionKind::Lambda { parameters, body }), height)
    }
}
