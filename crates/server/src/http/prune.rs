//! `POST /pipelines/{name}/prune`: forgets old versions while the server runs.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use constellation_store_core::PipelineName;

use super::conditions;
use super::layer::RequestId;
use super::path::PathParameters;
use super::pipelines::parse_path;
use super::query::Parameters;
use super::respond::{self, tagged};
use super::routes::Guarded;
use crate::service::Mode;
use crate::wire::{ErrorResponse, PruneParameters, PruneResponse};

/// Forgets the versions of a name but the newest, and but the active one.
///
/// Their numbers are not used again. Images that no version refers to any more can be deleted.
#[utoipa::path(
    post,
    path = "/pipelines/{name}/prune",
    operation_id = "prune",
    tag = "pipelines",
    params(("name" = String, Path, description = "A name; its slashes are written as `%2F`"), PruneParameters),
    responses(
        (
            status = 200,
            description = "The other versions are forgotten",
            body = PruneResponse,
        ),
        (status = 404, description = "There is no such name", body = ErrorResponse),
    )
)]
pub(super) async fn prune(
    State(app): State<Guarded>,
    request_id: RequestId,
    path: PathParameters<1>,
    query: Parameters<PruneParameters>,
    headers: HeaderMap,
) -> Response {
    respond::answer(&request_id, async {
        let name: PipelineName = parse_path(path)?;
        let PruneParameters { keep, dry_run } = query.get()?;
        let (mode, precondition) = (Mode::new(dry_run), conditions::precondition(&headers)?);
        let forgotten = match app.service.prune(&name, keep, precondition, mode).await {
            Ok(forgotten) => forgotten,
            Err(error) => return Err(conditions::failed(&app, error, &name, precondition).await),
        };
        let active = app.service.store().resolve(&name).await?;
        let body = PruneResponse {
            success: true,
            name: name.to_string(),
            forgotten,
            active_version: active.map(|active| active.version),
            dry_run,
        };
        Ok(tagged(&body, active))
    })
    .await
}
