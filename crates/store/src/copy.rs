//! A whole instance from one database into another, of whichever engine: every
//! row as it is. What is sealed stays sealed, and a MAC holds wherever its row
//! lies, so no key is needed.
//!
//! Tables follow one another, each in the order of its primary key, so that a copy
//! which was interrupted goes on behind the last key that arrived. The instance's
//! own row comes last, when everything was compared: until then nobody can serve
//! what is there.

use async_trait::async_trait;
use std::path::Path;
use tokio::sync::mpsc::{Receiver, Sender};

use crate::tables::{Cells, Column, Kind, Malformed, Record, Shape, Value, shapes};
use crate::{postgres, sqlite};
use strongroom_core::StoreError;
use strongroom_core::instance::Instance;
use strongroom_core::rows::{Row, Stored};

/// The most rows that are on their way together.
const ROWS: usize = 1_000;
/// The most bytes in them, unless one row alone has more.
const BYTES: usize = 1 << 20;

/// The values of a row, or of its primary key.
pub(crate) type Raw = Vec<Value<'static>>;
/// Rows on their way.
pub(crate) type Batches = Receiver<Result<Vec<Raw>, StoreError>>;

/// Rows to be read, whatever they mean.
#[async_trait]
pub(crate) trait Reads: Send + Sync {
    /// How many a table has.
    async fn count(&self, shape: &'static Shape) -> Result<u64, StoreError>;

    /// A table's rows in the order of their primary keys, from behind one.
    fn rows(&self, shape: &'static Shape, after: Option<Raw>) -> Batches;

    /// How many connections of servers there are. An embedded database has none while
    /// its lock is held.
    async fn servers(&self) -> Result<i64, StoreError> {
        Ok(0)
    }
}

/// A database that takes rows, whatever they mean.
#[async_trait]
pub(crate) trait Writes: Reads {
    /// The primary key of a table's last row.
    async fn last(&self, shape: &'static Shape) -> Result<Option<Raw>, StoreError>;

    /// Stores new rows, all or none.
    async fn store(&self, shape: &'static Shape, rows: Vec<Raw>) -> Result<(), StoreError>;

    /// Makes what was stored one database that others can go on with.
    async fn settle(&self) -> Result<(), StoreError>;
}

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// One of the databases can't be opened.
    #[error(transparent)]
    Sqlite(#[from] sqlite::OpenError),
    /// One of the databases can't be opened.
    #[error(transparent)]
    Postgres(#[from] postgres::OpenError),
    /// One of the databases failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Servers have the database open.
    #[error("{0} connections of servers are open to {1}; stop every server of this instance, then copy")]
    Served(i64, String),
    /// Somebody else works on its tables.
    #[error("somebody else holds a lock on the tables of {0}; wait until they are done, or end it")]
    Busy(String),
    /// Something else brings an instance into the same database.
    #[error(
        "another copy into {0}, or its creation, is under way; wait until it is done, or end it (one that was just ended takes a moment)"
    )]
    Copying(String),
    /// The source is of an older program.
    #[error(
        "{place} has schema {found}, and this program copies {newest}; serve it once with this program, which brings it up to date"
    )]
    Older {
        /// Where it is.
        place: String,
        /// Its schema.
        found: u32,
        /// This program's.
        newest: u32,
    },
    /// What was left to go on with is of an older program.
    #[error("{0} holds part of an instance with an older schema; begin again with --start-over")]
    Outdated(String),
    /// There is nothing to copy.
    #[error("there is no instance in {0}; name the database of one")]
    Nothing(String),
    /// There is an instance where the copy should go.
    #[error(
        "{0} holds an instance already; copy into an empty database, or into a directory without strongroom.db"
    )]
    Taken(String),
    /// The two aren't equal.
    #[error(
        "what is there of the table {0} is not what was to be copied; an earlier copy was of something else, or the instance changed since: begin again with --start-over"
    )]
    Differs(&'static str),
}

/// Where the rows come from.
pub struct Origin {
    rows: Box<dyn Reads>,
    place: String,
}

impl Origin {
    /// Rows that aren't in a database.
    pub(crate) fn new(rows: impl Reads + 'static, place: String) -> Self {
        Self { rows: Box::new(rows), place }
    }

    /// An embedded instance to be copied. No server can open it meanwhile.
    ///
    /// # Errors
    /// When there is none, a server has it, or its schema is older.
    pub async fn of_sqlite(directory: &Path) -> Result<Self, CopyError> {
        let place = directory.display().to_string();
        let rows = Box::new(sqlite::Copying::source(directory)?);
        Self { rows, place }.full().await
    }

