//! The pipelines that are run, and the modules that they call.

use std::fmt::Write as _;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use constellation_lang::{FunctionTable, compile, tokenize};
use constellation_module::types::{Type, Value};
use constellation_module::{Module, ModuleBuilder, ModuleError, ModuleRegistry, Outcome};
use constellation_rehydrate::{LoadedPipeline, rehydrate};
use constellation_store_core::{ImageMetadata, PipelineImage, Timestamp};

/// The module of asynchronous pipelines: waits once, as a call of a service does, and adds.
pub(crate) const STEP: &str = "Step";

/// The modules of [`text_chain`], in turn.
pub(crate) const TEXT_MODULES: [&str; 2] = ["Uppercase", "Lowercase"];

/// The module of [`sum_chain`].
pub(crate) const SUM_MODULE: &str = "stdlib.add";

/// The standard library and [`STEP`].
pub(crate) fn registry() -> anyhow::Result<ModuleRegistry> {
    let mut registry = constellation_stdlib::registry();
    let parameters = [("a", Type::Int), ("b", Type::Int)];
    registry.register(ModuleBuilder::new(STEP).values_with_context(
        parameters,
        [("out", Type::Int)],
        |arguments, _context| {
            let [Value::Int(a), Value::Int(b)] = *arguments else {
                return Outcome::Ready(Err(ModuleError::new("two integers")));
            };
            Outcome::Pending(Box::pin(async move {
                tokio::task::yield_now().await;
                Ok(Value::Int((a + b) % 1_000))
            }))
        },
    ))?;
    Ok(registry)
}

/// The module behind a function, for floors that call it themselves.
pub(crate) fn module(registry: &ModuleRegistry, name: &str) -> anyhow::Result<Arc<dyn Module>> {
    registry.get(name).with_context(|| format!("there is no module {name}"))
}

/// The image of a program, as it is after a restart: written and read back.
pub(crate) fn image(source: &str, registry: &ModuleRegistry) -> anyhow::Result<Arc<PipelineImage>> {
    let functions = FunctionTable::new(registry.signatures().cloned());
    let compilation = compile(&tokenize(source), &functions);
    let errors: Vec<String> = compilation.errors().map(ToString::to_string).collect();
    ensure!(errors.is_empty(), "the program does not compile: {errors:?}");
    let graph = compilation.dag_spec.context("a program without errors has a graph")?;
    let metadata = ImageMetadata::new(&graph, Timestamp::UNIX_EPOCH);
    let image = PipelineImage::new(graph, metadata);
    Ok(Arc::new(PipelineImage::decode(&image.encode())?.image))
}

/// A program, loaded.
pub(crate) fn load(source: &str, registry: &ModuleRegistry) -> anyhow::Result<Arc<LoadedPipeline>> {
    Ok(Arc::new(rehydrate(image(source, registry)?, registry)?))
}

/// `n` calls in a row, upper case and lower case in turn, on the input `x`; the output is `y`.
pub(crate) fn text_chain(n: usize) -> String {
    chain(n, "String", |link, before| format!("{}({before})", TEXT_MODULES[link % 2]))
}

/// `n` additions in a row, each by a module, on the input `x`; the output is `y`.
pub(crate) fn sum_chain(n: usize) -> String {
    chain(n, "Int", |_link, before| format!("add({before}, x)"))
}

fn chain(n: usize, ty: &str, call: impl Fn(usize, &str) -> String) -> String {
    let mut source = format!("in x: {ty}\n");
    let mut before = "x".to_owned();
    for link in 0..n {
        let name = if link + 1 == n { "y".to_owned() } else { format!("v{link}") };
        let _ = writeln!(source, "{name} = {}", call(link, &before));
        before = name;
    }
    source + "out y\n"
}

/// Layers of asynchronous calls; each takes two neighbours of the layer before it. The outputs are the last layer.
pub(crate) fn grid(wide: usize, deep: usize) -> String {
    let mut source = "in x: Int\n".to_owned();
    for layer in 0..deep {
        for place in 0..wide {
            let operands = match layer {
                0 => "x, x".to_owned(),
                _ => format!("v{}_{place}, v{}_{}", layer - 1, layer - 1, (place + 1) % wide),
            };
            let _ = writeln!(source, "v{layer}_{place} = {STEP}({operands})");
        }
    }
    for place in 0..wide {
        let _ = writeln!(source, "out v{}_{place}", deep - 1);
    }
    source
}

/// A program of which a run uses a few nodes, beside an arm of `n` calls that is not taken.
pub(crate) fn unused_arm(n: usize) -> String {
    let mut source = "in x: Int\nv0 = add(x, 1)\n".to_owned();
    for link in 1..=n {
        let _ = writeln!(source, "v{link} = add(v{}, x)", link - 1);
    }
    source + &format!("y = if (x > 0) add(x, 2) else v{n}\nout y\n")
}
