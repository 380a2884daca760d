//! Results that equal calls share: those that were kept, and those on their way.
//!
//! A call with `cache` stands in front of its attempts here. Of equal calls at the same time one makes the attempts, and
//! all of them get what came of it, also its failure; only a result is kept for later calls. What a fallback or
//! `on_error` makes of a failure comes about further out, so that it is never kept.

mod backend;
mod flight;
mod key;
mod memory;

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use constellation_rehydrate::{CachePolicy, LoadedCall};
use constellation_types::Value;
use futures_util::FutureExt;
use futures_util::future::{self, BoxFuture, Either};

pub use backend::{CacheBackend, CacheEntry, CacheError};
pub use key::CacheKey;
pub use memory::InMemoryCache;

use crate::budget::Budget;
use crate::call::{Attempted, Attempts, CallResult};
use crate::observe::Site;
use crate::shared::Shared;
use crate::{CacheConfig, CacheStatistics, Timer};
use flight::{FlightKey, Flights};

/// How long a backend may take for one request. A cache that is slower does not help.
const BACKEND_TIME_LIMIT: Duration = Duration::from_secs(2);

/// Unknown names of backends that are warned of: a program may have any number.
const MAX_WARNINGS: usize = 64;

/// The name that a program may write for the cache of the runtime itself.
const IN_MEMORY: &str = "memory";

/// The caches of a runtime.
#[derive(Debug)]
pub(crate) struct Caches {
    memory: Arc<InMemoryCache>,
    flights: Flights,
    /// Names of backends that were warned of.
    unknown: Mutex<BTreeSet<Arc<str>>>,
    hits: AtomicU64,
    misses: AtomicU64,
    joined: AtomicU64,
    bypassed: AtomicU64,
    errors: AtomicU64,
}

impl Caches {
    pub(crate) fn new(config: &CacheConfig, timer: &Arc<dyn Timer>) -> Self {
        let memory = InMemoryCache::new(config.max_entries, config.max_bytes, Arc::clone(timer));
        Self {
            memory: Arc::new(memory),
            flights: Flights::default(),
            unknown: Mutex::default(),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            joined: AtomicU64::new(0),
            bypassed: AtomicU64::new(0),
            errors: AtomicU64::new(0),
        }
    }

    pub(crate) fn statistics(&self) -> CacheStatistics {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (entries, bytes) = self.memory.size();
        CacheStatistics {
            hits: count(&self.hits),
            misses: count(&self.misses),
            joined: count(&self.joined),
            bypassed: count(&self.bypassed),
            errors: count(&self.errors),
            evicted: self.memory.evicted(),
            entries,
            bytes,
        }
    }

    /// The result of a call: one that was kept, that of an equal call in flight, or that of its own attempts. And whose
    /// it is.
    pub(crate) async fn result(
        &self,
        call: &LoadedCall,
        attempts: Attempts,
        site: Site<'_>,
    ) -> (CallResult, Attempted) {
        let shared = &*site.run.shared;
        let Some(policy) = &call.cache else {
            return (attempts.finish(None, call, site).await, Attempted::Here);
        };
        let backend = self.backend(policy, &shared.config.cache);
        let Some(key) = key::of(policy, &attempts.arguments) else {
            count(&self.bypassed);
            return (attempts.finish(None, call, site).await, Attempted::Here);
        };
        let flight = self.flights.join(FlightKey::new(key, call));
        let (mut leads, mut attempted) = (false, Attempted::Elsewhere);
        let lead = async {
            leads = true;
            if let Some(value) = self.load(backend, &key, call, shared).await {
                count(&self.hits);
                return Ok(value);
            }
            count(&self.misses);
            attempted = Attempted::Here;
            let result = attempts.finish(None, call, site).await;
            if let Ok(value) = &result {
                self.store(backend, &key, call, policy, value, shared).await;
            }
            result
        };
        // When whoever leads is dropped, the next that waits leads, with attempts of its own.
        let result = flight.outcome().get_or_init(|| lead).await.clone();
        if !leads {
            count(&self.joined);
        }
        (result, attempted)
    }

    /// A name that nobody registered means the cache of the runtime, within which it has entries of its own.
    fn backend<'a>(&'a self, policy: &CachePolicy, config: &'a CacheConfig) -> &'a dyn CacheBackend {
        let Some(name) = &policy.backend else {
            return config.default.as_deref().unwrap_or(&*self.memory);
        };
        if let Some(backend) = config.backends.get(&**name) {
            return &**backend;
        }
        if **name != *IN_MEMORY {
            let mut unknown = self.unknown.lock().unwrap_or_else(PoisonError::into_inner);
            if unknown.len() < MAX_WARNINGS && unknown.insert(Arc::clone(name)) {
                tracing::warn!(
                    cache_backend = &**name,
                    "no cache backend of this name is registered; its entries are kept in memory"
                );
            }
        }
        &*self.memory
    }

    async fn load(
        &self,
        backend: &dyn CacheBackend,
        key: &CacheKey,
        call: &LoadedCall,
        shared: &Shared,
    ) -> Option<Value> {
        let value = match within_limit(backend.get(key, &call.result), &*shared.config.timer).await {
            Ok(value) => value?,
            Err(error) => {
                count(&self.errors);
                tracing::warn!(module = &*call.name, error, "a cache backend failed; the module is called");
                return None;
            }
        };
        if Budget::measure(&value, &call.result, shared.config.cache.max_bytes).is_ok() {
            return Some(value);
        }
        count(&self.errors);
        tracing::warn!(
            module = &*call.name,
            "a cache backend gave a value that the call cannot have; the module is called"
        );
        None
    }

    /// Keeps a result, unless it is too large, or not one that the call can have: whoever uses it finds that out.
    async fn store(
        &self,
        backend: &dyn CacheBackend,
        key: &CacheKey,
        call: &LoadedCall,
        policy: &CachePolicy,
        value: &Value,
        shared: &Shared,
    ) {
        let Ok(bytes) = Budget::measure(value, &call.result, shared.config.cache.max_bytes) else { return };
        let entry = CacheEntry { value, ty: &call.result, bytes, time_to_live: policy.time_to_live };
        if let Err(error) = within_limit(backend.set(key, entry), &*shared.config.timer).await {
            count(&self.errors);
            tracing::warn!(module = &*call.name, error, "a cache backend failed; a result is not kept");
        }
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// The answer of a backend; an error also when it takes too long or panics.
async fn within_limit<T>(
    answer: BoxFuture<'_, Result<T, CacheError>>,
    timer: &dyn Timer,
) -> Result<T, String> {
    let mut answer = AssertUnwindSafe(answer).catch_unwind();
    let ended = match (&mut answer).now_or_never() {
        // No clock is needed for a backend that answers at once.
        Some(ended) => ended,
        None => match future::select(answer, timer.sleep(BACKEND_TIME_LIMIT)).await {
            Either::Left((ended, _)) => ended,
            Either::Right(((), _)) => {
                return Err(format!("no answer within {}ms", BACKEND_TIME_LIMIT.as_millis()));
            }
        },
    };
    match ended {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err("it panicked".to_owned()),
    }
}
