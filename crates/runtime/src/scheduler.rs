//! The bound on calls in flight.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_channel::oneshot;

use crate::{SchedulerConfig, SchedulerStatistics, Timer};

/// The highest priority.
const MAX_PRIORITY: u8 = 100;

/// Hands out slots: at most so many at the same time, the highest priority first.
///
/// A slot that becomes free goes to whoever is first in line at that time, so that somebody waits only when all slots
/// are held.
#[derive(Debug)]
pub(crate) struct Scheduler {
    config: SchedulerConfig,
    timer: Arc<dyn Timer>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    in_flight: usize,
    /// The first in line first.
    waiting: BTreeMap<Place, oneshot::Sender<Slot>>,
    arrivals: u64,
    refused: u64,
}

/// A place in line: the time by which somebody of the highest priority would have had to arrive to stand there, then
/// the order of arrival.
///
/// Waiting is worth as much as priority, by a fixed rate. So of two who wait the same one is ahead all the time, and a
/// place never has to be worked out again; and nobody starves, since only those who arrive within a fixed time after
/// him can stand ahead of him.
type Place = (Duration, u64);

/// There are too many who wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Overloaded;

impl Scheduler {
    pub(crate) fn new(config: SchedulerConfig, timer: Arc<dyn Timer>) -> Self {
        Self { config, timer, state: Mutex::default() }
    }

    pub(crate) fn config(&self) -> &SchedulerConfig {
        &self.config
    }

    pub(crate) fn statistics(&self) -> SchedulerStatistics {
        let State { in_flight, ref waiting, arrivals: _, refused } = *self.state();
        SchedulerStatistics { in_flight, waiting: waiting.len(), refused }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A slot, if one is free.
    pub(crate) fn try_slot(self: &Arc<Self>) -> Option<Slot> {
        self.state().take_free(&self.config).then(|| Slot(Some(Arc::clone(self))))
    }

    /// Waits for a slot.
    pub(crate) async fn slot(self: &Arc<Self>, priority: u8) -> Result<Slot, Overloaded> {
        let (place, slot) = {
            let mut state = self.state();
            if state.take_free(&self.config) {
                return Ok(Slot(Some(Arc::clone(self))));
            }
            let handicap = u32::from(MAX_PRIORITY.saturating_sub(priority));
            let time = self.timer.now().saturating_add(self.config.aging.saturating_mul(handicap));
            state.line_up(time, self.config.max_waiting)?
        };
        let _leaves = Leaves { scheduler: self, place };
        // The other end is dropped when somebody further ahead needs the room.
        slot.await.map_err(|oneshot::Canceled| Overloaded)
    }

    /// Hands a slot to whoever is first in line.
    fn hand_on(self: Arc<Self>) {
        let mut slot = Slot(Some(Arc::clone(&self)));
        loop {
            let next = {
                let mut state = self.state();
                let Some((_, next)) = state.waiting.pop_first() else {
                    state.in_flight -= 1;
                    slot.0 = None;
                    return;
                };
                next
            };
            match next.send(slot) {
                Ok(()) => return,
                // He has left the line this moment.
                Err(refused) => slot = refused,
            }
        }
    }
}

impl State {
    fn take_free(&mut self, config: &SchedulerConfig) -> bool {
        let is_free = self.in_flight < config.max_in_flight.get();
        self.in_flight += usize::from(is_free);
        is_free
    }

    fn line_up(
        &mut self,
        time: Duration,
        max_waiting: usize,
    ) -> Result<(Place, oneshot::Receiver<Slot>), Overloaded> {
        let place = (time, self.arrivals);
        self.arrivals += 1;
        if self.waiting.len() >= max_waiting {
            self.refused += 1;
            // When there is no room it is the last in line who goes, not the last who came.
            match self.waiting.last_entry() {
                Some(last) if place < *last.key() => drop(last.remove()),
                _ => return Err(Overloaded),
            }
        }
        let (sender, receiver) = oneshot::channel();
        self.waiting.insert(place, sender);
        Ok((place, receiver))
    }
}

/// One of the calls that may be in flight, as long as it is held.
#[derive(Debug)]
#[must_use = "it is handed on when it is dropped"]
pub(crate) struct Slot(Option<Arc<Scheduler>>);

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(scheduler) = self.0.take() {
            scheduler.hand_on();
        }
    }
}

/// Leaves the line, wherever it stands by then.
struct Leaves<'a> {
    scheduler: &'a Scheduler,
    place: Place,
}

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        self.scheduler.state().waiting.remove(&self.place);
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use futures_util::FutureExt;

    use super::*;
    use crate::TokioTimer;

    #[tokio::test]
    async fn a_slot_goes_to_the_next_when_the_first_in_line_leaves_at_that_moment() {
        let config = SchedulerConfig::new(NonZeroUsize::MIN);
        let scheduler = Arc::new(Scheduler::new(config, Arc::new(TokioTimer::new())));
        let slot = scheduler.try_slot().unwrap();
        let line_up = || scheduler.state().line_up(Duration::ZERO, 10).unwrap().1;
        let (gone, next, last) = (line_up(), line_up(), line_up());
        // As between the look at the line and the hand-over.
        drop(gone);
        drop(slot);
        let slot = next.now_or_never().unwrap().unwrap();
        drop(last);
        drop(slot);
        assert_eq!(scheduler.statistics(), SchedulerStatistics { in_flight: 0, waiting: 0, refused: 0 });
    }
}
