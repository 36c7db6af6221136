//! API keys, and when they were last used.

use rusqlite::types::ToSql;
use rusqlite::{Connection, params};
use std::sync::LazyLock;

use super::grants;
use super::rows::{self, Columns};
use super::tables::{self, Sql, Table};
use strongroom_core::api_keys::{ApiKey, UsedKey};
use strongroom_core::clock::Timestamp;
use strongroom_core::grants::{Agents, Networks};
use strongroom_core::rows::{Row, Stored};
use strongroom_core::text::KeyName;
use strongroom_core::{ApiKeyId, StoreError, TeamId, UserId};

const COLUMNS: [&str; 12] = [
    "team_id",
    "user_id",
    "name",
    "role",
    "scopes",
    "agents",
    "networks",
    "expires_at",
    "token_hash",
    "created_by",
    "created_at",
    "revoked_at",
];

impl Table for ApiKey {
    fn sql() -> &'static Sql {
        static SQL: LazyLock<Sql> = LazyLock::new(|| Sql::new(ApiKey::TABLE, &["id"], &COLUMNS));
        &SQL
    }

    fn read(columns: &mut Columns<'_, '_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: columns.id(ApiKeyId::from_slice)?,
            team_id: columns.id(TeamId::from_slice)?,
            user_id: columns.id(UserId::from_slice)?,
            name: columns.text(KeyName::parse)?,
            grant: grants::read(columns)?,
            token_hash: columns.token_hash()?,
            created_by: columns.optional_id(UserId::from_slice)?,
            created_at: columns.time()?,
            revoked_at: columns.optional_time()?,
        })
    }

    fn values<R>(&self, then: impl FnOnce(&[&dyn ToSql]) -> R) -> R {
        then(params![
            self.id.as_bytes(),
            self.team_id.as_bytes(),
            self.user_id.as_bytes(),
            self.name.as_str(),
            self.grant.role.name(),
            self.grant.scopes.to_string(),
            self.grant.agents.as_ref().map(Agents::to_bytes),
            self.grant.networks.as_ref().map(Networks::to_string),
            self.grant.expires_at.map(Timestamp::as_millis),
            self.token_hash.as_bytes(),
            self.created_by.as_ref().map(UserId::as_bytes),
            self.created_at.as_millis(),
            self.revoked_at.map(Timestamp::as_millis),
        ])
    }
}

/// An API key of this team.
pub(super) fn select(
    connection: &Connection,
    team: TeamId,
    key: ApiKeyId,
) -> rusqlite::Result<Option<Stored<ApiKey>>> {
    let found = tables::by_key::<ApiKey>(connection, [key.as_bytes()])?;
    Ok(found.filter(|found| found.row().team_id == team))
}

pub(super) static PAGE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {}, (SELECT used_at FROM api_key_uses WHERE key_id = k.id) FROM api_keys k \
         WHERE k.team_id = ?1 AND k.id > ?2 AND (?3 IS NULL OR k.user_id = ?3) \
         ORDER BY k.team_id, k.id LIMIT ?4",
        ApiKey::sql().of("k")
    )
});

/// A page of a team's keys, or of one user's in it.
pub(super) fn select_page(
    connection: &Connection,
    (team, user): (TeamId, Option<UserId>),
    after: Option<ApiKeyId>,
    limit: u32,
) -> rusqlite::Result<Vec<UsedKey<Stored<ApiKey>>>> {
    let after = after.map_or([0; 16], |key| *key.as_bytes());
    let user = user.as_ref().map(UserId::as_bytes);
    let mut statement = connection.prepare_cached(&PAGE)?;
    let rows = statement.query_map(params![team.as_bytes(), after, user, limit], |row| {
        let mut columns = Columns::new(row);
        Ok(UsedKey { key: tables::stored(&mut columns)?, last_used_at: columns.optional_time()? })
    })?;
    rows.collect()
}

/// Demands that a user has no key that isn't revoked.
pub(super) fn has_none(transaction: &Connection, team: TeamId, user: UserId) -> Result<(), StoreError> {
    let select = "SELECT 1 FROM api_keys WHERE team_id = ? AND user_id = ? AND revoked_at IS NULL";
    let found = transaction
        .prepare_cached(select)
        .and_then(|mut statement| statement.exists([team.as_bytes(), user.as_bytes()]))
        .map_err(|error| rows::store_error(error, ApiKey::TABLE))?;
    if found { Err(StoreError::Changed) } else { Ok(()) }
}

/// Notes a use, unless something later is noted or the key is gone.
pub(super) fn note_use(
    transaction: &Connection,
    key: ApiKeyId,
    used_at: Timestamp,
) -> Result<(), StoreError> {
    let note = "INSERT INTO api_key_uses (key_id, used_at) SELECT id, ?2 FROM api_keys WHERE id = ?1 \
                ON CONFLICT (key_id) DO UPDATE SET used_at = excluded.used_at \
                WHERE excluded.used_at > used_at";
    rows::execute(transaction, "api_key_uses", note, params![key.as_bytes(), used_at.as_millis()]).map(|_| ())
}
