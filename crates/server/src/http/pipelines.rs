//! `/pipelines`: what is stored, and pointing names to it.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use constellation_store_core::{
    ActiveVersion, ListOptions, PipelineImage, PipelineName, Reference, Requirement, StoreError,
    StructuralHash,
};
use constellation_types::Parameter;
use futures_util::TryStreamExt as _;
use serde::Deserialize;

use super::App;
use super::body::{BodyError, read_json};
use super::conditions;
use super::layer::RequestId;
use super::programs::{invalid_name, version_tag};
use super::respond::{Failure, json};
use crate::error::ServiceError;
use crate::wire::{
    AliasRequest, AliasResponse, ModuleInfo, PipelineDetail, PipelineList, PipelineSummary, TypesBody,
    type_text,
};

/// Names by the image that they point to.
type Aliases = BTreeMap<StructuralHash, BTreeSet<PipelineName>>;

/// The parameters of `GET /pipelines`.
#[derive(Debug, Deserialize)]
pub(super) struct ListParameters {
    limit: Option<String>,
    cursor: Option<String>,
}

/// `GET /pipelines`
pub(super) async fn list(
    State(app): State<Arc<App>>,
    request_id: RequestId,
    query: Result<Query<ListParameters>, QueryRejection>,
) -> Response {
    let ListParameters { limit, cursor } = match query {
        Ok(Query(parameters)) => parameters,
        Err(rejection) => return invalid_parameter(rejection.body_text()).respond(&request_id),
    };
    let limit = match limit.map(|limit| limit.parse::<usize>().ok().filter(|limit| *limit > 0).ok_or(limit)) {
        None => None,
        Some(Ok(limit)) => Some(limit),
        Some(Err(text)) => {
            return invalid_parameter(format!("'limit' is a number from 1, got '{text}'"))
                .respond(&request_id);
        }
    };
    let after = match cursor.map(|cursor| cursor.parse::<StructuralHash>()).transpose() {
        Ok(after) => after,
        Err(error) => {
            let message = format!("'cursor' is the 'nextCursor' of the page before: {error}");
            return invalid_parameter(message).respond(&request_id);
        }
    };
    match page(&app, limit, after).await {
        Ok(page) => json(StatusCode::OK, &page),
        Err(error) => Failure::from(error).respond(&request_id),
    }
}

/// `GET /pipelines/{ref}`
pub(super) async fn show(
    State(app): State<Arc<App>>,
    request_id: RequestId,
    path: Result<Path<String>, PathRejection>,
) -> Response {
    let reference: Reference = match parse_path(path) {
        Ok(reference) => reference,
        Err(failure) => return failure.respond(&request_id),
    };
    match detail(&app, &reference).await {
        Ok((detail, active)) => {
            let mut response = json(StatusCode::OK, &detail);
            if let Some(active) = active {
                response.headers_mut().insert(header::ETAG, version_tag(active.version));
            }
            response
        }
        Err(error) => Failure::from(error).respond(&request_id),
    }
}

/// `PUT /pipelines/{name}/alias`
pub(super) async fn alias(
    State(app): State<Arc<App>>,
    request_id: RequestId,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let name: PipelineName = match parse_path(path) {
        Ok(name) => name,
        Err(failure) => return failure.respond(&request_id),
    };
    let AliasRequest { structural_hash } = match read_json(&app, &headers, body).await {
        Ok(request) => request,
        Err(BodyError::Malformed(message)) => {
            let message = format!("Expected JSON body with 'structuralHash' field: {message}");
            return Failure::new(StatusCode::BAD_REQUEST, "InvalidRequest", message).respond(&request_id);
        }
        Err(BodyError::Refused(failure)) => return failure.respond(&request_id),
    };
    let Ok(Reference::Hash(hash)) = structural_hash.parse::<Reference>() else {
        let shown: String = structural_hash.chars().take(80).collect();
        let message = format!(
            "'structuralHash' is 64 lower-case hexadecimal digits, alone or after 'blake3:', got '{shown}'"
        );
        return Failure::new(StatusCode::BAD_REQUEST, "InvalidRequest", message).respond(&request_id);
    };
    let precondition = match conditions::precondition(&headers) {
        Ok(precondition) => precondition,
        Err(failure) => return failure.respond(&request_id),
    };
    match app.service.alias(&name, hash, precondition).await {
        Ok((active, changed)) => {
            let body = AliasResponse {
                name: name.to_string(),
                structural_hash: active.structural_hash.to_string(),
                version: active.version,
                changed,
            };
            let mut response = json(StatusCode::OK, &body);
            response.headers_mut().insert(header::ETAG, version_tag(active.version));
            response
        }
        Err(ServiceError::NotFound(_)) => {
            let message = format!("Pipeline with hash '{hash}' not found");
            Failure::new(StatusCode::NOT_FOUND, "NotFound", message).respond(&request_id)
        }
        Err(ServiceError::Store(error)) => conditions::failed(&error, &name, precondition)
            .unwrap_or_else(|| error.into())
            .respond(&request_id),
        Err(error) => Failure::from(error).respond(&request_id),
    }
}

