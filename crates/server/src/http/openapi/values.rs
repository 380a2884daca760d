//! Members that have one of a few values, which another crate has as an enum.

use std::collections::BTreeMap;

use constellation_lang::Code;
use constellation_runtime::{RunErrorKind, RunStatus};
use constellation_store_core::Origin;
use serde_json::Value;
use utoipa::openapi::schema::Object;
use utoipa::openapi::{RefOr, Schema};

/// A schema, its member, and what that can be.
type Values = (&'static str, &'static str, fn() -> Vec<Value>);

const VALUES: [Values; 5] = [
    ("ExecuteResponse", "status", run_statuses),
    ("RunResponse", "status", run_statuses),
    ("RunErrorBody", "kind", || texts(&RunErrorKind::ALL.map(RunErrorKind::as_str))),
    ("DiagnosticBody", "code", || texts(&Code::ALL.map(Code::as_str))),
    ("VersionBody", "origin", || texts(&Origin::ALL.map(Origin::as_str))),
];

/// With null, which stands where nothing was run.
fn run_statuses() -> Vec<Value> {
    let mut statuses = texts(&RunStatus::ALL.map(RunStatus::as_str));
    statuses.push(Value::Null);
    statuses
}

fn texts(texts: &[&str]) -> Vec<Value> {
    texts.iter().copied().map(Value::from).collect()
}

/// Adds the values to the members.
pub(super) fn add(schemas: &mut BTreeMap<String, RefOr<Schema>>) {
    for (name, member, values) in VALUES {
        let object = schemas.get_mut(name).and_then(object_of);
        let member = object.and_then(|object| object.properties.get_mut(member));
        if let Some(RefOr::T(Schema::Object(member))) = member {
            member.enum_values = Some(values());
        }
    }
}

/// The object with the members that a schema names itself.
fn object_of(schema: &mut RefOr<Schema>) -> Option<&mut Object> {
    match schema {
        RefOr::T(Schema::Object(object)) => Some(object),
        RefOr::T(Schema::AllOf(all)) => all.items.iter_mut().find_map(object_of),
        _ => None,
    }
}
