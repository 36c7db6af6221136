//! The real clock, and ids that rise with it; everything else takes time as a parameter.

use rustix::time::ClockId;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use strongroom_core::mint::Mint;
use strongroom_core::{Ahead, Clock, OsRandom, Timestamp};
use uuid::Uuid;

/// The system's wall clock, in UTC.
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the system for the time")]
    fn now(&self) -> Timestamp {
        let millis = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_millis()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |millis| -millis),
        };
        Timestamp::from_millis(millis)
    }

    fn monotonic(&self) -> Duration {
        let time = rustix::time::clock_gettime(ClockId::Monotonic);
        Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
    }
}

/// Ids for what there is much of; they rise with time.
pub(crate) fn rising_ids() -> impl Fn() -> Uuid + Send + Sync + 'static {
    let (mint, random) = (Mint::default(), Ahead::of(OsRandom));
    move || mint.uuid(SystemClock.now(), &random)
}
