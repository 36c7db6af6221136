//! Links by which a member of a team comes to sign in there: an administrator
//! makes one and sends it to them, and they open it once.

use crate::clock::Timestamp;
use crate::ids::{InvitationId, TeamId, UserId};
use crate::rows::{Fields, Row};
use crate::tokens::TokenHash;

/// How long an invitation can be used, in milliseconds: a week.
pub const LASTS: i64 = 7 * 24 * 60 * 60 * 1_000;

/// An invitation as it is kept: everything but its token.
#[derive(Clone, Debug)]
pub struct Invitation {
    /// Names the invitation; also in its token.
    pub id: InvitationId,
    /// Into which team.
    pub team_id: TeamId,
    /// Whom.
    pub user_id: UserId,
    /// The hash of its token.
    pub token_hash: TokenHash,
    /// Who made it.
    pub created_by: UserId,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it is refused.
    pub expires_at: Timestamp,
    /// Since when it is refused: used, or withdrawn.
    pub closed_at: Option<Timestamp>,
}

impl Row for Invitation {
    const TABLE: &'static str = "invitations";

    fn fields(&self, fields: &mut Fields) {
        fields.bytes("id", self.id.as_bytes());
        fields.bytes("team_id", self.team_id.as_bytes());
        fields.bytes("user_id", self.user_id.as_bytes());
        fields.bytes("token_hash", self.token_hash.as_bytes());
        fields.bytes("created_by", self.created_by.as_bytes());
        fields.number("created_at", self.created_at.as_millis());
        fields.number("expires_at", self.expires_at.as_millis());
        fields.optional_number("closed_at", self.closed_at.map(Timestamp::as_millis));
    }
}
