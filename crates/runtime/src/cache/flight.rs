//! Equal calls at the same time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use constellation_rehydrate::{LoadedCall, RetryPolicy};
use constellation_store_core::Throttle;
use tokio::sync::OnceCell;

use super::CacheKey;
use crate::call::CallResult;

/// What a flight came to, once that is known.
type Outcome = OnceCell<CallResult>;

type InFlight = HashMap<FlightKey, Arc<Outcome>>;

/// What calls in one flight have in common: all that a failure can depend on. Calls with other options may use the same
/// result, but one that asks for more attempts, or for a place further ahead, is not given less.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct FlightKey {
    call: CacheKey,
    timeout: Option<Duration>,
    retry: RetryPolicy,
    throttle: Option<Throttle>,
    concurrency: Option<u64>,
    priority: u8,
}

impl FlightKey {
    pub(super) fn new(key: CacheKey, call: &LoadedCall) -> Self {
        let LoadedCall { timeout, retry, throttle, concurrency, priority, .. } = *call;
        Self { call: key, timeout, retry, throttle, concurrency, priority }
    }
}

/// The flights of a runtime.
#[derive(Debug, Default)]
pub(super) struct Flights(Mutex<InFlight>);

impl Flights {
    /// Joins the flight of equal calls, or begins one.
    pub(super) fn join(&self, key: FlightKey) -> Flight<'_> {
        let outcome = Arc::clone(self.in_flight().entry(key.clone()).or_default());
        Flight { flights: self, key, outcome }
    }

    fn in_flight(&self) -> MutexGuard<'_, InFlight> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call's part in a flight.
#[derive(Debug)]
#[must_use = "the flight ends when all of its parts are dropped"]
pub(super) struct Flight<'a> {
    flights: &'a Flights,
    key: FlightKey,
    outcome: Arc<Outcome>,
}

impl Flight<'_> {
    pub(super) fn outcome(&self) -> &Outcome {
        &self.outcome
    }
}

/// Nobody joins a flight that has its outcome, and one that everybody has left is forgotten.
impl Drop for Flight<'_> {
    fn drop(&mut self) {
        // Others join under the lock only, so that the count does not grow meanwhile. The map has one of the two.
        let mut in_flight = self.flights.in_flight();
        let is_over = self.outcome.initialized() || Arc::strong_count(&self.outcome) <= 2;
        if is_over && in_flight.get(&self.key).is_some_and(|known| Arc::ptr_eq(known, &self.outcome)) {
            in_flight.remove(&self.key);
        }
    }
}
