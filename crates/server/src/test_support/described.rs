//! Whether answers are as the OpenAPI document says. Every call of a test without sockets is looked at.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, LazyLock, Mutex};

use axum::http::Method;
use jsonschema::Validator;
use serde_json::{Value, json};

use super::Answer;
use crate::openapi;

/// The document, as JSON.
pub(crate) static DOCUMENT: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(openapi()).unwrap());

/// The parts of the document that others refer to; its objects take no member that they do not name, so that an answer
/// has none that the document lacks.
static COMPONENTS: LazyLock<Value> = LazyLock::new(|| {
    let mut components = DOCUMENT["components"].clone();
    // What is a part of something else is closed there.
    let mut parts = BTreeSet::new();
    for schema in components["schemas"].as_object().unwrap().values() {
        let refs = schema["allOf"].as_array().into_iter().flatten().filter_map(|part| part["$ref"].as_str());
        parts.extend(refs.map(|name| name.rsplit('/').next().unwrap().to_owned()));
    }
    for (name, schema) in components["schemas"].as_object_mut().unwrap() {
        let is_object = schema.get("properties").is_some() || schema.get("allOf").is_some();
        if is_object && !parts.contains(name) {
            schema["unevaluatedProperties"] = json!(false);
        }
    }
    components
});

/// Fails when an answer is not as the document says. Paths that it does not have are those of a test.
pub(crate) fn check(method: &Method, path: &str, answer: &Answer) {
    let Some(route) = route_of(path) else { return };
    let name = if *method == Method::HEAD { "get".to_owned() } else { method.as_str().to_ascii_lowercase() };
    let Some(operation) = DOCUMENT["paths"][route].get(&name) else { return };
    let status = answer.status.as_str();
    let place = format!("{method} {route} {status}");
    let Some(response) = operation["responses"].get(status) else {
        panic!("the document does not have {place}, which answered {}", answer.text);
    };
    let response = resolved(response);
    for header in ["etag", "retry-after", "www-authenticate", "x-request-id"] {
        let is_described = response["headers"]
            .as_object()
            .is_some_and(|headers| headers.keys().any(|described| described.eq_ignore_ascii_case(header)));
        assert!(is_described || answer.header(header).is_none(), "{place} has {header}");
    }
    let media_type = answer.header("content-type").and_then(|full| full.split(';').next());
    let content = response["content"].get(media_type.unwrap_or_default());
    let Some(content) = content else { panic!("{place} is not described as {media_type:?}") };
    if media_type == Some("application/json") && *method != Method::HEAD {
        let problems = problems(&place, &content["schema"], &answer.json());
        assert!(problems.is_empty(), "{place}: {problems:?} in {}", answer.text);
    }
}

/// What is wrong with a value by a schema of the document. Schemas of one name are one schema.
pub(crate) fn problems(name: &str, schema: &Value, value: &Value) -> Vec<String> {
    static VALIDATORS: LazyLock<Mutex<HashMap<String, Arc<Validator>>>> = LazyLock::new(Mutex::default);
    let validator = {
        let mut validators = VALIDATORS.lock().unwrap();
        let build = || {
            let schema = json!({ "components": *COMPONENTS, "allOf": [schema] });
            Arc::new(jsonschema::validator_for(&schema).unwrap())
        };
        Arc::clone(validators.entry(name.to_owned()).or_insert_with(build))
    };
    validator.iter_errors(value).map(|error| error.to_string()).collect()
}

/// What something stands for in the document.
pub(crate) fn resolved(value: &'static Value) -> &'static Value {
    match value["$ref"].as_str() {
        Some(reference) => DOCUMENT.pointer(reference.trim_start_matches('#')).unwrap(),
        None => value,
    }
}

/// The path of the document that a path of a request is matched by.
fn route_of(path: &str) -> Option<&'static str> {
    let segments: Vec<&str> = path.split('/').collect();
    let routes = DOCUMENT["paths"].as_object().unwrap().keys().map(String::as_str);
    let fits = |route: &&str| {
        let parts: Vec<&str> = route.split('/').collect();
        let fits = |(part, segment): (&&str, &&str)| {
            part == segment || (part.starts_with('{') && !segment.is_empty())
        };
        parts.len() == segments.len() && parts.iter().zip(&segments).all(fits)
    };
    // What is written out goes before what stands for anything.
    routes.filter(fits).min_by_key(|route| route.matches('{').count())
}
