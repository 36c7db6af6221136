//! What every change has in common: who asks and on which condition, what is
//! planned, and carrying it out. A verb only plans; so a dry run is a plan that
//! nobody carries out, and a request that comes again finds its answer.

use uuid::Uuid;

use super::{App, Error, Suspect};
use crate::access::{Action, Caller, Denied, Means, Ownership, Permit};
use crate::answers::KeptAnswer;
use crate::clock::Timestamp;
use crate::events::{Actor, Event, EventKind, Object, Place};
use crate::ids::{ApiKeyId, KeyId};
use crate::rows::{Row, RowMac, Stored};
use crate::store::{Change, StoreError, Write};
use crate::tags::Condition;

/// In answer to which request a verb is done; goes into its event.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cause {
    /// The request's id.
    pub request_id: Option<Uuid>,
    /// What it asks for, where that is known before it is tried.
    pub action: Option<Action>,
}

/// Who asks, in which request, and on which condition.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Who.
    pub caller: Caller,
    /// In which request.
    pub cause: Cause,
    /// What must hold of the object that is to be changed.
    pub condition: Option<Condition>,
    /// Whether they just showed what they sign in with.
    pub(super) is_confirmed: bool,
}

impl Ask {
    /// Somebody who asks on no condition.
    pub const fn new(caller: Caller, cause: Cause) -> Self {
        Self { caller, cause, condition: None, is_confirmed: false }
    }

    /// Asks the access table.
    pub(super) fn permit(&self, action: Action, ownership: Ownership) -> Result<Permit, Denied> {
        self.caller.permit(action, ownership)
    }

    /// The key that the caller came with.
    pub(super) fn key(&self) -> Result<ApiKeyId, Denied> {
        match self.caller.means {
            Means::Key(key) => Ok(key),
            _ => Err(Denied::Invisible),
        }
    }

    /// Holds the condition against the row that is to be changed.
    pub(super) fn demands(&self, mac: RowMac) -> Result<(), Error> {
        let holds = self.condition.as_ref().is_none_or(|condition| condition.holds(mac));
        if holds { Ok(()) } else { Err(Error::Precondition) }
    }

    /// What is about to be verified for the one who asks.
    pub(super) fn suspect(&self, object: Object) -> Suspect<'_> {
        Suspect { caller: Some(&self.caller), object, cause: &self.cause }
    }

    /// The event of what is done to this row.
    pub(super) fn event<T: Row>(&self, kind: EventKind, id: Uuid, at: Timestamp, row: &Stored<T>) -> Event {
        self.event_of(kind, at, Object { mac: Some(row.mac()), ..Object::of::<T>(Some(id)) })
    }

    /// The event of what is done to this object.
    pub(super) fn event_of(&self, kind: EventKind, at: Timestamp, object: Object) -> Event {
        Event {
            at,
            kind,
            team_id: Some(self.caller.team_id),
            actor: Actor::from(&self.caller),
            place: Place::default(),
            object,
            request_id: self.cause.request_id,
            refusal: None,
            requested: None,
        }
    }
}

/// What a plan does, step by step, and what is told of it. A row that is stored
/// has its event: a row put back as it was before is found by that.
#[derive(Default)]
pub(super) struct Steps {
    changes: Vec<Change>,
    events: Vec<Event>,
}

impl Steps {
    /// Adds a step with its event.
    pub(super) fn and(mut self, change: Change, event: Event) -> Self {
        self.add(change, event);
        self
    }

    /// Adds a step with its event.
    pub(super) fn add(&mut self, change: Change, event: Event) {
        self.changes.push(change);
        self.events.push(event);
    }

    /// Adds a step that stores no row with a MAC: a demand, a version, a key.
    pub(super) fn with(mut self, change: Change) -> Self {
        self.changes.push(change);
        self
    }

    /// Adds an event of something that no row tells.
    pub(super) fn telling(mut self, event: Event) -> Self {
        self.events.push(event);
        self
    }

    /// What is done.
    pub(super) fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// Whether there is nothing to do.
    pub(super) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Adds other steps.
    pub(super) fn extend(&mut self, more: Self) {
        self.changes.extend(more.changes);
        self.events.extend(more.events);
    }
}

/// What a verb is going to do, and what it will have come to.
pub struct Planned<T> {
    /// What is answered.
    pub outcome: T,
    /// What is done; `None` when it is so already.
    write: Option<Write>,
}

