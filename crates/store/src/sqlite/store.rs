//! The database as the core's [`Store`]: reads inline, changes through the writer.

use async_trait::async_trait;
use rusqlite::Connection;
use std::sync::Arc;

use super::{Database, connection, purge, rows, tables, walk, writes};
use crate::query::{self, Query};
use crate::tables::{
    Read, agents, answers, api_keys, audit, events, fill_requests, instance, invitations, key_links, proofs,
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
    fn one<T: Read>(&self, query: &Query<'_, T>) -> Result<Option<T>, StoreError> {
        self.readers.read(query.table, |connection| tables::one(connection, query))
    }

    fn all<T: Read>(&self, query: &Query<'_, T>) -> Result<Vec<T>, StoreError> {
        self.readers.read(query.table, |connection| tables::all(connection, query))
    }

    /// Reads what may be whole teams: not where requests are answered.
    async fn aside<T: Read + Send + 'static>(&self, query: Query<'static, T>) -> Result<Vec<T>, StoreError> {
        self.read_aside(query.table, move |connection| tables::all(connection, &query)).await
    }

    async fn read_aside<T: Send + 'static>(
        &self,
        table: &'static str,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let readers = Arc::clone(&self.readers);
        let aside = tokio::task::spawn_blocking(move || readers.read_long(table, read));
        aside.await.unwrap_or(Err(StoreError::Stopped))
    }
}

#[async_trait]
impl Store for Database {
    async fn instance(&self) -> Result<Option<Stored<Instance>>, StoreError> {
        self.one(&instance::instance())
    }

    async fn create_instance(&self, new: NewInstance) -> Result<(), StoreError> {
        self.writer()?.write(move |transaction| writes::found(transaction, &new)).await
    }

    async fn purpose_keys(&self) -> Result<Vec<WrappedKey>, StoreError> {
        self.all(&instance::purpose_keys())
    }

    async fn add_purpose_key(&self, key: WrappedKey) -> Result<(), StoreError> {
        let add = move |transaction: &Connection| {
            writes::sealed_alike(transaction, &key)?;
            tables::execute(transaction, &instance::add_purpose_key(&key)).map(|_| ())
        };
        self.writer()?.write(add).await
    }

    async fn keys(&self) -> Result<Vec<WrappedKey>, StoreError> {
        self.aside(instance::all_keys()).await
    }

    async fn root_copies(&self) -> Result<Vec<Stored<RootCopy>>, StoreError> {
        let copies = instance::root_copies();
        self.readers.read(copies.table, |connection| {
            if connection.table_exists(None, copies.table)? {
                tables::all(connection, &copies)
            } else {
                Ok(Vec::new())
            }
        })
    }

    async fn turn_keys(&self, turn: KeyTurn) -> Result<(), StoreError> {
        self.writer()?.write(move |transaction| writes::turn(transaction, &turn)).await
    }

    async fn close_ways(&self, before: Timestamp) -> Result<u64, StoreError> {
        let close = move |transaction: &Connection| {
            let closed = tables::execute(transaction, &instance::close_ways(before))?;
            Ok(u64::try_from(closed).unwrap_or(0))
        };
        self.writer()?.write(close).await
    }

    async fn events_of_keys(&self, limit: u32) -> Result<Vec<Recorded>, StoreError> {
        self.aside(instance::key_events(limit)).await
    }

    fn look_again(&self) {
        self.readers.committed();
    }

    async fn scrub(&self) -> Result<bool, StoreError> {
        let (path, readers) = (self.path.clone(), Arc::clone(&self.readers));
        let scrub = move || {
            let connection =
                connection::writer(&path).map_err(|error| StoreError::Unavailable(Box::new(error)))?;
            connection::emptied(&connection, || readers.leave())
                .map_err(|error| rows::store_error(error, "wal"))
        };
        tokio::task::spawn_blocking(scrub).await.unwrap_or(Err(StoreError::Stopped))
    }

    async fn team_keys(&self, team: TeamId) -> Result<Vec<WrappedKey>, StoreError> {
        self.all(&instance::team_keys(team))
    }

    async fn teams_with_older_keys(&self) -> Result<Vec<(TeamId, u16)>, StoreError> {
        self.aside(instance::teams_with_older_keys()).await
    }

