//! A database of an earlier schema: nothing of it changes before the root key
//! is proven, and everything in it stays true afterwards.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use strongroom_core::app::{Cause, OpenError};
use strongroom_core::root_key::LocalRootKey;
use strongroom_core::{App, Role, Store};
use strongroom_store::sqlite::{Database, FILE, LOCK};

use crate::support::{Instance, count, root_key, world};

const FIRST: &str = include_str!("../../migrations/sqlite/0001_foundation.sql");

/// The tables of schema 1, and their columns, as that schema has them.
fn tables(connection: &rusqlite::Connection) -> Vec<(String, String)> {
    let select = "SELECT t.name, group_concat(c.name, ', ') FROM sqlite_schema t, pragma_table_info(t.name) c \
                  WHERE t.type = 'table' GROUP BY t.name";
    let mut select = connection.prepare(select).unwrap();
    let read = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    read.map(Result::unwrap).collect()
}

/// The rows of an instance in a database as schema 1 had it.
fn downgraded(instance: &Instance) -> PathBuf {
    let data = instance.directory.path().join("old");
    std::fs::create_dir(&data).unwrap();
    let path = data.join(FILE);
    let old = rusqlite::Connection::open(&path).unwrap();
    old.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(())).unwrap();
    old.execute_batch(FIRST).unwrap();
    old.pragma_update(None, "user_version", 1).unwrap();
    old.pragma_update(None, "application_id", 0x5352_6462).unwrap();
    let tables = tables(&old);
    assert_eq!(tables.len(), 9);
    old.execute("ATTACH ? AS new", [instance.data().join(FILE).to_str().unwrap()]).unwrap();
    old.pragma_update(None, "foreign_keys", "off").unwrap();
    for (table, columns) in tables {
        let copy = format!("INSERT INTO main.{table} ({columns}) SELECT {columns} FROM new.{table}");
        old.execute(&copy, []).unwrap();
    }
    drop(old);
    private(&data);
    data
}

fn private(data: &Path) {
    use std::os::unix::fs::PermissionsExt;
    for entry in std::fs::read_dir(data).unwrap() {
        std::fs::set_permissions(entry.unwrap().path(), std::fs::Permissions::from_mode(0o600)).unwrap();
    }
}

/// An instance with a colleague and secrets, some of them deleted.
async fn populated() -> Instance {
    let instance = Instance::new().await;
    let caller = instance.caller(&instance.token).await.unwrap();
    for (at, shared) in [true, false].into_iter().enumerate() {
        let new = strongroom_core::secrets::NewSecret {
            name: strongroom_core::SecretName::parse(format!("secret {at}")).unwrap(),
            service_slug: None,
            shared,
            values: strongroom_core::Bundle::new(vec![]).unwrap(),
        };
        let ask =
            strongroom_core::app::Ask { caller: caller.clone(), cause: Cause::default(), condition: None };
        let planned = instance.app.create_secret(&ask, new).await.unwrap();
        instance.app.carry_out(&ask, planned, None).await.unwrap();
    }
    instance
}

/// Every file in a directory but the lock, which names whoever has it.
fn files(data: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(data).unwrap().map(|entry| entry.unwrap());
    let named = entries.map(|entry| (entry.file_name().into_string().unwrap(), entry.path()));
    let kept = named.filter(|(name, _)| name != LOCK && !name.ends_with("-shm"));
    kept.map(|(name, path)| (name, std::fs::read(path).unwrap())).filter(|(_, b)| !b.is_empty()).collect()
}

