//! Whether an image may be stored.

use serde_json::{Map, Value};

use super::{CHECKSUM, DAG_SPEC, METADATA, PipelineImage, STRUCTURAL_HASH, VERSION, hash_mismatch};
use crate::{ErrorKind, Result, StoreError, StructuralHash};

/// The members of a document.
const MEMBERS: [&str; 5] = [STRUCTURAL_HASH, DAG_SPEC, METADATA, VERSION, CHECKSUM];
/// The members of its metadata.
const METADATA_MEMBERS: [&str; 7] =
    ["compiledAt", "sourceHash", "moduleCount", "inputCount", "outputCount", "syntacticHash", "compiler"];
/// How many arrays and objects `serde_json` reads within one another.
const MAX_DEPTH: usize = 127;

impl PipelineImage {
    /// Checks that the graph is well formed, that the hash is that of the graph, and that the extra members can be
    /// read again once they are written, as a store does before it takes an image. Returns the canonical JSON of
    /// the graph, for [`PipelineImage::encode_compact`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidImage`] and [`ErrorKind::HashMismatch`].
    pub fn verify(&self) -> Result<Vec<u8>> {
        let Self { structural_hash, dag_spec, metadata, extra } = self;
        let invalid = |message: String| {
            StoreError::new(ErrorKind::InvalidImage, "verify image", message)
                .with("structuralHash", structural_hash)
        };
        dag_spec.types().map_err(|error| invalid(error.to_string()))?;
        check_extra(extra, &MEMBERS, MAX_DEPTH - 1).map_err(invalid)?;
        check_extra(&metadata.extra, &METADATA_MEMBERS, MAX_DEPTH - 2).map_err(invalid)?;
        let graph = dag_spec.canonical_json();
        let actual = StructuralHash::of_bytes(&graph);
        if actual == *structural_hash { Ok(graph) } else { Err(hash_mismatch(*structural_hash, actual)) }
    }
}

fn check_extra(extra: &Map<String, Value>, members: &[&str], depth: usize) -> Result<(), String> {
    for (key, value) in extra {
        if members.contains(&key.as_str()) {
            return Err(format!("its extra members have '{key}', which the format has, too"));
        }
        if !nests_within(value, depth) {
            return Err(format!("its extra member '{key}' nests too deep"));
        }
    }
    Ok(())
}

fn nests_within(value: &Value, depth: usize) -> bool {
    let inner = depth.checked_sub(1);
    match value {
        Value::Array(items) => inner.is_some_and(|depth| items.iter().all(|item| nests_within(item, depth))),
        Value::Object(members) => {
            inner.is_some_and(|depth| members.values().all(|member| nests_within(member, depth)))
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::tests::image;
    use crate::{Literal, NodeKind, SourceHash, SyntacticHash};

    fn kind(image: &PipelineImage) -> Option<ErrorKind> {
        image.verify().err().map(|error| error.kind())
    }

    #[test]
    fn an_extra_member_that_the_format_has_is_refused() {
        let mut full = image();
        full.metadata.source_hash = Some(SourceHash::of_bytes(b"x"));
        full.metadata.syntactic_hash = Some(SyntacticHash::of_bytes(b"x"));
        full.metadata.compiler = Some("0.1.0".into());
        let document: Value = serde_json::from_slice(&full.encode()).unwrap();
        let keys = |value: &Value| -> Vec<_> { value.as_object().unwrap().keys().cloned().collect() };
        assert_eq!(keys(&document).len(), MEMBERS.len());
        for member in keys(&document) {
            let mut image = image();
            image.extra.insert(member.clone(), Value::Null);
            assert_eq!(kind(&image), Some(ErrorKind::InvalidImage), "{member}");
        }
        assert_eq!(keys(&document["metadata"]).len(), METADATA_MEMBERS.len());
        for member in keys(&document["metadata"]) {
            let mut image = image();
            image.metadata.extra.insert(member.clone(), Value::Null);
            assert_eq!(kind(&image), Some(ErrorKind::InvalidImage), "{member}");
        }
    }

    #[test]
    fn an_extra_member_is_refused_if_and_only_if_it_nests_too_deep_to_be_read() {
        let mut refused = 0;
        for depth in 120..130 {
            let arrays = (0..depth).fold(Value::Null, |inner, _| Value::Array(vec![inner]));
            let objects = (0..depth)
                .fold(Value::Null, |inner, _| Value::Object([("a".to_owned(), inner)].into_iter().collect()));
            for value in [arrays, objects] {
                let (mut outside, mut inside) = (image(), image());
                outside.extra.insert("note".into(), value.clone());
                inside.metadata.extra.insert("note".into(), value);
                for image in [outside, inside] {
                    let expected = PipelineImage::decode(&image.encode()).is_ok();
                    assert_eq!(image.verify().is_ok(), expected, "{depth}");
                    refused += usize::from(!expected);
                }
            }
        }
        assert_eq!(refused, 2 * (3 + 4));
    }

    #[test]
    fn a_float_that_is_not_finite_is_refused() {
        let mut image = image();
        image.dag_spec.nodes[0].operation = NodeKind::Literal(Literal::Float(f64::NAN));
        assert_eq!(kind(&image), Some(ErrorKind::InvalidImage));
    }
}