    async fn versions_of_team(
        &self,
        team: TeamId,
        after: Option<(SecretId, u32)>,
        limit: u32,
    ) -> Result<Vec<Version>, StoreError> {
        self.aside(secrets::versions_of_team(team, after, limit)).await
    }

    async fn count_versions(&self, team: TeamId, key: KeyId) -> Result<(u64, u64), StoreError> {
        let counted = self.aside(secrets::count_versions(team, key)).await?.first().copied();
        Ok(counted.map_or((0, 0), |(all, left)| (all.unsigned_abs(), left)))
    }

    async fn reseal(&self, versions: Vec<(Version, Sealed)>) -> Result<u64, StoreError> {
        let reseal = move |transaction: &Connection| {
            let mut done = 0;
            for version in &versions {
                done += u64::try_from(tables::execute(transaction, &secrets::reseal(version))?).unwrap_or(0);
            }
            Ok(done)
        };
        self.writer()?.write(reseal).await
    }

    async fn retire_keys(&self, team: TeamId, before: u16, event: Event) -> Result<(), StoreError> {
        let retire = move |transaction: &Connection| {
            tables::execute(transaction, &instance::retire_keys(team, before))?;
            writes::record(transaction, &event)
        };
        self.writer()?.write(retire).await
    }

    async fn key_rows(&self, key: ApiKeyId) -> Result<Option<ProofRows<ApiKey>>, StoreError> {
        self.one(&proofs::of_key(key))
    }

    async fn link_rows(&self, link: KeyLinkId) -> Result<Option<ProofRows<KeyLink>>, StoreError> {
        self.one(&proofs::of_link(link))
    }

    async fn session_rows(&self, session: SessionId) -> Result<Option<ProofRows<Session>>, StoreError> {
        self.one(&proofs::of_session(session))
    }

    async fn invitation_rows(
        &self,
        invitation: InvitationId,
    ) -> Result<Option<ProofRows<Invitation>>, StoreError> {
        self.one(&proofs::of_invitation(invitation))
    }

    async fn sign_in(&self, user: UserId) -> Result<Option<Stored<SignIn>>, StoreError> {
        self.one(&query::by_key([user.as_bytes()]))
    }

    async fn sessions(
        &self,
        user: UserId,
        beyond: Timestamp,
        limit: u32,
    ) -> Result<Vec<Stored<Session>>, StoreError> {
        self.all(&sessions::open(user, beyond, limit))
    }

    async fn places(
        &self,
        user: UserId,
        limit: u32,
    ) -> Result<Vec<TeamPlace<Stored<Membership>, Stored<Team>>>, StoreError> {
        self.all(&users::places(user, limit))
    }

    async fn invitation(
        &self,
        team: TeamId,
        invitation: InvitationId,
    ) -> Result<Option<Stored<Invitation>>, StoreError> {
        let found = self.one(&query::by_key::<Invitation>([invitation.as_bytes()]))?;
        Ok(found.filter(|found| found.row().team_id == team))
    }

    async fn invitations(
        &self,
        team: TeamId,
        after: Option<InvitationId>,
        limit: u32,
    ) -> Result<Vec<Stored<Invitation>>, StoreError> {
        self.all(&invitations::open(team, after, limit))
    }

    async fn fill_request_rows(
        &self,
        request: FillRequestId,
    ) -> Result<Option<ProofRows<FillRequest>>, StoreError> {
        self.one(&proofs::of_fill(request))
    }

    async fn fill_request(
        &self,
        team: TeamId,
        request: FillRequestId,
    ) -> Result<Option<Stored<FillRequest>>, StoreError> {
        let found = self.one(&query::by_key::<FillRequest>([request.as_bytes()]))?;
        Ok(found.filter(|found| found.row().team_id == team))
    }

