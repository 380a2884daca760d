//! What answers tell of modules and the functions that programs call them by.

use std::collections::BTreeSet;

use serde::Serialize;
use utoipa::ToSchema;

use super::ModuleInfo;

/// The answer to `GET /modules`.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ModuleList {
    pub(crate) modules: Vec<ModuleInfo>,
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
