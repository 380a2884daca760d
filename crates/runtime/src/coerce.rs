//! Conversions of values, as loading worked them out.

use std::sync::Arc;

use constellation_rehydrate::Coercion;
use constellation_types::{Record, Tagged, Value};

use crate::budget::Budget;
use crate::evaluate::{EvaluationError, Result, as_record, get, list, wrong_kind};

/// The value as the coercion makes it. Recurses as deep as the types.
pub(crate) fn coerce(coercion: &Coercion, value: &Value, budget: &mut Budget) -> Result<Value> {
    Ok(match coercion {
        Coercion::Keep => value.clone(),
        Coercion::IntToFloat => match value {
            #[expect(clippy::cast_precision_loss, reason = "the nearest float is what the language asks for")]
            Value::Int(int) => Value::Float(*int as f64),
            other => return wrong_kind("Int", other),
        },
        Coercion::Elements(element) => {
            let items = list(value)?;
            budget.charge_values(items.len())?;
            Value::List(items.iter().map(|item| coerce(element, item, budget)).collect::<Result<_>>()?)
        }
        Coercion::Inner(inner) => match value {
            Value::Optional(None) => Value::none(),
            Value::Optional(Some(value)) => {
                budget.charge_values(1)?;
                Value::some(coerce(inner, value, budget)?)
            }
            other => return wrong_kind("Optional", other),
        },
        Coercion::Entries { key, value: entry } => match value {
            Value::Map(pairs) => {
                budget.charge_values(2 * pairs.len())?;
                let pairs = pairs
                    .iter()
                    .map(|(name, value)| Ok((coerce(key, name, budget)?, coerce(entry, value, budget)?)));
                Value::Map(pairs.collect::<Result<_>>()?)
            }
            other => return wrong_kind("Map", other),
        },
        Coercion::Record { names, fields } => {
            let source = as_record(value)?;
            budget.charge_values(fields.len())?;
            let values = fields
                .iter()
                .map(|field| coerce(&field.coercion, get(source, &field.access)?, budget))
                .collect::<Result<Vec<_>>>()?;
            Value::Record(Arc::new(Record::new(Arc::clone(names), values)))
        }
        Coercion::Tag { tag, value: inner } => {
            budget.charge_values(2)?;
            let value = coerce(inner, value, budget)?;
            Value::Union(Arc::new(Tagged { tag: Arc::clone(tag), value }))
        }
        Coercion::Members(members) => match value {
            Value::Union(tagged) => match members.iter().find(|member| member.tag == tagged.tag) {
                Some(member) => coerce(&member.coercion, &tagged.value, budget)?,
                None => {
                    return Err(EvaluationError::Internal(format!(
                        "a union value has the tag '{}', which its type does not have",
                        tagged.tag
                    )));
                }
            },
            other => return wrong_kind("Union", other),
        },
    })
}
