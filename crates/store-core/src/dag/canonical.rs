//! The canonical JSON of a graph.
//!
//! What serializes a graph for a file keeps the order of its members; canonical JSON sorts them by their keys. Every
//! compilation ends in a hash of it, so here members are written in their sorted order from the start, which is
//! several times as fast as to sort them afterwards. Tests compare it with the sorted form, kind by kind.

use std::sync::Arc;

use super::{
    Argument, ArithmeticOperator, Backoff, BranchCase, CallOptions, ComparisonOperator, DagSpec, FieldSpec,
    FieldValue, InputSpec, Join, Literal, MatchCase, NodeIndex, NodeKind, NodeSpec, OnError, OutputSpec,
    Pattern, Region, Requirement, Throttle, TypeIndex, TypeSpec, Window,
};
use crate::SignatureHash;
use crate::canonical::{write_integer, write_plain_string, write_string};

impl DagSpec {
    /// The canonical JSON of the graph, which its hash is taken of.
    ///
    /// # Panics
    ///
    /// When a float literal is not finite. A graph that was decoded or validated has none.
    pub fn canonical_json(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64 * (self.nodes.len() + 8));
        self.write(&mut out);
        out
    }
}

/// What has a canonical JSON.
trait Canonical {
    /// Appends it.
    fn write(&self, out: &mut Vec<u8>);

    /// Whether a member with this value is left out.
    fn is_absent(&self) -> bool {
        false
    }
}

/// Writes an object. The members stand in the order of their keys, which need no escapes.
macro_rules! object {
    ($out:expr, $($key:literal: $value:expr),+ $(,)?) => {{
        let out: &mut Vec<u8> = $out;
        let start = out.len();
        $(match &$value {
            value if value.is_absent() => {}
            value => {
                out.extend_from_slice(concat!(",\"", $key, "\":").as_bytes());
                value.write(out);
            }
        })+
        if out.len() == start {
            out.push(b'{');
        } else {
            out[start] = b'{';
        }
        out.push(b'}');
    }};
}

/// Writes a variant that has content: an object of one member, which is an object or a value.
macro_rules! variant {
    ($out:expr, $name:literal, { $($members:tt)+ }) => {{
        $out.extend_from_slice(concat!("{\"", $name, "\":").as_bytes());
        object!($out, $($members)+);
        $out.push(b'}');
    }};
    ($out:expr, $name:literal, $value:expr) => {
        object!($out, $name: $value)
    };
}

/// Variants without content are their name.
macro_rules! words {
    ($($ty:ident { $($variant:ident $word:literal),+ })+) => {$(
        impl Canonical for $ty {
            fn write(&self, out: &mut Vec<u8>) {
                let text = match self { $(Self::$variant => concat!("\"", $word, "\""),)+ };
                out.extend_from_slice(text.as_bytes());
            }
        }
    )+};
}

words! {
    ArithmeticOperator { Add "add", Subtract "subtract", Multiply "multiply", Divide "divide" }
    ComparisonOperator {
        Equal "equal", NotEqual "notEqual", Less "less", LessOrEqual "lessOrEqual", Greater "greater",
        GreaterOrEqual "greaterOrEqual"
    }
    Backoff { Fixed "fixed", Linear "linear", Exponential "exponential" }
    OnError { Propagate "propagate", Skip "skip", Log "log", Wrap "wrap" }
}

impl Canonical for u64 {
    fn write(&self, out: &mut Vec<u8>) {
        write_integer(*self, out);
    }
}

impl Canonical for u32 {
    fn write(&self, out: &mut Vec<u8>) {
        write_integer((*self).into(), out);
    }
}

impl Canonical for u8 {
    fn write(&self, out: &mut Vec<u8>) {
        write_integer((*self).into(), out);
    }
}

impl Canonical for bool {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(if *self { b"true" } else { b"false" });
    }
}

impl Canonical for String {
    fn write(&self, out: &mut Vec<u8>) {
        write_string(self, out);
    }
}

impl Canonical for Arc<str> {
    fn write(&self, out: &mut Vec<u8>) {
        write_string(self, out);
    }
}

impl Canonical for NodeIndex {
    fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
    }
}

impl Canonical for TypeIndex {
    fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
    }
}

impl Canonical for SignatureHash {
    fn write(&self, out: &mut Vec<u8>) {
        write_plain_string(&self.to_hex(), out);
    }
}