#[tokio::test]
async fn what_an_earlier_schema_held_is_true_after_the_upgrade() {
    let instance = populated().await;
    let data = downgraded(&instance);
    let database = Arc::new(Database::serve(&data).unwrap());
    let store: Arc<dyn Store> = Arc::clone(&database) as _;
    let app = App::open(store, &root_key(), world()).await.expect("instance and keys read from schema 1");
    assert_eq!(count(&data, "PRAGMA user_version"), 1, "not before the root key is proven");
    assert!(app.authenticate(&instance.token, None, &Cause::default()).await.is_err(), "nor anything else");
    database.migrate().await.unwrap();
    assert_eq!(count(&data, "PRAGMA user_version"), 2);
    let health = database.health().unwrap();
    assert_eq!((health.schema, health.problems, health.notes), (2, vec![], vec![]));
    let caller = app.authenticate(&instance.token, None, &Cause::default()).await.unwrap();
    assert_eq!((caller.user_id, caller.grant.role), (instance.owner, Role::Owner));
    let verified = app.verify(|| ()).await.unwrap();
    let expected = instance.app.verify(|| ()).await.unwrap();
    assert_eq!((verified.rows, verified.findings), (expected.rows, vec![]));
    let seen = database.secrets_visible_to(instance.team, instance.owner, None, 9).await.unwrap();
    assert_eq!(seen.len(), 2);
    let member = database.member(instance.team, instance.owner).await.unwrap().unwrap();
    assert!(instance.holds(Some(member.user)) && instance.holds(Some(member.membership)));
    // Twice is once; and it opens again.
    database.migrate().await.unwrap();
    drop((app, database));
    let again = Database::serve(&data).unwrap();
    again.migrate().await.unwrap();
    assert_eq!(again.health().unwrap().schema, 2);
}

#[tokio::test]
async fn an_upgraded_database_is_one_like_a_new_one() {
    let instance = Instance::new().await;
    let data = downgraded(&instance);
    let database = Database::serve(&data).unwrap();
    database.migrate().await.unwrap();
    let schema = |data: &Path| {
        let connection = rusqlite::Connection::open(data.join(FILE)).unwrap();
        let mut select =
            connection.prepare("SELECT type, name, sql FROM sqlite_schema ORDER BY name").unwrap();
        let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
        rows.map(Result::unwrap).collect::<Vec<(String, String, Option<String>)>>()
    };
    assert_eq!(schema(&data), schema(&instance.data()));
    drop(database);
    assert_eq!(std::fs::read_dir(&data).unwrap().count(), 2, "closed: the database and the lock, no WAL");
}

#[tokio::test]
async fn a_wrong_root_key_changes_no_byte() {
    let instance = populated().await;
    let data = downgraded(&instance);
    let try_with = async |data: &Path, byte: u8| {
        let database = Arc::new(Database::serve(data).unwrap());
        let root = LocalRootKey::take("file", &mut [byte; 32]);
        let opened = App::open(Arc::clone(&database) as Arc<dyn Store>, &root, world()).await;
        if opened.is_ok() {
            database.migrate().await.unwrap();
        }
        opened.map(|_| ())
    };
    // As it was closed; and as a server that was killed left it, a WAL beside it.
    let killed = instance.directory.path().join("killed");
    std::fs::create_dir(&killed).unwrap();
    for (name, bytes) in files(&instance.data()) {
        std::fs::write(killed.join(name), bytes).unwrap();
    }
    private(&killed);
    assert_eq!(files(&killed).len(), 2, "a database and its WAL");
    for data in [&data, &killed] {
        let before = files(data);
        let refused = try_with(data, 8).await;
        assert!(matches!(refused, Err(OpenError::WrongRootKey { .. })), "{refused:?}");
        assert_eq!(files(data), before);
        try_with(data, 7).await.unwrap();
        assert_ne!(files(data), before, "the right one brings it up to date, or tidies up");
        assert_eq!(count(data, "SELECT count(*) FROM secrets"), 2);
    }
}

