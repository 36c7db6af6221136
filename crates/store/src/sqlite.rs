//! SQLite in the data directory: one writer thread that commits in groups, a
//! few readers beside it. An answer leaves only after the fsync of its commit.

mod connection;
mod copy;
mod lock;
mod migrations;
#[cfg(test)]
pub(crate) mod plans;
mod purge;
mod readers;
mod rows;
mod store;
mod tables;
mod walk;
mod writer;
mod writes;

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use strongroom_core::StoreError;

pub(crate) use copy::{Copying, Snapshot};
use lock::Lock;
use readers::Readers;
use writer::Writer;

/// The database's name in the data directory.
pub const FILE: &str = "strongroom.db";
/// The name of the server's lock in the data directory. It stays when the
/// server ends, so that a database that vanished is missed.
pub const LOCK: &str = "strongroom.lock";

/// What may hold what isn't in the database yet. The journal is there until one that is
/// being made has a WAL.
const PENDING: [&str; 2] = ["strongroom.db-wal", "strongroom.db-journal"];

/// Every file that a database may have in the data directory, in the order in which
/// they may be removed: what is left when that is interrupted belongs to a database.
pub const FILES: [&str; 5] = ["strongroom.db-wal", "strongroom.db-journal", "strongroom.db-shm", FILE, LOCK];

/// Why a database could not be opened. Nothing in it was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is one already.
    #[error("{0} exists already; choose another data directory, or serve this one")]
    Exists(PathBuf),
    /// There is none, nor a trace of one.
    #[error("{0} does not exist; create an instance with: strongroom init")]
    NoInstance(PathBuf),
    /// There is none, but its neighbours say that there was.
    #[error(
        "{database} is missing, but {trace} is there; restore the database from a backup, or remove {trace} if this instance is to be given up"
    )]
    Missing {
        /// Where the database should be.
        database: PathBuf,
        /// What says that there was one.
        trace: PathBuf,
    },
    /// The file is there, with nothing in it.
    #[error("{0} is empty; restore it from a backup")]
    Empty(PathBuf),
    /// Another server has it.
    #[error("another strongroom server{} uses {directory}; stop it first, or give this one a data directory of its own", .pid.map(|pid| format!(" (process {pid})")).unwrap_or_default())]
    Locked {
        /// The data directory.
        directory: PathBuf,
        /// The other server's process, when it said so.
        pid: Option<u32>,
    },
    /// Others than its owner can read or write it.
    #[error("{path} has mode {mode:04o}, so others can read it; run: chmod 600 {path}")]
    Mode {
        /// The database.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A file or directory can't be used.
    #[error("{path}: {source}; check the path and who may use it")]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The SQLite in this program can lose data.
    #[error(
        "this program was built with SQLite {0}, which can corrupt a database in WAL mode; build it with 3.51.3 or later"
    )]
    OldSqlite(&'static str),
    /// The database was written by a later Strongroom.
    #[error(
        "{path} has schema {found}, but this program knows only up to {known}; use the newer program that wrote it"
    )]
    FromTheFuture {
        /// The database.
        path: PathBuf,
        /// Its schema's number.
        found: u32,
        /// The highest number known here.
        known: u32,
    },
    /// It has the schema of an older program.
    #[error(
        "{0} has the schema of an older program; start this program's server once, which brings it up to date"
    )]
    Older(PathBuf),
    /// The schema holds what no migration made, or lacks what one did.
    #[error("somebody altered the schema of {path} ({parts}); restore a backup")]
    AlteredSchema {
        /// The database.
        path: PathBuf,
        /// What was added, removed or changed.
        parts: String,
    },
    /// The schema could not be brought up to date.
    #[error(
        "{path} can't be brought to this program's schema: {source}; it was left as it is: check the disk and its free space, then start again"
    )]
    Migration {
        /// The database.
        path: PathBuf,
        /// What was in the way.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The file is a database of something else.
    #[error("{0} is not a Strongroom database; choose another data directory")]
    Foreign(PathBuf),
    /// SQLite refused.
    #[error(
        "{path} can't be opened as a database: {source}; check the disk and who may use its directory, or restore a backup"
    )]
    Sqlite {
        /// The database.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
}

/// The number of the schema that this program serves; the same for both engines.
pub(crate) fn schema() -> u32 {
    migrations::newest()
}

