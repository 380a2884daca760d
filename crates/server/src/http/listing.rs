//! `GET /pipelines`, and what all lists have in common: pages of bounded size.
//!
//! A cursor is the key of the last entry of a page, so that the next page begins after it whatever was stored or
//! removed meanwhile: what stays is told exactly once.

use std::collections::BTreeMap;
use std::str::FromStr;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use constellation_store_core::{
    ImageSummary, ListOptions, NamedImage, PipelineName, StoreError, StructuralHash,
};
use futures_util::TryStreamExt as _;
use serde::Deserialize;
use utoipa::IntoParams;

use super::App;
use super::layer::RequestId;
use super::query::Parameters;
use super::respond::{self, Failure, json};
use super::routes::Guarded;
use crate::wire::{ErrorCode, ErrorResponse, PipelineList, PipelineSummary, shown};

/// How many entries a page has unless it is told.
const DEFAULT_LIMIT: usize = 100;

/// How many entries a page has at most. Who asks for more is refused: a shorter page would look like the last one to
/// whoever does not look for the next.
const MAX_LIMIT: usize = 1_000;

/// Why a pipeline cannot be run whose image is not there, when nobody has tried yet.
pub(super) const LOST: &str = "its image is missing or damaged: publish it anew, or roll back";

/// The parameters of a list whose entries have names.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParameters {
    /// How many entries a page has.
    #[param(value_type = Option<u64>, minimum = 1, maximum = 1000, default = 100)]
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
    /// How many entries a page has.
    #[param(value_type = Option<u64>, minimum = 1, maximum = 1000, default = 100)]
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

impl<K: FromStr> Page<K> {
    pub(super) fn new(parameters: PageParameters) -> Result<Self, Failure> {
        let PageParameters { limit, cursor } = parameters;
        let limit = match limit {
            None => DEFAULT_LIMIT,
            Some(text) => {
                let limit = text.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
                limit.ok_or_else(|| {
                    let shown = shown(&text);
                    let range = format!("a whole number from 1 to {MAX_LIMIT}");
                    invalid(format!("parameter 'limit' is {range}, got '{shown}'"))
                })?
            }
        };
        let after = cursor.map(|cursor| {
            let told = || {
                let shown = shown(&cursor);
                invalid(format!("parameter 'cursor' is the 'nextCursor' of the page before, got '{shown}'"))
            };
            cursor.parse::<K>().map_err(|_| told())
        });
        let after = after.transpose()?;
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
    State(app): State<Guarded>,
    request_id: RequestId,
    query: Parameters<ListParameters>,
) -> Response {
    respond::answer(&request_id, async {
        let ListParameters { limit, cursor, prefix } = query.get()?;
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
    // Of each kind so many as the page has at most, and one more: the page is made of the first of both.
    let options = || ListOptions { after: page.after, limit: Some(page.limit.saturating_add(1)) };
    let store = app.service.store();
    let mut found: BTreeMap<StructuralHash, (Vec<PipelineName>, Option<ImageSummary>)> = BTreeMap::new();
    if prefix.is_none() {
        let mut images = store.list_images(options());
        while let Some(image) = images.try_next().await? {
            found.insert(image.structural_hash, (Vec::new(), Some(image)));
        }
    }
    // After the images, so that the names of those that are stored meanwhile are told.
    let mut pointed = store.list_named(prefix.unwrap_or_default(), options());
    while let Some(NamedImage { structural_hash, names, summary }) = pointed.try_next().await? {
        let (known_names, known_summary) = found.entry(structural_hash).or_default();
        *known_names = names;
        *known_summary = known_summary.take().or(summary);
    }
    let mut pipelines: Vec<PipelineSummary> = found
        .into_iter()
        .map(|(structural_hash, (names, summary))| {
            let reason = names.iter().find_map(|name| app.service.problem_of(name));
            summarized(structural_hash, &names, summary.as_ref(), reason)
        })
        .collect();
    let next_cursor = page.end(&mut pipelines, |pipeline| pipeline.structural_hash.clone());
    Ok(PipelineList { pipelines, next_cursor })
}

fn summarized(
    structural_hash: StructuralHash,
    names: &[PipelineName],
    summary: Option<&ImageSummary>,
    reason: Option<String>,
) -> PipelineSummary {
    let load_error = match summary {
        Some(_) => reason,
        None => Some(reason.unwrap_or_else(|| LOST.to_owned())),
    };
    let metadata = summary.map(|summary| &summary.metadata);
    let outputs = summary.into_iter().flat_map(|summary| &*summary.outputs);
    PipelineSummary {
        structural_hash: structural_hash.to_string(),
        syntactic_hash: metadata.and_then(|metadata| metadata.syntactic_hash).map(|hash| hash.to_string()),
        aliases: names.iter().map(ToString::to_string).collect(),
        compiled_at: metadata.map(|metadata| metadata.compiled_at.to_string()),
        module_count: metadata.map(|metadata| metadata.module_count),
        declared_outputs: outputs.map(ToString::to_string).collect(),
        load_error,
    }
}

fn invalid(message: String) -> Failure {
    Failure::new(StatusCode::BAD_REQUEST, ErrorCode::InvalidParameter, message)
}
