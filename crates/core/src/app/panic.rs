//! When values may be in wrong hands: whatever could fetch them is revoked at
//! once, and what was fetched is listed, so that it can be changed at its source.

use std::collections::{BTreeMap, BTreeSet};

use super::ask::Steps;
use super::{App, Ask, Error, Planned};
use crate::access::{Action, Denied, Ownership, Permit};
use crate::agents::Agent;
use crate::events::{EventKind, Object};
use crate::ids::{AgentId, ApiKeyId, KeyLinkId, RunId, SecretId, UserId};
use crate::rows::Proven;
use crate::runs::{Delivery, Ended, Run, RunsOf};
use crate::secrets::Secret;
use crate::store::{Change, Put};
use crate::users::Membership;
use crate::values::EnvKey;

/// Runs read at a time.
const PAGE: u32 = 256;

/// The most runs of a list that are named.
const NAMED: usize = 1_000;

/// Whom not to trust any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suspected {
    /// A run.
    Run(RunId),
    /// An agent: all runs of it.
    Agent(AgentId),
    /// An API key, and all runs that were started with it.
    Key(ApiKeyId),
    /// A user: their keys in this team, links, their sessions in it, and all runs that
    /// they started.
    User(UserId),
}

impl Suspected {
    fn runs(self) -> RunsOf {
        match self {
            Self::Run(run) => RunsOf::Run(run),
            Self::Agent(agent) => RunsOf::Agent(agent),
            Self::Key(key) => RunsOf::Key(key),
            Self::User(user) => RunsOf::User(user),
        }
    }
}

/// What is revoked beside runs.
#[derive(Debug, Default)]
pub struct Revoked {
    /// Keys.
    pub keys: Vec<ApiKeyId>,
    /// Links.
    pub links: Vec<KeyLinkId>,
}

/// A version that was delivered.
#[derive(Debug)]
pub struct Exposed {
    /// Of which secret.
    pub secret_id: SecretId,
    /// Which version.
    pub version: u32,
    /// Whose the secret is; nobody's when it is the team's, or gone.
    pub owner: Option<UserId>,
    /// Which of its values, by their names.
    pub env_keys: BTreeSet<EnvKey>,
    /// To which runs.
    pub runs: Runs,
}

/// Runs, of which the newest 1,000 are named: there may be millions, and whoever reads of them looks for what
/// to change.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Runs {
    /// The newest.
    pub newest: BTreeSet<RunId>,
    /// How many there are.
    pub count: u64,
}

impl Runs {
    /// Adds a run. They are added in the order of their ids, up or down; one that is the same as the one before
    /// it is no other.
    fn add(&mut self, run: RunId) {
        if self.newest.insert(run) {
            self.count += 1;
            if self.newest.len() > NAMED {
                self.newest.pop_first();
            }
        }
    }
}

impl App {
    /// Revokes whatever could fetch values in the name of the suspected. Runs
    /// hang on what is revoked here, so that none of them slips through, also
    /// none that is being started just now.
    ///
    /// # Errors
    /// When the caller may not, or there is no such thing in the team.
    pub async fn panic(&self, ask: &Ask, suspected: Suspected) -> Result<Planned<Revoked>, Error> {
        ask.caller.screen(Action::Panic)?;
        match suspected {
            Suspected::Run(run) => self.panic_run(ask, run).await,
            Suspected::Agent(agent) => self.panic_agent(ask, agent).await,
            Suspected::Key(key) => self.panic_key(ask, key).await,
            Suspected::User(user) => self.panic_user(ask, user).await,
        }
    }

    async fn panic_run(&self, ask: &Ask, id: RunId) -> Result<Planned<Revoked>, Error> {
        let rows = self.present_run(ask, id).await?;
        let permit = ask.permit(Action::Panic, ask.caller.concern(rows.run.user_id))?;
        if rows.run.revoked_at.is_some() || rows.run.stopped_at.is_some() {
            return Ok(Planned::nothing(Revoked::default()));
        }
        let after = Run { revoked_at: Some(self.world.clock.now()), ..self.changed_run(&rows.run) };
        let (_, steps) = self.replacing_run(ask, EventKind::RunRevoked, &rows.run, after);
        Ok(Planned::new(Revoked::default(), permit, steps))
    }

    async fn panic_agent(&self, ask: &Ask, id: AgentId) -> Result<Planned<Revoked>, Error> {
        let permit = ask.permit(Action::Panic, Ownership::Shared)?;
        let before = self.any_agent(ask, id).await?.ok_or(Denied::Invisible)?;
        // Its runs ended with it; what they received is still to be listed.
        if before.deleted_at.is_some() {
            return Ok(Planned::nothing(Revoked::default()));
        }
        let generation =
            before.generation.checked_add(1).ok_or(Error::Conflict("too often revoked; delete the agent"))?;
        let after = Agent { generation, ..self.changed_agent(&before) };
        let (_, steps) = self.replacing_agent(ask, EventKind::AgentRunsRevoked, &before, after);
        Ok(Planned::new(Revoked::default(), permit, steps))
    }

    async fn panic_key(&self, ask: &Ask, id: ApiKeyId) -> Result<Planned<Revoked>, Error> {
        let (permit, steps) = self.revoking_key(ask, Action::Panic, id).await?;
        Ok(planned(permit, steps))
    }

