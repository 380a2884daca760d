//! Answers: JSON bodies, and errors by kind.

use axum::body::Body;
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use constellation_store_core::{ActiveVersion, ErrorKind, StoreError};
use futures_util::TryFutureExt as _;
use serde::Serialize;

use super::layer::RequestId;
use crate::error::ServiceError;
use crate::wire::{DiagnosticBody, ErrorCode, ErrorDetails, ErrorResponse, TYPICAL_BYTES};

/// What goes into an [`ErrorResponse`], before the request's id is known.
#[derive(Debug)]
pub(super) struct Failure {
    status: StatusCode,
    code: ErrorCode,
    message: String,
    details: Box<ErrorDetails>,
}

impl Failure {
    pub(super) fn new(status: StatusCode, code: ErrorCode, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), details: Box::default() }
    }

    /// Tells more than the message does.
    pub(super) fn with_details(self, details: ErrorDetails) -> Self {
        Self { details: Box::new(details), ..self }
    }

    pub(super) fn respond(self, request_id: &RequestId) -> Response {
        let Self { status, code, message, details } = self;
        let tag = details.current.as_ref().and_then(|current| current.active_version).map(version_tag);
        let request_id = Some(request_id.to_string());
        let body = ErrorResponse { error: code, message, request_id, details: *details };
        let mut response = json(status, &body);
        if code.may_be_done() {
            response.headers_mut().remove(header::RETRY_AFTER);
        }
        if let Some(tag) = tag {
            response.headers_mut().insert(header::ETAG, tag);
        }
        response
    }
}

/// Errors that a route has no own shape for.
impl From<ServiceError> for Failure {
    fn from(error: ServiceError) -> Self {
        let message = error.to_string();
        match error {
            ServiceError::NotFound(_) => Self::new(StatusCode::NOT_FOUND, ErrorCode::NotFound, message),
            ServiceError::Compile(diagnostics) => {
                let diagnostics = Some(DiagnosticBody::of(&diagnostics));
                Self::new(StatusCode::BAD_REQUEST, ErrorCode::CompilationError, message)
                    .with_details(ErrorDetails { diagnostics, ..ErrorDetails::default() })
            }
            ServiceError::Unsupported(_) => {
                Self::new(StatusCode::BAD_REQUEST, ErrorCode::UnsupportedProgram, message)
            }
            ServiceError::NotLoadable { .. } => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, ErrorCode::PipelineNotLoadable, message)
            }
            ServiceError::Overloaded(_) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Overloaded, message)
            }
            ServiceError::Store(error) => error.into(),
            ServiceError::Internal(_) => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, ErrorCode::InternalError, message)
            }
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let (status, code) = status_of(error.kind());
        // The context may hold paths of this machine; the log has it all.
        if error.kind() == ErrorKind::StorageFull {
            tracing::warn!(?error, "there is no room for what a request stores");
        } else if status.is_server_error() {
            tracing::error!(?error, "the store failed a request");
        }
        Self::new(status, code, format!("Cannot {}: {}", error.operation(), error.message()))
    }
}

/// The status and the code of a store's error.
pub(super) fn status_of(kind: ErrorKind) -> (StatusCode, ErrorCode) {
    match kind {
        ErrorKind::NotFound => (StatusCode::NOT_FOUND, ErrorCode::NotFound),
        ErrorKind::InvalidName => (StatusCode::BAD_REQUEST, ErrorCode::InvalidName),
        ErrorKind::InvalidImage => (StatusCode::BAD_REQUEST, ErrorCode::InvalidImage),
        ErrorKind::HashMismatch => (StatusCode::BAD_REQUEST, ErrorCode::HashMismatch),
        // A condition of the request itself is answered with 412, see `conditions`.
        ErrorKind::Conflict => (StatusCode::CONFLICT, ErrorCode::Conflict),
        ErrorKind::InUse => (StatusCode::CONFLICT, ErrorCode::InUse),
        ErrorKind::StorageFull => (StatusCode::INSUFFICIENT_STORAGE, ErrorCode::StorageFull),
        ErrorKind::ReadOnly => (StatusCode::SERVICE_UNAVAILABLE, ErrorCode::ReadOnly),
        ErrorKind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unavailable),
        ErrorKind::OutcomeUnknown => (StatusCode::SERVICE_UNAVAILABLE, ErrorCode::OutcomeUnknown),
        ErrorKind::Locked => (StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Locked),
        ErrorKind::Corrupt => (StatusCode::INTERNAL_SERVER_ERROR, ErrorCode::Corrupt),
        ErrorKind::UnsupportedFormat => (StatusCode::INTERNAL_SERVER_ERROR, ErrorCode::UnsupportedFormat),
        // The kinds may grow; a new one is not the client's fault until somebody decides.
        _ => (StatusCode::INTERNAL_SERVER_ERROR, ErrorCode::InternalError),
    }
}

