//! Graphs as text, close to the syntax of the language.

use std::fmt::{self, Write};

use constellation_store_core::{
    ArithmeticOperator, CallOptions, ComparisonOperator, Literal, MatchCase, NodeIndex, NodeKind, Pattern,
    TypeIndex,
};

use super::graph::Graph;
use super::options;

/// How long a text may be, in bytes; the rest is three dots.
const MAX_TEXT: usize = 500;

/// How deep expressions without a name are written into one another.
const MAX_DEPTH: u32 = 32;

/// How the parts of a node are written.
pub(super) trait Parts<W> {
    fn operand(&mut self, node: NodeIndex, out: &mut W) -> fmt::Result;

    /// An operand where nothing can be mistaken for a part of it.
    fn enclosed(&mut self, node: NodeIndex, out: &mut W) -> fmt::Result;

    fn ty(&mut self, ty: TypeIndex, out: &mut W) -> fmt::Result;
}

/// What a node computes.
pub(super) fn of_node(graph: &Graph<'_>, node: usize) -> String {
    let mut out = Bounded::default();
    // Ends early when the text is as long as it may be.
    let _ = write_node(graph, node, true, &mut out, &mut Nested { graph, depth: 0 });
    out.0
}

/// What an operand is: its name, or what it computes.
pub(super) fn of_operand(graph: &Graph<'_>, node: NodeIndex) -> String {
    match &graph.names[node.index()] {
        Some(name) => name.clone(),
        None => of_node(graph, node.index()),
    }
}

pub(super) fn of_type(graph: &Graph<'_>, ty: TypeIndex) -> String {
    let mut out = Bounded::default();
    // As above.
    let _ = write!(out, "{}", graph.types[ty.index()]);
    out.0
}

/// A text that takes no more than it may.
#[derive(Debug, Default)]
struct Bounded(String);

impl Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = MAX_TEXT.saturating_sub(self.0.len());
        if text.len() <= room {
            self.0.push_str(text);
            return Ok(());
        }
        self.0.push_str(&text[..text.floor_char_boundary(room)]);
        self.0.push_str("...");
        Err(fmt::Error)
    }
}

/// Operands by name, or written in place.
struct Nested<'a> {
    graph: &'a Graph<'a>,
    depth: u32,
}

impl Parts<Bounded> for Nested<'_> {
    fn operand(&mut self, node: NodeIndex, out: &mut Bounded) -> fmt::Result {
        let index = node.index();
        let is_open = self.graph.names[index].is_none() && is_infix(&self.graph.spec.nodes[index].operation);
        if !is_open {
            return self.enclosed(node, out);
        }
        out.write_char('(')?;
        self.enclosed(node, out)?;
        out.write_char(')')
    }

    fn enclosed(&mut self, node: NodeIndex, out: &mut Bounded) -> fmt::Result {
        if let Some(name) = &self.graph.names[node.index()] {
            return out.write_str(name);
        }
        if self.depth >= MAX_DEPTH {
            return out.write_str("...");
        }
        self.depth += 1;
        write_node(self.graph, node.index(), true, out, self)?;
        self.depth -= 1;
        Ok(())
    }

    fn ty(&mut self, ty: TypeIndex, out: &mut Bounded) -> fmt::Result {
        write!(out, "{}", self.graph.types[ty.index()])
    }
}

fn is_infix(operation: &NodeKind) -> bool {
    matches!(
        operation,
        NodeKind::Arithmetic { .. }
            | NodeKind::Negate { .. }
            | NodeKind::Compare { .. }
            | NodeKind::And { .. }
            | NodeKind::Or { .. }
            | NodeKind::Not { .. }
            | NodeKind::If { .. }
            | NodeKind::Guard { .. }
            | NodeKind::Coalesce { .. }
            | NodeKind::Merge { .. }
            | NodeKind::Coerce { .. }
            | NodeKind::Lambda { .. }
    )
}

