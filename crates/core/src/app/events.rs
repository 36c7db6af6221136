//! Reading what happened: a team's events, and what the things in them are
//! called. Nothing here changes what was recorded.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use uuid::Uuid;

use super::{App, Ask, Error, Suspect};
use crate::access::{Action, Ownership};
use crate::agents::{Agent, Attachment};
use crate::api_keys::ApiKey;
use crate::clock::Timestamp;
use crate::events::{EventFilter, EventPage, Object, Recorded};
use crate::ids::{AgentId, ApiKeyId, SecretId, TeamId, UserId};
use crate::rows::{Row, Stored};
use crate::secrets::Secret;
use crate::store::StoreError;
use crate::users::{Membership, User};

/// Milliseconds by which events may stand in another order than that of their
/// times: several servers have several clocks, and a clock is set right at times.
const DISORDER: i64 = 60 * 60 * 1_000;

/// What something is called.
struct Known {
    name: String,
    is_there: bool,
}

/// What the things in events are called, as far as whoever asks may know.
#[derive(Default)]
pub struct EventNames(HashMap<Uuid, Option<Known>>);

impl EventNames {
    /// How many are kept; then it begins anew.
    const MOST: usize = 16_384;

    /// The name of the thing with this id, also when it is deleted.
    pub fn of(&self, id: Uuid) -> Option<&str> {
        Some(self.0.get(&id)?.as_ref()?.name.as_str())
    }

    /// Whether that thing has a name and is still there.
    pub fn is_there(&self, id: Uuid) -> bool {
        matches!(self.0.get(&id), Some(Some(known)) if known.is_there)
    }
}

impl App {
    /// Events that match, the newest first: the team's for those who may see
    /// them, else those of what the caller did themselves. At most `limit` of
    /// those before this place; where few match there may be fewer of them, and
    /// the page says where the search goes on.
    ///
    /// # Errors
    /// When the key isn't for it.
    pub async fn events(
        &self,
        ask: &Ask,
        filter: &EventFilter,
        before: Option<i64>,
        limit: u32,
    ) -> Result<EventPage, Error> {
        ask.permit(Action::ListEvents, Ownership::Own)?;
        let Some(filter) = seen_by(ask, Action::ListEvents, filter) else { return Ok(EventPage::default()) };
        let before = match (before, filter.until) {
            (None, Some(until)) => self.place_of(ask, until).await?,
            (before, _) => before,
        };
        let team = ask.caller.team_id;
        let found = self.store.events(team, &filter, before, limit).await;
        let mut page = self.readable(found, suspect(ask)).await?;
        if let (Some(since), Some(next)) = (filter.since, page.next)
            && self.is_older(ask, next, since).await?
        {
            page.next = None;
        }
        Ok(page)
    }

    /// Before which place everything stands that happened before this moment;
    /// `None`: before the end. Found by halves: there may be many millions.
    async fn place_of(&self, ask: &Ask, until: Timestamp) -> Result<Option<i64>, Error> {
        let is_late = |event: &Recorded| event.at.as_millis() > until.as_millis().saturating_add(DISORDER);
        let Some(newest) = self.newest_before(ask, None).await?.filter(is_late) else { return Ok(None) };
        let (mut early, mut late) = (0, newest.sequence);
        while late - early > 1 {
            let middle = early + (late - early) / 2;
            match self.newest_before(ask, Some(middle)).await?.filter(is_late) {
                Some(event) => late = event.sequence,
                None => early = middle,
            }
        }
        Ok(Some(late))
    }

    /// Whether everything before this place happened before this moment.
    async fn is_older(&self, ask: &Ask, place: i64, since: Timestamp) -> Result<bool, Error> {
        let newest = self.newest_before(ask, Some(place)).await?;
        Ok(newest.is_none_or(|event| event.at.as_millis() < since.as_millis().saturating_sub(DISORDER)))
    }

    async fn newest_before(&self, ask: &Ask, place: Option<i64>) -> Result<Option<Recorded>, Error> {
        let page = self.store.events(ask.caller.team_id, &EventFilter::default(), place, 1).await;
        Ok(self.readable(page, suspect(ask)).await?.events.pop())
    }

