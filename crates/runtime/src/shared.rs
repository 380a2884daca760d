//! What all runs of a runtime share.

use std::sync::Arc;

use constellation_rehydrate::LoadedCall;
use futures_util::future::{BoxFuture, Either};

use crate::cache::Caches;
use crate::call::CallFailure;
use crate::frames::Frames;
use crate::limits::Limits;
use crate::scheduler::{Overloaded, Scheduler, Slot};
use crate::{RunErrorKind, RuntimeConfig, RuntimeStatistics, SchedulerConfig};

/// The state of a runtime. Clones of it and its runs have it in common.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) caches: Caches,
    pub(crate) limits: Limits,
    scheduler: Option<Arc<Scheduler>>,
    pub(crate) frames: Frames,
    pub(crate) config: RuntimeConfig,
}

impl Shared {
    pub(crate) fn new(config: RuntimeConfig) -> Self {
        let timer = &config.timer;
        let scheduler = config.scheduler.clone().map(|bounds| Scheduler::new(bounds, Arc::clone(timer)));
        Self {
            caches: Caches::new(&config.cache, timer),
            limits: Limits::new(Arc::clone(timer)),
            scheduler: scheduler.map(Arc::new),
            frames: Frames::default(),
            config,
        }
    }

    /// The slot that a call needs to be in flight: none when calls are not bounded, or when it is given a function and
    /// waits for calls in the body.
    pub(crate) fn slot<'a>(
        &'a self,
        call: &LoadedCall,
    ) -> Either<Option<Slot>, BoxFuture<'a, Result<Slot, Box<CallFailure>>>> {
        let Some(scheduler) = self.scheduler.as_ref().filter(|_| call.functions.is_empty()) else {
            return Either::Left(None);
        };
        if let Some(slot) = scheduler.try_slot() {
            return Either::Left(Some(slot));
        }
        let priority = call.priority;
        // Boxed, since most calls do not wait and their futures should be small.
        Either::Right(Box::pin(async move {
            scheduler.slot(priority).await.map_err(|Overloaded| {
                let SchedulerConfig { max_in_flight, max_waiting, aging: _ } = scheduler.config();
                Box::new(CallFailure {
                    kind: RunErrorKind::Overloaded,
                    message: format!(
                        "too many calls: {max_in_flight} are in flight and {max_waiting} wait; try again later, or \
                         raise the bounds of the scheduler"
                    ),
                    causes: Vec::new(),
                })
            })
        }))
    }

    pub(crate) fn statistics(&self) -> RuntimeStatistics {
        let (waiting_for_throttle, waiting_for_concurrency) = self.limits.waiting();
        RuntimeStatistics {
            cache: self.caches.statistics(),
            waiting_for_throttle,
            waiting_for_concurrency,
            scheduler: self.scheduler.as_ref().map(|scheduler| scheduler.statistics()),
        }
    }
}
