//! The document says what the server does, and the server does what the document says.
//!
//! That answers are as it says is looked at wherever a test calls a route, see `test_support::described`.

use std::collections::BTreeSet;

use axum::http::Method;
use constellation_module::ModuleBuilder;
use utoipa::ToSchema as _;

use super::auth::{KEYS, locked};
use super::*;
use crate::config::Limits;
use crate::http::openapi::requests;
use crate::http::routes;
use crate::test_support::described::{DOCUMENT, problems, resolved};
use crate::test_support::{Answer, call};
use crate::wire::InputsBody;

/// The name in example paths.
const NOBODY: &str = "nobody";

/// An operation of the document.
struct Described {
    path: &'static str,
    method: Method,
    operation: &'static Value,
}

impl Described {
    fn place(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// A path that leads to it, and to no pipeline.
    fn example(&self) -> String {
        let path = ["ref", "ref2", "name", "namespace"]
            .iter()
            .fold(self.path.replace("{version}", "1"), |path, name| {
                path.replace(&format!("{{{name}}}"), NOBODY)
            });
        // Otherwise it is open.
        if self.operation["operationId"].as_str().unwrap().starts_with("ready") {
            path + "?verbose"
        } else {
            path
        }
    }

    fn takes_body(&self) -> bool {
        self.operation.get("requestBody").is_some()
    }

    fn has(&self, status: &str) -> bool {
        self.operation["responses"].get(status).is_some()
    }
}

fn operations() -> Vec<Described> {
    let paths = DOCUMENT["paths"].as_object().unwrap();
    let operations = paths.iter().flat_map(|(path, item)| {
        item.as_object().unwrap().iter().map(move |(method, operation)| {
            let method = method.to_uppercase().parse().unwrap();
            Described { path, method, operation }
        })
    });
    operations.collect()
}

#[test]
fn the_document_has_the_routes_of_the_table_with_their_roles_and_no_others() {
    let described: BTreeSet<(String, String)> = operations()
        .iter()
        .map(|described| (described.place(), described.operation["security"].to_string()))
        .collect();
    let (_, declared) = routes().into_parts();
    let expected = declared.all().map(|(path, method, access)| {
        let security = match access {
            Access::Open => json!([]),
            Access::OpenUnlessVerbose => json!([{}, { "apiKey": ["ReadOnly"] }]),
            Access::For(role) => json!([{ "apiKey": [role.to_string()] }]),
        };
        (format!("{method} {path}"), security.to_string())
    });
    assert_eq!(described, expected.collect());
}

#[test]
fn names_of_operations_and_parameters_are_those_of_their_paths_and_given_once() {
    let mut ids = BTreeSet::new();
    for described in operations() {
        let id = described.operation["operationId"].as_str().unwrap();
        assert!(ids.insert(id), "{id} is there twice");
        let parameters = described.operation["parameters"].as_array().unwrap();
        let parameters: Vec<&Value> = parameters.iter().map(resolved).collect();
        let in_path: BTreeSet<&str> = parameters
            .iter()
            .filter(|parameter| parameter["in"] == "path")
            .map(|parameter| parameter["name"].as_str().unwrap())
            .collect();
        let segments = described.path.split('/');
        let named = segments.filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'));
        assert_eq!(in_path, named.collect(), "{}", described.place());
    }
}

#[test]
fn every_schema_is_one_requests_are_closed_and_members_of_answers_are_never_left_out() {
    let schemas = DOCUMENT["components"]["schemas"].as_object().unwrap();
    let requests = requests();
    for (name, schema) in schemas {
        assert!(jsonschema::meta::is_valid(schema), "{name}: {schema}");
        // The one answer of which members are left out.
        if requests.iter().any(|request| request == name) || name == "ErrorDetails" {
            continue;
        }
        let parts = schema["allOf"].as_array().into_iter().flatten().chain([schema]);
        for part in parts.filter(|part| part.get("properties").is_some()) {
            let required: BTreeSet<&str> =
                part["required"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
            let members = part["properties"].as_object().unwrap().keys().map(String::as_str);
            // The one member that only refusals have, where they have the shape of the answer.
            let is_there = |member: &&str| *member != "requestId" || name == "ErrorResponse";
            assert_eq!(required, members.filter(is_there).collect(), "{name}");
        }
    }
    for name in requests.iter().filter(|name| **name != InputsBody::name()) {
        assert_eq!(schemas[&**name]["additionalProperties"], false, "{name}");
    }
    for described in operations().iter().filter(|described| described.takes_body()) {
        let body = described.operation["requestBody"].to_string();
        assert!(
            requests.iter().any(|name| body.contains(&format!("/{name}\""))),
            "{} takes a body that is no request: {body}",
            described.place()
        );
    }
}

#[test]
fn members_with_few_values_have_them_in_the_document() {
    for (name, member, n_values) in [
        ("ExecuteResponse", "status", 4),
        ("RunResponse", "status", 4),
        ("RunErrorBody", "kind", 9),
        ("DiagnosticBody", "code", constellation_lang::Code::ALL.len()),
        ("VersionBody", "origin", 5),
        ("HealthStatus", "", 5),
        ("SeverityBody", "", 2),
        ("NodeStatusName", "", 4),
        ("ResolutionSource", "", 7),
    ] {
        let schema = &DOCUMENT["components"]["schemas"][name];
        let parts = schema["allOf"].as_array().into_iter().flatten().chain([schema]);
        let found = parts.map(|part| if member.is_empty() { part } else { &part["properties"][member] });
        let values: Vec<&Value> = found.filter_map(|found| found["enum"].as_array()).flatten().collect();
        assert_eq!(values.len(), n_values, "{name} {member}");
    }
}

#[tokio::test]
async fn the_example_of_a_body_is_as_its_schema_says_and_is_taken() {
    let router = limited(Limits::default()).await;
    let operations = operations();
    let mut bodies: Vec<&Described> = operations.iter().filter(|described| described.takes_body()).collect();
    // What is compiled can be executed.
    bodies.sort_by_key(|described| described.path != "/compile");
    for described in bodies {
        let content = &described.operation["requestBody"]["content"]["application/json"];
        let (schema, example) = (&content["schema"], &content["example"]);
        assert!(example.is_object(), "{} has no example", described.place());
        let found = problems(&format!("example {}", described.place()), schema, example);
        assert!(found.is_empty(), "{}: {found:?}", described.place());
        let answer =
            call(&router, described.method.as_str(), &described.example(), &[], example.to_string()).await;
        let expected = match described.path {
            // There is no such image, and no such module with parameters.
            "/pipelines/{name}/alias" => 404,
            "/modules/{name}/invoke" => 400,
            _ => 200,
        };
        assert_eq!(answer.status, expected, "{}: {}", described.place(), answer.text);
    }
}

#[test]
fn an_answer_with_a_member_too_many_or_too_few_is_not_as_described() {
    let answers = [
        ("Health", "status", json!({ "status": "ok" })),
        (
            "ErrorResponse",
            "requestId",
            json!({ "error": "NotFound", "message": "", "requestId": null, "users": [] }),
        ),
        ("AliasRequest", "structuralHash", json!({ "structuralHash": "" })),
    ];
    for (name, member, answer) in answers {
        let found = |answer: &Value| {
            let schema = json!({ "$ref": format!("#/components/schemas/{name}") });
            !problems(&format!("schema {name}"), &schema, answer).is_empty()
        };
        assert!(!found(&answer), "{answer}");
        let mut larger = answer.clone();
        larger["another"] = json!(1);
        assert!(found(&larger), "{larger}");
        let mut smaller = answer.clone();
        smaller.as_object_mut().unwrap().remove(member);
        assert!(found(&smaller), "{smaller}");
    }
}

#[tokio::test]
async fn whoever_asks_gets_the_document() {
    let router = locked().await.router();
    let answer = get(&router, "/openapi.json").await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, Some("application/json")));
    assert_eq!(answer.json(), *DOCUMENT);
    assert_eq!(answer.json()["openapi"], "3.1.0");
}

