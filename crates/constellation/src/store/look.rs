//! `ls`, `show` and `versions`.

use std::path::Path;

use anyhow::Context as _;
use constellation_store_core::{
    PipelineImage, PipelineName, PipelineStore as _, PipelineStoreExt as _, Reference, StructuralHash,
    VersionHistory,
};
use serde_json::{Value, json};

use super::{Answer, open_to_read, table};

/// How many digits of a hash tell an image, at the least.
const MIN_DIGITS: usize = 4;

pub(super) async fn ls(directory: &Path) -> anyhow::Result<Answer> {
    let store = open_to_read(directory).await?;
    let mut entries = Vec::new();
    let mut rows = vec![row(["NAME", "VERSION", "HASH", "PUBLISHED"])];
    for entry in store.list_all_names().await? {
        let history = store.versions(&entry.name).await?;
        let active =
            entry.active.and_then(|active| Some((active, history.as_ref()?.get(active.version)?.created_at)));
        let name = entry.name.to_string();
        rows.push(match active {
            Some((active, created_at)) => vec![
                name.clone(),
                active.version.to_string(),
                active.structural_hash.to_string(),
                created_at.to_string(),
            ],
            None => row([&name, "-", "(deleted)"]),
        });
        entries.push(json!({
            "name": name,
            "activeVersion": active.map(|(active, _)| active.version),
            "structuralHash": active.map(|(active, _)| active.structural_hash),
            "createdAt": active.map(|(_, created_at)| created_at),
        }));
    }
    let text = if entries.is_empty() { "no names\n".to_owned() } else { table(&rows) };
    Ok(Answer::done(json!({ "names": entries }), text))
}

pub(super) async fn show(directory: &Path, text: &str) -> anyhow::Result<Answer> {
    let reference: Reference = text.parse()?;
    let store = open_to_read(directory).await?;
    let version = match &reference {
        Reference::Name(name) => store.resolve(name).await?.map(|active| active.version),
        Reference::Hash(_) => None,
    };
    let mut image = store.get_by_reference(&reference).await?;
    if image.is_none() {
        let hashes = store.list_all_images().await?.into_iter().map(|image| image.structural_hash);
        match &*beginning_with(hashes, text) {
            [] => {}
            [hash] => image = store.get(hash).await?,
            [first, second, ..] => {
                let value = json!({ "reference": text, "error": { "kind": "ambiguous" } });
                let found = format!("'{text}' begins more than one hash, as {first} and {second}");
                return Ok(Answer::found(value, format!("{found}; give more of it\n")));
            }
        }
    }
    let Some(image) = image else {
        if let Reference::Name(name) = &reference
            && store.versions(name).await?.is_some_and(|history| history.active_version.is_none())
        {
            let value = json!({ "reference": text, "error": { "kind": "not found", "deleted": true } });
            let advice = "'versions' lists its versions, and 'show' takes the hash of one";
            return Ok(Answer::found(value, format!("'{text}' is deleted; {advice}\n")));
        }
        return Ok(not_there(text));
    };
    let source = match image.metadata.source_hash {
        Some(hash) => store.source(&hash).await?,
        None => None,
    };
    let document: Value = serde_json::from_slice(&image.encode()).context("the image cannot be shown")?;
    let summary = summary(text, version, &image, source.is_some());
    Ok(Answer::done(
        json!({ "reference": text, "version": version, "image": document, "source": source.as_deref() }),
        summary,
    ))
}

/// The hashes that a shortened one may be of; none if the text is no such.
fn beginning_with(hashes: impl Iterator<Item = StructuralHash>, text: &str) -> Vec<StructuralHash> {
    let beginning = text.strip_prefix("blake3:").unwrap_or(text).trim_end_matches("...");
    let is_shortened =
        beginning.len() >= MIN_DIGITS && beginning.bytes().all(|byte| byte.is_ascii_hexdigit());
    hashes.filter(|hash| is_shortened && hash.to_string().starts_with(beginning)).collect()
}

fn summary(reference: &str, version: Option<u64>, image: &PipelineImage, has_source: bool) -> String {
    let metadata = &image.metadata;
    let dag = &image.dag_spec;
    let list = |names: Vec<String>| if names.is_empty() { "-".to_owned() } else { names.join(", ") };
    let mut rows = vec![row(["reference", reference])];
    if let Some(version) = version {
        rows.push(vec!["version".to_owned(), version.to_string()]);
    }
    let source = match metadata.source_hash {
        Some(hash) if has_source => hash.to_string(),
        Some(hash) => format!("{hash} (not retained)"),
        None => "-".to_owned(),
    };
    let requires = dag.requires.iter().map(|module| format!("{}@{}", module.name, module.major)).collect();
    rows.extend([
        vec!["hash".to_owned(), image.structural_hash.to_string()],
        vec!["compiled".to_owned(), metadata.compiled_at.to_string()],
        vec!["compiler".to_owned(), metadata.compiler.as_deref().unwrap_or("-").to_owned()],
        vec!["source".to_owned(), source],
        vec!["inputs".to_owned(), list(dag.inputs.iter().map(|input| input.name.clone()).collect())],
        vec!["outputs".to_owned(), list(dag.outputs.iter().map(|output| output.name.clone()).collect())],
        vec!["modules".to_owned(), list(requires)],
        vec!["nodes".to_owned(), dag.nodes.len().to_string()],
    ]);
    table(&rows)
}

pub(super) async fn versions(directory: &Path, text: &str) -> anyhow::Result<Answer> {
    let name: PipelineName = text.parse()?;
    let store = open_to_read(directory).await?;
    let Some(history) = store.versions(&name).await? else { return Ok(not_there(text)) };
    let VersionHistory { versions, active_version, .. } = &*history;
    let mut rows = vec![row(["VERSION", "ACTIVE", "HASH", "PUBLISHED", "REVISION", "ORIGIN"])];
    for version in versions {
        let is_active = *active_version == Some(version.version);
        rows.push(vec![
            version.version.to_string(),
            if is_active { "*" } else { "" }.to_owned(),
            version.structural_hash.to_string(),
            version.created_at.to_string(),
            version.revision.to_string(),
            version.origin.as_str().to_owned(),
        ]);
    }
    Ok(Answer::done(serde_json::to_value(&*history)?, table(&rows)))
}

fn not_there(reference: &str) -> Answer {
    let value = json!({ "reference": reference, "error": { "kind": "not found" } });
    Answer::found(value, format!("there is no '{reference}' in the store\n"))
}

fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortened_hash_is_of_all_that_begin_with_it() {
        let hashes = ["ab12cd", "ab12ce", "0b12cd"];
        let hashes =
            hashes.map(|digits| format!("{digits:0<64}").parse::<StructuralHash>().expect("it is a hash"));
        for (text, expected) in [
            ("ab12", &hashes[..2]),
            ("blake3:ab12c", &hashes[..2]),
            ("ab12ce...", &hashes[1..2]),
            ("0b12", &hashes[2..]),
            ("b12c", &[]),
            ("ab1", &[]),
            ("ab1...", &[]),
            ("", &[]),
            ("ab12/x", &[]),
        ] {
            assert_eq!(beginning_with(hashes.iter().copied(), text), expected, "{text}");
        }
    }
}
