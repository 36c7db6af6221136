//! The keys of an instance itself give way to others beside a running server: no request
//! fails, nothing is lost whenever it ends, and no key is ever said.

mod killed;
mod load;
mod recovery;
mod refused;
mod roots;
mod scrubbed;
mod server_killed;
mod status;

use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use strongroom_testbed::{Cluster, Database};

use crate::copy::{self, Instance};
use crate::harness::{BINARY, Ended, Place, Server, clean, run};
use crate::leaks::encodings;
use crate::shared::Shared;

/// What the files of passphrases hold.
const PASSPHRASE: &str = "correct horse battery staple";

/// An instance, and who holds its keys.
struct Held {
    place: Place,
    /// Where its database is, if not in its directory.
    url: Option<String>,
    key: String,
}

impl From<Shared> for Held {
    fn from(Shared { place, url, key }: Shared) -> Self {
        Self { place, url: Some(url), key }
    }
}

impl Held {
    fn on_sqlite() -> Self {
        let (place, key) = Place::with_instance();
        Self { place, url: None, key }
    }

    fn on_postgres() -> Self {
        Shared::new(Cluster::shared()).into()
    }

    fn on_both() -> [Self; 2] {
        [Self::on_sqlite(), Self::on_postgres()]
    }

    /// The binary with these words, in the place's directory and for this instance.
    fn command(&self, words: &str) -> Command {
        let mut command = clean(BINARY);
        command.current_dir(self.place.path("")).args(words.split_whitespace()).args(["--data-dir", "data"]);
        if let Some(url) = &self.url {
            command.args(["--database-url", url]);
        }
        command
    }

    /// Runs it to its end, which shows nothing that is secret.
    fn run(&self, words: &str) -> Ended {
        let before = self.secrets();
        let ended = run(&mut self.command(words));
        let said = format!("{}{}", ended.stdout, ended.stderr);
        assert_eq!(shown(&said, &[before, self.secrets()].concat()), [""; 0], "{words}");
        ended
    }

    /// The object that it prints.
    fn json(&self, words: &str) -> Value {
        serde_json::from_str(self.run(&format!("{words} --json")).done()).unwrap()
    }

    /// Its keys, as they are told of.
    fn status(&self) -> Value {
        self.json("keys status")
    }

    /// The id of its own root key.
    fn root(&self) -> String {
        text(&self.status()["root_keys"][0]["id"])
    }

    /// The id of its master key.
    fn master(&self) -> String {
        text(&self.status()["master_key"])
    }

    /// All is well: every seal opens, every MAC holds, and the record goes on. Only the tests'
    /// PostgreSQL is told to be careless.
    fn is_well(&self) {
        self.is_well_by("");
    }

    /// The same, with these options.
    fn is_well_by(&self, options: &str) {
        let doctor = self.run(&format!("doctor --json {options}"));
        let report: Value = serde_json::from_str(&doctor.stdout).unwrap();
        for check in report["checks"].as_array().unwrap() {
            let careless = check["name"] == "database" && check.to_string().contains("fsync is off");
            assert!(check["ok"] == true || careless, "{report}");
        }
        assert!(report.to_string().contains("every seal opens, every MAC holds"), "{report}");
    }

    /// Starts a server with these options, too.
    fn serve_with(&self, options: &str) -> Server {
        let number = self.place.tree().iter().filter(|name| name.starts_with("stderr")).count();
        let command = self.command(&format!("serve --listen 127.0.0.1:0 --rate-limit 0 {options}"));
        Server::start(command, self.place.path(&format!("stderr{number}")))
    }

    fn serve(&self) -> Server {
        self.serve_with("")
    }

    fn database(&self) -> Database {
        if let Some(url) = &self.url {
            return Database::connect(url);
        }
        let connection = rusqlite::Connection::open(self.place.database()).unwrap();
        connection.busy_timeout(Duration::from_secs(20)).unwrap();
        Database::sqlite(connection)
    }

    /// Every file but what SQLite makes beside its database; and what is in a PostgreSQL.
    fn bytes(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let passing = ["-wal", "-shm", ".lock"];
        let names =
            self.place.tree().into_iter().filter(|name| !passing.iter().any(|end| name.ends_with(end)));
        let files = names.map(|name| self.place.path(&name)).filter(|path| !path.is_dir());
        let mut bytes: Vec<_> = files.map(|path| (path.clone(), fs::read(path).unwrap())).collect();
        bytes.extend(self.url.iter().flat_map(|url| Database::connect(url).dump()));
        bytes
    }

