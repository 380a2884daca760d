//! `/compile`, `/execute` and `/run`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use constellation_rehydrate::LoadedPipeline;
use constellation_runtime::{Inputs, RunErrorKind};
use constellation_store_core::{Origin, PipelineName, Precondition, Reference, StoreError};
use constellation_types::decode_json;

use super::body::read_json;
use super::conditions;
use super::layer::RequestId;
use super::query::Parameters;
use super::respond::{Failure, json, tagged, written_json};
use super::routes::Guarded;
use super::runs::run_pipeline;
use crate::error::ServiceError;
use crate::service::{Mode, ProgramOf, Published, Target};
use crate::wire::{
    ChangeParameters, CompileRequest, CompileResponse, Completed, DiagnosticBody, ErrorResponse,
    ExecuteRequest, ExecuteResponse, InputsBody, RunErrorBody, RunRequest, RunResponse, ToldBody, unknown,
};

/// Compiles a source and stores it, under a name if it has one.
///
/// The same program again makes no version.
#[utoipa::path(
    post,
    path = "/compile",
    operation_id = "compile",
    tag = "programs",
    params(ChangeParameters),
    request_body(
        content = CompileRequest,
        example = json!({ "name": "greet", "source": "in who: String\ntext = concat(\"Hello, \", who)\nout text" }),
    ),
    responses(
        (
            status = 200,
            description = "It is compiled and stored, or it was already",
            body = CompileResponse,
        ),
        (status = 400, description = "The program or the request has errors", body = CompileResponse),
    )
)]
pub(super) async fn compile(
    State(app): State<Guarded>,
    request_id: RequestId,
    query: Parameters<ChangeParameters>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let mode = match conditions::mode(query) {
        Ok(mode) => mode,
        Err(failure) => return failure.respond(&request_id),
    };
    let refuse = |message: String| {
        let request_id = Some(request_id.to_string());
        let body = CompileResponse { errors: vec![message], request_id, ..CompileResponse::default() };
        json(StatusCode::BAD_REQUEST, &body)
    };
    let CompileRequest { source, name, dag_name } = match read_json(&app, &headers, body).await {
        Ok(request) => request,
        Err(error) => match error.told("JSON body with 'source' field") {
            Ok(message) => return refuse(message),
            Err(failure) => return failure.respond(&request_id),
        },
    };
    let name = match name.or(dag_name).map(|name| name.parse::<PipelineName>()).transpose() {
        Ok(name) => name,
        Err(error) => return refuse(invalid_name(&error)),
    };
    let precondition = match conditions::precondition(&headers) {
        Ok(Precondition::Any) => Precondition::Any,
        Ok(_) if name.is_none() => return refuse("A condition needs the 'name' that it is about".into()),
        Ok(precondition) => precondition,
        Err(failure) => return failure.respond(&request_id),
    };
    let target = name.clone().map(|name| Target { name, origin: Origin::Compile, precondition });
    let published = match app.service.publish(source.into(), target, mode).await {
        Ok(published) => published,
        Err(ServiceError::Compile(diagnostics)) => {
            let body = CompileResponse {
                errors: DiagnosticBody::messages(&diagnostics),
                diagnostics: DiagnosticBody::of(&diagnostics),
                request_id: Some(request_id.to_string()),
                ..CompileResponse::default()
            };
            return json(StatusCode::BAD_REQUEST, &body);
        }
        Err(error @ ServiceError::Unsupported(_)) => return refuse(error.to_string()),
        Err(error) => {
            let failure = match name {
                Some(name) => conditions::failed(&app, error, &name, precondition).await,
                None => error.into(),
            };
            return failure.respond(&request_id);
        }
    };
    let name = name.map(|name| name.to_string());
    let Published { found, pointed } = &published;
    let body = CompileResponse {
        success: true,
        structural_hash: Some(found.structural_hash().to_string()),
        syntactic_hash: Some(found.key.syntactic.to_string()),
        dag_name: name.clone(),
        name,
        errors: Vec::new(),
        diagnostics: DiagnosticBody::of(&found.warnings),
        version: pointed.map(|pointed| pointed.active.version),
        changed: pointed.map(|pointed| pointed.changed),
        previous_hash: pointed
            .and_then(|pointed| pointed.previous)
            .map(|previous| previous.structural_hash.to_string()),
        dry_run: mode == Mode::DryRun,
        request_id: None,
    };
    tagged(&body, pointed.and_then(|pointed| pointed.active_after(mode)))
}