    /// An instance in PostgreSQL to be copied. Nobody can write to it meanwhile.
    ///
    /// # Errors
    /// When there is none, servers are connected, or its schema is older.
    pub async fn of_postgres(address: &postgres::Address) -> Result<Self, CopyError> {
        let rows = Box::new(postgres::Copying::source(address).await?);
        let source = Self { rows, place: address.to_string() }.full().await?;
        source.unserved().await?;
        Ok(source)
    }

    /// The same, when an instance is in it.
    async fn full(self) -> Result<Self, CopyError> {
        if self.rows.count(Instance::shape()).await? == 0 {
            return Err(CopyError::Nothing(self.place));
        }
        Ok(self)
    }

    /// Refuses while servers have it: what they change meanwhile would be missed.
    async fn unserved(&self) -> Result<(), CopyError> {
        match self.rows.servers().await? {
            0 => Ok(()),
            servers => Err(CopyError::Served(servers, self.place.clone())),
        }
    }
}

/// The database that they go into.
pub struct Destination {
    rows: Box<dyn Writes>,
}

impl Destination {
    /// A directory for an embedded instance: one without a database, or with what
    /// an interrupted copy left, which is removed where it should begin `anew`.
    ///
    /// # Errors
    /// When an instance is there, or the database can't be made.
    pub fn in_sqlite(directory: &Path, anew: bool) -> Result<Self, CopyError> {
        Ok(Self { rows: Box::new(sqlite::Copying::target(directory, anew)?) })
    }

    /// The same of a database of PostgreSQL.
    ///
    /// # Errors
    /// When an instance is there, another copy goes there, or the server can't be
    /// reached.
    pub async fn in_postgres(address: &postgres::Address, anew: bool) -> Result<Self, CopyError> {
        Ok(Self { rows: Box::new(postgres::Copying::target(address, anew).await?) })
    }
}

/// A copy between two databases.
pub struct Copy {
    from: Origin,
    into: Destination,
    rows: u64,
    there: u64,
}

impl Copy {
    /// Between these.
    ///
    /// # Errors
    /// When one of them can't be read.
    pub async fn new(from: Origin, into: Destination) -> Result<Self, CopyError> {
        let (mut rows, mut there) = (0, 0);
        for shape in shapes() {
            rows += from.rows.count(shape).await?;
            there += into.rows.count(shape).await?;
        }
        Ok(Self { from, into, rows, there })
    }

    /// How many rows the instance has.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// How many of them an interrupted copy left.
    pub fn there(&self) -> u64 {
        self.there
    }

    /// Copies what isn't there yet; `told` hears of each batch how many rows it has.
    ///
    /// # Errors
    /// When one of the two databases fails. What arrived stays.
    pub async fn carry(&self, mut told: impl FnMut(u64)) -> Result<(), CopyError> {
        for shape in tables() {
            let after = self.into.rows.last(shape).await?;
            let mut batches = self.from.rows.rows(shape, after);
            while let Some(batch) = batches.recv().await {
                let batch = batch?;
                let rows = counted(&batch);
                self.into.rows.store(shape, batch).await?;
                told(rows);
            }
        }
        Ok(self.into.rows.settle().await?)
    }

    /// Compares the two, row by row, and makes an instance of the copy when they are
    /// equal; `told` hears of each batch how many rows it has.
    ///
    /// # Errors
    /// When they aren't equal, servers have the source, or one of the two fails. Then
    /// no server can open the copy.
    pub async fn finish(self, told: impl FnMut(u64)) -> Result<(), CopyError> {
        self.hold_against(told).await?;
        self.complete(None).await
    }

    /// Compares the two, row by row, but for the instance's own; `told` hears of each
    /// batch how many rows it has.
    ///
    /// # Errors
    /// When they aren't equal, or one of the two fails.
    pub async fn hold_against(&self, mut told: impl FnMut(u64)) -> Result<(), CopyError> {
        for shape in tables() {
            self.compare(shape, &mut told).await?;
        }
        Ok(())
    }

    /// Makes an instance of the copy: by the instance's own row, or by another in its place.
    ///
    /// # Errors
    /// When servers have the source, or one of the two fails.
    pub async fn complete(self, instance: Option<&Stored<Instance>>) -> Result<(), CopyError> {
        // One that was started meanwhile waits to change what was already copied.
        self.from.unserved().await?;
        let own = Instance::shape();
        if let Some(stored) = instance {
            return Ok(self.into.rows.store(own, vec![row_of(stored)]).await?);
        }
        let mut batches = self.from.rows.rows(own, None);
        while let Some(batch) = batches.recv().await {
            self.into.rows.store(own, batch?).await?;
        }
        self.compare(own, &mut |_| {}).await
    }

