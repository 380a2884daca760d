//! What the documentation of the suite shows is how this crate runs it.

#[test]
fn the_documented_example_is_the_target_that_runs_the_suite() {
    let documentation = include_str!("../../../../crates/store-core/src/conformance.rs");
    let (_, example) = documentation.split_once("//! ```no_run\n").expect("there is an example");
    let (example, _) = example.split_once("//! ```\n").expect("the example ends");
    let lines = example.lines().map(|line| line.trim_start_matches("//!").trim_start_matches(' '));
    let shown: Vec<_> = lines.filter(|line| !line.starts_with("# ")).collect();
    let target = include_str!("conformance.rs").lines().skip_while(|line| !line.starts_with("use "));
    assert_eq!(shown, target.map(str::trim_start).collect::<Vec<_>>());
}
