//! Types, their texts, and values of them.

use std::sync::Arc;

use constellation_types::{Field, RecordType, Type, Value};
use fastrand::Rng;

use super::Generator;

/// Names of fields. Among them are those of call options, which decide about parentheses.
const FIELDS: [&str; 12] =
    ["id", "name", "cache", "retry", "x", "y-z", "_f", "value", "ok", "timeout", "a", "lazy_"];

impl Generator<'_, '_> {
    pub(super) fn ty(&mut self, depth: u32) -> Type {
        if !self.types.is_empty() && self.one_in(5) {
            let types = std::mem::take(&mut self.types);
            let ty = self.pick(&types).1.clone();
            self.types = types;
            return ty;
        }
        if depth == 0 {
            return primitive(self.rng);
        }
        match self.rng.u8(..16) {
            0 | 1 => Type::list(self.ty(depth - 1)),
            2 => Type::seq(self.ty(depth - 1)),
            3 | 4 => match self.ty(depth - 1) {
                // An optional of an optional has no use in a program.
                optional @ Type::Optional(_) => optional,
                inner => Type::optional(inner),
            },
            5 => {
                let key = if self.rng.bool() { Type::String } else { Type::Int };
                Type::map(key, self.ty(depth - 1))
            }
            6..=8 => Type::Record(self.record_type(depth)),
            9 | 10 => self.union(depth),
            _ => primitive(self.rng),
        }
    }

    pub(super) fn record_type(&mut self, depth: u32) -> Arc<RecordType> {
        let mut fields: Vec<Field> = Vec::new();
        for _ in 0..self.rng.usize(1..=3) {
            let name = *self.pick(&FIELDS);
            if fields.iter().all(|field| &*field.name != name) {
                fields.push(Field { name: name.into(), ty: self.ty(depth - 1) });
            }
        }
        Arc::new(RecordType::new(fields))
    }

    /// A union of types of which none is below another, so that each arm of an `if` keeps its own.
    fn union(&mut self, depth: u32) -> Type {
        let mut members: Vec<Type> = vec![primitive(self.rng)];
        for _ in 0..self.rng.usize(1..=3) {
            let member = match self.rng.u8(..4) {
                0 => primitive(self.rng),
                1 => Type::list(primitive(self.rng)),
                _ => Type::Record(self.record_type(depth)),
            };
            let is_related = |known: &Type| known.is_subtype_of(&member) || member.is_subtype_of(known);
            if !members.iter().any(is_related) {
                members.push(member);
            }
        }
        Type::union(members)
    }

    /// A type as it is written: by the name of one that was declared, as a merge, or in full.
    pub(super) fn type_text(&mut self, ty: &Type) -> String {
        let named = self.types.iter().find(|(_, known)| known == ty).map(|(name, _)| name.clone());
        if let Some(name) = named
            && self.rng.bool()
        {
            return name;
        }
        match ty {
            Type::List(inner) => format!("List<{}>", self.type_text(inner)),
            Type::Seq(inner) if self.rng.bool() => format!("Candidates<{}>", self.type_text(inner)),
            Type::Seq(inner) => format!("Seq<{}>", self.type_text(inner)),
            Type::Optional(inner) => format!("Optional<{}>", self.type_text(inner)),
            Type::Map(key, value) => format!("Map<{}, {}>", self.type_text(key), self.type_text(value)),
            Type::Record(record) => {
                let fields = record.fields();
                if fields.len() > 1 && self.one_in(4) {
                    let (first, second) = fields.split_at(1);
                    return format!("{} + {}", self.fields_text(first), self.fields_text(second));
                }
                self.fields_text(fields)
            }
            Type::Union(union) => {
                let members: Vec<String> =
                    union.members().iter().map(|member| self.type_text(member)).collect();
                members.join(" | ")
            }
            primitive => primitive.to_string(),
        }
    }

    fn fields_text(&mut self, fields: &[Field]) -> String {
        let fields: Vec<String> =
            fields.iter().map(|field| format!("{}: {}", field.name, self.type_text(&field.ty))).collect();
        format!("{{ {} }}", fields.join(", "))
    }

