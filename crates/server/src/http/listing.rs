//! `GET /pipelines`, and what all lists have in common: pages of bounded size.
//!
//! A cursor is the key of the last entry of a page, so that the next page begins after it whatever was stored or
//! removed meanwhile: what stays is told exactly once.

use std::fmt::Display;
use std::ops::Bound;
use std::str::FromStr;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use constellation_store_core::{ImageSummary, ListOptions, StoreError, StructuralHash};
use futures_util::{StreamExt as _, TryStreamExt as _};
use serde::Deserialize;
use utoipa::IntoParams;

use super::App;
use super::conditions::{self, Parameters};
use super::layer::RequestId;
use super::pipelines::{Aliases, aliases};
use super::respond::{self, Failure, json};
use crate::service::is_damage;
use crate::wire::{ErrorResponse, PipelineList, PipelineSummary};

/// How many entries a page has unless it is told.
const DEFAULT_LIMIT: usize = 100;

/// How many entries a page has at most; who asks for more gets so many.
const MAX_LIMIT: usize = 1_000;

/// Why a pipeline cannot be run whose image is not there, when nobody has tried yet.
pub(super) const LOST: &str = "its image is missing or damaged: publish it anew, or roll back";

/// The parameters of a list whose entries have names.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParameters {
    /// How many entries a page has; more than 1000 are not told at once.
    #[param(value_type = Option<u64>, minimum = 1, default = 100)]
    limit: Option<String>,
    /// The `nextCursor` of the page before.
    cursor: Option<String>,
    /// Only what has a name that begins so.
    prefix: Option<String>,
}

/// The parameters of a list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PageParameters {
    /// How many entries a page has; more than 1000 are not told at once.
    #[param(value_type = Option<u64>, minimum = 1, default = 100)]
    pub(super) limit: Option<String>,
    /// The `nextCursor` of the page before.
    pub(super) cursor: Option<String>,
}

/// Which page of a list: so many entries after a key.
#[derive(Debug)]
pub(super) struct Page<K> {
    pub(super) after: Option<K>,
    pub(super) limit: usize,
}

impl<K: FromStr<Err: Display>> Page<K> {
    pub(super) fn new(parameters: PageParameters) -> Result<Self, Failure> {
        let PageParameters { limit, cursor } = parameters;
        let limit = match limit {
            None => DEFAULT_LIMIT,
            Some(text) => match text.parse() {
                Ok(limit @ 1..) => MAX_LIMIT.min(limit),
                _ => return Err(invalid(format!("'limit' is a number from 1, got '{text}'"))),
            },
        };
        let after = cursor
            .map(|cursor| cursor.parse::<K>())
            .transpose()
            .map_err(|error| invalid(format!("'cursor' is the 'nextCursor' of the page before: {error}")))?;
        Ok(Self { after, limit })
    }
}

impl<K> Page<K> {
    /// Ends a page for which one entry more than its limit was looked for: that tells whether there is a next one.
    pub(super) fn end<T>(&self, entries: &mut Vec<T>, key: impl Fn(&T) -> String) -> Option<String> {
        if entries.len() <= self.limit {
            return None;
        }
        entries.truncate(self.limit);
        entries.last().map(key)
    }
}

/// Lists what is stored, by hash.
#[utoipa::path(
    get,
    path = "/pipelines",
    operation_id = "listPipelines",
    tag = "pipelines",
    params(ListParameters),
    responses(
        (status = 200, description = "A page of the list", body = PipelineList),
        (status = 400, description = "A parameter is not well formed", body = ErrorResponse),
    )
)]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    request_id: RequestId,
    query: Parameters<ListParameters>,
) -> Response {
    respond::answer(&request_id, async {
        let ListParameters { limit, cursor, prefix } = conditions::parameters(query)?;
        let page = Page::new(PageParameters { limit, cursor })?;
        let list = pipelines(&app, &page, prefix.as_deref()).await.map_err(Failure::from)?;
        Ok(json(StatusCode::OK, &list))
    })
    .await
}

