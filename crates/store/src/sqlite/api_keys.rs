//! API keys, and the proof of a permit inside a transaction.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::rows::{self, id, mac, optional_time, parse, role, time, token_hash};
use super::users;
use strongroom_core::access::{Permit, Proof, Scopes};
use strongroom_core::api_keys::{ApiKey, KeyRows};
use strongroom_core::clock::Timestamp;
use strongroom_core::rows::Stored;
use strongroom_core::text::KeyName;
use strongroom_core::{ApiKeyId, StoreError, TeamId, UserId};

pub(super) const API_KEY: &str = "id, team_id, user_id, name, role, scopes, token_hash, created_at, expires_at, \
                                  revoked_at, row_mac";

pub(super) fn api_key(row: &Row<'_>) -> rusqlite::Result<Stored<ApiKey>> {
    let key = ApiKey {
        id: id(row, 0, ApiKeyId::from_slice)?,
        team_id: id(row, 1, TeamId::from_slice)?,
        user_id: id(row, 2, UserId::from_slice)?,
        name: parse::<String, _, _>(row, 3, KeyName::parse)?,
        role: role(row, 4)?,
        scopes: parse(row, 5, |names: String| Scopes::parse(&names).ok_or(()))?,
        token_hash: token_hash(row, 6)?,
        created_at: time(row, 7)?,
        expires_at: optional_time(row, 8)?,
        revoked_at: optional_time(row, 9)?,
    };
    Ok(Stored::unproven(key, mac(row, 10)?))
}

/// The three rows that decide about a key, in one read.
pub(super) fn select_rows(connection: &Connection, key: ApiKeyId) -> rusqlite::Result<Option<KeyRows>> {
    let select = "SELECT k.id, k.team_id, k.user_id, k.name, k.role, k.scopes, k.token_hash, k.created_at, \
                  k.expires_at, k.revoked_at, k.row_mac, u.id, u.name, u.email, u.created_at, u.disabled_at, \
                  u.row_mac, m.team_id, m.user_id, m.role, m.created_at, m.row_mac \
                  FROM api_keys k JOIN users u ON u.id = k.user_id \
                  LEFT JOIN memberships m ON m.team_id = k.team_id AND m.user_id = k.user_id WHERE k.id = ?";
    let read = |row: &Row<'_>| {
        let member = row.get_ref(17)? != rusqlite::types::ValueRef::Null;
        let membership = if member { Some(users::membership(row, 17)?) } else { None };
        Ok(KeyRows { key: api_key(row)?, user: users::user(row, 11)?, membership })
    };
    connection.prepare_cached(select)?.query_row([key.as_bytes()], read).optional()
}

/// Holds a permit against the rows as they are now, inside its write's
/// transaction: a key revoked or a role cut in between stops the write.
pub(super) fn prove(transaction: &Connection, permit: &Permit) -> Result<(), StoreError> {
    let select = "SELECT k.row_mac, u.row_mac, m.row_mac FROM api_keys k JOIN users u ON u.id = k.user_id \
                  JOIN memberships m ON m.team_id = k.team_id AND m.user_id = k.user_id WHERE k.id = ?";
    let read = |row: &Row<'_>| Ok(Proof { key: mac(row, 0)?, user: mac(row, 1)?, membership: mac(row, 2)? });
    let now = transaction
        .prepare_cached(select)
        .and_then(|mut statement| statement.query_row([permit.key_id().as_bytes()], read).optional())
        .map_err(|error| rows::store_error(error, "api_keys"))?;
    if now == Some(permit.proof()) { Ok(()) } else { Err(StoreError::StalePermit) }
}

pub(super) fn insert(transaction: &Connection, stored: &Stored<ApiKey>) -> Result<(), StoreError> {
    let (key, mac) = (stored.row(), stored.mac());
    let insert = "INSERT INTO api_keys (id, team_id, user_id, name, role, scopes, token_hash, created_at, \
                  expires_at, revoked_at, row_mac) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let values = params![
        key.id.as_bytes(),
        key.team_id.as_bytes(),
        key.user_id.as_bytes(),
        key.name.as_str(),
        key.role.name(),
        key.scopes.to_string(),
        key.token_hash.as_bytes(),
        key.created_at.as_millis(),
        key.expires_at.map(Timestamp::as_millis),
        key.revoked_at.map(Timestamp::as_millis),
        mac.as_bytes(),
    ];
    rows::insert(transaction, "api_keys", insert, values)
}
