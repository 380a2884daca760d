//! Which pages of other web sites get to read answers: what CORS tells browsers.
//!
//! This is around everything else, so that a page can read refusals too. Browsers ask first, without a key, and are
//! answered here: no handler is reached.

use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, Method, header};
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::layer::X_REQUEST_ID;
use super::sites::AllowedSites;

/// How long browsers need not ask again.
const MAX_AGE: Duration = Duration::from_hours(1);

/// What tells browsers; none where nobody is allowed anything.
pub(super) fn layer(sites: &AllowedSites) -> Option<CorsLayer> {
    let origins = if sites.takes_every_site() {
        AllowOrigin::any()
    } else if sites.readers().is_empty() {
        return None;
    } else {
        let value = |origin: &String| {
            HeaderValue::from_str(origin).expect("an origin is made of visible ASCII characters")
        };
        AllowOrigin::list(sites.readers().iter().map(value))
    };
    let taken: [HeaderName; 5] = [
        header::AUTHORIZATION,
        header::CONTENT_TYPE,
        header::IF_MATCH,
        header::IF_NONE_MATCH,
        X_REQUEST_ID.clone(),
    ];
    let told: [HeaderName; 4] =
        [header::ETAG, header::RETRY_AFTER, header::WWW_AUTHENTICATE, X_REQUEST_ID.clone()];
    // A key is sent by the page that has it, so that no browser needs to add what it knows.
    let layer = CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS])
        .allow_headers(taken)
        .expose_headers(told)
        .max_age(MAX_AGE);
    Some(layer)
}
