//! The database as the core's [`Store`]: reads inline, changes through the writer.

use async_trait::async_trait;
use rusqlite::Connection;
use std::sync::Arc;

use super::{
    Database, agents, answers, api_keys, events, instance, key_links, proofs, purge, runs, secrets, tables,
    users, walk, writes,
};
use strongroom_core::agents::{Agent, Attachment, Revision};
use strongroom_core::answers::{AnswerId, KeptAnswer};
use strongroom_core::api_keys::{ApiKey, ProofRows, UsedKey};
use strongroom_core::clock::Timestamp;
use strongroom_core::events::Event;
use strongroom_core::instance::{Instance, NewInstance};
use strongroom_core::key_links::KeyLink;
use strongroom_core::keyring::WrappedKey;
use strongroom_core::rows::Stored;
use strongroom_core::runs::{Delivery, RunsOf, StoredRun};
use strongroom_core::secrets::{Secret, Version};
use strongroom_core::store::{AnyRow, Purge, Write};
use strongroom_core::teams::Team;
use strongroom_core::text::Email;
use strongroom_core::users::{StoredMember, User};
use strongroom_core::{
    AgentId, ApiKeyId, KeyLinkId, RevisionId, RunId, SecretId, Store, StoreError, TeamId, UserId,
};

impl Database {
    /// Reads what may be whole teams: not where requests are answered.
    async fn read_aside<T: Send + 'static>(
        &self,
        table: &'static str,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let readers = Arc::clone(&self.readers);
        let aside = tokio::task::spawn_blocking(move || readers.read(table, read));
        aside.await.unwrap_or(Err(StoreError::Stopped))
    }
}

#[async_trait]
impl Store for Database {
    async fn instance(&self) -> Result<Option<Stored<Instance>>, StoreError> {
        self.readers.read("instance", instance::select)
    }

    async fn create_instance(&self, new: NewInstance) -> Result<(), StoreError> {
        self.writer()?.write(move |transaction| instance::insert(transaction, &new)).await
    }

    async fn purpose_keys(&self) -> Result<Vec<WrappedKey>, StoreError> {
        self.readers.read("keys", |connection| instance::select_keys(connection, None))
    }

    async fn team_keys(&self, team: TeamId) -> Result<Vec<WrappedKey>, StoreError> {
        self.readers.read("keys", |connection| instance::select_keys(connection, Some(team)))
    }

    async fn key_rows(&self, key: ApiKeyId) -> Result<Option<ProofRows<ApiKey>>, StoreError> {
        self.readers.read("api_keys", |connection| proofs::of_key(connection, key))
    }

    async fn link_rows(&self, link: KeyLinkId) -> Result<Option<ProofRows<KeyLink>>, StoreError> {
        self.readers.read("key_links", |connection| proofs::of_link(connection, link))
    }

    async fn secret(&self, team: TeamId, id: SecretId) -> Result<Option<Stored<Secret>>, StoreError> {
        let key = [team.as_bytes(), id.as_bytes()];
        self.readers.read("secrets", |connection| tables::by_key(connection, key))
    }

    async fn secrets_visible_to(
        &self,
        team: TeamId,
        user: UserId,
        after: Option<SecretId>,
        limit: u32,
    ) -> Result<Vec<Stored<Secret>>, StoreError> {
        let page = |connection: &_| secrets::select_visible(connection, (team, user), after, limit);
        self.readers.read("secrets", page)
    }

    async fn version(&self, secret: SecretId, number: u32) -> Result<Option<Version>, StoreError> {
        self.readers.read("versions", |connection| secrets::select_version(connection, secret, number))
    }

    async fn versions(&self, secret: SecretId, after: u32, limit: u32) -> Result<Vec<Version>, StoreError> {
        let page = |connection: &_| secrets::select_versions(connection, secret, after, limit);
        self.readers.read("versions", page)
    }

    async fn team(&self, team: TeamId) -> Result<Option<Stored<Team>>, StoreError> {
        self.readers.read("teams", |connection| tables::by_key(connection, [team.as_bytes()]))
    }

    async fn member(&self, team: TeamId, user: UserId) -> Result<Option<StoredMember>, StoreError> {
        self.readers.read("memberships", |connection| users::select_member(connection, team, user))
    }