#[tokio::test]
async fn an_earlier_schema_is_looked_at_as_it_is() {
    let instance = populated().await;
    let data = downgraded(&instance);
    let before = files(&data);
    let database = Arc::new(Database::inspect(&data).unwrap());
    let health = database.health().unwrap();
    assert_eq!((health.schema, health.problems), (1, vec![]));
    assert!(health.notes.len() == 1 && health.notes[0].contains("schema 1"), "{:?}", health.notes);
    let app = App::open(Arc::clone(&database) as Arc<dyn Store>, &root_key(), world()).await.unwrap();
    let mut shown = 0;
    let verified = app.verify(|| shown += 1).await.unwrap();
    assert_eq!(verified.findings, []);
    assert_eq!(shown, database.rows().await.unwrap());
    assert_eq!(verified.rows, instance.app.verify(|| ()).await.unwrap().rows);
    assert!(database.migrate().await.is_err(), "whoever looks doesn't change");
    drop((app, database));
    assert_eq!(files(&data), before);
    // The same eyes see damage there.
    let raw = rusqlite::Connection::open(data.join(FILE)).unwrap();
    raw.execute("UPDATE memberships SET role = 'member'", []).unwrap();
    let database: Arc<dyn Store> = Arc::new(Database::inspect(&data).unwrap());
    let app = App::open(database, &root_key(), world()).await.unwrap();
    assert_eq!(app.verify(|| ()).await.unwrap().findings.len(), 1);
}

#[tokio::test]
async fn an_altered_schema_is_not_upgraded() {
    let instance = Instance::new().await;
    let data = downgraded(&instance);
    let database = Database::serve(&data).unwrap();
    let raw = rusqlite::Connection::open(data.join(FILE)).unwrap();
    raw.execute_batch("CREATE TABLE answers (loot)").unwrap();
    let refused = database.migrate().await.unwrap_err().to_string();
    assert!(refused.contains("altered the schema") && refused.contains("table answers"), "{refused}");
    assert_eq!(count(&data, "PRAGMA user_version"), 1);
    raw.execute_batch("DROP TABLE answers").unwrap();
    database.migrate().await.unwrap();
    assert_eq!(count(&data, "PRAGMA user_version"), 2);
}

#[tokio::test]
async fn an_upgrade_that_fails_leaves_the_earlier_schema() {
    let instance = Instance::new().await;
    let data = downgraded(&instance);
    let raw = rusqlite::Connection::open(data.join(FILE)).unwrap();
    let twin =
        "INSERT INTO users SELECT randomblob(16), name, upper(email), created_at, NULL, row_mac FROM users";
    assert_eq!(raw.execute(twin, []).unwrap(), 1);
    let database = Database::serve(&data).unwrap();
    let refused = database.migrate().await.unwrap_err().to_string();
    assert!(refused.contains("can't be brought to this program's schema"), "{refused}");
    assert_eq!(count(&data, "PRAGMA user_version"), 1);
    assert_eq!(count(&data, "SELECT count(*) FROM sqlite_schema WHERE name = 'key_links'"), 0);
    assert_eq!(database.health().unwrap().problems, [""; 0]);
    raw.execute("DELETE FROM users WHERE email = upper(email)", []).unwrap();
    database.migrate().await.unwrap();
}

#[test]
fn a_database_without_tables_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let raw = rusqlite::Connection::open(directory.path().join(FILE)).unwrap();
    raw.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(())).unwrap();
    drop(raw);
    private(directory.path());
    for opened in [Database::serve(directory.path()), Database::inspect(directory.path())] {
        assert!(opened.err().expect("refused").to_string().contains("is empty"));
    }
}

#[test]
fn a_database_of_something_else_is_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let raw = rusqlite::Connection::open(directory.path().join(FILE)).unwrap();
    raw.execute_batch("CREATE TABLE recipes (name); INSERT INTO recipes VALUES ('soup')").unwrap();
    drop(raw);
    private(directory.path());
    let before = files(directory.path());
    for opened in [Database::serve(directory.path()), Database::inspect(directory.path())] {
        assert!(opened.err().expect("refused").to_string().contains("not a Strongroom database"));
    }
    assert_eq!(files(directory.path()), before);
}
