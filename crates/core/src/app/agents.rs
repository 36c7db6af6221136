//! Agents and their revisions: create, look at, list, rename, promote, delete.

use super::ask::Steps;
use super::{App, Ask, Error, Planned};
use crate::access::{Action, Denied, Ownership};
use crate::agents::{Agent, Revision};
use crate::events::{Event, EventKind, Object, Place};
use crate::ids::{AgentId, RevisionId};
use crate::rows::{Proven, Stored};
use crate::store::{Change, Put};
use crate::text::{AgentName, RevisionName};

/// Agents or revisions read at a time.
const PAGE: u32 = 256;

/// Some of a team's agents.
pub struct AgentList {
    /// The agents, by creation.
    pub agents: Vec<Proven<Agent>>,
    /// How many there are that match.
    pub total: usize,
}

/// Some of an agent's revisions.
pub struct RevisionList {
    /// The agent, which knows the live one.
    pub agent: Proven<Agent>,
    /// The revisions, by creation.
    pub revisions: Vec<Proven<Revision>>,
    /// How many there are.
    pub total: usize,
}

impl App {
    /// Creates an agent. It has no revision yet.
    ///
    /// # Errors
    /// When the caller may not.
    pub fn create_agent(&self, ask: &Ask, name: AgentName) -> Result<Planned<Proven<Agent>>, Error> {
        let permit = ask.permit(Action::CreateAgent, Ownership::Shared)?;
        let (stored, event) = self.new_agent(ask, (AgentId::from_uuid(self.uuid()), None), name);
        let outcome = stored.proven();
        Ok(Planned::new(outcome, permit, Steps::default().and(Change::Agent(Put::new(stored)), event)))
    }

    fn new_agent(
        &self,
        ask: &Ask,
        (id, live): (AgentId, Option<RevisionId>),
        name: AgentName,
    ) -> (Stored<Agent>, Event) {
        let now = self.world.clock.now();
        let stored = self.keys.authenticate(Agent {
            id,
            team_id: ask.caller.team_id,
            name,
            live,
            generation: 0,
            created_by: ask.caller.user_id,
            created_at: now,
            updated_at: now,
            deleted_at: None,
        });
        let event = about(ask, EventKind::AgentCreated, &stored);
        (stored, event)
    }

    /// The agents whose name has this text in it, in any case: at most `limit`
    /// of those after the first `offset`.
    ///
    /// # Errors
    /// When the key isn't for it.
    pub async fn agents(
        &self,
        ask: &Ask,
        search: Option<&str>,
        (offset, limit): (usize, usize),
    ) -> Result<AgentList, Error> {
        let _permit = ask.permit(Action::ListAgents, Ownership::Shared)?;
        let search = search.map(str::to_lowercase);
        let mut list = AgentList { agents: Vec::new(), total: 0 };
        let mut after = None;
        loop {
            let suspect = ask.suspect(Object::of::<Agent>(None));
            let page = self.store.agents(ask.caller.team_id, after, PAGE).await;
            let page = self.readable(page, suspect).await?;
            let Some(newest) = page.last() else { return Ok(list) };
            after = Some(newest.row().id);
            for stored in page {
                let agent = self.noting(self.keys.verify(stored), suspect).await?;
                if search.as_deref().is_none_or(|text| agent.name.as_str().to_lowercase().contains(text)) {
                    if list.total >= offset && list.agents.len() < limit {
                        list.agents.push(agent);
                    }
                    list.total += 1;
                }
            }
        }
    }

    /// One agent.
    ///
    /// # Errors
    /// [`Denied::Invisible`] when there is none.
    pub async fn agent(&self, ask: &Ask, id: AgentId) -> Result<Proven<Agent>, Error> {
        let _permit = ask.permit(Action::ReadAgent, Ownership::Shared)?;
        self.present_agent(ask, id).await
    }

    /// An agent of the caller's team that isn't deleted.
    pub(super) async fn present_agent(&self, ask: &Ask, id: AgentId) -> Result<Proven<Agent>, Error> {
        let agent = self.any_agent(ask, id).await?.ok_or(Denied::Invisible)?;
        if agent.deleted_at.is_some() { Err(Denied::Invisible.into()) } else { Ok(agent) }
    }

    /// An agent of the caller's team, deleted or not.
    pub(super) async fn any_agent(&self, ask: &Ask, id: AgentId) -> Result<Option<Proven<Agent>>, Error> {
        let suspect = ask.suspect(Object::of::<Agent>(Some(id.uuid())));
        match self.readable(self.store.agent(ask.caller.team_id, id).await, suspect).await? {
            Some(stored) => self.noting(self.keys.verify(stored), suspect).await.map(Some),
            None => Ok(None),
        }
    }

