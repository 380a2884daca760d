//! The pure operations on values.
//!
//! Operands are of the types that their operation needs: loading checks the graph, and what comes from outside is
//! checked as it enters. So a value of another kind is a defect of this program; it is reported, and does not panic.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use constellation_rehydrate::{FieldAccess, FieldNames, MergeField, MergeShape, Number, Operation};
use constellation_store_core::{ArithmeticOperator, ComparisonOperator, NodeIndex};
use constellation_types::{Record, Value, write_text};

use crate::budget::{Budget, Exhausted};
use crate::coerce::coerce;

/// Why a value could not be computed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum EvaluationError {
    /// The operation has no result for these values.
    Failed(String),
    /// The run made more values than it may.
    Exhausted,
    /// An operand has no value so far. Nothing was charged.
    Missing(NodeIndex),
    /// A defect of this program.
    Internal(String),
}

impl From<Exhausted> for EvaluationError {
    fn from(Exhausted: Exhausted) -> Self {
        Self::Exhausted
    }
}

pub(crate) type Result<T> = std::result::Result<T, EvaluationError>;

pub(crate) fn wrong_kind<T>(expected: &str, found: &Value) -> Result<T> {
    Err(EvaluationError::Internal(format!("expected a value of kind {expected}, got {}", found.kind())))
}

/// What a pure operation comes to.
#[derive(Debug)]
pub(crate) enum Evaluated {
    /// This value.
    Value(Value),
    /// The value of this node, as [`taken`] makes it.
    Taken(NodeIndex),
    /// Nothing: it takes more than the values of its operands.
    Other,
}

/// Evaluates a pure operation, as far as the values reach that its operands have.
///
/// What was decided before of an operation that decides what it needs as it goes is in `n_decided`.
#[inline]
pub(crate) fn evaluate<'v>(
    operation: &Operation,
    value: impl Fn(NodeIndex) -> Option<&'v Value>,
    n_decided: &mut u32,
    budget: &mut Budget,
) -> Result<Evaluated> {
    let value = |node: NodeIndex| value(node).ok_or(EvaluationError::Missing(node));
    let all =
        |nodes: &[NodeIndex]| nodes.iter().map(|node| value(*node).cloned()).collect::<Result<Vec<_>>>();
    Ok(Evaluated::Value(match operation {
        Operation::Constant(value) => value.clone(),
        Operation::List(items) => {
            let items = all(items)?;
            charged_list(items, budget)?
        }
        Operation::Record { names, values } => {
            let values = all(values)?;
            budget.charge_values(values.len())?;
            record(names, values)
        }
        Operation::Interpolate { parts, values } => {
            values.iter().try_for_each(|node| value(*node).map(drop))?;
            let mut text = budget.text();
            let mut parts = parts.iter();
            let mut write = |part: Option<&str>, value: Option<&Value>| {
                // Writing fails only when the text gets too long.
                text.write_str(part.unwrap_or_default()).map_err(|_| Exhausted)?;
                value.map_or(Ok(()), |value| write_text(value, &mut text)).map_err(|_| Exhausted)
            };
            for node in values {
                write(parts.next().map(|part| &**part), Some(value(*node)?))?;
            }
            write(parts.next().map(|part| &**part), None)?;
            let text = text.into_text();
            budget.charge_text(text.len())?;
            Value::string(text)
        }
        Operation::Arithmetic { operator, number, left, right } => {
            arithmetic(*operator, *number, value(*left)?, value(*right)?)?
        }
        Operation::Negate { number, operand } => negate(*number, value(*operand)?)?,
        Operation::Compare { operator, left, right } => {
            Value::Boolean(compare(*operator, value(*left)?, value(*right)?, budget.limit())?)
        }
        Operation::Not(operand) => Value::Boolean(!boolean(value(*operand)?)?),
        Operation::Field { source, field, each } => {
            let source = value(*source)?;
            if *each {
                let records = list(source)?;
                budget.charge_values(records.len())?;
                let take = |item| get(as_record(item)?, field).cloned();
                Value::List(records.iter().map(take).collect::<Result<_>>()?)
            } else {
                get(as_record(source)?, field)?.clone()
            }
        }
        Operation::Project { source, names, fields, each } => {
            let source = value(*source)?;
            let mut project = |source: &Value| {
                budget.charge_values(fields.len())?;
                let source = as_record(source)?;
                let values = fields.iter().map(|field| get(source, field).cloned()).collect::<Result<_>>()?;
                Ok(record(names, values))
            };
            if *each {
                let items = list(source)?.iter().map(&mut project).collect::<Result<_>>()?;
                charged_list(items, budget)?
            } else {
                project(source)?
            }
        }
        Operation::Merge { left, right, names, fields, shape } => {
            merge(value(*left)?, value(*right)?, names, fields, *shape, budget)?
        }
        Operation::Coerce { value: source, coercion } => coerce(coercion, value(*source)?, budget)?,
        Operation::And { left, right } => {
            if boolean(value(*left)?)? {
                return Ok(Evaluated::Taken(*right));
            }
            Value::Boolean(false)
        }
        Operation::Or { left, right } => {
            if !boolean(value(*left)?)? {
                return Ok(Evaluated::Taken(*right));
            }
            Value::Boolean(true)
        }
        Operation::Branch { cases, otherwise } => {
            for (condition, taken) in &cases[*n_decided as usize..] {
                if boolean(value(*condition)?)? {
                    return Ok(Evaluated::Taken(*taken));
                }
                *n_decided += 1;
            }
            return Ok(Evaluated::Taken(*otherwise));
        }
        Operation::Guard { value: guarded, condition } => {
            if boolean(value(*condition)?)? {
                return Ok(Evaluated::Taken(*guarded));
            }
            Value::none()
        }
        Operation::Coalesce { value: optional, default, keeps_optional } => match value(*optional)? {
            Value::Optional(None) => return Ok(Evaluated::Taken(*default)),
            some @ Value::Optional(Some(_)) if *keeps_optional => some.clone(),
            Value::Optional(Some(inner)) => (**inner).clone(),
            other => wrong_kind("Optional", other)?,
        },
        Operation::Input(_)
        | Operation::Call(_)
        | Operation::Parameter
        | Operation::Lambda(_)
        | Operation::Match { .. } => return Ok(Evaluated::Other),
    }))
}

