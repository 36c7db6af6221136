//! The writer: one thread, one connection. It takes whatever waits in its
//! queue, runs each piece of work in a savepoint of one transaction, commits
//! them together, and only then answers each: many callers share one fsync.
//!
//! It never acknowledges what it can't vouch for. When SQLite gave up the whole
//! transaction after an error, the whole group fails; when an fsync failed, the
//! writer stops for good, because a second try can report success for data
//! that the system has already dropped.

use rusqlite::config::DbConfig;
use rusqlite::ffi;
use rusqlite::{Connection, Error};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{oneshot, watch};

use super::readers::Readers;
use super::{OpenError, connection};
use strongroom_core::{LogLimit, StoreError};

/// The most pieces of work in one transaction: bounds how long the first waits.
const GROUP: usize = 256;
/// Pages in the WAL (4 KiB each) after which they are copied to the database.
const CHECKPOINT: i32 = 4_000;
/// Pages after which readers are asked to let the WAL start anew.
const RESTART: i32 = 16_000;

/// One caller's work, and the way back to that caller.
trait Job: Send {
    /// Does the work inside the transaction.
    fn run(&mut self, transaction: &Connection) -> Ran;
    /// Answers the caller: with the work's own result when the group was
    /// committed, or with why it wasn't.
    fn settle(self: Box<Self>, committed: Result<(), StoreError>);
}

/// How a piece of work went.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ran {
    Done,
    Refused,
    /// An error past which the disk's state is unknown.
    Fatal,
}

struct Pending<F, T> {
    work: Option<F>,
    result: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<F, T> Job for Pending<F, T>
where
    F: FnOnce(&Connection) -> Result<T, StoreError> + Send,
    T: Send,
{
    fn run(&mut self, transaction: &Connection) -> Ran {
        let result = self.work.take().map(|work| work(transaction));
        let ran = match &result {
            Some(Ok(_)) => Ran::Done,
            Some(Err(error)) if is_fatal(error) => Ran::Fatal,
            _ => Ran::Refused,
        };
        self.result = result;
        ran
    }

    fn settle(self: Box<Self>, committed: Result<(), StoreError>) {
        let result = match (self.result, committed) {
            // A refusal stands whatever became of the others.
            (Some(Err(error)), _) | (_, Err(error)) => Err(error),
            (Some(Ok(value)), Ok(())) => Ok(value),
            (None, Ok(())) => Err(StoreError::Stopped),
        };
        // A caller who went away needs no answer.
        let _ = self.reply.send(result);
    }
}

/// The way to the writer's thread.
pub(super) struct Writer {
    queue: Option<Sender<Box<dyn Job>>>,
    thread: Option<JoinHandle<()>>,
    stopped: watch::Receiver<bool>,
}

impl Writer {
    /// Starts the thread on its connection.
    pub(super) fn start(
        mut connection: Connection,
        readers: Arc<Readers>,
        path: &Path,
    ) -> Result<Self, OpenError> {
        let (queue, work) = channel();
        let (stop, stopped) = watch::channel(false);
        let wal_pages = Arc::new(AtomicI32::new(0));
        let seen = Arc::clone(&wal_pages);
        let hook = move |_: &mut rusqlite::hooks::Wal, pages| {
            seen.store(pages, Ordering::Relaxed);
            Ok(())
        };
        connection
            .wal_hook(Some(hook))
            .map_err(|source| OpenError::Sqlite { path: path.to_owned(), source })?;
        let mut thread = Thread {
            readers,
            connection,
            work,
            stop,
            wal_pages,
            checkpoint_at: CHECKPOINT,
            uncommitted: LogLimit::default(),
        };
        let spawned = std::thread::Builder::new().name("store-writer".into()).spawn(move || thread.run());
        let thread = spawned.map_err(|source| OpenError::Io { path: path.to_owned(), source })?;
        Ok(Self { queue: Some(queue), thread: Some(thread), stopped })
    }

    /// Runs `work` in a transaction. The answer comes after its fsync.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let job = Box::new(Pending { work: Some(work), result: None, reply });
        let queue = self.queue.as_ref().ok_or(StoreError::Stopped)?;
        queue.send(job).map_err(|_| StoreError::Stopped)?;
        answer.await.unwrap_or(Err(StoreError::Stopped))
    }

    /// Resolves when the writer has stopped for good.
    pub(super) async fn stopped(&self) {
        let mut stopped = self.stopped.clone();
        // The sender goes away with the thread, which is the same.
        let _ = stopped.wait_for(|stopped| *stopped).await;
    }
}

