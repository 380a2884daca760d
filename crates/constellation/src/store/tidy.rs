//! `gc` and `prune`.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use constellation_store_core::{
    Clock as _, Commit, ErrorKind, GcOptions, GcReport, Operation, Outcome, PipelineName, PipelineStore as _,
    PipelineStoreExt as _, StoreError, SystemClock,
};
use constellation_store_fs::FileSystemPipelineStore;
use jiff::{Span, SpanRelativeTo};
use serde_json::json;

use super::{Answer, n_of, open_to_read, open_to_write, progress};

/// What can be done while a server has the store.
const BESIDE: &str = "stop the server first, or use '--dry-run', which only reads";
/// Nobody knows who was told the hash of a program that has no name.
const HOLDERS_NOTE: &str = "no version refers to these images, but clients may still hold their hashes, as those \
                            of POST /run do; running one by hash finds nothing once it is removed";

pub(super) async fn gc(directory: &Path, dry_run: bool, older_than: &str) -> anyhow::Result<Answer> {
    let older_than = duration(older_than)?;
    let options = GcOptions { older_than, dry_run, ..GcOptions::new(SystemClock.now()) };
    let store =
        if dry_run { open_to_read(directory).await? } else { open_to_write(directory, BESIDE).await? };
    let GcReport { removed, kept } = store.gc(options).await?;
    store.close().await?;
    let mut text: String = removed.iter().fold(String::new(), |mut text, hash| {
        writeln!(text, "{hash}").expect("writing to a string succeeds");
        text
    });
    let verb = if dry_run { "would be removed" } else { "removed" };
    writeln!(text, "{} {verb}, {kept} kept", n_of(removed.len(), "image"))
        .expect("writing to a string succeeds");
    let note = (!removed.is_empty()).then_some(HOLDERS_NOTE);
    if let Some(note) = note {
        writeln!(text, "note: {note}").expect("writing to a string succeeds");
    }
    Ok(Answer::done(json!({ "dryRun": dry_run, "removed": removed, "kept": kept, "note": note }), text))
}

/// A time span such as `7d`, `12h` or `1h 30m`; a day has 24 hours.
fn duration(text: &str) -> anyhow::Result<Duration> {
    let span: Option<Span> = text.parse().ok();
    let span = span.with_context(|| {
        format!("'{text}' is no duration, which is numbers with units, such as 12h or 30d")
    })?;
    let duration = span
        .to_duration(SpanRelativeTo::days_are_24_hours())
        .with_context(|| format!("'{text}' has units that are not always as long; use days and hours"))?;
    ensure!(!duration.is_negative(), "'{text}' is negative");
    Ok(duration.unsigned_abs())
}

pub(super) async fn prune(
    directory: &Path,
    name: Option<&str>,
    keep: usize,
    dry_run: bool,
) -> anyhow::Result<Answer> {
    let name: Option<PipelineName> = name.map(str::parse).transpose()?;
    let store =
        if dry_run { open_to_read(directory).await? } else { open_to_write(directory, BESIDE).await? };
    let names = match name {
        Some(name) => vec![name],
        None => store.list_all_names().await?.into_iter().map(|entry| entry.name).collect(),
    };
    let bar = progress::bar("pruning", names.len() as u64);
    let mut text = String::new();
    let mut pruned = Vec::new();
    for name in names {
        let Some(versions) = prune_one(&store, &name, keep, dry_run).await? else {
            let value = json!({ "reference": name, "error": { "kind": "not found" } });
            store.close().await?;
            return Ok(Answer::found(value, format!("there is no '{name}' in the store\n")));
        };
        bar.inc(1);
        if !versions.is_empty() {
            let numbers: Vec<String> = versions.iter().map(u64::to_string).collect();
            writeln!(text, "{name}: {}", numbers.join(", ")).expect("writing to a string succeeds");
            pruned.push(json!({ "name": name, "versions": versions }));
        }
    }
    bar.finish_and_clear();
    store.close().await?;
    if text.is_empty() {
        text.push_str("nothing to forget\n");
    }
    Ok(Answer::done(json!({ "dryRun": dry_run, "pruned": pruned }), text))
}

/// The versions that are forgotten, or would be; none when there is no such name.
async fn prune_one(
    store: &FileSystemPipelineStore,
    name: &PipelineName,
    keep: usize,
    dry_run: bool,
) -> Result<Option<Vec<u64>>, StoreError> {
    if dry_run {
        return Ok(store.versions(name).await?.map(|history| history.prunable(keep)));
    }
    let operation = Operation::PruneVersions { name: name.clone(), keep };
    let outcomes = match store.commit(Commit::new().then(operation)).await {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        committed => committed?.outcomes,
    };
    let versions = outcomes.into_iter().find_map(|outcome| match outcome {
        Outcome::Pruned { versions } => Some(versions),
        _ => None,
    });
    Ok(Some(versions.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        for (text, seconds) in [("7d", 7 * 86_400), ("12h", 43_200), ("1h 30m", 5400), ("0s", 0)] {
            assert_eq!(duration(text).unwrap(), Duration::from_secs(seconds), "{text}");
        }
        for text in ["", "7", "-1d", "1 month", "soon"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
