//! What changes a name or removes an image: alias, reload, rollback, delete.
//!
//! Each takes `If-Match` and `If-None-Match`, answers the active version as `ETag`, and only tells what it would do
//! with `?dry_run=true`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use constellation_store_core::{ErrorKind, Origin, PipelineName, Precondition, Reference, StructuralHash};

use super::App;
use super::body::{BodyError, read_json, read_optional_json};
use super::conditions;
use super::layer::RequestId;
use super::path::PathParameters;
use super::pipelines::parse_path;
use super::query::Parameters;
use super::respond::{self, Failure, tagged};
use super::routes::Guarded;
use super::versions::parse_version;
use crate::error::ServiceError;
use crate::loader;
use crate::service::{Mode, Target};
use crate::wire::{
    AliasRequest, AliasResponse, ChangeParameters, DeleteResponse, DiagnosticBody, ErrorCode, ErrorDetails,
    ErrorResponse, ReloadRequest, ReloadResponse, RollbackResponse, shown,
};

/// Points a name to a stored hash.
#[utoipa::path(
    put,
    path = "/pipelines/{name}/alias",
    operation_id = "setAlias",
    tag = "pipelines",
    params(("name" = String, Path, description = "A name; its slashes are written as `%2F`"), ChangeParameters),
    request_body(
        content = AliasRequest,
        example = json!({ "structuralHash": "31583bf66b5d9e4f4a6ec4ddc3a8ac4f4cbd5d31fbd6a4b0f4a0c6a0d1a1e7f2" }),
    ),
    responses(
        (
            status = 200,
            description = "The name points to the hash",
            body = AliasResponse,
        ),
        (status = 404, description = "There is no such image", body = ErrorResponse),
    )
)]
pub(super) async fn alias(
    State(app): State<Guarded>,
    request_id: RequestId,
    path: PathParameters<1>,
    query: Parameters<ChangeParameters>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    respond::answer(&request_id, async {
        let name: PipelineName = parse_path(path)?;
        let (mode, precondition) = (conditions::mode(query)?, conditions::precondition(&headers)?);
        let request = read_json(&app, &headers, body).await;
        let AliasRequest { structural_hash } = request.map_err(|error| malformed(error, "structuralHash"))?;
        let Ok(Reference::Hash(hash)) = structural_hash.parse::<Reference>() else {
            let shown = shown(&structural_hash);
            let message = format!(
                "'structuralHash' is 64 lower-case hexadecimal digits, alone or after 'blake3:', got '{shown}'"
            );
            return Err(Failure::new(StatusCode::BAD_REQUEST, ErrorCode::InvalidRequest, message));
        };
        let pointed = match app.service.alias(&name, hash, precondition, mode).await {
            Ok(pointed) => pointed,
            Err(ServiceError::NotFound(_)) => {
                let message = format!("Pipeline with hash '{hash}' not found");
                return Err(Failure::new(StatusCode::NOT_FOUND, ErrorCode::NotFound, message));
            }
            Err(error) => return Err(conditions::failed(&app, error, &name, precondition).await),
        };
        let body = AliasResponse {
            name: name.to_string(),
            structural_hash: pointed.active.structural_hash.to_string(),
            version: pointed.active.version,
            changed: pointed.changed,
            dry_run: mode == Mode::DryRun,
        };
        Ok(tagged(&body, pointed.active_after(mode)))
    })
    .await
}