fn invalid_parameter(message: String) -> Failure {
    Failure::new(StatusCode::BAD_REQUEST, "InvalidParameter", message)
}

fn parse_path<T: FromStr<Err = StoreError>>(path: Result<Path<String>, PathRejection>) -> Result<T, Failure> {
    let invalid = |message| Failure::new(StatusCode::BAD_REQUEST, "InvalidName", message);
    let Path(text) = path.map_err(|rejection| invalid(rejection.body_text()))?;
    text.parse().map_err(|error| invalid(invalid_name(&error)))
}

async fn page(
    app: &App,
    limit: Option<usize>,
    after: Option<StructuralHash>,
) -> Result<PipelineList, StoreError> {
    let aliases = aliases(app).await?;
    let problems = app.service.problems();
    // One more than asked for tells whether there is a next page.
    let options = ListOptions { after, limit: limit.map(|limit| limit.saturating_add(1)) };
    let mut images: Vec<_> = app.service.store().list_images(options).try_collect().await?;
    let next_cursor = limit.filter(|limit| images.len() > *limit).map(|limit| {
        images.truncate(limit);
        images[limit - 1].structural_hash.to_string()
    });
    let pipelines = images.into_iter().map(|image| {
        let names = aliases.get(&image.structural_hash);
        PipelineSummary {
            structural_hash: image.structural_hash.to_string(),
            syntactic_hash: image.metadata.syntactic_hash.map(|hash| hash.to_string()),
            aliases: names.into_iter().flatten().map(ToString::to_string).collect(),
            compiled_at: image.metadata.compiled_at.to_string(),
            module_count: image.metadata.module_count,
            declared_outputs: image.outputs.iter().map(ToString::to_string).collect(),
            load_error: names.into_iter().flatten().find_map(|name| problems.get(name).cloned()),
        }
    });
    Ok(PipelineList { pipelines: pipelines.collect(), next_cursor })
}

async fn detail(
    app: &App,
    reference: &Reference,
) -> Result<(PipelineDetail, Option<ActiveVersion>), ServiceError> {
    let store = app.service.store();
    let not_found = || ServiceError::NotFound(reference.clone());
    let (hash, active) = match reference {
        Reference::Hash(hash) => (*hash, None),
        Reference::Name(name) => {
            let active = store.resolve(name).await?.ok_or_else(not_found)?;
            (active.structural_hash, Some(active))
        }
    };
    let image = app.service.image(reference, &hash).await?.ok_or_else(not_found)?;
    let aliases = store.names_of(&hash).await?;
    let problems = app.service.problems();
    let types = image.dag_spec.validate().map_err(|error| ServiceError::NotLoadable {
        reference: reference.to_string(),
        reason: error.to_string(),
    })?;
    let spec = &image.dag_spec;
    let inputs = spec.inputs.iter().map(|input| (input.name.clone(), type_text(&types[input.ty.index()])));
    let outputs = spec.outputs.iter().map(|output| {
        let ty = &types[spec.nodes[output.node.index()].ty.index()];
        (output.name.clone(), type_text(ty))
    });
    let detail = PipelineDetail {
        structural_hash: hash.to_string(),
        syntactic_hash: image.metadata.syntactic_hash.map(|hash| hash.to_string()),
        aliases: aliases.iter().map(ToString::to_string).collect(),
        compiled_at: image.metadata.compiled_at.to_string(),
        modules: modules(app, &image),
        declared_outputs: spec.outputs.iter().map(|output| output.name.clone()).collect(),
        input_schema: inputs.collect(),
        output_schema: outputs.collect(),
        load_error: aliases.iter().find_map(|name| problems.get(name).cloned()),
    };
    Ok((detail, active))
}

fn modules(app: &App, image: &PipelineImage) -> Vec<ModuleInfo> {
    let types = |parameters: &[Parameter]| {
        let text = |parameter: &Parameter| (parameter.name.to_string(), type_text(&parameter.ty));
        TypesBody(parameters.iter().map(text).collect())
    };
    image
        .dag_spec
        .requires
        .iter()
        .map(|Requirement { name, major, .. }| match app.service.registry().get(name) {
            Some(module) => {
                let spec = module.spec();
                ModuleInfo {
                    name: name.clone(),
                    description: spec.description.clone(),
                    version: format!("{}.{}", spec.signature.major, spec.minor),
                    inputs: types(&spec.signature.parameters),
                    outputs: types(&spec.signature.results),
                }
            }
            // What a module took is known to nobody once it is gone.
            None => ModuleInfo {
                name: name.clone(),
                description: "This module is not registered".to_owned(),
                version: format!("{major}.0"),
                inputs: TypesBody::default(),
                outputs: TypesBody::default(),
            },
        })
        .collect()
}

async fn aliases(app: &App) -> Result<Aliases, StoreError> {
    let mut aliases = Aliases::new();
    let mut names = app.service.store().list_names(ListOptions::default());
    while let Some(entry) = names.try_next().await? {
        if let Some(active) = entry.active {
            aliases.entry(active.structural_hash).or_default().insert(entry.name);
        }
    }
    Ok(aliases)
}
