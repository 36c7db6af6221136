//! A database of PostgreSQL as one end of a copy.

use async_trait::async_trait;
use futures_util::TryStreamExt;
use std::pin::pin;
use std::sync::Arc;
use tokio::sync::mpsc::Sender;

use super::address::Address;
use super::connection::{Connector, Link, Live, WHOLE};
use super::error::Fault;
use super::locks::COPY;
use super::migrations;
use crate::copy::{Batches, CopyError, Gathered, Raw, Reads, Writes, behind, counting, last, raw, way};
use crate::tables::{Column, Kind, Record, Shape, Value, shapes};
use strongroom_core::StoreError;
use strongroom_core::instance::Instance;

/// What servers call themselves is not what a copy does: it must know them apart.
const NAME: &str = "strongroom copy";
/// What one that only looks calls itself.
const SNAPSHOT: &str = "strongroom backup";

/// A copy takes what time it needs, and waits for others no longer than a server.
/// Rows that a policy would hide from it are an error.
const UNHURRIED: &str = "SET idle_in_transaction_session_timeout = 0; SET row_security = off";

/// One connection to a database.
pub(crate) struct Copying {
    live: Arc<Live>,
}

impl Copying {
    /// One that is read, in one moment, while nobody can write.
    pub(crate) async fn source(address: &Address) -> Result<Self, CopyError> {
        let source = Self::connect(address, NAME).await?;
        source.current(address).await?;
        match source.alone().await {
            Err(Fault::Again(_)) => Err(CopyError::Busy(address.to_string())),
            locked => locked.map(|()| source).map_err(refused),
        }
    }

    /// One that is read, as it is in one moment, while servers go on writing to it.
    pub(crate) async fn snapshot(address: &Address) -> Result<Self, CopyError> {
        let source = Self::connect(address, SNAPSHOT).await?;
        source.live.say("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await.map_err(refused)?;
        source.current(address).await?;
        Ok(source)
    }

    /// Refuses a database of another program's schema.
    async fn current(&self, address: &Address) -> Result<(), CopyError> {
        migrations::check(&self.live).await?;
        let (found, newest) = (migrations::schema(&self.live).await.map_err(refused)?, migrations::newest());
        let found = found.unwrap_or(0);
        if found < newest {
            return Err(CopyError::Older { place: address.to_string(), found, newest });
        }
        Ok(())
    }

    /// One that is written: its tables are made where there are none, and emptied of
    /// what an interrupted copy left where it is to begin `anew`.
    pub(crate) async fn target(address: &Address, anew: bool) -> Result<Self, CopyError> {
        let target = Self::connect(address, NAME).await?;
        migrations::suits(&target.live).await?;
        // From here on nobody else makes an instance here.
        if !target.claim().await.map_err(refused)? {
            return Err(CopyError::Copying(address.to_string()));
        }
        if migrations::schema(&target.live).await.map_err(refused)?.is_some()
            && target.count(Instance::shape()).await? > 0
        {
            return Err(CopyError::Taken(address.to_string()));
        }
        migrations::create(&target.live).await?;
        migrations::check(&target.live).await?;
        if anew {
            target.empty().await.map_err(refused)?;
        }
        Ok(target)
    }

    /// Takes the lock that whoever brings an instance here must have.
    async fn claim(&self) -> Result<bool, Fault> {
        let lock = "SELECT pg_try_advisory_lock(?1)";
        let (rows, _) = self.live.ask(lock, &[Value::Number(COPY)]).await?;
        Ok(rows.first().map(|row| row.try_get(0)).transpose()?.unwrap_or(false))
    }

    /// Removes what an interrupted copy left.
    async fn empty(&self) -> Result<(), Fault> {
        let tables: Vec<_> = shapes().map(|shape| shape.table).collect();
        self.live.say(&format!("TRUNCATE {} RESTART IDENTITY", tables.join(", "))).await
    }

    async fn connect(address: &Address, name: &str) -> Result<Self, CopyError> {
        let mut address = address.clone();
        address.config.application_name(name);
        let live = Link::new(Connector::new(&address)?).live().await?;
        live.say(WHOLE).await.map_err(refused)?;
        live.say(UNHURRIED).await.map_err(refused)?;
        Ok(Self { live })
    }

    /// Keeps whoever would write out until the connection ends.
    async fn alone(&self) -> Result<(), Fault> {
        let tables: Vec<_> = shapes().map(|shape| shape.table).collect();
        self.live.say("BEGIN ISOLATION LEVEL REPEATABLE READ").await?;
        self.live.say(&format!("LOCK TABLE {} IN SHARE MODE", tables.join(", "))).await
    }
}

fn refused(fault: Fault) -> CopyError {
    CopyError::Postgres(fault.into())
}

#[async_trait]
impl Reads for Copying {
    async fn count(&self, shape: &'static Shape) -> Result<u64, StoreError> {
        self.live.count(&counting(shape)).await.map_err(|fault| fault.into_store_error(shape.table))
    }

