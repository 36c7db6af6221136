//! The schema's history. A migration that has been released never changes.

use rusqlite::Connection;
use std::collections::BTreeSet;
use std::path::Path;

use super::{OpenError, rows};
use strongroom_core::StoreError;

/// Marks the file as Strongroom's (`PRAGMA application_id`): "SRdb".
const APPLICATION: i32 = 0x5352_6462;

/// In order; the first is number 1.
const MIGRATIONS: [&str; 7] = [
    include_str!("../../migrations/sqlite/0001_foundation.sql"),
    include_str!("../../migrations/sqlite/0002_teams_keys_and_answers.sql"),
    include_str!("../../migrations/sqlite/0003_agents_and_runs.sql"),
    include_str!("../../migrations/sqlite/0004_people_who_sign_in.sql"),
    include_str!("../../migrations/sqlite/0005_audit_tree.sql"),
    include_str!("../../migrations/sqlite/0006_root_copies.sql"),
    include_str!("../../migrations/sqlite/0007_broker.sql"),
];

/// The number of the schema that this program serves.
pub(super) fn newest() -> u32 {
    u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX)
}

/// The number of the schema in a database.
pub(super) fn schema(connection: &Connection) -> rusqlite::Result<u32> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Refuses a database that isn't ours, that a later program wrote, or that
/// holds nothing yet.
pub(super) fn check(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let sqlite = |source| OpenError::Sqlite { path: path.to_owned(), source };
    let application: i32 =
        connection.pragma_query_value(None, "application_id", |row| row.get(0)).map_err(sqlite)?;
    let (found, known) = (schema(connection).map_err(sqlite)?, newest());
    match (application, found) {
        (0, 0) if read_schema(connection).map_err(sqlite)?.is_empty() => {
            Err(OpenError::Empty(path.to_owned()))
        }
        (APPLICATION, 1..) if found <= known => Ok(()),
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

/// Makes the schema in a database that is new.
pub(super) fn create(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let sqlite = |source| OpenError::Sqlite { path: path.to_owned(), source };
    let transaction = connection.unchecked_transaction().map_err(sqlite)?;
    run(&transaction, path).map_err(|error| failed(error, path))?;
    transaction.commit().map_err(sqlite)
}

/// Brings the schema up to date, inside a transaction that is undone at an
/// error. A schema that somebody altered is refused before and after. Where
/// nothing is to be done, nothing is looked at: whoever opened it has done that.
pub(super) fn run(transaction: &Connection, path: &Path) -> Result<(), StoreError> {
    let found = schema(transaction).map_err(|error| rows::store_error(error, "schema"))?;
    if usize::try_from(found) == Ok(MIGRATIONS.len()) {
        return Ok(());
    }
    refuse_foreign_parts(transaction, path).map_err(refused)?;
    apply(transaction).map_err(|error| rows::store_error(error, "schema"))?;
    refuse_foreign_parts(transaction, path).map_err(refused)
}

fn apply(transaction: &Connection) -> rusqlite::Result<()> {
    let applied = usize::try_from(schema(transaction)?).unwrap_or(usize::MAX);
    for (migration, number) in MIGRATIONS.iter().zip(1_u32..).skip(applied) {
        transaction.execute_batch(migration)?;
        transaction.pragma_update(None, "user_version", number)?;
        transaction.pragma_update(None, "application_id", APPLICATION)?;
    }
    Ok(())
}

/// Through the writer, which looks for errors after which it must stop.
fn refused(error: OpenError) -> StoreError {
    match error {
        OpenError::Sqlite { source, .. } => rows::store_error(source, "schema"),
        other => StoreError::Unavailable(Box::new(other)),
    }
}

/// Out of the writer again, in the words of whoever opens a database.
pub(super) fn failed(error: StoreError, path: &Path) -> OpenError {
    let source = match error {
        StoreError::Unavailable(cause) => match cause.downcast::<OpenError>() {
            Ok(refused) => return *refused,
            Err(cause) => cause,
        },
        other => Box::new(other),
    };
    OpenError::Migration { path: path.to_owned(), source }
}
