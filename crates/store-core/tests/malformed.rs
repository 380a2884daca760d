//! Image documents that are not what they should be: each is refused, with its kind, and none does harm.

use std::path::{Path, PathBuf};

use constellation_store_core::{
    CheckedImage, ErrorKind, FORMAT_VERSION, ImageSummary, PipelineImage, StoreError, StructuralHash,
    canonical_json, seal_document,
};
use proptest::prelude::*;
use serde_json::{Value, json};

/// The golden files, as bytes, with their names.
fn golden() -> Vec<(String, Vec<u8>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let entries = std::fs::read_dir(directory).expect("the directory is there");
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("the directory is readable").path())
        .filter(|path| path.extension().is_some_and(|end| end == "json"))
        .collect();
    paths.sort();
    assert!(paths.len() > 20);
    let read = |path: PathBuf| {
        let name = path.file_stem().expect("a file has a name").to_string_lossy().into_owned();
        (name, std::fs::read(path).expect("the file is readable"))
    };
    paths.into_iter().map(read).collect()
}

fn bytes_of(name: &str) -> Vec<u8> {
    let (_, bytes) = golden().into_iter().find(|(golden, _)| golden == name).expect("there is such a file");
    bytes
}

fn document(name: &str) -> Value {
    serde_json::from_slice(&bytes_of(name)).expect("it is JSON")
}

/// The document with a right checksum.
fn sealed(document: Value) -> Vec<u8> {
    let Value::Object(members) = document else { panic!("an image document is an object") };
    seal_document(members)
}

/// The document with the right hash of its graph, and a right checksum.
fn rehashed(mut document: Value) -> Vec<u8> {
    let hash = StructuralHash::of_bytes(&canonical_json(&document["dagSpec"]));
    document["structuralHash"] = hash.to_string().into();
    sealed(document)
}

fn kind(bytes: &[u8]) -> Option<ErrorKind> {
    let decoded = PipelineImage::decode(bytes);
    let checked = CheckedImage::read(bytes).map_err(|error| error.kind());
    match &decoded {
        Ok(decoded) => {
            let summary = ImageSummary::of(&decoded.image);
            assert_eq!(checked, Ok(CheckedImage { summary, checked: decoded.checked }));
        }
        // Whether a graph is malformed may be left to the first use, but no check is skipped.
        Err(error) if is_of_graph(error) => {
            let kind = checked.as_ref().err();
            assert!(kind.is_none_or(|kind| *kind == ErrorKind::UnsupportedFormat), "{kind:?} for {error:?}");
        }
        Err(error) => assert_eq!(checked.err(), Some(error.kind())),
    }
    decoded.err().map(|error| error.kind())
}

/// Whether an error is about the form of a graph, whose bytes are what was written.
fn is_of_graph(error: &StoreError) -> bool {
    error.kind() == ErrorKind::InvalidImage
        || error.kind() == ErrorKind::UnsupportedFormat && error.message().contains("dagSpec")
}

/// Calls `visit` with the path of each object in a value, as JSON pointers.
fn objects(value: &Value, pointer: &str, visit: &mut impl FnMut(&str)) {
    match value {
        Value::Object(members) => {
            visit(pointer);
            for (key, value) in members {
                objects(value, &format!("{pointer}/{key}"), visit);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                objects(value, &format!("{pointer}/{index}"), visit);
            }
        }
        _ => {}
    }
}

#[test]
fn an_unknown_member_anywhere_in_the_graph_is_not_supported() {
    let mut count = 0;
    for (name, bytes) in golden() {
        let document: Value = serde_json::from_slice(&bytes).expect("it is JSON");
        objects(&document["dagSpec"], "/dagSpec", &mut |pointer| {
            let mut changed = document.clone();
            changed.pointer_mut(pointer).expect("it is there")["later"] = json!(1);
            let kind = kind(&rehashed(changed));
            assert_eq!(kind, Some(ErrorKind::UnsupportedFormat), "{name} at {pointer}");
            count += 1;
        });
    }
    assert!(count > 300, "{count} objects");
}

