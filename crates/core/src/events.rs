//! The audit row: what happened, by whom, to which row. Ids only, never a
//! value; written in the transaction of what it records. And its reading: what
//! a search asks for, and what it finds.

use std::borrow::Cow;

use uuid::Uuid;

use crate::access::{Action, Caller, Denied, Means};
use crate::clock::Timestamp;
use crate::ids::{AgentId, ApiKeyId, RevisionId, RunId, SessionId, TeamId, UserId};
use crate::requests::RequestedText;
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
    /// Where a secret may be used was set.
    SecretPolicySet,
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
    /// A team was renamed, or what holds for it changed.
    TeamUpdated,
    /// A team was deleted; it can be brought back.
    TeamDeleted,
    /// A deleted team was brought back.
    TeamUndeleted,
    /// A team's keys were destroyed, and with them its values.
    TeamShredded,
    /// A team has a new key: it seals what comes, and what is there is sealed anew.
    TeamKeyRotated,
    /// A team's older keys are gone: nothing is sealed under them any more.
    TeamKeysRetired,
    /// The instance is under another root key.
    RootKeyRotated,
    /// One more root key opens the instance.
    RootKeyAdded,
    /// A root key that was added opens the instance no more.
    RootKeyRemoved,
    /// The instance has a new master key.
    MasterKeyRotated,
    /// The instance has a new key for one of its purposes.
    PurposeKeyRotated,
    /// Another recovery key opens backups from now on.
    RecoveryKeyReplaced,
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
    /// A run asked somebody for something through the broker.
    RunRequested,
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
    /// The access table refused somebody what they asked for.
    AccessDenied,
}

impl EventKind {
    /// Every kind.
    pub const ALL: [Self; 59] = [
        Self::InstanceCreated,
        Self::SecretCreated,
        Self::SecretUpdated,
        Self::SecretDeleted,
        Self::SecretUndeleted,
        Self::SecretPolicySet,
        Self::SecretRolledBack,
        Self::SecretCopied,
        Self::SecretCompared,
        Self::SecretPurged,
        Self::TeamCreated,
        Self::TeamUpdated,
        Self::TeamDeleted,
        Self::TeamUndeleted,
        Self::TeamShredded,
        Self::TeamKeyRotated,
        Self::TeamKeysRetired,
        Self::RootKeyRotated,
        Self::RootKeyAdded,
        Self::RootKeyRemoved,
        Self::MasterKeyRotated,
        Self::PurposeKeyRotated,
        Self::RecoveryKeyReplaced,
        Self::UserCreated,
        Self::MemberAdded,
        Self::MemberUpdated,
        Self::MemberRemoved,
        Self::ApiKeyCreated,
        Self::ApiKeyRevoked,
        Self::KeyLinkCreated,
        Self::KeyLinkCancelled,
        Self::KeyLinkClaimed,
        Self::AgentCreated,
        Self::AgentUpdated,
        Self::AgentDeleted,
        Self::AgentRunsRevoked,
        Self::RevisionCreated,
        Self::RevisionUpdated,
        Self::SecretAttached,
        Self::SecretDetached,
        Self::RunStarted,
        Self::RunExtended,
        Self::RunStopped,
        Self::RunRevoked,
        Self::RunRequested,
        Self::SecretDelivered,
        Self::SignInSetUp,
        Self::SignInChanged,
        Self::SessionStarted,
        Self::SessionMoved,
        Self::SessionEnded,
        Self::InvitationCreated,
        Self::InvitationCancelled,
        Self::InvitationAccepted,
        Self::FillRequestCreated,
        Self::FillRequestCancelled,
        Self::FillRequestFilled,
        Self::IntegrityViolation,
        Self::AccessDenied,
    ];

    /// From its name; `None` for one of a later program.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The stable dotted name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InstanceCreated => "instance.created",
            Self::SecretCreated => "secret.created",
            Self::SecretUpdated => "secret.updated",
            Self::SecretDeleted => "secret.deleted",
            Self::SecretUndeleted => "secret.undeleted",
            Self::SecretPolicySet => "secret.policy_set",
            Self::SecretRolledBack => "secret.rolled_back",
            Self::SecretCopied => "secret.copied",
            Self::SecretCompared => "secret.compared",
            Self::SecretPurged => "secret.purged",
            Self::TeamCreated => "team.created",
            Self::TeamUpdated => "team.updated",
            Self::TeamDeleted => "team.deleted",
            Self::TeamUndeleted => "team.undeleted",
            Self::TeamShredded => "team.shredded",
            Self::TeamKeyRotated => "team.key_rotated",
            Self::TeamKeysRetired => "team.keys_retired",
            Self::RootKeyRotated => "root_key.rotated",
            Self::RootKeyAdded => "root_key.added",
            Self::RootKeyRemoved => "root_key.removed",
            Self::MasterKeyRotated => "master_key.rotated",
            Self::PurposeKeyRotated => "purpose_key.rotated",
            Self::RecoveryKeyReplaced => "recovery_key.replaced",
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
            Self::RunRequested => "run.requested",
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
            Self::AccessDenied => "access.denied",
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
    /// What was refused, if it tells of that.
    pub refusal: Option<Refusal>,
    /// What was asked for, and what came of it, if it tells of a request through the broker.
    pub requested: Option<RequestedText>,
}

