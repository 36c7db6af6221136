//! Runs, and what they received.

use rusqlite::types::ToSql;
use rusqlite::{Connection, OptionalExtension, Row as SqlRow, params};
use std::collections::BTreeSet;
use std::sync::LazyLock;

use super::rows::{self, Columns};
use super::tables::{self, Sql, Table};
use strongroom_core::agents::Agent;
use strongroom_core::api_keys::ApiKey;
use strongroom_core::clock::Timestamp;
use strongroom_core::environment::Composition;
use strongroom_core::rows::Row;
use strongroom_core::runs::{Delivery, Run, RunRows, RunsOf, StoredRun};
use strongroom_core::teams::Team;
use strongroom_core::text::{Invalid, RunNote};
use strongroom_core::users::{Membership, User};
use strongroom_core::{AgentId, ApiKeyId, EnvKey, RevisionId, RunId, SecretId, StoreError, TeamId, UserId};

const COLUMNS: [&str; 16] = [
    "team_id",
    "agent_id",
    "revision_id",
    "user_id",
    "key_id",
    "generation",
    "strict",
    "note",
    "composition",
    "token_hash",
    "lease",
    "created_at",
    "updated_at",
    "expires_at",
    "stopped_at",
    "revoked_at",
];

impl Table for Run {
    fn sql() -> &'static Sql {
        static SQL: LazyLock<Sql> = LazyLock::new(|| Sql::new(Run::TABLE, &["id"], &COLUMNS));
        &SQL
    }

    fn read(columns: &mut Columns<'_, '_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: columns.id(RunId::from_slice)?,
            team_id: columns.id(TeamId::from_slice)?,
            agent_id: columns.id(AgentId::from_slice)?,
            revision_id: columns.id(RevisionId::from_slice)?,
            user_id: columns.id(UserId::from_slice)?,
            key_id: columns.id(ApiKeyId::from_slice)?,
            generation: columns.value()?,
            strict: columns.parse(flag)?,
            note: columns.optional::<String, _, _>(RunNote::parse)?,
            composition: columns.text(Composition::from_lines)?,
            token_hash: columns.token_hash()?,
            lease: columns.value()?,
            created_at: columns.time()?,
            updated_at: columns.time()?,
            expires_at: columns.time()?,
            stopped_at: columns.optional_time()?,
            revoked_at: columns.optional_time()?,
        })
    }

    fn values<R>(&self, then: impl FnOnce(&[&dyn ToSql]) -> R) -> R {
        then(params![
            self.id.as_bytes(),
            self.team_id.as_bytes(),
            self.agent_id.as_bytes(),
            self.revision_id.as_bytes(),
            self.user_id.as_bytes(),
            self.key_id.as_bytes(),
            self.generation,
            self.strict,
            self.note.as_ref().map(RunNote::as_str),
            self.composition.to_lines(),
            self.token_hash.as_bytes(),
            self.lease,
            self.created_at.as_millis(),
            self.updated_at.as_millis(),
            self.expires_at.as_millis(),
            self.stopped_at.map(Timestamp::as_millis),
            self.revoked_at.map(Timestamp::as_millis),
        ])
    }
}

fn flag(number: i64) -> Result<bool, ()> {
    match number {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(()),
    }
}

/// Runs with the rows that they hang on, from where a query says: `r` is read
/// first, and in its order.
fn runs(from: &str) -> String {
    format!(
        "SELECT {}, {}, {}, {}, {}, {} FROM {from} CROSS JOIN api_keys k ON k.id = r.key_id \
         CROSS JOIN agents a ON a.team_id = r.team_id AND a.id = r.agent_id \
         CROSS JOIN users u ON u.id = r.user_id \
         CROSS JOIN memberships m ON m.team_id = r.team_id AND m.user_id = r.user_id \
         CROSS JOIN teams t ON t.id = r.team_id",
        Run::sql().of("r"),
        ApiKey::sql().of("k"),
        Agent::sql().of("a"),
        User::sql().of("u"),
        Membership::sql().of("m"),
        Team::sql().of("t"),
    )
}

fn stored(row: &SqlRow<'_>) -> rusqlite::Result<StoredRun> {
    let mut columns = Columns::new(row);
    Ok(RunRows {
        run: tables::stored(&mut columns)?,
        key: tables::stored(&mut columns)?,
        agent: tables::stored(&mut columns)?,
        user: tables::stored(&mut columns)?,
        membership: tables::stored(&mut columns)?,
        team: tables::stored(&mut columns)?,
    })
}

pub(super) static ONE: LazyLock<String> = LazyLock::new(|| runs("runs r") + " WHERE r.id = ?");

/// The rows that decide about a run, in one read.
pub(super) fn select(connection: &Connection, run: RunId) -> rusqlite::Result<Option<StoredRun>> {
    connection.prepare_cached(&ONE)?.query_row([run.as_bytes()], stored).optional()
}

