//! The audit row: what happened, by whom, to which row. Ids only, never a
//! value; written in the transaction of what it records.

use uuid::Uuid;

use crate::access::Permit;
use crate::clock::Timestamp;
use crate::ids::{ApiKeyId, TeamId, UserId};
use crate::rows::RowMac;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// The instance came to be, with its first team, owner and key.
    InstanceCreated,
    /// A secret was created.
    SecretCreated,
    /// A stored row or blob is not what was stored.
    IntegrityViolation,
}

impl EventKind {
    /// The stable dotted name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InstanceCreated => "instance.created",
            Self::SecretCreated => "secret.created",
            Self::IntegrityViolation => "integrity.violation",
        }
    }
}

/// By whom it was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Actor {
    /// The user, if one is known.
    pub user_id: Option<UserId>,
    /// The key they came with.
    pub key_id: Option<ApiKeyId>,
}

impl From<&Permit> for Actor {
    fn from(permit: &Permit) -> Self {
        Self { user_id: Some(permit.user_id()), key_id: Some(permit.key_id()) }
    }
}

/// One audit row.
#[derive(Clone, Debug)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// What.
    pub kind: EventKind,
    /// In which team, if in one.
    pub team_id: Option<TeamId>,
    /// By whom.
    pub actor: Actor,
    /// To which object.
    pub object: Object,
    /// In answer to which request; the same id as in the answer and the log.
    pub request_id: Option<Uuid>,
}

/// What an event is about.
#[derive(Clone, Copy, Debug, Default)]
pub struct Object {
    /// Its table.
    pub table: &'static str,
    /// Its id.
    pub id: Option<Uuid>,
    /// Its version after the act, where it has versions.
    pub version: Option<u32>,
    /// Its row's MAC after the act: a restored older row is found by it.
    pub mac: Option<RowMac>,
}