#[test]
fn an_unknown_kind_of_node_or_type_is_not_supported() {
    for (pointer, value) in [
        ("/dagSpec/nodes/1/operation", json!({ "await": { "operand": 0 } })),
        ("/dagSpec/nodes/1/operation", json!("await")),
        ("/dagSpec/types/0", json!("decimal")),
        ("/dagSpec/types/0", json!({ "set": 0 })),
    ] {
        let mut changed = document("negate");
        *changed.pointer_mut(pointer).expect("it is there") = value;
        assert_eq!(kind(&rehashed(changed)), Some(ErrorKind::UnsupportedFormat), "{pointer}");
    }
}

#[test]
fn a_missing_member_of_the_graph_is_not_supported() {
    for member in ["inputs", "outputs", "types", "nodes", "requires"] {
        let mut changed = document("negate");
        changed["dagSpec"].as_object_mut().expect("it is an object").remove(member);
        assert_eq!(kind(&rehashed(changed)), Some(ErrorKind::UnsupportedFormat), "{member}");
    }
}

#[test]
fn a_graph_has_one_spelling() {
    // Each reads as the same graph, but would be written, and hash, in another way.
    for (name, pointer, value) in [
        ("negate", "/dagSpec/outputs/0", json!(["y", 1])),
        ("negate", "/dagSpec/inputs/0", json!({ "name": "x", "type": 0, "default": null })),
        ("negate", "/dagSpec/inputs/0", json!({ "name": "x", "type": 0, "examples": [] })),
        ("lambda", "/dagSpec/nodes/1", json!({ "label": null, "type": 0, "operation": "parameter" })),
        ("lambda", "/dagSpec/nodes/1", json!({ "type": 0, "operation": { "parameter": null } })),
        ("call_option_variants", "/dagSpec/nodes/0/operation/call/options", json!({})),
        ("call_option_variants", "/dagSpec/nodes/0/operation/call/options", json!([])),
        ("call_option_variants", "/dagSpec/nodes/0/operation/call/options", json!({ "retry": null })),
    ] {
        let mut changed = document(name);
        *changed.pointer_mut(pointer).expect("it is there") = value.clone();
        assert_eq!(kind(&rehashed(changed)), Some(ErrorKind::InvalidImage), "{pointer} {value}");
    }
}

#[test]
fn an_index_is_a_whole_number_in_range() {
    for (index, expected) in [
        (json!(0.0), ErrorKind::UnsupportedFormat),
        (json!(-0.0), ErrorKind::UnsupportedFormat),
        (json!(-1), ErrorKind::UnsupportedFormat),
        (json!(0.5), ErrorKind::UnsupportedFormat),
        (json!("0"), ErrorKind::UnsupportedFormat),
        (json!(null), ErrorKind::UnsupportedFormat),
        (json!(1_u64 << 32), ErrorKind::UnsupportedFormat),
        (json!(1e300), ErrorKind::UnsupportedFormat),
        (json!(1), ErrorKind::InvalidImage),
        (json!(u32::MAX), ErrorKind::InvalidImage),
    ] {
        let mut changed = document("negate");
        changed["dagSpec"]["nodes"][1]["operation"]["negate"]["operand"] = index.clone();
        assert_eq!(kind(&rehashed(changed)), Some(expected), "{index}");
    }
}

#[test]
fn a_number_that_canonical_json_would_change_is_read_as_it_stands() {
    let options = "/dagSpec/nodes/0/operation/call/options";
    for (number, expected) in [
        (json!(1.0), Some(ErrorKind::UnsupportedFormat)),
        (json!((1_u64 << 53) - 1), None),
        (json!(1_u64 << 53), Some(ErrorKind::InvalidImage)),
        (json!((1_u64 << 53) + 1), Some(ErrorKind::InvalidImage)),
        (json!(u64::MAX), Some(ErrorKind::InvalidImage)),
    ] {
        let mut changed = document("call_option_variants");
        *changed.pointer_mut(options).expect("it is there") = json!({ "retry": number });
        assert_eq!(kind(&rehashed(changed)), expected, "{number}");
    }
    // The same number spelled otherwise hashes alike, so only the spelling tells.
    let text = String::from_utf8(bytes_of("negate")).expect("it is text");
    for spelling in ["0.0", "0e0", "-0"] {
        let changed = text.replace("\"operand\": 0", &format!("\"operand\": {spelling}"));
        assert_ne!(changed, text);
        assert_eq!(kind(changed.as_bytes()), Some(ErrorKind::UnsupportedFormat), "{spelling}");
    }
}

