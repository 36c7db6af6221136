//! What this server recorded a moment ago. Leaves are made of it, not of what is found in the
//! store then: that takes less, and whoever alters a row meanwhile has altered a leaf.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::App;
use super::audit::SEALED_AT_ONCE;
use crate::audit::Gap;
use crate::events::{Event, Recorded};
use crate::store::StoreError;

/// The most events that are kept, of some 500 bytes each, and of 3 KiB where paths are long: nobody may come for them.
const MOST: usize = 4 * SEALED_AT_ONCE as usize;

/// Events that have their place in the record, by the place of the first of them; the others follow
/// it without a gap.
#[derive(Default)]
pub(super) struct Fresh(Mutex<BTreeMap<i64, Arc<[Event]>>>);

impl Fresh {
    pub(super) fn keep(&self, first: i64, events: Arc<[Event]>) {
        let mut kept = self.kept();
        kept.insert(first, events);
        while kept.values().map(|events| events.len()).sum::<usize>() > MOST {
            kept.pop_first();
        }
    }

    /// The first of them that aren't all before this place.
    fn next(&self, from: i64) -> Option<(i64, Arc<[Event]>)> {
        let kept = self.kept();
        let mut all = kept.iter().map(|(first, events)| (*first, events));
        let (first, events) = all.find(|(first, events)| after(*first, events.len()) > from)?;
        Some((first, Arc::clone(events)))
    }

    /// Forgets what is sealed: what is up to this place.
    pub(super) fn forget(&self, top: i64) {
        self.kept().retain(|first, events| after(*first, events.len()) > top.saturating_add(1));
    }

    fn kept(&self) -> MutexGuard<'_, BTreeMap<i64, Arc<[Event]>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place behind so many events.
fn after(first: i64, count: usize) -> i64 {
    first.saturating_add(i64::try_from(count).unwrap_or(i64::MAX))
}

impl App {
    /// Events from this place in the record on, in its order: at most so many.
    pub(super) async fn newest(&self, mut from: i64, most: u32) -> Result<Vec<Recorded>, StoreError> {
        let (most, mut newest) = (most as usize, Vec::new());
        while newest.len() < most {
            let room = most - newest.len();
            match self.fresh.next(from) {
                Some((first, events)) if first <= from => {
                    let known = (first..).zip(&*events).filter(|(sequence, _)| *sequence >= from).take(room);
                    newest.extend(known.map(|(sequence, event)| Recorded::of(sequence, event)));
                    from = newest.last().map_or(from, |last| last.sequence.saturating_add(1));
                }
                // Others recorded what is between.
                next => {
                    let last = next.as_ref().map_or(i64::MAX, |(first, _)| first - 1);
                    let room = u32::try_from(room).unwrap_or(u32::MAX);
                    newest.extend(self.store.recorded(Gap { first: from, last }, None, room).await?);
                    if next.is_none() {
                        break;
                    }
                    from = last + 1;
                }
            }
        }
        Ok(newest)
    }
}
