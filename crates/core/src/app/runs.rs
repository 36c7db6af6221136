//! Runs: start, look at, list, extend, stop.

use super::agents::place;
use super::ask::Steps;
use super::attachments::Attached;
use super::{App, Ask, Error, Planned};
use crate::access::{Action, Caller, Denied, Means, Ownership};
use crate::agents::Agent;
use crate::clock::Timestamp;
use crate::environment::{Composition, Winner, is_received, winners};
use crate::events::{Event, EventKind, EventPage, Object};
use crate::ids::{AgentId, RevisionId, RunId, SecretId};
use crate::rows::{Proven, Stored};
use crate::runs::{Delivery, ProvenRun, Run, RunMode, RunsOf, StoredRun};
use crate::secrets::Secret;
use crate::store::{Change, Put, StoreError};
use crate::text::RunNote;
use crate::tokens::{Token, TokenKind};

/// The most deliveries of a secret in an answer.
const DELIVERIES: u32 = 1_000;

/// The most names in an environment, and their bytes together: they are stored
/// with each run, and read whenever runs are listed.
const MOST_NAMES: usize = 1_024;
const MOST_NAME_BYTES: usize = 32 << 10;

/// What a caller gives to start a run.
pub struct NewRun {
    /// Of which agent.
    pub agent: AgentId,
    /// Of which revision; `None`: the live one.
    pub revision: Option<RevisionId>,
    /// Whether no two secrets may have a value of the same name.
    pub strict: bool,
    /// What it is for.
    pub note: Option<RunNote>,
    /// How long its lease is to be, in seconds.
    pub lease: u32,
    /// How it is to get its values.
    pub mode: RunMode,
}

/// A new run, and its tokens, which are shown once.
pub struct StartedRun {
    /// The run.
    pub run: Proven<Run>,
    /// Its token.
    pub token: Token,
    /// Its token for the broker, if it is to go by that.
    pub broker_token: Option<Token>,
}

/// Some of a team's runs.
pub struct RunList {
    /// The runs, the newest first, with what they hang on.
    pub runs: Vec<ProvenRun>,
    /// How many there are.
    pub total: u64,
}

impl App {
    /// Starts a run: a lease on the values of what is attached to the revision
    /// and there for the caller, or on their use by the broker.
    ///
    /// # Errors
    /// When the caller may not, there is no such revision, secrets collide
    /// that may not, or there is no broker.
    pub async fn start_run(&self, ask: &Ask, new: &NewRun) -> Result<Planned<StartedRun>, Error> {
        let permit = ask.permit(Action::StartRun, Ownership::Shared)?;
        if ask.caller.grant.agents.as_ref().is_some_and(|agents| !agents.iter().any(|one| one == new.agent)) {
            return Err(Denied::Agent.into());
        }
        if new.mode == RunMode::Broker && self.broker.is_none() {
            return Err(Error::Conflict("this server has no broker; start it with --broker-listen"));
        }
        let (agent, revision) = self.runnable(ask, new).await?;
        let mut attached = self.attached(ask, revision).await?;
        attached.retain(|attached| is_received(&attached.secret, new.mode));
        let secrets: Vec<&Secret> = attached.iter().map(|attached| &*attached.secret).collect();
        let won = winners(secrets.iter().map(|secret| secret.env_keys.as_slice()));
        if new.strict {
            refuse_collisions(&won)?;
        }
        refuse_too_many(&won)?;
        let (stored, outcome) = self.mint_run(ask, new, (&agent, revision), Composition::new(secrets))?;
        let event = run_event(ask, EventKind::RunStarted, &stored);
        let mut steps = Steps::default()
            // Whoever revokes the agent's runs revokes this one, too.
            .with(Change::AgentIs(agent.team_id, agent.id, agent.mac()));
        for Attached { attachment, secret } in &attached {
            // What is detached by now is in no run that is started from now on.
            steps = steps.with(Change::AttachmentIs(agent.team_id, revision, secret.id, attachment.mac()));
        }
        Ok(Planned::new(outcome, permit, steps.and(Change::Run(Put::new(stored)), event)))
    }