/// Runs a stored pipeline.
#[utoipa::path(
    post,
    path = "/execute",
    operation_id = "execute",
    tag = "programs",
    request_body(
        content = ExecuteRequest,
        example = json!({ "ref": "greet", "inputs": { "who": "Ada" }, "options": { "timeoutMs": 500 } }),
    ),
    responses(
        (
            status = 200,
            description = "The run has ended, also when it failed, or it did not start for want of inputs",
            body = ExecuteResponse,
        ),
        (
            status = 400,
            description = "The request or an input is not well formed, or there is no such input",
            body = ExecuteResponse,
        ),
        (status = 404, description = "There is no such pipeline", body = ErrorResponse),
        (
            status = 503,
            description = "Calls of modules were refused a slot, and no output came about",
            body = ExecuteResponse,
        ),
    )
)]
pub(super) async fn execute(State(app): State<Guarded>, request_id: RequestId, request: Request) -> Response {
    let (headers, body) = match conditions::without_parameters(request) {
        Ok(parts) => parts,
        Err(failure) => return failure.respond(&request_id),
    };
    let refuse = |message: String| {
        let body = ExecuteResponse { error: Some(message), ..ExecuteResponse::default() };
        answered(StatusCode::BAD_REQUEST, body, &request_id)
    };
    let ExecuteRequest { reference, dag_name, inputs, options } = match read_json(&app, &headers, body).await
    {
        Ok(request) => request,
        Err(error) => match error.told("JSON body with 'ref' and 'inputs' fields") {
            Ok(message) => return refuse(message),
            Err(failure) => return failure.respond(&request_id),
        },
    };
    let Some(reference) = reference.or(dag_name) else {
        return refuse("Missing 'ref' field: the name or the hash of a pipeline".to_owned());
    };
    if reference.trim().is_empty() {
        return refuse("Invalid ref: Pipeline reference cannot be blank".to_owned());
    }
    let reference: Reference = match reference.parse() {
        Ok(reference) => reference,
        Err(error) => return refuse(format!("Invalid ref: {}", invalid_name(&error))),
    };
    let pipeline = match app.service.load(&reference).await {
        Ok(pipeline) => pipeline,
        Err(error) => return Failure::from(error).respond(&request_id),
    };
    match decode_inputs(&pipeline, inputs) {
        Ok(inputs) => {
            let program = ProgramOf::Reference(&reference);
            match run_pipeline(&app, pipeline, inputs, options, program).await {
                Ok((status, body)) => answered(status, body, &request_id),
                Err(error) => Failure::from(error).respond(&request_id),
            }
        }
        Err(refused) => answered(StatusCode::BAD_REQUEST, refused.into(), &request_id),
    }
}