    /// What must never be said: keys, passphrases and values.
    fn secrets(&self) -> Vec<String> {
        let is_secret = |name: &&String| {
            let name = name.rsplit('/').next().unwrap();
            ["root.key", "recovery", "passphrase"].iter().any(|of| name.starts_with(of))
        };
        let names = self.place.tree();
        let texts =
            names.iter().filter(is_secret).filter_map(|name| fs::read_to_string(self.place.path(name)).ok());
        let line = |text: &String| text.lines().rfind(|line| line.len() > 8).map(str::to_owned);
        let lines = texts.filter_map(|text| line(&text));
        let secrets = lines.map(|line| line.trim_start_matches("strongroom-root-key-v1:").to_owned());
        secrets.chain([self.key.clone(), "a value".to_owned()]).collect()
    }

    /// No server said anything of it, either.
    fn logged_nothing(&self) {
        let logs = self.place.tree().into_iter().filter(|name| name.starts_with("stderr"));
        for log in logs {
            let said = fs::read_to_string(self.place.path(&log)).unwrap();
            assert_eq!(shown(&said, &self.secrets()), [""; 0], "{log}");
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// Which of these a text shows, however they are written.
fn shown<'a>(said: &str, secrets: &'a [String]) -> Vec<&'a str> {
    let found = |needle: Vec<u8>| said.as_bytes().windows(needle.len()).any(|window| window == needle);
    let is_shown = |secret: &&String| encodings(secret).into_iter().any(found);
    secrets.iter().filter(is_shown).map(String::as_str).collect()
}

#[test]
fn what_must_not_be_said_would_be_found() {
    let held = Held::on_sqlite();
    held.place.private("passphrase", PASSPHRASE);
    let secrets = held.secrets();
    assert_eq!(secrets.len(), 5, "root key, recovery key, passphrase, API key, value");
    assert!(secrets.iter().any(|secret| secret.len() == 64 && !secret.contains(':')), "a root key's digits");
    assert!(secrets.iter().any(|secret| secret.starts_with("AGE-SECRET-KEY-")));
    for secret in &secrets {
        assert_eq!(shown(&format!("error: {secret} is wrong"), &secrets), [secret]);
    }
    assert_eq!(shown("error: all is wrong", &secrets), [""; 0]);
}

/// What is in a database, row by row.
fn rows(held: &Held) -> Vec<String> {
    let Some(url) = &held.url else { return copy::rows(&held.place.database()) };
    let lines = |(table, rows): (PathBuf, Vec<u8>)| {
        let rows = String::from_utf8(rows).unwrap();
        rows.lines().map(|row| format!("{}: {row}", table.display())).collect::<Vec<_>>()
    };
    Database::connect(url).dump().into_iter().flat_map(lines).collect()
}

/// Those of the first that the second hasn't.
fn missing<'a>(rows: &'a [String], from: &[String]) -> Vec<&'a str> {
    rows.iter().filter(|row| !from.contains(row)).map(String::as_str).collect()
}

fn one_row_changes(held: &Held) {
    let before = rows(held);
    held.run("keys rotate root").done();
    let after = rows(held);
    let (gone, new) = (missing(&before, &after), missing(&after, &before));
    let of = |rows: &[&str]| -> Vec<String> {
        let table = |row: &&str| row.split_once(": ").unwrap().0.to_owned();
        // Where SQLite counts events.
        rows.iter().map(table).filter(|table| table != "sqlite_sequence").collect()
    };
    assert_eq!(of(&gone), ["instance"], "{gone:?}");
    assert_eq!(of(&new), ["events", "instance"], "{new:?}");
    let newest = "SELECT kind FROM events ORDER BY sequence DESC LIMIT 1";
    let newest: String = held.database().query_row(newest, [0_i64; 0], |row| row.get(0)).unwrap();
    assert_eq!(newest, "root_key.rotated");
    // The control: a new master key changes every key's row.
    let keys = after.iter().filter(|row| row.starts_with("keys: ")).count();
    held.run("keys rotate master --passphrase-file passphrase").done();
    let gone = missing(&after, &rows(held)).into_iter().filter(|row| row.starts_with("keys: ")).count();
    assert_eq!(gone, keys);
    held.is_well();
}

#[test]
fn a_root_key_that_is_replaced_changes_one_row_and_adds_one_event() {
    let instance = Instance::new();
    let url = Cluster::shared().database();
    copy::copy(&copy::at(&instance.place), &url, &[]).done();
    let there = instance.elsewhere();
    there.private("passphrase", PASSPHRASE);
    let held = Held { place: there, url: Some(url), key: instance.key.clone() };
    one_row_changes(&held);
    one_row_changes(&Held { place: instance.place, url: None, key: instance.key });
}
