//! How many requests a key may make: so many in each minute that begins with
//! its first one. Each server counts for itself.

use axum::http::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use strongroom_core::{ApiKeyId, Clock};

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

const MINUTE: Duration = Duration::from_mins(1);
/// Keys after which those whose minute is over are dropped.
const MANY: usize = 4_096;

/// Counts requests.
pub(crate) struct Limiter {
    per_minute: u32,
    minutes: Mutex<HashMap<ApiKeyId, Minute>>,
}

/// A key's present minute.
#[derive(Clone, Copy)]
struct Minute {
    /// By the monotonic clock.
    began: Duration,
    /// When it ends, in Unix seconds.
    reset: i64,
    requests: u32,
}

/// How a key stands, this request counted.
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
        Self { per_minute, minutes: Mutex::default() }
    }

    /// Counts a request. `None` when nothing is limited.
    pub(crate) fn count(&self, key: ApiKeyId, clock: &dyn Clock) -> Option<Standing> {
        if self.per_minute == 0 {
            return None;
        }
        let now = clock.monotonic();
        let over = |minute: &Minute| now.saturating_sub(minute.began) >= MINUTE;
        let mut minutes = self.minutes.lock().unwrap_or_else(PoisonError::into_inner);
        if minutes.len() >= MANY {
            minutes.retain(|_, minute| !over(minute));
        }
        let fresh =
            || Minute { began: now, reset: clock.now().as_millis().div_euclid(1_000) + 60, requests: 0 };
        let minute = minutes.entry(key).or_insert_with(fresh);
        if over(minute) {
            *minute = fresh();
        }
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
