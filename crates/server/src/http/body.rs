//! Reading request bodies: counted as they arrive, in bounded time, as JSON whatever the media type.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;

use super::App;
use super::body_budget::ReadError;
use super::json_size::has_too_many_values;
use super::respond::Failure;
use crate::wire::{ErrorCode, Names, members, unfit};

/// Why a body is not what a route needs.
#[derive(Debug)]
pub(super) enum BodyError {
    /// The route says so in its own shape.
    Malformed(String),
    /// The same, of a member whose name does not fit.
    Unfit(String),
    /// The same for all routes.
    Refused(Failure),
}

impl BodyError {
    /// Why a body is not read as a type.
    fn of<T: DeserializeOwned>(bytes: &[u8], error: &serde_json::Error) -> Self {
        let names = match serde_json::from_slice(bytes) {
            Ok(Names(names)) => names,
            Err(error) => return Self::Malformed(error.to_string()),
        };
        let known = members::<T>();
        let unfit = unfit("member", names.iter().map(String::as_str), known).filter(|_| !known.is_empty());
        unfit.map_or_else(|| Self::Malformed(error.to_string()), Self::Unfit)
    }

    /// What a route says in its own shape, given what it expects; or what is the same for all.
    pub(super) fn told(self, expected: &str) -> Result<String, Failure> {
        match self {
            Self::Malformed(message) => Ok(format!("Invalid request: expected {expected}: {message}")),
            Self::Unfit(message) => Ok(format!("Invalid request: {message}")),
            Self::Refused(failure) => Err(failure),
        }
    }
}

/// Reads a body as JSON.
pub(super) async fn read_json<T: DeserializeOwned>(
    app: &App,
    headers: &HeaderMap,
    body: Body,
) -> Result<T, BodyError> {
    parse(&read_bytes(app, headers, body).await?)
}

/// Reads a body as JSON, if there is one: nothing but white space is none.
pub(super) async fn read_optional_json<T: DeserializeOwned + Default>(
    app: &App,
    headers: &HeaderMap,
    body: Body,
) -> Result<T, BodyError> {
    let bytes = read_bytes(app, headers, body).await?;
    if bytes.trim_ascii().is_empty() { Ok(T::default()) } else { parse(&bytes) }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, BodyError> {
    // Without this an array of the members' values would do, in the order in which the type declares them.
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err(BodyError::Malformed("the body is not a JSON object".to_owned()));
    }
    serde_json::from_slice(bytes).map_err(|error| BodyError::of::<T>(bytes, &error))
}

async fn read_bytes(app: &App, headers: &HeaderMap, body: Body) -> Result<Bytes, BodyError> {
    if let Some(encoding) = headers.get(header::CONTENT_ENCODING)
        && !encoding.as_bytes().eq_ignore_ascii_case(b"identity")
    {
        // A few bytes could unpack to gigabytes.
        return Err(BodyError::Refused(Failure::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            ErrorCode::UnsupportedMediaType,
            "Encoded bodies are not accepted; send the body as it is, without Content-Encoding",
        )));
    }
    let too_large = |length: Option<u64>| {
        let limit = app.max_body_bytes;
        let message = match length {
            Some(length) => format!("Request body too large: {length} bytes (max {limit})"),
            None => format!("Request body too large: more than {limit} bytes"),
        };
        BodyError::Refused(Failure::new(StatusCode::PAYLOAD_TOO_LARGE, ErrorCode::PayloadTooLarge, message))
    };
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok())
        .and_then(|length| length.parse::<u64>().ok());
    if let Some(length) = announced
        && length > app.max_body_bytes as u64
    {
        return Err(too_large(Some(length)));
    }
    let mut charged = app.body_budget.charge(body, app.max_body_bytes);
    let mut reading = pin!(charged.read_whole());
    // Most bodies come with their heads. Only a body that has to be waited for needs a timer.
    let read = match poll_fn(|ctx| Poll::Ready(reading.as_mut().poll(ctx))).await {
        Poll::Ready(read) => Ok(read),
        Poll::Pending => tokio::time::timeout(app.body_read_timeout, reading).await,
    };
    let collected = match read {
        Ok(Ok(collected)) => collected,
        Ok(Err(ReadError::TooLarge)) => return Err(too_large(None)),
        Ok(Err(error @ ReadError::NoBytesLeft)) => {
            let status = StatusCode::SERVICE_UNAVAILABLE;
            return Err(BodyError::Refused(Failure::new(status, ErrorCode::Overloaded, error.to_string())));
        }
        Ok(Err(ReadError::Body(error))) => {
            return Err(BodyError::Malformed(format!("the body did not arrive whole: {error}")));
        }
        Err(_) => {
            return Err(BodyError::Refused(Failure::new(
                StatusCode::REQUEST_TIMEOUT,
                ErrorCode::RequestTimeout,
                format!("The body did not arrive within {} seconds", app.body_read_timeout.as_secs()),
            )));
        }
    };
    if has_too_many_values(&collected, app.max_json_values) {
        let message = format!("Request body too large: more than {} JSON values", app.max_json_values);
        let failure = Failure::new(StatusCode::PAYLOAD_TOO_LARGE, ErrorCode::PayloadTooLarge, message);
        return Err(BodyError::Refused(failure));
    }
    Ok(collected)
}
