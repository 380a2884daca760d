//! What is in flight: calls whose modules answer later, up to their timeouts.

mod future_set;

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use constellation_store_core::NodeIndex;
use futures_util::FutureExt;
use futures_util::future::{self, BoxFuture};

use self::future_set::FutureSet;
use crate::Timer;
use crate::call::{Attempted, CallResult, PendingAttempt};

/// Something that was in flight has ended.
pub(crate) enum Ended {
    /// The call of a node.
    Call(NodeIndex, CallResult, Attempted),
    /// A body that was handed to the driver of the run, whose answer is elsewhere.
    Body,
}

/// The calls in flight of a graph or of the body of a lambda.
///
/// All of their timeouts have one timer, which is set for the first of them: a timer of its own for each is a large part
/// of what is done for a call.
#[derive(Default)]
pub(crate) struct Calls {
    futures: FutureSet<InFlight>,
    /// Where attempts are whose time has not begun, and some that have ended before. It begins when nothing else is left
    /// to do than to wait for them, with one look at the clock for all of them.
    new: Vec<usize>,
    /// Set for the first time at which a call has taken too long, or for that of a call that has ended before.
    alarm: Option<Alarm>,
}

struct Alarm {
    at: Duration,
    timer: BoxFuture<'static, ()>,
}

impl Alarm {
    fn new(at: Duration, now: Duration, timer: &dyn Timer) -> Self {
        Self { at, timer: timer.sleep(at.saturating_sub(now)) }
    }
}

impl Calls {
    /// Adds the only attempt of a call, which waits for nothing but its module.
    pub(crate) fn push_attempt(
        &mut self,
        node: NodeIndex,
        attempt: PendingAttempt,
        timeout: Option<Duration>,
    ) {
        let has_timeout = timeout.is_some();
        let timeout = timeout.map(|duration| Timeout { duration, at: None, is_over: false });
        let place = self.futures.push(InFlight::Attempt(OnlyAttempt { node, attempt, timeout }));
        if has_timeout {
            self.new.push(place);
        }
    }

    /// Adds anything else.
    pub(crate) fn push(&mut self, future: impl Future<Output = Ended> + Send + 'static) {
        self.futures.push(InFlight::Other(Box::pin(future)));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.futures.is_empty()
    }

    /// Drops all of them, and makes it as it was when it was new.
    pub(crate) fn clear(&mut self) {
        self.futures.clear();
        self.new.clear();
        // It belongs to the executor of its run.
        self.alarm = None;
    }

    /// What ends next; none when nothing is in flight.
    pub(crate) fn poll_next(&mut self, timer: &dyn Timer, context: &mut Context<'_>) -> Poll<Option<Ended>> {
        loop {
            if let Poll::Ready(ended) = self.futures.poll_next(context) {
                return Poll::Ready(ended);
            }
            if !self.new.is_empty() {
                self.begin(timer);
            }
            let Some(alarm) = &mut self.alarm else { return Poll::Pending };
            ready!(alarm.timer.poll_unpin(context));
            let now = timer.now().max(alarm.at);
            self.time_out(now, timer);
        }
    }

    /// The same as a future.
    pub(crate) fn next(&mut self, timer: &dyn Timer) -> impl Future<Output = Option<Ended>> {
        future::poll_fn(|context| self.poll_next(timer, context))
    }

    /// Begins to count the time of the attempts that were added.
    fn begin(&mut self, timer: &dyn Timer) {
        let now = timer.now();
        let mut first = self.alarm.as_ref().map(|alarm| alarm.at);
        for place in self.new.drain(..) {
            let Some(timeout) = self.futures.get_mut(place).and_then(InFlight::timeout) else { continue };
            let at = *timeout.at.get_or_insert_with(|| now.saturating_add(timeout.duration));
            first = Some(first.map_or(at, |first| first.min(at)));
        }
        if let Some(at) = first
            && self.alarm.as_ref().is_none_or(|alarm| at < alarm.at)
        {
            self.alarm = Some(Alarm::new(at, now, timer));
        }
    }

    /// Ends the attempts that have taken too long, and sets the alarm for the others. Timers are not exact to the
    /// millisecond, so that this is not done more often than that, however many attempts there are.
    fn time_out(&mut self, now: Duration, timer: &dyn Timer) {
        let mut first = None;
        self.futures.wake(|future| {
            let Some(timeout) = future.timeout() else { return false };
            let Some(at) = timeout.at else { return false };
            timeout.is_over = at <= now;
            if !timeout.is_over {
                first = Some(first.map_or(at, |first: Duration| first.min(at)));
            }
            timeout.is_over
        });
        self.alarm = first.map(|at| Alarm::new(at, now, timer));
    }
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Calls").field("n_in_flight", &self.futures.len()).finish_non_exhaustive()
    }
}

