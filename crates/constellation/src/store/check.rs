//! `verify`, with and without `--repair`.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use constellation_lang::{FunctionTable, tokenize};
use constellation_module::ModuleRegistry;
use constellation_server::{Limits, PipelineService};
use constellation_store_core::{
    Commit, Operation, PipelineStore, PipelineStoreExt as _, Result, SourceHash, StructuralHash, SyntacticKey,
};
use constellation_store_fs::FileSystemPipelineStore;
use constellation_store_fs::verify::{
    self, Affected, Counts, Finding, VerifyOptions, VerifyProgress, VerifyReport,
};
use constellation_store_fs::vfs::{RealVfs, Vfs};
use serde_json::Value;

use super::{Answer, advise, n_of, progress, require, vfs, warn};
use crate::modules;

/// What can be done while a server has the store.
const BESIDE: &str = "stop the server first, or leave out '--repair', which changes files";
/// How many index entries share a commit.
const CHUNK: usize = 1000;

pub(super) fn verify(directory: &Path) -> anyhow::Result<Answer> {
    require(directory)?;
    let report = check(&RealVfs::new(directory))?;
    let mut text = String::new();
    for finding in &report.findings {
        tell(&mut text, finding);
    }
    tell_counts(&mut text, &report);
    let json = with_soundness(&report)?;
    Ok(if report.is_sound() { Answer::done(json, text) } else { Answer::found(json, text) })
}

fn with_soundness(report: &VerifyReport) -> serde_json::Result<Value> {
    let mut value = serde_json::to_value(report)?;
    value["sound"] = report.is_sound().into();
    Ok(value)
}

fn check(vfs: &dyn Vfs) -> Result<VerifyReport> {
    let key_of = key_of();
    let bar = progress::bar("checking", 0);
    let mut advance = |VerifyProgress { done, total }| {
        bar.set_length(total);
        bar.set_position(done);
    };
    let options = VerifyOptions { key_of: Some(&key_of), progress: Some(&mut advance) };
    let report = verify::verify(vfs, options);
    bar.finish_and_clear();
    report
}

/// The modules of whichever server had the store. Those for demonstration change nothing for a program that names none
/// of them.
fn registry() -> ModuleRegistry {
    modules::registry(true)
}

/// Under which key a source is found again by a server.
fn key_of() -> impl Fn(&str) -> Option<SyntacticKey> {
    let functions = FunctionTable::new(registry().signatures().cloned());
    move |source| Some(tokenize(source).syntactic_key(&functions))
}

pub(super) async fn repair(directory: &Path) -> anyhow::Result<Answer> {
    require(directory)?;
    let vfs = vfs(directory);
    let before = check(&*vfs)?;
    let is_index_gone = verify::mend(&vfs, &before).map_err(|error| advise(error, BESIDE))?;
    // Opening it for writing puts what is damaged into the quarantine.
    let store: Arc<dyn PipelineStore> = Arc::new(FileSystemPipelineStore::open(directory)?);
    if is_index_gone {
        fill_index(&*store).await?;
    }
    let service = PipelineService::new(Arc::clone(&store), registry(), &Limits::default());
    service.restore_missing().await?;
    for (name, problem) in service.problems() {
        warn(&format!("'{name}' cannot be run: {problem}"));
    }
    store.close().await?;
    drop(service);
    drop(store);

    let after = check(&*vfs)?;
    let paths: BTreeSet<&str> = after.findings.iter().map(|finding| finding.path.as_str()).collect();
    let (remaining, healed): (Vec<&Finding>, Vec<&Finding>) =
        before.findings.iter().partition(|finding| paths.contains(finding.path.as_str()));
    let mut text = String::new();
    for Finding { path, problem, loss, advice, .. } in &healed {
        match loss {
            None => writeln!(text, "healed: {path}: {problem}")?,
            Some(loss) => {
                writeln!(text, "healed with a loss: {path}: {problem}\n  lost: {loss}\n  do: {advice}")?;
            }
        }
    }
    for finding in &after.findings {
        write!(text, "not healed: ")?;
        tell(&mut text, finding);
    }
    tell_counts(&mut text, &after);
    let mut json = with_soundness(&after)?;
    json["healed"] = serde_json::to_value(&healed)?;
    json["notHealed"] = serde_json::to_value(&remaining)?;
    let lost: Vec<&&Finding> = healed.iter().filter(|finding| finding.loss.is_some()).collect();
    json["lost"] = serde_json::to_value(&lost)?;
    Ok(if after.is_sound() && lost.is_empty() { Answer::done(json, text) } else { Answer::found(json, text) })
}

