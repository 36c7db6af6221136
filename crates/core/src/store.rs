//! What the core asks of a store. One method is one transaction is one verb
//! *with its audit event*; a write takes a [`Permit`] and proves its rows again
//! inside the transaction. Unique constraints decide, never check-then-insert.

use async_trait::async_trait;

use crate::access::Permit;
use crate::api_keys::{ApiKey, KeyRows};
use crate::events::Event;
use crate::ids::{ApiKeyId, SecretId, TeamId, UserId};
use crate::instance::{Instance, NewInstance};
use crate::keyring::WrappedKey;
use crate::rows::Stored;
use crate::secrets::{Secret, Version};
use crate::teams::Team;
use crate::users::{Membership, User};

/// Why a store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database can't serve now: disk full, busy, stopping. Nothing was
    /// written; the act may be tried again.
    #[error("the database is not available")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The store has stopped for good, after an error past which it can't know
    /// what is on the disk. Only a restart helps.
    #[error("the database has stopped after an input/output error")]
    Stopped,
    /// A row isn't of the form in which it was written.
    #[error("a row of {0} can't be read")]
    Malformed(&'static str),
    /// The rows on which a permit was granted have changed since.
    #[error("the caller's rights changed in the meantime")]
    StalePermit,
    /// The object is there already.
    #[error("it exists already")]
    Exists,
}

/// One row of the walk over everything that is sealed or has a MAC.
pub enum AnyRow {
    /// A key of the hierarchy. All of them come before any other row.
    Key(WrappedKey),
    /// A team.
    Team(Stored<Team>),
    /// A user.
    User(Stored<User>),
    /// A membership.
    Membership(Stored<Membership>),
    /// An API key.
    ApiKey(Stored<ApiKey>),
    /// A secret, deleted ones too, with all its versions.
    Secret(Stored<Secret>, Vec<Version>),
    /// A row of this table that can't even be read.
    Malformed(&'static str),
}

/// Keeps rows; knows no plaintext of any value, and no key.
#[async_trait]
pub trait Store: Send + Sync {
    /// The instance row; `None` in a database that has none yet.
    async fn instance(&self) -> Result<Option<Stored<Instance>>, StoreError>;

    /// Stores a new instance.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when there is one.
    async fn create_instance(&self, new: NewInstance) -> Result<(), StoreError>;

    /// The keys of the hierarchy that are the instance's own.
    async fn purpose_keys(&self) -> Result<Vec<WrappedKey>, StoreError>;

    /// A team's keys.
    async fn team_keys(&self, team: TeamId) -> Result<Vec<WrappedKey>, StoreError>;

    /// The rows that decide about an API key.
    async fn key_rows(&self, key: ApiKeyId) -> Result<Option<KeyRows>, StoreError>;

    /// Stores a new secret with its first version.
    async fn create_secret(
        &self,
        permit: Permit,
        secret: Stored<Secret>,
        version: Version,
        event: Event,
    ) -> Result<(), StoreError>;

    /// A secret of this team that isn't deleted.
    async fn secret(&self, team: TeamId, id: SecretId) -> Result<Option<Stored<Secret>>, StoreError>;

    /// The team's shared secrets and this user's own, without deleted ones, by
    /// creation: at most `limit` of those after `after`.
    async fn secrets_visible_to(
        &self,
        team: TeamId,
        user: UserId,
        after: Option<SecretId>,
        limit: u32,
    ) -> Result<Vec<Stored<Secret>>, StoreError>;

    /// Stores an audit row that belongs to no other write.
    async fn record(&self, event: Event) -> Result<(), StoreError>;

    /// Shows every row that is sealed or has a MAC, as of one moment.
    async fn walk(&self, visit: &mut (dyn FnMut(AnyRow) + Send)) -> Result<(), StoreError>;

    /// About how often [`Self::walk`] will call `visit`; for a progress bar.
    async fn rows(&self) -> Result<u64, StoreError>;

    /// Resolves when the store has stopped for good; pending as long as it serves.
    async fn stopped(&self);
}