#[test]
fn another_format_version_is_not_supported_whatever_else_is_in_the_document() {
    for version in
        [json!(FORMAT_VERSION + 1), json!(0), json!(1.0), json!("1"), json!(null), json!(-1), json!([1])]
    {
        let mut changed = document("negate");
        changed["formatVersion"] = version.clone();
        assert_eq!(kind(&sealed(changed)), Some(ErrorKind::UnsupportedFormat), "{version}");
        let later = json!({ "formatVersion": version, "graph": {} });
        assert_eq!(kind(&sealed(later)), Some(ErrorKind::UnsupportedFormat), "{version}");
    }
}

#[test]
fn a_missing_or_malformed_member_outside_of_the_graph_is_corrupt() {
    for member in ["structuralHash", "dagSpec", "metadata"] {
        let mut changed = document("negate");
        changed.as_object_mut().expect("it is an object").remove(member);
        assert_eq!(kind(&sealed(changed)), Some(ErrorKind::Corrupt), "{member}");
    }
    let hash = document("negate")["structuralHash"].as_str().expect("it is text").to_owned();
    for (pointer, value) in [
        ("/structuralHash", json!(hash.to_uppercase())),
        ("/structuralHash", json!(&hash[1..])),
        ("/structuralHash", json!(format!("blake3:{hash}"))),
        ("/structuralHash", json!(null)),
        ("/metadata", json!([])),
        ("/metadata/compiledAt", json!("yesterday")),
        ("/metadata/compiledAt", json!(1_770_042_600)),
        ("/metadata/moduleCount", json!(-1)),
        ("/metadata/inputCount", json!("1")),
        ("/metadata/outputCount", json!(null)),
    ] {
        let mut changed = document("negate");
        *changed.pointer_mut(pointer).expect("it is there") = value.clone();
        assert_eq!(kind(&sealed(changed)), Some(ErrorKind::Corrupt), "{pointer} {value}");
    }
}

#[test]
fn a_wrong_checksum_is_corrupt_and_an_absent_one_is_told() {
    for checksum in [json!("0".repeat(64)), json!(""), json!(null), json!(0), json!([])] {
        let mut changed = document("negate");
        changed["checksum"] = checksum.clone();
        assert_eq!(kind(changed.to_string().as_bytes()), Some(ErrorKind::Corrupt), "{checksum}");
    }
    let mut changed = document("negate");
    changed.as_object_mut().expect("it is an object").remove("checksum");
    let decoded = PipelineImage::decode(changed.to_string().as_bytes()).expect("it is well formed");
    assert!(!decoded.checked);
}

#[test]
fn documents_that_were_swapped_are_told_apart() {
    let (one, other) = (document("negate"), document("if"));
    // The hash of one with the graph of the other, as a file under a wrong name would claim.
    let mut changed = one.clone();
    changed["dagSpec"] = other["dagSpec"].clone();
    assert_eq!(kind(&sealed(changed.clone())), Some(ErrorKind::HashMismatch));
    assert_eq!(kind(changed.to_string().as_bytes()), Some(ErrorKind::Corrupt), "the checksum tells first");
    changed.as_object_mut().expect("it is an object").remove("checksum");
    assert_eq!(kind(changed.to_string().as_bytes()), Some(ErrorKind::HashMismatch), "also without one");
    // The metadata of another image.
    let mut changed = one;
    changed["metadata"] = other["metadata"].clone();
    changed["metadata"]["moduleCount"] = 9.into();
    assert_eq!(kind(changed.to_string().as_bytes()), Some(ErrorKind::Corrupt));
}

