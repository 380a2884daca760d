//! The JSON of the HTTP API: member names, their order and explicit nulls are those of the reference
//! implementation. What this server adds stands last.

mod completed;
mod error_code;
mod lifecycle;
mod members;
mod modules;
mod run;
mod type_text;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use constellation_lang::{Diagnostic, Severity};
use constellation_rehydrate::LoadedPipeline;
use constellation_store_core::StrictJson;
use constellation_types::{Json, Value};
use serde::de::{Error as _, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;

pub(crate) use completed::Completed;
pub(crate) use error_code::ErrorCode;
pub(crate) use lifecycle::{
    ChangeParameters, CurrentBody, DeleteResponse, DiffResponse, DiffSide, ErrorDetails, PruneParameters,
    PruneResponse, ReloadRequest, ReloadResponse, RollbackResponse, VersionBody, VersionDetail, VersionList,
};
pub(crate) use members::{Names, members, shown, unfit, unknown};
pub(crate) use modules::{
    FunctionBody, FunctionList, InvokeResponse, ModuleList, NamespaceList, PublishedModuleInfo,
    PublishedModuleList,
};
pub(crate) use run::{ComputedNodesBody, MetadataBody, OptionsBody, PositionBody, RunErrorBody, ToldBody};
pub(crate) use type_text::type_text;

/// How much room the JSON of an answer gets at first. Most fit, so that they are not copied while they are written.
pub(crate) const TYPICAL_BYTES: usize = 1024;

/// The body of every error that is not the route's own.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ErrorResponse {
    pub(crate) error: ErrorCode,
    pub(crate) message: String,
    pub(crate) request_id: Option<String>,
    #[serde(flatten)]
    pub(crate) details: ErrorDetails,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct CompileRequest {
    pub(crate) source: String,
    pub(crate) name: Option<String>,
    /// The older name of `name`, which wins.
    pub(crate) dag_name: Option<String>,
}

#[derive(Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CompileResponse {
    pub(crate) success: bool,
    pub(crate) structural_hash: Option<String>,
    pub(crate) syntactic_hash: Option<String>,
    pub(crate) dag_name: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) errors: Vec<String>,
    pub(crate) diagnostics: Vec<DiagnosticBody>,
    /// The active version of the name; null without one. In a dry run, what it would be.
    pub(crate) version: Option<u64>,
    /// Whether a version was made; null without a name.
    pub(crate) changed: Option<bool>,
    /// What the name pointed to before.
    pub(crate) previous_hash: Option<String>,
    pub(crate) dry_run: bool,
    /// What names the request in the log; only of a refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) request_id: Option<String>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ExecuteRequest {
    #[serde(rename = "ref")]
    pub(crate) reference: Option<String>,
    /// The older name of `ref`, which wins.
    pub(crate) dag_name: Option<String>,
    pub(crate) inputs: InputsBody,
    #[serde(default, deserialize_with = "run::options")]
    pub(crate) options: OptionsBody,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunRequest {
    pub(crate) source: String,
    pub(crate) inputs: InputsBody,
    #[serde(default, deserialize_with = "run::options")]
    pub(crate) options: OptionsBody,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct AliasRequest {
    pub(crate) structural_hash: String,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AliasResponse {
    pub(crate) name: String,
    pub(crate) structural_hash: String,
    pub(crate) version: u64,
    pub(crate) changed: bool,
    pub(crate) dry_run: bool,
}

/// Inputs by name. A repeated key is refused at every level: which one counts would be a guess.
#[derive(Debug, Default, ToSchema)]
#[schema(value_type = BTreeMap<String, serde_json::Value>)]
pub(crate) struct InputsBody(pub(crate) Vec<(String, serde_json::Value)>);

impl<'de> Deserialize<'de> for InputsBody {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(InputsVisitor).map(Self)
    }
}

/// Reads inputs into a list: there are few, and a map of them would only be gone through once.
struct InputsVisitor;

impl<'de> Visitor<'de> for InputsVisitor {
    type Value = Vec<(String, serde_json::Value)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object from names to values for 'inputs'")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut inputs = Vec::new();
        while let Some((name, StrictJson(value))) = access.next_entry()? {
            inputs.push((name, value));
        }
        let mut names: Vec<&String> = inputs.iter().map(|(name, _)| name).collect();
        names.sort_unstable();
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(repeated) => Err(A::Error::custom(format_args!("duplicate key '{}'", repeated[0]))),
            None => Ok(inputs),
        }
    }
}

