//! What each function makes of the answers of its lambda.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use constellation_module::ModuleError;
use constellation_types::Value;

use super::walk::Fold;
use crate::bounds::check_list;
use crate::define::wrong_arguments;

type Flow = Result<ControlFlow<Value>, ModuleError>;

const GO_ON: Flow = Ok(ControlFlow::Continue(()));

/// Whoever calls a module gives it functions of the signature's types.
fn boolean(answer: &Value) -> Result<bool, ModuleError> {
    if let Value::Boolean(boolean) = answer { Ok(*boolean) } else { Err(wrong_arguments()) }
}

pub(super) struct Filter(Vec<Value>);

impl Filter {
    pub(super) fn new(_items: &Arc<[Value]>) -> Self {
        Self(Vec::new())
    }
}

impl Fold for Filter {
    fn take(&mut self, item: &Value, answer: Value) -> Flow {
        if boolean(&answer)? {
            self.0.push(item.clone());
        }
        GO_ON
    }

    fn end(self) -> Result<Value, ModuleError> {
        Ok(Value::List(self.0.into()))
    }
}

pub(super) struct Map(Vec<Value>);

impl Map {
    pub(super) fn new(items: &Arc<[Value]>) -> Self {
        Self(Vec::with_capacity(items.len()))
    }
}

impl Fold for Map {
    fn take(&mut self, _item: &Value, answer: Value) -> Flow {
        self.0.push(answer);
        GO_ON
    }

    fn end(self) -> Result<Value, ModuleError> {
        Ok(Value::List(self.0.into()))
    }
}

pub(super) struct All;

impl Fold for All {
    const AT_ONCE: usize = 1;

    fn take(&mut self, _item: &Value, answer: Value) -> Flow {
        if boolean(&answer)? { GO_ON } else { Ok(ControlFlow::Break(answer)) }
    }

    fn end(self) -> Result<Value, ModuleError> {
        Ok(Value::Boolean(true))
    }
}

pub(super) struct Any;

impl Fold for Any {
    const AT_ONCE: usize = 1;

    fn take(&mut self, _item: &Value, answer: Value) -> Flow {
        if boolean(&answer)? { Ok(ControlFlow::Break(answer)) } else { GO_ON }
    }

    fn end(self) -> Result<Value, ModuleError> {
        Ok(Value::Boolean(false))
    }
}

pub(super) struct Find;

impl Fold for Find {
    const AT_ONCE: usize = 1;

    fn take(&mut self, item: &Value, answer: Value) -> Flow {
        if boolean(&answer)? { Ok(ControlFlow::Break(Value::some(item.clone()))) } else { GO_ON }
    }

    fn end(self) -> Result<Value, ModuleError> {
        Ok(Value::none())
    }
}

#[derive(Default)]
pub(super) struct Count(i64);

impl Fold for Count {
    fn take(&mut self, _item: &Value, answer: Value) -> Flow {
        self.0 += i64::from(boolean(&answer)?);
        GO_ON
    }

    fn end(self) -> Result<Value, ModuleError> {
        Ok(Value::Int(self.0))
    }
}

#[derive(Default)]
pub(super) struct FlatMap(Vec<Value>);

impl Fold for FlatMap {
    fn take(&mut self, _item: &Value, answer: Value) -> Flow {
        let Value::List(items) = answer else { return Err(wrong_arguments()) };
        check_list(self.0.len().checked_add(items.len()), "stdlib.flat-map")?;
        self.0.extend_from_slice(&items);
        GO_ON
    }

    fn end(self) -> Result<Value, ModuleError> {
        Ok(Value::List(self.0.into()))
    }
}

pub(super) struct SortBy {
    keyed: Vec<(Value, Value)>,
}

impl SortBy {
    pub(super) fn new(items: &Arc<[Value]>) -> Self {
        Self { keyed: Vec::with_capacity(items.len()) }
    }
}

impl Fold for SortBy {
    fn take(&mut self, item: &Value, answer: Value) -> Flow {
        let Value::Union(key) = answer else { return Err(wrong_arguments()) };
        if let Some((first, _)) = self.keyed.first()
            && std::mem::discriminant(first) != std::mem::discriminant(&key.value)
        {
            let (first, found) = (first.kind(), key.value.kind());
            return Err(ModuleError::new(format!(
                "its key is of type {found}, but that of items[0] is of type {first}"
            )));
        }
        self.keyed.push((key.value.clone(), item.clone()));
        GO_ON
    }

    fn end(mut self) -> Result<Value, ModuleError> {
        self.keyed.sort_by(|(left, _), (right, _)| order(left, right));
        Ok(Value::List(self.keyed.into_iter().map(|(_, item)| item).collect()))
    }
}

/// The order of two keys of one type. That of UTF-8 bytes is that of Unicode scalar values.
fn order(left: &Value, right: &Value) -> Ordering {
    match (left, right) {
        (Value::Int(left), Value::Int(right)) => left.cmp(right),
        // As `<` has it, so that zeros of either sign are equal; there is no float that is not a number.
        (Value::Float(left), Value::Float(right)) => left.partial_cmp(right).unwrap_or(Ordering::Equal),
        (Value::String(left), Value::String(right)) => left.cmp(right),
        _ => Ordering::Equal,
    }
}

#[derive(Default)]
pub(super) struct GroupBy {
    places: HashMap<Arc<str>, usize>,
    groups: Vec<(Arc<str>, Vec<Value>)>,
}

impl Fold for GroupBy {
    fn take(&mut self, item: &Value, answer: Value) -> Flow {
        let Value::String(key) = answer else { return Err(wrong_arguments()) };
        let place = *self.places.entry(Arc::clone(&key)).or_insert(self.groups.len());
        if place == self.groups.len() {
            self.groups.push((key, Vec::new()));
        }
        self.groups[place].1.push(item.clone());
        GO_ON
    }

    fn end(self) -> Result<Value, ModuleError> {
        let pairs =
            self.groups.into_iter().map(|(key, items)| (Value::String(key), Value::List(items.into())));
        Ok(Value::Map(pairs.collect()))
    }
}