    async fn compare(&self, shape: &'static Shape, told: &mut impl FnMut(u64)) -> Result<(), CopyError> {
        let mut ours = InTurn::new(self.from.rows.rows(shape, None));
        let mut theirs = InTurn::new(self.into.rows.rows(shape, None));
        let mut seen = 0;
        loop {
            let (left, right) = (ours.next().await?, theirs.next().await?);
            if left != right {
                return Err(CopyError::Differs(shape.table));
            }
            if left.is_none() {
                told(seen);
                return Ok(());
            }
            seen += 1;
            if seen == ROWS as u64 {
                told(std::mem::take(&mut seen));
            }
        }
    }
}

/// All tables but the instance's own.
fn tables() -> impl Iterator<Item = &'static Shape> {
    shapes().filter(|shape| shape.table != Instance::shape().table)
}

fn counted(batch: &[Raw]) -> u64 {
    u64::try_from(batch.len()).unwrap_or(u64::MAX)
}

/// A row and its MAC as values.
fn row_of<T: Record + Row>(stored: &Stored<T>) -> Raw {
    let values = stored.row().values().into_iter().map(Value::owned);
    values.chain([Value::Bytes(stored.mac().as_bytes().to_vec().into())]).collect()
}

/// Rows one by one.
struct InTurn {
    batches: Batches,
    batch: std::vec::IntoIter<Raw>,
}

impl InTurn {
    fn new(batches: Batches) -> Self {
        Self { batches, batch: Vec::new().into_iter() }
    }

    async fn next(&mut self) -> Result<Option<Raw>, StoreError> {
        loop {
            if let Some(row) = self.batch.next() {
                return Ok(Some(row));
            }
            match self.batches.recv().await {
                Some(batch) => self.batch = batch?.into_iter(),
                None => return Ok(None),
            }
        }
    }
}

/// Rows that are gathered before they go on their way.
#[derive(Default)]
pub(crate) struct Gathered {
    rows: Vec<Raw>,
    bytes: usize,
}

impl Gathered {
    /// Adds a row; gives all of them once they are enough.
    pub(crate) fn add(&mut self, row: Raw) -> Option<Vec<Raw>> {
        self.bytes += row.iter().map(Value::size).sum::<usize>();
        self.rows.push(row);
        if self.rows.len() < ROWS && self.bytes < BYTES {
            return None;
        }
        self.bytes = 0;
        Some(std::mem::take(&mut self.rows))
    }

    /// Those that are left.
    pub(crate) fn rest(self) -> Option<Vec<Raw>> {
        Some(self.rows).filter(|rows| !rows.is_empty())
    }
}

/// The way of rows, which ends where its sender does.
pub(crate) fn way() -> (Sender<Result<Vec<Raw>, StoreError>>, Batches) {
    // One batch is read while another is stored.
    tokio::sync::mpsc::channel(1)
}

/// What asks for the number of a table's rows.
pub(crate) fn counting(shape: &Shape) -> String {
    format!("SELECT count(*) FROM {}", shape.table)
}

/// What asks for the primary key of a table's last row; `place` is how an engine
/// puts a column in the order of its bytes.
pub(crate) fn last(shape: &Shape, place: fn(&Column) -> String) -> String {
    let names: Vec<_> = shape.key.iter().map(|column| column.name).collect();
    let places: Vec<_> = shape.key.iter().map(place).collect();
    format!(
        "SELECT {} FROM {} ORDER BY {} DESC LIMIT 1",
        names.join(", "),
        shape.table,
        places.join(" DESC, ")
    )
}

/// What asks for a table's rows in the order of their primary keys, from behind one.
pub(crate) fn behind(shape: &Shape, after: Option<&Raw>, place: fn(&Column) -> String) -> String {
    let places: Vec<_> = shape.key.iter().map(place).collect();
    let places = places.join(", ");
    let condition = match after {
        Some(after) => {
            let values: Vec<_> = (1..=after.len()).map(|at| format!("?{at}")).collect();
            format!("({places}) > ({})", values.join(", "))
        }
        None => "true".to_owned(),
    };
    shape.select(&format!("{condition} ORDER BY {places}"))
}

/// A row's values, of whichever engine.
pub(crate) fn raw<'r>(columns: impl Iterator<Item = Kind>, cells: &impl Cells<'r>) -> Result<Raw, Malformed> {
    let value = |(at, kind)| {
        Ok(match kind {
            Kind::Id => cells.id(at)?.map(Value::Id),
            Kind::Bytes => cells.bytes(at)?.map(|bytes| Value::Bytes(bytes.to_vec().into())),
            Kind::Text => cells.text(at)?.map(|text| Value::Text(text.to_owned().into())),
            Kind::Number => cells.number(at)?.map(Value::Number),
        }
        .unwrap_or(Value::Null))
    };
    columns.enumerate().map(value).collect()
}
