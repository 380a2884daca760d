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
pub(super) struct TokenBucket(Mutex<Level>);

/// How full a bucket is. Exact: in each nanosecond the level rises by the count, and a token is the length of the
/// period in nanoseconds.
#[derive(Debug)]
struct Level {
    level: u128,
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
        Self(Mutex::new(Level { level: capacity, capacity, token, rise, at: now }))
    }

    /// Takes a token, as soon as there is one for whoever is first in line.
    pub(super) async fn take(&self, timer: &dyn Timer) {
        let mut level = self.0.lock().await;
        while let Err(wait) = level.take(timer.now()) {
            timer.sleep(wait).await;
        }
    }

    /// Whether it is as good as a new one.
    pub(super) fn is_full(&self, now: Duration) -> bool {
        self.0.try_lock().is_ok_and(|mut level| {
            level.refill(now);
            level.level == level.capacity
        })
    }
}

impl Level {
    fn refill(&mut self, now: Duration) {
        let elapsed = now.saturating_sub(self.at).as_nanos();
        self.level = self.level.saturating_add(elapsed.saturating_mul(self.rise)).min(self.capacity);
        self.at = self.at.max(now);
    }

    /// Takes a token, or says how long it takes until there is one.
    fn take(&mut self, now: Duration) -> Result<(), Duration> {
        self.refill(now);
        if let Some(level) = self.level.checked_sub(self.token) {
            self.level = level;
            return Ok(());
        }
        let nanoseconds = (self.token - self.level).div_ceil(self.rise);
        Err(Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(count: u64, per_ms: u64) -> Level {
        TokenBucket::new(Throttle { count, per_ms }, Duration::ZERO).0.into_inner()
    }

    #[test]
    fn a_bucket_is_full_at_first_and_refills_evenly() {
        let mut level = level(3, 1000);
        for _ in 0..3 {
            assert_eq!(level.take(Duration::ZERO), Ok(()));
        }
        let third = Duration::from_nanos(333_333_334);
        assert_eq!(level.take(Duration::ZERO), Err(third));
        assert_eq!(level.take(third), Ok(()));
        assert_eq!(level.take(third), Err(Duration::from_nanos(333_333_333)), "the fraction is not lost");
        assert_eq!(level.take(Duration::from_secs(1)), Ok(()));
        assert_eq!(level.take(Duration::from_secs(1)), Ok(()));
        assert_eq!(level.take(Duration::from_secs(1)), Err(third));
        for _ in 0..3 {
            assert_eq!(level.take(Duration::from_secs(60)), Ok(()), "there are never more than the count");
        }
        assert!(level.take(Duration::from_secs(60)).is_err());
    }

    #[test]
    fn the_largest_and_smallest_throttles_are_kept() {
        let max = (1 << 53) - 1;
        let mut one = level(1, max);
        assert_eq!(one.take(Duration::ZERO), Ok(()));
        assert_eq!(one.take(Duration::ZERO), Err(Duration::from_nanos(u64::MAX)), "as long as can be said");
        let mut many = level(max, 1);
        for _ in 0..10_000 {
            assert_eq!(many.take(Duration::ZERO), Ok(()));
        }
        let mut both = level(max, max);
        assert_eq!(both.take(Duration::ZERO), Ok(()));
    }
}
