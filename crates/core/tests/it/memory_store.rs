//! A store in memory that keeps what it is given, so that a test can look at
//! every stored byte.

use async_trait::async_trait;
use std::sync::{Mutex, MutexGuard};
use strongroom_core::access::Permit;
use strongroom_core::api_keys::{ApiKey, KeyRows};
use strongroom_core::events::Event;
use strongroom_core::instance::{Instance, NewInstance};
use strongroom_core::keyring::WrappedKey;
use strongroom_core::rows::Stored;
use strongroom_core::secrets::{Secret, Version};
use strongroom_core::store::AnyRow;
use strongroom_core::teams::Team;
use strongroom_core::users::{Membership, User};
use strongroom_core::{ApiKeyId, SecretId, Store, StoreError, TeamId, UserId};

/// Every table.
#[derive(Clone, Default)]
pub(crate) struct Tables {
    pub(crate) instance: Option<Stored<Instance>>,
    pub(crate) keys: Vec<WrappedKey>,
    pub(crate) teams: Vec<Stored<Team>>,
    pub(crate) users: Vec<Stored<User>>,
    pub(crate) memberships: Vec<Stored<Membership>>,
    pub(crate) api_keys: Vec<Stored<ApiKey>>,
    pub(crate) secrets: Vec<Stored<Secret>>,
    pub(crate) versions: Vec<Version>,
    pub(crate) events: Vec<Event>,
}

#[derive(Default)]
pub(crate) struct MemoryStore(Mutex<Tables>);

impl MemoryStore {
    pub(crate) fn with(tables: Tables) -> Self {
        Self(Mutex::new(tables))
    }

    pub(crate) fn tables(&self) -> MutexGuard<'_, Tables> {
        self.0.lock().unwrap()
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn instance(&self) -> Result<Option<Stored<Instance>>, StoreError> {
        Ok(self.tables().instance.clone())
    }

    async fn create_instance(&self, new: NewInstance) -> Result<(), StoreError> {
        let mut tables = self.tables();
        if tables.instance.is_some() {
            return Err(StoreError::Exists);
        }
        *tables = Tables {
            instance: Some(new.instance),
            keys: new.keys,
            teams: vec![new.team],
            users: vec![new.owner],
            memberships: vec![new.membership],
            api_keys: vec![new.api_key],
            events: vec![new.event],
            ..Tables::default()
        };
        Ok(())
    }

    async fn purpose_keys(&self) -> Result<Vec<WrappedKey>, StoreError> {
        Ok(self.tables().keys.iter().filter(|key| key.owner.team().is_none()).cloned().collect())
    }

    async fn team_keys(&self, team: TeamId) -> Result<Vec<WrappedKey>, StoreError> {
        Ok(self.tables().keys.iter().filter(|key| key.owner.team() == Some(team)).cloned().collect())
    }

    async fn key_rows(&self, id: ApiKeyId) -> Result<Option<KeyRows>, StoreError> {
        let tables = self.tables();
        let Some(key) = tables.api_keys.iter().find(|key| key.row().id == id) else { return Ok(None) };
        let (user_id, team_id) = (key.row().user_id, key.row().team_id);
        let Some(user) = tables.users.iter().find(|user| user.row().id == user_id) else { return Ok(None) };
        let place = |row: &&Stored<Membership>| (row.row().user_id, row.row().team_id) == (user_id, team_id);
        let membership = tables.memberships.iter().find(place).cloned();
        Ok(Some(KeyRows { key: key.clone(), user: user.clone(), membership }))
    }

    async fn create_secret(
        &self,
        _permit: Permit,
        secret: Stored<Secret>,
        version: Version,
        event: Event,
    ) -> Result<(), StoreError> {
        let mut tables = self.tables();
        tables.secrets.push(secret);
        tables.versions.push(version);
        tables.events.push(event);
        Ok(())
    }

    async fn secret(&self, team: TeamId, id: SecretId) -> Result<Option<Stored<Secret>>, StoreError> {
        let wanted = |row: &&Stored<Secret>| (row.row().team_id, row.row().id) == (team, id);
        Ok(self.tables().secrets.iter().find(wanted).cloned())
    }

    async fn secrets_visible_to(
        &self,
        team: TeamId,
        user: UserId,
        after: Option<SecretId>,
        limit: u32,
    ) -> Result<Vec<Stored<Secret>>, StoreError> {
        let visible = |row: &&Stored<Secret>| {
            let secret = row.row();
            secret.team_id == team
                && secret.owner.is_none_or(|owner| owner == user)
                && after.is_none_or(|after| secret.id > after)
        };
        let limit = usize::try_from(limit).unwrap();
        Ok(self.tables().secrets.iter().filter(visible).take(limit).cloned().collect())
    }

    async fn record(&self, event: Event) -> Result<(), StoreError> {
        self.tables().events.push(event);
        Ok(())
    }

    async fn walk(&self, visit: &mut (dyn FnMut(AnyRow) + Send)) -> Result<(), StoreError> {
        let tables = self.tables().clone();
        tables.keys.into_iter().for_each(|row| visit(AnyRow::Key(row)));
        tables.teams.into_iter().for_each(|row| visit(AnyRow::Team(row)));
        tables.users.into_iter().for_each(|row| visit(AnyRow::User(row)));
        tables.memberships.into_iter().for_each(|row| visit(AnyRow::Membership(row)));
        tables.api_keys.into_iter().for_each(|row| visit(AnyRow::ApiKey(row)));
        for secret in tables.secrets {
            let id = secret.row().id;
            let versions = tables.versions.iter().filter(|version| version.secret_id == id);
            visit(AnyRow::Secret(secret, versions.cloned().collect()));
        }
        Ok(())
    }

    async fn rows(&self) -> Result<u64, StoreError> {
        let tables = self.tables();
        let rows = tables.keys.len() + tables.secrets.len() + tables.versions.len();
        Ok(u64::try_from(rows).unwrap())
    }

    async fn stopped(&self) {
        std::future::pending::<()>().await;
    }
}
