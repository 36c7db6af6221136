//! How many requests a key or a run may make: so many in each minute that
//! begins with its first one. Each server counts for itself.

use axum::http::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use strongroom_core::{Clock, Timestamp};
use uuid::Uuid;

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

const MINUTE: Duration = Duration::from_mins(1);
/// Callers after which those whose minute is over are dropped, once a minute.
const MANY: usize = 4_096;

/// Counts requests.
pub(crate) struct Limiter {
    per_minute: u32,
    counts: Mutex<Counts>,
}

/// What is counted.
#[derive(Default)]
struct Counts {
    /// By the id of a key or a run; no two objects have the same.
    minutes: HashMap<Uuid, Minute>,
    /// When minutes that are over were last dropped, by the monotonic clock.
    swept: Option<Duration>,
}

impl Counts {
    /// The minute of a caller in which this request falls.
    fn minute(&mut self, caller: Uuid, clock: &dyn Clock, now: Duration) -> &mut Minute {
        let over = |began: Duration| now.saturating_sub(began) >= MINUTE;
        if self.minutes.len() >= MANY && self.swept.is_none_or(over) {
            self.minutes.retain(|_, minute| !over(minute.began));
            self.swept = Some(now);
        }
        let fresh = || Minute { began: now, reset: reset(clock.now()), requests: 0 };
        let minute = self.minutes.entry(caller).or_insert_with(fresh);
        if over(minute.began) {
            *minute = fresh();
        }
        minute
    }
}

/// When a minute that begins now ends, in whole seconds, rounded up, so that
/// who comes then is let in.
fn reset(now: Timestamp) -> i64 {
    now.as_millis().saturating_add(60_999).div_euclid(1_000)
}

/// A caller's present minute.
#[derive(Clone, Copy)]
struct Minute {
    /// By the monotonic clock.
    began: Duration,
    /// When it ends, in Unix seconds.
    reset: i64,
    requests: u32,
}

/// How a caller stands, this request counted.
#[derive(Clone, Copy)]
pub(crate) struct Standing {
    limit: u32,
    remaining: u32,
    reset: i64,
    /// Seconds until the next request, when this one is too much.
    pub(crate) wait: Option<u64>,
}

impl Limiter {
    /// So many requests a minute; 0: as many as come.
    pub(crate) fn new(per_minute: u32) -> Self {
        Self { per_minute, counts: Mutex::default() }
    }

    /// Counts a request. `None` when nothing is limited.
    pub(crate) fn count(&self, caller: Uuid, clock: &dyn Clock) -> Option<Standing> {
        if self.per_minute == 0 {
            return None;
        }
        let now = clock.monotonic();
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let minute = counts.minute(caller, clock, now);
        let too_many = minute.requests >= self.per_minute;
        minute.requests = minute.requests.saturating_add(1);
        let left = MINUTE.saturating_sub(now.saturating_sub(minute.began));
        Some(Standing {
            limit: self.per_minute,
            remaining: self.per_minute.saturating_sub(minute.requests),
            reset: minute.reset,
            // Whole seconds, rounded up, so that who waits so long is let in.
            wait: too_many.then(|| left.as_millis().div_ceil(1_000).try_into().unwrap_or(60)),
        })
    }
}

impl Standing {
    /// Tells the caller.
    pub(crate) fn write(self, headers: &mut HeaderMap) {
        headers.insert(LIMIT, self.limit.into());
        headers.insert(REMAINING, self.remaining.into());
        headers.insert(RESET, HeaderValue::from(self.reset));
        if let Some(wait) = self.wait {
            headers.insert(RETRY_AFTER, wait.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// A clock that stands still until it is set.
    struct Fixed(AtomicU64);

    impl Clock for Fixed {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(self.monotonic().as_millis().try_into().unwrap())
        }

        fn monotonic(&self) -> Duration {
            Duration::from_millis(self.0.load(Ordering::Relaxed))
        }
    }

    fn key(number: usize) -> Uuid {
        Uuid::from_u128(number.try_into().unwrap())
    }

    #[test]
    fn who_comes_when_the_minute_ends_is_let_in() {
        let (limiter, clock) = (Limiter::new(1), Fixed(AtomicU64::new(0)));
        for (number, began) in [1_000, 1_001, 1_500, 1_999].into_iter().enumerate() {
            clock.0.store(began, Ordering::Relaxed);
            let reset = limiter.count(key(number), &clock).unwrap().reset;
            clock.0.store(u64::try_from(reset).unwrap() * 1_000, Ordering::Relaxed);
            assert_eq!(limiter.count(key(number), &clock).unwrap().wait, None, "{began}");
        }
    }

    #[test]
    fn minutes_that_are_over_are_dropped_once_a_minute() {
        let (limiter, clock) = (Limiter::new(1), Fixed(AtomicU64::new(0)));
        let count = |seconds: u64, number| {
            clock.0.store(seconds * 1_000, Ordering::Relaxed);
            limiter.count(key(number), &clock);
            limiter.counts.lock().unwrap().minutes.len()
        };
        assert_eq!((0..MANY).map(|number| count(0, number)).max(), Some(MANY));
        assert_eq!(count(30, MANY), MANY + 1, "looked at, and none was over");
        assert_eq!(count(89, MANY + 1), MANY + 2, "not looked at again");
        assert_eq!(count(90, MANY + 2), 2);
    }
}
