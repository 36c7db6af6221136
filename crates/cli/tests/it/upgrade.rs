//! An instance that an older program made: brought up to date, but not before
//! its root key is proven.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use strongroom_testbed::{Cell, Cluster, Database};

use crate::harness::{Client, Place, Server, chance, chmod};

/// How often a server is killed before it has brought an instance up to date, and after, at least.
const OF_EACH: u32 = 4;
/// By when that must have been.
const LONGEST: Duration = Duration::from_mins(2);

/// A place with the data directory of schema 1, and its API key.
pub(crate) fn old() -> (Place, String) {
    let place = Place::new();
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/fixtures/schema-1");
    fs::create_dir(place.data()).unwrap();
    chmod(&place.data(), 0o700);
    for name in ["strongroom.db", "root.key"] {
        let copy = place.data().join(name);
        fs::copy(format!("{fixture}/{name}"), &copy).unwrap();
        chmod(&copy, 0o600);
    }
    (place, fs::read_to_string(format!("{fixture}/api_key")).unwrap().trim().to_owned())
}

#[test]
fn an_older_instance_goes_on_with_its_secrets_keys_and_values() {
    let (place, key) = old();
    let before = place.run("doctor", &[]);
    assert!(before.done().contains("schema 1"), "{}", before.stdout);
    for _ in 0..2 {
        let server = place.serve();
        let mut client = server.client(&key);
        let list = client.get("/v1/credentials").json();
        let names: Vec<_> = list.as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["Old", "Mine"]);
        let id = list[0]["id"].as_str().unwrap();
        let patched =
            client.request("PATCH", &format!("/v1/credentials/{id}"), r#"{"rename_keys": {"A": "A"}}"#);
        assert_eq!(patched.unwrap().status, 200, "an old value opens and is sealed again");
        let team = list[0]["team_id"].as_str().unwrap();
        let members = client.get(&format!("/v2/teams/{team}/members"));
        assert_eq!(members.json()["total"], 1, "the old key is for what came later, too");
        server.stop();
    }
    let after = place.run("doctor", &[]);
    assert!(!after.done().contains("schema 1"), "{}", after.stdout);
}

#[test]
fn a_wrong_root_key_changes_no_byte_of_an_older_instance() {
    let (place, _) = old();
    let (other, _) = Place::with_instance();
    fs::copy(other.data().join("root.key"), place.data().join("root.key")).unwrap();
    let before = fs::read(place.database()).unwrap();
    let refused = place.run("serve", &["--listen", "127.0.0.1:0"]);
    assert!(refused.refusal().contains("root key"), "{}", refused.stderr);
    assert!(fs::read(place.database()).unwrap() == before, "the database changed");
    let (control, _) = old();
    control.serve().stop();
    assert!(fs::read(control.database()).unwrap() != before, "the control: the right one migrates");
}

/// What the old instance's owner has, and can change.
fn has_all(mut client: Client) {
    let list = client.get("/v1/credentials").json();
    let names: Vec<_> = list.as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["Old", "Mine"]);
    let id = list[0]["id"].as_str().unwrap();
    let patched = client.request("PATCH", &format!("/v1/credentials/{id}"), r#"{"rename_keys": {"A": "A"}}"#);
    assert_eq!(patched.unwrap().status, 200, "an old value opens and is sealed again");
}

/// An old instance, wherever its rows are.
struct Old {
    place: Place,
    key: String,
    url: Option<String>,
}

impl Old {
    fn on_sqlite() -> Self {
        let (place, key) = old();
        Self { place, key, url: None }
    }

