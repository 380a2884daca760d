//! Around every handler: the request's id, its log line, its measured time, whether it is let in, and an answer when
//! the handler panics.

use std::convert::Infallible;
use std::fmt;
use std::mem;
use std::panic::AssertUnwindSafe;

use axum::extract::{FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use futures_util::FutureExt as _;
use tracing::Instrument as _;

use super::current::CurrentRequest;
use super::respond::Failure;
use super::routes::{Guarded, Route};
use crate::metrics::RequestLabels;
use crate::stopwatch::{NewId, Stopwatch};
use crate::wire::ErrorCode;

pub(super) static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest id that is taken from a client.
const MAX_ID_LENGTH: usize = 64;

/// What names a request in answers and logs: the client's `X-Request-ID` if it is harmless, else a new id. Every request
/// has copies of it, so it is text in place.
#[derive(Debug, Clone, Copy)]
pub(super) struct RequestId {
    /// Visible ASCII characters, up to `length`.
    text: [u8; MAX_ID_LENGTH],
    length: usize,
}

impl RequestId {
    pub(super) fn new() -> Self {
        Self::of_harmless(NewId::new().as_bytes())
    }

    fn of_harmless(id: &[u8]) -> Self {
        let mut text = [0; MAX_ID_LENGTH];
        text[..id.len()].copy_from_slice(id);
        Self { text, length: id.len() }
    }

    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text[..self.length]).expect("an id is made of visible ASCII characters")
    }

    fn of(request: &Request) -> Self {
        let given = request.headers().get(&X_REQUEST_ID).map(HeaderValue::as_bytes);
        given.filter(|id| is_harmless(id)).map_or_else(Self::new, Self::of_harmless)
    }

    fn into_header(self) -> HeaderValue {
        HeaderValue::from_bytes(&self.text[..self.length]).expect("an id is made of visible ASCII characters")
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<S: Sync> FromRequestParts<S> for RequestId {
    type Rejection = Infallible;

    async fn from_request_parts(_parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(CurrentRequest::get().map_or_else(Self::new, CurrentRequest::into_id))
    }
}

/// Answers a request, with a handler if it is let in. This is no `async fn`, whose future would have room for the request
/// and for the work a second time, which are moved into it and within it.
pub(super) fn around<F: Future<Output = Response>>(
    guarded: Guarded,
    route: Route,
    request: Request,
    handle: impl FnOnce(Request, Guarded) -> F,
) -> impl Future<Output = Response> {
    let stopwatch = Stopwatch::start();
    let request_id = RequestId::of(&request);
    let method = method_label(request.method());
    let current = CurrentRequest::new(request_id, method, route.pattern);
    let span = tracing::debug_span!("request", id = request_id.as_str(), method, route = route.pattern);
    let answered = async move {
        let app = guarded.clone();
        let refusal = target_too_long(&request, app.max_uri_bytes)
            .map(|failure| failure.respond(&request_id))
            .or_else(|| app.gate().refusal(route.access, &request, &request_id));
        let handled = match refusal {
            None => AssertUnwindSafe(handle(request, guarded)).catch_unwind().await,
            Some(refusal) => Ok(refusal),
        };
        let mut response = handled.unwrap_or_else(|_| {
            // The panic itself was printed by the hook, with its place.
            tracing::error!("a handler panicked");
            let message = "The server failed to answer; its log tells more under this request id";
            Failure::new(StatusCode::INTERNAL_SERVER_ERROR, ErrorCode::InternalError, message)
                .respond(&request_id)
        });
        match app.answer_budget.hold(mem::take(response.body_mut())) {
            Some(body) => *response.body_mut() = body,
            None => response = answer_dropped().respond(&request_id),
        }
        response.headers_mut().insert(X_REQUEST_ID.clone(), request_id.into_header());
        if app.is_draining() {
            // While the listener is still open, so that clients who come again are sent elsewhere by their balancer.
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        let status = response.status().as_u16();
        let elapsed = stopwatch.elapsed();
        app.metrics.answered(RequestLabels { route: route.pattern, method, status }, elapsed);
        tracing::debug!(status, ?elapsed, "answered");
        response
    };
    current.answer(answered.instrument(span))
}

fn target_too_long(request: &Request, limit: usize) -> Option<Failure> {
    let length = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    let message = || format!("The target of the request is too long: {length} bytes (max {limit})");
    (length > limit).then(|| Failure::new(StatusCode::URI_TOO_LONG, ErrorCode::UriTooLong, message()))
}

/// What was asked for was done, so this is not `Overloaded`.
fn answer_dropped() -> Failure {
    let message = "The request was done, but its answer is large and too many others are still being taken; try again \
                   later if doing it twice does no harm";
    Failure::new(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::AnswerDropped, message)
}

fn is_harmless(id: &[u8]) -> bool {
    !id.is_empty()
        && id.len() <= MAX_ID_LENGTH
        && id.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(byte))
}

/// A client can invent methods; labels are bounded.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        Method::PATCH => "PATCH",
        _ => "OTHER",
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;
    use std::sync::Arc;

    use axum::body::Body;
    use constellation_store_core::{Reference, StructuralHash};

    use super::super::auth::{Auth, Gate};
    use super::super::routes::Access;
    use super::*;
    use crate::builder::DEFAULT_ADDRESS;
    use crate::test_support::server;

    /// The allocator takes larger blocks from no list of free ones.
    const SMALL_BLOCK: usize = 1024;

    #[tokio::test]
    async fn what_every_request_has_room_for_fits_a_small_block() {
        let server = server().await;
        let (app, gate) = (server.app(), Gate::new(Auth::default(), DEFAULT_ADDRESS));
        let guarded = Guarded::new(Arc::clone(app), Arc::new(gate));
        let route = Route { pattern: "/", access: Access::Open };
        let request = Request::new(Body::empty());
        let answering = around(guarded, route, request, |_, _| ready(Response::default()));
        assert!(size_of_val(&answering) <= SMALL_BLOCK);
        // These are part of what a handler has room for.
        let hash = StructuralHash::of_bytes(b"x");
        let reference = Reference::Hash(hash);
        assert!(size_of_val(&app.service.load(&reference)) <= SMALL_BLOCK / 2);
        assert!(size_of_val(&app.service.image(&reference, &hash)) <= SMALL_BLOCK / 2);
    }

    #[test]
    fn ids_that_could_forge_log_lines_are_not_taken() {
        assert!(is_harmless(b"0193-abc_D.4:5"));
        for id in ["", "a b", "a\"b", "a{b", &"x".repeat(65)] {
            assert!(!is_harmless(id.as_bytes()), "{id}");
        }
    }
}