    async fn panic_user(&self, ask: &Ask, id: UserId) -> Result<Planned<Revoked>, Error> {
        let permit = ask.permit(Action::Panic, ask.caller.concern(id))?;
        // Also one who was removed: what their runs received is still to be listed.
        let member = self.place(ask, id).await?.ok_or(Denied::Invisible)?;
        // A key that may do less than its user doesn't end what may do more.
        ask.caller.reaches(member.membership.role)?;
        let mut steps = self.revoked_keys(ask, id).await?;
        steps.extend(self.closed_links_of(ask, id).await?);
        steps.extend(self.withdrawn_of(ask, id).await?);
        steps.extend(self.shut_out(ask, &member.membership));
        // One that is being made just now is found by the next plan.
        Ok(planned(permit, steps.with(Change::HasNoKey(ask.caller.team_id, id))))
    }

    /// Lets no sign-in of a member in any more, until they open an invitation.
    fn shut_out(&self, ask: &Ask, before: &Proven<Membership>) -> Steps {
        if before.sign_in.is_none() {
            return Steps::default();
        }
        let stored = self.keys.authenticate(Membership { sign_in: None, ..Membership::clone(before) });
        let now = self.world.clock.now();
        let event = ask.event(EventKind::MemberUpdated, before.user_id.uuid(), now, &stored);
        Steps::default().and(Change::Membership(Put::over(before.mac(), stored)), event)
    }

    /// Which runs of the suspected are revoked by now, of those that nobody
    /// stopped and whose lease goes on; and everything that was ever delivered
    /// to any of them. To be asked when [`Self::panic`] is carried out: then no
    /// more is delivered. When it was only `rehearsed`, the runs that it would
    /// revoke are told.
    ///
    /// # Errors
    /// When the caller may not.
    pub async fn exposed(
        &self,
        ask: &Ask,
        suspected: Suspected,
        rehearsed: bool,
    ) -> Result<(Runs, Vec<Exposed>), Error> {
        ask.caller.screen(Action::Panic)?;
        let runs = self.revoked_runs(ask, suspected.runs(), rehearsed).await?;
        let mut exposed = self.delivered(ask, suspected.runs()).await?;
        let mut last = None;
        for entry in &mut exposed {
            // The versions of a secret follow one another.
            let owner = match last {
                Some((secret, owner)) if secret == entry.secret_id => owner,
                _ => self.owner_of(ask, entry.secret_id).await?,
            };
            entry.owner = owner;
            last = Some((entry.secret_id, owner));
        }
        Ok((runs, exposed))
    }

    async fn revoked_runs(&self, ask: &Ask, of: RunsOf, rehearsed: bool) -> Result<Runs, Error> {
        let (mut revoked, mut oldest, now) = (Runs::default(), None, self.world.clock.now());
        loop {
            let page = self.store.open_runs(ask.caller.team_id, of, now, (oldest, PAGE)).await;
            let page = self.proven_runs(ask, page).await?;
            let gone = page.iter().filter(|rows| rehearsed || rows.ended(now) == Some(Ended::Revoked));
            gone.for_each(|rows| revoked.add(rows.run.id));
            match page.last() {
                Some(rows) => oldest = Some(rows.run.id),
                None => return Ok(revoked),
            }
        }
    }

    /// Whatever was delivered to runs, by version; whose that is, isn't looked up yet.
    async fn delivered(&self, ask: &Ask, to: RunsOf) -> Result<Vec<Exposed>, Error> {
        let (mut delivered, mut newest) = (BTreeMap::new(), None);
        loop {
            let page = self.store.deliveries(ask.caller.team_id, to, (newest, PAGE)).await;
            let page = self.noted(ask, page).await?;
            match page.last() {
                Some((run, _)) => newest = Some(*run),
                None => return Ok(delivered.into_values().collect()),
            }
            for delivery in page.into_iter().filter_map(|(_, delivery)| delivery) {
                let Delivery { run_id, secret_id, version, env_keys, at: _ } = delivery;
                let (owner, names, runs) = (None, BTreeSet::new(), Runs::default());
                let fresh = || Exposed { secret_id, version, owner, env_keys: names, runs };
                let entry = delivered.entry((secret_id, version)).or_insert_with(fresh);
                entry.env_keys.extend(env_keys);
                entry.runs.add(run_id);
            }
        }
    }

    async fn owner_of(&self, ask: &Ask, id: SecretId) -> Result<Option<UserId>, Error> {
        let suspect = ask.suspect(Object::of::<Secret>(Some(id.uuid())));
        match self.readable(self.store.secret(ask.caller.team_id, id).await, suspect).await? {
            Some(stored) => Ok(self.noting(self.keys.verify(stored), suspect).await?.owner),
            None => Ok(None),
        }
    }
}

/// Steps that revoke, and what they revoke.
fn planned(permit: Permit, steps: Steps) -> Planned<Revoked> {
    let mut revoked = Revoked::default();
    for change in steps.changes() {
        match change {
            Change::ApiKey(put) => revoked.keys.push(put.now.row().id),
            Change::KeyLink(put) => revoked.links.push(put.now.row().id),
            _ => {}
        }
    }
    Planned::of(permit, steps).map(|()| revoked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_runs_are_named_and_all_are_counted() {
        let id = |at: u128| RunId::from_uuid(uuid::Uuid::from_u128(at));
        let all: Vec<_> = (0..NAMED as u128 + 3).map(id).collect();
        let mut upwards = Runs::default();
        for run in &all {
            upwards.add(*run);
            upwards.add(*run);
        }
        let mut downwards = Runs::default();
        all.iter().rev().for_each(|run| downwards.add(*run));
        let newest = all[3..].iter().copied().collect();
        assert_eq!(upwards, Runs { newest, count: NAMED as u64 + 3 });
        assert_eq!(downwards, upwards);
    }
}
