//! Members of a team: see, add, change, remove. Nobody reaches above
//! themselves, and a team keeps an owner.

use super::ask::Steps;
use super::{App, Ask, Error, Planned, Suspect};
use crate::access::{Action, Denied, Ownership};
use crate::events::{Event, EventKind, Object};
use crate::ids::{TeamId, UserId};
use crate::invitations::Invitation;
use crate::roles::Role;
use crate::rows::{Proven, Stored};
use crate::store::{Change, Put};
use crate::text::{Email, UserName};
use crate::users::{Member, Membership, ProvenMember, StoredMember, User};

/// Members read at a time.
const PAGE: u32 = 256;

/// Who is to become a member.
pub enum Newcomer {
    /// A person, by their address; the name is for one who isn't known yet. It is
    /// always asked for: whether it is needed would tell who is known.
    Person(Email, UserName),
    /// A new service user of this team.
    Service(UserName),
    /// Somebody who was a member before.
    Former(UserId),
}

/// What a caller gives to add a member.
pub struct NewMember {
    /// Who.
    pub who: Newcomer,
    /// As what.
    pub role: Role,
}

/// Some of a team's members.
pub struct MemberList {
    /// The members, by the age of the user.
    pub members: Vec<ProvenMember>,
    /// How many there are that match.
    pub total: usize,
}

impl App {
    /// The members whose name or address has this text in it, in any case: at
    /// most `limit` of those after the first `offset`.
    ///
    /// # Errors
    /// When the key isn't for it.
    pub async fn members(
        &self,
        ask: &Ask,
        search: Option<&str>,
        (offset, limit): (usize, usize),
    ) -> Result<MemberList, Error> {
        let _permit = ask.permit(Action::ListMembers, Ownership::Shared)?;
        let search = search.map(str::to_lowercase);
        let mut list = MemberList { members: Vec::new(), total: 0 };
        let mut after = None;
        loop {
            let suspect = suspect(ask, None);
            let page = self.store.members(ask.caller.team_id, after, PAGE).await;
            let page = self.readable(page, suspect).await?;
            let Some(newest) = page.last() else { return Ok(list) };
            after = Some(newest.user.row().id);
            for stored in page {
                let member = self.prove_member(ask, stored).await?;
                if matches(&member.user, search.as_deref()) {
                    if list.total >= offset && list.members.len() < limit {
                        list.members.push(member);
                    }
                    list.total += 1;
                }
            }
        }
    }

    /// Adds a member.
    ///
    /// # Errors
    /// When the caller may not, or they are one already.
    pub async fn add_member(&self, ask: &Ask, new: &NewMember) -> Result<Planned<ProvenMember>, Error> {
        let permit = ask.permit(Action::AddMember, Ownership::Shared)?;
        ask.caller.reaches(new.role)?;
        let mut steps = Steps::default();
        let (user, former) = self.newcomer(ask, &new.who, &mut steps).await?;
        let now = self.world.clock.now();
        let membership = Membership {
            team_id: ask.caller.team_id,
            user_id: user.id,
            role: new.role,
            created_at: now,
            removed_at: None,
            sign_in: None,
        };
        let stored = self.keys.authenticate(membership);
        let event = ask.event(EventKind::MemberAdded, user.id.uuid(), now, &stored);
        let membership = stored.proven();
        let put = match former {
            Some(former) => {
                // Whoever brings them back can make them a key, which finds what is theirs.
                ask.caller.reaches(former.role)?;
                // A key that was being made while they were removed would live again.
                steps.extend(self.revoked_keys(ask, user.id).await?);
                steps.extend(self.closed_links_of(ask, user.id).await?);
                steps.extend(self.withdrawn_of(ask, user.id).await?);
                Put::over(former.mac(), stored)
            }
            None => Put::new(stored),
        };
        let steps = steps.and(Change::Membership(put), event);
        Ok(Planned::new(Member { user, membership }, permit, steps))
    }

