//! Writing a section of the catalogue.

use constellation_store_core::{
    ExtraMembers, ImageMetadata, ImageSummary, Origin, SyntacticKey, VersionHistory,
};

use super::{EPOCH, Entry, SectionId};
use crate::frame::encode_frame;

/// The bytes of a section.
pub(crate) fn encode_section(id: SectionId, entries: impl Iterator<Item = Entry>) -> Vec<u8> {
    let SectionId { store, checkpoint, previous, number, stamps } = id;
    let mut out = Vec::new();
    out.extend_from_slice(checkpoint.as_bytes());
    out.extend_from_slice(previous.as_bytes());
    out.extend(stamps.as_flattened());
    for entry in entries {
        put_entry(&mut out, &entry);
    }
    encode_frame(store, EPOCH, number, &out)
}

fn put_entry(out: &mut Vec<u8>, entry: &Entry) {
    match entry {
        Entry::Image(summary) => {
            out.push(8);
            put_summary(out, summary);
        }
        Entry::ImageRemoved(structural_hash) => {
            out.push(2);
            out.extend_from_slice(structural_hash.as_bytes());
        }
        Entry::Source(source_hash, bytes) => {
            out.push(9);
            out.extend_from_slice(source_hash.as_bytes());
            put_number(out, *bytes);
        }
        Entry::SourceRemoved(source_hash) => {
            out.push(4);
            out.extend_from_slice(source_hash.as_bytes());
        }
        Entry::History(history) => {
            out.push(5);
            put_history(out, history);
        }
        Entry::Indexed(key, structural_hash) => {
            out.push(6);
            put_key(out, key);
            out.extend_from_slice(structural_hash.as_bytes());
        }
        Entry::IndexRemoved(key) => {
            out.push(7);
            put_key(out, key);
        }
    }
}

fn put_summary(out: &mut Vec<u8>, summary: &ImageSummary) {
    let ImageSummary { structural_hash, metadata, outputs, graph_bytes } = summary;
    let ImageMetadata {
        compiled_at,
        source_hash,
        module_count,
        input_count,
        output_count,
        syntactic_hash,
        compiler,
        extra,
    } = metadata;
    out.extend_from_slice(structural_hash.as_bytes());
    put_number(out, *graph_bytes);
    out.extend_from_slice(&compiled_at.as_milliseconds().to_le_bytes());
    for count in [module_count, input_count, output_count] {
        put_number(out, *count);
    }
    put_option(out, source_hash.as_ref().map(|hash| &hash.as_bytes()[..]));
    put_option(out, syntactic_hash.as_ref().map(|hash| &hash.as_bytes()[..]));
    out.push(u8::from(compiler.is_some()));
    if let Some(compiler) = compiler {
        put_text(out, compiler.as_bytes());
    }
    put_extra(out, extra);
    put_count(out, outputs.len());
    for output in outputs.iter() {
        put_text(out, output.as_bytes());
    }
}

fn put_history(out: &mut Vec<u8>, history: &VersionHistory) {
    let VersionHistory { pipeline_name, versions, active_version, next_version, loader_source_hash, extra } =
        history;
    put_text(out, pipeline_name.as_str().as_bytes());
    put_number(out, *next_version);
    put_option(out, active_version.map(u64::to_le_bytes).as_ref().map(<[u8; 8]>::as_slice));
    put_option(out, loader_source_hash.as_ref().map(|hash| &hash.as_bytes()[..]));
    put_extra(out, extra);
    put_count(out, versions.len());
    for version in versions {
        put_number(out, version.version);
        out.extend_from_slice(version.structural_hash.as_bytes());
        out.extend_from_slice(&version.created_at.as_milliseconds().to_le_bytes());
        put_number(out, version.revision.0);
        out.push(match version.origin {
            Origin::Compile => 0,
            Origin::Reload => 1,
            Origin::Loader => 2,
            Origin::Alias => 3,
            Origin::Import => 4,
        });
        put_option(out, version.source_hash.as_ref().map(|hash| &hash.as_bytes()[..]));
        put_extra(out, &version.extra);
    }
}

fn put_number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(&number.to_le_bytes());
}

fn put_count(out: &mut Vec<u8>, count: usize) {
    let count = u32::try_from(count).expect("nothing that fits into a commit has that many parts");
    out.extend_from_slice(&count.to_le_bytes());
}

fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    put_count(out, text.len());
    out.extend_from_slice(text);
}

fn put_option(out: &mut Vec<u8>, value: Option<&[u8]>) {
    out.push(u8::from(value.is_some()));
    out.extend_from_slice(value.unwrap_or_default());
}

/// There are none nearly always; then the text is empty.
fn put_extra(out: &mut Vec<u8>, extra: &ExtraMembers) {
    if extra.is_empty() {
        put_count(out, 0);
    } else {
        put_text(out, &serde_json::to_vec(extra).expect("JSON values serialize"));
    }
}

fn put_key(out: &mut Vec<u8>, key: &SyntacticKey) {
    out.extend_from_slice(key.syntactic.as_bytes());
    out.extend_from_slice(key.registry.as_bytes());
}
