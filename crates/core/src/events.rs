//! The audit row: what happened, by whom, to which row. Ids only, never a
//! value; written in the transaction of what it records.

use uuid::Uuid;

use crate::access::{Means, Permit};
use crate::clock::Timestamp;
use crate::ids::{ApiKeyId, TeamId, UserId};
use crate::rows::{Row, RowMac};

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// The instance came to be, with its first team, owner and key.
    InstanceCreated,
    /// A secret was created.
    SecretCreated,
    /// A secret's name, service, sharing or values changed.
    SecretUpdated,
    /// A secret was deleted; it can be brought back.
    SecretDeleted,
    /// A deleted secret was brought back.
    SecretUndeleted,
    /// An earlier version of a secret became current again.
    SecretRolledBack,
    /// A secret was created as the copy of another.
    SecretCopied,
    /// Somebody learnt which values of this secret and another are the same.
    SecretCompared,
    /// A deleted secret is gone for good.
    SecretPurged,
    /// A team was created.
    TeamCreated,
    /// A team was renamed.
    TeamUpdated,
    /// A team was deleted; it can be brought back.
    TeamDeleted,
    /// A deleted team was brought back.
    TeamUndeleted,
    /// A team's keys were destroyed, and with them its values.
    TeamShredded,
    /// A user was created.
    UserCreated,
    /// Somebody became a member.
    MemberAdded,
    /// A member's role changed.
    MemberUpdated,
    /// A member left, or was removed.
    MemberRemoved,
    /// An API key was made.
    ApiKeyCreated,
    /// An API key was revoked.
    ApiKeyRevoked,
    /// A link was made by which a member makes a key.
    KeyLinkCreated,
    /// Such a link was withdrawn.
    KeyLinkCancelled,
    /// Such a link was used: its member has a key.
    KeyLinkClaimed,
    /// A stored row or blob is not what was stored.
    IntegrityViolation,
}

impl EventKind {
    /// The stable dotted name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InstanceCreated => "instance.created",
            Self::SecretCreated => "secret.created",
            Self::SecretUpdated => "secret.updated",
            Self::SecretDeleted => "secret.deleted",
            Self::SecretUndeleted => "secret.undeleted",
            Self::SecretRolledBack => "secret.rolled_back",
            Self::SecretCopied => "secret.copied",
            Self::SecretCompared => "secret.compared",
            Self::SecretPurged => "secret.purged",
            Self::TeamCreated => "team.created",
            Self::TeamUpdated => "team.updated",
            Self::TeamDeleted => "team.deleted",
            Self::TeamUndeleted => "team.undeleted",
            Self::TeamShredded => "team.shredded",
            Self::UserCreated => "user.created",
            Self::MemberAdded => "member.added",
            Self::MemberUpdated => "member.updated",
            Self::MemberRemoved => "member.removed",
            Self::ApiKeyCreated => "api_key.created",
            Self::ApiKeyRevoked => "api_key.revoked",
            Self::KeyLinkCreated => "key_link.created",
            Self::KeyLinkCancelled => "key_link.cancelled",
            Self::KeyLinkClaimed => "key_link.claimed",
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

impl Actor {
    /// A user with what they proved themselves by. A link is no key.
    pub(crate) fn of(user: UserId, means: Means) -> Self {
        let key_id = match means {
            Means::Key(key) => Some(key),
            Means::Link(_) => None,
        };
        Self { user_id: Some(user), key_id }
    }
}

impl From<&Permit> for Actor {
    fn from(permit: &Permit) -> Self {
        Self::of(permit.user_id(), permit.means())
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

impl Object {
    /// A row of this table; without an id, whichever.
    pub(crate) fn of<T: Row>(id: Option<Uuid>) -> Self {
        Self { table: T::TABLE, id, ..Self::default() }
    }
}