impl<T> Planned<T> {
    /// These steps.
    pub(super) fn new(outcome: T, permit: Permit, steps: Steps) -> Self {
        let Steps { changes, events } = steps;
        Self {
            outcome,
            write: Some(Write { permit, changes, events, answers: Vec::new(), rehearsal: false }),
        }
    }

    /// These steps, of which there may be none, and nothing to tell.
    pub(super) fn of(permit: Permit, steps: Steps) -> Self
    where
        T: Default,
    {
        if steps.is_empty() { Self::nothing(T::default()) } else { Self::new(T::default(), permit, steps) }
    }

    /// The same, with something else for an answer.
    pub(super) fn map<U>(self, into: impl FnOnce(T) -> U) -> Planned<U> {
        Planned { outcome: into(self.outcome), write: self.write }
    }

    /// Nothing is to be done.
    pub(super) fn nothing(outcome: T) -> Self {
        Self { outcome, write: None }
    }
}

impl App {
    /// Carries out a plan, in one transaction with its answer, if that is to be kept.
    ///
    /// # Errors
    /// [`StoreError::Changed`] when the object changed since it was planned:
    /// plan again. [`StoreError::Answered`] when the same request was quicker.
    pub async fn carry_out<T>(
        &self,
        ask: &Ask,
        planned: Planned<T>,
        answers: impl IntoIterator<Item = Stored<KeptAnswer>>,
    ) -> Result<T, Error> {
        let (Planned { outcome, write }, answers) = (planned, answers.into_iter().collect::<Vec<_>>());
        let Some(write) = write else {
            for answer in answers {
                self.store.keep_answer(answer).await?;
            }
            return Ok(outcome);
        };
        let concerns_rights = write.changes.iter().any(concerns_rights);
        let concerns_runs = concerns_rights || write.changes.iter().any(concerns_runs);
        let adds_key = write.changes.iter().any(|change| matches!(change, Change::Key(_)));
        let master = self.keys.master_id();
        match self.store.write(Write { answers, ..write }).await {
            Ok(()) => {
                if concerns_rights {
                    self.callers.forget_all();
                }
                if concerns_runs {
                    self.brokered_runs.forget_all();
                }
                Ok(outcome)
            }
            // The master key was replaced since the last look: what is planned anew is under the new one.
            Err(StoreError::Unavailable(_)) if adds_key && self.has_followed(master).await => {
                Err(Error::Store(StoreError::Changed))
            }
            Err(error) => Err(self.refusal(ask, error).await),
        }
    }

    /// Whether another master key than this one is at hand after a look.
    async fn has_followed(&self, master: KeyId) -> bool {
        self.follow_keys().await.is_ok() && self.keys.master_id() != master
    }

    /// Carries out a plan and undoes it: whether it could be done is known then
    /// as surely as if it had been.
    ///
    /// # Errors
    /// Those of [`Self::carry_out`].
    pub async fn rehearse<T>(&self, ask: &Ask, planned: Planned<T>) -> Result<T, Error> {
        let Planned { outcome, write } = planned;
        let Some(write) = write else { return Ok(outcome) };
        match self.store.write(Write { rehearsal: true, ..write }).await {
            Ok(()) | Err(StoreError::Rehearsed) => Ok(outcome),
            Err(error) => Err(self.refusal(ask, error).await),
        }
    }

    /// What the store's refusal means to the one who asked.
    async fn refusal(&self, ask: &Ask, error: StoreError) -> Error {
        match error {
            StoreError::StalePermit => Box::pin(self.stale(ask.caller.means, &ask.cause)).await,
            StoreError::LastOwner => Error::Conflict(
                "a team needs an owner who is a person and not disabled; make somebody else an owner first",
            ),
            StoreError::AskedTooOften => Error::Conflict(
                "20 of your requests are open already; wait until people have filled them in, or withdraw some",
            ),
            other => Error::Store(other),
        }
    }
}

/// Whether a step may change what a run is good for that was just proven.
fn concerns_runs(change: &Change) -> bool {
    match change {
        Change::Secret(put) => put.was.is_some(),
        Change::Agent(put) => put.was.is_some(),
        Change::Run(put) => put.was.is_some(),
        _ => false,
    }
}

/// Whether a step may take rights away from somebody who was just proven.
fn concerns_rights(change: &Change) -> bool {
    match change {
        Change::Team(put) => put.was.is_some(),
        Change::User(put) => put.was.is_some(),
        Change::Membership(put) => put.was.is_some(),
        Change::ApiKey(put) => put.was.is_some(),
        Change::Session(put) => put.was.is_some(),
        _ => false,
    }
}
