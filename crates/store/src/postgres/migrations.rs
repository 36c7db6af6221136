//! The schema's history, with the numbers and names of SQLite's. A migration
//! that has been released never changes.

use std::collections::BTreeSet;
use tokio_postgres::Row;

use super::Health;
use super::connection::Live;
use super::error::{Fault, OpenError};
use super::locks::MIGRATION;
use crate::tables::shapes;

/// In order; the first is number 1.
pub(crate) const MIGRATIONS: [(&str, &str); 7] = [
    ("0001_foundation", include_str!("../../migrations/postgres/0001_foundation.sql")),
    (
        "0002_teams_keys_and_answers",
        include_str!("../../migrations/postgres/0002_teams_keys_and_answers.sql"),
    ),
    ("0003_agents_and_runs", include_str!("../../migrations/postgres/0003_agents_and_runs.sql")),
    ("0004_people_who_sign_in", include_str!("../../migrations/postgres/0004_people_who_sign_in.sql")),
    ("0005_audit_tree", include_str!("../../migrations/postgres/0005_audit_tree.sql")),
    ("0006_root_copies", include_str!("../../migrations/postgres/0006_root_copies.sql")),
    ("0007_broker", include_str!("../../migrations/postgres/0007_broker.sql")),
];

/// Which of them were applied, and when.
const HISTORY: &str = "CREATE TABLE schema_history (
    number      BIGINT PRIMARY KEY,
    name        TEXT NOT NULL,
    applied_at  TIMESTAMPTZ NOT NULL DEFAULT now()
)";

/// The oldest server that this is tested with.
const OLDEST: i32 = 150_000;

/// The number of the schema that this program serves.
pub(super) fn newest() -> u32 {
    u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX)
}

/// The rows of a question that has no values.
async fn ask(live: &Live, text: &str) -> Result<Vec<Row>, Fault> {
    Ok(live.ask(text, &[]).await?.0)
}

