//! `/modules/published` and `/modules/{name}/invoke`: modules that are called without a program.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use constellation_module::ModuleSpec;

use super::body::read_json;
use super::conditions;
use super::layer::RequestId;
use super::modules::info;
use super::path::PathParameters;
use super::programs::{decode_inputs, identified};
use super::respond::{self, Failure, json};
use super::routes::Guarded;
use super::runs::run_pipeline;
use crate::service::ProgramOf;
use crate::wire::{
    ErrorCode, ErrorResponse, ExecuteResponse, InputsBody, InvokeResponse, ModuleInfo, OptionsBody,
    PublishedModuleInfo, PublishedModuleList, shown,
};

/// Lists the modules that can be called by themselves.
#[utoipa::path(
    get,
    path = "/modules/published",
    operation_id = "listPublishedModules",
    tag = "modules",
    responses(
        (status = 200, description = "The modules that are published", body = PublishedModuleList),
    )
)]
pub(super) async fn list(State(app): State<Guarded>) -> Response {
    let specs = app.service.registry().iter().map(|module| module.spec());
    let modules = specs.filter(|spec| spec.published).map(published).collect();
    json(StatusCode::OK, &PublishedModuleList { modules })
}

/// Calls a published module.
///
/// The body has its parameters by name; those of an optional type may be left out.
#[utoipa::path(
    post,
    path = "/modules/{name}/invoke",
    operation_id = "invokeModule",
    tag = "modules",
    params(("name" = String, Path, description = "The name of the module, or its part after the last dot")),
    request_body(content = InputsBody, example = json!({ "coupon": "SUMMER", "cents": 1999 })),
    responses(
        (status = 200, description = "The call has ended, also when it failed", body = InvokeResponse),
        (status = 400, description = "A parameter is missing, not known, or of another type", body = InvokeResponse),
        (status = 404, description = "There is no such module, or it is not published", body = ErrorResponse),
        (status = 503, description = "The call was refused a slot", body = InvokeResponse),
    )
)]
pub(super) async fn invoke(
    State(app): State<Guarded>,
    request_id: RequestId,
    path: PathParameters<1>,
    request: Request,
) -> Response {
    respond::answer(&request_id, async {
        let (headers, body) = conditions::without_parameters(request)?;
        let [name] = path.get()?;
        let module = app.service.published_module(&name).ok_or_else(|| {
            let shown = shown(&name);
            let message = format!("No module '{shown}' is published");
            Failure::new(StatusCode::NOT_FOUND, ErrorCode::NotFound, message)
        })?;
        let pipeline = module.pipeline()?;
        let given = match read_json(&app, &headers, body).await {
            Ok(given) => Ok(given),
            Err(error) => Err(error.told("a JSON object of parameters")?),
        };
        let (status, ran) = match given.map(|given| decode_inputs(pipeline, given)) {
            Ok(Ok(inputs)) => {
                let asked = OptionsBody::default();
                run_pipeline(&app, Arc::clone(pipeline), inputs, asked, ProgramOf::Module).await?
            }
            Ok(Err(refused)) => (StatusCode::BAD_REQUEST, refused.into()),
            Err(message) => refused(message),
        };
        // Nobody could give it later.
        let (status, ran) = match &ran.missing_inputs {
            Some(missing) => refused(text_of(missing)),
            None => (status, ran),
        };
        let ran = identified(status, ran, &request_id);
        let body = InvokeResponse {
            success: ran.success,
            outputs: ran.outputs,
            error: ran.error,
            module: module.name.to_string(),
            execution_id: ran.execution_id,
            errors: ran.told.errors,
            request_id: ran.request_id,
        };
        Ok(json(status, &body))
    })
    .await
}

fn refused(message: String) -> (StatusCode, ExecuteResponse) {
    (StatusCode::BAD_REQUEST, ExecuteResponse { error: Some(message), ..ExecuteResponse::default() })
}

fn text_of(missing: &BTreeMap<String, String>) -> String {
    let names: Vec<String> = missing.keys().map(|name| format!("'{name}'")).collect();
    format!("Missing required input: {}", names.join(", "))
}

fn published(spec: &ModuleSpec) -> PublishedModuleInfo {
    let ModuleInfo { name, description, version, inputs, outputs } = info(spec);
    PublishedModuleInfo {
        endpoint: format!("/modules/{name}/invoke"),
        name,
        description,
        version,
        tags: spec.tags.clone(),
        inputs,
        outputs,
    }
}