    async fn runnable(&self, ask: &Ask, new: &NewRun) -> Result<(Proven<Agent>, RevisionId), Error> {
        if let Some(revision) = new.revision {
            let (revision, agent) = self.present_revision(ask, new.agent, revision).await?;
            return Ok((agent, revision.id));
        }
        let agent = self.present_agent(ask, new.agent).await?;
        let live = agent.live.ok_or(Error::Conflict("this agent has no revision yet; create one first"))?;
        Ok((agent, live))
    }

    fn mint_run(
        &self,
        ask: &Ask,
        new: &NewRun,
        (agent, revision_id): (&Agent, RevisionId),
        composition: Composition,
    ) -> Result<(Stored<Run>, StartedRun), Error> {
        let (id, now) = (RunId::from_uuid(self.uuid()), self.world.clock.now());
        let minted = |kind| Token::mint(kind, id.uuid(), &*self.world.random);
        let token = minted(TokenKind::Run);
        let broker_token = (new.mode == RunMode::Broker).then(|| minted(TokenKind::Broker));
        let run = Run {
            id,
            team_id: ask.caller.team_id,
            agent_id: agent.id,
            revision_id,
            user_id: ask.caller.user_id,
            key_id: ask.key()?,
            generation: agent.generation,
            strict: new.strict,
            note: new.note.clone(),
            composition,
            token_hash: self.keys.hash(&token),
            lease: new.lease,
            created_at: now,
            updated_at: now,
            expires_at: lease_end(now, new.lease, ask.caller.grant.expires_at),
            stopped_at: None,
            revoked_at: None,
            mode: new.mode,
            broker_hash: broker_token.as_ref().map(|token| self.keys.hash(token)),
        };
        let stored = self.keys.authenticate(run);
        let started = StartedRun { run: stored.proven(), token, broker_token };
        Ok((stored, started))
    }

    /// The team's runs, or an agent's: at most `limit` behind the newest `offset`.
    ///
    /// # Errors
    /// When the key isn't for it, or there is no such agent.
    pub async fn runs(&self, ask: &Ask, agent: Option<AgentId>, page: (u32, u32)) -> Result<RunList, Error> {
        let _permit = ask.permit(Action::ListRuns, Ownership::Shared)?;
        let of = match agent {
            Some(agent) => RunsOf::Agent(self.present_agent(ask, agent).await?.id),
            None => RunsOf::Team,
        };
        let total = self.store.count_runs(ask.caller.team_id, of).await?;
        let runs = self.store.runs(ask.caller.team_id, of, page).await;
        Ok(RunList { runs: self.proven_runs(ask, runs).await?, total })
    }

    /// Runs that were read, if each is what this server wrote.
    pub(super) async fn proven_runs(
        &self,
        ask: &Ask,
        stored: Result<Vec<StoredRun>, StoreError>,
    ) -> Result<Vec<ProvenRun>, Error> {
        let suspect = ask.suspect(Object::of::<Run>(None));
        let stored = self.readable(stored, suspect).await?;
        let mut runs = Vec::with_capacity(stored.len());
        for run in stored {
            runs.push(self.noting(self.prove_run(run), suspect).await?);
        }
        Ok(runs)
    }

    /// One run, with what it hangs on.
    ///
    /// # Errors
    /// [`Denied::Invisible`] when there is none.
    pub async fn run(&self, ask: &Ask, id: RunId) -> Result<ProvenRun, Error> {
        let _permit = ask.permit(Action::ReadRun, Ownership::Shared)?;
        self.present_run(ask, id).await
    }

