//! The printer: tree to source text, in one canonical layout.
//!
//! Parsing what was printed gives the same tree, but for places. Parentheses stand where the grammar needs them and
//! nowhere else. What is still to be printed is kept on a stack of its own, so that no tree is too deep.

use std::fmt::Write as _;

use crate::parser::{Operator, is_option_name};
use crate::syntax::{
    Call, CallOption, Declaration, Duration, ExpressionId, ExpressionKind, Import, Interpolation, Name,
    OptionValue, PatternKind, SyntaxTree, TypeExpressionKind, TypeId,
};

/// Prints a program: a declaration a line, in the order of the tree.
///
/// None when a part of the tree is an `Error`, since the text that made it is not in the tree. Comments are not in the
/// tree either, nor are `@source` and `@sink`, which mean nothing.
pub fn print(tree: &SyntaxTree<'_>) -> Option<String> {
    let is_complete = tree.declarations.iter().all(|declaration| *declaration != Declaration::Error)
        && tree.types.iter().all(|ty| ty.kind != TypeExpressionKind::Error)
        && tree.expressions.iter().all(|expression| expression.kind != ExpressionKind::Error);
    if !is_complete {
        return None;
    }
    let mut printer = Printer { tree, out: String::new(), pending: Vec::new() };
    for declaration in &tree.declarations {
        printer.declaration(declaration);
        printer.out.push('\n');
    }
    Some(printer.out)
}

/// What is around an expression, as far as it decides about parentheses.
#[derive(Debug, Clone, Copy)]
struct Context {
    /// How tightly it has to bind to stand here; 0 for anything.
    least: u8,
    /// It is the right operand of an operator, or the operand of a prefix operator. There `not` and `-` may stand,
    /// however loosely they bind.
    is_right: bool,
    /// The precedence of the operator that comes next in the text, 0 for none.
    follow: u8,
    /// A `-` is right before it, and would become the sign of a number.
    is_negated: bool,
    /// A comma and what reads as a call option come next in the text.
    is_before_option: bool,
}

impl Context {
    const WHOLE: Self =
        Self { least: 0, is_right: false, follow: 0, is_negated: false, is_before_option: false };
    /// Before `.name` or `[name]`.
    const SOURCE: Self = Self { least: POSTFIX, ..Self::WHOLE };
    /// Between `match` and `{`.
    const SCRUTINEE: Self = Self { least: PRIMARY, ..Self::WHOLE };

    fn left(precedence: u8, can_chain: bool) -> Self {
        Self { least: precedence + u8::from(!can_chain), follow: precedence, ..Self::WHOLE }
    }

    /// The last part of something in this context, with nothing between it and what follows.
    fn right(self, precedence: u8) -> Self {
        Self { least: precedence + 1, is_right: true, is_negated: false, ..self }
    }

    fn of(self, id: ExpressionId) -> Piece<'static> {
        Piece::Expression(id, self)
    }

    /// A part at the end that takes all operators that follow.
    fn open(self) -> Self {
        Self { least: 0, is_right: false, is_negated: false, ..self }
    }
}

/// Field accesses and projections bind tighter than all operators, and are no primaries.
const POSTFIX: u8 = 10;
const PRIMARY: u8 = 11;

