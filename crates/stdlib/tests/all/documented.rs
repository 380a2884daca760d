//! The example of each function, compiled and run.

use std::collections::BTreeSet;
use std::sync::Arc;

use constellation_lang::{FunctionTable, compile, tokenize};
use constellation_module::types::Json;
use constellation_rehydrate::rehydrate;
use constellation_runtime::{Inputs, RunOptions, Runtime};
use constellation_store_core::{ImageMetadata, PipelineImage, Timestamp};

use crate::harness::REGISTRY;

#[test]
fn every_example_gives_its_result() {
    let functions = FunctionTable::new(REGISTRY.signatures().cloned());
    let tokio = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    for module in REGISTRY.iter() {
        let spec = module.spec();
        assert!(!spec.examples.is_empty(), "{} has no example", spec.signature);
        for example in &spec.examples {
            assert!(
                example.expression.contains(&format!("{}(", spec.signature.name)),
                "{} is not an example of {}",
                example.expression,
                spec.signature
            );
            let found = tokio.block_on(evaluate(&example.expression, &functions));
            let expected: serde_json::Value = serde_json::from_str(&example.result).unwrap();
            assert_eq!(found, expected, "{}", example.expression);
            assert_eq!(example.result, found.to_string(), "{} is not as it is printed", example.expression);
        }
    }
}

async fn evaluate(expression: &str, functions: &FunctionTable) -> serde_json::Value {
    let source = format!("result = {expression}\nout result");
    let compilation = compile(&tokenize(&source), functions);
    assert!(compilation.diagnostics.is_empty(), "{source}: {:?}", compilation.diagnostics);
    let graph = compilation.dag_spec.expect("there is no diagnostic");
    let metadata = ImageMetadata::new(&graph, Timestamp::UNIX_EPOCH);
    let pipeline = rehydrate(Arc::new(PipelineImage::new(graph, metadata)), &REGISTRY);
    let pipeline = Arc::new(pipeline.expect("every function is registered"));
    let report = Runtime::default().run(&pipeline, Inputs::new(), RunOptions::default()).await;
    let value = report.output("result").unwrap_or_else(|| panic!("{source}: {:?}", report.errors));
    serde_json::to_value(Json { value, ty: pipeline.ty(pipeline.outputs[0].ty) })
        .expect("values are written to JSON without fail")
}

/// A program without imports finds a function by its short name, whatever its namespace.
#[test]
fn no_short_name_is_ambiguous() {
    let mut names = BTreeSet::new();
    for signature in REGISTRY.signatures() {
        assert!(names.insert(&signature.name), "{} is in two namespaces", signature.name);
    }
}
