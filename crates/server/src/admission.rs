//! Bounds on work that takes a processor or memory: so much at one time, so many who wait for it, for so long.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::config::Limits;
use crate::stopwatch::Stopwatch;

/// Why work did not begin. Nothing of it was done, so that it can be asked for again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Overloaded {
    /// So many wait already that nobody else may.
    #[error("The server is busy: {max_waiting} {work} wait already; try again later")]
    LineFull {
        /// What was asked for, in the plural.
        work: &'static str,
        /// How many may wait.
        max_waiting: usize,
    },
    /// Its turn did not come in time.
    #[error("The server is busy: no place among the {work} came free within {} ms; try again later", waited.as_millis())]
    NoTurn {
        /// What was asked for, in the plural.
        work: &'static str,
        /// How long it waited.
        waited: Duration,
    },
}

/// Slots for one kind of work, and a line in front of them.
#[derive(Debug)]
pub(crate) struct Pool {
    work: &'static str,
    n_slots: usize,
    slots: Arc<Semaphore>,
    max_waiting: usize,
    /// One permit for each that may wait.
    line: Semaphore,
    max_wait: Duration,
    refused: AtomicU64,
}

/// What a pool does at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PoolStatistics {
    /// Slots that are taken.
    pub(crate) in_use: usize,
    /// Those who wait for one.
    pub(crate) waiting: usize,
    /// How much work was refused since the start.
    pub(crate) refused: u64,
}

/// A slot, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    _permit: OwnedSemaphorePermit,
    /// How long it took to get it.
    pub(crate) waited: Duration,
}

impl Pool {
    pub(crate) fn of_compilations(limits: &Limits) -> Self {
        let Limits { max_compilations, max_waiting_compilations, max_queue_wait, .. } = *limits;
        Self::new("compilations", max_compilations, max_waiting_compilations, max_queue_wait)
    }

    pub(crate) fn of_executions(limits: &Limits) -> Self {
        let Limits { max_executions, max_waiting_executions, max_queue_wait, .. } = *limits;
        Self::new("runs", max_executions, max_waiting_executions, max_queue_wait)
    }

    /// `work` is what is bounded, in the plural. There is at least one slot.
    fn new(work: &'static str, n_slots: usize, max_waiting: usize, max_wait: Duration) -> Self {
        let n_slots = n_slots.clamp(1, Semaphore::MAX_PERMITS);
        let max_waiting = max_waiting.min(Semaphore::MAX_PERMITS);
        Self {
            work,
            n_slots,
            slots: Arc::new(Semaphore::new(n_slots)),
            max_waiting,
            line: Semaphore::new(max_waiting),
            max_wait,
            refused: AtomicU64::new(0),
        }
    }

    /// How long work waits at most.
    pub(crate) fn max_wait(&self) -> Duration {
        self.max_wait
    }

    /// A slot, at once or after waiting in line. Slots go to those who wait in the order in which they came.
    pub(crate) async fn enter(&self) -> Result<Slot, Overloaded> {
        self.enter_within(self.max_wait).await
    }

    /// The same, waiting no longer than `max_wait` either.
    pub(crate) async fn enter_within(&self, max_wait: Duration) -> Result<Slot, Overloaded> {
        match self.try_enter() {
            Some(slot) => Ok(slot),
            // Every request would have room for the wait, and nearly none waits.
            None => Box::pin(self.wait_within(max_wait)).await,
        }
    }

    async fn wait_within(&self, max_wait: Duration) -> Result<Slot, Overloaded> {
        let Ok(_place) = self.line.try_acquire() else {
            return Err(self.refuse(Overloaded::LineFull { work: self.work, max_waiting: self.max_waiting }));
        };
        let stopwatch = Stopwatch::start();
        let entered = timeout(max_wait.min(self.max_wait), self.enter_without_bound()).await;
        let waited = stopwatch.elapsed();
        match entered {
            Ok(slot) => Ok(Slot { waited, ..slot }),
            Err(_) => Err(self.refuse(Overloaded::NoTurn { work: self.work, waited })),
        }
    }

    /// A slot that is free now: for work that can be left out, so that going without is no refusal.
    pub(crate) fn try_enter(&self) -> Option<Slot> {
        // None is free while somebody waits, so that nobody is overtaken.
        let permit = Arc::clone(&self.slots).try_acquire_owned().ok()?;
        Some(Slot { _permit: permit, waited: Duration::ZERO })
    }

    /// A slot, however long it takes: for work of the server's own, of which there is never much at a time.
    pub(crate) async fn enter_without_bound(&self) -> Slot {
        let permit = Arc::clone(&self.slots).acquire_owned().await;
        Slot { _permit: permit.expect("the semaphore is never closed"), waited: Duration::ZERO }
    }

    /// Counts a refusal of this kind of work, which may have been decided elsewhere.
    pub(crate) fn refuse(&self, overloaded: Overloaded) -> Overloaded {
        self.refused.fetch_add(1, Ordering::Relaxed);
        overloaded
    }

