//! The schema's history. A migration that has been released never changes.

use rusqlite::Connection;
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
