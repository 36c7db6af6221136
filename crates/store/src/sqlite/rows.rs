//! From columns to domain types. A column that isn't what was written there
//! makes its row malformed, which the core treats as tampering.

use rusqlite::types::{FromSql, Type, ValueRef};
use rusqlite::{Connection, Error, Params, Row, ffi};

use strongroom_core::StoreError;
use strongroom_core::clock::Timestamp;
use strongroom_core::rows::RowMac;
use strongroom_core::tokens::TokenHash;

/// The error of a column that holds something impossible.
pub(super) fn malformed(column: usize) -> Error {
    Error::FromSqlConversionFailure(column, Type::Blob, "malformed".into())
}

/// Reads a row's columns from left to right.
pub(super) struct Columns<'r, 's> {
    row: &'r Row<'s>,
    at: usize,
}

impl<'r, 's> Columns<'r, 's> {
    pub(super) fn new(row: &'r Row<'s>) -> Self {
        Self { row, at: 0 }
    }

    fn advance(&mut self) -> usize {
        self.at += 1;
        self.at - 1
    }

    /// The next column as it is.
    pub(super) fn value<T: FromSql>(&mut self) -> rusqlite::Result<T> {
        let column = self.advance();
        self.row.get(column)
    }

    /// The next column through a parser.
    pub(super) fn parse<C: FromSql, T, E>(
        &mut self,
        parse: impl FnOnce(C) -> Result<T, E>,
    ) -> rusqlite::Result<T> {
        let column = self.advance();
        parse(self.row.get(column)?).map_err(|_| malformed(column))
    }

    /// The next column, which may be null, through a parser.
    pub(super) fn optional<C: FromSql, T, E>(
        &mut self,
        parse: impl FnOnce(C) -> Result<T, E>,
    ) -> rusqlite::Result<Option<T>> {
        self.parse(|value: Option<C>| value.map(parse).transpose())
    }

    /// The next column as text, without a copy.
    pub(super) fn text<T, E>(&mut self, parse: impl FnOnce(&'r str) -> Result<T, E>) -> rusqlite::Result<T> {
        let column = self.advance();
        let text = self.row.get_ref(column)?.as_str().map_err(|_| malformed(column))?;
        parse(text).map_err(|_| malformed(column))
    }

    /// The 16 bytes of an id.
    pub(super) fn id<T, E>(&mut self, from: impl FnOnce(&[u8]) -> Result<T, E>) -> rusqlite::Result<T> {
        self.parse(|bytes: [u8; 16]| from(&bytes))
    }

    /// An id that may be null.
    pub(super) fn optional_id<T, E>(
        &mut self,
        from: impl FnOnce(&[u8]) -> Result<T, E>,
    ) -> rusqlite::Result<Option<T>> {
        self.optional(|bytes: [u8; 16]| from(&bytes))
    }

    pub(super) fn time(&mut self) -> rusqlite::Result<Timestamp> {
        self.value().map(Timestamp::from_millis)
    }

    pub(super) fn optional_time(&mut self) -> rusqlite::Result<Option<Timestamp>> {
        Ok(self.value::<Option<i64>>()?.map(Timestamp::from_millis))
    }

    pub(super) fn mac(&mut self) -> rusqlite::Result<RowMac> {
        self.parse(|bytes: [u8; RowMac::LENGTH]| RowMac::from_slice(&bytes).ok_or(()))
    }

    pub(super) fn token_hash(&mut self) -> rusqlite::Result<TokenHash> {
        self.parse(|bytes: [u8; TokenHash::LENGTH]| TokenHash::from_slice(&bytes).ok_or(()))
    }

    /// Whether the next column is null; it is still to be read.
    pub(super) fn at_null(&self) -> rusqlite::Result<bool> {
        Ok(self.row.get_ref(self.at)? == ValueRef::Null)
    }
}

/// Runs a statement that changes rows of `table`; tells how many.
pub(super) fn execute(
    transaction: &Connection,
    table: &'static str,
    statement: &str,
    values: impl Params,
) -> Result<usize, StoreError> {
    let done = transaction.prepare_cached(statement).and_then(|mut statement| statement.execute(values));
    done.map_err(|error| store_error(error, table))
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