    /// A literal that an input of this type could be sent as; none where there is no such literal.
    pub(super) fn example(&mut self, ty: &Type) -> Option<String> {
        Some(match ty {
            Type::String | Type::Int | Type::Float | Type::Boolean => self.literal(ty),
            Type::List(inner) | Type::Seq(inner) => {
                let items = (0..self.rng.u8(..3)).map(|_| self.example(inner)).collect::<Option<Vec<_>>>()?;
                format!("[{}]", items.join(", "))
            }
            Type::Optional(inner) => self.example(inner)?,
            Type::Record(record) => {
                let fields = record.fields().iter();
                let fields =
                    fields.map(|field| Some(format!("{}: {}", field.name, self.example(&field.ty)?)));
                format!("{{ {} }}", fields.collect::<Option<Vec<_>>>()?.join(", "))
            }
            // An optional within a member would not be taken for the member.
            Type::Union(union) => match &union.members()[0] {
                member @ (Type::String | Type::Int | Type::Float | Type::Boolean) => self.literal(member),
                _ => return None,
            },
            Type::Map(..) | Type::Nothing | Type::Function(_) | Type::Variable(_) => return None,
        })
    }

    pub(super) fn literal(&mut self, ty: &Type) -> String {
        match ty {
            Type::Int => int(self.rng).to_string(),
            Type::Float => {
                let text = float(self.rng).to_string();
                if text.contains('.') { text } else { format!("{text}.0") }
            }
            Type::Boolean => self.rng.bool().to_string(),
            _ => format!("\"{}\"", self.string_part()),
        }
    }

    /// Text between quotes, escapes included.
    pub(super) fn string_part(&mut self) -> String {
        const PIECES: [&str; 14] = [
            "a",
            "Ada",
            " ",
            "\\\"",
            "\\\\",
            "\\n",
            "\\t",
            "\\${",
            "$",
            "#",
            "}",
            "\u{e9}",
            "\u{1f600}",
            "1",
        ];
        (0..self.rng.u8(..4)).map(|_| *self.pick(&PIECES)).collect()
    }
}

fn primitive(rng: &mut Rng) -> Type {
    match rng.u8(..4) {
        0 => Type::Int,
        1 => Type::Float,
        2 => Type::Boolean,
        _ => Type::String,
    }
}

/// Mostly small, so that sums fit; sometimes one that makes them overflow.
fn int(rng: &mut Rng) -> i64 {
    match rng.u8(..20) {
        0 => i64::MAX,
        1 => i64::MIN,
        2 => 0,
        _ => rng.i64(-9..100),
    }
}

fn float(rng: &mut Rng) -> f64 {
    match rng.u8(..20) {
        0 => 1e300,
        1 => -0.0,
        2 => 0.1 + 0.2,
        _ => f64::from(rng.i32(-40..400)) / 4.0,
    }
}

/// A value of a type.
pub(crate) fn value(rng: &mut Rng, ty: &Type) -> Value {
    match ty {
        Type::String => {
            let texts = ["", "a", "Ada Lovelace", "1", "\u{e9}\u{1f600}", "a,b", "${x}", "\"\\\n"];
            Value::string(texts[rng.usize(..texts.len())])
        }
        Type::Int => Value::Int(int(rng)),
        Type::Float => Value::Float(float(rng)),
        Type::Boolean => Value::Boolean(rng.bool()),
        Type::List(element) | Type::Seq(element) => {
            Value::list((0..rng.u8(..4)).map(|_| value(rng, element)).collect::<Vec<_>>())
        }
        Type::Map(key, inner) => {
            let mut pairs: Vec<(Value, Value)> = Vec::new();
            for _ in 0..rng.u8(..3) {
                let key = value(rng, key);
                if pairs.iter().all(|(known, _)| *known != key) {
                    pairs.push((key, value(rng, inner)));
                }
            }
            Value::Map(pairs.into())
        }
        Type::Record(record) => {
            let fields = record.fields().iter();
            Value::record(
                fields.map(|field| (Arc::clone(&field.name), value(rng, &field.ty))).collect::<Vec<_>>(),
            )
        }
        Type::Optional(inner) => {
            if rng.bool() {
                Value::some(value(rng, inner))
            } else {
                Value::none()
            }
        }
        Type::Union(union) => {
            let member = &union.members()[rng.usize(..union.members().len())];
            Value::tagged(member.to_string(), value(rng, member))
        }
        Type::Nothing | Type::Function(_) | Type::Variable(_) => {
            unreachable!("no input is of such a type")
        }
    }
}
