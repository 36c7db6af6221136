//! Teams: create, look at, rename, delete and bring back.

use super::ask::Steps;
use super::{App, Ask, Error, Planned};
use crate::access::{Action, Denied, Ownership};
use crate::events::{Event, EventKind, Object};
use crate::grants::{Grant, Scopes};
use crate::ids::{KeyId, SignInId, TeamId};
use crate::key_links::KeyLink;
use crate::roles::Role;
use crate::rows::Proven;
use crate::store::{Change, Put};
use crate::teams::Team;
use crate::text::{KeyName, TeamName};
use crate::tokens::Token;
use crate::users::{Membership, ProvenMember};

/// How long the founder of a team has to make their key, in milliseconds: a day.
const FOUNDERS_LINK: i64 = 24 * 60 * 60 * 1_000;

/// A new team, and the link by which its founder makes a key for it.
pub struct NewTeam {
    /// The team.
    pub team: Proven<Team>,
    /// The link.
    pub link: Proven<KeyLink>,
    /// The link's token, to be shown once.
    pub token: Token,
}

impl App {
    /// Who the caller is.
    ///
    /// # Errors
    /// When the row isn't what was stored.
    pub async fn profile(&self, ask: &Ask) -> Result<ProvenMember, Error> {
        let _permit = ask.permit(Action::ReadProfile, Ownership::Own)?;
        self.member(ask, ask.caller.user_id).await
    }

    /// The caller's team. There is no other that a caller sees.
    ///
    /// # Errors
    /// When the key isn't for it.
    pub async fn team(&self, ask: &Ask) -> Result<Proven<Team>, Error> {
        let _permit = ask.permit(Action::ReadTeam, Ownership::Shared)?;
        self.own_team(ask).await
    }

    pub(super) async fn own_team(&self, ask: &Ask) -> Result<Proven<Team>, Error> {
        let id = ask.caller.team_id;
        let suspect = ask.suspect(Object::of::<Team>(Some(id.uuid())));
        let stored = self.readable(self.store.team(id).await, suspect).await?;
        self.noting(self.keys.verify(stored.ok_or(Denied::Invisible)?), suspect).await
    }

    /// Creates a team with a key of its own. The caller becomes its owner.
    ///
    /// # Errors
    /// When the caller may not.
    pub fn create_team(&self, ask: &Ask, name: TeamName) -> Result<Planned<NewTeam>, Error> {
        let permit = ask.permit(Action::CreateTeam, Ownership::Shared)?;
        let grant = founders_grant();
        // The team's first key has no limits, so only a key without any founds one.
        grant.within(&ask.caller.grant).map_err(Denied::from)?;
        let (team, mut steps) = self.founding_team(ask, name, None);
        let first_key =
            KeyName::parse("first key").map_err(|refused| Error::Invalid(refused.reason().into()))?;
        let whose = (team.id, ask.caller.user_id);
        let (link, token) = self.mint_link(ask, whose, (first_key, grant), FOUNDERS_LINK)?;
        let linked = ask.event(EventKind::KeyLinkCreated, link.row().id.uuid(), link.row().created_at, &link);
        let linked = Event { team_id: Some(team.id), ..linked };
        let outcome = NewTeam { team, link: link.proven(), token };
        steps.add(Change::KeyLink(Put::new(link)), linked);
        Ok(Planned::new(outcome, permit, steps))
    }

    /// Creates a team from within a session, which can go there.
    ///
    /// # Errors
    /// When the caller may not, or is in no session.
    pub async fn found_team(&self, ask: &Ask, name: TeamName) -> Result<Planned<Proven<Team>>, Error> {
        let permit = ask.permit(Action::CreateTeam, Ownership::Shared)?;
        let sign_in = self.this_session(ask).await?.sign_in;
        let (team, steps) = self.founding_team(ask, name, Some(sign_in));
        Ok(Planned::new(team, permit, steps))
    }