/// `ETag` is the active version.
pub(super) fn version_tag(version: u64) -> HeaderValue {
    let digits = version.to_string();
    let mut tag = String::with_capacity(digits.len() + 2);
    tag.push('"');
    tag.push_str(&digits);
    tag.push('"');
    HeaderValue::try_from(tag).expect("digits and quotes are visible ASCII characters")
}

/// An answer with the active version of the name that it is about, if there is one.
pub(super) fn tagged(body: &impl Serialize, active: Option<ActiveVersion>) -> Response {
    with_tag(json(StatusCode::OK, body), active)
}

/// The same, of an answer that is made.
pub(super) fn with_tag(mut response: Response, active: Option<ActiveVersion>) -> Response {
    if let Some(active) = active {
        response.headers_mut().insert(header::ETAG, version_tag(active.version));
    }
    response
}

/// A body as JSON.
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    let mut bytes = Vec::with_capacity(TYPICAL_BYTES);
    let written = serde_json::to_writer(&mut bytes, body);
    written_json(status, written.map(|()| bytes))
}

/// A body that was written as JSON. Who is told that the server cannot do it now is told when to try again.
pub(super) fn written_json(status: StatusCode, body: serde_json::Result<Vec<u8>>) -> Response {
    let bytes = match body {
        Ok(bytes) => bytes,
        Err(error) => {
            tracing::error!(%error, "an answer cannot be written as JSON");
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
    };
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
    }
    response
}

/// What a handler answers, also when it fails.
pub(super) fn answer(
    request_id: &RequestId,
    work: impl Future<Output = Result<Response, Failure>>,
) -> impl Future<Output = Response> {
    work.unwrap_or_else(|failure| failure.respond(request_id))
}

/// No route has this path.
pub(super) fn no_route(request_id: &RequestId, uri: &Uri) -> Response {
    let path = uri.path();
    let hint = match path.strip_suffix('/') {
        Some("") => "; GET /openapi.json tells which there are".to_owned(),
        Some(shorter) => format!("; without the last slash there may be {shorter}"),
        None if path.starts_with("/pipelines/") => "; slashes of a name are written as %2F".to_owned(),
        None => String::new(),
    };
    let message = format!("There is no route {path}{hint}");
    Failure::new(StatusCode::NOT_FOUND, ErrorCode::NotFound, message).respond(request_id)
}

/// The path has routes, but none for this method.
pub(super) fn method_not_allowed(
    request_id: &RequestId,
    method: &Method,
    uri: &Uri,
    allowed: &str,
) -> Response {
    let message = format!("{} does not take {method}; it takes {allowed}", uri.path());
    let failure = Failure::new(StatusCode::METHOD_NOT_ALLOWED, ErrorCode::MethodNotAllowed, message);
    let mut response = failure.respond(request_id);
    let allowed = HeaderValue::from_str(allowed).expect("methods are visible ASCII characters");
    response.headers_mut().insert(header::ALLOW, allowed);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_status() {
        for (kind, status) in [
            (ErrorKind::NotFound, 404),
            (ErrorKind::InvalidName, 400),
            (ErrorKind::InvalidImage, 400),
            (ErrorKind::HashMismatch, 400),
            (ErrorKind::Conflict, 409),
            (ErrorKind::InUse, 409),
            (ErrorKind::StorageFull, 507),
            (ErrorKind::ReadOnly, 503),
            (ErrorKind::Unavailable, 503),
            (ErrorKind::OutcomeUnknown, 503),
            (ErrorKind::Locked, 503),
            (ErrorKind::Corrupt, 500),
            (ErrorKind::UnsupportedFormat, 500),
        ] {
            assert_eq!(status_of(kind).0.as_u16(), status, "{kind}");
        }
    }

    #[test]
    fn only_who_is_told_that_nothing_was_done_is_told_to_try_again() {
        for (kind, is_told) in [
            (ErrorKind::Unavailable, true),
            (ErrorKind::ReadOnly, true),
            (ErrorKind::Locked, true),
            (ErrorKind::OutcomeUnknown, false),
            (ErrorKind::Conflict, false),
            (ErrorKind::Corrupt, false),
        ] {
            let failure = Failure::from(StoreError::new(kind, "commit", "on purpose"));
            let response = failure.respond(&RequestId::new());
            assert_eq!(response.headers().contains_key(header::RETRY_AFTER), is_told, "{kind}");
        }
    }
}
