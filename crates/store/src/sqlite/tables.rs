//! One way to read rows and one way to write them, whatever the table. A row is
//! replaced only while its MAC is the one that was seen.

use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension, params_from_iter};

use super::rows::{self, columns};
use crate::query::{Query, Statement};
use crate::tables::{Read, Record, Shape, Value};
use strongroom_core::StoreError;
use strongroom_core::rows::{Row, RowMac, Stored};
use strongroom_core::store::Put;

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Id(id) => ValueRef::Blob(id.as_slice()),
            Self::Bytes(bytes) => ValueRef::Blob(bytes),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Number(number) => ValueRef::Integer(*number),
        }))
    }
}

/// The row that a query finds.
pub(super) fn one<T: Read>(connection: &Connection, query: &Query<'_, T>) -> rusqlite::Result<Option<T>> {
    let mut statement = connection.prepare_cached(&query.text.sqlite)?;
    let values = params_from_iter(&query.values);
    statement.query_row(values, |row| Ok(T::read(&mut columns(row))?)).optional()
}

/// The rows that a query finds.
pub(super) fn all<T: Read>(connection: &Connection, query: &Query<'_, T>) -> rusqlite::Result<Vec<T>> {
    let mut statement = connection.prepare_cached(&query.text.sqlite)?;
    let values = params_from_iter(&query.values);
    statement.query_map(values, |row| Ok(T::read(&mut columns(row))?))?.collect()
}

/// The same; a row that can't be read doesn't hide the others.
pub(super) fn all_readable<T: Read>(
    connection: &Connection,
    query: &Query<'_, T>,
) -> rusqlite::Result<Vec<Option<T>>> {
    let mut statement = connection.prepare_cached(&query.text.sqlite)?;
    let values = params_from_iter(&query.values);
    statement.query_map(values, |row| Ok(T::read(&mut columns(row)).ok()))?.collect()
}

/// Runs a statement that changes rows; tells how many.
pub(super) fn execute(transaction: &Connection, statement: &Statement<'_>) -> Result<usize, StoreError> {
    let values = params_from_iter(&statement.values);
    rows::execute(transaction, statement.table, &statement.text.sqlite, values)
}

/// The number that a counting query answers, inside a transaction.
pub(super) fn count(transaction: &Connection, query: &Query<'_, u64>) -> Result<u64, StoreError> {
    let counted = one(transaction, query).map_err(|error| rows::store_error(error, query.table))?;
    Ok(counted.unwrap_or(0))
}

/// Stores a row that is new, or takes the place of another.
pub(super) fn put<T: Record + Row>(transaction: &Connection, put: &Put<T>) -> Result<(), StoreError> {
    match put.was {
        None => insert_stored(transaction, &put.now),
        Some(was) => {
            let values = params_from_iter(with_macs(&put.now, Some(was)));
            as_seen(rows::execute(transaction, T::TABLE, T::shape().update(), values)?)
        }
    }
}

/// Stores a new row that has a MAC.
pub(super) fn insert_stored<T: Record + Row>(
    transaction: &Connection,
    row: &Stored<T>,
) -> Result<(), StoreError> {
    insert_values(transaction, T::shape(), with_macs(row, None))
}

/// Stores a new row of a table without MACs.
pub(super) fn insert<T: Record>(transaction: &Connection, record: &T) -> Result<(), StoreError> {
    insert_values(transaction, T::shape(), record.values())
}

/// Stores a new row.
pub(super) fn insert_values(
    transaction: &Connection,
    shape: &'static Shape,
    values: Vec<Value<'_>>,
) -> Result<(), StoreError> {
    rows::execute(transaction, shape.table, shape.insert(), params_from_iter(values)).map(|_| ())
}

/// Demands that a row is as it was.
pub(super) fn unchanged(transaction: &Connection, query: &Query<'_, u64>) -> Result<(), StoreError> {
    if count(transaction, query)? == 0 { Err(StoreError::Changed) } else { Ok(()) }
}

/// What a statement that names a row by its MAC says when it found none.
pub(super) fn as_seen(rows: usize) -> Result<(), StoreError> {
    if rows == 0 { Err(StoreError::Changed) } else { Ok(()) }
}

/// A row's values, its MAC, and that of the row whose place it takes.
fn with_macs<T: Record + Row>(stored: &Stored<T>, was: Option<RowMac>) -> Vec<Value<'_>> {
    let mac = |mac: RowMac| Value::Bytes(mac.as_bytes().to_vec().into());
    let mut values = stored.row().values();
    values.extend([Some(stored.mac()), was].into_iter().flatten().map(mac));
    values
}
