//! What answers tell of modules and the functions that programs call them by.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

use super::{ModuleInfo, OutputsBody, RunErrorBody, TypesBody};

/// The answer to `GET /modules`.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ModuleList {
    pub(crate) modules: Vec<ModuleInfo>,
}

/// The answer to `GET /modules/published`.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PublishedModuleList {
    pub(crate) modules: Vec<PublishedModuleInfo>,
}

/// A module that can be called by itself.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PublishedModuleInfo {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) version: String,
    pub(crate) tags: Vec<String>,
    /// The path to post parameters to.
    pub(crate) endpoint: String,
    pub(crate) inputs: TypesBody,
    pub(crate) outputs: TypesBody,
}

/// The answer to `POST /modules/{name}/invoke`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct InvokeResponse {
    pub(crate) success: bool,
    pub(crate) outputs: OutputsBody,
    pub(crate) error: Option<String>,
    /// The full name of the module.
    pub(crate) module: String,
    /// What names the call in the log; null when nothing was called.
    #[schema(value_type = Option<String>)]
    pub(crate) execution_id: Option<Arc<str>>,
    pub(crate) errors: Vec<RunErrorBody>,
    /// What names the request in the log; only of a refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) request_id: Option<String>,
}

/// The answer to `GET /namespaces`.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NamespaceList {
    pub(crate) namespaces: BTreeSet<String>,
}

/// The answer to `GET /namespaces/{namespace}`.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FunctionList {
    pub(crate) namespace: String,
    pub(crate) functions: Vec<FunctionBody>,
}

/// A function; types are in the syntax of the language.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FunctionBody {
    pub(crate) name: String,
    pub(crate) qualified_name: String,
    pub(crate) params: Vec<String>,
    pub(crate) returns: String,
}