/// The answer to `/execute`.
#[derive(Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ExecuteResponse {
    pub(crate) success: bool,
    pub(crate) outputs: OutputsBody,
    pub(crate) error: Option<String>,
    pub(crate) status: Option<&'static str>,
    #[schema(value_type = Option<String>)]
    pub(crate) execution_id: Option<Arc<str>>,
    pub(crate) missing_inputs: Option<BTreeMap<String, String>>,
    pub(crate) pending_outputs: Option<Vec<String>>,
    pub(crate) resumption_count: Option<u32>,
    #[serde(flatten)]
    pub(crate) told: ToldBody,
    /// What names the request in the log; only of a refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) request_id: Option<String>,
}

/// The answer to `/run`.
#[derive(Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RunResponse {
    pub(crate) success: bool,
    pub(crate) outputs: OutputsBody,
    pub(crate) structural_hash: Option<String>,
    pub(crate) compilation_errors: Vec<String>,
    pub(crate) error: Option<String>,
    pub(crate) status: Option<&'static str>,
    #[schema(value_type = Option<String>)]
    pub(crate) execution_id: Option<Arc<str>>,
    pub(crate) missing_inputs: Option<BTreeMap<String, String>>,
    pub(crate) pending_outputs: Option<Vec<String>>,
    pub(crate) resumption_count: Option<u32>,
    pub(crate) diagnostics: Vec<DiagnosticBody>,
    #[serde(flatten)]
    pub(crate) told: ToldBody,
    /// What names the request in the log; only of a refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) request_id: Option<String>,
}

impl RunResponse {
    pub(crate) fn new(executed: ExecuteResponse) -> Self {
        let ExecuteResponse {
            success,
            outputs,
            error,
            status,
            execution_id,
            missing_inputs,
            pending_outputs,
            resumption_count,
            told,
            request_id,
        } = executed;
        Self {
            success,
            outputs,
            structural_hash: None,
            compilation_errors: Vec::new(),
            error,
            status,
            execution_id,
            missing_inputs,
            pending_outputs,
            resumption_count,
            diagnostics: Vec::new(),
            told,
            request_id,
        }
    }
}

/// Outputs by name, each written by its type.
#[derive(Debug, Default, ToSchema)]
#[schema(value_type = BTreeMap<String, serde_json::Value>)]
pub(crate) struct OutputsBody(pub(crate) Option<Outputs>);

/// What a run of a pipeline gave.
#[derive(Debug)]
pub(crate) struct Outputs {
    /// In the order of the pipeline.
    pub(crate) values: Vec<(Arc<str>, Value)>,
    /// It knows the types.
    pub(crate) pipeline: Arc<LoadedPipeline>,
}

impl Serialize for OutputsBody {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if let Self(Some(Outputs { values, pipeline })) = self {
            let mut declared = pipeline.outputs.iter();
            for (name, value) in values {
                if let Some(output) = declared.find(|output| output.name == *name) {
                    map.serialize_entry(name, &Json { value, ty: pipeline.ty(output.ty) })?;
                }
            }
        }
        map.end()
    }
}

/// A finding of the compiler as JSON, the same wherever one is shown to a program.
#[derive(Debug, Serialize, ToSchema)]
pub struct DiagnosticBody {
    severity: SeverityBody,
    code: &'static str,
    message: String,
    line: u32,
    column: u32,
    /// Bytes of the source: `[start, end)`.
    span: SpanBody,
    /// What to do next; null when there is nothing better to say than the message.
    suggestion: Option<String>,
}

#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum SeverityBody {
    Error,
    Warning,
}

#[derive(Debug, Serialize, ToSchema)]
struct SpanBody {
    start: u32,
    end: u32,
}

impl DiagnosticBody {
    /// The findings in their order.
    pub fn of(diagnostics: &[Diagnostic]) -> Vec<Self> {
        diagnostics
            .iter()
            .map(|diagnostic| Self {
                severity: match diagnostic.severity {
                    Severity::Error => SeverityBody::Error,
                    Severity::Warning => SeverityBody::Warning,
                },
                code: diagnostic.code.as_str(),
                message: diagnostic.message.clone(),
                line: diagnostic.position.line,
                column: diagnostic.position.column,
                span: SpanBody { start: diagnostic.span.start, end: diagnostic.span.end },
                suggestion: diagnostic.suggestions.first().cloned(),
            })
            .collect()
    }