/// What was answered, by operation and status.
#[derive(Default)]
struct Seen(BTreeSet<(String, String)>);

impl Seen {
    fn note(&mut self, described: &Described, answer: &Answer) {
        self.0.insert((described.place(), answer.status.as_str().to_owned()));
    }

    /// Calls the operation of a pattern, and expects a status.
    async fn expect(
        &mut self,
        router: &Router,
        status: u16,
        (method, route, path): (&str, &str, &str),
        request: Sent<'_>,
    ) {
        let operations = operations();
        let described =
            operations.iter().find(|described| described.place() == format!("{method} {route}")).unwrap();
        let body = request.body.as_ref().map_or_else(String::new, Value::to_string);
        let answer = call(router, method, path, request.headers, body).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text);
        if let (true, Some(body)) = (answer.status.is_success(), &request.body) {
            let schema = &described.operation["requestBody"]["content"]["application/json"]["schema"];
            let problems = problems(&format!("{method} {route}"), schema, body);
            assert!(problems.is_empty(), "{method} {path}: {problems:?} in {body}");
        }
        self.note(described, &answer);
    }
}

/// What is sent beside method and path.
#[derive(Default)]
struct Sent<'a> {
    headers: &'a [(&'a str, &'a str)],
    body: Option<Value>,
}

