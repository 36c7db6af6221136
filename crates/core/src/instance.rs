//! The instance itself: the one row that says which root key opens the rest.

use crate::api_keys::ApiKey;
use crate::clock::Timestamp;
use crate::events::Event;
use crate::ids::{InstanceId, KeyId};
use crate::keyring::WrappedKey;
use crate::random::Random;
use crate::root_key::{RootKey, RootKeyError};
use crate::rows::{Fields, Row, Stored};
use crate::sealing::Sealed;
use crate::teams::Team;
use crate::users::{Membership, User};
use zeroize::Zeroizing;

/// What must be known before any key is.
#[derive(Clone)]
pub struct Instance {
    /// Names the instance; part of every record's context.
    pub id: InstanceId,
    /// The kind of keeper of the root key.
    pub root_provider: String,
    /// What that keeper needs to know, such as a passphrase's salt.
    pub root_parameters: String,
    /// Which root key it is.
    pub root_key_id: KeyId,
    /// The master key, sealed by the root key.
    pub master: Sealed,
    /// The `age` recipient to whom the master key is also encrypted.
    pub recovery_recipient: String,
    /// The master key, encrypted to that recipient: an `age` file.
    pub recovery: Vec<u8>,
    /// When the instance was created.
    pub created_at: Timestamp,
}

impl Instance {
    /// The same, its master key sealed by another root key.
    ///
    /// # Errors
    /// When that can't seal it.
    pub async fn rewrapped(
        self,
        master: Zeroizing<Vec<u8>>,
        root: &dyn RootKey,
        root_parameters: String,
        random: &dyn Random,
    ) -> Result<Self, RootKeyError> {
        let master = root.wrap(self.id, master, random).await?;
        let (root_provider, root_key_id) = (root.provider().to_owned(), root.id());
        Ok(Self { root_provider, root_parameters, root_key_id, master, ..self })
    }
}

/// The master key under one more root key than the instance's own, of another kind.
#[derive(Clone)]
pub struct RootCopy {
    /// The kind of keeper; there is one of each.
    pub provider: String,
    /// What that keeper needs to know.
    pub parameters: String,
    /// Which root key it is.
    pub key_id: KeyId,
    /// The master key, sealed by it.
    pub master: Sealed,
    /// When it was added.
    pub created_at: Timestamp,
}

impl Row for RootCopy {
    const TABLE: &'static str = "root_copies";

    fn fields(&self, fields: &mut Fields) {
        fields.bytes("provider", &self.provider);
        fields.bytes("parameters", &self.parameters);
        fields.bytes("key_id", self.key_id.as_bytes());
        fields.bytes("master", self.master.as_bytes());
        fields.number("created_at", self.created_at.as_millis());
    }
}

impl Row for Instance {
    const TABLE: &'static str = "instance";

    fn fields(&self, fields: &mut Fields) {
        fields.bytes("id", self.id.as_bytes());
        fields.bytes("root_provider", &self.root_provider);
        fields.bytes("root_parameters", &self.root_parameters);
        fields.bytes("root_key_id", self.root_key_id.as_bytes());
        fields.bytes("master", self.master.as_bytes());
        fields.bytes("recovery_recipient", &self.recovery_recipient);
        fields.bytes("recovery", &self.recovery);
        fields.number("created_at", self.created_at.as_millis());
    }
}

/// Everything that a new instance starts with; stored in one transaction.
pub struct NewInstance {
    /// The instance row.
    pub instance: Stored<Instance>,
    /// A key for each purpose and the first team's.
    pub keys: Vec<WrappedKey>,
    /// The first team.
    pub team: Stored<Team>,
    /// Its owner.
    pub owner: Stored<User>,
    /// The owner's membership.
    pub membership: Stored<Membership>,
    /// The owner's first key.
    pub api_key: Stored<ApiKey>,
    /// The audit row.
    pub event: Event,
}