/// Something in flight. The usual case is not boxed.
enum InFlight {
    Attempt(OnlyAttempt),
    Other(BoxFuture<'static, Ended>),
}

impl InFlight {
    fn timeout(&mut self) -> Option<&mut Timeout> {
        match self {
            Self::Attempt(attempt) => attempt.timeout.as_mut(),
            Self::Other(_) => None,
        }
    }
}

impl Future for InFlight {
    type Output = Ended;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Ended> {
        match &mut *self {
            Self::Attempt(attempt) => attempt.poll(context),
            Self::Other(future) => future.poll_unpin(context),
        }
    }
}

struct OnlyAttempt {
    node: NodeIndex,
    attempt: PendingAttempt,
    timeout: Option<Timeout>,
}

/// When an attempt has taken too long.
struct Timeout {
    duration: Duration,
    /// None as long as its time has not begun.
    at: Option<Duration>,
    /// The attempt is polled once more then.
    is_over: bool,
}

impl OnlyAttempt {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Ended> {
        let result = match (self.attempt.poll_unpin(context), &self.timeout) {
            (Poll::Ready(result), _) => result,
            (Poll::Pending, Some(timeout)) if timeout.is_over => self.attempt.end_late(timeout.duration),
            (Poll::Pending, _) => return Poll::Pending,
        };
        Poll::Ready(Ended::Call(self.node, result, Attempted::Here))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use constellation_types::Value;

    use super::*;
    use crate::TokioTimer;
    use crate::call::Waiting;

    /// Counts how often it is set, and how often it is asked for the time.
    #[derive(Debug, Default)]
    struct CountedTimer(TokioTimer, AtomicUsize, AtomicUsize);

    impl Timer for CountedTimer {
        fn now(&self) -> Duration {
            self.2.fetch_add(1, Ordering::Relaxed);
            self.0.now()
        }

        fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
            self.1.fetch_add(1, Ordering::Relaxed);
            self.0.sleep(duration)
        }
    }

    const NEVER: u64 = 1_000_000;

    /// Adds an attempt whose module answers after so many milliseconds.
    fn push(calls: &mut Calls, node: u32, answer: u64, timeout: u64) {
        let future = Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(answer)).await;
            Ok(Value::Int(1))
        });
        let attempt = PendingAttempt::new(Waiting { future, watch: None }, None);
        calls.push_attempt(NodeIndex(node), attempt, Some(Duration::from_millis(timeout)));
    }

    /// The node whose call ends next, whether it has an answer, and how many milliseconds have passed by then.
    async fn next(calls: &mut Calls, timer: &CountedTimer) -> Option<(u32, bool, u128)> {
        match calls.next(timer).await? {
            Ended::Call(node, result, _) => Some((node.0, result.is_ok(), timer.now().as_millis())),
            Ended::Body => None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn each_attempt_has_the_time_of_its_own_timeout() {
        let (timer, mut calls) = (CountedTimer::default(), Calls::default());
        for (node, (answer, timeout)) in
            (0..).zip([(10, 30_000), (NEVER, 50), (NEVER, 20), (100, 30_000), (25, 25)])
        {
            push(&mut calls, node, answer, timeout);
        }
        assert_eq!(next(&mut calls, &timer).await, Some((0, true, 10)));
        // One that begins later, and ends earlier than those that were there.
        push(&mut calls, 5, NEVER, 5);
        let expected = [(5, false, 15), (2, false, 20), (4, true, 25), (1, false, 50), (3, true, 100)];
        for expected in expected {
            assert_eq!(next(&mut calls, &timer).await, Some(expected));
        }
        assert_eq!(next(&mut calls, &timer).await, None);
        // The timer is still set for those that have ended.
        push(&mut calls, 6, NEVER, 40_000);
        assert_eq!(next(&mut calls, &timer).await, Some((6, false, 40_100)));
    }

    #[tokio::test(start_paused = true)]
    async fn the_timeouts_of_many_attempts_have_one_timer() {
        let (timer, mut calls) = (CountedTimer::default(), Calls::default());
        for node in 0..1_000 {
            push(&mut calls, node, NEVER, 30_000);
        }
        for _ in 0..1_000 {
            let (_, has_answer, at) = next(&mut calls, &timer).await.unwrap();
            assert_eq!((has_answer, at), (false, 30_000));
        }
        assert_eq!(timer.1.load(Ordering::Relaxed), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_of_attempts_begins_when_they_are_waited_for_with_one_look_at_the_clock() {
        let (timer, mut calls) = (CountedTimer::default(), Calls::default());
        for node in 0..1_000 {
            push(&mut calls, node, if node == 0 { 10 } else { NEVER }, 50);
        }
        tokio::time::advance(Duration::from_millis(200)).await;
        let ended = calls.next(&timer).await;
        assert!(matches!(ended, Some(Ended::Call(NodeIndex(0), Ok(_), _))));
        assert_eq!(timer.2.load(Ordering::Relaxed), 1);
        // Another one has its own time, and changes nothing about that of the others.
        push(&mut calls, 1_000, NEVER, 20);
        assert_eq!(next(&mut calls, &timer).await, Some((1_000, false, 230)));
        assert_eq!(next(&mut calls, &timer).await.unwrap().2, 250);
    }
}
