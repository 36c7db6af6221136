//! Requests that a person fill in a secret: a program asks for it and learns
//! nothing but that it was done; whoever opens the link sees who asks, for what,
//! and where the values will go.

use crate::clock::Timestamp;
use crate::ids::{AgentId, ApiKeyId, FillRequestId, RevisionId, RunId, SecretId, TeamId, UserId};
use crate::rows::{Fields, Row};
use crate::text::{FillNote, SecretName, ServiceSlug};
use crate::tokens::TokenHash;
use crate::values::EnvKey;

/// The shortest and the longest that a request can be filled in, in seconds: a
/// minute, and a week.
pub const VALID_SECONDS: std::ops::RangeInclusive<u32> = 60..=604_800;
/// The same when the asker doesn't say: a day.
pub const USUALLY_SECONDS: u32 = 86_400;
/// How long it can be asked what came of a request, in milliseconds from when it
/// was over: 30 days.
pub const TOLD_FOR: i64 = 30 * 24 * 60 * 60 * 1_000;
/// The most values that one request asks for: more than anybody types in.
pub const MOST_KEYS: usize = 32;
/// The most requests of one asker that are open at a time: an agent that somebody
/// talked into it can't flood people.
pub const MOST_OPEN: usize = 20;

/// A request as it is kept: everything but its token.
#[derive(Clone, Debug)]
pub struct FillRequest {
    /// Names the request; also in its token.
    pub id: FillRequestId,
    /// For which team.
    pub team_id: TeamId,
    /// Who asks, or whose run does.
    pub user_id: UserId,
    /// With which key; `None`: in a session.
    pub key_id: Option<ApiKeyId>,
    /// Which run, if one asks.
    pub run: Option<AskingRun>,
    /// What the secret is to be called.
    pub name: SecretName,
    /// Which service it is for.
    pub service_slug: Option<ServiceSlug>,
    /// What its values are to be called.
    pub env_keys: Vec<EnvKey>,
    /// What for, in the asker's words.
    pub note: Option<FillNote>,
    /// The hash of its token.
    pub token_hash: TokenHash,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it can't be filled in.
    pub expires_at: Timestamp,
    /// Since when it can't: it was filled in, or withdrawn.
    pub closed_at: Option<Timestamp>,
    /// The secret that it was filled in as.
    pub secret_id: Option<SecretId>,
}

/// The run that asks, and what it is a run of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AskingRun {
    /// The run.
    pub run_id: RunId,
    /// Its agent.
    pub agent_id: AgentId,
    /// Its revision.
    pub revision_id: RevisionId,
}

/// What came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It can be filled in.
    Open,
    /// It was filled in.
    Filled,
    /// It was withdrawn.
    Cancelled,
    /// Nobody did in time.
    Expired,
}

impl Fate {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Open, Self::Filled, Self::Cancelled, Self::Expired];

    /// Its name, as programs know it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Filled => "filled",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }
}

impl FillRequest {
    /// What came of it by now.
    pub fn fate(&self, now: Timestamp) -> Fate {
        match (self.closed_at, self.secret_id) {
            (Some(_), Some(_)) => Fate::Filled,
            (Some(_), None) => Fate::Cancelled,
            (None, _) if self.expires_at <= now => Fate::Expired,
            (None, _) => Fate::Open,
        }
    }

    /// The names of the values as one text, a line each, as they are stored.
    pub fn env_key_lines(&self) -> String {
        let keys: Vec<_> = self.env_keys.iter().map(EnvKey::as_str).collect();
        keys.join("\n")
    }
}

impl Row for FillRequest {
    const TABLE: &'static str = "fill_requests";

    fn fields(&self, fields: &mut Fields) {
        fields.bytes("id", self.id.as_bytes());
        fields.bytes("team_id", self.team_id.as_bytes());
        fields.bytes("user_id", self.user_id.as_bytes());
        fields.optional("key_id", self.key_id.as_ref().map(ApiKeyId::as_bytes));
        fields.optional("run_id", self.run.as_ref().map(|run| run.run_id.as_bytes()));
        fields.optional("agent_id", self.run.as_ref().map(|run| run.agent_id.as_bytes()));
        fields.optional("revision_id", self.run.as_ref().map(|run| run.revision_id.as_bytes()));
        fields.bytes("name", self.name.as_str());
        fields.optional("service_slug", self.service_slug.as_ref().map(ServiceSlug::as_str));
        fields.bytes("env_keys", self.env_key_lines());
        fields.optional("note", self.note.as_ref().map(FillNote::as_str));
        fields.bytes("token_hash", self.token_hash.as_bytes());
        fields.number("created_at", self.created_at.as_millis());
        fields.number("expires_at", self.expires_at.as_millis());
        fields.optional_number("closed_at", self.closed_at.map(Timestamp::as_millis));
        fields.optional("secret_id", self.secret_id.as_ref().map(SecretId::as_bytes));
    }
}