/// What the access table refused somebody, and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What they asked for; `None` where that isn't known.
    pub action: Option<Action>,
    /// Why it was refused; `None` stands for whatever else one caller was refused in a minute.
    pub reason: Option<Denied>,
    /// How often: 1 at once, and how often again when the minute is over.
    pub times: u32,
}

impl Refusal {
    /// As it is stored: the operation, and why it was refused, `-` for what isn't known.
    pub fn text(&self) -> String {
        let action = self.action.map_or("-", |action| action.rule().operation);
        format!("{action} {}", self.reason.map_or("-", Denied::name))
    }
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
    pub fn of<T: Row>(id: Option<Uuid>) -> Self {
        Self { table: T::TABLE, id, ..Self::default() }
    }
}

/// An event as it stands in the record. Names that a later program gave are kept
/// as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Its place in the record, from 1: what was stored later has a higher one.
    pub sequence: i64,
    /// When.
    pub at: Timestamp,
    /// What, by its dotted name.
    pub kind: Cow<'static, str>,
    /// In which team, if in one.
    pub team_id: Option<TeamId>,
    /// By whom.
    pub actor: Actor,
    /// In or of which agent.
    pub place: Place,
    /// The table of the object.
    pub table: Cow<'static, str>,
    /// The object.
    pub object_id: Option<Uuid>,
    /// Its version after the act, where it has versions.
    pub version: Option<u32>,
    /// Its row's MAC after the act, whatever was stored for it.
    pub object_mac: Option<Vec<u8>>,
    /// In answer to which request.
    pub request_id: Option<Uuid>,
    /// What was refused, and why, by their names, if it tells of that.
    pub refusal: Option<RecordedRefusal>,
    /// What was asked for through the broker, if it tells of that.
    pub requested: Option<RequestedText>,
    /// How often it happened.
    pub times: u32,
}

/// A refusal as it stands in the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedRefusal {
    /// The operation; `None` where it isn't known.
    pub action: Option<String>,
    /// The name of the reason; `None` for several.
    pub reason: Option<String>,
}

impl RecordedRefusal {
    /// From its stored form; `None` when it is no such thing. Each has one form, so that
    /// no other text is taken for it.
    pub fn from_text(text: &str) -> Option<Self> {
        let known = |word: &str| Some(word.to_owned()).filter(|word| word != "-");
        let (action, reason) = text.split_once(' ')?;
        Some(Self { action: known(action), reason: known(reason) })
    }
}

impl Recorded {
    /// An event that has this place in the record.
    pub fn of(sequence: i64, event: &Event) -> Self {
        Self {
            sequence,
            at: event.at,
            kind: event.kind.name().into(),
            team_id: event.team_id,
            actor: event.actor,
            place: event.place,
            table: event.object.table.into(),
            object_id: event.object.id,
            version: event.object.version,
            object_mac: event.object.mac.map(|mac| mac.as_bytes().to_vec()),
            request_id: event.request_id,
            refusal: event.refusal.and_then(|refusal| RecordedRefusal::from_text(&refusal.text())),
            times: event.refusal.map_or(1, |refusal| refusal.times),
            requested: event.requested.clone(),
        }
    }

    /// What, unless a later program recorded it.
    pub fn known_kind(&self) -> Option<EventKind> {
        EventKind::from_name(&self.kind)
    }

    /// Every id that stands in it, but for the team's.
    pub fn ids(&self) -> impl Iterator<Item = Uuid> {
        let Self { actor, place, .. } = self;
        [
            self.object_id,
            actor.user_id.map(UserId::uuid),
            actor.key_id.map(ApiKeyId::uuid),
            actor.run_id.map(RunId::uuid),
            actor.session_id.map(SessionId::uuid),
            place.agent_id.map(AgentId::uuid),
            place.revision_id.map(RevisionId::uuid),
            self.request_id,
        ]
        .into_iter()
        .flatten()
    }
}

