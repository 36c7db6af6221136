//! What is due to go for good, and its going.

use rusqlite::{Connection, Params, params};
use std::sync::LazyLock;

use super::events;
use super::rows::{Columns, execute, is_malformed};
use super::tables::{self, Table};
use strongroom_core::clock::Timestamp;
use strongroom_core::events::Event;
use strongroom_core::rows::{RowMac, Stored};
use strongroom_core::secrets::Secret;
use strongroom_core::store::Purge;
use strongroom_core::teams::Team;
use strongroom_core::{SecretId, StoreError, TeamId};

/// None of them twice: those deleted; those of people who left; those whose
/// team has no keys any more. For the second kind whole teams are read: an
/// index by owner would cost every creation of a secret.
pub(super) static SECRETS_DUE: LazyLock<String> = LazyLock::new(|| {
    let columns = Secret::sql().of("s");
    format!(
        "SELECT {columns} FROM secrets s WHERE s.deleted_at <= ?1 \
         UNION ALL \
         SELECT {columns} FROM teams t CROSS JOIN secrets s ON s.team_id = t.id AND s.owner IS NOT NULL \
         CROSS JOIN memberships m ON m.team_id = s.team_id AND m.user_id = s.owner AND m.removed_at <= ?1 \
         WHERE t.id IN (SELECT team_id FROM memberships WHERE removed_at <= ?1) AND t.shredded_at IS NULL \
         AND (s.deleted_at IS NULL OR s.deleted_at > ?1) \
         UNION ALL \
         SELECT {columns} FROM teams t CROSS JOIN secrets s ON s.team_id = t.id \
         WHERE t.shredded_at IS NOT NULL AND (s.deleted_at IS NULL OR s.deleted_at > ?1) \
         LIMIT ?3 OFFSET ?2"
    )
});

/// All teams are read: there are few.
static TEAMS_DUE: LazyLock<String> =
    LazyLock::new(|| Team::sql().select("deleted_at <= ? AND shredded_at IS NULL"));

/// Secrets that are due, a page of them.
pub(super) fn select_secrets(
    connection: &Connection,
    before: Timestamp,
    (skip, limit): (u32, u32),
) -> rusqlite::Result<Vec<Option<Stored<Secret>>>> {
    due(connection, &SECRETS_DUE, params![before.as_millis(), skip, limit])
}

/// Teams that are due.
pub(super) fn select_teams(
    connection: &Connection,
    before: Timestamp,
) -> rusqlite::Result<Vec<Option<Stored<Team>>>> {
    due(connection, &TEAMS_DUE, [before.as_millis()])
}

/// The rows that a query finds. One that can't be read doesn't hide the others.
fn due<T: Table>(
    connection: &Connection,
    query: &str,
    values: impl Params,
) -> rusqlite::Result<Vec<Option<Stored<T>>>> {
    let mut statement = connection.prepare_cached(query)?;
    let rows = statement.query_map(values, |row| match tables::stored(&mut Columns::new(row)) {
        Err(error) if is_malformed(&error) => Ok(None),
        read => read.map(Some),
    })?;
    rows.collect()
}

/// Takes away what was found due, each with its event.
pub(super) fn run(transaction: &Connection, purges: &[(Purge, Event)]) -> Result<(), StoreError> {
    purges.iter().try_for_each(|(purge, event)| {
        match purge {
            Purge::Secret(team, id, was) => secret(transaction, *team, *id, *was),
            Purge::Team(row) => {
                tables::put(transaction, row)?;
                belongings(transaction, row.now.row().id)
            }
        }?;
        events::insert(transaction, event)
    })
}

/// A secret that was found due because its owner left is due no more when they
/// are back: that changes nothing in its own row.
fn secret(transaction: &Connection, team: TeamId, id: SecretId, was: RowMac) -> Result<(), StoreError> {
    let delete = "DELETE FROM secrets WHERE team_id = ?1 AND id = ?2 AND row_mac = ?3 AND (\
                  deleted_at IS NOT NULL \
                  OR EXISTS (SELECT 1 FROM teams WHERE id = ?1 AND shredded_at IS NOT NULL) \
                  OR EXISTS (SELECT 1 FROM memberships \
                  WHERE team_id = ?1 AND user_id = owner AND removed_at IS NOT NULL))";
    let values = params![team.as_bytes(), id.as_bytes(), was.as_bytes()];
    tables::as_seen(execute(transaction, "secrets", delete, values)?)?;
    let delete = "DELETE FROM attachments WHERE team_id = ? AND secret_id = ?";
    execute(transaction, "attachments", delete, [team.as_bytes(), id.as_bytes()])?;
    let delete = "DELETE FROM versions WHERE secret_id = ?";
    execute(transaction, "versions", delete, [id.as_bytes()]).map(|_| ())
}

/// What goes with a team. Its secrets and runs go later, a few at a time: without the
/// keys nobody opens them. Uses go before the keys to which they refer.
fn belongings(transaction: &Connection, team: TeamId) -> Result<(), StoreError> {
    let deletes = [
        ("keys", "DELETE FROM keys WHERE owner = 'team' AND team_id = ?"),
        ("memberships", "DELETE FROM memberships WHERE team_id = ?"),
        (
            "api_key_uses",
            "DELETE FROM api_key_uses WHERE key_id IN (SELECT id FROM api_keys WHERE team_id = ?)",
        ),
        ("api_keys", "DELETE FROM api_keys WHERE team_id = ?"),
        ("key_links", "DELETE FROM key_links WHERE team_id = ?"),
        ("attachments", "DELETE FROM attachments WHERE team_id = ?"),
        ("revisions", "DELETE FROM revisions WHERE team_id = ?"),
        ("agents", "DELETE FROM agents WHERE team_id = ?"),
    ];
    deletes
        .into_iter()
        .try_for_each(|(table, delete)| execute(transaction, table, delete, [team.as_bytes()]).map(|_| ()))
}
