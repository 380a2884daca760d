//! Who is let in: by name of the server, by web site, and by API key.

use std::net::SocketAddr;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::Response;

use super::layer::RequestId;
use super::respond::Failure;
use super::routes::Access;
use super::sites::{AllowedSites, Foreign, SiteCheck};
use crate::auth::{ApiKeys, Role};
use crate::wire::{ErrorCode, shown};

/// What a server asks of requests before a handler sees them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Auth {
    pub(crate) keys: ApiKeys,
    pub(crate) sites: AllowedSites,
}

/// [`Auth`] of a server with its address.
#[derive(Debug)]
pub(super) struct Gate {
    keys: ApiKeys,
    sites: SiteCheck,
}

/// Why a request was not let in.
#[derive(Debug)]
enum Refusal {
    Foreign(Foreign),
    /// There is no key where keys are needed.
    NoKey,
    /// The key is not known.
    UnknownKey,
    /// The key is not for that.
    Role {
        has: Role,
        needs: Role,
    },
}

impl Gate {
    pub(super) fn new(auth: Auth, address: SocketAddr) -> Self {
        let Auth { keys, sites } = auth;
        Self { keys, sites: SiteCheck::new(sites, address) }
    }

    /// The answer to a request that is not let in.
    pub(super) fn refusal(
        &self,
        access: Access,
        request: &Request,
        request_id: &RequestId,
    ) -> Option<Response> {
        let needed = match access {
            Access::Open => return None,
            Access::OpenUnlessVerbose if !is_verbose(request.uri()) => return None,
            Access::OpenUnlessVerbose => Role::ReadOnly,
            Access::For(role) => role,
        };
        let refusal = self.check(request, needed).err()?;
        Some(refusal.respond(request, request_id))
    }

    fn check(&self, request: &Request, needs: Role) -> Result<(), Refusal> {
        self.sites.check(request.uri(), request.headers()).map_err(Refusal::Foreign)?;
        if self.keys.is_empty() {
            return Ok(());
        }
        let key = bearer(request.headers()).ok_or(Refusal::NoKey)?;
        let has = self.keys.role_of(key).ok_or(Refusal::UnknownKey)?;
        if has >= needs { Ok(()) } else { Err(Refusal::Role { has, needs }) }
    }
}

impl Refusal {
    fn respond(self, request: &Request, request_id: &RequestId) -> Response {
        let (status, code, message, challenge) = match self {
            Self::Foreign(Foreign::NoHost) => (
                StatusCode::BAD_REQUEST,
                ErrorCode::InvalidHost,
                "The request needs exactly one Host header".to_owned(),
                None,
            ),
            Self::Foreign(Foreign::Host) => (
                StatusCode::FORBIDDEN,
                ErrorCode::ForbiddenHost,
                format!(
                    "The Host header, {}, names no host of this server; whoever runs it can allow more with 'allowed_hosts'",
                    quoted(request.headers(), &header::HOST)
                ),
                None,
            ),
            Self::Foreign(Foreign::Origin) => (
                StatusCode::FORBIDDEN,
                ErrorCode::ForbiddenOrigin,
                format!(
                    "The request comes from another web site, {}; whoever runs the server can allow it with 'allowed_origins' or 'cors_origins'",
                    quoted(request.headers(), &header::ORIGIN)
                ),
                None,
            ),
            Self::NoKey => (
                StatusCode::UNAUTHORIZED,
                ErrorCode::Unauthorized,
                "Missing or invalid Authorization header. Expected: Bearer <api-key>".to_owned(),
                Some("Bearer realm=\"constellation\""),
            ),
            Self::UnknownKey => (
                StatusCode::UNAUTHORIZED,
                ErrorCode::Unauthorized,
                "Invalid API key".to_owned(),
                Some("Bearer realm=\"constellation\", error=\"invalid_token\""),
            ),
            Self::Role { has, needs } => (
                StatusCode::FORBIDDEN,
                ErrorCode::Forbidden,
                format!(
                    "Role '{has}' does not permit {} {}, which needs '{needs}'",
                    request.method(),
                    request.uri().path()
                ),
                Some("Bearer realm=\"constellation\", error=\"insufficient_scope\""),
            ),
        };
        tracing::debug!(?code, message, "a request was not let in");
        let mut response = Failure::new(status, code, message).respond(request_id);
        if let Some(challenge) = challenge {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        response
    }
}

/// A header as it came, as far as it fits into a message.
fn quoted(headers: &HeaderMap, name: &HeaderName) -> String {
    let text = headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    format!("'{}'", shown(text))
}

/// The key of the one `Authorization: Bearer KEY`.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let (scheme, key) = value.as_bytes().split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| key.trim_ascii())
}

/// Whether the answer may tell more. Rather too often than too rarely: a letter may be written as `%76`.
fn is_verbose(uri: &Uri) -> bool {
    uri.query().is_some_and(|query| query.contains("verbose") || query.contains('%'))
}