/// Which events a search is for; everything that is given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Of one of these kinds; empty: of any.
    pub kinds: Vec<EventKind>,
    /// Done by this user.
    pub user: Option<UserId>,
    /// Done with this key, or by a run that was started with it.
    pub key: Option<ApiKeyId>,
    /// Done by this run.
    pub run: Option<RunId>,
    /// About an object of this table.
    pub table: Option<String>,
    /// About one of these objects; empty: about any. At most [`Self::MOST_OBJECTS`].
    pub objects: Vec<Uuid>,
    /// With this id somewhere in it: the object's, the actor's, the agent's or the request's.
    pub naming: Option<Uuid>,
    /// From this moment on.
    pub since: Option<Timestamp>,
    /// Before this moment.
    pub until: Option<Timestamp>,
}

impl EventFilter {
    /// Objects that one search may be about; more are left out.
    pub const MOST_OBJECTS: usize = 32;

    /// Whether every event is among them.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether an event is among them.
    pub fn matches(&self, event: &Recorded) -> bool {
        let objects = self.objects.get(..Self::MOST_OBJECTS).unwrap_or(&self.objects);
        let is = [
            self.kinds.is_empty() || self.kinds.iter().any(|kind| kind.name() == event.kind),
            self.user.is_none() || self.user == event.actor.user_id,
            self.key.is_none() || self.key == event.actor.key_id,
            self.run.is_none() || self.run == event.actor.run_id,
            self.table.as_ref().is_none_or(|table| *table == event.table),
            objects.is_empty() || event.object_id.is_some_and(|id| objects.contains(&id)),
            self.naming.is_none_or(|id| event.ids().any(|there| there == id)),
            self.since.is_none_or(|since| event.at >= since),
            self.until.is_none_or(|until| event.at < until),
        ];
        !is.contains(&false)
    }
}

/// What a search found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventPage {
    /// The events, the newest first.
    pub events: Vec<Recorded>,
    /// Before which place the search goes on; `None`: there is nothing older.
    pub next: Option<i64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    macro_rules! kinds {
        ($($kind:ident)*) => {
            const KINDS: &[EventKind] = &[$(EventKind::$kind),*];

            /// Doesn't compile while a kind isn't in the list here.
            const fn is_listed(kind: EventKind) -> bool {
                match kind { $(EventKind::$kind => true),* }
            }
        };
    }

    kinds! {
        InstanceCreated SecretCreated SecretUpdated SecretDeleted SecretUndeleted SecretPolicySet SecretRolledBack
        SecretCopied SecretCompared SecretPurged TeamCreated TeamUpdated TeamDeleted TeamUndeleted
        TeamShredded TeamKeyRotated TeamKeysRetired RootKeyRotated RootKeyAdded RootKeyRemoved MasterKeyRotated
        PurposeKeyRotated RecoveryKeyReplaced UserCreated MemberAdded MemberUpdated MemberRemoved ApiKeyCreated ApiKeyRevoked
        KeyLinkCreated KeyLinkCancelled KeyLinkClaimed AgentCreated AgentUpdated AgentDeleted
        AgentRunsRevoked RevisionCreated RevisionUpdated SecretAttached SecretDetached RunStarted
        RunExtended RunStopped RunRevoked RunRequested SecretDelivered SignInSetUp SignInChanged SessionStarted
        SessionMoved SessionEnded InvitationCreated InvitationCancelled InvitationAccepted FillRequestCreated
        FillRequestCancelled FillRequestFilled
        IntegrityViolation AccessDenied
    }

    #[test]
    fn every_kind_is_in_the_list_once_and_found_by_its_name() {
        assert!(EventKind::ALL.into_iter().all(is_listed));
        assert_eq!(EventKind::ALL.as_slice(), KINDS);
        for kind in EventKind::ALL {
            assert_eq!(EventKind::from_name(kind.name()), Some(kind));
            assert!(!kind.name().contains(' '), "a list of names is parted by spaces");
        }
        assert_eq!(EventKind::from_name("secret.sung"), None);
    }

    #[test]
    fn a_refusal_is_read_as_it_was_written() {
        let refusal = |action, reason| Refusal { action, reason, times: 3 };
        for (written, action, reason) in [
            (refusal(Some(Action::DeleteSecret), Some(Denied::TeamDeleted)), "deleteSecret", "team_deleted"),
            (refusal(None, Some(Denied::Address)), "", "address"),
            (refusal(None, None), "", ""),
        ] {
            let known = |name: &str| Some(name.to_owned()).filter(|name| !name.is_empty());
            let read = RecordedRefusal::from_text(&written.text());
            assert_eq!(read, Some(RecordedRefusal { action: known(action), reason: known(reason) }));
        }
        assert_eq!(RecordedRefusal::from_text("deleteSecret"), None);
    }
}
