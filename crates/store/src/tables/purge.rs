//! What is due to go for good, and its going.

use super::{Record, Value};
use crate::query::{Query, Statement, Text};
use std::sync::LazyLock;
use strongroom_core::clock::Timestamp;
use strongroom_core::rows::{Row, RowMac, Stored};
use strongroom_core::secrets::Secret;
use strongroom_core::teams::Team;
use strongroom_core::{SecretId, TeamId};

/// None of them twice: those deleted; those of people who left; those whose
/// team has no keys any more. For the second kind whole teams are read: an
/// index by owner would cost every creation of a secret.
static SECRETS: LazyLock<Text> = LazyLock::new(|| {
    let columns = Secret::shape().of("s");
    let select = format!(
        "SELECT {columns} FROM secrets s WHERE s.deleted_at <= ?1 \
         UNION ALL \
         SELECT {columns} FROM teams t CROSS JOIN secrets s ON s.team_id = t.id AND s.owner IS NOT NULL \
         CROSS JOIN memberships m ON m.team_id = s.team_id AND m.user_id = s.owner AND m.removed_at <= ?1 \
         WHERE t.id IN (SELECT team_id FROM memberships WHERE removed_at <= ?1) AND t.shredded_at IS NULL \
         AND (s.deleted_at IS NULL OR s.deleted_at > ?1) \
         UNION ALL \
         SELECT {columns} FROM teams t CROSS JOIN secrets s ON s.team_id = t.id \
         WHERE t.shredded_at IS NOT NULL AND (s.deleted_at IS NULL OR s.deleted_at > ?1)",
    );
    let page = |text: &str, order: &str| format!("{text}{order} LIMIT ?3 OFFSET ?2").into();
    let text = Text::hinted(select, "");
    // By team and id, which SQLite's own order is good enough for.
    Text { sqlite: page(&text.sqlite, ""), postgres: page(&text.postgres, " ORDER BY 1, 2") }
});

/// All teams are read: there are few.
static TEAMS: LazyLock<String> =
    LazyLock::new(|| Team::shape().select("deleted_at <= ?1 AND shredded_at IS NULL"));

/// Secrets that are due, a page of them.
pub(crate) fn secrets(before: Timestamp, (skip, limit): (u32, u32)) -> Query<'static, Stored<Secret>> {
    Query::new(Secret::TABLE, &*SECRETS, [before.into(), Value::number(skip), Value::number(limit)])
}

/// Teams that are due.
pub(crate) fn teams(before: Timestamp) -> Query<'static, Stored<Team>> {
    Query::new(Team::TABLE, TEAMS.as_str(), [before.into()])
}

/// Takes away a secret, while it is as it was seen. One that was found due
/// because its owner left is due no more when they are back: that changes
/// nothing in its own row.
pub(crate) fn secret(team: TeamId, id: SecretId, was: &RowMac) -> Statement<'_> {
    let delete = "DELETE FROM secrets WHERE team_id = ?1 AND id = ?2 AND row_mac = ?3 AND (\
                  deleted_at IS NOT NULL \
                  OR EXISTS (SELECT 1 FROM teams WHERE id = ?1 AND shredded_at IS NOT NULL) \
                  OR EXISTS (SELECT 1 FROM memberships \
                  WHERE team_id = ?1 AND user_id = owner AND removed_at IS NOT NULL))";
    let was = Value::bytes(was.as_bytes().as_slice());
    Query::new(Secret::TABLE, delete, [team.as_bytes().into(), id.as_bytes().into(), was])
}

/// What goes with a secret.
pub(crate) fn with_secret(team: TeamId, id: SecretId) -> [Statement<'static>; 2] {
    let attached = "DELETE FROM attachments WHERE team_id = ?1 AND secret_id = ?2";
    [
        Query::new("attachments", attached, [team.as_bytes().into(), id.as_bytes().into()]),
        Query::new("versions", "DELETE FROM versions WHERE secret_id = ?1", [id.as_bytes().into()]),
    ]
}

/// What goes with a team. Its secrets and runs go later, a few at a time: without the
/// keys nobody opens them. Uses go before the keys to which they refer.
pub(crate) fn with_team(team: TeamId) -> impl Iterator<Item = Statement<'static>> {
    let deletes = [
        ("keys", "DELETE FROM keys WHERE owner = 'team' AND team_id = ?1"),
        ("memberships", "DELETE FROM memberships WHERE team_id = ?1"),
        (
            "api_key_uses",
            "DELETE FROM api_key_uses WHERE key_id IN (SELECT id FROM api_keys WHERE team_id = ?1)",
        ),
        ("api_keys", "DELETE FROM api_keys WHERE team_id = ?1"),
        ("key_links", "DELETE FROM key_links WHERE team_id = ?1"),
        ("sessions", "DELETE FROM sessions WHERE team_id = ?1"),
        ("invitations", "DELETE FROM invitations WHERE team_id = ?1"),
        ("fill_requests", "DELETE FROM fill_requests WHERE team_id = ?1"),
        ("attachments", "DELETE FROM attachments WHERE team_id = ?1"),
        ("revisions", "DELETE FROM revisions WHERE team_id = ?1"),
        ("agents", "DELETE FROM agents WHERE team_id = ?1"),
    ];
    deletes.into_iter().map(move |(table, delete)| Query::new(table, delete, [team.as_bytes().into()]))
}
