//! Users and their memberships.

use crate::clock::Timestamp;
use crate::ids::{SignInId, TeamId, UserId};
use crate::roles::Role;
use crate::rows::{Fields, Proven, Row, Stored};
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
    /// The one team that a service user is for; `None`: a person.
    pub service_of: Option<TeamId>,
}

impl Row for User {
    const TABLE: &'static str = "users";

    fn fields(&self, fields: &mut Fields) {
        fields.bytes("id", self.id.as_bytes());
        fields.bytes("name", self.name.as_str());
        fields.optional("email", self.email.as_ref().map(Email::as_str));
        fields.number("created_at", self.created_at.as_millis());
        fields.optional_number("disabled_at", self.disabled_at.map(Timestamp::as_millis));
        fields.optional("service_of", self.service_of.as_ref().map(TeamId::as_bytes));
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
    /// Since when they are no member any more. Their personal secrets stay for
    /// the retention time, in case they come back.
    pub removed_at: Option<Timestamp>,
    /// By which sign-in of theirs they come in: the team knows that it is theirs.
    /// `None`: by none, until they open an invitation.
    pub sign_in: Option<SignInId>,
}

impl Row for Membership {
    const TABLE: &'static str = "memberships";

    fn fields(&self, fields: &mut Fields) {
        fields.bytes("team_id", self.team_id.as_bytes());
        fields.bytes("user_id", self.user_id.as_bytes());
        fields.bytes("role", self.role.name());
        fields.number("created_at", self.created_at.as_millis());
        fields.optional_number("removed_at", self.removed_at.map(Timestamp::as_millis));
        fields.optional("sign_in", self.sign_in.as_ref().map(SignInId::as_bytes));
    }
}

/// A team, and a user's place in it.
#[derive(Clone, Debug)]
pub struct TeamPlace<M, T> {
    /// The place.
    pub membership: M,
    /// The team.
    pub team: T,
}

/// A user and their place in a team.
#[derive(Clone, Debug)]
pub struct Member<U, M> {
    /// The user.
    pub user: U,
    /// The place.
    pub membership: M,
}

/// A member as a store read them.
pub type StoredMember = Member<Stored<User>, Stored<Membership>>;

/// A member whose rows were proven.
pub type ProvenMember = Member<Proven<User>, Proven<Membership>>;
