//! Runs: leases on the environment of a revision, and what was delivered to
//! them. A run's token opens its environment, and nothing else of the API.

use std::collections::BTreeSet;

use crate::agents::Agent;
use crate::api_keys::ApiKey;
use crate::clock::Timestamp;
use crate::environment::Composition;
use crate::grants::Scope;
use crate::ids::{AgentId, ApiKeyId, RevisionId, RunId, SecretId, TeamId, UserId};
use crate::roles::Role;
use crate::rows::{Fields, Proven, Row, Stored};
use crate::teams::Team;
use crate::text::RunNote;
use crate::tokens::TokenHash;
use crate::users::{Membership, User};
use crate::values::EnvKey;

/// How long a lease is when nobody says, in seconds: an hour.
pub const LEASE: u32 = 60 * 60;
/// The shortest lease, in seconds.
pub const SHORTEST_LEASE: u32 = 10;
/// The longest lease, in seconds: a week.
pub const LONGEST_LEASE: u32 = 7 * 24 * 60 * 60;

/// The least role that starts runs, and that their starter keeps as long as
/// they are good: starting a run is reading its values.
pub(crate) const STARTER: Role = Role::Builder;

/// How a run gets its values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RunMode {
    /// Into its environment, as they are.
    #[default]
    Inject,
    /// Not at all: it gets placeholders, in whose place the broker puts values on their way out.
    Broker,
}

impl RunMode {
    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Inject => "inject",
            Self::Broker => "broker",
        }
    }

    /// As it is stored: a run of before there was a broker says nothing, and neither does
    /// one of the same mode now.
    pub const fn stored(self) -> Option<&'static str> {
        match self {
            Self::Inject => None,
            Self::Broker => Some("broker"),
        }
    }

    /// From its stored form; `None` when it is none.
    pub fn from_stored(stored: Option<&str>) -> Option<Self> {
        [Self::Inject, Self::Broker].into_iter().find(|mode| mode.stored() == stored)
    }
}

/// A run as it is kept: everything but its tokens.
#[derive(Clone, Debug)]
pub struct Run {
    /// Names it; also in its token.
    pub id: RunId,
    /// In which team.
    pub team_id: TeamId,
    /// Of which agent.
    pub agent_id: AgentId,
    /// Of which revision.
    pub revision_id: RevisionId,
    /// Who started it.
    pub user_id: UserId,
    /// With which key.
    pub key_id: ApiKeyId,
    /// The agent's generation when it was started.
    pub generation: u32,
    /// Whether no two of its secrets may have a value of the same name.
    pub strict: bool,
    /// What it is for, in its starter's words.
    pub note: Option<RunNote>,
    /// Which secrets it receives.
    pub composition: Composition,
    /// The hash of its token.
    pub token_hash: TokenHash,
    /// How long its lease was asked to be, in seconds; extending it asks for
    /// the same again.
    pub lease: u32,
    /// When it was started.
    pub created_at: Timestamp,
    /// When anything of it last changed.
    pub updated_at: Timestamp,
    /// When its lease ends.
    pub expires_at: Timestamp,
    /// Since when it is over by its starter's will.
    pub stopped_at: Option<Timestamp>,
    /// Since when it is over because its values may be in wrong hands.
    pub revoked_at: Option<Timestamp>,
    /// How it gets its values.
    pub mode: RunMode,
    /// The hash of its token for the broker; one of [`RunMode::Broker`] has one, no other.
    pub broker_hash: Option<TokenHash>,
}

impl Row for Run {
    const TABLE: &'static str = "runs";

    fn fields(&self, fields: &mut Fields) {
        fields.bytes("id", self.id.as_bytes());
        fields.bytes("team_id", self.team_id.as_bytes());
        fields.bytes("agent_id", self.agent_id.as_bytes());
        fields.bytes("revision_id", self.revision_id.as_bytes());
        fields.bytes("user_id", self.user_id.as_bytes());
        fields.bytes("key_id", self.key_id.as_bytes());
        fields.number("generation", self.generation.into());
        fields.number("strict", self.strict.into());
        fields.optional("note", self.note.as_ref().map(RunNote::as_str));
        fields.bytes("composition", self.composition.to_lines());
        fields.bytes("token_hash", self.token_hash.as_bytes());
        fields.number("lease", self.lease.into());
        fields.number("created_at", self.created_at.as_millis());
        fields.number("updated_at", self.updated_at.as_millis());
        fields.number("expires_at", self.expires_at.as_millis());
        fields.optional_number("stopped_at", self.stopped_at.map(Timestamp::as_millis));
        fields.optional_number("revoked_at", self.revoked_at.map(Timestamp::as_millis));
        // Left out where there is no broker, so that runs of before keep their MACs. Each field
        // stands behind its name and its length: no other row's fields read the same.
        fields.optional("mode", self.mode.stored());
        fields.optional("broker_hash", self.broker_hash.as_ref().map(TokenHash::as_bytes));
    }
}