    /// Learns what the things in these events are called.
    ///
    /// # Errors
    /// When the store can't tell.
    pub async fn name_events(
        &self,
        ask: &Ask,
        events: &[Recorded],
        names: &mut EventNames,
    ) -> Result<(), Error> {
        if names.0.len() > EventNames::MOST {
            *names = EventNames::default();
        }
        for event in events {
            let actor = &event.actor;
            let object = event.object_id.map(|id| (&*event.table, id));
            let things = [
                object,
                actor.user_id.map(|id| (User::TABLE, id.uuid())),
                actor.key_id.map(|id| (ApiKey::TABLE, id.uuid())),
                event.place.agent_id.map(|id| (Agent::TABLE, id.uuid())),
            ];
            for (table, id) in things.into_iter().flatten() {
                if let Entry::Vacant(unknown) = names.0.entry(id) {
                    unknown.insert(self.known_thing(ask, table, id).await?);
                }
            }
        }
        Ok(())
    }

    /// What secrets are called that the caller may know of, deleted ones too.
    ///
    /// # Errors
    /// When the store can't tell.
    pub async fn name_secrets(
        &self,
        ask: &Ask,
        secrets: impl Iterator<Item = SecretId> + Send,
    ) -> Result<EventNames, Error> {
        let mut names = EventNames::default();
        for secret in secrets {
            if let Entry::Vacant(unknown) = names.0.entry(secret.uuid()) {
                unknown.insert(self.known_thing(ask, Secret::TABLE, secret.uuid()).await?);
            }
        }
        Ok(names)
    }

    async fn known_thing(&self, ask: &Ask, table: &str, id: Uuid) -> Result<Option<Known>, Error> {
        let team = ask.caller.team_id;
        match table {
            // An attachment goes by its secret.
            Secret::TABLE | Attachment::TABLE => {
                let found = self.genuine(self.store.secret(team, SecretId::from_uuid(id)).await)?;
                let seen = |secret: &Secret| ask.caller.ownership(team, secret.owner) != Ownership::Foreign;
                let known = |secret: Secret| Known {
                    name: secret.name.to_string(),
                    is_there: secret.deleted_at.is_none(),
                };
                Ok(found.filter(seen).map(known))
            }
            Agent::TABLE => {
                let found = self.genuine(self.store.agent(team, AgentId::from_uuid(id)).await)?;
                Ok(found.map(|agent| Known {
                    name: agent.name.to_string(),
                    is_there: agent.deleted_at.is_none(),
                }))
            }
            ApiKey::TABLE => self.known_key(ask, team, ApiKeyId::from_uuid(id)).await,
            User::TABLE | Membership::TABLE => self.known_user(team, UserId::from_uuid(id)).await,
            _ => Ok(None),
        }
    }

    async fn known_key(&self, ask: &Ask, team: TeamId, id: ApiKeyId) -> Result<Option<Known>, Error> {
        let found = self.genuine(self.store.api_key(team, id).await)?;
        let seen = |key: &ApiKey| ask.permit(Action::ListApiKeys, ask.caller.concern(key.user_id)).is_ok();
        Ok(found
            .filter(seen)
            .map(|key| Known { name: key.name.to_string(), is_there: key.revoked_at.is_none() }))
    }

    async fn known_user(&self, team: TeamId, id: UserId) -> Result<Option<Known>, Error> {
        let found = self.store.member(team, id).await;
        let is_there = matches!(&found, Ok(Some(member)) if member.membership.row().removed_at.is_none());
        let user = self.genuine(found.map(|found| found.map(|member| member.user)))?;
        Ok(user.map(|user| Known { name: user.name.to_string(), is_there }))
    }

    /// A row that is what was stored. Of one that isn't there is no name, but it
    /// must not keep the record of it from being read.
    fn genuine<T: Row + Clone>(
        &self,
        read: Result<Option<Stored<T>>, StoreError>,
    ) -> Result<Option<T>, Error> {
        match read {
            Ok(Some(stored)) => Ok(self.keys.verify(stored).ok().map(|row| T::clone(&row))),
            Ok(None) | Err(StoreError::Malformed(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// What a caller sees of what is searched for by an act; `None`: nothing of it.
pub(super) fn seen_by(ask: &Ask, act: Action, filter: &EventFilter) -> Option<EventFilter> {
    let mut filter = filter.clone();
    if ask.permit(act, Ownership::Shared).is_err() {
        let own = ask.caller.user_id;
        if filter.user.is_some_and(|user| user != own) {
            return None;
        }
        filter.user = Some(own);
    }
    Some(filter)
}

fn suspect(ask: &Ask) -> Suspect<'_> {
    ask.suspect(Object { table: "events", ..Object::default() })
}
