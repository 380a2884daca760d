//! `/pipelines/{ref}`: what is stored under a name or a hash.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use constellation_store_core::{
    ActiveVersion, InvalidDag, PipelineImage, Reference, Requirement, StoreError,
};
use serde::Serialize;
use serde_json::value::to_raw_value;

use super::App;
use super::layer::RequestId;
use super::listing::LOST;
use super::modules;
use super::programs::invalid_name;
use super::respond::{self, Failure, tagged};
use crate::error::ServiceError;
use crate::wire::{ErrorResponse, ModuleInfo, PipelineDetail, TypesBody, Written, type_text};

/// What follows from the graph of an image and the modules of the server.
#[derive(Debug, Clone)]
pub(super) struct Interface {
    modules: Written,
    declared_outputs: Written,
    input_schema: Written,
    output_schema: Written,
}

/// Tells what is stored under a name or a hash.
#[utoipa::path(
    get,
    path = "/pipelines/{ref}",
    operation_id = "showPipeline",
    tag = "pipelines",
    params(("ref" = String, Path, description = "A name, a hash, or `blake3:` and a hash")),
    responses(
        (
            status = 200,
            description = "The pipeline",
            body = PipelineDetail,
            headers(("ETag" = String, description = "The active version of the name, in quotes")),
        ),
        (status = 400, description = "The name is not well formed", body = ErrorResponse),
        (status = 404, description = "There is no such pipeline", body = ErrorResponse),
    )
)]
pub(super) async fn show(
    State(app): State<Arc<App>>,
    request_id: RequestId,
    path: Result<Path<String>, PathRejection>,
) -> Response {
    respond::answer(&request_id, async {
        let (detail, active) = detail(&app, &parse_path(path)?).await?;
        Ok(tagged(&detail, active))
    })
    .await
}

/// The name or reference of a path.
pub(super) fn parse_path<T: FromStr<Err = StoreError>>(
    path: Result<Path<String>, PathRejection>,
) -> Result<T, Failure> {
    let Path(text) = path.map_err(|rejection| undecodable(&rejection))?;
    parse_segment(&text)
}

/// The name or reference of a part of a path.
pub(super) fn parse_segment<T: FromStr<Err = StoreError>>(text: &str) -> Result<T, Failure> {
    text.parse().map_err(|error| Failure::new(StatusCode::BAD_REQUEST, "InvalidName", invalid_name(&error)))
}

/// A path that is not UTF-8.
pub(super) fn undecodable(rejection: &PathRejection) -> Failure {
    Failure::new(StatusCode::BAD_REQUEST, "InvalidName", rejection.body_text())
}

/// The image that a reference leads to; with the active version, if it is a name.
pub(super) async fn stored(
    app: &App,
    reference: &Reference,
) -> Result<(Arc<PipelineImage>, Option<ActiveVersion>), ServiceError> {
    let not_found = || ServiceError::NotFound(reference.clone());
    let (hash, active) = match reference {
        Reference::Hash(hash) => (*hash, None),
        Reference::Name(name) => {
            let active = app.service.store().resolve(name).await?.ok_or_else(not_found)?;
            (active.structural_hash, Some(active))
        }
    };
    let image = app.service.image(reference, &hash).await?.ok_or_else(|| match reference {
        Reference::Hash(_) => not_found(),
        // It is listed, with the same reason.
        Reference::Name(name) => ServiceError::NotLoadable {
            reference: reference.to_string(),
            reason: app.service.problem_of(name).unwrap_or_else(|| LOST.to_owned()),
        },
    })?;
    Ok((image, active))
}

async fn detail(
    app: &App,
    reference: &Reference,
) -> Result<(PipelineDetail, Option<ActiveVersion>), ServiceError> {
    let (image, active) = stored(app, reference).await?;
    let hash = image.structural_hash;
    let aliases = app.service.store().names_of(&hash).await?;
    let Interface { modules, declared_outputs, input_schema, output_schema } = interface(app, &image)
        .map_err(|error| ServiceError::NotLoadable {
            reference: reference.to_string(),
            reason: error.to_string(),
        })?;
    let detail = PipelineDetail {
        structural_hash: hash.to_string(),
        syntactic_hash: image.metadata.syntactic_hash.map(|hash| hash.to_string()),
        aliases: aliases.iter().map(ToString::to_string).collect(),
        compiled_at: image.metadata.compiled_at.to_string(),
        modules,
        declared_outputs,
        input_schema,
        output_schema,
        load_error: aliases.iter().find_map(|name| app.service.problem_of(name)),
    };
    Ok((detail, active))
}

/// The interface of an image. To work it out takes longer than everything else, so it is kept for a while.
fn interface(app: &App, image: &PipelineImage) -> Result<Interface, InvalidDag> {
    if let Some(interface) = app.interfaces.get(&image.structural_hash) {
        return Ok(interface);
    }
    let spec = &image.dag_spec;
    let types = spec.validate()?;
    let inputs = spec.inputs.iter().map(|input| (&input.name, type_text(&types[input.ty.index()])));
    let outputs = spec.outputs.iter().map(|output| {
        let ty = &types[spec.nodes[output.node.index()].ty.index()];
        (&output.name, type_text(ty))
    });
    let interface = Interface {
        modules: written(&modules(app, image)),
        declared_outputs: written(&spec.outputs.iter().map(|output| &output.name).collect::<Vec<_>>()),
        input_schema: written(&inputs.collect::<BTreeMap<_, _>>()),
        output_schema: written(&outputs.collect::<BTreeMap<_, _>>()),
    };
    app.interfaces.insert(image.structural_hash, interface.clone());
    Ok(interface)
}

fn written(value: &impl Serialize) -> Written {
    to_raw_value(value).expect("texts, lists and maps with texts as keys can be written as JSON").into()
}

fn modules(app: &App, image: &PipelineImage) -> Vec<ModuleInfo> {
    let requirements = image.dag_spec.requires.iter();
    requirements
        .map(|Requirement { name, major, .. }| match app.service.registry().get(name) {
            Some(module) => modules::info(module.spec()),
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
