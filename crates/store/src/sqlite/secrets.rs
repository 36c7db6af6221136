//! Secrets and their versions.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::rows::{self, id, mac, malformed, optional_id, optional_time, parse, parse_optional, time};
use strongroom_core::clock::Timestamp;
use strongroom_core::rows::Stored;
use strongroom_core::sealing::Sealed;
use strongroom_core::secrets::{Secret, Version};
use strongroom_core::text::{SecretName, ServiceSlug};
use strongroom_core::{EnvKey, SecretId, StoreError, TeamId, UserId};

/// The columns that [`secret`] reads.
macro_rules! columns {
    () => {
        "team_id, id, owner, name, service_slug, env_keys, version, created_by, created_at, updated_at, \
         deleted_at, row_mac"
    };
}

pub(super) const SECRET: &str = columns!();
pub(super) const VERSION: &str = "secret_id, number, sealed, created_by, created_at";

const BY_ID: &str =
    concat!("SELECT ", columns!(), " FROM secrets WHERE team_id = ? AND id = ? AND deleted_at IS NULL");

const VISIBLE: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM secrets WHERE team_id = ? AND id > ? AND (owner IS NULL OR owner = ?) AND deleted_at IS NULL \
     ORDER BY team_id, id LIMIT ?"
);

pub(super) fn secret(row: &Row<'_>) -> rusqlite::Result<Stored<Secret>> {
    let secret = Secret {
        team_id: id(row, 0, TeamId::from_slice)?,
        id: id(row, 1, SecretId::from_slice)?,
        owner: optional_id(row, 2, UserId::from_slice)?,
        name: parse::<String, _, _>(row, 3, SecretName::parse)?,
        service_slug: parse_optional::<String, _, _>(row, 4, ServiceSlug::parse)?,
        env_keys: env_keys(row, 5)?,
        version: row.get(6)?,
        created_by: id(row, 7, UserId::from_slice)?,
        created_at: time(row, 8)?,
        updated_at: time(row, 9)?,
        deleted_at: optional_time(row, 10)?,
    };
    Ok(Stored::unproven(secret, mac(row, 11)?))
}

fn env_keys(row: &Row<'_>, column: usize) -> rusqlite::Result<Vec<EnvKey>> {
    let lines: &str = row.get_ref(column)?.as_str().map_err(|_| malformed(column))?;
    let keys = lines.split('\n').filter(|line| !line.is_empty()).map(EnvKey::parse);
    keys.collect::<Result<_, _>>().map_err(|_| malformed(column))
}

pub(super) fn version(row: &Row<'_>) -> rusqlite::Result<Version> {
    Ok(Version {
        secret_id: id(row, 0, SecretId::from_slice)?,
        number: row.get(1)?,
        sealed: Sealed::from_bytes(row.get(2)?),
        created_by: id(row, 3, UserId::from_slice)?,
        created_at: time(row, 4)?,
    })
}

pub(super) fn select(
    connection: &Connection,
    team: TeamId,
    id: SecretId,
) -> rusqlite::Result<Option<Stored<Secret>>> {
    connection.prepare_cached(BY_ID)?.query_row([team.as_bytes(), id.as_bytes()], secret).optional()
}

pub(super) fn select_visible(
    connection: &Connection,
    team: TeamId,
    user: UserId,
    after: Option<SecretId>,
    limit: u32,
) -> rusqlite::Result<Vec<Stored<Secret>>> {
    // No id is nil, so the first page is what comes after that.
    let after = after.map_or([0; 16], |id| *id.as_bytes());
    let mut statement = connection.prepare_cached(VISIBLE)?;
    statement.query_map(params![team.as_bytes(), after, user.as_bytes(), limit], secret)?.collect()
}

pub(super) fn insert(transaction: &Connection, stored: &Stored<Secret>) -> Result<(), StoreError> {
    let (secret, mac) = (stored.row(), stored.mac());
    let insert = "INSERT INTO secrets (team_id, id, owner, name, service_slug, env_keys, version, created_by, \
                  created_at, updated_at, deleted_at, row_mac) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let values = params![
        secret.team_id.as_bytes(),
        secret.id.as_bytes(),
        secret.owner.as_ref().map(UserId::as_bytes),
        secret.name.as_str(),
        secret.service_slug.as_ref().map(ServiceSlug::as_str),
        secret.env_key_lines(),
        secret.version,
        secret.created_by.as_bytes(),
        secret.created_at.as_millis(),
        secret.updated_at.as_millis(),
        secret.deleted_at.map(Timestamp::as_millis),
        mac.as_bytes(),
    ];
    rows::insert(transaction, "secrets", insert, values)
}

pub(super) fn insert_version(transaction: &Connection, version: &Version) -> Result<(), StoreError> {
    let insert =
        "INSERT INTO versions (secret_id, number, sealed, created_by, created_at) VALUES (?, ?, ?, ?, ?)";
    let values = params![
        version.secret_id.as_bytes(),
        version.number,
        version.sealed.as_bytes(),
        version.created_by.as_bytes(),
        version.created_at.as_millis(),
    ];
    rows::insert(transaction, "versions", insert, values)
}
