//! SQLite's rows and errors as the rest of the store knows them.

use rusqlite::types::{Type, ValueRef};
use rusqlite::{Connection, Error, Params, Row, ffi};

use crate::tables::{Cells, Columns, Malformed};
use strongroom_core::StoreError;

/// Reads a row's columns from left to right.
pub(super) fn columns<'r, 's>(row: &'r Row<'s>) -> Columns<'r, &'r Row<'s>> {
    Columns::new(row)
}

impl<'r> Cells<'r> for &'r Row<'_> {
    fn id(&self, at: usize) -> Result<Option<[u8; 16]>, Malformed> {
        self.bytes(at)?.map(TryInto::try_into).transpose().map_err(|_| Malformed)
    }

    fn bytes(&self, at: usize) -> Result<Option<&'r [u8]>, Malformed> {
        match cell(self, at)? {
            ValueRef::Null => Ok(None),
            ValueRef::Blob(bytes) => Ok(Some(bytes)),
            _ => Err(Malformed),
        }
    }

    fn text(&self, at: usize) -> Result<Option<&'r str>, Malformed> {
        match cell(self, at)? {
            ValueRef::Null => Ok(None),
            ValueRef::Text(text) => std::str::from_utf8(text).map(Some).map_err(|_| Malformed),
            _ => Err(Malformed),
        }
    }

    fn number(&self, at: usize) -> Result<Option<i64>, Malformed> {
        match cell(self, at)? {
            ValueRef::Null => Ok(None),
            ValueRef::Integer(number) => Ok(Some(number)),
            _ => Err(Malformed),
        }
    }

    fn is_null(&self, at: usize) -> Result<bool, Malformed> {
        Ok(cell(self, at)? == ValueRef::Null)
    }
}

fn cell<'r>(row: &'r Row<'_>, at: usize) -> Result<ValueRef<'r>, Malformed> {
    row.get_ref(at).map_err(|_| Malformed)
}

/// As an error of a closure that reads a row.
impl From<Malformed> for Error {
    fn from(_: Malformed) -> Self {
        Error::FromSqlConversionFailure(0, Type::Blob, "malformed".into())
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