/// What the value of a node is as that of the operation that takes it.
pub(crate) fn taken(operation: &Operation, value: Value, budget: &mut Budget) -> Result<Value> {
    if matches!(operation, Operation::Guard { .. }) {
        budget.charge_values(1)?;
        return Ok(Value::some(value));
    }
    Ok(value)
}

pub(crate) fn boolean(value: &Value) -> Result<bool> {
    match value {
        Value::Boolean(boolean) => Ok(*boolean),
        other => wrong_kind("Boolean", other),
    }
}

pub(crate) fn list(value: &Value) -> Result<&[Value]> {
    match value {
        Value::List(items) => Ok(items),
        other => wrong_kind("List", other),
    }
}

pub(crate) fn as_record(value: &Value) -> Result<&Record> {
    match value {
        Value::Record(record) => Ok(record),
        other => wrong_kind("Record", other),
    }
}

/// The field of a record, which a module may have made with its fields in another order than the type's.
pub(crate) fn get<'v>(record: &'v Record, field: &FieldAccess) -> Result<&'v Value> {
    let in_place = record
        .names()
        .get(field.position)
        .is_some_and(|name| Arc::ptr_eq(name, &field.name) || *name == field.name);
    let value = if in_place { Some(&record.values()[field.position]) } else { record.get(&field.name) };
    value.ok_or_else(|| EvaluationError::Internal(format!("a record has no field '{}'", field.name)))
}

pub(crate) fn record(names: &FieldNames, values: Vec<Value>) -> Value {
    Value::Record(Arc::new(Record::new(Arc::clone(names), values)))
}

fn charged_list(items: Vec<Value>, budget: &mut Budget) -> Result<Value> {
    budget.charge_values(items.len())?;
    Ok(Value::List(items.into()))
}