    async fn fill_requests(
        &self,
        whose: (TeamId, Option<UserId>),
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<Stored<FillRequest>>, StoreError> {
        self.all(&fill_requests::open(whose, now, limit))
    }

    async fn forget_fill_requests(&self, before: Timestamp, limit: u32) -> Result<u32, StoreError> {
        let forget = move |transaction: &Connection| {
            tables::execute(transaction, &fill_requests::forget(before, limit))
        };
        let forgotten = self.writer()?.write(forget).await?;
        Ok(u32::try_from(forgotten).unwrap_or(limit))
    }

    async fn forget_sessions(&self, before: Timestamp, limit: u32) -> Result<u32, StoreError> {
        let forget = move |transaction: &Connection| {
            let forgotten = tables::execute(transaction, &invitations::forget(before, limit))?;
            Ok(forgotten + tables::execute(transaction, &sessions::forget(before, limit))?)
        };
        let forgotten = self.writer()?.write(forget).await?;
        Ok(u32::try_from(forgotten).unwrap_or(limit))
    }

    async fn secret(&self, team: TeamId, id: SecretId) -> Result<Option<Stored<Secret>>, StoreError> {
        self.one(&query::by_key([team.as_bytes(), id.as_bytes()]))
    }

    async fn secrets_visible_to(
        &self,
        team: TeamId,
        user: UserId,
        after: Option<SecretId>,
        limit: u32,
    ) -> Result<Vec<Stored<Secret>>, StoreError> {
        self.all(&secrets::visible((team, user), after, limit))
    }

    async fn deleted_secrets(
        &self,
        team: TeamId,
        user: UserId,
        limit: u32,
    ) -> Result<Vec<Stored<Secret>>, StoreError> {
        self.all(&secrets::deleted((team, user), limit))
    }

    async fn version(&self, secret: SecretId, number: u32) -> Result<Option<Version>, StoreError> {
        self.one(&secrets::version(secret, number))
    }

    async fn versions(&self, secret: SecretId, after: u32, limit: u32) -> Result<Vec<Version>, StoreError> {
        self.all(&secrets::versions(secret, after, limit))
    }

    async fn team(&self, team: TeamId) -> Result<Option<Stored<Team>>, StoreError> {
        self.one(&query::by_key([team.as_bytes()]))
    }

    async fn member(&self, team: TeamId, user: UserId) -> Result<Option<StoredMember>, StoreError> {
        self.one(&users::member(team, user))
    }

    async fn members(
        &self,
        team: TeamId,
        after: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<StoredMember>, StoreError> {
        self.all(&users::members(team, after, limit))
    }

    async fn user(&self, user: UserId) -> Result<Option<Stored<User>>, StoreError> {
        self.one(&query::by_key([user.as_bytes()]))
    }

    async fn user_by_email(&self, email: &Email) -> Result<Option<Stored<User>>, StoreError> {
        self.one(&users::by_email(email))
    }

    async fn api_key(&self, team: TeamId, key: ApiKeyId) -> Result<Option<Stored<ApiKey>>, StoreError> {
        let found = self.one(&query::by_key::<ApiKey>([key.as_bytes()]))?;
        Ok(found.filter(|found| found.row().team_id == team))
    }

    async fn api_keys(
        &self,
        team: TeamId,
        user: Option<UserId>,
        after: Option<ApiKeyId>,
        limit: u32,
    ) -> Result<Vec<UsedKey<Stored<ApiKey>>>, StoreError> {
        self.all(&api_keys::keys((team, user), after, limit))
    }

    async fn key_link(&self, team: TeamId, link: KeyLinkId) -> Result<Option<Stored<KeyLink>>, StoreError> {
        let found = self.one(&query::by_key::<KeyLink>([link.as_bytes()]))?;
        Ok(found.filter(|found| found.row().team_id == team))
    }

    async fn key_links(
        &self,
        team: TeamId,
        after: Option<KeyLinkId>,
        limit: u32,
    ) -> Result<Vec<Stored<KeyLink>>, StoreError> {
        self.all(&key_links::open(team, after, limit))
    }

    async fn agent(&self, team: TeamId, agent: AgentId) -> Result<Option<Stored<Agent>>, StoreError> {
        self.one(&query::by_key([team.as_bytes(), agent.as_bytes()]))
    }

    async fn agents(
        &self,
        team: TeamId,
        after: Option<AgentId>,
        limit: u32,
    ) -> Result<Vec<Stored<Agent>>, StoreError> {
        self.all(&agents::agents(team, after, limit))
    }

    async fn revision(
        &self,
        team: TeamId,
        revision: RevisionId,
    ) -> Result<Option<Stored<Revision>>, StoreError> {
        self.one(&agents::revision(team, revision))
    }

    async fn revisions(
        &self,
        team: TeamId,
        agent: AgentId,
        after: Option<RevisionId>,
        limit: u32,
    ) -> Result<Vec<Stored<Revision>>, StoreError> {
        self.all(&agents::revisions((team, agent), after, limit))
    }

    async fn attachments(
        &self,
        team: TeamId,
        revision: RevisionId,
    ) -> Result<Vec<Stored<Attachment>>, StoreError> {
        self.all(&agents::attachments(team, revision))
    }

    async fn attachments_of(
        &self,
        team: TeamId,
        secret: SecretId,
        limit: u32,
    ) -> Result<Vec<Stored<Attachment>>, StoreError> {
        self.all(&agents::attachments_of(team, secret, limit))
    }

    async fn run(&self, run: RunId) -> Result<Option<StoredRun>, StoreError> {
        self.one(&runs::run(run))
    }

    async fn runs(&self, team: TeamId, of: RunsOf, page: (u32, u32)) -> Result<Vec<StoredRun>, StoreError> {
        self.aside(runs::page((team, of), page)).await
    }

    async fn open_runs(
        &self,
        team: TeamId,
        of: RunsOf,
        at: Timestamp,
        page: (Option<RunId>, u32),
    ) -> Result<Vec<StoredRun>, StoreError> {
        self.aside(runs::open((team, of), at, page)).await
    }

    async fn runs_by_day(&self, team: TeamId, since: Timestamp, most: u32) -> Result<ByDay, StoreError> {
        let runs = self.aside(runs::by_day(team, since, most)).await?;
        let deliveries = self.aside(runs::deliveries_by_day(team, since, most)).await?;
        Ok(ByDay { runs, deliveries })
    }

    async fn refusals_by_day(&self, team: TeamId, since: Timestamp, most: u32) -> Result<Days, StoreError> {
        self.aside(events::refusals_by_day(team, since, most)).await
    }

    async fn count_runs(&self, team: TeamId, of: RunsOf) -> Result<u64, StoreError> {
        Ok(self.aside(runs::count(team, of)).await?.first().copied().unwrap_or(0))
    }

    async fn deliveries(
        &self,
        team: TeamId,
        of: RunsOf,
        page: (Option<RunId>, u32),
    ) -> Result<Vec<(RunId, Option<Delivery>)>, StoreError> {
        self.aside(runs::deliveries((team, of), page)).await
    }

    async fn deliveries_of(&self, secret: SecretId, limit: u32) -> Result<Vec<Delivery>, StoreError> {
        self.all(&runs::deliveries_of(secret, limit))
    }

    async fn forget_runs(&self, limit: u32) -> Result<u32, StoreError> {
        self.writer()?.write(move |transaction| purge::runs(transaction, limit)).await
    }

    async fn answer(&self, id: AnswerId) -> Result<Option<Stored<KeptAnswer>>, StoreError> {
        self.one(&answers::answer(id))
    }

    async fn write(&self, write: Write) -> Result<(), StoreError> {
        self.writer()?.write(move |transaction| writes::run(transaction, &write)).await
    }

    async fn hold(&self, _: TeamId, _: &[SecretId]) -> Result<Held, StoreError> {
        // Between reading and writing there is no network.
        Ok(Held::by_nobody())
    }

    async fn keep_answer(&self, answer: Stored<KeptAnswer>) -> Result<(), StoreError> {
        self.writer()?.write(move |transaction| writes::keep(transaction, &answer)).await
    }

    async fn forget_answers(&self, before: Timestamp, limit: u32) -> Result<u32, StoreError> {
        let forget =
            move |transaction: &Connection| tables::execute(transaction, &answers::forget(before, limit));
        let forgotten = self.writer()?.write(forget).await?;
        Ok(u32::try_from(forgotten).unwrap_or(limit))
    }

    async fn note_uses(&self, uses: Vec<(ApiKeyId, Timestamp)>) -> Result<(), StoreError> {
        let note = move |transaction: &Connection| {
            uses.into_iter().try_for_each(|(key, used_at)| {
                tables::execute(transaction, &api_keys::note_use(key, used_at)).map(|_| ())
            })
        };
        self.writer()?.write(note).await
    }

    async fn secrets_due(
        &self,
        before: Timestamp,
        skip: u32,
        limit: u32,
    ) -> Result<Vec<Option<Stored<Secret>>>, StoreError> {
        let query = due::secrets(before, (skip, limit));
        self.read_aside(query.table, move |connection| tables::all_readable(connection, &query)).await
    }

    async fn teams_due(&self, before: Timestamp) -> Result<Vec<Option<Stored<Team>>>, StoreError> {
        let query = due::teams(before);
        self.readers.read(query.table, |connection| tables::all_readable(connection, &query))
    }

    async fn purge(&self, purges: Vec<(Purge, Event)>) -> Result<(), StoreError> {
        self.writer()?.write(move |transaction| purge::run(transaction, &purges)).await
    }

    async fn record_all(&self, events: Arc<[Event]>) -> Result<Option<i64>, StoreError> {
        let all = move |transaction: &Connection| {
            events::all(&events).try_for_each(|some| tables::execute(transaction, &some).map(|_| ()))?;
            // Within a transaction nobody else writes: each has the place behind the one before.
            let others = i64::try_from(events.len()).unwrap_or(i64::MAX) - 1;
            Ok((!events.is_empty()).then(|| transaction.last_insert_rowid() - others))
        };
        self.writer()?.write(all).await
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
            Some(end) => self.aside(end).await?.first().copied(),
            None => None,
        };
        Ok(search.page(end, self.aside(search.found(end)).await?))
    }

    async fn run_requests(
        &self,
        team: TeamId,
        run: RunId,
        before: Option<i64>,
        limit: u32,
    ) -> Result<EventPage, StoreError> {
        let found = self.aside(events::of_run((team, run), before, limit)).await?;
        Ok(events::page_of_run(found, limit))
    }

    async fn audit_head(&self) -> Result<Option<Head>, StoreError> {
        self.one(&audit::head())
    }

    async fn audit_tiles(&self, places: &[Place]) -> Result<Tiles, StoreError> {
        self.all(&audit::tiles(places)).map(audit::by_place)
    }

    async fn audit_spans(&self, leaf: u64, limit: u32) -> Result<Vec<Span>, StoreError> {
        self.all(&audit::spans(leaf, limit))
    }

    async fn audit_spans_by_place(&self, sequence: i64, limit: u32) -> Result<Vec<Span>, StoreError> {
        self.all(&audit::spans_by_place(sequence, limit))
    }

    async fn recorded(
        &self,
        places: Gap,
        team: Option<TeamId>,
        limit: u32,
    ) -> Result<Vec<Recorded>, StoreError> {
        self.aside(audit::recorded(places, team, limit)).await
    }

    async fn recorded_within(&self, gaps: &[Gap], limit: u32) -> Result<Vec<Recorded>, StoreError> {
        self.aside(audit::within(gaps, limit)).await
    }

    async fn audit_sink(&self, name: &str) -> Result<Option<u64>, StoreError> {
        self.one(&audit::sink(name))
    }

    async fn move_audit_sink(&self, name: &str, leaf: u64) -> Result<(), StoreError> {
        let name = name.to_owned();
        let note = move |transaction: &Connection| {
            tables::execute(transaction, &audit::move_sink(&name, leaf)).map(|_| ())
        };
        self.writer()?.write(note).await
    }

    async fn seal_events(&self, sealing: Sealing) -> Result<(), StoreError> {
        self.writer()?.write(move |transaction| writes::seal(transaction, &sealing)).await
    }

    async fn walk(&self, visit: &mut (dyn FnMut(AnyRow) + Send)) -> Result<(), StoreError> {
        self.readers.read("walk", |connection| walk::walk(connection, visit))
    }

    async fn rows(&self) -> Result<u64, StoreError> {
        self.readers.read("walk", walk::count)
    }

    async fn elected(&self) -> Result<bool, StoreError> {
        // The lock keeps others out.
        Ok(true)
    }

    async fn stopped(&self) {
        match &self.writer {
            Some(writer) => writer.stopped().await,
            None => std::future::pending().await,
        }
    }
}