/// Lets the thread finish what is queued and close its connection.
impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has nothing left to say.
            let _ = thread.join();
        }
    }
}

/// What the thread owns.
struct Thread {
    // Dropped first: the connection that closes last copies the WAL into the
    // database and removes it, which readers never do.
    readers: Arc<Readers>,
    connection: Connection,
    work: Receiver<Box<dyn Job>>,
    stop: watch::Sender<bool>,
    wal_pages: Arc<AtomicI32>,
    /// Pages in the WAL at which the next checkpoint is tried.
    checkpoint_at: i32,
    uncommitted: LogLimit,
}

/// The writer can't go on.
struct Stop;

impl Thread {
    fn run(&mut self) {
        while let Ok(first) = self.work.recv() {
            if self.group(first).and_then(|()| self.checkpoint()).is_err() {
                self.halt();
                return;
            }
        }
    }

    /// Nothing more is written by this process, not even on closing.
    fn halt(&self) {
        tracing::error!("store.stopped: the disk reported an error past which data can't be vouched for");
        if let Err(error) = self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true) {
            tracing::error!(%error, "store.stopped");
        }
        self.stop.send_replace(true);
    }

    /// Runs and commits `first` and whatever else waits.
    fn group(&self, first: Box<dyn Job>) -> Result<(), Stop> {
        let mut jobs = Vec::with_capacity(64);
        let (mut fatal, mut done) = (false, false);
        let begun = self.execute("BEGIN IMMEDIATE");
        let mut next = Some(first);
        while let Some(mut job) = next {
            if begun.is_ok() && !fatal && self.in_transaction() {
                let ran = self.savepoint(&mut *job);
                (fatal, done) = (ran == Ran::Fatal, done || ran == Ran::Done);
            }
            jobs.push(job);
            next = if jobs.len() < GROUP { self.work.try_recv().ok() } else { None };
        }
        let committed = begun.and_then(|()| if done { self.commit(fatal) } else { self.abandon() });
        // Also when the commit failed: what is on the disk is for a new look.
        self.readers.committed();
        let fatal = fatal || committed.as_ref().is_err_and(is_fatal_failure);
        for job in jobs {
            job.settle(match &committed {
                Ok(()) => Ok(()),
                Err(_) if fatal => Err(StoreError::Stopped),
                Err(error) => Err(StoreError::Unavailable(error.to_string().into())),
            });
        }
        if fatal { Err(Stop) } else { Ok(()) }
    }

    /// SQLite may have rolled the whole transaction back at an error.
    fn in_transaction(&self) -> bool {
        !self.connection.is_autocommit()
    }

    /// Runs one piece of work so that it alone can be undone.
    fn savepoint(&self, job: &mut dyn Job) -> Ran {
        if let Err(error) = self.execute("SAVEPOINT work") {
            tracing::error!(%error, "store.savepoint");
            return if is_fatal_failure(&error) { Ran::Fatal } else { Ran::Refused };
        }
        let ran = job.run(&self.connection);
        if ran != Ran::Done && self.in_transaction() && self.execute("ROLLBACK TO work").is_err() {
            return Ran::Fatal;
        }
        if self.in_transaction() && self.execute("RELEASE work").is_err() {
            return Ran::Fatal;
        }
        ran
    }

    /// Ends a transaction in which nothing was done: what was undone needs no
    /// commit, and no fsync.
    fn abandon(&self) -> Result<(), Error> {
        if self.in_transaction() { self.execute("ROLLBACK") } else { Err(lost()) }
    }

    /// Commits, unless the transaction is gone or must go.
    fn commit(&self, fatal: bool) -> Result<(), Error> {
        if !self.in_transaction() {
            return Err(lost());
        }
        let committed = if fatal { Err(lost()) } else { self.execute("COMMIT") };
        if committed.is_err()
            && self.in_transaction()
            && let Err(error) = self.execute("ROLLBACK")
        {
            tracing::error!(%error, "store.rollback");
        }
        committed.inspect_err(|error| {
            if let Some(unlogged) = self.uncommitted.one_more() {
                tracing::error!(%error, unlogged = unlogged.told(), "store.commit");
            }
        })
    }

    /// Copies the WAL into the database when it has grown, after the callers
    /// have their answers. It never waits for a reader: what a long one (a
    /// backup, `doctor`) keeps from being copied is tried again when the WAL has
    /// grown by as much again.
    fn checkpoint(&mut self) -> Result<(), Stop> {
        let pages = self.wal_pages.load(Ordering::Relaxed);
        if pages < self.checkpoint_at {
            return Ok(());
        }
        // Those who began before hold the WAL back; those who begin when it is
        // copied whole read the database itself, and don't.
        self.readers.leave();
        let restart = pages >= RESTART;
        let done = self.impatiently(if restart {
            "PRAGMA wal_checkpoint(RESTART)"
        } else {
            "PRAGMA wal_checkpoint(PASSIVE)"
        });
        self.readers.leave();
        self.checkpoint_at = if matches!(done, Ok(true)) { CHECKPOINT } else { pages + CHECKPOINT };
        match done {
            Err(error) if is_fatal_failure(&error) => return Err(Stop),
            Err(error) => tracing::warn!(%error, pages, "store.checkpoint"),
            Ok(_) => self.wal_pages.store(0, Ordering::Relaxed),
        }
        Ok(())
    }

    /// Runs a checkpoint that gives up at once where it would have to wait;
    /// tells whether the whole WAL was copied.
    fn impatiently(&self, checkpoint: &str) -> Result<bool, Error> {
        self.connection.busy_timeout(Duration::ZERO)?;
        let whole = self.connection.query_row(checkpoint, [], |row| {
            Ok(row.get::<_, i64>(0)? == 0 && row.get::<_, i64>(1)? == row.get::<_, i64>(2)?)
        });
        self.connection.busy_timeout(connection::PATIENCE)?;
        whole
    }

    fn execute(&self, sql: &str) -> Result<(), Error> {
        self.connection.prepare_cached(sql)?.execute([]).map(|_| ())
    }
}

