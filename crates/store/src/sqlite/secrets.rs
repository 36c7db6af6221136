//! Secrets and their versions.

use rusqlite::types::ToSql;
use rusqlite::{Connection, OptionalExtension, Row as SqlRow, params};
use std::sync::LazyLock;

use super::rows::{self, Columns};
use super::tables::{self, Sql, Table};
use strongroom_core::clock::Timestamp;
use strongroom_core::rows::{Row, Stored};
use strongroom_core::sealing::Sealed;
use strongroom_core::secrets::{Secret, Version};
use strongroom_core::text::{Invalid, SecretName, ServiceSlug};
use strongroom_core::{EnvKey, SecretId, StoreError, TeamId, UserId};

const COLUMNS: [&str; 9] = [
    "owner",
    "name",
    "service_slug",
    "env_keys",
    "version",
    "created_by",
    "created_at",
    "updated_at",
    "deleted_at",
];

impl Table for Secret {
    fn sql() -> &'static Sql {
        static SQL: LazyLock<Sql> = LazyLock::new(|| Sql::new(Secret::TABLE, &["team_id", "id"], &COLUMNS));
        &SQL
    }

    fn read(columns: &mut Columns<'_, '_>) -> rusqlite::Result<Self> {
        Ok(Self {
            team_id: columns.id(TeamId::from_slice)?,
            id: columns.id(SecretId::from_slice)?,
            owner: columns.optional_id(UserId::from_slice)?,
            name: columns.text(SecretName::parse)?,
            service_slug: columns.optional::<String, _, _>(ServiceSlug::parse)?,
            env_keys: columns.text(env_keys)?,
            version: columns.value()?,
            created_by: columns.id(UserId::from_slice)?,
            created_at: columns.time()?,
            updated_at: columns.time()?,
            deleted_at: columns.optional_time()?,
        })
    }

    fn values<R>(&self, then: impl FnOnce(&[&dyn ToSql]) -> R) -> R {
        then(params![
            self.team_id.as_bytes(),
            self.id.as_bytes(),
            self.owner.as_ref().map(UserId::as_bytes),
            self.name.as_str(),
            self.service_slug.as_ref().map(ServiceSlug::as_str),
            self.env_key_lines(),
            self.version,
            self.created_by.as_bytes(),
            self.created_at.as_millis(),
            self.updated_at.as_millis(),
            self.deleted_at.map(Timestamp::as_millis),
        ])
    }
}

fn env_keys(lines: &str) -> Result<Vec<EnvKey>, Invalid> {
    lines.split('\n').filter(|line| !line.is_empty()).map(EnvKey::parse).collect()
}

pub(super) static VISIBLE: LazyLock<String> = LazyLock::new(|| {
    Secret::sql().select(
        "team_id = ? AND id > ? AND (owner IS NULL OR owner = ?) AND deleted_at IS NULL \
         ORDER BY team_id, id LIMIT ?",
    )
});

/// A page of the secrets that a user sees.
pub(super) fn select_visible(
    connection: &Connection,
    (team, user): (TeamId, UserId),
    after: Option<SecretId>,
    limit: u32,
) -> rusqlite::Result<Vec<Stored<Secret>>> {
    // No id is nil, so the first page is what comes after that.
    let after = after.map_or([0; 16], |id| *id.as_bytes());
    tables::all(connection, &VISIBLE, params![team.as_bytes(), after, user.as_bytes(), limit])
}

/// The columns that [`version`] reads, from where a query says.
macro_rules! versions {
    ($which:literal) => {
        concat!("SELECT secret_id, number, sealed, created_by, created_at FROM versions WHERE ", $which)
    };
}

fn version(row: &SqlRow<'_>) -> rusqlite::Result<Version> {
    let mut columns = Columns::new(row);
    Ok(Version {
        secret_id: columns.id(SecretId::from_slice)?,
        number: columns.value()?,
        sealed: Sealed::from_bytes(columns.value()?),
        created_by: columns.id(UserId::from_slice)?,
        created_at: columns.time()?,
    })
}

/// One version.
pub(super) fn select_version(
    connection: &Connection,
    secret: SecretId,
    number: u32,
) -> rusqlite::Result<Option<Version>> {
    let mut statement = connection.prepare_cached(versions!("secret_id = ? AND number = ?"))?;
    statement.query_row(params![secret.as_bytes(), number], version).optional()
}

/// A page of a secret's versions.
pub(super) fn select_versions(
    connection: &Connection,
    secret: SecretId,
    after: u32,
    limit: u32,
) -> rusqlite::Result<Vec<Version>> {
    let page = versions!("secret_id = ? AND number > ? ORDER BY number LIMIT ?");
    let mut statement = connection.prepare_cached(page)?;
    statement.query_map(params![secret.as_bytes(), after, limit], version)?.collect()
}

/// All versions of a secret, whatever their numbers.
pub(super) fn select_all_versions(
    connection: &Connection,
    secret: SecretId,
) -> rusqlite::Result<Vec<Version>> {
    let mut statement = connection.prepare_cached(versions!("secret_id = ?"))?;
    statement.query_map([secret.as_bytes()], version)?.collect()
}

/// Stores a new version.
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
    rows::execute(transaction, "versions", insert, values).map(|_| ())
}
