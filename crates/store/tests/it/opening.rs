//! Opening a database: what is refused, and with which words.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use strongroom_core::Store;
use strongroom_store::sqlite::{Database, FILE, FILES, LOCK};

fn created() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    drop(Database::create(directory.path()).unwrap());
    directory
}

fn refusal(opened: Result<Database, strongroom_store::sqlite::OpenError>) -> String {
    opened.err().expect("refused").to_string()
}

fn raw(directory: &Path) -> rusqlite::Connection {
    rusqlite::Connection::open(directory.join(FILE)).unwrap()
}

#[tokio::test]
async fn a_new_database_is_private_and_empty() {
    let directory = tempfile::tempdir().unwrap();
    let nested = directory.path().join("a/b");
    let database = Database::create(&nested).unwrap();
    assert!(database.instance().await.unwrap().is_none());
    for name in FILES.iter().filter(|name| !name.ends_with("-journal")) {
        let mode = std::fs::metadata(nested.join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600, "{name}");
    }
    assert_eq!(std::fs::metadata(&nested).unwrap().permissions().mode() & 0o7777, 0o700);
    let health = database.health().unwrap();
    assert_eq!((health.schema, health.problems, health.notes), (7, vec![], vec![]));
}

#[test]
fn a_closed_database_is_one_file() {
    let directory = created();
    let left: Vec<_> = std::fs::read_dir(directory.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}: the database and the lock, no WAL");
}

#[test]
fn a_second_server_is_kept_out_and_told_by_whom() {
    let directory = created();
    let first = Database::serve(directory.path()).unwrap();
    let message = refusal(Database::serve(directory.path()));
    assert!(message.contains(&format!("(process {})", std::process::id())), "{message}");
    let beside = Database::inspect(directory.path()).unwrap();
    assert_eq!(beside.health().unwrap().problems, [""; 0]);
    drop(first);
    Database::serve(directory.path()).unwrap();
}

#[test]
fn a_database_is_never_created_over_or_in_place_of_another() {
    let directory = created();
    assert!(refusal(Database::create(directory.path())).contains("exists already"));
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(directory.path().join(format!("{FILE}{suffix}")));
    }
    for opened in [
        Database::create(directory.path()),
        Database::serve(directory.path()),
        Database::inspect(directory.path()),
    ] {
        let message = refusal(opened);
        assert!(
            message.contains("is missing") && message.contains(LOCK) && message.contains("backup"),
            "{message}"
        );
    }
    let fresh = tempfile::tempdir().unwrap();
    assert!(refusal(Database::serve(fresh.path())).contains("strongroom init"));
    std::fs::write(fresh.path().join("root.key"), "x").unwrap();
    assert!(refusal(Database::serve(fresh.path())).contains("root.key"));
    assert_eq!(std::fs::read_dir(fresh.path()).unwrap().count(), 1, "nothing was created");
}

#[test]
fn a_file_that_others_can_read_is_refused() {
    let directory = created();
    let path = directory.path().join(FILE);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(refusal(Database::serve(directory.path())).contains("chmod 600"));
}

#[test]
fn foreign_later_and_broken_files_are_refused_and_left_alone() {
    let later = created();
    raw(later.path()).pragma_update(None, "user_version", 99).unwrap();
    assert!(refusal(Database::serve(later.path())).contains("schema 99"));
    let foreign = created();
    raw(foreign.path()).pragma_update(None, "application_id", 7).unwrap();
    assert!(refusal(Database::serve(foreign.path())).contains("not a Strongroom database"));
    let empty = created();
    std::fs::write(empty.path().join(FILE), "").unwrap();
    for opened in [Database::serve(empty.path()), Database::inspect(empty.path())] {
        assert!(refusal(opened).contains("is empty"));
    }
    assert_eq!(std::fs::metadata(empty.path().join(FILE)).unwrap().len(), 0);
    let broken = created();
    std::fs::write(
        broken.path().join(FILE),
        b"not a database at all, but long enough to have a header of 100 bytes, which this text has.",
    )
    .unwrap();
    let before = std::fs::read(broken.path().join(FILE)).unwrap();
    assert!(refusal(Database::serve(broken.path())).contains("can't be opened as a database"));
    assert_eq!(std::fs::read(broken.path().join(FILE)).unwrap(), before);
}

#[test]
fn what_somebody_put_into_the_schema_is_found_and_refused() {
    let tricks = [
        "CREATE TRIGGER gone AFTER INSERT ON events BEGIN DELETE FROM events WHERE sequence = new.sequence; END",
        "CREATE VIEW peek AS SELECT * FROM secrets",
        "CREATE TABLE loot (x)",
        "CREATE INDEX slow ON secrets (name)",
        "ALTER TABLE users ADD COLUMN x TEXT",
        "DROP TABLE versions",
    ];
    for trick in tricks {
        let directory = created();
        raw(directory.path()).execute_batch(trick).unwrap();
        let problems = Database::inspect(directory.path()).unwrap().health().unwrap().problems;
        assert!(
            problems.iter().any(|problem| problem.contains("altered the schema")),
            "{trick}: {problems:?}"
        );
        assert!(refusal(Database::serve(directory.path())).contains("altered the schema"), "{trick}");
    }
}

/// Many at once, as an impatient operator or an orchestrator does.
#[test]
fn of_many_that_create_at_once_one_does_and_nothing_of_it_is_lost() {
    for _ in 0..40 {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        let made: Vec<_> = std::thread::scope(|scope| {
            let creators: Vec<_> = (0..6).map(|_| scope.spawn(|| Database::create(&data))).collect();
            creators.into_iter().map(|creator| creator.join().unwrap()).collect()
        });
        assert_eq!(made.iter().filter(|made| made.is_ok()).count(), 1);
        drop(made);
        Database::serve(&data).unwrap();
    }
}

#[test]
fn a_link_in_place_of_the_database_is_refused() {
    let directory = created();
    let elsewhere = directory.path().join("elsewhere.db");
    std::fs::rename(directory.path().join(FILE), &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, directory.path().join(FILE)).unwrap();
    refusal(Database::serve(directory.path()));
}