/// Writes a node, and lets `parts` write what it refers to. Two nodes of one type with the same text compute the same
/// from the same parts.
pub(super) fn write_node<W: Write>(
    graph: &Graph<'_>,
    node: usize,
    with_options: bool,
    out: &mut W,
    parts: &mut impl Parts<W>,
) -> fmt::Result {
    let mut infix = |left: &NodeIndex, operator: &str, right: &NodeIndex, out: &mut W| {
        parts.operand(*left, out)?;
        write!(out, " {operator} ")?;
        parts.operand(*right, out)
    };
    match &graph.spec.nodes[node].operation {
        NodeKind::Input { name } => out.write_str(name),
        NodeKind::Literal(literal) => write_literal(literal, out),
        NodeKind::Parameter => {
            let (depth, place) = graph.parameters[node].unwrap_or_default();
            write!(out, "${depth}.{place}")
        }
        NodeKind::Arithmetic { operator, left, right } => infix(left, arithmetic(*operator), right, out),
        NodeKind::Compare { operator, left, right } => infix(left, comparison(*operator), right, out),
        NodeKind::And { left, right } => infix(left, "and", right, out),
        NodeKind::Or { left, right } => infix(left, "or", right, out),
        NodeKind::Merge { left, right } => infix(left, "+", right, out),
        NodeKind::Guard { value, condition } => infix(value, "when", condition, out),
        NodeKind::Coalesce { value, default } => infix(value, "??", default, out),
        NodeKind::List { items } => {
            out.write_char('[')?;
            write_separated(items, out, |item, out| parts.enclosed(*item, out))?;
            out.write_char(']')
        }
        NodeKind::Record { fields } => {
            out.write_str("{ ")?;
            write_separated(fields, out, |field, out| {
                write!(out, "{}: ", field.name)?;
                parts.enclosed(field.node, out)
            })?;
            out.write_str(" }")
        }
        NodeKind::Interpolate { parts: texts, values } => {
            out.write_char('"')?;
            for (place, text) in texts.iter().enumerate() {
                write!(out, "{}", text.escape_debug().to_string().replace('$', "\\$"))?;
                if let Some(value) = values.get(place) {
                    out.write_str("${")?;
                    parts.enclosed(*value, out)?;
                    out.write_char('}')?;
                }
            }
            out.write_char('"')
        }
        NodeKind::Negate { operand } => {
            out.write_char('-')?;
            parts.operand(*operand, out)
        }
        NodeKind::Not { operand } => {
            out.write_str("not ")?;
            parts.operand(*operand, out)
        }
        NodeKind::If { condition, then, otherwise } => {
            out.write_str("if (")?;
            parts.enclosed(*condition, out)?;
            out.write_str(") ")?;
            parts.operand(*then, out)?;
            out.write_str(" else ")?;
            parts.operand(*otherwise, out)
        }
        NodeKind::Branch { cases, otherwise } => {
            out.write_str("branch { ")?;
            for case in cases {
                parts.enclosed(case.condition, out)?;
                out.write_str(" -> ")?;
                parts.enclosed(case.value, out)?;
                out.write_str(", ")?;
            }
            out.write_str("otherwise -> ")?;
            parts.enclosed(*otherwise, out)?;
            out.write_str(" }")
        }
        NodeKind::Field { source, name } => {
            parts.operand(*source, out)?;
            write!(out, ".{name}")
        }
        NodeKind::Project { source, names } => {
            parts.operand(*source, out)?;
            write!(out, "[{}]", names.join(", "))
        }
        NodeKind::Coerce { value } => {
            parts.operand(*value, out)?;
            out.write_str(" as ")?;
            parts.ty(graph.spec.nodes[node].ty, out)
        }
        NodeKind::Call { module, major, arguments, options } => {
            out.write_str(module)?;
            if *major != 1 {
                write!(out, "@{major}")?;
            }
            out.write_char('(')?;
            write_separated(arguments, out, |argument, out| parts.enclosed(argument.node, out))?;
            out.write_char(')')?;
            if with_options { write_options(options, out, parts) } else { Ok(()) }
        }
        NodeKind::Lambda { captures: _, body } => {
            let names = (1..=body.parameters).zip(body.start.index()..);
            out.write_char('(')?;
            for (place, parameter) in names {
                let separator = if place == 1 { "" } else { ", " };
                let (depth, place) = graph.parameters[parameter].unwrap_or_default();
                write!(out, "{separator}${depth}.{place}")?;
            }
            out.write_str(") => ")?;
            parts.enclosed(body.result, out)
        }
        NodeKind::Match { scrutinee, cases } => {
            out.write_str("match ")?;
            parts.operand(*scrutinee, out)?;
            out.write_str(" { ")?;
            write_separated(cases, out, |MatchCase { pattern, body }, out| {
                match pattern {
                    Pattern::Fields(names) => write!(out, "{{ {} }}", names.join(", "))?,
                    Pattern::Is(ty) => {
                        out.write_str("is ")?;
                        parts.ty(*ty, out)?;
                    }
                    Pattern::Any => out.write_char('_')?,
                }
                out.write_str(" -> ")?;
                parts.enclosed(body.result, out)
            })?;
            out.write_str(" }")
        }
    }
}

fn write_options<W: Write>(options: &CallOptions, out: &mut W, parts: &mut impl Parts<W>) -> fmt::Result {
    if options.is_empty() {
        return Ok(());
    }
    out.write_str(" with")?;
    let mut separator = " ";
    for (name, value) in options::members(options) {
        write!(out, "{separator}{name}: {value}")?;
        separator = ", ";
    }
    if let Some(fallback) = options.fallback {
        write!(out, "{separator}fallback: ")?;
        parts.operand(fallback, out)?;
    }
    Ok(())
}

fn write_separated<T, W: Write>(
    items: &[T],
    out: &mut W,
    mut write: impl FnMut(&T, &mut W) -> fmt::Result,
) -> fmt::Result {
    for (place, item) in items.iter().enumerate() {
        if place > 0 {
            out.write_str(", ")?;
        }
        write(item, out)?;
    }
    Ok(())
}

fn write_literal(literal: &Literal, out: &mut impl Write) -> fmt::Result {
    match literal {
        Literal::Int(int) => write!(out, "{int}"),
        Literal::Float(float) => write!(out, "{float:?}"),
        Literal::String(text) => write!(out, "{text:?}"),
        Literal::Bool(bool) => write!(out, "{bool}"),
    }
}

fn arithmetic(operator: ArithmeticOperator) -> &'static str {
    match operator {
        ArithmeticOperator::Add => "+",
        ArithmeticOperator::Subtract => "-",
        ArithmeticOperator::Multiply => "*",
        ArithmeticOperator::Divide => "/",
    }
}

fn comparison(operator: ComparisonOperator) -> &'static str {
    match operator {
        ComparisonOperator::Equal => "==",
        ComparisonOperator::NotEqual => "!=",
        ComparisonOperator::Less => "<",
        ComparisonOperator::LessOrEqual => "<=",
        ComparisonOperator::Greater => ">",
        ComparisonOperator::GreaterOrEqual => ">=",
    }
}