/// Compiles a source under a name; without one, the file of the name in the directory of pipelines.
#[utoipa::path(
    post,
    path = "/pipelines/{name}/reload",
    operation_id = "reload",
    tag = "pipelines",
    params(("name" = String, Path, description = "A name; its slashes are written as `%2F`"), ChangeParameters),
    request_body(
        content = Option<ReloadRequest>,
        example = json!({ "source": "in who: String\ntext = concat(\"Hi, \", who)\nout text" }),
    ),
    responses(
        (
            status = 200,
            description = "The name points to the program",
            body = ReloadResponse,
        ),
        (
            status = 400,
            description = "The program or the request has errors, or there is no source",
            body = ErrorResponse,
        ),
    )
)]
pub(super) async fn reload(
    State(app): State<Guarded>,
    request_id: RequestId,
    path: PathParameters<1>,
    query: Parameters<ChangeParameters>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    respond::answer(&request_id, async {
        let name: PipelineName = parse_path(path)?;
        let (mode, precondition) = (conditions::mode(query)?, conditions::precondition(&headers)?);
        let request = read_optional_json(&app, &headers, body).await;
        let ReloadRequest { source, canary } = request.map_err(|error| malformed(error, "source"))?;
        if canary.is_some() {
            // Without this the new version would get all requests, where only some were meant.
            let message = "There are no canary releases; leave 'canary' out to release to everybody at once";
            return Err(Failure::new(StatusCode::BAD_REQUEST, ErrorCode::CanaryNotEnabled, message));
        }
        let (source, origin) = match source {
            Some(source) => (source.into(), Origin::Reload),
            None => (source_of_file(&app, &name).await?, Origin::Loader),
        };
        let target = Target { name: name.clone(), origin, precondition };
        let published = match app.service.publish(source, Some(target), mode).await {
            Ok(published) => published,
            Err(error) => return Err(conditions::failed(&app, error, &name, precondition).await),
        };
        let pointed = published.pointed.ok_or_else(|| {
            Failure::from(ServiceError::Internal("the store told no version of the name".into()))
        })?;
        let body = ReloadResponse {
            success: true,
            previous_hash: pointed.previous.map(|previous| previous.structural_hash.to_string()),
            new_hash: pointed.active.structural_hash.to_string(),
            name: name.to_string(),
            changed: pointed.changed,
            version: pointed.active.version,
            canary: None,
            diagnostics: DiagnosticBody::of(&published.found.warnings),
            dry_run: mode == Mode::DryRun,
        };
        Ok(tagged(&body, pointed.active_after(mode)))
    })
    .await
}

/// Makes the version before the active one active again.
#[utoipa::path(
    post,
    path = "/pipelines/{name}/rollback",
    operation_id = "rollBack",
    tag = "pipelines",
    params(("name" = String, Path, description = "A name; its slashes are written as `%2F`"), ChangeParameters),
    responses(
        (
            status = 200,
            description = "The version is active",
            body = RollbackResponse,
        ),
        (status = 404, description = "There is no such name or version", body = ErrorResponse),
        (status = 409, description = "The version cannot be run by this server", body = ErrorResponse),
    )
)]
pub(super) async fn roll_back(
    State(app): State<Guarded>,
    request_id: RequestId,
    path: PathParameters<1>,
    query: Parameters<ChangeParameters>,
    headers: HeaderMap,
) -> Response {
    respond::answer(&request_id, async { rolled_back(&app, &parse_path(path)?, None, query, &headers).await })
        .await
}

/// Makes a version active again.
#[utoipa::path(
    post,
    path = "/pipelines/{name}/rollback/{version}",
    operation_id = "rollBackTo",
    tag = "pipelines",
    params(("name" = String, Path, description = "A name; its slashes are written as `%2F`"), ("version" = u64, Path, minimum = 1, description = "The number of a version"), ChangeParameters),
    responses(
        (
            status = 200,
            description = "The version is active",
            body = RollbackResponse,
        ),
        (status = 404, description = "There is no such name or version", body = ErrorResponse),
        (status = 409, description = "The version cannot be run by this server", body = ErrorResponse),
    )
)]
pub(super) async fn roll_back_to(
    State(app): State<Guarded>,
    request_id: RequestId,
    path: PathParameters<2>,
    query: Parameters<ChangeParameters>,
    headers: HeaderMap,
) -> Response {
    respond::answer(&request_id, async {
        let (name, version) = parse_version(path)?;
        rolled_back(&app, &name, Some(version), query, &headers).await
    })
    .await
}

/// Deletes a name, or an image that no version refers to.
#[utoipa::path(
    delete,
    path = "/pipelines/{ref}",
    operation_id = "deletePipeline",
    tag = "pipelines",
    params(("ref" = String, Path, description = "A name, a hash, or `blake3:` and a hash"), ChangeParameters),
    responses(
        (
            status = 200,
            description = "It is deleted",
            body = DeleteResponse,
        ),
        (status = 404, description = "There is no such name or image", body = ErrorResponse),
        (status = 409, description = "Versions refer to the image", body = ErrorResponse),
    )
)]
pub(super) async fn delete(
    State(app): State<Guarded>,
    request_id: RequestId,
    path: PathParameters<1>,
    query: Parameters<ChangeParameters>,
    headers: HeaderMap,
) -> Response {
    respond::answer(&request_id, async {
        let reference: Reference = parse_path(path)?;
        let (mode, precondition) = (conditions::mode(query)?, conditions::precondition(&headers)?);
        match reference {
            Reference::Name(name) => deleted_name(&app, &name, precondition, mode).await,
            Reference::Hash(hash) if precondition == Precondition::Any => {
                deleted_image(&app, hash, mode).await
            }
            Reference::Hash(_) => {
                let message = "A condition is about a name; an image has no versions";
                Err(Failure::new(StatusCode::BAD_REQUEST, ErrorCode::InvalidCondition, message))
            }
        }
    })
    .await
}

