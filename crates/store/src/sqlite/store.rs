//! The database as the core's [`Store`]: reads inline, changes through the writer.

use async_trait::async_trait;
use rusqlite::Connection;
use std::sync::Arc;

use super::{
    Database, answers, api_keys, events, instance, key_links, proofs, purge, secrets, tables, users, walk,
    writes,
};
use strongroom_core::answers::{AnswerId, KeptAnswer};
use strongroom_core::api_keys::{ApiKey, ProofRows, UsedKey};
use strongroom_core::clock::Timestamp;
use strongroom_core::events::Event;
use strongroom_core::instance::{Instance, NewInstance};
use strongroom_core::key_links::KeyLink;
use strongroom_core::keyring::WrappedKey;
use strongroom_core::rows::Stored;
use strongroom_core::secrets::{Secret, Version};
use strongroom_core::store::{AnyRow, Purge, Write};
use strongroom_core::teams::Team;
use strongroom_core::text::Email;
use strongroom_core::users::{StoredMember, User};
use strongroom_core::{ApiKeyId, KeyLinkId, SecretId, Store, StoreError, TeamId, UserId};

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
        // It may read whole teams: not where requests are answered.
        let readers = Arc::clone(&self.readers);
        let select = move |connection: &Connection| purge::select_secrets(connection, before, (skip, limit));
        let due = move || readers.read("secrets", select);
        tokio::task::spawn_blocking(due).await.unwrap_or(Err(StoreError::Stopped))
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