    /// A run of the caller's team.
    pub(super) async fn present_run(&self, ask: &Ask, id: RunId) -> Result<ProvenRun, Error> {
        let suspect = ask.suspect(Object::of::<Run>(Some(id.uuid())));
        let run = self.run_rows(id, suspect).await?.filter(|rows| rows.run.team_id == ask.caller.team_id);
        Ok(run.ok_or(Denied::Invisible)?)
    }

    /// Stops a run: its token is refused from the answer on. One that is over
    /// stays so.
    ///
    /// # Errors
    /// When the caller may not, or there is none.
    pub async fn stop_run(&self, ask: &Ask, id: RunId) -> Result<Planned<()>, Error> {
        ask.caller.screen(Action::StopRun)?;
        let rows = self.present_run(ask, id).await?;
        let permit = ask.permit(Action::StopRun, ask.caller.concern(rows.run.user_id))?;
        ask.demands(rows.run.mac())?;
        // One that is revoked by what it hangs on may come back with that.
        if rows.run.is_over(self.world.clock.now()) {
            return Ok(Planned::nothing(()));
        }
        Ok(Planned::new((), permit, self.stopping(ask, &rows.run)))
    }

    fn stopping(&self, ask: &Ask, run: &Proven<Run>) -> Steps {
        let after = Run { stopped_at: Some(self.world.clock.now()), ..self.changed_run(run) };
        self.replacing_run(ask, EventKind::RunStopped, run, after).1
    }

    /// A run as it is, changed now; never before it changed last.
    pub(super) fn changed_run(&self, before: &Proven<Run>) -> Run {
        Run { updated_at: self.world.clock.now().max(before.updated_at), ..Run::clone(before) }
    }

    /// Puts a run in the place of what it was.
    pub(super) fn replacing_run(
        &self,
        ask: &Ask,
        kind: EventKind,
        before: &Proven<Run>,
        after: Run,
    ) -> (Proven<Run>, Steps) {
        let stored = self.keys.authenticate(after);
        let event = run_event(ask, kind, &stored);
        let outcome = stored.proven();
        (outcome, Steps::default().and(Change::Run(Put::over(before.mac(), stored)), event))
    }

    /// The caller's own run as it is by now, and the caller by it.
    pub(super) async fn own_run(&self, ask: &Ask) -> Result<(ProvenRun, Ask), Error> {
        let Means::Run(id) = ask.caller.means else { return Err(Denied::Invisible.into()) };
        self.callers.forget(&ask.caller.means);
        let suspect = ask.suspect(Object::of::<Run>(Some(id.uuid())));
        let rows = self.run_rows(id, suspect).await?.ok_or(Error::NotProven)?;
        let caller: Caller = self.running(rows.clone())?;
        Ok((rows, Ask { caller, ..ask.clone() }))
    }

    /// Extends the lease of the caller's run from now on; what is left of it
    /// isn't shortened.
    ///
    /// # Errors
    /// [`Error::RunOver`] when it is over.
    pub async fn extend_run(&self, ask: &Ask, lease: Option<u32>) -> Result<Planned<ProvenRun>, Error> {
        let (rows, ask) = self.own_run(ask).await?;
        let permit = ask.permit(Action::ExtendRun, Ownership::Own)?;
        ask.demands(rows.run.mac())?;
        let (now, lease) = (self.world.clock.now(), lease.unwrap_or(rows.run.lease));
        // Never shorter: whoever asks again in the meantime has been promised more.
        let expires_at = lease_end(now, lease, rows.key.grant.expires_at).max(rows.run.expires_at);
        let after = Run { expires_at, ..self.changed_run(&rows.run) };
        let (run, steps) = self.replacing_run(&ask, EventKind::RunExtended, &rows.run, after);
        Ok(Planned::new(ProvenRun { run, ..rows }, permit, steps))
    }

    /// Ends the caller's run.
    ///
    /// # Errors
    /// [`Error::RunOver`] when it is over.
    pub async fn end_run(&self, ask: &Ask) -> Result<Planned<()>, Error> {
        let (rows, ask) = self.own_run(ask).await?;
        let permit = ask.permit(Action::EndRun, Ownership::Own)?;
        ask.demands(rows.run.mac())?;
        Ok(Planned::new((), permit, self.stopping(&ask, &rows.run)))
    }

