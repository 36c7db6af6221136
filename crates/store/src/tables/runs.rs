//! Runs, and what they received.

use super::{Cells, Columns, Malformed, Read, Record, Shape, Value, bytes, id, number, text};
use crate::query::{Query, Statement, Text};
use std::collections::BTreeSet;
use std::sync::LazyLock;
use strongroom_core::agents::Agent;
use strongroom_core::api_keys::ApiKey;
use strongroom_core::clock::Timestamp;
use strongroom_core::environment::Composition;
use strongroom_core::rows::Row;
use strongroom_core::runs::{Delivery, Run, RunMode, RunRows, RunsOf, StoredRun};
use strongroom_core::teams::Team;
use strongroom_core::text::{Invalid, RunNote};
use strongroom_core::tokens::TokenHash;
use strongroom_core::users::{Membership, User};
use strongroom_core::{AgentId, ApiKeyId, EnvKey, RevisionId, RunId, SecretId, TeamId, UserId};

impl Record for Run {
    fn shape() -> &'static Shape {
        static SHAPE: Shape = Shape::new(
            Run::TABLE,
            &[id("id")],
            &[
                id("team_id"),
                id("agent_id"),
                id("revision_id"),
                id("user_id"),
                id("key_id"),
                number("generation"),
                number("strict"),
                text("note"),
                text("composition"),
                bytes("token_hash"),
                number("lease"),
                number("created_at"),
                number("updated_at"),
                number("expires_at"),
                number("stopped_at"),
                number("revoked_at"),
                text("mode"),
                bytes("broker_hash"),
            ],
        );
        &SHAPE
    }

    fn values(&self) -> Vec<Value<'_>> {
        vec![
            self.id.as_bytes().into(),
            self.team_id.as_bytes().into(),
            self.agent_id.as_bytes().into(),
            self.revision_id.as_bytes().into(),
            self.user_id.as_bytes().into(),
            self.key_id.as_bytes().into(),
            Value::number(self.generation),
            Value::number(self.strict),
            self.note.as_ref().map(RunNote::as_str).into(),
            Value::text(self.composition.to_lines()),
            Value::bytes(self.token_hash.as_bytes().as_slice()),
            Value::number(self.lease),
            self.created_at.into(),
            self.updated_at.into(),
            self.expires_at.into(),
            self.stopped_at.into(),
            self.revoked_at.into(),
            self.mode.stored().into(),
            self.broker_hash
                .as_ref()
                .map(TokenHash::as_bytes)
                .map(|hash| Value::bytes(hash.as_slice()))
                .into(),
        ]
    }
}

impl Read for Run {
    fn read<'r>(columns: &mut Columns<'r, impl Cells<'r>>) -> Result<Self, Malformed> {
        let run = Self {
            id: columns.id(RunId::from_slice)?,
            team_id: columns.id(TeamId::from_slice)?,
            agent_id: columns.id(AgentId::from_slice)?,
            revision_id: columns.id(RevisionId::from_slice)?,
            user_id: columns.id(UserId::from_slice)?,
            key_id: columns.id(ApiKeyId::from_slice)?,
            generation: columns.number()?,
            strict: columns.flag()?,
            note: columns.optional_text(RunNote::parse)?,
            composition: columns.text(Composition::from_lines)?,
            token_hash: columns.token_hash()?,
            lease: columns.number()?,
            created_at: columns.time()?,
            updated_at: columns.time()?,
            expires_at: columns.time()?,
            stopped_at: columns.optional_time()?,
            revoked_at: columns.optional_time()?,
            mode: mode(columns)?,
            broker_hash: columns.optional_bytes(|hash| TokenHash::from_slice(hash).ok_or(Malformed))?,
        };
        // Who has no broker has no token for it.
        let fits = (run.mode == RunMode::Broker) == run.broker_hash.is_some();
        if fits { Ok(run) } else { Err(Malformed) }
    }
}

/// A run's mode; each has one form.
fn mode<'r>(columns: &mut Columns<'r, impl Cells<'r>>) -> Result<RunMode, Malformed> {
    let stored = columns.optional_text(|text| RunMode::from_stored(Some(text)).ok_or(Malformed))?;
    Ok(stored.unwrap_or_default())
}

impl Record for Delivery {
    fn shape() -> &'static Shape {
        static SHAPE: Shape = Shape::plain(
            "deliveries",
            &[id("run_id"), id("secret_id"), number("version"), text("env_keys")],
            &[number("at")],
        );
        &SHAPE
    }

    fn values(&self) -> Vec<Value<'_>> {
        vec![
            self.run_id.as_bytes().into(),
            self.secret_id.as_bytes().into(),
            Value::number(self.version),
            Value::text(self.env_key_lines()),
            self.at.into(),
        ]
    }
}

impl Read for Delivery {
    fn read<'r>(columns: &mut Columns<'r, impl Cells<'r>>) -> Result<Self, Malformed> {
        Ok(Self {
            run_id: columns.id(RunId::from_slice)?,
            secret_id: columns.id(SecretId::from_slice)?,
            version: columns.number()?,
            env_keys: columns.text(env_keys)?,
            at: columns.time()?,
        })
    }
}

