//! Links by which a member makes a key of their own: made and withdrawn by
//! administrators, used once by whoever holds them.

use super::api_keys::{GrantWish, widest_for};
use super::ask::Steps;
use super::{App, Ask, Error, Planned, Suspect};
use crate::access::{Action, Denied, Means, Ownership};
use crate::api_keys::ApiKey;
use crate::clock::Timestamp;
use crate::events::{EventKind, Object};
use crate::grants::Grant;
use crate::ids::{KeyLinkId, TeamId, UserId};
use crate::key_links::KeyLink;
use crate::rows::{Proven, Stored};
use crate::store::{Change, Put};
use crate::text::KeyName;
use crate::tokens::{Token, TokenKind};

/// Links read at a time.
const PAGE: u32 = 256;

/// What a caller gives to make a link.
pub struct NewKeyLink {
    /// For whom.
    pub user: UserId,
    /// What to call the key.
    pub name: KeyName,
    /// What the key is to be good for.
    pub grant: GrantWish,
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
        let grant = self.granted(&widest, new.grant)?;
        let whose = (ask.caller.team_id, new.user);
        let (stored, token) = self.mint_link(ask, whose, (new.name, grant), new.valid_for)?;
        let (at, id) = (stored.row().created_at, stored.row().id.uuid());
        let event = ask.event(EventKind::KeyLinkCreated, id, at, &stored);
        let outcome = (stored.proven(), token);
        let steps = Steps::default()
            .with(Change::MembershipIs(ask.caller.team_id, new.user, member.membership.mac()))
            .and(Change::KeyLink(Put::new(stored)), event);
        Ok(Planned::new(outcome, permit, steps))
    }

    /// A new link, which can be used for so long, but not when its key would
    /// have ended.
    pub(super) fn mint_link(
        &self,
        ask: &Ask,
        (team_id, user_id): (TeamId, UserId),
        (name, grant): (KeyName, Grant),
        valid_for: i64,
    ) -> Result<(Stored<KeyLink>, Token), Denied> {
        let id = KeyLinkId::from_uuid(self.uuid());
        let token = Token::mint(TokenKind::Link, id.uuid(), &*self.world.random);
        let created_at = self.world.clock.now();
        let end = Timestamp::from_millis(created_at.as_millis().saturating_add(valid_for));
        let link = KeyLink {
            id,
            team_id,
            user_id,
            name,
            expires_at: grant.expires_at.map_or(end, |key_ends| key_ends.min(end)),
            grant,
            token_hash: self.keys.hash(&token),
            created_by: ask.caller.user_id,
            made_with: ask.key()?,
            created_at,
            closed_at: None,
        };
        Ok((self.keys.authenticate(link), token))
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
    ) -> Result<Steps, Error> {
        let mut steps = Steps::default();
        for link in self.open_links(ask).await?.iter().filter(|link| these(link)) {
            steps.extend(self.closed(ask, link, EventKind::KeyLinkCancelled));
        }
        Ok(steps)
    }

    fn closed(&self, ask: &Ask, before: &Proven<KeyLink>, kind: EventKind) -> Steps {
        let now = self.world.clock.now();
        let stored = self.keys.authenticate(KeyLink { closed_at: Some(now), ..KeyLink::clone(before) });
        let event = ask.event(kind, before.id.uuid(), now, &stored);
        Steps::default().and(Change::KeyLink(Put::over(before.mac(), stored)), event)
    }

    /// Withdraws a link. One that was used or withdrawn is gone.
    ///
    /// # Errors
    /// When the caller may not, or there is none.
    pub async fn cancel_key_link(&self, ask: &Ask, id: KeyLinkId) -> Result<Planned<()>, Error> {
        let permit = ask.permit(Action::CancelKeyLink, Ownership::Shared)?;
        let before = self.key_link(ask, id).await?;
        if before.user_id != ask.caller.user_id {
            ask.caller.reaches(self.present_role(ask, before.user_id).await?)?;
        }
        ask.demands(before.mac())?;
        Ok(Planned::new((), permit, self.closed(ask, &before, EventKind::KeyLinkCancelled)))
    }

    /// Makes the key that the caller's link is for, and closes the link. The
    /// outcome's token is shown once.
    ///
    /// # Errors
    /// When the caller didn't come with a link.
    pub async fn claim_key_link(&self, ask: &Ask) -> Result<Planned<(Proven<ApiKey>, Token)>, Error> {
        let permit = ask.permit(Action::ClaimKeyLink, Ownership::Own)?;
        let Means::Link(id) = ask.caller.means else { return Err(Denied::Invisible.into()) };
        let link = self.key_link(ask, id).await.map_err(not_proven)?;
        let maker_is = self.stands_behind(ask, &link).await?;
        let mut steps = self.closed(ask, &link, EventKind::KeyLinkClaimed).with(maker_is);
        let (stored, token) = self.mint_key(ask, link.user_id, (link.name.clone(), link.grant.clone()));
        let (at, key) = (stored.row().created_at, stored.row().id.uuid());
        let created = ask.event(EventKind::ApiKeyCreated, key, at, &stored);
        let outcome = (stored.proven(), token);
        steps.add(Change::ApiKey(Put::new(stored)), created);
        Ok(Planned::new(outcome, permit, steps))
    }

    /// Demands that a link's maker could still make it, with the key that they
    /// made it with. Links are withdrawn when a role changes or a key is revoked;
    /// this refuses one that was being made just then.
    async fn stands_behind(&self, ask: &Ask, link: &KeyLink) -> Result<Change, Error> {
        let maker = self.member(ask, link.created_by).await.map_err(not_proven)?;
        let taker = self.member(ask, link.user_id).await.map_err(not_proven)?;
        let key = self.store.key_rows(link.made_with).await?.ok_or(Error::NotProven)?;
        let key = self.noting(self.keys.verify(key.means), suspect(ask, Some(link.id))).await?;
        let least = link.grant.role.max(taker.membership.role);
        if maker.membership.role < least || maker.user.disabled_at.is_some() || key.revoked_at.is_some() {
            return Err(Error::NotProven);
        }
        Ok(Change::MembershipIs(ask.caller.team_id, link.created_by, maker.membership.mac()))
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
    ask.suspect(Object::of::<KeyLink>(link.map(KeyLinkId::uuid)))
}