    /// Which requests a run made through the broker, the newest first: at most `limit` of those
    /// before this place.
    ///
    /// # Errors
    /// When the caller may not see it, or there is no such run.
    pub async fn run_requests(
        &self,
        ask: &Ask,
        id: RunId,
        before: Option<i64>,
        limit: u32,
    ) -> Result<EventPage, Error> {
        ask.caller.screen(Action::ListRunRequests)?;
        let rows = self.present_run(ask, id).await?;
        let _permit = ask.permit(Action::ListRunRequests, ask.caller.concern(rows.run.user_id))?;
        let object = Object { table: "events", ..Object::default() };
        let found = self.store.run_requests(ask.caller.team_id, id, before, limit).await;
        self.readable(found, ask.suspect(object)).await
    }

    /// What a run received.
    ///
    /// # Errors
    /// When the caller may not see it, or there is no such run.
    pub async fn deliveries(&self, ask: &Ask, id: RunId) -> Result<Vec<Delivery>, Error> {
        ask.caller.screen(Action::ListDeliveries)?;
        let rows = self.present_run(ask, id).await?;
        let _permit = ask.permit(Action::ListDeliveries, ask.caller.concern(rows.run.user_id))?;
        let received = self.store.deliveries(ask.caller.team_id, RunsOf::Run(id), (None, 1)).await;
        let received = self.noted(ask, received).await?;
        Ok(received.into_iter().filter_map(|(_, delivery)| delivery).collect())
    }

    /// Which runs received a secret.
    ///
    /// # Errors
    /// When the caller doesn't see the secret.
    pub async fn secret_runs(&self, ask: &Ask, id: SecretId) -> Result<Vec<Delivery>, Error> {
        self.present(ask, Action::ListSecretRuns, id).await?;
        self.noted(ask, self.store.deliveries_of(id, DELIVERIES).await).await
    }

    /// Deliveries as they were read; they have no MAC, but must be readable.
    pub(super) async fn noted<T>(&self, ask: &Ask, read: Result<T, StoreError>) -> Result<T, Error> {
        let object = Object { table: "deliveries", ..Object::default() };
        self.readable(read, ask.suspect(object)).await
    }
}

/// When a lease ends that is asked for now. It doesn't outlive its key.
fn lease_end(now: Timestamp, lease: u32, key_ends: Option<Timestamp>) -> Timestamp {
    let end = Timestamp::from_millis(now.as_millis().saturating_add(i64::from(lease) * 1_000));
    key_ends.map_or(end, |key_ends| key_ends.min(end))
}

/// Refuses more names than a run's row is to hold.
fn refuse_too_many(winners: &[Winner]) -> Result<(), Error> {
    let bytes = winners.iter().map(|winner| winner.key.as_str().len()).sum::<usize>();
    if winners.len() > MOST_NAMES || bytes > MOST_NAME_BYTES {
        return Err(Error::Conflict(
            "a run's environment has at most 1,024 names of 32 KiB together; detach a secret, or rename its values",
        ));
    }
    Ok(())
}

/// Refuses two values of the same name.
pub(super) fn refuse_collisions(winners: &[Winner]) -> Result<(), Error> {
    let collide = winners.iter().filter(|winner| !winner.over.is_empty());
    let names: Vec<_> = collide.map(|winner| winner.key.as_str()).take(8).collect();
    if names.is_empty() {
        return Ok(());
    }
    Err(Error::Collision(names.join(", ")))
}

/// What a run's events are about.
fn run_event(ask: &Ask, kind: EventKind, stored: &Stored<Run>) -> Event {
    let run = stored.row();
    let event = ask.event(kind, run.id.uuid(), run.updated_at, stored);
    Event { place: place(run.agent_id, Some(run.revision_id)), ..event }
}
