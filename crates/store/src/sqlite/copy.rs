//! An embedded database as one end of a copy.

use async_trait::async_trait;
use rusqlite::{Connection, params_from_iter};
use std::path::Path;

use super::{Database, connection, migrations, remove, rows, tables};
use crate::copy::{Batches, CopyError, Gathered, Raw, Rows, behind, counting, last, raw, way};
use crate::tables::{Column, Shape};
use strongroom_core::StoreError;

/// A database whose lock is held.
pub(crate) struct Copying {
    database: Database,
}

/// Columns are in the order of their bytes by themselves.
fn place(column: &Column) -> String {
    column.name.to_owned()
}

impl Copying {
    /// One that is read.
    pub(crate) fn source(directory: &Path) -> Result<Self, CopyError> {
        let source = Self { database: Database::serve(directory)? };
        let (found, newest) =
            (source.database.readers.read("schema", migrations::schema)?, migrations::newest());
        if found < newest {
            let place = directory.display().to_string();
            return Err(CopyError::Older { place, found, newest });
        }
        Ok(source)
    }

    /// One that is written, and made where there is none.
    pub(crate) fn target(directory: &Path) -> Result<Self, CopyError> {
        let there = directory.join(super::FILE).symlink_metadata().is_ok();
        let database = if there { Database::serve(directory)? } else { Database::make(directory)? };
        Ok(Self { database })
    }

    /// Removes what an interrupted copy left.
    pub(crate) fn remove(directory: &Path) {
        remove(directory);
    }
}

#[async_trait]
impl Rows for Copying {
    async fn count(&self, shape: &'static Shape) -> Result<u64, StoreError> {
        let count = counting(shape);
        let found: i64 = self
            .database
            .readers
            .read(shape.table, |connection| connection.query_row(&count, [], |row| row.get(0)))?;
        Ok(u64::try_from(found).unwrap_or(0))
    }

    async fn last(&self, shape: &'static Shape) -> Result<Option<Raw>, StoreError> {
        let last = last(shape, place);
        self.database.readers.read(shape.table, |connection| {
            let mut statement = connection.prepare(&last)?;
            let mut found = statement.query([])?;
            found.next()?.map(|row| Ok(raw(shape.key.iter().map(|column| column.kind), &row)?)).transpose()
        })
    }

    fn rows(&self, shape: &'static Shape, after: Option<Raw>) -> Batches {
        let (sender, batches) = way();
        let path = self.database.path.clone();
        tokio::task::spawn_blocking(move || {
            let each = |batch| sender.blocking_send(Ok(batch)).is_ok();
            if let Err(error) = read(&path, shape, after.as_ref(), each) {
                // Whoever went away needs no error.
                let _ = sender.blocking_send(Err(error));
            }
        });
        batches
    }

    async fn store(&self, shape: &'static Shape, rows: Vec<Raw>) -> Result<(), StoreError> {
        let store = move |transaction: &Connection| {
            rows.into_iter().try_for_each(|row| tables::insert_values(transaction, shape, row))
        };
        self.database.writer()?.write(store).await
    }

    async fn settle(&self) -> Result<(), StoreError> {
        // The next event comes behind the last by itself.
        Ok(())
    }
}

/// Reads a table until `each` has enough.
fn read(
    path: &Path,
    shape: &'static Shape,
    after: Option<&Raw>,
    each: impl Fn(Vec<Raw>) -> bool,
) -> Result<(), StoreError> {
    let connection = connection::reader(path).map_err(|error| StoreError::Unavailable(Box::new(error)))?;
    let select = behind(shape, after, place);
    let read = || -> rusqlite::Result<()> {
        let mut statement = connection.prepare(&select)?;
        let mut found = statement.query(params_from_iter(after.into_iter().flatten()))?;
        let mut gathered = Gathered::default();
        while let Some(row) = found.next()? {
            let row = raw(shape.columns().map(|column| column.kind), &row)?;
            if gathered.add(row).is_some_and(|batch| !each(batch)) {
                return Ok(());
            }
        }
        gathered.rest().map(each);
        Ok(())
    };
    read().map_err(|error| rows::store_error(error, shape.table))
}
