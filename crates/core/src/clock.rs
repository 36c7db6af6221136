//! Time as a parameter. Only the command line implements [`Clock`] with the
//! real one; tests bring a fixed one.

use std::fmt;
use std::time::Duration;

/// Tells the time.
pub trait Clock: Send + Sync {
    /// The present moment, UTC. May jump, either way.
    fn now(&self) -> Timestamp;

    /// Time since some fixed moment. Never jumps: what is kept for a while is
    /// kept by this.
    fn monotonic(&self) -> Duration;
}

/// A moment in UTC: milliseconds since 1970-01-01T00:00:00Z, the precision of
/// the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From milliseconds since the Unix epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }
}

/// RFC 3339, UTC, three decimals and `Z`: `2026-11-07T05:31:56.000Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = jiff::Timestamp::from_millisecond(self.0).map_err(|_| fmt::Error)?;
        write!(f, "{moment:.3}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn always_three_decimals_and_z() {
        let whole_second = Timestamp::from_millis(1_699_335_116_000);
        assert_eq!(whole_second.to_string(), "2023-11-07T05:31:56.000Z");
        assert_eq!(Timestamp::from_millis(7).to_string(), "1970-01-01T00:00:00.007Z");
    }
}