impl<T: Canonical> Canonical for Vec<T> {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(b'[');
        for (index, item) in self.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            item.write(out);
        }
        out.push(b']');
    }
}

impl<T: Canonical> Canonical for Option<T> {
    fn write(&self, out: &mut Vec<u8>) {
        if let Some(value) = self {
            value.write(out);
        }
    }

    fn is_absent(&self) -> bool {
        self.is_none()
    }
}

/// A list that is left out when it is empty.
struct NotEmpty<'a, T>(&'a Vec<T>);

impl<T: Canonical> Canonical for NotEmpty<'_, T> {
    fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
    }

    fn is_absent(&self) -> bool {
        self.0.is_empty()
    }
}

// Destructured, so that a new member stops the build until it has a place here.

impl Canonical for DagSpec {
    fn write(&self, out: &mut Vec<u8>) {
        let Self { inputs, outputs, types, nodes, requires } = self;
        object!(
            out,
            "inputs": inputs,
            "nodes": nodes,
            "outputs": outputs,
            "requires": requires,
            "types": types,
        );
    }
}

impl Canonical for InputSpec {
    fn write(&self, out: &mut Vec<u8>) {
        let Self { name, ty, default, examples } = self;
        object!(out, "default": default, "examples": NotEmpty(examples), "name": name, "type": ty);
    }
}

impl Canonical for OutputSpec {
    fn write(&self, out: &mut Vec<u8>) {
        let Self { name, node } = self;
        object!(out, "name": name, "node": node);
    }
}

impl Canonical for Requirement {
    fn write(&self, out: &mut Vec<u8>) {
        let Self { name, major, signature } = self;
        object!(out, "major": major, "name": name, "signature": signature);
    }
}

impl Canonical for TypeSpec {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Nothing => out.extend_from_slice(b"\"nothing\""),
            Self::String => out.extend_from_slice(b"\"string\""),
            Self::Int => out.extend_from_slice(b"\"int\""),
            Self::Float => out.extend_from_slice(b"\"float\""),
            Self::Boolean => out.extend_from_slice(b"\"boolean\""),
            Self::List(element) => variant!(out, "list", element),
            Self::Seq(element) => variant!(out, "seq", element),
            Self::Optional(inner) => variant!(out, "optional", inner),
            Self::Map { key, value } => variant!(out, "map", { "key": key, "value": value }),
            Self::Record(fields) => variant!(out, "record", fields),
            Self::Union(members) => variant!(out, "union", members),
            Self::Function { parameters, result } => {
                variant!(out, "function", { "parameters": parameters, "result": result });
            }
        }
    }
}

impl Canonical for FieldSpec {
    fn write(&self, out: &mut Vec<u8>) {
        let Self { name, ty } = self;
        object!(out, "name": name, "type": ty);
    }
}

impl Canonical for NodeSpec {
    fn write(&self, out: &mut Vec<u8>) {
        let Self { label, ty, operation } = self;
        object!(out, "label": label, "operation": operation, "type": ty);
    }
}

impl Canonical for NodeKind {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Input { name } => variant!(out, "input", { "name": name }),
            Self::Literal(literal) => variant!(out, "literal", literal),
            Self::List { items } => variant!(out, "list", { "items": items }),
            Self::Record { fields } => variant!(out, "record", { "fields": fields }),
            Self::Interpolate { parts, values } => {
                variant!(out, "interpolate", { "parts": parts, "values": values });
            }
            Self::Arithmetic { operator, left, right } => {
                variant!(out, "arithmetic", { "left": left, "operator": operator, "right": right });
            }
            Self::Negate { operand } => variant!(out, "negate", { "operand": operand }),
            Self::Compare { operator, left, right } => {
                variant!(out, "compare", { "left": left, "operator": operator, "right": right });
            }
            Self::And { left, right } => variant!(out, "and", { "left": left, "right": right }),
            Self::Or { left, right } => variant!(out, "or", { "left": left, "right": right }),
            Self::Not { operand } => variant!(out, "not", { "operand": operand }),
            Self::If { condition, then, otherwise } => {
                variant!(out, "if", { "condition": condition, "otherwise": otherwise, "then": then });
            }
            Self::Branch { cases, otherwise } => {
                variant!(out, "branch", { "cases": cases, "otherwise": otherwise });
            }
            Self::Guard { value, condition } => {
                variant!(out, "guard", { "condition": condition, "value": value });
            }
            Self::Coalesce { value, default } => {
                variant!(out, "coalesce", { "default": default, "value": value });
            }
            Self::Field { source, name } => variant!(out, "field", { "name": name, "source": source }),
            Self::Project { source, names } => variant!(out, "project", { "names": names, "source": source }),
            Self::Merge { left, right } => variant!(out, "merge", { "left": left, "right": right }),
            Self::Coerce { value } => variant!(out, "coerce", { "value": value }),
            Self::Call { module, major, arguments, options } => {
                variant!(out, "call", {
                    "arguments": arguments, "major": major, "module": module, "options": **options
                });
            }
            Self::Parameter => out.extend_from_slice(b"\"parameter\""),
            Self::Lambda { captures, body } => {
                variant!(out, "lambda", { "body": body, "captures": captures });
            }
            Self::Match { scrutinee, cases } => {
                variant!(out, "match", { "cases": cases, "scrutinee": scrutinee });
            }
        }
    }
}

