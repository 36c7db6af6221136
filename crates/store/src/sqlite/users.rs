//! Teams, users and memberships.

use rusqlite::{Connection, Row, params};

use super::rows::{self, id, mac, optional_time, parse, parse_optional, role, time};
use strongroom_core::clock::Timestamp;
use strongroom_core::rows::Stored;
use strongroom_core::teams::Team;
use strongroom_core::text::{Email, TeamName, UserName};
use strongroom_core::users::{Membership, User};
use strongroom_core::{StoreError, TeamId, UserId};

pub(super) const TEAM: &str = "id, name, created_at, row_mac";
pub(super) const USER: &str = "id, name, email, created_at, disabled_at, row_mac";
pub(super) const MEMBERSHIP: &str = "team_id, user_id, role, created_at, row_mac";

pub(super) fn team(row: &Row<'_>) -> rusqlite::Result<Stored<Team>> {
    let team = Team {
        id: id(row, 0, TeamId::from_slice)?,
        name: parse::<String, _, _>(row, 1, TeamName::parse)?,
        created_at: time(row, 2)?,
    };
    Ok(Stored::unproven(team, mac(row, 3)?))
}

/// A user whose columns start at `at`.
pub(super) fn user(row: &Row<'_>, at: usize) -> rusqlite::Result<Stored<User>> {
    let user = User {
        id: id(row, at, UserId::from_slice)?,
        name: parse::<String, _, _>(row, at + 1, UserName::parse)?,
        email: parse_optional::<String, _, _>(row, at + 2, Email::parse)?,
        created_at: time(row, at + 3)?,
        disabled_at: optional_time(row, at + 4)?,
    };
    Ok(Stored::unproven(user, mac(row, at + 5)?))
}

/// A membership whose columns start at `at`.
pub(super) fn membership(row: &Row<'_>, at: usize) -> rusqlite::Result<Stored<Membership>> {
    let membership = Membership {
        team_id: id(row, at, TeamId::from_slice)?,
        user_id: id(row, at + 1, UserId::from_slice)?,
        role: role(row, at + 2)?,
        created_at: time(row, at + 3)?,
    };
    Ok(Stored::unproven(membership, mac(row, at + 4)?))
}

pub(super) fn insert_team(transaction: &Connection, stored: &Stored<Team>) -> Result<(), StoreError> {
    let (team, mac) = (stored.row(), stored.mac());
    let insert = "INSERT INTO teams (id, name, created_at, row_mac) VALUES (?, ?, ?, ?)";
    let values = params![team.id.as_bytes(), team.name.as_str(), team.created_at.as_millis(), mac.as_bytes()];
    rows::insert(transaction, "teams", insert, values)
}

pub(super) fn insert_user(transaction: &Connection, stored: &Stored<User>) -> Result<(), StoreError> {
    let (user, mac) = (stored.row(), stored.mac());
    let insert =
        "INSERT INTO users (id, name, email, created_at, disabled_at, row_mac) VALUES (?, ?, ?, ?, ?, ?)";
    let values = params![
        user.id.as_bytes(),
        user.name.as_str(),
        user.email.as_ref().map(Email::as_str),
        user.created_at.as_millis(),
        user.disabled_at.map(Timestamp::as_millis),
        mac.as_bytes(),
    ];
    rows::insert(transaction, "users", insert, values)
}

pub(super) fn insert_membership(
    transaction: &Connection,
    stored: &Stored<Membership>,
) -> Result<(), StoreError> {
    let (membership, mac) = (stored.row(), stored.mac());
    let insert =
        "INSERT INTO memberships (team_id, user_id, role, created_at, row_mac) VALUES (?, ?, ?, ?, ?)";
    let values = params![
        membership.team_id.as_bytes(),
        membership.user_id.as_bytes(),
        membership.role.name(),
        membership.created_at.as_millis(),
        mac.as_bytes(),
    ];
    rows::insert(transaction, "memberships", insert, values)
}
