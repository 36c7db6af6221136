//! What only PostgreSQL has: many writes in one statement, locks between
//! servers, and a schema that others can get at.

use std::collections::BTreeSet;
use std::sync::Arc;
use strongroom_core::answers::KEPT_FOR;
use strongroom_core::secrets::Secret;
use strongroom_core::store::{Change, Put, Write};
use strongroom_core::{Role, StoreError};
use strongroom_store::postgres::{Database, OpenError};
use strongroom_testbed::{self as testbed, Cluster};
use tokio::task::JoinSet;

use crate::support::{Instance, NOTHING, NOW, at, delivery, event};

/// What a write that only adds comes to, when it stands where it is put.
type Kind = fn(&Result<(), StoreError>) -> bool;

/// Writes of every kind at once, so that groups are mixed: each comes to what
/// it would come to alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn in_a_group_each_write_comes_to_its_own() {
    let instance = Arc::new(Instance::postgres().await);
    let good = instance.permit().await;
    let colleague = instance.store_member(Role::Owner).await;
    let theirs = crate::support::permit(&instance.caller(&colleague.token).await.unwrap());
    let revoked = instance.altered(&colleague.key, |key| key.revoked_at = Some(at(NOW)));
    instance.write(vec![Change::ApiKey(revoked)]).await.unwrap();
    let secret = instance.store_secret(instance.new_secret(None)).await;
    let (team, id) = (secret.row().team_id, secret.row().id);
    let other = instance.altered(&secret, |secret| secret.version += 1).now.mac();
    instance.database.keep_answer(instance.new_answer(9, NOW)).await.unwrap();
    let mut written = JoinSet::new();
    for number in 0..240_u32 {
        let new = Change::Secret(Put::new(instance.sign(instance.new_secret(None))));
        let (permit, changes, answer, kind): (_, _, Option<_>, Kind) = match number % 6 {
            0 => (&good, vec![new], None, |done| done.is_ok()),
            1 => (&theirs, vec![new], None, |done| matches!(done, Err(StoreError::StalePermit))),
            2 => (&good, vec![Change::SecretIs(team, id, secret.mac()), new], None, |done| done.is_ok()),
            3 => (&good, vec![Change::SecretIs(team, id, other), new], None, |done| {
                matches!(done, Err(StoreError::Changed))
            }),
            4 => (&good, vec![new], Some(instance.new_answer(9, NOW + 1)), |done| {
                matches!(done, Err(StoreError::Answered))
            }),
            _ => (
                &good,
                vec![new],
                Some(instance.new_answer(number.to_le_bytes()[0], NOW + KEPT_FOR)),
                |done| done.is_ok(),
            ),
        };
        let (instance, permit) = (Arc::clone(&instance), permit.clone());
        written.spawn(async move {
            let events = vec![event(&permit)];
            let done = instance
                .database
                .write(Write {
                    permit,
                    changes,
                    events,
                    answers: answer.into_iter().collect(),
                    rehearsal: false,
                })
                .await;
            assert!(kind(&done), "{}: {done:?}", number % 6);
        });
    }
    let before = 1;
    while let Some(written) = written.join_next().await {
        written.unwrap();
    }
    assert_eq!(instance.count("SELECT count(*) FROM secrets"), before + 3 * 40);
    let told = "SELECT count(*) FROM events WHERE kind = 'secret.updated'";
    // Those of the member, of the revocation and of the secret before, too.
    assert_eq!(instance.count(told), 3 + 3 * 40, "as many are told of as were done");
    let marked = "SELECT count(*) FROM commits WHERE cardinality(done) > 1";
    assert!(instance.count(marked) > 0, "some of them were in one group");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_row_that_is_there_already_refuses_its_own_write_alone() {
    let instance = Arc::new(Instance::postgres().await);
    let there = instance.store_secret(instance.new_secret(None)).await;
    let permit = instance.permit().await;
    let mut written = JoinSet::new();
    for number in 0..40 {
        let row = if number % 4 == 0 { there.clone() } else { instance.sign(instance.new_secret(None)) };
        let (instance, permit) = (Arc::clone(&instance), permit.clone());
        written.spawn(async move {
            let done = instance.write_by(permit, vec![Change::Secret(Put::new(row))]).await;
            match number % 4 {
                0 => assert!(matches!(done, Err(StoreError::Exists)), "{done:?}"),
                _ => done.unwrap(),
            }
        });
    }
    while let Some(written) = written.join_next().await {
        written.unwrap();
    }
    assert_eq!(instance.count("SELECT count(*) FROM secrets"), 1 + 30);
}

