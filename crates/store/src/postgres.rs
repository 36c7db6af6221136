//! PostgreSQL, version 15 or later: any number of servers on one database. They
//! keep no state of their own; whatever must be decided by one of them alone is
//! decided by the database.

mod address;
mod appends;
mod batch;
mod connection;
mod copy;
mod election;
mod error;
mod locks;
mod migrations;
#[cfg(test)]
mod plans;
mod pool;
mod rows;
mod store;
mod transaction;
mod walk;
mod writes;

use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::Mutex;

pub use address::{Address, InvalidAddress};
use appends::Appends;
use connection::{Connector, Link};
pub(crate) use copy::Copying;
use election::Election;
pub use error::OpenError;
use pool::{Readers, Writers};

/// What `doctor` wants to know of a database.
#[derive(Debug)]
pub struct Health {
    /// The server's version.
    pub server_version: String,
    /// The number of the schema.
    pub schema: u32,
    /// What is wrong, a sentence each; empty when all is well.
    pub problems: Vec<String>,
    /// What is no problem but worth knowing, a sentence each.
    pub notes: Vec<String>,
}

/// An open database.
pub struct Database {
    connector: Arc<Connector>,
    readers: Readers,
    writers: Arc<Writers>,
    appends: Appends,
    election: Election,
    /// Where transactions are run: their callers may be on a runtime that ends before they do.
    home: Handle,
    /// Secrets are held by one at a time: held without a pause, nobody could
    /// ever change them.
    holding: Arc<Mutex<()>>,
}

impl Database {
    /// Connects, and makes the schema where there is none at all: for a new
    /// instance.
    ///
    /// # Errors
    /// When the server can't be reached, or isn't one that can be used.
    pub async fn create(address: &Address) -> Result<Self, OpenError> {
        let database = Self::connect(address).await?;
        migrations::create(&*database.link().live().await?).await?;
        Ok(database)
    }

    /// Connects to a database that holds an instance. Not a byte of it changes
    /// before [`Self::migrate`].
    ///
    /// # Errors
    /// When the server can't be reached, or holds nothing that this program
    /// can serve.
    pub async fn open(address: &Address) -> Result<Self, OpenError> {
        let database = Self::connect(address).await?;
        migrations::check(&*database.link().live().await?).await?;
        Ok(database)
    }

    /// Brings the schema up to date, all or nothing. To be called once the root
    /// key was proven to be this instance's.
    ///
    /// # Errors
    /// When somebody altered the schema, our role lacks rights, or the server refuses.
    pub async fn migrate(&self) -> Result<(), OpenError> {
        let live = self.link().live().await?;
        let (from, to) = migrations::run(&live).await?;
        migrations::refuse_without_rights(&live).await?;
        if from != to {
            tracing::info!(from, to, "store.migrated");
        }
        Ok(())
    }

    /// Whether the database has no tables of ours yet.
    ///
    /// # Errors
    /// When the server can't be reached.
    pub async fn is_vacant(address: &Address) -> Result<bool, OpenError> {
        let link = Link::new(Connector::new(address)?);
        Ok(migrations::schema(&*link.live().await?).await?.is_none())
    }

    /// Whether an older program made it, and none of this age has served it since.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn is_older(&self) -> Result<bool, OpenError> {
        let schema = migrations::schema(&*self.link().live().await?).await?;
        Ok(schema.unwrap_or(0) < migrations::newest())
    }

    /// Examines the database.
    ///
    /// # Errors
    /// When it can't even be read.
    pub async fn health(&self) -> Result<Health, OpenError> {
        migrations::health(&*self.link().live().await?).await
    }

    async fn connect(address: &Address) -> Result<Self, OpenError> {
        let connector = Connector::new(address)?;
        // The first connection says what is wrong with the address or server.
        migrations::suits(&*Link::new(Arc::clone(&connector)).live().await?).await?;
        let writers = Arc::new(Writers::new(&connector));
        Ok(Self {
            readers: Readers::new(&connector),
            appends: Appends::start(&connector, &writers)?,
            writers,
            election: Election::new(&connector),
            home: Handle::current(),
            holding: Arc::default(),
            connector,
        })
    }

    /// A connection of its own, for what isn't asked often.
    fn link(&self) -> Link {
        Link::new(Arc::clone(&self.connector))
    }
}
