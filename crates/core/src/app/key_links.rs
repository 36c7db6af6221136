//! Links by which a member makes a key of their own: made and withdrawn by
//! administrators, used once by whoever holds them.

use super::api_keys::{GrantWish, widest_for};
use super::{App, Ask, Error, NewKey, Planned, Suspect};
use crate::access::{Action, Credential, Denied, Ownership};
use crate::api_keys::ApiKey;
use crate::clock::Timestamp;
use crate::events::{EventKind, Object};
use crate::grants::Grant;
use crate::ids::{KeyLinkId, TeamId, UserId};
use crate::key_links::KeyLink;
use crate::rows::{Proven, Row, Stored};
use crate::store::{Change, Put};
use crate::text::KeyName;
use crate::tokens::{Token, TokenKind};

/// Links read at a time.
const PAGE: u32 = 256;

/// What a caller gives to make a link.
pub struct NewKeyLink {
    /// For whom.
    pub user: UserId,
    /// What the key will be; its service user is not looked at.
    pub key: NewKey,
    /// How long the link can be used, in milliseconds.
    pub valid_for: i64,
}

impl App {
    /// Makes a link by which a member makes a key of their own. The outcome's
    /// token is shown once.
    ///
    /// # Errors
    /// When it would reach above the caller.
    pub async fn create_key_link(
        &self,
        ask: &Ask,
        new: NewKeyLink,
    ) -> Result<Planned<(Proven<KeyLink>, Token)>, Error> {
        let permit = ask.permit(Action::CreateKeyLink, ask.caller.concern(new.user))?;
        let member = self.member(ask, new.user).await?;
        let widest = widest_for(ask, &member)?;
        let NewKey { name, role, scopes, agents, networks, expires_at, .. } = new.key;
        let grant = self.granted(&widest, GrantWish { role, scopes, agents, networks, expires_at })?;
        let maker = (ask.caller.user_id, new.valid_for);
        let (stored, token) = self.mint_link(ask.caller.team_id, new.user, (name, grant), maker);
        let (at, id) = (stored.row().created_at, stored.row().id.uuid());
        let event = ask.event(EventKind::KeyLinkCreated, id, at, &stored);
        let outcome = (stored.proven(), token);
        let changes = vec![
            Change::MembershipIs(ask.caller.team_id, new.user, member.membership.mac()),
            Change::KeyLink(Put::new(stored)),
        ];
        Ok(Planned::new(outcome, permit, changes, vec![event]))
    }

    /// A new link, made by `created_by`, that can be used for so long.
    pub(super) fn mint_link(
        &self,
        team_id: TeamId,
        user_id: UserId,
        (name, grant): (KeyName, Grant),
        (created_by, valid_for): (UserId, i64),
    ) -> (Stored<KeyLink>, Token) {
        let id = KeyLinkId::from_uuid(self.uuid());
        let token = Token::mint(TokenKind::Link, id.uuid(), &*self.world.random);
        let created_at = self.world.clock.now();
        let link = KeyLink {
            id,
            team_id,
            user_id,
            name,
            grant,
            token_hash: self.keys.hash(&token),
            created_by,
            created_at,
            expires_at: Timestamp::from_millis(created_at.as_millis().saturating_add(valid_for)),
            closed_at: None,
        };
        (self.keys.authenticate(link), token)
    }

    /// The links that can still be used.
    ///
    /// # Errors
    /// When the caller may not see them.
    pub async fn key_links(&self, ask: &Ask) -> Result<Vec<Proven<KeyLink>>, Error> {
        let _permit = ask.permit(Action::ListKeyLinks, Ownership::Shared)?;
        let now = self.world.clock.now();
        let mut links = self.open_links(ask).await?;
        links.retain(|link| link.expires_at > now);
        Ok(links)
    }

    /// Every link of the team that isn't closed.
    async fn open_links(&self, ask: &Ask) -> Result<Vec<Proven<KeyLink>>, Error> {
        let mut links: Vec<Proven<KeyLink>> = Vec::new();
        loop {
            let after = links.last().map(|link| link.id);
            let page = self.store.key_links(ask.caller.team_id, after, PAGE).await;
            let page = self.readable(page, suspect(ask, None)).await?;
            if page.is_empty() {
                return Ok(links);
            }
            for stored in page {
                let suspect = suspect(ask, Some(stored.row().id));
                links.push(self.noting(self.keys.verify(stored), suspect).await?);
            }
        }
    }

