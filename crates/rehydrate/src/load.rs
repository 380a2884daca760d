//! Checks each node of a graph and works out how it runs.

mod calls;
mod lambdas;

use std::collections::HashMap;
use std::sync::Arc;

use constellation_store_core::{
    ComparisonOperator, DagSpec, FieldValue, InputSpec, Literal, MatchCase, NodeIndex, NodeKind, NodeSpec,
    Pattern,
};
use constellation_types::{Field, RecordType, Type, Value};

use crate::coercion::Coercions;
use crate::relations::{data_types, fits};
use crate::requires::Required;
use crate::{
    Alternative, Binding, FieldAccess, LoadedCase, LoadedNode, MergeField, MergeShape, Number, Operation,
    Problem,
};

/// Problems told of one graph; a graph that makes no sense would repeat itself.
const MAX_PROBLEMS: usize = 50;

/// The nodes of a valid graph, or what does not fit in it.
pub(crate) fn nodes(
    spec: &DagSpec,
    types: &[Type],
    modules: &[Required],
) -> Result<Vec<LoadedNode>, Vec<Problem>> {
    let mut loader = Loader {
        spec,
        types,
        modules,
        nodes: Vec::with_capacity(spec.nodes.len()),
        coercions: Coercions::new(),
        positions: HashMap::new(),
        merges: HashMap::new(),
        is_data: data_types(types),
        lambdas_around: lambdas::around(&spec.nodes),
    };
    let mut problems = Vec::new();
    for (index, node) in spec.nodes.iter().enumerate() {
        let operation = loader.operation(index, node).unwrap_or_else(|refusal| {
            problems.push(refusal.of(index, node));
            // Only its place is needed: a graph with problems is not run.
            Operation::Parameter
        });
        loader.nodes.push(LoadedNode { ty: node.ty, operation });
        if problems.len() >= MAX_PROBLEMS {
            return Err(problems);
        }
    }
    for InputSpec { name, ty, default, examples: _ } in &spec.inputs {
        if let Some(default) = default
            && let Err(refusal) = loader.expect(*default, &types[ty.index()], format_args!("input '{name}'"))
        {
            problems.push(refusal.of(default.index(), &spec.nodes[default.index()]));
        }
    }
    let examples = spec.inputs.iter().flat_map(|input| &input.examples);
    for node in spec.outputs.iter().map(|output| &output.node).chain(examples) {
        let node_spec = &spec.nodes[node.index()];
        if matches!(node_spec.operation, NodeKind::Lambda { .. }) {
            let message = "is a lambda, which is no value, but stands for an output or an example";
            problems.push(Refusal(message.into()).of(node.index(), node_spec));
        }
    }
    if let Some(node) = loader.cycle() {
        let message = "needs itself, through the default of an input";
        problems.push(Refusal(message.into()).of(node, &spec.nodes[node]));
    }
    if problems.is_empty() { Ok(loader.nodes) } else { Err(problems) }
}

/// Up to this many fields of a record, looking through them is faster than a map.
const FEW_FIELDS: usize = 16;

/// Why a node cannot be loaded.
struct Refusal(String);

impl Refusal {
    fn of(self, index: usize, node: &NodeSpec) -> Problem {
        let Self(message) = self;
        let label = node.label.as_deref().map(str::to_owned);
        let node = NodeIndex(u32::try_from(index).expect("an index of a valid graph"));
        Problem::Node { node, label, message }
    }
}

fn refuse<T>(message: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal(message.into()))
}

struct Loader<'a> {
    spec: &'a DagSpec,
    types: &'a [Type],
    modules: &'a [Required],
    /// The nodes so far.
    nodes: Vec<LoadedNode>,
    coercions: Coercions,
    /// The places of the fields of large record types.
    positions: HashMap<*const RecordType, HashMap<&'a str, usize>>,
    /// Where the fields of a merge come from: by its left record, its right record and the result.
    merges: HashMap<[*const RecordType; 3], Arc<[MergeField]>>,
    /// For each type of the type table, whether its values are data: it has no function in it.
    is_data: Vec<bool>,
    /// For each node, how many lambdas it stands in.
    lambdas_around: Vec<u32>,
}