fn nothing<'a>() -> Sent<'a> {
    Sent::default()
}

fn body<'a>(body: Value) -> Sent<'a> {
    Sent { body: Some(body), ..Sent::default() }
}

/// A server whose one published module has the name that example paths have.
async fn limited(limits: Limits) -> Router {
    let mut registry = constellation_stdlib::registry();
    registry.register(ModuleBuilder::new(NOBODY).published().function(|(): ()| 1)).unwrap();
    ConstellationServer::builder(registry).with_limits(limits).build().await.unwrap().router()
}

/// Why a status that is described is not seen here.
fn excuse(place: &str, status: &str) -> Option<&'static str> {
    let reads = place.starts_with("GET") && !place.ends_with("ready") && place != "GET /health";
    let moves = ["alias", "prune", "rollback", "rollback/{version}"].iter().any(|end| place.ends_with(end));
    match status {
        "500" => Some("nothing that a client sends makes the server fail; other tests make it"),
        "503" if reads || place == "POST /execute" || place.ends_with("invoke") => {
            Some("the store answers here, and nobody waits; see `overload`")
        }
        "507" if moves || place.starts_with("DELETE") => Some("the disk of a store in memory is never full"),
        _ => None,
    }
}

#[tokio::test(start_paused = true)]
async fn every_status_that_is_described_is_answered() {
    let mut seen = Seen::default();
    what_is_asked_for(&mut seen).await;
    what_the_programs_lack(&mut seen).await;
    what_no_route_takes(&mut seen).await;
    let described = operations();
    let statuses = described.iter().flat_map(|described| {
        let statuses = described.operation["responses"].as_object().unwrap().keys();
        statuses.map(|status| (described.place(), status.clone()))
    });
    let statuses: BTreeSet<(String, String)> = statuses.collect();
    let unseen = statuses.difference(&seen.0).filter(|(place, status)| excuse(place, status).is_none());
    assert_eq!(unseen.collect::<Vec<_>>(), Vec::<&(String, String)>::new());
    for (place, status) in &seen.0 {
        assert!(statuses.contains(&(place.clone(), status.clone())), "{place} answered {status}");
    }
}

