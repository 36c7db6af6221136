//! New ids: UUIDs of version 7 (RFC 9562 §5.7), so that rows created one after
//! the other lie one after the other in an index, and a list ordered by id is
//! ordered by creation.

use std::sync::atomic::{AtomicU64, Ordering};
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::random::{self, Random};

/// Bits of the counter that orders ids within one millisecond (`rand_a`).
const COUNTER_BITS: u32 = 12;

/// Mints ids that never go backwards within one process, not even when the
/// clock does.
#[derive(Debug, Default)]
pub struct Mint {
    /// Milliseconds and counter of the last id, as one number.
    last: AtomicU64,
}

impl Mint {
    /// A fresh id: 48 bits of `now`, 12 of a counter, 62 of chance.
    pub fn uuid(&self, now: Timestamp, random: &dyn Random) -> Uuid {
        let tick = self.tick(now);
        let millis = tick >> COUNTER_BITS;
        let mut tail = random::bytes::<10>(random);
        if let Some(head) = tail.first_chunk_mut::<2>() {
            *head = u16::try_from(tick % (1 << COUNTER_BITS)).unwrap_or(0).to_be_bytes();
        }
        uuid::Builder::from_unix_timestamp_millis(millis, &tail).into_uuid()
    }

    /// The next number above the last one handed out, at least `now`.
    fn tick(&self, now: Timestamp) -> u64 {
        let floor = u64::try_from(now.as_millis()).unwrap_or(0) << COUNTER_BITS;
        let after = |last: u64| Some(floor.max(last + 1));
        let last = self.last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, after);
        floor.max(last.unwrap_or_else(|last| last) + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::OsRandom;

    #[test]
    fn ids_are_version_7_and_only_rise() {
        let mint = Mint::default();
        let mut last = Uuid::nil();
        for step in 0..20_000_i64 {
            // Many ids within a millisecond, and a clock that steps back.
            let now = Timestamp::from_millis(1_700_000_000_000 + step / 9_000 - step % 3);
            let id = mint.uuid(now, &OsRandom);
            assert_eq!((id.get_version_num(), id.get_variant()), (7, uuid::Variant::RFC4122));
            assert!(id > last, "{id} after {last}");
            last = id;
        }
    }
}
