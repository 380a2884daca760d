//! The timer of a connection, which is set anew for each head of a request and nearly never goes off.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};
use hyper_util::rt::TokioTimer;

/// One timer for all the waiting of a connection, of which hyper does one thing after another.
///
/// It is not taken back when the wait is over, and goes off once too early later instead: to set a timer and to take it
/// back again for each request takes longer, and all threads of the server have one lock for it.
#[derive(Debug, Clone)]
pub(super) struct Alarm(Arc<Mutex<Pin<Box<tokio::time::Sleep>>>>);

impl Alarm {
    /// It goes off after `first` if nothing waits sooner.
    pub(super) fn new(first: Duration) -> Self {
        Self(Arc::new(Mutex::new(Box::pin(tokio::time::sleep(first)))))
    }
}

impl Timer for Alarm {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(Wait { alarm: self.clone(), deadline: deadline.into() })
    }

    fn now(&self) -> Instant {
        TokioTimer::new().now()
    }
}

/// Over at its deadline.
struct Wait {
    alarm: Alarm,
    deadline: tokio::time::Instant,
}

impl Sleep for Wait {}

impl Future for Wait {
    type Output = ();

    fn poll(self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<()> {
        let mut alarm = self.alarm.0.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match alarm.as_mut().poll(ctx) {
                Poll::Pending if alarm.deadline() <= self.deadline => return Poll::Pending,
                Poll::Ready(()) if self.deadline <= alarm.deadline() => return Poll::Ready(()),
                // It was set for another wait.
                Poll::Pending | Poll::Ready(()) => alarm.as_mut().reset(self.deadline),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT: Duration = Duration::from_secs(30);

    async fn time_of(wait: Pin<Box<dyn Sleep>>) -> Duration {
        let start = tokio::time::Instant::now();
        wait.await;
        start.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn each_wait_has_its_own_time_whatever_the_alarm_was_set_for() {
        let alarm = Alarm::new(WAIT);
        for pause in [0, 1, 29, 30, 31, 100] {
            // The one before it is given up, as after a head that has come.
            let given_up = tokio::time::timeout(Duration::from_secs(pause), alarm.sleep(WAIT * 2)).await;
            assert_eq!(given_up.is_ok(), pause > 60, "{pause}");
            assert_eq!(time_of(alarm.sleep(WAIT)).await, WAIT, "{pause}");
            assert_eq!(time_of(alarm.sleep(WAIT / 10)).await, WAIT / 10, "{pause}");
        }
    }
}