impl Run {
    /// Whether it is over for good, whatever becomes of what it hangs on.
    pub(crate) fn is_over(&self, now: Timestamp) -> bool {
        self.stopped_at.is_some() || self.revoked_at.is_some() || self.expires_at <= now
    }
}

/// Why a run is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Somebody stopped it.
    Stopped,
    /// Its lease ended.
    Expired,
    /// It was revoked, or what it hangs on: its starter's key, place or role in
    /// the team, its agent, the team.
    Revoked,
}

impl Ended {
    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

/// The rows that decide whether a run is good.
#[derive(Clone, Debug)]
pub struct RunRows<R, K, A, U, M, T> {
    /// The run itself.
    pub run: R,
    /// The key with which it was started.
    pub key: K,
    /// Its agent.
    pub agent: A,
    /// Its starter.
    pub user: U,
    /// The starter's place in the team.
    pub membership: M,
    /// The team.
    pub team: T,
}

/// These rows as a store read them.
pub type StoredRun =
    RunRows<Stored<Run>, Stored<ApiKey>, Stored<Agent>, Stored<User>, Stored<Membership>, Stored<Team>>;

/// These rows, proven.
pub type ProvenRun =
    RunRows<Proven<Run>, Proven<ApiKey>, Proven<Agent>, Proven<User>, Proven<Membership>, Proven<Team>>;

impl ProvenRun {
    /// Why the run is over; `None` while it is good.
    pub fn ended(&self, now: Timestamp) -> Option<Ended> {
        if self.run.stopped_at.is_some() {
            Some(Ended::Stopped)
        } else if self.run.revoked_at.is_some() {
            Some(Ended::Revoked)
        } else if self.run.expires_at <= now {
            Some(Ended::Expired)
        } else {
            (!self.stands()).then_some(Ended::Revoked)
        }
    }

    /// Whether everything that the run hangs on is as it must be.
    fn stands(&self) -> bool {
        let Self { run, key, agent, user, membership, team } = self;
        let its_own = (run.team_id, run.user_id, run.key_id, run.agent_id)
            == (team.id, user.id, key.id, agent.id)
            && (key.team_id, key.user_id) == (team.id, user.id)
            && (membership.team_id, membership.user_id) == (team.id, user.id)
            && agent.team_id == team.id;
        let may_start =
            key.grant.role.min(membership.role) >= STARTER && key.grant.scopes.contains(Scope::RunsStart);
        its_own
            && may_start
            && key.revoked_at.is_none()
            && user.disabled_at.is_none()
            && membership.removed_at.is_none()
            && team.deleted_at.is_none()
            && agent.deleted_at.is_none()
            && agent.generation == run.generation
    }

    /// When it was over, as far as that is known.
    pub fn ended_at(&self, now: Timestamp) -> Option<Timestamp> {
        let Self { run, key, agent, user, membership, team } = self;
        match self.ended(now)? {
            Ended::Stopped => run.stopped_at,
            Ended::Expired => Some(run.expires_at),
            Ended::Revoked => {
                let ends = [
                    key.revoked_at,
                    agent.deleted_at,
                    user.disabled_at,
                    membership.removed_at,
                    team.deleted_at,
                ];
                run.revoked_at.or(ends.into_iter().flatten().min())
            }
        }
    }
}

/// That a run received values of a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Which run.
    pub run_id: RunId,
    /// Of which secret.
    pub secret_id: SecretId,
    /// Which of its versions.
    pub version: u32,
    /// Which of its values, by their names.
    pub env_keys: BTreeSet<EnvKey>,
    /// When they were delivered first.
    pub at: Timestamp,
}

impl Delivery {
    /// The names as one text, a line each, as they are stored.
    pub fn env_key_lines(&self) -> String {
        let keys: Vec<_> = self.env_keys.iter().map(EnvKey::as_str).collect();
        keys.join("\n")
    }
}

/// Which runs a question is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunsOf {
    /// All of the team's.
    Team,
    /// This one.
    Run(RunId),
    /// An agent's.
    Agent(AgentId),
    /// Those that were started with this key.
    Key(ApiKeyId),
    /// Those that this user started.
    User(UserId),
}
