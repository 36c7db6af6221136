//! Connections and their settings; each setting says why.

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use std::path::Path;
use std::time::Duration;

use super::{Health, OpenError, migrations};

/// The first SQLite without the corruption of a WAL that two connections can
/// cause.
const OLDEST: i32 = 3_051_003;

/// How long a statement waits for a lock that another process holds.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// Statements kept prepared by each connection: more than there are.
const STATEMENTS: usize = 64;

/// The one connection that writes.
pub(super) fn writer(path: &Path) -> Result<Connection, OpenError> {
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let set = || -> rusqlite::Result<()> {
        connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
        // An acknowledged commit survives a power cut.
        connection.pragma_update(None, "synchronous", "full")?;
        // What is deleted is overwritten, sealed as it is.
        connection.pragma_update_and_check(None, "secure_delete", "on", |_| Ok(()))?;
        connection.pragma_update(None, "foreign_keys", "on")?;
        // The writer checkpoints by itself, to see when that fails.
        connection.pragma_update_and_check(None, "wal_autocheckpoint", 0, |_| Ok(()))?;
        // After a burst the WAL shrinks to this at its next start from zero.
        connection.pragma_update_and_check(None, "journal_size_limit", 64 << 20, |_| Ok(()))
    };
    set().map_err(|source| OpenError::Sqlite { path: path.to_owned(), source })?;
    Ok(connection)
}

/// Whether the connection copies the WAL into the database when it closes.
pub(super) fn tidy_up(connection: &Connection, tidy: bool) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, !tidy).map(|_| ())
}

/// A connection that only reads. It never checkpoints, not even as the last
/// one to close: that is the writer's to do and to judge.
pub(super) fn reader(path: &Path) -> Result<Connection, OpenError> {
    untidy(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
}

fn untidy(path: &Path, access: OpenFlags) -> Result<Connection, OpenError> {
    let connection = open(path, access)?;
    tidy_up(&connection, false).map_err(|source| OpenError::Sqlite { path: path.to_owned(), source })?;
    Ok(connection)
}

/// A connection that only looks, to a database that may have been left in the
/// midst of its making: it undoes what wasn't done, and changes nothing else.
pub(super) fn recovering(path: &Path) -> Result<Connection, OpenError> {
    untidy(path, OpenFlags::SQLITE_OPEN_READ_WRITE)
}

fn open(path: &Path, access: OpenFlags) -> Result<Connection, OpenError> {
    if rusqlite::version_number() < OLDEST {
        return Err(OpenError::OldSqlite(rusqlite::version()));
    }
    let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let set = |connection: &Connection| -> rusqlite::Result<()> {
        connection.busy_timeout(PATIENCE)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        // Plans don't depend on bound values, so that a point read isn't
        // prepared again at each call: nearly three times the reads a second.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
        // Whatever a database writer put into the schema runs nothing.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
        connection.pragma_update(None, "cell_size_check", "on")
    };
    let opened = canonical(path).and_then(|path| {
        let connection = Connection::open_with_flags(path, flags)?;
        set(&connection)?;
        Ok(connection)
    });
    opened.map_err(|source| OpenError::Sqlite { path: path.to_owned(), source })
}

/// Copies the WAL into the database and empties it, so that nothing of before is in either;
/// `leave` ends the reads that hold it back. Whether it is empty: what others do may be in
/// the way, and isn't waited for.
pub(super) fn emptied(connection: &Connection, leave: impl Fn()) -> rusqlite::Result<bool> {
    connection.busy_timeout(Duration::from_millis(50))?;
    // Those who begin when it is copied whole read the database itself.
    for checkpoint in ["PRAGMA wal_checkpoint(PASSIVE)", "PRAGMA wal_checkpoint(TRUNCATE)"] {
        leave();
        let blocked: i64 = connection.query_row(checkpoint, [], |row| row.get(0))?;
        if blocked != 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The path without links in its directories, which `NOFOLLOW` would refuse;
/// the database itself must not be a link.
fn canonical(path: &Path) -> rusqlite::Result<std::path::PathBuf> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let refused = || rusqlite::Error::InvalidPath(path.to_owned());
    let name = path.file_name().ok_or_else(refused)?;
    Ok(directory.canonicalize().map_err(|_| refused())?.join(name))
}

/// SQLite's own examination of the file.
pub(super) fn health(connection: &Connection) -> rusqlite::Result<Health> {
    let mut problems = Vec::new();
    let mut check = connection.prepare("PRAGMA integrity_check(20)")?;
    for finding in check.query_map([], |row| row.get::<_, String>(0))? {
        let finding = finding?;
        if finding != "ok" {
            problems.push(format!("integrity_check: {finding}"));
        }
    }
    let mut check = connection.prepare("PRAGMA foreign_key_check")?;
    for table in check.query_map([], |row| row.get::<_, String>(0))? {
        problems.push(format!("a row of {} refers to one that isn't there", table?));
    }
    for part in migrations::foreign_parts(connection)? {
        problems.push(format!("somebody altered the schema: {part}"));
    }
    let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
    if mode != "wal" {
        problems.push(format!("journal_mode is {mode}, not wal"));
    }
    let schema = migrations::schema(connection)?;
    let newest = migrations::newest();
    let older = (schema < newest).then(|| {
        format!("the database has schema {schema}; this program brings it to {newest} when it serves it")
    });
    let sqlite_version = rusqlite::version().to_owned();
    Ok(Health { sqlite_version, schema, problems, notes: older.into_iter().collect() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::OpenOptionsExt as _;

    /// Files of this process that never had a name, as SQLite's temporary ones.
    fn nameless() -> usize {
        let open = std::fs::read_dir("/proc/self/fd").unwrap();
        let links = open.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok());
        let is_nameless = |link: &str| link.contains("/#") && link.ends_with(" (deleted)");
        links.filter(|link| is_nameless(&link.to_string_lossy())).count()
    }

    /// How many such files there are while a part of a transaction, of 9 MB, could be undone.
    fn while_it_can_be_undone(connection: &Connection) -> usize {
        connection
            .execute_batch(
                "CREATE TABLE t (n INTEGER PRIMARY KEY, text TEXT) STRICT; \
                 WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 40000) \
                 INSERT INTO t SELECT n, hex(randomblob(100)) FROM r; \
                 BEGIN; SAVEPOINT work; UPDATE t SET text = lower(text);",
            )
            .unwrap();
        let meanwhile = nameless();
        connection.execute_batch("ROLLBACK TO work; COMMIT").unwrap();
        let changed = "SELECT count(*) FROM t WHERE text <> upper(text)";
        assert_eq!(connection.query_row(changed, [], |row| row.get::<_, i64>(0)), Ok(0));
        meanwhile
    }

    #[test]
    fn what_could_be_undone_is_written_to_no_temporary_file() {
        let directory = tempfile::tempdir().unwrap();
        let before = nameless();
        let other = tempfile::tempfile_in(directory.path()).unwrap();
        assert_eq!(nameless(), before + 1, "the control");
        drop(other);
        let path = directory.path().join("test.db");
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).unwrap();
        assert_eq!(while_it_can_be_undone(&writer(&path).unwrap()), before);
    }
}
