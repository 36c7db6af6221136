//! Sessions: a browser in which somebody signed in.

use crate::clock::Timestamp;
use crate::grants::{Grant, Scopes};
use crate::ids::{SessionId, SignInId, TeamId, UserId};
use crate::roles::Role;
use crate::rows::{Fields, Row};
use crate::text::BrowserName;
use crate::tokens::TokenHash;

/// How long a session lasts, in milliseconds: a working day of twelve hours.
pub const LASTS: i64 = 12 * 60 * 60 * 1_000;

/// A session as it is kept: everything but its token.
#[derive(Clone, Debug)]
pub struct Session {
    /// Names the session; also in its token.
    pub id: SessionId,
    /// In which team its user is at present.
    pub team_id: TeamId,
    /// Whose it is.
    pub user_id: UserId,
    /// By which sign-in.
    pub sign_in: SignInId,
    /// What the browser said it is.
    pub browser: Option<BrowserName>,
    /// The hash of its token.
    pub token_hash: TokenHash,
    /// When its user signed in.
    pub created_at: Timestamp,
    /// From when on it is refused.
    pub expires_at: Timestamp,
    /// Since when it is refused: signed out, or ended from elsewhere.
    pub ended_at: Option<Timestamp>,
}

impl Row for Session {
    const TABLE: &'static str = "sessions";

    fn fields(&self, fields: &mut Fields) {
        fields.bytes("id", self.id.as_bytes());
        fields.bytes("team_id", self.team_id.as_bytes());
        fields.bytes("user_id", self.user_id.as_bytes());
        fields.bytes("sign_in", self.sign_in.as_bytes());
        fields.optional("browser", self.browser.as_ref().map(BrowserName::as_str));
        fields.bytes("token_hash", self.token_hash.as_bytes());
        fields.number("created_at", self.created_at.as_millis());
        fields.number("expires_at", self.expires_at.as_millis());
        fields.optional_number("ended_at", self.ended_at.map(Timestamp::as_millis));
    }
}

/// What a person may do who is here in person: what their role allows, for as
/// long as they like.
pub(crate) fn grant() -> Grant {
    Grant { role: Role::Owner, scopes: Scopes::all(), agents: None, networks: None, expires_at: None }
}
