//! What requests and answers of a name's life cycle look like: versions, reload, rollback, deleting.

use std::str::FromStr;

use constellation_store_core::{ActiveVersion, Origin, PipelineName, Version};
use serde::de::{Error as _, IgnoredAny};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{DiagnosticBody, shown};
use crate::diff::DagDiff;
use crate::service::ImageUser;

/// The query of every request that changes something. A parameter that nobody knows is refused: with a misspelled
/// `dry_run` the change would be made.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ChangeParameters {
    /// Only tell what would happen, and change nothing.
    #[serde(deserialize_with = "dry_run")]
    pub(crate) dry_run: bool,
}

/// The query of a pruning.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PruneParameters {
    /// How many of the newest versions stay.
    #[serde(deserialize_with = "keep")]
    #[param(default = 10)]
    pub(crate) keep: usize,
    /// Only tell what would happen, and change nothing.
    #[serde(deserialize_with = "dry_run")]
    pub(crate) dry_run: bool,
}

impl Default for PruneParameters {
    fn default() -> Self {
        Self { keep: 10, dry_run: false }
    }
}

fn dry_run<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    parameter(deserializer, "dry_run", "true or false")
}

fn keep<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    parameter(deserializer, "keep", "a whole number from 0")
}

/// Reads a parameter, or tells what it is instead of what is wrong with its text.
fn parameter<'de, T: FromStr, D: Deserializer<'de>>(
    deserializer: D,
    name: &str,
    what: &str,
) -> Result<T, D::Error> {
    let text = String::deserialize(deserializer)?;
    let error = |_| D::Error::custom(format!("parameter '{name}' is {what}, got '{}'", shown(&text)));
    text.parse().map_err(error)
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PruneResponse {
    pub(crate) success: bool,
    pub(crate) name: String,
    /// The versions that were forgotten, in ascending order.
    pub(crate) forgotten: Vec<u64>,
    /// Null when the name was deleted.
    pub(crate) active_version: Option<u64>,
    pub(crate) dry_run: bool,
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReloadRequest {
    pub(crate) source: Option<String>,
    /// What the reference starts a canary release by.
    #[schema(value_type = Option<Object>)]
    pub(crate) canary: Option<IgnoredAny>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReloadResponse {
    pub(crate) success: bool,
    pub(crate) previous_hash: Option<String>,
    pub(crate) new_hash: String,
    pub(crate) name: String,
    pub(crate) changed: bool,
    pub(crate) version: u64,
    /// There are no canary releases yet: always null.
    #[schema(value_type = Option<Object>)]
    pub(crate) canary: Option<()>,
    pub(crate) diagnostics: Vec<DiagnosticBody>,
    pub(crate) dry_run: bool,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RollbackResponse {
    pub(crate) success: bool,
    pub(crate) name: String,
    /// Null when the name was deleted.
    pub(crate) previous_version: Option<u64>,
    pub(crate) active_version: u64,
    pub(crate) structural_hash: String,
    pub(crate) changed: bool,
    pub(crate) dry_run: bool,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeleteResponse {
    pub(crate) deleted: bool,
    /// The name that was deleted; null when it was an image.
    pub(crate) name: Option<String>,
    /// The version that was active; null when it was an image.
    pub(crate) previous_version: Option<u64>,
    pub(crate) structural_hash: String,
    pub(crate) dry_run: bool,
}

/// The answer to `GET /pipelines/{name}/versions`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct VersionList {
    pub(crate) name: String,
    /// The newest first.
    pub(crate) versions: Vec<VersionBody>,
    /// Null when the name was deleted.
    pub(crate) active_version: Option<u64>,
    /// What to send as `cursor` for the next page; null on the last one.
    pub(crate) next_cursor: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct VersionBody {
    pub(crate) version: u64,
    pub(crate) structural_hash: String,
    pub(crate) created_at: String,
    pub(crate) active: bool,
    #[schema(value_type = String)]
    pub(crate) origin: Origin,
    pub(crate) source_hash: Option<String>,
}

impl VersionBody {
    pub(crate) fn new(version: &Version, active_version: Option<u64>) -> Self {
        Self {
            version: version.version,
            structural_hash: version.structural_hash.to_string(),
            created_at: version.created_at.to_string(),
            active: active_version == Some(version.version),
            origin: version.origin,
            source_hash: version.source_hash.map(|hash| hash.to_string()),
        }
    }
}

/// The answer to `GET /pipelines/{name}/versions/{version}`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct VersionDetail {
    pub(crate) name: String,
    #[serde(flatten)]
    pub(crate) version: VersionBody,
    /// Null when it is not retained.
    pub(crate) source: Option<String>,
}

/// The answer to `GET /pipelines/{ref}/diff/{ref2}`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DiffResponse {
    pub(crate) from: DiffSide,
    pub(crate) to: DiffSide,
    /// Whether both are the same image.
    pub(crate) identical: bool,
    #[serde(flatten)]
    pub(crate) diff: DagDiff,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DiffSide {
    #[serde(rename = "ref")]
    pub(crate) reference: String,
    pub(crate) structural_hash: String,
    /// The active version of a name; null for a hash.
    pub(crate) version: Option<u64>,
}

/// What some errors tell beside the message. A member that an error does not have is not there.
#[derive(Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ErrorDetails {
    /// Of a condition that does not hold: what the name points to.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) current: Option<CurrentBody>,
    /// Of an image in use: who uses it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) users: Option<Vec<UserBody>>,
    /// Of a program with errors: where they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) diagnostics: Option<Vec<DiagnosticBody>>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CurrentBody {
    pub(crate) name: String,
    /// Null when there is no such name, or it is deleted.
    pub(crate) active_version: Option<u64>,
    pub(crate) structural_hash: Option<String>,
}

impl CurrentBody {
    pub(crate) fn new(name: &PipelineName, active: Option<ActiveVersion>) -> Self {
        Self {
            name: name.to_string(),
            active_version: active.map(|active| active.version),
            structural_hash: active.map(|active| active.structural_hash.to_string()),
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UserBody {
    name: String,
    /// The versions that refer to the image.
    versions: Vec<u64>,
    /// The active version of the name; null when the name was deleted.
    active_version: Option<u64>,
}

impl From<ImageUser> for UserBody {
    fn from(user: ImageUser) -> Self {
        let ImageUser { name, versions, active_version } = user;
        Self { name: name.to_string(), versions, active_version }
    }
}
