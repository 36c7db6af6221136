//! API keys: make, see, revoke. A key's token is shown once, to whoever made it.

use super::ask::Steps;
use super::{App, Ask, Error, Planned, Suspect};
use crate::access::{Action, Denied, Ownership, Permit};
use crate::api_keys::{ApiKey, UsedKey};
use crate::clock::Timestamp;
use crate::events::{EventKind, Object};
use crate::grants::{Agents, Grant, Networks, Scope, Scopes};
use crate::ids::{ApiKeyId, UserId};
use crate::roles::Role;
use crate::rows::{Proven, Stored};
use crate::store::{Change, Put};
use crate::text::KeyName;
use crate::tokens::{Token, TokenKind};
use crate::users::ProvenMember;

/// Keys read at a time.
const PAGE: u32 = 256;

/// What is wished for a new key. What isn't given is as the caller's own, but
/// for starting runs, which must be asked for.
pub struct GrantWish {
    /// The most it may do.
    pub role: Option<Role>,
    /// What kinds of act it is for.
    pub scopes: Option<Scopes>,
    /// Whose runs it may start.
    pub agents: Option<Agents>,
    /// From where it may be used.
    pub networks: Option<Networks>,
    /// From when on it is refused.
    pub expires_at: Option<Timestamp>,
}

/// What a caller gives to make a key.
pub struct NewKey {
    /// What to call it.
    pub name: KeyName,
    /// What it is to be good for.
    pub grant: GrantWish,
    /// As which service user it acts; `None`: as the caller.
    pub service_user: Option<UserId>,
}

impl App {
    /// Makes a key, for the caller or for a service user. The outcome's token
    /// is shown once.
    ///
    /// # Errors
    /// When it would reach above the caller, or they must confirm it ([`App::must_confirm`]).
    pub async fn create_api_key(
        &self,
        ask: &Ask,
        new: NewKey,
    ) -> Result<Planned<(Proven<ApiKey>, Token)>, Error> {
        let user = new.service_user.unwrap_or(ask.caller.user_id);
        let permit = ask.permit(Action::CreateApiKey, ask.caller.concern(user))?;
        self.is_certain(ask).await?;
        let member = self.member(ask, user).await?;
        if user != ask.caller.user_id && member.user.service_of != Some(ask.caller.team_id) {
            return Err(Denied::Above("people make their own keys; send them a key link").into());
        }
        let widest = widest_for(ask, &member)?;
        let grant = self.granted(&widest, new.grant)?;
        let (stored, token) = self.mint_key(ask, user, (new.name, grant));
        let (at, id) = (stored.row().created_at, stored.row().id.uuid());
        let event = ask.event(EventKind::ApiKeyCreated, id, at, &stored);
        let outcome = (stored.proven(), token);
        let steps = Steps::default()
            .with(Change::MembershipIs(ask.caller.team_id, user, member.membership.mac()))
            .and(Change::ApiKey(Put::new(stored)), event);
        Ok(Planned::new(outcome, permit, steps))
    }

    /// What is granted of a wish: never more than `widest`.
    pub(super) fn granted(&self, widest: &Grant, wish: GrantWish) -> Result<Grant, Error> {
        let grant = Grant {
            role: wish.role.unwrap_or(widest.role),
            // Starting runs is reading values: only who asks for it gets it.
            scopes: wish.scopes.unwrap_or(widest.scopes.without(Scope::RunsStart)),
            agents: wish.agents.or_else(|| widest.agents.clone()),
            networks: wish.networks.or_else(|| widest.networks.clone()),
            expires_at: wish.expires_at.or(widest.expires_at),
        };
        grant.within(widest).map_err(Denied::from)?;
        match grant.expires_at {
            Some(end) if end <= self.world.clock.now() => {
                Err(Error::Invalid("`expires_at` must lie in the future".into()))
            }
            _ => Ok(grant),
        }
    }

    /// A new key of this user in the caller's team.
    pub(super) fn mint_key(
        &self,
        ask: &Ask,
        user_id: UserId,
        (name, grant): (KeyName, Grant),
    ) -> (Stored<ApiKey>, Token) {
        let id = ApiKeyId::from_uuid(self.uuid());
        let token = Token::mint(TokenKind::ApiKey, id.uuid(), &*self.world.random);
        let key = ApiKey {
            id,
            team_id: ask.caller.team_id,
            user_id,
            name,
            grant,
            token_hash: self.keys.hash(&token),
            created_by: Some(ask.caller.user_id),
            created_at: self.world.clock.now(),
            revoked_at: None,
        };
        (self.keys.authenticate(key), token)
    }

    /// Revokes a key; it is refused from the answer on. One that was revoked
    /// before stays so.
    ///
    /// # Errors
    /// When it is somebody's who is above the caller.
    pub async fn revoke_api_key(&self, ask: &Ask, id: ApiKeyId) -> Result<Planned<()>, Error> {
        let (permit, steps) = self.revoking_key(ask, Action::RevokeApiKey, id).await?;
        Ok(Planned::of(permit, steps))
    }

