//! API keys: how a program proves on whose behalf it acts. A key belongs to
//! one team and acts as one user, never with more than the user's own role.

use crate::clock::Timestamp;
use crate::grants::{Agents, Grant};
use crate::ids::{ApiKeyId, TeamId, UserId};
use crate::rows::{Fields, Row, Stored};
use crate::teams::Team;
use crate::text::KeyName;
use crate::tokens::TokenHash;
use crate::users::{Membership, User};

/// An API key as it is kept: everything but its token.
#[derive(Clone, Debug)]
pub struct ApiKey {
    /// Names the key; also in its token.
    pub id: ApiKeyId,
    /// The one team in which it is valid.
    pub team_id: TeamId,
    /// As whom it acts.
    pub user_id: UserId,
    /// What its owner calls it.
    pub name: KeyName,
    /// What it is good for.
    pub grant: Grant,
    /// The hash of its token.
    pub token_hash: TokenHash,
    /// Who made it, unless it is the instance's first.
    pub created_by: Option<UserId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Since when it is refused.
    pub revoked_at: Option<Timestamp>,
}

impl Row for ApiKey {
    const TABLE: &'static str = "api_keys";

    fn fields(&self, fields: &mut Fields) {
        fields.bytes("id", self.id.as_bytes());
        fields.bytes("team_id", self.team_id.as_bytes());
        fields.bytes("user_id", self.user_id.as_bytes());
        fields.bytes("name", self.name.as_str());
        fields.bytes("role", self.grant.role.name());
        fields.bytes("scopes", self.grant.scopes.to_string());
        fields.bytes("token_hash", self.token_hash.as_bytes());
        fields.number("created_at", self.created_at.as_millis());
        fields.optional_number("expires_at", self.grant.expires_at.map(Timestamp::as_millis));
        fields.optional_number("revoked_at", self.revoked_at.map(Timestamp::as_millis));
        fields.optional("agents", self.grant.agents.as_ref().map(Agents::to_bytes));
        fields.optional("networks", self.grant.networks.as_ref().map(ToString::to_string));
        fields.optional("created_by", self.created_by.as_ref().map(UserId::as_bytes));
    }
}

/// The rows that decide what the bearer of a key or link may do.
#[derive(Clone, Debug)]
pub struct ProofRows<T> {
    /// The key or link itself.
    pub means: Stored<T>,
    /// Its user.
    pub user: Stored<User>,
    /// The user's place in its team, if they ever had one.
    pub membership: Option<Stored<Membership>>,
    /// The team.
    pub team: Stored<Team>,
}

/// An API key, and when it was last seen.
#[derive(Clone, Debug)]
pub struct UsedKey<T> {
    /// The key.
    pub key: T,
    /// When it was last used, to about a minute. Not covered by the key's MAC:
    /// nothing is decided by it.
    pub last_used_at: Option<Timestamp>,
}
