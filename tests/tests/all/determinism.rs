//! One program has one graph, whoever compiles it and in whatever order it says independent things.

use std::fs;
use std::path::Path;

use constellation_tests::Launch;
use tempfile::TempDir;

const PROGRAM: &str = "
type Item = { sku: String, cents: Int }
@example([{ sku: \"A\", cents: 1200 }])
in items: List<Item>
in country: String
in note: Optional<String>

total = SumList(items.cents)
shipping = if (country == \"DE\") 490 else 1490
label = \"${Uppercase(country)}: ${note ?? \"none\"}\"
lines = items + { country: country }
rate = total * 1.5
isLarge = total > 10000 and not (country == \"DE\")

out total
out shipping
out label
out lines
out rate
out isLarge
";

/// The same, with independent declarations in another order, comments and another layout.
const REORDERED: &str = "
# The same program.
in note: Optional<String>
in country: String
label = \"${ Uppercase(country) }: ${ note ?? \"none\" }\"
out label
type Item = { sku: String, cents: Int }
@example([ { sku: \"A\", cents: 1200 } ])
in items: List<Item>
lines = items + { country: country }   # each line
shipping = if (country == \"DE\") 490
           else 1490
total = SumList(items.cents)
isLarge = total > 10000 and not (country == \"DE\")
rate = total * 1.5
out isLarge out rate out lines out total out shipping
";

/// Compiles `source` in a process of its own; the hash of its image, and the bytes of its graph as stored.
fn compile_in_a_new_process(directory: &Path, source: &str) -> (String, String) {
    let server = Launch::new(directory).args(["--store", "store"]).start();
    let hash = server.compile("program", source);
    assert!(server.signal("TERM").status.success());
    let document = fs::read_to_string(directory.join(format!("store/images/{hash}.json")))
        .expect("a store that was closed has the file of each image");
    let (_, graph) = document.split_once("\"dagSpec\"").expect("an image has a graph");
    let (graph, _) = graph.rsplit_once("\"metadata\"").expect("the metadata follow it");
    (hash, graph.to_owned())
}

#[test]
fn two_processes_compile_a_reordered_program_to_the_same_bytes() {
    let (first, second) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let original = compile_in_a_new_process(first.path(), PROGRAM);
    let reordered = compile_in_a_new_process(second.path(), REORDERED);
    assert_eq!(original, reordered);
    let other = compile_in_a_new_process(second.path(), &PROGRAM.replace("490", "491"));
    assert_ne!(original.0, other.0, "a literal counts");
}
