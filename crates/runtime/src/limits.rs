//! When an attempt may begin: throttle, then concurrency, then a slot of the scheduler.
//!
//! # Nothing waits in a circle
//!
//! A call waits for these things in one order, and whoever holds one waits only for those behind it:
//!
//! 1. the flight of equal calls (see `cache`), whose leader goes on to the next;
//! 2. a token of the throttle, which is taken and not held: tokens come with time, whoever else waits;
//! 3. a place of the module's concurrency, held until the attempt is over;
//! 4. a slot of the scheduler, held while the module's future is polled.
//!
//! Whoever holds a slot waits for the module alone, which by itself waits for none of these. That is where lambdas come
//! in: a call that is given a function waits for calls in the body. So it has no flight, no place and no slot, whatever
//! the program says, and takes a token only, which it does not hold. Delays between attempts hold nothing.
//!
//! The slot comes last, so that calls which wait for their throttle, or for others of their module, do not keep slots
//! from those that could go on. The price is that a place may be held by an attempt that waits for its slot; aging
//! bounds that.
//!
//! All of them are handed on in order of arrival (slots within a priority), and given back when the future that waits
//! or holds is dropped, however that comes about.

mod pool;
mod throttle;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use constellation_rehydrate::LoadedCall;
use constellation_store_core::Throttle;
use futures_util::future::BoxFuture;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::Timer;
use pool::Pool;
use throttle::TokenBucket;

/// What calls are limited by, by module and by what the program says. Calls of one module with other numbers have other
/// limits: otherwise the limit of a program would depend on which program ran first.
#[derive(Debug)]
pub(crate) struct Limits {
    timer: Arc<dyn Timer>,
    throttles: Pool<(Arc<str>, Throttle), TokenBucket>,
    places: Pool<(Arc<str>, u64), Semaphore>,
    waiting_for_token: AtomicUsize,
    waiting_for_place: AtomicUsize,
}

/// Permission for an attempt, as long as it is held.
#[derive(Debug)]
#[must_use = "others may begin when it is dropped"]
pub(crate) struct Turn {
    _place: Option<OwnedSemaphorePermit>,
}

impl Limits {
    pub(crate) fn new(timer: Arc<dyn Timer>) -> Self {
        Self {
            timer,
            throttles: Pool::default(),
            places: Pool::default(),
            waiting_for_token: AtomicUsize::new(0),
            waiting_for_place: AtomicUsize::new(0),
        }
    }

    /// Whether a call has a turn to wait for.
    pub(crate) fn apply_to(call: &LoadedCall) -> bool {
        call.throttle.is_some() || call.concurrency.is_some()
    }

    /// How many attempts wait for a token of a throttle, and for a place of their module's concurrency.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        (self.waiting_for_token.load(Ordering::Relaxed), self.waiting_for_place.load(Ordering::Relaxed))
    }

    /// Waits until an attempt of a call may begin; none when nothing limits it. Boxed, since most calls have no limits
    /// and their futures should be small.
    pub(crate) fn turn<'a>(&'a self, call: &'a LoadedCall) -> Option<BoxFuture<'a, Turn>> {
        if !Self::apply_to(call) {
            return None;
        }
        Some(Box::pin(async {
            if let Some(throttle) = call.throttle {
                self.token(&call.name, throttle).await;
            }
            let place = match call.concurrency {
                Some(concurrency) => Some(self.place(&call.name, concurrency).await),
                None => None,
            };
            Turn { _place: place }
        }))
    }

    async fn token(&self, module: &Arc<str>, throttle: Throttle) {
        let is_full = |bucket: &TokenBucket| bucket.is_full(self.timer.now());
        let make = || TokenBucket::new(throttle, self.timer.now());
        let bucket = self.throttles.get((Arc::clone(module), throttle), make, is_full);
        let _waiting = Waiting::count(&self.waiting_for_token);
        bucket.take(&*self.timer).await;
    }

    async fn place(&self, module: &Arc<str>, concurrency: u64) -> OwnedSemaphorePermit {
        let make = || {
            let places = usize::try_from(concurrency).unwrap_or(usize::MAX);
            Semaphore::new(places.min(Semaphore::MAX_PERMITS))
        };
        // A place that is held keeps the semaphore in use, so that one that is not in use has all of its places.
        let places = self.places.get((Arc::clone(module), concurrency), make, |_| true);
        let _waiting = Waiting::count(&self.waiting_for_place);
        places.acquire_owned().await.expect("nothing closes the semaphore")
    }
}

/// Counts one that waits.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn count(counter: &'a AtomicUsize) -> Self {
        counter.fetch_add(1, Ordering::Relaxed);
        Self(counter)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
