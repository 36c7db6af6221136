//! What is gone for good: deleted secrets after the retention time, the
//! personal ones of members who left, and everything of a deleted team, whose
//! keys are destroyed first.

use std::collections::HashSet;
use uuid::Uuid;

use super::{App, Cause, Error, Suspect};
use crate::answers::KEPT_FOR;
use crate::clock::Timestamp;
use crate::events::{Actor, Event, EventKind, Object, Place};
use crate::fill_requests::TOLD_FOR;
use crate::ids::TeamId;
use crate::rows::{Proven, Row, Stored};
use crate::sealing::IntegrityViolation;
use crate::secrets::Secret;
use crate::store::{Purge, Put, StoreError};
use crate::teams::Team;

/// Rows taken away in one transaction, so that others get their turn.
const BATCH: u32 = 256;

/// What a purge took away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Purged {
    /// Secrets, with all their versions.
    pub secrets: u64,
    /// Teams whose keys were destroyed.
    pub teams: u64,
}

/// The rows that stay although they are due, for whoever looks into it: they
/// aren't what was stored. Each is noted once in a purge, and those that can't
/// even be read, which have no id, once together.
type Suspects = HashSet<Option<Uuid>>;

impl App {
    /// Takes away what was deleted by `before`, and answers that are too old
    /// to be repeated. Each is done whatever becomes of the others.
    ///
    /// # Errors
    /// The first one of the store's; what was taken away stays so.
    pub async fn purge(&self, before: Timestamp) -> Result<Purged, Error> {
        let teams = self.shred_teams(before).await;
        let secrets = self.purge_secrets(before).await;
        let answers = self.forget_answers().await;
        let runs = self.forget_runs().await;
        let sessions = self.forget_sessions().await;
        let requests = self.forget_fill_requests().await;
        let purged = Purged { teams: teams?, secrets: secrets? };
        answers.and(runs).and(sessions).and(requests).map(|()| purged)
    }

    /// Those of shredded teams; nobody is left who could ask for them.
    async fn forget_runs(&self) -> Result<(), Error> {
        while self.store.forget_runs(BATCH).await? == BATCH {}
        Ok(())
    }

    /// And invitations: those whose time is over.
    async fn forget_sessions(&self) -> Result<(), Error> {
        while self.store.forget_sessions(self.world.clock.now(), BATCH).await? > 0 {}
        Ok(())
    }

    /// Those of which nobody is told any more.
    async fn forget_fill_requests(&self) -> Result<(), Error> {
        let before = Timestamp::from_millis(self.world.clock.now().as_millis() - TOLD_FOR);
        while self.store.forget_fill_requests(before, BATCH).await? == BATCH {}
        Ok(())
    }

    async fn forget_answers(&self) -> Result<(), Error> {
        let now = self.world.clock.now().as_millis();
        while self.store.forget_answers(Timestamp::from_millis(now - KEPT_FOR), BATCH).await? == BATCH {}
        Ok(())
    }

    async fn shred_teams(&self, before: Timestamp) -> Result<u64, Error> {
        let (mut shredded, mut suspects) = (0, Suspects::new());
        for stored in self.store.teams_due(before).await? {
            let id = stored.as_ref().map(|stored| stored.row().id.uuid());
            if let Some(team) = self.trusted(stored, id, &mut suspects).await? {
                shredded += u64::from(self.shred(team).await?);
            }
        }
        Ok(shredded)
    }

    /// Destroys a team's keys; not when the team changed in the meantime.
    async fn shred(&self, team: Proven<Team>) -> Result<bool, Error> {
        let (id, was, now) = (team.id, team.mac(), self.world.clock.now());
        let stored = self.keys.authenticate(Team { shredded_at: Some(now), ..team.into_row() });
        let object = Object { mac: Some(stored.mac()), ..Object::of::<Team>(Some(id.uuid())) };
        let event = system_event(EventKind::TeamShredded, id, now, object);
        let done = self.purged(vec![(Purge::Team(Put::over(was, stored)), event)]).await?;
        if done {
            self.keys.forget_team(id);
            self.callers.forget_all();
            self.brokered_runs.forget_all();
        }
        Ok(done)
    }

    async fn purge_secrets(&self, before: Timestamp) -> Result<u64, Error> {
        let (mut purged, mut staying, mut suspects) = (0, 0, Suspects::new());
        loop {
            let due = self.store.secrets_due(before, staying, BATCH).await?;
            let (all, mut batch) = (due.len(), Vec::with_capacity(due.len()));
            for stored in due {
                let id = stored.as_ref().map(|stored| stored.row().id.uuid());
                let trusted = self.trusted(stored, id, &mut suspects).await?;
                batch.extend(trusted.map(|secret| self.farewell(&secret)));
            }
            if all == 0 {
                return Ok(purged);
            }
            let count = batch.len();
            // What was brought back in the meantime isn't due at the next look.
            if count == 0 || self.purged(batch).await? {
                purged += u64::try_from(count).unwrap_or(0);
                // Those before them are gone, so these are the first by now.
                staying += u32::try_from(all - count).unwrap_or(BATCH);
            }
        }
    }

    /// How a secret that is due is taken away.
    fn farewell(&self, secret: &Proven<Secret>) -> (Purge, Event) {
        let (team, object) = (secret.team_id, Object::of::<Secret>(Some(secret.id.uuid())));
        let event = system_event(EventKind::SecretPurged, team, self.world.clock.now(), object);
        (Purge::Secret(team, secret.id, secret.mac()), event)
    }

    /// A row that is what was stored. Of another it is noted that it isn't.
    async fn trusted<T: Row>(
        &self,
        stored: Option<Stored<T>>,
        id: Option<Uuid>,
        suspects: &mut Suspects,
    ) -> Result<Option<Proven<T>>, Error> {
        let verified = stored.ok_or(IntegrityViolation).and_then(|stored| self.keys.verify(stored));
        if verified.is_err() && !suspects.insert(id) {
            return Ok(None);
        }
        let cause = Cause::default();
        let suspect = Suspect { caller: None, object: Object::of::<T>(id), cause: &cause };
        match self.noting(verified, suspect).await {
            Ok(proven) => Ok(Some(proven)),
            Err(Error::Integrity(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether it was done; not when one of them changed in the meantime.
    async fn purged(&self, purges: Vec<(Purge, Event)>) -> Result<bool, Error> {
        match self.store.purge(purges).await {
            Ok(()) => Ok(true),
            Err(StoreError::Changed) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// What the server itself did in a team.
pub(super) fn system_event(kind: EventKind, team: TeamId, at: Timestamp, object: Object) -> Event {
    let (actor, place) = (Actor::default(), Place::default());
    Event {
        at,
        kind,
        team_id: Some(team),
        actor,
        place,
        object,
        request_id: None,
        refusal: None,
        requested: None,
    }
}
