//! Keys, roles, hosts and web sites, on every route.

use axum::http::{Method, header};

use super::*;
use crate::auth::{ApiKeys, Role};
use crate::http::{AllowedSites, routes};
use crate::test_support::Answer;

pub(super) const KEYS: [(&str, Role); 3] = [
    ("read-0123456789abcdef-read", Role::ReadOnly),
    ("exec-0123456789abcdef-exec", Role::Execute),
    ("admn-0123456789abcdef-admn", Role::Admin),
];

pub(super) fn api_keys() -> ApiKeys {
    let entries = KEYS.map(|(key, role)| format!("{key}:{role}"));
    ApiKeys::of_entries(entries.iter().map(String::as_str)).unwrap()
}

pub(super) async fn locked() -> ConstellationServer {
    let builder = ConstellationServer::builder(constellation_stdlib::registry());
    builder.with_auth(api_keys()).build().await.unwrap()
}

/// A path of the route.
fn path_of(route: &str) -> String {
    route.replace("{ref}", "nothing").replace("{name}", "nothing")
}

async fn call(router: &Router, method: &Method, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    send(router, request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn each_role_may_use_exactly_the_routes_that_it_is_for() {
    let router = locked().await.router();
    let (_, declared) = routes().into_parts();
    let mut n_guarded = 0;
    for (route, method, access) in declared.all() {
        let path = path_of(route);
        for (key, role) in KEYS {
            let bearer = format!("Bearer {key}");
            let answer = call(&router, method, &path, &[("authorization", &bearer)]).await;
            let is_allowed = match access {
                Access::Open | Access::OpenUnlessVerbose => true,
                Access::For(needed) => role >= needed,
            };
            assert_ne!(answer.status, 401, "{method} {path} as {role}");
            assert_eq!(answer.status == 403, !is_allowed, "{method} {path} as {role}: {}", answer.text);
            if !is_allowed {
                assert_eq!(answer.json()["error"], "Forbidden");
                assert!(answer.json()["message"].as_str().unwrap().contains(&role.to_string()));
                assert!(answer.header("www-authenticate").unwrap().contains("insufficient_scope"));
            }
        }
        if matches!(access, Access::For(_)) {
            n_guarded += 1;
            let answer = call(&router, method, &path, &[]).await;
            assert_eq!(answer.status, 401, "{method} {path} without a key");
        }
    }
    assert!(n_guarded >= 6, "most routes need a key");
}

#[tokio::test]
async fn reading_running_and_changing_are_for_different_roles() {
    let (_, declared) = routes().into_parts();
    for (method, path, role) in [
        (Method::GET, "/pipelines", Role::ReadOnly),
        (Method::GET, "/pipelines/{ref}", Role::ReadOnly),
        (Method::POST, "/execute", Role::Execute),
        (Method::POST, "/run", Role::Execute),
        (Method::POST, "/compile", Role::Admin),
        (Method::PUT, "/pipelines/{name}/alias", Role::Admin),
    ] {
        let route = declared.all().find(|route| (route.0, route.1) == (path, &method));
        assert_eq!(route.unwrap().2, Access::For(role), "{method} {path}");
    }
    // A method that only reads and one that is declared as open never differ by accident.
    for (path, method, access) in declared.all() {
        match access {
            Access::For(Role::ReadOnly) | Access::Open | Access::OpenUnlessVerbose => {
                assert_eq!(method, Method::GET, "{path}");
            }
            Access::For(_) => assert_ne!(method, Method::GET, "{path}"),
        }
    }
}

#[tokio::test]
async fn heads_need_what_gets_need() {
    let router = locked().await.router();
    assert_eq!(call(&router, &Method::HEAD, "/pipelines", &[]).await.status, 401);
    let bearer = format!("Bearer {}", KEYS[0].0);
    let answer = call(&router, &Method::HEAD, "/pipelines", &[("authorization", &bearer)]).await;
    assert_eq!((answer.status.as_u16(), answer.text.as_str()), (200, ""));
}

#[tokio::test]
async fn what_is_not_declared_is_not_there() {
    let app = Arc::clone(server().await.app());
    let declaring = Routes::default().get("/declared", Access::Open, async || "declared").delete(
        "/declared",
        Access::Open,
        async || "deleted",
    );
    let router = guarded(declaring, &app, Auth::default(), DEFAULT_ADDRESS)();
    let router = Router::new().fallback_service(router);
    assert_eq!(get(&router, "/declared").await.text, "declared");
    assert_eq!(get(&router, "/new").await.status, 404);
    let answer = post(&router, "/declared", "").await;
    assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, Some("GET,HEAD,DELETE")));
}