    /// Withdraws the links that `these` picks.
    pub(super) async fn closed_links(
        &self,
        ask: &Ask,
        these: impl Fn(&KeyLink) -> bool + Send,
    ) -> Result<Vec<Change>, Error> {
        let links = self.open_links(ask).await?;
        Ok(links.iter().filter(|link| these(link)).map(|link| Change::KeyLink(self.closed(link))).collect())
    }

    fn closed(&self, before: &Proven<KeyLink>) -> Put<KeyLink> {
        let after = KeyLink { closed_at: Some(self.world.clock.now()), ..KeyLink::clone(before) };
        Put::over(before.mac(), self.keys.authenticate(after))
    }

    /// Withdraws a link. One that was used or withdrawn is gone.
    ///
    /// # Errors
    /// When the caller may not, or there is none.
    pub async fn cancel_key_link(&self, ask: &Ask, id: KeyLinkId) -> Result<Planned<()>, Error> {
        let permit = ask.permit(Action::CancelKeyLink, Ownership::Shared)?;
        let before = self.key_link(ask, id).await?;
        ask.demands(before.mac())?;
        let put = self.closed(&before);
        let event = ask.event(EventKind::KeyLinkCancelled, id.uuid(), self.world.clock.now(), &put.now);
        Ok(Planned::new((), permit, vec![Change::KeyLink(put)], vec![event]))
    }

    /// Makes the key that the caller's link is for, and closes the link. The
    /// outcome's token is shown once.
    ///
    /// # Errors
    /// When the caller didn't come with a link.
    pub async fn claim_key_link(&self, ask: &Ask) -> Result<Planned<(Proven<ApiKey>, Token)>, Error> {
        let permit = ask.permit(Action::ClaimKeyLink, Ownership::Own)?;
        let Credential::Link(id) = ask.caller.credential else { return Err(Denied::Invisible.into()) };
        let link = self.key_link(ask, id).await.map_err(not_proven)?;
        let maker_is = self.stands_behind(ask, &link).await?;
        let put = self.closed(&link);
        let now = self.world.clock.now();
        let claimed = ask.event(EventKind::KeyLinkClaimed, id.uuid(), now, &put.now);
        let (stored, token) = self.mint_key(ask, link.user_id, (link.name.clone(), link.grant.clone()));
        let created = ask.event(EventKind::ApiKeyCreated, stored.row().id.uuid(), now, &stored);
        let outcome = (stored.proven(), token);
        let changes = vec![maker_is, Change::KeyLink(put), Change::ApiKey(Put::new(stored))];
        Ok(Planned::new(outcome, permit, changes, vec![claimed, created]))
    }

    /// Demands that a link's maker could still make it. Links are withdrawn when
    /// their maker's role changes; this refuses one that was being made just then.
    async fn stands_behind(&self, ask: &Ask, link: &KeyLink) -> Result<Change, Error> {
        let maker = self.member(ask, link.created_by).await.map_err(not_proven)?.membership;
        if maker.role < link.grant.role {
            return Err(Error::NotProven);
        }
        Ok(Change::MembershipIs(ask.caller.team_id, link.created_by, maker.mac()))
    }

    /// A link of the caller's team that isn't closed.
    async fn key_link(&self, ask: &Ask, id: KeyLinkId) -> Result<Proven<KeyLink>, Error> {
        let suspect = suspect(ask, Some(id));
        let stored = self.readable(self.store.key_link(ask.caller.team_id, id).await, suspect).await?;
        let link = self.noting(self.keys.verify(stored.ok_or(Denied::Invisible)?), suspect).await?;
        if link.closed_at.is_some() { Err(Denied::Invisible.into()) } else { Ok(link) }
    }
}

/// To the bearer of a link, what its key hangs on being gone is the link being
/// refused: a claim that comes a moment too late is told what a later one is.
fn not_proven(error: Error) -> Error {
    match error {
        Error::Denied(Denied::Invisible) => Error::NotProven,
        other => other,
    }
}

fn suspect(ask: &Ask, link: Option<KeyLinkId>) -> Suspect<'_> {
    let object = Object { table: KeyLink::TABLE, id: link.map(KeyLinkId::uuid), ..Object::default() };
    Suspect { caller: Some(&ask.caller), object, cause: &ask.cause }
}