    /// The same rows under the first schema of PostgreSQL.
    fn on_postgres() -> Self {
        let (place, key) = old();
        let from = Database::sqlite(rusqlite::Connection::open(place.database()).unwrap());
        let url = Cluster::shared().database();
        let to = Database::connect(&url);
        let run = |statement: &str| {
            to.execute(statement, [0_i64; 0]).unwrap();
        };
        let schema = include_str!("../../../store/migrations/postgres/0001_foundation.sql");
        let plain: Vec<_> = schema.lines().map(|line| line.split("--").next().unwrap()).collect();
        plain.join("\n").split(';').filter(|statement| !statement.trim().is_empty()).for_each(run);
        run(
            "CREATE TABLE schema_history (number BIGINT PRIMARY KEY, name TEXT NOT NULL, applied_at TIMESTAMPTZ NOT NULL DEFAULT now())",
        );
        run("INSERT INTO schema_history (number, name) VALUES (1, '0001_foundation')");
        let tables =
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY rowid";
        for table in from.query(tables, [0_i64; 0]).unwrap() {
            let table: String = table.get(0).unwrap();
            let columns: Vec<_> = from.columns(&table).into_iter().map(|(name, _)| name).collect();
            let places: Vec<_> = (1..=columns.len()).map(|at| format!("?{at}")).collect();
            let (names, places) = (columns.join(", "), places.join(", "));
            let insert = format!("INSERT INTO {table} ({names}) OVERRIDING SYSTEM VALUE VALUES ({places})");
            for row in from.query(&format!("SELECT {names} FROM {table}"), [0_i64; 0]).unwrap() {
                let cells: Vec<Cell> = (0..columns.len()).map(|at| row.get(at).unwrap()).collect();
                to.execute(&insert, cells).unwrap();
            }
        }
        run(
            "SELECT setval(pg_get_serial_sequence('events', 'sequence'), (SELECT max(sequence) FROM events))",
        );
        drop(from);
        fs::remove_file(place.database()).unwrap();
        Self { place, key, url: Some(url) }
    }

    fn command(&self) -> Command {
        let mut command = self.place.command("serve", &["--listen", "127.0.0.1:0", "--rate-limit", "0"]);
        command.args(self.url.iter().flat_map(|url| ["--database-url", url]));
        command
    }

    fn schema(&self) -> i64 {
        let (database, schema) = if let Some(url) = &self.url {
            (Database::connect(url), "SELECT max(number) FROM schema_history")
        } else {
            let connection = rusqlite::Connection::open(self.place.database()).unwrap();
            (Database::sqlite(connection), "SELECT user_version FROM pragma_user_version")
        };
        database.query_row(schema, [0_i64; 0], |row| row.get(0)).unwrap()
    }

    /// Starts a server and kills it after so long, in microseconds. Whether the instance was up
    /// to date by then; it is whole in any case, and served by the next one.
    fn killed_after(&self, micros: u64) -> bool {
        let mut command = self.command();
        let mut server = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_micros(micros));
        server.kill().unwrap();
        server.wait().unwrap();
        let schema = self.schema();
        assert!(schema == 1 || schema > 5, "half of it: {schema}");
        let next = Server::start(self.command(), self.place.path("stderr"));
        has_all(next.client(&self.key));
        next.stop();
        assert!(self.schema() > 5);
        schema > 1
    }
}

/// Old instances whose server is killed while it starts, time and again.
fn whole_whenever_it_is_killed(old: fn() -> Old) {
    let (started, mut longest, mut before, mut after) = (Instant::now(), 200_000, 0, 0);
    while before < OF_EACH || after < OF_EACH {
        assert!(started.elapsed() < LONGEST, "{before} before, {after} after");
        if old().killed_after(chance(longest)) {
            after += 1;
            longest = (longest * 4 / 5).max(1_000);
        } else {
            before += 1;
            longest = longest * 5 / 4;
        }
    }
    println!("{before} killed before the change, {after} after, in {:?}", started.elapsed());
}

#[test]
fn an_upgrade_that_is_killed_on_sqlite_is_done_or_not() {
    whole_whenever_it_is_killed(Old::on_sqlite);
}

#[test]
fn an_upgrade_that_is_killed_on_postgres_is_done_or_not() {
    whole_whenever_it_is_killed(Old::on_postgres);
}