    /// The messages of the errors, as the reference lists them.
    pub(crate) fn messages(diagnostics: &[Diagnostic]) -> Vec<String> {
        let errors = diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error);
        errors.map(|diagnostic| diagnostic.message.clone()).collect()
    }
}

/// The answer to `GET /pipelines`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PipelineList {
    pub(crate) pipelines: Vec<PipelineSummary>,
    /// What to send as `cursor` for the next page; null on the last one.
    pub(crate) next_cursor: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PipelineSummary {
    pub(crate) structural_hash: String,
    pub(crate) syntactic_hash: Option<String>,
    pub(crate) aliases: Vec<String>,
    /// Null when the image is not there, as the next one.
    pub(crate) compiled_at: Option<String>,
    pub(crate) module_count: Option<u64>,
    pub(crate) declared_outputs: Vec<String>,
    /// Why it cannot be run; null when nothing is known to be wrong.
    pub(crate) load_error: Option<String>,
}

/// The answer to `GET /pipelines/{ref}`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PipelineDetail {
    pub(crate) structural_hash: String,
    pub(crate) syntactic_hash: Option<String>,
    pub(crate) aliases: Vec<String>,
    pub(crate) compiled_at: String,
    pub(crate) modules: Vec<ModuleInfo>,
    pub(crate) declared_outputs: Vec<String>,
    pub(crate) input_schema: BTreeMap<String, String>,
    pub(crate) output_schema: BTreeMap<String, String>,
    /// Why it cannot be run; null when nothing is known to be wrong.
    pub(crate) load_error: Option<String>,
}

/// A module that a pipeline calls.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ModuleInfo {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) version: String,
    pub(crate) inputs: TypesBody,
    pub(crate) outputs: TypesBody,
}

/// Names and their types, in the order of declaration.
#[derive(Debug, Default, ToSchema)]
#[schema(value_type = BTreeMap<String, String>)]
pub(crate) struct TypesBody(pub(crate) Vec<(String, String)>);

impl Serialize for TypesBody {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, ty)| (name, ty)))
    }
}

/// The answer to the health routes without `verbose`. It has no other members, so that it is told from the other one.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Health {
    pub(crate) status: HealthStatus,
}

/// What a health route says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum HealthStatus {
    Ok,
    Draining,
    Alive,
    Ready,
    NotReady,
}

/// The answer to `/ready`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum ReadyResponse {
    Brief(Health),
    Verbose(Readiness),
}

/// The answer to `/ready?verbose`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Readiness {
    pub(crate) status: HealthStatus,
    pub(crate) draining: bool,
    pub(crate) store: StoreHealth,
    /// Names that cannot be run, with the reason.
    pub(crate) problems: BTreeMap<String, String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StoreHealth {
    pub(crate) revision: Option<u64>,
    pub(crate) images: Option<u64>,
    pub(crate) sources: Option<u64>,
    pub(crate) bytes: Option<u64>,
    pub(crate) names: Option<u64>,
    pub(crate) read_only: Option<String>,
    pub(crate) warnings: Vec<String>,
    /// Why the store does not answer; null when it does.
    pub(crate) error: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_members_are_explicit_nulls_in_the_order_of_the_reference() {
        let text = serde_json::to_string(&RunResponse::new(ExecuteResponse::default())).unwrap();
        assert_eq!(
            text,
            r#"{"success":false,"outputs":{},"structuralHash":null,"compilationErrors":[],"error":null,"status":null,"executionId":null,"missingInputs":null,"pendingOutputs":null,"resumptionCount":null,"diagnostics":[],"errors":[],"pendingReasons":null,"metadata":null,"computedNodes":null}"#
        );
        let text = serde_json::to_string(&CompileResponse::default()).unwrap();
        assert_eq!(
            text,
            r#"{"success":false,"structuralHash":null,"syntacticHash":null,"dagName":null,"name":null,"errors":[],"diagnostics":[],"version":null,"changed":null,"previousHash":null,"dryRun":false}"#
        );
    }

    #[test]
    fn a_repeated_input_is_refused() {
        let text = r#"{"ref":"x","inputs":{"a":{"b":1,"b":2}}}"#;
        let error = serde_json::from_str::<ExecuteRequest>(text).unwrap_err();
        assert!(error.to_string().contains("duplicate key 'b'"), "{error}");
        assert!(serde_json::from_str::<ExecuteRequest>(r#"{"ref":"x","inputs":[]}"#).is_err());
    }
}
