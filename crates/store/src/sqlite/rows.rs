//! From columns to domain types. A column that isn't what was written there
//! makes its row malformed, which the core treats as tampering.

use rusqlite::types::Type;
use rusqlite::{Connection, Error, Params, Row, ffi};

use strongroom_core::clock::Timestamp;
use strongroom_core::rows::RowMac;
use strongroom_core::tokens::TokenHash;
use strongroom_core::{Role, StoreError};

/// The error of a column that holds something impossible.
pub(super) fn malformed(column: usize) -> Error {
    Error::FromSqlConversionFailure(column, Type::Blob, "malformed".into())
}

/// Reads a column through a parser.
pub(super) fn parse<C: rusqlite::types::FromSql, T, E>(
    row: &Row<'_>,
    column: usize,
    parse: impl FnOnce(C) -> Result<T, E>,
) -> rusqlite::Result<T> {
    parse(row.get(column)?).map_err(|_| malformed(column))
}

/// Reads a column that may be null through a parser.
pub(super) fn parse_optional<C: rusqlite::types::FromSql, T, E>(
    row: &Row<'_>,
    column: usize,
    parse: impl FnOnce(C) -> Result<T, E>,
) -> rusqlite::Result<Option<T>> {
    row.get::<_, Option<C>>(column)?.map(parse).transpose().map_err(|_| malformed(column))
}

/// Reads the 16 bytes of an id.
pub(super) fn id<T, E>(
    row: &Row<'_>,
    column: usize,
    from: impl FnOnce(&[u8]) -> Result<T, E>,
) -> rusqlite::Result<T> {
    parse(row, column, |bytes: [u8; 16]| from(&bytes))
}

/// Reads an id that may be null.
pub(super) fn optional_id<T, E>(
    row: &Row<'_>,
    column: usize,
    from: impl FnOnce(&[u8]) -> Result<T, E>,
) -> rusqlite::Result<Option<T>> {
    parse_optional(row, column, |bytes: [u8; 16]| from(&bytes))
}

pub(super) fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    row.get(column).map(Timestamp::from_millis)
}

pub(super) fn optional_time(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(Timestamp::from_millis))
}

pub(super) fn mac(row: &Row<'_>, column: usize) -> rusqlite::Result<RowMac> {
    parse(row, column, |bytes: [u8; RowMac::LENGTH]| RowMac::from_slice(&bytes).ok_or(()))
}

pub(super) fn token_hash(row: &Row<'_>, column: usize) -> rusqlite::Result<TokenHash> {
    parse(row, column, |bytes: [u8; TokenHash::LENGTH]| TokenHash::from_slice(&bytes).ok_or(()))
}

pub(super) fn role(row: &Row<'_>, column: usize) -> rusqlite::Result<Role> {
    parse(row, column, |name: String| Role::from_name(&name).ok_or(()))
}

/// Inserts one row into `table`.
pub(super) fn insert(
    transaction: &Connection,
    table: &'static str,
    statement: &str,
    values: impl Params,
) -> Result<(), StoreError> {
    let inserted = transaction.prepare_cached(statement).and_then(|mut statement| statement.execute(values));
    inserted.map(|_| ()).map_err(|error| store_error(error, table))
}

/// Whether a column held what can't stand in it.
pub(super) fn is_malformed(error: &Error) -> bool {
    matches!(
        error,
        Error::FromSqlConversionFailure(..)
            | Error::InvalidColumnType(..)
            | Error::IntegralValueOutOfRange(..)
    )
}

fn is_duplicate(code: i32) -> bool {
    matches!(
        code,
        ffi::SQLITE_CONSTRAINT_PRIMARYKEY | ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_ROWID
    )
}

/// What an error of SQLite means to the core.
pub(super) fn store_error(error: Error, table: &'static str) -> StoreError {
    match &error {
        malformed if is_malformed(malformed) => StoreError::Malformed(table),
        Error::SqliteFailure(failure, _) if is_duplicate(failure.extended_code) => StoreError::Exists,
        _ => StoreError::Unavailable(Box::new(error)),
    }
}
