//! The audit row: what happened, by whom, to which row. Ids only, never a
//! value; written in the transaction of what it records.

use uuid::Uuid;

use crate::access::{Caller, Means};
use crate::clock::Timestamp;
use crate::ids::{AgentId, ApiKeyId, RevisionId, RunId, SessionId, TeamId, UserId};
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
    /// An agent was created.
    AgentCreated,
    /// An agent was renamed, or another of its revisions is live.
    AgentUpdated,
    /// An agent was deleted, and its runs with it.
    AgentDeleted,
    /// All runs of an agent were revoked.
    AgentRunsRevoked,
    /// A revision of an agent was created.
    RevisionCreated,
    /// A revision was renamed.
    RevisionUpdated,
    /// A secret was attached to a revision. The event's object is the attachment, by the
    /// secret's id.
    SecretAttached,
    /// A secret was detached from a revision. The event's object is as for attaching.
    SecretDetached,
    /// A run was started.
    RunStarted,
    /// A run's lease was extended.
    RunExtended,
    /// A run was stopped.
    RunStopped,
    /// A run was revoked.
    RunRevoked,
    /// A run received values of a secret's version.
    SecretDelivered,
    /// Somebody set up how they sign in.
    SignInSetUp,
    /// Somebody changed their password or second factor, or used up a code.
    SignInChanged,
    /// A session began: its user signed in.
    SessionStarted,
    /// A session's user went to another of their teams.
    SessionMoved,
    /// A session was ended.
    SessionEnded,
    /// A link was made by which a member comes to sign in.
    InvitationCreated,
    /// Such a link was withdrawn.
    InvitationCancelled,
    /// Such a link was used.
    InvitationAccepted,
    /// Somebody asked for a secret to be filled in.
    FillRequestCreated,
    /// Such a request was withdrawn.
    FillRequestCancelled,
    /// Such a request was filled in: its secret was created.
    FillRequestFilled,
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
            Self::AgentCreated => "agent.created",
            Self::AgentUpdated => "agent.updated",
            Self::AgentDeleted => "agent.deleted",
            Self::AgentRunsRevoked => "agent.runs_revoked",
            Self::RevisionCreated => "revision.created",
            Self::RevisionUpdated => "revision.updated",
            Self::SecretAttached => "secret.attached",
            Self::SecretDetached => "secret.detached",
            Self::RunStarted => "run.started",
            Self::RunExtended => "run.extended",
            Self::RunStopped => "run.stopped",
            Self::RunRevoked => "run.revoked",
            Self::SecretDelivered => "secret.delivered",
            Self::SignInSetUp => "sign_in.set_up",
            Self::SignInChanged => "sign_in.changed",
            Self::SessionStarted => "session.started",
            Self::SessionMoved => "session.moved",
            Self::SessionEnded => "session.ended",
            Self::InvitationCreated => "invitation.created",
            Self::InvitationCancelled => "invitation.cancelled",
            Self::InvitationAccepted => "invitation.accepted",
            Self::FillRequestCreated => "fill_request.created",
            Self::FillRequestCancelled => "fill_request.cancelled",
            Self::FillRequestFilled => "fill_request.filled",
            Self::IntegrityViolation => "integrity.violation",
        }
    }
}

/// By whom it was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Actor {
    /// The user, if one is known.
    pub user_id: Option<UserId>,
    /// The key they came with, or with which the run was started.
    pub key_id: Option<ApiKeyId>,
    /// The run that did it in their name.
    pub run_id: Option<RunId>,
    /// The session in which they did it.
    pub session_id: Option<SessionId>,
}

impl From<&Caller> for Actor {
    /// A link is no key.
    fn from(caller: &Caller) -> Self {
        let actor = Self { user_id: Some(caller.user_id), ..Self::default() };
        match caller.means {
            Means::Key(key) => Self { key_id: Some(key), ..actor },
            Means::Run(run) => {
                let key_id = caller.run.as_ref().map(|run| run.key_id);
                Self { key_id, run_id: Some(run), ..actor }
            }
            Means::Session(session) => Self { session_id: Some(session), ..actor },
            // Nobody knows who has the link; they act for the asker, but aren't them.
            Means::Fill(_) => Self::default(),
            Means::Link(_) | Means::SignIn | Means::SetUp | Means::Invitation(_) => actor,
        }
    }
}

/// Of which agent something is told, and of which of its revisions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The agent.
    pub agent_id: Option<AgentId>,
    /// The revision.
    pub revision_id: Option<RevisionId>,
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
    /// In or of which agent.
    pub place: Place,
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