impl Canonical for Literal {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Int(int) => variant!(out, "int", int.to_string()),
            Self::Float(float) => {
                assert!(float.is_finite(), "a graph's float literals are finite");
                variant!(out, "float", format!("{float:?}"));
            }
            Self::String(text) => variant!(out, "string", text),
            Self::Bool(flag) => variant!(out, "bool", flag),
        }
    }
}

impl Canonical for FieldValue {
    fn write(&self, out: &mut Vec<u8>) {
        let Self { name, node } = self;
        object!(out, "name": name, "node": node);
    }
}

impl Canonical for Argument {
    fn write(&self, out: &mut Vec<u8>) {
        let Self { name, node } = self;
        object!(out, "name": name, "node": node);
    }
}

impl Canonical for BranchCase {
    fn write(&self, out: &mut Vec<u8>) {
        let Self { condition, value } = self;
        object!(out, "condition": condition, "value": value);
    }
}

impl Canonical for MatchCase {
    fn write(&self, out: &mut Vec<u8>) {
        let Self { pattern, body } = self;
        object!(out, "body": body, "pattern": pattern);
    }
}

impl Canonical for Pattern {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Fields(names) => variant!(out, "fields", names),
            Self::Is(ty) => variant!(out, "is", ty),
            Self::Any => out.extend_from_slice(b"\"any\""),
        }
    }
}

impl Canonical for Region {
    fn write(&self, out: &mut Vec<u8>) {
        let Self { start, end, parameters, result } = self;
        object!(out, "end": end, "parameters": parameters, "result": result, "start": start);
    }
}

impl Canonical for CallOptions {
    fn write(&self, out: &mut Vec<u8>) {
        let Self {
            retry,
            timeout_ms,
            delay_ms,
            backoff,
            fallback,
            cache_ms,
            cache_backend,
            throttle,
            concurrency,
            on_error,
            lazy,
            priority,
            batch,
            batch_timeout_ms,
            window,
            checkpoint_ms,
            join,
        } = self;
        object!(
            out,
            "backoff": backoff,
            "batch": batch,
            "batchTimeoutMs": batch_timeout_ms,
            "cacheBackend": cache_backend,
            "cacheMs": cache_ms,
            "checkpointMs": checkpoint_ms,
            "concurrency": concurrency,
            "delayMs": delay_ms,
            "fallback": fallback,
            "join": join,
            "lazy": lazy,
            "onError": on_error,
            "priority": priority,
            "retry": retry,
            "throttle": throttle,
            "timeoutMs": timeout_ms,
            "window": window,
        );
    }

    fn is_absent(&self) -> bool {
        self.is_empty()
    }
}

impl Canonical for Throttle {
    fn write(&self, out: &mut Vec<u8>) {
        let Self { count, per_ms } = self;
        object!(out, "count": count, "perMs": per_ms);
    }
}

impl Canonical for Window {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Tumbling { size_ms } => variant!(out, "tumbling", { "sizeMs": size_ms }),
            Self::Sliding { size_ms, slide_ms } => {
                variant!(out, "sliding", { "sizeMs": size_ms, "slideMs": slide_ms });
            }
            Self::Count { size } => variant!(out, "count", { "size": size }),
        }
    }
}

impl Canonical for Join {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::CombineLatest => out.extend_from_slice(b"\"combineLatest\""),
            Self::Zip => out.extend_from_slice(b"\"zip\""),
            Self::Buffer { timeout_ms } => variant!(out, "buffer", { "timeoutMs": timeout_ms }),
        }
    }
}

#[cfg(test)]
mod tests;