    /// The steps that revoke a key; none when it is revoked.
    pub(super) async fn revoking_key(
        &self,
        ask: &Ask,
        action: Action,
        id: ApiKeyId,
    ) -> Result<(Permit, Steps), Error> {
        ask.caller.screen(action)?;
        let suspect = suspect(ask, Some(id));
        let stored = self.readable(self.store.api_key(ask.caller.team_id, id).await, suspect).await?;
        let before = self.noting(self.keys.verify(stored.ok_or(Denied::Invisible)?), suspect).await?;
        let permit = ask.permit(action, seen_from(ask, before.user_id))?;
        let present = self.present_role(ask, before.user_id).await?;
        // One's own keys go by what they may do themselves: a key always ends itself.
        let own = ask.caller.user_id == before.user_id;
        ask.caller.reaches(if own { present.min(before.grant.role) } else { present })?;
        ask.demands(before.mac())?;
        let mut steps = Steps::default();
        if before.revoked_at.is_none() {
            steps = self.revoked(ask, &before);
            // What a stolen key promised is taken back with it.
            steps.extend(self.closed_links(ask, |link| link.made_with == id).await?);
        }
        Ok((permit, steps))
    }

    /// The role that a key's user has now; the lowest when they are no member.
    pub(super) async fn present_role(&self, ask: &Ask, user: UserId) -> Result<Role, Error> {
        match self.member(ask, user).await {
            Ok(member) => Ok(member.membership.role),
            Err(Error::Denied(Denied::Invisible)) => Ok(Role::Member),
            Err(error) => Err(error),
        }
    }

    fn revoked(&self, ask: &Ask, before: &Proven<ApiKey>) -> Steps {
        let now = self.world.clock.now();
        let after = ApiKey { revoked_at: Some(now), ..ApiKey::clone(before) };
        let stored = self.keys.authenticate(after);
        let event = ask.event(EventKind::ApiKeyRevoked, before.id.uuid(), now, &stored);
        Steps::default().and(Change::ApiKey(Put::over(before.mac(), stored)), event)
    }

    /// Revokes every key of a user in the caller's team.
    pub(super) async fn revoked_keys(&self, ask: &Ask, user: UserId) -> Result<Steps, Error> {
        let mut steps = Steps::default();
        let keys = self.keys_of(ask, Some(user)).await?;
        for used in keys.iter().filter(|used| used.key.revoked_at.is_none()) {
            steps.extend(self.revoked(ask, &used.key));
        }
        Ok(steps)
    }

    /// The team's keys, when the caller may see them, else the caller's own.
    ///
    /// # Errors
    /// When the key isn't for it.
    pub async fn api_keys(&self, ask: &Ask) -> Result<Vec<UsedKey<Proven<ApiKey>>>, Error> {
        let _permit = ask.permit(Action::ListApiKeys, Ownership::Own)?;
        let everybodys = ask.permit(Action::ListApiKeys, Ownership::Shared).is_ok();
        self.keys_of(ask, (!everybodys).then_some(ask.caller.user_id)).await
    }

    async fn keys_of(&self, ask: &Ask, user: Option<UserId>) -> Result<Vec<UsedKey<Proven<ApiKey>>>, Error> {
        let mut keys: Vec<UsedKey<Proven<ApiKey>>> = Vec::new();
        loop {
            let after = keys.last().map(|used| used.key.id);
            let page = self.store.api_keys(ask.caller.team_id, user, after, PAGE).await;
            let page = self.readable(page, suspect(ask, None)).await?;
            if page.is_empty() {
                return Ok(keys);
            }
            for UsedKey { key, last_used_at } in page {
                let suspect = suspect(ask, Some(key.row().id));
                let key = self.noting(self.keys.verify(key), suspect).await?;
                let last_used_at = self.uses.latest(key.id).max(last_used_at);
                keys.push(UsedKey { key, last_used_at });
            }
        }
    }
}

/// The widest that the caller gives to a member: no more than the caller's own
/// key has, and nothing to somebody who is above it. To oneself, with a key that
/// may do less than oneself, it gives what the key has.
pub(super) fn widest_for(ask: &Ask, member: &ProvenMember) -> Result<Grant, Denied> {
    let (giver, role) = (&ask.caller.grant, member.membership.role);
    if member.user.id != ask.caller.user_id {
        ask.caller.reaches(role)?;
    }
    Ok(Grant { role: giver.role.min(role), ..Grant::clone(giver) })
}

/// Whose a key is: others' are there only for those who see the team's.
fn seen_from(ask: &Ask, user: UserId) -> Ownership {
    match ask.caller.concern(user) {
        Ownership::Shared if ask.permit(Action::ListApiKeys, Ownership::Shared).is_err() => {
            Ownership::Foreign
        }
        ownership => ownership,
    }
}

fn suspect(ask: &Ask, key: Option<ApiKeyId>) -> Suspect<'_> {
    ask.suspect(Object::of::<ApiKey>(key.map(ApiKeyId::uuid)))
}