    /// The steps by which a team comes to be, with the caller as its owner, who comes in
    /// by this sign-in.
    fn founding_team(&self, ask: &Ask, name: TeamName, sign_in: Option<SignInId>) -> (Proven<Team>, Steps) {
        let (id, founder, now) = (TeamId::from_uuid(self.uuid()), ask.caller.user_id, self.world.clock.now());
        let team = self.keys.authenticate(Team {
            id,
            name,
            created_at: now,
            deleted_at: None,
            shredded_at: None,
            fills_by_link_since: None,
        });
        let membership = self.keys.authenticate(Membership {
            team_id: id,
            user_id: founder,
            role: Role::Owner,
            created_at: now,
            removed_at: None,
            sign_in,
        });
        let of_team = |event| Event { team_id: Some(id), ..event };
        let created = of_team(ask.event(EventKind::TeamCreated, id.uuid(), now, &team));
        let added = of_team(ask.event(EventKind::MemberAdded, founder.uuid(), now, &membership));
        let key = self.keys.new_team_key(KeyId::from_uuid(self.uuid()), id, now, &*self.world.random);
        let proven = team.proven();
        let steps = Steps::default()
            .and(Change::Team(Put::new(team)), created)
            .with(Change::Key(key))
            .and(Change::Membership(Put::new(membership)), added)
            // A service user is no owner: its team would have none.
            .with(Change::HasOwner(id));
        (proven, steps)
    }

    /// Renames the team.
    ///
    /// # Errors
    /// When the caller may not.
    pub async fn update_team(&self, ask: &Ask, name: &TeamName) -> Result<Planned<Proven<Team>>, Error> {
        let before = self.own_team(ask).await?;
        let after = Team { name: name.clone(), ..Team::clone(&before) };
        self.replace_team(ask, (Action::UpdateTeam, EventKind::TeamUpdated), &before, after)
    }

    /// Lets whoever has the link of a request to fill in a secret do so without signing
    /// in, or doesn't.
    ///
    /// # Errors
    /// When the caller may not.
    pub async fn let_links_fill(&self, ask: &Ask, they_may: bool) -> Result<Planned<Proven<Team>>, Error> {
        let before = self.own_team(ask).await?;
        let since = before.fills_by_link_since.unwrap_or_else(|| self.world.clock.now());
        let after = Team { fills_by_link_since: they_may.then_some(since), ..Team::clone(&before) };
        self.replace_team(ask, (Action::UpdateTeam, EventKind::TeamUpdated), &before, after)
    }

    /// Deletes the team: nothing can be done with it any more but bring it
    /// back, until its keys are destroyed.
    ///
    /// # Errors
    /// When the caller may not.
    pub async fn delete_team(&self, ask: &Ask) -> Result<Planned<Proven<Team>>, Error> {
        let before = self.own_team(ask).await?;
        let after = Team { deleted_at: Some(self.world.clock.now()), ..Team::clone(&before) };
        self.replace_team(ask, (Action::DeleteTeam, EventKind::TeamDeleted), &before, after)
    }

    /// Brings the deleted team back. One that isn't deleted stays as it is.
    ///
    /// # Errors
    /// When the caller may not.
    pub async fn undelete_team(&self, ask: &Ask) -> Result<Planned<Proven<Team>>, Error> {
        let before = self.own_team(ask).await?;
        let after = Team { deleted_at: None, ..Team::clone(&before) };
        self.replace_team(ask, (Action::UndeleteTeam, EventKind::TeamUndeleted), &before, after)
    }

    fn replace_team(
        &self,
        ask: &Ask,
        (action, kind): (Action, EventKind),
        before: &Proven<Team>,
        after: Team,
    ) -> Result<Planned<Proven<Team>>, Error> {
        let permit = ask.permit(action, Ownership::Shared)?;
        ask.demands(before.mac())?;
        let said = |team: &Team| (team.name.clone(), team.deleted_at, team.fills_by_link_since);
        if said(&after) == said(before) {
            return Ok(Planned::nothing(before.clone()));
        }
        let id = after.id.uuid();
        let stored = self.keys.authenticate(after);
        let event = ask.event(kind, id, self.world.clock.now(), &stored);
        let outcome = stored.proven();
        let steps = Steps::default().and(Change::Team(Put::over(before.mac(), stored)), event);
        Ok(Planned::new(outcome, permit, steps))
    }
}

/// What the founder's first key is good for: everything, as the instance's first.
fn founders_grant() -> Grant {
    Grant { role: Role::Owner, scopes: Scopes::all(), agents: None, networks: None, expires_at: None }
}
