//! Users and their memberships.

use rusqlite::types::ToSql;
use rusqlite::{Connection, OptionalExtension, Row as SqlRow, params};
use std::sync::LazyLock;

use super::rows::{self, Columns};
use super::tables::{self, Sql, Table};
use strongroom_core::clock::Timestamp;
use strongroom_core::rows::{Row, Stored};
use strongroom_core::text::{Email, UserName};
use strongroom_core::users::{Member, Membership, StoredMember, User};
use strongroom_core::{Role, StoreError, TeamId, UserId};

impl Table for User {
    fn sql() -> &'static Sql {
        static SQL: LazyLock<Sql> = LazyLock::new(|| {
            Sql::new(User::TABLE, &["id"], &["name", "email", "created_at", "disabled_at", "service_of"])
        });
        &SQL
    }

    fn read(columns: &mut Columns<'_, '_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: columns.id(UserId::from_slice)?,
            name: columns.text(UserName::parse)?,
            email: columns.optional::<String, _, _>(Email::parse)?,
            created_at: columns.time()?,
            disabled_at: columns.optional_time()?,
            service_of: columns.optional_id(TeamId::from_slice)?,
        })
    }

    fn values<R>(&self, then: impl FnOnce(&[&dyn ToSql]) -> R) -> R {
        then(params![
            self.id.as_bytes(),
            self.name.as_str(),
            self.email.as_ref().map(Email::as_str),
            self.created_at.as_millis(),
            self.disabled_at.map(Timestamp::as_millis),
            self.service_of.as_ref().map(TeamId::as_bytes),
        ])
    }
}

impl Table for Membership {
    fn sql() -> &'static Sql {
        static SQL: LazyLock<Sql> = LazyLock::new(|| {
            Sql::new(Membership::TABLE, &["team_id", "user_id"], &["role", "created_at", "removed_at"])
        });
        &SQL
    }

    fn read(columns: &mut Columns<'_, '_>) -> rusqlite::Result<Self> {
        Ok(Self {
            team_id: columns.id(TeamId::from_slice)?,
            user_id: columns.id(UserId::from_slice)?,
            role: columns.text(|name| Role::from_name(name).ok_or(()))?,
            created_at: columns.time()?,
            removed_at: columns.optional_time()?,
        })
    }

    fn values<R>(&self, then: impl FnOnce(&[&dyn ToSql]) -> R) -> R {
        then(params![
            self.team_id.as_bytes(),
            self.user_id.as_bytes(),
            self.role.name(),
            self.created_at.as_millis(),
            self.removed_at.map(Timestamp::as_millis),
        ])
    }
}

static MEMBER: LazyLock<String> = LazyLock::new(|| members("m.team_id = ? AND m.user_id = ?"));

pub(super) static MEMBERS: LazyLock<String> = LazyLock::new(|| {
    members("m.team_id = ? AND m.user_id > ? AND m.removed_at IS NULL ORDER BY m.team_id, m.user_id LIMIT ?")
});

/// Members in a query that says which.
fn members(condition: &str) -> String {
    format!(
        "SELECT {}, {} FROM memberships m JOIN users u ON u.id = m.user_id WHERE {condition}",
        User::sql().of("u"),
        Membership::sql().of("m"),
    )
}

fn member(row: &SqlRow<'_>) -> rusqlite::Result<StoredMember> {
    let mut columns = Columns::new(row);
    Ok(Member { user: tables::stored(&mut columns)?, membership: tables::stored(&mut columns)? })
}

/// A user's place in a team, also when they were removed.
pub(super) fn select_member(
    connection: &Connection,
    team: TeamId,
    user: UserId,
) -> rusqlite::Result<Option<StoredMember>> {
    let mut statement = connection.prepare_cached(&MEMBER)?;
    statement.query_row([team.as_bytes(), user.as_bytes()], member).optional()
}

/// A page of a team's members.
pub(super) fn select_members(
    connection: &Connection,
    team: TeamId,
    after: Option<UserId>,
    limit: u32,
) -> rusqlite::Result<Vec<StoredMember>> {
    let after = after.map_or([0; 16], |user| *user.as_bytes());
    let mut statement = connection.prepare_cached(&MEMBERS)?;
    statement.query_map(params![team.as_bytes(), after, limit], member)?.collect()
}

/// In the words of the index, so that it is used.
pub(super) static BY_EMAIL: LazyLock<String> =
    LazyLock::new(|| User::sql().select("email = ? COLLATE NOCASE"));

/// The user with this address, in any case of its ASCII letters.
pub(super) fn select_by_email(
    connection: &Connection,
    email: &Email,
) -> rusqlite::Result<Option<Stored<User>>> {
    tables::one(connection, &BY_EMAIL, [email.as_str()])
}

/// Demands that a team has an owner: a person who is a member and isn't disabled.
pub(super) fn has_owner(transaction: &Connection, team: TeamId) -> Result<(), StoreError> {
    let select = "SELECT 1 FROM memberships m JOIN users u ON u.id = m.user_id \
                  WHERE m.team_id = ? AND m.role = 'owner' AND m.removed_at IS NULL \
                  AND u.disabled_at IS NULL AND u.service_of IS NULL";
    let owned = transaction
        .prepare_cached(select)
        .and_then(|mut statement| statement.exists([team.as_bytes()]))
        .map_err(|error| rows::store_error(error, Membership::TABLE))?;
    if owned { Ok(()) } else { Err(StoreError::LastOwner) }
}
