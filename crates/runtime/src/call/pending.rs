//! An attempt whose module answers later.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{self, Either};

use super::{CallFailure, CallResult, Waiting, failure_of, panicked};
use crate::scheduler::Slot;
use crate::{RunErrorKind, Timer};

/// An attempt that has all that it waits for but the module's answer.
pub(crate) struct PendingAttempt {
    waiting: Waiting,
    /// Held as long as the module's future is polled.
    _slot: Option<Slot>,
}

impl PendingAttempt {
    pub(crate) fn new(waiting: Waiting, slot: Option<Slot>) -> Self {
        Self { waiting, _slot: slot }
    }

    /// Waits for the answer, for as long as the attempt may take.
    pub(crate) async fn within(self, timeout: Option<Duration>, timer: &dyn Timer) -> CallResult {
        let Some(timeout) = timeout else { return self.await };
        match future::select(self, timer.sleep(timeout)).await {
            Either::Left((result, _)) => result,
            Either::Right(((), mut attempt)) => attempt.end_late(timeout),
        }
    }

    /// Gives up an attempt that has taken longer than it may.
    pub(crate) fn end_late(&mut self, timeout: Duration) -> CallResult {
        let failure = CallFailure {
            kind: RunErrorKind::Timeout,
            message: format!("Operation timed out after {}ms", timeout.as_millis()),
            causes: Vec::new(),
        };
        self.end(Err(failure.into()))
    }

    fn end(&mut self, result: CallResult) -> CallResult {
        if let Some(watch) = self.waiting.watch.take() {
            watch.end(&result);
        }
        result
    }
}

impl Future for PendingAttempt {
    type Output = CallResult;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<CallResult> {
        let future = &mut self.waiting.future;
        let result = match catch_unwind(AssertUnwindSafe(|| future.poll_unpin(context))) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(result)) => result.map_err(|error| failure_of(&error).into()),
            Err(panic) => Err(panicked(&*panic).into()),
        };
        Poll::Ready(self.end(result))
    }
}
