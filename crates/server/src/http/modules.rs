//! `/modules` and `/namespaces`: what programs can call.

use std::collections::BTreeSet;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use constellation_module::ModuleSpec;
use constellation_types::{FunctionSignature, Parameter};

use super::layer::RequestId;
use super::path::PathParameters;
use super::respond::{Failure, json};
use super::routes::Guarded;
use crate::wire::{
    ErrorCode, ErrorResponse, FunctionBody, FunctionList, ModuleInfo, ModuleList, NamespaceList, TypesBody,
    shown, type_text,
};

/// Lists the modules that programs can call.
#[utoipa::path(
    get,
    path = "/modules",
    operation_id = "listModules",
    tag = "modules",
    responses(
        (status = 200, description = "All modules", body = ModuleList),
    )
)]
pub(super) async fn list(State(app): State<Guarded>) -> Response {
    let modules = app.service.registry().iter().map(|module| info(module.spec())).collect();
    json(StatusCode::OK, &ModuleList { modules })
}

/// Lists the namespaces of functions.
#[utoipa::path(
    get,
    path = "/namespaces",
    operation_id = "listNamespaces",
    tag = "modules",
    responses(
        (status = 200, description = "All namespaces", body = NamespaceList),
    )
)]
pub(super) async fn namespaces(State(app): State<Guarded>) -> Response {
    let signatures = app.service.registry().signatures();
    let namespaces: BTreeSet<String> =
        signatures.filter_map(|signature| signature.namespace.as_deref().map(str::to_owned)).collect();
    json(StatusCode::OK, &NamespaceList { namespaces })
}

/// Lists the functions of a namespace, and those of the namespaces within it.
#[utoipa::path(
    get,
    path = "/namespaces/{namespace}",
    operation_id = "listFunctions",
    tag = "modules",
    params(("namespace" = String, Path, description = "Such as `stdlib.math`")),
    responses(
        (status = 200, description = "The functions", body = FunctionList),
        (status = 400, description = "The namespace is not UTF-8", body = ErrorResponse),
        (status = 404, description = "There is no such namespace", body = ErrorResponse),
    )
)]
pub(super) async fn functions(
    State(app): State<Guarded>,
    request_id: RequestId,
    path: PathParameters<1>,
) -> Response {
    let [namespace] = match path.get() {
        Ok(parameters) => parameters,
        Err(failure) => return failure.respond(&request_id),
    };
    let within = format!("{namespace}.");
    let is_here = |signature: &&FunctionSignature| {
        signature.namespace.as_deref().is_some_and(|own| own == namespace || own.starts_with(&within))
    };
    let signatures = app.service.registry().signatures().filter(is_here);
    let mut functions: Vec<FunctionBody> = signatures.map(function).collect();
    if functions.is_empty() {
        let shown = shown(&namespace);
        let message = format!("Namespace '{shown}' not found");
        return Failure::new(StatusCode::NOT_FOUND, ErrorCode::NamespaceNotFound, message)
            .respond(&request_id);
    }
    functions.sort_by(|left, right| left.qualified_name.cmp(&right.qualified_name));
    json(StatusCode::OK, &FunctionList { namespace, functions })
}

/// A module, as the reference tells of one.
pub(super) fn info(spec: &ModuleSpec) -> ModuleInfo {
    let types = |parameters: &[Parameter]| {
        let text = |parameter: &Parameter| (parameter.name.to_string(), type_text(&parameter.ty));
        TypesBody(parameters.iter().map(text).collect())
    };
    ModuleInfo {
        name: spec.signature.module.to_string(),
        description: spec.description.clone(),
        version: format!("{}.{}", spec.signature.major, spec.minor),
        inputs: types(&spec.signature.parameters),
        outputs: types(&spec.signature.results),
    }
}

fn function(signature: &FunctionSignature) -> FunctionBody {
    let parameters = signature.parameters.iter();
    FunctionBody {
        name: signature.name.to_string(),
        qualified_name: signature.qualified_name(),
        params: parameters.map(|parameter| format!("{}: {}", parameter.name, parameter.ty)).collect(),
        returns: signature.result_type().to_string(),
    }
}