async fn pipelines(
    app: &App,
    page: &Page<StructuralHash>,
    prefix: Option<&str>,
) -> Result<PipelineList, StoreError> {
    let aliases = aliases(app).await?;
    let problems = app.service.problems();
    let is_wanted = |hash: &StructuralHash| {
        let is_named = |prefix| {
            let mut names = aliases.get(hash).into_iter().flatten();
            names.any(|name| name.as_str().starts_with(prefix))
        };
        prefix.is_none_or(is_named)
    };
    let n_looked_for = page.limit.saturating_add(1);
    // With a prefix, the store does not know which images count.
    let limit = prefix.is_none().then_some(n_looked_for);
    let images = app.service.store().list_images(ListOptions { after: page.after, limit });
    let stored: Vec<ImageSummary> = images
        .try_filter(|image| std::future::ready(is_wanted(&image.structural_hash)))
        .take(n_looked_for)
        .try_collect()
        .await?;
    // Beyond a full page there may be images that were not looked at.
    let end = stored.get(page.limit).map(|image| image.structural_hash);
    let mut lost = lost(app, &aliases, page.after, end, &stored).await?;
    lost.retain(is_wanted);

    let reason = |hash: &StructuralHash| {
        let mut names = aliases.get(hash).into_iter().flatten();
        names.find_map(|name| problems.get(name).cloned())
    };
    let names = |hash: &StructuralHash| -> Vec<String> {
        aliases.get(hash).into_iter().flatten().map(ToString::to_string).collect()
    };
    let stored = stored.into_iter().map(|image| PipelineSummary {
        structural_hash: image.structural_hash.to_string(),
        syntactic_hash: image.metadata.syntactic_hash.map(|hash| hash.to_string()),
        aliases: names(&image.structural_hash),
        compiled_at: Some(image.metadata.compiled_at.to_string()),
        module_count: Some(image.metadata.module_count),
        declared_outputs: image.outputs.iter().map(ToString::to_string).collect(),
        load_error: reason(&image.structural_hash),
    });
    let lost = lost.into_iter().map(|hash| PipelineSummary {
        structural_hash: hash.to_string(),
        syntactic_hash: None,
        aliases: names(&hash),
        compiled_at: None,
        module_count: None,
        declared_outputs: Vec::new(),
        load_error: Some(reason(&hash).unwrap_or_else(|| LOST.to_owned())),
    });
    let mut pipelines: Vec<PipelineSummary> = stored.chain(lost).collect();
    pipelines.sort_by(|left, right| left.structural_hash.cmp(&right.structural_hash));
    let next_cursor = page.end(&mut pipelines, |pipeline| pipeline.structural_hash.clone());
    Ok(PipelineList { pipelines, next_cursor })
}

/// The images that names point to and that are not there, after one hash and up to another.
async fn lost(
    app: &App,
    aliases: &Aliases,
    after: Option<StructuralHash>,
    end: Option<StructuralHash>,
    stored: &[ImageSummary],
) -> Result<Vec<StructuralHash>, StoreError> {
    let range =
        (after.map_or(Bound::Unbounded, Bound::Excluded), end.map_or(Bound::Unbounded, Bound::Included));
    let mut lost = Vec::new();
    for hash in aliases.range(range).map(|(hash, _)| hash) {
        if stored.binary_search_by(|image| image.structural_hash.cmp(hash)).is_ok() {
            continue;
        }
        // It may have been stored since the list was made.
        match app.service.store().peek(hash).await {
            Ok(Some(_)) => {}
            Ok(None) => lost.push(*hash),
            Err(error) if is_damage(error.kind()) => lost.push(*hash),
            Err(error) => return Err(error),
        }
    }
    Ok(lost)
}

fn invalid(message: String) -> Failure {
    Failure::new(StatusCode::BAD_REQUEST, "InvalidParameter", message)
}
