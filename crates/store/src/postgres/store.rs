//! The database as the core's [`Store`].

use async_trait::async_trait;
use std::sync::Arc;

use super::connection::Live;
use super::transaction::Transaction;
use super::{Database, appends, walk, writes};
use crate::query;
use crate::tables::{
    agents, answers, api_keys, audit, events, fill_requests, instance, invitations, key_links, proofs,
    purge as due, runs, secrets, sessions, users,
};
use strongroom_core::agents::{Agent, Attachment, Revision};
use strongroom_core::answers::{AnswerId, KeptAnswer};
use strongroom_core::api_keys::{ApiKey, ProofRows, UsedKey};
use strongroom_core::audit::tiles::{Place, Tiles};
use strongroom_core::audit::{Gap, Head, Sealing, Span};
use strongroom_core::clock::Timestamp;
use strongroom_core::events::{Event, EventFilter, EventPage, Recorded};
use strongroom_core::fill_requests::FillRequest;
use strongroom_core::instance::{Instance, NewInstance, RootCopy};
use strongroom_core::invitations::Invitation;
use strongroom_core::key_links::KeyLink;
use strongroom_core::keyring::WrappedKey;
use strongroom_core::rows::Stored;
use strongroom_core::runs::{Delivery, RunsOf, StoredRun};
use strongroom_core::sealing::Sealed;
use strongroom_core::secrets::{Secret, Version};
use strongroom_core::sessions::Session;
use strongroom_core::sign_ins::SignIn;
use strongroom_core::store::{AnyRow, ByDay, Days, Held, KeyTurn, Purge, Write};
use strongroom_core::teams::Team;
use strongroom_core::text::Email;
use strongroom_core::users::{Membership, StoredMember, TeamPlace, User};
use strongroom_core::{
    AgentId, ApiKeyId, FillRequestId, InvitationId, KeyId, KeyLinkId, RevisionId, RunId, SecretId, SessionId,
    Store, StoreError, TeamId, UserId,
};

impl Database {
    /// Runs a transaction that goes on when its caller goes away.
    async fn transact<P: Send + Sync + 'static>(
        &self,
        what: P,
        plan: impl Fn(&P) -> Transaction<'_> + Send + Sync + 'static,
    ) -> Result<u64, StoreError> {
        let writers = Arc::clone(&self.writers);
        let run = self.home.spawn(async move { writers.transact(|| plan(&what)).await });
        run.await.unwrap_or(Err(StoreError::Stopped))
    }
}

#[async_trait]
impl Store for Database {
    async fn instance(&self) -> Result<Option<Stored<Instance>>, StoreError> {
        self.readers.one(instance::instance()).await
    }

    async fn create_instance(&self, new: NewInstance) -> Result<(), StoreError> {
        self.transact(new, writes::found).await.map(|_| ())
    }

    async fn purpose_keys(&self) -> Result<Vec<WrappedKey>, StoreError> {
        self.readers.all(instance::purpose_keys()).await
    }

    async fn add_purpose_key(&self, key: WrappedKey) -> Result<(), StoreError> {
        self.transact(key, writes::adding_key).await.map(|_| ())
    }

    async fn keys(&self) -> Result<Vec<WrappedKey>, StoreError> {
        self.readers.all_aside(instance::all_keys()).await
    }

    async fn root_copies(&self) -> Result<Vec<Stored<RootCopy>>, StoreError> {
        match self.readers.one(instance::has_root_copies()).await? {
            None | Some(0) => Ok(Vec::new()),
            Some(_) => self.readers.all(instance::root_copies()).await,
        }
    }

    async fn turn_keys(&self, turn: KeyTurn) -> Result<(), StoreError> {
        self.transact(turn, writes::turning).await.map(|_| ())
    }

    async fn close_ways(&self, before: Timestamp) -> Result<u64, StoreError> {
        self.transact(before, |before| writes::closing_ways(*before)).await
    }

    async fn events_of_keys(&self, limit: u32) -> Result<Vec<Recorded>, StoreError> {
        self.readers.all_aside(instance::key_events(limit)).await
    }

    async fn team_keys(&self, team: TeamId) -> Result<Vec<WrappedKey>, StoreError> {
        self.readers.all(instance::team_keys(team)).await
    }