impl Read for (RunId, Option<Delivery>) {
    fn read<'r>(columns: &mut Columns<'r, impl Cells<'r>>) -> Result<Self, Malformed> {
        let run = columns.id(RunId::from_slice)?;
        let delivery = if columns.at_null()? { None } else { Some(Delivery::read(columns)?) };
        Ok((run, delivery))
    }
}

fn env_keys(lines: &str) -> Result<BTreeSet<EnvKey>, Invalid> {
    lines.split('\n').map(EnvKey::parse).collect()
}

impl Read for StoredRun {
    fn read<'r>(columns: &mut Columns<'r, impl Cells<'r>>) -> Result<Self, Malformed> {
        Ok(RunRows {
            run: Read::read(columns)?,
            key: Read::read(columns)?,
            agent: Read::read(columns)?,
            user: Read::read(columns)?,
            membership: Read::read(columns)?,
            team: Read::read(columns)?,
        })
    }
}

/// Runs with the rows that they hang on, from where a query says: `r` is read
/// first, and in its order.
fn with_rows(from: &str) -> String {
    format!(
        "SELECT {}, {}, {}, {}, {}, {} FROM {from} CROSS JOIN api_keys k ON k.id = r.key_id \
         CROSS JOIN agents a ON a.team_id = r.team_id AND a.id = r.agent_id \
         CROSS JOIN users u ON u.id = r.user_id \
         CROSS JOIN memberships m ON m.team_id = r.team_id AND m.user_id = r.user_id \
         CROSS JOIN teams t ON t.id = r.team_id",
        Run::shape().of("r"),
        ApiKey::shape().of("k"),
        Agent::shape().of("a"),
        User::shape().of("u"),
        Membership::shape().of("m"),
        Team::shape().of("t"),
    )
}

static ONE: LazyLock<Text> = LazyLock::new(|| Text::hinted(with_rows("runs r") + " WHERE r.id = ?1", ""));

/// The rows that decide about a run.
pub(crate) fn run(run: RunId) -> Query<'static, StoredRun> {
    Query::new(Run::TABLE, &*ONE, [run.as_bytes().into()])
}

/// Which runs: from where and on which condition, and its values.
fn which(team: TeamId, of: RunsOf) -> (&'static str, Vec<Value<'static>>) {
    let (from, id) = match of {
        RunsOf::Team => ("runs r INDEXED BY runs_by_team WHERE r.team_id = ?1", None),
        RunsOf::Run(run) => ("runs r WHERE r.team_id = ?1 AND r.id = ?2", Some(run.uuid())),
        RunsOf::Agent(agent) => {
            ("runs r INDEXED BY runs_by_agent WHERE r.team_id = ?1 AND r.agent_id = ?2", Some(agent.uuid()))
        }
        // Rarely asked: an index would cost each start of a run.
        RunsOf::Key(key) => {
            ("runs r INDEXED BY runs_by_team WHERE r.team_id = ?1 AND r.key_id = ?2", Some(key.uuid()))
        }
        RunsOf::User(user) => {
            ("runs r INDEXED BY runs_by_team WHERE r.team_id = ?1 AND r.user_id = ?2", Some(user.uuid()))
        }
    };
    let id = id.as_ref().map(|id| id.as_bytes().into());
    (from, [team.as_bytes().into()].into_iter().chain(id).collect())
}

/// A page of a team's runs, the newest first.
pub(crate) fn page((team, of): (TeamId, RunsOf), (skip, limit): (u32, u32)) -> Query<'static, StoredRun> {
    let (from, mut values) = which(team, of);
    let at = values.len();
    values.extend([Value::number(limit), Value::number(skip)]);
    newest_first(&format!("{from} ORDER BY r.id DESC LIMIT ?{} OFFSET ?{}", at + 1, at + 2), values)
}

/// A page of those that are open at a moment, the newest first.
pub(crate) fn open(
    (team, of): (TeamId, RunsOf),
    open_at: Timestamp,
    (before, limit): (Option<RunId>, u32),
) -> Query<'static, StoredRun> {
    let (from, mut values) = which(team, of);
    values.extend([open_at.into(), Value::number(limit)]);
    let at = values.len();
    let older = before.map_or_else(String::new, |before| {
        values.push(Value::Id(*before.as_bytes()));
        format!(" AND r.id < ?{}", values.len())
    });
    let open = format!("r.expires_at > ?{} AND r.stopped_at IS NULL", at - 1);
    newest_first(&format!("{from} AND {open}{older} ORDER BY r.id DESC LIMIT ?{at}"), values)
}

