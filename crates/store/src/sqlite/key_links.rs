//! Links by which a user makes an API key.

use rusqlite::types::ToSql;
use rusqlite::{Connection, params};
use std::sync::LazyLock;

use super::grants;
use super::rows::Columns;
use super::tables::{self, Sql, Table};
use strongroom_core::clock::Timestamp;
use strongroom_core::grants::{Agents, Networks};
use strongroom_core::key_links::KeyLink;
use strongroom_core::rows::{Row, Stored};
use strongroom_core::text::KeyName;
use strongroom_core::{ApiKeyId, KeyLinkId, TeamId, UserId};

const COLUMNS: [&str; 14] = [
    "team_id",
    "user_id",
    "name",
    "role",
    "scopes",
    "agents",
    "networks",
    "key_expires_at",
    "token_hash",
    "created_by",
    "made_with",
    "created_at",
    "expires_at",
    "closed_at",
];

impl Table for KeyLink {
    fn sql() -> &'static Sql {
        static SQL: LazyLock<Sql> = LazyLock::new(|| Sql::new(KeyLink::TABLE, &["id"], &COLUMNS));
        &SQL
    }

    fn read(columns: &mut Columns<'_, '_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: columns.id(KeyLinkId::from_slice)?,
            team_id: columns.id(TeamId::from_slice)?,
            user_id: columns.id(UserId::from_slice)?,
            name: columns.text(KeyName::parse)?,
            grant: grants::read(columns)?,
            token_hash: columns.token_hash()?,
            created_by: columns.id(UserId::from_slice)?,
            made_with: columns.id(ApiKeyId::from_slice)?,
            created_at: columns.time()?,
            expires_at: columns.time()?,
            closed_at: columns.optional_time()?,
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
            self.created_by.as_bytes(),
            self.made_with.as_bytes(),
            self.created_at.as_millis(),
            self.expires_at.as_millis(),
            self.closed_at.map(Timestamp::as_millis),
        ])
    }
}

/// A link of this team.
pub(super) fn select(
    connection: &Connection,
    team: TeamId,
    link: KeyLinkId,
) -> rusqlite::Result<Option<Stored<KeyLink>>> {
    let found = tables::by_key::<KeyLink>(connection, [link.as_bytes()])?;
    Ok(found.filter(|found| found.row().team_id == team))
}

pub(super) static PAGE: LazyLock<String> = LazyLock::new(|| {
    KeyLink::sql().select("team_id = ? AND id > ? AND closed_at IS NULL ORDER BY team_id, id LIMIT ?")
});

/// A page of a team's open links.
pub(super) fn select_page(
    connection: &Connection,
    team: TeamId,
    after: Option<KeyLinkId>,
    limit: u32,
) -> rusqlite::Result<Vec<Stored<KeyLink>>> {
    let after = after.map_or([0; 16], |link| *link.as_bytes());
    tables::all(connection, &PAGE, params![team.as_bytes(), after, limit])
}
