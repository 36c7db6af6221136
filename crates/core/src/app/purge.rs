//! What is gone for good: deleted secrets after the retention time, the
//! personal ones of members who left, and everything of a deleted team, whose
//! keys are destroyed first.

use super::{App, Cause, Error, Suspect};
use crate::answers::KEPT_FOR;
use crate::clock::Timestamp;
use crate::events::{Actor, Event, EventKind, Object};
use crate::ids::TeamId;
use crate::rows::{Row, Stored};
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

impl App {
    /// Takes away what was deleted by `before`, and answers that are too old
    /// to be repeated.
    ///
    /// # Errors
    /// When the store can't; what was taken away until then stays so.
    pub async fn purge(&self, before: Timestamp) -> Result<Purged, Error> {
        let teams = self.shred_teams(before).await?;
        let secrets = self.purge_secrets(before).await?;
        let now = self.world.clock.now().as_millis();
        while self.store.forget_answers(Timestamp::from_millis(now - KEPT_FOR), BATCH).await? == BATCH {}
        Ok(Purged { secrets, teams })
    }

    async fn shred_teams(&self, before: Timestamp) -> Result<u64, Error> {
        let mut shredded = 0;
        for stored in self.store.teams_due(before).await? {
            let (id, was) = (stored.row().id, stored.mac());
            let object = Object { table: Team::TABLE, id: Some(id.uuid()), ..Object::default() };
            let Ok(team) = self.trusted(stored, object).await? else { continue };
            let now = self.world.clock.now();
            let stored = self.keys.authenticate(Team { shredded_at: Some(now), ..team });
            let event =
                system_event(EventKind::TeamShredded, id, now, Object { mac: Some(stored.mac()), ..object });
            if self.purged(vec![(Purge::Team(Put::over(was, stored)), event)]).await? {
                self.keys.forget_team(id);
                self.callers.forget_all();
                shredded += 1;
            }
        }
        Ok(shredded)
    }

    async fn purge_secrets(&self, before: Timestamp) -> Result<u64, Error> {
        let mut purged = 0;
        loop {
            let due = self.store.secrets_due(before, BATCH).await?;
            let all = due.len();
            let mut batch = Vec::with_capacity(all);
            for stored in due {
                batch.extend(self.farewell(stored).await?);
            }
            let (count, tampered) = (batch.len(), batch.len() < all);
            // What was brought back in the meantime isn't due in the next batch.
            if count > 0 && self.purged(batch).await? {
                purged += u64::try_from(count).unwrap_or(0);
            }
            // What was tampered with would be found again and again: once a purge is enough.
            if count == 0 || tampered {
                return Ok(purged);
            }
        }
    }

    /// How a secret that is due is taken away. What was tampered with stays,
    /// for whoever looks into it.
    async fn farewell(&self, stored: Stored<Secret>) -> Result<Option<(Purge, Event)>, Error> {
        let (id, mac) = (stored.row().id, stored.mac());
        let object = Object { table: Secret::TABLE, id: Some(id.uuid()), ..Object::default() };
        let Ok(secret) = self.trusted(stored, object).await? else { return Ok(None) };
        let event = system_event(EventKind::SecretPurged, secret.team_id, self.world.clock.now(), object);
        Ok(Some((Purge::Secret(secret.team_id, id, mac), event)))
    }

    /// A row whose MAC holds; one whose doesn't was noted.
    async fn trusted<T: Row>(&self, stored: Stored<T>, object: Object) -> Result<Result<T, ()>, Error> {
        let cause = Cause::default();
        let suspect = Suspect { caller: None, object, cause: &cause };
        match self.noting(self.keys.verify(stored), suspect).await {
            Ok(proven) => Ok(Ok(proven.into_row())),
            Err(Error::Integrity(_)) => Ok(Err(())),
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

fn system_event(kind: EventKind, team: TeamId, at: Timestamp, object: Object) -> Event {
    Event { at, kind, team_id: Some(team), actor: Actor::default(), object, request_id: None }
}