    /// Renames an agent.
    ///
    /// # Errors
    /// When the caller may not, or there is none.
    pub async fn update_agent(
        &self,
        ask: &Ask,
        id: AgentId,
        name: &AgentName,
    ) -> Result<Planned<Proven<Agent>>, Error> {
        let permit = ask.permit(Action::UpdateAgent, Ownership::Shared)?;
        let before = self.present_agent(ask, id).await?;
        ask.demands(before.mac())?;
        if before.name == *name {
            return Ok(Planned::nothing(before));
        }
        let after = Agent { name: name.clone(), ..self.changed_agent(&before) };
        let (outcome, steps) = self.replacing_agent(ask, EventKind::AgentUpdated, &before, after);
        Ok(Planned::new(outcome, permit, steps))
    }

    /// Deletes an agent; all of its runs end with it.
    ///
    /// # Errors
    /// When the caller may not, or there is none.
    pub async fn delete_agent(&self, ask: &Ask, id: AgentId) -> Result<Planned<()>, Error> {
        let permit = ask.permit(Action::DeleteAgent, Ownership::Shared)?;
        let before = self.present_agent(ask, id).await?;
        ask.demands(before.mac())?;
        let after = Agent { deleted_at: Some(self.world.clock.now()), ..self.changed_agent(&before) };
        let (_, steps) = self.replacing_agent(ask, EventKind::AgentDeleted, &before, after);
        Ok(Planned::new((), permit, steps))
    }

    /// An agent as it is, changed now; never before it changed last.
    pub(super) fn changed_agent(&self, before: &Proven<Agent>) -> Agent {
        Agent { updated_at: self.world.clock.now().max(before.updated_at), ..Agent::clone(before) }
    }

    /// Puts an agent in the place of what it was.
    pub(super) fn replacing_agent(
        &self,
        ask: &Ask,
        kind: EventKind,
        before: &Proven<Agent>,
        after: Agent,
    ) -> (Proven<Agent>, Steps) {
        let stored = self.keys.authenticate(after);
        let event = about(ask, kind, &stored);
        let outcome = stored.proven();
        (outcome, Steps::default().and(Change::Agent(Put::over(before.mac(), stored)), event))
    }

    /// Creates a revision of an agent. The first one is live.
    ///
    /// # Errors
    /// When the caller may not, or there is no such agent.
    pub async fn create_revision(
        &self,
        ask: &Ask,
        agent: AgentId,
        name: &RevisionName,
    ) -> Result<Planned<(Proven<Revision>, Proven<Agent>)>, Error> {
        let permit = ask.permit(Action::CreateRevision, Ownership::Shared)?;
        let before = self.present_agent(ask, agent).await?;
        let (stored, event) =
            self.new_revision(ask, (agent, RevisionId::from_uuid(self.uuid())), name.clone());
        let revision = stored.proven();
        let mut steps = Steps::default().and(Change::Revision(Put::new(stored)), event);
        if before.live.is_some() {
            return Ok(Planned::new((revision, before), permit, steps));
        }
        let after = Agent { live: Some(revision.id), ..self.changed_agent(&before) };
        let (agent, live) = self.replacing_agent(ask, EventKind::AgentUpdated, &before, after);
        steps.extend(live);
        Ok(Planned::new((revision, agent), permit, steps))
    }

    fn new_revision(
        &self,
        ask: &Ask,
        (agent_id, id): (AgentId, RevisionId),
        name: RevisionName,
    ) -> (Stored<Revision>, Event) {
        let stored = self.keys.authenticate(Revision {
            id,
            team_id: ask.caller.team_id,
            agent_id,
            name,
            created_by: ask.caller.user_id,
            created_at: self.world.clock.now(),
        });
        let event = ask.event(EventKind::RevisionCreated, id.uuid(), stored.row().created_at, &stored);
        (stored, Event { place: place(agent_id, Some(id)), ..event })
    }

    /// Some revisions of an agent.
    ///
    /// # Errors
    /// When the key isn't for it, or there is no such agent.
    pub async fn revisions(
        &self,
        ask: &Ask,
        agent: AgentId,
        (offset, limit): (usize, usize),
    ) -> Result<RevisionList, Error> {
        let _permit = ask.permit(Action::ListRevisions, Ownership::Shared)?;
        let agent = self.present_agent(ask, agent).await?;
        let mut list = RevisionList { agent, revisions: Vec::new(), total: 0 };
        let mut after = None;
        loop {
            let suspect = ask.suspect(Object::of::<Revision>(None));
            let page = self.store.revisions(ask.caller.team_id, list.agent.id, after, PAGE).await;
            let page = self.readable(page, suspect).await?;
            let Some(newest) = page.last() else { return Ok(list) };
            after = Some(newest.row().id);
            for stored in page {
                if list.total >= offset && list.revisions.len() < limit {
                    list.revisions.push(self.noting(self.keys.verify(stored), suspect).await?);
                }
                list.total += 1;
            }
        }
    }

    /// One revision, and its agent.
    ///
    /// # Errors
    /// [`Denied::Invisible`] when there is none, or it is another agent's.
    pub async fn revision(
        &self,
        ask: &Ask,
        agent: AgentId,
        id: RevisionId,
    ) -> Result<(Proven<Revision>, Proven<Agent>), Error> {
        let _permit = ask.permit(Action::ReadRevision, Ownership::Shared)?;
        self.present_revision(ask, agent, id).await
    }