#[test]
fn a_duplicate_key_anywhere_is_corrupt() {
    let text = String::from_utf8(bytes_of("call_options")).expect("it is text");
    let mut count = 0;
    // Each member is written a second time, with the same value on the same line.
    for (start, line) in
        text.match_indices('\n').map(|(start, _)| (start + 1, text[start + 1..].lines().next()))
    {
        let line = line.unwrap_or_default();
        let is_member = line.trim_start().starts_with('"') && line.contains("\": ");
        if !is_member || line.ends_with(['{', '[']) {
            continue;
        }
        let comma = if line.ends_with(',') { "" } else { "," };
        let doubled = format!("{}{}{comma}\n{}", &text[..start], line, &text[start..]);
        let error = PipelineImage::decode(doubled.as_bytes()).expect_err(line);
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{line}");
        assert!(format!("{error:?}").contains("duplicate key"), "{error:?}");
        count += 1;
    }
    assert!(count > 40, "{count} members");
}

#[test]
fn bytes_that_are_not_a_document_are_corrupt() {
    let whole = bytes_of("negate");
    let with = |prefix: &[u8], suffix: &[u8]| [prefix, &whole, suffix].concat();
    for (what, bytes) in [
        ("nothing", vec![]),
        ("zeros", vec![0; 4096]),
        ("a byte order mark", with(b"\xef\xbb\xbf", b"")),
        ("trailing text", with(b"", b"x")),
        ("trailing zeros", with(b"", &[0; 512])),
        ("two documents", with(&whole, b"")),
        ("an array around it", with(b"[", b"]")),
        ("a number", b"1".to_vec()),
        ("null", b"null".to_vec()),
        ("UTF-16", whole.iter().flat_map(|byte| [*byte, 0]).collect()),
        ("Latin-1", b"{\"a\":\"\xe9\"}".to_vec()),
        ("a lone surrogate", b"{\"a\":\"\\ud800\"}".to_vec()),
        ("a number past all doubles", b"{\"a\":1e999}".to_vec()),
        ("not a number", b"{\"a\":NaN}".to_vec()),
    ] {
        assert_eq!(kind(&bytes), Some(ErrorKind::Corrupt), "{what}");
    }
    assert_eq!(kind(&with(b" \t\r\n", b"\n\n")), None, "white space is harmless");
}

#[test]
fn a_document_cut_short_is_corrupt() {
    for (name, bytes) in golden() {
        let text = bytes.trim_ascii_end().len();
        for length in (0..text).step_by(7).chain(text.saturating_sub(8)..text) {
            assert_eq!(kind(&bytes[..length]), Some(ErrorKind::Corrupt), "{name} cut to {length}");
        }
    }
}

#[test]
fn depth_is_bounded_everywhere() {
    let bombs = ["[".repeat(1_000_000), "{\"a\":".repeat(1_000_000), "[".repeat(129) + &"]".repeat(129)];
    for bomb in bombs {
        assert_eq!(kind(bomb.as_bytes()), Some(ErrorKind::Corrupt));
        for around in ["structuralHash", "dagSpec", "metadata", "note", "checksum", "formatVersion"] {
            assert_eq!(
                kind(format!("{{\"{around}\":{bomb}}}").as_bytes()),
                Some(ErrorKind::Corrupt),
                "{around}"
            );
        }
    }
    // Bodies that nest in data rather than in text: each lambda's body holds the next.
    let levels = 5_000_u32;
    let parameters = (0..levels).map(|_| json!({ "type": 0, "operation": "parameter" }));
    let owners = (0..levels).map(|level| {
        let (start, end) = (levels - 1 - level, levels + level);
        let body = json!({ "start": start, "end": end, "parameters": 1, "result": end - 1 });
        json!({ "type": 0, "operation": { "lambda": { "captures": [], "body": body } } })
    });
    let mut changed = document("negate");
    changed["dagSpec"] = json!({
        "inputs": [],
        "outputs": [{ "name": "x", "node": 2 * levels - 1 }],
        "types": ["int"],
        "nodes": parameters.chain(owners).collect::<Vec<_>>(),
        "requires": [],
    });
    assert_eq!(kind(&rehashed(changed)), Some(ErrorKind::InvalidImage));
    // Types likewise.
    let mut changed = document("negate");
    let types = std::iter::once(json!("float")).chain((0..5_000).map(|index| json!({ "list": index })));
    changed["dagSpec"]["types"] = types.collect();
    assert_eq!(kind(&rehashed(changed)), Some(ErrorKind::InvalidImage));
}

