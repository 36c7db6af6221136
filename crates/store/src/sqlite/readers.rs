//! Reads: inline, on a small pool of connections. A point read takes
//! microseconds, less than a hop to another thread.

use rusqlite::Connection;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{OpenError, connection, rows};
use strongroom_core::StoreError;

/// Connections in the pool: as many reads go on at once.
const READERS: usize = 4;

/// The pool.
pub(super) struct Readers {
    connections: Vec<Mutex<Connection>>,
}

impl Readers {
    pub(super) fn new(path: &Path, first: Connection) -> Result<Self, OpenError> {
        let mut connections = vec![Mutex::new(first)];
        while connections.len() < READERS {
            connections.push(Mutex::new(connection::reader(path)?));
        }
        Ok(Self { connections })
    }

    /// Reads; `table` names what in an error.
    pub(super) fn read<T>(
        &self,
        table: &'static str,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        read(&self.free()).map_err(|error| rows::store_error(error, table))
    }

    /// A connection that nobody uses, or the first to come free.
    fn free(&self) -> MutexGuard<'_, Connection> {
        let idle = self.connections.iter().find_map(|connection| connection.try_lock().ok());
        #[expect(clippy::indexing_slicing, reason = "the pool is never empty")]
        idle.unwrap_or_else(|| self.connections[0].lock().unwrap_or_else(PoisonError::into_inner))
    }
}
