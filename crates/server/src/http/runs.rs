//! A run and what an answer tells of it.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use constellation_lang::Position;
use constellation_rehydrate::LoadedPipeline;
use constellation_runtime::{Inputs, RunError, RunErrorKind, RunOptions, RunReport, RunStatus};

use super::App;
use crate::error::ServiceError;
use crate::service::ProgramOf;
use crate::stopwatch::NewId;
use crate::wire::{
    ComputedNodesBody, ExecuteResponse, MetadataBody, OptionsBody, Outputs, OutputsBody, PositionBody,
    RunErrorBody, ToldBody, type_text,
};

/// Runs a pipeline. What the program came from is asked only when something fails, to tell where.
///
/// # Errors
///
/// [`ServiceError::Overloaded`] when nothing was run.
pub(super) async fn run_pipeline(
    app: &App,
    pipeline: Arc<LoadedPipeline>,
    inputs: Inputs,
    asked: OptionsBody,
    program: ProgramOf<'_>,
) -> Result<(StatusCode, ExecuteResponse), ServiceError> {
    let execution_id = Arc::<str>::from(NewId::new().as_str());
    let options = RunOptions {
        run_id: Some(Arc::clone(&execution_id)),
        max_duration: asked.timeout_ms.map(|timeout| Duration::from_millis(timeout.get())),
        include_nodes: asked.wants_nodes(),
        include_timings: asked.include_timings,
        include_values: asked.include_computed_nodes,
        ..RunOptions::default()
    };
    let started_at = asked.wants_metadata().then(|| app.service.now());
    let RunReport { status, outputs, errors, missing_inputs, pending_outputs, exceeded: _, details } =
        app.service.run(&pipeline, inputs, options).await?;
    if status == RunStatus::Completed && errors.is_empty() && !asked.wants_more() {
        let outputs = Outputs { values: outputs, pipeline };
        return Ok((StatusCode::OK, ExecuteResponse::completed(execution_id, Some(outputs))));
    }
    // Every call that the run hangs on was refused: the same request may succeed later.
    let is_refused = status == RunStatus::Failed
        && outputs.is_empty()
        && errors.iter().all(|error| error.kind == RunErrorKind::Overloaded);
    let code = if is_refused { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    let details = details.as_deref();
    let metadata =
        started_at.map(|started_at| MetadataBody::new(&asked, started_at, app.service.now(), details));
    let computed_nodes = asked.include_computed_nodes.then(|| ComputedNodesBody::new(&pipeline, details));
    // Who was refused is to be answered at once, and looking for places is work for the compiler.
    let places = if errors.iter().any(|error| error.node.is_some()) && !is_refused {
        app.service.places(&pipeline, program).await
    } else {
        None
    };
    let errors: Vec<_> = errors
        .into_iter()
        .map(|error| {
            let place = places.as_ref().and_then(|places| places.of(&error));
            (error, place)
        })
        .collect();
    let texts: Vec<String> = errors.iter().map(text_of).collect();
    let missing = missing_inputs.iter().map(|input| (input.name.to_string(), type_text(&input.ty)));
    let pending: Vec<String> = pending_outputs.iter().map(|output| output.name.to_string()).collect();
    let reasons = pending_outputs.into_iter().map(|output| (output.name.to_string(), output.reason));
    let body = ExecuteResponse {
        success: status != RunStatus::Failed,
        outputs: OutputsBody(Some(Outputs { values: outputs, pipeline })),
        error: (!texts.is_empty()).then(|| texts.join("; ")),
        status: Some(status.as_str()),
        execution_id: Some(execution_id),
        missing_inputs: (!missing_inputs.is_empty()).then(|| missing.collect()),
        pending_outputs: (!pending.is_empty()).then_some(pending),
        resumption_count: Some(0),
        told: ToldBody {
            errors: errors.into_iter().map(body_of).collect(),
            pending_reasons: (status == RunStatus::Failed).then(|| reasons.collect()),
            metadata,
            computed_nodes,
        },
        request_id: None,
    };
    Ok((code, body))
}

fn text_of((error, place): &(RunError, Option<Position>)) -> String {
    match place {
        Some(place) => format!("{error} (line {}, column {})", place.line, place.column),
        None => error.to_string(),
    }
}

fn body_of((error, place): (RunError, Option<Position>)) -> RunErrorBody {
    let RunError { kind, module, label, node: _, message, causes } = error;
    RunErrorBody {
        kind: kind.as_str(),
        message,
        module: module.map(|module| module.to_string()),
        label,
        causes,
        position: place.map(|place| PositionBody { line: place.line, column: place.column }),
    }
}
