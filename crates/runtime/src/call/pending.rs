//! An attempt in flight: the module's future, up to its timeout.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};

use super::{CallFailure, CallResult, Waiting, failure_of, panicked};
use crate::scheduler::Slot;
use crate::{RunErrorKind, Timer};

/// When an attempt has taken too long.
#[derive(Debug, Clone)]
pub(crate) struct Timeout {
    duration: Duration,
    /// Attempts that begin within a millisecond have one in common, since a timer of its own for each costs as much as
    /// everything else that is done for an attempt.
    over: Shared<BoxFuture<'static, ()>>,
}

impl Timeout {
    /// For an attempt that begins now.
    pub(crate) fn after(duration: Duration, timer: &dyn Timer) -> Self {
        Self { duration, over: timer.sleep(duration).shared() }
    }
}

/// The timeouts of attempts that began a moment ago.
#[derive(Debug, Default)]
pub(crate) struct RecentTimeouts {
    /// When they began.
    at: Duration,
    timeouts: Vec<Timeout>,
}

/// How long before an attempt another may have begun whose timeout it has: as exact as timers are.
const RECENT: Duration = Duration::from_millis(1);

impl RecentTimeouts {
    /// Forgets all of them.
    pub(crate) fn clear(&mut self) {
        self.timeouts.clear();
    }

    /// For an attempt that begins now.
    pub(crate) fn after(&mut self, duration: Duration, timer: &dyn Timer) -> Timeout {
        let now = timer.now();
        if now.saturating_sub(self.at) >= RECENT {
            self.at = now;
            self.timeouts.clear();
        }
        if let Some(timeout) = self.timeouts.iter().find(|timeout| timeout.duration == duration) {
            return timeout.clone();
        }
        let timeout = Timeout::after(duration, timer);
        self.timeouts.push(timeout.clone());
        timeout
    }
}

/// An attempt that has all that it waits for but the module's answer.
pub(crate) struct PendingAttempt {
    waiting: Waiting,
    /// Held as long as the module's future is polled.
    _slot: Option<Slot>,
    timeout: Option<Timeout>,
}

impl PendingAttempt {
    pub(crate) fn new(waiting: Waiting, slot: Option<Slot>, timeout: Option<Timeout>) -> Self {
        Self { waiting, _slot: slot, timeout }
    }
}

impl Future for PendingAttempt {
    type Output = CallResult;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<CallResult> {
        let Self { waiting, timeout, .. } = &mut *self;
        let polled = catch_unwind(AssertUnwindSafe(|| waiting.future.poll_unpin(context)));
        let result: CallResult = match polled {
            Ok(Poll::Ready(result)) => result.map_err(|error| failure_of(&error).into()),
            Err(panic) => Err(panicked(&*panic).into()),
            Ok(Poll::Pending) => {
                let Some(Timeout { duration, over }) = timeout else { return Poll::Pending };
                ready!(over.poll_unpin(context));
                Err(late(*duration).into())
            }
        };
        if let Some(watch) = waiting.watch.take() {
            watch.end(&result);
        }
        Poll::Ready(result)
    }
}

fn late(timeout: Duration) -> CallFailure {
    CallFailure {
        kind: RunErrorKind::Timeout,
        message: format!("Operation timed out after {}ms", timeout.as_millis()),
        causes: Vec::new(),
    }
}
