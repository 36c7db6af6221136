//! `strongroom audit`, on both engines: what happened is told, taken away and proven, and
//! whatever is done to it is found.

mod events;
mod file;
mod record;
mod witness;

use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use strongroom_testbed::{Cell, Cluster, Database};

use crate::harness::{BINARY, Ended, Place, Server, clean, eventually, run};

/// An instance that is served, its owner at the command line, and who writes to its database.
struct Desk {
    place: Place,
    database: Option<String>,
    key: String,
    team: String,
    server: Option<Server>,
}

/// What a database holds of the record.
struct Older {
    last: i64,
    tables: Vec<(&'static str, Vec<Vec<Cell>>)>,
}

/// Runs a test on an instance of each engine.
fn on_both(test: impl Fn(Desk)) {
    test(Desk::new(None));
    test(Desk::new(Some(Cluster::shared().database())));
}

impl Desk {
    fn new(database: Option<String>) -> Self {
        let place = Place::new();
        let mut desk = Self { place, database, key: String::new(), team: String::new(), server: None };
        let recovery = desk.path("recovery.key");
        let made = run(&mut desk.operator(&["init"], &["--json", "--recovery-key-file", &recovery]));
        let made: Value = serde_json::from_str(made.done()).unwrap();
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        (desk.key, desk.team) = (text("api_key"), text("team_id"));
        desk.serve();
        desk
    }

    fn path(&self, name: &str) -> String {
        self.place.path(name).to_str().unwrap().to_owned()
    }

    /// The binary, told of the instance itself.
    fn operator(&self, words: &[&str], args: &[&str]) -> Command {
        let mut command = clean(BINARY);
        command.current_dir(self.place.path("")).args(words).arg("--data-dir").arg(self.place.data());
        command.args(self.database.iter().flat_map(|url| ["--database-url", url])).args(args);
        command
    }

    fn serve(&mut self) {
        let listen = ["--listen", "127.0.0.1:0", "--rate-limit", "0"];
        self.server = Some(Server::start(self.operator(&["serve"], &listen), self.place.path("stderr")));
    }

    fn stop(&mut self) {
        self.server.take().unwrap().stop();
    }

    /// The binary, told of the server.
    fn command(&self, args: &[&str]) -> Command {
        let url = format!("http://{}", self.server.as_ref().unwrap().address);
        let mut command = clean(BINARY);
        command.current_dir(self.place.path("")).args(args);
        command.env("STRONGROOM_URL", url).env("STRONGROOM_API_KEY", &self.key);
        command
    }

    fn run(&self, args: &[&str]) -> Ended {
        run(&mut self.command(args))
    }

    /// The binary, told of nothing.
    fn alone(&self, args: &[&str]) -> Ended {
        run(clean(BINARY).current_dir(self.place.path("")).args(args))
    }

    /// `audit verify` of the instance itself.
    fn verify(&self, args: &[&str]) -> Ended {
        run(&mut self.operator(&["audit", "verify"], args))
    }

    /// What `audit verify` finds in the instance, which it should.
    fn findings(&self, args: &[&str]) -> String {
        let found = self.verify(args);
        assert_eq!(found.code, Some(1), "{}{}", found.stdout, found.stderr);
        found.stdout
    }

    /// Does so many things that are recorded, and waits until they are sealed.
    fn happen(&self, count: usize) {
        let mut client = self.server.as_ref().unwrap().client(&self.key);
        for _ in 0..count {
            client.create("value").unwrap().unwrap();
        }
        self.sealed();
    }

    /// Waits until what was recorded is sealed.
    fn sealed(&self) {
        let mut client = self.server.as_ref().unwrap().client(&self.key);
        let newest = client.get(&format!("/v2/teams/{}/events?limit=1", self.team)).json();
        let last = &newest["events"][0]["sequence"];
        let proof = format!("/v2/teams/{}/events/{last}/proof", self.team);
        eventually("the last event is sealed", || client.get(&proof).status == 200);
    }

    /// An export; its lines.
    fn exported(&self, name: &str, args: &[&str]) -> Vec<String> {
        self.run(&[&["audit", "export", "--out", name], args].concat()).done();
        fs::read_to_string(self.place.path(name)).unwrap().lines().map(str::to_owned).collect()
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.place.path(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// The file with the server's keys.
    fn keys(&self) -> String {
        let keys = self.run(&["audit", "key"]).done().to_owned();
        self.write("keys", &keys).to_str().unwrap().to_owned()
    }

    /// The database behind the server's back; with SQLite, when that has stopped.
    fn raw(&self) -> Database {
        match &self.database {
            Some(url) => Database::connect(url),
            None => Database::sqlite(rusqlite::Connection::open(self.place.database()).unwrap()),
        }
    }

    fn execute(&self, sql: &str) {
        assert!(self.raw().execute(sql, [0_i64; 0]).unwrap() > 0, "{sql}");
    }

    /// The record as it is, to be put back.
    fn older(&self) -> Older {
        let raw = self.raw();
        let tables = ["audit_head", "audit_spans", "audit_tiles"].map(|table| {
            let columns = raw.columns(table).len();
            let rows = raw.query(&format!("SELECT * FROM {table}"), [0_i64; 0]).unwrap();
            let cells = |row: &strongroom_testbed::Row| (0..columns).map(|at| row.get(at).unwrap()).collect();
            (table, rows.iter().map(cells).collect())
        });
        let last = "SELECT max(sequence) FROM events";
        Older { last: raw.query_row(last, [0_i64; 0], |row| row.get(0)).unwrap(), tables: tables.into() }
    }

    /// Puts the record back as it was, as a backup does that is restored.
    fn put_back(&self, older: &Older) {
        let raw = self.raw();
        raw.execute("DELETE FROM events WHERE sequence > ?1", [older.last]).unwrap();
        for (table, rows) in &older.tables {
            raw.execute(&format!("DELETE FROM {table}"), [0_i64; 0]).unwrap();
            for row in rows {
                let places: Vec<_> = (1..=row.len()).map(|at| format!("?{at}")).collect();
                raw.execute(&format!("INSERT INTO {table} VALUES ({})", places.join(", ")), row.clone())
                    .unwrap();
            }
        }
    }
}