/// What `doctor` wants to know of a database.
#[derive(Debug)]
pub struct Health {
    /// The SQLite in this program.
    pub sqlite_version: String,
    /// The number of the schema.
    pub schema: u32,
    /// What is wrong, a sentence each; empty when all is well.
    pub problems: Vec<String>,
    /// What is no problem but worth knowing, a sentence each.
    pub notes: Vec<String>,
}

/// An open database.
pub struct Database {
    path: PathBuf,
    // Before the writer, so that its connection is the last to close.
    readers: Arc<Readers>,
    writer: Option<Writer>,
    // Last: dropped after the connections, so that the lock outlives them.
    _lock: Option<Lock>,
}

impl Database {
    /// Makes a new database in `directory`, which is made too where needed.
    ///
    /// # Errors
    /// When one is or was there, or it can't be made. What was made is removed.
    pub fn create(directory: &Path) -> Result<Self, OpenError> {
        let path = directory.join(FILE);
        if path.exists() {
            return Err(OpenError::Exists(path));
        }
        refuse_traces(directory)?;
        // From here on nobody else makes one here; whoever was quicker has the
        // lock, or has made the file that `create_new` refuses.
        Self::make(directory, claim(directory)?)
    }

    /// The same whatever lies beside it: for an instance that comes from elsewhere,
    /// whose root key may be here already.
    ///
    /// # Errors
    /// When it can't be made. What was made is removed.
    fn make(directory: &Path, lock: Lock) -> Result<Self, OpenError> {
        let path = directory.join(FILE);
        let io = |source| OpenError::Io { path: path.clone(), source };
        fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map_err(|source| {
            match source.kind() {
                io::ErrorKind::AlreadyExists => OpenError::Exists(path.clone()),
                _ => io(source),
            }
        })?;
        let made = connection::writer(&path).and_then(|connection| {
            migrations::create(&connection, &path)?;
            Self::start(path, connection, Some(lock))
        });
        made.inspect_err(|_| remove(directory, &FILES))
    }

    /// Opens a database to serve it: takes the lock. Not a byte of it changes
    /// before [`Self::migrate`].
    ///
    /// # Errors
    /// When there is none, another server has it, or it can't be used.
    pub fn serve(directory: &Path) -> Result<Self, OpenError> {
        present(directory)?;
        refuse_lax(directory)?;
        Self::serve_under(directory, Lock::take(directory)?)
    }

    fn serve_under(directory: &Path, lock: Lock) -> Result<Self, OpenError> {
        let path = directory.join(FILE);
        // Before the connection that writes: it makes every file one with a WAL.
        let first = connection::reader(&path)?;
        migrations::check(&first, &path)?;
        migrations::refuse_foreign_parts(&first, &path)?;
        let connection = connection::writer(&path)?;
        // Nor does what a server that was killed left in the WAL move.
        connection::tidy_up(&connection, false)
            .map_err(|source| OpenError::Sqlite { path: path.clone(), source })?;
        Self::start(path, connection, Some(lock))
    }

    /// Brings the schema up to date, all or nothing. To be called once the root
    /// key was proven to be this instance's: until then only what every schema
    /// has can be read, and nothing is to be written.
    ///
    /// # Errors
    /// When somebody altered the schema, or SQLite refuses.
    pub async fn migrate(&self) -> Result<(), OpenError> {
        let path = self.path.clone();
        let run = move |transaction: &rusqlite::Connection| {
            migrations::run(transaction, &path)?;
            connection::tidy_up(transaction, true).map_err(|error| rows::store_error(error, "schema"))
        };
        let migrated = async {
            let found = self.readers.read("schema", migrations::schema)?;
            self.writer()?.write(run).await?;
            Ok((found, self.readers.read("schema", migrations::schema)?))
        };
        let (from, to) = migrated.await.map_err(|error| migrations::failed(error, &self.path))?;
        if from != to {
            tracing::info!(from, to, "store.migrated");
        }
        Ok(())
    }

    /// Opens a database to look at it beside a server that may be running. One
    /// with an older schema, too.
    ///
    /// # Errors
    /// When there is none, or it can't be read.
    pub fn inspect(directory: &Path) -> Result<Self, OpenError> {
        present(directory)?;
        let path = directory.join(FILE);
        let first = connection::reader(&path)?;
        migrations::check(&first, &path)?;
        let readers = Arc::new(Readers::new(&path, first)?);
        Ok(Self { path, readers, writer: None, _lock: None })
    }