#[test]
fn types_that_double_at_each_level_are_bounded() {
    let mut changed = document("negate");
    let double =
        |index: u32| json!({ "record": [{ "name": "a", "type": index }, { "name": "b", "type": index }] });
    changed["dagSpec"]["types"] = std::iter::once(json!("float")).chain((0..60).map(double)).collect();
    assert_eq!(kind(&rehashed(changed)), Some(ErrorKind::InvalidImage));
}

#[test]
fn a_document_of_many_nodes_is_read() {
    let wide = |nodes: usize| {
        let mut changed = document("negate");
        let literals = (0..nodes)
            .map(|value| json!({ "type": 0, "operation": { "literal": { "float": format!("{value}.0") } } }));
        let items: Vec<_> = (0..nodes).collect();
        let list = json!({ "type": 1, "operation": { "list": { "items": items } } });
        changed["dagSpec"] = json!({
            "inputs": [],
            "outputs": [{ "name": "x", "node": nodes }],
            "types": ["float", { "list": 0 }],
            "nodes": literals.chain([list]).collect::<Vec<_>>(),
            "requires": [],
        });
        rehashed(changed)
    };
    let decoded = PipelineImage::decode(&wide(20_000)).expect("it is well formed");
    assert_eq!(decoded.image.dag_spec.nodes.len(), 20_001);
}

#[test]
fn every_flipped_bit_is_found_or_harmless() {
    let original = bytes_of("negate");
    let image = PipelineImage::decode(&original).expect("it is well formed").image;
    for bit in 0..original.len() * 8 {
        let mut changed = original.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        // Also asserts that checking alone tells the same.
        let _ = kind(&changed);
        match PipelineImage::decode(&changed) {
            Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupt, "bit {bit}: {error}"),
            // White space. Or the name of the checksum, which is told; the graph is checked by its hash then too.
            Ok(decoded) if decoded.checked => assert_eq!(decoded.image, image, "bit {bit}"),
            Ok(decoded) => assert_eq!(decoded.image.dag_spec, image.dag_spec, "bit {bit}"),
        }
    }
}

proptest! {
    #[test]
    fn bytes_overwritten_anywhere_are_found_or_harmless(
        file in any::<prop::sample::Index>(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let files = golden();
        let (name, original) = &files[file.index(files.len())];
        let mut changed = original.clone();
        for (place, byte) in edits {
            let place = place.index(changed.len());
            changed[place] = byte;
        }
        let _ = kind(&changed);
        if let Ok(decoded) = PipelineImage::decode(&changed) {
            let image = PipelineImage::decode(original).expect("it is well formed").image;
            prop_assert_eq!(&decoded.image.dag_spec, &image.dag_spec, "{}", name);
            prop_assert!(!decoded.checked || decoded.image == image);
        }
    }

    /// Whatever is inside a document with right hashes: reading ends, and what is read is well formed.
    #[test]
    fn values_replaced_in_the_graph_are_refused_or_well_formed(
        file in any::<prop::sample::Index>(),
        place in any::<prop::sample::Index>(),
        value in prop_oneof![
            (0_u32..12).prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "[a-z]{0,4}".prop_map(Value::from),
            Just(json!(null)),
            Just(json!([])),
            Just(json!({})),
            Just(json!(["a", "a"])),
            Just(json!([0, 0])),
        ],
    ) {
        let files = golden();
        let (_, original) = &files[file.index(files.len())];
        let mut document: Value = serde_json::from_slice(original).expect("it is JSON");
        let mut pointers = Vec::new();
        objects(&document["dagSpec"], "/dagSpec", &mut |pointer| pointers.push(pointer.to_owned()));
        let pointer = &pointers[place.index(pointers.len())];
        let members = document.pointer_mut(pointer).and_then(Value::as_object_mut).expect("it is an object");
        if let Some(key) = members.keys().nth(place.index(members.len().max(1))).cloned() {
            members[&key] = value;
        }
        let bytes = rehashed(document);
        let _ = kind(&bytes);
        match PipelineImage::decode(&bytes) {
            Ok(decoded) => prop_assert_eq!(decoded.image.verify().map(drop).map_err(|error| error.kind()), Ok(())),
            Err(error) => prop_assert!(
                matches!(error.kind(), ErrorKind::UnsupportedFormat | ErrorKind::InvalidImage),
                "{}", error
            ),
        }
    }
}