/// Each route with a success, and what is wrong with requests that it understands.
async fn what_is_asked_for(seen: &mut Seen) {
    let router = limited(Limits::default()).await;
    let hash = publish(&router, "shout", SHOUT).await;
    publish(&router, "shout", "in a: Int\nout a").await;
    let in_use = format!("/pipelines/{hash}");
    let run = json!({ "source": SHOUT, "inputs": { "text": "a" }, "options": { "includeTimings": true } });
    let foreign = [("if-match", "\"99\"")];
    let condition = |body: Option<Value>| Sent { headers: &foreign, body };
    let source = json!({ "source": SHOUT });
    let alias = json!({ "structuralHash": hash });
    for (status, route, path, sent) in [
        (200, "POST /compile", "/compile", body(json!({ "source": SHOUT, "name": "loud" }))),
        (400, "POST /compile", "/compile", body(json!({ "source": "out nothing" }))),
        (412, "POST /compile", "/compile", condition(Some(json!({ "source": SHOUT, "name": "loud" })))),
        (200, "POST /execute", "/execute", body(json!({ "ref": "loud", "inputs": { "text": "a" } }))),
        (400, "POST /execute", "/execute", body(json!({ "ref": "loud", "inputs": { "test": "a" } }))),
        (404, "POST /execute", "/execute", body(json!({ "ref": "nobody", "inputs": {} }))),
        (200, "POST /run", "/run", body(run)),
        (400, "POST /run", "/run", body(json!({ "source": "out nothing", "inputs": {} }))),
        (200, "GET /pipelines", "/pipelines?limit=1&prefix=l", nothing()),
        (400, "GET /pipelines", "/pipelines?limit=0", nothing()),
        (200, "GET /pipelines/{ref}", "/pipelines/loud", nothing()),
        (400, "GET /pipelines/{ref}", "/pipelines/%FF", nothing()),
        (404, "GET /pipelines/{ref}", "/pipelines/nobody", nothing()),
        (200, "GET /pipelines/{ref}/diff/{ref2}", "/pipelines/loud/diff/shout", nothing()),
        (400, "GET /pipelines/{ref}/diff/{ref2}", "/pipelines/loud/diff/%FF", nothing()),
        (404, "GET /pipelines/{ref}/diff/{ref2}", "/pipelines/loud/diff/nobody", nothing()),
        (200, "PUT /pipelines/{name}/alias", "/pipelines/noise/alias", body(alias.clone())),
        (400, "PUT /pipelines/{name}/alias", "/pipelines/noise/alias", body(json!({}))),
        (
            404,
            "PUT /pipelines/{name}/alias",
            "/pipelines/noise/alias",
            body(json!({ "structuralHash": "0".repeat(64) })),
        ),
        (412, "PUT /pipelines/{name}/alias", "/pipelines/noise/alias", condition(Some(alias))),
        (200, "POST /pipelines/{name}/reload", "/pipelines/noise/reload?dry_run=true", body(source.clone())),
        (400, "POST /pipelines/{name}/reload", "/pipelines/noise/reload", nothing()),
        (412, "POST /pipelines/{name}/reload", "/pipelines/noise/reload", condition(Some(source))),
        (200, "POST /pipelines/{name}/prune", "/pipelines/shout/prune?keep=5", nothing()),
        (400, "POST /pipelines/{name}/prune", "/pipelines/shout/prune?keep=x", nothing()),
        (404, "POST /pipelines/{name}/prune", "/pipelines/nobody/prune", nothing()),
        (412, "POST /pipelines/{name}/prune", "/pipelines/shout/prune", condition(None)),
        (200, "POST /pipelines/{name}/rollback", "/pipelines/shout/rollback", nothing()),
        (400, "POST /pipelines/{name}/rollback", "/pipelines/%FF/rollback", nothing()),
        (404, "POST /pipelines/{name}/rollback", "/pipelines/nobody/rollback", nothing()),
        (412, "POST /pipelines/{name}/rollback", "/pipelines/shout/rollback", condition(None)),
        (200, "POST /pipelines/{name}/rollback/{version}", "/pipelines/shout/rollback/2", nothing()),
        (400, "POST /pipelines/{name}/rollback/{version}", "/pipelines/shout/rollback/two", nothing()),
        (404, "POST /pipelines/{name}/rollback/{version}", "/pipelines/shout/rollback/9", nothing()),
        (412, "POST /pipelines/{name}/rollback/{version}", "/pipelines/shout/rollback/1", condition(None)),
        (200, "GET /pipelines/{name}/versions", "/pipelines/shout/versions", nothing()),
        (400, "GET /pipelines/{name}/versions", "/pipelines/shout/versions?page=1", nothing()),
        (404, "GET /pipelines/{name}/versions", "/pipelines/nobody/versions", nothing()),
        (200, "GET /pipelines/{name}/versions/{version}", "/pipelines/shout/versions/1", nothing()),
        (400, "GET /pipelines/{name}/versions/{version}", "/pipelines/shout/versions/one", nothing()),
        (404, "GET /pipelines/{name}/versions/{version}", "/pipelines/shout/versions/9", nothing()),
        (200, "DELETE /pipelines/{ref}", "/pipelines/noise", nothing()),
        (400, "DELETE /pipelines/{ref}", "/pipelines/%FF", nothing()),
        (404, "DELETE /pipelines/{ref}", "/pipelines/nobody", nothing()),
        (409, "DELETE /pipelines/{ref}", &in_use, nothing()),
        (412, "DELETE /pipelines/{ref}", "/pipelines/loud", condition(None)),
        (200, "GET /modules", "/modules", nothing()),
        (200, "GET /modules/published", "/modules/published", nothing()),
        (200, "POST /modules/{name}/invoke", "/modules/nobody/invoke", body(json!({}))),
        (400, "POST /modules/{name}/invoke", "/modules/nobody/invoke", body(json!({ "n": 1 }))),
        (404, "POST /modules/{name}/invoke", "/modules/somebody/invoke", body(json!({}))),
        (200, "GET /namespaces", "/namespaces", nothing()),
        (200, "GET /namespaces/{namespace}", "/namespaces/stdlib.math", nothing()),
        (400, "GET /namespaces/{namespace}", "/namespaces/%FF", nothing()),
        (404, "GET /namespaces/{namespace}", "/namespaces/nobody", nothing()),
        (200, "GET /health", "/health", nothing()),
        (200, "GET /health/live", "/health/live", nothing()),
        (200, "GET /health/ready", "/health/ready?verbose", nothing()),
        (200, "GET /live", "/live", nothing()),
        (200, "GET /ready", "/ready", nothing()),
        (200, "GET /metrics", "/metrics", nothing()),
        (200, "GET /openapi.json", "/openapi.json", nothing()),
    ] {
        let (method, route) = route.split_once(' ').unwrap();
        seen.expect(&router, status, (method, route, path), sent).await;
    }
}

