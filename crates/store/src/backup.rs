//! What is inside a backup: an instance's rows as lines of JSON, gzipped, of whichever
//! engine; see `docs/reference/backup.md`. What is sealed stays sealed. Encryption and
//! container are put around it by others.

mod lines;
mod payload;

pub use lines::PayloadError;
pub use payload::{Kept, Open, Payload, Start};

use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::{self, Write};
use std::path::Path;

use crate::copy::{CopyError, Raw, Reads};
use crate::tables::{Columns, Malformed, Read, Record, audit, shapes};
use crate::{postgres, sqlite};
use strongroom_core::audit::Head;
use strongroom_core::backup::Table;
use strongroom_core::instance::Instance;
use strongroom_core::rows::Stored;
use strongroom_core::{InstanceId, StoreError};

/// The number of the schema whose rows this program backs up and restores.
pub fn schema() -> u32 {
    sqlite::schema()
}

/// The tables of a backup, in their order.
pub fn tables() -> impl Iterator<Item = &'static str> {
    shapes().map(|shape| shape.table)
}

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The database can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is written can't be.
    #[error("the backup can't be written: {0}")]
    Out(#[from] io::Error),
}

/// An instance as it was in one moment, whatever servers do meanwhile.
pub struct Snapshot {
    rows: Box<dyn Reads>,
    instance: Stored<Instance>,
}

impl Snapshot {
    /// Of an embedded instance, as it is now.
    ///
    /// # Errors
    /// When there is none, or its schema is older.
    pub async fn of_sqlite(directory: &Path) -> Result<Self, CopyError> {
        let place = directory.display().to_string();
        Self::of(Box::new(sqlite::Snapshot::of(directory)?), place).await
    }

    /// Of one in PostgreSQL, as it is now.
    ///
    /// # Errors
    /// When there is none, or its schema is older.
    pub async fn of_postgres(address: &postgres::Address) -> Result<Self, CopyError> {
        Self::of(Box::new(postgres::Copying::snapshot(address).await?), address.to_string()).await
    }

    async fn of(rows: Box<dyn Reads>, place: String) -> Result<Self, CopyError> {
        let shape = Instance::shape();
        let instance = match rows.rows(shape, None).recv().await {
            Some(batch) => read(batch?.first(), shape.table)?,
            None => None,
        };
        Ok(Self { instance: instance.ok_or(CopyError::Nothing(place))?, rows })
    }

    /// The instance's row, unproven.
    pub fn instance(&self) -> &Stored<Instance> {
        &self.instance
    }

    /// The newest signed head of the audit tree, if there is one.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn head(&self) -> Result<Option<Head>, StoreError> {
        match self.rows.rows(&audit::HEAD, None).recv().await {
            Some(batch) => read(batch?.first(), audit::HEAD.table),
            None => Ok(None),
        }
    }

    /// How many rows there are.
    ///
    /// # Errors
    /// When they can't be counted.
    pub async fn rows(&self) -> Result<u64, StoreError> {
        let mut rows = 0;
        for shape in shapes() {
            rows += self.rows.count(shape).await?;
        }
        Ok(rows)
    }

    /// Writes all of them; `told` hears of each batch how many rows it has. How many rows
    /// each table has.
    ///
    /// # Errors
    /// When they can't be read, or can't be written.
    pub async fn write<W: Write>(
        &self,
        out: W,
        mut told: impl FnMut(u64),
    ) -> Result<(W, Vec<Table>), WriteError> {
        // More would take longer for little: what is sealed has no pattern.
        let mut out = GzEncoder::new(out, Compression::fast());
        let instance: InstanceId = self.instance.row().id;
        lines::header(&mut out, instance, schema())?;
        let mut tables = Vec::new();
        for shape in shapes() {
            lines::table(&mut out, shape)?;
            let mut rows = 0;
            let mut batches = self.rows.rows(shape, None);
            while let Some(batch) = batches.recv().await {
                let batch = batch?;
                batch.iter().try_for_each(|row| lines::row(&mut out, row))?;
                let count = u64::try_from(batch.len()).unwrap_or(u64::MAX);
                told(count);
                rows += count;
            }
            tables.push(Table { name: shape.table.to_owned(), rows });
        }
        lines::end(&mut out, tables.iter().map(|table| table.rows).sum())?;
        Ok((out.finish()?, tables))
    }
}

/// A row as what it is.
fn read<T: Read>(row: Option<&Raw>, table: &'static str) -> Result<Option<T>, StoreError> {
    let read = row.map(|row| T::read(&mut Columns::new(row.as_slice()))).transpose();
    read.map_err(|Malformed| StoreError::Malformed(table))
}