impl<'a> Loader<'a> {
    fn ty(&self, node: NodeIndex) -> &'a Type {
        &self.types[self.spec.nodes[node.index()].ty.index()]
    }

    /// Checks that the value of `node` is one of `expected`, which `role` expects.
    fn expect(&self, node: NodeIndex, expected: &Type, role: impl std::fmt::Display) -> Result<(), Refusal> {
        let found = self.ty(node);
        if fits(found, expected) {
            return Ok(());
        }
        refuse(format!("has nodes[{}] of type {found} for {role}, which is of type {expected}", node.0))
    }

    fn give(found: &Type, declared: &Type) -> Result<(), Refusal> {
        if fits(found, declared) {
            return Ok(());
        }
        refuse(format!("gives a {found}, but is declared to be a {declared}"))
    }

    fn operation(&mut self, index: usize, node: &'a NodeSpec) -> Result<Operation, Refusal> {
        let ty = &self.types[node.ty.index()];
        if !self.is_data[node.ty.index()] && !matches!(node.operation, NodeKind::Lambda { .. }) {
            return refuse(format!("is of type {ty}, which has a function in it, but is no lambda"));
        }
        Ok(match &node.operation {
            NodeKind::Input { name } => {
                if self.lambdas_around[index] > 0 {
                    return refuse("reads an input inside of a lambda, which captures what it needs");
                }
                let inputs = &self.spec.inputs;
                let place = inputs
                    .binary_search_by(|input| input.name.cmp(name))
                    .expect("a valid graph reads declared inputs");
                Self::give(&self.types[inputs[place].ty.index()], ty)?;
                Operation::Input(place)
            }
            NodeKind::Literal(literal) => {
                let (value, found) = match literal {
                    Literal::Int(int) => (Value::Int(*int), Type::Int),
                    Literal::Float(float) => (Value::Float(*float), Type::Float),
                    Literal::String(text) => (Value::string(text.as_str()), Type::String),
                    Literal::Bool(boolean) => (Value::Boolean(*boolean), Type::Boolean),
                };
                Self::give(&found, ty)?;
                Operation::Constant(value)
            }
            NodeKind::List { items } => {
                let Some(element) = ty.element() else { return refuse(format!("is a list of type {ty}")) };
                for (place, item) in items.iter().enumerate() {
                    self.expect(*item, element, format_args!("item {place}"))?;
                }
                Operation::List(items.as_slice().into())
            }
            NodeKind::Record { fields } => self.record(fields, ty)?,
            NodeKind::Interpolate { parts, values } => {
                Self::give(&Type::String, ty)?;
                for value in values {
                    self.expect_data(*value)?;
                }
                Operation::Interpolate {
                    parts: parts.iter().map(|part| part.as_str().into()).collect(),
                    values: values.as_slice().into(),
                }
            }
            NodeKind::Arithmetic { operator, left, right } => {
                let number = number(ty)?;
                self.expect(*left, ty, "its left operand")?;
                self.expect(*right, ty, "its right operand")?;
                Operation::Arithmetic { operator: *operator, number, left: *left, right: *right }
            }
            NodeKind::Negate { operand } => {
                let number = number(ty)?;
                self.expect(*operand, ty, "its operand")?;
                Operation::Negate { number, operand: *operand }
            }
            NodeKind::Compare { operator, left, right } => {
                Self::give(&Type::Boolean, ty)?;
                self.compare(*operator, *left, *right)?;
                Operation::Compare { operator: *operator, left: *left, right: *right }
            }
            NodeKind::And { left, right } => {
                self.booleans(ty, &[*left, *right])?;
                Operation::And { left: *left, right: *right }
            }
            NodeKind::Or { left, right } => {
                self.booleans(ty, &[*left, *right])?;
                Operation::Or { left: *left, right: *right }
            }
            NodeKind::Not { operand } => {
                self.booleans(ty, &[*operand])?;
                Operation::Not(*operand)
            }
            NodeKind::If { condition, then, otherwise } => {
                self.expect(*condition, &Type::Boolean, "its condition")?;
                self.expect(*then, ty, "its value")?;
                self.expect(*otherwise, ty, "its value")?;
                Operation::Branch { cases: [(*condition, *then)].into(), otherwise: *otherwise }
            }
            NodeKind::Branch { cases, otherwise } => {
                for case in cases {
                    self.expect(case.condition, &Type::Boolean, "a condition")?;
                    self.expect(case.value, ty, "its value")?;
                }
                self.expect(*otherwise, ty, "its value")?;
                Operation::Branch {
                    cases: cases.iter().map(|case| (case.condition, case.value)).collect(),
                    otherwise: *otherwise,
                }
            }
            NodeKind::Guard { value, condition } => {
                self.expect(*condition, &Type::Boolean, "its condition")?;
                let Type::Optional(inner) = ty else {
                    return refuse(format!("is a guard of type {ty}, not an Optional"));
                };
                self.expect(*value, inner, "its value")?;
                Operation::Guard { value: *value, condition: *condition }
            }
            NodeKind::Coalesce { value, default } => {
                let Type::Optional(inner) = self.ty(*value) else {
                    return refuse(format!("takes what is in a {}, not an Optional", self.ty(*value)));
                };
                self.expect(*default, ty, "its default")?;
                let keeps_optional = !fits(inner, ty);
                if keeps_optional {
                    Self::give(self.ty(*value), ty)?;
                }
                Operation::Coalesce { value: *value, default: *default, keeps_optional }
            }
            NodeKind::Field { source, name } => {
                let (record, each) = self.records(*source)?;
                let field = self.access(record, name)?;
                let found = &record.fields()[field.position].ty;
                Self::give(found, if each { elements(ty)? } else { ty })?;
                Operation::Field { source: *source, field, each }
            }
            NodeKind::Project { source, names } => {
                let (record, each) = self.records(*source)?;
                let Type::Record(target) = (if each { elements(ty)? } else { ty }) else {
                    return refuse(format!("is a projection of type {ty}"));
                };
                if target.fields().len() != names.len()
                    || names.iter().any(|name| self.position(target, name).is_none())
                {
                    return refuse(format!("selects {}, but is declared to be a {ty}", names.join(", ")));
                }
                let mut fields = Vec::with_capacity(names.len());
                for Field { name, ty } in target.fields() {
                    let field = self.access(record, name)?;
                    Self::give(&record.fields()[field.position].ty, ty)?;
                    fields.push(field);
                }
                Operation::Project {
                    source: *source,
                    names: self.coercions.names(target),
                    fields: fields.into(),
                    each,
                }
            }
            NodeKind::Merge { left, right } => self.merge(*left, *right, ty)?,
            NodeKind::Coerce { value } => {
                let from = self.ty(*value);
                let Some(coercion) = self.coercions.between(from, ty) else {
                    return refuse(format!("turns a {from} into a {ty}, for which there is no conversion"));
                };
                Operation::Coerce { value: *value, coercion }
            }
            NodeKind::Call { module, major, arguments, options } => {
                self.call(module, *major, arguments, options, ty)?
            }
            NodeKind::Parameter => Operation::Parameter,
            NodeKind::Lambda { captures, body } => {
                Operation::Lambda(Arc::new(self.lambda(index, captures, *body, ty)?))
            }
            NodeKind::Match { scrutinee, cases } => self.match_cases(*scrutinee, cases, ty)?,
        })
    }

    /// A node that needs its own value. Operands stand before the node that uses them, but the default of an input may
    /// stand behind it.
    fn cycle(&self) -> Option<usize> {
        #[derive(Clone, Copy, PartialEq)]
        enum Seen {
            Not,
            Open,
            Closed,
        }
        if self.spec.inputs.iter().all(|input| input.default.is_none()) {
            return None;
        }
        let mut seen = vec![Seen::Not; self.spec.nodes.len()];
        let defaults = self.spec.inputs.iter().filter_map(|input| input.default);
        // Each node is opened before what it needs, and closed after it.
        let mut work: Vec<(usize, bool)> = defaults.map(|node| (node.index(), false)).collect();
        while let Some((node, closes)) = work.pop() {
            if closes {
                seen[node] = Seen::Closed;
                continue;
            }
            if seen[node] != Seen::Not {
                continue;
            }
            seen[node] = Seen::Open;
            work.push((node, true));
            let mut cycle = false;
            let mut need = |needed: NodeIndex| match seen[needed.index()] {
                Seen::Not => work.push((needed.index(), false)),
                Seen::Open => cycle = true,
                Seen::Closed => {}
            };
            let operation = &self.spec.nodes[node].operation;
            operation.for_each_operand(&mut need);
            operation.regions().for_each(|body| need(body.result));
            if let NodeKind::Input { name } = operation {
                let place = self.spec.inputs.binary_search_by(|input| input.name.cmp(name));
                place.ok().and_then(|place| self.spec.inputs[place].default).into_iter().for_each(need);
            }
            if cycle {
                return Some(node);
            }
        }
        None
    }

    fn expect_data(&self, node: NodeIndex) -> Result<(), Refusal> {
        if self.is_data[self.spec.nodes[node.index()].ty.index()] {
            return Ok(());
        }
        let found = self.ty(node);
        refuse(format!("uses nodes[{}] of type {found}, which has a function in it", node.0))
    }

    fn booleans(&self, ty: &Type, operands: &[NodeIndex]) -> Result<(), Refusal> {
        Self::give(&Type::Boolean, ty)?;
        operands.iter().try_for_each(|operand| self.expect(*operand, &Type::Boolean, "an operand"))
    }

    fn compare(
        &self,
        operator: ComparisonOperator,
        left: NodeIndex,
        right: NodeIndex,
    ) -> Result<(), Refusal> {
        self.expect_data(left)?;
        self.expect_data(right)?;
        let (left, right) = (self.ty(left), self.ty(right));
        let orders = match operator {
            ComparisonOperator::Equal | ComparisonOperator::NotEqual => false,
            ComparisonOperator::Less
            | ComparisonOperator::LessOrEqual
            | ComparisonOperator::Greater
            | ComparisonOperator::GreaterOrEqual => true,
        };
        let fit = if orders {
            left == right && matches!(left, Type::Int | Type::Float | Type::String)
        } else {
            fits(left, right) || fits(right, left) || left.is_equivalent(right)
        };
        if fit { Ok(()) } else { refuse(format!("compares a {left} with a {right}")) }
    }

    fn record(&mut self, fields: &'a [FieldValue], ty: &'a Type) -> Result<Operation, Refusal> {
        let Type::Record(record) = ty else { return refuse(format!("is a record of type {ty}")) };
        if !fields.iter().map(|field| field.name.as_str()).eq(record.fields().iter().map(|f| &*f.name)) {
            return refuse(format!("does not have the fields of its type {ty}, in the same order"));
        }
        for (value, field) in fields.iter().zip(record.fields()) {
            self.expect(value.node, &field.ty, format_args!("the field '{}'", field.name))?;
        }
        Ok(Operation::Record {
            names: self.coercions.names(record),
            values: fields.iter().map(|field| field.node).collect(),
        })
    }

    /// The record type of a record, or of the elements of a list of records.
    fn records(&self, source: NodeIndex) -> Result<(&'a Arc<RecordType>, bool), Refusal> {
        match self.ty(source) {
            Type::Record(record) => Ok((record, false)),
            Type::List(element) | Type::Seq(element) if let Type::Record(record) = &**element => {
                Ok((record, true))
            }
            other => refuse(format!("takes fields of nodes[{}], which is of type {other}", source.0)),
        }
    }

    fn position(&mut self, record: &'a Arc<RecordType>, name: &str) -> Option<usize> {
        let fields = record.fields();
        if fields.len() <= FEW_FIELDS {
            return fields.iter().position(|field| &*field.name == name);
        }
        let positions = self.positions.entry(Arc::as_ptr(record)).or_insert_with(|| {
            fields.iter().enumerate().map(|(place, field)| (&*field.name, place)).collect()
        });
        positions.get(name).copied()
    }

    fn access(&mut self, record: &'a Arc<RecordType>, name: &str) -> Result<FieldAccess, Refusal> {
        match self.position(record, name) {
            Some(position) => Ok(FieldAccess { position, name: Arc::clone(&record.fields()[position].name) }),
            None => refuse(format!("takes the field '{name}' of a record without it")),
        }
    }

    fn merge(&mut self, left: NodeIndex, right: NodeIndex, ty: &'a Type) -> Result<Operation, Refusal> {
        let (left_record, left_list) = self.records(left)?;
        let (right_record, right_list) = self.records(right)?;
        let shape = match (left_list, right_list) {
            (false, false) => MergeShape::Records,
            (true, false) => MergeShape::LeftList,
            (false, true) => MergeShape::RightList,
            (true, true) => {
                let called = if matches!(ty, Type::Seq(_)) { "Seq" } else { "Candidates" };
                MergeShape::Lists { called }
            }
        };
        let Type::Record(target) = (if shape == MergeShape::Records { ty } else { elements(ty)? }) else {
            return refuse(format!("is a merge of type {ty}"));
        };
        let key = [left_record, right_record, target].map(Arc::as_ptr);
        // A program may merge into one wide record many times.
        let fields = if let Some(known) = self.merges.get(&key) {
            Arc::clone(known)
        } else {
            let fields = self.merge_fields(left_record, right_record, target)?;
            self.merges.insert(key, Arc::clone(&fields));
            fields
        };
        Ok(Operation::Merge { left, right, names: self.coercions.names(target), fields, shape })
    }

    fn merge_fields(
        &mut self,
        left_record: &'a Arc<RecordType>,
        right_record: &'a Arc<RecordType>,
        target: &'a Arc<RecordType>,
    ) -> Result<Arc<[MergeField]>, Refusal> {
        let mut fields = Vec::with_capacity(target.fields().len());
        for Field { name, ty } in target.fields() {
            let from_right = self.position(right_record, name).is_some();
            let record = if from_right { right_record } else { left_record };
            let field = self.access(record, name)?;
            Self::give(&record.fields()[field.position].ty, ty)?;
            fields.push(MergeField { from_right, access: field });
        }
        let all = left_record.fields().iter().chain(right_record.fields());
        for Field { name, ty: _ } in all {
            if self.position(target, name).is_none() {
                let ty = Type::Record(Arc::clone(target));
                return refuse(format!("merges the field '{name}', which its type {ty} does not have"));
            }
        }
        Ok(fields.into())
    }

    fn match_cases(
        &mut self,
        scrutinee: NodeIndex,
        cases: &'a [MatchCase],
        ty: &'a Type,
    ) -> Result<Operation, Refusal> {
        self.expect_data(scrutinee)?;
        let matched = self.ty(scrutinee);
        let mut loaded = Vec::with_capacity(cases.len());
        for MatchCase { pattern, body } in cases {
            self.expect(body.result, ty, "its value")?;
            let start = body.start.0;
            let parameters: Vec<&Type> =
                (start..start + body.parameters).map(|node| self.ty(NodeIndex(node))).collect();
            let members: Vec<(Option<Arc<str>>, &'a Type)> = match matched {
                Type::Union(union) => {
                    let tags = self.coercions.tags(union);
                    tags.iter().map(|tag| Some(Arc::clone(tag))).zip(union.members()).collect()
                }
                other => vec![(None, other)],
            };
            let mut alternatives = Vec::new();
            for (tag, member) in members {
                if let Some(bindings) = self.bindings(pattern, member, &parameters)? {
                    alternatives.push(Alternative { tag, bindings });
                }
            }
            // One alternative that takes every tag.
            if matches!(pattern, Pattern::Any) {
                alternatives = vec![Alternative { tag: None, bindings: [].into() }];
            }
            loaded.push(LoadedCase {
                alternatives: alternatives.into(),
                parameters: body.start,
                result: body.result,
            });
        }
        Ok(Operation::Match { scrutinee, cases: loaded.into() })
    }

    /// What a pattern binds of a value of type `matched`; none when it does not match such a value.
    fn bindings(
        &mut self,
        pattern: &'a Pattern,
        matched: &'a Type,
        parameters: &[&Type],
    ) -> Result<Option<Box<[Binding]>>, Refusal> {
        match pattern {
            Pattern::Any => Ok(Some([].into())),
            Pattern::Is(ty) => {
                if !matched.is_subtype_of(&self.types[ty.index()]) {
                    return Ok(None);
                }
                Ok(Some([self.binding(None, matched, parameters[0])?].into()))
            }
            Pattern::Fields(names) => {
                let Type::Record(record) = matched else { return Ok(None) };
                if names.iter().any(|name| self.position(record, name).is_none()) {
                    return Ok(None);
                }
                let mut bindings = Vec::with_capacity(names.len());
                for (name, parameter) in names.iter().zip(parameters) {
                    let field = self.access(record, name)?;
                    let from = &record.fields()[field.position].ty;
                    bindings.push(self.binding(Some(field), from, parameter)?);
                }
                Ok(Some(bindings.into()))
            }
        }
    }

    fn binding(&mut self, field: Option<FieldAccess>, from: &Type, to: &Type) -> Result<Binding, Refusal> {
        match self.coercions.between(from, to) {
            Some(coercion) => Ok(Binding { field, coercion }),
            None => refuse(format!("binds a {from} to a parameter of type {to}")),
        }
    }
}

fn number(ty: &Type) -> Result<Number, Refusal> {
    match ty {
        Type::Int => Ok(Number::Int),
        Type::Float => Ok(Number::Float),
        other => refuse(format!("calculates with a {other}")),
    }
}

fn elements(ty: &Type) -> Result<&Type, Refusal> {
    match ty.element() {
        Some(element) => Ok(element),
        None => refuse(format!("gives a list, but is declared to be a {ty}")),
    }
}
