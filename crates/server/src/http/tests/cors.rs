//! What browsers are told of pages of other web sites.

use tokio::net::TcpListener;

use super::auth::{KEYS, api_keys};
use super::*;
use crate::auth::ApiKeys;
use crate::http::{AllowedSites, routes};
use crate::test_support::{Answer, call};

const PAGE: &str = "https://app.example.com";
const OTHER: &str = "https://evil.com";

fn sites(origins: &[&str]) -> AllowedSites {
    let mut sites = AllowedSites::default();
    for origin in origins {
        sites.allow_cors_origin(origin).unwrap();
    }
    sites
}

/// A server with keys.
async fn locked(origins: &[&str]) -> Router {
    let builder = ConstellationServer::builder(constellation_stdlib::registry()).with_auth(api_keys());
    builder.with_allowed_sites(sites(origins)).build().await.unwrap().router()
}

/// What a browser asks before it sends what a page wants to.
async fn preflight(router: &Router, path: &str, origin: &str) -> Answer {
    let headers = [
        ("origin", origin),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "authorization,content-type,if-match"),
    ];
    call(router, "OPTIONS", path, &headers, "").await
}

fn has_cors(answer: &Answer) -> bool {
    answer.headers.keys().any(|name| name.as_str().starts_with("access-control-"))
}

#[tokio::test]
async fn nobody_is_allowed_to_read_answers_unless_that_is_set() {
    let mut others = AllowedSites::default();
    others.allow_origin(PAGE).unwrap();
    let builder = ConstellationServer::builder(constellation_stdlib::registry()).with_allowed_sites(others);
    let router = builder.build().await.unwrap().router();
    let asked = preflight(&router, "/run", PAGE).await;
    assert_eq!((asked.status.as_u16(), has_cors(&asked)), (405, false));
    let answer = call(&router, "GET", "/pipelines", &[("origin", PAGE)], "").await;
    assert_eq!((answer.status.as_u16(), has_cors(&answer)), (200, false), "its requests are taken");
}

#[tokio::test]
async fn a_browser_that_asks_for_a_page_is_answered_without_a_key_and_without_a_handler() {
    let router = locked(&[PAGE, "http://localhost:3000"]).await;
    let (_, declared) = routes().into_parts();
    let paths = declared.all().map(|(path, ..)| path);
    for path in paths.filter(|path| !path.contains('{')).chain(["/nowhere"]) {
        let answer = preflight(&router, path, PAGE).await;
        assert_eq!((answer.status.as_u16(), &*answer.text), (200, ""), "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), Some(PAGE), "{path}");
        assert_eq!(answer.header("access-control-allow-methods"), Some("GET,POST,PUT,DELETE,OPTIONS"));
        assert_eq!(
            answer.header("access-control-allow-headers"),
            Some("authorization,content-type,if-match,if-none-match,x-request-id")
        );
        assert_eq!(answer.header("access-control-max-age"), Some("3600"));
        assert_eq!(answer.header("access-control-allow-credentials"), None);
    }
    for origin in [
        OTHER,
        "null",
        "http://app.example.com",
        "https://app.example.com:8443",
        "https://app.example.com.evil.com",
    ] {
        let answer = preflight(&router, "/run", origin).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("access-control-allow-origin"), None, "{origin}");
    }
}

#[tokio::test]
async fn a_page_that_is_allowed_reads_answers_and_refusals() {
    let router = locked(&[PAGE]).await;
    let key = format!("Bearer {}", KEYS[0].0);
    for (path, headers, status) in [
        ("/pipelines", vec![("authorization", key.as_str())], 200),
        ("/pipelines/nobody", vec![("authorization", key.as_str())], 404),
        ("/pipelines", vec![], 401),
        ("/live", vec![], 200),
    ] {
        let with = |origin| headers.iter().copied().chain([("origin", origin)]).collect::<Vec<_>>();
        let answer = call(&router, "GET", path, &with(PAGE), "").await;
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), Some(PAGE), "{path}");
        assert_eq!(
            answer.header("access-control-expose-headers"),
            Some("etag,retry-after,www-authenticate,x-request-id")
        );
        assert_eq!(answer.header("access-control-allow-credentials"), None);
        assert!(answer.header("vary").unwrap().contains("origin"), "a cache tells pages apart");
        assert!(answer.header("x-request-id").is_some());

        let answer = call(&router, "GET", path, &with(OTHER), "").await;
        assert_eq!(answer.status.as_u16(), if path == "/live" { 200 } else { 403 }, "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), None, "{path}");
    }
}

#[tokio::test]
async fn all_pages_are_allowed_when_that_is_said_and_never_with_credentials() {
    let router = locked(&["*", PAGE]).await;
    let key = format!("Bearer {}", KEYS[0].0);
    for origin in [PAGE, OTHER, "null"] {
        let asked = preflight(&router, "/run", origin).await;
        let answer =
            call(&router, "GET", "/pipelines", &[("origin", origin), ("authorization", &key)], "").await;
        for answer in [asked, answer] {
            assert_eq!(answer.status, 200, "{origin}");
            assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{origin}");
            assert_eq!(answer.header("access-control-allow-credentials"), None, "{origin}");
        }
    }
    let answer = call(&router, "GET", "/pipelines", &[("origin", PAGE), ("host", "evil.com")], "").await;
    assert_eq!(answer.json()["error"], "ForbiddenHost", "a name that is pointed here is no page");
    let answer = call(&router, "GET", "/pipelines", &[("origin", PAGE)], "").await;
    assert_eq!(answer.status, 401, "a key is needed all the same");
}

#[tokio::test]
async fn pages_of_every_web_site_need_keys() {
    let serve = |keys: ApiKeys, insecure: bool| async move {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut builder = ConstellationServer::builder(constellation_stdlib::registry())
            .with_auth(keys)
            .with_allowed_sites(sites(&["*"]));
        if insecure {
            builder = builder.allow_insecure();
        }
        builder.serve(listener, async {}).await
    };
    let refused = serve(ApiKeys::default(), false).await.unwrap_err().to_string();
    assert!(refused.contains("cors_origins") && refused.contains("CONSTELLATION_API_KEYS"), "{refused}");
    serve(api_keys(), false).await.unwrap();
    serve(ApiKeys::default(), true).await.unwrap();
}
