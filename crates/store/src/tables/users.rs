//! Users and their memberships.

use super::{Cells, Columns, Malformed, Read, Record, Shape, Value, id, number, text};
use crate::query::{Query, Text};
use std::sync::LazyLock;
use strongroom_core::rows::{Row, Stored};
use strongroom_core::teams::Team;
use strongroom_core::text::{Email, UserName};
use strongroom_core::users::{Member, Membership, StoredMember, TeamPlace, User};
use strongroom_core::{Role, SignInId, TeamId, UserId};

impl Record for User {
    fn shape() -> &'static Shape {
        static SHAPE: Shape = Shape::new(
            User::TABLE,
            &[id("id")],
            &[text("name"), text("email"), number("created_at"), number("disabled_at"), id("service_of")],
        );
        &SHAPE
    }

    fn values(&self) -> Vec<Value<'_>> {
        vec![
            self.id.as_bytes().into(),
            self.name.as_str().into(),
            self.email.as_ref().map(Email::as_str).into(),
            self.created_at.into(),
            self.disabled_at.into(),
            self.service_of.as_ref().map(TeamId::as_bytes).into(),
        ]
    }
}

impl Read for User {
    fn read<'r>(columns: &mut Columns<'r, impl Cells<'r>>) -> Result<Self, Malformed> {
        Ok(Self {
            id: columns.id(UserId::from_slice)?,
            name: columns.text(UserName::parse)?,
            email: columns.optional_text(Email::parse)?,
            created_at: columns.time()?,
            disabled_at: columns.optional_time()?,
            service_of: columns.optional_id(TeamId::from_slice)?,
        })
    }
}

impl Record for Membership {
    fn shape() -> &'static Shape {
        static SHAPE: Shape = Shape::new(
            Membership::TABLE,
            &[id("team_id"), id("user_id")],
            &[text("role"), number("created_at"), number("removed_at"), id("sign_in")],
        );
        &SHAPE
    }

    fn values(&self) -> Vec<Value<'_>> {
        vec![
            self.team_id.as_bytes().into(),
            self.user_id.as_bytes().into(),
            self.role.name().into(),
            self.created_at.into(),
            self.removed_at.into(),
            self.sign_in.as_ref().map(SignInId::as_bytes).into(),
        ]
    }
}

impl Read for Membership {
    fn read<'r>(columns: &mut Columns<'r, impl Cells<'r>>) -> Result<Self, Malformed> {
        Ok(Self {
            team_id: columns.id(TeamId::from_slice)?,
            user_id: columns.id(UserId::from_slice)?,
            role: columns.text(|name| Role::from_name(name).ok_or(Malformed))?,
            created_at: columns.time()?,
            removed_at: columns.optional_time()?,
            sign_in: columns.optional_id(SignInId::from_slice)?,
        })
    }
}

impl Read for StoredMember {
    fn read<'r>(columns: &mut Columns<'r, impl Cells<'r>>) -> Result<Self, Malformed> {
        Ok(Member { user: Read::read(columns)?, membership: Read::read(columns)? })
    }
}

static MEMBER: LazyLock<String> = LazyLock::new(|| select_members("m.team_id = ?1 AND m.user_id = ?2"));

static MEMBERS: LazyLock<String> = LazyLock::new(|| {
    select_members(
        "m.team_id = ?1 AND m.user_id > ?2 AND m.removed_at IS NULL ORDER BY m.team_id, m.user_id LIMIT ?3",
    )
});

/// Members in a query that says which.
fn select_members(condition: &str) -> String {
    format!(
        "SELECT {}, {} FROM memberships m JOIN users u ON u.id = m.user_id WHERE {condition}",
        User::shape().of("u"),
        Membership::shape().of("m"),
    )
}

/// A user's place in a team, also when they were removed.
pub(crate) fn member(team: TeamId, user: UserId) -> Query<'static, StoredMember> {
    Query::new(Membership::TABLE, MEMBER.as_str(), [team.as_bytes().into(), user.as_bytes().into()])
}

/// A page of a team's members.
pub(crate) fn members(team: TeamId, after: Option<UserId>, limit: u32) -> Query<'static, StoredMember> {
    let after = after.map_or([0; 16], |user| *user.as_bytes());
    let values = [team.as_bytes().into(), Value::Id(after), Value::number(limit)];
    Query::new(Membership::TABLE, MEMBERS.as_str(), values)
}

impl Read for TeamPlace<Stored<Membership>, Stored<Team>> {
    fn read<'r>(columns: &mut Columns<'r, impl Cells<'r>>) -> Result<Self, Malformed> {
        Ok(Self { membership: Read::read(columns)?, team: Read::read(columns)? })
    }
}

/// Where a user is a member, by the age of the team.
pub(crate) fn places(
    user: UserId,
    limit: u32,
) -> Query<'static, TeamPlace<Stored<Membership>, Stored<Team>>> {
    static PLACES: LazyLock<String> = LazyLock::new(|| {
        format!(
            "SELECT {}, {} FROM memberships m JOIN teams t ON t.id = m.team_id \
             WHERE m.user_id = ?1 AND m.removed_at IS NULL ORDER BY m.user_id, m.team_id LIMIT ?2",
            Membership::shape().of("m"),
            Team::shape().of("t"),
        )
    });
    Query::new(Membership::TABLE, PLACES.as_str(), [user.as_bytes().into(), Value::number(limit)])
}

/// In the words of each engine's index, so that it is used.
static BY_EMAIL: LazyLock<Text> = LazyLock::new(|| Text {
    sqlite: User::shape().select("email = ?1 COLLATE NOCASE").into(),
    postgres: User::shape().select("lower(email COLLATE \"C\") = lower(?1 COLLATE \"C\")").into(),
});

/// The user with this address, in any case of its ASCII letters.
pub(crate) fn by_email(email: &Email) -> Query<'_, Stored<User>> {
    Query::new(User::TABLE, &*BY_EMAIL, [email.as_str().into()])
}

/// How many owners a team has: people who are members and aren't disabled.
pub(crate) fn owners(team: TeamId) -> Query<'static, u64> {
    let count = "SELECT count(*) FROM memberships m JOIN users u ON u.id = m.user_id \
                 WHERE m.team_id = ?1 AND m.role = 'owner' AND m.removed_at IS NULL \
                 AND u.disabled_at IS NULL AND u.service_of IS NULL";
    Query::new(Membership::TABLE, count, [team.as_bytes().into()])
}
