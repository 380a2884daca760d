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
    /// Attempts that begin at about the same time have one in common: a timer of its own for each is a large part of what
    /// is done for an attempt.
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

/// And which part of the timeout that may be at most, so that a short one is not much shorter.
const PART: u32 = 100;

impl RecentTimeouts {
    /// Forgets all of them.
    pub(crate) fn clear(&mut self) {
        self.timeouts.clear();
    }

    /// For an attempt that begins now.
    pub(crate) fn after(&mut self, duration: Duration, timer: &dyn Timer) -> Timeout {
        let now = timer.now();
        let age = now.saturating_sub(self.at);
        if age >= RECENT.min(duration / PART) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TokioTimer;

    #[tokio::test(start_paused = true)]
    async fn no_attempt_has_much_less_time_than_its_timeout() {
        let timer = TokioTimer::new();
        for (timeout, gap) in [(1_u64, 500_u64), (50, 900), (30_000, 900), (30_000, 1_000)] {
            let timeout = Duration::from_millis(timeout);
            let mut recent = RecentTimeouts::default();
            let _ = recent.after(timeout, &timer);
            tokio::time::advance(Duration::from_micros(gap)).await;
            let begin = timer.now();
            recent.after(timeout, &timer).over.await;
            let had = timer.now().saturating_sub(begin);
            assert!(had + timeout / PART >= timeout, "{had:?} of {timeout:?} after {gap} us");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_that_begin_together_have_one_timer() {
        let timer = TokioTimer::new();
        tokio::time::advance(Duration::from_secs(1)).await;
        let mut recent = RecentTimeouts::default();
        let [long, short] = [30_000, 100].map(Duration::from_millis);
        let first = recent.after(long, &timer);
        for timeout in [short, long, short, long] {
            let _ = recent.after(timeout, &timer);
        }
        assert_eq!(recent.timeouts.len(), 2);
        assert!(first.over.ptr_eq(&recent.after(long, &timer).over));
    }
}