    /// The user to be added, made if they are new; and their place of before.
    async fn newcomer(
        &self,
        ask: &Ask,
        who: &Newcomer,
        steps: &mut Steps,
    ) -> Result<(Proven<User>, Option<Proven<Membership>>), Error> {
        match who {
            Newcomer::Service(name) => {
                Ok((self.new_user(ask, (name, None, Some(ask.caller.team_id)), steps), None))
            }
            Newcomer::Former(user) => returning(self.place(ask, *user).await?.ok_or(Denied::Invisible)?),
            Newcomer::Person(email, name) => {
                let Some(user) = self.user_by_email(ask, email).await? else {
                    return Ok((self.new_user(ask, (name, Some(email), None), steps), None));
                };
                match self.place(ask, user.id).await? {
                    Some(member) => returning(member),
                    None => Ok((user, None)),
                }
            }
        }
    }

    fn new_user(
        &self,
        ask: &Ask,
        (name, email, service_of): (&UserName, Option<&Email>, Option<TeamId>),
        steps: &mut Steps,
    ) -> Proven<User> {
        let user = User {
            id: UserId::from_uuid(self.uuid()),
            name: name.clone(),
            email: email.cloned(),
            created_at: self.world.clock.now(),
            disabled_at: None,
            service_of,
        };
        let stored = self.keys.authenticate(user);
        let proven = stored.proven();
        let event = ask.event(EventKind::UserCreated, proven.id.uuid(), proven.created_at, &stored);
        steps.add(Change::User(Put::new(stored)), event);
        proven
    }

    async fn user_by_email(&self, ask: &Ask, email: &Email) -> Result<Option<Proven<User>>, Error> {
        let suspect = ask.suspect(Object::of::<User>(None));
        match self.readable(self.store.user_by_email(email).await, suspect).await? {
            Some(stored) => self.noting(self.keys.verify(stored), suspect).await.map(Some),
            None => Ok(None),
        }
    }

    /// Changes a member's role. Links that they made are withdrawn, which may
    /// promise more than their maker has now; and links for them, whose maker may
    /// be below them now.
    ///
    /// # Errors
    /// When it reaches above the caller, the team would have no owner, or the caller must
    /// confirm it ([`App::must_confirm`]), as for a higher role.
    pub async fn update_member(
        &self,
        ask: &Ask,
        user: UserId,
        role: Role,
    ) -> Result<Planned<ProvenMember>, Error> {
        ask.caller.screen(Action::UpdateMember)?;
        let before = self.member(ask, user).await?;
        let permit = ask.permit(Action::UpdateMember, ask.caller.concern(user))?;
        ask.caller.reaches(before.membership.role.max(role))?;
        ask.demands(before.membership.mac())?;
        if before.membership.role == role {
            return Ok(Planned::nothing(before));
        }
        if role > before.membership.role {
            self.is_certain(ask).await?;
        }
        let stored = self.keys.authenticate(Membership { role, ..Membership::clone(&before.membership) });
        let event = ask.event(EventKind::MemberUpdated, user.uuid(), self.world.clock.now(), &stored);
        let membership = stored.proven();
        let mut steps = member_steps(&before, stored, event);
        steps.extend(self.closed_links_of(ask, user).await?);
        steps.extend(self.withdrawn_of(ask, user).await?);
        Ok(Planned::new(Member { user: before.user, membership }, permit, steps))
    }

