//! What callers were refused by the access table. The first refusal of a kind is
//! recorded at once; the same again within a minute is counted in memory, and the
//! count recorded when the minute is over. However often somebody is refused,
//! they fill neither the memory nor the database.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::{App, Cause, Error};
use crate::access::{Action, Caller, Denied, Means};
use crate::causes::with_causes;
use crate::clock::Timestamp;
use crate::events::{Actor, Event, EventKind, Object, Place, Refusal};
use crate::ids::{TeamId, UserId};

/// For how long the same is counted.
const COUNTED: Duration = Duration::from_mins(1);
/// Of how many people at a time; of more it is only counted how often.
const MOST_PEOPLE: usize = 1_024;
/// How many different refusals of one person are told apart at a time.
const MOST_KINDS: usize = 16;

/// What makes a refusal the same again.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Kind {
    means: Option<Means>,
    action: Option<Action>,
    reason: Option<&'static str>,
}

impl Kind {
    /// Whatever else somebody is refused.
    const OTHER: Self = Self { means: None, action: None, reason: None };
}

/// Refusals of one kind.
struct Counted {
    kind: Kind,
    /// By the monotonic clock.
    since: Duration,
    /// How often after the first, which is recorded.
    again: u32,
    event: Event,
}

impl Counted {
    fn is_over(&self, now: Duration) -> bool {
        now.saturating_sub(self.since) >= COUNTED
    }

    /// The event of all but the first, if there were more.
    fn rest(self) -> Option<Event> {
        let times = |refusal| Refusal { times: self.again, ..refusal };
        (self.again > 0).then(|| Event { refusal: self.event.refusal.map(times), ..self.event })
    }

    /// Counts one more; what isn't the same of all isn't told.
    fn count(&mut self, event: &Event) {
        self.again = self.again.saturating_add(1);
        self.event.at = event.at;
        self.event.request_id = None;
        if self.event.object.id != event.object.id {
            self.event.object.id = None;
        }
    }
}

type People = HashMap<(TeamId, UserId), Vec<Counted>>;

/// The refusals of the last minute.
#[derive(Default)]
pub(super) struct Refusals(Mutex<Known>);

#[derive(Default)]
struct Known {
    people: People,
    /// How many refusals there was no room for.
    untold: u64,
}

impl Refusals {
    fn change<T>(&self, change: impl FnOnce(&mut Known) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Counts a refusal; what is to be recorded at once of it.
    fn note(&self, who: (TeamId, UserId), kind: Kind, event: Event, now: Duration) -> Vec<Event> {
        self.change(|known| {
            if known.people.len() >= MOST_PEOPLE && !known.people.contains_key(&who) {
                known
                    .people
                    .retain(|_, counted| counted.iter().any(|one| one.again > 0 || !one.is_over(now)));
                if known.people.len() >= MOST_PEOPLE {
                    known.untold += 1;
                    return Vec::new();
                }
            }
            counting(known.people.entry(who).or_default(), kind, event, now)
        })
    }

    /// Takes out what is to be recorded by now; with `all`, also what still counts.
    fn due(&self, now: Duration, all: bool) -> (Vec<Event>, u64) {
        self.change(|known| {
            let mut due = Vec::new();
            for counted in known.people.values_mut() {
                let over = counted.extract_if(.., |one| all || one.is_over(now));
                due.extend(over.filter_map(Counted::rest));
            }
            known.people.retain(|_, counted| !counted.is_empty());
            (due, std::mem::take(&mut known.untold))
        })
    }
}

/// Counts a refusal among those of the same person.
fn counting(counted: &mut Vec<Counted>, kind: Kind, mut event: Event, now: Duration) -> Vec<Event> {
    let over = counted.extract_if(.., |one| one.is_over(now));
    let mut told: Vec<_> = over.filter_map(Counted::rest).collect();
    let told_apart = counted.len() < MOST_KINDS || counted.iter().any(|one| one.kind == kind);
    let kind = if told_apart { kind } else { Kind::OTHER };
    if let Some(one) = counted.iter_mut().find(|one| one.kind == kind) {
        one.count(&event);
        return told;
    }
    if kind == Kind::OTHER {
        event.refusal = Some(Refusal { action: None, reason: None, times: 1 });
        event.object.id = None;
    }
    told.push(event.clone());
    counted.push(Counted { kind, since: now, again: 0, event });
    told
}

impl App {
    /// Records that the access table refused a caller what they asked for, or
    /// counts it, if it is the same again. What is only invisible isn't recorded:
    /// it is as if they had asked for what isn't there. A refusal that can't be
    /// recorded is one all the same.
    pub async fn note_refusal(&self, caller: &Caller, cause: &Cause, object: Object, denied: Denied) {
        if denied == Denied::Invisible {
            return;
        }
        let now = self.world.clock.now();
        let kind = Kind { means: Some(caller.means), action: cause.action, reason: Some(denied.name()) };
        let event = refused(caller, cause, (object, denied), now);
        let who = (caller.team_id, caller.user_id);
        for event in self.refusals.note(who, kind, event, self.world.clock.monotonic()) {
            if let Err(error) = self.store.record(event).await {
                tracing::warn!(error = with_causes(&error), "refusals.record");
            }
        }
    }

    /// Records how often refusals came again, of those whose minute is over. To be
    /// called every few seconds, and with `all` at the end.
    ///
    /// # Errors
    /// When the store can't; what it couldn't record is lost, and said in the log.
    pub async fn write_refusals(&self, all: bool) -> Result<(), Error> {
        let (due, untold) = self.refusals.due(self.world.clock.monotonic(), all);
        if untold > 0 {
            tracing::warn!(untold, "refusals.untold");
        }
        let mut due = due.into_iter();
        while let Some(event) = due.next() {
            if let Err(error) = self.store.record(event).await {
                tracing::warn!(lost = due.len() + 1, "refusals.lost");
                return Err(error.into());
            }
        }
        Ok(())
    }
}

fn refused(caller: &Caller, cause: &Cause, (object, denied): (Object, Denied), at: Timestamp) -> Event {
    Event {
        at,
        kind: EventKind::AccessDenied,
        team_id: Some(caller.team_id),
        actor: Actor::from(caller),
        place: Place::default(),
        object,
        request_id: cause.request_id,
        refusal: Some(Refusal { action: cause.action, reason: Some(denied), times: 1 }),
        requested: None,
    }
}
