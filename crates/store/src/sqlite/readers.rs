//! Reads: inline, on a small pool of connections. A point read takes
//! microseconds, less than a hop to another thread.
//!
//! Beginning and ending a read transaction costs more than a point read: locks
//! in the kernel, and one mutex for all connections. So a connection stays in
//! its transaction, which shows one moment, until a commit makes that moment the
//! past. Nobody but this process writes to the file: the lock keeps others out.

use rusqlite::Connection;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{OpenError, connection, rows};
use strongroom_core::StoreError;

/// Connections in the pool: as many reads go on at once.
const READERS: usize = 4;

/// The pool.
pub(super) struct Readers {
    pool: Vec<Mutex<Reader>>,
    /// Counts commits.
    commits: AtomicU64,
    /// Counts reads that found every connection in use.
    turn: AtomicU64,
}

/// A connection, and in which moment it is: after how many commits.
struct Reader {
    connection: Connection,
    moment: Option<u64>,
}

impl Readers {
    pub(super) fn new(path: &Path, first: Connection) -> Result<Self, OpenError> {
        let mut connections = vec![first];
        while connections.len() < READERS {
            connections.push(connection::reader(path)?);
        }
        let reader = |connection| Mutex::new(Reader { connection, moment: None });
        let pool = connections.into_iter().map(reader).collect();
        Ok(Self { pool, commits: AtomicU64::new(0), turn: AtomicU64::new(0) })
    }

    /// Reads the newest moment; `table` names what in an error.
    pub(super) fn read<T>(
        &self,
        table: &'static str,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let mut reader = self.free();
        let done = reader.at(self.commits.load(Ordering::Acquire)).and_then(read);
        if done.is_err() {
            reader.leave();
        }
        done.map_err(|error| rows::store_error(error, table))
    }

    /// There is a newer moment. To be said before anybody is told of the commit.
    pub(super) fn committed(&self) {
        self.commits.fetch_add(1, Ordering::Release);
    }

    /// Ends every transaction, so that a checkpoint can copy what they held back.
    pub(super) fn leave(&self) {
        for reader in &self.pool {
            reader.lock().unwrap_or_else(PoisonError::into_inner).leave();
        }
    }

    /// A connection that nobody uses, or one that comes free.
    fn free(&self) -> MutexGuard<'_, Reader> {
        let idle = self.pool.iter().find_map(|reader| reader.try_lock().ok());
        idle.unwrap_or_else(|| self.next())
    }

    /// All are in use: any will do, but not always the same.
    fn next(&self) -> MutexGuard<'_, Reader> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % READERS as u64;
        #[expect(clippy::indexing_slicing, reason = "the pool has READERS connections")]
        let reader = &self.pool[usize::try_from(turn).unwrap_or(0)];
        reader.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reader {
    /// The connection, in a moment no older than this.
    fn at(&mut self, commits: u64) -> rusqlite::Result<&Connection> {
        if self.moment != Some(commits) {
            self.leave();
            self.connection.prepare_cached("BEGIN")?.execute([])?;
            self.moment = Some(commits);
        }
        Ok(&self.connection)
    }

    fn leave(&mut self) {
        if self.moment.take().is_some() && !self.connection.is_autocommit() {
            let left = self.connection.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([]));
            if let Err(error) = left {
                tracing::warn!(%error, "store.reader");
            }
        }
    }
}
