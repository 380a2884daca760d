//! Caches of one's own, and what happens when they fail.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use constellation_runtime::{
    CacheBackend, CacheEntry, CacheError, CacheKey, InMemoryCache, RunReport, RunStatus,
};
use constellation_types::{Json, Type, Value, decode_json};
use serde_json::{Value as JsonValue, json};
use tokio::time::{Duration, Instant};

use crate::program::Program;
use crate::support::{Act, Mock};

/// Keeps values as JSON, as a store outside of the process would.
#[derive(Debug, Default)]
struct JsonCache {
    entries: Mutex<HashMap<String, (JsonValue, Duration)>>,
}

#[async_trait]
impl CacheBackend for JsonCache {
    async fn get(&self, key: &CacheKey, ty: &Type) -> Result<Option<Value>, CacheError> {
        tokio::time::sleep(Duration::from_millis(1)).await;
        let entry = self.entries.lock().unwrap().get(&key.to_string()).cloned();
        Ok(entry.map(|(json, _)| decode_json(&json, ty, "cached")).transpose()?)
    }

    async fn set(&self, key: &CacheKey, entry: CacheEntry<'_>) -> Result<(), CacheError> {
        tokio::time::sleep(Duration::from_millis(1)).await;
        let json = serde_json::to_value(Json { value: entry.value, ty: entry.ty })?;
        self.entries.lock().unwrap().insert(key.to_string(), (json, entry.time_to_live));
        Ok(())
    }
}

/// Does what a backend must not do.
#[derive(Debug, Clone, Copy)]
enum Broken {
    Fails,
    Panics,
    Hangs,
    Lies,
}

#[async_trait]
impl CacheBackend for Broken {
    async fn get(&self, _: &CacheKey, _: &Type) -> Result<Option<Value>, CacheError> {
        match self {
            Self::Fails => Err("no connection".into()),
            Self::Panics => panic!("told to panic"),
            Self::Hangs => std::future::pending().await,
            Self::Lies => Ok(Some(Value::Boolean(true))),
        }
    }

    async fn set(&self, key: &CacheKey, entry: CacheEntry<'_>) -> Result<(), CacheError> {
        self.get(key, entry.ty).await.map(|_| ())
    }
}

const NAMED: &str = "x = f() with cache: 1min, cache_backend: \"shared\"\nout x";

fn program() -> (Program, Arc<Mock>) {
    let mut program = Program::new();
    let mock =
        program.mock("f", &[], Type::optional(Type::Int), |_, _| Act::Give(Value::some(Value::Int(5))));
    (program, mock)
}

fn is_five(report: &RunReport) -> bool {
    report.status == RunStatus::Completed && report.output("x") == Some(&Value::some(Value::Int(5)))
}

#[tokio::test(start_paused = true)]
async fn a_named_cache_is_the_one_that_is_registered() {
    let (mut program, mock) = program();
    let backend = Arc::new(JsonCache::default());
    let shared = Arc::clone(&backend) as Arc<dyn CacheBackend>;
    program.bench.config.cache.backends.insert("shared".into(), shared);
    let runtimes = [program.runtime(), program.runtime()];
    for runtime in &runtimes {
        assert!(is_five(&program.run_on(runtime, NAMED, json!({})).await));
        assert_eq!(runtime.statistics().cache.entries, 0);
    }
    assert_eq!(mock.n_calls(), 1, "the backend is common to both");
    let entries = backend.entries.lock().unwrap();
    let entries: Vec<_> = entries.values().collect();
    assert_eq!(entries, [&(json!(5), Duration::from_mins(1))]);
}

#[tokio::test(start_paused = true)]
async fn the_default_cache_can_be_another() {
    let (mut program, mock) = program();
    program.bench.config.cache.default = Some(Arc::new(JsonCache::default()));
    let runtime = program.runtime();
    for _ in 0..2 {
        assert!(is_five(&program.run_on(&runtime, "x = f() with cache: 1min\nout x", json!({})).await));
    }
    assert_eq!(mock.n_calls(), 1);
    let in_memory = "x = f() with cache: 1min, cache_backend: \"memory\"\nout x";
    program.run_on(&runtime, in_memory, json!({})).await;
    assert_eq!((mock.n_calls(), runtime.statistics().cache.entries), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn an_unknown_name_means_entries_of_its_own_in_memory() {
    let (program, mock) = program();
    let runtime = program.runtime();
    for (name, calls) in [("shared", 1), ("shared", 1), ("other", 2), ("memory", 3), ("shared", 3)] {
        let source = format!("x = f() with cache: 1min, cache_backend: \"{name}\"\nout x");
        assert!(is_five(&program.run_on(&runtime, &source, json!({})).await));
        assert_eq!(mock.n_calls(), calls, "{name}");
    }
    program.run_on(&runtime, "x = f() with cache: 1min\nout x", json!({})).await;
    assert_eq!(mock.n_calls(), 3, "without a name it is that of the runtime");
    assert_eq!(runtime.statistics().cache.entries, 3);
}

#[tokio::test(start_paused = true)]
async fn a_cache_of_ones_own_may_be_in_memory_too() {
    let (mut program, mock) = program();
    let cache = InMemoryCache::new(1, 10_000, Arc::clone(&program.bench.config.timer));
    program.bench.config.cache.backends.insert("shared".into(), Arc::new(cache));
    let runtime = program.runtime();
    for _ in 0..2 {
        assert!(is_five(&program.run_on(&runtime, NAMED, json!({})).await));
    }
    assert_eq!((mock.n_calls(), runtime.statistics().cache.entries), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_cache_that_fails_panics_hangs_or_lies_is_a_miss() {
    for (broken, errors, seconds) in
        [(Broken::Fails, 2, 0), (Broken::Panics, 2, 0), (Broken::Hangs, 2, 4), (Broken::Lies, 1, 0)]
    {
        let (mut program, mock) = program();
        program.bench.config.cache.backends.insert("shared".into(), Arc::new(broken));
        let runtime = program.runtime();
        let start = Instant::now();
        assert!(is_five(&program.run_on(&runtime, NAMED, json!({})).await), "{broken:?}");
        assert_eq!(mock.n_calls(), 1);
        assert_eq!(runtime.statistics().cache.errors, errors, "{broken:?}");
        assert_eq!(start.elapsed().as_secs(), seconds, "{broken:?}");
    }
}