    /// Opens a database to write to it beside a server that may be running: a few rows, each
    /// once. That server sees them when it looks again, as it does every few seconds.
    ///
    /// # Errors
    /// When there is none, it can't be used, or an older program made it.
    pub fn beside(directory: &Path) -> Result<Self, OpenError> {
        present(directory)?;
        refuse_lax(directory)?;
        let path = directory.join(FILE);
        let first = connection::reader(&path)?;
        migrations::check(&first, &path)?;
        migrations::refuse_foreign_parts(&first, &path)?;
        let schema =
            migrations::schema(&first).map_err(|source| OpenError::Sqlite { path: path.clone(), source })?;
        if schema < migrations::newest() {
            return Err(OpenError::Older(path));
        }
        Self::start(path.clone(), connection::writer(&path)?, None)
    }

    /// Whether a server has the database of this directory open.
    ///
    /// # Errors
    /// When that can't be found out.
    pub fn is_served(directory: &Path) -> Result<bool, OpenError> {
        match Lock::take(directory) {
            Ok(_) => Ok(false),
            Err(OpenError::Locked { .. }) => Ok(true),
            Err(error) => Err(error),
        }
    }

    fn start(path: PathBuf, connection: rusqlite::Connection, lock: Option<Lock>) -> Result<Self, OpenError> {
        let readers = Arc::new(Readers::new(&path, connection::reader(&path)?)?);
        let writer = Writer::start(connection, Arc::clone(&readers), &path)?;
        Ok(Self { path, readers, writer: Some(writer), _lock: lock })
    }

    /// Whether an older program made it, and none of this age has served it since.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn is_older(&self) -> Result<bool, StoreError> {
        Ok(self.readers.read("schema", migrations::schema)? < migrations::newest())
    }

    /// Examines the database file.
    ///
    /// # Errors
    /// When it can't even be read.
    pub fn health(&self) -> Result<Health, StoreError> {
        self.readers.read("sqlite", connection::health)
    }

    fn writer(&self) -> Result<&Writer, StoreError> {
        self.writer.as_ref().ok_or(StoreError::Stopped)
    }
}

/// Finds the database, or says what its absence means.
fn present(directory: &Path) -> Result<(), OpenError> {
    let path = directory.join(FILE);
    match fs::metadata(&path) {
        Ok(metadata) if metadata.len() == 0 => Err(OpenError::Empty(path)),
        Ok(_) => Ok(()),
        Err(source) if source.kind() == io::ErrorKind::NotFound => {
            refuse_traces(directory)?;
            Err(OpenError::NoInstance(path))
        }
        Err(source) => Err(OpenError::Io { path, source }),
    }
}

/// Files that others can read or write are refused.
fn refuse_lax(directory: &Path) -> Result<(), OpenError> {
    for path in FILES.map(|name| directory.join(name)) {
        let mode = match fs::metadata(&path) {
            Ok(metadata) => metadata.permissions().mode() & 0o7777,
            Err(source) if source.kind() == io::ErrorKind::NotFound => continue,
            Err(source) => return Err(OpenError::Io { path, source }),
        };
        if mode & 0o077 != 0 {
            return Err(OpenError::Mode { path, mode });
        }
    }
    Ok(())
}

/// A root key or a lock beside no database: it isn't new here, it is lost.
fn refuse_traces(directory: &Path) -> Result<(), OpenError> {
    let trace = ["root.key", LOCK].map(|name| directory.join(name)).into_iter().find(|path| path.exists());
    trace.map_or(Ok(()), |trace| Err(OpenError::Missing { database: directory.join(FILE), trace }))
}

/// A directory's lock; the directory is made where there is none.
fn claim(directory: &Path) -> Result<Lock, OpenError> {
    let io = |source| OpenError::Io { path: directory.to_owned(), source };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(io)?;
    Lock::take(directory)
}

fn remove(directory: &Path, names: &[&str]) {
    for name in names {
        // What isn't there needs no removal, and there is nothing to do about the rest.
        let _ = fs::remove_file(directory.join(name));
    }
}