    async fn teams_with_older_keys(&self) -> Result<Vec<(TeamId, u16)>, StoreError> {
        self.readers.all_aside(instance::teams_with_older_keys()).await
    }

    async fn versions_of_team(
        &self,
        team: TeamId,
        after: Option<(SecretId, u32)>,
        limit: u32,
    ) -> Result<Vec<Version>, StoreError> {
        self.readers.all_aside(secrets::versions_of_team(team, after, limit)).await
    }

    async fn count_versions(&self, team: TeamId, key: KeyId) -> Result<(u64, u64), StoreError> {
        let counted = self.readers.all_aside(secrets::count_versions(team, key)).await?.first().copied();
        Ok(counted.map_or((0, 0), |(all, left)| (all.unsigned_abs(), left)))
    }

    async fn reseal(&self, versions: Vec<(Version, Sealed)>) -> Result<u64, StoreError> {
        let all = u64::try_from(versions.len()).unwrap_or(u64::MAX);
        // Which of them somebody else changed meanwhile is seen at the next look.
        self.transact(versions, |versions| writes::resealing(versions)).await.map(|_| all)
    }

    async fn retire_keys(&self, team: TeamId, before: u16, event: Event) -> Result<(), StoreError> {
        self.transact((team, before, event), writes::retiring).await.map(|_| ())
    }

    async fn key_rows(&self, key: ApiKeyId) -> Result<Option<ProofRows<ApiKey>>, StoreError> {
        self.readers.one(proofs::of_key(key)).await
    }

    async fn link_rows(&self, link: KeyLinkId) -> Result<Option<ProofRows<KeyLink>>, StoreError> {
        self.readers.one(proofs::of_link(link)).await
    }

    async fn session_rows(&self, session: SessionId) -> Result<Option<ProofRows<Session>>, StoreError> {
        self.readers.one(proofs::of_session(session)).await
    }

    async fn invitation_rows(
        &self,
        invitation: InvitationId,
    ) -> Result<Option<ProofRows<Invitation>>, StoreError> {
        self.readers.one(proofs::of_invitation(invitation)).await
    }

    async fn sign_in(&self, user: UserId) -> Result<Option<Stored<SignIn>>, StoreError> {
        self.readers.one(query::by_key([user.as_bytes()])).await
    }

    async fn sessions(
        &self,
        user: UserId,
        beyond: Timestamp,
        limit: u32,
    ) -> Result<Vec<Stored<Session>>, StoreError> {
        self.readers.all(sessions::open(user, beyond, limit)).await
    }

    async fn places(
        &self,
        user: UserId,
        limit: u32,
    ) -> Result<Vec<TeamPlace<Stored<Membership>, Stored<Team>>>, StoreError> {
        self.readers.all(users::places(user, limit)).await
    }

    async fn invitation(
        &self,
        team: TeamId,
        invitation: InvitationId,
    ) -> Result<Option<Stored<Invitation>>, StoreError> {
        let found = self.readers.one(query::by_key::<Invitation>([invitation.as_bytes()])).await?;
        Ok(found.filter(|found| found.row().team_id == team))
    }

    async fn invitations(
        &self,
        team: TeamId,
        after: Option<InvitationId>,
        limit: u32,
    ) -> Result<Vec<Stored<Invitation>>, StoreError> {
        self.readers.all(invitations::open(team, after, limit)).await
    }

    async fn fill_request_rows(
        &self,
        request: FillRequestId,
    ) -> Result<Option<ProofRows<FillRequest>>, StoreError> {
        self.readers.one(proofs::of_fill(request)).await
    }

    async fn fill_request(
        &self,
        team: TeamId,
        request: FillRequestId,
    ) -> Result<Option<Stored<FillRequest>>, StoreError> {
        let found = self.readers.one(query::by_key::<FillRequest>([request.as_bytes()])).await?;
        Ok(found.filter(|found| found.row().team_id == team))
    }