/// Which runs: from where and on which condition; its values are the team and an id.
fn which(of: RunsOf) -> (&'static str, Option<[u8; 16]>) {
    match of {
        RunsOf::Team => ("runs r INDEXED BY runs_by_team WHERE r.team_id = ?1 AND ?2 IS NULL", None),
        RunsOf::Run(run) => ("runs r WHERE r.team_id = ?1 AND r.id = ?2", Some(*run.as_bytes())),
        RunsOf::Agent(agent) => (
            "runs r INDEXED BY runs_by_agent WHERE r.team_id = ?1 AND r.agent_id = ?2",
            Some(*agent.as_bytes()),
        ),
        // Rarely asked: an index would cost each start of a run.
        RunsOf::Key(key) => {
            ("runs r INDEXED BY runs_by_team WHERE r.team_id = ?1 AND r.key_id = ?2", Some(*key.as_bytes()))
        }
        RunsOf::User(user) => {
            ("runs r INDEXED BY runs_by_team WHERE r.team_id = ?1 AND r.user_id = ?2", Some(*user.as_bytes()))
        }
    }
}

/// A page of runs, the newest first.
pub(super) fn page(of: RunsOf) -> String {
    runs(&format!(
        "(SELECT r.* FROM {} AND (?3 IS NULL OR r.expires_at > ?3 AND r.stopped_at IS NULL) \
         ORDER BY r.id DESC LIMIT ?5 OFFSET ?4) r",
        which(of).0
    ))
}

/// A page of a team's runs, the newest first.
pub(super) fn select_page(
    connection: &Connection,
    (team, of): (TeamId, RunsOf),
    open_at: Option<Timestamp>,
    (skip, limit): (u32, u32),
) -> rusqlite::Result<Vec<StoredRun>> {
    let mut statement = connection.prepare_cached(&page(of))?;
    let values = params![team.as_bytes(), which(of).1, open_at.map(Timestamp::as_millis), skip, limit];
    statement.query_map(values, stored)?.collect()
}

/// How many runs there are.
pub(super) fn count(connection: &Connection, team: TeamId, of: RunsOf) -> rusqlite::Result<u64> {
    let (from, id) = which(of);
    let count = format!("SELECT count(*) FROM {from}");
    let count: i64 =
        connection.prepare_cached(&count)?.query_row(params![team.as_bytes(), id], |row| row.get(0))?;
    Ok(u64::try_from(count).unwrap_or(0))
}

fn delivery(row: &SqlRow<'_>) -> rusqlite::Result<Delivery> {
    let mut columns = Columns::new(row);
    Ok(Delivery {
        run_id: columns.id(RunId::from_slice)?,
        secret_id: columns.id(SecretId::from_slice)?,
        version: columns.value()?,
        env_keys: columns.text(env_keys)?,
        at: columns.time()?,
    })
}

fn env_keys(lines: &str) -> Result<BTreeSet<EnvKey>, Invalid> {
    lines.split('\n').map(EnvKey::parse).collect()
}

/// What was delivered to these runs.
pub(super) fn deliveries(of: RunsOf) -> String {
    format!(
        "SELECT d.run_id, d.secret_id, d.version, d.env_keys, d.at FROM (SELECT r.id FROM {} ORDER BY r.id) r \
         CROSS JOIN deliveries d ON d.run_id = r.id",
        which(of).0
    )
}

/// What was delivered to runs of a team.
pub(super) fn select_deliveries(
    connection: &Connection,
    team: TeamId,
    of: RunsOf,
) -> rusqlite::Result<Vec<Delivery>> {
    let mut statement = connection.prepare_cached(&deliveries(of))?;
    statement.query_map(params![team.as_bytes(), which(of).1], delivery)?.collect()
}

pub(super) const DELIVERIES_OF_SECRET: &str = "SELECT run_id, secret_id, version, env_keys, at FROM deliveries \
     WHERE secret_id = ? ORDER BY secret_id DESC, version DESC, run_id DESC LIMIT ?";

/// To which runs a secret was delivered.
pub(super) fn select_deliveries_of(
    connection: &Connection,
    secret: SecretId,
    limit: u32,
) -> rusqlite::Result<Vec<Delivery>> {
    let mut statement = connection.prepare_cached(DELIVERIES_OF_SECRET)?;
    statement.query_map(params![secret.as_bytes(), limit], delivery)?.collect()
}

/// Notes a delivery, unless the very same is noted.
pub(super) fn insert_delivery(transaction: &Connection, delivery: &Delivery) -> Result<(), StoreError> {
    let insert = "INSERT INTO deliveries (run_id, secret_id, version, env_keys, at) VALUES (?, ?, ?, ?, ?) \
                  ON CONFLICT DO NOTHING";
    let values = params![
        delivery.run_id.as_bytes(),
        delivery.secret_id.as_bytes(),
        delivery.version,
        delivery.env_key_lines(),
        delivery.at.as_millis(),
    ];
    rows::execute(transaction, "deliveries", insert, values).map(|_| ())
}

/// Runs of shredded teams.
pub(super) const LEFT: &str = "SELECT r.id FROM teams t CROSS JOIN runs r ON r.team_id = t.id \
                               WHERE t.shredded_at IS NOT NULL LIMIT ?";

/// Forgets runs of shredded teams, with what was delivered to them.
pub(super) fn forget(transaction: &Connection, limit: u32) -> Result<u32, StoreError> {
    let of_left = |table, column| format!("DELETE FROM {table} WHERE {column} IN ({LEFT})");
    rows::execute(transaction, "deliveries", &of_left("deliveries", "run_id"), [limit])?;
    let runs = rows::execute(transaction, Run::TABLE, &of_left("runs", "id"), [limit])?;
    Ok(u32::try_from(runs).unwrap_or(limit))
}
