//! A database of an earlier schema: nothing of it changes before the root key
//! is proven, and everything in it stays true afterwards.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use strongroom_core::app::{Ask, Cause, NewRun, OpenError, StartedRun};
use strongroom_core::root_key::LocalRootKey;
use strongroom_core::runs::RunMode;
use strongroom_core::secrets::NewPolicy;
use strongroom_core::text::{AgentName, RevisionName};
use strongroom_core::{App, Caller, EnvKey, Role, SecretId, SecretValue, Store};
use strongroom_store::sqlite::{Database, FILE, LOCK};

use crate::support::{Instance, policy, root_key, world};

const MIGRATIONS: [&str; 6] = [
    include_str!("../../migrations/sqlite/0001_foundation.sql"),
    include_str!("../../migrations/sqlite/0002_teams_keys_and_answers.sql"),
    include_str!("../../migrations/sqlite/0003_agents_and_runs.sql"),
    include_str!("../../migrations/sqlite/0004_people_who_sign_in.sql"),
    include_str!("../../migrations/sqlite/0005_audit_tree.sql"),
    include_str!("../../migrations/sqlite/0006_root_copies.sql"),
];

/// The schemas of before, and how many tables they have.
const EARLIER: [(u32, usize); 6] = [(1, 9), (2, 12), (3, 17), (4, 21), (5, 25), (6, 26)];

/// The tables of an earlier schema, and their columns, as that schema has them.
fn tables(connection: &rusqlite::Connection) -> Vec<(String, String)> {
    let select = "SELECT t.name, group_concat(c.name, ', ') FROM sqlite_schema t, pragma_table_info(t.name) c \
                  WHERE t.type = 'table' GROUP BY t.name";
    let mut select = connection.prepare(select).unwrap();
    let read = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    read.map(Result::unwrap).collect()
}

/// A number that the database in this directory answers with.
fn count(data: &Path, query: &str) -> i64 {
    let connection = rusqlite::Connection::open(data.join(FILE)).unwrap();
    connection.query_row(query, [], |row| row.get(0)).unwrap()
}

/// The rows of an instance in a database as an earlier schema had it.
fn downgraded(instance: &Instance, (schema, has): (u32, usize)) -> PathBuf {
    let data = instance.data().with_file_name(format!("schema {schema}"));
    std::fs::create_dir(&data).unwrap();
    let path = data.join(FILE);
    let old = rusqlite::Connection::open(&path).unwrap();
    old.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(())).unwrap();
    MIGRATIONS.iter().zip(0..schema).for_each(|(migration, _)| old.execute_batch(migration).unwrap());
    old.pragma_update(None, "user_version", schema).unwrap();
    old.pragma_update(None, "application_id", 0x5352_6462).unwrap();
    let tables = tables(&old);
    assert_eq!(tables.len(), has);
    old.execute("ATTACH ? AS new", [instance.data().join(FILE).to_str().unwrap()]).unwrap();
    old.pragma_update(None, "foreign_keys", "off").unwrap();
    for (table, columns) in tables {
        let copy = format!("INSERT INTO main.{table} ({columns}) SELECT {columns} FROM new.{table}");
        old.execute(&copy, []).unwrap();
    }
    // The first three didn't know this purpose, and those after it may have been left without.
    assert_eq!(old.execute("DELETE FROM keys WHERE owner = 'sign_in'", []).unwrap(), 1);
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
    let instance = Instance::sqlite().await;
    let caller = instance.caller(&instance.token).await.unwrap();
    for (at, shared) in [true, false].into_iter().enumerate() {
        let new = strongroom_core::secrets::NewSecret {
            name: strongroom_core::SecretName::parse(format!("secret {at}")).unwrap(),
            service_slug: None,
            shared,
            values: strongroom_core::Bundle::new(vec![(
                EnvKey::parse("A").unwrap(),
                SecretValue::parse("1".to_owned()).unwrap(),
            )])
            .unwrap(),
        };
        let ask = Ask::new(caller.clone(), Cause::default());
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
    for earlier in EARLIER {
        is_true_after_the_upgrade(earlier).await;
    }
}

async fn is_true_after_the_upgrade(earlier: (u32, usize)) {
    let instance = populated().await;
    let data = downgraded(&instance, earlier);
    let database = Arc::new(Database::serve(&data).unwrap());
    let store: Arc<dyn Store> = Arc::clone(&database) as _;
    let app = App::open(store, &root_key(), world()).await.expect("instance and keys read from it");
    let number = || u32::try_from(count(&data, "PRAGMA user_version")).unwrap();
    assert_eq!(number(), earlier.0, "not before the root key is proven");
    let unread = app.authenticate(&instance.token, None, &Cause::default()).await.is_err();
    assert_eq!(unread, earlier.0 < 4, "its memberships lacked a column before the fourth");
    database.migrate().await.unwrap();
    app.complete().await.unwrap();
    assert_eq!(number(), 7);
    let health = database.health().unwrap();
    assert_eq!((health.schema, health.problems, health.notes), (7, vec![], vec![]));
    let caller = app.authenticate(&instance.token, None, &Cause::default()).await.unwrap();
    assert_eq!((caller.user_id, caller.grant.role), (instance.owner, Role::Owner));
    let verified = app.verify(|| ()).await.unwrap();
    let expected = instance.app.verify(|| ()).await.unwrap();
    assert_eq!((verified.rows, verified.findings), (expected.rows, vec![]));
    let seen = database.secrets_visible_to(instance.team, instance.owner, None, 9).await.unwrap();
    assert_eq!(seen.len(), 2);
    let member = database.member(instance.team, instance.owner).await.unwrap().unwrap();
    assert!(instance.holds(Some(member.user)) && instance.holds(Some(member.membership)));
    receives(&app, caller, seen[0].row().id).await;
    // Twice is once; and it opens again.
    database.migrate().await.unwrap();
    app.complete().await.unwrap();
    assert_eq!(count(&data, "SELECT count(*) FROM keys"), 8, "one a purpose, and the team's");
    drop((app, database));
    let again = Database::serve(&data).unwrap();
    again.migrate().await.unwrap();
    assert_eq!(again.health().unwrap().schema, 7);
}

