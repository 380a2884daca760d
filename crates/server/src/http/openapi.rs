//! `GET /openapi.json`: the document that tools read the API from.
//!
//! Routes and roles are those of the route table, what a route takes and answers stands at its handler, and schemas are
//! those of the wire types. What holds for many routes is added here, so that no handler repeats it.

mod values;

use std::borrow::Cow;
use std::sync::LazyLock;

use axum::http::{Method, header};
use axum::response::{IntoResponse, Response as HttpResponse};
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::AnyOfBuilder;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    Components, Content, HeaderBuilder, OpenApi as Document, PathItem, Ref, RefOr, Required, Response,
    ResponseBuilder, Schema,
};
use utoipa::{OpenApi, PartialSchema, ToSchema};

use super::routes::{Access, Declared};
use super::{changes, diff, health, invoke, listing, modules, pipelines, programs, prune, routes, versions};
use crate::auth::Role;
use crate::wire::{
    AliasRequest, CompileRequest, ErrorResponse, ExecuteRequest, InputsBody, OptionsBody, ReloadRequest,
    RunRequest,
};

/// What is said of the API as a whole.
const ABOUT: &str = "Compiles dataflow programs, stores them durably, and runs them by name or by hash.\n\n\
    Every answer of a route has `X-Request-ID`. Bodies of requests are read as JSON whatever their media type.";

const KEY: &str = "apiKey";

const ABOUT_KEYS: &str = "Needed when the server has keys. A key has a role, `ReadOnly`, `Execute` or `Admin`, each of \
    which may do all that those before it may; the role that a route needs stands in its requirement.";

/// Paths that lead to the handler of another.
const OTHER_NAMES: [(&str, &str); 2] = [("/health/live", "/live"), ("/health/ready", "/ready")];

const X_REQUEST_ID: &str = "X-Request-ID";
const IF_MATCH: &str = "If-Match";
const IF_NONE_MATCH: &str = "If-None-Match";

/// Headers that many routes take.
const PARAMETERS: [(&str, &str); 3] = [
    (X_REQUEST_ID, "Up to 64 letters, digits and `-_.:` to name the request by in the answer and in the log"),
    (IF_MATCH, "Make the change only when this version, in quotes, is the active one"),
    (IF_NONE_MATCH, "With `*`, make the change only when the name does not point to anything"),
];

/// The header of a change that was made, or would be.
const ACTIVE_VERSION: (&str, &str) =
    ("ETag", "The active version of the name after the request, in quotes, if there is one");

/// Headers of answers, with the status that has them; none where all have.
const HEADERS: [(Option<&str>, &str, &str); 5] = [
    (None, X_REQUEST_ID, "What names the request in the log"),
    (Some("401"), "WWW-Authenticate", "That a key is needed, and what is wrong with the one that was given"),
    (Some("403"), "WWW-Authenticate", "That the role of the key is not enough, if that is why"),
    (Some("412"), "ETag", "The active version of the name, in quotes, if there is one"),
    (Some("503"), "Retry-After", "Seconds after which to send the same again, if nothing was done"),
];

/// A refusal that many routes have in common.
struct Refusal {
    of: Of,
    status: &'static str,
    /// Of the response, in the document.
    name: &'static str,
    description: &'static str,
}

/// The routes that have a refusal.
enum Of {
    All,
    /// Those that look at keys, hosts and web sites.
    Guarded,
    /// Those that take a body.
    Bodies,
    /// Those that change something.
    Changes,
}

const fn refusal(of: Of, status: &'static str, name: &'static str, description: &'static str) -> Refusal {
    Refusal { of, status, name, description }
}

const REFUSALS: [Refusal; 11] = [
    refusal(Of::Guarded, "400", "Malformed", "The request is not well formed"),
    refusal(Of::Guarded, "401", "Unauthorized", "There is no key, or one that is not known"),
    refusal(
        Of::Guarded,
        "403",
        "Forbidden",
        "The role of the key is not enough, or the request names a foreign host or comes from a foreign web site",
    ),
    refusal(Of::Bodies, "408", "RequestTimeout", "The body did not arrive in time"),
    refusal(Of::Changes, "412", "PreconditionFailed", "The name does not have the version that is required"),
    refusal(Of::Bodies, "413", "PayloadTooLarge", "The body is too large"),
    refusal(Of::All, "414", "UriTooLong", "The target is too long"),
    refusal(Of::Bodies, "415", "UnsupportedMediaType", "The body is encoded"),
    refusal(
        Of::All,
        "500",
        "InternalError",
        "The server failed; its log tells more under the id of the request",
    ),
    refusal(Of::All, "503", "Unavailable", "The server cannot do it now"),
    refusal(Of::Changes, "507", "StorageFull", "There is no room; nothing has changed"),
];