/// What one column of each row says.
async fn texts(live: &Live, text: &str) -> Result<Vec<String>, Fault> {
    ask(live, text).await?.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// The number of the schema; `None` where there is none.
pub(super) async fn schema(live: &Live) -> Result<Option<u32>, Fault> {
    if texts(
        live,
        "SELECT to_regclass('schema_history')::text WHERE to_regclass('schema_history') IS NOT NULL",
    )
    .await?
    .is_empty()
    {
        return Ok(None);
    }
    let rows = ask(live, "SELECT max(number) FROM schema_history").await?;
    let number: Option<i64> = rows.first().map(|row| row.try_get(0)).transpose()?.flatten();
    Ok(number.map(|number| u32::try_from(number).unwrap_or(u32::MAX)))
}

/// Refuses a server that isn't one to rely on.
pub(super) async fn suits(live: &Live) -> Result<(), OpenError> {
    let rows = ask(
        live,
        "SELECT current_setting('server_version_num')::int, current_setting('server_version'), \
         current_setting('server_encoding')",
    )
    .await?;
    let row = rows.first().ok_or(Fault::Malformed)?;
    let read = |error| OpenError::from(Fault::from(error));
    let (number, version): (i32, String) = (row.try_get(0).map_err(read)?, row.try_get(1).map_err(read)?);
    let encoding: String = row.try_get(2).map_err(read)?;
    if number < OLDEST {
        return Err(OpenError::Unsuitable(format!(
            "the server is PostgreSQL {version}; 15 or later is needed"
        )));
    }
    if encoding != "UTF8" {
        return Err(OpenError::Unsuitable(format!(
            "the database has the encoding {encoding}; make one with: createdb --encoding=UTF8 --template=template0 NAME"
        )));
    }
    Ok(())
}

/// Refuses a database that holds no instance, or that a later program wrote.
pub(super) async fn check(live: &Live) -> Result<(), OpenError> {
    let (found, known) = (schema(live).await?.ok_or(OpenError::NoInstance)?, newest());
    if found > known {
        return Err(OpenError::FromTheFuture { found, known });
    }
    if found == known { refuse_foreign_parts(live).await } else { Ok(()) }
}

/// Makes the schema where there is none.
pub(super) async fn create(live: &Live) -> Result<(), OpenError> {
    run(live).await.map(|_| ())
}

/// Brings the schema up to date, in one transaction; from which number to which.
/// Of several servers one does it, and the others find it done.
pub(super) async fn run(live: &Live) -> Result<(u32, u32), OpenError> {
    live.say("BEGIN").await?;
    let done = async {
        live.say(&format!("SELECT pg_advisory_xact_lock({MIGRATION})")).await?;
        let from = schema(live).await?;
        if from.is_none() {
            live.say(HISTORY).await?;
        }
        let from = from.unwrap_or(0);
        for ((name, migration), number) in
            MIGRATIONS.iter().zip(1_u32..).skip(usize::try_from(from).unwrap_or(0))
        {
            live.say(migration).await?;
            live.say(&format!("INSERT INTO schema_history (number, name) VALUES ({number}, '{name}')"))
                .await?;
        }
        refuse_foreign_parts(live).await?;
        Ok((from, newest().max(from)))
    };
    let done = done.await;
    live.say(if done.is_ok() { "COMMIT" } else { "ROLLBACK" }).await?;
    done
}

/// What somebody else put into our tables, or took out of them: whatever a
/// trigger or rule does is done in our name. Empty when all is as it was made.
async fn foreign_parts(live: &Live) -> Result<Vec<String>, Fault> {
    let rows = texts(
        live,
        "SELECT format('%s.%s %s', table_name, column_name, data_type) FROM information_schema.columns \
         WHERE table_schema = current_schema()",
    )
    .await?;
    let found: BTreeSet<_> = rows.into_iter().collect();
    let made = shapes().flat_map(|shape| {
        shape.columns().map(move |column| format!("{}.{} {}", shape.table, column.name, column.kind.sql()))
    });
    let mut parts: Vec<_> = made.filter(|column| !found.contains(column)).collect();
    parts.extend(
        texts(
            live,
            "SELECT format('trigger %s on %s', t.tgname, c.relname) FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid \
             WHERE NOT t.tgisinternal AND c.relnamespace = current_schema()::regnamespace \
             UNION ALL SELECT format('rule %s on %s', r.rulename, c.relname) FROM pg_rewrite r \
             JOIN pg_class c ON c.oid = r.ev_class \
             WHERE c.relkind IN ('r', 'p') AND c.relnamespace = current_schema()::regnamespace",
        )
        .await?,
    );
    Ok(parts)
}

async fn refuse_foreign_parts(live: &Live) -> Result<(), OpenError> {
    let parts = foreign_parts(live).await?;
    if parts.is_empty() { Ok(()) } else { Err(OpenError::AlteredSchema(parts.join(", "))) }
}

/// What our role may not do and must: everything in each table, but that events are only added. A sentence, where
/// there is something.
async fn missing_rights(live: &Live) -> Result<Option<String>, Fault> {
    const RIGHTS: [&str; 4] = ["SELECT", "INSERT", "UPDATE", "DELETE"];
    let every = shapes().map(|shape| shape.table).chain(["commits"]).flat_map(|table| {
        let needed = if table == "events" { 2 } else { RIGHTS.len() };
        RIGHTS.into_iter().take(needed).map(move |right| (right, table))
    });
    let needed: Vec<_> = every.map(|(right, table)| format!("('{right}', '{table}')")).collect();
    let missing = format!(
        "SELECT format('%s on %s', needed, name) FROM (VALUES {}) AS rights(needed, name) \
         WHERE NOT has_table_privilege(to_regclass(name), needed)",
        needed.join(", ")
    );
    let missing = texts(live, &missing).await?;
    let Some(first) = missing.first() else { return Ok(None) };
    let (role, more) = (texts(live, "SELECT current_user::text").await?.concat(), missing.len() - 1);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    Ok(Some(format!(
        "the role {role} lacks rights in the database: {first}{more}; let it own the tables, or GRANT it SELECT, INSERT, \
         UPDATE and DELETE on all of them"
    )))
}

/// Refuses to serve by a role that isn't allowed to: it would answer, and store nothing.
pub(super) async fn refuse_without_rights(live: &Live) -> Result<(), OpenError> {
    missing_rights(live).await?.map_or(Ok(()), |missing| Err(OpenError::Unsuitable(missing)))
}

/// An examination of server and schema.
pub(super) async fn health(live: &Live) -> Result<Health, OpenError> {
    let mut problems: Vec<_> = foreign_parts(live)
        .await?
        .into_iter()
        .map(|part| format!("somebody altered the schema: {part}"))
        .collect();
    let unsafe_settings = texts(
        live,
        "SELECT format('%s is %s: an acknowledged change may be lost', name, setting) FROM pg_settings \
         WHERE name IN ('fsync', 'full_page_writes') AND setting = 'off'",
    );
    problems.extend(unsafe_settings.await?);
    problems.extend(missing_rights(live).await?);
    let version = texts(live, "SELECT current_setting('server_version')").await?;
    let (schema, newest) = (schema(live).await?.unwrap_or(0), newest());
    let older = (schema < newest).then(|| {
        format!("the database has schema {schema}; this program brings it to {newest} when it serves it")
    });
    Ok(Health {
        server_version: version.into_iter().next().unwrap_or_default(),
        schema,
        problems,
        notes: older.into_iter().collect(),
    })
}
