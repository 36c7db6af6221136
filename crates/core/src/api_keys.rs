//! API keys: how a program proves on whose behalf it acts. A key belongs to
//! one team and acts as one user, never with more than the user's own role.

use crate::access::{Role, Scopes};
use crate::clock::Timestamp;
use crate::ids::{ApiKeyId, TeamId, UserId};
use crate::rows::{Fields, Row, Stored};
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
    /// The most it may do; the user's present role may lower it.
    pub role: Role,
    /// What kinds of act it is for.
    pub scopes: Scopes,
    /// The hash of its token.
    pub token_hash: TokenHash,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it is refused, if ever.
    pub expires_at: Option<Timestamp>,
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
        fields.bytes("role", self.role.name());
        fields.bytes("scopes", self.scopes.to_string());
        fields.bytes("token_hash", self.token_hash.as_bytes());
        fields.number("created_at", self.created_at.as_millis());
        fields.optional_number("expires_at", self.expires_at.map(Timestamp::as_millis));
        fields.optional_number("revoked_at", self.revoked_at.map(Timestamp::as_millis));
    }
}

/// The three rows that decide what the bearer of a key may do.
#[derive(Clone, Debug)]
pub struct KeyRows {
    /// The key.
    pub key: Stored<ApiKey>,
    /// Its user.
    pub user: Stored<User>,
    /// The user's place in the key's team, if they still have one.
    pub membership: Option<Stored<Membership>>,
}