fn arithmetic(operator: ArithmeticOperator, number: Number, left: &Value, right: &Value) -> Result<Value> {
    let symbol = symbol(operator);
    match (number, left, right) {
        (Number::Int, Value::Int(left), Value::Int(right)) => {
            let result = match operator {
                ArithmeticOperator::Add => left.checked_add(*right),
                ArithmeticOperator::Subtract => left.checked_sub(*right),
                ArithmeticOperator::Multiply => left.checked_mul(*right),
                ArithmeticOperator::Divide if *right == 0 => {
                    return Err(EvaluationError::Failed(format!("Division by zero in {left} / 0")));
                }
                ArithmeticOperator::Divide => left.checked_div(*right),
            };
            result.map(Value::Int).ok_or_else(|| {
                EvaluationError::Failed(format!(
                    "Int overflow in {left} {symbol} {right}: the result does not fit 64 bits"
                ))
            })
        }
        (Number::Float, Value::Float(left), Value::Float(right)) => {
            let result = match operator {
                ArithmeticOperator::Add => left + right,
                ArithmeticOperator::Subtract => left - right,
                ArithmeticOperator::Multiply => left * right,
                ArithmeticOperator::Divide if *right == 0.0 => {
                    return Err(EvaluationError::Failed(format!("Division by zero in {left:?} / {right:?}")));
                }
                ArithmeticOperator::Divide => left / right,
            };
            if result.is_finite() {
                Ok(Value::Float(result))
            } else {
                Err(EvaluationError::Failed(format!(
                    "Float overflow in {left:?} {symbol} {right:?}: the result is not finite"
                )))
            }
        }
        (Number::Int, Value::Int(_), other) | (Number::Int, other, _) => wrong_kind("Int", other),
        (Number::Float, Value::Float(_), other) | (Number::Float, other, _) => wrong_kind("Float", other),
    }
}

fn symbol(operator: ArithmeticOperator) -> char {
    match operator {
        ArithmeticOperator::Add => '+',
        ArithmeticOperator::Subtract => '-',
        ArithmeticOperator::Multiply => '*',
        ArithmeticOperator::Divide => '/',
    }
}

fn negate(number: Number, operand: &Value) -> Result<Value> {
    match (number, operand) {
        (Number::Int, Value::Int(int)) => int.checked_neg().map(Value::Int).ok_or_else(|| {
            EvaluationError::Failed(format!("Int overflow in -({int}): the result does not fit 64 bits"))
        }),
        (Number::Float, Value::Float(float)) => Ok(Value::Float(-float)),
        (Number::Int, other) => wrong_kind("Int", other),
        (Number::Float, other) => wrong_kind("Float", other),
    }
}

fn compare(operator: ComparisonOperator, left: &Value, right: &Value, effort: u64) -> Result<bool> {
    let mut effort = effort;
    Ok(match operator {
        ComparisonOperator::Equal => equal(left, right, &mut effort)?,
        ComparisonOperator::NotEqual => !equal(left, right, &mut effort)?,
        ComparisonOperator::Less => order(left, right)?.is_lt(),
        ComparisonOperator::LessOrEqual => order(left, right)?.is_le(),
        ComparisonOperator::Greater => order(left, right)?.is_gt(),
        ComparisonOperator::GreaterOrEqual => order(left, right)?.is_ge(),
    })
}

/// The order of two values of one ordered type. That of UTF-8 bytes is that of Unicode scalar values.
fn order(left: &Value, right: &Value) -> Result<Ordering> {
    match (left, right) {
        (Value::Int(left), Value::Int(right)) => Ok(left.cmp(right)),
        (Value::Float(left), Value::Float(right)) => left
            .partial_cmp(right)
            .ok_or_else(|| EvaluationError::Internal("a float is not a number".to_owned())),
        (Value::String(left), Value::String(right)) => Ok(left.cmp(right)),
        (Value::Int(_) | Value::Float(_) | Value::String(_), other) => wrong_kind(left.kind(), other),
        (other, _) => wrong_kind("Int, Float or String", other),
    }
}

