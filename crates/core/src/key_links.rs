//! Links by which a user makes an API key of their own, once. Whoever makes
//! the link decides what the key is good for, and never sees the key.

use crate::clock::Timestamp;
use crate::grants::{Agents, Grant};
use crate::ids::{ApiKeyId, KeyLinkId, TeamId, UserId};
use crate::rows::{Fields, Row};
use crate::text::KeyName;
use crate::tokens::TokenHash;

/// A link as it is kept: everything but its token.
#[derive(Clone, Debug)]
pub struct KeyLink {
    /// Names the link; also in its token.
    pub id: KeyLinkId,
    /// In which team the key will be valid.
    pub team_id: TeamId,
    /// As whom the key will act.
    pub user_id: UserId,
    /// What the key will be called.
    pub name: KeyName,
    /// What the key will be good for.
    pub grant: Grant,
    /// The hash of its token.
    pub token_hash: TokenHash,
    /// Who made it.
    pub created_by: UserId,
    /// With which key: when that is revoked, so is the link.
    pub made_with: ApiKeyId,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it is refused.
    pub expires_at: Timestamp,
    /// Since when it is refused: used, or withdrawn.
    pub closed_at: Option<Timestamp>,
}

impl Row for KeyLink {
    const TABLE: &'static str = "key_links";

    fn fields(&self, fields: &mut Fields) {
        fields.bytes("id", self.id.as_bytes());
        fields.bytes("team_id", self.team_id.as_bytes());
        fields.bytes("user_id", self.user_id.as_bytes());
        fields.bytes("name", self.name.as_str());
        fields.bytes("role", self.grant.role.name());
        fields.bytes("scopes", self.grant.scopes.to_string());
        fields.optional("agents", self.grant.agents.as_ref().map(Agents::to_bytes));
        fields.optional("networks", self.grant.networks.as_ref().map(ToString::to_string));
        fields.optional_number("key_expires_at", self.grant.expires_at.map(Timestamp::as_millis));
        fields.bytes("token_hash", self.token_hash.as_bytes());
        fields.bytes("created_by", self.created_by.as_bytes());
        fields.bytes("made_with", self.made_with.as_bytes());
        fields.number("created_at", self.created_at.as_millis());
        fields.number("expires_at", self.expires_at.as_millis());
        fields.optional_number("closed_at", self.closed_at.map(Timestamp::as_millis));
    }
}