    /// Removes a member, or lets the caller leave. Their keys are revoked, and
    /// links for them and by them withdrawn, at once. Their personal secrets
    /// stay for the retention time, in case they come back.
    ///
    /// # Errors
    /// When it reaches above the caller, or the team would have no owner.
    pub async fn remove_member(&self, ask: &Ask, user: UserId) -> Result<Planned<()>, Error> {
        ask.caller.screen(Action::RemoveMember)?;
        let before = self.member(ask, user).await?;
        let permit = ask.permit(Action::RemoveMember, ask.caller.concern(user))?;
        ask.caller.reaches(before.membership.role)?;
        ask.demands(before.membership.mac())?;
        let now = self.world.clock.now();
        let after =
            Membership { removed_at: Some(now), sign_in: None, ..Membership::clone(&before.membership) };
        let stored = self.keys.authenticate(after);
        let event = ask.event(EventKind::MemberRemoved, user.uuid(), now, &stored);
        let mut steps = member_steps(&before, stored, event);
        steps.extend(self.revoked_keys(ask, user).await?);
        steps.extend(self.closed_links_of(ask, user).await?);
        steps.extend(self.withdrawn_of(ask, user).await?);
        Ok(Planned::new((), permit, steps))
    }

    /// Withdraws the invitations for a user and by them, and what they asked for.
    pub(super) async fn withdrawn_of(&self, ask: &Ask, user: UserId) -> Result<Steps, Error> {
        let of_user = |invitation: &Invitation| invitation.user_id == user || invitation.created_by == user;
        let mut steps = self.withdrawn(ask, of_user).await?;
        steps.extend(self.withdrawn_requests_of(ask, user).await?);
        Ok(steps)
    }

    /// Withdraws the links for a user and by them.
    pub(super) async fn closed_links_of(&self, ask: &Ask, user: UserId) -> Result<Steps, Error> {
        self.closed_links(ask, |link| link.user_id == user || link.created_by == user).await
    }

    /// A member of the caller's team.
    ///
    /// # Errors
    /// [`Denied::Invisible`] when they are none.
    pub(super) async fn member(&self, ask: &Ask, user: UserId) -> Result<ProvenMember, Error> {
        let member = self.place(ask, user).await?;
        let present = member.filter(|member| member.membership.removed_at.is_none());
        Ok(present.ok_or(Denied::Invisible)?)
    }

    /// A user's place in the caller's team, also when they were removed.
    pub(super) async fn place(&self, ask: &Ask, user: UserId) -> Result<Option<ProvenMember>, Error> {
        let stored = self.store.member(ask.caller.team_id, user).await;
        match self.readable(stored, suspect(ask, Some(user))).await? {
            Some(stored) => self.prove_member(ask, stored).await.map(Some),
            None => Ok(None),
        }
    }

    async fn prove_member(&self, ask: &Ask, stored: StoredMember) -> Result<ProvenMember, Error> {
        let suspect = suspect(ask, Some(stored.user.row().id));
        let user = self.noting(self.keys.verify(stored.user), suspect).await?;
        let membership = self.noting(self.keys.verify(stored.membership), suspect).await?;
        Ok(Member { user, membership })
    }
}

/// Somebody who was a member before, unless they are one now.
fn returning(member: ProvenMember) -> Result<(Proven<User>, Option<Proven<Membership>>), Error> {
    match member.membership.removed_at {
        Some(_) => Ok((member.user, Some(member.membership))),
        None => Err(Error::Conflict("they are a member already; change their role instead")),
    }
}

/// Puts a member's place in the stead of the one before; who was an owner must
/// leave another.
fn member_steps(before: &ProvenMember, stored: Stored<Membership>, event: Event) -> Steps {
    let team = stored.row().team_id;
    let steps = Steps::default().and(Change::Membership(Put::over(before.membership.mac(), stored)), event);
    if before.membership.role == Role::Owner { steps.with(Change::HasOwner(team)) } else { steps }
}

fn matches(user: &User, search: Option<&str>) -> bool {
    let mut texts = [user.name.as_str()].into_iter().chain(user.email.as_ref().map(Email::as_str));
    search.is_none_or(|search| texts.any(|text| text.to_lowercase().contains(search)))
}

fn suspect(ask: &Ask, user: Option<UserId>) -> Suspect<'_> {
    ask.suspect(Object::of::<Membership>(user.map(UserId::uuid)))
}
