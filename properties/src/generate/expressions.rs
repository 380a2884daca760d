//! Expressions of a given type.

use std::sync::Arc;

use constellation_types::{Field, RecordType, Type, merge_types};

use super::Generator;

impl Generator<'_, '_> {
    /// An expression that has exactly this type wherever it stands. It is a primary or in parentheses.
    pub(super) fn exact(&mut self, ty: &Type, depth: u32) -> String {
        if depth == 0 || self.budget == 0 {
            return self.leaf(ty);
        }
        self.budget -= 1;
        // Some ways do not lead to some types.
        for _ in 0..4 {
            let made = match self.rng.u8(..16) {
                0 => Some(self.leaf(ty)),
                1 => Some(self.conditional(ty, depth - 1, Self::exact)),
                2 => Some(self.branch(ty, depth - 1)),
                3 => Some(self.coalesce(ty, depth - 1)),
                4 | 5 => Some(self.match_expression(ty, depth - 1)),
                6..=8 => self.call(ty, depth - 1),
                9 => Some(self.field(ty, depth - 1)),
                _ => self.of_kind(ty, depth - 1),
            };
            if let Some(made) = made {
                return made;
            }
        }
        self.leaf(ty)
    }

    /// An expression for a place that expects this type.
    pub(super) fn checked(&mut self, ty: &Type, depth: u32) -> String {
        if depth == 0 || self.rng.bool() {
            return self.exact(ty, depth);
        }
        let depth = depth - 1;
        match ty {
            Type::Float => self.rng.i64(-9..100).to_string(),
            Type::List(element) | Type::Seq(element) => {
                let items: Vec<String> =
                    (0..self.rng.u8(..3)).map(|_| self.checked(element, depth)).collect();
                format!("[{}]", items.join(", "))
            }
            Type::Record(record) => {
                let mut fields: Vec<String> = record
                    .fields()
                    .iter()
                    .map(|field| format!("{}: {}", field.name, self.checked(&field.ty, depth)))
                    .collect();
                self.rng.shuffle(&mut fields);
                if self.one_in(4) {
                    fields.push(format!("extra: {}", self.leaf(&Type::Int)));
                }
                format!("{{ {} }}", fields.join(", "))
            }
            Type::Union(union) => {
                let member = self.pick(union.members()).clone();
                self.exact(&member, depth)
            }
            _ => self.conditional(ty, depth, Self::checked),
        }
    }

    /// The smallest expression of this type: a variable, a field of one, or a literal.
    pub(super) fn leaf(&mut self, ty: &Type) -> String {
        if self.rng.u8(..4) > 0
            && let Some(path) = self.path(ty)
        {
            return path;
        }
        match ty {
            Type::String | Type::Int | Type::Float | Type::Boolean => self.literal(ty),
            Type::List(element) => format!("[{}]", self.leaf(element)),
            Type::Optional(inner) => format!("({} when {})", self.leaf(inner), self.literal(&Type::Boolean)),
            Type::Record(record) => self.record(record, 0),
            Type::Union(union) => {
                let (last, others) = union.members().split_last().expect("a union has members");
                let mut text = self.leaf(last);
                for member in others.iter().rev() {
                    let condition = self.leaf(&Type::Boolean);
                    text = format!("(if ({condition}) {} else {text})", self.leaf(member));
                }
                text
            }
            // Neither has a literal.
            Type::Map(..) | Type::Seq(_) => match self.path(ty) {
                Some(path) => path,
                None => self.input(ty.clone()),
            },
            Type::Nothing | Type::Function(_) | Type::Variable(_) => {
                unreachable!("no expression is made for such a type")
            }
        }
    }

    /// A variable of this type, or a field of one.
    fn path(&mut self, ty: &Type) -> Option<String> {
        let mut paths = Vec::new();
        for (name, found) in self.visible() {
            if found == *ty {
                paths.push(name.clone());
            }
            // Of a list of records, the list of the fields of all.
            let of_elements = |inner: &Type| match &found {
                Type::List(_) => Type::list(inner.clone()),
                Type::Seq(_) => Type::seq(inner.clone()),
                _ => inner.clone(),
            };
            let record = found.element().unwrap_or(&found);
            for field in record.as_record().map_or(&[][..], RecordType::fields) {
                if of_elements(&field.ty) == *ty {
                    paths.push(format!("{name}.{}", field.name));
                }
            }
        }
        if paths.is_empty() { None } else { Some(self.pick(&paths).clone()) }
    }