    async fn fill_requests(
        &self,
        whose: (TeamId, Option<UserId>),
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<Stored<FillRequest>>, StoreError> {
        self.readers.all(fill_requests::open(whose, now, limit)).await
    }

    async fn forget_fill_requests(&self, before: Timestamp, limit: u32) -> Result<u32, StoreError> {
        let forgotten = self.transact((before, limit), writes::forgetting_fill_requests).await?;
        Ok(u32::try_from(forgotten).unwrap_or(limit))
    }

    async fn forget_sessions(&self, before: Timestamp, limit: u32) -> Result<u32, StoreError> {
        let invitations = self.transact((before, limit), writes::forgetting_invitations).await?;
        let sessions = self.transact((before, limit), writes::forgetting_sessions).await?;
        Ok(u32::try_from(invitations + sessions).unwrap_or(limit))
    }

    async fn secret(&self, team: TeamId, id: SecretId) -> Result<Option<Stored<Secret>>, StoreError> {
        self.readers.one(query::by_key([team.as_bytes(), id.as_bytes()])).await
    }

    async fn secrets_visible_to(
        &self,
        team: TeamId,
        user: UserId,
        after: Option<SecretId>,
        limit: u32,
    ) -> Result<Vec<Stored<Secret>>, StoreError> {
        self.readers.all(secrets::visible((team, user), after, limit)).await
    }

    async fn deleted_secrets(
        &self,
        team: TeamId,
        user: UserId,
        limit: u32,
    ) -> Result<Vec<Stored<Secret>>, StoreError> {
        self.readers.all(secrets::deleted((team, user), limit)).await
    }

    async fn version(&self, secret: SecretId, number: u32) -> Result<Option<Version>, StoreError> {
        self.readers.one(secrets::version(secret, number)).await
    }

    async fn versions(&self, secret: SecretId, after: u32, limit: u32) -> Result<Vec<Version>, StoreError> {
        self.readers.all(secrets::versions(secret, after, limit)).await
    }

    async fn team(&self, team: TeamId) -> Result<Option<Stored<Team>>, StoreError> {
        self.readers.one(query::by_key([team.as_bytes()])).await
    }

    async fn member(&self, team: TeamId, user: UserId) -> Result<Option<StoredMember>, StoreError> {
        self.readers.one(users::member(team, user)).await
    }

    async fn members(
        &self,
        team: TeamId,
        after: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<StoredMember>, StoreError> {
        self.readers.all(users::members(team, after, limit)).await
    }

    async fn user(&self, user: UserId) -> Result<Option<Stored<User>>, StoreError> {
        self.readers.one(query::by_key([user.as_bytes()])).await
    }

    async fn user_by_email(&self, email: &Email) -> Result<Option<Stored<User>>, StoreError> {
        self.readers.one(users::by_email(email)).await
    }

    async fn api_key(&self, team: TeamId, key: ApiKeyId) -> Result<Option<Stored<ApiKey>>, StoreError> {
        let found = self.readers.one(query::by_key::<ApiKey>([key.as_bytes()])).await?;
        Ok(found.filter(|found| found.row().team_id == team))
    }

    async fn api_keys(
        &self,
        team: TeamId,
        user: Option<UserId>,
        after: Option<ApiKeyId>,
        limit: u32,
    ) -> Result<Vec<UsedKey<Stored<ApiKey>>>, StoreError> {
        self.readers.all(api_keys::keys((team, user), after, limit)).await
    }

    async fn key_link(&self, team: TeamId, link: KeyLinkId) -> Result<Option<Stored<KeyLink>>, StoreError> {
        let found = self.readers.one(query::by_key::<KeyLink>([link.as_bytes()])).await?;
        Ok(found.filter(|found| found.row().team_id == team))
    }

    async fn key_links(
        &self,
        team: TeamId,
        after: Option<KeyLinkId>,
        limit: u32,
    ) -> Result<Vec<Stored<KeyLink>>, StoreError> {
        self.readers.all(key_links::open(team, after, limit)).await
    }

    async fn agent(&self, team: TeamId, agent: AgentId) -> Result<Option<Stored<Agent>>, StoreError> {
        self.readers.one(query::by_key([team.as_bytes(), agent.as_bytes()])).await
    }

    async fn agents(
        &self,
        team: TeamId,
        after: Option<AgentId>,
        limit: u32,
    ) -> Result<Vec<Stored<Agent>>, StoreError> {
        self.readers.all(agents::agents(team, after, limit)).await
    }

    async fn revision(
        &self,
        team: TeamId,
        revision: RevisionId,
    ) -> Result<Option<Stored<Revision>>, StoreError> {
        self.readers.one(agents::revision(team, revision)).await
    }

    async fn revisions(
        &self,
        team: TeamId,
        agent: AgentId,
        after: Option<RevisionId>,
        limit: u32,
    ) -> Result<Vec<Stored<Revision>>, StoreError> {
        self.readers.all(agents::revisions((team, agent), after, limit)).await
    }

    async fn attachments(
        &self,
        team: TeamId,
        revision: RevisionId,
    ) -> Result<Vec<Stored<Attachment>>, StoreError> {
        self.readers.all(agents::attachments(team, revision)).await
    }

    async fn attachments_of(
        &self,
        team: TeamId,
        secret: SecretId,
        limit: u32,
    ) -> Result<Vec<Stored<Attachment>>, StoreError> {
        self.readers.all(agents::attachments_of(team, secret, limit)).await
    }

    async fn run(&self, run: RunId) -> Result<Option<StoredRun>, StoreError> {
        self.readers.one(runs::run(run)).await
    }

    async fn runs(&self, team: TeamId, of: RunsOf, page: (u32, u32)) -> Result<Vec<StoredRun>, StoreError> {
        self.readers.all_aside(runs::page((team, of), page)).await
    }

    async fn open_runs(
        &self,
        team: TeamId,
        of: RunsOf,
        at: Timestamp,
        page: (Option<RunId>, u32),
    ) -> Result<Vec<StoredRun>, StoreError> {
        self.readers.all_aside(runs::open((team, of), at, page)).await
    }

    async fn runs_by_day(&self, team: TeamId, since: Timestamp, most: u32) -> Result<ByDay, StoreError> {
        let runs = self.readers.all_aside(runs::by_day(team, since, most)).await?;
        let deliveries = self.readers.all_aside(runs::deliveries_by_day(team, since, most)).await?;
        Ok(ByDay { runs, deliveries })
    }

    async fn refusals_by_day(&self, team: TeamId, since: Timestamp, most: u32) -> Result<Days, StoreError> {
        self.readers.all_aside(events::refusals_by_day(team, since, most)).await
    }

    async fn count_runs(&self, team: TeamId, of: RunsOf) -> Result<u64, StoreError> {
        Ok(self.readers.all_aside(runs::count(team, of)).await?.first().copied().unwrap_or(0))
    }

    async fn deliveries(
        &self,
        team: TeamId,
        of: RunsOf,
        page: (Option<RunId>, u32),
    ) -> Result<Vec<(RunId, Option<Delivery>)>, StoreError> {
        self.readers.all_aside(runs::deliveries((team, of), page)).await
    }

    async fn deliveries_of(&self, secret: SecretId, limit: u32) -> Result<Vec<Delivery>, StoreError> {
        self.readers.all(runs::deliveries_of(secret, limit)).await
    }

    async fn forget_runs(&self, limit: u32) -> Result<u32, StoreError> {
        let forgotten = self.transact(limit, writes::forgetting_runs).await?;
        Ok(u32::try_from(forgotten).unwrap_or(limit))
    }

    async fn answer(&self, id: AnswerId) -> Result<Option<Stored<KeptAnswer>>, StoreError> {
        self.readers.one(answers::answer(id)).await
    }

    async fn write(&self, write: Write) -> Result<(), StoreError> {
        if appends::only_adds(&write) {
            return self.appends.write(write).await;
        }
        self.transact(write, writes::of).await.map(|_| ())
    }

    async fn hold(&self, team: TeamId, ids: &[SecretId]) -> Result<Held, StoreError> {
        let turn = Arc::clone(&self.holding).lock_owned().await;
        // Ends with its connection, which is this transaction's alone.
        let hold = |live: Arc<Live>| async move {
            live.say("BEGIN").await?;
            live.run_columns(&live.prepare(&secrets::hold().postgres).await?, &secrets::held(team, ids))
                .await?;
            Ok(Held::by((live, turn)))
        };
        self.link().with(hold).await.map_err(|fault| fault.into_store_error("secrets"))
    }

    async fn keep_answer(&self, answer: Stored<KeptAnswer>) -> Result<(), StoreError> {
        self.transact(answer, writes::keeping).await.map(|_| ())
    }

    async fn forget_answers(&self, before: Timestamp, limit: u32) -> Result<u32, StoreError> {
        let forgotten = self.transact((before, limit), writes::forgetting_answers).await?;
        Ok(u32::try_from(forgotten).unwrap_or(limit))
    }

    async fn note_uses(&self, uses: Vec<(ApiKeyId, Timestamp)>) -> Result<(), StoreError> {
        self.transact(uses, writes::noting).await.map(|_| ())
    }

    async fn secrets_due(
        &self,
        before: Timestamp,
        skip: u32,
        limit: u32,
    ) -> Result<Vec<Option<Stored<Secret>>>, StoreError> {
        self.readers.all_readable(due::secrets(before, (skip, limit))).await
    }

    async fn teams_due(&self, before: Timestamp) -> Result<Vec<Option<Stored<Team>>>, StoreError> {
        self.readers.all_readable(due::teams(before)).await
    }

    async fn purge(&self, purges: Vec<(Purge, Event)>) -> Result<(), StoreError> {
        self.transact(purges, writes::purging).await.map(|_| ())
    }

    async fn record_all(&self, events: Arc<[Event]>) -> Result<Option<i64>, StoreError> {
        // Other servers record as well: places are between those of these.
        self.transact(events, |events| writes::recording(events)).await.map(|_| None)
    }

    async fn events(
        &self,
        team: TeamId,
        filter: &EventFilter,
        before: Option<i64>,
        limit: u32,
    ) -> Result<EventPage, StoreError> {
        let search = events::Search::new(team, filter, before, limit);
        let end = match search.end() {
            Some(end) => self.readers.all_aside(end).await?.first().copied(),
            None => None,
        };
        Ok(search.page(end, self.readers.all_aside(search.found(end)).await?))
    }

    async fn run_requests(
        &self,
        team: TeamId,
        run: RunId,
        before: Option<i64>,
        limit: u32,
    ) -> Result<EventPage, StoreError> {
        let found = self.readers.all_aside(events::of_run((team, run), before, limit)).await?;
        Ok(events::page_of_run(found, limit))
    }

    async fn audit_head(&self) -> Result<Option<Head>, StoreError> {
        self.readers.one(audit::head()).await
    }

    async fn audit_tiles(&self, places: &[Place]) -> Result<Tiles, StoreError> {
        self.readers.all(audit::tiles(places)).await.map(audit::by_place)
    }

    async fn audit_spans(&self, leaf: u64, limit: u32) -> Result<Vec<Span>, StoreError> {
        self.readers.all(audit::spans(leaf, limit)).await
    }

    async fn audit_spans_by_place(&self, sequence: i64, limit: u32) -> Result<Vec<Span>, StoreError> {
        self.readers.all(audit::spans_by_place(sequence, limit)).await
    }

    async fn recorded(
        &self,
        places: Gap,
        team: Option<TeamId>,
        limit: u32,
    ) -> Result<Vec<Recorded>, StoreError> {
        self.readers.all_aside(audit::recorded(places, team, limit)).await
    }

    async fn recorded_within(&self, gaps: &[Gap], limit: u32) -> Result<Vec<Recorded>, StoreError> {
        self.readers.all_aside(audit::within(gaps, limit)).await
    }

    async fn audit_sink(&self, name: &str) -> Result<Option<u64>, StoreError> {
        self.readers.one(audit::sink(name)).await
    }

    async fn move_audit_sink(&self, name: &str, leaf: u64) -> Result<(), StoreError> {
        self.transact((name.to_owned(), leaf), writes::moving_sink).await.map(|_| ())
    }

    async fn seal_events(&self, sealing: Sealing) -> Result<(), StoreError> {
        self.transact(sealing, writes::sealing).await.map(|_| ())
    }

    async fn walk(&self, visit: &mut (dyn FnMut(AnyRow) + Send)) -> Result<(), StoreError> {
        walk::walk(&self.link(), visit).await
    }

    async fn rows(&self) -> Result<u64, StoreError> {
        walk::count(&self.link()).await
    }

    async fn elected(&self) -> Result<bool, StoreError> {
        self.election.won().await.map_err(|fault| fault.into_store_error("election"))
    }

    async fn stopped(&self) {
        // With the thread that adds rows, and for nothing else: whatever became of a commit
        // can be asked of the server.
        self.appends.stopped().await;
    }
}