/// A demand for a row holds it until the commit: whoever changes it meanwhile
/// comes before, and then it isn't as it was, or after.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_delivered_is_current_at_its_commit() {
    let instance = Arc::new(Instance::postgres().await);
    let colleague = instance.store_member(Role::Builder).await;
    let agent = instance.store_agent().await;
    let (run, _) = instance.store_run(&colleague, agent.row().id).await;
    let mut was = instance.store_secret(instance.new_secret(None)).await;
    let permit = instance.permit().await;
    for version in 2..40 {
        let Secret { team_id, id, version: current, .. } = *was.row();
        let put = instance.altered(&was, |secret| secret.version = version);
        let next = put.now.clone();
        let delivered = vec![
            Change::SecretIs(team_id, id, was.mac()),
            Change::Delivery(delivery(run.row().id, id, current, &["A"])),
        ];
        let (one, two) = tokio::join!(
            instance.write_by(permit.clone(), delivered),
            instance.write_by(permit.clone(), vec![Change::Secret(put)]),
        );
        two.unwrap();
        let noted = format!("SELECT count(*) FROM deliveries WHERE version = {current}");
        assert_eq!(instance.count(&noted), i64::from(one.is_ok()), "{one:?}");
        assert!(one.is_ok() || matches!(one, Err(StoreError::Changed)), "{one:?}");
        was = next;
    }
}

#[tokio::test]
async fn secrets_that_are_held_stay_as_they_are_until_they_are_let_go() {
    let instance = Instance::postgres().await;
    let secret = instance.store_secret(instance.new_secret(None)).await;
    let held = instance.database.hold(secret.row().team_id, &[secret.row().id]).await.unwrap();
    assert!(held.is_held());
    let put = instance.altered(&secret, |secret| secret.version += 1);
    let change = instance.write(vec![Change::Secret(put)]);
    tokio::pin!(change);
    let early = tokio::time::timeout(std::time::Duration::from_millis(300), &mut change).await;
    assert!(early.is_err(), "it waits");
    drop(held);
    change.await.unwrap();
}

#[tokio::test]
async fn a_schema_that_somebody_altered_is_refused_and_left_alone() {
    let tricks = [
        ("ALTER TABLE secrets DROP COLUMN name", "secrets.name"),
        ("ALTER TABLE secrets ALTER COLUMN name TYPE bytea USING ''", "secrets.name"),
        ("CREATE RULE gone AS ON INSERT TO events DO INSTEAD NOTHING", "rule gone on events"),
        (
            "CREATE TRIGGER gone BEFORE UPDATE ON events FOR EACH ROW \
             EXECUTE FUNCTION suppress_redundant_updates_trigger()",
            "trigger gone on events",
        ),
    ];
    for (trick, named) in tricks {
        let url = Cluster::shared().database();
        Database::create(&url.parse().unwrap()).await.unwrap();
        let database = testbed::Database::connect(&url);
        database.execute(trick, NOTHING).unwrap();
        let refused = Database::open(&url.parse().unwrap()).await.err().unwrap();
        assert!(matches!(refused, OpenError::AlteredSchema(_)), "{refused}");
        assert!(refused.to_string().contains(named), "{refused}");
    }
}

#[tokio::test]
async fn a_database_of_a_later_program_or_another_encoding_is_refused() {
    let cluster = Cluster::shared();
    let url = cluster.database();
    assert!(matches!(Database::open(&url.parse().unwrap()).await, Err(OpenError::NoInstance)));
    Database::create(&url.parse().unwrap()).await.unwrap();
    let database = testbed::Database::connect(&url);
    database.execute("INSERT INTO schema_history (number, name) VALUES (99, 'later')", NOTHING).unwrap();
    let refused = Database::open(&url.parse().unwrap()).await.err().unwrap();
    assert!(matches!(refused, OpenError::FromTheFuture { found: 99, .. }), "{refused}");
    database.execute("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0", NOTHING).unwrap();
    let refused = Database::create(&cluster.url("latin").parse().unwrap()).await.err().unwrap();
    assert!(refused.to_string().contains("createdb --encoding=UTF8"), "{refused}");
}

#[tokio::test]
async fn of_many_that_create_at_once_all_find_the_same_schema() {
    let url = Cluster::shared().database();
    let mut created = JoinSet::new();
    for _ in 0..8 {
        let address = url.parse().unwrap();
        created.spawn(async move { Database::create(&address).await.map(|_| ()) });
    }
    while let Some(created) = created.join_next().await {
        created.unwrap().unwrap();
    }
    let applied = testbed::Database::connect(&url).query("SELECT number FROM schema_history", NOTHING);
    assert_eq!(applied.unwrap().len(), 7);
}