async fn rolled_back(
    app: &App,
    name: &PipelineName,
    version: Option<u64>,
    query: Parameters<ChangeParameters>,
    headers: &HeaderMap,
) -> Result<Response, Failure> {
    let (mode, precondition) = (conditions::mode(query)?, conditions::precondition(headers)?);
    let pointed = match app.service.roll_back(name, version, precondition, mode).await {
        Ok(pointed) => pointed,
        Err(error @ ServiceError::NotLoadable { .. }) => {
            let message = format!("{error}; reload its source to compile it for the modules of this server");
            return Err(Failure::new(StatusCode::CONFLICT, ErrorCode::PipelineNotLoadable, message));
        }
        Err(error) => return Err(conditions::failed(app, error, name, precondition).await),
    };
    let body = RollbackResponse {
        success: true,
        name: name.to_string(),
        previous_version: pointed.previous.map(|previous| previous.version),
        active_version: pointed.active.version,
        structural_hash: pointed.active.structural_hash.to_string(),
        changed: pointed.changed,
        dry_run: mode == Mode::DryRun,
    };
    Ok(tagged(&body, pointed.active_after(mode)))
}

async fn deleted_name(
    app: &App,
    name: &PipelineName,
    precondition: Precondition,
    mode: Mode,
) -> Result<Response, Failure> {
    let previous = match app.service.delete_name(name, precondition, mode).await {
        Ok(previous) => previous,
        Err(error) => return Err(conditions::failed(app, error, name, precondition).await),
    };
    let body = DeleteResponse {
        deleted: true,
        name: Some(name.to_string()),
        previous_version: Some(previous.version),
        structural_hash: previous.structural_hash.to_string(),
        dry_run: mode == Mode::DryRun,
    };
    Ok(tagged(&body, (mode == Mode::DryRun).then_some(previous)))
}

async fn deleted_image(app: &App, hash: StructuralHash, mode: Mode) -> Result<Response, Failure> {
    match app.service.delete_image(hash, mode).await {
        Ok(()) => {
            let body = DeleteResponse {
                deleted: true,
                name: None,
                previous_version: None,
                structural_hash: hash.to_string(),
                dry_run: mode == Mode::DryRun,
            };
            Ok(tagged(&body, None))
        }
        Err(ServiceError::Store(error)) if error.kind() == ErrorKind::InUse => {
            let users = app.service.users_of(&hash).await?;
            let users = Some(users.into_iter().map(Into::into).collect());
            Err(Failure::from(error).with_details(ErrorDetails { users, ..ErrorDetails::default() }))
        }
        Err(error) => Err(error.into()),
    }
}

/// The text of the file that the startup loader has for a name.
async fn source_of_file(app: &App, name: &PipelineName) -> Result<Arc<str>, Failure> {
    let no_source = |message| Failure::new(StatusCode::BAD_REQUEST, ErrorCode::NoSource, message);
    let Some(config) = &app.loader else {
        let message = "The body has no 'source', and this server loads no directory of pipelines";
        return Err(no_source(message.to_owned()));
    };
    let config = config.clone();
    let wanted = name.clone();
    let read = tokio::task::spawn_blocking(move || loader::read_file_of(&config, &wanted)).await;
    let found = read.unwrap_or_else(|error| Err(std::io::Error::other(error)));
    match found {
        Ok(Some(Ok(source))) => Ok(source),
        Ok(Some(Err(reason))) => Err(no_source(format!("The file of '{name}' cannot be used: {reason}"))),
        Ok(None) => Err(no_source(format!(
            "The body has no 'source', and no file of the pipeline directory has the name '{name}'"
        ))),
        Err(error) => {
            tracing::error!(%error, "the pipeline directory cannot be read");
            Err(ServiceError::Internal("the pipeline directory cannot be read; the log tells why".into())
                .into())
        }
    }
}

fn malformed(error: BodyError, field: &str) -> Failure {
    match error.told(&format!("JSON body with '{field}' field")) {
        Ok(message) => Failure::new(StatusCode::BAD_REQUEST, ErrorCode::InvalidRequest, message),
        Err(failure) => failure,
    }
}
