//! Time, given from outside: the only place that asks the system what time it is.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A point in time, in whole milliseconds since 1970-01-01T00:00:00Z. Its text is RFC 3339 in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// Text or a number that is not a [`Timestamp`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a time between the years -9999 and 9999, in RFC 3339: '{text}'")]
pub struct InvalidTimestamp {
    /// The text as given.
    pub text: String,
}

impl Timestamp {
    /// The start of 1970.
    pub const UNIX_EPOCH: Self = Self(0);

    /// The time `milliseconds` after the start of 1970.
    ///
    /// # Errors
    ///
    /// [`InvalidTimestamp`] past the year 9999.
    pub fn from_milliseconds(milliseconds: i64) -> Result<Self, InvalidTimestamp> {
        match jiff::Timestamp::from_millisecond(milliseconds) {
            Ok(_) => Ok(Self(milliseconds)),
            Err(_) => Err(InvalidTimestamp { text: milliseconds.to_string() }),
        }
    }

    /// Milliseconds since the start of 1970.
    pub fn as_milliseconds(self) -> i64 {
        self.0
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = jiff::Timestamp::from_millisecond(self.0).expect("checked when it was made");
        fmt::Display::fmt(&time, f)
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, InvalidTimestamp> {
        text.parse::<jiff::Timestamp>()
            .map(|time| Self(time.as_millisecond()))
            .map_err(|_| InvalidTimestamp { text: text.chars().take(80).collect() })
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::parsed::deserialize(deserializer)
    }
}

/// Where a store gets the time from. Time may stand still, jump and go back; nothing relies on its order.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> Timestamp;
}

/// The clock of the system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp(jiff::Timestamp::now().as_millisecond())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_rfc_3339_in_utc() {
        let time: Timestamp = "2026-02-02T15:30:00+01:00".parse().unwrap();
        assert_eq!(time.to_string(), "2026-02-02T14:30:00Z");
        assert_eq!(time.to_string().parse(), Ok(time));
        assert_eq!(Timestamp::from_milliseconds(1).unwrap().to_string(), "1970-01-01T00:00:00.001Z");
        assert_eq!(Timestamp::from_milliseconds(-7).unwrap().as_milliseconds(), -7);
        assert!("yesterday".parse::<Timestamp>().is_err());
        assert!(Timestamp::from_milliseconds(i64::MAX).is_err());
    }
}
