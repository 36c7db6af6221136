//! Reads: inline, on a small pool of connections. A point read takes
//! microseconds, less than a hop to another thread.
//!
//! Beginning and ending a read transaction costs more than a point read: locks
//! in the kernel, and one mutex for all connections. So a connection stays in
//! its transaction, which shows one moment, until a commit makes that moment the
//! past. Nobody but the server writes to the file, for the lock keeps others out, but for
//! who replaces keys: what they wrote is seen when the server is told to look again.

use rusqlite::Connection;
use std::path::Path;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use super::{OpenError, connection, rows};
use strongroom_core::StoreError;

/// Connections in a pool: as many reads go on at once.
const READERS: usize = 4;

/// The connections.
pub(super) struct Readers {
    short: Pool,
    /// For reads that may take seconds: neither a short one nor the writer waits for these.
    long: Pool,
    /// Counts commits.
    commits: AtomicU64,
    /// The newest event that any read could see.
    newest: AtomicI64,
}

/// Some of them.
struct Pool {
    readers: Vec<Mutex<Reader>>,
    /// Counts reads that found every connection in use.
    turn: AtomicU64,
}

/// A connection, and in which moment it is.
struct Reader {
    connection: Connection,
    moment: Option<Moment>,
}

/// What had happened: how many commits, and the newest event. The event is what
/// tells moments apart for as long as a commit can be seen, but wasn't counted yet:
/// when one read saw it, the next, on another connection, must see it too. Of what
/// is committed without an event (when keys were used, kept answers) no two reads
/// need to agree.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Moment {
    commits: u64,
    event: i64,
}

impl Readers {
    pub(super) fn new(path: &Path, first: Connection) -> Result<Self, OpenError> {
        let (short, long) = (Pool::new(vec![first], path)?, Pool::new(Vec::new(), path)?);
        Ok(Self { short, long, commits: AtomicU64::new(0), newest: AtomicI64::new(0) })
    }

    /// Reads a few rows of the newest moment; `table` names what in an error.
    pub(super) fn read<T>(
        &self,
        table: &'static str,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        self.read_by(self.short.free(), table, read)
    }

    /// The same, of what may be whole teams: not where requests are answered.
    pub(super) fn read_long<T>(
        &self,
        table: &'static str,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        self.read_by(self.long.free(), table, read)
    }

    fn read_by<T>(
        &self,
        mut reader: MutexGuard<'_, Reader>,
        table: &'static str,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let done = self.in_newest_moment(&mut reader).and_then(read);
        if done.is_err() {
            reader.leave();
        }
        done.map_err(|error| rows::store_error(error, table))
    }

    /// The connection, in a moment no older than what any read before could see.
    fn in_newest_moment<'a>(&self, reader: &'a mut Reader) -> rusqlite::Result<&'a Connection> {
        let commits = self.commits.load(Ordering::Acquire);
        let newest = Moment { commits, event: self.newest.load(Ordering::Acquire) };
        if reader.moment != Some(newest) {
            let event = reader.begin()?;
            self.newest.fetch_max(event, Ordering::AcqRel);
            reader.moment = Some(Moment { commits, event });
        }
        Ok(&reader.connection)
    }

    /// There is a newer moment. To be said before anybody is told of the commit.
    pub(super) fn committed(&self) {
        self.commits.fetch_add(1, Ordering::Release);
    }

    /// Ends transactions, so that a checkpoint can copy what they held back. It isn't waited for a long read.
    pub(super) fn leave(&self) {
        for reader in &self.short.readers {
            reader.lock().unwrap_or_else(PoisonError::into_inner).leave();
        }
        for reader in &self.long.readers {
            match reader.try_lock() {
                Ok(mut reader) => reader.leave(),
                Err(TryLockError::Poisoned(reader)) => reader.into_inner().leave(),
                Err(TryLockError::WouldBlock) => {}
            }
        }
    }
}

impl Pool {
    /// Of these connections, and as many more as are needed.
    fn new(mut connections: Vec<Connection>, path: &Path) -> Result<Self, OpenError> {
        while connections.len() < READERS {
            connections.push(connection::reader(path)?);
        }
        let reader = |connection| Mutex::new(Reader { connection, moment: None });
        Ok(Self { readers: connections.into_iter().map(reader).collect(), turn: AtomicU64::new(0) })
    }