#[tokio::test]
async fn a_request_without_a_key_that_is_known_is_401_with_a_challenge() {
    let router = locked().await.router();
    let good = KEYS[2].0;
    let (bearer, basic) = (format!("Bearer {good}"), format!("Basic {good}"));
    let (cut, longer) = (format!("Bearer {}", &good[1..]), format!("Bearer {good}x"));
    for (headers, message) in [
        (&[][..], "Missing or invalid Authorization header. Expected: Bearer <api-key>"),
        (&[("x-api-key", good)], "Missing or invalid"),
        (&[("authorization", good)], "Missing or invalid"),
        (&[("authorization", &*basic)], "Missing or invalid"),
        (&[("authorization", "Bearer")], "Missing or invalid"),
        (&[("authorization", &*bearer), ("authorization", &*bearer)], "Missing or invalid"),
        (&[("authorization", "Bearer  ")], "Invalid API key"),
        (&[("authorization", &*cut)], "Invalid API key"),
        (&[("authorization", &*longer)], "Invalid API key"),
    ] {
        // What is not there answers the same.
        for path in ["/pipelines", "/nothing", "/compile"] {
            let answer = call(&router, &Method::GET, path, headers).await;
            assert_eq!(answer.status, 401, "{headers:?}");
            let body = answer.json();
            assert_eq!(super::keys(&body), ["error", "message", "requestId"]);
            assert_eq!(body["error"], "Unauthorized");
            assert!(body["message"].as_str().unwrap().starts_with(message), "{headers:?}: {body}");
            assert!(answer.header("www-authenticate").unwrap().starts_with("Bearer realm="));
            assert!(!answer.text.contains(&good[1..]), "the key is not told");
        }
    }
    let lower = format!("bearer {good}");
    let answer = call(&router, &Method::GET, "/pipelines", &[("authorization", &lower)]).await;
    assert_eq!(answer.status, 200);
    let answer = call(&router, &Method::GET, "/compile", &[("authorization", &bearer)]).await;
    assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, Some("POST")));
    let answer = call(&router, &Method::GET, "/nothing", &[("authorization", &bearer)]).await;
    assert_eq!(answer.status, 404);
}

#[tokio::test]
async fn probes_need_neither_key_nor_host_and_tell_no_names_without() {
    let router = locked().await.router();
    for path in ["/live", "/ready", "/health", "/health/live", "/health/ready", "/metrics"] {
        let probe = [("host", "10.9.8.7:80"), ("origin", "http://evil.com")];
        let answer = call(&router, &Method::GET, path, &probe).await;
        assert_eq!(answer.status, 200, "{path}");
    }
    for path in ["/ready?verbose", "/health/ready?x&verbose=1", "/ready?%76erbose"] {
        assert_eq!(get(&router, path).await.status, 401, "{path}");
        let bearer = format!("Bearer {}", KEYS[0].0);
        let answer = call(&router, &Method::GET, path, &[("authorization", &bearer)]).await;
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.text.contains("problems"), "{path}");
    }
    let open = server().await.router();
    assert_eq!(get(&open, "/ready?verbose").await.status, 200);
    let answer = call(&open, &Method::GET, "/ready?verbose", &[("host", "evil.com")]).await;
    assert_eq!(answer.status, 403);
}

#[tokio::test]
async fn requests_of_other_web_sites_reach_no_handler() {
    let server = server().await;
    let router = server.router();
    let (_, declared) = routes().into_parts();
    for (route, method, access) in declared.all() {
        if !matches!(access, Access::For(_)) {
            continue;
        }
        let path = path_of(route);
        for (headers, status, code) in [
            (&[("host", "evil.com")][..], 403, "ForbiddenHost"),
            (&[("origin", "http://evil.com")], 403, "ForbiddenOrigin"),
            (&[("origin", "null")], 403, "ForbiddenOrigin"),
            (&[("host", "localhost"), ("host", "localhost")], 400, "InvalidHost"),
        ] {
            let answer = call(&router, method, &path, headers).await;
            assert_eq!(answer.status, status, "{method} {path} {headers:?}");
            assert_eq!(answer.json()["error"], code, "{method} {path} {headers:?}");
            let message = answer.json()["message"].as_str().unwrap().to_owned();
            let names_it = message.contains(&format!("'{}'", headers[0].1));
            assert_eq!(names_it, status == 403, "whoever runs the server can see what to allow: {message}");
        }
    }
    let request = Request::post("/run")
        .header(header::ORIGIN, "http://localhost")
        .body(Body::from(json!({ "source": SHOUT, "inputs": { "text": "hi" } }).to_string()));
    assert_eq!(send(&router, request.unwrap()).await.status, 200, "a page of the server itself");
}

#[tokio::test]
async fn hosts_and_web_sites_can_be_allowed() {
    let mut sites = AllowedSites::default();
    sites.allow_host("api.example.com").unwrap();
    sites.allow_origin("https://app.example.com").unwrap();
    let builder = ConstellationServer::builder(constellation_stdlib::registry());
    let router = builder.with_allowed_sites(sites).build().await.unwrap().router();
    let headers = [("host", "api.example.com"), ("origin", "https://app.example.com")];
    assert_eq!(call(&router, &Method::GET, "/pipelines", &headers).await.status, 200);
}

#[tokio::test]
async fn an_address_that_others_reach_needs_keys() {
    let serve = |keys: ApiKeys| async move {
        let listener = tokio::net::TcpListener::bind("0.0.0.0:0").await.unwrap();
        let builder = ConstellationServer::builder(constellation_stdlib::registry()).with_auth(keys);
        builder.serve(listener, async {}).await
    };
    let refused = serve(ApiKeys::default()).await.unwrap_err().to_string();
    assert!(refused.contains("CONSTELLATION_API_KEYS") && refused.contains("--insecure"), "{refused}");
    serve(api_keys()).await.unwrap();
}
