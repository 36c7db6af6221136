//! Users and their memberships.

use crate::access::Role;
use crate::clock::Timestamp;
use crate::ids::{TeamId, UserId};
use crate::rows::{Fields, Row};
use crate::text::{Email, UserName};

/// Somebody who acts.
#[derive(Clone, Debug)]
pub struct User {
    /// Names the user.
    pub id: UserId,
    /// What people call them.
    pub name: UserName,
    /// Where they get mail, if known.
    pub email: Option<Email>,
    /// When the user was created.
    pub created_at: Timestamp,
    /// Since when nothing of theirs is accepted.
    pub disabled_at: Option<Timestamp>,
}

impl Row for User {
    const TABLE: &'static str = "users";

    fn fields(&self, fields: &mut Fields) {
        fields.bytes("id", self.id.as_bytes());
        fields.bytes("name", self.name.as_str());
        fields.optional("email", self.email.as_ref().map(Email::as_str));
        fields.number("created_at", self.created_at.as_millis());
        fields.optional_number("disabled_at", self.disabled_at.map(Timestamp::as_millis));
    }
}

/// A user's place in a team.
#[derive(Clone, Debug)]
pub struct Membership {
    /// The team.
    pub team_id: TeamId,
    /// The member.
    pub user_id: UserId,
    /// What they may do there.
    pub role: Role,
    /// Since when.
    pub created_at: Timestamp,
}

impl Row for Membership {
    const TABLE: &'static str = "memberships";

    fn fields(&self, fields: &mut Fields) {
        fields.bytes("team_id", self.team_id.as_bytes());
        fields.bytes("user_id", self.user_id.as_bytes());
        fields.bytes("role", self.role.name());
        fields.number("created_at", self.created_at.as_millis());
    }
}