    fn rows(&self, shape: &'static Shape, after: Option<Raw>) -> Batches {
        let (sender, batches) = way();
        let live = Arc::clone(&self.live);
        tokio::spawn(async move {
            if let Err(fault) = read(&live, shape, after, &sender).await {
                // Whoever went away needs no error.
                let _ = sender.send(Err(fault.into_store_error(shape.table))).await;
            }
        });
        batches
    }

    async fn servers(&self) -> Result<i64, StoreError> {
        let count = "SELECT count(*) FROM pg_stat_activity \
                     WHERE datname = current_database() AND application_name = 'strongroom'";
        let servers = async {
            // Within a transaction it is looked at once, unless this is said.
            self.live.say("SELECT pg_stat_clear_snapshot()").await?;
            let (rows, _) = self.live.ask(count, &[]).await?;
            Ok(rows.first().map(|row| row.try_get(0)).transpose()?.unwrap_or(0))
        };
        servers.await.map_err(|fault: Fault| fault.into_store_error("instance"))
    }
}

#[async_trait]
impl Writes for Copying {
    async fn last(&self, shape: &'static Shape) -> Result<Option<Raw>, StoreError> {
        let last = last(shape, place);
        let last = async {
            let (rows, _) = self.live.ask(&last, &[]).await?;
            let kinds = shape.key.iter().map(|column| column.kind);
            Ok(rows.first().map(|row| raw(kinds, &row)).transpose()?)
        };
        last.await.map_err(|fault: Fault| fault.into_store_error(shape.table))
    }

    async fn store(&self, shape: &'static Shape, rows: Vec<Raw>) -> Result<(), StoreError> {
        let names = shape.names().join(", ");
        let arrays: Vec<_> =
            shape.columns().zip(1..).map(|(column, at)| format!("?{at}::{}[]", column.kind.sql())).collect();
        let insert = format!(
            "INSERT INTO {} ({names}) OVERRIDING SYSTEM VALUE SELECT * FROM unnest({})",
            shape.table,
            arrays.join(", ")
        );
        let mut columns: Vec<Vec<Value<'_>>> =
            arrays.iter().map(|_| Vec::with_capacity(rows.len())).collect();
        for row in rows {
            columns.iter_mut().zip(row).for_each(|(column, value)| column.push(value));
        }
        let store = async {
            let statement = self.live.prepare(&insert).await?;
            self.live.run_columns(&statement, &columns).await
        };
        store.await.map(|_| ()).map_err(|fault| fault.into_store_error(shape.table))
    }

    async fn settle(&self) -> Result<(), StoreError> {
        let behind = "SELECT setval(pg_get_serial_sequence('events', 'sequence'), max(sequence)) FROM events \
                      HAVING max(sequence) IS NOT NULL";
        let settle = async {
            self.live.ask(behind, &[]).await?;
            // Otherwise the server would only find out by and by how much there is.
            self.live.say("ANALYZE").await
        };
        settle.await.map_err(|fault| fault.into_store_error("events"))
    }
}

/// Text is compared by its bytes, not in a language's order.
fn place(column: &Column) -> String {
    match column.kind {
        Kind::Text => format!("{} COLLATE \"C\"", column.name),
        _ => column.name.to_owned(),
    }
}

/// Reads a table for as long as somebody takes what is read.
async fn read(
    live: &Live,
    shape: &'static Shape,
    after: Option<Raw>,
    sender: &Sender<Result<Vec<Raw>, StoreError>>,
) -> Result<(), Fault> {
    let statement = live.prepare(&behind(shape, after.as_ref(), place)).await?;
    let mut found = pin!(live.stream(&statement, after.as_deref().unwrap_or_default()).await?);
    let mut gathered = Gathered::default();
    while let Some(row) = found.try_next().await? {
        let row = raw(shape.columns().map(|column| column.kind), &&row)?;
        if let Some(batch) = gathered.add(row)
            && sender.send(Ok(batch)).await.is_err()
        {
            return Ok(());
        }
    }
    if let Some(batch) = gathered.rest() {
        let _ = sender.send(Ok(batch)).await;
    }
    Ok(())
}