/// The error of a group whose transaction SQLite gave up.
fn lost() -> Error {
    Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_ABORT_ROLLBACK), None)
}

fn is_fatal(error: &StoreError) -> bool {
    match error {
        StoreError::Unavailable(cause) => cause.downcast_ref::<Error>().is_some_and(is_fatal_failure),
        _ => false,
    }
}

/// After these nobody can know what is on the disk.
fn is_fatal_failure(error: &Error) -> bool {
    let code = error.sqlite_error().map_or(ffi::SQLITE_OK, |failure| failure.extended_code);
    matches!(code, ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC)
        || matches!(code & 0xff, ffi::SQLITE_CORRUPT | ffi::SQLITE_NOTADB)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::OpenOptionsExt;
    use std::sync::{Condvar, Mutex};

    /// A writer on an empty table `t`, whose thread can be held between groups.
    fn writer() -> (tempfile::TempDir, Writer, Arc<Readers>) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("test.db");
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).unwrap();
        let connection = connection::writer(&path).unwrap();
        let tables = "CREATE TABLE t (n INTEGER PRIMARY KEY) STRICT; \
                      CREATE TABLE events (sequence INTEGER PRIMARY KEY) STRICT";
        connection.execute_batch(tables).unwrap();
        let readers = Arc::new(Readers::new(&path, connection::reader(&path).unwrap()).unwrap());
        let writer = Writer::start(connection, Arc::clone(&readers), &path).unwrap();
        (directory, writer, readers)
    }

    fn rows(directory: &tempfile::TempDir) -> Vec<i64> {
        let connection = connection::reader(&directory.path().join("test.db")).unwrap();
        let mut select = connection.prepare("SELECT n FROM t ORDER BY n").unwrap();
        select.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }

    fn insert(n: i64) -> impl FnOnce(&Connection) -> Result<i64, StoreError> + Send + 'static {
        move |transaction| {
            let inserted = transaction.execute("INSERT INTO t VALUES (?)", [n]);
            inserted.map(|_| n).map_err(|error| crate::sqlite::rows::store_error(error, "t"))
        }
    }

    type Work = Box<dyn FnOnce(&Connection) -> Result<i64, StoreError> + Send>;

    /// Runs these in one group: the first waits, inside the transaction, until
    /// all are in the queue.
    async fn together(writer: &Writer, work: Vec<Work>) -> Vec<Result<i64, StoreError>> {
        let gate = Arc::new((Mutex::new(false), Condvar::new()));
        let inside = Arc::clone(&gate);
        let hold = writer.write(move |_| {
            let shut = inside.0.lock().unwrap();
            let bound = Duration::from_secs(10);
            let (open, _) = inside.1.wait_timeout_while(shut, bound, |open| !*open).unwrap();
            assert!(*open, "the gate never opened");
            Ok(0)
        });
        let open = async {
            *gate.0.lock().unwrap() = true;
            gate.1.notify_all();
        };
        let waiting = work.into_iter().map(|work| writer.write(work));
        // Polled in order: the last one opens the gate when all others are queued.
        let (_, results, ()) = futures_util::join!(hold, futures_util::future::join_all(waiting), open);
        results
    }

    #[tokio::test]
    async fn a_refused_piece_of_work_is_undone_alone() {
        let (directory, writer, _) = writer();
        let twice: Work = Box::new(|transaction| {
            insert(10)(transaction)?;
            insert(1)(transaction)
        });
        let results = together(&writer, vec![Box::new(insert(1)), twice, Box::new(insert(2))]).await;
        assert!(matches!(results[..], [Ok(1), Err(StoreError::Exists), Ok(2)]));
        assert_eq!(rows(&directory), [1, 2]);
    }

    #[tokio::test]
    async fn a_group_whose_transaction_is_gone_fails_whole() {
        let (directory, writer, _) = writer();
        // As SQLite itself does at a full disk or an I/O error.
        let gone: Work = Box::new(|transaction| {
            transaction.execute_batch("ROLLBACK").unwrap();
            Ok(7)
        });
        let results = together(&writer, vec![Box::new(insert(1)), gone, Box::new(insert(2))]).await;
        assert!(
            results.iter().all(|result| matches!(result, Err(StoreError::Unavailable(_)))),
            "{results:?}"
        );
        assert_eq!(rows(&directory), [0; 0]);
        assert!(matches!(writer.write(insert(3)).await, Ok(3)), "and the next one is fine");
        assert_eq!(rows(&directory), [3]);
    }

    #[tokio::test]
    async fn after_an_error_past_which_nothing_is_sure_it_stops() {
        let (directory, writer, _) = writer();
        let failed_fsync: Work = Box::new(|_| {
            let error = Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_IOERR_FSYNC), None);
            Err(crate::sqlite::rows::store_error(error, "t"))
        });
        let results = together(&writer, vec![Box::new(insert(1)), failed_fsync, Box::new(insert(2))]).await;
        assert!(results.iter().all(Result::is_err), "{results:?}");
        writer.stopped().await;
        assert!(matches!(writer.write(insert(3)).await, Err(StoreError::Stopped)));
        assert_eq!(rows(&directory), [0; 0]);
    }

    /// About 400 pages.
    fn bulk(transaction: &Connection) -> Result<(), StoreError> {
        let blob = "CREATE TABLE IF NOT EXISTS b (x BLOB); INSERT INTO b VALUES (randomblob(1600000))";
        transaction.execute_batch(blob).map_err(|error| crate::sqlite::rows::store_error(error, "b"))
    }

    #[tokio::test]
    async fn a_long_reader_costs_no_writer_any_time() {
        let (directory, writer, _) = writer();
        writer.write(bulk).await.unwrap();
        let reader = connection::reader(&directory.path().join("test.db")).unwrap();
        let moment = reader.unchecked_transaction().unwrap();
        let seen: i64 = moment.query_row("SELECT count(*) FROM b", [], |row| row.get(0)).unwrap();
        let begun = std::time::Instant::now();
        for _ in 0..60 {
            writer.write(bulk).await.unwrap();
        }
        // Waiting for the reader would take the busy timeout, five seconds, each time.
        assert!(begun.elapsed() < connection::PATIENCE, "{:?}", begun.elapsed());
        let still: i64 = moment.query_row("SELECT count(*) FROM b", [], |row| row.get(0)).unwrap();
        assert_eq!((seen, still), (1, 1), "the reader's moment");
    }

    #[tokio::test]
    async fn the_wal_stays_bounded_and_readers_see_every_commit() {
        let (directory, writer, readers) = writer();
        for written in 1..=60 {
            writer.write(bulk).await.unwrap();
            let count = |connection: &Connection| {
                connection.query_row("SELECT count(*) FROM b", [], |row| row.get::<_, i64>(0))
            };
            // Twice: the second read is in the first one's moment.
            for _ in 0..2 {
                assert_eq!(readers.read("b", count).unwrap(), written);
            }
        }
        let wal = std::fs::metadata(directory.path().join("test.db-wal")).unwrap().len();
        assert!(wal < 40 << 20, "the WAL has {wal} bytes");
    }
}
