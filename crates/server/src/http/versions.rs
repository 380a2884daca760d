//! `/pipelines/{name}/versions`: what a name has pointed to, with the sources.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use constellation_store_core::{PipelineName, Reference, VersionHistory};

use super::App;
use super::layer::RequestId;
use super::listing::{Page, PageParameters};
use super::path::PathParameters;
use super::pipelines::{parse_path, parse_segment};
use super::query::Parameters;
use super::respond::{self, Failure, tagged};
use super::routes::Guarded;
use crate::error::ServiceError;
use crate::service::is_damage;
use crate::wire::{ErrorCode, ErrorResponse, VersionBody, VersionDetail, VersionList, shown};

/// Lists the versions of a name, the newest first.
#[utoipa::path(
    get,
    path = "/pipelines/{name}/versions",
    operation_id = "listVersions",
    tag = "pipelines",
    params(("name" = String, Path, description = "A name; its slashes are written as `%2F`"), PageParameters),
    responses(
        (
            status = 200,
            description = "A page of the list",
            body = VersionList,
            headers(("ETag" = String, description = "The active version of the name, in quotes")),
        ),
        (status = 400, description = "The name or a parameter is not well formed", body = ErrorResponse),
        (status = 404, description = "There is no such name", body = ErrorResponse),
    )
)]
pub(super) async fn list(
    State(app): State<Guarded>,
    request_id: RequestId,
    path: PathParameters<1>,
    query: Parameters<PageParameters>,
) -> Response {
    respond::answer(&request_id, async {
        let name: PipelineName = parse_path(path)?;
        let page = Page::<u64>::new(query.get()?)?;
        let history = history(&app, &name).await?;
        let newest_first = history.versions.iter().rev();
        let older = newest_first.filter(|version| page.after.is_none_or(|after| version.version < after));
        let bodies = older.map(|version| VersionBody::new(version, history.active_version));
        let mut versions: Vec<VersionBody> = bodies.take(page.limit + 1).collect();
        let next_cursor = page.end(&mut versions, |version| version.version.to_string());
        let active_version = history.active_version;
        let body = VersionList { name: name.to_string(), versions, active_version, next_cursor };
        Ok(tagged(&body, history.active()))
    })
    .await
}

/// Tells one version of a name, with its source.
#[utoipa::path(
    get,
    path = "/pipelines/{name}/versions/{version}",
    operation_id = "showVersion",
    tag = "pipelines",
    params(("name" = String, Path, description = "A name; its slashes are written as `%2F`"), ("version" = u64, Path, minimum = 1, description = "The number of a version")),
    responses(
        (
            status = 200,
            description = "The version",
            body = VersionDetail,
            headers(("ETag" = String, description = "The active version of the name, in quotes")),
        ),
        (status = 400, description = "The name or the version is not well formed", body = ErrorResponse),
        (status = 404, description = "There is no such name or version", body = ErrorResponse),
    )
)]
pub(super) async fn show(
    State(app): State<Guarded>,
    request_id: RequestId,
    path: PathParameters<2>,
) -> Response {
    respond::answer(&request_id, async {
        let (name, number) = parse_version(path)?;
        let history = history(&app, &name).await?;
        let version = history.get(number).ok_or_else(|| {
            let message = format!("'{name}' has no version {number}; it may have been pruned");
            Failure::new(StatusCode::NOT_FOUND, ErrorCode::NotFound, message)
        })?;
        let source = match &version.source_hash {
            None => None,
            Some(source_hash) => match app.service.store().source(source_hash).await {
                Ok(source) => source,
                // The rest of the version is known all the same.
                Err(error) if is_damage(error.kind()) => None,
                Err(error) => return Err(error.into()),
            },
        };
        let body = VersionDetail {
            name: name.to_string(),
            version: VersionBody::new(version, history.active_version),
            source: source.map(|source| source.to_string()),
        };
        Ok(tagged(&body, history.active()))
    })
    .await
}

/// The name and the version of a path.
pub(super) fn parse_version(path: PathParameters<2>) -> Result<(PipelineName, u64), Failure> {
    let [name, version] = path.get()?;
    let name = parse_segment(&name)?;
    let number = version.parse().map_err(|_| {
        let shown = shown(&version);
        let message = format!("A version is a number from 1, got '{shown}'");
        Failure::new(StatusCode::BAD_REQUEST, ErrorCode::InvalidVersion, message)
    })?;
    Ok((name, number))
}

async fn history(app: &App, name: &PipelineName) -> Result<Arc<VersionHistory>, Failure> {
    let history = app.service.store().versions(name).await?;
    history.ok_or_else(|| ServiceError::NotFound(Reference::Name(name.clone())).into())
}