#[tokio::test]
async fn both_engines_have_the_same_migrations_tables_and_columns() {
    let names = |engine: &str| -> BTreeSet<String> {
        let directory = format!("{}/migrations/{engine}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    };
    assert_eq!(names("sqlite"), names("postgres"));
    let (here, there) = (Instance::sqlite().await, Instance::postgres().await);
    let tables = here.behind(|database| {
        let select = "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name";
        let rows = database.query(select, NOTHING).unwrap();
        rows.iter()
            .map(|row| row.get::<String>(0).unwrap())
            .filter(|name| !name.starts_with("sqlite_"))
            .collect::<Vec<_>>()
    });
    assert_eq!(tables.len(), 26);
    for table in tables {
        let columns = |instance: &Instance| -> BTreeSet<String> {
            instance.behind(|database| database.columns(&table)).into_iter().map(|(name, _)| name).collect()
        };
        assert_eq!(columns(&here), columns(&there), "{table}");
    }
}

/// A page costs what is in it, whatever the server knows of a table that nobody
/// has analyzed: read and sorted whole, a large team would be slow.
#[tokio::test]
async fn a_page_reads_no_more_than_itself() {
    const MANY: usize = 3_000;
    let instance = Instance::postgres().await;
    let secret = instance.store_secret(instance.new_secret(None)).await;
    let (team, user) = (secret.row().team_id, secret.row().created_by);
    let columns = "owner, name, service_slug, env_keys, version, created_by, created_at, updated_at, row_mac";
    let fill = format!(
        "INSERT INTO secrets (team_id, id, {columns}) \
         SELECT team_id, gen_random_uuid(), {columns} FROM secrets, generate_series(1, {MANY}) n"
    );
    assert_eq!(instance.behind(|database| database.execute(&fill, NOTHING)), Ok(MANY));
    let read = || {
        let read = "SELECT (idx_tup_fetch + seq_tup_read)::bigint FROM pg_stat_user_tables WHERE relname = 'secrets'";
        instance.count(read)
    };
    let before = read();
    let page = instance.database.secrets_visible_to(team, user, None, 50).await.unwrap();
    assert_eq!(page.len(), 50);
    // A session tells of what it read once a second, when it has something to do: one row.
    let told = async {
        while read() < before + 50 {
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            instance.database.secret(team, secret.row().id).await.unwrap();
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), told).await.expect("the server tells");
    let read = read() - before;
    assert!((50..500).contains(&read), "{read} rows were read for a page of 50");
}

/// One that may only read would answer, and then store nothing of what it is asked.
#[tokio::test]
async fn a_role_that_lacks_rights_serves_nothing() {
    let url = Cluster::shared().database();
    let address = |url: &str| url.parse().unwrap();
    Database::create(&address(&url)).await.unwrap();
    let admin = testbed::Database::connect(&url);
    let may = |rights: &str| admin.execute_batch(rights).unwrap();
    may("CREATE ROLE guest LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO guest");
    let as_guest = url.replace("strongroom@", "guest@");
    // The cluster of tests has other problems of its own.
    let found = async |database: &Database| {
        let mut problems = database.health().await.unwrap().problems;
        problems.retain(|problem| problem.contains("rights"));
        problems
    };
    let lacks = async || {
        let database = Database::open(&address(&as_guest)).await.unwrap();
        let problems = found(&database).await;
        match database.migrate().await {
            Ok(()) => {
                assert_eq!(problems, Vec::<String>::new());
                None
            }
            Err(OpenError::Unsuitable(said)) => {
                assert_eq!(problems, std::slice::from_ref(&said));
                Some(said)
            }
            Err(other) => panic!("{other}"),
        }
    };
    let said = lacks().await.unwrap();
    assert!(said.starts_with("the role guest lacks rights in the database: INSERT on "), "{said}");
    may("GRANT INSERT ON ALL TABLES IN SCHEMA public TO guest");
    let said = lacks().await.unwrap();
    assert!(said.contains("database: UPDATE on "), "{said}");
    may("GRANT UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO guest");
    assert_eq!(lacks().await, None);
    may("REVOKE UPDATE, DELETE ON events FROM guest");
    assert_eq!(lacks().await, None, "events are only added");
    may("REVOKE DELETE ON commits FROM guest");
    assert!(lacks().await.unwrap().contains("database: DELETE on commits; "));
    may("REVOKE UPDATE ON audit_head FROM guest");
    assert!(lacks().await.unwrap().contains(" and 1 more; "));
    let owner = Database::open(&address(&url)).await.unwrap();
    assert_eq!(found(&owner).await, Vec::<String>::new());
    owner.migrate().await.unwrap();
}