/// Runs a source, which is compiled and stored without a name when it is not stored yet.
#[utoipa::path(
    post,
    path = "/run",
    operation_id = "run",
    tag = "programs",
    request_body(
        content = RunRequest,
        example = json!({ "source": "in n: Int\nhalf = n / 2\nout half", "inputs": { "n": 12 } }),
    ),
    responses(
        (
            status = 200,
            description = "The run has ended, also when it failed, or it did not start for want of inputs",
            body = RunResponse,
        ),
        (
            status = 400,
            description = "The program has errors, or the request or an input is not well formed",
            body = RunResponse,
        ),
        (
            status = 503,
            description = "Calls of modules were refused a slot, and no output came about",
            body = RunResponse,
        ),
        (status = 507, description = "The program is new, and there is no room for it", body = ErrorResponse),
    )
)]
pub(super) async fn run(State(app): State<Guarded>, request_id: RequestId, request: Request) -> Response {
    let (headers, body) = match conditions::without_parameters(request) {
        Ok(parts) => parts,
        Err(failure) => return failure.respond(&request_id),
    };
    let refuse = |body: RunResponse| {
        let request_id = Some(request_id.to_string());
        json(StatusCode::BAD_REQUEST, &RunResponse { request_id, ..body })
    };
    let RunRequest { source, inputs, options } = match read_json(&app, &headers, body).await {
        Ok(request) => request,
        Err(error) => match error.told("JSON body with 'source' and 'inputs' fields") {
            Ok(message) => {
                return refuse(RunResponse { error: Some(message), ..RunResponse::default() });
            }
            Err(failure) => return failure.respond(&request_id),
        },
    };
    let published = match app.service.publish(source.into(), None, Mode::Apply).await {
        Ok(published) => published,
        Err(ServiceError::Compile(diagnostics)) => {
            return refuse(RunResponse {
                compilation_errors: DiagnosticBody::messages(&diagnostics),
                diagnostics: DiagnosticBody::of(&diagnostics),
                ..RunResponse::default()
            });
        }
        Err(error @ ServiceError::Unsupported(_)) => {
            let compilation_errors = vec![error.to_string()];
            return refuse(RunResponse { compilation_errors, ..RunResponse::default() });
        }
        Err(error) => return Failure::from(error).respond(&request_id),
    };
    let found = &published.found;
    let (status, executed) = match decode_inputs(&found.pipeline, inputs) {
        Ok(inputs) => {
            let pipeline = Arc::clone(&found.pipeline);
            match run_pipeline(&app, pipeline, inputs, options, ProgramOf::Request(found)).await {
                Ok(ran) => ran,
                Err(error) => return Failure::from(error).respond(&request_id),
            }
        }
        Err(refused) => (StatusCode::BAD_REQUEST, refused.into()),
    };
    let structural_hash = found.structural_hash().to_string();
    if let Some(completed) = Completed::of(&executed).filter(|_| found.warnings.is_empty()) {
        return written_json(status, completed.ran(&structural_hash));
    }
    let body = RunResponse {
        structural_hash: Some(structural_hash),
        diagnostics: DiagnosticBody::of(&found.warnings),
        ..RunResponse::new(identified(status, executed, &request_id))
    };
    json(status, &body)
}

fn answered(status: StatusCode, body: ExecuteResponse, request_id: &RequestId) -> Response {
    match Completed::of(&body) {
        Some(completed) => written_json(status, completed.executed()),
        None => json(status, &identified(status, body, request_id)),
    }
}

/// A refusal tells what names the request in the log, as all others do.
pub(super) fn identified(
    status: StatusCode,
    body: ExecuteResponse,
    request_id: &RequestId,
) -> ExecuteResponse {
    let request_id = (status != StatusCode::OK).then(|| request_id.to_string());
    ExecuteResponse { request_id, ..body }
}

/// What is wrong with a name, without what a server was doing when it noticed.
pub(super) fn invalid_name(error: &StoreError) -> String {
    error.message().to_owned()
}

/// An input for which a run does not start.
#[derive(Debug)]
pub(super) struct RefusedInput {
    kind: RunErrorKind,
    message: String,
}

impl From<RefusedInput> for ExecuteResponse {
    fn from(RefusedInput { kind, message }: RefusedInput) -> Self {
        Self {
            error: Some(format!("Input error: {message}")),
            told: ToldBody { errors: vec![RunErrorBody::new(kind, message)], ..ToldBody::default() },
            ..Self::default()
        }
    }
}

/// The inputs by their types, or what is wrong with them. Takes the JSON, so that it is not kept while a request waits
/// and runs.
pub(super) fn decode_inputs(pipeline: &LoadedPipeline, given: InputsBody) -> Result<Inputs, RefusedInput> {
    let mut inputs = Inputs::new();
    for (name, json) in given.0 {
        let Some(place) = pipeline.input(&name) else {
            let inputs = pipeline.inputs.iter().map(|input| &*input.name);
            let message = unknown("Unknown input", &name, inputs);
            return Err(RefusedInput { kind: RunErrorKind::UnknownInput, message });
        };
        let ty = pipeline.ty(pipeline.inputs[place].ty);
        let value = decode_json(&json, ty, &name).map_err(|error| RefusedInput {
            kind: RunErrorKind::InvalidInput,
            message: format!("Input '{name}': {error}"),
        })?;
        inputs.insert(name, value);
    }
    Ok(inputs)
}
