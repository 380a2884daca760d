//! Modules that are slow, flaky or broken, to try call options with: those of the reference implementation's example
//! application, written as any user of `constellation-module` writes his own.
//!
//! A server has them only when it is asked for, since a name that is taken is taken for everybody:
//! `constellation serve --demo-modules`.
//!
//! | function | takes | answers |
//! |---|---|---|
//! | `SlowQuery(query)` | 500 ms | `Result for: <query>` |
//! | `SlowApiCall(endpoint)` | 1 s | `API response from: <endpoint>` |
//! | `ExpensiveCompute(data)` | 2 s | `Computed: <DATA>` |
//! | `FlakyService(request)` | no time | fails but for each third call: `Success for: <request>` |
//! | `TimeoutProneService(request)` | 3 s for the first call, then 100 ms | `Response for: <request>` |
//! | `RateLimitedApi(request)` | 50 ms | `Rate-limited response for: <request>` |
//! | `ResourceIntensiveTask(task)` | 200 ms | `Completed: <task>` |
//! | `QuickCheck(data)` | 10 ms | `needs-deep-analysis` when the text has `complex` in it, else `valid` |
//! | `DeepAnalysis(data)` | 1.5 s | `Deep analysis of: <data>` |
//! | `AlwaysFailsService(request)` | no time | fails |
//!
//! **Must not know:** the language, stores, HTTP.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use constellation_module::{ModuleBuilder, ModuleRegistry, RegistryError};

/// Adds the modules. Those that count their calls count for each registry that they are added to.
///
/// Their calls need a tokio runtime with time enabled.
///
/// # Errors
///
/// When one of their names is taken.
///
/// ```
/// let mut registry = constellation_module::ModuleRegistry::new();
/// constellation_demo::register(&mut registry)?;
/// assert_eq!(registry.len(), 10);
/// # Ok::<(), constellation_module::RegistryError>(())
/// ```
pub fn register(registry: &mut ModuleRegistry) -> Result<(), RegistryError> {
    register_slow(registry)?;
    register_unreliable(registry)
}

/// Those that take long.
fn register_slow(registry: &mut ModuleRegistry) -> Result<(), RegistryError> {
    registry.register(
        module("SlowQuery", "result", "A query that takes 500 ms.").parameters(["query"]).asynchronous(
            async |query: String| {
                wait(500).await;
                format!("Result for: {query}")
            },
        ),
    )?;
    registry.register(
        module("SlowApiCall", "data", "A request that takes 1 s.").parameters(["endpoint"]).asynchronous(
            async |endpoint: String| {
                wait(1000).await;
                format!("API response from: {endpoint}")
            },
        ),
    )?;
    registry.register(
        module("ExpensiveCompute", "result", "A computation that takes 2 s.")
            .parameters(["data"])
            .asynchronous(async |data: String| {
                wait(2000).await;
                format!("Computed: {}", data.to_uppercase())
            }),
    )?;
    registry.register(
        module("RateLimitedApi", "response", "A request, takes 50 ms, that should not be made too often.")
            .parameters(["request"])
            .asynchronous(async |request: String| {
                wait(50).await;
                format!("Rate-limited response for: {request}")
            }),
    )?;
    registry.register(
        module("ResourceIntensiveTask", "result", "A task, takes 200 ms, of which few should run at a time.")
            .parameters(["task"])
            .asynchronous(async |task: String| {
                wait(200).await;
                format!("Completed: {task}")
            }),
    )?;
    registry.register(
        module("QuickCheck", "result", "A check, takes 10 ms, whether a text is complex.")
            .parameters(["data"])
            .asynchronous(async |data: String| {
                wait(10).await;
                if data.to_lowercase().contains("complex") { "needs-deep-analysis" } else { "valid" }
            }),
    )?;
    registry.register(
        module("DeepAnalysis", "analysis", "An analysis that takes 1.5 s.")
            .parameters(["data"])
            .asynchronous(async |data: String| {
                wait(1500).await;
                format!("Deep analysis of: {data}")
            }),
    )
}

/// Those that fail, or may be too late.
fn register_unreliable(registry: &mut ModuleRegistry) -> Result<(), RegistryError> {
    let attempts = AtomicU64::new(0);
    registry.register(
        module("FlakyService", "response", "A service that answers each third request and fails the others.")
            .parameters(["request"])
            .function(move |request: String| {
                let attempt = attempts.fetch_add(1, Ordering::Relaxed) + 1;
                if attempt.is_multiple_of(3) {
                    Ok(format!("Success for: {request}"))
                } else {
                    Err(ServiceError::Unavailable { attempt })
                }
            }),
    )?;
    let was_called = AtomicBool::new(false);
    registry.register(
        module("TimeoutProneService", "response", "A service that takes 3 s once, and 100 ms from then on.")
            .parameters(["request"])
            .asynchronous(move |request: String| {
                let delay = if was_called.swap(true, Ordering::Relaxed) { 100 } else { 3000 };
                async move {
                    wait(delay).await;
                    format!("Response for: {request}")
                }
            }),
    )?;
    registry.register(
        module("AlwaysFailsService", "response", "A service that fails each request.")
            .parameters(["request"])
            .function(|request: String| Err::<String, _>(ServiceError::Failed { request })),
    )
}

/// A failure of a service that does not exist.
#[derive(Debug, thiserror::Error)]
enum ServiceError {
    #[error("Service temporarily unavailable (attempt {attempt})")]
    Unavailable { attempt: u64 },
    #[error("Service failed for: {request}")]
    Failed { request: String },
}

fn module(name: &str, result: &str, description: &str) -> ModuleBuilder {
    ModuleBuilder::new(name).version(1, 0).description(description).tag("demonstration").result(result)
}

async fn wait(milliseconds: u64) {
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
}