    /// The refusal of work that waited for something other than a slot.
    pub(crate) fn no_turn(&self) -> Overloaded {
        self.refuse(Overloaded::NoTurn { work: self.work, waited: self.max_wait })
    }

    pub(crate) fn statistics(&self) -> PoolStatistics {
        PoolStatistics {
            in_use: self.n_slots - self.slots.available_permits(),
            waiting: self.max_waiting - self.line.available_permits(),
            refused: self.refused.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    const MAX_WAIT: Duration = Duration::from_millis(100);
    const MOMENT: Duration = Duration::from_millis(1);

    fn pool(n_slots: usize, max_waiting: usize) -> Arc<Pool> {
        Arc::new(Pool::new("runs", n_slots, max_waiting, MAX_WAIT))
    }

    fn enter(pool: &Arc<Pool>) -> tokio::task::JoinHandle<Result<Slot, Overloaded>> {
        let pool = Arc::clone(pool);
        tokio::spawn(async move { pool.enter().await })
    }

    #[tokio::test(start_paused = true)]
    async fn as_many_as_there_are_slots_enter_and_as_many_as_may_wait_wait() {
        for (n_slots, max_waiting) in [(1, 0), (1, 1), (2, 3)] {
            let pool = pool(n_slots, max_waiting);
            let mut slots = Vec::new();
            for n_taken in 1..=n_slots {
                slots.push(pool.enter().now_or_never().expect("there is a slot").unwrap());
                assert_eq!(pool.statistics().in_use, n_taken);
            }
            let waiting: Vec<_> = (0..max_waiting).map(|_| enter(&pool)).collect();
            tokio::time::sleep(MOMENT).await;
            assert_eq!(
                pool.statistics(),
                PoolStatistics { in_use: n_slots, waiting: max_waiting, refused: 0 }
            );
            // One more than may wait.
            let refused = pool.enter().now_or_never().expect("it is refused at once").unwrap_err();
            assert_eq!(refused, Overloaded::LineFull { work: "runs", max_waiting });
            drop(slots);
            for waiting in waiting {
                assert_eq!(waiting.await.unwrap().unwrap().waited, MOMENT);
            }
            assert_eq!(pool.statistics(), PoolStatistics { in_use: 0, waiting: 0, refused: 1 });
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_longer_than_the_limit() {
        for (held, is_served) in [(MAX_WAIT.saturating_sub(MOMENT), true), (MAX_WAIT + MOMENT, false)] {
            let pool = pool(1, 1);
            let slot = pool.enter().await.unwrap();
            let waiting = enter(&pool);
            tokio::time::sleep(held).await;
            drop(slot);
            match waiting.await.unwrap() {
                Ok(slot) => assert!(is_served && slot.waited == held, "{slot:?}"),
                Err(refused) => {
                    assert!(!is_served, "{refused}");
                    assert_eq!(refused, Overloaded::NoTurn { work: "runs", waited: MAX_WAIT });
                    // Who was refused holds neither a slot nor a place.
                    assert_eq!(pool.statistics(), PoolStatistics { in_use: 0, waiting: 0, refused: 1 });
                }
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_for_less_waits_for_less() {
        let pool = pool(1, 1);
        let _slot = pool.enter().await.unwrap();
        let refused = pool.enter_within(MOMENT).await.unwrap_err();
        assert_eq!(refused, Overloaded::NoTurn { work: "runs", waited: MOMENT });
        // Asking for more is no way past the limit.
        let refused = pool.enter_within(MAX_WAIT * 2).await.unwrap_err();
        assert_eq!(refused, Overloaded::NoTurn { work: "runs", waited: MAX_WAIT });
    }

    #[tokio::test(start_paused = true)]
    async fn slots_are_given_in_the_order_of_coming() {
        let pool = pool(1, 2);
        let slot = pool.enter().await.unwrap();
        let first = enter(&pool);
        tokio::time::sleep(MOMENT).await;
        let second = enter(&pool);
        tokio::time::sleep(MOMENT).await;
        drop(slot);
        // The slot belongs to the first already.
        assert!(matches!(pool.enter().now_or_never(), Some(Err(Overloaded::LineFull { .. })) | None));
        let slot = first.await.unwrap().unwrap();
        assert!(!second.is_finished());
        drop(slot);
        assert!(second.await.unwrap().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn who_goes_away_leaves_its_place() {
        let pool = pool(1, 1);
        let slot = pool.enter().await.unwrap();
        let waiting = enter(&pool);
        tokio::time::sleep(MOMENT).await;
        assert_eq!(pool.statistics().waiting, 1);
        waiting.abort();
        assert!(waiting.await.unwrap_err().is_cancelled());
        assert_eq!(pool.statistics().waiting, 0);
        drop(slot);
        assert!(pool.enter().now_or_never().is_some_and(|entered| entered.is_ok()));
    }
}
