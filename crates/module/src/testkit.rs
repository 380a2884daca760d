//! Calling a module in a test. The crate `constellation-testkit` runs whole pipelines.

use constellation_types::{Json, Value, decode_json};

use crate::{CallContext, ModuleError, ModuleRegistry};

/// Why a call by name failed.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// No module has the name.
    #[error("there is no module '{0}'")]
    Missing(String),
    /// An argument is missing, or its JSON is not of the parameter's type.
    #[error("{0}")]
    Argument(String),
    /// The module failed.
    #[error(transparent)]
    Module(#[from] ModuleError),
}

/// Calls the module `name` with a JSON object of arguments by parameter name, and gives its answer as JSON. A missing
/// argument of an optional parameter is none.
///
/// A generic module cannot be called so, since JSON does not tell what its type variables stand for, nor one that takes
/// a function, which has no JSON form; call these with [`CallContext::with_functions`] and values.
///
/// # Errors
///
/// [`CallError`] when there is no such module, an argument does not fit, or the module fails.
///
/// ```
/// # use constellation_module::{DataType, ModuleBuilder, ModuleRegistry, testkit};
/// # use serde_json::json;
/// #[derive(serde::Deserialize, DataType)]
/// struct Input {
///     name: String,
/// }
///
/// # futures_util::FutureExt::now_or_never(async {
/// let mut registry = ModuleRegistry::new();
/// registry.register(ModuleBuilder::new("Greet").function(|input: Input| format!("Hello {}", input.name)))?;
/// let answer = testkit::call(&registry, "Greet", &json!({ "name": "Ada" })).await?;
/// assert_eq!(answer, json!("Hello Ada"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap().unwrap();
/// ```
pub async fn call(
    registry: &ModuleRegistry,
    name: &str,
    arguments: &serde_json::Value,
) -> Result<serde_json::Value, CallError> {
    let module = registry.get(name).ok_or_else(|| CallError::Missing(name.to_owned()))?;
    let signature = &module.spec().signature;
    let values = signature
        .parameters
        .iter()
        .map(|parameter| {
            let json = arguments.get(&*parameter.name).unwrap_or(&serde_json::Value::Null);
            decode_json(json, &parameter.ty, &parameter.name)
                .map_err(|error| CallError::Argument(error.to_string()))
        })
        .collect::<Result<Vec<Value>, CallError>>()?;
    let value = module.call(&values, &CallContext::default()).wait().await?;
    let json = serde_json::to_value(Json { value: &value, ty: &signature.result_type() });
    Ok(json.expect("values are written to JSON without fail"))
}