    /// A connection that nobody uses, or one that comes free.
    fn free(&self) -> MutexGuard<'_, Reader> {
        let idle = self.readers.iter().find_map(|reader| reader.try_lock().ok());
        idle.unwrap_or_else(|| self.next())
    }

    /// All are in use: any will do, but not always the same.
    fn next(&self) -> MutexGuard<'_, Reader> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % READERS as u64;
        #[expect(clippy::indexing_slicing, reason = "the pool has READERS connections")]
        let reader = &self.readers[usize::try_from(turn).unwrap_or(0)];
        reader.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reader {
    /// Begins a transaction. Which moment it shows is decided by its first
    /// read, which is of the newest event in it.
    fn begin(&mut self) -> rusqlite::Result<i64> {
        self.leave();
        self.connection.prepare_cached("BEGIN")?.execute([])?;
        let newest = "SELECT coalesce(max(sequence), 0) FROM events";
        self.connection.prepare_cached(newest)?.query_row([], |row| row.get(0))
    }

    fn leave(&mut self) {
        self.moment = None;
        if !self.connection.is_autocommit() {
            let left = self.connection.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([]));
            if let Err(error) = left {
                tracing::warn!(%error, "store.reader");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::OpenOptionsExt;
    use std::sync::Barrier;

    /// Two readers' worth of a database, and the connection that commits to it.
    fn readers() -> (tempfile::TempDir, Readers, Connection) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("test.db");
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).unwrap();
        let writer = connection::writer(&path).unwrap();
        writer.execute_batch("CREATE TABLE events (sequence INTEGER PRIMARY KEY) STRICT").unwrap();
        let readers = Readers::new(&path, connection::reader(&path).unwrap()).unwrap();
        (directory, readers, writer)
    }

    fn events(connection: &Connection) -> rusqlite::Result<i64> {
        connection.query_row("SELECT count(*) FROM events", [], |row| row.get(0))
    }

    #[test]
    fn what_one_read_saw_the_next_one_sees_before_the_commit_is_told_of() {
        let (_directory, readers, writer) = readers();
        // The second connection of the pool, while the first is in use.
        let on_second = || readers.read("events", |_| Ok(readers.read("events", events).unwrap()));
        assert_eq!(on_second().unwrap(), 0);
        readers.committed();
        assert_eq!(readers.read("events", events).unwrap(), 0, "the first is in the newest moment");
        writer.execute("INSERT INTO events DEFAULT VALUES", []).unwrap();
        assert_eq!(on_second().unwrap(), 1, "the second is not, and sees what is there");
        assert_eq!(readers.read("events", events).unwrap(), 1, "so the first must, too");
    }

    #[test]
    fn no_read_is_of_an_earlier_time_than_the_one_before() {
        const COMMITS: i64 = 500;
        let (_directory, readers, writer) = readers();
        let seen = AtomicI64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..READERS {
                scope.spawn(|| {
                    while seen.load(Ordering::SeqCst) < COMMITS {
                        let before = seen.load(Ordering::SeqCst);
                        let now = readers.read("events", events).unwrap();
                        assert!(now >= before, "{now} events after {before}");
                        seen.fetch_max(now, Ordering::SeqCst);
                    }
                });
            }
            for _ in 0..COMMITS {
                writer.execute("INSERT INTO events DEFAULT VALUES", []).unwrap();
                // Time in which it can be seen, but isn't told of.
                std::thread::sleep(std::time::Duration::from_micros(50));
                readers.committed();
            }
        });
    }

    #[test]
    fn nobody_waits_for_long_reads() {
        let (_directory, readers, writer) = readers();
        let (begun, go_on) = (Barrier::new(READERS + 1), Barrier::new(READERS + 1));
        std::thread::scope(|scope| {
            for _ in 0..READERS {
                scope.spawn(|| {
                    let read = |connection: &Connection| {
                        let seen = events(connection)?;
                        begun.wait();
                        go_on.wait();
                        Ok((seen, events(connection)?))
                    };
                    assert_eq!(readers.read_long("events", read).unwrap(), (0, 0), "it is of one moment");
                });
            }
            begun.wait();
            // Either would never come back.
            readers.leave();
            assert_eq!(readers.read("events", events).unwrap(), 0);
            writer.execute("INSERT INTO events DEFAULT VALUES", []).unwrap();
            readers.committed();
            assert_eq!(readers.read("events", events).unwrap(), 1);
            go_on.wait();
        });
        assert_eq!(readers.read_long("events", events).unwrap(), 1);
    }

    #[test]
    fn a_connection_whose_first_read_failed_is_of_use_again() {
        let (_directory, readers, writer) = readers();
        writer.execute_batch("ALTER TABLE events RENAME TO gone").unwrap();
        readers.read("events", events).unwrap_err();
        writer.execute_batch("ALTER TABLE gone RENAME TO events").unwrap();
        assert_eq!(readers.read("events", events).unwrap(), 0);
    }
}