/// Does what came with the newest schema: a run receives what was stored before.
async fn receives(app: &App, caller: Caller, secret: SecretId) {
    let ask = Ask::new(caller, Cause::default());
    let agent = app.create_agent(&ask, AgentName::parse("courier").unwrap()).unwrap();
    let agent = app.carry_out(&ask, agent, None).await.unwrap().id;
    let name = RevisionName::parse("first").unwrap();
    let revision = app.create_revision(&ask, agent, &name).await.unwrap();
    let revision = app.carry_out(&ask, revision, None).await.unwrap().0.id;
    let attach = app.attach_secret(&ask, (agent, revision), secret).await.unwrap();
    app.carry_out(&ask, attach, None).await.unwrap();
    let new = NewRun { agent, revision: None, strict: true, note: None, lease: 60, mode: RunMode::Inject };
    let run = app.start_run(&ask, &new).await.unwrap();
    let StartedRun { run, token, .. } = app.carry_out(&ask, run, None).await.unwrap();
    let by_run = app.authenticate_run(token.reveal(), None, &Cause::default()).await.unwrap();
    let by_run = Ask::new(by_run, ask.cause);
    assert_eq!(app.deliver(&by_run).await.unwrap().len(), 1);
    let deliveries = app.deliveries(&ask, run.id).await.unwrap();
    assert_eq!(deliveries.iter().map(|row| (row.secret_id, row.version)).collect::<Vec<_>>(), [(secret, 1)]);
    keeps(app, &ask, secret).await;
    assert!(app.deliver(&by_run).await.unwrap().is_empty(), "it is for the broker only now");
}

/// A policy is kept in a row of before.
async fn keeps(app: &App, ask: &Ask, secret: SecretId) {
    let before = app.policy(ask, secret).await.unwrap();
    assert!(before.policy.is_none());
    let rules = policy(&["/"]).rules().to_vec();
    let new = NewPolicy { rules, broker_only: true, values: None };
    let planned = app.set_policy(ask, secret, &new).await.unwrap();
    app.carry_out(ask, planned, None).await.unwrap();
    let after = app.policy(ask, secret).await.unwrap();
    assert_eq!(after.policy, Some(policy(&["/"]).since(0)));
}

#[tokio::test]
async fn an_upgraded_database_is_one_like_a_new_one() {
    let instance = Instance::sqlite().await;
    for earlier in EARLIER {
        is_like_a_new_one(&instance, earlier).await;
    }
}

async fn is_like_a_new_one(instance: &Instance, earlier: (u32, usize)) {
    let data = downgraded(instance, earlier);
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
    let data = downgraded(&instance, EARLIER[0]);
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
    let killed = instance.data().with_file_name("killed");
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
    for earlier in EARLIER {
        is_looked_at_as_it_is(&instance, earlier).await;
    }
}

async fn is_looked_at_as_it_is(instance: &Instance, earlier: (u32, usize)) {
    let data = downgraded(instance, earlier);
    let before = files(&data);
    let database = Arc::new(Database::inspect(&data).unwrap());
    let health = database.health().unwrap();
    assert_eq!((health.schema, health.problems), (earlier.0, vec![]));
    let note = format!("schema {}", earlier.0);
    assert!(health.notes.len() == 1 && health.notes[0].contains(&note), "{:?}", health.notes);
    let app = App::open(Arc::clone(&database) as Arc<dyn Store>, &root_key(), world()).await.unwrap();
    let mut shown = 0;
    let verified = app.verify(|| shown += 1).await.unwrap();
    assert_eq!(verified.findings, []);
    assert_eq!(shown, database.rows().await.unwrap());
    let one_key_less = instance.app.verify(|| ()).await.unwrap().rows - 1;
    assert_eq!(verified.rows, one_key_less);
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
    let instance = Instance::sqlite().await;
    let data = downgraded(&instance, EARLIER[0]);
    let database = Database::serve(&data).unwrap();
    let raw = rusqlite::Connection::open(data.join(FILE)).unwrap();
    raw.execute_batch("CREATE TABLE answers (loot)").unwrap();
    let refused = database.migrate().await.unwrap_err().to_string();
    assert!(refused.contains("altered the schema") && refused.contains("table answers"), "{refused}");
    assert_eq!(count(&data, "PRAGMA user_version"), 1);
    raw.execute_batch("DROP TABLE answers").unwrap();
    database.migrate().await.unwrap();
    assert_eq!(count(&data, "PRAGMA user_version"), 7);
}

#[tokio::test]
async fn an_upgrade_that_fails_leaves_the_earlier_schema() {
    let instance = Instance::sqlite().await;
    let data = downgraded(&instance, EARLIER[0]);
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
