//! An embedded database as one end of a copy.

use async_trait::async_trait;
use rusqlite::{Connection, params_from_iter};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::{
    Database, FILES, OpenError, PENDING, claim, connection, migrations, present, refuse_lax, remove, rows,
    tables,
};
use crate::copy::{Batches, CopyError, Gathered, Raw, Reads, Writes, behind, counting, last, raw, way};
use crate::tables::{Column, Record, Shape};
use strongroom_core::StoreError;
use strongroom_core::instance::Instance;

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
        let (found, newest) = (source.schema()?, migrations::newest());
        let place = directory.display().to_string();
        if found < newest { Err(CopyError::Older { place, found, newest }) } else { Ok(source) }
    }

    fn schema(&self) -> Result<u32, StoreError> {
        self.database.readers.read("schema", migrations::schema)
    }

    /// One that is written: made where there is none, or where what is there is only
    /// the beginning of one, or part of an instance and it is to be made `anew`.
    pub(crate) fn target(directory: &Path, anew: bool) -> Result<Self, CopyError> {
        // Held until the copy ends: nobody makes one here meanwhile.
        let lock = claim(directory)?;
        let database = match Found::at(directory)? {
            Found::Instance => return Err(CopyError::Taken(directory.display().to_string())),
            Found::Part if !anew => {
                refuse_lax(directory)?;
                Database::serve_under(directory, lock)?
            }
            Found::Part | Found::Nothing => {
                let [files @ .., _lock] = FILES;
                remove(directory, &files);
                Database::make(directory, lock)?
            }
        };
        let target = Self { database };
        if target.schema()? < migrations::newest() {
            return Err(CopyError::Outdated(directory.display().to_string()));
        }
        Ok(target)
    }
}

/// What is where a copy should go.
enum Found {
    /// Nothing that anybody stored.
    Nothing,
    /// What an interrupted copy left.
    Part,
    /// A whole one.
    Instance,
}

impl Found {
    fn at(directory: &Path) -> Result<Self, OpenError> {
        let path = directory.join(super::FILE);
        let size = match path.symlink_metadata() {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // Somebody's whose database is elsewhere.
                let trace =
                    PENDING.map(|name| directory.join(name)).into_iter().find(|path| length(path) > 0);
                return trace
                    .map_or(Ok(Self::Nothing), |trace| Err(OpenError::Missing { database: path, trace }));
            }
            Err(source) => return Err(OpenError::Io { path, source }),
        };
        // What makes one writes a page of it before its first to the WAL.
        let [wal, _] = PENDING;
        if size == 0 && length(&directory.join(wal)) > 0 {
            return Err(OpenError::Empty(path));
        }
        let connection = connection::recovering(&path)?;
        match migrations::check(&connection, &path) {
            Err(OpenError::Empty(_)) => return Ok(Self::Nothing),
            checked => checked?,
        }
        let instances: i64 = connection
            .query_row(&counting(Instance::shape()), [], |row| row.get(0))
            .map_err(|source| OpenError::Sqlite { path, source })?;
        Ok(if instances == 0 { Self::Part } else { Self::Instance })
    }
}

/// How long a file is; 0 where there is none.
fn length(path: &Path) -> u64 {
    path.symlink_metadata().map_or(0, |metadata| metadata.len())
}

#[async_trait]
impl Reads for Copying {
    async fn count(&self, shape: &'static Shape) -> Result<u64, StoreError> {
        let count = counting(shape);
        let found: i64 = self
            .database
            .readers
            .read(shape.table, |connection| connection.query_row(&count, [], |row| row.get(0)))?;
        Ok(u64::try_from(found).unwrap_or(0))
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
}

#[async_trait]
impl Writes for Copying {
    async fn last(&self, shape: &'static Shape) -> Result<Option<Raw>, StoreError> {
        let last = last(shape, place);
        self.database.readers.read(shape.table, |connection| {
            let mut statement = connection.prepare(&last)?;
            let mut found = statement.query([])?;
            found.next()?.map(|row| Ok(raw(shape.key.iter().map(|column| column.kind), &row)?)).transpose()
        })
    }

    async fn store(&self, shape: &'static Shape, rows: Vec<Raw>) -> Result<(), StoreError> {
        let store = move |transaction: &Connection| {
            rows.into_iter().try_for_each(|row| tables::insert_values(transaction, shape, row))
        };
        self.database.writer()?.write(store).await
    }

    async fn settle(&self) -> Result<(), StoreError> {
        // The next event comes behind the last by itself. What is still in the WAL
        // gets into the database when it closes, so that the file is the whole.
        let tidy = |connection: &Connection| {
            connection::tidy_up(connection, true).map_err(|error| rows::store_error(error, "schema"))
        };
        self.database.writer()?.write(tidy).await
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
    read_by(&connection, shape, after, each)
}

fn read_by(
    connection: &Connection,
    shape: &'static Shape,
    after: Option<&Raw>,
    each: impl Fn(Vec<Raw>) -> bool,
) -> Result<(), StoreError> {
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

/// A database as it was in one moment, whatever a server beside it does meanwhile.
pub(crate) struct Snapshot {
    connection: Arc<Mutex<Connection>>,
}

impl Snapshot {
    /// As it is now. The lock isn't taken, and nothing is written.
    pub(crate) fn of(directory: &Path) -> Result<Self, CopyError> {
        present(directory)?;
        let path = directory.join(super::FILE);
        let sqlite = |source| OpenError::Sqlite { path: path.clone(), source };
        let connection = connection::reader(&path)?;
        connection.execute_batch("BEGIN").map_err(sqlite)?;
        // The first read fixes the moment.
        migrations::check(&connection, &path)?;
        let (found, newest) = (migrations::schema(&connection).map_err(sqlite)?, migrations::newest());
        if found < newest {
            return Err(CopyError::Older { place: directory.display().to_string(), found, newest });
        }
        Ok(Self { connection: Arc::new(Mutex::new(connection)) })
    }
}

#[async_trait]
impl Reads for Snapshot {
    async fn count(&self, shape: &'static Shape) -> Result<u64, StoreError> {
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let counted = connection.query_row(&counting(shape), [], |row| row.get::<_, i64>(0));
        let found = counted.map_err(|error| rows::store_error(error, shape.table))?;
        Ok(u64::try_from(found).unwrap_or(0))
    }

    fn rows(&self, shape: &'static Shape, after: Option<Raw>) -> Batches {
        let (sender, batches) = way();
        let connection = Arc::clone(&self.connection);
        tokio::task::spawn_blocking(move || {
            let connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
            let each = |batch| sender.blocking_send(Ok(batch)).is_ok();
            if let Err(error) = read_by(&connection, shape, after.as_ref(), each) {
                // Whoever went away needs no error.
                let _ = sender.blocking_send(Err(error));
            }
        });
        batches
    }
}
