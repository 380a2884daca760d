//! What a request to change something requires of a name (`If-Match` and `If-None-Match`), and whether it is a dry run.

use axum::body::Body;
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use constellation_store_core::{ErrorKind, PipelineName, Precondition};

use super::App;
use super::query::Parameters;
use super::respond::Failure;
use crate::error::ServiceError;
use crate::service::Mode;
use crate::wire::{ChangeParameters, CurrentBody, ErrorCode, ErrorDetails};

/// The headers and the body of a request that takes no parameters. The extractor of the headers alone copies them.
pub(super) fn without_parameters(request: Request) -> Result<(HeaderMap, Body), Failure> {
    let (Parts { headers, uri, .. }, body) = request.into_parts();
    if uri.query().is_none_or(str::is_empty) {
        return Ok((headers, body));
    }
    let message = format!("{} takes no parameters; what it takes stands in its body", uri.path());
    Err(Failure::new(StatusCode::BAD_REQUEST, ErrorCode::InvalidParameter, message))
}

/// Whether the change is made, by `?dry_run=true`.
pub(super) fn mode(query: Parameters<ChangeParameters>) -> Result<Mode, Failure> {
    let ChangeParameters { dry_run } = query.get()?;
    Ok(Mode::new(dry_run))
}

/// What the headers require of a name. Its entity tag is the number of its active version: `If-Match: "3"` requires
/// that version 3 is active, `If-None-Match: *` that none is.
///
/// Nothing else is taken, so that no condition is passed over.
pub(super) fn precondition(headers: &HeaderMap) -> Result<Precondition, Failure> {
    let required = one(headers, &header::IF_MATCH)?;
    let excluded = one(headers, &header::IF_NONE_MATCH)?;
    match (required, excluded) {
        (None, None) => Ok(Precondition::Any),
        (Some(tag), None) => match version(tag) {
            Some(version) => Ok(Precondition::Active(version)),
            None => Err(invalid(format!("If-Match takes one version in quotes, such as \"3\", got {tag}"))),
        },
        (None, Some("*")) => Ok(Precondition::Absent),
        (None, Some(tag)) => Err(invalid(format!("If-None-Match takes '*' only, got {tag}"))),
        (Some(_), Some(_)) => Err(invalid("If-Match and If-None-Match exclude each other".into())),
    }
}

/// The answer to an error of a change; when the request's own condition does not hold, with how things are.
pub(super) async fn failed(
    app: &App,
    error: ServiceError,
    name: &PipelineName,
    precondition: Precondition,
) -> Failure {
    let ServiceError::Store(error) = error else { return error.into() };
    let expected = match precondition {
        _ if error.kind() != ErrorKind::Conflict => return error.into(),
        Precondition::Any => return error.into(),
        Precondition::Absent => "none".to_owned(),
        Precondition::Active(version) => version.to_string(),
    };
    let active =
        error.context().iter().find(|(key, _)| *key == "active").map_or("another", |(_, value)| value);
    let message =
        format!("The active version of '{name}' is {active}, not {expected}; read it again and decide anew");
    let current = app.service.store().resolve(name).await.ok();
    let current = current.map(|active| CurrentBody::new(name, active));
    Failure::new(StatusCode::PRECONDITION_FAILED, ErrorCode::PreconditionFailed, message)
        .with_details(ErrorDetails { current, ..ErrorDetails::default() })
}

fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Failure> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(invalid(format!("{name} is given twice")));
    }
    first
        .map(|value| value.to_str().map(str::trim).map_err(|_| invalid(format!("{name} is not text"))))
        .transpose()
}

/// The version of an entity tag that this server gave out.
fn version(tag: &str) -> Option<u64> {
    let version = tag.strip_prefix('"')?.strip_suffix('"')?.parse().ok()?;
    (format!("\"{version}\"") == tag).then_some(version)
}

fn invalid(message: String) -> Failure {
    Failure::new(StatusCode::BAD_REQUEST, ErrorCode::InvalidCondition, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(HeaderName, &str)]) -> Option<Precondition> {
        let headers = pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
        precondition(&headers).ok()
    }

    #[test]
    fn no_condition_is_passed_over() {
        let (required, excluded) = (header::IF_MATCH, header::IF_NONE_MATCH);
        assert_eq!(of(&[]), Some(Precondition::Any));
        assert_eq!(of(&[(required.clone(), "\"3\"")]), Some(Precondition::Active(3)));
        assert_eq!(of(&[(excluded.clone(), "*")]), Some(Precondition::Absent));
        for pairs in [
            &[(required.clone(), "3")][..],
            &[(required.clone(), "*")],
            &[(required.clone(), "\"+3\"")],
            &[(required.clone(), "\"03\"")],
            &[(required.clone(), "W/\"3\"")],
            &[(required.clone(), "\"3\", \"4\"")],
            &[(excluded.clone(), "\"3\"")],
            &[(required, "\"3\""), (excluded, "*")],
        ] {
            assert_eq!(of(pairs), None, "{pairs:?}");
        }
    }
}
