//! Answers: JSON bodies, and errors by kind.

use axum::Json;
use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use constellation_store_core::{ErrorKind, StoreError};
use serde::Serialize;

use super::layer::RequestId;
use crate::error::ServiceError;
use crate::wire::ErrorResponse;

/// What goes into an [`ErrorResponse`], before the request's id is known.
#[derive(Debug)]
pub(super) struct Failure {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl Failure {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    pub(super) fn respond(self, request_id: &RequestId) -> Response {
        let Self { status, code, message } = self;
        let body = ErrorResponse { error: code, message, request_id: Some(request_id.to_string()) };
        json(status, &body)
    }
}

/// Errors that a route has no own shape for.
impl From<ServiceError> for Failure {
    fn from(error: ServiceError) -> Self {
        let message = error.to_string();
        match error {
            ServiceError::NotFound(_) => Self::new(StatusCode::NOT_FOUND, "NotFound", message),
            ServiceError::Compile(_) => Self::new(StatusCode::BAD_REQUEST, "CompilationError", message),
            ServiceError::Unsupported(_) => Self::new(StatusCode::BAD_REQUEST, "UnsupportedProgram", message),
            ServiceError::NotLoadable { .. } => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "PipelineNotLoadable", message)
            }
            ServiceError::Overloaded(_) => Self::new(StatusCode::SERVICE_UNAVAILABLE, "Overloaded", message),
            ServiceError::Store(error) => error.into(),
            ServiceError::Internal(_) => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", message)
            }
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let (status, code) = status_of(error.kind());
        // The context may hold paths of this machine; the log has it all.
        if status.is_server_error() {
            tracing::error!(?error, "the store failed a request");
        }
        Self::new(status, code, format!("Cannot {}: {}", error.operation(), error.message()))
    }
}

/// The status and the code of a store's error.
pub(super) fn status_of(kind: ErrorKind) -> (StatusCode, &'static str) {
    match kind {
        ErrorKind::NotFound => (StatusCode::NOT_FOUND, "NotFound"),
        ErrorKind::InvalidName => (StatusCode::BAD_REQUEST, "InvalidName"),
        ErrorKind::InvalidImage => (StatusCode::BAD_REQUEST, "InvalidImage"),
        ErrorKind::HashMismatch => (StatusCode::BAD_REQUEST, "HashMismatch"),
        // A condition of the request itself is answered with 412, see `conditions`.
        ErrorKind::Conflict => (StatusCode::CONFLICT, "Conflict"),
        ErrorKind::InUse => (StatusCode::CONFLICT, "InUse"),
        ErrorKind::StorageFull => (StatusCode::INSUFFICIENT_STORAGE, "StorageFull"),
        ErrorKind::ReadOnly => (StatusCode::SERVICE_UNAVAILABLE, "ReadOnly"),
        ErrorKind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "Unavailable"),
        ErrorKind::OutcomeUnknown => (StatusCode::SERVICE_UNAVAILABLE, "OutcomeUnknown"),
        ErrorKind::Locked => (StatusCode::SERVICE_UNAVAILABLE, "Locked"),
        ErrorKind::Corrupt => (StatusCode::INTERNAL_SERVER_ERROR, "Corrupt"),
        ErrorKind::UnsupportedFormat => (StatusCode::INTERNAL_SERVER_ERROR, "UnsupportedFormat"),
        // The kinds may grow; a new one is not the client's fault until somebody decides.
        _ => (StatusCode::INTERNAL_SERVER_ERROR, "InternalError"),
    }
}

/// A body as JSON. Who is told that the server cannot do it now is told when to try again.
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    let mut response = (status, Json(body)).into_response();
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
    }
    response
}

/// No route has this path.
pub(super) async fn no_route(request_id: RequestId, uri: Uri) -> Response {
    let message = format!("There is no route {}", uri.path());
    Failure::new(StatusCode::NOT_FOUND, "NotFound", message).respond(&request_id)
}

/// The path has routes, but none for this method. axum adds `Allow`.
pub(super) async fn method_not_allowed(request_id: RequestId, method: Method, uri: Uri) -> Response {
    let message = format!("{} does not take {method}", uri.path());
    Failure::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message).respond(&request_id)
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
}