    /// A revision of this agent, when neither is gone.
    pub(super) async fn present_revision(
        &self,
        ask: &Ask,
        agent: AgentId,
        id: RevisionId,
    ) -> Result<(Proven<Revision>, Proven<Agent>), Error> {
        let agent = self.present_agent(ask, agent).await?;
        let revision = self.any_revision(ask, id).await?.ok_or(Denied::Invisible)?;
        if revision.agent_id == agent.id { Ok((revision, agent)) } else { Err(Denied::Invisible.into()) }
    }

    pub(super) async fn any_revision(
        &self,
        ask: &Ask,
        id: RevisionId,
    ) -> Result<Option<Proven<Revision>>, Error> {
        let suspect = ask.suspect(Object::of::<Revision>(Some(id.uuid())));
        match self.readable(self.store.revision(ask.caller.team_id, id).await, suspect).await? {
            Some(stored) => self.noting(self.keys.verify(stored), suspect).await.map(Some),
            None => Ok(None),
        }
    }

    /// Makes a revision the live one, and renames it when a name is given.
    ///
    /// # Errors
    /// When the caller may not, or there is none.
    pub async fn promote_revision(
        &self,
        ask: &Ask,
        id: RevisionId,
        name: Option<&RevisionName>,
    ) -> Result<Planned<()>, Error> {
        let permit = ask.permit(Action::PromoteRevision, Ownership::Shared)?;
        let before = self.any_revision(ask, id).await?.ok_or(Denied::Invisible)?;
        let agent = self.present_agent(ask, before.agent_id).await?;
        ask.demands(before.mac())?;
        let mut steps = Steps::default();
        if agent.live != Some(id) {
            let after = Agent { live: Some(id), ..self.changed_agent(&agent) };
            steps.extend(self.replacing_agent(ask, EventKind::AgentUpdated, &agent, after).1);
        }
        if let Some(name) = name.filter(|name| **name != before.name) {
            let after = Revision { name: name.clone(), ..Revision::clone(&before) };
            let stored = self.keys.authenticate(after);
            let event = ask.event(EventKind::RevisionUpdated, id.uuid(), self.world.clock.now(), &stored);
            let event = Event { place: place(agent.id, Some(id)), ..event };
            steps.add(Change::Revision(Put::over(before.mac(), stored)), event);
        }
        Ok(Planned::of(permit, steps))
    }

    /// The revision to which something is to be attached. Where unknown ones are
    /// to be registered, it and its agent are made with these ids.
    pub(super) async fn revision_or_new(
        &self,
        ask: &Ask,
        (agent, id): (AgentId, RevisionId),
        steps: &mut Steps,
    ) -> Result<(), Error> {
        if !self.auto_register {
            return self.present_revision(ask, agent, id).await.map(|_| ());
        }
        // The revision first: what somebody else makes between the two looks
        // exists by the time of the write, and is found by the next plan.
        let revision = self.any_revision(ask, id).await?;
        let standing = self.any_agent(ask, agent).await?;
        // One that is deleted, or another agent's, is not to be had again.
        let deleted = standing.as_ref().is_some_and(|agent| agent.deleted_at.is_some());
        let anothers = revision.as_ref().is_some_and(|revision| revision.agent_id != agent);
        if deleted || anothers {
            return Err(Denied::Invisible.into());
        }
        if revision.is_some() {
            return Ok(());
        }
        let _permits = (
            ask.permit(Action::CreateAgent, Ownership::Shared)?,
            ask.permit(Action::CreateRevision, Ownership::Shared)?,
        );
        match standing {
            Some(agent) if agent.live.is_some() => {}
            Some(before) => {
                let after = Agent { live: Some(id), ..self.changed_agent(&before) };
                steps.extend(self.replacing_agent(ask, EventKind::AgentUpdated, &before, after).1);
            }
            None => {
                let name = named_after(agent, AgentName::parse)?;
                let (stored, event) = self.new_agent(ask, (agent, Some(id)), name);
                steps.add(Change::Agent(Put::new(stored)), event);
            }
        }
        let (stored, event) = self.new_revision(ask, (agent, id), named_after(id, RevisionName::parse)?);
        steps.add(Change::Revision(Put::new(stored)), event);
        Ok(())
    }
}

/// What something is called of which only the id is known.
fn named_after<T>(
    id: impl std::fmt::Display,
    parse: impl Fn(String) -> Result<T, crate::text::Invalid>,
) -> Result<T, Error> {
    parse(id.to_string()).map_err(|refused| Error::Invalid(refused.reason().into()))
}

/// What an agent's events are about.
fn about(ask: &Ask, kind: EventKind, stored: &Stored<Agent>) -> Event {
    let agent = stored.row();
    let event = ask.event(kind, agent.id.uuid(), agent.updated_at, stored);
    Event { place: place(agent.id, agent.live), ..event }
}

/// An agent, and which revision.
pub(super) fn place(agent: AgentId, revision_id: Option<RevisionId>) -> Place {
    Place { agent_id: Some(agent), revision_id }
}
