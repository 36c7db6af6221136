//! Invitations: an administrator makes one for a member, who opens it and comes
//! to sign in. Whoever has the link is taken for that member in that team, and
//! in no other: a sign-in that was there before is only let in, never changed.

use uuid::Uuid;

use super::ask::Steps;
use super::{App, Ask, Error, Planned, Suspect};
use crate::access::{Action, Denied, Ownership};
use crate::clock::Timestamp;
use crate::events::{EventKind, Object};
use crate::ids::{InvitationId, UserId};
use crate::invitations::{Invitation, LASTS};
use crate::roles::Role;
use crate::rows::{Proven, Stored};
use crate::store::{Change, Put};
use crate::tokens::{Token, TokenKind};

/// Invitations read at a time.
const PAGE: u32 = 256;

impl App {
    /// Makes a link by which a member comes to sign in. Those for them from
    /// before are withdrawn. The outcome's token is shown once.
    ///
    /// # Errors
    /// When it would reach above the caller, the member is a service user, or the caller
    /// must confirm it ([`App::must_confirm`]).
    pub async fn invite(
        &self,
        ask: &Ask,
        user: UserId,
    ) -> Result<Planned<(Proven<Invitation>, Token)>, Error> {
        let permit = ask.permit(Action::CreateInvitation, Ownership::Shared)?;
        self.is_certain(ask).await?;
        let member = self.member(ask, user).await?;
        ask.caller.reaches(member.membership.role)?;
        if member.user.service_of.is_some() {
            return Err(Error::Invalid("a service user doesn't sign in; make it an API key".into()));
        }
        let id = InvitationId::from_uuid(self.uuid());
        let token = Token::mint(TokenKind::Link, id.uuid(), &*self.world.random);
        let created_at = self.world.clock.now();
        let stored = self.keys.authenticate(Invitation {
            id,
            team_id: ask.caller.team_id,
            user_id: user,
            token_hash: self.keys.hash(&token),
            created_by: ask.caller.user_id,
            created_at,
            expires_at: Timestamp::from_millis(created_at.as_millis().saturating_add(LASTS)),
            closed_at: None,
        });
        let event = ask.event(EventKind::InvitationCreated, id.uuid(), created_at, &stored);
        let outcome = (stored.proven(), token);
        let mut steps = self.withdrawn(ask, |invitation| invitation.user_id == user).await?;
        steps = steps.with(Change::MembershipIs(ask.caller.team_id, user, member.membership.mac()));
        steps.add(Change::Invitation(Put::new(stored)), event);
        Ok(Planned::new(outcome, permit, steps))
    }

    /// The invitations that can still be used.
    ///
    /// # Errors
    /// When the caller may not see them.
    pub async fn invitations(&self, ask: &Ask) -> Result<Vec<Proven<Invitation>>, Error> {
        let _permit = ask.permit(Action::ListInvitations, Ownership::Shared)?;
        let now = self.world.clock.now();
        let mut invitations = self.open_invitations(ask).await?;
        invitations.retain(|invitation| invitation.expires_at > now);
        Ok(invitations)
    }

    async fn open_invitations(&self, ask: &Ask) -> Result<Vec<Proven<Invitation>>, Error> {
        let suspect = suspect(ask, None);
        let mut invitations: Vec<Proven<Invitation>> = Vec::new();
        loop {
            let after = invitations.last().map(|invitation| invitation.id);
            let page = self.store.invitations(ask.caller.team_id, after, PAGE).await;
            let page = self.readable(page, suspect).await?;
            if page.is_empty() {
                return Ok(invitations);
            }
            for stored in page {
                invitations.push(self.noting(self.keys.verify(stored), suspect).await?);
            }
        }
    }

    /// Withdraws an invitation. One that was used or withdrawn is gone.
    ///
    /// # Errors
    /// When the caller may not, or there is none.
    pub async fn cancel_invitation(&self, ask: &Ask, id: InvitationId) -> Result<Planned<()>, Error> {
        let permit = ask.permit(Action::CancelInvitation, Ownership::Shared)?;
        let before = self.invitation(ask, id.uuid()).await?;
        ask.caller.reaches(self.present_role(ask, before.user_id).await?)?;
        Ok(Planned::new((), permit, self.shut(ask, &before, EventKind::InvitationCancelled)))
    }

    /// Withdraws the invitations that `these` picks.
    pub(super) async fn withdrawn(
        &self,
        ask: &Ask,
        these: impl Fn(&Invitation) -> bool + Send,
    ) -> Result<Steps, Error> {
        let mut steps = Steps::default();
        for invitation in self.open_invitations(ask).await?.iter().filter(|invitation| these(invitation)) {
            steps.extend(self.shut(ask, invitation, EventKind::InvitationCancelled));
        }
        Ok(steps)
    }

    /// The step by which the invitation that was used is used up, if it was one.
    pub(super) fn accepted(&self, ask: &Ask, invitation: Option<&Proven<Invitation>>) -> Steps {
        invitation.map_or_else(Steps::default, |used| self.shut(ask, used, EventKind::InvitationAccepted))
    }

    fn shut(&self, ask: &Ask, before: &Proven<Invitation>, kind: EventKind) -> Steps {
        let now = self.world.clock.now();
        let stored: Stored<_> =
            self.keys.authenticate(Invitation { closed_at: Some(now), ..Invitation::clone(before) });
        let event = ask.event(kind, before.id.uuid(), now, &stored);
        Steps::default().and(Change::Invitation(Put::over(before.mac(), stored)), event)
    }

    /// Demands that an invitation's maker could still make it.
    pub(super) async fn inviter_stands(&self, ask: &Ask, invitation: &Invitation) -> Result<(), Error> {
        let invited = self.present_role(ask, invitation.user_id).await?;
        match self.member(ask, invitation.created_by).await {
            Ok(maker)
                if maker.user.disabled_at.is_none()
                    && maker.membership.role >= invited.max(Role::Administrator) =>
            {
                Ok(())
            }
            Ok(_) | Err(Error::Denied(Denied::Invisible)) => Err(Error::NotProven),
            Err(error) => Err(error),
        }
    }

    /// An invitation into the caller's team that isn't closed.
    pub(super) async fn invitation(&self, ask: &Ask, id: Uuid) -> Result<Proven<Invitation>, Error> {
        let suspect = suspect(ask, Some(id));
        let id = InvitationId::from_uuid(id);
        let stored = self.readable(self.store.invitation(ask.caller.team_id, id).await, suspect).await?;
        let found = self.noting(self.keys.verify(stored.ok_or(Denied::Invisible)?), suspect).await?;
        if found.closed_at.is_some() { Err(Denied::Invisible.into()) } else { Ok(found) }
    }
}

fn suspect(ask: &Ask, id: Option<Uuid>) -> Suspect<'_> {
    ask.suspect(Object::of::<Invitation>(id))
}
