//! A bucket of tokens, refilled by the clock.

use std::time::Duration;

use constellation_store_core::Throttle;
use tokio::sync::Mutex;

use crate::Timer;

/// Tokens for attempts: as many as the throttle's count, all there at first, refilled evenly.
///
/// Whoever is first in line waits for the next token, and the others wait for him; so tokens are handed on in order of
/// arrival, and one who leaves has taken none. The line is that of the lock.
#[derive(Debug)]
pub(super) struct TokenBucket(Mutex<Content>);

/// What is in a bucket. Exact: in each nanosecond it rises by the count of the throttle, and a token is the length of
/// its period in nanoseconds.
#[derive(Debug)]
struct Content {
    available: u128,
    capacity: u128,
    token: u128,
    rise: u128,
    at: Duration,
}

impl TokenBucket {
    /// A full bucket. Both numbers of the throttle are above 0.
    pub(super) fn new(throttle: Throttle, now: Duration) -> Self {
        let Throttle { count, per_ms } = throttle;
        let token = Duration::from_millis(per_ms).as_nanos();
        let rise = u128::from(count);
        let capacity = token.saturating_mul(rise);
        Self(Mutex::new(Content { available: capacity, capacity, token, rise, at: now }))
    }

    /// Takes a token, as soon as there is one for whoever is first in line.
    pub(super) async fn take(&self, timer: &dyn Timer) {
        let mut content = self.0.lock().await;
        while let Err(wait) = content.take(timer.now()) {
            timer.sleep(wait).await;
        }
    }

    /// Whether it is as good as a new one.
    pub(super) fn is_full(&self, now: Duration) -> bool {
        self.0.try_lock().is_ok_and(|mut content| {
            content.refill(now);
            content.available == content.capacity
        })
    }
}

impl Content {
    fn refill(&mut self, now: Duration) {
        let elapsed = now.saturating_sub(self.at).as_nanos();
        self.available = self.available.saturating_add(elapsed.saturating_mul(self.rise)).min(self.capacity);
        self.at = self.at.max(now);
    }

    /// Takes a token, or says how long it takes until there is one.
    fn take(&mut self, now: Duration) -> Result<(), Duration> {
        self.refill(now);
        if let Some(rest) = self.available.checked_sub(self.token) {
            self.available = rest;
            return Ok(());
        }
        let nanoseconds = (self.token - self.available).div_ceil(self.rise);
        Err(Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(count: u64, per_ms: u64) -> Content {
        TokenBucket::new(Throttle { count, per_ms }, Duration::ZERO).0.into_inner()
    }

    #[test]
    fn a_bucket_is_full_at_first_and_refills_evenly() {
        let mut bucket = bucket(3, 1000);
        for _ in 0..3 {
            assert_eq!(bucket.take(Duration::ZERO), Ok(()));
        }
        let third = Duration::from_nanos(333_333_334);
        assert_eq!(bucket.take(Duration::ZERO), Err(third));
        assert_eq!(bucket.take(third), Ok(()));
        assert_eq!(bucket.take(third), Err(Duration::from_nanos(333_333_333)), "the fraction is not lost");
        assert_eq!(bucket.take(Duration::from_secs(1)), Ok(()));
        assert_eq!(bucket.take(Duration::from_secs(1)), Ok(()));
        assert_eq!(bucket.take(Duration::from_secs(1)), Err(third));
        for _ in 0..3 {
            assert_eq!(bucket.take(Duration::from_mins(1)), Ok(()), "there are never more than the count");
        }
        assert!(bucket.take(Duration::from_mins(1)).is_err());
    }

    #[test]
    fn the_largest_and_smallest_throttles_are_kept() {
        let max = (1 << 53) - 1;
        let mut one = bucket(1, max);
        assert_eq!(one.take(Duration::ZERO), Ok(()));
        assert_eq!(one.take(Duration::ZERO), Err(Duration::from_nanos(u64::MAX)), "as long as can be said");
        let mut many = bucket(max, 1);
        for _ in 0..10_000 {
            assert_eq!(many.take(Duration::ZERO), Ok(()));
        }
        let mut both = bucket(max, max);
        assert_eq!(both.take(Duration::ZERO), Ok(()));
    }
}