#[derive(OpenApi)]
#[openapi(
    info(title = "Constellation", description = ABOUT, version = env!("CARGO_PKG_VERSION")),
    paths(
        programs::compile,
        programs::execute,
        programs::run,
        listing::list,
        pipelines::show,
        changes::delete,
        diff::show,
        changes::alias,
        prune::prune,
        changes::reload,
        changes::roll_back,
        changes::roll_back_to,
        versions::list,
        versions::show,
        modules::list,
        modules::namespaces,
        modules::functions,
        invoke::list,
        invoke::invoke,
        health::health,
        health::live,
        health::ready,
        health::metrics,
        show,
    )
)]
struct Declarations;

/// Describes this API, as this document does.
///
/// It tells nothing that depends on what is stored or configured, so it needs no key.
#[utoipa::path(
    get,
    path = "/openapi.json",
    operation_id = "openapi",
    tag = "operations",
    responses((status = 200, description = "An OpenAPI 3.1 document", body = Object))
)]
pub(super) async fn show() -> HttpResponse {
    ([(header::CONTENT_TYPE, "application/json")], openapi()).into_response()
}

/// The OpenAPI document of the HTTP API, as `GET /openapi.json` answers it: JSON without a newline at its end.
pub fn openapi() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        let (_, declared) = routes().into_parts();
        document(&declared).to_pretty_json().expect("a document has names for keys")
    });
    &TEXT
}

/// The document of the routes that are declared.
pub(super) fn document(declared: &Declared) -> Document {
    let mut document = Declarations::openapi();
    for (other, path) in OTHER_NAMES {
        let mut item = document.paths.paths[path].clone();
        for operation in operations(&mut item) {
            operation.operation_id = operation.operation_id.take().map(|id| format!("{id}UnderHealth"));
        }
        document.paths.paths.insert(other.to_owned(), item);
    }
    for (path, method, access) in declared.all() {
        let item = document.paths.paths.get_mut(path);
        if let Some(operation) = item.and_then(|item| operation(item, method)) {
            complete(operation, access);
        }
    }
    let components = document.components.get_or_insert_default();
    add_shared(components);
    values::add(&mut components.schemas);
    let requests = requests();
    for (name, schema) in &mut components.schemas {
        if let RefOr::T(schema) = schema
            && !requests.contains(&Cow::Borrowed(name))
        {
            require_nulls(schema);
        }
    }
    document
}

/// The types whose optional members may be left out. In answers they are null.
pub(super) fn requests() -> [Cow<'static, str>; 7] {
    [
        CompileRequest::name(),
        ExecuteRequest::name(),
        RunRequest::name(),
        OptionsBody::name(),
        AliasRequest::name(),
        ReloadRequest::name(),
        InputsBody::name(),
    ]
}

fn operation<'a>(item: &'a mut PathItem, method: &Method) -> Option<&'a mut Operation> {
    match *method {
        Method::GET => item.get.as_mut(),
        Method::POST => item.post.as_mut(),
        Method::PUT => item.put.as_mut(),
        Method::DELETE => item.delete.as_mut(),
        _ => None,
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.post, &mut item.put, &mut item.delete].into_iter().flatten()
}