    async fn members(
        &self,
        team: TeamId,
        after: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<StoredMember>, StoreError> {
        let page = |connection: &_| users::select_members(connection, team, after, limit);
        self.readers.read("memberships", page)
    }

    async fn user_by_email(&self, email: &Email) -> Result<Option<Stored<User>>, StoreError> {
        self.readers.read("users", |connection| users::select_by_email(connection, email))
    }

    async fn api_key(&self, team: TeamId, key: ApiKeyId) -> Result<Option<Stored<ApiKey>>, StoreError> {
        self.readers.read("api_keys", |connection| api_keys::select(connection, team, key))
    }

    async fn api_keys(
        &self,
        team: TeamId,
        user: Option<UserId>,
        after: Option<ApiKeyId>,
        limit: u32,
    ) -> Result<Vec<UsedKey<Stored<ApiKey>>>, StoreError> {
        let page = |connection: &_| api_keys::select_page(connection, (team, user), after, limit);
        self.readers.read("api_keys", page)
    }

    async fn key_link(&self, team: TeamId, link: KeyLinkId) -> Result<Option<Stored<KeyLink>>, StoreError> {
        self.readers.read("key_links", |connection| key_links::select(connection, team, link))
    }

    async fn key_links(
        &self,
        team: TeamId,
        after: Option<KeyLinkId>,
        limit: u32,
    ) -> Result<Vec<Stored<KeyLink>>, StoreError> {
        let page = |connection: &_| key_links::select_page(connection, team, after, limit);
        self.readers.read("key_links", page)
    }

    async fn agent(&self, team: TeamId, agent: AgentId) -> Result<Option<Stored<Agent>>, StoreError> {
        let key = [team.as_bytes(), agent.as_bytes()];
        self.readers.read("agents", |connection| tables::by_key(connection, key))
    }

    async fn agents(
        &self,
        team: TeamId,
        after: Option<AgentId>,
        limit: u32,
    ) -> Result<Vec<Stored<Agent>>, StoreError> {
        self.readers.read("agents", |connection| agents::select_agents(connection, team, after, limit))
    }

    async fn revision(
        &self,
        team: TeamId,
        revision: RevisionId,
    ) -> Result<Option<Stored<Revision>>, StoreError> {
        let select = |connection: &_| agents::select_revision(connection, team, revision);
        self.readers.read("revisions", select)
    }

    async fn revisions(
        &self,
        team: TeamId,
        agent: AgentId,
        after: Option<RevisionId>,
        limit: u32,
    ) -> Result<Vec<Stored<Revision>>, StoreError> {
        let page = |connection: &_| agents::select_revisions(connection, (team, agent), after, limit);
        self.readers.read("revisions", page)
    }

    async fn attachments(
        &self,
        team: TeamId,
        revision: RevisionId,
    ) -> Result<Vec<Stored<Attachment>>, StoreError> {
        let select = |connection: &_| agents::select_attachments(connection, team, revision);
        self.readers.read("attachments", select)
    }

    async fn run(&self, run: RunId) -> Result<Option<StoredRun>, StoreError> {
        self.readers.read("runs", |connection| runs::select(connection, run))
    }

    async fn runs(
        &self,
        team: TeamId,
        of: RunsOf,
        open_at: Option<Timestamp>,
        page: (u32, u32),
    ) -> Result<Vec<StoredRun>, StoreError> {
        let select = move |connection: &Connection| runs::select_page(connection, (team, of), open_at, page);
        self.read_aside("runs", select).await
    }

    async fn count_runs(&self, team: TeamId, of: RunsOf) -> Result<u64, StoreError> {
        self.read_aside("runs", move |connection| runs::count(connection, team, of)).await
    }

    async fn deliveries(&self, team: TeamId, of: RunsOf) -> Result<Vec<Delivery>, StoreError> {
        let select = move |connection: &Connection| runs::select_deliveries(connection, team, of);
        self.read_aside("deliveries", select).await
    }

    async fn deliveries_of(&self, secret: SecretId, limit: u32) -> Result<Vec<Delivery>, StoreError> {
        self.readers.read("deliveries", |connection| runs::select_deliveries_of(connection, secret, limit))
    }

    async fn forget_runs(&self, limit: u32) -> Result<u32, StoreError> {
        self.writer()?.write(move |transaction| runs::forget(transaction, limit)).await
    }

    async fn answer(&self, id: AnswerId) -> Result<Option<Stored<KeptAnswer>>, StoreError> {
        self.readers.read("answers", |connection| tables::by_key(connection, [id.as_bytes()]))
    }

    async fn write(&self, write: Write) -> Result<(), StoreError> {
        self.writer()?.write(move |transaction| writes::run(transaction, &write)).await
    }

    async fn keep_answer(&self, answer: Stored<KeptAnswer>) -> Result<(), StoreError> {
        self.writer()?.write(move |transaction| answers::keep(transaction, &answer)).await
    }

    async fn forget_answers(&self, before: Timestamp, limit: u32) -> Result<u32, StoreError> {
        self.writer()?.write(move |transaction| answers::forget(transaction, before, limit)).await
    }

    async fn note_uses(&self, uses: Vec<(ApiKeyId, Timestamp)>) -> Result<(), StoreError> {
        let note = move |transaction: &Connection| {
            uses.into_iter().try_for_each(|(key, used_at)| api_keys::note_use(transaction, key, used_at))
        };
        self.writer()?.write(note).await
    }

    async fn secrets_due(
        &self,
        before: Timestamp,
        skip: u32,
        limit: u32,
    ) -> Result<Vec<Option<Stored<Secret>>>, StoreError> {
        let select = move |connection: &Connection| purge::select_secrets(connection, before, (skip, limit));
        self.read_aside("secrets", select).await
    }

    async fn teams_due(&self, before: Timestamp) -> Result<Vec<Option<Stored<Team>>>, StoreError> {
        self.readers.read("teams", |connection| purge::select_teams(connection, before))
    }

    async fn purge(&self, purges: Vec<(Purge, Event)>) -> Result<(), StoreError> {
        self.writer()?.write(move |transaction| purge::run(transaction, &purges)).await
    }

    async fn record(&self, event: Event) -> Result<(), StoreError> {
        self.writer()?.write(move |transaction| events::insert(transaction, &event)).await
    }

    async fn walk(&self, visit: &mut (dyn FnMut(AnyRow) + Send)) -> Result<(), StoreError> {
        self.readers.read("walk", |connection| walk::walk(connection, visit))
    }

    async fn rows(&self) -> Result<u64, StoreError> {
        self.readers.read("walk", walk::count)
    }

    async fn stopped(&self) {
        match &self.writer {
            Some(writer) => writer.stopped().await,
            None => std::future::pending().await,
        }
    }
}
