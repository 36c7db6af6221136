//! The schema's history. A migration that has been released never changes.

use rusqlite::Connection;
use std::collections::BTreeSet;
use std::path::Path;

use super::OpenError;

/// Marks the file as Strongroom's (`PRAGMA application_id`): "SRdb".
const APPLICATION: i32 = 0x5352_6462;

/// In order; the first is number 1.
const MIGRATIONS: [&str; 1] = [include_str!("../../migrations/sqlite/0001_foundation.sql")];

/// The number of the schema in a database.
pub(super) fn schema(connection: &Connection) -> rusqlite::Result<u32> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Refuses a database that isn't ours, or that a later program wrote.
pub(super) fn check(connection: &Connection, path: &Path) -> Result<u32, OpenError> {
    let sqlite = |source| OpenError::Sqlite { path: path.to_owned(), source };
    let application: i32 =
        connection.pragma_query_value(None, "application_id", |row| row.get(0)).map_err(sqlite)?;
    let found = schema(connection).map_err(sqlite)?;
    let known = u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX);
    match (application, found) {
        (0, 0) => Ok(0),
        (APPLICATION, 1..) if found <= known => Ok(found),
        (APPLICATION, 1..) => Err(OpenError::FromTheFuture { path: path.to_owned(), found, known }),
        _ => Err(OpenError::Foreign(path.to_owned())),
    }
}

/// Tables, indexes, triggers and views, as SQLite keeps them.
type Schema = BTreeSet<(String, String, Option<String>)>;

fn read_schema(connection: &Connection) -> rusqlite::Result<Schema> {
    let mut select = connection.prepare("SELECT type, name, sql FROM sqlite_schema")?;
    select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect()
}

/// What somebody else put into the schema, or took out of it: names such as
/// `trigger events_gone`. Empty when it is what the migrations make.
pub(super) fn foreign_parts(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let made = Connection::open_in_memory()?;
    let applied = usize::try_from(schema(connection)?).unwrap_or(usize::MAX);
    for migration in MIGRATIONS.iter().take(applied) {
        made.execute_batch(migration)?;
    }
    let (made, found) = (read_schema(&made)?, read_schema(connection)?);
    Ok(made.symmetric_difference(&found).map(|(kind, name, _)| format!("{kind} {name}")).collect())
}

/// Refuses a database whose schema isn't what the migrations make.
pub(super) fn refuse_foreign_parts(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let parts =
        foreign_parts(connection).map_err(|source| OpenError::Sqlite { path: path.to_owned(), source })?;
    if parts.is_empty() {
        Ok(())
    } else {
        Err(OpenError::AlteredSchema { path: path.to_owned(), parts: parts.join(", ") })
    }
}

/// Brings the schema up to date, in one transaction.
pub(super) fn run(connection: &mut Connection, path: &Path) -> Result<(), OpenError> {
    let found = check(connection, path)?;
    let pending = MIGRATIONS.iter().zip(1_u32..).skip(usize::try_from(found).unwrap_or(usize::MAX));
    let apply = |connection: &mut Connection| -> rusqlite::Result<()> {
        let transaction = connection.transaction()?;
        for (migration, number) in pending {
            transaction.execute_batch(migration)?;
            transaction.pragma_update(None, "user_version", number)?;
            transaction.pragma_update(None, "application_id", APPLICATION)?;
            tracing::debug!(number, "store.migrated");
        }
        transaction.commit()
    };
    apply(connection).map_err(|source| OpenError::Sqlite { path: path.to_owned(), source })
}