/// No room for new programs, a store that only reads, and a version whose module is not what it was.
async fn what_the_programs_lack(seen: &mut Seen) {
    let full = limited(Limits { max_stored_images: 0, ..Limits::default() }).await;
    let refusing = Arc::new(RefusingStore::default());
    let store: Arc<dyn PipelineStore> = Arc::<RefusingStore>::clone(&refusing);
    let router = server_over(&store).await.router();
    let hash = publish(&router, "shout", SHOUT).await;
    publish(&router, "shout", "in a: Int\nout a").await;
    refusing.refuse();
    let source = json!({ "source": "in b: Int\nout b" });
    let run = json!({ "source": "in b: Int\nout b", "inputs": {} });
    for (route, sent) in [("/compile", &source), ("/run", &run)] {
        seen.expect(&full, 507, ("POST", route, route), body(sent.clone())).await;
        seen.expect(&router, 503, ("POST", route, route), body(sent.clone())).await;
    }
    let reload = ("POST", "/pipelines/{name}/reload", "/pipelines/shout/reload");
    seen.expect(&full, 507, reload, body(source.clone())).await;
    seen.expect(&router, 503, reload, body(source)).await;
    let back = ("POST", "/pipelines/{name}/rollback", "/pipelines/shout/rollback");
    let back_to = ("POST", "/pipelines/{name}/rollback/{version}", "/pipelines/shout/rollback/1");
    let prune = ("POST", "/pipelines/{name}/prune", "/pipelines/shout/prune?keep=0");
    for route in [back, back_to, prune, ("DELETE", "/pipelines/{ref}", "/pipelines/shout")] {
        seen.expect(&router, 503, route, nothing()).await;
    }
    let alias = ("PUT", "/pipelines/{name}/alias", "/pipelines/loud/alias");
    seen.expect(&router, 503, alias, body(json!({ "structuralHash": hash }))).await;
    for path in ["/ready", "/health/ready"] {
        seen.expect(&router, 503, ("GET", path, path), nothing()).await;
    }

    let stopping = server().await;
    stopping.app().drain();
    seen.expect(&stopping.router(), 503, ("GET", "/health", "/health"), nothing()).await;

    let store: Arc<dyn PipelineStore> = Arc::new(InMemoryPipelineStore::new());
    let before =
        ConstellationServer::builder(registry_with_parameter("number")).with_store(Arc::clone(&store));
    let before = before.build().await.unwrap().router();
    publish(&before, "shout", "in a: Int\nb = double(a)\nout b").await;
    publish(&before, "shout", "in a: Int\nout a").await;
    let after = ConstellationServer::builder(registry_with_parameter("int")).with_store(store);
    let after = after.build().await.unwrap().router();
    for route in [back, back_to] {
        seen.expect(&after, 409, route, nothing()).await;
    }
}

/// What has nothing to do with what is asked for.
async fn what_no_route_takes(seen: &mut Seen) {
    let open = limited(Limits::default()).await;
    let locked = locked().await.router();
    let tiny = limited(Limits { max_uri_bytes: 0, max_body_bytes: 1, ..Limits::default() }).await;
    let small = limited(Limits { max_body_bytes: 1, ..Limits::default() }).await;
    let key = format!("Bearer {}", KEYS[2].0);
    for described in operations() {
        let (method, path) = (described.method.as_str(), described.example());
        let ways = [
            ("400", &open, vec![("host", "localhost"), ("host", "localhost")]),
            ("401", &locked, vec![]),
            ("403", &locked, vec![("authorization", key.as_str()), ("origin", "http://evil.com")]),
            ("414", &tiny, vec![]),
            ("415", &open, vec![("content-encoding", "gzip")]),
        ];
        for (status, router, headers) in ways {
            if described.has(status) {
                let answer = call(router, method, &path, &headers, "{}").await;
                assert_eq!(answer.status.as_str(), status, "{}: {}", described.place(), answer.text);
                seen.note(&described, &answer);
            }
        }
        if described.takes_body() {
            let answer = call(&small, method, &path, &[], "{}").await;
            assert_eq!(answer.status, 413, "{}", described.place());
            seen.note(&described, &answer);
            let request = Request::builder().method(&described.method).uri(&path);
            let never = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
            let answer = send(&open, request.body(never).unwrap()).await;
            assert_eq!(answer.status, 408, "{}", described.place());
            seen.note(&described, &answer);
        }
    }
}