/// Makes the index entries that the retained sources have.
async fn fill_index(store: &dyn PipelineStore) -> Result<()> {
    let key_of = key_of();
    let mut images: BTreeSet<StructuralHash> = BTreeSet::new();
    let mut pairs: BTreeSet<(SourceHash, StructuralHash)> = BTreeSet::new();
    for image in store.list_all_images().await? {
        images.insert(image.structural_hash);
        pairs.extend(image.metadata.source_hash.map(|source| (source, image.structural_hash)));
    }
    for entry in store.list_all_names().await? {
        let history = store.versions(&entry.name).await?;
        let versions = history.iter().flat_map(|history| &history.versions);
        pairs.extend(versions.filter_map(|version| Some((version.source_hash?, version.structural_hash))));
    }
    let bar = progress::bar("indexing", pairs.len() as u64);
    let mut operations = Vec::new();
    for (source_hash, structural_hash) in pairs {
        bar.inc(1);
        if images.contains(&structural_hash)
            && let Some(source) = store.source(&source_hash).await?
            && let Some(key) = key_of(&source)
        {
            operations.push(Operation::Index { key, structural_hash });
        }
    }
    for operations in operations.chunks(CHUNK) {
        store.commit(Commit { preconditions: Vec::new(), operations: operations.to_vec() }).await?;
    }
    bar.finish_and_clear();
    Ok(())
}

fn tell(text: &mut String, finding: &Finding) {
    let Finding { path, kind: _, problem, pipelines, advice, loss } = finding;
    writeln!(text, "{path}: {problem}").expect("writing to a string succeeds");
    for Affected { name, versions, is_active } in pipelines {
        let versions: Vec<String> = versions.iter().map(u64::to_string).collect();
        let versions = match versions.len() {
            0 => String::new(),
            1 => format!(", version {}", versions[0]),
            _ => format!(", versions {}", versions.join(", ")),
        };
        let active = if *is_active { " (active)" } else { "" };
        writeln!(text, "  hurts: {name}{versions}{active}").expect("writing to a string succeeds");
    }
    if let Some(loss) = loss {
        writeln!(text, "  lost: {loss}").expect("writing to a string succeeds");
    }
    writeln!(text, "  do: {advice}").expect("writing to a string succeeds");
}

fn tell_counts(text: &mut String, report: &VerifyReport) {
    let Counts { images, sources, names, versions, frames, .. } = &report.counts;
    let counts = format!(
        "{}, {}, {} with {}, {} in the journal",
        n_of(*images, "image"),
        n_of(*sources, "source"),
        n_of(*names, "name"),
        n_of(*versions, "version"),
        n_of(*frames, "frame"),
    );
    let verdict = match report.findings.len() {
        0 => "sound".to_owned(),
        n => n_of(n, "finding"),
    };
    writeln!(text, "{verdict}: {counts}").expect("writing to a string succeeds");
    for (count, noun, what) in [
        (report.counts.unreferenced_images, "image", " that no version refers to"),
        (report.counts.unreferenced_sources, "source", " that nothing refers to"),
        (report.counts.unchecked, "document", " without a checksum"),
        (report.counts.temporary_files, "temporary file", ""),
        (report.quarantine.len() as u64, "file", " in the quarantine"),
        (report.others.len() as u64, "file", " outside of the store's layout"),
    ] {
        if count > 0 {
            writeln!(text, "  {}{what}", n_of(count, noun)).expect("writing to a string succeeds");
        }
    }
}