/// What is still to be printed.
#[derive(Debug, Clone, Copy)]
enum Piece<'t> {
    Text(&'t str),
    /// Text within a string.
    Escaped(&'t str),
    Expression(ExpressionId, Context),
    Type(TypeId),
    Option(&'t CallOption<'t>, Context),
}

struct Printer<'t, 'a> {
    tree: &'t SyntaxTree<'a>,
    out: String,
    /// The next piece last.
    pending: Vec<Piece<'t>>,
}

impl<'t, 'a> Printer<'t, 'a> {
    fn declaration(&mut self, declaration: &'t Declaration<'a>) {
        match declaration {
            Declaration::Error => unreachable!("a tree with errors is not printed"),
            Declaration::Type { name, ty } => {
                self.run([
                    Piece::Text("type "),
                    Piece::Text(name.text),
                    Piece::Text(" = "),
                    Piece::Type(*ty),
                ]);
            }
            Declaration::Input { name, ty, examples } => {
                for example in self.tree.list(*examples) {
                    let example = Context::WHOLE.of(*example);
                    self.run([Piece::Text("@example("), example, Piece::Text(")\n")]);
                }
                self.run([Piece::Text("in "), Piece::Text(name.text), Piece::Text(": "), Piece::Type(*ty)]);
            }
            Declaration::Output { name } => self.run([Piece::Text("out "), Piece::Text(name.text)]),
            Declaration::Use(import) => {
                let Import { path, alias } = &**import;
                self.out.push_str("use ");
                self.out.push_str(&path.text);
                if let Some(alias) = alias {
                    self.run([Piece::Text(" as "), Piece::Text(alias.text)]);
                }
            }
            Declaration::Assignment { name, value } => {
                let value = Context::WHOLE.of(*value);
                self.run([Piece::Text(name.text), Piece::Text(" = "), value]);
            }
        }
    }

    fn run(&mut self, pieces: impl IntoIterator<Item = Piece<'t>>) {
        self.push(pieces);
        while let Some(piece) = self.pending.pop() {
            match piece {
                Piece::Text(text) => self.out.push_str(text),
                Piece::Escaped(text) => self.escaped(text),
                Piece::Type(id) => self.ty(id),
                Piece::Option(option, context) => self.option(option, context),
                Piece::Expression(id, context) if self.needs_parentheses(id, context) => {
                    self.out.push('(');
                    self.push([Context::WHOLE.of(id), Piece::Text(")")]);
                }
                Piece::Expression(id, context) => self.expression(id, context),
            }
        }
    }

    /// Pieces to be printed next, in the order of the text.
    fn push(&mut self, pieces: impl IntoIterator<Item = Piece<'t>>) {
        let start = self.pending.len();
        self.pending.extend(pieces);
        self.pending[start..].reverse();
    }

    fn needs_parentheses(&self, id: ExpressionId, context: Context) -> bool {
        let binds = |operator: Operator| operator.precedence() < context.least;
        match &self.tree.expression(id).kind {
            ExpressionKind::Lambda { .. } => context.least > 0 || context.follow > 0,
            ExpressionKind::Coalesce { .. } => binds(Operator::Coalesce),
            ExpressionKind::Binary { operator, .. } => binds(Operator::Binary(*operator)),
            // It takes what binds tighter than itself along.
            ExpressionKind::Not(_) => {
                (binds(Operator::Not) && !context.is_right) || context.follow > Operator::Not.precedence()
            }
            ExpressionKind::Negate(_) => binds(Operator::Negate) && !context.is_right,
            // Its last value takes everything along.
            ExpressionKind::Conditional { .. } => {
                context.least >= POSTFIX && !context.is_right || context.follow > 0
            }
            ExpressionKind::Field { .. } | ExpressionKind::Projection { .. } => context.least > POSTFIX,
            ExpressionKind::Call(call) => {
                let options = self.tree.list(self.tree.call(*call).options);
                let ends_open =
                    options.last().is_some_and(|option| matches!(option.value, OptionValue::Expression(_)));
                let is_operand = context.follow > 0 || (context.least >= POSTFIX && !context.is_right);
                (ends_open && is_operand) || (!options.is_empty() && context.is_before_option)
            }
            ExpressionKind::Integer(int) => context.is_negated && *int >= 0,
            ExpressionKind::Float(float) => context.is_negated && float.is_sign_positive(),
            ExpressionKind::Error
            | ExpressionKind::Variable(_)
            | ExpressionKind::Boolean(_)
            | ExpressionKind::String(_)
            | ExpressionKind::Interpolation(_)
            | ExpressionKind::List(_)
            | ExpressionKind::Record(_)
            | ExpressionKind::Branch { .. }
            | ExpressionKind::Match { .. } => false,
        }
    }

    fn expression(&mut self, id: ExpressionId, context: Context) {
        let whole = |id: &ExpressionId| Context::WHOLE.of(*id);
        let tree = self.tree;
        match &tree.expression(id).kind {
            ExpressionKind::Error => unreachable!("a tree with errors is not printed"),
            ExpressionKind::Variable(name) => self.out.push_str(name),
            ExpressionKind::Integer(int) => self.write(int),
            ExpressionKind::Float(float) => self.float(*float),
            ExpressionKind::Boolean(boolean) => self.write(boolean),
            ExpressionKind::String(text) => {
                self.push([Piece::Text("\""), Piece::Escaped(tree.text(*text)), Piece::Text("\"")]);
            }
            ExpressionKind::Interpolation(interpolation) => self.interpolation(*interpolation),
            ExpressionKind::List(items) => self.list("[", tree.list(*items).iter().map(whole), "]"),
            ExpressionKind::Record(fields) => self.record(tree.list(*fields)),
            ExpressionKind::Call(call) => {
                let Call { function, arguments, options } = tree.call(*call);
                let options = tree.list(*options);
                self.out.push_str(&function.text);
                for (index, option) in options.iter().enumerate().rev() {
                    let is_last = index + 1 == options.len();
                    let context = if is_last {
                        context.open()
                    } else {
                        Context { is_before_option: true, ..Context::WHOLE }
                    };
                    self.pending.push(Piece::Option(option, context));
                    self.pending.push(Piece::Text(if index == 0 { " with " } else { ", " }));
                }
                self.list("(", tree.list(*arguments).iter().map(whole), ")");
            }
            ExpressionKind::Field { source, name } => {
                let source = Context { is_negated: context.is_negated, ..Context::SOURCE }.of(*source);
                self.push([source, Piece::Text("."), Piece::Text(name)]);
            }
            ExpressionKind::Projection { source, names } => {
                let source = Context { is_negated: context.is_negated, ..Context::SOURCE }.of(*source);
                self.list("[", tree.list(*names).iter().map(|name| Piece::Text(name.text)), "]");
                self.pending.push(source);
            }
            ExpressionKind::Binary { operator, left, right } => {
                let kind = Operator::Binary(*operator);
                self.push([
                    Context::left(kind.precedence(), kind.can_chain()).of(*left),
                    Piece::Text(" "),
                    Piece::Text(operator.as_str()),
                    Piece::Text(" "),
                    context.right(kind.precedence()).of(*right),
                ]);
            }
            ExpressionKind::Coalesce { reversed } => {
                let precedence = Operator::Coalesce.precedence();
                for (index, operand) in tree.list(*reversed).iter().enumerate() {
                    if index == 0 {
                        self.pending.push(context.right(precedence).of(*operand));
                    } else {
                        self.pending.push(Piece::Text(" ?? "));
                        self.pending.push(Context::left(precedence, false).of(*operand));
                    }
                }
            }
            ExpressionKind::Not(operand) => {
                self.push([Piece::Text("not "), context.right(Operator::Not.precedence()).of(*operand)]);
            }
            ExpressionKind::Negate(operand) => {
                let operand =
                    Context { is_negated: true, ..context.right(Operator::Negate.precedence()) }.of(*operand);
                self.push([Piece::Text("-"), operand]);
            }
            ExpressionKind::Conditional { arms, otherwise } => {
                let starts_with_if =
                    matches!(tree.expression(*otherwise).kind, ExpressionKind::Conditional { .. });
                // `else if` would make one chain of the two.
                if starts_with_if {
                    self.push([Piece::Text("("), whole(otherwise), Piece::Text(")")]);
                } else {
                    self.pending.push(context.open().of(*otherwise));
                }
                for (condition, value) in tree.list(*arms).iter().rev() {
                    self.push([
                        Piece::Text("if ("),
                        whole(condition),
                        Piece::Text(") "),
                        whole(value),
                        Piece::Text(" else "),
                    ]);
                }
            }
            ExpressionKind::Branch { cases, otherwise } => {
                self.out.push_str("branch { ");
                self.push([Piece::Text("otherwise -> "), whole(otherwise), Piece::Text(" }")]);
                for (condition, value) in tree.list(*cases).iter().rev() {
                    self.push([whole(condition), Piece::Text(" -> "), whole(value), Piece::Text(", ")]);
                }
            }
            ExpressionKind::Lambda { parameters, body } => {
                self.push([Piece::Text(") => "), context.open().of(*body)]);
                for (index, (name, ty)) in tree.list(*parameters).iter().enumerate().rev() {
                    if let Some(ty) = ty {
                        self.push([Piece::Text(": "), Piece::Type(*ty)]);
                    }
                    self.pending.push(Piece::Text(name.text));
                    self.pending.push(Piece::Text(if index == 0 { "" } else { ", " }));
                }
                self.pending.push(Piece::Text("("));
            }
            ExpressionKind::Match { scrutinee, cases } => {
                self.pending.push(Piece::Text(" }"));
                for (index, (pattern, body)) in tree.list(*cases).iter().enumerate().rev() {
                    self.push([Piece::Text(" -> "), whole(body)]);
                    match &pattern.kind {
                        PatternKind::Fields(names) => {
                            let names = tree.list(*names).iter();
                            self.list("{ ", names.map(|name| Piece::Text(name.text)), " }");
                        }
                        PatternKind::Is(name) => self.push([Piece::Text("is "), Piece::Text(name.text)]),
                        PatternKind::Any => self.pending.push(Piece::Text("_")),
                    }
                    self.pending.push(Piece::Text(if index == 0 { "" } else { ", " }));
                }
                self.push([Piece::Text("match "), Context::SCRUTINEE.of(*scrutinee), Piece::Text(" { ")]);
            }
        }
    }

    /// Items with commas between them, to be printed next.
    fn list(
        &mut self,
        open: &'t str,
        items: impl DoubleEndedIterator<Item = Piece<'t>> + ExactSizeIterator,
        close: &'t str,
    ) {
        self.pending.push(Piece::Text(close));
        for (index, item) in items.enumerate().rev() {
            self.pending.push(item);
            self.pending.push(Piece::Text(if index == 0 { "" } else { ", " }));
        }
        self.pending.push(Piece::Text(open));
    }

    fn record(&mut self, fields: &'t [(Name<'a>, ExpressionId)]) {
        if fields.is_empty() {
            self.out.push_str("{}");
            return;
        }
        self.out.push_str("{ ");
        self.pending.push(Piece::Text(" }"));
        let mut is_before_option = false;
        for (index, (name, value)) in fields.iter().enumerate().rev() {
            self.push([
                Piece::Text(if index == 0 { "" } else { ", " }),
                Piece::Text(name.text),
                Piece::Text(": "),
                Context { is_before_option, ..Context::WHOLE }.of(*value),
            ]);
            is_before_option = is_option_name(name.text);
        }
    }

    fn interpolation(&mut self, Interpolation { parts, values }: Interpolation) {
        let (parts, values) = (self.tree.list(parts), self.tree.list(values));
        self.pending.push(Piece::Text("\""));
        for (index, part) in parts.iter().enumerate().rev() {
            if let Some(value) = values.get(index) {
                self.push([Piece::Text("${"), Context::WHOLE.of(*value), Piece::Text("}")]);
            }
            self.pending.push(Piece::Escaped(self.tree.text(*part)));
        }
        self.pending.push(Piece::Text("\""));
    }

    fn ty(&mut self, id: TypeId) {
        let tree = self.tree;
        match &tree.ty(id).kind {
            TypeExpressionKind::Error => unreachable!("a tree with errors is not printed"),
            TypeExpressionKind::Named(name) => self.out.push_str(name),
            TypeExpressionKind::Applied { name, arguments } => {
                self.out.push_str(name);
                self.list("<", tree.list(*arguments).iter().map(|ty| Piece::Type(*ty)), ">");
            }
            TypeExpressionKind::Record(fields) => {
                self.pending.push(Piece::Text(if fields.is_empty() { "}" } else { " }" }));
                for (index, (name, ty)) in tree.list(*fields).iter().enumerate().rev() {
                    let separator = Piece::Text(if index == 0 { " " } else { ", " });
                    self.push([separator, Piece::Text(name.text), Piece::Text(": "), Piece::Type(*ty)]);
                }
                self.pending.push(Piece::Text("{"));
            }
            TypeExpressionKind::Merge(parts) => self.type_chain(tree.list(*parts), " + "),
            TypeExpressionKind::Union(members) => self.type_chain(tree.list(*members), " | "),
        }
    }

    fn type_chain(&mut self, parts: &[TypeId], separator: &'static str) {
        for (index, part) in parts.iter().enumerate().rev() {
            self.push([Piece::Text(if index == 0 { "" } else { separator }), Piece::Type(*part)]);
        }
    }

    fn option(&mut self, option: &'t CallOption<'t>, context: Context) {
        self.out.push_str(option.name.text);
        if option.value == OptionValue::Flag(true) {
            return;
        }
        self.out.push_str(": ");
        match &option.value {
            OptionValue::Count(count) => self.write(count),
            OptionValue::Priority(priority) => self.write(priority),
            OptionValue::Duration(duration) => self.duration(*duration),
            OptionValue::Rate(count, duration) => {
                self.write(count);
                self.out.push('/');
                self.duration(*duration);
            }
            OptionValue::Word(word) => self.out.push_str(word),
            OptionValue::Flag(flag) => self.write(flag),
            OptionValue::Text(text) => {
                self.out.push('"');
                self.out.push_str(text);
                self.out.push('"');
            }
            OptionValue::Durations(word, durations) => {
                self.out.push_str(word);
                for (index, duration) in self.tree.list(*durations).iter().enumerate() {
                    self.out.push_str(if index == 0 { "(" } else { ", " });
                    self.duration(*duration);
                }
                self.out.push(')');
            }
            OptionValue::CountWindow(size) => self.write(format_args!("count({size})")),
            OptionValue::Expression(id) => self.pending.push(context.of(*id)),
        }
    }

    fn duration(&mut self, duration: Duration<'_>) {
        let Duration { count, unit } = duration;
        self.write(format_args!("{count}{unit}"));
    }

    fn float(&mut self, float: f64) {
        let start = self.out.len();
        // `Display` writes all digits, never an exponent, and reads back as the same float.
        self.write(float);
        if !self.out[start..].contains('.') {
            self.out.push_str(".0");
        }
    }

    fn write(&mut self, value: impl std::fmt::Display) {
        write!(self.out, "{value}").expect("a string takes all text");
    }

    fn escaped(&mut self, text: &str) {
        let mut characters = text.chars().peekable();
        while let Some(character) = characters.next() {
            match character {
                '\n' => self.out.push_str("\\n"),
                '\t' => self.out.push_str("\\t"),
                '\r' => self.out.push_str("\\r"),
                '\\' => self.out.push_str("\\\\"),
                '"' => self.out.push_str("\\\""),
                '$' if characters.peek() == Some(&'{') => self.out.push_str("\\$"),
                other => self.out.push(other),
            }
        }
    }
}