/// Runs of a page with the rows that they hang on.
fn newest_first(page: &str, values: Vec<Value<'static>>) -> Query<'static, StoredRun> {
    let page = with_rows(&format!("(SELECT r.* FROM {page}) r"));
    Query::new(Run::TABLE, Text::hinted(page, " ORDER BY r.id DESC"), values)
}

/// How many runs there are.
pub(crate) fn count(team: TeamId, of: RunsOf) -> Query<'static, u64> {
    let (from, values) = which(team, of);
    Query::new(Run::TABLE, Text::hinted(format!("SELECT count(*) FROM {from}"), ""), values)
}

/// How many days' milliseconds are in a day's number.
pub(super) const DAY: i64 = 24 * 60 * 60 * 1_000;

/// The newest runs of a team since a moment: they are named by when they were started.
const NEWEST: &str = "(SELECT id, created_at FROM runs INDEXED BY runs_by_team \
     WHERE team_id = ?1 AND id >= ?2 ORDER BY id DESC LIMIT ?3) r";

fn newest(team: TeamId, since: Timestamp, most: u32) -> Vec<Value<'static>> {
    let mut least = [0; 16];
    // A run's id begins with 48 bits of its time (RFC 9562).
    let millis = since.as_millis().max(0).to_be_bytes();
    least[..6].copy_from_slice(&millis[2..]);
    vec![team.as_bytes().into(), Value::Id(least), Value::number(most)]
}

/// How many runs were started on each day.
pub(crate) fn by_day(team: TeamId, since: Timestamp, most: u32) -> Query<'static, (i64, u64)> {
    static BY_DAY: LazyLock<Text> = LazyLock::new(|| {
        let days = format!("SELECT r.created_at / {DAY}, count(*) FROM {NEWEST} GROUP BY 1 ORDER BY 1");
        Text::hinted(days, "")
    });
    Query::new(Run::TABLE, &*BY_DAY, newest(team, since, most))
}

/// How many deliveries there were to them on each day.
pub(crate) fn deliveries_by_day(team: TeamId, since: Timestamp, most: u32) -> Query<'static, (i64, u64)> {
    static BY_DAY: LazyLock<Text> = LazyLock::new(|| {
        let days = format!(
            "SELECT d.at / {DAY}, count(*) FROM {NEWEST} \
             CROSS JOIN deliveries d ON d.run_id = r.id GROUP BY 1 ORDER BY 1"
        );
        Text::hinted(days, "")
    });
    Query::new("deliveries", &*BY_DAY, newest(team, since, most))
}

/// What was delivered to a page of a team's runs, the oldest first.
pub(crate) fn deliveries(
    (team, of): (TeamId, RunsOf),
    (after, limit): (Option<RunId>, u32),
) -> Query<'static, (RunId, Option<Delivery>)> {
    let (from, mut values) = which(team, of);
    values.push(Value::number(limit));
    let at = values.len();
    let newer = after.map_or_else(String::new, |after| {
        values.push(Value::Id(*after.as_bytes()));
        format!(" AND r.id > ?{}", values.len())
    });
    let select = format!(
        "SELECT r.id, {} FROM (SELECT r.id FROM {from}{newer} ORDER BY r.id LIMIT ?{at}) r \
         LEFT JOIN deliveries d ON d.run_id = r.id",
        Delivery::shape().of("d"),
    );
    Query::new("deliveries", Text::hinted(select, " ORDER BY r.id, d.secret_id, d.version"), values)
}

static OF_SECRET: LazyLock<String> = LazyLock::new(|| {
    Delivery::shape().select("secret_id = ?1 ORDER BY secret_id DESC, version DESC, run_id DESC LIMIT ?2")
});

/// To which runs a secret was delivered.
pub(crate) fn deliveries_of(secret: SecretId, limit: u32) -> Query<'static, Delivery> {
    Query::new("deliveries", OF_SECRET.as_str(), [secret.as_bytes().into(), Value::number(limit)])
}

static NOTE: LazyLock<String> = LazyLock::new(|| {
    let names = Delivery::shape().names().join(", ");
    format!("INSERT INTO deliveries ({names}) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING")
});

/// Notes a delivery, unless the very same is noted.
pub(crate) fn note(delivery: &Delivery) -> Statement<'_> {
    Query::new("deliveries", NOTE.as_str(), delivery.values())
}

/// Forgets runs of shredded teams, with what was delivered to them. SQLite has
/// no such statement.
pub(crate) fn forget(limit: u32) -> Statement<'static> {
    static FORGET: LazyLock<Text> = LazyLock::new(|| {
        Text::hinted(
            format!(
                "WITH gone AS (DELETE FROM runs WHERE id IN ({LEFT}) RETURNING id), \
                 undelivered AS (DELETE FROM deliveries WHERE run_id IN (SELECT id FROM gone)) \
                 SELECT id FROM gone"
            ),
            "",
        )
    });
    Query::new(Run::TABLE, &*FORGET, [Value::number(limit)])
}

/// Runs of shredded teams: `?1` of them.
pub(crate) const LEFT: &str = "SELECT r.id FROM teams t CROSS JOIN runs r ON r.team_id = t.id \
                               WHERE t.shredded_at IS NOT NULL LIMIT ?1";
