//! `GET /pipelines/{ref}/diff/{ref2}`: what changes when the second takes the place of the first.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use constellation_store_core::{ActiveVersion, PipelineImage, Reference};

use super::layer::RequestId;
use super::path::PathParameters;
use super::pipelines::{parse_segment, stored};
use super::respond::{self, json};
use super::routes::Guarded;
use crate::diff::diff;
use crate::error::ServiceError;
use crate::service::Asker;
use crate::wire::{DiffResponse, DiffSide, ErrorResponse};

/// Tells what changes when the second takes the place of the first.
#[utoipa::path(
    get,
    path = "/pipelines/{ref}/diff/{ref2}",
    operation_id = "diffPipelines",
    tag = "pipelines",
    params(("ref" = String, Path, description = "A name, a hash, or `blake3:` and a hash"), ("ref2" = String, Path, description = "A name, a hash, or `blake3:` and a hash")),
    responses(
        (
            status = 200,
            description = "What changes for callers, in nodes and in options",
            body = DiffResponse,
        ),
        (status = 400, description = "A name is not well formed", body = ErrorResponse),
        (status = 404, description = "One of them is not there", body = ErrorResponse),
    )
)]
pub(super) async fn show(
    State(app): State<Guarded>,
    request_id: RequestId,
    path: PathParameters<2>,
) -> Response {
    respond::answer(&request_id, async {
        let [from, to] = path.get()?;
        let (from, to): (Reference, Reference) = (parse_segment(&from)?, parse_segment(&to)?);
        let (image, active) = stored(&app, &from).await?;
        let (image_after, active_after) = stored(&app, &to).await?;
        let (before, after) = (Arc::clone(&image), Arc::clone(&image_after));
        // To compare large programs takes as long as to compile them.
        let compare = move || diff(&before.dag_spec, &after.dag_spec);
        let compared = app.service.in_compilation_slot(Asker::Client, compare).await?;
        let diff = compared.map_err(|error| ServiceError::NotLoadable {
            reference: format!("{from}' or '{to}"),
            reason: error.to_string(),
        })?;
        let body = DiffResponse {
            identical: image.structural_hash == image_after.structural_hash,
            from: side(&from, &image, active),
            to: side(&to, &image_after, active_after),
            diff,
        };
        Ok(json(StatusCode::OK, &body))
    })
    .await
}

fn side(reference: &Reference, image: &PipelineImage, active: Option<ActiveVersion>) -> DiffSide {
    DiffSide {
        reference: reference.to_string(),
        structural_hash: image.structural_hash.to_string(),
        version: active.map(|active| active.version),
    }
}
