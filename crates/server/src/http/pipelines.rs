//! `/pipelines/{ref}`: what is stored under a name or a hash.

use std::str::FromStr;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use constellation_store_core::{
    ActiveVersion, ImageMetadata, InvalidDag, PipelineImage, PipelineName, Reference, Requirement, StoreError,
};

use super::App;
use super::layer::RequestId;
use super::listing::LOST;
use super::modules;
use super::path::PathParameters;
use super::programs::invalid_name;
use super::respond::{self, Failure, with_tag, written_json};
use super::routes::Guarded;
use crate::error::ServiceError;
use crate::wire::{ErrorCode, ErrorResponse, ModuleInfo, PipelineDetail, TypesBody, type_text};

/// The answer that tells of an image, around what may change while the image is stored: its names and what is wrong.
#[derive(Debug)]
pub(super) struct Description {
    /// An image that is removed and stored again has the same graph, and may have other metadata.
    metadata: ImageMetadata,
    before_aliases: String,
    before_load_error: String,
}

impl Description {
    fn new(app: &App, image: &PipelineImage) -> Result<Self, InvalidDag> {
        let spec = &image.dag_spec;
        let types = spec.types()?;
        let inputs =
            spec.inputs.iter().map(|input| (input.name.clone(), type_text(&types[input.ty.index()])));
        let outputs = spec.outputs.iter().map(|output| {
            let ty = &types[spec.nodes[output.node.index()].ty.index()];
            (output.name.clone(), type_text(ty))
        });
        let detail = PipelineDetail {
            structural_hash: image.structural_hash.to_string(),
            syntactic_hash: image.metadata.syntactic_hash.map(|hash| hash.to_string()),
            aliases: Vec::new(),
            compiled_at: image.metadata.compiled_at.to_string(),
            modules: modules(app, image),
            declared_outputs: spec.outputs.iter().map(|output| output.name.clone()).collect(),
            input_schema: inputs.collect(),
            output_schema: outputs.collect(),
            load_error: None,
        };
        let text = serde_json::to_string(&detail).expect("texts, lists and maps of them can be written");
        let (before_aliases, rest) = text.split_once("[]").expect("the aliases are the first list");
        let before_load_error = rest.strip_suffix("null}").expect("what is wrong is the last member");
        Ok(Self {
            metadata: image.metadata.clone(),
            before_aliases: before_aliases.to_owned(),
            before_load_error: before_load_error.to_owned(),
        })
    }

    fn answer(&self, aliases: &[PipelineName], load_error: Option<&str>) -> serde_json::Result<Vec<u8>> {
        let Self { metadata: _, before_aliases, before_load_error } = self;
        // As many bytes as there are when nothing is escaped and nothing is wrong.
        let n_bytes_of_aliases: usize = aliases.iter().map(|alias| alias.as_str().len() + "'',".len()).sum();
        let n_bytes = before_aliases.len() + n_bytes_of_aliases + before_load_error.len() + "]null}".len();
        let mut json = Vec::with_capacity(n_bytes);
        json.extend_from_slice(before_aliases.as_bytes());
        serde_json::to_writer(&mut json, aliases)?;
        json.extend_from_slice(before_load_error.as_bytes());
        serde_json::to_writer(&mut json, &load_error)?;
        json.push(b'}');
        Ok(json)
    }
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
    State(app): State<Guarded>,
    request_id: RequestId,
    path: PathParameters<1>,
) -> Response {
    respond::answer(&request_id, async {
        let (detail, active) = detail(&app, &parse_path(path)?).await?;
        Ok(with_tag(written_json(StatusCode::OK, detail), active))
    })
    .await
}

/// The name or reference of a path.
pub(super) fn parse_path<T: FromStr<Err = StoreError>>(path: PathParameters<1>) -> Result<T, Failure> {
    let [text] = path.get()?;
    parse_segment(&text)
}

/// The name or reference of a part of a path.
pub(super) fn parse_segment<T: FromStr<Err = StoreError>>(text: &str) -> Result<T, Failure> {
    text.parse()
        .map_err(|error| Failure::new(StatusCode::BAD_REQUEST, ErrorCode::InvalidName, invalid_name(&error)))
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

/// What is told of a pipeline, as JSON.
async fn detail(
    app: &App,
    reference: &Reference,
) -> Result<(serde_json::Result<Vec<u8>>, Option<ActiveVersion>), ServiceError> {
    let (image, active) = stored(app, reference).await?;
    let aliases = app.service.store().names_of(&image.structural_hash).await?;
    let description = description(app, &image).map_err(|error| ServiceError::NotLoadable {
        reference: reference.to_string(),
        reason: error.to_string(),
    })?;
    let load_error = aliases.iter().find_map(|name| app.service.problem_of(name));
    Ok((description.answer(&aliases, load_error.as_deref()), active))
}

/// The description of an image. To work it out takes longer than everything else, so it is kept for a while.
fn description(app: &App, image: &PipelineImage) -> Result<Arc<Description>, InvalidDag> {
    let known = app.descriptions.get(&image.structural_hash);
    if let Some(known) = known.filter(|known| known.metadata == image.metadata) {
        return Ok(known);
    }
    let description = Arc::new(Description::new(app, image)?);
    app.descriptions.insert(image.structural_hash, Arc::clone(&description));
    Ok(description)
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