    fn conditional(&mut self, ty: &Type, depth: u32, arm: fn(&mut Self, &Type, u32) -> String) -> String {
        let n_arms = self.rng.u8(1..3);
        let mut arms: Vec<String> = Vec::new();
        for _ in 0..n_arms {
            let condition = self.checked_condition(depth);
            arms.push(format!("if ({condition}) {}", arm(self, ty, depth)));
        }
        arms.push(arm(self, ty, depth));
        format!("({})", arms.join(" else "))
    }

    fn checked_condition(&mut self, depth: u32) -> String {
        self.exact(&Type::Boolean, depth)
    }

    fn branch(&mut self, ty: &Type, depth: u32) -> String {
        let n_cases = self.rng.u8(..3);
        let mut cases: Vec<String> = Vec::new();
        for _ in 0..n_cases {
            let condition = self.checked_condition(depth);
            cases.push(format!("{condition} -> {}", self.exact(ty, depth)));
        }
        cases.push(format!("otherwise -> {}", self.exact(ty, depth)));
        format!("branch {{ {} }}", cases.join(", "))
    }

    fn coalesce(&mut self, ty: &Type, depth: u32) -> String {
        let optional = match ty {
            Type::Optional(_) => ty.clone(),
            ty => Type::optional(ty.clone()),
        };
        let n_optionals = self.rng.u8(1..3);
        let mut operands: Vec<String> = (0..n_optionals).map(|_| self.exact(&optional, depth)).collect();
        operands.push(self.exact(ty, depth));
        format!("({})", operands.join(" ?? "))
    }

    /// A field of a record that is made for it.
    fn field(&mut self, ty: &Type, depth: u32) -> String {
        let value = self.exact(ty, depth);
        let other = self.leaf(&Type::Int);
        format!("{{ field: {value}, cache: {other} }}.field")
    }

    fn of_kind(&mut self, ty: &Type, depth: u32) -> Option<String> {
        match ty {
            Type::Int => Some(self.arithmetic(&Type::Int, &Type::Int, &Type::Int, depth)),
            Type::Float => {
                let operands =
                    [(Type::Float, Type::Float), (Type::Int, Type::Float), (Type::Float, Type::Int)];
                let (left, right) = self.pick(&operands).clone();
                Some(self.arithmetic(ty, &left, &right, depth))
            }
            Type::String => Some(self.interpolation(depth)),
            Type::Boolean => Some(self.boolean(depth)),
            Type::Optional(inner) => {
                let condition = self.checked_condition(depth);
                Some(format!("({} when {condition})", self.exact(inner, depth)))
            }
            Type::List(element) => Some(self.list(element, depth)),
            Type::Record(record) => Some(self.record_expression(record, depth)),
            Type::Union(union) => {
                let (last, others) = union.members().split_last().expect("a union has members");
                let mut text = self.exact(last, depth);
                for member in others.iter().rev() {
                    let condition = self.checked_condition(depth);
                    text = format!("(if ({condition}) {} else {text})", self.exact(member, depth));
                }
                Some(text)
            }
            _ => None,
        }
    }

    fn arithmetic(&mut self, ty: &Type, left: &Type, right: &Type, depth: u32) -> String {
        if self.one_in(5) {
            return format!("(-{})", self.exact(ty, depth));
        }
        let operator = *self.pick(&["+", "-", "*", "/"]);
        format!("({} {operator} {})", self.exact(left, depth), self.exact(right, depth))
    }

    fn interpolation(&mut self, depth: u32) -> String {
        let mut parts = vec![self.string_part()];
        for _ in 0..self.rng.u8(..3) {
            let ty = self.ty(1);
            parts.push(format!("${{{}}}", self.exact(&ty, depth)));
            parts.push(self.string_part());
        }
        format!("\"{}\"", parts.concat())
    }

