//! The instance itself: the one row that says which root key opens the rest.

use crate::api_keys::ApiKey;
use crate::clock::Timestamp;
use crate::events::Event;
use crate::ids::{InstanceId, KeyId};
use crate::keyring::WrappedKey;
use crate::rows::{Fields, Row, Stored};
use crate::sealing::Sealed;
use crate::teams::Team;
use crate::users::{Membership, User};

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