/// Whether two values are the same. Values that share their parts exponentially would take exponential time, so
/// that `effort` bounds the steps. Recurses as deep as the types.
fn equal(left: &Value, right: &Value, effort: &mut u64) -> Result<bool> {
    *effort = effort.checked_sub(1).ok_or(Exhausted)?;
    Ok(match (left, right) {
        (Value::Int(left), Value::Int(right)) => left == right,
        (Value::Boolean(left), Value::Boolean(right)) => left == right,
        #[expect(clippy::float_cmp, reason = "the language's `==` on floats is the IEEE comparison")]
        (Value::Float(left), Value::Float(right)) => left == right,
        (Value::String(left), Value::String(right)) => {
            if Arc::ptr_eq(left, right) {
                return Ok(true);
            }
            if left.len() != right.len() {
                return Ok(false);
            }
            *effort = effort.checked_sub(left.len() as u64 / 16).ok_or(Exhausted)?;
            left == right
        }
        // Every value equals itself: none has a float in it that is not a number.
        (Value::List(left), Value::List(right)) => {
            Arc::ptr_eq(left, right)
                || (left.len() == right.len() && all_equal(left.iter().zip(right.iter()), effort)?)
        }
        (Value::Map(left), Value::Map(right)) => {
            Arc::ptr_eq(left, right) || (left.len() == right.len() && equal_maps(left, right, effort)?)
        }
        (Value::Record(left), Value::Record(right)) => {
            if Arc::ptr_eq(left, right) {
                return Ok(true);
            }
            if Arc::ptr_eq(left.names(), right.names()) || left.names() == right.names() {
                return all_equal(left.values().iter().zip(right.values()), effort);
            }
            if left.values().len() != right.values().len() {
                return Ok(false);
            }
            for (name, left) in left.iter() {
                match right.get(name) {
                    Some(right) if equal(left, right, effort)? => {}
                    _ => return Ok(false),
                }
            }
            true
        }
        (Value::Optional(left), Value::Optional(right)) => match (left, right) {
            (None, None) => true,
            (Some(left), Some(right)) => Arc::ptr_eq(left, right) || equal(left, right, effort)?,
            _ => false,
        },
        (Value::Union(left), Value::Union(right)) => {
            Arc::ptr_eq(left, right) || (left.tag == right.tag && equal(&left.value, &right.value, effort)?)
        }
        (left, right) => return wrong_kind(left.kind(), right),
    })
}

fn all_equal<'v>(mut pairs: impl Iterator<Item = (&'v Value, &'v Value)>, effort: &mut u64) -> Result<bool> {
    pairs.try_fold(true, |all, (left, right)| Ok(all && equal(left, right, effort)?))
}

type Pair = (Value, Value);

/// Whether two maps of one size have equal values for equal keys, in whatever order.
fn equal_maps(left: &[Pair], right: &[Pair], effort: &mut u64) -> Result<bool> {
    // The usual case is one order on both sides.
    let mut at = 0;
    while at < left.len() && equal(&left[at].0, &right[at].0, effort)? {
        if !equal(&left[at].1, &right[at].1, effort)? {
            return Ok(false);
        }
        at += 1;
    }
    let (left, right) = (&left[at..], &right[at..]);
    let by_text: HashMap<&str, &Value> = right
        .iter()
        .filter_map(|(key, value)| if let Value::String(text) = key { Some((&**text, value)) } else { None })
        .collect();
    for (key, value) in left {
        let other = if let Value::String(text) = key {
            by_text.get(&**text).copied()
        } else {
            find(right, key, effort)?
        };
        match other {
            Some(other) if equal(value, other, effort)? => {}
            _ => return Ok(false),
        }
    }
    Ok(true)
}

fn find<'v>(pairs: &'v [Pair], key: &Value, effort: &mut u64) -> Result<Option<&'v Value>> {
    for (other, value) in pairs {
        if equal(key, other, effort)? {
            return Ok(Some(value));
        }
    }
    Ok(None)
}

fn merge(
    left: &Value,
    right: &Value,
    names: &FieldNames,
    fields: &[MergeField],
    shape: MergeShape,
    budget: &mut Budget,
) -> Result<Value> {
    let mut pair = |left: &Record, right: &Record| {
        budget.charge_values(fields.len())?;
        let values = fields
            .iter()
            .map(|field| get(if field.from_right { right } else { left }, &field.access).cloned())
            .collect::<Result<_>>()?;
        Ok(record(names, values))
    };
    let items: Vec<Value> = match shape {
        MergeShape::Records => return pair(as_record(left)?, as_record(right)?),
        MergeShape::LeftList => {
            let right = as_record(right)?;
            list(left)?.iter().map(|left| pair(as_record(left)?, right)).collect::<Result<_>>()?
        }
        MergeShape::RightList => {
            let left = as_record(left)?;
            list(right)?.iter().map(|right| pair(left, as_record(right)?)).collect::<Result<_>>()?
        }
        MergeShape::Lists { called } => {
            let (left, right) = (list(left)?, list(right)?);
            if left.len() != right.len() {
                return Err(EvaluationError::Failed(format!(
                    "Cannot merge {called} with different lengths: left has {} elements, right has {} elements",
                    left.len(),
                    right.len()
                )));
            }
            let pairs = left.iter().zip(right);
            pairs.map(|(left, right)| pair(as_record(left)?, as_record(right)?)).collect::<Result<_>>()?
        }
    };
    charged_list(items, budget)
}