    fn boolean(&mut self, depth: u32) -> String {
        match self.rng.u8(..6) {
            0 => format!("(not {})", self.checked_condition(depth)),
            1 | 2 => {
                let operator = *self.pick(&["and", "or"]);
                format!("({} {operator} {})", self.checked_condition(depth), self.checked_condition(depth))
            }
            3 => {
                let operator = *self.pick(&["==", "!="]);
                let ty = self.ty(1);
                format!("({} {operator} {})", self.exact(&ty, depth), self.exact(&ty, depth))
            }
            4 => {
                let operator = *self.pick(&["<", "<=", ">", ">=", "==", "!="]);
                format!("({} {operator} {})", self.exact(&Type::Float, depth), self.rng.i64(0..9))
            }
            _ => {
                let ty = self.pick(&[Type::Int, Type::Float, Type::String]).clone();
                let operator = *self.pick(&["<", "<=", ">", ">="]);
                format!("({} {operator} {})", self.exact(&ty, depth), self.exact(&ty, depth))
            }
        }
    }

    fn list(&mut self, element: &Type, depth: u32) -> String {
        if let Type::Record(record) = element
            && self.rng.bool()
        {
            let inner = |generator: &mut Self, ty: &Type| {
                if generator.rng.bool() { Type::list(ty.clone()) } else { ty.clone() }
            };
            if let Some((left, right)) = self.halves(record) {
                // At least one of the two is a list, and then the whole is.
                let right_type = Type::list(right);
                let left_type = inner(self, &left);
                return format!("({} + {})", self.exact(&left_type, depth), self.exact(&right_type, depth));
            }
            let wider = self.widened(record);
            let names = field_names(record);
            return format!("{}[{names}]", self.exact(&Type::list(wider), depth));
        }
        let items: Vec<String> = (0..self.rng.u8(1..4)).map(|_| self.exact(element, depth)).collect();
        format!("[{}]", items.join(", "))
    }

    fn record(&mut self, record: &RecordType, depth: u32) -> String {
        let fields: Vec<String> = record
            .fields()
            .iter()
            .map(|field| format!("{}: {}", field.name, self.exact(&field.ty, depth)))
            .collect();
        format!("{{ {} }}", fields.join(", "))
    }

    fn record_expression(&mut self, record: &RecordType, depth: u32) -> String {
        match self.rng.u8(..3) {
            0 => {
                if let Some((left, right)) = self.halves(record) {
                    return format!("({} + {})", self.exact(&left, depth), self.exact(&right, depth));
                }
                self.record(record, depth)
            }
            1 => {
                let wider = self.widened(record);
                let names = field_names(record);
                let source = self.exact(&wider, depth);
                if self.rng.bool() { format!("{source}[{names}]") } else { format!("{source}{{{names}}}") }
            }
            _ => self.record(record, depth),
        }
    }

    /// Two record types that merge to this one; the second may replace a field of the first.
    fn halves(&mut self, record: &RecordType) -> Option<(Type, Type)> {
        let (first, second) = record.fields().split_at(record.fields().len() / 2);
        if first.is_empty() {
            return None;
        }
        let left = Type::Record(Arc::new(RecordType::new(first.iter().cloned())));
        let replaced = first.iter().take(usize::from(self.one_in(3))).cloned();
        let right = Type::Record(Arc::new(RecordType::new(second.iter().cloned().chain(replaced))));
        let merged = merge_types(&left, &right).ok()?;
        (merged == Type::Record(Arc::new(record.clone()))).then_some((left, right))
    }

    /// The type with a field more.
    fn widened(&mut self, record: &RecordType) -> Type {
        let ty = self.ty(0);
        let more = Field { name: "more".into(), ty };
        Type::Record(Arc::new(RecordType::new([more].into_iter().chain(record.fields().iter().cloned()))))
    }
}

fn field_names(record: &RecordType) -> String {
    let names: Vec<&str> = record.fields().iter().map(|field| &*field.name).collect();
    names.join(", ")
}