/// Adds what follows from who may use a route, and from what it takes.
fn complete(operation: &mut Operation, access: Access) {
    let parameters = operation.parameters.get_or_insert_default();
    let is_change = parameters.iter().any(|parameter| named(parameter, "dry_run"));
    let conditions = if is_change { &[IF_MATCH, IF_NONE_MATCH][..] } else { &[] };
    let headers = [X_REQUEST_ID].into_iter().chain(conditions.iter().copied());
    parameters.extend(headers.map(|name| RefOr::Ref(Ref::new(format!("#/components/parameters/{name}")))));

    let requirement = |role: Role| SecurityRequirement::new(KEY, [role.to_string()]);
    operation.security = Some(match access {
        Access::Open => Vec::new(),
        Access::OpenUnlessVerbose => vec![SecurityRequirement::default(), requirement(Role::ReadOnly)],
        Access::For(role) => vec![requirement(role)],
    });

    let takes_body = operation.request_body.is_some();
    let refused = REFUSALS.iter().filter(|refusal| match refusal.of {
        Of::All => true,
        Of::Guarded => access != Access::Open,
        Of::Bodies => takes_body,
        Of::Changes => is_change,
    });
    for refusal in refused {
        refuse(operation, refusal);
    }
    for (status, response) in &mut operation.responses.responses {
        if let RefOr::T(response) = response {
            add_headers(response, status);
            if is_change && status == "200" {
                add_header(response, ACTIVE_VERSION);
            }
        }
    }
}

/// Adds a refusal with the body that all routes have in common, beside the one that the route has of its own.
fn refuse(operation: &mut Operation, refusal: &Refusal) {
    let responses = &mut operation.responses.responses;
    let response = responses
        .entry(refusal.status.to_owned())
        .or_insert_with(|| Ref::from_response_name(refusal.name).into());
    let RefOr::T(Response { content, .. }) = response else { return };
    for content in content.values_mut() {
        if let RefOr::T(content) = content
            && let Some(own) = content.schema.take()
        {
            let common = RefOr::from(Ref::from_schema_name(ErrorResponse::name()));
            content.schema = Some(if own == common {
                own
            } else {
                Schema::AnyOf(AnyOfBuilder::new().item(own).item(common).build()).into()
            });
        }
    }
}

fn add_headers(response: &mut Response, status: &str) {
    let headers = HEADERS.iter().filter(|(of, ..)| of.is_none_or(|of| of == status));
    for (_, name, description) in headers {
        add_header(response, (name, description));
    }
}

fn add_header(response: &mut Response, (name, description): (&str, &str)) {
    let header = HeaderBuilder::new().schema(Some(String::schema())).description(Some(description));
    response.headers.entry(name.to_owned()).or_insert(header.build().into());
}

/// What operations refer to.
fn add_shared(components: &mut Components) {
    for Refusal { status, name, description, .. } in &REFUSALS {
        let content = Content::new(Some(Ref::from_schema_name(ErrorResponse::name())));
        let response = ResponseBuilder::new().description(*description).content("application/json", content);
        let mut response = response.build();
        add_headers(&mut response, status);
        components.responses.insert((*name).to_owned(), response.into());
    }
    for (name, description) in PARAMETERS {
        let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Header);
        let parameter = parameter.required(Required::False).description(Some(description));
        let parameter = parameter.schema(Some(String::schema())).build();
        components.parameters.insert(name.to_owned(), parameter.into());
    }
    let key = Http::builder().scheme(HttpAuthScheme::Bearer).description(Some(ABOUT_KEYS)).build();
    components.add_security_scheme(KEY, SecurityScheme::Http(key));
}

fn named(parameter: &RefOr<Parameter>, name: &str) -> bool {
    matches!(parameter, RefOr::T(parameter) if parameter.name == name)
}

/// Requires the members of an answer that may be null: they are written as null, never left out.
fn require_nulls(schema: &mut Schema) {
    match schema {
        Schema::Object(object) => {
            let nullable = object.properties.iter().filter(|(_, schema)| may_be_null(schema));
            let nullable: Vec<String> = nullable.map(|(name, _)| name.clone()).collect();
            object.required.extend(nullable);
        }
        Schema::AllOf(all) => {
            for schema in &mut all.items {
                if let RefOr::T(schema) = schema {
                    require_nulls(schema);
                }
            }
        }
        _ => {}
    }
}

fn may_be_null(schema: &RefOr<Schema>) -> bool {
    use utoipa::openapi::schema::{SchemaType, Type};

    let is_null = |ty: &SchemaType| match ty {
        SchemaType::Type(ty) => *ty == Type::Null,
        SchemaType::Array(types) => types.contains(&Type::Null),
        SchemaType::AnyValue => false,
    };
    match schema {
        RefOr::T(Schema::Object(object)) => is_null(&object.schema_type),
        RefOr::T(Schema::Array(array)) => is_null(&array.schema_type),
        RefOr::T(Schema::OneOf(one)) => one.items.iter().any(may_be_null),
        _ => false,
    }
}
