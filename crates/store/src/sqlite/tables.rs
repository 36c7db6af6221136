//! Tables whose rows have a MAC: one way to read them and one way to write
//! them. A row is replaced only while its MAC is the one that was seen.

use rusqlite::types::ToSql;
use rusqlite::{Connection, OptionalExtension, Params, params_from_iter};

use super::rows::{self, Columns};
use strongroom_core::StoreError;
use strongroom_core::rows::{Row, RowMac, Stored};
use strongroom_core::store::Put;

/// A table of rows with a MAC.
pub(super) trait Table: Row + Sized {
    /// Its columns and statements, made once.
    fn sql() -> &'static Sql;

    /// Reads the columns of [`Sql::new`], in their order.
    fn read(columns: &mut Columns<'_, '_>) -> rusqlite::Result<Self>;

    /// Hands on their values, in the same order.
    fn values<R>(&self, then: impl FnOnce(&[&dyn ToSql]) -> R) -> R;
}

/// A table's columns, and what is said to SQLite about it.
pub(super) struct Sql {
    table: &'static str,
    /// The primary key's, the others, `row_mac`.
    columns: Vec<&'static str>,
    by_key: String,
    /// Values: the columns.
    insert: String,
    /// Values: the columns, and the MAC of the row that is to be replaced.
    update: String,
    /// Values: the primary key and the MAC.
    unchanged: String,
}

impl Sql {
    pub(super) fn new(table: &'static str, key: &[&'static str], others: &[&'static str]) -> Self {
        let columns = [key, others, &["row_mac"]].concat();
        let place = |(at, column): (usize, &&str)| format!("{column} = ?{}", at + 1);
        let is_key: Vec<_> = key.iter().enumerate().map(place).collect();
        let is_key = is_key.join(" AND ");
        let set: Vec<_> = columns.iter().enumerate().skip(key.len()).map(place).collect();
        let marks = vec!["?"; columns.len()].join(", ");
        let (names, was) = (columns.join(", "), columns.len() + 1);
        Self {
            by_key: format!("SELECT {names} FROM {table} WHERE {is_key}"),
            insert: format!("INSERT INTO {table} ({names}) VALUES ({marks})"),
            // The key itself is not set: SQLite would take that for a new place.
            update: format!("UPDATE {table} SET {} WHERE {is_key} AND row_mac = ?{was}", set.join(", ")),
            unchanged: format!("SELECT 1 FROM {table} WHERE {is_key} AND row_mac = ?{}", key.len() + 1),
            table,
            columns,
        }
    }

    /// Every column's name, in the order in which they are read.
    pub(super) fn columns(&self) -> impl Iterator<Item = &'static str> {
        self.columns.iter().copied()
    }

    /// The columns of a query that calls the table so.
    pub(super) fn of(&self, alias: &str) -> String {
        let columns: Vec<_> = self.columns().map(|column| format!("{alias}.{column}")).collect();
        columns.join(", ")
    }

    /// The query with this condition.
    pub(super) fn select(&self, condition: &str) -> String {
        format!("SELECT {} FROM {} WHERE {condition}", self.columns.join(", "), self.table)
    }
}

/// Reads a row and its MAC.
pub(super) fn stored<T: Table>(columns: &mut Columns<'_, '_>) -> rusqlite::Result<Stored<T>> {
    let row = T::read(columns)?;
    Ok(Stored::unproven(row, columns.mac()?))
}

/// The row with this primary key.
pub(super) fn by_key<T: Table>(
    connection: &Connection,
    key: impl Params,
) -> rusqlite::Result<Option<Stored<T>>> {
    one(connection, &T::sql().by_key, key)
}

/// The row that a query finds.
pub(super) fn one<T: Table>(
    connection: &Connection,
    query: &str,
    values: impl Params,
) -> rusqlite::Result<Option<Stored<T>>> {
    let mut statement = connection.prepare_cached(query)?;
    statement.query_row(values, |row| stored(&mut Columns::new(row))).optional()
}

/// The rows that a query finds.
pub(super) fn all<T: Table>(
    connection: &Connection,
    query: &str,
    values: impl Params,
) -> rusqlite::Result<Vec<Stored<T>>> {
    let mut statement = connection.prepare_cached(query)?;
    statement.query_map(values, |row| stored(&mut Columns::new(row)))?.collect()
}

/// Stores a row that is new, or takes the place of another.
pub(super) fn put<T: Table>(transaction: &Connection, put: &Put<T>) -> Result<(), StoreError> {
    match put.was {
        None => insert(transaction, &put.now),
        Some(was) => replace(transaction, &put.now, was),
    }
}

/// Stores a new row.
pub(super) fn insert<T: Table>(transaction: &Connection, row: &Stored<T>) -> Result<(), StoreError> {
    execute(transaction, &T::sql().insert, row, None).map(|_| ())
}

fn replace<T: Table>(transaction: &Connection, row: &Stored<T>, was: RowMac) -> Result<(), StoreError> {
    as_seen(execute(transaction, &T::sql().update, row, Some(was))?)
}

/// Demands that the row of this primary key has this MAC: `values` are both.
pub(super) fn unchanged<T: Table>(transaction: &Connection, values: impl Params) -> Result<(), StoreError> {
    let found = transaction
        .prepare_cached(&T::sql().unchanged)
        .and_then(|mut statement| statement.exists(values))
        .map_err(|error| rows::store_error(error, T::TABLE))?;
    as_seen(found.into())
}

/// What a statement that names a row by its MAC says when it found none.
pub(super) fn as_seen(rows: usize) -> Result<(), StoreError> {
    if rows == 0 { Err(StoreError::Changed) } else { Ok(()) }
}

fn execute<T: Table>(
    transaction: &Connection,
    statement: &str,
    stored: &Stored<T>,
    was: Option<RowMac>,
) -> Result<usize, StoreError> {
    stored.row().values(|values| {
        let macs = [Some(stored.mac()), was];
        let macs = macs.iter().flatten().map(|mac| mac.as_bytes() as &dyn ToSql);
        let values = params_from_iter(values.iter().copied().chain(macs));
        rows::execute(transaction, T::TABLE, statement, values)
    })
}
